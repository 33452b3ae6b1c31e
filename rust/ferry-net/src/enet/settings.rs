//! What an ENet endpoint is made with, and what follows from it for the protocol.

use std::time::Duration;

use ferry_enet::{Config, Timeouts};

use crate::bind_address::BindAddress;
use crate::limits::Limits;
use crate::packet::MAX_PACKET_SIZE;
use crate::reason::Reason;

/// The most peers that the protocol's numbers allow.
pub const MAX_PEERS: usize = 4095;

/// The most channels that the protocol's numbers allow.
pub const MAX_CHANNELS: u8 = 255;

/// Handshakes under way. A whole server's worth may come in the same moment, from behind one router too; what a stranger
/// with forged addresses can start is bounded all the same, and each costs half a kilobyte.
const MAX_HALF_OPEN: usize = 4096;
const MAX_HALF_OPEN_PER_HOST: usize = 1024;

/// Packets of one peer that wait in the protocol, because the queue to the game is full: the window is 64 KiB, so
/// nobody is slowed down by less.
const MAX_WAITING_PER_PEER: usize = 1024 * 1024;

/// Pieces of packets of one peer that are not whole yet, besides one large packet.
const MAX_INCOMPLETE_PER_PEER: usize = 2 * 1024 * 1024;

/// Unreliable packets that one peer's line is too narrow for, in bytes. A second of ten megabits.
pub(super) const MAX_UNRELIABLE_PER_PEER: usize = 1280 * 1024;

/// Patience is the peer timeout less one ping and its answer, so that a peer is given up within it.
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// What a socket is opened with.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// The address to listen on.
    pub bind: BindAddress,
    /// The port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Whether somebody may want the port again as soon as the endpoint is closed: then closing waits for it.
    pub frees_port: bool,
    /// Connections, made from either end.
    pub max_peers: usize,
    /// Channels of a connection; 0 means all 255.
    pub max_channels: u8,
    /// Bytes a second, 0 for no limit.
    pub incoming_bandwidth: u32,
    /// Bytes a second, 0 for no limit.
    pub outgoing_bandwidth: u32,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            bind: BindAddress::Any,
            port: 0,
            frees_port: false,
            max_peers: 32,
            max_channels: 0,
            incoming_bandwidth: 0,
            outgoing_bandwidth: 0,
        }
    }
}

impl HostSettings {
    /// The most channels, with 0 spelled out.
    pub(super) fn channel_limit(&self) -> u8 {
        if self.max_channels == 0 { MAX_CHANNELS } else { self.max_channels }
    }

    pub(super) fn config(&self, limits: &Limits) -> Config {
        Config {
            max_peers: self.max_peers,
            max_half_open: MAX_HALF_OPEN,
            max_half_open_per_host: MAX_HALF_OPEN_PER_HOST,
            refusal_when_full: Some(Reason::ServerFull.word()),
            channel_limit: self.channel_limit(),
            incoming_bandwidth: self.incoming_bandwidth,
            outgoing_bandwidth: self.outgoing_bandwidth,
            max_packet_size: MAX_PACKET_SIZE,
            // The game's side keeps its own limit, and tells the game.
            max_outgoing_reliable: usize::MAX / 2,
            max_outgoing_unreliable: MAX_UNRELIABLE_PER_PEER,
            max_incoming: MAX_WAITING_PER_PEER,
            max_incoming_incomplete: MAX_INCOMPLETE_PER_PEER,
            timeouts: timeouts(limits),
            ping_interval: PING_INTERVAL,
            ..Config::default()
        }
    }
}

/// When a peer counts as gone: within `peer_timeout`; sooner, as in every ENet, if it answered quickly before.
pub(super) fn timeouts(limits: &Limits) -> Timeouts {
    let usual = Timeouts::default();
    let maximum = limits.peer_timeout.saturating_sub(PING_INTERVAL * 2).max(PING_INTERVAL);
    Timeouts { maximum, minimum: usual.minimum.min(maximum), ..usual }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_settings_in_range_make_a_host() {
        for (max_peers, max_channels) in [(1, 0), (MAX_PEERS, 255), (32, 1)] {
            let settings = HostSettings { max_peers, max_channels, ..HostSettings::default() };
            let config = settings.config(&Limits::default());
            assert!(ferry_enet::Host::<std::net::SocketAddr>::new(config, || 0).is_ok());
        }
    }

    #[test]
    fn patience_stays_within_the_peer_timeout() {
        for seconds in [1, 2, 5, 30, 300] {
            let limits = Limits { peer_timeout: Duration::from_secs(seconds), ..Limits::default() };
            let timeouts = timeouts(&limits);
            assert!(timeouts.maximum + PING_INTERVAL <= limits.peer_timeout.max(PING_INTERVAL * 2));
            assert!(timeouts.minimum <= timeouts.maximum);
        }
    }
}
