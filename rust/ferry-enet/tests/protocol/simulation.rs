//! Thousands of random matches in virtual time.
//!
//! Each match is a world by a seed: some hosts with random settings, a random network that changes, players who come,
//! talk, go, fall asleep and come back. While it runs, every delivery is held against the promises; in the end
//! everybody leaves, and after a while nothing may be left: no connection, no timer, nothing queued.
//!
//! `FERRY_SEED=n` replays one match; `FERRY_SIM_SECONDS=n` goes on for so long (`cargo xtask simulate`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferry_enet::compress::RangeCoder;
use ferry_enet::{Config, Event, Mode, PeerId, PeerState, Timeouts};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::parcel::{Ledger, MODES};
use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MATCHES: u64 = 2000;

/// One end of a connection.
type End = (usize, PeerId);

struct Match {
    world: World,
    random: Random,
    /// What each end was sent, by the sender's end.
    ledgers: HashMap<End, Ledger>,
    /// The other end, once both are known.
    partners: HashMap<End, End>,
    /// The client's ends by the word in their CONNECT.
    calls: HashMap<u32, End>,
    next_word: u32,
    checksum: bool,
}

fn random_config(random: &mut Random, checksum: bool) -> Config {
    Config {
        max_peers: random.between(1, 6) as usize,
        // So many that no slot is used four times while somebody still talks to its first connection, which was dropped
        // without his knowing: two bits of session cannot tell those apart. (The checksum can. With few slots, one match
        // in a thousand meets this.)
        max_half_open: 64,
        channel_limit: random.pick(&[1, 3, 255]),
        mtu: random.pick(&[576, 1392, 1392, 4096]),
        checksum,
        incoming_bandwidth: random.pick(&[0, 0, 0, 50_000]),
        outgoing_bandwidth: random.pick(&[0, 0, 0, 50_000]),
        max_outgoing_reliable: random.pick(&[50_000, 10_000_000]),
        max_outgoing_unreliable: random.pick(&[20_000, 1_000_000]),
        max_incoming: random.pick(&[5_000, 1_000_000]),
        max_incoming_incomplete: random.pick(&[10_000, 1_000_000]),
        max_packet_size: 200_000,
        timeouts: random
            .pick(&[Timeouts::default(), Timeouts { limit: 8, minimum: SECOND, maximum: 5 * SECOND }]),
        ..Config::default()
    }
}

impl Match {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut world = World::new(random.any(), Conditions::random(&mut random));
        let checksum = random.chance(300);
        // Seldom: the coder takes ten times as long as all the rest.
        let compress = random.chance(30);
        for number in 0..random.between(2, 5) as usize {
            world.add(random_config(&mut random, checksum));
            if compress {
                world.stations[number].host.set_compressor(Some(Box::new(RangeCoder::new())));
            }
        }
        let (ledgers, partners, calls) = Default::default();
        Self { world, random, ledgers, partners, calls, next_word: 1, checksum }
    }

    fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.random.between(10, 150) {
            self.act();
            let span = self.random.pick(&[0, 1, 5, 20, 100, 1000]);
            self.world.run_for(Duration::from_millis(span));
            self.check()?;
        }
        self.end()
    }

    fn act(&mut self) {
        let number = self.random.below(self.world.stations.len() as u64) as usize;
        let peers: Vec<PeerId> = self.world.stations[number].host.peers().collect();
        let peer = if peers.is_empty() { None } else { Some(self.random.pick(&peers)) };
        match (self.random.below(20), peer) {
            (0..=1, _) | (_, None) => self.call(number),
            (2, Some(peer)) => self.leave(number, peer),
            (3, _) => self.world.link.conditions = Conditions::random(&mut self.random),
            (4, _) if self.random.chance(300) => {
                let asleep = &mut self.world.stations[number].asleep;
                *asleep = !*asleep;
            }
            (5, Some(peer)) => {
                let host = &mut self.world.stations[number].host;
                host.ping(peer).expect("a peer");
                host.set_ping_interval(peer, Duration::from_millis(self.random.between(0, 2000)))
                    .expect("a peer");
            }
            (_, Some(peer)) => self.send(number, peer),
        }
    }

    fn call(&mut self, from: usize) {
        let to = self.random.below(self.world.stations.len() as u64) as usize;
        let place = self.world.stations[to].place;
        let channels = self.random.pick(&[1, 2, 8, 255]);
        if to != from
            && let Ok(peer) = self.world.stations[from].host.connect(place, channels, self.next_word)
        {
            self.calls.insert(self.next_word, (from, peer));
            self.next_word += 1;
        }
    }

    fn leave(&mut self, number: usize, peer: PeerId) {
        let host = &mut self.world.stations[number].host;
        match self.random.below(4) {
            0 => host.disconnect(peer, 1),
            1 => host.disconnect_later(peer, 2),
            2 => host.disconnect_now(peer, 3),
            _ => host.reset(peer),
        }
        .expect("a peer");
    }

    fn send(&mut self, number: usize, peer: PeerId) {
        let host = &mut self.world.stations[number].host;
        if host.state(peer) != Some(PeerState::Connected) {
            return;
        }
        let channel = self.random.below(u64::from(host.channel_count(peer).expect("a peer"))) as u8;
        let mtu = usize::from(host.peer_stats(peer).expect("a peer").mtu);
        let largest_whole = mtu - 28 - if self.checksum { 4 } else { 0 };
        for _ in 0..self.random.between(1, 20) {
            let mode = self.random.pick(&MODES);
            let len = match self.random.below(30) {
                0 => 60_000,
                1 => 5000,
                _ => self.random.pick(&[9, 50, 500, largest_whole, largest_whole + 1]),
            };
            let ledger = self.ledgers.entry((number, peer)).or_default();
            let payload = ledger.write(channel, mode, len);
            let host = &mut self.world.stations[number].host;
            if host.send(peer, channel, mode, payload).is_ok() {
                let unless_large = matches!(mode, Mode::UnreliableUnlessLarge | Mode::UnsequencedUnlessLarge);
                ledger.sent(channel, mode == Mode::Reliable || unless_large && len > largest_whole);
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        for number in 0..self.world.stations.len() {
            for event in self.world.take_events(number) {
                let end = (number, event.peer());
                match event {
                    Event::Connected { data: 0, .. } | Event::Disconnected { .. } => {}
                    Event::Connected { data, .. } => {
                        let caller = self.calls[&data];
                        self.partners.insert(end, caller);
                        self.partners.insert(caller, end);
                    }
                    Event::Received { channel, mode, payload, .. } => {
                        let sender = self.partners.get(&end).ok_or("a packet from nobody")?;
                        let ledger = self.ledgers.get_mut(sender).ok_or("a packet of a silent peer")?;
                        ledger.arrived(channel, mode, &payload)?;
                    }
                }
            }
            self.check_host(number)?;
        }
        Ok(())
    }

    fn check_host(&self, number: usize) -> Result<(), String> {
        let host = &self.world.stations[number].host;
        let (config, stats) = (host.config(), host.stats());
        if stats.peers != host.peers().count() || stats.peers > config.max_peers {
            return Err(format!("{} peers of {}: {stats:?}", host.peers().count(), config.max_peers));
        }
        if stats.half_open > config.max_half_open {
            return Err(format!("{} handshakes", stats.half_open));
        }
        for peer in host.peers() {
            let figures = host.peer_stats(peer).ok_or("a peer without figures")?;
            let bounded = figures.queued_bytes
                <= config.max_outgoing_reliable + config.max_outgoing_unreliable
                && figures.undelivered_bytes <= config.max_incoming + 5000 + config.max_packet_size
                && figures.incomplete_bytes
                    <= config.max_incoming_incomplete
                        + config.max_packet_size
                        + 400 * 64
                        + 1000
                        + 255 * 80_000
                && figures.packet_throttle <= figures.packet_throttle_limit
                && figures.packet_throttle_limit <= 32
                && figures.bytes_in_flight <= figures.window_size as usize + 4096;
            if !bounded {
                return Err(format!("a bound is passed: {figures:#?}"));
            }
        }
        Ok(())
    }

    /// Everybody leaves; what was owed to those who stayed to the end arrives; then there is silence.
    fn end(&mut self) -> Result<(), String> {
        self.world.link.conditions = Conditions::PERFECT;
        for station in &mut self.world.stations {
            station.asleep = false;
        }
        for _ in 0..120 {
            self.world.run_for(SECOND);
            self.check()?;
            if self.missing().is_none() {
                break;
            }
        }
        if let Some(missing) = self.missing() {
            return Err(missing);
        }
        for station in &mut self.world.stations {
            for peer in station.host.peers().collect::<Vec<_>>() {
                station.host.disconnect_later(peer, 0).expect("a peer");
            }
        }
        self.world.run_for(120 * SECOND);
        self.check()?;
        for station in &self.world.stations {
            let stats = station.host.stats();
            if stats.peers + stats.half_open > 0 {
                return Err(format!("somebody is still there: {stats:?}"));
            }
            if let Some(at) = station.host.poll_timeout() {
                return Err(format!("a timer is left, at {at:?} of {:?}", self.world.now));
            }
        }
        match self.world.link.next_arrival() {
            Some(_) => Err("somebody still talks".into()),
            None => Ok(()),
        }
    }

    /// Whether something is still owed between two ends that are both there.
    fn missing(&self) -> Option<String> {
        for (&(number, peer), ledger) in &self.ledgers {
            let connected = |(number, peer): End| {
                self.world.stations[number].host.state(peer) == Some(PeerState::Connected)
            };
            let partner = self.partners.get(&(number, peer));
            let both = connected((number, peer)) && partner.is_some_and(|&end| connected(end));
            if both && !ledger.complete() {
                let figures = self.world.stations[number].host.peer_stats(peer);
                return Some(format!("{number}, {peer:?}: reliable packets are missing: {figures:#?}"));
            }
        }
        None
    }
}

fn play(seed: u64) {
    let outcome = std::panic::catch_unwind(|| Match::new(seed).play());
    let failure = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(broken)) => broken,
        Err(_) => "it panicked, see above".into(),
    };
    panic!(
        "match {seed}: {failure}\nreplay it with: FERRY_SEED={seed} cargo test -p ferry-enet --test protocol simulation"
    );
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn simulation_of_random_matches() {
    if let Some(seed) = number_from("FERRY_SEED") {
        return play(seed);
    }
    let Some(seconds) = number_from("FERRY_SIM_SECONDS") else {
        return (0..MATCHES).for_each(play);
    };
    let start = Instant::now();
    let mut seed = start.elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 32;
    let mut played = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        play(seed);
        seed += 1;
        played += 1;
    }
    println!("{played} matches, the last one by seed {}", seed - 1);
}
