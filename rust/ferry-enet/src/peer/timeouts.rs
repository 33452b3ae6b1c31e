//! What the passing of time does to a connection.
//!
//! Four things can be due: a command to be sent again, a ping, the end of patience, and the end of a slot that only
//! lingers. [`Peer::next_deadline`] says when the first of them is; [`Peer::handle_timeout`] does whatever is due, and is
//! harmless when called too early.

use super::{Peer, QueuedReliable, Stage, State};
use crate::channel::outgoing::Reliable;
use crate::event::{DisconnectReason, EventQueue};
use crate::time::{Timestamp, duration_micros};

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
        let hopeless = self.retransmit_at.is_some_and(|at| now >= at) && self.queue_overdue(now);
        if hopeless || self.patience_ends().is_some_and(|at| now >= at) {
            self.give_up(events);
        } else if self.ping_due().is_some_and(|at| now >= at) {
            self.ping();
        }
    }

    /// When the longest silence that is borne will be over, if there is a silence.
    fn patience_ends(&self) -> Option<Timestamp> {
        Some(self.silent_since? + self.timeouts.maximum)
    }

    fn ping_due(&self) -> Option<Timestamp> {
        let idle = self.state == State::Connected && self.unacknowledged == 0;
        idle.then(|| self.last_acknowledged.after_micros(self.ping_interval_us))
    }

    fn give_up(&mut self, events: &mut EventQueue) {
        if self.stage() == Stage::HalfOpen {
            self.reset();
        } else {
            self.end(DisconnectReason::TimedOut, State::Gone, events);
        }
    }

    /// Queues every command whose answer is overdue to be sent again. True if the peer must be given up.
    fn queue_overdue(&mut self, now: Timestamp) -> bool {
        let mut round = Round { now, next: None, oldest: None, tries: 0, overdue: 0, payload: 0 };
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
        for _ in 0..round.overdue {
            self.loss.on_lost();
        }
        self.silent_since = earliest(self.silent_since, round.oldest);
        self.hopeless(now, round.tries)
    }

    /// Whether silence and the doubling together have come to their limits.
    fn hopeless(&self, now: Timestamp, tries: u32) -> bool {
        let Some(since) = self.silent_since else { return false };
        let factor = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let silence_us = now.micros_since(since);
        silence_us >= duration_micros(self.timeouts.maximum)
            || factor >= self.timeouts.limit && silence_us >= duration_micros(self.timeouts.minimum)
    }
}

/// One look at everything that awaits an answer.
struct Round {
    now: Timestamp,
    /// When the next answer is due.
    next: Option<Timestamp>,
    /// When the oldest overdue command was sent, and the most sendings of one.
    oldest: Option<Timestamp>,
    tries: u32,
    overdue: u32,
    payload: usize,
}

impl Round {
    fn is_overdue(&mut self, command: &mut Reliable) -> bool {
        let due = command.sent_at.after_micros(command.patience_us);
        if self.now < due {
            self.next = earliest(self.next, Some(due));
            return false;
        }
        self.oldest = earliest(self.oldest, Some(command.sent_at));
        self.tries = self.tries.max(command.attempts);
        self.overdue += 1;
        self.payload += command.body.payload_len();
        command.queued = true;
        command.patience_us = command.patience_us.saturating_mul(2);
        true
    }
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
