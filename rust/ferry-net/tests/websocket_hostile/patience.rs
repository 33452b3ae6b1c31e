//! Those who are slow or odd, but break no rule: they stay. And those who are sent away and stay all the same: they do not.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::Status;
use ferry_net::websocket::Settings;

use crate::scene::{BOUND, Game, client_to, no_trust, pair, poll};
use crate::watch::{Watch, alone};
use crate::websocket_support::frames::{Frame, PING};
use crate::websocket_support::handshake::{self, request};
use crate::websocket_support::raw::{Raw, pass_on};

/// So long may a peer be silent here.
const SILENCE: Duration = Duration::from_secs(1);

fn impatient() -> Limits {
    Limits { peer_timeout: SILENCE, ..Limits::default() }
}

/// Within a long frame no pong can come: its bytes are what tells that somebody is there.
#[test]
fn a_message_that_comes_slowly_is_a_sign_of_life() {
    const LEN: usize = 1 << 20;
    let _alone = alone();
    let mut game = Game::with(Settings::default(), impatient());
    let (mut slow, id) = game.stranger_joins();
    let bytes = Frame::binary(vec![3; LEN]).bytes(true);
    let before = game.from_others;
    let (mut sent, began) = (0, Instant::now());
    game.play_until("it has arrived", |game| {
        // All of it in three times the silence that is borne.
        let due = (bytes.len() as u128 * began.elapsed().as_millis() / (3 * SILENCE).as_millis()) as usize;
        let due = due.min(bytes.len());
        slow.send(&bytes[sent..due]);
        slow.turn();
        sent = due;
        assert_eq!(game.lost(id), None, "after {:?} and {sent} bytes", began.elapsed());
        game.from_others > before
    });
    println!("it took {:?}", began.elapsed());
    game.plays_on();
}

/// Large messages over a slow line, one way and the other: pings and pongs wait behind them.
#[test]
fn a_slow_line_is_not_a_dead_one() {
    const LEN: usize = 12 << 20;
    const BYTES_IN_A_TURN: u64 = 4 * 1024;
    let _alone = alone();
    for up in [false, true] {
        let (mut server, mut other) = pair(Settings::default(), impatient());
        let port = server.carrier().unwrap().local_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let through = format!("ws://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let mut client = client_to(&through, no_trust(), impatient());
        let (mut near, mut far) = (None, Raw::connect(port));
        let (mut began, mut came) = (Instant::now(), None);
        let mut put = false;
        while came.is_none() {
            near = near.take().or_else(|| Raw::accept(&listener));
            if let Some(near) = &mut near {
                pass_on(near, &mut far);
            }
            poll(&mut other);
            let told = [poll(&mut server), poll(&mut client)];
            assert!(
                !put || told.iter().all(Vec::is_empty),
                "up: {up}, after {:?}: {told:?}",
                began.elapsed()
            );
            if !put && client.status() == Status::Connected && server.peer_ids().len() == 2 {
                put = true;
                began = Instant::now();
                // A slow line has not much room, either.
                for end in [near.as_mut().unwrap(), &mut far] {
                    end.read_slowly(BYTES_IN_A_TURN);
                    end.read_little(64 * 1024);
                }
                server.set_target(client.unique_id());
                if up {
                    client.put_packet(&vec![1; LEN]).unwrap();
                } else {
                    server.put_packet(&vec![1; LEN]).unwrap();
                }
            }
            let taken = if up { server.take_packet() } else { client.take_packet() };
            came = taken.map(<[u8]>::len);
            assert!(began.elapsed() < 2 * BOUND, "up: {up}: it does not arrive");
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("up: {up}, it took {:?}", began.elapsed());
        assert_eq!(came, Some(LEN));
        assert!(began.elapsed() > 2 * SILENCE, "not slow at all: {:?}", began.elapsed());
    }
}

#[test]
fn who_only_answers_pings_is_alive() {
    let _alone = alone();
    let mut game = Game::with(Settings::default(), impatient());
    let (mut quiet, id) = game.stranger_joins();
    let (began, mut pings) = (Instant::now(), 0);
    game.play_until("three times the silence has passed", |_| {
        quiet.turn();
        while let Some(frame) = quiet.take_frame() {
            assert_eq!(frame.opcode, PING, "{frame:?}");
            pings += 1;
            quiet.send_frame(&Frame::pong(&frame.payload));
        }
        began.elapsed() > 3 * SILENCE
    });
    println!("{pings} pings");
    assert!(game.server.peer_ids().contains(&id));
    assert!((3..30).contains(&pings), "{pings} pings in {:?}", began.elapsed());
    game.plays_on();
}

/// A client need not wait for the answer before it sends: what comes with the request belongs to the game.
#[test]
fn frames_that_come_with_the_request_are_heard() {
    let _alone = alone();
    let mut game = Game::new();
    let mut expected = game.from_others;
    for cut in [0, 1, 7, 40_000] {
        let mut hasty = Raw::connect(game.port());
        let mut bytes = request().into_bytes();
        Frame::binary(b"hello").write(true, &mut bytes);
        Frame::binary(vec![1; 50_000]).write(true, &mut bytes);
        let (first, rest) = bytes.split_at(bytes.len() - cut);
        hasty.send(first);
        game.play_for(Duration::from_millis(20));
        hasty.send(rest);
        expected += 2;
        game.play_until("both arrive", |game| {
            hasty.turn();
            game.from_others == expected
        });
        game.play_until("the hasty one is gone", |game| {
            hasty.send_frame(&Frame::close(1000, ""));
            hasty.turn();
            game.server.peer_ids() == [game.honest_id]
        });
    }
    game.plays_on();
}

#[test]
fn who_is_turned_away_and_stays_is_cut_off() {
    const STRANGERS: usize = 300;
    let _alone = alone();
    let settings = Settings { max_clients: 1, ..Settings::default() };
    let mut game = Game::with(settings, Limits::default());
    let watch = Watch::begin();
    let mut strangers: Vec<Raw> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = Raw::connect(game.port());
            stranger.send(request());
            stranger
        })
        .collect();
    let began = Instant::now();
    let mut codes = vec![None; STRANGERS];
    game.play_until("all are told", |_| {
        for (stranger, code) in strangers.iter_mut().zip(&mut codes).filter(|(_, code)| code.is_none()) {
            stranger.turn();
            if stranger.heads == 0 {
                let Some(answer) = stranger.take_head() else { continue };
                assert_eq!(handshake::status(&answer), Some(101), "{answer}");
            }
            *code = stranger.take_goodbye();
        }
        codes.iter().all(Option::is_some)
    });
    println!("all were told after {:?}", began.elapsed());
    assert!(codes.iter().all(|code| *code == Some(4004)), "{codes:?}");
    // They do not hang up, and go on talking.
    game.play_until("all are cut off", |_| {
        for stranger in &mut strangers {
            stranger.send_frame(&Frame::binary("let me in"));
            stranger.turn();
            stranger.take_all();
        }
        strangers.iter().all(|stranger| stranger.gone.is_some())
    });
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    watch.saw_less_than(16, "who is turned away");
    assert_eq!(game.told, []);
    game.plays_on();
}
