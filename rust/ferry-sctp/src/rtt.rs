//! The round-trip time, and how long to wait for an answer.
//!
//! Smoothed as in RFC 9260, 6.3. Two time-outs come of it. The first attempt after a silence is a probe: it comes as soon as
//! the answer should have been here, since the last packet of a burst has none behind it that would show its loss. Those
//! after it obey the configured minimum and double, up to the maximum.

use std::time::Duration;

/// What an answer may be late before it is asked for again, at first: twice the delay of Ferry's acknowledgements.
const MARGIN: Duration = Duration::from_millis(40);

/// So many probes in a row for what the other end had already: it acknowledges later than was thought. Fewer may be
/// acknowledgements that were lost.
const EARLY_PROBES: u32 = 3;

/// Doublings of the time-out; the configured maximum ends them earlier.
const DOUBLINGS: u32 = 10;

#[derive(Debug)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Duration,
    margin: Duration,
    early_probes: u32,
    initial: Duration,
    rto_min: Duration,
    rto_max: Duration,
}

impl Rtt {
    pub(crate) fn new(initial: Duration, rto_min: Duration, rto_max: Duration) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            least: Duration::MAX,
            margin: MARGIN.min(rto_min),
            early_probes: 0,
            initial,
            rto_min,
            rto_max,
        }
    }

    pub(crate) fn measured(&mut self, sample: Duration) {
        self.least = self.least.min(sample);
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(sample);
            self.variation = sample / 2;
            return;
        };
        self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
        self.smoothed = Some((smoothed * 7 + sample) / 8);
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How much they scatter: the mean deviation.
    pub(crate) fn variation(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.variation)
    }

    /// The shortest one seen: an answer that comes faster is one to an earlier transmission.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.least)
    }

    /// A probe was answered: what it asked about had come already, or not.
    pub(crate) fn probed(&mut self, too_early: bool) {
        if !too_early {
            self.early_probes = 0;
            self.margin = MARGIN.min(self.rto_min);
            return;
        }
        self.early_probes += 1;
        if self.early_probes >= EARLY_PROBES {
            self.margin = (self.margin * 2).min(self.rto_min);
        }
    }

    /// How long to wait after so many time-outs in a row.
    pub(crate) fn timeout(&self, timeouts: u32) -> Duration {
        let Some(smoothed) = self.smoothed else {
            return (self.initial * (1 << timeouts.min(DOUBLINGS))).min(self.rto_max.max(self.initial));
        };
        let answer = smoothed + (self.variation * 4).max(self.margin);
        if timeouts == 0 {
            return answer.min(self.rto_max);
        }
        (answer.max(self.rto_min) * (1 << (timeouts - 1).min(DOUBLINGS))).min(self.rto_max)
    }

    /// How long after a packet that came another one, sent earlier, may still come.
    pub(crate) fn reordering(&self) -> Duration {
        let smoothed = self.smoothed.unwrap_or(self.initial);
        (smoothed / 4).clamp(Duration::from_millis(1), self.rto_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_first_attempt_is_early_and_the_others_double_up_to_the_maximum() {
        let mut rtt = Rtt::new(MS(500), MS(200), MS(2000));
        assert_eq!(rtt.timeout(0), MS(500));
        for _ in 0..50 {
            rtt.measured(MS(100));
        }
        assert_eq!(rtt.timeout(0), MS(140));
        assert_eq!(rtt.timeout(1), MS(200));
        assert_eq!(rtt.timeout(2), MS(400));
        assert_eq!(rtt.timeout(30), MS(2000));
    }

    #[test]
    fn an_end_that_acknowledges_late_is_given_more_time() {
        let mut rtt = Rtt::new(MS(500), MS(200), MS(2000));
        for _ in 0..50 {
            rtt.measured(MS(1));
        }
        for _ in 0..10 {
            rtt.probed(true);
        }
        assert_eq!(rtt.timeout(0), MS(201));
        rtt.probed(false);
        assert_eq!(rtt.timeout(0), MS(41));
    }
}
