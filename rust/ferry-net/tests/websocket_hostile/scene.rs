//! A server, an honest client, and the game that they play while others do their worst.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Notice, Status};
use ferry_net::reason::Reason;
use ferry_net::tls;
use ferry_net::websocket::{self, Settings, Sockets, Url};

use crate::watch;
use crate::websocket_support::frames::BINARY;
use crate::websocket_support::handshake;
use crate::websocket_support::raw::Raw;

pub(crate) type Peer = Multiplayer<Sockets>;

/// Whatever is waited for comes within this time, or never.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// The longest time without a packet for an honest player, attack or not. Much, since the attack, the server and the
/// player share two cores here; a connection that is harmed stands still for good.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Packets under way each way.
const UNDER_WAY: u32 = 32;

pub(crate) fn server(settings: Settings, limits: Limits) -> Peer {
    let mut peer = Peer::default();
    peer.set_limits(limits);
    // IPv4, so that each loopback address is a host of its own on every system.
    let localhost = BindAddress::Ip(Ipv4Addr::LOCALHOST.into());
    peer.start_server(websocket::open_server(localhost, 0, None, settings, limits).unwrap()).unwrap();
    // The first poll arms it.
    poll(&mut peer);
    peer
}

/// What a client believes of servers that speak no TLS: it is not asked.
pub(crate) fn no_trust() -> tls::Client {
    tls::Client::new(&tls::ClientOptions { trusted: None, common_name: None, verify: true }).unwrap()
}

pub(crate) fn client(port: u16, limits: Limits) -> Peer {
    client_to(&format!("ws://127.0.0.1:{port}"), no_trust(), limits)
}

pub(crate) fn client_to(url: &str, trust: tls::Client, limits: Limits) -> Peer {
    let url = Url::parse(url).unwrap();
    let (sockets, link) = websocket::open_client(url, trust, Settings::default(), limits).unwrap();
    let mut peer = Peer::default();
    peer.set_limits(limits);
    peer.start_client(sockets, link, None).unwrap();
    // Begins; what it is told is the test's to hear.
    peer.flush();
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
pub(crate) fn pair(settings: Settings, limits: Limits) -> (Peer, Peer) {
    let server = server(settings, limits);
    let client = client(port(&server), Limits::default());
    meet(server, client)
}

fn meet(mut server: Peer, mut client: Peer) -> (Peer, Peer) {
    let started = Instant::now();
    while server.peer_ids().is_empty() || client.status() != Status::Connected {
        poll(&mut server);
        let told = poll(&mut client);
        assert!(started.elapsed() < BOUND, "the client cannot get in: {told:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    (server, client)
}

/// One direction of the game: numbered packets.
struct Line {
    sent: u32,
    received: u32,
    moved: Instant,
    /// When those under way were sent.
    under_way: VecDeque<Instant>,
    /// How long each took.
    took: Vec<Duration>,
}

impl Line {
    fn new() -> Self {
        Self { sent: 0, received: 0, moved: Instant::now(), under_way: VecDeque::new(), took: Vec::new() }
    }

    fn send(&mut self, from: &mut Peer) {
        while self.sent - self.received < UNDER_WAY {
            from.put_packet(&message(self.sent)).unwrap();
            self.under_way.push_back(Instant::now());
            self.sent += 1;
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        assert_eq!(bytes, message(self.received), "an honest packet came changed or out of turn");
        self.received += 1;
        self.moved = Instant::now();
        self.took.extend(self.under_way.pop_front().map(|sent| sent.elapsed()));
    }
}

/// Some are longer than what a socket is asked to send at once.
fn message(number: u32) -> Vec<u8> {
    let len = if number % 64 == 63 { 40_000 } else { 40 };
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
        Self::with(Settings::default(), Limits::default())
    }

    pub(crate) fn with(settings: Settings, limits: Limits) -> Self {
        let (server, honest) = pair(settings, limits);
        Self::of(server, honest)
    }

    /// Of two that are to meet.
    pub(crate) fn of(server: Peer, honest: Peer) -> Self {
        let (server, honest) = meet(server, honest);
        let honest_id = honest.unique_id();
        let (up, down) = (Line::new(), Line::new());
        let mut game = Self { server, honest, honest_id, told: Vec::new(), from_others: 0, up, down };
        game.play_for(Duration::from_millis(20));
        game.told.clear();
        game
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
        while let Some(bytes) = self.honest.take_packet() {
            self.down.receive(bytes);
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
        assert!(!watch::driver_has_panicked(), "a driver has panicked");
    }

    /// Why this player was lost, if it was, as far as the game was told.
    pub(crate) fn lost(&self, id: i32) -> Option<Reason> {
        self.told.iter().find_map(|notice| match notice {
            Notice::PeerLost(lost, farewell) if *lost == id => Some(farewell.reason),
            _ => None,
        })
    }

    /// Somebody new gets in, this soon, and leaves.
    pub(crate) fn lets_in_a_newcomer(&mut self, within: Duration, mut meanwhile: impl FnMut(&mut Self)) {
        let mut newcomer = client(self.port(), Limits::default());
        let began = Instant::now();
        self.play_until("a newcomer gets in", |game| {
            meanwhile(game);
            let told = poll(&mut newcomer);
            assert!(
                !matches!(told.first(), Some(Notice::ConnectionFailed(_))),
                "the newcomer was told {told:?}"
            );
            newcomer.status() == Status::Connected
        });
        println!("a newcomer got in within {:?}", began.elapsed());
        assert!(began.elapsed() < within, "a newcomer took {:?}", began.elapsed());
        let id = newcomer.unique_id();
        self.play_until("the server sees it", |game| game.server.peer_ids().contains(&id));
        newcomer.close();
        self.play_until("it is gone", |game| game.lost(id).is_some());
        self.told.clear();
    }

    /// A stranger who shakes hands by the protocol, to follow no rule afterwards; with the id that it got.
    pub(crate) fn stranger_joins(&mut self) -> (Raw, i32) {
        let mut stranger = Raw::connect(self.port());
        stranger.send(handshake::request());
        let mut id = 0;
        self.play_until("the stranger gets in", |game| {
            stranger.turn();
            if id == 0 {
                id = take_id(&mut stranger).unwrap_or_default();
            }
            game.server.peer_ids().contains(&id)
        });
        self.told.clear();
        (stranger, id)
    }

    /// Many of them.
    pub(crate) fn strangers_join(&mut self, count: usize) -> Vec<Raw> {
        let mut strangers: Vec<Raw> = (0..count)
            .map(|_| {
                let mut stranger = Raw::connect(self.port());
                stranger.send(handshake::request());
                stranger
            })
            .collect();
        let mut ids = vec![0; count];
        self.play_until("the strangers get in", |_| {
            for (stranger, id) in strangers.iter_mut().zip(&mut ids).filter(|(_, id)| **id == 0) {
                stranger.turn();
                *id = take_id(stranger).unwrap_or_default();
            }
            !ids.contains(&0)
        });
        self.play_until("all are players", |game| ids.iter().all(|id| game.server.peer_ids().contains(id)));
        self.told.clear();
        strangers
    }
}

/// Past the server's answer, to the id in its first message.
fn take_id(stranger: &mut Raw) -> Option<i32> {
    if stranger.heads == 0 {
        let answer = stranger.take_head()?;
        assert_eq!(handshake::status(&answer), Some(101), "{answer}");
    }
    let first = stranger.take_frame()?;
    assert_eq!(first.opcode, BINARY, "{first:?}");
    Some(i32::from_le_bytes(first.payload.as_ref().try_into().unwrap()))
}
