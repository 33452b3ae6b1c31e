//! Lines of log about what may happen in crowds: one a second, with how many were withheld.

use std::time::{Duration, Instant};

/// At most one line in this time.
const EVERY: Duration = Duration::from_secs(1);

/// When the last line was written, and how many were not since.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    last: Option<Instant>,
    withheld: u64,
}

impl Seldom {
    /// Whether it is time for a line; if so, what to append to it.
    pub(crate) fn turn(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last < EVERY) {
            self.withheld += 1;
            return None;
        }
        self.last = Some(now);
        let withheld = std::mem::take(&mut self.withheld);
        Some(if withheld > 0 { format!(" ({withheld} more since the last warning)") } else { String::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_makes_one_line_and_the_next_counts_the_others() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.turn().as_deref(), Some(""));
        assert!((0..5).all(|_| seldom.turn().is_none()));
        seldom.last = Instant::now().checked_sub(EVERY);
        assert_eq!(seldom.turn().as_deref(), Some(" (5 more since the last warning)"));
    }
}
