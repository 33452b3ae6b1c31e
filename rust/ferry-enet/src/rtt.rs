//! How long a peer takes to answer.
//!
//! Fed with each acknowledgement of a command that was waiting for one. Two estimates run side by side: ENet's own,
//! in whole milliseconds (never below one) by its integer arithmetic, which games know as `ROUND_TRIP_TIME` and
//! which decides when to send again; and a precise one in microseconds, for figures, taken only where the
//! acknowledgement says which transmission it answers.

use crate::time::Timestamp;

/// What a round trip is taken to be before one was measured.
const DEFAULT_MS: u32 = 500;
/// A command is never given up on sooner than this. ENet has no floor: on a loopback, where the answer waits for
/// the other game's next frame, it sends half its commands twice.
const MINIMUM_RETRANSMIT_MS: u32 = 30;
/// Nor later: no line is this slow, but a peer that lies about what it answers could make us wait for minutes.
const MAXIMUM_RETRANSMIT_MS: u32 = 4000;

#[derive(Clone, Debug)]
pub(crate) struct RttEstimator {
    pub(crate) mean_ms: u32,
    pub(crate) variance_ms: u32,
    /// The lowest mean and highest variance of the throttle's last interval, which a new measurement is held
    /// against, and those of the running one.
    pub(crate) last_mean_ms: u32,
    pub(crate) last_variance_ms: u32,
    lowest_mean_ms: u32,
    highest_variance_ms: u32,
    interval_started: Option<Timestamp>,
    measured: bool,
    precise: Option<Precise>,
}

/// Smoothed as TCP does it (RFC 6298): an eighth of the mean and a quarter of the variation from each sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precise {
    pub(crate) mean_us: u64,
    pub(crate) variation_us: u64,
    pub(crate) least_us: u64,
}

impl RttEstimator {
    pub(crate) fn new() -> Self {
        Self {
            mean_ms: DEFAULT_MS,
            variance_ms: 0,
            last_mean_ms: DEFAULT_MS,
            last_variance_ms: 0,
            lowest_mean_ms: DEFAULT_MS,
            highest_variance_ms: 0,
            interval_started: None,
            measured: false,
            precise: None,
        }
    }

    pub(crate) fn measured(&self) -> bool {
        self.measured
    }

    pub(crate) fn precise(&self) -> Option<Precise> {
        self.precise
    }

    /// When the throttle's current interval began, if one has.
    pub(crate) fn interval_started(&self) -> Option<Timestamp> {
        self.interval_started
    }

    /// Takes in a round trip of `sample_ms`, which must be one at least.
    pub(crate) fn sample(&mut self, now: Timestamp, sample_ms: u32, throttle_interval_ms: u32) {
        if self.measured {
            self.variance_ms -= self.variance_ms / 4;
            let difference = sample_ms.abs_diff(self.mean_ms);
            self.variance_ms = self.variance_ms.saturating_add(difference / 4);
            if sample_ms >= self.mean_ms {
                self.mean_ms += difference / 8;
            } else {
                self.mean_ms -= difference / 8;
            }
        } else {
            self.mean_ms = sample_ms;
            self.variance_ms = sample_ms.div_ceil(2);
            self.measured = true;
        }
        self.lowest_mean_ms = self.lowest_mean_ms.min(self.mean_ms);
        self.highest_variance_ms = self.highest_variance_ms.max(self.variance_ms);
        let interval_us = u64::from(throttle_interval_ms) * 1000;
        if self.interval_started.is_none_or(|started| now.micros_since(started) >= interval_us) {
            self.last_mean_ms = self.lowest_mean_ms;
            self.last_variance_ms = self.highest_variance_ms.max(1);
            self.lowest_mean_ms = self.mean_ms;
            self.highest_variance_ms = self.variance_ms;
            self.interval_started = Some(now);
        }
    }

    /// Takes in a round trip measured by Ferry's own clock.
    pub(crate) fn sample_precisely(&mut self, sample_us: u64) {
        self.precise = Some(match self.precise {
            None => Precise { mean_us: sample_us, variation_us: sample_us / 2, least_us: sample_us },
            Some(old) => Precise {
                mean_us: (old.mean_us * 7 + sample_us) / 8,
                variation_us: (old.variation_us * 3 + sample_us.abs_diff(old.mean_us)) / 4,
                least_us: old.least_us.min(sample_us),
            },
        });
    }

    /// How long to wait for an acknowledgement before sending again, in microseconds.
    pub(crate) fn retransmit_after_us(&self) -> u32 {
        let ms = self.mean_ms.saturating_add(self.variance_ms.saturating_mul(4));
        ms.clamp(MINIMUM_RETRANSMIT_MS, MAXIMUM_RETRANSMIT_MS) * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_measurement_replaces_the_guess() {
        let mut rtt = RttEstimator::new();
        assert_eq!(rtt.retransmit_after_us(), 500_000);
        rtt.sample(Timestamp::default(), 101, 5000);
        assert_eq!((rtt.mean_ms, rtt.variance_ms), (101, 51));
    }

    #[test]
    fn later_measurements_move_it_by_an_eighth_and_a_quarter() {
        let mut rtt = RttEstimator::new();
        rtt.sample(Timestamp::default(), 100, 5000);
        rtt.sample(Timestamp::default(), 180, 5000);
        assert_eq!((rtt.mean_ms, rtt.variance_ms), (110, 50 - 12 + 20));
        rtt.sample(Timestamp::default(), 30, 5000);
        assert_eq!((rtt.mean_ms, rtt.variance_ms), (100, 58 - 14 + 20));
    }

    #[test]
    fn extreme_samples_do_not_overflow() {
        let mut rtt = RttEstimator::new();
        for sample in [u32::MAX, 1, u32::MAX, u32::MAX, 1] {
            rtt.sample(Timestamp::default(), sample, 0);
        }
        assert!(rtt.retransmit_after_us() > 0);
    }
}
