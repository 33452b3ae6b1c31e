//! Many connections of one host: work in proportion to what happens, and names that do not lie.

use std::time::Duration;

use ferry_enet::{Config, Event, Mode, PeerState, SendError, UnknownPeer};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);

fn server_of(clients: u16) -> World {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { max_peers: 4095, max_half_open: 4095, ..Config::default() });
    for number in 1..=clients {
        world.add(Config { max_peers: 1, ..Config::default() });
        world.connect(usize::from(number), 0, 2, u32::from(number));
    }
    world.run_for(SECOND);
    world
}

#[test]
fn a_broadcast_reaches_everybody_once() {
    let mut world = server_of(300);
    for number in 0..=300 {
        world.take_events(number);
    }
    assert_eq!(world.stations[0].host.broadcast(1, Mode::Reliable, &"all".into()), 300);
    world.run_for(SECOND / 10);
    for number in 1..=300 {
        assert_eq!(world.stations[number].received(), [b"all"]);
    }
}

#[test]
fn everybody_gets_a_turn_when_all_have_much_to_send() {
    let mut world = server_of(20);
    let peers: Vec<_> = world.stations[0].host.peers().collect();
    for peer in &peers {
        for _ in 0..40 {
            world.stations[0].host.send_copy(*peer, 0, Mode::Unsequenced, &[0; 1300]).unwrap();
        }
    }
    let mut buffer = [0; 1392];
    let mut first_served = Vec::new();
    for _ in 0..20 * 16 {
        let transmit = world.stations[0].host.poll_transmit(world.now, &mut buffer).unwrap();
        first_served.push(transmit.to);
    }
    first_served.sort();
    first_served.dedup();
    assert_eq!(first_served.len(), 20);
}

#[test]
fn one_dead_peer_does_not_hold_up_the_others() {
    let mut world = server_of(10);
    for number in 0..=10 {
        world.take_events(number);
    }
    world.stations[3].asleep = true;
    for _ in 0..200 {
        world.stations[0].host.broadcast(0, Mode::Reliable, &vec![1; 2000].into());
        world.run_for(SECOND / 10);
    }
    for number in (1..=10).filter(|&number| number != 3) {
        assert_eq!(world.stations[number].received().len(), 200);
    }
    let events = world.take_events(0);
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn the_name_of_an_ended_connection_is_an_error_everywhere() {
    let (mut world, server, _) = World::pair(1, Conditions::PERFECT, &Config::default());
    let host = &mut world.stations[0].host;
    host.reset(server).unwrap();
    assert_eq!(host.send_copy(server, 0, Mode::Reliable, b"x"), Err(SendError::UnknownPeer));
    assert_eq!(host.disconnect(server, 0), Err(UnknownPeer));
    assert_eq!(host.disconnect_later(server, 0), Err(UnknownPeer));
    assert_eq!(host.disconnect_now(server, 0), Err(UnknownPeer));
    assert_eq!(host.reset(server), Err(UnknownPeer));
    assert_eq!(host.ping(server), Err(UnknownPeer));
    assert_eq!(host.set_ping_interval(server, SECOND), Err(UnknownPeer));
    assert_eq!(host.set_timeouts(server, ferry_enet::Timeouts::default()), Err(UnknownPeer));
    assert_eq!(host.state(server), None);
    assert_eq!(host.address(server), None);
    assert_eq!(host.channel_count(server), None);
    assert_eq!(host.peer_stats(server), None);
    assert_eq!(host.peers().count(), 0);
}

#[test]
fn packets_before_the_handshake_is_over_are_an_error() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let client = world.connect(1, 0, 1, 0);
    let host = &mut world.stations[1].host;
    assert_eq!(host.state(client), Some(PeerState::Connecting));
    assert_eq!(host.send_copy(client, 0, Mode::Reliable, b"x"), Err(SendError::NotConnected));
}

#[test]
fn players_come_and_go_for_a_long_time_and_leave_nothing_behind() {
    let mut world = server_of(40);
    for round in 0..200_usize {
        let number = 1 + round * 7 % 40;
        let host = &mut world.stations[number].host;
        let peer = host.peers().next();
        match (peer, round % 4) {
            (Some(peer), 0) => host.disconnect(peer, 0).unwrap(),
            (Some(peer), 1) => host.disconnect_now(peer, 0).unwrap(),
            (Some(peer), 2) => host.disconnect_later(peer, 0).unwrap(),
            (Some(peer), _) => host.reset(peer).unwrap(),
            (None, _) => {
                world.connect(number, 0, 2, 0);
            }
        }
        world.run_for(SECOND / 5);
    }
    // Those who reset time out at the server.
    world.run_for(40 * SECOND);
    let at_clients: usize = (1..=40).map(|number| world.stations[number].host.stats().peers).sum();
    assert_eq!(world.stations[0].host.stats().peers, at_clients);
    let events = world.take_events(0);
    let balance: i64 = events
        .iter()
        .map(|event| match event {
            Event::Connected { .. } => 1,
            Event::Disconnected { .. } => -1,
            Event::Received { .. } => 0,
        })
        .sum();
    assert_eq!(balance, at_clients as i64);
}
