//! Bandwidth limits, told and kept.

use std::time::Duration;

use ferry_enet::{Config, Mode};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(20);

/// Sends 100 kB of unreliable packets a second for so long, and returns how many bytes came in the last ten seconds,
/// by second.
fn flow(world: &mut World, from: usize, to: usize, peer: ferry_enet::PeerId, seconds: u32) -> usize {
    let mut bytes = 0;
    for tick in 0..seconds * 50 {
        for _ in 0..20 {
            let _ = world.stations[from].host.send_copy(peer, 0, Mode::Unsequenced, &[0; 100]);
        }
        world.run_for(TICK);
        let came: usize = world.stations[to].received().iter().map(|payload| payload.len()).sum();
        world.take_events(to);
        if tick >= (seconds - 10) * 50 {
            bytes += came;
        }
    }
    bytes / 10
}

#[test]
fn a_peer_is_not_sent_more_unreliable_packets_than_it_can_take() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { incoming_bandwidth: 30_000, ..Config::default() });
    world.add(Config::default());
    let client = world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    let rate = flow(&mut world, 1, 0, client, 30);
    assert!((15_000..=32_000).contains(&rate), "{rate} bytes a second");
    assert!(world.stations[1].host.peer_stats(client).unwrap().throttled_packets > 1000);
}

#[test]
fn a_host_does_not_send_more_unreliable_packets_than_it_may() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config { outgoing_bandwidth: 50_000, ..Config::default() });
    let client = world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    let rate = flow(&mut world, 1, 0, client, 30);
    assert!((25_000..=55_000).contains(&rate), "{rate} bytes a second");
}

#[test]
fn without_limits_nothing_is_held_back_and_nobody_is_told_anything() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let client = world.connect(1, 0, 1, 0);
    world.run_for(SECOND);
    let rate = flow(&mut world, 1, 0, client, 11);
    assert_eq!(rate, 100_000);
}

#[test]
fn a_changed_limit_is_told_within_a_second_and_its_end_too() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.run_for(5 * SECOND);
    world.stations[0].host.set_bandwidth(20_000, 0);
    world.run_for(2 * SECOND);
    let window = |world: &World| world.stations[1].host.peer_stats(client).unwrap().window_size;
    assert_eq!(window(&world), 4096);
    let rate = flow(&mut world, 1, 0, client, 20);
    assert!(rate <= 22_000, "{rate} bytes a second");
    world.stations[0].host.set_bandwidth(0, 0);
    world.run_for(2 * SECOND);
    assert_eq!(window(&world), 65_536);
    // Each ping opens the throttle by two parts of 32.
    let rate = flow(&mut world, 1, 0, client, 25);
    assert_eq!(rate, 100_000);
    assert!(world.stations[0].host.state(server).is_some());
}

#[test]
fn a_limit_is_shared_by_all_who_send() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { incoming_bandwidth: 4 * 65_536, ..Config::default() });
    let clients: Vec<_> = (1..5)
        .map(|number| {
            world.add(Config::default());
            world.connect(number, 0, 1, 0)
        })
        .collect();
    world.run_for(3 * SECOND);
    for (number, client) in clients.into_iter().enumerate() {
        let stats = world.stations[number + 1].host.peer_stats(client).unwrap();
        assert_eq!(stats.window_size, 4096, "a quarter of four windows");
    }
}

#[test]
fn reliable_packets_arrive_whatever_the_limits() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config { incoming_bandwidth: 1, outgoing_bandwidth: 1, ..Config::default() });
    world.add(Config { incoming_bandwidth: 1, outgoing_bandwidth: 1, ..Config::default() });
    let client = world.connect(1, 0, 1, 0);
    world.run_for(3 * SECOND);
    world.take_events(0);
    world.stations[1].host.send(client, 0, Mode::Reliable, vec![1; 100_000].into()).unwrap();
    world.run_for(30 * SECOND);
    assert_eq!(world.stations[0].received().len(), 1);
}
