//! Sequence numbers: every one of them wraps, and no window is ever passed.

use std::time::Duration;

use ferry_enet::{Config, Event, Mode};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// Takes what station 0 received and checks that it is the numbers from `next` on; returns the number after.
fn expect_numbers(world: &mut World, mut next: u32) -> u32 {
    for event in world.take_events(0) {
        let Event::Received { payload, .. } = event else { panic!("{event:?}") };
        assert_eq!(payload[..], next.to_be_bytes());
        next += 1;
    }
    next
}

#[test]
fn reliable_numbers_wrap_in_order_on_a_bad_line() {
    let conditions = Conditions { delay_us: 2000, jitter_us: 3000, ..Conditions::BAD };
    let (mut world, _, client) = World::pair(1, conditions, &Config::default());
    let mut next = 0;
    for number in 0..150_000_u32 {
        world.stations[1].host.send_copy(client, 3, Mode::Reliable, &number.to_be_bytes()).unwrap();
        if number % 200 == 0 {
            world.run_for(Duration::from_millis(10));
            next = expect_numbers(&mut world, next);
        }
    }
    while next < 150_000 {
        world.run_for(SECOND);
        next = expect_numbers(&mut world, next);
    }
}

#[test]
fn more_packets_than_there_are_numbers_can_be_queued_at_once() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    for number in 0..200_000_u32 {
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, &number.to_be_bytes()).unwrap();
    }
    let mut next = 0;
    for _ in 0..600 {
        world.run_for(SECOND / 10);
        next = expect_numbers(&mut world, next);
    }
    assert_eq!(next, 200_000);
}

#[test]
fn unsequenced_groups_wrap() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    let mut next = 0;
    for number in 0..150_000_u32 {
        world.stations[1].host.send_copy(client, 0, Mode::Unsequenced, &number.to_be_bytes()).unwrap();
        if number % 100 == 99 {
            world.run_for(Duration::from_millis(2));
            next = expect_numbers(&mut world, next);
        }
    }
    assert_eq!(next, 150_000);
}

#[test]
fn unreliable_numbers_never_wrap_a_reliable_packet_starts_them_over() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    let mut reliable = 0;
    for number in 0..200_000_u32 {
        world.stations[1].host.send_copy(client, 0, Mode::Unreliable, &number.to_be_bytes()).unwrap();
        if number % 100 == 99 {
            world.run_for(Duration::from_millis(4));
            for event in world.take_events(0) {
                let Event::Received { mode, payload, .. } = event else { panic!("{event:?}") };
                assert!(payload.len() == 4);
                reliable += u32::from(mode == Mode::Reliable);
            }
        }
    }
    // One in 65536.
    assert_eq!(reliable, 3);
}

#[test]
fn fragments_wrap_in_the_middle_of_a_packet() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    let mut random = Random::new(1);
    let mut expected = Vec::new();
    // 90 packets of about a thousand pieces: past the wrap, at all sorts of places.
    for _ in 0..90 {
        let len = random.between(1_200_000, 1_500_000) as usize;
        let byte = random.any() as u8;
        world.stations[1].host.send(client, 0, Mode::Reliable, vec![byte; len].into()).unwrap();
        expected.push((byte, len));
        world.run_until(60 * SECOND, |world| !world.stations[0].events.is_empty());
        let received: Vec<(u8, usize)> =
            world.stations[0].received().iter().map(|payload| (payload[0], payload.len())).collect();
        assert_eq!(received, expected.split_off(0));
        world.take_events(0);
    }
}

#[test]
fn control_commands_wrap() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    for _ in 0..70_000 {
        world.stations[1].host.ping(client).unwrap();
        world.run_for(Duration::from_millis(3));
    }
    assert!(world.stations[1].host.state(client).is_some());
    assert_eq!(world.stations[1].host.peer_stats(client).unwrap().retransmissions, 0);
}

#[test]
fn a_sender_never_passes_the_receivers_windows() {
    // The first packet never arrives, all others do: then 7 windows of 4096 numbers, less the one that is stuck, are
    // all that a receiver takes.
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"stuck").unwrap();
    let mut buffer = [0; 1392];
    while world.stations[1].host.poll_transmit(world.now, &mut buffer).is_some() {}
    for _ in 0..40_000 {
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"").unwrap();
    }
    // Before it is sent again, 30 ms later at the earliest.
    world.run_for(Duration::from_millis(25));
    let held = world.stations[0].host.peer_stats(server).unwrap();
    assert_eq!(held.incomplete_bytes, (7 * 4096 - 2) * 192);
    assert_eq!(world.stations[0].received().len(), 0);
    world.run_for(2 * SECOND);
    assert_eq!(world.stations[0].received().len(), 40_001);
    assert_eq!(world.stations[0].host.peer_stats(server).unwrap().incomplete_bytes, 0);
}

#[test]
fn the_clock_on_the_wire_wraps_every_65_seconds_and_round_trips_stay_true() {
    let (mut world, _, client) =
        World::pair(1, Conditions { delay_us: 30_000, ..Conditions::PERFECT }, &Config::default());
    for _ in 0..200 {
        world.run_for(SECOND);
        let stats = world.stations[1].host.peer_stats(client).unwrap();
        assert!((55..=65).contains(&stats.round_trip_time_ms), "{}", stats.round_trip_time_ms);
    }
}
