//! Those who have gone: why, and with which figures. A game asks after the signal, or in its results screen.

use std::collections::{HashMap, VecDeque};

use crate::reason::{Farewell, Reason};
use crate::stats::LinkStats;

/// As many are remembered; then the oldest are forgotten. Strangers cannot get in here: only who was connected can leave.
const REMEMBERED: usize = 4096;

#[derive(Default)]
pub(super) struct Departures {
    by_id: HashMap<i32, Departure>,
    order: VecDeque<i32>,
}

#[derive(Default)]
struct Departure {
    farewell: Option<Farewell>,
    stats: Option<LinkStats>,
}

impl Departures {
    pub(super) fn note(&mut self, id: i32, farewell: Farewell) {
        self.entry(id).farewell = Some(farewell);
    }

    /// Notes a farewell unless there is one.
    pub(super) fn note_if_unknown(&mut self, id: i32, farewell: Farewell) {
        self.entry(id).farewell.get_or_insert(farewell);
    }

    /// Somebody goes by this id again.
    pub(super) fn forget(&mut self, id: i32) {
        if let Some(departure) = self.by_id.get_mut(&id) {
            *departure = Departure::default();
        }
    }

    pub(super) fn note_stats(&mut self, id: i32, stats: LinkStats) {
        self.entry(id).stats = Some(stats);
    }

    pub(super) fn farewell(&self, id: i32) -> Farewell {
        let noted = self.by_id.get(&id).and_then(|departure| departure.farewell.clone());
        noted.unwrap_or_else(|| Reason::None.into())
    }

    pub(super) fn stats(&self, id: i32) -> Option<LinkStats> {
        self.by_id.get(&id)?.stats.clone()
    }

    fn entry(&mut self, id: i32) -> &mut Departure {
        if !self.by_id.contains_key(&id) {
            self.order.push_back(id);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_id.remove(&oldest);
            }
        }
        self.by_id.entry(id).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut departures = Departures::default();
        for id in 0..REMEMBERED as i32 + 10 {
            departures.note(id, Reason::Kicked.into());
        }
        assert_eq!(departures.farewell(9).reason, Reason::None);
        assert_eq!(departures.farewell(10).reason, Reason::Kicked);
        assert_eq!(departures.by_id.len(), REMEMBERED);
    }
}
