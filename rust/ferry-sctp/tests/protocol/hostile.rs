//! Input that no honest end would send: it may end the association, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use ferry_sctp::{CloseReason, Config, Event, Message};

use crate::raw::{
    DATA, ERROR, FIRST, FORWARD_TSN, HEARTBEAT, RE_CONFIG, SACK, TSN, Target, WHOLE, chunk, data, packet,
    seal,
};
use crate::world::{LOSSY, MS, RELIABLE, Random, UNRELIABLE_ORDERED, Way, World, kinds};

/// One of each kind of packet that two ends exchange, and many more.
fn captured() -> Vec<Vec<u8>> {
    let packets = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    for seed in 0..3 {
        let mut world = World::new(seed, Way { loss: 10.0, ..LOSSY });
        let sink = packets.clone();
        world.drop_if = Box::new(move |_, packet| {
            sink.borrow_mut().push(packet.to_vec());
            false
        });
        world.connect();
        for stream in 0..20 {
            let reliability = if stream % 2 == 0 { RELIABLE } else { UNRELIABLE_ORDERED };
            world.send(0, stream, vec![1; 500 * usize::from(stream) + 1], reliability);
            world.send(1, stream, "x", reliability);
            let now = world.now;
            world.ends[0].reset_stream(now, stream);
            world.run(MS(20));
        }
        world.run(MS(40_000));
        let now = world.now;
        match seed {
            0 => world.ends[0].abort(now, "bye"),
            _ => world.ends[0].shutdown(now),
        }
        world.run(MS(5_000));
    }
    let packets = packets.borrow().clone();
    let mut all: Vec<u8> = packets.iter().flat_map(|packet| kinds(packet)).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 130, 192]);
    packets
}

/// Hands a packet to an association as its own, with a checksum that is right, and listens to what it says.
fn feed(target: &mut Target, mut bytes: Vec<u8>) {
    if bytes.len() >= 12 {
        let tag = if bytes.get(12) == Some(&1) { 0 } else { target.tag };
        bytes[4..8].copy_from_slice(&tag.to_be_bytes());
    }
    seal(&mut bytes);
    target.end.handle_input(target.now, bytes);
    while target.end.poll_event().is_some() {}
    assert!(target.output().len() < 50);
    if target.end.is_closed() {
        *target = Target::new(Config::default());
        // So that acknowledgements have something to acknowledge.
        for _ in 0..10 {
            let message = Message { stream: 1, ppid: 53, payload: Bytes::from_static(&[1; 400]) };
            target.end.send(target.now, message, RELIABLE);
        }
        target.output();
    }
}

#[test]
fn every_truncation_of_every_packet_is_survived() {
    let mut target = Target::new(Config::default());
    for packet in captured().iter().take(400) {
        for length in 0..packet.len() {
            feed(&mut target, packet[..length].to_vec());
        }
    }
}

#[test]
fn every_length_that_lies_is_survived() {
    let mut target = Target::new(Config::default());
    for packet in captured().iter().take(300) {
        for at in (12..packet.len().min(60)).step_by(2) {
            for length in [0, 1, 3, 4, 5, 7, 8, 11, 12, 15, 16, 17, 100, 1000, 0x7FFF, u16::MAX] {
                let mut packet = packet.clone();
                packet[at..at + 2].copy_from_slice(&u16::to_be_bytes(length));
                feed(&mut target, packet);
            }
        }
    }
}

#[test]
fn random_changes_are_survived() {
    let packets = captured();
    let rounds =
        std::env::var("FERRY_SCTP_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(200_000);
    let mut random = Random(99);
    let mut target = Target::new(Config { receive_window: 30_000, ..Config::default() });
    for round in 0..rounds {
        let mut packet = packets[random.below(packets.len() as u64) as usize].clone();
        // Numbers near to what is expected go deeper.
        if packet.len() > 24 && packet[12] == DATA && random.below(2) == 0 {
            let tsn = TSN.wrapping_add(random.below(300) as u32);
            packet[16..20].copy_from_slice(&tsn.to_be_bytes());
        }
        if packet.len() > 24 && packet[12] == SACK && random.below(2) == 0 {
            let tsn = target.tsn.wrapping_add(random.below(15) as u32);
            packet[16..20].copy_from_slice(&tsn.to_be_bytes());
        }
        for _ in 0..random.below(4) {
            let at = 12 + random.below(packet.len() as u64 - 12) as usize;
            packet[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => packet[at] ^ (1 << random.below(8)),
                _ => [0, 1, 0x7F, 0x80, 0xFF][random.below(5) as usize],
            };
        }
        if random.below(4) == 0 {
            let other = &packets[random.below(packets.len() as u64) as usize];
            packet.extend_from_slice(&other[12..]);
        }
        feed(&mut target, packet);
        if round % 16 == 0 {
            target.now += Duration::from_millis(random.below(300));
            target.end.handle_timeout(target.now);
        }
    }
}

#[test]
fn packets_with_a_wrong_tag_port_or_checksum_are_dropped_and_counted() {
    let mut target = Target::new(Config::default());
    let good = packet(target.tag, &data(TSN, WHOLE, 1, 0, b"hello"));
    let mut wrong_tag = good.clone();
    wrong_tag[7] ^= 1;
    seal(&mut wrong_tag);
    let mut wrong_port = good.clone();
    wrong_port[1] ^= 1;
    seal(&mut wrong_port);
    let mut wrong_checksum = good.clone();
    wrong_checksum[8] ^= 1;
    let mut foreign_abort = packet(target.tag ^ 1, &chunk(6, 0, &[]));
    seal(&mut foreign_abort);
    for bad in [wrong_tag, wrong_port, wrong_checksum, foreign_abort] {
        target.end.handle_input(target.now, bad);
        assert_eq!(target.end.poll_event(), None);
    }
    assert_eq!(target.end.statistics().packets_dropped, 4);
    target.end.handle_input(target.now, good);
    assert!(matches!(target.end.poll_event(), Some(Event::Message(_))));
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_ignored() {
    let mut target = Target::new(Config::default());
    let message = Message { stream: 1, ppid: 53, payload: Bytes::from_static(&[1; 500]) };
    target.end.send(target.now, message, RELIABLE);
    target.output();
    for ahead in [1, 2, 1000, 1 << 30, u32::MAX / 2] {
        let mut sack = target.tsn.wrapping_add(ahead).to_be_bytes().to_vec();
        sack.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        target.input(&chunk(SACK, 0, &sack));
    }
    // Blocks beyond what was sent, backwards, and overlapping.
    for blocks in
        [[[0, 2], [0, 9]], [[0, 9], [0, 2]], [[0, 0], [0, 0]], [[0, 1], [0, 1]], [[255, 255], [255, 255]]]
    {
        let mut sack = target.tsn.wrapping_sub(1).to_be_bytes().to_vec();
        sack.extend_from_slice(&[0, 1, 0, 0, 0, 2, 0, 0]);
        sack.extend(blocks.iter().chain(&blocks).flatten());
        target.input(&chunk(SACK, 0, &sack));
    }
    assert_eq!(target.end.outstanding_bytes(), 500);
}

#[test]
fn floods_are_answered_with_less_than_they_bring() {
    let mut target = Target::new(Config::default());
    let request = |number: u32| {
        let mut value = vec![0, 13, 0, 18];
        value.extend_from_slice(&number.to_be_bytes());
        value.extend_from_slice(&[0; 4]);
        value.extend_from_slice(&(TSN + 5).to_be_bytes());
        value.extend_from_slice(&[0, 1]);
        chunk(RE_CONFIG, 0, &value)
    };
    for number in 0..10_000 {
        target.input(&chunk(HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4]));
        target.input(&chunk(ERROR, 0, &[0, 3, 0, 4]));
        target.input(&chunk(0xC7, 0, &[0; 40]));
        target.input(&request(TSN + number));
        target.input(&chunk(FORWARD_TSN, 0, &TSN.wrapping_sub(1).to_be_bytes()));
    }
    assert!(target.output().len() <= 2);
}

#[test]
fn data_without_a_byte_is_answered_with_an_abort() {
    let mut target = Target::new(Config::default());
    target.input(&data(TSN, WHOLE, 1, 0, b""));
    assert_eq!(kinds(&target.output()[0]), [6]);
    assert!(matches!(target.end.poll_event(), Some(Event::Closed(CloseReason::Protocol(_)))));
}

#[test]
fn unknown_chunks_do_what_their_upper_bits_say() {
    for (kind, read_on, reported) in
        [(0x3F, false, false), (0x7F, false, true), (0xBF, true, false), (0xFF, true, true)]
    {
        let mut target = Target::new(Config::default());
        let mut chunks = chunk(kind, 0, b"what?");
        chunks.extend(data(TSN, WHOLE, 1, 0, b"x"));
        target.input(&chunks);
        assert_eq!(target.end.poll_event().is_some(), read_on, "{kind:#x}");
        let said = target.output().iter().flat_map(|packet| kinds(packet)).any(|kind| kind == ERROR);
        assert_eq!(said, reported, "{kind:#x}");
    }
}

#[test]
fn a_sender_that_ignores_the_window_is_not_listened_to() {
    let window = 50_000;
    let mut target = Target::new(Config { receive_window: window, ..Config::default() });
    target.end.set_receiving(false);
    for number in 0..1000 {
        target.input(&data(TSN + number, WHOLE, 1, number as u16, &[0; 1000]));
        target.output();
    }
    target.end.set_receiving(true);
    let mut unread = 0;
    while let Some(event) = target.end.poll_event() {
        unread += if let Event::Message(message) = event { message.payload.len() } else { 0 };
    }
    assert!(unread <= window + window / 8 + 1000, "{unread}");
    assert!(target.end.statistics().chunks_dropped > 900);
}

#[test]
fn pieces_beyond_a_gap_are_bounded_whatever_stream_they_are_of() {
    let window = 1024 * 1024;
    let mut target = Target::new(Config { receive_window: window, ..Config::default() });
    for number in 0..u32::from(u16::MAX) {
        target.input(&data(TSN + 1 + number, FIRST, number as u16, 0, b"x"));
        target.output();
    }
    let statistics = target.end.statistics();
    let kept = statistics.chunks_received - statistics.chunks_dropped;
    assert!(kept < 2 * window as u64 / 64, "{kept}");
}
