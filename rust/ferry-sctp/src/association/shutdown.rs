//! The end: SHUTDOWN, SHUTDOWN-ACK, SHUTDOWN-COMPLETE (RFC 9260, 9.2).
//!
//! Whoever wants to end it sends what is queued first, and waits until it is acknowledged. So does the other end before it
//! agrees. Browsers end by closing DTLS instead; libdatachannel does it this way.

use std::time::Instant;

use super::{Association, State};
use crate::event::CloseReason;
use crate::timers::Timer;
use crate::wire::u32_at;

impl Association {
    /// Ends it when all that was handed over has come. Nothing more is taken to be sent. Before it stands, it is over at
    /// once.
    pub fn shutdown(&mut self, now: Instant) {
        match self.state {
            State::Idle | State::CookieWait | State::CookieEchoed(_) => self.close(CloseReason::Shutdown),
            State::Established => {
                self.state = State::ShutdownPending;
                self.go_on_with_shutdown(now);
            }
            _ => {}
        }
    }

    /// The next step, if nothing is under way any more.
    pub(super) fn go_on_with_shutdown(&mut self, now: Instant) {
        let next = match self.state {
            State::ShutdownPending => State::ShutdownSent,
            State::ShutdownReceived => State::ShutdownAckSent,
            _ => return,
        };
        if !self.outgoing.is_quiet() {
            return;
        }
        self.pending.shutdown = next == State::ShutdownSent;
        self.pending.shutdown_ack = next == State::ShutdownAckSent;
        self.state = next;
        self.attempts = 0;
        self.timers.set(Timer::Shutdown, now + self.outgoing.rtt().timeout(1));
    }

    pub(super) fn shutdown_timed_out(&mut self, now: Instant) {
        self.attempts += 1;
        if self.attempts > self.config.max_retransmissions {
            self.close(CloseReason::TimedOut);
            return;
        }
        match self.state {
            State::ShutdownSent => self.pending.shutdown = true,
            State::ShutdownAckSent => self.pending.shutdown_ack = true,
            _ => return,
        }
        self.timers.set(Timer::Shutdown, now + self.outgoing.rtt().timeout(self.attempts + 1));
    }

    pub(super) fn shutdown_came(&mut self, now: Instant, value: &[u8]) {
        if value.len() < 4 {
            return;
        }
        self.outgoing.acknowledged_up_to(now, u32_at(value, 0), &mut self.timers);
        match self.state {
            State::Established | State::ShutdownPending => self.state = State::ShutdownReceived,
            // Both at once: each agrees to the other's.
            State::ShutdownSent => {
                self.state = State::ShutdownReceived;
                self.pending.shutdown = false;
            }
            State::ShutdownAckSent => self.pending.shutdown_ack = true,
            _ => return,
        }
        self.go_on_with_shutdown(now);
    }

    pub(super) fn shutdown_ack_came(&mut self) {
        match self.state {
            State::ShutdownSent | State::ShutdownAckSent => {
                self.close(CloseReason::Shutdown);
                self.pending.shutdown_complete = true;
            }
            // It was lost.
            State::Closed if self.remote_tag != 0 => self.pending.shutdown_complete = true,
            _ => {}
        }
    }

    pub(super) fn shutdown_complete_came(&mut self) {
        if self.state == State::ShutdownAckSent {
            self.close(CloseReason::Shutdown);
        }
    }
}
