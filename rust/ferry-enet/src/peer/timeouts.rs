//! What the passing of time does to a connection.
//!
//! Four things can be due: a command to be sent again, a ping, the end of patience, and the end of a slot that only
//! lingers. [`Peer::next_deadline`] says when the first of them is; [`Peer::handle_timeout`] does whatever is due, and is
//! harmless when called too early.
//!
//! A command is sent again after the usual answering time, then after twice that, and so on, but never more than two
//! seconds later. The other end counts as dead when it gave *no sign of life at all* for as long as `limit` doublings
//! would have taken, within `minimum` and `maximum`. What it acknowledges is a sign of life, and as long as the game
//! wants the connection, so is what it wants acknowledged: its pings come even when it has no room for our packets. (If
//! only its datagrams arrive and not ours, it will give us up, and fall silent.)
//!
//! The C library asks of each command by itself: on a line that loses a third, it gives up a peer that answers all the
//! time, because one command was lost six times in a row; and it notices only when a doubled time is over.

use super::{Peer, QueuedReliable, Stage, State};
use crate::channel::outgoing::Reliable;
use crate::event::DisconnectReason;
use crate::event_queue::EventQueue;
use crate::time::{Timestamp, duration_micros};

/// However often a command was lost, it is sent again this soon, unless a round trip takes longer.
const LONGEST_PATIENCE_US: u32 = 2_000_000;

/// A host's pings to its guests leave at so many common moments of an interval.
const PING_MOMENTS: u64 = 16;

/// After so many eighths of the interval a ping goes with a datagram that leaves anyway.
const RIDES_WITH_ANSWERS: u64 = 4;
const RIDES_WITH_PACKETS: u64 = 7;

impl Peer {
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Gone => None,
            State::Draining { until } => Some(until),
            State::AcknowledgingConnect { deadline, .. } => earliest(Some(deadline), self.retransmit_at),
            _ => earliest(earliest(self.retransmit_at, self.patience_ends()), self.ping_due()),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp, events: &mut EventQueue) {
        match self.state {
            State::Gone => return,
            State::Draining { until } => {
                if now >= until {
                    self.reset();
                }
                return;
            }
            State::AcknowledgingConnect { deadline, .. } if now >= deadline => {
                self.reset();
                return;
            }
            _ => {}
        }
        if self.retransmit_at.is_some_and(|at| now >= at) {
            self.queue_overdue(now);
        }
        if self.patience_ends().is_some_and(|at| now >= at) {
            self.give_up(events);
        } else if self.ping_due().is_some_and(|at| now >= at) {
            self.last_pinged = now;
            self.ping();
        }
    }

    /// When the longest silence that is borne will be over, if there is a silence.
    fn patience_ends(&self) -> Option<Timestamp> {
        let doublings = u64::from(self.timeouts.limit).saturating_mul(2).saturating_sub(1);
        let silence_us = u64::from(self.rtt.retransmit_after_us()).saturating_mul(doublings);
        let least_us = duration_micros(self.timeouts.minimum);
        let most_us = duration_micros(self.timeouts.maximum);
        Some(self.silent_since?.after_micros(silence_us.max(least_us).min(most_us)))
    }

    /// Even while answers are awaited: the more is asked on a bad line, the sooner something is answered.
    ///
    /// A host pings its guests many at once, at common moments, and is woken once by their answers. So that these carry the
    /// guests' own pings, a guest waits a little longer with those.
    fn ping_due(&self) -> Option<Timestamp> {
        let since = self.last_contact();
        let due = if self.initiator {
            since.after_micros(self.ping_interval_us.saturating_add(self.ping_interval_us / 8))
        } else {
            let due_us = since.after_micros(self.ping_interval_us).as_micros();
            let moment_us = (self.ping_interval_us / PING_MOMENTS).max(1);
            Timestamp::from_micros(due_us.checked_next_multiple_of(moment_us).unwrap_or(due_us))
        };
        self.may_ping().then_some(due)
    }

    /// A datagram leaves anyway: takes the ping along that would need one of its own before long. Sooner if it is a mere
    /// answer: then the other end's ping and ours go together from now on.
    pub(super) fn let_ping_ride(&mut self, now: Timestamp, mere_answer: bool) {
        let share = if mere_answer { RIDES_WITH_ANSWERS } else { RIDES_WITH_PACKETS };
        if self.may_ping() && now.micros_since(self.last_contact()) >= self.ping_interval_us / 8 * share {
            self.last_pinged = now;
            self.ping();
        }
    }

    pub(super) fn may_ping(&self) -> bool {
        self.state == State::Connected && !self.control_congested()
    }

    /// When the other end was asked last, or answered.
    fn last_contact(&self) -> Timestamp {
        self.last_acknowledged.max(self.last_pinged)
    }

    fn give_up(&mut self, events: &mut EventQueue) {
        if self.stage() == Stage::HalfOpen {
            self.reset();
        } else {
            // Whoever was sent away for what he did, and never says that he knows, was sent away all the same.
            let reason = match self.state {
                State::Disconnecting { reason: DisconnectReason::PacketTooLong } => {
                    DisconnectReason::PacketTooLong
                }
                _ => DisconnectReason::TimedOut,
            };
            self.end(reason, State::Gone, events);
        }
    }

    /// Queues every command whose answer is overdue to be sent again.
    fn queue_overdue(&mut self, now: Timestamp) {
        let longest_patience_us = LONGEST_PATIENCE_US.max(self.rtt.retransmit_after_us());
        let mut round = Round { now, longest_patience_us, next: None, oldest: None, overdue: 0, payload: 0 };
        for (index, command) in self.control.awaited() {
            if round.is_overdue(command) {
                self.control_queue.push_back(index);
            }
        }
        for (channel, outgoing) in self.channels.outgoing_mut() {
            for (index, command) in outgoing.line.awaited() {
                if round.is_overdue(command) {
                    self.retransmit_queue.push_back(QueuedReliable { index, order: 0, channel });
                }
            }
        }
        self.retransmit_at = round.next;
        self.bytes_in_flight -= round.payload;
        self.window_closed = false;
        self.counters.retransmissions += u64::from(round.overdue);
        self.loss.on_lost(round.overdue);
        if let Some(oldest) = round.oldest {
            self.silent_since.get_or_insert(oldest.max(self.last_sign_of_life));
        }
    }
}

/// One look at everything that awaits an answer.
struct Round {
    now: Timestamp,
    longest_patience_us: u32,
    /// When the next answer is due.
    next: Option<Timestamp>,
    /// When the oldest overdue command was sent.
    oldest: Option<Timestamp>,
    overdue: u32,
    payload: usize,
}

impl Round {
    fn is_overdue(&mut self, command: &mut Reliable) -> bool {
        let due = command.sent_at.after_micros(u64::from(command.patience_us));
        if self.now < due {
            self.next = earliest(self.next, Some(due));
            return false;
        }
        self.oldest = earliest(self.oldest, Some(command.sent_at));
        self.overdue += 1;
        self.payload += command.body.payload_len();
        command.queued = true;
        command.patience_us = command.patience_us.saturating_mul(2).min(self.longest_patience_us);
        true
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
