//! Matches over WebSocket.

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Multiplayer;
use ferry_net::tls;
use ferry_net::websocket::{self, Settings, Sockets, Url};

pub(crate) type Peer = Multiplayer<Sockets>;

/// Trusts the system's store: for servers that do not speak TLS, nothing.
pub(crate) fn usual_trust() -> tls::Client {
    tls::Client::new(&tls::ClientOptions { trusted: None, common_name: None, verify: true }).unwrap()
}

pub(crate) fn server_with(settings: Settings, limits: Limits) -> Peer {
    let mut peer = Peer::default();
    let sockets = websocket::open_server(BindAddress::Any, 0, None, settings, limits).unwrap();
    peer.start_server(sockets).unwrap();
    peer
}

pub(crate) fn server() -> Peer {
    server_with(Settings::default(), Limits::default())
}

pub(crate) fn port(server: &Peer) -> u16 {
    server.carrier().unwrap().local_port()
}

pub(crate) fn client_to(url: &str, settings: Settings, limits: Limits) -> Peer {
    let (sockets, link) =
        websocket::open_client(Url::parse(url).unwrap(), usual_trust(), settings, limits).unwrap();
    let mut peer = Peer::default();
    peer.start_client(sockets, link, None).unwrap();
    peer
}

pub(crate) fn client(port: u16) -> Peer {
    client_to(&format!("ws://127.0.0.1:{port}"), Settings::default(), Limits::default())
}
