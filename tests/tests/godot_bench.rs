//! The scripts of the benchmark, run for a moment with a few players: they measure something, on the built-in classes and on
//! Ferry's, and nothing gets lost. How much it is stands in docs/performance.md; `cargo xtask bench` measures it anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use ferry_tests::godot::{Outcome, Scene};
use ferry_tests::ports::free_port;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const CLASSES: [&str; 4] = [
    "ENetMultiplayerPeer",
    "FerryENetMultiplayerPeer",
    "WebSocketMultiplayerPeer",
    "FerryWebSocketMultiplayerPeer",
];

fn script(name: &str, role: &str, class: &str, port: u16, options: &[(&str, u32)]) -> Scene {
    let place = format!("res://bench/{name}.gd");
    let mut scene = Scene::in_project(&format!("{name} {role} {class}"), &["--script", &place])
        .ending_with("FERRY_BENCH_END ")
        .with("role", role)
        .with("server", class)
        .with("clients", class)
        .with("port", port);
    for (key, value) in options {
        scene = scene.with(key, value);
    }
    scene
}

/// One figure of a run.
fn figure(outcome: &Outcome, key: &str) -> f64 {
    let start = format!("FERRY_BENCH {key} ");
    let value = outcome.lines().iter().find_map(|line| line.strip_prefix(&start));
    value.unwrap_or_else(|| panic!("{}: no {key}\n{}", outcome.name(), outcome.tail())).parse().unwrap()
}

/// A server and its clients, in two processes: what they told.
fn two(name: &str, class: &str, options: &[(&str, u32)]) -> [Outcome; 2] {
    let port = free_port(LOOPBACK);
    let mut server = script(name, "server", class, port, options).start();
    server.line("FERRY_BENCH_OPEN");
    let clients = script(name, "clients", class, port, options).must_pass();
    let server = server.outcome();
    server.must_have_passed();
    [server, clients]
}

fn one(name: &str, class: &str, options: &[(&str, u32)]) -> Outcome {
    script(name, "both", class, free_port(LOOPBACK), options).must_pass()
}

#[test]
fn a_crowd_is_measured_and_everything_arrives() {
    for class in CLASSES {
        for (name, players) in [("crowd", 4), ("rpc", 3)] {
            // Reliable, and with patience for a machine that is busy; calls are unreliable, though.
            let options = [
                ("n", players),
                ("up", 1),
                ("down", 4),
                ("warm", 5),
                ("ticks", 40),
                ("mode", 2),
                ("last", 120),
            ];
            let [server, clients] = two(name, class, &options);
            let share = |came: &Outcome, of: &Outcome| figure(came, "received") / figure(of, "put");
            let least = if name == "rpc" { 0.9 } else { 1.0 };
            assert!(share(&server, &clients) >= least && share(&clients, &server) >= least, "{class}");
            assert_eq!(figure(&server, "joined"), f64::from(players), "{class}");
            assert!(figure(&server, "frame_ms") > 0.0 && figure(&server, "ticks_per_s") > 0.0);
            assert!(figure(&server, "wire_packets") > 0.0);
        }
    }
}

#[test]
fn a_stall_is_measured_and_a_short_one_loses_nobody() {
    for class in CLASSES {
        let [server, clients] = two("stall", class, &[("n", 2), ("stall", 1)]);
        assert_eq!(figure(&server, "lost"), 0.0, "{class}");
        assert_eq!(figure(&server, "received"), figure(&clients, "put"), "{class}");
    }
}

#[test]
fn pairs_are_measured() {
    for class in CLASSES {
        let trips = one("latency", class, &[("rate", 0), ("trips", 300)]);
        assert!(figure(&trips, "p50_ms") > 0.0 && figure(&trips, "p50_ms") <= figure(&trips, "p99_ms"));
        let roomy = [("inbound_buffer_size", 1 << 22), ("outbound_buffer_size", 1 << 22)];
        let bulk = one("bulk", class, &[("seconds", 1), ("window", 1 << 20), roomy[0], roomy[1]]);
        assert!(figure(&bulk, "mb_per_s") > 0.1, "{class}");
        let flood = one("flood", class, &[("packets", 3000), ("burst", 500)]);
        assert_eq!((figure(&flood, "arrived"), figure(&flood, "out_of_order")), (3000.0, 0.0), "{class}");
    }
}

#[test]
fn webrtc_is_measured() {
    let run = |what: &str, options: &[(&str, u32)]| {
        script("webrtc", "both", "FerryWebRTCMultiplayerPeer", 0, options).with("what", what).must_pass()
    };
    let connect = run("connect", &[("tries", 5)]);
    assert_eq!(figure(&connect, "failed"), 0.0);
    assert!(figure(&connect, "connect_ms") > 0.0);
    assert_eq!(figure(&run("messages", &[("packets", 2000)]), "arrived"), 100.0);
    assert!(figure(&run("paced", &[]), "arrived") > 99.0);
    assert!(figure(&run("frame", &[("n", 3), ("ticks", 30)]), "arrived") > 99.0);
    assert_eq!(figure(&run("memory", &[("n", 3)]), "joined"), 3.0);
}
