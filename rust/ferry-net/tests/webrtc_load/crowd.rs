//! What many connections cost, and that nothing is left of those that are over.

use std::time::{Duration, Instant};

use counted_memory::process::{alone, held};
use ferry_net::webrtc::{ChannelId, ChannelPhase};

use crate::pair::{BOUND, Pair, numbered, read, send};
use crate::system::{files, threads};

/// Pairs, so twice as many connections.
const PAIRS: usize = 32;

/// What one connection may hold.
const EACH: usize = 200_000;

/// Polls all until this is so for each of them.
fn all_until(
    pairs: &mut [(Pair, [(ChannelId, ChannelId); 3])],
    what: &str,
    mut done: impl FnMut(&mut Pair, [(ChannelId, ChannelId); 3]) -> bool,
) {
    let begun = Instant::now();
    loop {
        let mut all = true;
        for (pair, channels) in &mut *pairs {
            pair.poll();
            all &= done(pair, *channels);
        }
        if all {
            return;
        }
        assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_open(pair: &Pair, channels: [(ChannelId, ChannelId); 3]) -> bool {
    channels.iter().all(|both| {
        pair.one.connection.channel_phase(both.0) == ChannelPhase::Open
            && pair.two.connection.channel_phase(both.1) == ChannelPhase::Open
    })
}

#[test]
fn sixty_four_connections_need_no_thread_each_and_little_memory() {
    let _alone = alone();
    // What a first connection brings stays: the runtime, the certificate.
    one_connection_and_over();
    let (threads_before, held_before) = (threads(), held());
    let mut pairs: Vec<_> = (0..PAIRS)
        .map(|_| {
            let pair = Pair::new();
            let channels = [1, 2, 3].map(|number| pair.negotiated(&numbered(number)));
            pair.one.connection.create_offer().expect("an offer");
            (pair, channels)
        })
        .collect();
    let begun = Instant::now();
    all_until(&mut pairs, "all are open", |pair, channels| is_open(pair, channels));
    let opened = begun.elapsed();
    let each = |held_now: usize| held_now.saturating_sub(held_before) / (PAIRS * 2);
    let more_threads = threads().saturating_sub(threads_before);
    let settled = Instant::now();
    all_until(&mut pairs, "a second passes", |_, _| settled.elapsed() > Duration::from_secs(1));
    let idle = each(held());

    let mut come = [0; PAIRS];
    for (pair, channels) in &pairs {
        for number in 0..200_u32 {
            send(&pair.one, channels[0].0, &[number.to_be_bytes(); 16].concat());
            send(&pair.two, channels[0].1, &[number.to_be_bytes(); 16].concat());
        }
        for _ in 0..3 {
            send(&pair.one, channels[1].0, &[7; 100_000]);
            send(&pair.two, channels[1].1, &[7; 100_000]);
        }
    }
    let mut index = 0;
    all_until(&mut pairs, "all messages have come", |pair, channels| {
        let come = &mut come[index % PAIRS];
        index += 1;
        *come += read(&pair.two, channels[0].1).len() + read(&pair.two, channels[1].1).len();
        *come += read(&pair.one, channels[0].0).len() + read(&pair.one, channels[1].0).len();
        *come == 406
    });
    let settled = Instant::now();
    all_until(&mut pairs, "two seconds pass", |_, _| settled.elapsed() > Duration::from_secs(2));
    let after = each(held());
    println!(
        "{} connections: open after {opened:?}, {idle} bytes each when idle, {after} after traffic, {more_threads} more threads",
        PAIRS * 2
    );
    assert!(more_threads == 0, "{more_threads} more threads");
    assert!(idle <= EACH, "{idle} bytes each");
    assert!(after <= EACH, "{after} bytes each after traffic");
}

fn one_connection_and_over() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    send(&pair.one, channels.0, b"there");
    pair.until("there", |pair| !read(&pair.two, channels.1).is_empty());
    pair.one.connection.close();
    pair.two.connection.close();
}

/// Waits until the process has no more open files than this: goodbyes are said for a while after the close.
fn files_come_down_to(bound: usize) -> usize {
    let begun = Instant::now();
    while files() > bound && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    files()
}

#[test]
fn nothing_is_left_of_two_hundred_connections_that_are_over() {
    let _alone = alone();
    // Files of the runtime, and memory that lists keep once they have grown.
    for _ in 0..20 {
        one_connection_and_over();
    }
    std::thread::sleep(Duration::from_millis(600));
    let (files_before, held_before) = (files(), held());
    for _ in 0..200 {
        one_connection_and_over();
    }
    let files_after = files_come_down_to(files_before);
    std::thread::sleep(Duration::from_millis(200));
    let more = held().saturating_sub(held_before);
    println!("after 200 connections: {more} bytes more, files {files_before} before and {files_after} after");
    assert!(files_after <= files_before, "{files_before} files before, {files_after} after");
    assert!(more < 100_000, "{more} bytes more");
}

#[test]
fn connections_dropped_half_way_leave_nothing() {
    let _alone = alone();
    let half_way = |turns: u32| {
        let mut pair = Pair::new();
        pair.negotiated(&numbered(1));
        pair.one.connection.create_offer().expect("an offer");
        for _ in 0..turns {
            pair.poll();
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    (0..40).for_each(half_way);
    std::thread::sleep(Duration::from_millis(600));
    let (files_before, held_before) = (files(), held());
    for _ in 0..4 {
        (0..40).for_each(half_way);
    }
    let files_after = files_come_down_to(files_before);
    std::thread::sleep(Duration::from_millis(200));
    let more = held().saturating_sub(held_before);
    println!("after 160 dropped half-way: {more} bytes more, files {files_before} and {files_after}");
    assert!(files_after <= files_before, "{files_before} files before, {files_after} after");
    assert!(more < 100_000, "{more} bytes more");
}
