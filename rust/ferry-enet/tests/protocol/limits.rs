//! Every queue has its end, and what happens there is what the settings say.

use std::time::Duration;

use bytes::Bytes;
use ferry_enet::{Config, DisconnectReason, Event, Mode, SendError};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::parcel::Ledger;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn reliable_packets_that_do_not_fit_are_refused_and_nothing_is_lost() {
    let config = Config { max_outgoing_reliable: 10_000, ..Config::default() };
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &config);
    let mut taken = 0;
    let refusal = loop {
        match world.stations[1].host.send_copy(client, 0, Mode::Reliable, &[1; 100]) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, SendError::QueueFull);
    assert_eq!(taken, 10_000 / 164);
    let large = Bytes::from(vec![0; 20_000]);
    assert_eq!(world.stations[1].host.send(client, 0, Mode::Reliable, large), Err(SendError::QueueFull));
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received().len(), taken);
    let stats = world.stations[1].host.peer_stats(client).unwrap();
    assert_eq!((stats.queued_bytes, stats.bytes_in_flight, stats.outgoing_overflows), (0, 0, 2));
    assert!(world.stations[1].host.send_copy(client, 0, Mode::Reliable, &[1; 100]).is_ok());
}

#[test]
fn unreliable_packets_push_out_the_oldest() {
    let config = Config { max_outgoing_unreliable: 10_000, ..Config::default() };
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &config);
    for number in 0..200_u8 {
        world.stations[1].host.send_copy(client, 0, Mode::Unreliable, &[number; 100]).unwrap();
    }
    // A large one pushes out many, and one that is too large is refused.
    world.stations[1].host.send(client, 0, Mode::Unreliable, vec![200; 5000].into()).unwrap();
    let too_large = vec![0; 10_001].into();
    assert_eq!(
        world.stations[1].host.send(client, 0, Mode::Unreliable, too_large),
        Err(SendError::QueueFull)
    );
    world.run_for(SECOND);
    let received: Vec<u8> = world.stations[0].received().iter().map(|payload| payload[0]).collect();
    let first = received[0];
    assert_eq!(received, (first..=200).collect::<Vec<_>>());
    assert!((165..=175).contains(&first), "{first}");
    let stats = world.stations[1].host.peer_stats(client).unwrap();
    assert_eq!(stats.outgoing_overflows, u64::from(first) + 1);
}

#[test]
fn who_sends_too_long_a_packet_is_told_apart_even_if_he_never_answers() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { max_packet_size: 5000, ..Config::default() });
    world.add(Config::default());
    let peer = world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    world.take_events(0);
    world.stations[1].host.send(peer, 0, Mode::Reliable, vec![1; 5001].into()).unwrap();
    // The packet has left when the sender falls silent.
    world.flush();
    world.stations[1].asleep = true;
    world.run_for(40 * SECOND);
    let events = world.take_events(0);
    assert!(
        matches!(events[..], [Event::Disconnected { reason: DisconnectReason::PacketTooLong, .. }]),
        "{events:?}"
    );
}

#[test]
fn packets_longer_than_the_settings_allow_are_refused_by_either_end() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    let mut small = World::new(1, Conditions::PERFECT);
    small.add(Config { max_packet_size: 5000, ..Config::default() });
    small.add(Config::default());
    let peer = small.connect(1, 0, 1, 0);
    small.run_for(SECOND);
    small.take_events(0);
    small.stations[1].host.send(peer, 0, Mode::Reliable, vec![1; 5001].into()).unwrap();
    small.run_for(SECOND);
    // Or it would wait for ever.
    let events = small.take_events(0);
    assert!(
        matches!(events[..], [Event::Disconnected { reason: DisconnectReason::PacketTooLong, .. }]),
        "{events:?}"
    );
    let goodbye = Event::Disconnected { peer, reason: DisconnectReason::ByRemote(0) };
    assert_eq!(small.take_events(1).last(), Some(&goodbye));
    let too_long = Bytes::from(vec![0; (32 << 20) + 1]);
    for mode in [Mode::Reliable, Mode::Unreliable] {
        assert_eq!(world.stations[1].host.send(client, 0, mode, too_long.clone()), Err(SendError::TooLarge));
    }
}

#[test]
fn a_driver_that_does_not_fetch_for_half_a_minute_is_waited_for_and_loses_no_reliable_packet() {
    let config = Config { max_incoming: 20_000, ..Config::default() };
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &config);
    for number in 0..1000_u32 {
        world.stations[1]
            .host
            .send_copy(client, 0, Mode::Reliable, &number.to_be_bytes().repeat(25))
            .unwrap();
        world.stations[1].host.send_copy(client, 1, Mode::Unreliable, &[0; 100]).unwrap();
    }
    // Nobody fetches events from host 0: it is driven by hand.
    // For half a minute, far longer than silence is borne: but what is sent to it is refused, not unheard.
    let mut most = 0;
    for _ in 0..3000 {
        world.flush();
        world.now = world.now + Duration::from_millis(10);
        while let Some(datagram) = world.link.receive(world.now) {
            let to = usize::from(datagram.to.host);
            world.stations[to].host.handle_input(world.now, datagram.from, &datagram.bytes);
        }
        for station in &mut world.stations {
            station.host.handle_timeout(world.now);
        }
        most = most.max(world.stations[0].host.peer_stats(server).unwrap().undelivered_bytes);
    }
    assert!((20_000..=20_164).contains(&most), "{most}");
    assert!(world.stations[0].host.peer_stats(server).unwrap().incoming_overflows > 0);
    world.run_for(60 * SECOND);
    let reliable: Vec<u32> = world
        .take_events(0)
        .into_iter()
        .filter_map(|event| match event {
            Event::Received { mode: Mode::Reliable, payload, .. } => {
                Some(u32::from_be_bytes(payload[..4].try_into().unwrap()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(reliable, (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_gap_is_filled_however_full_the_budget_behind_it() {
    // On each of two channels the first fragment of a large packet gets lost, and much more is sent behind it than may
    // wait for it.
    let config = Config { max_incoming_incomplete: 50_000, max_packet_size: 400_000, ..Config::default() };
    for seed in 0..20 {
        let (mut world, server, client) = World::pair(seed, Conditions::PERFECT, &config);
        let mut ledger = Ledger::default();
        world.link.conditions.loss_per_mille = 100;
        for _ in 0..10 {
            for channel in 0..3 {
                for len in [300_000, 20, 3000] {
                    let payload = ledger.write(channel, Mode::Reliable, len);
                    world.stations[1].host.send(client, channel, Mode::Reliable, payload).unwrap();
                    ledger.sent(channel, true);
                }
            }
        }
        for _ in 0..3000 {
            world.run_for(SECOND / 10);
            let Some(figures) = world.stations[0].host.peer_stats(server) else {
                panic!("seed {seed}: {:?}", world.take_events(0));
            };
            let held = figures.incomplete_bytes;
            // The limit, one large packet with what its early pieces cost, and small ones on three channels.
            assert!(held <= 50_000 + 300_000 + 300 * 64 + 3 * 80_000, "{held}");
            for event in world.take_events(0) {
                if let Event::Received { channel, mode, payload, .. } = event {
                    ledger.arrived(channel, mode, &payload).unwrap();
                }
            }
            if ledger.complete() {
                break;
            }
        }
        assert!(ledger.complete(), "seed {seed}: the channel is jammed");
    }
}

#[test]
fn as_many_peers_as_the_protocol_can_number_connect_and_talk() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config {
        max_peers: 4095,
        max_half_open: 4095,
        max_half_open_per_host: 5000,
        ..Config::default()
    });
    world.add(Config { max_peers: 4095, ..Config::default() });
    let clients: Vec<_> = (0..4095).map(|number| world.connect(1, 0, 1, number)).collect();
    world.run_for(SECOND);
    assert_eq!(world.stations[0].host.stats().peers, 4095);
    let server = world.stations[0].place;
    assert!(world.stations[1].host.connect(server, 1, 0).is_err());
    world.take_events(0);
    for client in &clients {
        world.stations[1].host.send_copy(*client, 0, Mode::Reliable, b"here").unwrap();
    }
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received().len(), 4095);
}

#[test]
fn all_255_channels_carry_packets() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let client = world.connect(1, 0, 255, 0);
    world.run_for(SECOND);
    world.take_events(0);
    for channel in 0..=254 {
        world.stations[1].host.send_copy(client, channel, Mode::Reliable, &[channel]).unwrap();
    }
    assert_eq!(
        world.stations[1].host.send_copy(client, 255, Mode::Reliable, b""),
        Err(SendError::NoSuchChannel)
    );
    world.run_for(SECOND);
    for event in world.take_events(0) {
        let Event::Received { channel, payload, .. } = event else { panic!("{event:?}") };
        assert_eq!(payload[..], [channel]);
    }
}

/// The driver looks for events behind each batch of datagrams. A packet of a mebibyte used to close the queue for the rest
/// of its batch: what came behind it was sent again a retransmission's time later, with each packet.
#[test]
fn large_packets_in_a_row_do_not_get_in_each_others_way() {
    let config = Config { max_incoming: 1 << 20, max_incoming_incomplete: 2 << 20, ..Config::default() };
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &config);
    let payload = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..20 {
        world.stations[1].host.send(client, 0, Mode::Reliable, payload.clone()).unwrap();
    }
    // Driven by hand, with a look for events behind 64 datagrams.
    let mut received = 0;
    for _ in 0..10_000 {
        world.flush();
        world.now = world.now + Duration::from_micros(100);
        for _ in 0..64 {
            let Some(datagram) = world.link.receive(world.now) else { break };
            let to = usize::from(datagram.to.host);
            world.stations[to].host.handle_input(world.now, datagram.from, &datagram.bytes);
        }
        for station in &mut world.stations {
            station.host.handle_timeout(world.now);
            while let Some(event) = station.host.poll_event() {
                received +=
                    usize::from(matches!(event, Event::Received { payload: come, .. } if come == payload));
            }
        }
    }
    assert_eq!(received, 20);
    assert_eq!(world.stations[0].host.peer_stats(server).unwrap().incoming_overflows, 0);
    assert_eq!(world.stations[1].host.peer_stats(client).unwrap().retransmissions, 0);
}
