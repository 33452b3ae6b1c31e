//! A game that is played while others do their worst, on any transport: a server and an honest client, packets both ways
//! that must come in order and keep coming.
//!
//! The transports' own scenes make the peers, and say what is long on their wire. One test runs at a time ([`alone`]), and a
//! panic on the network thread is seen here.
#![allow(dead_code, reason = "each transport's tests use a part of it")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use ferry_net::multiplayer::{Carrier, Multiplayer, Notice, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::Reason;

/// Whatever is waited for comes within this time, or never.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// The longest time without a packet for an honest player, attack or not. Much, since the attack, the server and the
/// player share two cores here; a connection that is harmed stands still for good.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Packets under way each way.
const UNDER_WAY: u32 = 32;

static ALONE: Mutex<()> = Mutex::new(());

/// The runtime catches a driver's panic, so that the other endpoints live on: it must be seen here, not inferred.
static DRIVER_PANICKED: AtomicBool = AtomicBool::new(false);
const NETWORK_THREAD: &str = "ferry-net";

/// To be held by each test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(watch_for_panics);
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch_for_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(NETWORK_THREAD) {
            DRIVER_PANICKED.store(true, Ordering::Release);
        }
        usual(panic);
    }));
}

pub(crate) fn driver_has_panicked() -> bool {
    DRIVER_PANICKED.load(Ordering::Acquire)
}

pub(crate) fn poll<C: Carrier>(peer: &mut Multiplayer<C>) -> Vec<Notice> {
    peer.begin_poll();
    std::iter::from_fn(|| peer.next_notice()).collect()
}

/// Until the client is in.
pub(crate) fn meet<C: Carrier>(server: &mut Multiplayer<C>, client: &mut Multiplayer<C>) {
    let started = Instant::now();
    while server.peer_ids().is_empty() || client.status() != Status::Connected {
        poll(server);
        let told = poll(client);
        assert!(started.elapsed() < BOUND, "the client cannot get in: {told:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a transport does not send in one piece: of so many packets, one is so long.
#[derive(Clone, Copy)]
pub(crate) struct Long {
    pub(crate) one_of: u32,
    pub(crate) length: usize,
}

impl Long {
    fn message(self, number: u32) -> Vec<u8> {
        let length = if number % self.one_of == self.one_of - 1 { self.length } else { 40 };
        number.to_le_bytes().into_iter().cycle().take(length).collect()
    }
}

/// One direction of the game: numbered packets.
struct Line {
    long: Long,
    sent: u32,
    received: u32,
    moved: Instant,
    /// When those under way were sent.
    under_way: VecDeque<Instant>,
    /// How long each took.
    took: Vec<Duration>,
}

impl Line {
    fn new(long: Long) -> Self {
        let (under_way, took) = (VecDeque::new(), Vec::new());
        Self { long, sent: 0, received: 0, moved: Instant::now(), under_way, took }
    }

    fn send<C: Carrier>(&mut self, from: &mut Multiplayer<C>) {
        while self.sent - self.received < UNDER_WAY {
            from.put_packet(&self.long.message(self.sent)).unwrap();
            self.under_way.push_back(Instant::now());
            self.sent += 1;
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let due = self.long.message(self.received);
        assert_eq!(bytes, due, "an honest packet came changed or out of turn");
        self.received += 1;
        self.moved = Instant::now();
        self.took.extend(self.under_way.pop_front().map(|sent| sent.elapsed()));
    }
}

/// A server with an honest client that both send and receive at each turn.
pub(crate) struct Game<C: Carrier> {
    pub(crate) server: Multiplayer<C>,
    pub(crate) honest: Multiplayer<C>,
    pub(crate) honest_id: i32,
    /// What the server was told of others, since it was last looked at.
    pub(crate) told: Vec<Notice>,
    /// Packets that the server got from others.
    pub(crate) from_others: u64,
    up: Line,
    down: Line,
}

impl<C: Carrier> Game<C> {
    /// Of two that are to meet.
    pub(crate) fn between(mut server: Multiplayer<C>, mut honest: Multiplayer<C>, long: Long) -> Self {
        meet(&mut server, &mut honest);
        let honest_id = honest.unique_id();
        let (up, down) = (Line::new(long), Line::new(long));
        let mut game = Self { server, honest, honest_id, told: Vec::new(), from_others: 0, up, down };
        game.play_for(Duration::from_millis(20));
        game.told.clear();
        game
    }

    /// Both ends poll, read and send once.
    pub(crate) fn turn(&mut self) {
        self.told.extend(poll(&mut self.server));
        let told = poll(&mut self.honest);
        assert!(told.is_empty(), "the honest client was told {told:?}");
        self.read();
        self.server.set_target(self.honest_id);
        self.down.send(&mut self.server);
        self.up.send(&mut self.honest);
        self.server.flush();
        self.honest.flush();
        for line in [&self.up, &self.down] {
            let still = line.moved.elapsed();
            assert!(still < STANDSTILL, "the honest client's game stands still since {still:?}");
        }
    }

    /// After a sleep: what was held up is not the attack's fault.
    pub(crate) fn wakes_up(&mut self) {
        for line in [&mut self.up, &mut self.down] {
            line.moved = Instant::now();
            line.under_way.iter_mut().for_each(|sent| *sent = Instant::now());
        }
    }

    fn read(&mut self) {
        while let Some(from) = self.server.next_packet().map(|packet| packet.from) {
            let bytes = self.server.take_packet().unwrap();
            if from == self.honest_id { self.up.receive(bytes) } else { self.from_others += 1 }
        }
        while let Some(mode) = self.honest.next_packet().map(|packet| packet.mode) {
            let bytes = self.honest.take_packet().unwrap();
            // A test may send others besides, unreliably.
            if mode == TransferMode::Reliable {
                self.down.receive(bytes);
            }
        }
    }

    /// Plays until the condition holds.
    pub(crate) fn play_until(&mut self, what: &str, condition: impl FnMut(&mut Self) -> bool) {
        self.play_until_within(BOUND, what, condition);
    }

    pub(crate) fn play_until_within(
        &mut self,
        bound: Duration,
        what: &str,
        mut condition: impl FnMut(&mut Self) -> bool,
    ) {
        let started = Instant::now();
        while !condition(self) {
            let told = &self.told[self.told.len().saturating_sub(8)..];
            assert!(
                started.elapsed() < bound,
                "not within the bound: {what}; of others, the server was told {told:?}"
            );
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn play_for(&mut self, time: Duration) {
        let started = Instant::now();
        self.play_until("time passes", |_| started.elapsed() >= time);
    }

    /// From now on, counts how long honest packets take.
    pub(crate) fn measure(&mut self) {
        self.up.took.clear();
        self.down.took.clear();
    }

    /// Of a hundred honest packets since then, 95 took less than this.
    pub(crate) fn packets_took_less_than(&mut self, bound: Duration, what: &str) {
        for (line, way) in [(&mut self.up, "up"), (&mut self.down, "down")] {
            line.took.sort_unstable();
            let most = line.took.get(line.took.len() * 95 / 100).copied().unwrap_or(Duration::MAX);
            println!("{what}: of {} packets {way}, 95 % took less than {most:?}", line.took.len());
            assert!(most < bound, "{what}: packets {way} took {most:?}");
        }
    }

    /// After an attack: both directions still move, and nobody has lost the other.
    pub(crate) fn plays_on(&mut self) {
        let (up, down) = (self.up.received + 200, self.down.received + 200);
        self.play_until("the game goes on", |game| game.up.received >= up && game.down.received >= down);
        assert!(self.server.peer_ids().contains(&self.honest_id));
        assert_eq!(self.honest.status(), Status::Connected);
        assert!(!driver_has_panicked(), "a driver has panicked");
    }

    /// Why this player was lost, if it was, as far as the game was told.
    pub(crate) fn lost(&self, id: i32) -> Option<Reason> {
        self.told.iter().find_map(|notice| match notice {
            Notice::PeerLost(lost, farewell) if *lost == id => Some(farewell.reason),
            _ => None,
        })
    }
}
