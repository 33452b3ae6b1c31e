//! How connections between ferry-enet and the C library ENet end, or never begin: every goodbye, silence, refusal, and
//! the next connection in the same place.

use std::time::{Duration, Instant};

use ferry_enet::{Admission, Config, DisconnectReason, Event, Mode, Timeouts};
use ferry_tests::c_enet::{self, Oracle};
use ferry_tests::pair::{End, Ended, Pair, Setup};
use ferry_tests::relay::Conditions;
use ferry_tests::udp_host::UdpHost;

/// What takes milliseconds on a good day.
const SOON: Duration = Duration::from_secs(10);

/// What goes through a bad network, where ENet waits half a second and more before it tries again.
const IN_A_WHILE: Duration = Duration::from_secs(30);

/// Long enough for an event that must not come to come.
const A_MOMENT: Duration = Duration::from_millis(300);

/// A dead peer is found out within a second, so that a test can wait for it.
const IMPATIENT: Timeouts =
    Timeouts { limit: 4, minimum: Duration::from_millis(150), maximum: Duration::from_millis(600) };

/// How often it is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_millis(50);

#[test]
fn a_disconnect_tells_its_word_and_is_confirmed() {
    for (mut pair, from) in every_direction() {
        match from {
            End::Ferry => pair.ferry.host.disconnect(pair.ferry_peer, 4711).expect("it is connected"),
            End::C => pair.c.disconnect(pair.c_peer, 4711),
        }
        pair.until("both know", SOON, |pair| End::BOTH.iter().all(|end| pair.ended(*end).is_some()));
        assert_eq!(pair.ended(from.other()), Some(heard(from, 4711)));
        let own = if from == End::Ferry { Ended::Ferry(DisconnectReason::ByUs) } else { Ended::C(0) };
        assert_eq!(pair.ended(from), Some(own));
    }
}

#[test]
fn a_disconnect_later_lets_everything_queued_arrive_first() {
    for conditions in [None, Some(Conditions::bad(21))] {
        for (server, from) in
            [(End::Ferry, End::Ferry), (End::Ferry, End::C), (End::C, End::Ferry), (End::C, End::C)]
        {
            let mut pair = Pair::connected(Setup { conditions, ..Setup::with_server(server) });
            pair.warm_up();
            for number in 0..50 {
                assert!(pair.send(from, 0, Mode::Reliable, 100 + number as usize, number));
            }
            assert!(pair.send(from, 1, Mode::Reliable, 100_000, 50));
            match from {
                End::Ferry => pair.ferry.host.disconnect_later(pair.ferry_peer, 12).expect("it is connected"),
                End::C => pair.c.disconnect_later(pair.c_peer, 12),
            }
            pair.until("the other end knows", IN_A_WHILE, |pair| pair.ended(from.other()).is_some());
            assert_eq!(pair.ended(from.other()), Some(heard(from, 12)));
            let (large, small): (Vec<_>, Vec<_>) =
                pair.take_arrived(from.other()).into_iter().partition(|packet| packet.channel == 1);
            assert!(large.len() == 1 && large[0].is(100_000, 50), "{large:?}");
            assert!(
                (0..50).zip(&small).all(|(number, packet)| packet.is(100 + number as usize, number)),
                "{small:?}"
            );
            assert_eq!(small.len(), 50);
            // C acknowledges a goodbye once. If that gets lost, this end is left to its time-out, which is ENet's way.
            if conditions.is_none() || from == End::C {
                pair.until("this end knows", IN_A_WHILE, |pair| pair.ended(from).is_some());
            }
        }
    }
}

#[test]
fn a_disconnect_now_tells_its_word_and_waits_for_nothing() {
    for (mut pair, from) in every_direction() {
        match from {
            End::Ferry => pair.ferry.host.disconnect_now(pair.ferry_peer, 31).expect("it is connected"),
            End::C => pair.c.disconnect_now(pair.c_peer, 31),
        }
        pair.until("the other end knows", SOON, |pair| pair.ended(from.other()).is_some());
        assert_eq!(pair.ended(from.other()), Some(heard(from, 31)));
        assert!(!pair.send(from, 0, Mode::Reliable, 1, 1), "it is over for {from:?}");
    }
}

#[test]
fn two_goodbyes_that_cross_end_the_connection_for_both() {
    for (mut pair, _) in every_direction() {
        pair.c.disconnect(pair.c_peer, 1);
        pair.ferry.host.disconnect(pair.ferry_peer, 2).expect("it is connected");
        pair.until("both know", SOON, |pair| End::BOTH.iter().all(|end| pair.ended(*end).is_some()));
    }
}

#[test]
fn a_c_process_that_dies_is_a_time_out_for_ferry() {
    for server in End::BOTH {
        let mut pair = Pair::connected(Setup::with_server(server));
        let peer = pair.ferry_peer;
        pair.ferry.host.set_timeouts(peer, IMPATIENT).expect("it is connected");
        pair.ferry.host.set_ping_interval(peer, PING_INTERVAL).expect("it is connected");
        // While it lives, nobody times out.
        pair.run_for(2 * IMPATIENT.maximum);
        assert_eq!(pair.ended(End::Ferry), None);

        let (mut ferry, peer) = pair.kill_c();
        let timed_out = Event::Disconnected { peer, reason: DisconnectReason::TimedOut };
        assert_eq!(ferry.wait_for_event(SOON), Some(timed_out));
    }
}

#[test]
fn a_ferry_host_that_is_gone_is_a_time_out_for_c() {
    for server in End::BOTH {
        let mut pair = Pair::connected(Setup::with_server(server));
        pair.c.set_timeouts(pair.c_peer, IMPATIENT.limit, IMPATIENT.minimum, IMPATIENT.maximum);
        pair.c.set_ping_interval(pair.c_peer, PING_INTERVAL);
        pair.run_for(2 * IMPATIENT.maximum);
        assert_eq!(pair.ended(End::C), None);

        let (mut c, peer) = pair.drop_ferry();
        assert_eq!(c.wait_for_event(SOON), c_enet::Event::Disconnected { peer, data: 0 });
    }
}

#[test]
fn a_reset_is_silent_and_the_other_end_finds_out() {
    for (mut pair, from) in every_direction() {
        match from {
            End::Ferry => {
                pair.c.set_timeouts(pair.c_peer, IMPATIENT.limit, IMPATIENT.minimum, IMPATIENT.maximum);
                pair.c.set_ping_interval(pair.c_peer, PING_INTERVAL);
                pair.ferry.host.reset(pair.ferry_peer).expect("it is connected");
            }
            End::C => {
                pair.ferry.host.set_timeouts(pair.ferry_peer, IMPATIENT).expect("it is connected");
                pair.ferry.host.set_ping_interval(pair.ferry_peer, PING_INTERVAL).expect("it is connected");
                pair.c.reset(pair.c_peer);
            }
        }
        pair.until("the other end gives up", SOON, |pair| pair.ended(from.other()).is_some());
        let silence = if from == End::C { Ended::Ferry(DisconnectReason::TimedOut) } else { Ended::C(0) };
        assert_eq!(pair.ended(from.other()), Some(silence));
    }
}

#[test]
fn a_full_ferry_server_refuses_a_c_client_at_once_with_its_word() {
    let mut setup = Setup::with_server(End::Ferry);
    setup.config = Config { max_peers: 1, refusal_when_full: Some(42), ..setup.config };
    let mut pair = Pair::connected(setup);

    let mut second = Oracle::start(&c_enet::Options::default());
    for _ in 0..3 {
        assert_refused(&mut pair.ferry, &mut second, 42);
    }
    // The one who was there first did not notice.
    assert!(pair.send(End::C, 0, Mode::Reliable, 10, 1));
    pair.until("the first one's packet arrives", SOON, |pair| pair.arrived(End::Ferry).len() == 1);

    // And when there is room again, the second one gets in.
    pair.c.disconnect(pair.c_peer, 0);
    pair.until("the first one is gone", SOON, |pair| pair.ended(End::C).is_some());
    let peer = second.connect(pair.ferry.port(), 1, 5);
    let mut event = None;
    pair.ferry.pump_until(|_| replace_if_none(&mut event, second.take_event()), SOON);
    assert_eq!(event, Some(c_enet::Event::Connected { peer, data: 0 }));
}

#[test]
fn the_admission_decides_by_the_clients_own_word() {
    let mut ferry = UdpHost::new(Config::default());
    ferry.host.set_admission(|request| match request.data {
        7 => Admission::Refuse(70),
        8 => Admission::Ignore,
        _ => Admission::Accept,
    });
    let mut client = Oracle::start(&c_enet::Options::default());
    let port = ferry.port();

    let refused = client.connect(port, 2, 7);
    assert_eq!(
        c_event(&mut ferry, &mut client),
        Some(c_enet::Event::Disconnected { peer: refused, data: 70 })
    );
    let ignored = client.connect(port, 2, 8);
    assert_eq!(c_event(&mut ferry, &mut client), None, "nobody answers");
    client.reset(ignored);
    let accepted = client.connect(port, 2, 9);
    assert_eq!(c_event(&mut ferry, &mut client), Some(c_enet::Event::Connected { peer: accepted, data: 0 }));
    let event = ferry.wait_for_event(SOON);
    assert!(matches!(event, Some(Event::Connected { data: 9, .. })), "{event:?}");
    assert_eq!(ferry.take_event(), None, "the others were never there");
}

#[test]
fn a_full_c_server_says_nothing_and_ferry_gives_up() {
    let mut setup = Setup::with_server(End::C);
    setup.options.peers = Some(1);
    let pair = Pair::connected(setup);
    let mut second = UdpHost::new(Config { timeouts: IMPATIENT, ..Config::default() });
    let peer = second.connect(pair.c.port(), 1, 0);
    let gave_up = Event::Disconnected { peer, reason: DisconnectReason::TimedOut };
    assert_eq!(second.wait_for_event(SOON), Some(gave_up));
}

/// The slots are used again and again, by the session numbers of either end: each connection stands on its own.
#[test]
fn twenty_connections_follow_each_other_in_the_same_place() {
    for server in End::BOTH {
        let mut setup = Setup::with_server(server);
        setup.config.max_peers = 1;
        setup.options.peers = Some(1);
        let mut pair = Pair::connected(setup);
        for round in 1..=20 {
            for end in End::BOTH {
                for (number, mode) in (round..).zip([Mode::Reliable, Mode::Unreliable, Mode::Unsequenced]) {
                    assert!(pair.send(end, 0, mode, 300, number), "{end:?} in round {round}");
                }
            }
            pair.until("packets go both ways", SOON, |pair| {
                End::BOTH.iter().all(|end| pair.arrived(*end).iter().any(|packet| packet.is(300, round)))
            });
            match round % 4 {
                0 => pair.ferry.host.disconnect(pair.ferry_peer, round).expect("it is connected"),
                1 => pair.c.disconnect(pair.c_peer, round),
                2 => pair.ferry.host.disconnect_later(pair.ferry_peer, round).expect("it is connected"),
                _ => pair.c.disconnect_later(pair.c_peer, round),
            }
            pair.until("both know", SOON, |pair| End::BOTH.iter().all(|end| pair.ended(*end).is_some()));
            let from = if round % 2 == 0 { End::Ferry } else { End::C };
            assert_eq!(pair.ended(from.other()), Some(heard(from, round)));
            pair.reconnect();
        }
    }
}

/// A client that crashed and came back from the same port, while the server still believes in its old connection.
#[test]
fn a_client_that_comes_back_is_a_new_connection_beside_the_old() {
    for server in End::BOTH {
        let mut pair = Pair::connected(Setup::with_server(server));
        match server {
            End::C => pair.ferry.host.reset(pair.ferry_peer).expect("it is connected"),
            End::Ferry => pair.c.reset(pair.c_peer),
        }
        pair.reconnect();
        for end in End::BOTH {
            assert!(pair.send(end, 0, Mode::Reliable, 5000, 9));
        }
        pair.until("packets go both ways", SOON, |pair| {
            End::BOTH.iter().all(|end| pair.arrived(*end).iter().any(|packet| packet.is(5000, 9)))
        });
    }
}

/// The four cases: either server, and who acts.
fn every_direction() -> impl Iterator<Item = (Pair, End)> {
    let cases = End::BOTH.into_iter().flat_map(|server| End::BOTH.map(|from| (server, from)));
    cases.map(|(server, from)| (Pair::connected(Setup::with_server(server)), from))
}

/// How the other end of a goodbye learns of it.
fn heard(from: End, word: u32) -> Ended {
    match from {
        End::Ferry => Ended::C(word),
        End::C => Ended::Ferry(DisconnectReason::ByRemote(word)),
    }
}

/// The C host's next event, if one comes in a moment.
fn c_event(ferry: &mut UdpHost, c: &mut Oracle) -> Option<c_enet::Event> {
    let mut event = None;
    ferry.pump_until(|_| replace_if_none(&mut event, c.take_event()), A_MOMENT);
    event
}

/// Fills an empty place; true once it is full.
fn replace_if_none<T>(place: &mut Option<T>, with: Option<T>) -> bool {
    if place.is_none() {
        *place = with;
    }
    place.is_some()
}

fn assert_refused(ferry: &mut UdpHost, client: &mut Oracle, word: u32) {
    let asked = Instant::now();
    let peer = client.connect(ferry.port(), 2, 1);
    let event = c_event(ferry, client);
    let waited = asked.elapsed();
    assert_eq!(event, Some(c_enet::Event::Disconnected { peer, data: word }));
    assert!(waited < Duration::from_millis(200), "the refusal took {waited:?}");
}
