//! What passes over a connection.

use std::time::{Duration, Instant};

use ferry_net::packet::Kind;
use ferry_net::webrtc::{ChannelInit, Persistence};

use crate::pair::{Pair, numbered, read, send};

#[test]
fn twenty_thousand_messages_in_one_go_arrive_in_order_without_a_pause() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    let begun = Instant::now();
    for number in 0..20_000_u32 {
        send(&pair.one, channels.0, &[number.to_be_bytes(); 16].concat());
    }
    let mut next = 0_u32;
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    pair.until("all have come", |pair| {
        let messages = read(&pair.two, channels.1);
        if !messages.is_empty() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        for message in messages {
            assert_eq!(message[..4], next.to_be_bytes());
            next += 1;
        }
        next == 20_000
    });
    println!("20 000 messages in {:?}, longest pause {longest:?}", begun.elapsed());
    assert!(longest.as_millis() < 150, "{longest:?}");
}

#[test]
fn messages_of_any_length_pass_up_to_the_limit_and_a_longer_one_is_an_error() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    let lengths = [0, 1, 1000, 1172, 1200, 16_384, 65_536, 262_144];
    for length in lengths {
        send(&pair.one, channels.0, &vec![length as u8; length]);
    }
    let mut come = Vec::new();
    pair.until("all have come", |pair| {
        come.extend(read(&pair.two, channels.1).iter().map(bytes::Bytes::len));
        come.len() == lengths.len()
    });
    assert_eq!(come, lengths);
    let long = bytes::Bytes::from(vec![0; 262_145]);
    assert!(pair.one.connection.send(channels.0, Kind::Binary, long).is_err());
}

/// The engine gives its unreliable channels a lifetime of a millisecond. Games put a long reliable call and small unreliable
/// ones in the same frame; before, these were given up behind the long one, on a line that loses nothing.
#[test]
fn what_may_get_lost_is_not_given_up_behind_a_long_message_of_the_same_frame() {
    let mut pair = Pair::new();
    let reliable = pair.negotiated(&numbered(1));
    let quick = |number| ChannelInit {
        unordered: number == 3,
        persistence: Persistence::Lifetime(Duration::from_millis(1)),
        ..numbered(number)
    };
    let lossy = [pair.negotiated(&quick(2)), pair.negotiated(&quick(3))];
    pair.connect();
    for channels in [reliable, lossy[0], lossy[1]] {
        pair.until_open(channels);
    }
    for _ in 0..20 {
        for (end, own) in [(&pair.one, true), (&pair.two, false)] {
            let side = |channels: (_, _)| if own { channels.0 } else { channels.1 };
            send(end, side(reliable), &[7; 50_000]);
            for channels in lossy {
                (0..10).for_each(|number| send(end, side(channels), &[number; 20]));
            }
        }
        let mut come = [0; 6];
        pair.until("all have come", |pair| {
            for (place, channels) in [reliable, lossy[0], lossy[1]].into_iter().enumerate() {
                come[place * 2] += read(&pair.one, channels.0).len();
                come[place * 2 + 1] += read(&pair.two, channels.1).len();
            }
            come == [1, 1, 10, 10, 10, 10]
        });
    }
}
