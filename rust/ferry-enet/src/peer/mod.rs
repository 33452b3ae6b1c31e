//! One connection: its state, and what both directions share.
//!
//! A [`Peer`] knows neither addresses nor other peers. The host hands it commands off the wire
//! (`receive.rs`), the game's packets (`send.rs`), and the time (`timeouts.rs`), and lets it fill datagrams
//! (`transmit.rs`). Whatever happened, the host then *settles* it: looks at its state, at [`Peer::wants_transmit`] and
//! at [`Peer::next_deadline`], and acts on them. So a peer never calls out, but for events, which it puts into the
//! queue it is lent.
//!
//! ```text
//! we call:    Connecting ──VERIFY──▶ Connected ─┬─ disconnect ──▶ Disconnecting ── acknowledged ─▶ Gone
//! they call:  AcknowledgingConnect ──ack──▶ ─┘  ├─ DISCONNECT ──▶ Draining ── a while later ─────▶ Gone
//!                                               ├─ disconnect_later ─▶ DisconnectLater ─▶ Disconnecting
//!                                               └─ silence ──────────────────────────────────────▶ Gone
//! ```

mod acknowledge;
pub(crate) mod budget;
mod handshake;
mod receive;
mod send;
mod timeouts;
mod transmit;
mod unreliable;

use std::collections::VecDeque;
use std::time::Duration;

use crate::channel::Channels;
use crate::channel::outgoing::{Index, ReliableBody, ReliableLine};
use crate::channel::unsequenced::UnsequencedWindow;
use crate::config::{Config, Timeouts};
use crate::event::{DisconnectReason, Event, PeerId};
use crate::event_queue::EventQueue;
use crate::loss::LossMeter;
use crate::rtt::RttEstimator;
use crate::stats::PeerStats;
use crate::throttle::Throttle;
use crate::time::{Timestamp, duration_micros};
use crate::wire::{MAXIMUM_WINDOW_SIZE, MINIMUM_WINDOW_SIZE, NO_PEER_ID, NO_SESSION, ThrottleParameters};

use budget::Budget;
pub(crate) use handshake::acceptable as handshake_acceptable;
pub(crate) use receive::Surroundings;
pub(crate) use send::{Limits, Packet};
pub(crate) use transmit::Filled;
use unreliable::UnreliableQueue;

/// Shorter intervals count as this.
const SHORTEST_PING_INTERVAL_US: u64 = 1000;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Our CONNECT is on its way.
    Connecting,
    /// Their CONNECT has arrived, our VERIFY_CONNECT is on its way. Given up at `deadline`.
    AcknowledgingConnect {
        data: u32,
        deadline: Timestamp,
    },
    Connected,
    /// Connected, until all that is queued has arrived.
    DisconnectLater {
        data: u32,
    },
    /// Our DISCONNECT is on its way, for this reason.
    Disconnecting {
        reason: DisconnectReason,
    },
    /// Over for the game. Stays a while to acknowledge a DISCONNECT that comes again because our first
    /// acknowledgement got lost: the other end would wait in vain otherwise.
    Draining {
        until: Timestamp,
    },
    /// The slot can be used again.
    Gone,
}

/// What the host counts connections by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    HalfOpen,
    /// A peer in the sense of the host's limit.
    Counted,
    Draining,
    Gone,
}

/// The two-bit numbers that tell the uses of a slot apart. They outlive the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// What the other end must put into its headers.
    pub(crate) incoming: u8,
    /// What we put into ours.
    pub(crate) outgoing: u8,
}

impl Sessions {
    pub(crate) const UNUSED: Self = Self { incoming: NO_SESSION, outgoing: NO_SESSION };
}

/// An acknowledgement that we owe.
#[derive(Clone, Copy)]
struct Acknowledgement {
    channel: u8,
    seq: u16,
    sent_time: u16,
}

pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) state: State,
    /// The other end's number for us.
    pub(crate) remote_id: u16,
    pub(crate) sessions: Sessions,
    pub(crate) connect_id: u32,
    pub(crate) channels: Channels,
    pub(crate) mtu: u16,
    pub(crate) window_size: u32,
    /// The other end's limits, bytes a second, 0 for none.
    pub(crate) incoming_bandwidth: u32,
    pub(crate) outgoing_bandwidth: u32,
    /// The limits of ours that the other end was last told.
    pub(crate) announced_bandwidth: (u32, u32),
    /// Bytes queued since the bandwidth was last shared out.
    pub(crate) outgoing_data_total: u64,
    pub(crate) throttle: Throttle,
    pub(crate) timeouts: Timeouts,
    pub(crate) ping_interval_us: u64,
    /// This end asked for the connection.
    initiator: bool,
    /// A word to send along without a reply when the host removes this peer.
    pub(crate) goodbye: Option<u32>,
    pub(crate) budget: Budget,

    acknowledgements: VecDeque<Acknowledgement>,
    control: ReliableLine,
    control_queue: VecDeque<Index>,
    retransmit_queue: VecDeque<QueuedReliable>,
    reliable_queue: VecDeque<QueuedReliable>,
    unreliable: UnreliableQueue,
    /// Counts packets as they are queued, to send them in that order whatever their kind.
    queue_order: u32,
    /// Reliable commands that were queued and not acknowledged.
    unacknowledged: usize,
    /// Their packet bytes and overhead.
    pub(crate) reliable_bytes: usize,
    /// Packet bytes of those that are under way.
    bytes_in_flight: usize,
    /// The earliest time at which one of those may have to be sent again.
    retransmit_at: Option<Timestamp>,
    /// The window had no room for the next reliable command when datagrams were last filled.
    window_closed: bool,
    /// When the oldest command was sent that went without an answer since the last sign of life.
    silent_since: Option<Timestamp>,
    last_sign_of_life: Timestamp,
    last_acknowledged: Timestamp,
    last_pinged: Timestamp,

    unsequenced_group: u16,
    unsequenced_seen: UnsequencedWindow,
    rtt: RttEstimator,
    loss: LossMeter,
    counters: PeerStats,
}

/// A reliable command of a channel, in a queue.
#[derive(Clone, Copy)]
struct QueuedReliable {
    index: Index,
    order: u32,
    channel: u8,
}

impl Peer {
    fn new(
        id: PeerId,
        state: State,
        sessions: Sessions,
        connect_id: u32,
        channel_count: u8,
        config: &Config,
    ) -> Self {
        Self {
            id,
            state,
            remote_id: NO_PEER_ID,
            sessions,
            connect_id,
            channels: Channels::new(channel_count),
            mtu: config.mtu,
            window_size: MAXIMUM_WINDOW_SIZE,
            incoming_bandwidth: 0,
            outgoing_bandwidth: 0,
            announced_bandwidth: (config.incoming_bandwidth, config.outgoing_bandwidth),
            outgoing_data_total: 0,
            throttle: Throttle::new(config.throttle.into()),
            timeouts: config.timeouts,
            ping_interval_us: ping_interval_us(config.ping_interval),
            initiator: false,
            goodbye: None,
            budget: Budget::new(config.max_incoming, config.max_incoming_incomplete, config.max_packet_size),
            acknowledgements: VecDeque::new(),
            control: ReliableLine::default(),
            control_queue: VecDeque::new(),
            retransmit_queue: VecDeque::new(),
            reliable_queue: VecDeque::new(),
            unreliable: UnreliableQueue::default(),
            queue_order: 0,
            unacknowledged: 0,
            reliable_bytes: 0,
            bytes_in_flight: 0,
            retransmit_at: None,
            window_closed: false,
            silent_since: None,
            last_sign_of_life: Timestamp::default(),
            last_acknowledged: Timestamp::default(),
            last_pinged: Timestamp::default(),
            unsequenced_group: 0,
            unsequenced_seen: UnsequencedWindow::new(),
            rtt: RttEstimator::new(),
            loss: LossMeter::default(),
            counters: PeerStats::default(),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.state {
            State::AcknowledgingConnect { .. } => Stage::HalfOpen,
            State::Connecting
            | State::Connected
            | State::DisconnectLater { .. }
            | State::Disconnecting { .. } => Stage::Counted,
            State::Draining { .. } => Stage::Draining,
            State::Gone => Stage::Gone,
        }
    }

    /// Whether packets travel.
    pub(crate) fn established(&self) -> bool {
        matches!(self.state, State::Connected | State::DisconnectLater { .. })
    }

    /// The other end is there.
    fn sign_of_life(&mut self, now: Timestamp) {
        self.silent_since = None;
        self.last_sign_of_life = now;
    }

    /// Whether the game knows this connection by its name.
    pub(crate) fn visible(&self) -> bool {
        self.stage() == Stage::Counted
    }

    /// Whether [`Peer::fill`] has something to say.
    pub(crate) fn wants_transmit(&self) -> bool {
        let reliable = !self.retransmit_queue.is_empty() || !self.reliable_queue.is_empty();
        !self.acknowledgements.is_empty()
            || !self.control_queue.is_empty()
            || !self.unreliable.is_empty()
            || reliable && !self.window_closed
    }

    /// Nothing waits to be sent or acknowledged.
    fn nothing_outgoing(&self) -> bool {
        self.unacknowledged == 0 && self.unreliable.is_empty()
    }

    /// Drops all that is on its way, either way.
    fn clear_queues(&mut self) {
        self.acknowledgements.clear();
        self.control.clear();
        self.control_queue.clear();
        self.retransmit_queue.clear();
        self.reliable_queue.clear();
        self.unreliable.clear();
        self.channels = Channels::new(0);
        self.budget.release(self.budget.held());
        self.unacknowledged = 0;
        self.reliable_bytes = 0;
        self.bytes_in_flight = 0;
        self.retransmit_at = None;
        self.window_closed = false;
        self.silent_since = None;
    }

    /// Ends the connection, for the reason given, without a word to the other end.
    fn end(&mut self, reason: DisconnectReason, state: State, events: &mut EventQueue) {
        debug_assert!(matches!(state, State::Draining { .. } | State::Gone));
        self.clear_queues();
        self.state = state;
        events.push(Event::Disconnected { peer: self.id, reason });
    }

    pub(crate) fn stats(&self) -> PeerStats {
        let precise = self.rtt.precise();
        let duration = Duration::from_micros;
        PeerStats {
            round_trip_time_ms: self.rtt.mean_ms,
            round_trip_time_variance_ms: self.rtt.variance_ms,
            last_round_trip_time_ms: self.rtt.last_mean_ms,
            last_round_trip_time_variance_ms: self.rtt.last_variance_ms,
            rtt: precise.map(|precise| duration(precise.mean_us)),
            jitter: precise.map(|precise| duration(precise.variation_us)),
            least_rtt: precise.map(|precise| duration(precise.least_us)),
            packet_loss: self.loss.mean,
            packet_loss_variance: self.loss.variance,
            packet_loss_epoch_us: self.loss.interval_started.map(Timestamp::as_micros),
            packet_throttle: self.throttle.value,
            packet_throttle_limit: self.throttle.limit,
            packet_throttle_counter: self.throttle.counter,
            packet_throttle_epoch_us: self.rtt.interval_started().map(Timestamp::as_micros),
            packet_throttle_acceleration: self.throttle.parameters.acceleration,
            packet_throttle_deceleration: self.throttle.parameters.deceleration,
            packet_throttle_interval_ms: self.throttle.parameters.interval_ms,
            queued_bytes: self.reliable_bytes + self.unreliable.bytes(),
            bytes_in_flight: self.bytes_in_flight,
            undelivered_bytes: self.budget.undelivered(),
            incomplete_bytes: self.budget.held(),
            mtu: self.mtu,
            window_size: self.window_size,
            ..self.counters.clone()
        }
    }

    pub(crate) fn count_received(&mut self, bytes: usize) {
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += bytes as u64;
    }

    pub(crate) fn count_sent(&mut self, now: Timestamp, bytes: usize) {
        self.counters.datagrams_sent += 1;
        self.counters.bytes_sent += bytes as u64;
        self.loss.on_datagram(now);
    }

    /// Sets how the throttle reacts, here and at the other end.
    pub(crate) fn configure_throttle(&mut self, parameters: ThrottleParameters) {
        self.throttle.parameters = parameters;
        if self.established() && !self.control_congested() {
            self.queue_control(ReliableBody::ThrottleConfigure(parameters));
        }
    }
}

/// A ping interval that leaves time for answers.
pub(crate) fn ping_interval_us(interval: Duration) -> u64 {
    duration_micros(interval).max(SHORTEST_PING_INTERVAL_US)
}

/// How many bytes of reliable data may be under way between an end that sends and one that takes so much a second.
pub(crate) fn window_for_bandwidth(outgoing: u32, incoming: u32) -> u32 {
    let bandwidth = match (outgoing, incoming) {
        (0, 0) => return MAXIMUM_WINDOW_SIZE,
        (0, limit) | (limit, 0) => limit,
        (outgoing, incoming) => outgoing.min(incoming),
    };
    // A sixteenth of a second's worth, in whole steps of the smallest window.
    (bandwidth / MAXIMUM_WINDOW_SIZE)
        .saturating_mul(MINIMUM_WINDOW_SIZE)
        .clamp(MINIMUM_WINDOW_SIZE, MAXIMUM_WINDOW_SIZE)
}
