//! What goes wrong between a network programmer's lines: ends that meet, peers that lie, games that do things late.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::LinkError;
use ferry_net::packet::Kind;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{
    ChannelPhase, Connection, ConnectionState, DescriptionKind, Settings, Signal, SignalingState,
};

use crate::pair::{End, Pair, numbered, read, send};

/// A reader that stands still has the rest in SCTP's window. The other end got its acknowledgements, so it leaves; what came
/// with the goodbye used to be all that was heard.
#[test]
fn what_was_acknowledged_is_read_though_the_other_end_has_left() {
    let limits = Limits { inbound: 64 * 1024, ..Limits::default() };
    let mut pair = Pair::with(Settings::default(), Settings::default(), limits);
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    for number in 0..40_u8 {
        send(&pair.one, channels.0, &[number; 10_000]);
    }
    pair.one.connection.leave(Reason::RemoteClose);
    pair.until("left", |pair| pair.one.connection.state() == ConnectionState::Closed);
    let mut come = Vec::new();
    pair.until("over", |pair| {
        come.extend(read(&pair.two, channels.1).iter().map(|message| message[0]));
        pair.two.connection.state() == ConnectionState::Closed
    });
    come.extend(read(&pair.two, channels.1).iter().map(|message| message[0]));
    assert_eq!(come, (0..40).collect::<Vec<u8>>());
    assert_eq!(pair.two.connection.farewell().reason, Reason::RemoteClose);
}

/// Both offer at once, and each gives way. Both wanted to begin the encryption then, and nobody answered.
#[test]
fn two_ferries_that_offer_at_once_connect() {
    for round in 0..10 {
        let mut pair = Pair::new();
        let channels = pair.negotiated(&numbered(1));
        pair.one.connection.create_offer().expect("an offer");
        pair.two.connection.create_offer().expect("an offer");
        // Descriptions pass each other: what one end says, the other hears after it has said its own.
        let begun = Instant::now();
        let mut under_way: Vec<(bool, Signal)> = Vec::new();
        while !connected(&pair.one.connection) || !connected(&pair.two.connection) {
            assert!(begun.elapsed() < Duration::from_secs(8), "round {round}: {}", told(&pair));
            for (is_one, end) in [(true, &pair.one), (false, &pair.two)] {
                end.connection.begin_turn();
                while let Some(signal) = end.connection.next_signal() {
                    if let Signal::DescriptionCreated(kind, text) = &signal {
                        end.connection.set_local_description(*kind, text).expect("its own");
                    }
                    under_way.push((is_one, signal));
                }
            }
            for (is_one, signal) in under_way.drain(..) {
                let other = if is_one { &pair.two } else { &pair.one };
                match signal {
                    Signal::DescriptionCreated(kind, text) => {
                        other.connection.set_remote_description(kind, &text).expect("it is taken");
                    }
                    Signal::CandidateCreated { candidate, .. } => {
                        other.connection.add_candidate(&candidate).expect("one");
                    }
                    Signal::ChannelReceived(_) => {}
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        pair.until_open(channels);
        assert_eq!(pair.one.connection.signaling(), SignalingState::Stable);
        assert_eq!(pair.two.connection.signaling(), SignalingState::Stable);
        send(&pair.one, channels.0, b"there");
        pair.until("there", |pair| !read(&pair.two, channels.1).is_empty());
    }
}

fn connected(connection: &Connection) -> bool {
    connection.state() == ConnectionState::Connected
}

fn told(pair: &Pair) -> String {
    let one = |end: &End| format!("{:?} {}", end.connection.state(), end.connection.farewell());
    format!("{} / {}", one(&pair.one), one(&pair.two))
}

/// An offer that was taken back decided who begins the encryption all the same.
#[test]
fn an_offer_that_is_taken_back_leaves_nothing_behind() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    // The other end offers, this one takes it, and both take it back.
    pair.two.connection.create_offer().expect("an offer");
    let text = loop {
        pair.two.connection.begin_turn();
        if let Some(Signal::DescriptionCreated(DescriptionKind::Offer, text)) =
            pair.two.connection.next_signal()
        {
            break text;
        }
    };
    pair.two.connection.set_local_description(DescriptionKind::Offer, &text).expect("its own");
    pair.one.connection.set_remote_description(DescriptionKind::Offer, &text).expect("an offer");
    pair.one.connection.set_remote_description(DescriptionKind::Rollback, "").expect("taken back");
    while pair.one.connection.next_signal().is_some() {}
    pair.two.connection.set_local_description(DescriptionKind::Rollback, "").expect("taken back");
    pair.connect();
    pair.until_open(channels);
}

/// The other end said how long its messages may be; one that was longer ended the connection.
#[test]
fn a_message_that_is_too_long_for_the_other_end_is_refused_here() {
    let small = Settings { longest_message: 1000, ..Settings::default() };
    let mut pair = Pair::with(Settings::default(), small, Limits::default());
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    assert_eq!(pair.one.connection.longest_message(), 1000);
    let long = Bytes::from(vec![7; 1001]);
    assert_eq!(pair.one.connection.send(channels.0, Kind::Binary, long), Err(LinkError::OverLimit(1000)));
    send(&pair.one, channels.0, &[7; 1000]);
    pair.until("the one that fits", |pair| read(&pair.two, channels.1).len() == 1);
}

/// The other end closes a channel of an agreed number; its number is free as soon as the channel is closed.
#[test]
fn a_number_is_free_once_its_channel_is_closed() {
    let mut pair = Pair::new();
    let keeps = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(keeps);
    for _ in 0..20 {
        let channels = pair.negotiated(&numbered(2));
        pair.until_open(channels);
        pair.one.connection.close_channel(channels.0);
        let closed = |end: &End, channel| end.connection.channel_phase(channel) == ChannelPhase::Closed;
        let mut again = (None, None);
        pair.until("both have it anew", |pair| {
            if again.0.is_none() && closed(&pair.one, channels.0) {
                again.0 = Some(pair.one.connection.create_channel(numbered(2)).expect("it is free"));
            }
            if again.1.is_none() && closed(&pair.two, channels.1) {
                again.1 = Some(pair.two.connection.create_channel(numbered(2)).expect("it is free"));
            }
            again.0.is_some() && again.1.is_some()
        });
        let again = (again.0.expect("made"), again.1.expect("made"));
        pair.until("both are open anew", |pair| {
            let open = |end: &End, channel| end.connection.channel_phase(channel) == ChannelPhase::Open;
            assert!(!closed(&pair.one, again.0) && !closed(&pair.two, again.1), "closed at once");
            open(&pair.one, again.0) && open(&pair.two, again.1)
        });
        send(&pair.one, again.0, b"there");
        pair.until("there", |pair| !read(&pair.two, again.1).is_empty());
        pair.two.connection.close_channel(again.1);
        pair.until("closed", |pair| closed(&pair.one, again.0) && closed(&pair.two, again.1));
    }
}

/// The answer to a restart is applied late, as by a game that waits for something; meanwhile candidates come.
#[test]
fn restarts_by_either_end_leave_what_is_sent_alone() {
    let mut pair = Pair::new();
    let channels = pair.negotiated(&numbered(1));
    pair.connect();
    pair.until_open(channels);
    let mut next = [0_u8; 2];
    for round in 0..6 {
        let (first, second) = if round % 2 == 0 { (&pair.one, &pair.two) } else { (&pair.two, &pair.one) };
        first.connection.restart_ice();
        first.connection.create_offer().expect("an offer");
        let mut answer = None;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(150) {
            for (from, to) in [(first, second), (second, first)] {
                from.connection.begin_turn();
                while let Some(signal) = from.connection.next_signal() {
                    match signal {
                        Signal::DescriptionCreated(DescriptionKind::Offer, text) => {
                            from.connection
                                .set_local_description(DescriptionKind::Offer, &text)
                                .expect("own");
                            to.connection
                                .set_remote_description(DescriptionKind::Offer, &text)
                                .expect("other's");
                        }
                        Signal::DescriptionCreated(_, text) => answer = Some((Instant::now(), text)),
                        Signal::CandidateCreated { candidate, .. } => {
                            to.connection.add_candidate(&candidate).expect("one");
                        }
                        Signal::ChannelReceived(_) => {}
                    }
                    if answer.is_some() {
                        // Polled again, the connection would help itself.
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
                if let Some((_, text)) = answer.take_if(|(at, _)| at.elapsed() > Duration::from_millis(10)) {
                    second.connection.set_local_description(DescriptionKind::Answer, &text).expect("own");
                    first.connection.set_remote_description(DescriptionKind::Answer, &text).expect("other's");
                }
            }
            send(&pair.one, channels.0, &[next[0]]);
            next[0] = next[0].wrapping_add(1);
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut come = 0;
        pair.until("all have come", |pair| {
            for message in read(&pair.two, channels.1) {
                assert_eq!(message[0], next[1]);
                next[1] = next[1].wrapping_add(1);
                come += 1;
            }
            next[0] == next[1]
        });
        assert!(come > 0 && connected(&pair.one.connection) && connected(&pair.two.connection));
        assert_eq!(pair.one.connection.signaling(), SignalingState::Stable);
    }
}

#[test]
fn many_share_a_port_and_two_may_share_both() {
    let free = || {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port");
        socket.local_addr().expect("it has one").port()
    };
    let (port, other) = (free(), free());
    let shared = |shared_port| Settings { shared_port, ..Settings::default() };
    let mut pairs: Vec<(Pair, _)> = Vec::new();
    for number in 0..8 {
        let theirs = if number < 6 { Settings::default() } else { shared(other) };
        let mut pair = Pair::with(shared(port), theirs, Limits::default());
        let channels = pair.negotiated(&numbered(1));
        pair.connect();
        pair.until_open(channels);
        pairs.push((pair, channels));
    }
    for round in 0..30_u8 {
        for (pair, channels) in &mut pairs {
            send(&pair.one, channels.0, &[round; 1000]);
            send(&pair.two, channels.1, &[round; 1000]);
        }
        for (pair, channels) in &mut pairs {
            let mut come = (0, 0);
            pair.until("both ways", |pair| {
                come.0 += read(&pair.two, channels.1).len();
                come.1 += read(&pair.one, channels.0).len();
                come == (1, 1)
            });
        }
    }
}
