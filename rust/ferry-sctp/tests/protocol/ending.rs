//! Streams and associations that end.

use bytes::Bytes;
use ferry_sctp::{CloseReason, Event};

use crate::world::{FAST, LOSSY, MS, RELIABLE, Way, World};

#[test]
fn a_stream_is_closed_when_all_its_messages_have_come_and_begins_anew() {
    for seed in 0..50 {
        let mut world = World::connected(seed, Way { loss: 10.0, jitter: MS(20), ..LOSSY });
        for round in 0..3 {
            for number in 0..100_u32 {
                world.send(0, 1, number.to_be_bytes().to_vec(), RELIABLE);
                world.send(0, 2, "other", RELIABLE);
            }
            let now = world.now;
            world.ends[0].reset_stream(now, 1);
            world.send(0, 1, "too late", RELIABLE);
            assert!(world.run_until(MS(60_000), |world| world.events[0].len() == 2 + round));
            assert_eq!(world.events[0].last(), Some(&Event::StreamClosed(1)), "seed {seed}");
            assert_eq!(world.events[1].last(), Some(&Event::StreamReset(1)));
            assert_eq!(world.events[1].len(), 2 + round, "once a round");
            let count = world.received[1].iter().filter(|(_, message)| message.stream == 1).count();
            assert_eq!(count, 100 * (1 + round));
        }
        world.run(MS(10_000));
        world.assert_quiet();
    }
}

/// The second time, the last number before the reset is the same as the first: that was taken for a repetition, and the other
/// end never heard that its channel was closed.
#[test]
fn a_stream_that_carried_nothing_is_closed_as_often_as_it_is_opened() {
    for seed in 0..20 {
        let mut world = World::connected(seed, Way { loss: 10.0, jitter: MS(20), ..LOSSY });
        for round in 1..5 {
            let first = round % 2;
            for end in [first, 1 - first] {
                let now = world.now;
                world.ends[end].reset_stream(now, 1);
                let heard = |world: &World, end: usize, wanted: Event| {
                    world.events[end].iter().filter(|event| **event == wanted).count() == round
                };
                assert!(
                    world.run_until(MS(60_000), |world| {
                        heard(world, end, Event::StreamClosed(1))
                            && heard(world, 1 - end, Event::StreamReset(1))
                    }),
                    "seed {seed}, round {round}: {:?}",
                    world.events
                );
            }
        }
    }
}

#[test]
fn both_ends_may_close_many_streams_at_once() {
    for seed in 0..20 {
        let mut world = World::connected(seed, LOSSY);
        for end in 0..2 {
            for stream in 0..200 {
                world.send(end, stream, "x", RELIABLE);
                let now = world.now;
                world.ends[end].reset_stream(now, stream);
            }
        }
        world.run(MS(60_000));
        for end in 0..2 {
            let closed = world.events[end].iter().filter(|e| matches!(e, Event::StreamClosed(_))).count();
            let reset = world.events[end].iter().filter(|e| matches!(e, Event::StreamReset(_))).count();
            assert_eq!((closed, reset, world.received[end].len()), (200, 200, 200), "seed {seed}");
        }
        world.assert_quiet();
    }
}

#[test]
fn a_shutdown_delivers_what_was_sent_before() {
    for seed in 0..50 {
        for both in [false, true] {
            let mut world = World::connected(seed, Way { loss: 10.0, ..LOSSY });
            for end in 0..2 {
                for _ in 0..50 {
                    world.send(end, 1, vec![7; 2000], RELIABLE);
                }
            }
            let now = world.now;
            world.ends[0].shutdown(now);
            if both {
                world.ends[1].shutdown(now);
            }
            world.send(0, 1, "too late", RELIABLE);
            world.run(MS(120_000));
            assert_eq!(world.received[0].len(), 50);
            assert_eq!(world.received[1].len(), 50);
            assert_eq!(world.closed(0), Some(&CloseReason::Shutdown), "seed {seed}");
            // Its last word may be lost for good; then the other end gives up.
            assert!(matches!(world.closed(1), Some(CloseReason::Shutdown | CloseReason::TimedOut)));
            assert_eq!(world.ends[0].poll_timeout(), None);
        }
    }
}

#[test]
fn an_abort_tells_why() {
    let mut world = World::connected(1, FAST);
    world.send(0, 1, vec![0; 100_000], RELIABLE);
    let now = world.now;
    world.ends[0].abort(now, "the host has gone home");
    world.run(MS(100));
    assert_eq!(world.closed(0), Some(&CloseReason::LocalAbort));
    assert_eq!(world.closed(1), Some(&CloseReason::Aborted("the host has gone home".into())));
    assert!(world.ends.iter().all(|end| end.is_closed() && end.poll_timeout().is_none()));
    world.assert_quiet();
}

#[test]
fn an_end_that_vanishes_is_given_up() {
    let mut world = World::connected(2, FAST);
    world.way.loss = 100.0;
    world.send(0, 1, "anybody there?", RELIABLE);
    world.run(MS(40_000));
    assert_eq!(world.closed(0), Some(&CloseReason::TimedOut));
    let took = world.since_start();
    assert!(took < MS(60_000), "{took:?}");
}

#[test]
fn a_message_that_is_too_long_ends_it() {
    for size in [256 * 1024, 256 * 1024 + 1] {
        let mut world = World::connected(3, FAST);
        world.send(0, 1, vec![0; size], RELIABLE);
        world.run(MS(1_000));
        let allowed = size == 256 * 1024;
        assert_eq!(world.received[1].len(), usize::from(allowed));
        assert_eq!(world.closed(1), (!allowed).then_some(&CloseReason::TooLong));
        assert_eq!(world.closed(0).is_none(), allowed);
    }
}

#[test]
fn the_end_comes_behind_what_was_not_read() {
    let mut world = World::connected(4, FAST);
    world.ends[1].set_receiving(false);
    world.send(0, 1, "last words", RELIABLE);
    world.run(MS(100));
    let now = world.now;
    world.ends[0].abort(now, "");
    world.run(MS(100));
    assert_eq!(world.closed(1), None);
    world.ends[1].set_receiving(true);
    world.flush();
    assert_eq!(world.payloads(1), [Bytes::from("last words")]);
    assert!(world.closed(1).is_some());
}

#[test]
fn a_quiet_association_is_asked_whether_it_is_there() {
    let mut world = World::connected(5, FAST);
    let sent = world.sent;
    world.run(MS(60_000));
    let sent = world.sent - sent;
    assert!((6..=20).contains(&sent), "{sent}");
    world.way.loss = 100.0;
    world.run(MS(600_000));
    assert_eq!(world.closed(0), Some(&CloseReason::TimedOut));
}
