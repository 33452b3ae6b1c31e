//! A crowd on a Godot server that runs at 60 Hz: everybody gets in, and everything that they send arrives.
//!
//! The clients are ferry-net's, all in this process: one engine for each would be more than a small machine has. The built-in
//! server reads 256 datagrams a poll, and of 512 clients' packets at this rate two fifths never reach the game.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use ferry_net::enet::{self, Connection, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Status};
use ferry_net::packet::TransferMode;
use ferry_tests::godot::Scene;

const TICK: Duration = Duration::from_micros(16_667);

fn client(port: u16) -> Multiplayer<Connection> {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let target = Target::new("127.0.0.1", port);
    let (connection, link, id) = enet::open_client(settings, target, 0, Limits::default()).unwrap();
    let mut peer = Multiplayer::default();
    peer.start_client(connection, link, id).unwrap();
    peer.set_mode(TransferMode::Unreliable);
    peer
}

/// Polls everybody; what has come is read and dropped.
fn turn(clients: &mut [Multiplayer<Connection>]) -> usize {
    let mut connected = 0;
    for client in clients {
        client.begin_poll();
        while client.next_notice().is_some() {}
        while client.take_packet().is_some() {}
        connected += usize::from(client.status() == Status::Connected);
    }
    connected
}

#[test]
fn of_512_clients_that_send_a_packet_a_tick_every_packet_arrives() {
    const CLIENTS: usize = 512;
    const PACKETS: usize = 120;
    let mut server = Scene::script("crowd/server.gd")
        .with("clients", CLIENTS)
        .with("packets", PACKETS)
        .with("down", 4)
        .within(Duration::from_secs(80))
        .start();
    let port: u16 = server.line("CROWD port=").trim_start_matches("CROWD port=").trim().parse().unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| client(port)).collect();
    let began = Instant::now();
    while turn(&mut clients) < CLIENTS {
        assert!(began.elapsed() < Duration::from_secs(10), "not everybody got in");
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("{CLIENTS} clients got in within {} ms", began.elapsed().as_millis());
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
