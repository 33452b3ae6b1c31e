//! One connection of an endpoint, as both sides of the seam know it.
//!
//! A link has a name that is never used again, and a little memory that both threads share: how much of its outgoing queue
//! is taken, and its latest figures. What else the game's thread sees of it, such as its phase, changes only when the
//! game fetches events, so that it is the same during a whole frame.

use std::net::SocketAddr;
use std::sync::Mutex;

use ferry_enet::{Mode, PeerStats, ThrottleConfig};

use crate::lock::lock;
use crate::room::Room;
use crate::stats::LinkStats;

/// The scale of ENet's packet loss.
const LOSS_SCALE: f64 = 65536.0;

/// What ENet takes a round trip for before one was measured.
const UNKNOWN_ROUND_TRIP_MS: u32 = 500;

/// The scale of ENet's throttle.
const THROTTLE_SCALE: u32 = 32;

/// So much fits into every datagram, beside its headers.
const SURELY_FITS: usize = 500;

/// Whether a packet takes room in the queue of those that must arrive. Those that are reliable only if they are large may
/// be, from the smallest datagram on.
pub(super) fn takes_room(mode: Mode, payload: usize) -> bool {
    match mode {
        Mode::Reliable => true,
        Mode::UnreliableUnlessLarge | Mode::UnsequencedUnlessLarge => payload > SURELY_FITS,
        Mode::Unreliable | Mode::Unsequenced => false,
    }
}

/// Where a link stands, as the game's side knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being made.
    Connecting,
    /// It stands.
    Connected,
    /// It stands until everything that is queued has arrived.
    DisconnectLater,
    /// Its end is on the way.
    Disconnecting,
}

/// How to end a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Drop what is queued, tell the other end, and wait until it knows.
    Disconnect,
    /// The same, once all that is queued has arrived.
    Later,
    /// Drop what is queued, tell the other end once, forget it.
    Now,
    /// Forget it.
    Reset,
}

/// What both threads know of a link.
#[derive(Debug, Default)]
pub(crate) struct LinkShared {
    /// What of the outgoing queue is taken.
    pub(super) room: Room,
    figures: Mutex<Figures>,
}

/// The figures that the driver has put down last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// ENet's own.
    pub(crate) enet: PeerStats,
    /// Where the other end is.
    pub(crate) address: Option<SocketAddr>,
}

impl LinkShared {
    /// Before anything was measured, with the figures that ENet begins with.
    pub(super) fn new(address: Option<SocketAddr>) -> Self {
        let mut enet = PeerStats {
            round_trip_time_ms: UNKNOWN_ROUND_TRIP_MS,
            last_round_trip_time_ms: UNKNOWN_ROUND_TRIP_MS,
            packet_throttle: THROTTLE_SCALE,
            packet_throttle_limit: THROTTLE_SCALE,
            ..PeerStats::default()
        };
        put_throttle(&mut enet, ThrottleConfig::default());
        Self { figures: Mutex::new(Figures { enet, address }), ..Self::default() }
    }

    /// What the game has just set is what it sees, before the driver tells.
    pub(super) fn show_throttle(&self, throttle: ThrottleConfig) {
        put_throttle(&mut lock(&self.figures).enet, throttle);
    }

    pub(super) fn publish(&self, enet: PeerStats, address: Option<SocketAddr>) {
        *lock(&self.figures) = Figures { enet, address };
    }

    pub(super) fn figures(&self) -> Figures {
        lock(&self.figures).clone()
    }

    /// In the words that all transports share.
    pub(super) fn stats(&self) -> LinkStats {
        let Figures { enet, address } = self.figures();
        LinkStats {
            rtt: enet.rtt,
            jitter: enet.jitter,
            loss: f64::from(enet.packet_loss) / LOSS_SCALE,
            bytes_sent: enet.bytes_sent,
            bytes_received: enet.bytes_received,
            packets_sent: enet.packets_sent,
            packets_received: enet.packets_received,
            packets_dropped: enet.throttled_packets + enet.outgoing_overflows + enet.incoming_overflows,
            queued_bytes: self.room.taken().max(enet.queued_bytes) as u64,
            address,
        }
    }
}

fn put_throttle(stats: &mut PeerStats, throttle: ThrottleConfig) {
    stats.packet_throttle_interval_ms = u32::try_from(throttle.interval.as_millis()).unwrap_or(u32::MAX);
    stats.packet_throttle_acceleration = throttle.acceleration;
    stats.packet_throttle_deceleration = throttle.deceleration;
}
