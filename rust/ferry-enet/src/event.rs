//! What a host tells its driver, and the names it uses for that. How events wait is `event_queue.rs`'s business.

use bytes::Bytes;

/// Names one connection of one host. A slot's next connection has another name, so a stale one is an error, never
/// somebody else's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    pub(crate) slot: u16,
    pub(crate) generation: u32,
}

impl PeerId {
    /// The slot, below the host's number of slots: small, and used again. It is also the number that the other end
    /// puts into its datagrams.
    pub const fn slot(self) -> u16 {
        self.slot
    }
}

/// How a packet is to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Arrives, once, in the order of its channel's reliable packets.
    Reliable,
    /// May get lost, is never late: a packet older than one that came out is dropped. One that is too large for a
    /// datagram travels in unreliable fragments, and is lost with any of them.
    Unreliable,
    /// May get lost or come late, comes once. One that is too large travels as if it were [`Mode::Unreliable`].
    Unsequenced,
    /// [`Mode::Unreliable`] if it fits into a datagram, else [`Mode::Reliable`]: what ENet does without its flag for
    /// unreliable fragments.
    UnreliableUnlessLarge,
    /// [`Mode::Unsequenced`] if it fits into a datagram, else [`Mode::Reliable`].
    UnsequencedUnlessLarge,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The other end said goodbye, with this word.
    ByRemote(u32),
    /// The other end did not want the connection, with this word.
    Refused(u32),
    /// This end asked for it, and the other end knows.
    ByUs,
    /// The other end does not answer any more, or never did.
    TimedOut,
    /// The other end's answer to our CONNECT makes no sense.
    HandshakeFailed,
    /// The other end sent a reliable packet that is longer than this host's settings allow. It was told goodbye.
    PacketTooLong,
}

/// Something that happened. Fetched with [`Host::poll_event`](crate::Host::poll_event).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection stands, either end's doing. `data` is the client's word from its CONNECT; zero at the client.
    Connected {
        /// The new connection.
        peer: PeerId,
        /// The client's own word.
        data: u32,
    },
    /// A packet has arrived.
    Received {
        /// From whom.
        peer: PeerId,
        /// On which channel.
        channel: u8,
        /// [`Mode::Reliable`], [`Mode::Unreliable`] or [`Mode::Unsequenced`]: how it travelled.
        mode: Mode,
        /// Its bytes.
        payload: Bytes,
    },
    /// A connection has ended, or was never made. The name `peer` means nothing from here on.
    Disconnected {
        /// Which one.
        peer: PeerId,
        /// Why.
        reason: DisconnectReason,
    },
}

impl Event {
    /// The connection that this is about.
    pub fn peer(&self) -> PeerId {
        match *self {
            Self::Connected { peer, .. } | Self::Received { peer, .. } | Self::Disconnected { peer, .. } => {
                peer
            }
        }
    }
}
