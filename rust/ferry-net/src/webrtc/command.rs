//! What the game's thread tells the driver of a WebRTC connection, and what it hears from it.

use std::sync::Arc;

use bytes::Bytes;

use super::channel::{ChannelId, ChannelInit, ChannelShared};
use super::connection::ConnectionState;
use super::ice::GatheringState;
use super::signaling::Instruction;
use crate::endpoint::{Entry, detach};
use crate::limits::Limits;
use crate::packet::Kind;
use crate::reason::{Farewell, Reason};

pub(super) enum Command {
    /// A description has been applied.
    Signaled(Instruction),
    /// The other end may be reached there.
    Candidate(String),
    /// The game wants this channel.
    Open(Box<NewChannel>),
    /// Send this.
    Send { channel: ChannelId, kind: Kind, payload: Bytes, lossy: bool },
    /// Close a channel, once what was put on it has arrived.
    CloseChannel(ChannelId),
    /// The game has read so much that more is taken in.
    TakeMore,
    /// Times and sizes.
    Limits(Limits),
    /// End once everything that is queued has arrived; the other end hears this reason.
    Leave(Reason),
    /// End at once, for this reason.
    Abandon(Farewell),
}

/// A channel of the game's.
pub(super) struct NewChannel {
    pub(super) id: ChannelId,
    pub(super) init: ChannelInit,
    pub(super) shared: Arc<ChannelShared>,
}

impl Entry for Command {
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Send { payload, .. } => payload.len(),
            Self::Candidate(line) => line.len(),
            Self::Open(new) => new.init.label.len() + new.init.protocol.len(),
            _ => 0,
        }
    }

    fn may_be_dropped(&self) -> bool {
        matches!(self, Self::Send { lossy: true, .. })
    }

    fn detach(&mut self) {
        if let Self::Send { payload, .. } = self {
            detach(payload);
        }
    }
}

pub(super) enum Notice {
    /// A candidate of this end's, to be told to the other.
    Candidate(String),
    /// How gathering goes.
    Gathering(GatheringState),
    /// Where the connection stands; not its end.
    State(ConnectionState),
    /// A channel carries messages now, on this stream.
    ChannelOpened { channel: ChannelId, stream: u16 },
    /// The other end has made a channel.
    ChannelAnnounced { new: Box<NewChannel>, stream: u16 },
    /// A channel is gone, by whomever.
    ChannelClosed { channel: ChannelId },
    /// A message.
    Message { channel: ChannelId, kind: Kind, payload: Bytes },
    /// The connection is over.
    Ended(Farewell),
}

impl From<Farewell> for Notice {
    fn from(farewell: Farewell) -> Self {
        Self::Ended(farewell)
    }
}

impl Entry for Notice {
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Message { payload, .. } => payload.len(),
            Self::Candidate(line) => line.len(),
            Self::ChannelAnnounced { new, .. } => new.init.label.len() + new.init.protocol.len(),
            _ => 0,
        }
    }

    fn may_be_dropped(&self) -> bool {
        false
    }

    fn detach(&mut self) {}
}
