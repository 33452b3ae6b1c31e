//! What strangers and bad players can do to a WebRTC connection, while two honest ones play on beside it.
//!
//! `texts` has descriptions and candidates that make no sense, `doors` what happens before the encryption stands, `port` what
//! a stranger sends to an open port, `insiders` what a player does who has got in: `raw` is such a player, made of the parts
//! below a connection, so that it can do what a connection would not. `scene` is the honest game beside.
//!
//! The tests run one at a time: they measure the process's memory, and share two cores with others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doors;
mod insiders;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../webrtc/line.rs"]
mod line;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../webrtc/pair.rs"]
mod pair;
mod port;
mod raw;
mod scene;
mod texts;
#[path = "../under_attack/mod.rs"]
mod under_attack;
#[path = "../websocket_hostile/watch.rs"]
mod watch;
