//! A sender that is faster than the reader: what waits is bounded, the sender is told, and nothing is lost.

use std::time::{Duration, Instant};

use bytes::Bytes;
use counted_memory::process::{alone, forget_most, held, most_held};
use ferry_net::limits::Limits;
use ferry_net::link::LinkError;
use ferry_net::packet::Kind;
use ferry_net::webrtc::{ChannelId, Settings};

use crate::pair::{Pair, numbered, read};

const OUTBOUND: usize = 2 << 20;
const INBOUND: usize = 1 << 20;

/// What SCTP takes in ahead of the reader.
const WINDOW: usize = 1 << 20;

/// Messages that probe a closed window in a second, at most.
const A_FEW: u32 = 200;

/// How a reader does not read.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    /// Its game stands still.
    NeverPolls,
    /// It polls, and leaves the messages where they are.
    NeverTakes,
}

/// Sends until next to nothing moves any more, but for what probes a closed window; how much was taken.
fn fill(pair: &mut Pair, channel: ChannelId, length: usize, reader: Reader) -> u32 {
    let mut sent = 0_u32;
    let (mut still, mut seen) = (Instant::now(), 0);
    let begun = Instant::now();
    loop {
        let message = Bytes::from(sent.to_be_bytes().into_iter().cycle().take(length).collect::<Vec<u8>>());
        match pair.one.connection.send(channel, Kind::Binary, message) {
            Ok(()) => {
                sent += 1;
                // As a game does each frame, more or less.
                if sent.is_multiple_of(256) {
                    pair.one.connection.begin_turn();
                }
            }
            Err(LinkError::QueueFull(waiting)) => {
                assert!(waiting <= OUTBOUND, "{waiting} bytes wait");
                if sent > seen + A_FEW {
                    (still, seen) = (Instant::now(), sent);
                } else if still.elapsed() > Duration::from_secs(1) {
                    return sent;
                }
                pair.one.connection.begin_turn();
                if reader == Reader::NeverTakes {
                    pair.two.connection.begin_turn();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(other) => panic!("{other}"),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "after {sent} messages the sender is not refused yet"
        );
    }
}

fn a_slow_reader_bounds_everything(length: usize, reader: Reader) {
    let limits = Limits { outbound: OUTBOUND, inbound: INBOUND, ..Limits::default() };
    let mut pair = Pair::with(Settings::default(), Settings::default(), limits);
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    let before = held();
    forget_most();
    let sent = fill(&mut pair, channels.0, length, reader);
    let most = most_held().saturating_sub(before);
    println!(
        "messages of {length} bytes: {sent} taken ({} bytes), {} buffered, at most {most} bytes more memory",
        sent as usize * length,
        pair.one.connection.buffered_amount(channels.0)
    );
    // Tiny messages weigh what is kept about them, too.
    let bound = (OUTBOUND + INBOUND + WINDOW) * if length < 64 { 4 } else { 2 };
    assert!(most < bound, "{most} bytes more memory, {bound} were the bound");

    let mut next = 0_u32;
    pair.until("all that was taken has come", |pair| {
        for message in read(&pair.two, channels.1) {
            let due: Vec<u8> = next.to_be_bytes().into_iter().cycle().take(length).collect();
            assert_eq!(message, due, "in order");
            next += 1;
        }
        next == sent
    });
    pair.until("the queue is empty", |pair| pair.one.connection.stats().queued_bytes == 0);
    assert_eq!(pair.one.connection.buffered_amount(channels.0), 0);
    // And on it goes.
    pair.one.connection.send(channels.0, Kind::Binary, Bytes::from("more")).expect("there is room again");
    pair.until("more", |pair| read(&pair.two, channels.1).iter().any(|message| message == "more"));
}

#[test]
fn a_reader_that_never_polls_bounds_everything() {
    let _alone = alone();
    a_slow_reader_bounds_everything(16 * 1024, Reader::NeverPolls);
}

#[test]
fn a_reader_that_polls_and_never_takes_bounds_everything() {
    let _alone = alone();
    a_slow_reader_bounds_everything(16 * 1024, Reader::NeverTakes);
}

#[test]
fn so_it_is_with_messages_of_four_bytes() {
    let _alone = alone();
    a_slow_reader_bounds_everything(4, Reader::NeverPolls);
    a_slow_reader_bounds_everything(4, Reader::NeverTakes);
}

#[test]
fn so_it_is_with_the_longest_messages() {
    let _alone = alone();
    a_slow_reader_bounds_everything(256 * 1024, Reader::NeverPolls);
    a_slow_reader_bounds_everything(256 * 1024, Reader::NeverTakes);
}
