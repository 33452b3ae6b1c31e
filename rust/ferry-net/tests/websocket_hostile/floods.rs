//! What is meant to cost memory, or other players' time.

use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::Notice;
use ferry_net::reason::Reason;
use ferry_net::websocket::Settings;

use crate::scene::{BOUND, Game, pair, poll};
use crate::watch::{Watch, alone};
use crate::websocket_support::frames::{BINARY, CONTINUE, Frame, claim};
use crate::websocket_support::raw::Raw;

/// What honest packets may take while somebody floods: the flood, too, runs on these two cores.
const SOON: Duration = Duration::from_millis(150);

/// Sends as much of it as the server takes for now, again and again.
fn pour(stranger: &mut Raw, piece: &[u8]) {
    stranger.turn();
    // The test's own memory is measured, too.
    stranger.take_all();
    if stranger.unsent() < piece.len() && stranger.gone.is_none() {
        stranger.send(piece);
    }
}

/// So many of these frames in one go.
fn many(frame: &Frame, count: usize) -> Vec<u8> {
    frame.bytes(true).repeat(count)
}

/// The last thing that the game was told of somebody who was lost.
fn lost(game: &Game) -> Option<Reason> {
    game.told.iter().rev().find_map(|notice| match notice {
        Notice::PeerLost(_, farewell) => Some(farewell.reason),
        _ => None,
    })
}

#[test]
fn claims_alone_cost_nothing() {
    const STRANGERS: usize = 200;
    let _alone = alone();
    let mut game = Game::new();
    let mut strangers = game.strangers_join(STRANGERS);
    let watch = Watch::begin();
    for stranger in &mut strangers {
        stranger.send(claim(BINARY, true, true, 16 << 20));
        stranger.send([0; 100]);
    }
    game.play_for(Duration::from_millis(500));
    watch.saw_less_than(16, "claims of 16 MiB");
    game.plays_on();
}

#[test]
fn messages_that_never_end_cost_a_bounded_amount() {
    const STRANGERS: usize = 60;
    const EACH: usize = 15 << 20;
    let _alone = alone();
    for fragments in [false, true] {
        let mut game = Game::new();
        let mut strangers = game.strangers_join(STRANGERS);
        let watch = Watch::begin();
        let mut sent = [0; STRANGERS];
        let piece =
            if fragments { Frame::more([7; 32 * 1024]).unfinished().bytes(true) } else { vec![7; 32 * 1024] };
        for stranger in &mut strangers {
            if fragments {
                stranger.send_frame(&Frame::binary("").unfinished());
            } else {
                stranger.send(claim(BINARY, true, true, 16 << 20));
            }
        }
        game.measure();
        let began = Instant::now();
        game.play_until("they have sent what is taken", |_| {
            for (stranger, sent) in strangers.iter_mut().zip(&mut sent) {
                if *sent < EACH && stranger.unsent() == 0 {
                    *sent += piece.len();
                    pour(stranger, &piece);
                } else {
                    stranger.turn();
                }
            }
            began.elapsed() > Duration::from_secs(3)
        });
        println!("{} MB were sent", sent.iter().sum::<usize>() >> 20);
        watch.saw_less_than(160, "messages that never end");
        game.packets_took_less_than(SOON, "messages that never end");
        drop(strangers);
        game.plays_on();
    }
}

/// What a link holds of a message was counted anew after each ping, so that nothing bounded what all held together.
#[test]
fn a_message_in_part_between_pings_counts() {
    const STRANGERS: usize = 40;
    const PIECES: usize = 200;
    let _alone = alone();
    let mut game = Game::new();
    let mut strangers = game.strangers_join(STRANGERS);
    let watch = Watch::begin();
    let mut piece = Frame::more([7; 60 * 1024]).unfinished().bytes(true);
    Frame::ping("").write(true, &mut piece);
    for stranger in &mut strangers {
        stranger.send_frame(&Frame::binary("").unfinished());
    }
    let mut sent = [0; STRANGERS];
    let began = Instant::now();
    game.play_until("they have sent what is taken", |_| {
        for (stranger, sent) in strangers.iter_mut().zip(&mut sent) {
            if *sent < PIECES && stranger.unsent() == 0 {
                *sent += 1;
                pour(stranger, &piece);
            } else {
                stranger.turn();
            }
        }
        began.elapsed() > Duration::from_secs(4)
    });
    println!("{} MB were sent", (sent.iter().sum::<usize>() * piece.len()) >> 20);
    watch.saw_less_than(160, "messages in part between pings");
    drop(strangers);
    game.plays_on();
}

/// A message of empty fragments has no length that could exceed a limit.
#[test]
fn a_flood_of_empty_fragments_ends_its_sender() {
    let _alone = alone();
    let mut game = Game::new();
    let (mut stranger, _) = game.stranger_joins();
    let watch = Watch::begin();
    stranger.send_frame(&Frame::binary("").unfinished());
    let piece = many(&Frame::more("").unfinished(), 5000);
    game.measure();
    game.play_until("it is sent away", |game| {
        for _ in 0..8 {
            pour(&mut stranger, &piece);
        }
        !game.told.is_empty()
    });
    println!("sent away: {:?}", lost(&game));
    watch.saw_less_than(16, "empty fragments");
    game.packets_took_less_than(SOON, "empty fragments");
    game.plays_on();
}

/// Fragments of a byte are nobody's way of sending megabytes; short ones may be somebody's.
#[test]
fn a_flood_of_short_fragments_holds_nobody_up() {
    let _alone = alone();
    let mut game = Game::new();
    for len in [1, 40] {
        let mut strangers = game.strangers_join(4);
        let watch = Watch::begin();
        strangers.iter_mut().for_each(|stranger| stranger.send_frame(&Frame::binary("x").unfinished()));
        let piece = many(&Frame::more(vec![7; len]).unfinished(), 5000);
        game.measure();
        let began = Instant::now();
        let mut poured = 0;
        game.play_until("it has lasted", |_| {
            for stranger in &mut strangers {
                poured += usize::from(stranger.unsent() == 0 && stranger.gone.is_none());
                pour(stranger, &piece);
            }
            began.elapsed() > Duration::from_secs(2)
        });
        println!("{len} bytes each: {} MB came, {:?}", (poured * piece.len()) >> 20, lost(&game));
        assert!(len > 1 || lost(&game).is_some(), "they go on");
        watch.saw_less_than(160, "short fragments");
        game.packets_took_less_than(SOON, "short fragments");
        drop(strangers);
        game.play_until("they are gone", |game| game.server.peer_ids() == [game.honest_id]);
        game.told.clear();
    }
    game.plays_on();
}

/// Large messages of honest players share memory with those that attackers begin and do not end. These are given up in the
/// end, since others wait.
#[test]
fn a_large_message_gets_through_while_others_never_end_theirs() {
    const STRANGERS: usize = 12;
    const EACH: usize = 10 << 20;
    const WAITS_AT_MOST: Duration = Duration::from_secs(35);
    let _alone = alone();
    let mut game = Game::new();
    let mut strangers = game.strangers_join(STRANGERS);
    let piece = vec![7; 64 * 1024];
    let mut sent = [0; STRANGERS];
    strangers.iter_mut().for_each(|stranger| stranger.send(claim(BINARY, true, true, 16 << 20)));
    let began = Instant::now();
    let (mut other, _) = game.stranger_joins();
    let before = game.from_others;
    let mut asked = None;
    game.play_until_within(WAITS_AT_MOST, "a megabyte of somebody else's arrives", |game| {
        for (stranger, sent) in strangers.iter_mut().zip(&mut sent) {
            if *sent < EACH && stranger.unsent() == 0 {
                *sent += piece.len();
                pour(stranger, &piece);
            } else {
                // A byte at a time, for ever.
                pour(stranger, &[7]);
            }
        }
        if asked.is_none() && began.elapsed() > Duration::from_secs(1) {
            asked = Some(Instant::now());
            other.send_frame(&Frame::binary(vec![1; 1 << 20]));
        }
        // Alive, as far as that goes.
        other.turn();
        game.from_others > before
    });
    println!("it took {:?}", asked.map(|asked| asked.elapsed()));
    game.plays_on();
}

#[test]
fn a_flood_of_tiny_messages_holds_nobody_up() {
    let _alone = alone();
    let limits = Limits { inbound: 4 << 20, ..Limits::default() };
    let mut game = Game::with(Settings::default(), limits);
    let mut strangers = game.strangers_join(4);
    let watch = Watch::begin();
    let tiny =
        [many(&Frame::binary("x"), 2000), many(&Frame::binary(""), 2000), many(&Frame::text(""), 2000)]
            .concat();
    game.measure();
    let began = Instant::now();
    game.play_until("it has lasted", |_| {
        strangers.iter_mut().for_each(|stranger| pour(stranger, &tiny));
        began.elapsed() > Duration::from_secs(2)
    });
    println!("{} packets and {} empty ones came", game.from_others, game.server.empty_packets());
    watch.saw_less_than(64, "tiny messages");
    game.packets_took_less_than(2 * SOON, "tiny messages");
    drop(strangers);
    game.plays_on();
}

#[test]
fn tiny_packets_that_nobody_reads_count_with_what_they_cost() {
    const LIMIT: usize = 1 << 18;
    let _alone = alone();
    let limits = Limits { inbound: LIMIT, ..Limits::default() };
    let (mut server, mut sender) = pair(Settings::default(), limits);
    let watch = Watch::begin();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        for _ in 0..20_000 {
            if sender.stats(1).is_some_and(|stats| stats.queued_bytes > 8 << 20) {
                break;
            }
            sender.put_packet(b"x").unwrap();
        }
        poll(&mut sender);
        poll(&mut server);
        std::thread::sleep(Duration::from_millis(1));
    }
    let waiting = server.available_packets();
    println!("{waiting} tiny packets wait");
    assert!(waiting <= LIMIT / 32, "{waiting} packets of a byte wait for a game that does not read");
    watch.saw_less_than(64, "tiny packets that nobody reads");
}

#[test]
fn a_game_that_sleeps_keeps_no_more_than_its_limit() {
    const STRANGERS: usize = 50;
    let _alone = alone();
    let limits = Limits { inbound: 4 << 20, ..Limits::default() };
    let mut game = Game::with(Settings::default(), limits);
    let mut strangers = game.strangers_join(STRANGERS);
    let watch = Watch::begin();
    for large in [false, true] {
        let piece =
            if large { many(&Frame::binary([5; 50_000]), 1) } else { many(&Frame::binary("x"), 1000) };
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            strangers.iter_mut().for_each(|stranger| pour(stranger, &piece));
        }
        watch.saw_less_than(20, "packets to a sleeping game");
    }
    game.wakes_up();
    game.plays_on();
    assert_eq!(game.told, [], "nobody is lost to a sleep");
}

#[test]
fn a_flood_of_pings_ends_its_sender_and_costs_few_writes() {
    let _alone = alone();
    let mut game = Game::new();
    let (mut stranger, _) = game.stranger_joins();
    let watch = Watch::begin();
    let piece = many(&Frame::ping([1; 100]), 200);
    game.measure();
    let received_before = stranger.received;
    let began = Instant::now();
    game.play_until("it is sent away", |game| {
        pour(&mut stranger, &piece);
        !game.told.is_empty()
    });
    println!("sent away after {:?}", began.elapsed());
    game.play_for(Duration::from_millis(300));
    stranger.turn();
    let pongs = (stranger.received - received_before) / 102;
    println!("{pongs} pongs");
    assert!(pongs < 2000, "{pongs} pongs");
    assert_eq!(lost(&game), Some(Reason::Protocol));
    watch.saw_less_than(16, "a flood of pings");
    game.packets_took_less_than(SOON, "a flood of pings");
    game.plays_on();
}

/// Who pings at a rate that is borne and never reads the pongs keeps nothing waiting but the last one.
#[test]
fn pings_of_somebody_deaf_are_not_answered_in_memory() {
    const STRANGERS: usize = 50;
    let _alone = alone();
    let mut game = Game::new();
    let mut strangers = game.strangers_join(STRANGERS);
    strangers.iter().for_each(|stranger| stranger.read_little(2048));
    let watch = Watch::begin();
    let piece = many(&Frame::ping([1; 125]), 400);
    strangers.iter_mut().for_each(|stranger| stranger.send(&piece));
    let piece = many(&Frame::ping([1; 125]), 1);
    let began = Instant::now();
    game.play_until("it has lasted", |_| {
        for stranger in strangers.iter_mut().filter(|_| began.elapsed().subsec_millis().is_multiple_of(20)) {
            stranger.write();
            if stranger.unsent() == 0 {
                stranger.send(&piece);
            }
        }
        began.elapsed() > Duration::from_secs(2)
    });
    watch.saw_less_than(16, "pings of somebody deaf");
    assert_eq!(game.told, [], "they are borne");
    drop(strangers);
    game.plays_on();
}

#[test]
fn a_player_who_never_reads_loses_his_place_and_no_more() {
    const LIMIT: usize = 1 << 20;
    let _alone = alone();
    let mut game = Game::with(Settings::default(), Limits { outbound: LIMIT, ..Limits::default() });
    for len in [100, 4000, 200_000] {
        let (mut deaf, id) = game.stranger_joins();
        deaf.read_little(4096);
        let watch = Watch::begin();
        let (mut most_queued, mut put) = (0, 0);
        game.measure();
        // Alive, but deaf.
        deaf.send_frame(&Frame::binary("I am here"));
        game.play_until("its queue is full", |game| {
            for _ in 0..100 {
                game.server.set_target(id);
                put += usize::from(game.server.put_packet(&vec![9; len]).is_ok());
                most_queued = most_queued.max(game.server.stats(id).map_or(0, |stats| stats.queued_bytes));
                if most_queued > LIMIT as u64 / 2 {
                    break;
                }
            }
            game.told.len() >= 2
        });
        println!("{len} bytes each: {put} put, {most_queued} bytes queued at most");
        assert_eq!(lost(&game), Some(Reason::QueueFull), "{:?}", game.told);
        assert!(most_queued <= 2 * LIMIT as u64, "{most_queued} bytes");
        watch.saw_less_than(16, "a player who never reads");
        game.packets_took_less_than(SOON, "a player who never reads");
        game.told.clear();
    }
    game.plays_on();
}

/// Reads a byte now and then, so that it is never quite still.
#[test]
fn many_players_who_hardly_read_cost_what_their_queues_may() {
    const LIMIT: usize = 256 << 10;
    const STRANGERS: usize = 50;
    let _alone = alone();
    let mut game = Game::with(Settings::default(), Limits { outbound: LIMIT, ..Limits::default() });
    let strangers = game.strangers_join(STRANGERS);
    strangers.iter().for_each(|stranger| stranger.read_little(2048));
    let watch = Watch::begin();
    game.measure();
    game.play_until("their queues are full", |game| {
        for id in game.server.peer_ids() {
            if id != game.honest_id {
                game.server.set_target(id);
                let _ = game.server.put_packet(&[9; 20_000]);
            }
        }
        game.server.peer_ids() == [game.honest_id]
    });
    watch.saw_less_than(STRANGERS / 2 + 16, "players who hardly read");
    drop(strangers);
    game.play_for(Duration::from_millis(200));
    game.packets_took_less_than(2 * SOON, "players who hardly read");
    game.plays_on();
}

/// Half of a header, or of a fragment, and then nothing: what is held is little, and the link ends like any silent one.
#[test]
fn who_stops_within_a_frame_is_given_up_like_anybody_silent() {
    let _alone = alone();
    let limits = Limits { peer_timeout: Duration::from_secs(2), ..Limits::default() };
    let mut game = Game::with(Settings::default(), limits);
    let mut strangers = game.strangers_join(30);
    let whole = claim(CONTINUE, true, true, 70_000);
    for (number, stranger) in strangers.iter_mut().enumerate() {
        let part = &claim(BINARY, true, true, 70_000)[..1 + number % whole.len()];
        stranger.send(part);
    }
    let began = Instant::now();
    game.play_until("they are given up", |game| game.server.peer_ids() == [game.honest_id]);
    assert!(began.elapsed() < BOUND / 2, "{:?}", began.elapsed());
    assert_eq!(lost(&game), Some(Reason::Timeout));
    game.plays_on();
}
