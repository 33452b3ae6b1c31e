//! A crowd's packets come one by one; the network thread wakes for several at a time.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod play;

use std::fs;
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::Status;
use ferry_net::packet::TransferMode;

use play::over_enet::{Peer, client, port, server};
use play::{BOUND, poll};

/// How far apart packets are put.
const APART: Duration = Duration::from_micros(30);

const PACKETS: usize = 4000;

/// How often the network thread has gone to sleep.
fn sleeps() -> u64 {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        if fs::read_to_string(folder.join("comm")).unwrap().trim() == "ferry-net" {
            let status = fs::read_to_string(folder.join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            return line.unwrap().trim().parse().unwrap();
        }
    }
    panic!("there is no network thread");
}

/// How often it does so while so many players send their packets, one after the other; and that all arrive.
fn sleeps_for(players: usize) -> u64 {
    let mut server = server(players, Limits::default());
    let mut players: Vec<Peer> = (0..players).map(|_| client(port(&server))).collect();
    let began = Instant::now();
    while server.peer_ids().len() < players.len()
        || players.iter().any(|player| player.status() != Status::Connected)
    {
        assert!(began.elapsed() < BOUND, "not all got in");
        poll(&mut server);
        for player in &mut players {
            poll(player);
        }
    }
    for player in &mut players {
        player.set_mode(TransferMode::Reliable);
    }
    let before = sleeps();
    for number in 0..PACKETS {
        let put = Instant::now();
        let place = number % players.len();
        players[place].put_packet(b"here").unwrap();
        players[place].flush();
        while put.elapsed() < APART {
            std::hint::spin_loop();
        }
    }
    let slept = sleeps() - before;
    let (began, mut came) = (Instant::now(), 0);
    while came < PACKETS {
        assert!(began.elapsed() < BOUND, "{came} of {PACKETS} have come");
        poll(&mut server);
        while server.take_packet().is_some() {
            came += 1;
        }
    }
    slept
}

/// Without gathering it sleeps for every other packet or more, unless the machine is so busy that they come together anyway.
#[test]
fn a_crowd_wakes_the_network_thread_for_several_packets_at_a_time() {
    let slept = sleeps_for(96);
    println!("{PACKETS} packets: {slept} sleeps");
    assert!(slept < PACKETS as u64 / 3, "for {PACKETS} packets it sleeps {slept} times");
}
