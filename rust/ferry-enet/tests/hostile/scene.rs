//! A host under attack, an honest client of it, and a forger whose connection is in a state of the test's choice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use ferry_enet::{Config, Event, Host, Mode, PeerId, PeerState, PeerStats, Timestamp};
use ferry_enet_testkit::forger::{Forger, counting_host, drain};
use ferry_enet_testkit::limits::{most_incomplete, most_undelivered};
use ferry_enet_testkit::raw::Raw;
use ferry_enet_testkit::world::Place;

pub(crate) const VICTIM: Place = Place { host: 0, port: 1 };
pub(crate) const HONEST: Place = Place { host: 1, port: 1 };
pub(crate) const FORGER: Place = Place { host: 9, port: 1 };
pub(crate) const CHANNELS: u32 = 4;
/// Longer than any time-out, also if the forger made the host believe in the longest round trips.
const LONG: Duration = Duration::from_secs(400);

/// Where the forger's connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Stranger,
    HalfOpen,
    /// The host called the forger.
    Connecting,
    Connected,
    DisconnectLater,
    Disconnecting,
    /// The forger said goodbye.
    Draining,
}

impl State {
    pub(crate) const ALL: [Self; 7] = [
        Self::Stranger,
        Self::HalfOpen,
        Self::Connecting,
        Self::Connected,
        Self::DisconnectLater,
        Self::Disconnecting,
        Self::Draining,
    ];

    /// Whether the other end has shown that it receives what is sent to its address.
    pub(crate) fn proven(self) -> bool {
        !matches!(self, Self::Stranger | Self::HalfOpen)
    }
}

pub(crate) struct Scene {
    pub(crate) now: Timestamp,
    pub(crate) victim: Host<Place>,
    pub(crate) honest: Host<Place>,
    /// The host's name for the honest client, and the client's for the host.
    pub(crate) honest_at_victim: PeerId,
    pub(crate) victim_at_honest: PeerId,
    pub(crate) forger: Forger,
    /// The host's name for the forger.
    pub(crate) peer: Option<PeerId>,
}

/// Small limits, so that passing them is cheap.
pub(crate) fn small() -> Config {
    Config {
        max_peers: 4,
        max_half_open: 4,
        max_packet_size: 50_000,
        max_incoming: 100_000,
        max_incoming_incomplete: 50_000 + 256 * 1024,
        ..Config::default()
    }
}

impl Scene {
    pub(crate) fn new(state: State, config: &Config) -> Self {
        let now = Timestamp::from_micros(1_000_000);
        let mut victim = counting_host(config.clone());
        let mut honest = counting_host(Config { checksum: config.checksum, ..Config::default() });
        let victim_at_honest = honest.connect(VICTIM, 2, 0).expect("room");
        exchange(now, &mut victim, &mut honest);
        let honest_at_victim = victim.poll_event().expect("a connection").peer();
        assert_eq!(honest.poll_event(), Some(Event::Connected { peer: victim_at_honest, data: 0 }));
        let mut forger = Forger::new(FORGER, config.checksum);
        let peer = bring(&mut victim, &mut forger, now, state);
        Self { now, victim, honest, honest_at_victim, victim_at_honest, forger, peer }
    }

    /// The forger says something, with a header that is right.
    pub(crate) fn say(&mut self, raw: Raw) {
        self.forger.say(&mut self.victim, self.now, raw);
    }

    /// The host's figures of the forger.
    pub(crate) fn figures(&self) -> PeerStats {
        self.peer.and_then(|peer| self.victim.peer_stats(peer)).expect("the forger's connection stands")
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.victim.poll_event()).collect()
    }

    /// What the host has to say to others than the honest client.
    pub(crate) fn answers(&mut self) -> Vec<(Place, Vec<u8>)> {
        let sent = drain(&mut self.victim, self.now);
        let (honest, others): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(to, _)| *to == HONEST);
        for (_, bytes) in honest {
            self.honest.handle_input(self.now, VICTIM, &bytes);
        }
        others
    }

    /// Lets time pass for the host under attack and the honest client, who keep talking; what is said to others is lost.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            exchange(self.now, &mut self.victim, &mut self.honest);
            let due = [self.victim.poll_timeout(), self.honest.poll_timeout()].into_iter().flatten().min();
            let Some(due) = due.filter(|&due| due <= end) else { break };
            self.now = self.now.max(due);
            self.victim.handle_timeout(self.now);
            self.honest.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Packets both ways between the host and its honest client; all of the host's events that are about others.
    pub(crate) fn honest_exchange(&mut self) -> Result<Vec<Event>, String> {
        let others = self.events();
        let (there, back) = (Bytes::from_static(b"there"), Bytes::from_static(b"and back"));
        let sent = self.honest.send(self.victim_at_honest, 0, Mode::Reliable, there);
        let sent_back = self.victim.send(self.honest_at_victim, 0, Mode::Reliable, back);
        if (sent, sent_back) != (Ok(()), Ok(())) {
            return Err(format!("the honest client's connection is gone: {sent:?}, {sent_back:?}"));
        }
        exchange(self.now, &mut self.victim, &mut self.honest);
        let received = |events: Vec<Event>| -> Vec<Vec<u8>> {
            let payload = |event| match event {
                Event::Received { payload, .. } => payload.to_vec(),
                other => format!("{other:?}").into_bytes(),
            };
            events.into_iter().map(payload).collect()
        };
        let here = received(self.events());
        let there = received(std::iter::from_fn(|| self.honest.poll_event()).collect());
        if (here.as_slice(), there.as_slice()) != (&[b"there".to_vec()], &[b"and back".to_vec()]) {
            return Err(format!("the honest client's exchange went wrong: {here:?}, {there:?}"));
        }
        Ok(others)
    }

    /// Whether the host's memory is within its settings.
    pub(crate) fn within_limits(&self) -> Result<(), String> {
        let (config, stats) = (self.victim.config(), self.victim.stats());
        if stats.peers > config.max_peers || stats.half_open > config.max_half_open {
            return Err(format!("too many: {stats:?}"));
        }
        if self.victim.peers().count() != stats.peers {
            return Err(format!("{} peers are listed: {stats:?}", self.victim.peers().count()));
        }
        for figures in self.victim.peers().filter_map(|peer| self.victim.peer_stats(peer)) {
            if figures.undelivered_bytes > most_undelivered(config)
                || figures.incomplete_bytes > most_incomplete(config)
            {
                return Err(format!("too much memory: {figures:?}"));
            }
        }
        Ok(())
    }

    /// Everybody leaves and the forger is silent: nothing must be left.
    pub(crate) fn quiet_in_the_end(mut self) -> Result<(), String> {
        self.victim.disconnect_now(self.honest_at_victim, 0).expect("it stands");
        if let Some(peer) = self.peer {
            // If it is there still. A call that nobody answers must end by itself.
            let connecting = self.victim.state(peer) == Some(PeerState::Connecting);
            if !connecting {
                _ = self.victim.disconnect(peer, 0);
            }
        }
        self.answers();
        let end = self.now + LONG;
        while let Some(due) = self.victim.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.victim.handle_timeout(self.now);
            self.answers();
        }
        self.events();
        let others: Vec<PeerId> = self.victim.peers().filter(|&peer| Some(peer) != self.peer).collect();
        let stats = self.victim.stats();
        if stats.half_open > 0 || stats.peers > 0 && others.is_empty() {
            return Err(format!("not over after {LONG:?} of silence: {stats:?}"));
        }
        Ok(())
    }
}

/// Two hosts say all they have to say to each other, without delay.
pub(crate) fn exchange(now: Timestamp, victim: &mut Host<Place>, honest: &mut Host<Place>) {
    loop {
        let (from_victim, from_honest) = (drain(victim, now), drain(honest, now));
        if from_victim.is_empty() && from_honest.is_empty() {
            return;
        }
        for (to, bytes) in from_victim {
            if to == HONEST {
                honest.handle_input(now, VICTIM, &bytes);
            }
        }
        for (_, bytes) in from_honest {
            victim.handle_input(now, HONEST, &bytes);
        }
    }
}

/// Brings the forger's connection into a state, with nothing left to be sent.
fn bring(host: &mut Host<Place>, forger: &mut Forger, now: Timestamp, state: State) -> Option<PeerId> {
    match state {
        State::Stranger => return None,
        State::HalfOpen => {
            assert!(forger.open_half(host, now, CHANNELS, 0xC0FFEE));
            return None;
        }
        State::Connecting => {
            let peer = host.connect(FORGER, CHANNELS as u8, 0).expect("room");
            assert!(forger.hear_connect(host, now));
            return Some(peer);
        }
        _ => {}
    }
    let peer = forger.open(host, now, CHANNELS, 0xC0FFEE).expect("a connection");
    host.send(peer, 0, Mode::Reliable, Bytes::from_static(b"never acknowledged")).expect("room");
    drain(host, now);
    match state {
        State::DisconnectLater => host.disconnect_later(peer, 1).expect("it stands"),
        State::Disconnecting => host.disconnect(peer, 1).expect("it stands"),
        State::Draining => forger.say(host, now, forger.header().disconnect(true, 1, 1)),
        _ => {}
    }
    drain(host, now);
    while host.poll_event().is_some() {}
    Some(peer)
}

/// Runs each case and tells of all that fail, those that panic included.
pub(crate) fn report<C: std::fmt::Debug>(
    cases: impl IntoIterator<Item = C>,
    mut test: impl FnMut(&C) -> Result<(), String>,
) {
    let mut failures = Vec::new();
    let mut count = 0_usize;
    for case in cases {
        count += 1;
        match catch_unwind(AssertUnwindSafe(|| test(&case))) {
            Ok(Ok(())) => {}
            Ok(Err(complaint)) => failures.push(format!("{case:?}: {complaint}")),
            Err(_) => failures.push(format!("{case:?}: panicked, see above")),
        }
    }
    let shown = failures.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{shown}", failures.len());
    assert!(count > 0, "there were no cases");
}
