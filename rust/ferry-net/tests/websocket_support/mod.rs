//! What the WebSocket tests need of the other end: frames written by hand, and connections that say what they are told to.
//!
//! Nothing here knows how Ferry does it: frames are made and read byte by byte, so that they may be wrong.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod frames;
pub(crate) mod handshake;
pub(crate) mod raw;
