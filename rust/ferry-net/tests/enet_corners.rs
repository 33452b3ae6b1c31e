//! Corners that were got wrong once: each test opens with what went wrong, or what would.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod play;

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::bind_address::BindAddress;
use ferry_net::enet::{self, Connection, Ending, Event, HostSettings, Mode, Phase, Target, Timeouts};
use ferry_net::limits::Limits;
use ferry_net::link::LinkId;
use ferry_net::multiplayer::{Notice, Status};
use ferry_net::packet::TransferMode;

use play::over_enet::{Peer, client, client_to, port, server};
use play::{BOUND, poll};

fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "not within the bound: {what}");
        pause();
    }
}

fn join(server: &mut Peer, clients: &mut [Peer]) {
    until("all are in", || {
        poll(server);
        for client in clients.iter_mut() {
            poll(client);
        }
        clients.iter().all(|client| client.status() == Status::Connected)
            && server.peer_ids().len() == clients.len()
    });
}

/// Two plain hosts that are connected: the caller, its link, the called and its.
fn pair(limits: Limits) -> (Connection, LinkId, Connection, LinkId) {
    let bind = || Connection::bind(&HostSettings::default(), limits, false).unwrap();
    let (caller, called) = (bind(), bind());
    let link = caller.connect(Target::new("127.0.0.1", called.local_port()), 0, 0).unwrap();
    let other = meet(&caller, link, &called);
    (caller, link, called, other)
}

fn meet(caller: &Connection, link: LinkId, called: &Connection) -> LinkId {
    let mut other = None;
    until("both stand", || {
        caller.next_event();
        if let Some(Event::Connected { link, .. }) = called.next_event() {
            other = Some(link);
        }
        other.is_some() && caller.phase(link) == Some(Phase::Connected)
    });
    other.unwrap()
}

/// The refusal of the seventeenth was handed over by a call that must not be made on the network thread.
#[test]
fn more_look_ups_than_are_made_at_once_harm_nobody() {
    let host = Connection::bind(&HostSettings::default(), Limits::default(), false).unwrap();
    for number in 0..100 {
        let target = Target::new(&format!("no{number}.such.host.invalid"), 9);
        host.send_datagram(target, Bytes::from_static(b"x"));
    }
    host.flush();
    let (caller, link, ..) = pair(Limits::default());
    assert_eq!(caller.phase(link), Some(Phase::Connected));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        assert!(host.next_event().is_none(), "the endpoint has failed");
        pause();
    }
}

/// A script that ends a connection by ENetPacketPeer left a peer behind that nobody could get rid of.
#[test]
fn a_link_that_the_game_ends_by_other_ways_is_told_at_the_next_poll() {
    let mut server = server(32, Limits::default());
    let mut clients = [client(port(&server))];
    join(&mut server, &mut clients);
    let id = clients[0].unique_id();
    let (connection, link) = server.way_to(id).map(|(connection, link)| (connection.clone(), link)).unwrap();
    connection.end(link, Ending::Now, 0);
    assert_eq!(poll(&mut server)[0], Notice::PeerDisconnected(id));
    assert!(server.peer_ids().is_empty());
}

/// Ends were let through one a poll: a hundred who leave after a stall took a hundred frames.
#[test]
fn a_hundred_who_leave_during_a_stall_are_told_in_a_few_polls() {
    const LEAVERS: usize = 100;
    let mut server = server(200, Limits::default());
    let mut clients: Vec<Peer> = (0..LEAVERS).map(|_| client(port(&server))).collect();
    join(&mut server, &mut clients);
    for client in &mut clients {
        client.put_packet(b"bye").unwrap();
        client.close();
        pause();
    }
    std::thread::sleep(Duration::from_millis(300));
    let (mut polls, mut ended, mut packets) = (0, 0, 0);
    while ended < LEAVERS {
        polls += 1;
        let told = poll(&mut server);
        ended += told.iter().filter(|notice| matches!(notice, Notice::PeerDisconnected(_))).count();
        packets += std::iter::from_fn(|| server.take_packet().map(drop)).count();
        assert!(polls < 50, "{ended} after {polls} polls");
        pause();
    }
    assert_eq!(packets, LEAVERS);
}

/// The driver looked for new packets, and then for the end: what came between the two was lost.
#[test]
fn last_words_arrive_whatever_the_driver_is_at() {
    const ROUNDS: u32 = 300;
    let mut server = server(64, Limits::default());
    for round in 0..ROUNDS {
        let mut clients = [client(port(&server))];
        join(&mut server, &mut clients);
        let [mut client] = clients;
        client.set_mode(TransferMode::Unreliable);
        client.put_packet(b"wake up").unwrap();
        client.flush();
        let spin = Instant::now();
        while spin.elapsed() < Duration::from_nanos(500) * (round % 60) {}
        client.set_mode(TransferMode::Reliable);
        client.put_packet(b"last words").unwrap();
        client.close();
        let mut arrived = false;
        until("it has left", || {
            poll(&mut server);
            while let Some(bytes) = server.take_packet() {
                arrived |= bytes == b"last words";
            }
            server.peer_ids().is_empty()
        });
        assert!(arrived, "round {round}");
    }
}

/// Links of different hosts have the same numbers: the new one was taken for the old one and forgotten with it.
#[test]
fn a_mesh_peer_may_come_back_in_the_handler_of_its_end() {
    let mut mesh = Peer::default();
    mesh.start_mesh(1).unwrap();
    let (first, link, other, others_link) = pair(Limits::default());
    mesh.add_mesh_peer(2, first, link).unwrap();
    other.end(others_link, Ending::Now, 0);
    other.flush();
    let (second, new_link, _other, _) = pair(Limits::default());
    let mut came_back = false;
    until("it is back", || {
        mesh.begin_poll();
        while let Some(notice) = mesh.next_notice() {
            if notice == Notice::PeerDisconnected(2) {
                mesh.add_mesh_peer(2, second.clone(), new_link).unwrap();
                came_back = true;
            }
        }
        came_back
    });
    assert_eq!(mesh.peer_ids(), [2]);
    assert_eq!(second.phase(new_link), Some(Phase::Connected));
}

/// Set right after `create_client`, as games do, they were overwritten when the connection stood.
#[test]
fn time_outs_that_are_set_while_connecting_hold() {
    let bind = || Connection::bind(&HostSettings::default(), Limits::default(), false).unwrap();
    let (caller, called) = (bind(), bind());
    let link = caller.connect(Target::new("127.0.0.1", called.local_port()), 0, 0).unwrap();
    let patience =
        Timeouts { limit: 8, minimum: Duration::from_millis(300), maximum: Duration::from_millis(600) };
    caller.set_timeouts(link, patience);
    let other = meet(&caller, link, &called);
    called.end(other, Ending::Reset, 0);
    called.flush();
    let began = Instant::now();
    caller.send(link, 0, Mode::Reliable, Bytes::from_static(b"anybody?")).unwrap();
    caller.flush();
    until("it is given up", || matches!(caller.next_event(), Some(Event::Disconnected { .. })));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// Packets without the flag for unreliable fragments are reliable if they are large, and had no bound.
#[test]
fn packets_that_are_reliable_for_their_size_count_as_such() {
    let limits = Limits { outbound: 1 << 20, ..Limits::default() };
    let (caller, link, called, other) = pair(limits);
    called.end(other, Ending::Reset, 0);
    called.flush();
    let large = Bytes::from(vec![1; 1 << 18]);
    let taken =
        (0..100).take_while(|_| caller.send(link, 0, Mode::UnreliableUnlessLarge, large.clone()).is_ok());
    assert!(taken.count() <= 8);
}

/// A burst was read in one go and handed over after that, and queued in one go before anything was sent. What waits in the
/// protocol for one peer is bounded, so all unreliable packets beyond some thousands were dropped, though the line and the
/// game had room for them.
#[test]
fn a_burst_of_small_unreliable_packets_arrives_whole() {
    const PLAYERS: usize = 4;
    const BURST: usize = 12_000;
    // The datagrams of the burst lie in the socket for a while: all drivers take turns on one thread.
    const ROOM: usize = 1 << 20;
    let probe = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    let granted = probe.set_recv_buffer_size(4 << 20).and_then(|()| probe.recv_buffer_size()).unwrap_or(0);
    if granted < ROOM {
        println!("skipped: this system gives a socket {granted} bytes to receive in");
        return;
    }
    let mut server = server(PLAYERS, Limits::default());
    let mut players: [_; PLAYERS] = std::array::from_fn(|_| client(port(&server)));
    join(&mut server, &mut players);
    for player in &mut players {
        player.set_mode(TransferMode::Unreliable);
    }
    for number in 0..BURST as u64 {
        for player in &mut players {
            player.put_packet(&[number.to_le_bytes(); 8].concat()).unwrap();
        }
    }
    for player in &mut players {
        player.flush();
    }
    let mut came = 0;
    until("all have come", || {
        poll(&mut server);
        while server.take_packet().is_some() {
            came += 1;
        }
        came == BURST * PLAYERS
    });
}

/// No room at all kept even connections from being made.
#[test]
fn a_nonsensical_limit_keeps_nobody_out() {
    let mut server = server(32, Limits { inbound: 0, ..Limits::default() });
    let mut clients = [client(port(&server))];
    join(&mut server, &mut clients);
    clients[0].put_packet(b"hello").unwrap();
    until("a packet", || {
        poll(&mut clients[0]);
        poll(&mut server);
        server.take_packet().is_some()
    });
}

/// Somebody who connects to a client whose name is being looked up became its server.
#[test]
fn a_stranger_is_no_server() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = Target::Name("localhost".to_owned(), silent.local_addr().unwrap().port());
    let mut client = client_to(target, Limits::default());
    client.set_refusing(false);
    let stranger = Connection::bind(&HostSettings::default(), Limits::default(), false).unwrap();
    stranger.connect(Target::new("127.0.0.1", port(&client)), 0, 5).unwrap();
    stranger.flush();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        stranger.begin_turn();
        stranger.next_event();
        assert!(poll(&mut client).is_empty());
        assert_eq!(client.status(), Status::Connecting);
        pause();
    }
}

/// Each signal came twice when a handler polled.
#[test]
fn a_destroyed_host_is_told_once_even_if_a_handler_polls() {
    let mut server = server(32, Limits::default());
    let mut clients = [client(port(&server))];
    join(&mut server, &mut clients);
    let [mut client] = clients;
    client.carrier().unwrap().clone().close(0);
    client.begin_poll();
    let mut told = vec![client.next_notice().unwrap()];
    told.extend(poll(&mut client));
    told.extend(std::iter::from_fn(|| client.next_notice()));
    let lost = told.iter().filter(|notice| matches!(notice, Notice::ServerDisconnected(_))).count();
    assert_eq!(lost, 1, "{told:?}");
    assert_eq!(client.status(), Status::Disconnected);
}

/// The end of the first is held back while its packets are unread; the second came in the meantime.
#[test]
fn the_same_id_may_come_back_before_its_last_packets_are_read() {
    let mut server = server(32, Limits::default());
    let play = || {
        let host = Connection::bind(&HostSettings::default(), Limits::default(), false).unwrap();
        let link = host.connect(Target::new("127.0.0.1", port(&server)), 0, 77).unwrap();
        host.flush();
        (host, link)
    };
    let (first, link) = play();
    let (second_target, mut told) = (port(&server), Vec::new());
    until("the first is in", || {
        first.next_event();
        told.extend(poll(&mut server));
        first.phase(link) == Some(Phase::Connected) && server.peer_ids() == [77]
    });
    first.send(link, 0, Mode::Reliable, Bytes::from_static(b"unread")).unwrap();
    first.close(0);
    until("its packet is there", || {
        told.extend(poll(&mut server));
        server.available_packets() == 1
    });
    let second = Connection::bind(&HostSettings::default(), Limits::default(), false).unwrap();
    until("the second is in", || {
        if second.links().is_empty() {
            second.connect(Target::new("127.0.0.1", second_target), 0, 77).unwrap();
        }
        second.begin_turn();
        while second.next_event().is_some() {}
        told.extend(poll(&mut server));
        told.iter().filter(|notice| **notice == Notice::PeerConnected(77)).count() == 2
    });
    let ends = told.iter().filter(|notice| **notice == Notice::PeerDisconnected(77)).count();
    assert_eq!(ends, 1, "{told:?}");
    assert_eq!(server.peer_ids(), [77]);
}

/// Both families reach a server that listens on every address, and are shown as what they are.
#[test]
fn a_server_on_every_address_is_reached_by_both_families() {
    let mut server = server(32, Limits::default());
    let mut clients = vec![client(port(&server))];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        clients.push(client_to(Target::new("::1", port(&server)), Limits::default()));
    }
    join(&mut server, &mut clients);
    let mut seen: Vec<String> = server
        .peer_ids()
        .into_iter()
        .filter_map(|id| Some(server.stats(id)?.address?.ip().to_string()))
        .collect();
    seen.sort();
    assert_eq!(seen, ["127.0.0.1", "::1"][..clients.len()]);
}

/// A server may listen on one address only.
#[test]
fn a_server_on_one_address_is_there_and_nowhere_else() {
    let settings =
        HostSettings { bind: BindAddress::Ip("127.0.0.1".parse().unwrap()), ..HostSettings::default() };
    let mut server = Peer::default();
    server.start_server(enet::open_server(settings, Limits::default()).unwrap()).unwrap();
    let mut clients = [client(port(&server))];
    join(&mut server, &mut clients);
}
