//! The figures, and what the throttle makes of them.

use std::time::Duration;

use ferry_enet::{Config, Event, Mode, ThrottleConfig};
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::world::World;

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_micros(16_667);

#[test]
fn both_round_trip_figures_come_to_the_truth() {
    for delay_us in [300, 5000, 150_000] {
        let conditions = Conditions { delay_us, ..Conditions::PERFECT };
        let (mut world, server, client) = World::pair(1, conditions, &Config::default());
        world.run_for(60 * SECOND);
        for (station, peer) in [(0, server), (1, client)] {
            let stats = world.stations[station].host.peer_stats(peer).unwrap();
            let precise = stats.rtt.unwrap().as_micros() as u64;
            assert!(precise.abs_diff(2 * delay_us) <= 2, "{precise} us at a delay of {delay_us} us");
            assert_eq!(stats.least_rtt.unwrap().as_micros() as u64, 2 * delay_us);
            assert!(stats.jitter.unwrap() < Duration::from_millis(1));
            let whole_ms = (2 * delay_us / 1000).max(1) as u32;
            assert!(stats.round_trip_time_ms.abs_diff(whole_ms) <= 8, "{}", stats.round_trip_time_ms);
        }
    }
}

#[test]
fn jitter_shows_in_the_figures() {
    let conditions = Conditions { delay_us: 20_000, jitter_us: 20_000, ..Conditions::PERFECT };
    let (mut world, _, client) = World::pair(1, conditions, &Config::default());
    for _ in 0..600 {
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x").unwrap();
        world.run_for(SECOND / 10);
    }
    let jitter = world.stations[1].host.peer_stats(client).unwrap().jitter.unwrap();
    assert!((Duration::from_millis(3)..=Duration::from_millis(14)).contains(&jitter), "{jitter:?}");
}

#[test]
fn loss_shows_in_the_figures() {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    world.link.conditions.loss_per_mille = 100;
    for _ in 0..3000 {
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x").unwrap();
        world.run_for(SECOND / 20);
    }
    let stats = world.stations[1].host.peer_stats(client).unwrap();
    // A command counts as lost when it or its acknowledgement is: 19 of 100 at this loss.
    let share = f64::from(stats.packet_loss) / 65_536.0;
    assert!((0.10..=0.22).contains(&share), "{share}");
    assert!(stats.confirmed_losses > 300);
}

#[test]
fn late_answers_are_not_taken_for_losses() {
    // All of a sudden everything takes a third of a second longer, and nothing gets lost.
    let conditions = Conditions { delay_us: 10_000, ..Conditions::PERFECT };
    let (mut world, _, client) = World::pair(1, conditions, &Config::default());
    for round in 0..1200 {
        world.link.conditions.delay_us = if round < 200 { 10_000 } else { 170_000 };
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, b"x").unwrap();
        world.run_for(SECOND / 20);
    }
    let stats = world.stations[1].host.peer_stats(client).unwrap();
    assert!(stats.retransmissions > 5, "{}", stats.retransmissions);
    assert_eq!(stats.confirmed_losses, 0);
    // What counts as lost in one interval and turns out late in the next stays in.
    assert!(stats.packet_loss < 65_536 / 100, "{}", stats.packet_loss);
}

/// Sends unreliable packets and one reliable one a tick for a minute, to a server that answers once a tick, and counts
/// the unreliable ones that come.
fn share_that_comes(conditions: Conditions, config: &Config) -> f64 {
    let (mut world, _, client) = World::pair(1, Conditions::PERFECT, config);
    world.link.conditions = conditions;
    let mut arrived = 0;
    for tick in 0..3600 {
        for _ in 0..4 {
            world.stations[1].host.send_copy(client, 0, Mode::Unsequenced, b"position").unwrap();
        }
        world.stations[1].host.send_copy(client, 1, Mode::Reliable, b"shot").unwrap();
        world.flush_one(1);
        // A game whose frames take 5 to 40 ms.
        world.now = world.now + TICK * (1 + tick % 2);
        world.step();
        let events = world.take_events(0);
        let positions = |event: &&Event| matches!(event, Event::Received { mode: Mode::Unsequenced, .. });
        arrived += events.iter().filter(positions).count();
    }
    arrived as f64 / (4.0 * 3600.0)
}

#[test]
fn nothing_is_thinned_out_on_a_line_that_loses_nothing_however_its_delay_jumps() {
    let jumpy = Conditions { delay_us: 20_000, jitter_us: 120_000, ..Conditions::PERFECT };
    let share = share_that_comes(jumpy, &Config::default());
    assert!(share > 0.98, "{share}");
}

#[test]
fn a_line_whose_delay_grows_while_it_loses_packets_is_given_less() {
    let good = Conditions { delay_us: 50_000, ..Conditions::PERFECT };
    let bad = Conditions { delay_us: 200_000, loss_per_mille: 300, ..Conditions::PERFECT };
    let (mut world, _, client) = World::pair(1, good, &Config::default());
    let mut least = 32;
    for tick in 0..3600 {
        world.link.conditions = if tick % 1500 < 1200 { good } else { bad };
        for _ in 0..4 {
            world.stations[1].host.send_copy(client, 0, Mode::Unsequenced, b"position").unwrap();
        }
        world.stations[1].host.send_copy(client, 1, Mode::Reliable, b"shot").unwrap();
        world.run_for(TICK);
        least = least.min(world.stations[1].host.peer_stats(client).unwrap().packet_throttle);
    }
    let stats = world.stations[1].host.peer_stats(client).unwrap();
    assert!(least < 16 && stats.throttled_packets > 100, "{least}, {stats:?}");
    world.link.conditions = good;
    world.run_for(30 * SECOND);
    assert_eq!(world.stations[1].host.peer_stats(client).unwrap().packet_throttle, 32);
}

#[test]
fn throttle_parameters_reach_the_other_end() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    let parameters =
        ThrottleConfig { interval: Duration::from_millis(1234), acceleration: 5, deceleration: 6 };
    world.stations[1].host.configure_throttle(client, parameters).unwrap();
    world.run_for(SECOND);
    let stats = world.stations[0].host.peer_stats(server).unwrap();
    assert_eq!(stats.packet_throttle_interval_ms, 1234);
    assert_eq!((stats.packet_throttle_acceleration, stats.packet_throttle_deceleration), (5, 6));
}

#[test]
fn parameters_that_change_during_the_handshake_reach_the_other_end_too() {
    let mut world = World::new(1, Conditions::PERFECT);
    world.add(Config::default());
    world.add(Config::default());
    let client = world.connect(1, 0, 1, 0);
    let parameters = ThrottleConfig { acceleration: 9, ..ThrottleConfig::default() };
    world.stations[1].host.configure_throttle(client, parameters).unwrap();
    world.run_for(SECOND);
    let server = world.stations[0].events[0].peer();
    assert_eq!(world.stations[0].host.peer_stats(server).unwrap().packet_throttle_acceleration, 9);
}

#[test]
fn bytes_and_packets_are_counted_on_both_ends_alike() {
    let (mut world, server, client) = World::pair(1, Conditions::PERFECT, &Config::default());
    for _ in 0..100 {
        world.stations[1].host.send_copy(client, 0, Mode::Reliable, &[0; 500]).unwrap();
        world.stations[1].host.send_copy(client, 0, Mode::Unreliable, &[0; 2500]).unwrap();
        world.run_for(TICK);
    }
    world.run_for(SECOND / 10);
    let sent = world.stations[1].host.peer_stats(client).unwrap();
    let received = world.stations[0].host.peer_stats(server).unwrap();
    assert_eq!((sent.packets_sent, received.packets_received), (200, 200));
    // The CONNECT came before the server had a peer to count it for.
    assert_eq!(sent.datagrams_sent, received.datagrams_received + 1);
    assert_eq!(sent.bytes_sent, received.bytes_received + 52);
    let host = world.stations[1].host.stats();
    assert_eq!((host.bytes_sent, host.datagrams_sent), (sent.bytes_sent, sent.datagrams_sent));
}
