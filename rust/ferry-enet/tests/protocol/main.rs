//! The protocol's behaviour, in virtual time over a simulated network.

#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod bandwidth;
mod delivery;
mod disconnecting;
mod handshake;
mod limits;
mod loss_and_round_trips;
mod numbering;
mod peers;
mod simulation;
mod timeouts;
