//! The host's one timer structure: which peer wants attention next.
//!
//! An indexed binary heap of (time, slot): each slot stands in it at most once, so its size is bounded by the
//! number of slots, and moving a slot costs the logarithm of the peers that wait. The host asks for [`first`] when
//! the driver wants to know how long it may sleep, and takes due slots off with [`pop_due`].
//!
//! [`first`]: TimerQueue::first
//! [`pop_due`]: TimerQueue::pop_due

use crate::time::Timestamp;

const ABSENT: u32 = u32::MAX;

pub(crate) struct TimerQueue {
    heap: Vec<(Timestamp, u16)>,
    /// Where in the heap a slot stands, or [`ABSENT`].
    places: Vec<u32>,
}

impl TimerQueue {
    pub(crate) fn new() -> Self {
        Self { heap: Vec::new(), places: Vec::new() }
    }

    /// The earliest time that any slot waits for.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// The slot that has waited longest for a time not after `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<u16> {
        let &(at, slot) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.remove(slot);
        Some(slot)
    }

    /// Makes `slot` due at `at` at the latest: an earlier time that it already waits for stays, because a peer
    /// that is asked too early just says so, and later times are the common case of every acknowledgement.
    pub(crate) fn at_latest(&mut self, slot: u16, at: Timestamp) {
        let index = usize::from(slot);
        if self.places.len() <= index {
            self.places.resize(index + 1, ABSENT);
        }
        let place = self.places[index];
        if place == ABSENT {
            self.places[index] = self.heap.len() as u32;
            self.heap.push((at, slot));
            self.sift_up(self.heap.len() - 1);
        } else if at < self.heap[place as usize].0 {
            self.heap[place as usize].0 = at;
            self.sift_up(place as usize);
        }
    }

    /// Forgets `slot`.
    pub(crate) fn remove(&mut self, slot: u16) {
        let Some(place) = self.places.get_mut(usize::from(slot)) else { return };
        let hole = std::mem::replace(place, ABSENT);
        if hole == ABSENT {
            return;
        }
        let hole = hole as usize;
        self.heap.swap_remove(hole);
        if let Some(&(_, moved)) = self.heap.get(hole) {
            self.places[usize::from(moved)] = hole as u32;
            self.sift_up(hole);
            self.sift_down(hole);
        }
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent] <= self.heap[at] {
                return;
            }
            self.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let right = left + 1;
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[usize::from(self.heap[a].1)] = a as u32;
        self.places[usize::from(self.heap[b].1)] = b as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn behaves_as_a_sorted_map_under_random_use() {
        let mut queue = TimerQueue::new();
        let mut model: BTreeMap<u16, Timestamp> = BTreeMap::new();
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..100_000 {
            let slot = random(64) as u16;
            match random(4) {
                0 => {
                    queue.remove(slot);
                    model.remove(&slot);
                }
                1 => {
                    let now = Timestamp::from_micros(random(1000));
                    let due = queue.pop_due(now);
                    let first = model.iter().map(|(&slot, &at)| (at, slot)).min();
                    let expected = first.filter(|&(at, _)| at <= now).map(|(_, slot)| slot);
                    assert_eq!(due, expected);
                    if let Some(slot) = due {
                        model.remove(&slot);
                    }
                }
                _ => {
                    let at = Timestamp::from_micros(random(1000));
                    queue.at_latest(slot, at);
                    let entry = model.entry(slot).or_insert(at);
                    *entry = (*entry).min(at);
                }
            }
            assert_eq!(queue.first(), model.values().min().copied());
        }
    }
}
