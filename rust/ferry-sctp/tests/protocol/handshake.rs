//! The beginning, with each of its packets lost.

use ferry_sctp::{Association, Config, Event};

use crate::world::{FAST, LOSSY, MS, RELIABLE, Way, World, config, kinds};

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;

#[test]
fn two_ends_agree_in_two_round_trips() {
    let mut world = World::connected(1, Way { delay: MS(50), ..FAST });
    assert_eq!(world.since_start(), MS(200));
    world.flush();
    assert_eq!(world.events[0], [Event::Established]);
    assert_eq!(world.events[1], [Event::Established]);
    assert!(world.ends.iter().all(|end| end.rtt() == Some(MS(100))));
}

#[test]
fn each_packet_of_the_handshake_may_be_lost() {
    for lost in [INIT, INIT_ACK, COOKIE_ECHO, COOKIE_ACK] {
        for both in [false, true] {
            for times in 1..4 {
                let mut world = World::new(2, FAST);
                let mut left = times;
                world.drop_if = Box::new(move |_, packet| {
                    let drop = left > 0 && kinds(packet).contains(&lost);
                    left -= u32::from(drop);
                    drop
                });
                if both {
                    let now = world.now;
                    world.ends[1].connect(now);
                }
                world.send(0, 1, "hello", RELIABLE);
                world.send(1, 1, "hello", RELIABLE);
                world.connect();
                world.run(MS(10_000));
                for end in 0..2 {
                    assert_eq!(world.payloads(end), ["hello"], "chunk {lost}, both {both}");
                    assert_eq!(world.events[end], [Event::Established], "chunk {lost}, both {both}");
                }
                world.assert_quiet();
            }
        }
    }
}

#[test]
fn both_ends_may_begin_at_any_distance_in_time() {
    for apart in [0, 10, 49, 50, 51, 99, 100, 101, 149, 150, 151, 250] {
        let mut world = World::new(3, Way { delay: MS(50), ..FAST });
        let now = world.now;
        world.ends[0].connect(now);
        world.run(MS(apart));
        let now = world.now;
        world.ends[1].connect(now);
        world.send(0, 1, "a", RELIABLE);
        world.send(1, 1, "b", RELIABLE);
        world.run(MS(3_000));
        assert_eq!(world.payloads(0), ["b"], "{apart} ms apart");
        assert_eq!(world.payloads(1), ["a"], "{apart} ms apart");
        world.assert_quiet();
    }
}

#[test]
fn it_comes_through_heavy_loss() {
    for seed in 0..200 {
        let mut world = World::new(seed, Way { loss: 30.0, jitter: MS(30), duplicates: 10.0, ..LOSSY });
        if seed % 2 == 0 {
            let now = world.now;
            world.ends[1].connect(now);
        }
        world.send(0, 1, "a", RELIABLE);
        world.send(1, 1, "b", RELIABLE);
        world.connect();
        world.run(MS(30_000));
        assert_eq!(world.payloads(0), ["b"], "seed {seed}");
        assert_eq!(world.payloads(1), ["a"], "seed {seed}");
    }
}

#[test]
fn an_end_that_nobody_answers_gives_up() {
    let mut world = World::new(4, Way { loss: 100.0, ..FAST });
    let now = world.now;
    world.ends[0].connect(now);
    world.run(MS(120_000));
    assert_eq!(world.closed(0).unwrap().to_string(), "no answer");
    assert_eq!(world.ends[0].poll_timeout(), None);
}

#[test]
fn streams_that_the_other_end_does_not_take_are_not_used() {
    let configs = [config(7, 0), Config { incoming_streams: 10, ..config(7, 1) }];
    let mut world = World::with(7, FAST, configs);
    for stream in [9, 10, 9] {
        world.send(0, stream, "early", RELIABLE);
    }
    world.connect();
    for stream in [9, 10] {
        world.send(0, stream, "late", RELIABLE);
    }
    world.run(MS(1_000));
    assert_eq!(world.payloads(1), ["early", "early", "late"]);
    assert_eq!(world.ends[0].statistics().messages_refused, 1);
    world.assert_quiet();
}

#[test]
fn an_association_does_not_begin_anew() {
    let mut world = World::connected(5, FAST);
    world.send(0, 1, "a", RELIABLE);
    world.run(MS(100));
    // Somebody puts a fresh end in the place of the first one.
    let now = world.now;
    world.ends[0] = Association::new(config(6, 0), now);
    world.ends[0].connect(now);
    world.run(MS(1_000));
    assert!(!world.ends[0].is_established());
    assert!(world.ends[1].is_established());
}
