//! What packets cost in allocations, on every transport, so that nobody makes it more without noticing.
//!
//! Counted are those of the whole process: the game's thread and the network thread. Over ENet and WebSocket the players
//! are another process (this program, started again), so what is counted is a server's own, each way. Over WebRTC both
//! ends are here. The bounds are what was measured, with a little room; each says what the allocations are. When one is
//! exceeded, `heaptrack` or `valgrind --tool=dhat` on this program tells where.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "benchmarks use the rest")]
#[path = "../../benches/crowd/mod.rs"]
mod crowd;
mod game;
mod of_servers;
mod of_webrtc;
mod players;
