//! The protocol's behaviour, in virtual time over a simulated network.

mod handshake;
