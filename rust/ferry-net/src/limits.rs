//! Limits that a game may change at any time, the same on every transport.

use std::time::Duration;

/// How long a closed endpoint may take to deliver what is queued, and to tell everybody.
pub(crate) const GOODBYE: Duration = Duration::from_millis(200);

/// How long closing may keep the game waiting for its port: a little longer than that.
pub(crate) const CLOSE_BOUND: Duration = Duration::from_millis(300);

/// Longer times mean the same to everybody: a month. Sums with them stay within what a clock can show.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(31 * 86_400);

/// Whoever gets to run this much later than he asked for was not run in between, and could hear nobody: the process was
/// stopped, the machine slept, or was too busy.
pub(crate) const OVERSLEPT: Duration = Duration::from_millis(500);

/// Times and sizes of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long to try to reach somebody.
    pub connect_timeout: Duration,
    /// How long a peer may be silent, at most, before it counts as gone.
    pub peer_timeout: Duration,
    /// Bytes of reliable packets that may wait to be sent to one peer. An empty queue takes any packet.
    pub outbound: usize,
    /// Bytes of packets that may wait for the game, of all peers together. Beyond, reliable ones wait at their
    /// senders.
    pub inbound: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            peer_timeout: Duration::from_secs(30),
            outbound: 64 * 1024 * 1024,
            inbound: 64 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// With times that can be reckoned with.
    pub(crate) fn bounded(self) -> Self {
        let Self { connect_timeout, peer_timeout, .. } = self;
        let (connect_timeout, peer_timeout) =
            (connect_timeout.min(LONGEST_TIME), peer_timeout.min(LONGEST_TIME));
        Self { connect_timeout, peer_timeout, ..self }
    }
}
