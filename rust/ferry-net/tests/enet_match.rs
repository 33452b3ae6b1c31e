//! Whole matches over real sockets, without an engine: what a game would see.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod play;

use std::time::{Duration, Instant};

use ferry_net::enet::{self, HostSettings};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Notice, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::Reason;

use play::over_enet::{Peer, client, port};
use play::{over_enet, poll, stories, until};

fn server() -> Peer {
    over_enet::server(32, Limits::default())
}

/// A server, and a client that is connecting to it.
fn both() -> (Peer, Peer) {
    let server = server();
    let client = client(port(&server));
    (server, client)
}

#[test]
fn a_client_joins_packets_pass_and_it_leaves() {
    let (server, client) = both();
    let seen = (3, TransferMode::UnreliableOrdered);
    stories::a_client_joins_packets_pass_and_it_leaves(server, client, seen);
}

#[test]
fn packets_come_before_their_senders_goodbye() {
    let (server, client) = both();
    stories::packets_come_before_their_senders_goodbye(server, client);
}

#[test]
fn a_kicked_client_knows_why_and_gets_the_last_word() {
    let (server, client) = both();
    stories::a_kicked_client_knows_why_and_gets_the_last_word(server, client);
}

#[test]
fn a_refusing_server_answers_at_once_with_the_reason() {
    let mut server = server();
    server.set_refusing(true);
    poll(&mut server);
    let mut client = client(port(&server));
    let started = Instant::now();
    let told = until(&mut [&mut client], |_, told| !told[0].is_empty());
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(told[0], [Notice::ConnectionFailed(Reason::Refused.into())]);
}

#[test]
fn nobody_there_is_told_after_the_connect_timeout() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut client = client(free.local_addr().unwrap().port());
    client.set_limits(Limits { connect_timeout: Duration::from_millis(300), ..Limits::default() });
    let told = until(&mut [&mut client], |_, told| !told[0].is_empty());
    let [Notice::ConnectionFailed(farewell)] = &told[0][..] else { panic!("{told:?}") };
    assert_eq!(farewell.reason, Reason::ConnectTimeout);
}

#[test]
fn the_port_is_free_as_soon_as_close_returns() {
    let mut first = server();
    let taken = port(&first);
    drop(std::mem::take(&mut first));
    let settings = HostSettings { port: taken, ..HostSettings::default() };
    for _ in 0..20 {
        let connection = enet::open_server(settings.clone(), Limits::default()).unwrap();
        let mut server = Peer::default();
        server.start_server(connection).unwrap();
        let mut client = client(taken);
        until(&mut [&mut server, &mut client], |peers, _| peers[1].status() == Status::Connected);
        server.close();
    }
}
