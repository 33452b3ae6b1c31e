//! Thinning out unreliable packets for a link that cannot carry them, and narrowing the reliable window with it.
//!
//! The throttle is a number from 0 to 32: of 32 unreliable packets, that many are sent. It never rises above a
//! limit that the bandwidth settings of both ends give (`host/bandwidth.rs`). Acknowledgements move it: a round
//! trip not longer than the best of the last interval opens it by `acceleration`, a much longer one closes it by
//! `deceleration`; where round trips scatter as much as they last, it opens wholly.
//!
//! A deliberate difference to the C library, which closes it on long round trips alone: a server that answers once
//! a frame then loses packets that the network would have carried. Here it closes only if something was really
//! lost within the last interval, that is, if a command had to be sent again and the second one was what
//! arrived.

use crate::rtt::RttEstimator;
use crate::time::Timestamp;
use crate::wire::ThrottleParameters;

/// The value that lets everything through.
pub(crate) const OPEN: u32 = 32;
/// How far the counter steps for each packet: has no divisor in common with 32, so drops spread evenly.
const COUNTER_STEP: u32 = 7;

#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    pub(crate) value: u32,
    pub(crate) limit: u32,
    pub(crate) counter: u32,
    pub(crate) parameters: ThrottleParameters,
    last_loss: Option<Timestamp>,
}

impl Throttle {
    pub(crate) const DEFAULT: ThrottleParameters =
        ThrottleParameters { interval_ms: 5000, acceleration: 2, deceleration: 2 };

    pub(crate) fn new(parameters: ThrottleParameters) -> Self {
        Self { value: OPEN, limit: OPEN, counter: 0, parameters, last_loss: None }
    }

    /// Something was sent again, and it was the second sending that arrived.
    pub(crate) fn on_loss(&mut self, now: Timestamp) {
        self.last_loss = Some(now);
    }

    /// A command was acknowledged after `sample_ms`; `rtt` has not taken that in yet.
    pub(crate) fn on_acknowledgement(&mut self, now: Timestamp, sample_ms: u32, rtt: &RttEstimator) {
        let (mean_ms, variance_ms) = (rtt.last_mean_ms, rtt.last_variance_ms);
        if mean_ms <= variance_ms {
            self.value = self.limit;
        } else if sample_ms <= mean_ms {
            self.value = self.value.saturating_add(self.parameters.acceleration).min(self.limit);
        } else if sample_ms > mean_ms.saturating_add(variance_ms.saturating_mul(2)) && self.lost_lately(now) {
            self.value = self.value.saturating_sub(self.parameters.deceleration);
        }
    }

    fn lost_lately(&self, now: Timestamp) -> bool {
        let interval_us = u64::from(self.parameters.interval_ms) * 1000;
        self.last_loss.is_some_and(|lost| now.micros_since(lost) <= interval_us)
    }

    /// Sets the limit that the bandwidth allows, 0 to 32.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit.min(OPEN);
        self.value = self.value.min(self.limit);
    }

    /// Whether the next unreliable packet may go.
    pub(crate) fn admits_next(&mut self) -> bool {
        self.counter = (self.counter + COUNTER_STEP) % OPEN;
        self.counter <= self.value
    }

    /// The part of `window` that may be used now.
    pub(crate) fn narrow(&self, window: u32) -> u32 {
        (u64::from(self.value) * u64::from(window) / u64::from(OPEN)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator(mean_ms: u32) -> RttEstimator {
        let mut rtt = RttEstimator::new();
        for second in 0..30 {
            rtt.sample(Timestamp::from_micros(second * 1_000_000), mean_ms, 5000);
        }
        rtt
    }

    fn share_admitted(throttle: &mut Throttle) -> u32 {
        (0..32).map(|_| u32::from(throttle.admits_next())).sum()
    }

    #[test]
    fn long_round_trips_without_loss_leave_it_open() {
        let mut throttle = Throttle::new(Throttle::DEFAULT);
        for _ in 0..100 {
            throttle.on_acknowledgement(Timestamp::default(), 400, &estimator(50));
        }
        assert_eq!(throttle.value, OPEN);
        assert_eq!(share_admitted(&mut throttle), 32);
    }

    #[test]
    fn long_round_trips_with_loss_close_it_and_short_ones_open_it_again() {
        let mut throttle = Throttle::new(Throttle::DEFAULT);
        let rtt = estimator(50);
        throttle.on_loss(Timestamp::from_micros(1));
        for _ in 0..8 {
            throttle.on_acknowledgement(Timestamp::from_micros(2), 400, &rtt);
        }
        assert_eq!(throttle.value, 16);
        assert!(share_admitted(&mut throttle) <= 17);
        for _ in 0..8 {
            throttle.on_acknowledgement(Timestamp::from_micros(3), 50, &rtt);
        }
        assert_eq!(throttle.value, OPEN);
    }

    #[test]
    fn it_never_passes_its_limit_nor_underflows() {
        let parameters =
            ThrottleParameters { interval_ms: u32::MAX, acceleration: u32::MAX, deceleration: u32::MAX };
        let mut throttle = Throttle::new(parameters);
        throttle.set_limit(10);
        throttle.on_acknowledgement(Timestamp::default(), 1, &estimator(50));
        assert_eq!(throttle.value, 10);
        throttle.on_loss(Timestamp::default());
        throttle.on_acknowledgement(Timestamp::default(), u32::MAX, &estimator(50));
        assert_eq!(throttle.value, 0);
        assert_eq!(throttle.narrow(65_536), 0);
    }
}
