//! Two associations in virtual time, over a network that does what a test wants.

#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod delivery;
mod ending;
mod handshake;
mod hostile;
mod raw;
mod simulation;
mod world;
