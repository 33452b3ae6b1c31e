//! What a host is told when it is made, and the limits it keeps.
//!
//! Everything that a stranger can make a host remember has a number here.

use std::time::Duration;

use crate::throttle::Throttle;
use crate::wire::{MAXIMUM_CHANNELS, MAXIMUM_MTU, MINIMUM_MTU, NO_PEER_ID, ThrottleParameters};

/// Settings of a [`Host`](crate::Host).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many connections there may be, made from either end; 1 to 4095.
    pub max_peers: usize,
    /// How many clients may be in the middle of the handshake. They do not count as peers, so strangers who begin
    /// handshakes and never end them cannot fill a server. At the limit, a random one of them makes room.
    pub max_half_open: usize,
    /// How many of those may come from one host.
    pub max_half_open_per_host: usize,
    /// How many peers may come from one host.
    pub max_peers_per_host: usize,
    /// How long a client may take for the handshake, from its first CONNECT.
    pub half_open_timeout: Duration,
    /// The word to refuse clients with who come when `max_peers` or `max_peers_per_host` is reached. `None` is what
    /// ENet does: it says nothing, and the client waits for half a minute.
    pub refusal_when_full: Option<u32>,
    /// The most channels of a connection that a client asks for, 1 to 255.
    pub channel_limit: u8,
    /// What this host can take, in bytes a second; 0 for no limit.
    pub incoming_bandwidth: u32,
    /// What this host can send, in bytes a second; 0 for no limit.
    pub outgoing_bandwidth: u32,
    /// The largest datagram to send, without the headers below UDP; 576 to 4096. The smaller of both ends' counts.
    pub mtu: u16,
    /// Whether datagrams carry a CRC-32. Both ends must agree, or nothing arrives.
    pub checksum: bool,
    /// The longest packet to send or to put together, in bytes.
    pub max_packet_size: usize,
    /// How many bytes of reliable packets may wait for one peer, to be sent or acknowledged. Sending fails beyond.
    pub max_outgoing_reliable: usize,
    /// How many bytes of unreliable packets may wait to be sent to one peer. Beyond, the oldest are dropped.
    pub max_outgoing_unreliable: usize,
    /// How many bytes of one peer's packets may wait in the event queue. Beyond, reliable ones are left
    /// unacknowledged, so that the peer sends them again, and unreliable ones are dropped.
    pub max_incoming: usize,
    /// How many bytes of one peer's packets may wait for earlier ones or for their missing fragments. One large packet
    /// whose turn it is, and small ones on each channel, may pass this until they are whole, or they never would be.
    pub max_incoming_incomplete: usize,
    /// When new connections count as dead.
    pub timeouts: Timeouts,
    /// How long a new connection may be silent before it is pinged.
    pub ping_interval: Duration,
    /// How the throttle of new outgoing connections reacts. The server's end takes the client's.
    pub throttle: ThrottleConfig,
}

/// When a peer counts as dead: when it gave no sign of life for as long as the usual answering time takes to
/// double up to its `limit`-fold (32 is five doublings), but for `minimum` at least and for `maximum` at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How many times the usual answering time (a round trip and four times its scatter) it may come to.
    pub limit: u32,
    /// The least time to wait, whatever the factor.
    pub minimum: Duration,
    /// The most time to wait; counts if it is below `minimum`.
    pub maximum: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { limit: 32, minimum: Duration::from_secs(5), maximum: Duration::from_secs(30) }
    }
}

/// How quickly a throttle reacts to round trips; see ENet's `packet_throttle` settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// The time over which the best round trip is taken, in whole milliseconds.
    pub interval: Duration,
    /// How many parts of 32 a good round trip opens the throttle by.
    pub acceleration: u32,
    /// How many parts of 32 a bad round trip closes it by, if packets got lost.
    pub deceleration: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        let ThrottleParameters { interval_ms, acceleration, deceleration } = Throttle::DEFAULT;
        Self { interval: Duration::from_millis(u64::from(interval_ms)), acceleration, deceleration }
    }
}

impl From<ThrottleConfig> for ThrottleParameters {
    fn from(config: ThrottleConfig) -> Self {
        Self {
            interval_ms: u32::try_from(config.interval.as_millis()).unwrap_or(u32::MAX),
            acceleration: config.acceleration,
            deceleration: config.deceleration,
        }
    }
}

const MEBIBYTE: usize = 1024 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            max_peers: 32,
            max_half_open: 256,
            max_half_open_per_host: 64,
            max_peers_per_host: usize::from(NO_PEER_ID),
            half_open_timeout: Duration::from_secs(10),
            refusal_when_full: Some(0),
            channel_limit: MAXIMUM_CHANNELS,
            incoming_bandwidth: 0,
            outgoing_bandwidth: 0,
            mtu: 1392,
            checksum: false,
            max_packet_size: 32 * MEBIBYTE,
            max_outgoing_reliable: 64 * MEBIBYTE,
            max_outgoing_unreliable: 4 * MEBIBYTE,
            max_incoming: 32 * MEBIBYTE,
            max_incoming_incomplete: 8 * MEBIBYTE,
            timeouts: Timeouts::default(),
            ping_interval: Duration::from_millis(500),
            throttle: ThrottleConfig::default(),
        }
    }
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    allowed: &'static str,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the setting {} must be {}", self.setting, self.allowed)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (1..=usize::from(NO_PEER_ID)).contains(&self.max_peers),
            self.max_half_open >= 1,
            self.max_half_open_per_host >= 1,
            self.max_peers_per_host >= 1,
            (1..=MAXIMUM_CHANNELS).contains(&self.channel_limit),
            (MINIMUM_MTU..=MAXIMUM_MTU).contains(&self.mtu),
            self.max_packet_size <= u32::MAX as usize,
            self.max_incoming >= 1,
            !self.ping_interval.is_zero(),
        ];
        let texts = [
            ("max_peers", "1 to 4095"),
            ("max_half_open", "1 or more"),
            ("max_half_open_per_host", "1 or more"),
            ("max_peers_per_host", "1 or more"),
            ("channel_limit", "1 to 255"),
            ("mtu", "576 to 4096"),
            ("max_packet_size", "below 4 GiB"),
            ("max_incoming", "1 or more"),
            ("ping_interval", "longer than nothing"),
        ];
        match rules.iter().zip(texts).find(|(kept, _)| !**kept) {
            Some((_, (setting, allowed))) => Err(ConfigError { setting, allowed }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_keep_their_own_rules() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn each_setting_out_of_range_is_named() {
        type Change = fn(&mut Config);
        let broken: [(&str, Change); 10] = [
            ("max_peers", |c| c.max_peers = 0),
            ("max_peers", |c| c.max_peers = 4096),
            ("max_half_open", |c| c.max_half_open = 0),
            ("max_half_open_per_host", |c| c.max_half_open_per_host = 0),
            ("max_peers_per_host", |c| c.max_peers_per_host = 0),
            ("channel_limit", |c| c.channel_limit = 0),
            ("mtu", |c| c.mtu = 575),
            ("mtu", |c| c.mtu = 4097),
            ("max_incoming", |c| c.max_incoming = 0),
            ("ping_interval", |c| c.ping_interval = Duration::ZERO),
        ];
        for (setting, change) in broken {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check().unwrap_err();
            assert!(error.to_string().contains(setting), "{error}");
        }
    }
}
