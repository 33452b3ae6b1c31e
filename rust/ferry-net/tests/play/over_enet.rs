//! Matches over ENet.

use ferry_net::enet::{self, Connection, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Multiplayer;

pub(crate) type Peer = Multiplayer<Connection>;

pub(crate) fn server(max_peers: usize, limits: Limits) -> Peer {
    let mut peer = Peer::default();
    let settings = HostSettings { max_peers, ..HostSettings::default() };
    peer.start_server(enet::open_server(settings, limits).unwrap()).unwrap();
    peer
}

pub(crate) fn port(server: &Peer) -> u16 {
    server.carrier().unwrap().local_port()
}

pub(crate) fn client_to(target: Target, limits: Limits) -> Peer {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let (connection, link, id) = enet::open_client(settings, target, 0, limits).unwrap();
    let mut peer = Peer::default();
    peer.start_client(connection, link, Some(id)).unwrap();
    peer
}

pub(crate) fn client(port: u16) -> Peer {
    client_to(Target::new("127.0.0.1", port), Limits::default())
}
