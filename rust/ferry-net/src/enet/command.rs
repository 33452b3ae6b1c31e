//! What the game's thread tells an ENet driver, and what it hears from it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferry_enet::{Mode, ThrottleConfig, Timeouts};

use super::compression::Mode as Compression;
use super::link::{Ending, LinkShared, takes_room};
use crate::endpoint::{Entry, detach};
use crate::limits::Limits;
use crate::link::LinkId;
use crate::lookup;
use crate::reason::Farewell;
use crate::stats::LinkStats;

/// Somebody to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At an address.
    Address(SocketAddr),
    /// By a name, which the network thread looks up.
    Name(String, u16),
}

impl Target {
    /// What a user wrote: an address or a name.
    pub fn new(host: &str, port: u16) -> Self {
        match lookup::literal(host) {
            Some(ip) => Self::Address(SocketAddr::new(ip, port)),
            None => Self::Name(host.trim().to_owned(), port),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Name(name, port) => write!(formatter, "{name}:{port}"),
        }
    }
}

pub(crate) enum Command {
    Send {
        link: LinkId,
        channel: u8,
        mode: Mode,
        payload: Bytes,
    },
    Connect {
        link: LinkId,
        shared: Arc<LinkShared>,
        target: Target,
        channels: u8,
        data: u32,
    },
    End {
        link: LinkId,
        how: Ending,
        word: u32,
    },
    /// Ends a link at once for a reason of ours, which the game hears as an event.
    Abandon {
        link: LinkId,
        farewell: Farewell,
    },
    Ping {
        link: LinkId,
    },
    PingInterval {
        link: LinkId,
        interval: Duration,
    },
    Timeouts {
        link: LinkId,
        timeouts: Timeouts,
    },
    Throttle {
        link: LinkId,
        throttle: ThrottleConfig,
    },
    Bandwidth {
        incoming: u32,
        outgoing: u32,
    },
    ChannelLimit(u8),
    Compress(Compression),
    Limits(Limits),
    Datagram {
        target: Target,
        payload: Bytes,
    },
}

impl Entry for Command {
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Send { payload, .. } | Self::Datagram { payload, .. } => payload.len(),
            _ => 0,
        }
    }

    fn may_be_dropped(&self) -> bool {
        match self {
            Self::Send { mode, payload, .. } => !takes_room(*mode, payload.len()),
            Self::Datagram { .. } => true,
            _ => false,
        }
    }

    fn detach(&mut self) {
        if let Self::Send { payload, .. } = self {
            detach(payload);
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
        /// The other end's word, if it made it.
        data: u32,
    },
    /// A packet has come.
    Received {
        /// From whom.
        link: LinkId,
        /// On which channel.
        channel: u8,
        /// How it travelled: reliable, unreliable or unsequenced.
        mode: Mode,
        /// Its bytes.
        payload: Bytes,
    },
    /// A link has ended, or was never made.
    Disconnected {
        /// Which one.
        link: LinkId,
        /// Why.
        farewell: Farewell,
        /// The number that came with the other end's goodbye; 0 without one.
        word: u32,
        /// Its last figures; the game's side puts them in.
        stats: Option<LinkStats>,
    },
    /// The socket has failed; all links are gone with it.
    Failed(Farewell),
}

/// What the driver hands over: the event, and for a new link its other particulars.
pub(crate) struct Notice {
    pub(crate) event: Event,
    pub(crate) made: Option<Made>,
}

impl From<Farewell> for Notice {
    /// The endpoint itself has failed.
    fn from(farewell: Farewell) -> Self {
        Self { event: Event::Failed(farewell), made: None }
    }
}

/// What the game's side needs to know of a link that has just been made.
pub(crate) struct Made {
    pub(crate) shared: Arc<LinkShared>,
    pub(crate) channels: u8,
    /// The other end made it.
    pub(crate) incoming: bool,
}

/// What a new link costs until the game has heard of it, about: strangers may come and go while it sleeps.
const LINK_BYTES: usize = 512;

impl Entry for Notice {
    fn payload_bytes(&self) -> usize {
        match &self.event {
            Event::Received { payload, .. } => payload.len(),
            Event::Connected { .. } => LINK_BYTES,
            _ => 0,
        }
    }

    fn may_be_dropped(&self) -> bool {
        matches!(&self.event, Event::Received { mode, .. } if *mode != Mode::Reliable)
    }

    fn detach(&mut self) {
        if let Event::Received { payload, .. } = &mut self.event {
            detach(payload);
        }
    }
}
