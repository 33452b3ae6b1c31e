//! Ferry's WebRTC with aiortc at the other end: another ICE, OpenSSL's DTLS, another SCTP, none of which shares a line with
//! ours. `cargo xtask test` brings it (see `ferry_tests::aiortc`).

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelId, ChannelInit, ChannelPhase, ConnectionState, Persistence, Settings};
use ferry_tests::aiortc::Call;
use ferry_tests::brought;
use ferry_tests::networks::{self, Part, ip};
use ferry_tests::webrtc_end::{End, bytes_of, hexadecimal};

/// Who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offerer {
    Ferry,
    Aiortc,
}

const BOTH: [Offerer; 2] = [Offerer::Ferry, Offerer::Aiortc];

const LIFETIME: Duration = Duration::from_millis(500);

/// The channels that the engine's multiplayer peer makes at both ends.
fn three() -> [ChannelInit; 3] {
    let numbered = |label: &str, number| ChannelInit {
        label: label.to_owned(),
        negotiated: Some(number),
        ..ChannelInit::default()
    };
    let persistence = Persistence::Lifetime(LIFETIME);
    [
        numbered("reliable", 1),
        ChannelInit { persistence, ..numbered("ordered", 2) },
        ChannelInit { persistence, unordered: true, ..numbered("unreliable", 3) },
    ]
}

/// How the other end is told to make a channel.
fn order(init: &ChannelInit) -> String {
    let number = init.negotiated.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut order = format!("make {} {number}", init.label);
    match init.persistence {
        Persistence::Reliable => {}
        Persistence::Lifetime(time) => order += &format!(" lifetime={}", time.as_millis()),
        Persistence::Retransmits(times) => order += &format!(" retransmits={times}"),
    }
    if init.unordered {
        order += " unordered=yes";
    }
    if !init.protocol.is_empty() {
        order += &format!(" protocol={}", init.protocol);
    }
    order
}

fn begin(limits: Limits) -> Option<Call> {
    let settings = Settings { bind: BindAddress::Ip([127, 0, 0, 1].into()), ..Settings::default() };
    Call::new(End::new(settings, limits))
}

/// Connects by whoever begins, and waits for these channels of ours.
fn connect(call: &mut Call, offerer: Offerer, channels: &[ChannelId]) {
    match offerer {
        Offerer::Ferry => call.end.connection.create_offer().unwrap(),
        Offerer::Aiortc => call.tell("offer"),
    }
    let took = call.until("open", |call| channels.iter().all(|channel| call.end.is_open(*channel)));
    call.hears("state connected");
    println!("{offerer:?} began: open after {took:?}");
}

/// Both ends with the three channels, connected.
fn with_three(offerer: Offerer, limits: Limits) -> Option<(Call, [ChannelId; 3])> {
    let mut call = begin(limits)?;
    let channels = three().map(|init| {
        call.tell(&order(&init));
        call.end.channel(&init)
    });
    connect(&mut call, offerer, &channels);
    for init in three() {
        call.hears(&format!("open {} {}", init.label, init.negotiated.unwrap()));
    }
    Some((call, channels))
}

#[test]
fn the_engine_s_three_channels_carry_texts_and_bytes_of_every_length_both_ways() {
    for offerer in BOTH {
        let Some((mut call, channels)) = with_three(offerer, Limits::default()) else { return };
        for (init, channel) in three().iter().zip(channels) {
            for text in ["", "a", "größer 🚢"] {
                goes_and_comes(&mut call, &init.label, channel, Kind::Text, text.as_bytes());
            }
            for length in [0, 1, 4, 1000, 1100, 1200, 1300, 16_384, 65_535, 65_536, 65_537, 262_144] {
                let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
                goes_and_comes(&mut call, &init.label, channel, Kind::Binary, &bytes);
            }
        }
        assert_eq!(call.end.connection.longest_message(), 262_144);
        let long = Bytes::from(vec![0; 262_145]);
        assert!(call.end.connection.send(channels[0], Kind::Binary, long).is_err());
        call.tell(&format!("binary reliable {}", "00".repeat(262_145)));
        let refused = call.hears("refused binary");
        assert!(refused.contains("262144"), "{refused}");
    }
}

/// A message goes there and another comes back.
fn goes_and_comes(call: &mut Call, label: &str, channel: ChannelId, kind: Kind, bytes: &[u8]) {
    let word = if kind == Kind::Text { "text" } else { "binary" };
    let line = format!("{word} {label} {}", hexadecimal(bytes));
    call.end.connection.send(channel, kind, Bytes::copy_from_slice(bytes)).unwrap();
    let heard = call.hears(&format!("{word} {label} "));
    assert!(heard == line, "{} bytes by {label}", bytes.len());
    call.tell(&line);
    let mut come = Vec::new();
    call.until("it comes", |call| {
        come.extend(call.end.read(channel));
        !come.is_empty()
    });
    assert!(come == [(kind, Bytes::copy_from_slice(bytes))], "{} bytes by {label}", bytes.len());
}

#[test]
fn channels_that_one_end_announces_are_what_it_said() {
    for offerer in BOTH {
        let Some(mut call) = begin(Limits::default()) else { return };
        let plain = |label: &str| ChannelInit { label: label.to_owned(), ..ChannelInit::default() };
        let persistence =
            [Persistence::Reliable, Persistence::Lifetime(LIFETIME), Persistence::Retransmits(3)];
        let inits: Vec<ChannelInit> = persistence
            .into_iter()
            .flat_map(|persistence| [false, true].map(|unordered| (persistence, unordered)))
            .enumerate()
            .map(|(place, (persistence, unordered))| ChannelInit {
                protocol: format!("p{place}"),
                persistence,
                unordered,
                ..plain(&format!("größer{place}"))
            })
            .collect();
        // Some are there before they connect, others come later.
        let mut ours: Vec<ChannelId> = inits[..3].iter().map(|init| call.end.channel(init)).collect();
        call.tell(&order(&plain("first")));
        connect(&mut call, offerer, &ours);
        ours.extend(inits[3..].iter().map(|init| call.end.channel(init)));
        for (init, channel) in inits.iter().zip(&ours) {
            let heard = call.hears(&format!("announced {} ", init.label));
            let way = if init.unordered { "unordered" } else { "ordered" };
            let (lifetime, retransmits) = match init.persistence {
                Persistence::Reliable => ("None".to_owned(), "None".to_owned()),
                Persistence::Lifetime(time) => (time.as_millis().to_string(), "None".to_owned()),
                Persistence::Retransmits(times) => ("None".to_owned(), times.to_string()),
            };
            let number = call.end.connection.channel_stream(*channel).unwrap();
            let said =
                format!("announced {} {number} {} {way} {lifetime} {retransmits}", init.label, init.protocol);
            assert_eq!(heard, said);
            goes_and_comes(&mut call, &init.label, *channel, Kind::Binary, b"by this one");
        }
        for (place, init) in inits.iter().enumerate() {
            // It writes the length of names in letters where bytes are meant: only plain ones are understood.
            let theirs = ChannelInit { label: format!("their-{place}"), ..init.clone() };
            call.tell(&order(&theirs));
            let found = |call: &Call| {
                let mut received = call.end.received.iter().copied();
                received.find(|channel| call.end.connection.channel_init(*channel).as_ref() == Some(&theirs))
            };
            call.until("it is announced", |call| found(call).is_some());
            let channel = found(&call).unwrap();
            call.hears(&format!("open {} ", theirs.label));
            goes_and_comes(&mut call, &theirs.label, channel, Kind::Binary, b"by that one");
        }
        assert_eq!(call.end.received.len(), inits.len() + 1);
    }
}

#[test]
fn twenty_thousand_messages_in_one_go_arrive_in_order_both_ways() {
    const COUNT: u32 = 20_000;
    for offerer in BOTH {
        let Some((mut call, channels)) = with_three(offerer, Limits::default()) else { return };
        call.tell(&format!("count reliable {COUNT}"));
        let start = Instant::now();
        for number in 0..COUNT {
            call.end.send(channels[0], &[number.to_be_bytes(); 16].concat());
        }
        assert_eq!(call.hears("counted reliable"), format!("counted reliable {COUNT}"));
        println!("there in {:?}", start.elapsed());
        call.tell(&format!("burst reliable {COUNT} 64"));
        let start = Instant::now();
        let mut due = 0_u32;
        call.until("all have come", |call| {
            for (_, message) in call.end.read(channels[0]) {
                assert_eq!(message[..4], due.to_be_bytes());
                due += 1;
            }
            due == COUNT
        });
        println!("back in {:?}", start.elapsed());
        assert!(!call.told.iter().any(|line| line.starts_with("disorder")), "{:?}", call.told);
    }
}

#[test]
fn a_channel_closed_at_one_end_closes_at_the_other_and_its_number_is_free_again() {
    for offerer in BOTH {
        let Some((mut call, channels)) = with_three(offerer, Limits::default()) else { return };
        let phase = |call: &Call, channel| call.end.connection.channel_phase(channel);
        call.end.send(channels[0], b"the last words");
        call.end.connection.close_channel(channels[0]);
        let words = call.hears("binary reliable");
        assert_eq!(bytes_of(words.rsplit(' ').next().unwrap()), b"the last words");
        call.hears("closed reliable");
        call.until("closed here", |call| phase(call, channels[0]) == ChannelPhase::Closed);

        call.tell("shut ordered");
        call.until("closed here", |call| phase(call, channels[1]) == ChannelPhase::Closed);
        call.hears("closed ordered");

        // The connection stands, the third carries on, and new ones take the numbers.
        goes_and_comes(&mut call, "unreliable", channels[2], Kind::Binary, b"still there");
        for init in &three()[..2] {
            call.tell(&order(init));
            let channel = call.end.channel(init);
            call.hears(&format!("open {} ", init.label));
            call.until("open again", |call| call.end.is_open(channel));
            goes_and_comes(&mut call, &init.label, channel, Kind::Binary, b"again");
        }
    }
}

#[test]
fn a_connection_closed_by_us_is_seen_there_with_what_was_sent_before() {
    for offerer in BOTH {
        let Some((mut call, channels)) = with_three(offerer, Limits::default()) else { return };
        call.tell("count reliable 100");
        for number in 0..100_u32 {
            call.end.send(channels[0], &number.to_be_bytes());
        }
        call.end.connection.close();
        let start = Instant::now();
        call.hears("counted reliable 100");
        call.hears("closed reliable");
        call.hears("state closed");
        let took = start.elapsed();
        println!("seen after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn a_connection_closed_by_the_other_end_is_seen_at_once() {
    for offerer in BOTH {
        let Some((mut call, channels)) = with_three(offerer, Limits::default()) else { return };
        call.tell("burst reliable 100 64");
        let mut come = 0;
        call.until("all have come", |call| {
            come += call.end.read(channels[0]).len();
            come == 100
        });
        call.tell("close");
        let took = call.until("closed", |call| call.end.connection.state() == ConnectionState::Closed);
        println!("seen after {took:?}: {}", call.end.connection.farewell());
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(call.end.connection.farewell().reason, Reason::RemoteClose);
    }
}

#[test]
fn another_end_that_dies_is_noticed_in_time() {
    let limits = Limits { peer_timeout: Duration::from_secs(4), ..Limits::default() };
    let Some((mut call, channels)) = with_three(Offerer::Aiortc, limits) else { return };
    goes_and_comes(&mut call, "reliable", channels[0], Kind::Binary, b"there");
    call.kill();
    let over = |call: &mut Call| call.end.connection.state() == ConnectionState::Failed;
    let start = Instant::now();
    while !over(&mut call) {
        // Nobody is there to be told anything.
        assert_eq!(call.end.poll(), []);
        assert!(start.elapsed() < Duration::from_secs(6), "{}", call.end.standing());
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("noticed after {:?}: {}", start.elapsed(), call.end.connection.farewell());
    assert_eq!(call.end.connection.farewell().reason, Reason::Timeout);
}

// Only what crosses an end's network card is lost: inside a network of the test's own, everything crosses that of loopback.
#[test]
#[cfg(target_os = "linux")]
fn with_every_twentieth_packet_lost_all_that_is_reliable_arrives_in_order() {
    const NAME: &str = "with_every_twentieth_packet_lost_all_that_is_reliable_arrives_in_order";
    match networks::part() {
        Part::Start if !brought::is_there("FERRY_TEST_AIORTC") => {}
        Part::Start if networks::can_filter() => networks::inside(NAME),
        Part::Start | Part::Neighbour => {}
        Part::Inside => {
            ip("link set lo up");
            networks::nft("add table ip bad");
            networks::nft("add chain ip bad in { type filter hook input priority 0 ; }");
            networks::nft("add rule ip bad in meta l4proto udp numgen random mod 100 < 5 drop");
            for offerer in BOTH {
                let Some((mut call, channels)) = with_three(offerer, Limits::default()) else { return };
                all_reliable_arrive(&mut call, channels[0]);
                let label = "once".to_owned();
                let persistence = Persistence::Retransmits(0);
                let once = ChannelInit { label, negotiated: Some(4), persistence, ..ChannelInit::default() };
                call.tell(&order(&once));
                call.hears("open once");
                let once = call.end.channel(&once);
                call.until("open here", |call| call.end.is_open(once));
                what_is_late_holds_nothing_up(&mut call, once, channels[2]);
            }
        }
    }
}

/// Many at once, both ways.
#[cfg(target_os = "linux")]
fn all_reliable_arrive(call: &mut Call, channel: ChannelId) {
    const COUNT: u32 = 2000;
    call.tell(&format!("count reliable {COUNT}"));
    call.tell(&format!("burst reliable {COUNT} 200"));
    for number in 0..COUNT {
        call.end.send(channel, &[number.to_be_bytes(); 50].concat());
    }
    let start = Instant::now();
    let mut due = 0_u32;
    call.until("all have come", |call| {
        for (_, message) in call.end.read(channel) {
            assert_eq!(message[..4], due.to_be_bytes());
            due += 1;
        }
        due == COUNT
    });
    call.hears("counted reliable");
    println!("{COUNT} there and back in {:?}", start.elapsed());
}

/// A few at a time, both ways, on channels that give up what is late. The most arrive, and none waits for one that was
/// given up.
#[cfg(target_os = "linux")]
fn what_is_late_holds_nothing_up(call: &mut Call, once: ChannelId, unreliable: ChannelId) {
    const ROUNDS: usize = 300;
    let (lossy, channels) = (["once", "unreliable"], [once, unreliable]);
    let mut here = [0, 0];
    let mut read = |call: &mut Call| {
        for (come, channel) in here.iter_mut().zip(channels) {
            *come += call.end.read(channel).len();
        }
    };
    for round in 0..ROUNDS {
        for (label, channel) in lossy.iter().zip(channels) {
            let message = [round as u8; 200];
            call.end.send(channel, &message);
            call.tell(&format!("binary {label} {}", hexadecimal(&message)));
        }
        let next = Instant::now() + Duration::from_millis(10);
        call.until("a moment", |_| Instant::now() > next);
        read(call);
    }
    let end = Instant::now() + 3 * LIFETIME;
    call.until("the last ones", |_| Instant::now() > end);
    read(call);
    let there = lossy.map(|label| {
        let beginning = format!("binary {label} ");
        call.told.iter().filter(|line| line.starts_with(&beginning)).count()
    });
    println!("of {ROUNDS} on {lossy:?}: {there:?} there, {here:?} back");
    assert!(there.iter().chain(&here).all(|come| *come > ROUNDS * 4 / 5), "{there:?} and {here:?}");
}
