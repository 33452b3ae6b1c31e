//! Large messages that have come in part: how much of them an endpoint holds, of all links together.
//!
//! A message may have megabytes, and thousands of links may send one at the same time, or begin to and never end. Up to
//! [`FREE`] bytes are everybody's own. Beyond, links share [`SHARED`] bytes. Once they are taken, whoever holds more than an
//! equal share of them stops reading, so that his sender waits, except for the link that has been at it the longest: that one
//! may go on to the end of its message. If it does not come to an end while others wait, it is given up. So a message of a
//! usual size gets through beside others that never end, and together they hold twice [`SHARED`] and one message at most.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::link::LinkId;

/// What each link may hold without asking: more than most messages.
pub(super) const FREE: usize = 64 * 1024;

/// What all links share, beyond: the largest message that is taken in unless a game says otherwise. Memory for pieces
/// doubles as it grows, so that what is held takes up to twice as much.
const SHARED: usize = 16 * 1024 * 1024;

/// How long a message may take while others wait for its room: 16 MiB at 13 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who holds how much.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// By when they began, and by name.
    holders: BTreeMap<(Instant, LinkId), usize>,
    began: BTreeMap<LinkId, Instant>,
    total: usize,
}

/// Whether a link may go on reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    Wait,
    /// It has to wait, and this one has kept the others waiting for too long.
    WaitFor(LinkId),
}

impl Assembly {
    /// A link holds so many bytes of a message in part, more than are [`FREE`], and wants to go on.
    pub(super) fn holds(&mut self, link: LinkId, bytes: usize, now: Instant) -> Verdict {
        let began = *self.began.entry(link).or_insert(now);
        let before = self.holders.insert((began, link), bytes).unwrap_or_default();
        self.total = self.total - before + bytes;
        if self.total <= SHARED || bytes <= SHARED / self.holders.len() {
            return Verdict::GoOn;
        }
        let Some((&(oldest_since, oldest), _)) = self.holders.first_key_value() else { return Verdict::GoOn };
        if oldest == link {
            return Verdict::GoOn;
        }
        if now - oldest_since >= PATIENCE { Verdict::WaitFor(oldest) } else { Verdict::Wait }
    }

    /// A link holds nothing (any more); true if it did.
    pub(super) fn done(&mut self, link: LinkId) -> bool {
        let Some(began) = self.began.remove(&link) else { return false };
        self.total -= self.holders.remove(&(began, link)).unwrap_or_default();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: usize = 1024 * 1024;

    #[test]
    fn many_large_messages_wait_for_each_other_and_the_oldest_goes_on() {
        let mut assembly = Assembly::default();
        let start = Instant::now();
        for number in 0..4 {
            let now = start + Duration::from_millis(u64::from(number));
            assert_eq!(assembly.holds(LinkId(number), 4 * MEGABYTE, now), Verdict::GoOn);
        }
        assert_eq!(assembly.holds(LinkId(4), 4 * MEGABYTE, start + PATIENCE / 2), Verdict::Wait);
        assert_eq!(assembly.holds(LinkId(0), 16 * MEGABYTE, start + PATIENCE / 2), Verdict::GoOn);
        assert_eq!(assembly.holds(LinkId(4), 4 * MEGABYTE, start + PATIENCE), Verdict::WaitFor(LinkId(0)));
        assert!(assembly.done(LinkId(0)));
        assert!(!assembly.done(LinkId(0)));
        assert!(assembly.done(LinkId(1)));
        assert_eq!(assembly.holds(LinkId(4), 4 * MEGABYTE, start), Verdict::GoOn);
        for number in 2..5 {
            assembly.done(LinkId(number));
        }
        assert_eq!((assembly.total, assembly.holders.len()), (0, 0));
    }

    #[test]
    fn a_message_of_a_usual_size_passes_many_that_never_end() {
        let mut assembly = Assembly::default();
        let start = Instant::now();
        for number in 0..12 {
            let now = start + Duration::from_millis(u64::from(number));
            assembly.holds(LinkId(number), 10 * MEGABYTE, now);
        }
        assert_eq!(assembly.holds(LinkId(12), MEGABYTE, start + PATIENCE / 2), Verdict::GoOn);
        assert_eq!(assembly.holds(LinkId(12), 2 * MEGABYTE, start + PATIENCE / 2), Verdict::Wait);
    }
}
