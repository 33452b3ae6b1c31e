//! Messages on their way: reliable, unreliable, large, many, and into a window that is closed.

use std::time::Duration;

use bytes::Bytes;
use ferry_sctp::{Config, Reliability};

use crate::world::{
    FAST, LOSSY, MS, RELIABLE, UNRELIABLE, UNRELIABLE_ORDERED, Way, World, config, percentile,
};

/// Sends numbered messages at a pace, and tells after how long each one came.
fn delays(
    world: &mut World,
    count: u32,
    pace: Duration,
    size: usize,
    reliability: Reliability,
) -> Vec<Duration> {
    let mut sent = Vec::new();
    for number in 0..count {
        let mut payload = vec![0; size.max(4)];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        world.send(0, 1, payload, reliability);
        sent.push(world.now);
        world.run(pace);
    }
    world.run(MS(5_000));
    let received = world.received[1].iter();
    received
        .map(|(at, message)| {
            let number = u32::from_be_bytes(message.payload[..4].try_into().unwrap());
            *at - sent[number as usize]
        })
        .collect()
}

fn numbers(world: &World, end: usize) -> Vec<u32> {
    let payloads = world.payloads(end);
    payloads.iter().map(|payload| u32::from_be_bytes(payload[..4].try_into().unwrap())).collect()
}

#[test]
fn a_reliable_stream_of_small_messages_recovers_quickly() {
    let mut world = World::connected(1, LOSSY);
    let mut delays = delays(&mut world, 5_000, MS(4), 64, RELIABLE);
    assert_eq!(numbers(&world, 1), (0..5_000).collect::<Vec<_>>());
    let (p50, p99) = (percentile(&mut delays, 50), percentile(&mut delays, 99));
    println!("250 a second: p50 {p50:?} p99 {p99:?} max {:?}", delays.last());
    assert!(p99 <= MS(300), "{p99:?}");
    world.assert_quiet();
}

#[test]
fn a_rare_reliable_message_recovers_quickly() {
    let mut world = World::connected(2, LOSSY);
    let mut delays = delays(&mut world, 1_000, MS(500), 64, RELIABLE);
    assert_eq!(delays.len(), 1_000);
    let p99 = percentile(&mut delays, 99);
    println!("2 a second: p99 {p99:?} max {:?}", delays.last());
    assert!(p99 <= MS(400), "{p99:?}");
}

#[test]
fn unreliable_messages_wait_for_nothing() {
    for (pace, size) in [(4, 64), (16, 64), (16, 1000), (33, 2000), (50, 64)] {
        let mut world = World::connected(3, LOSSY);
        let mut delays = delays(&mut world, 2_000, MS(pace), size, UNRELIABLE);
        let (count, p99) = (delays.len(), percentile(&mut delays, 99));
        println!("unordered, every {pace} ms, {size} B: {count} of 2000, p99 {p99:?}");
        assert!(count >= if size > 1100 { 1_700 } else { 1_850 }, "{count}");
        assert!(p99 <= MS(55), "{p99:?}");
        world.assert_quiet();
    }
}

#[test]
fn ordered_unreliable_messages_wait_no_round_trip() {
    for (pace, size) in [(4, 64), (16, 64), (16, 1000), (50, 64)] {
        let mut world = World::connected(4, LOSSY);
        let mut delays = delays(&mut world, 2_000, MS(pace), size, UNRELIABLE_ORDERED);
        let (count, p99) = (delays.len(), percentile(&mut delays, 99));
        println!("ordered, every {pace} ms, {size} B: {count} of 2000, p99 {p99:?} max {:?}", delays.last());
        assert!(count >= 1_850, "{count}");
        assert!(p99 <= MS(100), "{p99:?}");
        let numbers = numbers(&world, 1);
        assert!(numbers.is_sorted());
        world.assert_quiet();
    }
}

#[test]
fn an_unreliable_flood_mostly_comes() {
    for reliability in [UNRELIABLE, UNRELIABLE_ORDERED] {
        let mut world = World::connected(5, Way { delay: MS(5), ..FAST });
        // Ten windows at once.
        for number in 0..400_u32 {
            world.send(0, 1, number.to_be_bytes().repeat(64), reliability);
        }
        world.run(MS(1_000));
        let count = world.received[1].len();
        println!("{count} of 400");
        assert_eq!(count, 400);
    }
}

#[test]
fn twenty_thousand_messages_at_once_come_without_a_pause() {
    let mut world = World::connected(6, FAST);
    for number in 0..20_000_u32 {
        world.send(0, 1, number.to_be_bytes().repeat(16), RELIABLE);
    }
    assert_eq!(world.ends[0].unsent_bytes(1), 20_000 * 64);
    let start = world.now;
    assert!(world.run_until(MS(60_000), |world| world.received[1].len() == 20_000));
    let took = world.now - start;
    assert!(took < MS(40), "{took:?}");
    assert_eq!(numbers(&world, 1), (0..20_000).collect::<Vec<_>>());
    world.run(MS(100));
    world.assert_quiet();
    assert_eq!(world.ends[0].statistics().timeouts, 0);
    assert_eq!(world.ends[0].statistics().retransmissions, 0);
}

#[test]
fn large_messages_come_whole_under_loss() {
    for reliability in [RELIABLE, Reliability { ordered: false, ..RELIABLE }] {
        let mut world = World::connected(7, LOSSY);
        let payload: Bytes = (0..256 * 1024).map(|index: u32| (index % 251) as u8).collect::<Vec<_>>().into();
        for _ in 0..4 {
            world.send(0, 1, payload.clone(), reliability);
        }
        assert!(world.run_until(MS(120_000), |world| world.received[1].len() == 4));
        assert!(world.payloads(1).iter().all(|received| *received == payload));
        world.run(MS(5_000));
        world.assert_quiet();
    }
}

#[test]
fn a_backlog_on_one_stream_does_not_hold_up_another() {
    let mut world = World::connected(8, Way { delay: MS(10), ..FAST });
    for _ in 0..200 {
        world.send(0, 1, vec![1; 16 * 1024], RELIABLE);
    }
    world.run(MS(30));
    let start = world.now;
    world.send(0, 2, "me too", RELIABLE);
    assert!(world.run_until(MS(10_000), |world| world.received[1].iter().any(|(_, m)| m.stream == 2)));
    assert!(world.received[1].len() < 190, "the backlog is still there");
    let took = world.now - start;
    println!("behind a backlog: {took:?}");
    assert!(took < MS(60), "{took:?}");
}

#[test]
fn messages_stay_inside_while_nobody_receives() {
    let window = 100_000;
    let configs = [config(9, 0), Config { receive_window: window, ..config(9, 1) }];
    let mut world = World::with(9, Way { delay: MS(5), ..FAST }, configs);
    world.connect();
    world.ends[1].set_receiving(false);
    for _ in 0..500 {
        world.send(0, 1, vec![1; 1000], RELIABLE);
    }
    world.run(MS(60_000));
    assert_eq!(world.received[1].len(), 0);
    let stuck = world.ends[0].outstanding_bytes();
    // But for the window, and what may come to ask whether it is still shut.
    assert!((500_000 - window - window / 8 - 2000..420_000).contains(&stuck), "{stuck}");
    let sent = world.sent;
    world.run(MS(10_000));
    assert!(world.sent - sent < 30, "a closed window is asked for only now and then");

    world.ends[1].set_receiving(true);
    let start = world.now;
    assert!(world.run_until(MS(60_000), |world| world.received[1].len() == 500));
    let took = world.now - start;
    println!("all came {took:?} after the window was opened");
    assert!(took < MS(300), "{took:?}");
    world.run(MS(1_000));
    world.assert_quiet();
}

#[test]
fn a_message_longer_than_the_window_comes() {
    let configs = [config(10, 0), Config { receive_window: 20_000, ..config(10, 1) }];
    let mut world = World::with(10, Way { delay: MS(5), ..LOSSY }, configs);
    world.connect();
    for _ in 0..3 {
        world.send(0, 1, vec![1; 200_000], RELIABLE);
    }
    assert!(world.run_until(MS(60_000), |world| world.received[1].len() == 3));
}

#[test]
fn retransmissions_are_counted() {
    for (limit, least, most) in [(0, 0, 0), (3, 3, 3)] {
        let mut world = World::connected(11, FAST);
        world.way.loss = 100.0;
        world.send(0, 1, "lost", Reliability { retransmits: Some(limit), ..RELIABLE });
        world.run(MS(20_000));
        let again = world.ends[0].statistics().retransmissions;
        assert!((least..=most).contains(&again), "{again}");
        assert_eq!(world.ends[0].statistics().messages_abandoned, 1);
        assert_eq!(world.ends[0].outstanding_bytes(), 0);
        world.way.loss = 0.0;
        world.send(0, 1, "comes", RELIABLE);
        world.run(MS(20_000));
        assert_eq!(world.payloads(1), ["comes"]);
        world.assert_quiet();
    }
}

/// A seed whose first number is some thirty thousand below the wrap.
const WRAPPING: u64 = 62_882;

#[test]
fn numbers_wrap_under_loss() {
    let configs = [Config { seed: WRAPPING, ..config(12, 0) }, config(12, 1)];
    let mut world = World::with(12, Way { loss: 5.0, jitter: MS(2), delay: MS(2), ..FAST }, configs);
    let first = {
        let mut packet = Vec::new();
        let now = world.now;
        world.ends[0].connect(now);
        assert!(world.ends[0].poll_transmit(now, &mut packet));
        u32::from_be_bytes(packet[28..32].try_into().unwrap())
    };
    assert!(first > u32::MAX - 60_000, "{first}");
    world.connect();
    // More than 65536 on one stream, so that its numbers wrap as well; in batches, to be quick.
    let mut number = 0_u32;
    for _ in 0..140 {
        for _ in 0..1000 {
            world.send(0, 1, number.to_be_bytes().to_vec(), RELIABLE);
            number += 1;
        }
        assert!(world.run_until(MS(60_000), |world| world.received[1].len() == number as usize));
    }
    assert_eq!(numbers(&world, 1), (0..number).collect::<Vec<_>>());
    assert!(world.ends[0].statistics().retransmissions > 1000);
}

#[test]
fn the_last_message_of_a_burst_does_not_wait_for_a_long_timer() {
    let mut delays = Vec::new();
    for seed in 0..300 {
        let mut world = World::connected(seed, Way { delay: MS(50), ..FAST });
        world.way.loss = 20.0;
        let start = world.now;
        for _ in 0..3 {
            world.send(0, 1, vec![0; 1000], RELIABLE);
        }
        assert!(world.run_until(MS(20_000), |world| world.received[1].len() == 3));
        delays.push(world.now - start);
    }
    let (p90, p99) = (percentile(&mut delays, 90), percentile(&mut delays, 99));
    println!("three packets at 20 % loss: p90 {p90:?} p99 {p99:?} max {:?}", delays.last());
    assert!(p90 <= MS(500) && p99 <= MS(1_500), "{p90:?} {p99:?}");
}

#[test]
fn a_game_that_mixes_all_kinds_loses_only_what_the_network_loses() {
    let kinds = [(1, RELIABLE), (2, UNRELIABLE_ORDERED), (3, UNRELIABLE)];
    for streams in [vec![1], vec![2], vec![3], vec![2, 3], vec![1, 3], vec![1, 2], vec![1, 2, 3]] {
        let mut world = World::connected(21, LOSSY);
        let mut sent = Vec::new();
        for number in 0..2_000_u32 {
            for (stream, reliability) in kinds.iter().filter(|(stream, _)| streams.contains(stream)) {
                world.send(0, *stream, number.to_be_bytes().repeat(15), *reliability);
            }
            sent.push(world.now);
            world.run(MS(16));
        }
        world.run(MS(5_000));
        for stream in &streams {
            let of_stream = world.received[1].iter().filter(|(_, message)| message.stream == *stream);
            let mut delays: Vec<_> = of_stream
                .map(|(at, message)| {
                    *at - sent[u32::from_be_bytes(message.payload[..4].try_into().unwrap()) as usize]
                })
                .collect();
            let (count, p50, p99) = (delays.len(), percentile(&mut delays, 50), percentile(&mut delays, 99));
            println!("{streams:?} {stream}: {count} of 2000, p50 {p50:?} p99 {p99:?}");
            assert!(count >= 1_850, "{streams:?} {stream}: {count}");
            assert!(p99 <= MS(if *stream == 3 { 55 } else { 400 }), "{streams:?} {stream}: {p99:?}");
        }
        world.assert_quiet();
    }
}

#[test]
fn thousands_may_wait_behind_one_that_is_lost_again_and_again() {
    let configs = [0, 1].map(|end| Config { receive_window: 8 * 1024 * 1024, ..config(13, end) });
    let mut world = World::with(13, Way { delay: MS(2), ..FAST }, configs);
    world.connect();
    // The first DATA chunk on the way does not come, up to its fifth transmission.
    let (mut first, mut lost) = (None, 0);
    world.drop_if = Box::new(move |end, packet| {
        if end == 1 || packet[12] != 0 {
            return false;
        }
        let tsn = packet[16..20].to_vec();
        let drop = lost < 5 && tsn == *first.get_or_insert(tsn.clone());
        lost += u32::from(drop);
        drop
    });
    for number in 0..60_000_u32 {
        world.send(0, 1, number.to_be_bytes().to_vec(), RELIABLE);
    }
    let start = world.now;
    assert!(world.run_until(MS(60_000), |world| world.received[1].len() == 60_000));
    let took = world.now - start;
    println!("{took:?}");
    assert!(took < MS(1_000), "{took:?}");
    assert_eq!(numbers(&world, 1), (0..60_000).collect::<Vec<_>>());
    world.run(MS(1_000));
    world.assert_quiet();
}
