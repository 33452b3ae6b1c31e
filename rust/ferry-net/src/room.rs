//! Room in the queue of what waits to be sent to one link: taken on the game's thread, given back on the network thread.
//!
//! Only what must arrive takes room; what may get lost has queues of its own, which drop the oldest. An empty queue has
//! room for anything that may be sent at all.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a queued packet counts besides its bytes, so that a flood of empty ones is bounded too.
const PACKET_OVERHEAD: usize = 64;

/// How much of a queue is taken.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicUsize);

impl Room {
    /// What a packet of this length takes.
    pub(crate) fn cost_of(payload: usize) -> usize {
        payload + PACKET_OVERHEAD
    }

    /// Takes room for a packet, if it fits.
    pub(crate) fn reserve(&self, payload: usize, limit: usize) -> bool {
        let cost = Self::cost_of(payload);
        let before = self.0.fetch_add(cost, Ordering::AcqRel);
        let fits = before == 0 || before + cost <= limit;
        if !fits {
            self.release(cost);
        }
        fits
    }

    /// Gives back what [`Room::cost_of`] said.
    pub(crate) fn release(&self, cost: usize) {
        self.0.fetch_sub(cost, Ordering::AcqRel);
    }

    /// How much is taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_takes_any_packet_and_a_used_one_what_fits() {
        let room = Room::default();
        assert!(room.reserve(5000, 1000));
        assert!(!room.reserve(1, 1000));
        room.release(Room::cost_of(5000));
        assert!(room.reserve(400, 1000) && room.reserve(400, 1000));
        assert!(!room.reserve(400, 1000));
        assert_eq!(room.taken(), 2 * Room::cost_of(400));
    }
}
