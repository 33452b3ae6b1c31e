//! Figures that every transport can tell, of one connection and of all together.

use std::net::SocketAddr;
use std::time::Duration;

/// Figures of one connection, at most some tens of milliseconds old. Counts go from its beginning on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkStats {
    /// Mean round trip, by Ferry's own clock at the socket. `None` until one was measured.
    pub rtt: Option<Duration>,
    /// How much it scatters: its mean deviation.
    pub jitter: Option<Duration>,
    /// Which part of what was sent got lost lately, 0 to 1.
    pub loss: f64,
    /// Bytes on the wire, headers above UDP or TCP included.
    pub bytes_sent: u64,
    /// Likewise.
    pub bytes_received: u64,
    /// The game's packets.
    pub packets_sent: u64,
    /// Likewise.
    pub packets_received: u64,
    /// Packets that were dropped at this end because a queue was full or the line too narrow; unreliable ones only.
    pub packets_dropped: u64,
    /// Bytes that wait here to be sent or acknowledged.
    pub queued_bytes: u64,
    /// Where the other end is.
    pub address: Option<SocketAddr>,
}

/// Figures of an endpoint: all its connections together, and what belongs to none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Bytes on the wire.
    pub bytes_sent: u64,
    /// Likewise.
    pub bytes_received: u64,
    /// Datagrams, or writes to a stream.
    pub datagrams_sent: u64,
    /// Datagrams, or reads from a stream.
    pub datagrams_received: u64,
    /// What made no sense or was meant for nobody here.
    pub datagrams_rejected: u64,
    /// Clients that were told no.
    pub connections_refused: u64,
    /// Unreliable packets that were dropped between the game and the network thread, because one of them had
    /// stalled for long.
    pub packets_dropped: u64,
}

impl EndpointStats {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes_sent: self.bytes_sent + other.bytes_sent,
            bytes_received: self.bytes_received + other.bytes_received,
            datagrams_sent: self.datagrams_sent + other.datagrams_sent,
            datagrams_received: self.datagrams_received + other.datagrams_received,
            datagrams_rejected: self.datagrams_rejected + other.datagrams_rejected,
            connections_refused: self.connections_refused + other.connections_refused,
            packets_dropped: self.packets_dropped + other.packets_dropped,
        }
    }
}
