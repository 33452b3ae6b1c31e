//! One connection of an endpoint, whatever the transport: its name, and why it may not take a packet.

use std::fmt;

use crate::packet::MAX_PACKET_SIZE;

/// Names one link of one endpoint. A name is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub(crate) u32);

impl LinkId {
    /// The link of an endpoint that has one only.
    pub const ONLY: Self = Self(0);
}

/// Why a link did not take what it was told. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// It has ended, or its endpoint has.
    Gone,
    /// It is not made yet, or is being ended.
    NotConnected,
    /// It has this many channels only.
    NoSuchChannel(u8),
    /// The packet is longer than [`MAX_PACKET_SIZE`].
    TooLarge,
    /// The packet is longer than this many bytes, which the game has set.
    OverLimit(usize),
    /// Its outgoing queue is full: this many bytes wait.
    QueueFull(usize),
    /// The endpoint has as many links as it may have.
    NoFreeLink,
}

impl fmt::Display for LinkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => formatter.write_str("the connection has ended"),
            Self::NotConnected => formatter.write_str("the connection does not stand"),
            Self::NoSuchChannel(count) => write!(formatter, "the connection has {count} channels only"),
            Self::TooLarge => write!(formatter, "a packet may have {MAX_PACKET_SIZE} bytes at most"),
            Self::OverLimit(limit) => {
                write!(formatter, "a packet may have {limit} bytes at most (outbound_buffer_size)")
            }
            Self::QueueFull(bytes) => write!(formatter, "{bytes} bytes wait to be sent already"),
            Self::NoFreeLink => formatter.write_str("there are as many connections as there may be"),
        }
    }
}

impl std::error::Error for LinkError {}
