//! Whole matches over WebSocket on real sockets, without an engine: what a game would see.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod play;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Notice, PutError, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::{Farewell, Reason};
use ferry_net::websocket::{self, Settings};

use play::over_websocket::{Peer, client, client_to, port, server, server_with};
use play::{BOUND, poll, stories, until};

/// A client that is in, and its id.
fn join(server: &mut Peer, mut client: Peer) -> (Peer, i32) {
    let before = server.peer_ids().len();
    until(&mut [server, &mut client], |peers, _| {
        peers[1].status() == Status::Connected && peers[0].peer_ids().len() > before
    });
    let id = client.unique_id();
    (client, id)
}

fn failed(peer: &mut Peer) -> Farewell {
    let told = until(&mut [peer], |_, told| !told[0].is_empty());
    let [Notice::ConnectionFailed(farewell)] = &told[0][..] else { panic!("{told:?}") };
    farewell.clone()
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
    assert_eq!(client.unique_id(), 0, "the server gives it its id");
    // As with the engine's own class: one channel, and everything arrives.
    let seen = (0, TransferMode::Reliable);
    stories::a_client_joins_packets_pass_and_it_leaves(server, client, seen);
}

#[test]
fn packets_of_every_length_arrive_whole_and_in_order() {
    let mut server = server();
    let (mut client, id) = join_new(&mut server);
    let lengths = [1, 125, 126, 127, 65_535, 65_536, 32 * 1024, 32 * 1024 + 1, 3_000_000, 16 << 20, 2];
    server.set_target(id);
    for (number, length) in lengths.into_iter().enumerate() {
        let packet = vec![number as u8; length];
        client.put_packet(&packet).unwrap();
        server.put_packet(&packet).unwrap();
    }
    let (mut up, mut down) = (0, 0);
    until(&mut [&mut server, &mut client], |peers, _| {
        for (number, length) in lengths.into_iter().enumerate().skip(up) {
            let Some(packet) = peers[0].take_packet() else { break };
            assert!(packet.len() == length && packet.iter().all(|byte| *byte == number as u8), "{length} up");
            up += 1;
        }
        for (number, length) in lengths.into_iter().enumerate().skip(down) {
            let Some(packet) = peers[1].take_packet() else { break };
            assert!(
                packet.len() == length && packet.iter().all(|byte| *byte == number as u8),
                "{length} down"
            );
            down += 1;
        }
        (up, down) == (lengths.len(), lengths.len())
    });
}

fn join_new(server: &mut Peer) -> (Peer, i32) {
    let client = client(port(server));
    join(server, client)
}

#[test]
fn two_hundred_and_fifty_six_join_in_the_same_moment() {
    let mut server = server();
    let port = port(&server);
    let mut clients: Vec<Peer> = (0..256).map(|_| client(port)).collect();
    let started = Instant::now();
    while clients.iter().any(|client| client.status() != Status::Connected) || server.peer_ids().len() < 256 {
        poll(&mut server);
        for client in &mut clients {
            let told = poll(client);
            assert!(!told.iter().any(|notice| matches!(notice, Notice::ConnectionFailed(_))), "{told:?}");
        }
        assert!(started.elapsed() < BOUND);
        // A server at 60 frames a second.
        std::thread::sleep(Duration::from_millis(16));
    }
    let took = started.elapsed();
    println!("256 clients in {took:?}");
    // One packet to all, one from each.
    server.set_target(0);
    server.put_packet(b"welcome").unwrap();
    for client in &mut clients {
        client.put_packet(b"hello").unwrap();
    }
    let started = Instant::now();
    while server.available_packets() < 256 || clients.iter().any(|client| client.available_packets() < 1) {
        poll(&mut server);
        clients.iter_mut().for_each(|client| drop(poll(client)));
        assert!(started.elapsed() < BOUND);
    }
}

#[test]
fn what_a_frame_sends_to_a_client_leaves_in_one_write() {
    let mut server = server();
    let (mut client, id) = join_new(&mut server);
    let writes = |server: &Peer| server.endpoint_stats().datagrams_sent;
    // The greeting and the first pings have passed.
    until(&mut [&mut server, &mut client], |peers, _| {
        peers.iter().all(|peer| peer.stats(if peer.unique_id() == 1 { id } else { 1 }).unwrap().rtt.is_some())
    });
    std::thread::sleep(Duration::from_millis(100));
    let before = writes(&server);
    server.set_target(id);
    for frame in 0..10_u8 {
        for _ in 0..50 {
            server.put_packet(&[frame; 64]).unwrap();
        }
        server.flush();
        until(&mut [&mut client], |peers, _| peers[0].available_packets() == 50 * (usize::from(frame) + 1));
    }
    let started = Instant::now();
    while server.stats(id).unwrap().packets_sent < 500 {
        assert!(started.elapsed() < BOUND);
    }
    assert_eq!(writes(&server) - before, 10);
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
fn a_client_that_is_not_wanted_is_told_why_at_once() {
    let mut refusing = server();
    refusing.set_refusing(true);
    poll(&mut refusing);
    let started = Instant::now();
    assert_eq!(failed(&mut client(port(&refusing))), Reason::Refused.into());

    let mut full = server_with(Settings { max_clients: 1, ..Settings::default() }, Limits::default());
    let (_inside, _) = join_new(&mut full);
    assert_eq!(failed(&mut client(port(&full))), Reason::ServerFull.into());
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(full.endpoint_stats().connections_refused, 1);
}

#[test]
fn a_closing_server_says_so_and_its_port_is_free_at_once() {
    let mut first = server();
    let taken = port(&first);
    let (mut inside, _) = join_new(&mut first);
    first.close();
    let told = until(&mut [&mut inside], |_, told| told[0].len() >= 3);
    assert_eq!(told[0].last().unwrap(), &Notice::ServerDisconnected(Reason::RemoteClose.into()));
    for _ in 0..20 {
        let any = ferry_net::bind_address::BindAddress::Any;
        let sockets =
            websocket::open_server(any, taken, None, Settings::default(), Limits::default()).unwrap();
        let mut server = Peer::default();
        server.start_server(sockets).unwrap();
        let (_client, _) = join_new(&mut server);
        let started = Instant::now();
        server.close();
        assert!(started.elapsed() < Duration::from_millis(100), "nobody waits for goodbyes");
    }
}

#[test]
fn what_is_sent_right_before_closing_arrives_also_if_it_is_much() {
    let mut server = server();
    let (mut client, id) = join_new(&mut server);
    server.set_target(id);
    for number in 0..40_u8 {
        server.put_packet(&vec![number; 1 << 20]).unwrap();
    }
    server.close();
    let mut seen = 0;
    until(&mut [&mut client], |peers, _| {
        while let Some(packet) = peers[0].take_packet() {
            assert!(packet.iter().all(|byte| *byte == seen));
            seen += 1;
        }
        peers[0].status() == Status::Disconnected
    });
    assert_eq!(seen, 40);
}

#[test]
fn a_put_over_the_limit_is_an_error_and_the_connection_lives_on() {
    let settings = Settings { max_packet: 1000, ..Settings::default() };
    let mut server = server_with(settings, Limits::default());
    let (mut client, id) = join_new(&mut server);
    server.set_target(id);
    let error = server.put_packet(&[0; 1001]).unwrap_err();
    assert!(matches!(error, PutError::Link(_, ferry_net::link::LinkError::OverLimit(1000))), "{error}");
    server.put_packet(&[0; 1000]).unwrap();
    until(&mut [&mut server, &mut client], |peers, _| peers[1].available_packets() == 1);
}

#[test]
fn a_message_over_the_receivers_limit_ends_with_that_reason_at_both_ends() {
    let settings = Settings { max_message: 1000, ..Settings::default() };
    let mut server = server_with(settings, Limits::default());
    let (mut client, id) = join_new(&mut server);
    client.put_packet(&[0; 5_000_000]).unwrap();
    let told = until(&mut [&mut server, &mut client], |_, told| told[0].len() == 2 && told[1].len() >= 3);
    let Notice::PeerLost(lost, farewell) = &told[0][1] else { panic!("{told:?}") };
    assert_eq!((*lost, farewell.reason), (id, Reason::PacketTooLarge));
    let Notice::ServerDisconnected(farewell) = told[1].last().unwrap() else { panic!("{told:?}") };
    assert_eq!(farewell.reason, Reason::PacketTooLarge, "{farewell}");
}

#[test]
fn a_receiver_that_stalls_loses_nothing_and_its_sender_feels_it() {
    let limits = Limits { inbound: 1 << 20, outbound: 4 << 20, ..Limits::default() };
    let mut server = server_with(Settings::default(), limits);
    server.set_overflow(ferry_net::multiplayer::Overflow::ReturnError);
    let mut client = client_to(&format!("ws://127.0.0.1:{}", port(&server)), Settings::default(), limits);
    client.set_limits(limits);
    let (mut client, id) = join(&mut server, client);
    server.set_target(id);
    // The client is not polled: its game stalls.
    let mut accepted = 0_u32;
    let started = Instant::now();
    let mut full = false;
    while !full && started.elapsed() < BOUND {
        let mut packet = vec![0; 10_000];
        packet[..4].copy_from_slice(&accepted.to_le_bytes());
        match server.put_packet(&packet) {
            Ok(()) => accepted += 1,
            Err(_) => full = true,
        }
        poll(&mut server);
    }
    assert!(full, "back-pressure never reached the sender");
    assert_eq!(server.peer_ids(), [id]);
    let mut seen = 0_u32;
    until(&mut [&mut server, &mut client], |peers, _| {
        while let Some(packet) = peers[1].take_packet() {
            assert_eq!(packet[..4], seen.to_le_bytes());
            seen += 1;
        }
        seen == accepted
    });
}

#[test]
fn a_slow_reader_ends_with_its_queue_full_and_lets_go_of_the_memory() {
    let limits = Limits { outbound: 1 << 20, ..Limits::default() };
    let mut server = server_with(Settings::default(), limits);
    server.set_limits(limits);
    let mut slow = upgraded(port(&server));
    let told = until(&mut [&mut server], |_, told| !told[0].is_empty());
    let [Notice::PeerConnected(id)] = told[0][..] else { panic!("{told:?}") };
    let (mut honest, honest_id) = join_new(&mut server);
    let mut told = Vec::new();
    let started = Instant::now();
    while told.is_empty() {
        server.set_target(id);
        let _ = server.put_packet(&[1; 100_000]);
        server.set_target(honest_id);
        server.put_packet(b"on").unwrap();
        told = poll(&mut server);
        poll(&mut honest);
        assert!(started.elapsed() < BOUND);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(told[0], Notice::PeerDisconnected(id));
    let Notice::PeerLost(_, farewell) = &told[1] else { panic!("{told:?}") };
    assert_eq!(farewell.reason, Reason::QueueFull);
    assert_eq!(server.peer_ids(), [honest_id]);
    let mut rest = Vec::new();
    slow.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _ = slow.read_to_end(&mut rest);
}

/// Somebody who speaks just enough to get in.
fn upgraded(port: u16) -> TcpStream {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.write_all(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    .unwrap();
    tcp
}

#[test]
fn a_silent_other_end_is_noticed_within_the_peer_timeout() {
    let limits = Limits { peer_timeout: Duration::from_millis(600), ..Limits::default() };
    let mut server = server_with(Settings::default(), limits);
    let _silent = upgraded(port(&server));
    let started = Instant::now();
    let told = until(&mut [&mut server], |_, told| told[0].len() == 3);
    let Notice::PeerLost(_, farewell) = &told[0][2] else { panic!("{told:?}") };
    assert_eq!(farewell.reason, Reason::Timeout);
    assert!((500..900).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[test]
fn a_client_says_why_it_did_not_get_through() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = failed(&mut client(closed));
    assert_eq!(told.reason, Reason::Unreachable, "{told}");

    let told = failed(&mut client_to("ws://no.such.host.invalid", Settings::default(), Limits::default()));
    assert_eq!(told.reason, Reason::Resolve, "{told}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits { connect_timeout: Duration::from_millis(300), ..Limits::default() };
    let url = format!("ws://localhost:{}", silent.local_addr().unwrap().port());
    let told = failed(&mut client_to(&url, Settings::default(), limits));
    assert_eq!(told.reason, Reason::ConnectTimeout, "{told}");

    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}", web.local_addr().unwrap().port());
    let answering = std::thread::spawn(move || {
        let (mut tcp, _) = web.accept().unwrap();
        let _ = tcp.read(&mut [0; 1000]);
        tcp.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nno game here").unwrap();
    });
    let told = failed(&mut client_to(&url, Settings::default(), Limits::default()));
    answering.join().unwrap();
    assert_eq!(told, Farewell::with(Reason::Handshake, "HTTP status 404 Not Found: no game here"));

    let chess = Settings { protocols: vec!["chess".to_owned()], ..Settings::default() };
    let mut server = server_with(chess, Limits::default());
    poll(&mut server);
    let told = failed(&mut client(port(&server)));
    assert_eq!(told.reason, Reason::Handshake);
    assert!(told.detail.contains("400") && told.detail.contains("sub-protocol"), "{told}");
}

#[test]
fn both_addresses_of_the_loopback_reach_a_server() {
    let mut server = server();
    let clients = ["127.0.0.1", "[::1]", "localhost"].map(|host| {
        let url = format!("ws://{host}:{}/path?x=1", port(&server));
        join(&mut server, client_to(&url, Settings::default(), Limits::default()))
    });
    assert_eq!(clients.len(), 3);
    assert_eq!(server.peer_ids().len(), 3);
}

#[test]
fn a_proxy_that_was_named_tells_the_players_address() {
    let settings = Settings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let mut server = server_with(settings, Limits::default());
    let headers = vec!["X-Forwarded-For: 203.0.113.9".to_owned()];
    let settings = Settings { headers, ..Settings::default() };
    let url = format!("ws://127.0.0.1:{}", port(&server));
    let (_client, id) = join(&mut server, client_to(&url, settings, Limits::default()));
    assert_eq!(server.stats(id).unwrap().address.unwrap().ip().to_string(), "203.0.113.9");
}

#[test]
fn unreliable_packets_to_a_slow_reader_are_dropped_and_counted() {
    let mut server = server();
    let _slow = upgraded(port(&server));
    let told = until(&mut [&mut server], |_, told| !told[0].is_empty());
    let [Notice::PeerConnected(id)] = told[0][..] else { panic!("{told:?}") };
    server.set_target(id);
    server.set_mode(TransferMode::Unreliable);
    let started = Instant::now();
    while server.stats(id).unwrap().packets_dropped == 0 {
        for _ in 0..10 {
            server.put_packet(&[1; 100_000]).unwrap();
        }
        poll(&mut server);
        assert!(started.elapsed() < BOUND);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(server.peer_ids(), [id]);
}
