//! A network in memory.
//!
//! Datagrams go in with the time they were sent and come out when they have arrived, in the order of their arrival.
//! What happens on the way is decided by [`Conditions`] and a seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ferry_enet::Timestamp;

use crate::random::Random;
use crate::world::Place;

/// What a network does to datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Of a thousand datagrams, so many get lost.
    pub loss_per_mille: u32,
    /// So many arrive twice.
    pub duplication_per_mille: u32,
    /// So many are overtaken: they take up to three times as long.
    pub reorder_per_mille: u32,
    /// How long all take at least, in microseconds.
    pub delay_us: u64,
    /// How much longer some take.
    pub jitter_us: u64,
    /// Bytes a second each way between any two places, 0 for no limit. What does not fit waits up to
    /// `queue_bytes`, and is lost beyond.
    pub rate: u64,
    /// See `rate`.
    pub queue_bytes: u64,
}

impl Conditions {
    /// Everything arrives, after a millisecond.
    pub const PERFECT: Self = Self {
        loss_per_mille: 0,
        duplication_per_mille: 0,
        reorder_per_mille: 0,
        delay_us: 1000,
        jitter_us: 0,
        rate: 0,
        queue_bytes: 0,
    };

    /// A bad mobile line.
    pub const BAD: Self = Self {
        loss_per_mille: 100,
        duplication_per_mille: 30,
        reorder_per_mille: 100,
        delay_us: 40_000,
        jitter_us: 30_000,
        rate: 0,
        queue_bytes: 0,
    };

    /// Any.
    pub fn random(random: &mut Random) -> Self {
        Self {
            loss_per_mille: random.pick(&[0, 0, 10, 50, 100, 300]),
            duplication_per_mille: random.pick(&[0, 0, 10, 100, 500]),
            reorder_per_mille: random.pick(&[0, 0, 10, 100, 500]),
            delay_us: random.pick(&[0, 100, 1000, 20_000, 100_000, 400_000]),
            jitter_us: random.pick(&[0, 0, 1000, 20_000, 100_000]),
            rate: random.pick(&[0, 0, 0, 200_000, 1_000_000]),
            queue_bytes: random.pick(&[20_000, 100_000]),
        }
    }
}

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    /// When it arrives. (First field, so that the order is that of arrival.)
    pub arrives: Timestamp,
    serial: u64,
    /// Where it came from.
    pub from: Place,
    /// Where it goes.
    pub to: Place,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The network.
pub struct Link {
    /// What it does; may be changed at any time, for what is sent from then on.
    pub conditions: Conditions,
    random: Random,
    under_way: BinaryHeap<Reverse<Datagram>>,
    serial: u64,
    /// For a limited rate: when the line from here to there will have sent what it was given.
    busy_until: std::collections::HashMap<(Place, Place), Timestamp>,
    /// Datagrams that were given to it.
    pub sent: u64,
    /// Of those, lost.
    pub lost: u64,
}

impl Link {
    /// A network of these conditions.
    pub fn new(conditions: Conditions, random: Random) -> Self {
        Self {
            conditions,
            random,
            under_way: BinaryHeap::new(),
            serial: 0,
            busy_until: std::collections::HashMap::new(),
            sent: 0,
            lost: 0,
        }
    }

    /// Gives it a datagram.
    pub fn send(&mut self, now: Timestamp, from: Place, to: Place, bytes: &[u8]) {
        self.sent += 1;
        let Some(departs) = self.depart(now, from, to, bytes.len() as u64) else {
            self.lost += 1;
            return;
        };
        if self.random.chance(self.conditions.loss_per_mille) {
            self.lost += 1;
            return;
        }
        let copies = 1 + u32::from(self.random.chance(self.conditions.duplication_per_mille));
        for _ in 0..copies {
            let mut takes = self.conditions.delay_us;
            if self.conditions.jitter_us > 0 {
                takes += self.random.below(self.conditions.jitter_us);
            }
            if self.random.chance(self.conditions.reorder_per_mille) {
                takes += self.random.below(2 * takes + 1);
            }
            self.serial += 1;
            let arrives = Timestamp::from_micros(departs.as_micros() + takes);
            self.under_way.push(Reverse(Datagram {
                arrives,
                serial: self.serial,
                from,
                to,
                bytes: bytes.to_vec(),
            }));
        }
    }

    /// When a datagram has left a line of limited rate, if it finds room in its queue.
    fn depart(&mut self, now: Timestamp, from: Place, to: Place, len: u64) -> Option<Timestamp> {
        if self.conditions.rate == 0 {
            return Some(now);
        }
        let busy = self.busy_until.entry((from, to)).or_default();
        let starts = now.max(*busy);
        let queued = (starts - now).as_micros() as u64 * self.conditions.rate / 1_000_000;
        if queued + len > self.conditions.queue_bytes {
            return None;
        }
        *busy = Timestamp::from_micros(starts.as_micros() + len * 1_000_000 / self.conditions.rate);
        Some(*busy)
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Timestamp> {
        self.under_way.peek().map(|Reverse(datagram)| datagram.arrives)
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Timestamp) -> Option<Datagram> {
        if self.next_arrival()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse(datagram)| datagram)
    }

    /// Everything on its way is lost.
    pub fn cut(&mut self) {
        self.lost += self.under_way.len() as u64;
        self.under_way.clear();
    }
}
