//! One end is Ferry's, the other is the implementation that str0m stands on: they must understand each other.
//!
//! Virtual time, a network that loses, either end beginning, all kinds of reliability, large messages, resets.

#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod theirs;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_sctp::{Association, Config, Event, Message, Reliability};

use self::theirs::Theirs;

const MS: fn(u64) -> Duration = Duration::from_millis;

struct World {
    now: Instant,
    ours: Association,
    theirs: Theirs,
    loss: u64,
    delay: Duration,
    random: u64,
    /// On their way, to Ferry's end or not.
    packets: BTreeMap<(Instant, u64), (bool, Bytes)>,
    number: u64,
    we_received: Vec<Message>,
    events: Vec<Event>,
}

impl World {
    fn new(seed: u64, loss: u64, we_begin: bool) -> Self {
        let now = Instant::now();
        let mut ours = Association::new(Config { seed, ..Config::default() }, now);
        if we_begin {
            ours.connect(now);
        }
        let mut world = Self {
            now,
            ours,
            theirs: Theirs::new(!we_begin),
            loss,
            delay: MS(20),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            packets: BTreeMap::new(),
            number: 0,
            we_received: Vec::new(),
            events: Vec::new(),
        };
        assert!(
            world.run_until(MS(60_000), |world| world.ours.is_established() && world.theirs.connected),
            "never connected, seed {seed}"
        );
        world
    }

    fn post(&mut self, to_us: bool, packet: Bytes) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if (self.random >> 20) % 100 >= self.loss {
            self.number += 1;
            self.packets.insert((self.now + self.delay, self.number), (to_us, packet));
        }
    }

    fn flush(&mut self) {
        let mut packet = Vec::new();
        loop {
            while let Some(event) = self.ours.poll_event() {
                match event {
                    Event::Message(message) => self.we_received.push(message),
                    other => self.events.push(other),
                }
            }
            if !self.ours.poll_transmit(self.now, &mut packet) {
                break;
            }
            self.post(false, Bytes::copy_from_slice(&packet));
        }
        for packet in self.theirs.poll(self.now) {
            self.post(true, packet);
        }
    }

    fn step(&mut self, until: Instant) -> bool {
        let timers = self.ours.poll_timeout().into_iter().chain(self.theirs.poll_timeout());
        let next = timers.chain(self.packets.keys().next().map(|&(at, _)| at)).min();
        let Some(next) = next.filter(|&at| at <= until) else { return false };
        self.now = self.now.max(next);
        while let Some(entry) = self.packets.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                (true, packet) => self.ours.handle_input(self.now, packet),
                (false, packet) => self.theirs.handle_input(self.now, packet),
            }
        }
        self.ours.handle_timeout(self.now);
        self.theirs.handle_timeout(self.now);
        self.flush();
        true
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        self.flush();
        while self.step(until) {}
        self.now = until;
    }

    fn run_until(&mut self, time: Duration, mut happened: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + time;
        self.flush();
        while !happened(self) {
            if !self.step(until) {
                return false;
            }
        }
        true
    }

    fn send(&mut self, stream: u16, payload: Vec<u8>, reliability: Reliability) {
        let message = Message { stream, ppid: 53, payload: payload.into() };
        self.ours.send(self.now, message, reliability);
    }
}

fn payload(number: u32, size: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.extend((4..size).map(|index| (number as usize + index) as u8));
    payload
}

fn number(bytes: &[u8]) -> u32 {
    let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(bytes, payload(number, bytes.len()));
    number
}

fn sizes(number: u32) -> usize {
    if number.is_multiple_of(10) { 5000 } else { 60 }
}

#[test]
fn reliable_messages_come_both_ways_whoever_begins() {
    for seed in 0..30 {
        let mut world = World::new(seed, [0, 5, 15][seed as usize % 3], seed % 2 == 0);
        for stream in [1, 2] {
            world.theirs.open(stream, Reliability { ordered: stream == 1, ..Reliability::RELIABLE });
        }
        for index in 0..300 {
            for stream in [1, 2] {
                let reliability = Reliability { ordered: stream == 1, ..Reliability::RELIABLE };
                world.send(stream, payload(index, sizes(index)), reliability);
                world.theirs.send(stream, &payload(index, sizes(index)));
            }
            world.run(MS(3));
        }
        let all = world.run_until(MS(300_000), |world| {
            world.we_received.len() == 600 && world.theirs.received.len() == 600
        });
        assert!(all, "seed {seed}: {} and {}", world.we_received.len(), world.theirs.received.len());
        for stream in [1, 2] {
            let ours = world.we_received.iter().filter(|message| message.stream == stream);
            let mut ours: Vec<_> = ours.map(|message| number(&message.payload)).collect();
            let theirs = world.theirs.received.iter().filter(|(of, _)| *of == stream);
            let mut theirs: Vec<_> = theirs.map(|(_, payload)| number(payload)).collect();
            if stream == 2 {
                ours.sort_unstable();
                theirs.sort_unstable();
            }
            assert_eq!(ours, (0..300).collect::<Vec<_>>(), "seed {seed}");
            assert_eq!(theirs, (0..300).collect::<Vec<_>>(), "seed {seed}");
        }
        world.run(MS(10_000));
        assert_eq!(world.ours.outstanding_bytes(), 0);
    }
}

#[test]
fn large_messages_come_both_ways() {
    for loss in [0, 5] {
        let mut world = World::new(7, loss, true);
        world.theirs.open(1, Reliability::RELIABLE);
        for index in 0..3 {
            world.send(1, payload(index, 256 * 1024), Reliability::RELIABLE);
            world.theirs.send(1, &payload(index, 256 * 1024));
        }
        assert!(world.run_until(MS(600_000), |world| {
            world.we_received.len() == 3 && world.theirs.received.len() == 3
        }));
        let ours: Vec<_> = world.we_received.iter().map(|message| number(&message.payload)).collect();
        let theirs: Vec<_> = world.theirs.received.iter().map(|(_, payload)| number(payload)).collect();
        assert_eq!((ours, theirs), (vec![0, 1, 2], vec![0, 1, 2]));
    }
}

#[test]
fn unreliable_messages_that_are_lost_are_skipped_both_ways() {
    for seed in 0..20 {
        for ordered in [false, true] {
            for (lifetime, retransmits) in [(Some(MS(1)), None), (None, Some(0)), (None, Some(1))] {
                let reliability = Reliability { ordered, lifetime, retransmits };
                let mut world = World::new(seed, 10, seed % 2 == 0);
                world.theirs.open(3, reliability);
                for index in 0..400 {
                    world.send(3, payload(index, 60), reliability);
                    world.theirs.send(3, &payload(index, 60));
                    world.run(MS(10));
                }
                world.run(MS(20_000));
                let ours: Vec<_> = world.we_received.iter().map(|message| number(&message.payload)).collect();
                let theirs: Vec<_> =
                    world.theirs.received.iter().map(|(_, payload)| number(payload)).collect();
                for (numbers, whose) in [(ours, "ours"), (theirs, "theirs")] {
                    assert!(numbers.len() > 300, "{whose} {reliability:?}: {}", numbers.len());
                    assert!(!ordered || numbers.is_sorted(), "{whose}");
                }
                assert_eq!(world.ours.outstanding_bytes(), 0);
            }
        }
    }
}

#[test]
fn streams_are_closed_from_either_side_and_used_again() {
    for seed in 0..20 {
        for we_close in [true, false] {
            let mut world = World::new(seed, [0, 10][seed as usize % 2], true);
            for round in 1..4 {
                world.theirs.open(5, Reliability::RELIABLE);
                for index in 0..20 {
                    world.send(5, payload(index, 60), Reliability::RELIABLE);
                    world.theirs.send(5, &payload(index, 60));
                }
                let come = world.run_until(MS(60_000), |world| {
                    world.we_received.len() == 20 * round && world.theirs.received.len() == 20 * round
                });
                assert!(come, "seed {seed}, round {round}");
                let now = world.now;
                if we_close {
                    world.ours.reset_stream(now, 5);
                } else {
                    world.theirs.close(5);
                }
                let heard = |world: &World, event: &Event| {
                    world.events.iter().filter(|heard| *heard == event).count() == round
                };
                if !we_close {
                    // RFC 8831, 6.7: who hears that a channel is closed closes its own side.
                    assert!(world.run_until(MS(60_000), |world| heard(world, &Event::StreamReset(5))));
                    let now = world.now;
                    world.ours.reset_stream(now, 5);
                }
                let closed = world.run_until(MS(60_000), |world| {
                    heard(world, &Event::StreamReset(5)) && heard(world, &Event::StreamClosed(5))
                });
                assert!(closed, "seed {seed}, round {round}, {we_close}: {:?}", world.events);
                world.run(MS(10_000));
            }
        }
    }
}

#[test]
fn an_end_that_breaks_off_is_heard() {
    let mut world = World::new(1, 0, true);
    let now = world.now;
    world.ours.abort(now, "bye");
    world.run(MS(100));
    assert!(world.theirs.lost);

    let mut world = World::new(3, 0, true);
    world.theirs.open(1, Reliability::RELIABLE);
    world.send(1, payload(1, 5000), Reliability::RELIABLE);
    let now = world.now;
    world.ours.shutdown(now);
    world.run(MS(10_000));
    assert_eq!(world.theirs.received.len(), 1);
    assert!(matches!(world.events.last(), Some(Event::Closed(ferry_sctp::CloseReason::Shutdown))));
}
