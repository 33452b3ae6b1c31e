//! Two ends and the network between them, in virtual time.
//!
//! The network is a heap of packets by their time of arrival. Losses, jitter and duplicates follow from a seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_sctp::{Association, CloseReason, Config, Event, Message, Reliability};

pub(crate) const MS: fn(u64) -> Duration = Duration::from_millis;

pub(crate) const RELIABLE: Reliability = Reliability::RELIABLE;

/// What Godot's unreliable channels are.
pub(crate) const UNRELIABLE: Reliability =
    Reliability { ordered: false, lifetime: Some(Duration::from_millis(1)), retransmits: None };

/// What Godot's ordered unreliable channel is.
pub(crate) const UNRELIABLE_ORDERED: Reliability = Reliability { ordered: true, ..UNRELIABLE };

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    pub(crate) fn chance(&mut self, percent: f64) -> bool {
        (self.below(1_000_000) as f64) < percent * 10_000.0
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) loss: f64,
    pub(crate) duplicates: f64,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
}

pub(crate) const FAST: Way =
    Way { loss: 0.0, duplicates: 0.0, delay: Duration::from_micros(100), jitter: Duration::ZERO };

/// 100 ms there and back, and a loss in twenty.
pub(crate) const LOSSY: Way =
    Way { loss: 5.0, duplicates: 0.0, delay: Duration::from_millis(50), jitter: Duration::ZERO };

/// Whether this end's packet is dropped.
pub(crate) type DropIf = Box<dyn FnMut(usize, &[u8]) -> bool>;

pub(crate) struct World {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) ends: [Association; 2],
    pub(crate) way: Way,
    pub(crate) random: Random,
    /// Decides about each packet beside chance: true drops it.
    pub(crate) drop_if: DropIf,
    packets: BTreeMap<(Instant, u64), (usize, Bytes)>,
    number: u64,
    pub(crate) sent: u64,
    pub(crate) received: [Vec<(Instant, Message)>; 2],
    pub(crate) events: [Vec<Event>; 2],
}

pub(crate) fn config(seed: u64, end: usize) -> Config {
    Config {
        seed: seed.wrapping_mul(77).wrapping_add(end as u64),
        role_client: end == 0,
        ..Config::default()
    }
}

impl World {
    pub(crate) fn new(seed: u64, way: Way) -> Self {
        Self::with(seed, way, [config(seed, 0), config(seed, 1)])
    }

    pub(crate) fn with(seed: u64, way: Way, configs: [Config; 2]) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            now,
            ends: configs.map(|config| Association::new(config, now)),
            way,
            random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            drop_if: Box::new(|_, _| false),
            packets: BTreeMap::new(),
            number: 0,
            sent: 0,
            received: Default::default(),
            events: Default::default(),
        }
    }

    /// The same with both ends connected.
    pub(crate) fn connected(seed: u64, way: Way) -> Self {
        let mut world = Self::new(seed, way);
        world.connect();
        world
    }

    pub(crate) fn connect(&mut self) {
        self.ends[0].connect(self.now);
        self.flush();
        let there = self.run_until(MS(60_000), |world| world.ends.iter().all(Association::is_established));
        assert!(there, "never connected");
    }

    pub(crate) fn send(
        &mut self,
        from: usize,
        stream: u16,
        payload: impl Into<Bytes>,
        reliability: Reliability,
    ) {
        let message = Message { stream, ppid: 53, payload: payload.into() };
        self.ends[from].send(self.now, message, reliability);
    }

    /// Takes out what the ends have to say.
    pub(crate) fn flush(&mut self) {
        let mut packet = Vec::new();
        for end in 0..2 {
            loop {
                while let Some(event) = self.ends[end].poll_event() {
                    match event {
                        Event::Message(message) => self.received[end].push((self.now, message)),
                        other => self.events[end].push(other),
                    }
                }
                if !self.ends[end].poll_transmit(self.now, &mut packet) {
                    break;
                }
                self.sent += 1;
                if (self.drop_if)(end, &packet) {
                    continue;
                }
                let copies = 1 + u64::from(self.random.chance(self.way.duplicates));
                for _ in 0..copies {
                    if self.random.chance(self.way.loss) {
                        continue;
                    }
                    let jitter = self.random.below(self.way.jitter.as_micros() as u64 + 1);
                    let at = self.now + self.way.delay + Duration::from_micros(jitter);
                    self.number += 1;
                    self.packets.insert((at, self.number), (1 - end, Bytes::copy_from_slice(&packet)));
                }
            }
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let timers = self.ends.iter().filter_map(Association::poll_timeout);
        timers.chain(self.packets.keys().next().map(|&(at, _)| at)).min()
    }

    /// Lets what happens next happen, if that is before `until`.
    fn step(&mut self, until: Instant) -> bool {
        let Some(next) = self.next().filter(|&at| at <= until) else { return false };
        self.now = self.now.max(next);
        while let Some(entry) = self.packets.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, packet) = entry.remove();
            self.ends[to].handle_input(self.now, packet);
        }
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        self.flush();
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        self.flush();
        while self.step(until) {}
        self.now = until;
    }

    /// False if it did not happen in time.
    pub(crate) fn run_until(&mut self, time: Duration, mut happened: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + time;
        self.flush();
        while !happened(self) {
            if !self.step(until) {
                return false;
            }
        }
        true
    }

    pub(crate) fn since_start(&self) -> Duration {
        self.now - self.start
    }

    pub(crate) fn payloads(&self, end: usize) -> Vec<Bytes> {
        self.received[end].iter().map(|(_, message)| message.payload.clone()).collect()
    }

    pub(crate) fn closed(&self, end: usize) -> Option<&CloseReason> {
        self.events[end].iter().find_map(|event| match event {
            Event::Closed(reason) => Some(reason),
            _ => None,
        })
    }

    /// Nothing is on its way, queued, or about to be sent again.
    pub(crate) fn assert_quiet(&self) {
        for end in &self.ends {
            assert_eq!((end.outstanding_bytes(), end.congestion_window().1), (0, 0));
        }
        assert!(self.packets.is_empty());
    }
}

pub(crate) fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort();
    values[(values.len() - 1) * percent / 100]
}

/// The kinds of a packet's chunks.
pub(crate) fn kinds(packet: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut at = 12;
    while let Some(header) = packet.get(at..at + 4) {
        kinds.push(header[0]);
        at += usize::from(u16::from_be_bytes([header[2], header[3]])).next_multiple_of(4).max(4);
    }
    kinds
}
