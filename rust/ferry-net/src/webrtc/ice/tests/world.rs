//! The pretend network: two agents, each perhaps behind a router, a STUN server, and signalling between them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::stun::{self, Class, Message};
use super::super::*;

pub(super) const STUN: &str = "203.0.113.1:3478";

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn config(controlling: bool) -> Config {
    Config {
        servers: Vec::new(),
        relay_only: false,
        controlling,
        connect_within: Duration::from_secs(30),
        disconnected_after: Duration::from_secs(5),
        failed_after: Duration::from_secs(20),
    }
}

/// What a router does with a packet's addresses.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Nat {
    /// One outside port for each inside port, open to all.
    FullCone,
    /// One outside port for each inside port, open to whom was written to.
    PortRestricted,
    /// Another outside port for each remote, open to that one.
    Symmetric,
}

pub(super) struct Router {
    kind: Nat,
    outside: IpAddr,
    /// Inside, remote (of the first packet), outside port.
    mappings: Vec<(SocketAddr, SocketAddr, u16)>,
    written: Vec<(SocketAddr, SocketAddr)>,
}

impl Router {
    pub(super) fn new(kind: Nat, outside: &str) -> Router {
        let outside = outside.parse().expect("an address");
        Router { kind, outside, mappings: Vec::new(), written: Vec::new() }
    }

    fn out(&mut self, inside: SocketAddr, remote: SocketAddr) -> SocketAddr {
        let symmetric = self.kind == Nat::Symmetric;
        let same =
            |known: &&(SocketAddr, SocketAddr, u16)| known.0 == inside && (!symmetric || known.1 == remote);
        let port = self.mappings.iter().find(same).map(|known| known.2).unwrap_or_else(|| {
            let port = 20_000 + self.mappings.len() as u16;
            self.mappings.push((inside, remote, port));
            port
        });
        let outside = SocketAddr::new(self.outside, port);
        if !self.written.contains(&(outside, remote)) {
            self.written.push((outside, remote));
        }
        outside
    }

    fn back(&self, outside: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
        let open = self.kind == Nat::FullCone || self.written.contains(&(outside, remote));
        let known = self.mappings.iter().find(|known| SocketAddr::new(self.outside, known.2) == outside)?;
        open.then_some(known.0)
    }
}

struct Flying {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub(super) struct Side {
    pub(super) agent: Agent,
    pub(super) bases: Vec<SocketAddr>,
    pub(super) router: Option<Router>,
    pub(super) events: Vec<Event>,
    pub(super) wants: Vec<Want>,
    pub(super) data: Vec<Bytes>,
    /// Its packets are lost.
    pub(super) cut: bool,
    pub(super) credentials: Credentials,
}

impl Side {
    fn new(config: Config, now: Instant) -> Side {
        let credentials = Credentials::random();
        Side {
            agent: Agent::new(config, credentials.clone(), now),
            bases: Vec::new(),
            router: None,
            events: Vec::new(),
            wants: Vec::new(),
            data: Vec::new(),
            cut: false,
            credentials,
        }
    }

    pub(super) fn states(&self) -> Vec<State> {
        let state = |event: &Event| match event {
            Event::State(state) => Some(*state),
            _ => None,
        };
        self.events.iter().filter_map(state).collect()
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) delay: Duration,
    pub(super) loss_percent: u64,
    /// How long a candidate takes through the game's signalling; none: it never arrives.
    pub(super) signalling: Option<Duration>,
    pub(super) sent: u64,
    /// Nothing comes from this address or goes there.
    pub(super) blocked: Option<SocketAddr>,
    lines: Vec<(Instant, usize, String)>,
    air: Vec<Flying>,
    seed: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        World::with([config(true), config(false)], seed)
    }

    pub(super) fn with(configs: [Config; 2], seed: u64) -> World {
        let now = Instant::now();
        World {
            now,
            sides: configs.map(|config| Side::new(config, now)),
            delay: ms(1),
            loss_percent: 0,
            signalling: Some(ms(2)),
            sent: 0,
            blocked: None,
            lines: Vec::new(),
            air: Vec::new(),
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// Two machines that reach each other directly.
    pub(super) fn plain(seed: u64) -> World {
        let mut world = World::new(seed);
        world.bind(0, &["198.51.100.1:5000"]);
        world.bind(1, &["198.51.100.2:5000"]);
        world
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    pub(super) fn bind(&mut self, side: usize, bases: &[&str]) {
        for base in bases {
            self.sides[side].bases.push(address(base));
            self.sides[side].agent.add_base(self.now, address(base));
        }
        self.sides[side].agent.bases_complete(self.now);
        self.drain(side);
    }

    /// Tells a side the other's credentials.
    pub(super) fn introduce(&mut self, side: usize) {
        let credentials = self.sides[1 - side].credentials.clone();
        self.sides[side].agent.set_remote_credentials(self.now, credentials).expect("they are good");
        self.drain(side);
    }

    pub(super) fn introduce_both(&mut self) {
        self.introduce(0);
        self.introduce(1);
    }

    pub(super) fn restart(&mut self, side: usize) {
        let credentials = Credentials::random();
        self.sides[side].credentials = credentials.clone();
        self.sides[side].agent.restart(self.now, credentials);
        self.drain(side);
    }

    pub(super) fn both_connected(&self) -> bool {
        self.sides.iter().all(|side| side.agent.state() == State::Connected)
    }

    /// Runs until both are connected; how long it took. Nothing else may have come after `within`.
    pub(super) fn connect(&mut self, within: Duration) -> Duration {
        let begin = self.now;
        self.run_until(within, World::both_connected);
        let states = self.sides.each_ref().map(|side| (side.agent.state(), side.agent.failure()));
        assert!(self.both_connected(), "after {:?}: {states:?}", self.now - begin);
        self.now - begin
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    pub(super) fn run_until(&mut self, within: Duration, done: impl Fn(&World) -> bool) {
        let end = self.now + within;
        let mut steps = 0_u64;
        while !done(self) {
            let timers = [self.sides[0].agent.poll_timeout(), self.sides[1].agent.poll_timeout()];
            let packets = self.air.iter().map(|flying| flying.at);
            let lines = self.lines.iter().map(|line| line.0);
            let next = packets.chain(lines).chain(timers.into_iter().flatten()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            steps += 1;
            assert!(steps < 2_000_000, "the agents spin");
            self.deliver();
            for side in 0..2 {
                self.sides[side].agent.handle_timeout(self.now);
                self.drain(side);
            }
        }
    }

    pub(super) fn send(&mut self, side: usize, bytes: &[u8]) -> bool {
        let sent = self.sides[side].agent.send(self.now, bytes);
        self.drain(side);
        sent
    }

    fn deliver(&mut self) {
        let due: Vec<_> = self.lines.extract_if(.., |line| line.0 <= self.now).collect();
        for (_, side, line) in due {
            self.sides[side].agent.add_remote_candidate(self.now, &line).expect("a good line");
            self.drain(side);
        }
        while let Some(place) = self.air.iter().position(|flying| flying.at <= self.now) {
            let Flying { from, to, bytes, .. } = self.air.remove(place);
            self.arrive(from, to, &bytes);
        }
    }

    fn arrive(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to == address(STUN) {
            let message = Message::parse(bytes).expect("only good questions are asked");
            if message.class == Class::Request {
                let answer = stun::tests::binding_answer(message.transaction, from);
                self.fly(to, from, answer);
            }
            return;
        }
        for side in 0..2 {
            let local = match &self.sides[side].router {
                Some(router) => router.back(to, from),
                None => Some(to).filter(|to| self.sides[side].bases.contains(to)),
            };
            let Some(local) = local else { continue };
            let Side { agent, data, .. } = &mut self.sides[side];
            agent.handle_datagram(self.now, local, from, bytes, data);
            self.drain(side);
        }
    }

    pub(super) fn fly(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let blocked = self.blocked.is_some_and(|place| place == from || place == to);
        if !blocked && self.random(100) >= self.loss_percent {
            self.air.push(Flying { at: self.now + self.delay, from, to, bytes });
        }
    }

    pub(super) fn drain(&mut self, side: usize) {
        while let Some(want) = self.sides[side].agent.poll_want() {
            self.sides[side].wants.push(want);
        }
        while let Some(transmit) = self.sides[side].agent.poll_transmit() {
            self.sent += 1;
            let Via::Socket { local, remote } = transmit.by else { continue };
            if self.sides[side].cut {
                continue;
            }
            let from = match &mut self.sides[side].router {
                Some(router) => router.out(local, remote),
                None => local,
            };
            self.fly(from, remote, transmit.bytes);
        }
        while let Some(event) = self.sides[side].agent.poll_event() {
            if let (Event::Candidate(line), Some(delay)) = (&event, self.signalling) {
                self.lines.push((self.now + delay, 1 - side, line.clone()));
            }
            self.sides[side].events.push(event);
        }
    }
}
