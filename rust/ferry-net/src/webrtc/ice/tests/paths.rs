//! Ways through networks and routers are found, quickly, and noticed when they end.

use super::super::*;
use super::world::*;

#[test]
fn two_machines_connect_within_a_few_round_trips() {
    for (one, other) in [
        ("198.51.100.1:5000", "198.51.100.2:5000"),
        ("[2001:db8::1]:5", "[2001:db8::2]:5"),
        ("127.0.0.1:5", "127.0.0.1:6"),
    ] {
        let mut world = World::new(1);
        world.bind(0, &[one]);
        world.bind(1, &[other]);
        world.introduce_both();
        let took = world.connect(ms(500));
        assert!(took < ms(30), "{took:?}");
        let selected = world.sides[0].agent.selected().expect("connected");
        assert_eq!(selected, Selected { local: address(one), remote: address(other), relayed: false });
        assert!(world.send(0, b"\x17data") && world.send(1, b"\x17back"));
        world.run(ms(5));
        assert_eq!(world.sides[1].data, [&b"\x17data"[..]]);
        assert_eq!(world.sides[0].data, [&b"\x17back"[..]]);
        assert!(world.sides[0].agent.rtt().expect("measured") <= ms(5));
    }
}

#[test]
fn whoever_is_ready_last_the_other_is_not_kept_waiting() {
    for late in 0..40 {
        for side in 0..2 {
            let mut world = World::new(late);
            world.bind(side, &["198.51.100.1:5000"]);
            world.introduce(side);
            world.run(ms(late * 7));
            world.bind(1 - side, &["198.51.100.2:5000"]);
            world.run(ms(late % 5));
            world.introduce(1 - side);
            let took = world.connect(ms(2000));
            assert!(took <= ms(120), "{late} {side}: {took:?}");
        }
    }
}

#[test]
fn five_percent_loss_and_a_tenth_of_a_second_never_keep_two_apart() {
    let mut slowest = Duration::ZERO;
    for seed in 0..500 {
        let mut world = World::plain(seed);
        (world.loss_percent, world.delay) = (5, ms(50));
        world.introduce_both();
        slowest = slowest.max(world.connect(Duration::from_secs(5)));
    }
    assert!(slowest < ms(1500), "{slowest:?}");
}

#[test]
fn loss_does_not_make_a_path_disconnected() {
    for seed in 0..20 {
        let mut world = World::plain(seed);
        (world.loss_percent, world.delay) = (5, ms(50));
        world.introduce_both();
        world.connect(Duration::from_secs(5));
        world.run(Duration::from_secs(120));
        assert_eq!(world.sides[0].states(), [State::Checking, State::Connected], "seed {seed}");
    }
}

#[test]
fn an_idle_path_costs_few_packets() {
    let mut world = World::plain(1);
    world.introduce_both();
    world.connect(ms(100));
    world.run(Duration::from_secs(5));
    let before = world.sent;
    world.run(Duration::from_secs(60));
    assert!(world.sent - before <= 4 * 62, "{} in a minute", world.sent - before);
}

#[test]
fn one_end_that_hears_no_candidates_is_found_by_the_other() {
    let mut world = World::plain(2);
    world.signalling = None;
    world.introduce_both();
    let line = world.sides[0].agent.local_candidates()[0].clone();
    world.run(ms(300));
    world.sides[1].agent.add_remote_candidate(world.now, &line).expect("good");
    world.drain(1);
    assert!(world.connect(ms(500)) < ms(150));
}

#[test]
fn both_ends_of_the_same_role_settle_it() {
    for seed in 0..50 {
        for role in [true, false] {
            let mut world = World::with([config(role), config(role)], seed);
            world.bind(0, &["198.51.100.1:5000"]);
            world.bind(1, &["198.51.100.2:5000"]);
            world.introduce_both();
            let took = world.connect(Duration::from_secs(3));
            assert!(took < ms(400), "{role} {seed}: {took:?}");
        }
    }
}

fn behind_routers(kinds: [Option<Nat>; 2], seed: u64) -> World {
    let with_server = |controlling| Config {
        servers: vec![Server::parse(&format!("stun:{STUN}"), "", "").expect("good")],
        ..config(controlling)
    };
    let mut world = World::with([with_server(true), with_server(false)], seed);
    world.delay = ms(20);
    for (side, kind) in kinds.into_iter().enumerate() {
        world.sides[side].router = kind.map(|kind| Router::new(kind, ["192.0.2.10", "192.0.2.20"][side]));
        let base = match kind {
            Some(_) => ["10.0.0.1:5000", "10.1.0.1:5000"][side],
            None => ["198.51.100.1:5000", "198.51.100.2:5000"][side],
        };
        world.bind(side, &[base]);
    }
    world.introduce_both();
    world
}

#[test]
fn routers_are_passed_wherever_that_is_possible() {
    use Nat::{FullCone, PortRestricted, Symmetric};
    for kinds in [
        [Some(FullCone), Some(FullCone)],
        [Some(PortRestricted), Some(PortRestricted)],
        [Some(Symmetric), Some(FullCone)],
        [Some(FullCone), Some(Symmetric)],
        [Some(Symmetric), None],
        [None, Some(PortRestricted)],
    ] {
        for seed in 0..20 {
            let mut world = behind_routers(kinds, seed);
            let took = world.connect(Duration::from_secs(5));
            assert!(took < ms(1500), "{took:?}");
            assert!(world.send(0, b"\x17one") && world.send(1, b"\x17two"));
            world.run(ms(50));
            assert!(world.sides.iter().all(|side| side.data.len() == 1));
        }
    }
}

#[test]
fn two_symmetric_routers_need_a_relay_and_the_failure_says_what_was_tried() {
    let mut world = behind_routers([Some(Nat::Symmetric), Some(Nat::Symmetric)], 1);
    world.run(Duration::from_secs(29));
    assert_eq!(world.sides[0].agent.state(), State::Checking);
    world.run(Duration::from_secs(2));
    for side in &world.sides {
        assert_eq!(side.states(), [State::Checking, State::Failed]);
        let failure = side.agent.failure();
        assert_eq!(failure, "no candidate pair answered: 2 local (host, reflexive), 2 remote candidates");
    }
    let sent = world.sent;
    world.run(Duration::from_secs(60));
    assert_eq!(world.sent, sent, "a failed agent is quiet");
}

#[test]
fn a_peer_that_is_gone_is_disconnected_then_failed() {
    let mut world = World::plain(3);
    world.introduce_both();
    world.connect(ms(100));
    world.run(Duration::from_secs(10));
    world.sides[1].cut = true;
    world.run(Duration::from_secs(4));
    assert!(world.both_connected());
    world.run(Duration::from_secs(3));
    assert_eq!(world.sides[0].agent.state(), State::Disconnected);
    assert!(world.sides[0].agent.path().is_some(), "data is still sent on it");
    world.run(Duration::from_secs(15));
    assert_eq!(world.sides[0].agent.state(), State::Failed);
    assert_eq!(world.sides[0].agent.failure(), "the peer has not answered for 20 s");
}

#[test]
fn an_outage_of_any_length_below_the_bound_ends_with_the_same_path() {
    for seconds in [6, 10, 15, 18] {
        let mut world = World::plain(seconds);
        world.introduce_both();
        world.connect(ms(100));
        (world.sides[0].cut, world.sides[1].cut) = (true, true);
        world.run(Duration::from_secs(seconds));
        assert_eq!(world.sides[0].agent.state(), State::Disconnected);
        (world.sides[0].cut, world.sides[1].cut) = (false, false);
        world.connect(ms(1900));
    }
}

#[test]
fn another_network_takes_over_when_a_socket_is_lost() {
    let mut world = World::new(4);
    world.bind(0, &["198.51.100.1:5000", "198.51.100.101:5000"]);
    world.bind(1, &["198.51.100.2:5000"]);
    world.introduce_both();
    world.connect(ms(200));
    world.run(Duration::from_secs(3));
    let lost = world.sides[0].agent.selected().expect("connected").local;
    world.sides[0].bases.retain(|base| *base != lost);
    world.sides[0].agent.base_lost(world.now, lost);
    world.drain(0);
    world.connect(Duration::from_secs(2));
    assert_ne!(world.sides[0].agent.selected().expect("connected").local, lost);
    assert!(world.send(0, b"\x17on"));
    world.run(Duration::from_secs(40));
    assert_eq!(world.sides[1].data.len(), 1);
    assert!(world.both_connected());
}

#[test]
fn another_way_takes_over_when_one_falls_silent() {
    let mut world = World::new(6);
    world.bind(0, &["198.51.100.1:5000", "198.51.100.101:5000"]);
    world.bind(1, &["198.51.100.2:5000"]);
    world.introduce_both();
    world.connect(ms(200));
    world.run(Duration::from_secs(10));
    let silent = world.sides[0].agent.selected().expect("connected").local;
    world.blocked = Some(silent);
    world.run(Duration::from_secs(9));
    assert!(world.both_connected());
    assert_ne!(world.sides[0].agent.selected().expect("connected").local, silent);
    assert_ne!(world.sides[1].agent.selected().expect("connected").remote, silent);
}

#[test]
fn two_thousand_connects_in_a_row_are_all_quick() {
    for seed in 0..2000 {
        let mut world = World::plain(seed);
        world.delay = Duration::from_micros(50 + world.random(400));
        let first = world.random(2) as usize;
        world.introduce(first);
        let gap = ms(world.random(30));
        world.run(gap);
        world.introduce(1 - first);
        let took = world.connect(ms(1000));
        assert!(took < ms(30), "seed {seed}: {took:?}");
    }
}

#[test]
fn many_interfaces_on_both_ends_connect_as_quickly() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.bind(
            0,
            &["198.51.100.1:5", "198.51.100.11:5", "192.0.2.1:5", "[2001:db8::1]:5", "[2001:db8:1::1]:5"],
        );
        world.bind(1, &["198.51.100.2:5", "192.0.2.2:5", "10.1.1.2:5", "10.2.1.2:5", "[2001:db8::2]:5"]);
        world.introduce_both();
        assert!(world.connect(ms(500)) < ms(60));
        // The best pair is found, and stays.
        world.run(Duration::from_secs(3));
        let selected = world.sides[0].agent.selected();
        world.run(Duration::from_secs(60));
        assert_eq!(world.sides[0].agent.selected(), selected);
        assert!(world.both_connected());
        assert_eq!(world.sides[0].states(), [State::Checking, State::Connected]);
    }
}

/// A process that was stopped for longer than a peer may be silent took itself for abandoned when it went on.
#[test]
fn a_machine_that_slept_does_not_take_its_peer_for_gone() {
    let mut world = World::plain(3);
    world.introduce_both();
    world.connect(ms(500));
    world.run(ms(2000));
    world.now += Duration::from_secs(600);
    world.run(ms(3000));
    for side in &world.sides {
        assert_eq!(side.states(), [State::Checking, State::Connected]);
    }
    // And one that is gone afterwards is seen in time.
    world.sides[0].cut = true;
    world.run(ms(22_000));
    assert_eq!(world.sides[1].agent.state(), State::Failed);
}
