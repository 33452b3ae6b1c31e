//! One data channel, as both sides of the seam know it: how it was asked for, where it stands, how much of it waits.
//!
//! The game's side names a channel by a [`ChannelId`] from the moment it is asked for; the stream that carries it on the
//! wire may be chosen later (the id that Godot shows). Both threads share a [`ChannelShared`]: what waits to be sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Names one channel of one connection. A name is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub(super) u32);

impl ChannelId {
    /// Channels that the other end made are named by the network thread: from here on.
    pub(super) const FIRST_ANNOUNCED: u32 = 1 << 31;

    /// Whether the other end made it.
    pub(super) fn is_announced(self) -> bool {
        self.0 >= Self::FIRST_ANNOUNCED
    }
}

/// What a message may be late by, before nobody wants it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// It arrives.
    #[default]
    Reliable,
    /// It is given up after this long.
    Lifetime(Duration),
    /// It is sent again so often, at most.
    Retransmits(u16),
}

/// How a channel is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelInit {
    /// Its name; need not be unique.
    pub label: String,
    /// What is spoken over it, for whom it may concern.
    pub protocol: String,
    /// Messages may overtake each other.
    pub unordered: bool,
    /// How much a message is worth.
    pub persistence: Persistence,
    /// Both ends make it, with this same number: nothing is said about it on the wire.
    pub negotiated: Option<u16>,
}

/// The number that no stream has.
pub const NO_STREAM: u16 = 65_535;

/// The longest label and protocol that travel.
pub const LONGEST_NAME: usize = 65_535;

impl ChannelInit {
    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    ///
    /// If such a channel cannot be.
    pub fn check(&self) -> Result<(), ChannelError> {
        if self.label.len() > LONGEST_NAME || self.protocol.len() > LONGEST_NAME {
            return Err(ChannelError::NameTooLong);
        }
        match self.negotiated {
            Some(NO_STREAM) => Err(ChannelError::BadNumber(NO_STREAM)),
            _ => Ok(()),
        }
    }

    /// Bytes of its label and protocol.
    pub(super) fn name_bytes(&self) -> usize {
        self.label.len() + self.protocol.len()
    }

    /// Whether its messages may get lost.
    pub fn is_lossy(&self) -> bool {
        self.persistence != Persistence::Reliable
    }
}

/// Why there is no such channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// The connection has been closed, or has failed.
    Closed,
    /// Label or protocol are longer than [`LONGEST_NAME`].
    NameTooLong,
    /// No stream has this number.
    BadNumber(u16),
    /// Another channel has this number.
    NumberInUse(u16),
    /// There are as many channels as there may be.
    TooMany,
}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => formatter.write_str("the connection is closed"),
            Self::NameTooLong => write!(formatter, "label and protocol may have {LONGEST_NAME} bytes each"),
            Self::BadNumber(number) => {
                write!(formatter, "the id must be less than {NO_STREAM}, not {number}")
            }
            Self::NumberInUse(number) => write!(formatter, "another channel has the id {number}"),
            Self::TooMany => formatter.write_str("there are as many channels as there may be"),
        }
    }
}

impl std::error::Error for ChannelError {}

/// Where a channel stands, with the engine's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelPhase {
    /// Not made yet.
    #[default]
    Connecting = 0,
    /// It carries messages.
    Open = 1,
    /// This end wants it closed.
    Closing = 2,
    /// It is gone.
    Closed = 3,
}

/// What both threads know of a channel: how much was put and has not begun to leave.
#[derive(Debug, Default)]
pub(super) struct ChannelShared(AtomicUsize);

impl ChannelShared {
    /// A message was put.
    pub(super) fn put(&self, payload: usize) {
        self.0.fetch_add(payload, Ordering::AcqRel);
    }

    /// A message has left, or was given up.
    pub(super) fn left(&self, payload: usize) {
        self.0.fetch_sub(payload, Ordering::AcqRel);
    }

    /// Bytes of messages that wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_channel_can_be_is_told() {
        let good = ChannelInit { negotiated: Some(65_534), ..ChannelInit::default() };
        assert_eq!(good.check(), Ok(()));
        let bad = ChannelInit { negotiated: Some(65_535), ..ChannelInit::default() };
        assert_eq!(bad.check(), Err(ChannelError::BadNumber(65_535)));
        let long = ChannelInit { label: "x".repeat(70_000), ..ChannelInit::default() };
        assert_eq!(long.check(), Err(ChannelError::NameTooLong));
    }
}
