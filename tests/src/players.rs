//! Players of a game in this process, without the engine: Ferry's peers as a plain library.

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Carrier, Multiplayer, Notice};
use ferry_net::tls;
use ferry_net::websocket::{self, Settings, Sockets, Url};

/// Polls once, as a frame does; what the game is told.
pub fn poll<C: Carrier>(peer: &mut Multiplayer<C>) -> Vec<Notice> {
    peer.begin_poll();
    let told = std::iter::from_fn(|| peer.next_notice()).collect();
    peer.flush();
    told
}

/// A server over WebSocket, at all addresses of this machine, and its port.
///
/// # Panics
/// When it cannot be opened.
pub fn serve_websocket(settings: Settings, limits: Limits) -> (Multiplayer<Sockets>, u16) {
    let opened = websocket::open_server(BindAddress::Any, 0, None, settings, limits);
    let sockets = opened.expect("a server opens");
    let port = sockets.local_port();
    let mut server = Multiplayer::default();
    server.start_server(sockets).expect("it was not open before");
    (server, port)
}

/// A client over WebSocket that begins to connect, and believes servers with these certificates if there are any.
///
/// # Panics
/// When it cannot begin.
pub fn join_websocket(
    url: &str,
    trusted: Option<String>,
    settings: Settings,
    limits: Limits,
) -> Multiplayer<Sockets> {
    let options = tls::ClientOptions { trusted, ..tls::ClientOptions::default() };
    let trust = tls::Client::new(&options).expect("certificates");
    let url = Url::parse(url).expect("a URL");
    let (sockets, link) = websocket::open_client(url, trust, settings, limits).expect("a client opens");
    let mut client = Multiplayer::default();
    client.start_client(sockets, link, None).expect("it was not open before");
    client
}
