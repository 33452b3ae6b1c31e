//! How much gets lost on the way to a peer, as ENet counts it.
//!
//! Commands sent against commands that had to be sent again, averaged over intervals of ten seconds. A command that
//! was sent again although the first one had arrived is taken off the count (the acknowledgement tells): C ENet
//! leaves it in.

use crate::time::Timestamp;

/// The ratio that stands for "everything".
pub(crate) const SCALE: u32 = 1 << 16;
const INTERVAL_US: u64 = 10_000_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct LossMeter {
    /// Mean loss in parts of [`SCALE`], and how much it scatters.
    pub(crate) mean: u32,
    pub(crate) variance: u32,
    pub(crate) interval_started: Option<Timestamp>,
    sent: u32,
    lost: u32,
}

impl LossMeter {
    pub(crate) fn on_sent(&mut self, commands: u32) {
        self.sent = self.sent.saturating_add(commands);
    }

    pub(crate) fn on_lost(&mut self, commands: u32) {
        self.lost = self.lost.saturating_add(commands);
    }

    pub(crate) fn on_found(&mut self) {
        self.lost = self.lost.saturating_sub(1);
    }

    /// Called with each datagram that leaves.
    pub(crate) fn on_datagram(&mut self, now: Timestamp) {
        let Some(started) = self.interval_started else {
            self.interval_started = Some(now);
            return;
        };
        if self.sent == 0 || now.micros_since(started) < INTERVAL_US {
            return;
        }
        let loss =
            (u64::from(self.lost) * u64::from(SCALE) / u64::from(self.sent)).min(u64::from(SCALE)) as u32;
        self.variance = (self.variance * 3 + loss.abs_diff(self.mean)) / 4;
        self.mean = (self.mean * 7 + loss) / 8;
        (self.sent, self.lost) = (0, 0);
        self.interval_started = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_lost_for_long_reads_as_half() {
        let mut meter = LossMeter::default();
        for tick in 0..6000 {
            meter.on_sent(2);
            meter.on_lost(1);
            meter.on_datagram(Timestamp::from_micros(tick * 100_000));
        }
        assert!(meter.mean.abs_diff(SCALE / 2) < SCALE / 100, "{}", meter.mean);
    }
}
