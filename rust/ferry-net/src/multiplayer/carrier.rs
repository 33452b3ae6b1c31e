//! What a multiplayer game stands on: one endpoint of any transport.

use std::time::Instant;

use bytes::Bytes;

use crate::limits::Limits;
use crate::link::{LinkError, LinkId};
use crate::packet::TransferMode;
use crate::reason::{Farewell, Reason};
use crate::stats::{EndpointStats, LinkStats};

/// In what the engine's own classes of multiplayer peers differ, and Ferry's with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// What was said about refusing connections before a peer is opened stays.
    pub keeps_refusing: bool,
    /// Passing packets on between clients is possible, says also a peer that is closed.
    pub always_relays: bool,
    /// Whoever is left out must be somebody.
    pub checks_excluded: bool,
    /// A client may name anybody as its target, known or not.
    pub clients_reach_anybody: bool,
    /// All that a client sends goes to its server, whomever it leaves out.
    pub clients_have_one_way: bool,
    /// A client that is leaving is told that its packets go nowhere.
    pub fails_when_leaving: bool,
    /// A peer is not known any more when the game hears of its end, and what it sent and nobody has read is gone with it.
    pub forgets_first: bool,
    /// Whoever has the id 1 is a server, in a mesh too.
    pub first_is_server: bool,
}

/// An endpoint that can carry a multiplayer game. A handle: clones mean the same endpoint.
pub trait Carrier: Clone {
    /// How a peer on such endpoints behaves.
    const MANNERS: Manners;

    /// The next thing that happened, unless `hold` wants it to wait: then it stays the next.
    fn next_event(&self, hold: &mut dyn FnMut(Upcoming) -> bool) -> Option<Event>;

    /// Queues a packet, on one of the game's channels (0 is the usual one).
    ///
    /// # Errors
    ///
    /// If the link or the packet is not fit for it.
    fn send(&self, link: LinkId, channel: i32, mode: TransferMode, payload: Bytes) -> Result<(), LinkError>;

    /// From now on, keeps note of links that the game ends by other ways than this.
    fn adopt(&self);

    /// Those links, since it was asked last. They have no event.
    fn taken_away(&self) -> Vec<LinkId>;

    /// Whether it has been closed, by whomever.
    fn is_closed(&self) -> bool;

    /// Another turn of the game begins: lets leave what was queued in the last one.
    fn begin_turn(&self);

    /// Lets what is queued leave.
    fn flush(&self);

    /// Ends a link once everything that is queued has arrived; an event follows. `told` is the reason that the other end
    /// hears.
    fn disconnect(&self, link: LinkId, told: Reason);

    /// Forgets a link at once, without an event.
    fn reset(&self, link: LinkId);

    /// Ends a link at once, for a reason of this end; an event with it follows.
    fn abandon(&self, link: LinkId, farewell: Farewell);

    /// Whether those who want in are told no from now on.
    fn set_refusing(&self, refusing: bool);

    /// Sets times and sizes.
    fn set_limits(&self, limits: Limits);

    /// Figures of a link; `None` once it has ended.
    fn stats(&self, link: LinkId) -> Option<LinkStats>;

    /// Figures of the endpoint.
    fn endpoint_stats(&self) -> EndpointStats;

    /// Begins to deliver what is queued, to say goodbye to everybody and to end. Does not wait.
    fn begin_close(&self);

    /// Waits for what has to be over when the game's own call of `close` returns: a port that somebody may want again.
    fn finish_close(&self, until: Instant);
}

/// What the next event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcoming {
    /// A link that stands.
    Connected,
    /// A packet.
    Packet,
    /// The end of a link.
    End,
    /// The end of the endpoint.
    Failure,
}

/// What has happened to an endpoint.
#[derive(Debug)]
pub enum Event {
    /// A link stands.
    Connected {
        /// Which one.
        link: LinkId,
        /// On a server, the client's id. On a client, its own, if the server gave it.
        word: u32,
    },
    /// A packet has come.
    Received {
        /// From whom.
        link: LinkId,
        /// On which of the game's channels.
        channel: i32,
        /// How it travelled.
        mode: TransferMode,
        /// Its bytes.
        payload: Bytes,
    },
    /// A link has ended, or was never made.
    Disconnected {
        /// Which one.
        link: LinkId,
        /// Why.
        farewell: Farewell,
        /// Its last figures, if it ever stood.
        stats: Option<LinkStats>,
    },
    /// The endpoint itself has failed.
    Failed(Farewell),
}
