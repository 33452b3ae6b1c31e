//! The clock of the protocol: a point in time that the driver hands in.
//!
//! Nothing in this crate asks the system for the time. A driver picks an origin (its own start, say) and passes
//! the time since then with each call; a test passes whatever it likes. Time must not run backwards: a point
//! earlier than one seen before counts as no time having passed.
//!
//! The wire counts whole milliseconds in 16 bits ([`Timestamp::wire_millis`]); Ferry itself counts microseconds,
//! in 64 bits, which do not wrap.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in microseconds since an origin of the driver's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    micros: u64,
}

impl Timestamp {
    /// The point `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// What a datagram's header carries as its sending time.
    pub(crate) const fn wire_millis(self) -> u16 {
        (self.micros / 1000) as u16
    }

    /// Microseconds that passed since `earlier`, zero if it lies ahead.
    pub(crate) const fn micros_since(self, earlier: Self) -> u64 {
        self.micros.saturating_sub(earlier.micros)
    }

    /// This point, `micros` microseconds later.
    pub(crate) const fn after_micros(self, micros: u64) -> Self {
        Self { micros: self.micros.saturating_add(micros) }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        self.after_micros(duration_micros(span))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros_since(earlier))
    }
}

/// A duration in whole microseconds; what does not fit counts as for ever.
pub(crate) fn duration_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_lies_ahead_is_no_time_ago() {
        let (early, late) = (Timestamp::from_micros(5), Timestamp::from_micros(9));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(late - early, Duration::from_micros(4));
    }

    #[test]
    fn the_wire_clock_wraps_every_65_seconds() {
        assert_eq!(Timestamp::from_micros(65_535_999).wire_millis(), 65_535);
        assert_eq!(Timestamp::from_micros(65_536_000).wire_millis(), 0);
    }
}
