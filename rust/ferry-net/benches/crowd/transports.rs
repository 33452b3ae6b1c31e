//! How a crowd comes together on each transport.

use std::time::Duration;

use ferry_net::bind_address::BindAddress;
use ferry_net::enet::{self, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::link::LinkId;
use ferry_net::multiplayer::{Carrier, Multiplayer, Role};
use ferry_net::tls;
use ferry_net::webrtc::{self, Member, Signal, Ways};
use ferry_net::websocket::{self, Sockets, Url};

use super::Crowd;

/// A way to bring a crowd together.
pub(crate) trait Transport {
    type Carrier: Carrier;
    const NAME: &'static str;

    /// A server with so many players, all of them in.
    fn crowd(players: usize) -> Crowd<Self::Carrier>;
}

pub(crate) struct Enet;
pub(crate) struct WebSocket;
pub(crate) struct WebRtc;

impl Transport for Enet {
    type Carrier = enet::Connection;
    const NAME: &'static str = "ENet";

    fn crowd(players: usize) -> Crowd<enet::Connection> {
        let server = enet_server(players);
        let port = server.carrier().expect("it is open").local_port();
        let players = (0..players).map(|_| enet_player(port)).collect();
        Crowd::gather(server, players, || {})
    }
}

pub(crate) fn enet_server(players: usize) -> Multiplayer<enet::Connection> {
    let settings = HostSettings { max_peers: players, ..HostSettings::default() };
    let mut server = Multiplayer::default();
    let connection = enet::open_server(settings, Limits::default()).expect("a port");
    server.start_server(connection).expect("it is new");
    server
}

pub(crate) fn enet_player(port: u16) -> Multiplayer<enet::Connection> {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let target = Target::new("127.0.0.1", port);
    let (connection, link, id) = enet::open_client(settings, target, 0, Limits::default()).expect("a socket");
    let mut player = Multiplayer::default();
    player.start_client(connection, link, Some(id)).expect("it is new");
    player
}

impl Transport for WebSocket {
    type Carrier = Sockets;
    const NAME: &'static str = "WebSocket";

    fn crowd(players: usize) -> Crowd<Sockets> {
        let server = websocket_server();
        let port = server.carrier().expect("it is open").local_port();
        let players = (0..players).map(|_| websocket_player(port)).collect();
        Crowd::gather(server, players, || {})
    }
}

pub(crate) fn websocket_server() -> Multiplayer<Sockets> {
    let settings = websocket::Settings::default();
    let sockets =
        websocket::open_server(BindAddress::Any, 0, None, settings, Limits::default()).expect("a port");
    let mut server = Multiplayer::default();
    server.start_server(sockets).expect("it is new");
    server
}

pub(crate) fn websocket_player(port: u16) -> Multiplayer<Sockets> {
    let url = Url::parse(&format!("ws://127.0.0.1:{port}")).expect("an address");
    let settings = websocket::Settings::default();
    let (sockets, link) = websocket::open_client(url, tls::Client::default(), settings, Limits::default())
        .expect("sound settings");
    let mut player = Multiplayer::default();
    player.start_client(sockets, link, None).expect("it is new");
    player
}

impl Transport for WebRtc {
    type Carrier = Member;
    const NAME: &'static str = "WebRTC";

    fn crowd(players: usize) -> Crowd<Member> {
        let mut server = Multiplayer::default();
        server.start_bringing(Role::Server, 1).expect("it is new");
        let ids = (2..).take(players);
        let pairs: Vec<[Member; 2]> = ids.clone().map(|_| [member(), member()]).collect();
        let players = ids.zip(&pairs).map(|(id, [at_server, at_player])| {
            server.bring(id, at_server.clone(), LinkId::ONLY).expect("a new one");
            let mut player = Multiplayer::default();
            player.start_bringing(Role::Client, id).expect("it is new");
            player.bring(1, at_player.clone(), LinkId::ONLY).expect("its server");
            at_server.connection().create_offer().expect("an offer");
            player
        });
        let players = players.collect();
        Crowd::gather(server, players, || pairs.iter().for_each(introduce))
    }
}

fn member() -> Member {
    let connection =
        webrtc::Connection::new(webrtc::Settings::default(), Limits::default()).expect("sound settings");
    Member::new(connection, Ways::new(&[]), Duration::from_millis(1)).expect("its first channels")
}

/// Carries descriptions and candidates from each end to the other.
fn introduce(pair: &[Member; 2]) {
    for (own, other) in [(0, 1), (1, 0)] {
        let (own, other) = (pair[own].connection(), pair[other].connection());
        while let Some(signal) = own.next_signal() {
            match signal {
                Signal::DescriptionCreated(kind, text) => {
                    own.set_local_description(kind, &text).expect("its own");
                    other.set_remote_description(kind, &text).expect("the other's");
                }
                Signal::CandidateCreated { candidate, .. } => drop(other.add_candidate(&candidate)),
                Signal::ChannelReceived(_) => {}
            }
        }
    }
}
