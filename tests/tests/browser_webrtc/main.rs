//! A page in a real browser, which knows nothing of Ferry, and a Ferry connection talk over WebRTC.
//!
//! The page is `tests/pages/webrtc.html`; it does what a test orders and tells what it sees. Descriptions and candidates
//! are carried by the test ([`duo`]). Its channels are those that Godot's web export makes. Without a browser these tests
//! skip, and say so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod channels;
mod connecting;
mod duo;
mod endings;
mod game;
mod messages;
mod pressure;
mod renewing;
