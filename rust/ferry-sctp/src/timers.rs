//! The one table of an association's timers.

use std::time::Instant;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timer {
    /// INIT or COOKIE-ECHO was not answered.
    Handshake,
    /// DATA (or a FORWARD-TSN) was not acknowledged: the RFC's T3.
    Retransmission,
    /// Packets sent before an acknowledged one count as lost now.
    Loss,
    /// An acknowledgement has waited long enough.
    Acknowledgement,
    /// Nothing came for long.
    Heartbeat,
    /// A stream's reset was not answered.
    Reset,
    /// SHUTDOWN or SHUTDOWN-ACK was not answered: the RFC's T2.
    Shutdown,
}

const ALL: [Timer; 7] = [
    Timer::Handshake,
    Timer::Retransmission,
    Timer::Loss,
    Timer::Acknowledgement,
    Timer::Heartbeat,
    Timer::Reset,
    Timer::Shutdown,
];

/// When each of them goes off.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Instant>; ALL.len()],
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = Some(at);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.at[timer as usize].is_some()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.at.iter().flatten().min().copied()
    }

    /// Takes one that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let timer = ALL.into_iter().find(|&timer| self.at[timer as usize].is_some_and(|at| at <= now))?;
        self.stop(timer);
        Some(timer)
    }
}
