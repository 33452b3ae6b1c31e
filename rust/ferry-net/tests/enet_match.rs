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
use play::{over_enet, poll, until};

fn server() -> Peer {
    over_enet::server(32, Limits::default())
}

#[test]
fn a_client_joins_packets_pass_and_it_leaves() {
    let mut server = server();
    let mut client = client(port(&server));
    assert_eq!(client.status(), Status::Connecting);
    let told = until(&mut [&mut server, &mut client], |_, told| !told[0].is_empty() && !told[1].is_empty());
    let id = client.unique_id();
    assert_eq!(told[0], [Notice::PeerConnected(id)]);
    assert_eq!(told[1], [Notice::PeerConnected(1), Notice::ConnectionSucceeded]);

    server.set_target(id);
    server.set_channel(3);
    server.set_mode(TransferMode::UnreliableOrdered);
    server.put_packet(b"down").unwrap();
    client.put_packet(b"up").unwrap();
    client.put_packet(&vec![7; 1 << 20]).unwrap();
    until(&mut [&mut server, &mut client], |peers, _| {
        peers[0].available_packets() == 2 && peers[1].available_packets() == 1
    });
    let packet = client.next_packet().unwrap();
    assert_eq!((packet.from, packet.channel, packet.mode), (1, 3, TransferMode::UnreliableOrdered));
    assert_eq!(client.take_packet().unwrap(), b"down");
    assert_eq!(server.next_packet().unwrap().from, id);
    assert_eq!(server.take_packet().unwrap(), b"up");
    assert_eq!(server.take_packet().unwrap(), vec![7; 1 << 20]);
    until(&mut [&mut server, &mut client], |peers, _| peers[1].stats(1).unwrap().packets_received == 1);
    let stats = client.stats(1).unwrap();
    assert!(stats.rtt < Some(Duration::from_millis(50)), "{stats:?}");
    assert!(stats.bytes_sent > 1 << 20 && stats.packets_received == 1, "{stats:?}");

    client.close();
    let told = until(&mut [&mut server], |_, told| !told[0].is_empty());
    assert_eq!(told[0], [Notice::PeerDisconnected(id), Notice::PeerLost(id, Reason::RemoteClose.into())]);
}

#[test]
fn packets_come_before_their_senders_goodbye() {
    let mut server = server();
    let mut client = client(port(&server));
    until(&mut [&mut server, &mut client], |peers, _| peers[1].status() == Status::Connected);
    let id = client.unique_id();
    for number in 0..100_u8 {
        client.put_packet(&[number; 2000]).unwrap();
    }
    drop(client);
    // Only polled, not read: the end waits for the packets.
    until(&mut [&mut server], |peers, _| peers[0].available_packets() == 100);
    assert!(poll(&mut server).is_empty());
    while server.take_packet().is_some() {}
    let told = until(&mut [&mut server], |_, told| !told[0].is_empty());
    assert_eq!(told[0][0], Notice::PeerDisconnected(id));
}

#[test]
fn a_kicked_client_knows_why_and_gets_the_last_word() {
    let mut server = server();
    let mut client = client(port(&server));
    until(&mut [&mut server, &mut client], |peers, _| peers[0].peer_ids().len() == 1);
    let id = client.unique_id();
    server.set_target(id);
    server.put_packet(b"you are out").unwrap();
    server.disconnect_peer(id, false).unwrap();
    let mut last_word = Vec::new();
    let told = until(&mut [&mut server, &mut client], |peers, told| {
        last_word.extend(peers[1].take_packet().map(<[u8]>::to_vec));
        told[0].len() == 2 && told[1].len() >= 3
    });
    assert_eq!(last_word, [b"you are out"]);
    assert_eq!(told[0], [Notice::PeerDisconnected(id), Notice::PeerLost(id, Reason::LocalClose.into())]);
    let kicked = ferry_net::reason::Farewell::from(Reason::Kicked);
    assert_eq!(
        told[1].last_chunk::<3>().unwrap(),
        &[
            Notice::PeerDisconnected(1),
            Notice::PeerLost(1, kicked.clone()),
            Notice::ServerDisconnected(kicked)
        ]
    );
    assert_eq!(client.status(), Status::Disconnected);
    assert_eq!(client.farewell(1).reason, Reason::Kicked);
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
