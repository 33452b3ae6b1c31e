//! What an association allocates: little for an honest end, and bounded for any other.
//!
//! A counting allocator watches the one thread. Packets of hostile ends are made by hand here.

#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

#[path = "protocol/raw.rs"]
#[allow(dead_code, reason = "this needs only some of it")]
mod raw;

use std::time::{Duration, Instant};

use bytes::Bytes;
use counted_memory::thread::{self, held, peak};
use ferry_sctp::{Association, Config, Event, Message, Reliability};

use self::raw::{FIRST, RE_CONFIG, TSN, Target, WHOLE, chunk, data};

const WINDOW: usize = 1024 * 1024;

fn target() -> Target {
    let mut target = Target::new(Config { receive_window: WINDOW, ..Config::default() });
    target.end.set_receiving(false);
    target
}

/// Padding that travels with a message and is no part of it.
fn padding() -> Vec<u8> {
    chunk(0x80, 0, &[0; 1100])
}

#[test]
fn small_messages_cost_less_than_an_allocation_each() {
    let now = Instant::now();
    let mut ends = [1, 2].map(|seed| Association::new(Config { seed, ..Config::default() }, now));
    ends[0].connect(now);
    let payload = Bytes::from(vec![1; 64]);
    let mut packet = Vec::with_capacity(2000);
    let (mut received, mut allocations, mut measured) = (0_u64, 0, 0);
    for tick in 0..2000_u64 {
        let now = now + Duration::from_millis(16 * tick);
        for end in &mut ends {
            for _ in 0..20 {
                let message = Message { stream: 1, ppid: 53, payload: payload.clone() };
                let before = thread::allocations();
                end.send(now, message, Reliability::RELIABLE);
                allocations += thread::allocations() - before;
            }
        }
        for round in 0..6 {
            let end = round % 2;
            ends[end].handle_timeout(now);
            loop {
                let before = thread::allocations();
                let any = ends[end].poll_transmit(now, &mut packet);
                allocations += thread::allocations() - before;
                if !any {
                    break;
                }
                let bytes = Bytes::copy_from_slice(&packet);
                let before = thread::allocations();
                ends[1 - end].handle_input(now, bytes);
                while let Some(event) = ends[1 - end].poll_event() {
                    received += u64::from(matches!(event, Event::Message(_)));
                }
                allocations += thread::allocations() - before;
            }
        }
        if tick == 999 {
            (measured, allocations) = (received, 0);
        }
    }
    let messages = received - measured;
    assert_eq!(messages, 40 * 1000);
    println!("{allocations} allocations for {messages} messages");
    assert!(allocations * 5 < messages, "{allocations} for {messages}");
}

#[test]
fn what_is_over_is_freed() {
    let start = held();
    let now = Instant::now();
    let mut ends = [1, 2].map(|seed| Association::new(Config { seed, ..Config::default() }, now));
    ends[0].connect(now);
    let payload = Bytes::from(vec![1; 64]);
    let mut packet = Vec::new();
    for _ in 0..20_000 {
        let message = Message { stream: 1, ppid: 53, payload: payload.clone() };
        ends[0].send(now, message, Reliability::RELIABLE);
    }
    for _ in 0..2000 {
        for end in 0..2 {
            while ends[end].poll_transmit(now, &mut packet) {
                ends[1 - end].handle_input(now, Bytes::copy_from_slice(&packet));
            }
            while ends[end].poll_event().is_some() {}
        }
    }
    assert_eq!(ends[0].outstanding_bytes(), 0);
    let left = held() - start;
    println!("{left} bytes in two ends after a burst of 20 000 messages");
    assert!(left < 600_000, "{left}");
}

#[test]
fn one_piece_on_each_of_all_streams_is_bounded() {
    let mut target = target();
    let bytes = peak(|| {
        for number in 0..u32::from(u16::MAX) {
            let mut chunks = data(TSN + 1 + number, FIRST, number as u16, 0, b"x");
            chunks.extend(padding());
            target.input(&chunks);
            target.output();
        }
    });
    println!("{bytes}");
    assert!(bytes < 12 * WINDOW as isize, "{bytes}");
}

#[test]
fn messages_that_nobody_reads_are_bounded() {
    for size in [1, 100, 1000] {
        let mut target = target();
        let bytes = peak(|| {
            for number in 0..100_000 {
                let mut chunks = data(TSN + number, WHOLE, number as u16, 0, &vec![0; size]);
                chunks.extend(padding());
                target.input(&chunks);
                target.output();
            }
        });
        println!("{size}: {bytes}");
        assert!(bytes < 12 * WINDOW as isize, "{size}: {bytes}");
    }
}

#[test]
fn a_message_that_never_ends_is_bounded() {
    let mut target = target();
    let bytes = peak(|| {
        for number in 0..300_000 {
            target.input(&data(TSN + number, if number == 0 { FIRST } else { 0 }, 1, 0, b"x"));
            target.output();
        }
    });
    println!("{bytes}");
    assert!(bytes < 2 * WINDOW as isize, "{bytes}");
    assert!(target.end.is_closed());
}

#[test]
fn gaps_everywhere_are_bounded() {
    for backwards in [false, true] {
        let mut target = target();
        let bytes = peak(|| {
            for number in 0..32_000 {
                let number = if backwards { 32_000 - number } else { number };
                target.input(&data(TSN + 2 + 2 * number, WHOLE, 1, 5, &[0; 1100]));
                target.output();
            }
        });
        println!("{bytes}");
        assert!(bytes < 12 * WINDOW as isize, "{bytes}");
    }
}

#[test]
fn resets_that_nobody_reads_are_bounded() {
    let mut target = target();
    // A message that is not read, so that the resets stay behind it.
    target.input(&data(TSN, WHOLE, 1, 0, b"x"));
    let bytes =
        peak(|| {
            for number in 0..20_000_u32 {
                let mut value = vec![0, 13];
                value.extend_from_slice(&(16 + 2 * 500_u16).to_be_bytes());
                value.extend_from_slice(&(TSN + number).to_be_bytes());
                value.extend_from_slice(&[0; 4]);
                value.extend_from_slice(&TSN.wrapping_sub(number).to_be_bytes());
                value.extend((0..500_u16).flat_map(|stream| {
                    (stream.wrapping_add((number as u16).wrapping_mul(500))).to_be_bytes()
                }));
                target.input(&chunk(RE_CONFIG, 0, &value));
                target.output();
            }
        });
    println!("{bytes}");
    assert!(bytes < 12 * WINDOW as isize, "{bytes}");
}
