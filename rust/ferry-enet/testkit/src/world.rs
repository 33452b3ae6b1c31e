//! Hosts on a simulated network, in virtual time.
//!
//! The driving order is the one that the crate's documentation gives to drivers. Time jumps from one thing that happens
//! to the next, so minutes pass in milliseconds.

use std::time::Duration;

use ferry_enet::{Address, Config, Event, Host, PeerId, Timestamp};

use crate::link::{Conditions, Link};
use crate::random::Random;

/// An address in the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which machine.
    pub host: u16,
    /// Which socket on it.
    pub port: u16,
}

impl Place {
    /// The first socket of machine `host`.
    pub fn of(host: u16) -> Self {
        Self { host, port: 1 }
    }

    /// Reaches every machine.
    pub const BROADCAST: Self = Self { host: u16::MAX, port: 1 };
}

impl Address for Place {
    type Host = u16;

    fn host(&self) -> u16 {
        self.host
    }

    fn is_broadcast(&self) -> bool {
        *self == Self::BROADCAST
    }
}

/// A host, where it is, and what it has told.
pub struct Station {
    /// Where datagrams to it go.
    pub place: Place,
    /// The host itself.
    pub host: Host<Place>,
    /// What has happened to it, until somebody takes it away.
    pub events: Vec<Event>,
    /// While true, it neither receives nor sends, as if its process were stopped.
    pub asleep: bool,
}

impl Station {
    /// Every payload that was received and not taken away, in order.
    pub fn received(&self) -> Vec<&[u8]> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Received { payload, .. } => Some(&payload[..]),
                _ => None,
            })
            .collect()
    }
}

/// Everything.
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// The network.
    pub link: Link,
    /// The hosts, by number.
    pub stations: Vec<Station>,
    random: Random,
    buffer: Vec<u8>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        let mut random = Random::new(seed);
        let link = Link::new(conditions, random.fork());
        Self { now: Timestamp::from_micros(0), link, stations: Vec::new(), random, buffer: vec![0; 4096] }
    }

    /// A server (number 0) and a client (number 1) that are connected, and their names for each other.
    pub fn pair(seed: u64, conditions: Conditions, config: &Config) -> (Self, PeerId, PeerId) {
        let mut world = Self::new(seed, conditions);
        world.add(config.clone());
        world.add(config.clone());
        let client = world.connect(1, 0, 8, 77);
        world.run_until(Duration::from_secs(600), |world| {
            world.stations.iter().all(|station| !station.events.is_empty())
        });
        let server = world.stations[0].events[0].peer();
        assert_eq!(world.take_events(0), [Event::Connected { peer: server, data: 77 }]);
        assert_eq!(world.take_events(1), [Event::Connected { peer: client, data: 0 }]);
        (world, server, client)
    }

    /// Adds a host on a machine of its own; its number is its place's.
    pub fn add(&mut self, config: Config) -> usize {
        let mut random = self.random.fork();
        let host = Host::new(config, move || random.any() as u32).expect("a good configuration");
        let place = Place::of(self.stations.len() as u16);
        self.stations.push(Station { place, host, events: Vec::new(), asleep: false });
        self.stations.len() - 1
    }

    /// Lets host `from` ask host `to` for a connection.
    pub fn connect(&mut self, from: usize, to: usize, channels: u8, data: u32) -> PeerId {
        let place = self.stations[to].place;
        self.stations[from].host.connect(place, channels, data).expect("room for a connection")
    }

    /// Takes away what host `number` has told.
    pub fn take_events(&mut self, number: usize) -> Vec<Event> {
        std::mem::take(&mut self.stations[number].events)
    }

    /// Puts a datagram that nobody sent onto the doorstep of host `to`, as if from `from`.
    pub fn inject(&mut self, from: Place, to: usize, bytes: &[u8]) {
        let now = self.now;
        self.stations[to].host.handle_input(now, from, bytes);
        self.collect(to);
    }

    /// Lets all that wants to leave do so, everywhere.
    pub fn flush(&mut self) {
        for number in 0..self.stations.len() {
            self.flush_one(number);
        }
    }

    /// Lets all that wants to leave host `number` do so.
    pub fn flush_one(&mut self, number: usize) {
        let station = &mut self.stations[number];
        if station.asleep {
            return;
        }
        while let Some(transmit) = station.host.poll_transmit(self.now, &mut self.buffer) {
            let bytes = &self.buffer[..transmit.len];
            if transmit.to == Place::BROADCAST {
                self.link.send(self.now, station.place, Place::of(0), bytes);
            } else {
                self.link.send(self.now, station.place, transmit.to, bytes);
            }
        }
    }

    fn collect(&mut self, number: usize) {
        let station = &mut self.stations[number];
        while let Some(event) = station.host.poll_event() {
            station.events.push(event);
        }
    }

    /// When the next thing happens.
    pub fn next_happening(&self) -> Option<Timestamp> {
        let timers = self.stations.iter().filter(|station| !station.asleep);
        timers.filter_map(|station| station.host.poll_timeout()).chain(self.link.next_arrival()).min()
    }

    /// Does all that happens up to now, then lets everything out that wants to leave.
    pub fn step(&mut self) {
        while let Some(datagram) = self.link.receive(self.now) {
            let to = self.stations.iter().position(|station| station.place == datagram.to);
            if let Some(number) = to.filter(|&number| !self.stations[number].asleep) {
                self.stations[number].host.handle_input(self.now, datagram.from, &datagram.bytes);
            }
        }
        for number in 0..self.stations.len() {
            let station = &mut self.stations[number];
            if !station.asleep && station.host.poll_timeout().is_some_and(|at| at <= self.now) {
                station.host.handle_timeout(self.now);
            }
            self.collect(number);
        }
        self.flush();
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.flush();
        while let Some(next) = self.next_happening().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
        self.step();
    }

    /// Lets time pass until the condition holds. Panics if it does not within `bound`.
    #[track_caller]
    pub fn run_until(&mut self, bound: Duration, mut condition: impl FnMut(&Self) -> bool) {
        let end = self.now + bound;
        self.flush();
        while !condition(self) {
            let next = self.next_happening().expect("something to happen before the condition holds");
            assert!(next <= end, "the condition did not come to hold within {bound:?}");
            self.now = self.now.max(next);
            self.step();
        }
    }
}
