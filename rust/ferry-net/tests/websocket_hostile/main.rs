//! What strangers and bad peers can do to a WebSocket server on loopback, while an honest client plays on; and what bad
//! servers can do to a client.
//!
//! Each attack runs beside a game (`under_attack`, made by `scene`): packets both ways that must come in order and keep coming, and soon. `doors` has
//! what happens before anybody is a player: handshakes that are slow, silent, wrong or too many. `messages` has frames
//! that no honest end sends, `floods` what costs memory or other players' time, `patience` who is slow or odd and may
//! stay, `servers` what a client may meet, `encrypted`
//! the ports where TLS is spoken. `watch` sees the process's memory and its log.
//!
//! The tests run one at a time: they measure the process's memory, and share two cores with others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doors;
mod encrypted;
mod floods;
mod messages;
mod patience;
mod scene;
mod servers;
#[path = "../under_attack/mod.rs"]
mod under_attack;
mod watch;
#[path = "../websocket_support/mod.rs"]
mod websocket_support;
