//! A crowd on a Godot server that runs at 60 Hz: everybody gets in, and everything that they send arrives.
//!
//! The clients are ferry-net's, all in this process: one engine for each would be more than a small machine has. The built-in
//! ENet server reads 256 datagrams a poll, and of 512 clients' packets at this rate two fifths never reach the game; the
//! built-in WebSocket server takes one connection a poll and drops who has waited for three seconds, and its poll costs
//! more than a millisecond with 512 connections that say nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use ferry_net::enet::{self, Connection, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Carrier, Multiplayer, Notice, Status};
use ferry_net::packet::TransferMode;
use ferry_net::tls;
use ferry_net::websocket::{self, Settings, Sockets, Url};
use ferry_tests::godot::{Run, Scene};

const CLIENTS: usize = 512;

const TICK: Duration = Duration::from_micros(16_667);

fn enet_client(port: u16) -> Multiplayer<Connection> {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let target = Target::new("127.0.0.1", port);
    let (connection, link, id) = enet::open_client(settings, target, 0, Limits::default()).unwrap();
    let mut peer = Multiplayer::default();
    peer.start_client(connection, link, Some(id)).unwrap();
    peer.set_mode(TransferMode::Unreliable);
    peer
}

fn websocket_client(port: u16) -> Multiplayer<Sockets> {
    let url = Url::parse(&format!("ws://127.0.0.1:{port}")).unwrap();
    let trust = tls::Client::new(&tls::ClientOptions::default()).unwrap();
    let limits = Limits { connect_timeout: Duration::from_secs(3), ..Limits::default() };
    let (sockets, link) = websocket::open_client(url, trust, Settings::default(), limits).unwrap();
    let mut peer = Multiplayer::default();
    peer.start_client(sockets, link, None).unwrap();
    peer
}

/// Polls everybody; what has come is read and dropped.
fn turn<C: Carrier>(clients: &mut [Multiplayer<C>]) -> usize {
    let mut connected = 0;
    for client in clients {
        client.begin_poll();
        while let Some(notice) = client.next_notice() {
            assert!(!matches!(notice, Notice::ConnectionFailed(_)), "somebody did not get in: {notice:?}");
        }
        while client.take_packet().is_some() {}
        connected += usize::from(client.status() == Status::Connected);
    }
    connected
}

fn port(server: &mut Run) -> u16 {
    server.line("CROWD port=").parse().unwrap()
}

fn poll_us(figures: &str) -> u64 {
    figures.split(' ').next().unwrap().parse().unwrap()
}

/// Makes a crowd in one moment, and waits until all are in.
fn crowd<C: Carrier>(port: u16, client: impl Fn(u16) -> Multiplayer<C>) -> Vec<Multiplayer<C>> {
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| client(port)).collect();
    let began = Instant::now();
    while turn(&mut clients) < CLIENTS {
        assert!(began.elapsed() < Duration::from_secs(10), "not everybody got in");
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("{CLIENTS} clients got in within {} ms", began.elapsed().as_millis());
    clients
}

fn everything_arrives<C: Carrier>(class: &str, client: impl Fn(u16) -> Multiplayer<C>) {
    const PACKETS: usize = 120;
    let mut server = Scene::script("crowd/server.gd")
        .with("class", class)
        .with("clients", CLIENTS)
        .with("packets", PACKETS)
        .with("down", 4)
        .within(Duration::from_secs(80))
        .start();
    let mut clients = crowd(port(&mut server), client);
    let mut next = Instant::now();
    for _ in 0..PACKETS {
        for client in &mut clients {
            client.put_packet(&[7; 64]).unwrap();
            client.flush();
        }
        next += TICK;
        turn(&mut clients);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let outcome = server.outcome();
    outcome.must_have_passed();
    println!("{}", outcome.lines().iter().find(|line| line.starts_with("CROWD_COST")).unwrap());
}

#[test]
fn of_512_enet_clients_that_send_a_packet_a_tick_every_packet_arrives() {
    everything_arrives("FerryENetMultiplayerPeer", enet_client);
}

#[test]
fn of_512_websocket_clients_that_send_a_packet_a_tick_every_packet_arrives() {
    everything_arrives("FerryWebSocketMultiplayerPeer", websocket_client);
}

#[test]
fn of_512_websocket_clients_that_say_nothing_the_game_feels_nothing() {
    let mut server = Scene::script("crowd/server.gd")
        .with("class", "FerryWebSocketMultiplayerPeer")
        .with("clients", CLIENTS)
        .with("silent_ticks", 180)
        .within(Duration::from_secs(60))
        .start();
    let port = port(&mut server);
    let alone = poll_us(&server.line("CROWD_ALONE poll_us="));
    let mut clients = crowd(port, websocket_client);
    let silent = poll_us(&server.line("CROWD_COST poll_us="));
    println!("a poll costs {alone} us with nobody and {silent} us with {CLIENTS} silent clients");
    // With the built-in, 1180 more.
    assert!(silent <= alone * 2 + 50, "{silent} us, and {alone} us with nobody");
    turn(&mut clients);
    server.outcome().must_have_passed();
}
