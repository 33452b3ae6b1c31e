//! Very much of something: what it may take up, and that the honest get through.

use std::time::Duration;

use bytes::Bytes;
use counted_memory::thread::held;
use ferry_enet::compress::{Compressor, RangeCoder};
use ferry_enet::{Config, DisconnectReason, Event, Mode, ThrottleConfig, Timeouts, Timestamp};
use ferry_enet_testkit::forger::{Forger, counting_host, drain};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::parcel::Ledger;
use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::raw::{CONTROL, Raw, RawFragment};
use ferry_enet_testkit::world::{Place, World};

use crate::scene::{FORGER, Scene, State, VICTIM, exchange, report, small};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const MIB: isize = 1 << 20;

/// Anywhere but where the honest are.
fn anywhere(random: &mut Random) -> Place {
    Place { host: random.between(100, 65_000) as u16, port: random.any() as u16 }
}

#[test]
fn a_hundred_thousand_connects_a_minute_and_a_half_take_little_and_keep_no_player_out() {
    let mut random = Random::new(1);
    let mut victim = counting_host(Config::default());
    let mut player = counting_host(Config::default());
    let mut now = Timestamp::from_micros(0);
    let before = held();
    let mut most = 0;
    let mut joined = None;
    for round in 0..100_000_u32 {
        now = now + MILLISECOND;
        let from = anywhere(&mut random);
        let connect = Raw::to_nobody().connect(0, 255, random.any() as u32, 0);
        victim.handle_input(now, from, &connect.bytes);
        if round == 10_000 {
            player.connect(VICTIM, 2, 0).unwrap();
        }
        victim.handle_timeout(now);
        player.handle_timeout(now);
        exchange(now, &mut victim, &mut player);
        assert!(victim.stats().half_open <= 256 && victim.stats().peers <= 1);
        most = most.max(held() - before);
        while let Some(event) = victim.poll_event() {
            assert!(matches!(event, Event::Connected { .. }), "{event:?}");
            joined = Some(round);
        }
    }
    assert!(most < 2 * MIB, "{most} bytes");
    let joined = joined.expect("the player is let in");
    assert!((10_000..30_000).contains(&joined), "after {} ms", joined - 10_000);
    for _ in 0..30 {
        now = now + SECOND;
        victim.handle_timeout(now);
        player.handle_timeout(now);
        exchange(now, &mut victim, &mut player);
    }
    assert_eq!((victim.stats().half_open, victim.stats().peers), (0, 1));
}

#[test]
fn connects_from_one_address_are_limited_and_others_get_in_at_once() {
    let config = Config { max_half_open_per_host: 3, max_half_open: 20, max_peers: 8, ..small() };
    let mut scene = Scene::new(State::Stranger, &config);
    for id in 0..100_000_u32 {
        let connect = Raw::to_nobody().connect(0, 255, id, 0);
        let from = Place { host: FORGER.host, port: id as u16 };
        scene.victim.handle_input(scene.now, from, &connect.bytes);
        if id % 100 == 0 {
            scene.answers();
        }
    }
    assert_eq!(scene.victim.stats().half_open, 3);
    let mut other = Forger::new(Place::of(10), false);
    assert!(other.open(&mut scene.victim, scene.now, 1, 1).is_some());
    scene.pass(30 * SECOND);
    assert_eq!(scene.victim.stats().half_open, 0);
    assert!(scene.forger.open(&mut scene.victim, scene.now, 1, 1).is_some(), "it may come again later");
}

#[test]
fn peers_from_one_address_are_limited() {
    let mut scene = Scene::new(State::Stranger, &Config { max_peers_per_host: 2, max_peers: 8, ..small() });
    let open = |scene: &mut Scene, port: u16| {
        let mut forger = Forger::new(Place { host: FORGER.host, port }, false);
        let peer = forger.open(&mut scene.victim, scene.now, 1, u32::from(port));
        (forger, peer)
    };
    let (_first, a) = open(&mut scene, 1);
    let (mut second, b) = open(&mut scene, 2);
    assert!(a.is_some() && b.is_some());
    assert_eq!(open(&mut scene, 3).1, None);
    let goodbye = second.header().disconnect(false, 0, 0);
    second.say(&mut scene.victim, scene.now, goodbye);
    assert!(open(&mut scene, 4).1.is_some(), "the place of one that left");
}

#[test]
fn a_full_host_refuses_each_with_one_small_word_and_keeps_nothing() {
    let config = Config { refusal_when_full: Some(7), max_peers: 1, ..small() };
    let mut scene = Scene::new(State::Stranger, &config);
    let mut random = Random::new(2);
    let mut flood = |scene: &mut Scene, answered: bool| {
        for _ in 0..50_000 {
            let from = anywhere(&mut random);
            let connect = Raw::to_nobody().connect(3, 255, random.any() as u32, 0);
            scene.victim.handle_input(scene.now, from, &connect.bytes);
            if answered {
                let answers = scene.answers();
                assert_eq!(answers.len(), 1);
                assert_eq!(answers[0].0, from);
                assert!(answers[0].1.len() < connect.bytes.len());
                assert!(answers[0].1.ends_with(&7_u32.to_be_bytes()));
            }
        }
    };
    let before = held();
    flood(&mut scene, true);
    assert!(held() - before < 1000, "{} bytes", held() - before);
    // Nobody fetches the answers: some are kept.
    flood(&mut scene, false);
    assert!(held() - before < MIB, "{} bytes", held() - before);
    assert!(scene.answers().len() <= 4096);
    assert_eq!(scene.victim.poll_timeout().map(|_| ()), Some(()), "the honest client's ping");
    assert_eq!(scene.honest_exchange().unwrap(), []);
    scene.quiet_in_the_end().unwrap();
}

#[test]
fn a_million_pings_without_an_answer_going_out_take_little() {
    let mut scene = Scene::new(State::Connected, &small());
    let before = held();
    let mut seq = 1_u16;
    for _ in 0..4000 {
        let mut raw = scene.forger.header();
        for _ in 0..250 {
            seq = seq.wrapping_add(1);
            raw = raw.ping(seq);
        }
        scene.say(raw);
    }
    assert!(held() - before < MIB, "{} bytes", held() - before);
    let answers = scene.answers();
    assert!(answers.len() <= 4096 / 32 + 2, "{} datagrams", answers.len());
    scene.honest_exchange().unwrap();
}

#[test]
fn reliable_packets_beyond_the_window_are_neither_kept_nor_acknowledged() {
    let mut scene = Scene::new(State::Connected, &small());
    for seq in (7 * 4096..9 * 4096).step_by(7) {
        let raw = scene.forger.header().reliable(0, seq, b"too early").unreliable(0, seq, 1, b"too early");
        scene.say(raw);
    }
    let figures = scene.figures();
    assert_eq!((figures.incomplete_bytes, figures.undelivered_bytes), (0, 0));
    assert_eq!(scene.answers(), []);
    // Behind the window lies what is old: it is acknowledged, again.
    let raw = scene.forger.header().reliable(0, u16::MAX, b"old");
    scene.say(raw);
    assert_eq!(scene.answers().len(), 1);
    assert_eq!(scene.events(), []);
}

#[test]
fn unreliable_packets_that_wait_for_a_reliable_one_are_bounded_and_come_out_behind_it() {
    let mut scene = Scene::new(State::Connected, &small());
    let limit = scene.victim.config().max_incoming_incomplete;
    let payload = [3; 1000];
    for seq in 1..=2000 {
        let raw = scene.forger.header().unreliable(0, 1, seq, &payload);
        scene.say(raw);
    }
    let figures = scene.figures();
    assert!(figures.incomplete_bytes <= limit && figures.incoming_overflows > 0, "{figures:?}");
    assert_eq!(scene.events(), []);
    let raw = scene.forger.header().reliable(0, 1, b"first");
    scene.say(raw);
    let events = scene.events();
    let figures = scene.figures();
    assert_eq!((figures.incomplete_bytes, figures.undelivered_bytes), (0, 0));
    assert!(events.len() > 100 && events.len() * 1000 < limit, "{} events", events.len());
    assert!(matches!(&events[0], Event::Received { payload, .. } if payload == "first"));
}

#[test]
fn sweeps_of_unsequenced_groups_deliver_no_datagram_twice() {
    let mut scene = Scene::new(State::Connected, &small());
    let mut random = Random::new(3);
    let mut delivered = 0;
    for count in 0..2 * 65_536_u64 {
        let late = count - random.below(1000.min(count + 1));
        for group in [count as u16, count as u16, late as u16] {
            let raw = scene.forger.header().unsequenced(0, group, b"u");
            scene.say(raw);
        }
        delivered += scene.events().len();
    }
    assert_eq!(delivered, 2 * 65_536, "each number once in each sweep");
    scene.honest_exchange().unwrap();
}

#[test]
fn a_driver_that_fetches_no_events_is_not_flooded_and_gets_everything_reliable_later() {
    let config = Config { max_incoming: 20_000, ..small() };
    let mut scene = Scene::new(State::Stranger, &config);
    let mut ledger = Ledger::default();
    for number in 0..300 {
        let mode = if number % 3 == 0 { Mode::Unreliable } else { Mode::Reliable };
        let payload = ledger.write(0, mode, 1000);
        scene.honest.send(scene.victim_at_honest, 0, mode, payload).unwrap();
        ledger.sent(0, mode == Mode::Reliable);
    }
    let before = held();
    // Not for long: what is not acknowledged for five seconds ends a connection.
    scene.pass(2 * SECOND);
    let figures = scene.victim.peer_stats(scene.honest_at_victim).unwrap();
    assert!((19_000..22_000).contains(&figures.undelivered_bytes), "{figures:?}");
    assert!(held() - before < 2 * MIB);
    for _ in 0..2000 {
        for event in scene.events() {
            let Event::Received { channel, mode, payload, .. } = event else { panic!("{event:?}") };
            ledger.arrived(channel, mode, &payload).unwrap();
        }
        scene.pass(10 * MILLISECOND);
    }
    assert!(ledger.complete());
}

#[test]
fn peers_that_come_and_go_do_not_fill_the_queue_of_a_driver_that_fetches_no_events() {
    // Story: a peer's budget ended with it, its packets stayed in the queue.
    let config = Config { max_incoming: 20_000, ..small() };
    let mut scene = Scene::new(State::Stranger, &config);
    let before = held();
    let payload = [9; 1000];
    for id in 1..3000 {
        let mut forger = Forger::new(FORGER, false);
        if forger.open_half(&mut scene.victim, scene.now, 1, id) {
            let acknowledgement = forger.header().acknowledge(CONTROL, 1, 1);
            forger.say(&mut scene.victim, scene.now, acknowledgement);
        }
        for seq in 1..=18 {
            let raw = forger.header().reliable(0, seq, &payload);
            forger.say(&mut scene.victim, scene.now, raw);
        }
        let goodbye = forger.header().disconnect(false, 0, 0);
        forger.say(&mut scene.victim, scene.now, goodbye);
    }
    let taken = held() - before;
    assert!(taken < 4 * MIB, "{taken} bytes");
    scene.honest_exchange().unwrap();
}

#[test]
fn pings_that_a_peer_never_acknowledges_do_not_pile_up() {
    // Story: unanswered commands of the connection itself were kept, and sent again, without bound, as long as
    // the other end acknowledged anything else.
    let mut scene = Scene::new(State::Connected, &small());
    let peer = scene.peer.unwrap();
    let acknowledge = scene.forger.header().acknowledge(0, 1, 1);
    scene.say(acknowledge);
    let mut middle = 0;
    for round in 2..6000_u16 {
        if scene.victim.send(peer, 0, Mode::Reliable, Bytes::from_static(b"x")).is_err() {
            return; // Given up, which is as good.
        }
        scene.victim.ping(peer).unwrap();
        scene.pass(100 * MILLISECOND);
        let raw = scene.forger.header().acknowledge(0, round, 1);
        scene.say(raw);
        scene.events();
        while scene.honest.poll_event().is_some() {}
        if round == 1000 {
            middle = held();
        }
    }
    let grown = held() - middle;
    assert!(grown < 50_000, "{grown} bytes more after another 5000 pings");
}

#[test]
fn bandwidth_words_that_a_peer_never_acknowledges_do_not_pile_up() {
    let config = Config { incoming_bandwidth: 100_000, ..small() };
    let mut scene = Scene::new(State::Connected, &config);
    let peer = scene.peer.unwrap();
    let mut middle = 0;
    let mut id = 10;
    for round in 1..3000_u16 {
        if scene.victim.send(peer, 0, Mode::Reliable, Bytes::from_static(b"x")).is_err() {
            return;
        }
        // Somebody else comes or goes, so everybody's share changes.
        if round % 2 == 0 {
            id += 1;
            let mut other = Forger::new(Place::of(20), false);
            other.open(&mut scene.victim, scene.now, 1, id);
            scene.pass(SECOND + MILLISECOND);
            let goodbye = other.header().disconnect(false, 0, 0);
            other.say(&mut scene.victim, scene.now, goodbye);
        }
        scene.pass(SECOND + MILLISECOND);
        let raw = scene.forger.header().acknowledge(0, round, 1).acknowledge(0, round + 1, 1);
        scene.say(raw);
        scene.events();
        while scene.honest.poll_event().is_some() {}
        if round == 500 {
            middle = held();
        }
    }
    let grown = held() - middle;
    assert!(grown < 50_000, "{grown} bytes more after another 2500 changes");
}

#[test]
fn handshakes_that_end_behind_one_that_does_not_leave_nothing() {
    let mut scene = Scene::new(State::HalfOpen, &Config { half_open_timeout: 3600 * SECOND, ..small() });
    let mut other = Forger::new(Place::of(10), false);
    let mut before = 0;
    for id in 0..60_000 {
        if id == 1000 {
            before = held();
        }
        assert!(other.open(&mut scene.victim, scene.now, 1, id).is_some(), "number {id}");
        let goodbye = other.header().disconnect(false, 0, 0);
        other.say(&mut scene.victim, scene.now, goodbye);
        scene.events();
    }
    let grown = held() - before;
    assert!(grown < 100_000, "{grown} bytes");
}

/// Bytes that decompress to very many.
fn bomb() -> Vec<u8> {
    let mut output = vec![0; 10_000];
    let len = RangeCoder::new().compress(&vec![0; 1_000_000], &mut output).expect("zeros are short");
    output.truncate(len);
    output
}

#[test]
fn compressed_bombs_are_malformed_and_quickly_done_with() {
    for state in State::ALL {
        let mut scene = Scene::new(state, &small());
        scene.victim.set_compressor(Some(Box::new(RangeCoder::new())));
        let before = (held(), scene.victim.stats());
        for header in [Raw::to_nobody(), scene.forger.header()] {
            let mut raw = header.bytes(&bomb());
            raw.bytes[0] |= 0x40;
            for _ in 0..50 {
                scene.say(raw.clone());
            }
        }
        let stats = scene.victim.stats();
        assert_eq!(stats.malformed_datagrams - before.1.malformed_datagrams, 100, "{state:?}");
        assert!(held() - before.0 < 10_000, "{state:?}");
        assert_eq!(scene.answers(), []);
        assert_eq!(scene.events(), []);
    }
    let mut scene = Scene::new(State::Connected, &small());
    scene.victim.set_compressor(Some(Box::new(RangeCoder::new())));
    scene.honest.set_compressor(Some(Box::new(RangeCoder::new())));
    assert_eq!(scene.honest_exchange().unwrap(), []);
}

/// Whether all of a burst of packets arrives in order, within some minutes, where the receiver's room is as small as it may be.
fn burst_arrives(seed: u64, largest: usize, lengths: &[usize], channels: u8) -> Result<(), String> {
    let config = Config {
        max_packet_size: largest,
        max_incoming_incomplete: largest + 256 * 1024,
        max_outgoing_reliable: 64 << 20,
        max_outgoing_unreliable: 64 << 20,
        ..Config::default()
    };
    let mut random = Random::new(seed);
    let loss_per_mille = random.pick(&[20, 20, 100, 200]);
    let conditions = Conditions { loss_per_mille, delay_us: 200, ..Conditions::PERFECT };
    let mut world = World::new(seed, conditions);
    world.add(config.clone());
    world.add(config);
    let client = world.connect(1, 0, channels, 0);
    world.run_until(60 * SECOND, |world| world.stations.iter().all(|station| station.events.len() == 1));
    world.take_events(0);
    let mut ledger = Ledger::default();
    for _ in 0..8_000_000 / lengths.iter().sum::<usize>() * lengths.len() {
        let (channel, len) = (random.below(u64::from(channels)) as u8, random.pick(lengths));
        let mode = if random.chance(100) { Mode::Unreliable } else { Mode::Reliable };
        let payload = ledger.write(channel, mode, len);
        world.stations[1].host.send(client, channel, mode, payload).expect("room");
        ledger.sent(channel, mode == Mode::Reliable);
    }
    for _ in 0..600 {
        world.run_for(SECOND);
        for event in world.take_events(0) {
            let Event::Received { channel, mode, payload, .. } = event else {
                return Err(format!("{event:?}"));
            };
            ledger.arrived(channel, mode, &payload)?;
        }
        if ledger.complete() {
            return Ok(());
        }
    }
    Err("not everything has arrived".into())
}

#[test]
fn a_lost_piece_of_an_honest_packet_comes_through_however_much_waits_behind_it() {
    // Story: pieces of the next packet in order needed room in the budget that what waited behind them had filled.
    let seeds = std::env::var("FERRY_SEEDS").map_or(14, |seeds| seeds.parse().expect("a number"));
    let kinds: [(usize, &[usize], u8); 4] = [
        (100_000, &[100_000], 2),
        (100_000, &[100_000, 70_000, 1000, 3000], 6),
        (400_000, &[400_000, 300_000, 70_000, 9, 3000], 12),
        (20_000, &[20_000, 2000], 255),
    ];
    let cases = (0..seeds)
        .flat_map(|seed| kinds.map(|(largest, lengths, channels)| (seed, largest, lengths, channels)));
    report(cases, |&(seed, largest, lengths, channels)| burst_arrives(seed, largest, lengths, channels));
}

#[test]
fn everything_at_its_smallest_still_connects_and_ends() {
    let smallest = Config {
        max_peers: 1,
        max_half_open: 1,
        max_half_open_per_host: 1,
        max_peers_per_host: 1,
        half_open_timeout: 10 * MILLISECOND,
        refusal_when_full: None,
        channel_limit: 1,
        incoming_bandwidth: 1,
        outgoing_bandwidth: 1,
        mtu: 576,
        max_packet_size: 0,
        max_outgoing_reliable: 64,
        max_outgoing_unreliable: 0,
        max_incoming: 1,
        max_incoming_incomplete: 256 * 1024,
        ping_interval: Duration::from_nanos(1),
        ..Config::default()
    };
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(smallest.clone());
    world.add(smallest);
    let client = world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    assert_eq!(world.stations[0].events.len(), 1);
    let host = &mut world.stations[1].host;
    assert!(host.send(client, 0, Mode::Reliable, Bytes::from_static(b"x")).is_err());
    for _ in 0..3 {
        // One empty packet at a time has room.
        world.stations[1].host.send(client, 0, Mode::Reliable, Bytes::new()).unwrap();
        assert!(world.stations[1].host.send(client, 0, Mode::Reliable, Bytes::new()).is_err());
        world.run_for(SECOND);
    }
    assert_eq!(world.stations[0].received().len(), 3);
    world.stations[1].host.disconnect(client, 9).unwrap();
    world.run_for(10 * SECOND);
    let end = world.stations[0].events.last().unwrap();
    assert!(matches!(end, Event::Disconnected { reason: DisconnectReason::ByRemote(9), .. }), "{end:?}");
    for station in &world.stations {
        assert_eq!(station.host.poll_timeout(), None);
    }
}

#[test]
fn a_host_that_waits_for_no_handshake_lets_nobody_in_and_keeps_nothing() {
    let mut scene = Scene::new(State::Stranger, &small());
    let mut host = counting_host(Config { half_open_timeout: Duration::ZERO, ..small() });
    for id in 0..1000 {
        let connect = Raw::to_nobody().connect(0, 1, id, 0);
        host.handle_input(scene.now, Place::of(id as u16), &connect.bytes);
        host.handle_timeout(scene.now);
        drain(&mut host, scene.now);
        assert_eq!(host.stats().half_open, 0);
        scene.now = scene.now + MILLISECOND;
    }
    assert_eq!(host.poll_timeout(), None);
}

#[test]
fn everything_at_its_largest_overflows_nowhere() {
    let largest = Config {
        max_peers: 4095,
        max_half_open: usize::MAX,
        max_half_open_per_host: usize::MAX,
        max_peers_per_host: usize::MAX,
        half_open_timeout: Duration::MAX,
        refusal_when_full: Some(u32::MAX),
        incoming_bandwidth: u32::MAX,
        outgoing_bandwidth: u32::MAX,
        mtu: 4096,
        max_packet_size: u32::MAX as usize,
        max_outgoing_reliable: usize::MAX,
        max_outgoing_unreliable: usize::MAX,
        max_incoming: usize::MAX,
        max_incoming_incomplete: usize::MAX,
        timeouts: Timeouts { limit: u32::MAX, minimum: Duration::MAX, maximum: Duration::MAX },
        ping_interval: Duration::MAX,
        throttle: ThrottleConfig { interval: Duration::MAX, acceleration: u32::MAX, deceleration: u32::MAX },
        ..Config::default()
    };
    let (mut world, server, client) = World::pair(1, Conditions::BAD, &largest);
    for mode in [Mode::Reliable, Mode::Unreliable, Mode::Unsequenced] {
        world.stations[1].host.send(client, 0, mode, Bytes::from(vec![1; 100_000])).unwrap();
    }
    world.run_for(60 * SECOND);
    assert!(world.stations[0].received().iter().any(|payload| payload.len() == 100_000));
    for id in 0..10_000 {
        world.inject(Place { host: 77, port: id as u16 }, 0, &Raw::to_nobody().connect(0, 255, id, 0).bytes);
    }
    assert!(world.stations[0].host.stats().half_open < 4095);
    world.stations[0].host.disconnect_later(server, 0).unwrap();
    world.run_for(600 * SECOND);
    assert_eq!(world.stations[0].host.stats().peers, 0);
}

/// How long a thousand pieces of a reliable packet take a host that has so many unreliable packets begun.
fn time_beside(begun: u16) -> Duration {
    let piece = |count, number| RawFragment {
        start_seq: 1,
        count,
        number,
        total_len: count * 256,
        offset: number * 256,
        payload: &[0; 256],
    };
    let mut scene = Scene::new(State::Connected, &Config::default());
    for start_seq in 1..=begun {
        let first = RawFragment { start_seq, ..piece(2, 0) };
        let raw = scene.forger.header().unreliable_fragment(0, 0, first);
        scene.say(raw);
    }
    let start = std::time::Instant::now();
    for number in 0..1000 {
        let raw = scene.forger.header().fragment(0, 1 + number as u16, piece(1001, number));
        scene.say(raw);
    }
    start.elapsed()
}

/// Each piece once moved all that was begun on its channel out of a map and back, a millisecond's work.
#[test]
fn unreliable_packets_that_were_begun_cost_reliable_pieces_nothing() {
    let least = |begun| (0..3).map(|_| time_beside(begun)).min().unwrap();
    let (alone, beside_many) = (least(1), least(3000));
    assert!(beside_many < alone * 20, "{beside_many:?} instead of {alone:?}");
}
