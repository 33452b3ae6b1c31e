//! A line that loses a twentieth of all datagrams and takes 50 ms each way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;

use crate::far::{Far, Stream, percentile, sent_once};
use crate::line::Conditions;
use crate::pair::{numbered, read};

/// One way.
const ONE_WAY: Duration = Duration::from_millis(50);

/// What the machine itself may add: two cores, and other tests on them.
const MACHINE: Duration = Duration::from_millis(60);

#[test]
fn every_connection_opens() {
    const TRIES: u32 = 50;
    const AT_A_TIME: u32 = 10;
    const BOUND: Duration = Duration::from_secs(5);
    let mut took = Vec::new();
    for first in (1..=TRIES).step_by(AT_A_TIME as usize) {
        let mut tries: Vec<_> = (first..first + AT_A_TIME)
            .map(|seed| {
                let far = Far::new(Conditions::bad(seed), Limits::default());
                let channel = far.channel(&numbered(1));
                far.begin();
                (seed, far, channel, Instant::now())
            })
            .collect();
        while !tries.is_empty() {
            tries.retain_mut(|(seed, far, channel, begun)| {
                far.poll();
                let open = far.is_open(*channel);
                assert!(
                    open || begun.elapsed() < BOUND,
                    "seed {seed}: not open after {BOUND:?}: {:?}",
                    far.states()
                );
                if open {
                    took.push(begun.elapsed());
                }
                !open
            });
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    println!(
        "open: median {:?}, p90 {:?}, max {:?}",
        percentile(&took, 50),
        percentile(&took, 90),
        percentile(&took, 100)
    );
}

#[test]
fn reliable_messages_all_come_in_order_and_a_lost_one_is_there_within_400_ms() {
    let (mut far, channels) = Far::connected(Conditions::bad(7), Limits::default(), &[numbered(1)]);
    let mut streams = [Stream::new(channels[0], 250, true)];
    Stream::run(&mut streams, &mut far, Duration::from_secs(12));
    let [stream] = &mut streams;
    stream.all_have_come(&mut far, Duration::from_secs(5));
    println!("reliable: {}", stream.summary());
    let most = stream.percentile(99);
    assert!(most <= ONE_WAY + Duration::from_millis(400), "{most:?}");
}

#[test]
fn a_reliable_message_now_and_then_is_there_within_400_ms() {
    let (mut far, channels) = Far::connected(Conditions::bad(8), Limits::default(), &[numbered(1)]);
    // Seldom enough that no later message tells of a loss.
    let mut streams = [Stream::new(channels[0], 8, true)];
    Stream::run(&mut streams, &mut far, Duration::from_secs(12));
    let [stream] = &mut streams;
    stream.all_have_come(&mut far, Duration::from_secs(5));
    println!("now and then: {}", stream.summary());
    let most = stream.percentile(98);
    assert!(most <= ONE_WAY + Duration::from_millis(400), "{most:?}");
}

#[test]
fn unreliable_messages_wait_for_no_lost_one() {
    let channels = [sent_once(2, false), sent_once(3, true)];
    let (mut far, channels) = Far::connected(Conditions::bad(9), Limits::default(), &channels);
    let mut streams = [Stream::new(channels[0], 250, true), Stream::new(channels[1], 250, false)];
    Stream::run(&mut streams, &mut far, Duration::from_secs(12));
    let begun = Instant::now();
    far.until(Duration::from_secs(5), "the last ones", |far| {
        streams.iter_mut().for_each(|stream| stream.receive(far));
        begun.elapsed() > Duration::from_millis(500)
    });
    for (stream, what) in streams.iter().zip(["in order", "in any order"]) {
        println!("unreliable, {what}: {}", stream.summary());
        // 95 of a hundred datagrams arrive.
        assert!(stream.took.len() as u64 * 100 >= stream.sent * 90, "{what}: too few came");
        // What overtakes nothing waits until it is known that what is missing will not come.
        let bound = if what == "in order" { ONE_WAY * 3 } else { ONE_WAY } + MACHINE;
        assert!(stream.percentile(99) <= bound, "{what}: {:?}", stream.percentile(99));
    }
}

#[test]
fn a_reliable_backlog_holds_up_no_other_channel() {
    const BACKLOG: usize = 8 << 20;
    // A message that has begun is finished before anything else leaves: some 30 ms on this line.
    const PIECE: usize = 4096;
    let inits = [numbered(1), sent_once(3, true), numbered(4)];
    let (mut far, channels) = Far::connected(Conditions::bad(11), Limits::default(), &inits);
    let piece = Bytes::from(vec![7; PIECE]);
    for _ in 0..BACKLOG / piece.len() {
        far.ends[0].connection.send(channels[0][0], Kind::Binary, piece.clone()).expect("it is taken");
    }
    let mut streams = [Stream::new(channels[1], 60, false), Stream::new(channels[2], 20, true)];
    let mut arrived = 0;
    let begun = Instant::now();
    far.until(Duration::from_secs(20), "time passes", |far| {
        for stream in &mut streams {
            stream.send_due(far);
            stream.receive(far);
        }
        arrived += read(&far.ends[1], channels[0][1]).iter().map(Bytes::len).sum::<usize>();
        begun.elapsed() > Duration::from_secs(8)
    });
    let left = far.ends[0].connection.buffered_amount(channels[0][0]);
    println!("backlog: {arrived} bytes came, {left} wait yet, in {:?}", begun.elapsed());
    let [unreliable, reliable] = &mut streams;
    println!("so far: unreliable {}, reliable {}", unreliable.summary(), reliable.summary());
    reliable.all_have_come(&mut far, Duration::from_secs(5));
    println!("unreliable beside it: {}", unreliable.summary());
    println!("reliable beside it: {}", reliable.summary());
    assert!(left > 0, "there was no backlog to measure beside");
    assert!(unreliable.took.len() as u64 * 100 >= unreliable.sent * 80, "too few unreliable ones came");
    assert!(unreliable.percentile(95) <= ONE_WAY * 2 + MACHINE, "{:?}", unreliable.percentile(95));
    assert!(reliable.percentile(95) <= ONE_WAY + Duration::from_millis(450), "{:?}", reliable.percentile(95));
}
