//! How a connection is made, and how it ends.

use std::time::Instant;

use ferry_net::limits::Limits;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelInit, ConnectionState, Settings};

use crate::pair::{Pair, numbered, read, send};

#[test]
fn two_ends_connect_and_a_message_passes_each_way() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    let begun = Instant::now();
    pair.connect();
    pair.until_open(channels);
    println!("open after {:?}", begun.elapsed());
    send(&pair.one, channels.0, b"there");
    send(&pair.two, channels.1, b"and back");
    pair.until("there", |pair| read(&pair.two, channels.1).iter().any(|message| message == "there"));
    pair.until("and back", |pair| read(&pair.one, channels.0).iter().any(|message| message == "and back"));
}

#[test]
fn an_announced_channel_is_found_at_the_other_end() {
    let mut pair = Pair::new();
    let init =
        ChannelInit { label: "größer".to_owned(), protocol: "p".to_owned(), ..ChannelInit::default() };
    let own = pair.one.connection.create_channel(init.clone()).expect("a channel");
    pair.connect();
    pair.until("announced", |pair| !pair.two.received.is_empty());
    let other = pair.two.received[0];
    assert_eq!(pair.two.connection.channel_init(other), Some(init));
    assert_eq!(pair.one.connection.channel_stream(own), pair.two.connection.channel_stream(other));
    send(&pair.one, own, b"hello");
    pair.until("hello", |pair| !read(&pair.two, other).is_empty());
}

#[test]
fn a_close_is_seen_at_once_with_what_was_sent_before() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    for number in 0..100_u32 {
        send(&pair.one, channels.0, &number.to_be_bytes());
    }
    pair.one.connection.close();
    let begun = Instant::now();
    pair.until("closed", |pair| pair.two.connection.state() == ConnectionState::Closed);
    assert!(begun.elapsed().as_millis() < 500, "{:?}", begun.elapsed());
    assert_eq!(pair.two.connection.farewell().reason, Reason::RemoteClose);
    assert_eq!(read(&pair.two, channels.1).len(), 100);
}

#[test]
fn nobody_there_is_a_failure_with_a_reason() {
    let limits = Limits { connect_timeout: std::time::Duration::from_millis(700), ..Limits::default() };
    let mut pair = Pair::with(Settings::default(), Settings::default(), limits);
    pair.negotiated(&numbered(1));
    pair.one.connection.create_offer().expect("an offer");
    // The answer comes, and then nothing.
    pair.until("answered", |pair| pair.one.candidates.len() + pair.two.candidates.len() > 1);
    pair.two.connection.close();
    pair.until("failed", |pair| {
        matches!(pair.one.connection.state(), ConnectionState::Failed | ConnectionState::Closed)
    });
    println!("{}", pair.one.connection.farewell());
}
