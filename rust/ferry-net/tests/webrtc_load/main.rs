//! Many WebRTC connections in one process: that all of them open, what they cost, and what is left of them.
//!
//! The tests run one at a time: they measure the process's memory, and share its cores with nobody.

mod crowd;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../webrtc/pair.rs"]
mod pair;
mod pressure;
mod shared_port;
mod starts;
mod system;
