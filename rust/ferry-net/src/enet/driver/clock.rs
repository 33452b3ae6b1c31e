//! The protocol's time. It stands still while this process does: stopped, asleep with the machine, or kept from running.
//!
//! Nobody could be heard meanwhile, so nobody was silent. What came lies in the socket, but the runtime may not know of it yet
//! when the first time-out is due or the game rings, so that reading first would not be enough.

use std::time::Instant;

use ferry_enet::Timestamp;

use crate::limits::OVERSLEPT;

/// Some time before the endpoint's beginning: the protocol may look back.
const BEGINNING: Timestamp = Timestamp::from_micros(10_000_000);

/// A clock that its owner looks at in each turn, and tells when he means to look again.
pub(super) struct Clock {
    /// When it would have begun, had it never stood still.
    origin: Instant,
    /// By when it will be looked at again if everything goes well; `None` if there is no telling.
    expected: Option<Instant>,
}

impl Clock {
    /// Begins to count.
    pub(super) fn start() -> Self {
        Self::start_at(Instant::now())
    }

    fn start_at(now: Instant) -> Self {
        Self { origin: now, expected: None }
    }

    /// What time it is.
    pub(super) fn now(&mut self) -> Timestamp {
        self.look(Instant::now())
    }

    fn look(&mut self, now: Instant) -> Timestamp {
        let late = self.expected.map(|expected| now.saturating_duration_since(expected)).unwrap_or_default();
        if late > OVERSLEPT {
            tracing::debug!("stood still for {:.1} s", late.as_secs_f64());
            self.origin += late;
        }
        self.expected = Some(now);
        BEGINNING + now.saturating_duration_since(self.origin)
    }

    /// There is nothing to do before `due`.
    pub(super) fn rest_until(&mut self, due: Option<Instant>) {
        self.expected = due.map(|due| self.expected.map_or(due, |seen| due.max(seen)));
    }

    /// When it will be so late, if it does not stand still before.
    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        self.origin + (at - BEGINNING)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_goes_on_while_there_is_nothing_to_do() {
        let start = Instant::now();
        let mut clock = Clock::start_at(start);
        assert_eq!(clock.look(start + SECOND / 10), BEGINNING + SECOND / 10);
        clock.rest_until(Some(start + 60 * SECOND));
        assert_eq!(clock.look(start + 60 * SECOND + OVERSLEPT), BEGINNING + 60 * SECOND + OVERSLEPT);
        clock.rest_until(None);
        assert_eq!(clock.look(start + 3600 * SECOND), BEGINNING + 3600 * SECOND);
    }

    #[test]
    fn it_stands_still_while_nobody_looks_who_meant_to() {
        let start = Instant::now();
        let mut clock = Clock::start_at(start);
        clock.look(start);
        clock.rest_until(Some(start + SECOND));
        let woken = clock.look(start + 30 * SECOND);
        assert_eq!(woken, BEGINNING + SECOND);
        assert_eq!(clock.instant(woken + SECOND), start + 31 * SECOND);
        // In the middle of a turn, too, and also if something was overdue already.
        assert_eq!(clock.look(start + 50 * SECOND), woken);
        clock.rest_until(Some(start + 40 * SECOND));
        assert_eq!(clock.look(start + 50 * SECOND + OVERSLEPT), woken + OVERSLEPT);
        assert_eq!(clock.look(start + 51 * SECOND), woken + SECOND);
    }
}
