//! What a player does who has got in, against the one that let it in.

use std::time::Duration;

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::LinkError;
use ferry_net::packet::Kind;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelPhase, ConnectionState};
use ferry_sctp::Event;

use crate::line::Chance;
use crate::raw::{BINARY, CONTROL, Manners, open};
use crate::scene::Meeting;
use crate::watch::{Watch, alone};

/// Channels that a connection takes.
const MOST_CHANNELS: usize = 1024;

fn inside() -> Meeting {
    Meeting::within(Manners::default(), Limits::default())
}

/// What the victim's end says is still heard, and the other way round.
fn still_works(meeting: &mut Meeting) {
    let channel = meeting.channel;
    meeting.raw.received.clear();
    meeting.victim.send(channel, Kind::Binary, Bytes::from_static(b"still there?")).unwrap();
    meeting.until("the bad player hears", |meeting| {
        meeting.raw.received.iter().any(|message| message.payload == "still there?")
    });
    meeting.raw.send(1, BINARY, &b"still here"[..]);
    meeting.until("the victim hears", |meeting| {
        meeting.victim.fetch();
        std::iter::from_fn(|| meeting.victim.take_message(channel)).any(|(_, bytes)| bytes == "still here")
    });
}

#[test]
fn thousands_of_channels_are_a_thousand_at_most() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    for stream in 0..20_000_u16 {
        meeting.raw.send(2 + stream, CONTROL, open("x", ""));
    }
    meeting.until("all have been sent", |meeting| meeting.raw.sctp.outstanding_bytes() == 0);
    meeting.go_on_for(Duration::from_millis(300));
    println!("{} channels", meeting.victim.channels().len());
    assert!(meeting.victim.channels().len() <= MOST_CHANNELS + 1);
    assert!(meeting.announced > 100);
    watch.saw_less_than(24, "20 000 channels");
    still_works(&mut meeting);
    meeting.scene.plays_on("20 000 channels");
}

#[test]
fn channels_with_the_longest_names_cost_a_bounded_amount() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    let (label, protocol) = ("l".repeat(65_535), "p".repeat(65_535));
    let announcement = Bytes::from(open(&label, &protocol));
    for stream in 0..1200_u16 {
        meeting.raw.send(2 + stream, CONTROL, announcement.clone());
    }
    meeting.until("all have been sent", |meeting| meeting.raw.sctp.outstanding_bytes() == 0);
    println!("{} channels", meeting.victim.channels().len());
    watch.saw_less_than(12, "1200 channels with names of 128 KiB");
    meeting.scene.plays_on("long names");
    still_works(&mut meeting);
}

#[test]
fn channels_that_come_and_go_for_ever_leave_nothing() {
    let _alone = alone();
    let mut meeting = inside();
    let round = |meeting: &mut Meeting| {
        for stream in 2..102_u16 {
            meeting.raw.send(stream, CONTROL, open("come and go, and go and come", "any"));
            meeting.raw.send(stream, BINARY, &b"hello"[..]);
        }
        meeting.until("all have come", |meeting| meeting.raw.sctp.outstanding_bytes() == 0);
        for stream in 2..102_u16 {
            meeting.raw.reset(stream);
        }
        // Both sides of each stream are closed, and both ends know it: before, it would carry no new channel.
        meeting.until("all have gone", |meeting| {
            let events = &meeting.raw.events;
            let own = events.iter().filter(|event| matches!(event, Event::StreamClosed(_))).count();
            let others = events.iter().filter(|event| matches!(event, Event::StreamReset(_))).count();
            (own, others) == (100, 100)
        });
        meeting.raw.events.clear();
    };
    round(&mut meeting);
    let watch = Watch::begin();
    for _ in 0..30 {
        round(&mut meeting);
    }
    assert_eq!(meeting.announced, 3100);
    println!("{} channels, {} were announced", meeting.victim.channels().len(), meeting.announced);
    assert!(meeting.victim.channels().len() <= MOST_CHANNELS + 1, "they are forgotten in the end");
    watch.saw_less_than(4, "3000 channels that came and went");
    meeting.scene.plays_on("channels that come and go");
}

#[test]
fn closing_streams_that_nobody_has_again_and_again_costs_nothing() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    let before = meeting.victim.stats().bytes_sent;
    // A RE-CONFIG that asks for the closing of streams 2 to 201: numbers of requests and data that no honest end names.
    let mut said = 0;
    for round in 0..5000_u32 {
        let mut chunk = vec![130, 0];
        chunk.extend_from_slice(&(4 + 16 + 400_u16).to_be_bytes());
        chunk.extend_from_slice(&[0, 13]);
        chunk.extend_from_slice(&(16 + 400_u16).to_be_bytes());
        for number in [round.wrapping_mul(7919), round, round] {
            chunk.extend_from_slice(&number.to_be_bytes());
        }
        (2..202_u16).for_each(|stream| chunk.extend_from_slice(&stream.to_be_bytes()));
        said += chunk.len() as u64;
        meeting.raw.say_chunks(&chunk);
        if round % 20 == 0 {
            meeting.turn();
        }
    }
    meeting.go_on_for(Duration::from_millis(300));
    let answered = meeting.victim.stats().bytes_sent - before;
    println!("{said} bytes of requests, {answered} of answers");
    assert!(answered <= said);
    watch.saw_less_than(8, "closing streams that nobody has");
    still_works(&mut meeting);
    meeting.scene.plays_on("closing streams that nobody has");
}

#[test]
fn a_channel_that_the_bad_player_closes_is_closed_and_the_connection_stands() {
    let _alone = alone();
    let mut meeting = inside();
    for _ in 0..100 {
        meeting.raw.reset(1);
        meeting.turn();
    }
    meeting.until("the channel is closed", |meeting| {
        meeting.victim.channel_phase(meeting.channel) == ChannelPhase::Closed
    });
    assert_eq!(meeting.victim.state(), ConnectionState::Connected);
    let sent = meeting.victim.send(meeting.channel, Kind::Binary, Bytes::from_static(b"nobody hears"));
    assert_eq!(sent, Err(LinkError::Gone));
    meeting.scene.plays_on("a closed channel");
}

#[test]
fn announcements_that_make_no_sense_are_nothing() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    let whole = open("a label", "a protocol");
    for length in 1..=whole.len() {
        meeting.raw.send(2, CONTROL, whole[..length - 1].iter().copied().chain([9]).collect::<Vec<_>>());
        meeting.raw.send(1, CONTROL, whole[..length].to_vec());
    }
    let mut chance = Chance(5);
    for _ in 0..3000 {
        let length = 1 + chance.below(40) as usize;
        let garbage: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        let stream = chance.below(65_536) as u16;
        meeting.raw.send(stream, CONTROL, garbage.clone());
        // Kinds of messages that there are not, and streams that are nobody's.
        meeting.raw.send(1, chance.below(200) + 60, garbage.clone());
        meeting.raw.send(40_000 + stream / 4, BINARY, garbage);
    }
    meeting.until("all have been sent", |meeting| meeting.raw.sctp.outstanding_bytes() == 0);
    watch.saw_less_than(8, "garbage about channels");
    still_works(&mut meeting);
    meeting.scene.plays_on("garbage about channels");
}

#[test]
fn a_message_longer_than_told_ends_it_with_that_reason() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    meeting.raw.send(1, BINARY, vec![1; 700 * 1024]);
    meeting.until_over();
    assert_eq!(meeting.victim.farewell().reason, Reason::PacketTooLarge);
    watch.saw_less_than(8, "a message that is too long");
    meeting.scene.plays_on("a message that is too long");
}

#[test]
fn one_that_never_reads_costs_what_the_limit_allows_and_holds_up_no_close() {
    let _alone = alone();
    const OUTBOUND: usize = 1 << 20;
    let limits = Limits { outbound: OUTBOUND, ..Limits::default() };
    let mut meeting = Meeting::within(Manners::default(), limits);
    meeting.raw.sctp.set_receiving(false);
    let watch = Watch::begin();
    let piece = Bytes::from(vec![3; 8192]);
    let mut refused = 0;
    meeting.until("the sender is refused again and again", |meeting| {
        for _ in 0..20 {
            match meeting.victim.send(meeting.channel, Kind::Binary, piece.clone()) {
                Ok(()) => refused = 0,
                Err(LinkError::QueueFull(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        refused > 4000
    });
    watch.saw_less_than(8, "one that never reads");
    let begun = std::time::Instant::now();
    meeting.victim.close();
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    meeting.until("the bad player hears of it", |meeting| meeting.raw.closed);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    meeting.scene.plays_on("one that never reads");
}

#[test]
fn a_reader_that_stands_still_bounds_what_a_bad_player_can_send() {
    let _alone = alone();
    let limits = Limits { inbound: 1 << 20, ..Limits::default() };
    let mut meeting = Meeting::within(Manners::default(), limits);
    let watch = Watch::begin();
    // The attacker's own queue is in the same memory: it is short.
    meeting.until("it is let nothing more in", |meeting| {
        while meeting.raw.sctp.outstanding_bytes() < 5000 {
            // One byte each, which weigh the most.
            meeting.raw.send(1, BINARY, &b"x"[..]);
        }
        meeting.victim.available(meeting.channel) > 15_000
    });
    meeting.go_on_for(Duration::from_secs(2));
    println!("{} messages wait", meeting.victim.available(meeting.channel));
    watch.saw_less_than(12, "bytes that nobody reads");
    meeting.scene.plays_on("bytes that nobody reads");
}

#[test]
fn garbage_inside_the_encryption_harms_nobody() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    let mut chance = Chance(77);
    for round in 0..4000_u32 {
        let length = chance.below(300) as usize;
        let mut garbage: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        if round % 2 == 0 {
            // As SCTP, with the right number and checksum: any chunk there is, with lengths that lie.
            if let Some(kind) = garbage.first_mut() {
                // Not those that end an association as they should: ABORT, SHUTDOWN, SHUTDOWN-ACK and -COMPLETE.
                let kinds = [0, 1, 2, 3, 4, 5, 9, 10, 11, 64, 128, 130, 192, 255];
                *kind = kinds[chance.below(kinds.len() as u32) as usize];
            }
            if length >= 4 && round % 4 == 0 {
                garbage[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            }
            meeting.raw.say_chunks(&garbage);
        } else {
            meeting.raw.say(&garbage);
        }
        if round % 50 == 0 {
            meeting.turn();
        }
    }
    meeting.go_on_for(Duration::from_millis(500));
    println!("after the garbage: {:?} ({})", meeting.victim.state(), meeting.victim.farewell());
    watch.saw_less_than(16, "garbage inside the encryption");
    assert!(
        meeting.victim.state() == ConnectionState::Connected
            || meeting.victim.farewell().reason == Reason::Protocol
            || meeting.victim.farewell().reason == Reason::PacketTooLarge,
    );
    meeting.scene.plays_on("garbage inside the encryption");
}

#[test]
fn garbage_from_the_known_address_harms_nobody() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    let mut chance = Chance(78);
    for round in 0..20_000_u32 {
        let length = chance.below(1300) as usize;
        let mut garbage: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        if let (Some(first), true) = (garbage.first_mut(), round % 2 == 0) {
            // As if it were a record.
            *first = [20, 21, 22, 23, 26, 0x2C, 0x2E, 0x3F][chance.below(8) as usize];
        }
        meeting.raw.say_bare(&garbage);
        if round % 100 == 0 {
            meeting.turn();
        }
    }
    watch.saw_less_than(8, "garbage from the known address");
    still_works(&mut meeting);
    meeting.scene.plays_on("garbage from the known address");
}

#[test]
fn questions_in_a_flood_are_answered_with_less_than_was_asked() {
    let _alone = alone();
    let mut meeting = inside();
    let watch = Watch::begin();
    let before = meeting.victim.stats();
    // HEARTBEATs of 1000 bytes, which are to be answered with the same.
    let mut heartbeat = vec![4, 0, 0x03, 0xEC, 0, 1, 0x03, 0xE8];
    heartbeat.extend_from_slice(&[7; 996]);
    let mut said = 0_u64;
    for round in 0..10_000_u32 {
        meeting.raw.say_chunks(&heartbeat);
        said += heartbeat.len() as u64;
        if round % 20 == 0 {
            meeting.turn();
        }
    }
    meeting.go_on_for(Duration::from_millis(300));
    let answered = meeting.victim.stats().bytes_sent - before.bytes_sent;
    println!("{said} bytes of questions, {answered} of answers");
    assert!(answered <= said * 11 / 10);
    watch.saw_less_than(8, "a flood of questions");
    still_works(&mut meeting);
    meeting.scene.plays_on("a flood of questions");
}
