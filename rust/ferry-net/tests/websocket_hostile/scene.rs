//! The server and the honest client of the game that is played meanwhile, over WebSocket, and who else comes.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Notice, Status};
use ferry_net::tls;
use ferry_net::websocket::{self, Settings, Sockets, Url};

use crate::under_attack::{self, Long};
pub(crate) use crate::under_attack::{BOUND, meet, poll};
use crate::websocket_support::frames::BINARY;
use crate::websocket_support::handshake;
use crate::websocket_support::raw::Raw;

pub(crate) type Peer = Multiplayer<Sockets>;
pub(crate) type Game = under_attack::Game<Sockets>;

/// Longer than what a socket is asked to send at once.
const LONG: Long = Long { one_of: 64, length: 40_000 };

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

/// A server and a client that is in.
pub(crate) fn pair(settings: Settings, limits: Limits) -> (Peer, Peer) {
    let mut server = server(settings, limits);
    let mut client = client(port(&server), Limits::default());
    meet(&mut server, &mut client);
    (server, client)
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
        Self::between(server, honest, LONG)
    }

    pub(crate) fn port(&self) -> u16 {
        port(&self.server)
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
