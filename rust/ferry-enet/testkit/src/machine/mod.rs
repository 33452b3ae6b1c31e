//! A fuzzer's bytes as a life of two or three hosts.
//!
//! The first bytes choose settings, mostly small ones. The rest are operations: everything that a driver or a game can
//! do, in any order, and everything that a network can do to datagrams. In a *hostile* life, datagrams between
//! strangers and the hosts, and between host 2 and the others, are also changed and forged; what hosts 0 and 1 say to
//! each other is left alone, and every promise still holds for it.
//!
//! After each operation and at the end the run panics if
//! * a figure contradicts what the host says otherwise, passes a setting, or runs backwards (`site.rs`);
//! * an event speaks of a connection that nobody was told of, or of one that has ended (`site.rs`);
//! * a packet came that was not sent, came twice, late, or out of order (`lives.rs`);
//! * a reliable packet has not arrived once the network is well for some time (`lives.rs`);
//! * a host is not quiet some minutes after every connection was ended.

mod lives;
mod operations;
mod site;

use std::time::Duration;

use ferry_enet::{Config, Timestamp};

use crate::choices::Choices;
use crate::random::Random;
use crate::world::Place;

use lives::Lives;
use site::Site;

/// More operations than this are left undone, so that no input takes long.
const MOST_OPERATIONS: usize = 400;
/// How long a datagram takes when time is let pass.
const LATENCY: Duration = Duration::from_millis(5);
/// More datagrams than this at once, and the oldest get lost.
const MOST_UNDER_WAY: usize = 256;
/// So many steps without time passing are one thing causing itself.
const MOST_STEPS_AT_ONCE: usize = 1000;
/// All that was sent has arrived in this time on a network that loses nothing.
const HEALING: Duration = Duration::from_secs(120);
/// All that ended is forgotten in this time: a time-out, with the longest round trip a peer can make a host believe in.
const QUIET: Duration = Duration::from_secs(400);

/// A datagram on its way.
struct Flight {
    arrives: Timestamp,
    from: Place,
    to: Place,
    bytes: Vec<u8>,
}

/// Everything.
struct Machine {
    now: Timestamp,
    sites: Vec<Site>,
    lives: Lives,
    under_way: Vec<Flight>,
    /// Of 256 datagrams, so many get lost while time passes.
    loss: u8,
    chance: Random,
    hostile: bool,
    checksum: bool,
    buffer: Box<[u8]>,
}

/// Lives the life that `data` tells. Panics if something is wrong with it.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut machine = Machine::new(&mut choices);
    for _ in 0..MOST_OPERATIONS {
        if choices.is_empty() {
            break;
        }
        machine.operate(&mut choices);
        machine.check();
    }
    machine.heal();
    machine.end(&mut choices);
}

impl Machine {
    fn new(choices: &mut Choices<'_>) -> Self {
        let kind = choices.byte();
        let (hostile, checksum, shorten) = (kind & 1 != 0, kind & 2 != 0, kind & 4 != 0);
        let count = if kind & 8 != 0 || hostile { 3 } else { 2 };
        let loss = choices.pick(&[0, 0, 5, 40, 100]);
        let now = Timestamp::from_micros(u64::from(choices.byte()) * 500_000);
        let max_packet_size = choices.pick(&[100_000, 100_000, 20_000, 6000, 2000, 100, 0]);
        // What one host may send, the others must take: a longer packet is never acknowledged.
        let common = Config {
            max_peers: 4,
            max_packet_size,
            max_incoming_incomplete: max_packet_size + 256 * 1024,
            checksum,
            ..Config::default()
        };
        let sites = (0..count).map(|number| Site::new(number, &common, shorten, choices)).collect();
        let mut machine = Self {
            now,
            sites,
            lives: Lives::default(),
            under_way: Vec::new(),
            loss,
            chance: Random::new(u64::from(loss)),
            hostile,
            checksum,
            buffer: Box::new([0; 4096]),
        };
        // Most lives begin with a connection, so that not every input has to find out how to make one.
        if kind >> 4 & 3 != 3 {
            machine.connect(1, Place::of(0), 8);
            machine.pass(LATENCY * 6, |_| false);
        }
        machine
    }

    /// Lets out all that site `number` wants to say.
    fn flush(&mut self, number: usize) {
        let site = &mut self.sites[number];
        if site.asleep {
            return;
        }
        while let Some(transmit) = site.host.poll_transmit(self.now, &mut self.buffer) {
            let (arrives, bytes) = (self.now + LATENCY, self.buffer[..transmit.len].to_vec());
            self.under_way.push(Flight { arrives, from: site.place, to: transmit.to, bytes });
        }
        let surplus = self.under_way.len().saturating_sub(MOST_UNDER_WAY);
        self.under_way.drain(..surplus);
    }

    fn arrive(&mut self, flight: &Flight) {
        let to = if flight.to == Place::BROADCAST { Place::of(0) } else { flight.to };
        if let Some(site) = self.sites.iter_mut().find(|site| site.place == to && !site.asleep) {
            site.host.handle_input(self.now, flight.from, &flight.bytes);
        }
    }

    /// Site `number` fetches up to `most` events.
    fn fetch(&mut self, number: usize, most: usize) {
        for _ in 0..most {
            if !self.sites[number].fetch(self.now, &mut self.lives) {
                break;
            }
        }
    }

    /// Lets time pass as drivers let it that do all they should, until `enough` says so.
    fn pass(&mut self, span: Duration, mut enough: impl FnMut(&Self) -> bool) {
        let end = self.now + span;
        let mut steps_at_once = 0;
        while !enough(self) {
            for number in 0..self.sites.len() {
                self.flush(number);
            }
            let timers = self.sites.iter().filter(|site| !site.asleep);
            let due = timers.filter_map(|site| site.host.poll_timeout());
            let next = due.chain(self.under_way.iter().map(|flight| flight.arrives)).min();
            let Some(next) = next.filter(|&next| next <= end) else {
                self.now = end;
                return;
            };
            steps_at_once = if next > self.now { 0 } else { steps_at_once + 1 };
            assert!(steps_at_once < MOST_STEPS_AT_ONCE, "something happens again and again at {next:?}");
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        let arrived: Vec<Flight> = self.under_way.extract_if(.., |flight| flight.arrives <= now).collect();
        for flight in arrived {
            if self.chance.below(256) >= u64::from(self.loss) {
                self.arrive(&flight);
            }
        }
        for number in 0..self.sites.len() {
            let site = &mut self.sites[number];
            if !site.asleep && site.host.poll_timeout().is_some_and(|due| due <= now) {
                site.host.handle_timeout(now);
            }
            if site.attentive && !site.asleep {
                self.fetch(number, usize::MAX);
            }
        }
    }

    fn check(&mut self) {
        for site in &mut self.sites {
            site.check();
        }
    }

    /// Everybody is awake and does all he should, and nothing gets lost.
    fn heal(&mut self) {
        self.loss = 0;
        for site in &mut self.sites {
            site.wake();
        }
        self.lives.begin_healing(self.now, &self.sites);
        self.pass(HEALING, |machine| machine.lives.settled(&machine.sites));
        for number in 0..self.sites.len() {
            self.fetch(number, usize::MAX);
        }
        self.check();
        self.lives.check_healed(&self.sites);
    }

    /// All connections are ended, one way or another.
    fn end(&mut self, choices: &mut Choices<'_>) {
        for site in &mut self.sites {
            site.part(choices);
        }
        self.pass(QUIET, |_| false);
        self.step();
        self.check();
        for site in &mut self.sites {
            site.check_quiet(self.now);
        }
    }
}
