//! What arrives, and in what order.

use std::time::Duration;

use bytes::Bytes;
use ferry_enet::compress::RangeCoder;
use ferry_enet::{Config, Event, Mode, PeerId, SendError};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::parcel::{Ledger, MODES};
use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);
/// What fits into a datagram of 1392 bytes beside a fragment's command, and so what is not cut up.
const LARGEST_WHOLE: usize = 1392 - 4 - 24;

/// Whether the arrival of a packet of this kind and length is owed.
fn owed(config: &Config, mode: Mode, len: usize) -> bool {
    let largest_whole = if config.checksum { LARGEST_WHOLE - 4 } else { LARGEST_WHOLE };
    match mode {
        Mode::Reliable => true,
        Mode::Unreliable | Mode::Unsequenced => false,
        Mode::UnreliableUnlessLarge | Mode::UnsequencedUnlessLarge => len > largest_whole,
    }
}

/// Holds all that station 0 was told against the ledger.
fn check(world: &mut World, ledger: &mut Ledger) {
    for event in world.take_events(0) {
        if let Event::Received { channel, mode, payload, .. } = event {
            ledger.arrived(channel, mode, &payload).unwrap();
        }
    }
}

/// Sends random packets from the client to the server for a while and holds what arrives against the promises.
fn traffic(seed: u64, conditions: Conditions, config: &Config, coder: bool) {
    let (mut world, _, client) = World::pair(seed, conditions, config);
    if coder {
        for station in &mut world.stations {
            station.host.set_compressor(Some(Box::new(RangeCoder::new())));
        }
    }
    let mut random = Random::new(seed);
    let mut ledger = Ledger::default();
    for _ in 0..200 {
        for _ in 0..random.below(6) {
            let (channel, mode) = (random.below(4) as u8, random.pick(&MODES));
            let len = random.pick(&[9, 20, 100, 1000, 1364, 1365, 3000, 20_000]);
            let payload = ledger.write(channel, mode, len);
            world.stations[1].host.send(client, channel, mode, payload).unwrap();
            ledger.sent(channel, owed(config, mode, len));
        }
        world.run_for(Duration::from_millis(random.below(30)));
        check(&mut world, &mut ledger);
    }
    for _ in 0..300 {
        world.run_for(SECOND);
        check(&mut world, &mut ledger);
        if ledger.complete() {
            return;
        }
    }
    let stats = world.stations[1].host.peer_stats(client);
    panic!("seed {seed}: reliable packets are still missing after five minutes: {stats:#?}");
}

#[test]
fn every_promise_is_kept_on_a_perfect_line_and_nothing_is_lost() {
    let config = &Config::default();
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, config);
    let mut ledger = Ledger::default();
    for round in 0..300 {
        for mode in MODES {
            let len = 9 + round * 37;
            let payload = ledger.write((round % 8) as u8, mode, len);
            world.stations[1].host.send(client, (round % 8) as u8, mode, payload).unwrap();
            ledger.sent((round % 8) as u8, owed(config, mode, len));
        }
        world.run_for(Duration::from_millis(10));
        check(&mut world, &mut ledger);
    }
    world.run_for(SECOND);
    check(&mut world, &mut ledger);
    assert!(ledger.complete());
    let (sent, arrived) = ledger.lossy();
    assert_eq!(sent, arrived);
}

#[test]
fn every_promise_is_kept_on_a_bad_line() {
    for seed in 0..20 {
        traffic(seed, Conditions::BAD, &Config::default(), false);
    }
}

#[test]
fn every_promise_is_kept_with_compression_and_checksums() {
    for seed in 0..5 {
        let config = Config { checksum: seed % 2 == 0, ..Config::default() };
        traffic(seed, Conditions::BAD, &config, true);
    }
}

#[test]
fn every_promise_is_kept_while_a_third_gets_lost() {
    let conditions = Conditions { loss_per_mille: 333, ..Conditions::BAD };
    // Thirty seconds of silence are not rare at this loss and these round trips' doublings.
    let timeouts = ferry_enet::Timeouts { limit: u32::MAX, minimum: 600 * SECOND, maximum: 600 * SECOND };
    for seed in 0..5 {
        traffic(seed, conditions, &Config { timeouts, ..Config::default() }, false);
    }
}

#[test]
fn every_promise_is_kept_when_everything_arrives_twice_and_out_of_order() {
    let conditions = Conditions {
        duplication_per_mille: 1000,
        reorder_per_mille: 1000,
        jitter_us: 50_000,
        ..Conditions::PERFECT
    };
    for seed in 0..10 {
        traffic(seed, conditions, &Config::default(), false);
    }
}

#[test]
fn every_promise_is_kept_over_a_line_of_little_bandwidth() {
    let conditions = Conditions { rate: 100_000, queue_bytes: 30_000, ..Conditions::PERFECT };
    for seed in 0..5 {
        traffic(seed, conditions, &Config::default(), false);
    }
}

#[test]
fn packets_of_every_length_around_the_edges_arrive_whole() {
    for mtu in [576, 1392, 4096] {
        for checksum in [false, true] {
            let config = Config { mtu, checksum, ..Config::default() };
            let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &config);
            let piece = usize::from(mtu) - 28 - if checksum { 4 } else { 0 };
            let edges = [0, piece, 2 * piece, 3 * piece, usize::from(mtu)];
            let lens = edges.into_iter().flat_map(|edge| edge.saturating_sub(12)..edge + 12);
            for len in lens {
                for mode in MODES {
                    let payload = Bytes::from((0..len).map(|i| (i * 7 + len) as u8).collect::<Vec<_>>());
                    world.stations[1].host.send(client, 2, mode, payload.clone()).unwrap();
                    world.run_for(Duration::from_millis(20));
                    assert_eq!(
                        world.stations[0].received(),
                        [&payload[..]],
                        "{len} bytes, {mode:?}, mtu {mtu}"
                    );
                    world.take_events(0);
                }
            }
            assert_eq!(world.stations[0].host.stats().malformed_datagrams, 0);
        }
    }
}

#[test]
fn no_datagram_is_longer_than_the_mtu() {
    for checksum in [false, true] {
        let config = Config { mtu: 600, checksum, ..Config::default() };
        let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &config);
        let mut random = Random::new(1);
        let mut buffer = [0; 600];
        let mut fullest = 0;
        for _ in 0..2000 {
            let len = random.below(1500) as usize;
            let mode = random.pick(&MODES);
            let channel = random.below(8) as u8;
            world.stations[1].host.send(client, channel, mode, Bytes::from(vec![1; len])).unwrap();
            if random.chance(200) {
                while let Some(transmit) = world.stations[1].host.poll_transmit(world.now, &mut buffer) {
                    fullest = fullest.max(transmit.len);
                }
            }
        }
        assert!((590..=600).contains(&fullest), "{fullest}");
    }
}

fn send_large(world: &mut World, client: PeerId, mode: Mode, len: usize) -> Bytes {
    let payload: Bytes = (0..len).map(|i| (i ^ (i >> 9)) as u8).collect::<Vec<_>>().into();
    world.stations[1].host.send(client, 0, mode, payload.clone()).unwrap();
    payload
}

#[test]
fn a_mebibyte_arrives_reliably_over_a_bad_line() {
    let (mut world, _, client) = World::pair(3, Conditions::BAD, &Config::default());
    let payload = send_large(&mut world, client, Mode::Reliable, 1 << 20);
    world.run_until(300 * SECOND, |world| !world.stations[0].events.is_empty());
    assert!(world.stations[0].received() == [&payload[..]]);
    assert_eq!(world.stations[1].host.peer_stats(client).unwrap().packets_sent, 1);
}

#[test]
fn a_mebibyte_arrives_unreliably_over_a_good_line() {
    let (mut world, _, client) = World::pair(3, Conditions::PERFECT, &Config::default());
    let payload = send_large(&mut world, client, Mode::Unreliable, 1 << 20);
    world.run_for(SECOND);
    assert!(world.stations[0].received() == [&payload[..]]);
}

#[test]
fn the_largest_packet_that_the_numbering_allows_arrives_and_one_byte_more_is_an_error() {
    let (mut world, _, client) = World::pair(3, Conditions::PERFECT, &Config::default());
    let len = 24_576 * LARGEST_WHOLE;
    let payload = send_large(&mut world, client, Mode::Reliable, len);
    world.run_until(60 * SECOND, |world| !world.stations[0].events.is_empty());
    assert!(world.stations[0].received() == [&payload[..]]);
    let more = Bytes::from(vec![0; len + 1]);
    assert_eq!(world.stations[1].host.send(client, 0, Mode::Reliable, more), Err(SendError::TooLarge));
}

#[test]
fn a_lost_piece_of_an_unreliable_packet_loses_the_packet_and_no_other() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    send_large(&mut world, client, Mode::Unreliable, 5000);
    // Only the first of its datagrams gets through.
    let mut buffer = [0; 1392];
    let host = &mut world.stations[1].host;
    let first = host.poll_transmit(world.now, &mut buffer).unwrap();
    let first = buffer[..first.len].to_vec();
    while host.poll_transmit(world.now, &mut buffer).is_some() {}
    world.inject(world.stations[1].place, 0, &first);
    assert!(world.stations[0].host.peer_stats(server).unwrap().incomplete_bytes > 1000);
    world.stations[1].host.send(client, 0, Mode::Unreliable, "next".into()).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received(), [b"next"]);
    assert_eq!(world.stations[0].host.peer_stats(server).unwrap().incomplete_bytes, 0);
}

#[test]
fn unreliable_packets_wait_for_the_reliable_one_they_were_sent_behind() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    let mut buffer = [0; 1392];
    let mut datagram = |world: &mut World, mode, text: &'static str| {
        let host = &mut world.stations[1].host;
        host.send(client, 0, mode, text.into()).unwrap();
        let transmit = host.poll_transmit(world.now, &mut buffer).unwrap();
        buffer[..transmit.len].to_vec()
    };
    let sent = [
        datagram(&mut world, Mode::Reliable, "r1"),
        datagram(&mut world, Mode::Unreliable, "u1"),
        datagram(&mut world, Mode::Reliable, "r2"),
        datagram(&mut world, Mode::Unreliable, "u2a"),
        datagram(&mut world, Mode::Unreliable, "u2b"),
    ];
    let from = world.stations[1].place;
    for number in [4, 3, 1, 2, 0] {
        world.inject(from, 0, &sent[number]);
    }
    // The order of sending: r1 brings out all the others, each in its place.
    assert_eq!(world.stations[0].received(), [&b"r1"[..], b"u1", b"r2", b"u2a", b"u2b"]);
}

#[test]
fn one_channels_gap_holds_up_no_other_channel() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[1].host.send(client, 0, Mode::Reliable, "lost".into()).unwrap();
    let mut buffer = [0; 1392];
    while world.stations[1].host.poll_transmit(world.now, &mut buffer).is_some() {}
    world.stations[1].host.send(client, 0, Mode::Reliable, "held".into()).unwrap();
    world.stations[1].host.send(client, 1, Mode::Reliable, "free".into()).unwrap();
    world.run_for(Duration::from_millis(2));
    assert_eq!(world.stations[0].received(), [b"free"]);
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received(), [b"free", b"lost", b"held"]);
}

#[test]
fn what_is_queued_between_two_rounds_shares_datagrams() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(SECOND / 10);
    let before = world.stations[1].host.stats().datagrams_sent;
    for number in 0..30_u8 {
        world.stations[1]
            .host
            .send(client, number % 8, Mode::Reliable, Bytes::from(vec![number; 30]))
            .unwrap();
    }
    world.flush();
    assert_eq!(world.stations[1].host.stats().datagrams_sent - before, 1);
}

#[test]
fn a_payload_is_shared_not_copied_by_those_it_goes_to() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    for number in 1..5 {
        world.add(Config::default());
        world.connect(number, 0, 1, 0);
    }
    world.run_for(SECOND);
    let payload = Bytes::from(vec![5; 1000]);
    assert_eq!(world.stations[0].host.broadcast(0, Mode::Reliable, &payload), 4);
    assert!(!payload.is_unique());
    world.run_for(SECOND);
    assert!(payload.is_unique());
    for number in 1..5 {
        assert_eq!(world.stations[number].received(), [&payload[..]]);
    }
}

#[test]
fn empty_packets_arrive() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    for mode in MODES {
        world.stations[1].host.send(client, 0, mode, Bytes::new()).unwrap();
    }
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received().len(), MODES.len());
}
