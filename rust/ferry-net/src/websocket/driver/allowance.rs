//! How many pings and pongs of a link are borne: some at once, then so many a second. Each ping costs an answer, which is
//! a write.

use std::time::{Duration, Instant};

/// So many at once.
pub(super) const BURST: u32 = 500;

/// How long it takes until there may be one more.
const EVERY: Duration = Duration::from_millis(5);

/// What a link may still send.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Takes one; false if there is none left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let grown = (now - self.since).as_micros() / EVERY.as_micros();
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        if grown > 0 {
            self.left = self.left.saturating_add(grown).min(BURST);
            self.since = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_borne_in_a_burst_and_at_a_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!((0..BURST).all(|_| allowance.take(start)));
        assert!(!allowance.take(start));
        assert!(allowance.take(start + EVERY) && !allowance.take(start + EVERY));
        let later = start + Duration::from_secs(60);
        assert!((0..BURST).all(|_| allowance.take(later)));
        assert!(!allowance.take(later));
    }
}
