//! Making connections.

use std::time::Duration;

use ferry_enet::{Config, DisconnectReason, Event, Mode};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::world::World;

#[test]
fn two_hosts_connect_and_exchange_a_packet() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.stations[1].host.send(client, 0, Mode::Reliable, "hello".into()).unwrap();
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.stations[0].received(), [b"hello"]);
    world.stations[0].host.disconnect(server, 5).unwrap();
    world.run_for(Duration::from_millis(5));
    assert_eq!(
        world.take_events(1),
        [Event::Disconnected { peer: client, reason: DisconnectReason::ByRemote(5) }]
    );
}
