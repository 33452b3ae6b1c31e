//! A server, an honest client, and the game that they play while others do their worst.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use ferry_net::bind_address::BindAddress;
use ferry_net::enet::{self, Connection, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Notice, Status};
use ferry_net::packet::TransferMode;

pub(crate) type Peer = Multiplayer<Connection>;

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

fn watch_for_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(NETWORK_THREAD) {
            DRIVER_PANICKED.store(true, Ordering::Release);
        }
        usual(panic);
    }));
}

/// To be held by each test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(watch_for_panics);
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn server(settings: HostSettings, limits: Limits) -> Peer {
    let mut peer = Peer::default();
    peer.set_limits(limits);
    // IPv4, so that each loopback address is a host of its own on every system.
    let settings = HostSettings { bind: BindAddress::Ip([127, 0, 0, 1].into()), ..settings };
    peer.start_server(enet::open_server(settings, limits).unwrap()).unwrap();
    // The first poll arms it.
    poll(&mut peer);
    peer
}

pub(crate) fn client(port: u16, limits: Limits) -> Peer {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let (connection, link, id) =
        enet::open_client(settings, Target::new("127.0.0.1", port), 0, limits).unwrap();
    let mut peer = Peer::default();
    peer.set_limits(limits);
    peer.start_client(connection, link, Some(id)).unwrap();
    peer
}

pub(crate) fn port(server: &Peer) -> u16 {
    server.carrier().unwrap().local_port()
}

pub(crate) fn poll(peer: &mut Peer) -> Vec<Notice> {
    peer.begin_poll();
    std::iter::from_fn(|| peer.next_notice()).collect()
}

/// A server and a client that is in.
pub(crate) fn pair(settings: HostSettings, limits: Limits) -> (Peer, Peer) {
    let mut server = server(settings, limits);
    let mut client = client(port(&server), Limits::default());
    let started = Instant::now();
    while server.peer_ids().is_empty() || client.status() != Status::Connected {
        poll(&mut server);
        poll(&mut client);
        assert!(started.elapsed() < BOUND, "the client cannot get in");
        std::thread::sleep(Duration::from_millis(1));
    }
    (server, client)
}

/// The megabytes of memory that the process has in use, where the system tells.
pub(crate) fn memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

/// One direction of the game: numbered packets.
struct Line {
    sent: u32,
    received: u32,
    moved: Instant,
}

impl Line {
    fn new() -> Self {
        Self { sent: 0, received: 0, moved: Instant::now() }
    }

    fn send(&mut self, from: &mut Peer) {
        while self.sent - self.received < UNDER_WAY {
            from.put_packet(&message(self.sent)).unwrap();
            self.sent += 1;
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        assert_eq!(bytes, message(self.received), "an honest packet came changed or out of turn");
        self.received += 1;
        self.moved = Instant::now();
    }
}

/// Some are cut into fragments.
fn message(number: u32) -> Vec<u8> {
    let len = if number % 16 == 15 { 3000 } else { 40 };
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

/// A server with an honest client that both send and receive at each turn.
pub(crate) struct Game {
    pub(crate) server: Peer,
    pub(crate) honest: Peer,
    pub(crate) honest_id: i32,
    /// What the server was told of others, since it was last looked at.
    pub(crate) told: Vec<Notice>,
    /// Packets that the server got from others.
    pub(crate) from_others: u64,
    up: Line,
    down: Line,
}

impl Game {
    pub(crate) fn new() -> Self {
        Self::with(HostSettings::default(), Limits::default())
    }

    pub(crate) fn with(settings: HostSettings, limits: Limits) -> Self {
        let (server, honest) = pair(settings, limits);
        let honest_id = honest.unique_id();
        let (up, down) = (Line::new(), Line::new());
        Self { server, honest, honest_id, told: Vec::new(), from_others: 0, up, down }
    }

    pub(crate) fn port(&self) -> u16 {
        port(&self.server)
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
        self.up.moved = Instant::now();
        self.down.moved = Instant::now();
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
    pub(crate) fn play_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            assert!(
                started.elapsed() < BOUND,
                "not within the bound: {what}; the server was told {:?}",
                self.told
            );
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// After an attack: both directions still move, and nobody has lost the other.
    pub(crate) fn plays_on(&mut self) {
        let (up, down) = (self.up.received + 200, self.down.received + 200);
        self.play_until("the game goes on", |game| game.up.received >= up && game.down.received >= down);
        assert!(self.server.peer_ids().contains(&self.honest_id));
        assert_eq!(self.honest.status(), Status::Connected);
        assert!(!DRIVER_PANICKED.load(Ordering::Acquire), "a driver has panicked");
    }
}
