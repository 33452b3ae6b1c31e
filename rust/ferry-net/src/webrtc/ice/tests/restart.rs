//! ICE restarts: new credentials and candidates while data flows.

use super::super::*;
use super::world::*;

/// Restarts both ends, as an offer and its answer do; the second one `answer_after`.
fn restart_both(world: &mut World, first: usize, answer_after: Duration) {
    world.restart(first);
    world.run(answer_after);
    world.restart(1 - first);
    world.introduce(1 - first);
    world.run(answer_after);
    world.introduce(first);
}

#[test]
fn data_flows_all_through_a_restart() {
    for first in 0..2 {
        let mut world = World::plain(first as u64);
        world.delay = ms(20);
        world.introduce_both();
        world.connect(ms(500));
        let rounds = 400;
        for round in 0_u32..rounds {
            match round {
                50 => world.restart(first),
                100 => {
                    world.restart(1 - first);
                    world.introduce(1 - first);
                }
                150 => world.introduce(first),
                _ => {}
            }
            for side in 0..2 {
                assert!(world.send(side, &[23, round as u8]), "round {round}");
            }
            world.run(ms(10));
        }
        world.run(ms(100));
        for side in &world.sides {
            assert_eq!(side.data.len(), rounds as usize);
            assert_eq!(side.states(), [State::Checking, State::Connected]);
        }
    }
}

#[test]
fn candidates_and_gathering_are_told_again_with_the_new_user_fragment() {
    let mut world = World::plain(1);
    world.introduce_both();
    world.connect(ms(500));
    world.sides[0].events.clear();
    world.restart(0);
    let ufrag = format!("ufrag {}", world.sides[0].credentials.ufrag);
    let events = &world.sides[0].events;
    assert!(
        matches!(&events[..], [
        Event::Candidate(line),
        Event::GatheringChanged(GatheringState::Gathering),
        Event::GatheringChanged(GatheringState::Complete),
    ] if line.ends_with(&ufrag)),
        "{events:?}"
    );
}

#[test]
fn a_restart_that_the_peer_never_answers_leaves_the_old_path() {
    let mut world = World::plain(2);
    world.introduce_both();
    world.connect(ms(500));
    world.restart(0);
    world.run(Duration::from_secs(60));
    assert!(world.both_connected());
    assert!(world.send(0, b"\x17still") && world.send(1, b"\x17there"));
    world.run(ms(10));
    assert!(world.sides.iter().all(|side| side.data.len() == 1));
}

#[test]
fn a_failed_connection_comes_back_by_a_restart() {
    let mut world = World::plain(3);
    world.introduce_both();
    world.connect(ms(500));
    (world.sides[0].cut, world.sides[1].cut) = (true, true);
    world.run(Duration::from_secs(30));
    assert_eq!(world.sides[0].agent.state(), State::Failed);
    (world.sides[0].cut, world.sides[1].cut) = (false, false);
    restart_both(&mut world, 0, ms(30));
    assert_eq!(world.sides[0].agent.failure(), "");
    world.connect(ms(500));
}

#[test]
fn the_old_path_is_forgotten_when_both_have_gone_over_to_the_new_one() {
    let mut world = World::plain(4);
    world.introduce_both();
    world.connect(ms(500));
    for round in 0..20 {
        restart_both(&mut world, round % 2, ms(30));
        world.connect(ms(500));
    }
    world.run(Duration::from_secs(10));
    assert!(world.sides.iter().all(|side| side.agent.previous.is_none()));
    let before = world.sent;
    world.run(Duration::from_secs(10));
    assert!(world.sent - before <= 4 * 12);
}

#[test]
fn a_restart_onto_another_network_moves_the_data_there() {
    let mut world = World::plain(5);
    world.introduce_both();
    world.connect(ms(500));
    let lost = world.sides[0].bases.remove(0);
    world.sides[0].agent.base_lost(world.now, lost);
    world.bind(0, &["192.0.2.77:7000"]);
    assert_eq!(world.sides[0].agent.state(), State::Disconnected);
    restart_both(&mut world, 0, ms(30));
    world.connect(ms(1000));
    world.run(ms(20));
    assert_eq!(world.sides[0].agent.selected().expect("connected").local, address("192.0.2.77:7000"));
    assert!(world.send(1, b"\x17moved"));
    world.run(ms(10));
    assert_eq!(world.sides[0].data.len(), 1);
}

#[test]
fn a_new_generation_that_leads_nowhere_leaves_the_old_path_and_does_not_spin() {
    let mut world = World::plain(6);
    world.introduce_both();
    world.connect(ms(500));
    world.restart(0);
    let (now, nobody) = (world.now, Credentials::random());
    let agent = &mut world.sides[0].agent;
    agent.set_remote_credentials(now, nobody).expect("well-formed");
    agent.add_remote_candidate(now, "candidate:1 1 udp 1 192.0.2.99 5000 typ host").expect("well-formed");
    world.drain(0);
    let before = world.sent;
    world.run(Duration::from_secs(120));
    assert!(world.both_connected());
    assert!(world.sent - before < 120 * 20, "{}", world.sent - before);
}
