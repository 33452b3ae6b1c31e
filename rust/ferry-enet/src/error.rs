//! What a caller can do wrong. What a remote does wrong is no error of ours: it is counted (`stats.rs`).

use std::fmt;

/// Why no connection could be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The host has as many connections as its settings allow.
    NoFreePeer,
    /// A connection has at least one channel.
    NoChannels,
}

/// Why a packet was not taken. Nothing of it was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The connection has ended, or never was.
    UnknownPeer,
    /// The connection is not made yet, or is being ended.
    NotConnected,
    /// The connection has fewer channels.
    NoSuchChannel,
    /// The packet is longer than the settings allow, or has more fragments than the protocol's numbering: 24 576 if it
    /// is reliable, which is 32 MB at the usual MTU and 13 MB at the smallest.
    TooLarge,
    /// The peer's queue has no room for it.
    QueueFull,
}

/// The connection has ended, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPeer;

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFreePeer => "the host has as many connections as it may have",
            Self::NoChannels => "a connection needs at least one channel",
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPeer => "there is no such connection (any more)",
            Self::NotConnected => "the connection is not made yet, or is being ended",
            Self::NoSuchChannel => "the connection has fewer channels than that",
            Self::TooLarge => "the packet is larger than can be sent",
            Self::QueueFull => "the peer's outgoing queue is full",
        })
    }
}

impl fmt::Display for UnknownPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such connection (any more)")
    }
}

impl std::error::Error for ConnectError {}
impl std::error::Error for SendError {}
impl std::error::Error for UnknownPeer {}

impl From<UnknownPeer> for SendError {
    fn from(_: UnknownPeer) -> Self {
        Self::UnknownPeer
    }
}
