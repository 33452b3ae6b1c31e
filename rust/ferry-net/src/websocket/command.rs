//! What the game's thread tells a WebSocket driver, and what it hears from it.

use std::sync::Arc;

use bytes::Bytes;

use super::link::{Kind, LinkShared, Order, Outgoing, Particulars};
use crate::endpoint::{Entry, detach};
use crate::limits::Limits;
use crate::link::LinkId;
use crate::peer_id::PeerId;
use crate::reason::Farewell;
use crate::stats::LinkStats;

pub(crate) enum Command {
    /// For one link.
    Order { link: LinkId, order: Order },
    /// For the endpoint.
    Limits(Limits),
}

impl Entry for Command {
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Order { order: Order::Send(outgoing), .. } => outgoing.payload.len(),
            _ => 0,
        }
    }

    fn may_be_dropped(&self) -> bool {
        matches!(self, Self::Order { order: Order::Send(Outgoing { droppable: true, .. }), .. })
    }

    fn detach(&mut self) {
        if let Self::Order { order: Order::Send(outgoing), .. } = self {
            detach(&mut outgoing.payload);
        }
    }
}

/// What has happened to an endpoint.
#[derive(Debug)]
pub enum Event {
    /// A link stands.
    Connected {
        /// Which one; a new one if the other end made it.
        link: LinkId,
        /// In a game: the client's id, which the server gave.
        id: Option<PeerId>,
    },
    /// A message has come.
    Message {
        /// From whom.
        link: LinkId,
        /// Whether it is text.
        kind: Kind,
        /// Its bytes.
        payload: Bytes,
    },
    /// A link has ended, or was never made.
    Closed {
        /// Which one.
        link: LinkId,
        /// The code of the other end's goodbye, if there was one.
        code: Option<u16>,
        /// Its text.
        text: String,
        /// Why.
        farewell: Farewell,
        /// Its last figures; the game's side puts them in.
        stats: Option<Box<LinkStats>>,
    },
    /// The endpoint has failed; all links are gone with it.
    Failed(Farewell),
}

/// What the driver hands over: the event, and for a new link its other particulars.
pub(crate) struct Notice {
    pub(crate) event: Event,
    pub(crate) made: Option<Box<Made>>,
}

/// What the game's side needs to know of a link that has just been made.
pub(crate) struct Made {
    pub(crate) shared: Arc<LinkShared>,
    pub(crate) particulars: Particulars,
    /// The other end made it.
    pub(crate) incoming: bool,
}

impl From<Event> for Notice {
    fn from(event: Event) -> Self {
        Self { event, made: None }
    }
}

impl From<Farewell> for Notice {
    /// The endpoint itself has failed.
    fn from(farewell: Farewell) -> Self {
        Event::Failed(farewell).into()
    }
}

/// What a new link costs until the game has heard of it, about: strangers may come and go while it sleeps.
const LINK_BYTES: usize = 1024;

impl Entry for Notice {
    fn payload_bytes(&self) -> usize {
        match &self.event {
            Event::Message { payload, .. } => payload.len(),
            Event::Connected { .. } => {
                LINK_BYTES + self.made.as_ref().map_or(0, |made| made.particulars.url.len())
            }
            _ => 0,
        }
    }

    fn may_be_dropped(&self) -> bool {
        false
    }

    fn detach(&mut self) {}
}
