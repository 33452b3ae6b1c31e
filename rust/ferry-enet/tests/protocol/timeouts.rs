//! What silence does, and when.

use std::time::Duration;

use ferry_enet::{Config, DisconnectReason, Event, Mode, PeerId, Timeouts};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn ended(peer: PeerId, reason: DisconnectReason) -> [Event; 1] {
    [Event::Disconnected { peer, reason }]
}

/// How long after the other end falls silent a connection counts as dead.
fn patience(delay_us: u64, timeouts: Timeouts) -> Duration {
    let conditions = Conditions { delay_us, ..Conditions::PERFECT };
    let (mut world, server, _) = World::pair(1, conditions, &Config::default());
    world.stations[0].host.set_timeouts(server, timeouts).unwrap();
    world.run_for(20 * SECOND);
    world.stations[1].asleep = true;
    world.stations[0].host.send(server, 0, Mode::Reliable, "anybody there?".into()).unwrap();
    let start = world.now;
    world.run_until(700 * SECOND, |world| !world.stations[0].events.is_empty());
    assert_eq!(world.take_events(0), ended(server, DisconnectReason::TimedOut));
    world.now - start
}

#[test]
fn silence_is_borne_for_the_minimum_on_a_quick_line() {
    let silence = patience(1000, Timeouts::default());
    assert!((Duration::from_millis(4900)..=Duration::from_millis(5100)).contains(&silence), "{silence:?}");
}

#[test]
fn silence_is_borne_for_63_answering_times_on_a_slow_line() {
    // A steady round trip of 120 ms scatters by a few, so the answering time is that and a little more.
    let silence = patience(60_000, Timeouts::default());
    assert!((7 * SECOND..=10 * SECOND).contains(&silence), "{silence:?}");
}

#[test]
fn silence_is_borne_for_the_maximum_at_most() {
    let silence = patience(900_000, Timeouts::default());
    assert!((29 * SECOND..=31 * SECOND).contains(&silence), "{silence:?}");
}

#[test]
fn each_of_the_three_times_can_be_set() {
    let set =
        |limit, minimum, maximum| Timeouts { limit, minimum: minimum * SECOND, maximum: maximum * SECOND };
    let around = |silence: Duration, expected: Duration| {
        assert!(
            silence > expected * 9 / 10 && silence < expected * 11 / 10,
            "{silence:?} instead of {expected:?}"
        );
    };
    around(patience(1000, set(32, 1, 30)), Duration::from_millis(1890));
    around(patience(1000, set(1, 1, 30)), SECOND);
    around(patience(1000, set(1, 12, 30)), 12 * SECOND);
    around(patience(1000, set(u32::MAX, 1, 100)), 100 * SECOND);
    around(patience(1000, set(32, 50, 3)), 3 * SECOND);
}

#[test]
fn an_idle_connection_is_kept_by_pings_and_its_death_noticed_by_them() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(3600 * SECOND);
    assert_eq!(world.take_events(0), []);
    assert_eq!(world.take_events(1), []);
    world.stations[0].asleep = true;
    world.run_for(6 * SECOND);
    assert_eq!(world.take_events(1), ended(client, DisconnectReason::TimedOut));
    world.stations[0].asleep = false;
    world.run_for(6 * SECOND);
    assert_eq!(world.take_events(0), ended(server, DisconnectReason::TimedOut));
}

#[test]
fn pings_go_as_often_as_the_interval_says_and_only_when_idle() {
    let config = Config { ping_interval: Duration::from_secs(2), ..Config::default() };
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &config);
    world.run_for(10 * SECOND);
    let before = world.link.sent;
    world.run_for(100 * SECOND);
    let idle = world.link.sent - before;
    // Fifty times: a ping, an answer that carries the other end's, and the answer to that.
    assert!((140..=160).contains(&idle), "{idle}");
    world.stations[0].host.set_ping_interval(server, Duration::from_millis(100)).unwrap();
    world.stations[1].host.set_ping_interval(client, Duration::from_millis(100)).unwrap();
    let before = world.link.sent;
    world.run_for(10 * SECOND);
    assert!(world.link.sent - before > 270);
}

#[test]
fn pings_ride_with_packets_that_leave_anyway() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(10 * SECOND);
    let before = world.link.sent;
    for _ in 0..600 {
        for (number, peer) in [server, client].into_iter().enumerate() {
            world.stations[number].host.send_copy(peer, 0, Mode::Unreliable, b"a frame").unwrap();
        }
        world.run_for(SECOND / 60);
    }
    // What comes on top are the answers only: two each 7/16 of a second.
    let on_top = world.link.sent - before - 1200;
    assert!((40..=56).contains(&on_top), "{on_top}");
}

#[test]
fn a_host_pings_its_idle_peers_many_at_a_time() {
    const CLIENTS: usize = 64;
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { max_peers: CLIENTS, ..Config::default() });
    for number in 1..=CLIENTS {
        world.add(Config::default());
        world.connect(number, 0, 1, 0);
        world.run_for(Duration::from_millis(7));
    }
    world.run_for(10 * SECOND);
    let (end, mut sent, mut moments) = (world.now + 10 * SECOND, world.link.sent, 0);
    let before = sent;
    world.run_until(11 * SECOND, |world| {
        moments += u64::from(world.link.sent > sent);
        sent = world.link.sent;
        world.now >= end
    });
    let datagrams = sent - before;
    assert!(datagrams >= 20 * 3 * CLIENTS as u64 * 9 / 10, "{datagrams}");
    // Each of sixteen moments of an interval brings pings, answers and answers to those.
    assert!(moments <= 20 * 16 * 3 * 3 / 2, "{datagrams} datagrams at {moments} moments");
}

#[test]
fn a_pause_shorter_than_the_minimum_costs_nothing_but_time() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(SECOND);
    world.stations[0].asleep = true;
    for number in 0..10_u8 {
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, &[number]).unwrap();
        world.run_for(SECOND / 4);
    }
    world.stations[0].asleep = false;
    world.run_for(3 * SECOND);
    assert_eq!(world.stations[0].received(), (0..10_u8).map(|n| vec![n]).collect::<Vec<_>>());
    assert_eq!(world.take_events(1), []);
}

#[test]
fn a_connection_lives_as_long_as_anything_is_acknowledged() {
    // At this loss some commands get lost ten times in a row; the other end still answers all the time.
    let conditions = Conditions { loss_per_mille: 600, ..Conditions::PERFECT };
    let config = Config { half_open_timeout: 600 * SECOND, ..Config::default() };
    let mut lived = 0;
    for seed in 0..10 {
        let mut world = World::new(seed, Conditions::PERFECT);
        world.add(config.clone());
        world.add(config.clone());
        let client = world.connect(1, 0, 1, 0);
        world.run_for(SECOND);
        world.take_events(0);
        world.link.conditions = conditions;
        for _ in 0..600 {
            let _ = world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x");
            world.stations[0].host.broadcast(0, Mode::Reliable, &"x".into());
            world.run_for(SECOND / 10);
        }
        lived += u32::from(world.stations[1].host.state(client).is_some());
    }
    assert_eq!(lived, 10);
}

#[test]
fn a_connect_that_nobody_answers_times_out_after_the_maximum() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    world.stations[0].asleep = true;
    let peer = world.connect(1, 0, 1, 0);
    world.run_for(29 * SECOND);
    assert_eq!(world.take_events(1), []);
    world.run_for(2 * SECOND);
    assert_eq!(world.take_events(1), ended(peer, DisconnectReason::TimedOut));
    assert_eq!(world.stations[1].host.poll_timeout(), None);
}

#[test]
fn commands_are_sent_again_after_the_answering_time_then_after_twice_that() {
    let config = Config { ping_interval: Duration::from_secs(7), ..Config::default() };
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &config);
    // Long enough for the first guesses to be forgotten: the answering time is at its floor of 30 ms.
    world.run_for(60 * SECOND);
    world.stations[0].asleep = true;
    world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x").unwrap();
    world.flush();
    let start = world.now;
    let mut sent_at = Vec::new();
    let mut last = world.stations[1].host.peer_stats(client).unwrap().retransmissions;
    while sent_at.len() < 5 {
        world.now = world.next_happening().unwrap();
        world.step();
        let now = world.stations[1].host.peer_stats(client).unwrap().retransmissions;
        if now > last {
            sent_at.push((world.now - start).as_millis());
            last = now;
        }
    }
    assert_eq!(sent_at, [30, 90, 210, 450, 930]);
}

#[test]
fn a_driver_that_wakes_up_late_finds_everything_due_at_once() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(SECOND);
    world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x").unwrap();
    world.flush();
    world.now = world.now + Duration::from_millis(1);
    world.step();
    // The answer waits in the socket; the driver reads it first, whatever the clock says.
    world.now = world.now + 40 * SECOND;
    world.step();
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received(), [b"x"]);
    assert!(world.stations[1].host.state(client).is_some());
}

#[test]
fn time_that_stands_still_or_runs_backwards_does_no_harm() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(10 * SECOND);
    let back = ferry_enet::Timestamp::from_micros(5);
    world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x").unwrap();
    let mut buffer = [0; 1392];
    while world.stations[1].host.poll_transmit(back, &mut buffer).is_some() {}
    world.stations[1].host.handle_timeout(back);
    world.stations[0].host.handle_timeout(back);
    world.run_for(10 * SECOND);
    assert_eq!(world.stations[0].received(), [b"x"]);
}

#[test]
fn the_shortest_ping_interval_is_a_millisecond() {
    let config = Config { ping_interval: Duration::from_nanos(1), ..Config::default() };
    let (mut world, server, _) = World::pair(1, Conditions::PERFECT, &config);
    world.stations[0].host.set_ping_interval(server, Duration::from_nanos(1)).unwrap();
    let before = world.link.sent;
    world.run_for(SECOND);
    assert!(world.link.sent - before < 5000);
}
