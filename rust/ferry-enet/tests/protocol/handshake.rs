//! Making connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ferry_enet::{Admission, Config, ConnectError, DisconnectReason, Event, Mode, PeerState, Timeouts};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::raw::Raw;
use ferry_enet_testkit::world::{Place, World};

const SECOND: Duration = Duration::from_secs(1);

fn small(max_peers: usize) -> Config {
    Config { max_peers, ..Config::default() }
}

#[test]
fn two_hosts_connect_and_each_hears_the_others_word() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[1].host.send(client, 0, Mode::Reliable, "hello".into()).unwrap();
    world.stations[0].host.send(server, 0, Mode::Reliable, "welcome".into()).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received(), [b"hello"]);
    assert_eq!(world.stations[1].received(), [b"welcome"]);
    assert_eq!(world.stations[0].host.state(server), Some(PeerState::Connected));
    assert_eq!(world.stations[0].host.address(server), Some(&Place::of(1)));
    assert_eq!(world.stations[0].host.stats().half_open, 0);
}

#[test]
fn a_connection_takes_one_and_a_half_round_trips() {
    let mut world = World::new(1, Conditions { delay_us: 50_000, ..Conditions::PERFECT });
    world.add(small(1));
    world.add(small(1));
    world.connect(1, 0, 2, 0);
    world.run_for(Duration::from_millis(99));
    assert!(world.take_events(1).is_empty());
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.take_events(1).len(), 1);
    assert!(world.take_events(0).is_empty());
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.take_events(0).len(), 1);
}

#[test]
fn the_handshake_survives_a_third_of_its_datagrams_getting_lost() {
    for seed in 0..50 {
        let conditions = Conditions { loss_per_mille: 333, ..Conditions::PERFECT };
        let timeouts = Timeouts { limit: u32::MAX, minimum: 600 * SECOND, maximum: 600 * SECOND };
        World::pair(
            seed,
            conditions,
            &Config { timeouts, half_open_timeout: 600 * SECOND, ..Config::default() },
        );
    }
}

#[test]
fn repeated_and_overtaken_handshake_datagrams_make_one_connection() {
    for seed in 0..50 {
        let conditions = Conditions {
            duplication_per_mille: 1000,
            reorder_per_mille: 500,
            jitter_us: 900_000,
            ..Conditions::PERFECT
        };
        let (mut world, _, _) = World::pair(seed, conditions, &Config::default());
        world.run_for(5 * SECOND);
        assert_eq!(world.take_events(0), []);
        assert_eq!(world.stations[0].host.stats().peers, 1);
    }
}

#[test]
fn the_smaller_wish_counts_for_mtu_and_channels() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { mtu: 1200, channel_limit: 5, ..Config::default() });
    world.add(Config { mtu: 1400, ..Config::default() });
    let client = world.connect(1, 0, 9, 0);
    world.run_for(SECOND);
    let server = world.stations[0].events[0].peer();
    for (station, peer) in [(0, server), (1, client)] {
        let host = &world.stations[station].host;
        assert_eq!(host.channel_count(peer), Some(5));
        assert_eq!(host.peer_stats(peer).unwrap().mtu, 1200);
    }
    let host = &mut world.stations[1].host;
    assert!(host.send(client, 4, Mode::Reliable, "x".into()).is_ok());
    assert!(host.send(client, 5, Mode::Reliable, "x".into()).is_err());
}

#[test]
fn windows_follow_the_announced_bandwidths() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { incoming_bandwidth: 4 * 65_536, ..Config::default() });
    world.add(Config { outgoing_bandwidth: 2 * 65_536, ..Config::default() });
    let client = world.connect(1, 0, 1, 0);
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.stations[1].host.peer_stats(client).unwrap().window_size, 8192);
}

#[test]
fn a_host_without_room_says_so_at_once() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { refusal_when_full: Some(7), ..small(1) });
    world.add(small(1));
    world.add(small(1));
    world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    let late = world.connect(2, 0, 1, 0);
    world.run_for(Duration::from_millis(2));
    assert_eq!(
        world.take_events(2),
        [Event::Disconnected { peer: late, reason: DisconnectReason::Refused(7) }]
    );
    assert_eq!(world.stations[0].host.stats().refused_connections, 1);
    assert_eq!(world.stations[0].host.stats().half_open, 0);
}

#[test]
fn a_host_that_is_not_to_say_so_keeps_silent() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { refusal_when_full: None, ..small(1) });
    world.add(small(1));
    world.add(small(1));
    world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    let late = world.connect(2, 0, 1, 0);
    world.run_for(29 * SECOND);
    assert_eq!(world.take_events(2), []);
    world.run_for(2 * SECOND);
    assert_eq!(
        world.take_events(2),
        [Event::Disconnected { peer: late, reason: DisconnectReason::TimedOut }]
    );
}

#[test]
fn the_policy_sees_each_client_once_and_its_word_arrives() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    world.stations[0].host.set_admission(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(request.from, Place::of(1));
        assert_eq!(request.channel_count, 3);
        match request.data {
            1 => Admission::Accept,
            2 => Admission::Refuse(99),
            _ => Admission::Ignore,
        }
    });
    world.connect(1, 0, 3, 1);
    let refused = world.connect(1, 0, 3, 2);
    world.run_for(SECOND / 4);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let events = world.take_events(1);
    assert!(events.contains(&Event::Disconnected { peer: refused, reason: DisconnectReason::Refused(99) }));
    assert_eq!(events.len(), 2);
    let ignored = world.connect(1, 0, 3, 3);
    world.run_for(10 * SECOND);
    assert_eq!(world.stations[1].host.state(ignored), Some(PeerState::Connecting));
}

#[test]
fn refusals_arrive_with_checksums_on() {
    let config = Config { checksum: true, ..Config::default() };
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(config.clone());
    world.add(config);
    world.stations[0].host.set_admission(|_| Admission::Refuse(1));
    let peer = world.connect(1, 0, 1, 0);
    world.run_for(Duration::from_millis(2));
    assert_eq!(world.take_events(1), [Event::Disconnected { peer, reason: DisconnectReason::Refused(1) }]);
}

#[test]
fn hosts_that_disagree_on_checksums_do_not_connect() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { checksum: true, ..Config::default() });
    world.add(Config::default());
    world.connect(1, 0, 1, 0);
    world.run_for(10 * SECOND);
    assert_eq!(world.take_events(0), []);
    assert!(world.stations[0].host.stats().malformed_datagrams > 3);
}

#[test]
fn a_connection_without_channels_or_room_is_an_error() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(small(1));
    let host = &mut world.stations[0].host;
    assert_eq!(host.connect(Place::of(5), 0, 0), Err(ConnectError::NoChannels));
    assert!(host.connect(Place::of(5), 1, 0).is_ok());
    assert_eq!(host.connect(Place::of(5), 1, 0), Err(ConnectError::NoFreePeer));
}

#[test]
fn both_ends_may_call_each_other_at_once() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    world.connect(0, 1, 1, 10);
    world.connect(1, 0, 1, 11);
    world.run_for(SECOND);
    for number in 0..2 {
        let events = world.take_events(number);
        let words: Vec<u32> = events
            .iter()
            .map(|event| match event {
                Event::Connected { data, .. } => *data,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(words.contains(&0) && words.contains(&(11 - number as u32)), "{words:?}");
        assert_eq!(world.stations[number].host.stats().peers, 2);
    }
}

#[test]
fn whoever_answers_a_broadcast_first_is_who_it_went_to() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let peer = world.stations[1].host.connect(Place::BROADCAST, 1, 0).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.take_events(1), [Event::Connected { peer, data: 0 }]);
    assert_eq!(world.stations[1].host.address(peer), Some(&Place::of(0)));
}

#[test]
fn two_clients_that_share_an_address_have_two_connections() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let first = world.connect(1, 0, 1, 1);
    let second = world.connect(1, 0, 1, 2);
    world.run_for(SECOND);
    assert_eq!(world.stations[0].host.stats().peers, 2);
    world.stations[1].host.send(first, 0, Mode::Reliable, "1".into()).unwrap();
    world.stations[1].host.send(second, 0, Mode::Reliable, "2".into()).unwrap();
    world.run_for(SECOND);
    let words: Vec<(u32, Vec<u8>)> = {
        let events = world.take_events(0);
        let word_of = |peer| {
            events.iter().find_map(|event| match event {
                Event::Connected { peer: other, data } if *other == peer => Some(*data),
                _ => None,
            })
        };
        events
            .iter()
            .filter_map(|event| match event {
                Event::Received { peer, payload, .. } => Some((word_of(*peer).unwrap(), payload.to_vec())),
                _ => None,
            })
            .collect()
    };
    assert!(words.contains(&(1, b"1".to_vec())) && words.contains(&(2, b"2".to_vec())));
}

#[test]
fn handshakes_that_nobody_finishes_end_without_a_word() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { half_open_timeout: 3 * SECOND, ..Config::default() });
    world.inject(Place::of(9), 0, &Raw::to_nobody().connect(0, 1, 123, 0).bytes);
    assert_eq!(world.stations[0].host.stats().half_open, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.stations[0].host.stats().half_open, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.stations[0].host.stats().half_open, 0);
    assert_eq!(world.stations[0].host.stats().abandoned_handshakes, 1);
    assert_eq!(world.take_events(0), []);
    assert_eq!(world.stations[0].host.poll_timeout(), None);
}

#[test]
fn unfinished_handshakes_do_not_keep_players_out() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { max_half_open: 10, ..small(4) });
    world.add(small(1));
    for host in 0..100 {
        world.inject(Place::of(1000 + host), 0, &Raw::to_nobody().connect(0, 1, 5, 0).bytes);
    }
    assert_eq!(world.stations[0].host.stats().half_open, 10);
    let player = world.connect(1, 0, 1, 0);
    world.run_until(3 * SECOND, |world| !world.stations[1].events.is_empty());
    assert_eq!(world.take_events(1), [Event::Connected { peer: player, data: 0 }]);
}

#[test]
fn a_handshake_that_ends_when_the_last_place_is_gone_is_refused() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { refusal_when_full: Some(3), ..small(1) });
    world.add(small(1));
    world.add(small(1));
    // Both CONNECTs arrive before either handshake is over.
    world.connect(1, 0, 1, 0);
    world.connect(2, 0, 1, 0);
    world.run_for(SECOND);
    let events: Vec<Event> = world.take_events(1).into_iter().chain(world.take_events(2)).collect();
    let refused = events
        .iter()
        .filter(|event| matches!(event, Event::Disconnected { reason: DisconnectReason::ByRemote(3), .. }))
        .count();
    assert_eq!(refused, 1, "{events:?}");
    assert_eq!(world.stations[0].host.stats().peers, 1);
}

#[test]
fn more_channels_than_the_limit_can_be_asked_for_and_not_more_than_255() {
    for (asked, granted) in [(1, 1), (254, 254), (255, 255)] {
        let mut world = World::new(1, Conditions::PERFECT);
        world.add(Config::default());
        world.add(Config::default());
        let peer = world.connect(1, 0, asked, 0);
        world.run_for(SECOND);
        assert_eq!(world.stations[1].host.channel_count(peer), Some(granted));
    }
}
