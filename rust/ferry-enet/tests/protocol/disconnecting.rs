//! Ending connections, in every way there is.

use std::time::Duration;

use ferry_enet::{Config, DisconnectReason, Event, Mode, PeerState, SendError, UnknownPeer};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(5);

#[test]
fn both_ends_hear_of_a_disconnect_and_the_other_of_its_word() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[0].host.disconnect(server, 1234).unwrap();
    assert_eq!(world.stations[0].host.state(server), Some(PeerState::Disconnecting));
    world.run_for(TICK);
    let by_us = Event::Disconnected { peer: server, reason: DisconnectReason::ByUs };
    let by_them = Event::Disconnected { peer: client, reason: DisconnectReason::ByRemote(1234) };
    assert_eq!(world.take_events(0), [by_us]);
    assert_eq!(world.take_events(1), [by_them]);
    assert_eq!(world.stations[0].host.state(server), None);
    assert_eq!(world.stations[0].host.disconnect(server, 0), Err(UnknownPeer));
}

#[test]
fn a_disconnect_arrives_however_often_it_or_its_answer_gets_lost() {
    for seed in 0..100 {
        let (mut world, server, client) = World::pair(seed, Conditions::PERFECT, &Config::default());
        world.link.conditions.loss_per_mille = 200;
        world.stations[0].host.disconnect(server, 9).unwrap();
        world.run_for(60 * SECOND);
        let by_us = Event::Disconnected { peer: server, reason: DisconnectReason::ByUs };
        let by_them = Event::Disconnected { peer: client, reason: DisconnectReason::ByRemote(9) };
        assert_eq!((world.take_events(0), world.take_events(1)), (vec![by_us], vec![by_them]), "seed {seed}");
    }
}

#[test]
fn a_disconnect_drops_what_is_queued_either_way() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[0].host.send(server, 0, Mode::Reliable, "queued".into()).unwrap();
    world.stations[0].host.disconnect(server, 0).unwrap();
    world.stations[1].host.send(client, 0, Mode::Reliable, "late".into()).unwrap();
    world.run_for(TICK);
    assert!(world.stations[0].received().is_empty() && world.stations[1].received().is_empty());
}

#[test]
fn what_arrived_before_a_goodbye_is_delivered_before_it() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[1].host.send(client, 0, Mode::Reliable, "last words".into()).unwrap();
    let mut buffer = [0; 1392];
    let mut datagrams = Vec::new();
    while let Some(transmit) = world.stations[1].host.poll_transmit(world.now, &mut buffer) {
        datagrams.push(buffer[..transmit.len].to_vec());
    }
    world.stations[1].host.disconnect_now(client, 3).unwrap();
    while let Some(transmit) = world.stations[1].host.poll_transmit(world.now, &mut buffer) {
        datagrams.push(buffer[..transmit.len].to_vec());
    }
    for datagram in datagrams {
        let (from, now) = (world.stations[1].place, world.now);
        world.stations[0].host.handle_input(now, from, &datagram);
    }
    world.step();
    let events = world.take_events(0);
    assert!(matches!(&events[0], Event::Received { payload, .. } if payload == "last words"), "{events:?}");
    let goodbye = Event::Disconnected { peer: server, reason: DisconnectReason::ByRemote(3) };
    assert_eq!(events[1..], [goodbye]);
}

#[test]
fn disconnect_later_lets_everything_arrive_first() {
    for seed in 0..20 {
        let (mut world, server, client) = World::pair(seed, Conditions::BAD, &Config::default());
        for number in 0..100_u8 {
            world.stations[1].host.send_copy(client, number % 4, Mode::Reliable, &[number; 900]).unwrap();
        }
        world.stations[1].host.disconnect_later(client, 5).unwrap();
        assert_eq!(world.stations[1].host.state(client), Some(PeerState::DisconnectLater));
        let more = world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"more");
        assert_eq!(more, Err(SendError::NotConnected));
        world.run_until(120 * SECOND, |world| world.stations[1].host.stats().peers == 0);
        assert_eq!(world.stations[0].received().len(), 100, "seed {seed}");
        let by_them = Event::Disconnected { peer: server, reason: DisconnectReason::ByRemote(5) };
        assert_eq!(world.take_events(0).last(), Some(&by_them));
    }
}

#[test]
fn disconnect_later_sends_unreliable_packets_too() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(SECOND / 10);
    world.stations[1].host.send(client, 0, Mode::Unreliable, "bye".into()).unwrap();
    world.stations[1].host.disconnect_later(client, 0).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.stations[0].received(), [b"bye"]);
    assert_eq!(world.stations[1].host.stats().peers, 0);
}

#[test]
fn disconnect_now_is_over_at_once_and_the_other_end_hears_of_it() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[0].host.disconnect_now(server, 8).unwrap();
    assert_eq!(world.stations[0].host.stats().peers, 0);
    world.run_for(TICK);
    assert_eq!(world.take_events(0), []);
    let by_them = Event::Disconnected { peer: client, reason: DisconnectReason::ByRemote(8) };
    assert_eq!(world.take_events(1), [by_them]);
}

#[test]
fn reset_is_over_at_once_and_the_other_end_finds_out_by_itself() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[0].host.reset(server).unwrap();
    world.run_for(2 * SECOND);
    assert_eq!(world.take_events(0), []);
    assert_eq!(world.take_events(1), []);
    world.run_for(10 * SECOND);
    let lost = Event::Disconnected { peer: client, reason: DisconnectReason::TimedOut };
    assert_eq!(world.take_events(1), [lost]);
}

#[test]
fn both_ends_may_say_goodbye_at_once() {
    for delay_us in [0, 1000, 50_000] {
        let conditions = Conditions { delay_us, ..Conditions::PERFECT };
        let (mut world, server, client) = World::pair(1, conditions, &Config::default());
        world.stations[0].host.disconnect(server, 1).unwrap();
        world.stations[1].host.disconnect(client, 2).unwrap();
        world.run_for(SECOND);
        let ended = |peer| Event::Disconnected { peer, reason: DisconnectReason::ByUs };
        assert_eq!(world.take_events(0), [ended(server)]);
        assert_eq!(world.take_events(1), [ended(client)]);
    }
}

#[test]
fn a_connection_that_is_still_being_made_is_dropped_without_an_event() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    for end in
        [ferry_enet::Host::disconnect, ferry_enet::Host::disconnect_later, ferry_enet::Host::disconnect_now]
    {
        let peer = world.connect(1, 0, 1, 0);
        end(&mut world.stations[1].host, peer, 0).unwrap();
        world.run_for(SECOND);
        assert_eq!(world.take_events(1), []);
        assert_eq!(world.stations[1].host.stats().peers, 0);
    }
}

#[test]
fn a_game_hears_no_more_of_those_it_has_sent_away() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[1].host.send(client, 0, Mode::Reliable, "unread".into()).unwrap();
    world.flush();
    world.now = world.now + TICK;
    let datagram = world.link.receive(world.now).unwrap();
    world.stations[0].host.handle_input(world.now, datagram.from, &datagram.bytes);
    world.stations[0].host.disconnect(server, 0).unwrap();
    assert_eq!(world.stations[0].host.poll_event(), None);
}

#[test]
fn an_ended_connection_gives_its_place_to_the_next() {
    let config = Config { max_peers: 1, max_half_open: 1, ..Config::default() };
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(config.clone());
    world.add(config);
    let mut names = Vec::new();
    for round in 0..50 {
        let client = world.connect(1, 0, 1, round);
        world.run_for(TICK);
        let server = world.take_events(0)[0].peer();
        assert!(!names.contains(&server), "a name was given twice");
        names.push(server);
        // Whoever ends it: what lingers makes room at once.
        let (station, peer) = if round % 2 == 0 { (0, server) } else { (1, client) };
        world.stations[station].host.disconnect(peer, 0).unwrap();
        world.run_for(TICK);
        world.take_events(0);
        world.take_events(1);
    }
}

#[test]
fn datagrams_of_an_ended_connection_do_not_disturb_the_next_in_its_slot() {
    let config = Config { max_peers: 1, max_half_open: 1, ..Config::default() };
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(config.clone());
    world.add(config);
    let old = world.connect(1, 0, 1, 0);
    world.run_for(TICK);
    world.stations[1].host.send(old, 0, Mode::Reliable, "old".into()).unwrap();
    let mut buffer = [0; 1392];
    let mut stale = Vec::new();
    while let Some(transmit) = world.stations[1].host.poll_transmit(world.now, &mut buffer) {
        stale.push(buffer[..transmit.len].to_vec());
    }
    let server = world.take_events(0)[0].peer();
    world.stations[0].host.disconnect_now(server, 0).unwrap();
    world.run_for(TICK);
    world.connect(1, 0, 1, 0);
    world.run_for(TICK);
    assert_eq!(world.take_events(0).len(), 1);
    let (from, strays) = (world.stations[1].place, world.stations[0].host.stats().stray_datagrams);
    for datagram in &stale {
        world.inject(from, 0, datagram);
    }
    assert_eq!(world.take_events(0), []);
    assert_eq!(world.stations[0].host.stats().stray_datagrams - strays, stale.len() as u64);
}
