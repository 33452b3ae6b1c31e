//! The association: one end of it, as a machine that is told the time and what came, and asked what is to leave.
//!
//! The parts are elsewhere: what comes in is `incoming`, what goes out `outgoing`, closing of streams `reset`. Here they
//! are put together: `input` takes packets apart, `transmit` fills them, `handshake` and `shutdown` are the beginning and
//! the end.
//!
//! A stranger cannot speak to it: packets come out of DTLS. A player can, with a program of his own: nothing he sends
//! panics, grows without bound or is answered with more than was asked.

mod handshake;
mod input;
mod shutdown;
mod transmit;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::handshake::Offer;
use crate::config::Config;
use crate::event::{CloseReason, Event, Message, Reliability};
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::random::Random;
use crate::reset::Resets;
use crate::statistics::Statistics;
use crate::timers::{Timer, Timers};

/// Where the association is: the RFC's states (4).
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has asked for anything.
    Idle,
    /// INIT was sent.
    CookieWait,
    /// COOKIE-ECHO was sent, with this cookie.
    CookieEchoed(Bytes),
    Established,
    /// This end shuts down when all it sent has come.
    ShutdownPending,
    /// SHUTDOWN was sent.
    ShutdownSent,
    /// SHUTDOWN came; what was sent is still to come.
    ShutdownReceived,
    /// SHUTDOWN-ACK was sent.
    ShutdownAckSent,
    Closed,
}

/// Chunks that wait to leave, beside data and acknowledgements: one of each at most.
#[derive(Debug, Default)]
struct Pending {
    init: bool,
    init_ack: bool,
    cookie_echo: bool,
    cookie_ack: bool,
    shutdown: bool,
    shutdown_ack: bool,
    shutdown_complete: bool,
    abort: Option<Abort>,
    heartbeat: bool,
    heartbeat_ack: Option<Bytes>,
    /// The cause of an ERROR.
    error: Option<(u16, Bytes)>,
}

#[derive(Debug)]
struct Abort {
    cause: u16,
    text: String,
}

/// One end of an association.
#[derive(Debug)]
pub struct Association {
    config: Config,
    state: State,
    random: Random,
    timers: Timers,
    statistics: Statistics,
    local_tag: u32,
    local_tsn: u32,
    remote_tag: u32,
    outgoing: Outgoing,
    /// There once the other end's first number is known.
    incoming: Option<Incoming>,
    resets: Option<Resets>,
    /// What the other end's INIT was answered with.
    offer: Option<Offer>,
    pending: Pending,
    /// When the handshake's last question left, if it left once.
    asked_at: Option<Instant>,
    /// Attempts of the handshake or of the shutdown.
    attempts: u32,
    heartbeat: Option<(u64, Instant)>,
    unanswered_heartbeats: u32,
    receiving: bool,
    established: bool,
    events: VecDeque<Event>,
    /// Why it is over, until that was told.
    closed: Option<CloseReason>,
}

impl Association {
    /// An association that nobody has asked for yet: it answers if the other end does.
    pub fn new(config: Config, _now: Instant) -> Self {
        let config = config.sane();
        let mut random = Random::new(config.seed ^ u64::from(config.role_client));
        // Zero is nobody's tag.
        let local_tag = (random.next() as u32).max(1);
        let local_tsn = random.next() as u32;
        Self {
            outgoing: Outgoing::new(&config, local_tsn),
            config,
            state: State::Idle,
            random,
            timers: Timers::default(),
            statistics: Statistics::default(),
            local_tag,
            local_tsn,
            remote_tag: 0,
            incoming: None,
            resets: None,
            offer: None,
            pending: Pending::default(),
            asked_at: None,
            attempts: 0,
            heartbeat: None,
            unanswered_heartbeats: 0,
            receiving: true,
            established: false,
            events: VecDeque::new(),
            closed: None,
        }
    }

    /// Queues a message. Before the association stands it waits; after the end it is dropped, and counted. An empty one
    /// cannot travel: RFC 8831 has identifiers that say so of a message of one byte.
    pub fn send(&mut self, now: Instant, message: Message, reliability: Reliability) {
        let open = matches!(
            self.state,
            State::Idle | State::CookieWait | State::CookieEchoed(_) | State::Established
        );
        if open && self.outgoing.send(now, message, reliability) {
            self.statistics.messages_sent += 1;
        } else {
            self.statistics.messages_refused += 1;
        }
    }

    /// Bytes of a stream that were handed over and are neither acknowledged nor given up.
    pub fn queued_bytes(&self, stream: u16) -> usize {
        self.outgoing.queued(stream)
    }

    /// Bytes of a stream that were handed over and never sent: a data channel's buffered amount.
    pub fn unsent_bytes(&self, stream: u16) -> usize {
        self.outgoing.unsent(stream)
    }

    /// Bytes of all streams that were handed over and are neither acknowledged nor given up.
    pub fn outstanding_bytes(&self) -> usize {
        self.outgoing.outstanding()
    }

    /// What happened next. Ask until there is nothing, whenever a packet came, time went by or something was called;
    /// then ask for packets, since reading makes room that the other end is told of.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if let Some(incoming) = self.incoming.as_mut().filter(|_| self.established) {
            if let Some(event) = incoming.next(self.receiving) {
                return Some(event);
            }
            if !incoming.is_read() {
                return None;
            }
        }
        self.closed.take().map(Event::Closed)
    }

    /// While this is off, messages stay inside: the other end is told of less and less room, and stops. The end of the
    /// association waits behind them, too.
    pub fn set_receiving(&mut self, receiving: bool) {
        self.receiving = receiving;
    }

    /// Closes this end's side of a stream, when all that was handed over has left. [`Event::StreamClosed`] tells when the
    /// other end knows; until then nothing more is taken for it.
    pub fn reset_stream(&mut self, _now: Instant, stream: u16) {
        if self.state != State::Closed {
            self.outgoing.close_stream(stream);
        }
    }

    /// The smoothed round-trip time.
    pub fn rtt(&self) -> Option<Duration> {
        self.outgoing.rtt().smoothed()
    }

    /// How much round trips scatter: their mean deviation.
    pub fn rtt_variation(&self) -> Option<Duration> {
        self.outgoing.rtt().variation()
    }

    /// The congestion window, and what of it is used, in bytes.
    pub fn congestion_window(&self) -> (usize, usize) {
        (self.outgoing.window(), self.outgoing.in_flight())
    }

    /// What was counted.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Whether both ends have agreed, and neither has ended it.
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Whether it is over, told or not.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Time went by.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Handshake => self.handshake_timed_out(now),
                Timer::Retransmission => {
                    self.statistics.timeouts += 1;
                    if self.outgoing.timed_out(now, &mut self.timers) > self.config.max_retransmissions {
                        self.close(CloseReason::TimedOut);
                    }
                }
                Timer::Loss => self.outgoing.find_lost(now, &mut self.timers),
                Timer::Acknowledgement => {
                    if let Some(incoming) = &mut self.incoming {
                        incoming.want_now();
                    }
                }
                Timer::Heartbeat => self.heartbeat_due(now),
                Timer::Reset => self.reset_timed_out(now),
                Timer::Shutdown => self.shutdown_timed_out(now),
            }
        }
    }

    fn heartbeat_due(&mut self, now: Instant) {
        self.unanswered_heartbeats += 1;
        if self.unanswered_heartbeats > self.config.max_retransmissions {
            self.close(CloseReason::TimedOut);
            return;
        }
        self.pending.heartbeat = true;
        self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
    }

    fn reset_timed_out(&mut self, now: Instant) {
        let Some(resets) = self.resets.as_mut().filter(|resets| resets.is_asking()) else { return };
        resets.ask_again();
        if resets.attempts > self.config.max_retransmissions {
            self.close(CloseReason::TimedOut);
            return;
        }
        self.timers.set(Timer::Reset, now + self.outgoing.rtt().timeout(resets.attempts.max(1)));
    }

    /// Breaks off. What is queued is lost; the other end is told `cause`, cut to a sentence.
    pub fn abort(&mut self, _now: Instant, cause: &str) {
        self.break_off(CloseReason::LocalAbort, crate::wire::cause::USER_INITIATED, cause);
    }

    fn break_off(&mut self, reason: CloseReason, cause: u16, text: &str) {
        if self.state == State::Closed {
            return;
        }
        let known = self.remote_tag != 0;
        self.close(reason);
        if known {
            self.pending.abort = Some(Abort { cause, text: text.chars().take(CAUSE_LENGTH).collect() });
        }
    }

    /// It is over; nothing is sent but what is put into `pending` after this.
    fn close(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.closed = Some(reason);
        self.timers.stop_all();
        self.outgoing.clear();
        self.pending = Pending::default();
        self.resets = None;
    }
}

/// Letters of a cause that travel. Four bytes each at most, they fit into the smallest packet.
const CAUSE_LENGTH: usize = 100;
