//! Who is let in, and what the others are told.

use std::time::{Duration, Instant};

use ferry_net::enet::{Connection, Event, HostSettings, Target};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Notice;
use ferry_net::reason::Reason;

use crate::scene::{BOUND, Game, alone, client, poll};

/// Who is refused hears it in a round trip; this is for a machine that is busy with other things.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Asks the server in with this word, by hand; returns why it was refused.
fn refusal(game: &mut Game, word: u32) -> Reason {
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let connection = Connection::bind(&settings, Limits::default(), false).unwrap();
    connection.connect(Target::new("127.0.0.1", game.port()), 0, word).unwrap();
    let asked = Instant::now();
    loop {
        game.turn();
        match connection.next_event() {
            Some(Event::Disconnected { farewell, .. }) => return farewell.reason,
            Some(event) => panic!("{event:?} came of word {word:#x}"),
            None => assert!(asked.elapsed() < AT_ONCE, "word {word:#x} got no answer"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ids_that_no_client_may_have_are_refused_with_the_reason() {
    let _alone = alone();
    let mut game = Game::new();
    for word in [0, 1, 1 << 31, (1 << 31) + 2, u32::MAX] {
        assert_eq!(refusal(&mut game, word), Reason::BadId, "word {word:#x}");
    }
    assert!(game.told.is_empty(), "the game heard of them: {:?}", game.told);
    assert_eq!(game.server.endpoint_stats().connections_refused, 5);
    game.plays_on();
}

#[test]
fn the_id_of_somebody_inside_is_refused_with_the_reason() {
    let _alone = alone();
    let mut game = Game::new();
    let taken = game.honest_id.unsigned_abs();
    assert_eq!(refusal(&mut game, taken), Reason::BadId);
    assert_eq!(game.server.peer_ids(), [game.honest_id]);
    game.plays_on();
}

#[test]
fn of_two_who_ask_with_one_id_in_the_same_moment_one_comes_in() {
    let _alone = alone();
    let mut game = Game::new();
    let (id, port) = (77, game.port());
    let settings = HostSettings { max_peers: 1, ..HostSettings::default() };
    let ask = || {
        let connection = Connection::bind(&settings, Limits::default(), false).unwrap();
        connection.connect(Target::new("127.0.0.1", port), 0, id).unwrap();
        connection.flush();
        connection
    };
    let both = [ask(), ask()];
    let mut refused = Vec::new();
    game.play_until("one of the two is refused", |_| {
        for connection in &both {
            while let Some(event) = connection.next_event() {
                if let Event::Disconnected { farewell, .. } = event {
                    refused.push(farewell.reason);
                }
            }
        }
        !refused.is_empty()
    });
    assert_eq!(refused, [Reason::BadId]);
    game.play_until("the other is in", |game| game.server.peer_ids().contains(&77));
    game.plays_on();
    let joined = game.told.iter().filter(|notice| **notice == Notice::PeerConnected(77)).count();
    assert_eq!((joined, game.told.len()), (1, 1), "{:?}", game.told);
}

#[test]
fn a_full_server_says_so_at_once_and_takes_the_next_when_somebody_left() {
    let _alone = alone();
    let settings = HostSettings { max_peers: 2, ..HostSettings::default() };
    let mut game = Game::with(settings, Limits::default());
    let mut second = client(game.port(), Limits::default());
    let second_id = second.unique_id();
    game.play_until("the second gets in", |game| {
        poll(&mut second);
        game.server.peer_ids().contains(&second_id)
    });
    let mut third = client(game.port(), Limits::default());
    let asked = Instant::now();
    let mut told = Vec::new();
    game.play_until("the third is told", |_| {
        told.extend(poll(&mut third));
        !told.is_empty()
    });
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert_eq!(told, [Notice::ConnectionFailed(Reason::ServerFull.into())]);

    second.close();
    game.play_until("the second has left", |game| !game.server.peer_ids().contains(&second_id));
    // The slot lingers a moment, to answer a goodbye that is repeated.
    let left = Instant::now();
    loop {
        let mut fourth = client(game.port(), Limits::default());
        let id = fourth.unique_id();
        let mut told = Vec::new();
        game.play_until("the fourth is told", |_| {
            told.extend(poll(&mut fourth));
            !told.is_empty()
        });
        if told.contains(&Notice::ConnectionSucceeded) {
            game.play_until("the server knows it", |game| game.server.peer_ids().contains(&id));
            break;
        }
        assert!(left.elapsed() < BOUND, "{told:?}");
    }
    println!("a place was free again {:?} after its player had left", left.elapsed());
    game.plays_on();
}
