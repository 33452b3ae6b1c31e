//! Frames that no honest end sends: each ends its sender, with the code that the protocol has for it, and nobody else.

use std::time::Duration;

use ferry_enet_testkit::random::Random;
use ferry_net::multiplayer::Notice;
use ferry_net::reason::Reason;

use crate::scene::Game;
use crate::watch::{Watch, alone};
use crate::websocket_support::frames::{BINARY, CONTINUE, Frame, PING, TEXT, claim};
use crate::websocket_support::raw::Raw;

const LIMIT: u64 = 16 << 20;

/// A player does this; what he is told, and what the game is.
fn goodbye_for(game: &mut Game, what: &str, wrong: impl FnOnce(&mut Raw)) -> (Option<u16>, Reason) {
    let (mut stranger, id) = game.stranger_joins();
    wrong(&mut stranger);
    let mut code = None;
    game.play_until(&format!("{what}: it is sent away"), |game| {
        stranger.turn();
        code = code.or_else(|| stranger.take_goodbye());
        game.told.len() >= 2 && stranger.gone.is_some()
    });
    assert_eq!(game.told[0], Notice::PeerDisconnected(id), "{what}");
    let Notice::PeerLost(_, farewell) = &game.told[1] else { panic!("{what}: {:?}", game.told) };
    let reason = farewell.reason;
    println!("{what}: {code:?}, {farewell}");
    (code, reason)
}

#[test]
fn broken_frames_end_their_sender_and_nobody_else() {
    let _alone = alone();
    let mut game = Game::new();
    let protocol = (Some(1002), Reason::Protocol);
    let too_large = (Some(1009), Reason::PacketTooLarge);
    let outcome = goodbye_for(&mut game, "a frame without a mask", |stranger| {
        stranger.send_wrongly_masked(&Frame::binary("hello"));
    });
    assert_eq!(outcome, protocol);
    let outcome = goodbye_for(&mut game, "a close without a mask", |stranger| {
        stranger.send_wrongly_masked(&Frame::close(1000, ""));
    });
    assert_eq!(outcome, protocol);
    for len in [LIMIT + 1, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        for opcode in [BINARY, TEXT] {
            let outcome = goodbye_for(&mut game, &format!("a claim of {len} bytes"), |stranger| {
                stranger.send(claim(opcode, true, true, len));
            });
            // A length beyond 63 bits is no length at all.
            let expected = if len >> 63 == 1 && outcome == protocol { protocol } else { too_large };
            assert_eq!(outcome, expected, "{len}");
        }
    }
    let outcome = goodbye_for(&mut game, "a second fragment that is too much", |stranger| {
        stranger.send_frame(&Frame::binary("x").unfinished());
        stranger.send(claim(CONTINUE, true, true, LIMIT));
        stranger.send(vec![0; LIMIT as usize]);
    });
    assert_eq!(outcome, too_large);
    let outcome = goodbye_for(&mut game, "a text that is none", |stranger| {
        stranger.send_frame(&Frame::text(b"\xFF\xFE"));
    });
    assert_eq!(outcome, (Some(1007), Reason::Protocol));
    game.plays_on();
}

/// A ping cannot be long, so there is no need to wait for all that it claims.
#[test]
fn a_ping_that_claims_megabytes_ends_its_sender_at_once() {
    let _alone = alone();
    let mut game = Game::new();
    let outcome = goodbye_for(&mut game, "a ping of 16 MiB", |stranger| {
        stranger.send(claim(PING, true, true, LIMIT));
    });
    assert!(matches!(outcome.1, Reason::Protocol | Reason::PacketTooLarge), "{outcome:?}");
    game.plays_on();
}

#[test]
fn texts_and_empty_messages_in_a_game_harm_nobody() {
    const COUNT: u64 = 2000;
    let _alone = alone();
    let mut game = Game::new();
    let (mut stranger, id) = game.stranger_joins();
    let before = game.from_others;
    for _ in 0..COUNT {
        stranger.send_frame(&Frame::text("I am a page in a browser"));
        stranger.send_frame(&Frame::text(""));
        stranger.send_frame(&Frame::binary(""));
    }
    // As with the engine's own class, text is a packet, too. The engine has no use for empty ones.
    game.play_until("they arrive", |game| {
        stranger.turn();
        game.from_others - before >= COUNT && game.server.empty_packets() >= 2 * COUNT
    });
    assert_eq!(game.from_others - before, COUNT);
    assert!(game.server.peer_ids().contains(&id));
    game.plays_on();
}

#[test]
fn random_bytes_from_players_harm_nobody_else() {
    let _alone = alone();
    let mut game = Game::new();
    let watch = Watch::begin();
    let mut random = Random::new(6);
    for _ in 0..8 {
        let mut strangers = game.strangers_join(25);
        for stranger in &mut strangers {
            for _ in 0..random.between(1, 40) {
                let len = random.below(300) as usize;
                let mut bytes: Vec<u8> = (0..len).map(|_| random.any() as u8).collect();
                // Most begin like a frame, so that they get far.
                if random.chance(800) && len >= 2 {
                    bytes[0] =
                        [0x82, 0x02, 0x80, 0x00, 0x81, 0x01, 0x89, 0x8A, 0x88][random.below(9) as usize];
                    bytes[1] = 0x80 | random.below(128) as u8;
                }
                stranger.send(&bytes);
            }
        }
        game.play_for(Duration::from_millis(50));
        strangers.iter_mut().for_each(Raw::turn);
        drop(strangers);
        game.play_until("they are gone", |game| game.server.peer_ids() == [game.honest_id]);
    }
    watch.saw_less_than(48, "random bytes from players");
    game.plays_on();
}
