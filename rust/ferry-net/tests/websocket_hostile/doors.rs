//! Before anybody is a player: connections and requests.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::Notice;
use ferry_net::reason::Reason;
use ferry_net::websocket::Settings;

use crate::scene::Game;
use crate::watch::{Watch, alone};
use crate::websocket_support::handshake::{self, request, request_with};
use crate::websocket_support::raw::{Gone, Raw};

/// How long a handshake may take here.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// How soon an honest player gets in, attack or not.
const SOON: Duration = Duration::from_secs(1);

fn quick() -> Limits {
    Limits { connect_timeout: HANDSHAKE, ..Limits::default() }
}

/// Another of the machine's loopback addresses, or the usual one where there is only one.
fn host(number: u8) -> Ipv4Addr {
    let host = Ipv4Addr::new(127, 0, 0, number);
    if std::net::TcpListener::bind((host, 0)).is_ok() { host } else { Ipv4Addr::LOCALHOST }
}

#[test]
fn slow_and_silent_handshakes_end_in_time_and_hold_nobody_up() {
    const STRANGERS: usize = 300;
    let _alone = alone();
    let mut game = Game::with(Settings::default(), quick());
    let watch = Watch::begin();
    let request = request();
    let began = Instant::now();
    // Every third says nothing at all.
    let mut strangers: Vec<Raw> = (0..STRANGERS).map(|_| Raw::connect(game.port())).collect();
    game.measure();
    let mut sent = 0;
    let mut drip = |strangers: &mut Vec<Raw>| {
        if began.elapsed().as_millis() / 100 > sent as u128 {
            for (number, stranger) in strangers.iter_mut().enumerate() {
                stranger.turn();
                if number % 3 != 0 {
                    stranger.send(&request.as_bytes()[sent..=sent]);
                }
            }
            sent += 1;
        }
    };
    game.lets_in_a_newcomer(SOON, |_| drip(&mut strangers));
    game.play_until("all handshakes end", |_| {
        drip(&mut strangers);
        strangers.iter().all(|stranger| stranger.gone.is_some())
    });
    println!("over after {:?}", began.elapsed());
    assert!(began.elapsed() < HANDSHAKE + SOON, "{:?}", began.elapsed());
    game.packets_took_less_than(Duration::from_millis(100), "slow handshakes");
    watch.saw_less_than(16, "slow handshakes");
    game.plays_on();
    assert_eq!(game.told, [], "the game hears nothing of those who only knock");
    assert!(game.server.endpoint_stats().datagrams_rejected >= STRANGERS as u64);
}

#[test]
fn an_attacker_who_holds_all_places_of_his_addresses_keeps_nobody_out() {
    const HOSTS: u8 = 5;
    const EACH: usize = 1100;
    let _alone = alone();
    let mut game = Game::new();
    let watch = Watch::begin();
    let mut strangers = Vec::new();
    for number in 2..2 + HOSTS {
        for count in 0..EACH {
            // The system's own queue of connections is bounded, too.
            strangers.extend(Raw::connect_from(host(number), game.port()));
            if count % 50 == 0 {
                game.turn();
            }
        }
    }
    println!("{} connections", strangers.len());
    game.lets_in_a_newcomer(2 * SOON, |_| {});
    let held = {
        strangers.iter_mut().for_each(Raw::turn);
        strangers.iter().filter(|stranger| stranger.gone.is_none()).count()
    };
    println!("{held} handshakes are under way");
    assert!(held <= 4200, "{held} handshakes under way");
    watch.saw_less_than(64, "held handshakes");
    drop(strangers);
    game.plays_on();
}

#[test]
fn two_thousand_who_connect_and_leave_are_nothing() {
    let _alone = alone();
    let mut game = Game::new();
    let watch = Watch::begin();
    for number in 0..2000 {
        let mut stranger = Raw::connect(game.port());
        match number % 4 {
            0 => drop(stranger),
            1 => stranger.reset(),
            2 => {
                stranger.send("GET / HTTP/1.1\r\nHost: loc");
                stranger.reset();
            }
            _ => {
                stranger.send("GET / HTTP/1.1\r\nHost: loc");
                stranger.finish();
            }
        }
        if number % 16 == 0 {
            game.turn();
        }
    }
    game.lets_in_a_newcomer(SOON, |_| {});
    watch.saw_less_than(16, "who connects and leaves");
    game.plays_on();
    assert_eq!(game.told, []);
}

#[test]
fn who_asks_and_hangs_up_comes_and_goes() {
    let _alone = alone();
    let mut game = Game::new();
    for round in 0..100 {
        let mut stranger = Raw::connect(game.port());
        stranger.send(request());
        match round % 3 {
            0 => stranger.finish(),
            1 => stranger.reset(),
            _ => drop(stranger),
        }
        game.turn();
    }
    game.play_until("all are gone", |game| game.server.peer_ids() == [game.honest_id]);
    game.play_for(Duration::from_millis(300));
    let came = game.told.iter().filter(|notice| matches!(notice, Notice::PeerConnected(_))).count();
    let left = game.told.iter().filter(|notice| matches!(notice, Notice::PeerDisconnected(_))).count();
    println!("{came} came and left");
    assert_eq!(came, left);
    for notice in &game.told {
        let Notice::PeerLost(_, farewell) = notice else { continue };
        assert_eq!(farewell.reason, Reason::RemoteClose, "{farewell:?}");
    }
    game.plays_on();
}

/// Sends a request, and returns the answer once the connection has ended.
fn answer_to(game: &mut Game, request: &[u8]) -> String {
    let mut stranger = Raw::connect(game.port());
    stranger.send(request);
    let what = String::from_utf8_lossy(&request[..request.len().min(40)]).into_owned();
    game.play_until(&format!("{what:?} is answered"), |_| {
        stranger.turn();
        stranger.gone.is_some()
    });
    assert_eq!(stranger.gone, Some(Gone::Closed), "{what:?}: what was said last may be lost in a reset");
    String::from_utf8_lossy(&stranger.take_all()).into_owned()
}

#[test]
fn wrong_requests_are_answered_with_a_status() {
    let _alone = alone();
    let mut game = Game::with(Settings::default(), quick());
    let wrong = |name, value| request_with(&[(name, value)]);
    let first_line = |line| request().replacen("GET / HTTP/1.1", line, 1);
    let table: Vec<(String, u16)> = vec![
        (first_line("POST / HTTP/1.1"), 405),
        (first_line("PUT /secret HTTP/1.1"), 405),
        (first_line("OPTIONS * HTTP/1.1"), 405),
        (first_line("GET / HTTP/1.0"), 505),
        (first_line("GET / HTTP/2.0"), 400),
        (first_line("GET /"), 400),
        (first_line("GET / FTP/1.1"), 400),
        (first_line("GET  HTTP/1.1"), 400),
        (first_line("GET http://[ HTTP/1.1"), 400),
        (wrong("Sec-WebSocket-Version", "8"), 426),
        (wrong("Sec-WebSocket-Version", "14"), 426),
        (wrong("Sec-WebSocket-Version", ""), 426),
        (wrong("Sec-WebSocket-Key", ""), 400),
        (wrong("Sec-WebSocket-Key", "too short"), 400),
        (wrong("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQdGhlIHNhbXBsZSBub25jZQ=="), 400),
        (wrong("Sec-WebSocket-Key", "************************"), 400),
        (wrong("Upgrade", ""), 426),
        (wrong("Upgrade", "h2c"), 426),
        (wrong("Connection", ""), 426),
        (wrong("Connection", "keep-alive"), 426),
        (wrong("Sec-WebSocket-Protocol", "chat"), 400),
        ("\r\n\r\n\r\n\r\n".to_owned(), 400),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), 400),
        ("\u{1}\u{2}\u{3}\0\0\0\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n".to_owned(), 400),
        // A whole page's worth of a browser that got lost.
        ("GET /index.html HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n".to_owned(), 426),
    ];
    let mut failures = Vec::new();
    for (request, expected) in &table {
        let answer = answer_to(&mut game, request.as_bytes());
        let status = handshake::status(&answer);
        if status != Some(*expected) {
            failures.push(format!("{request:?}: {status:?} instead of {expected}"));
        }
        if status == Some(426) && handshake::header(&answer, "sec-websocket-version") != "13" {
            failures.push(format!("{request:?}: the answer names no version: {answer}"));
        }
        if status == Some(405) && handshake::header(&answer, "allow") != "GET" {
            failures.push(format!("{request:?}: the answer names no method: {answer}"));
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let length = handshake::header(&answer, "content-length").parse::<usize>();
        if body.trim().is_empty() || length != Ok(body.len()) {
            failures.push(format!("{request:?}: the answer says nothing for people: {answer}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(game.told, []);
    game.plays_on();
}

#[test]
fn requests_without_end_are_cut_off() {
    const FLOOD: usize = 8 << 20;
    let _alone = alone();
    let mut game = Game::with(Settings::default(), quick());
    let watch = Watch::begin();
    let long_line = format!("GET / HTTP/1.1\r\nHost: {}", "x".repeat(FLOOD));
    let many_lines = format!("GET / HTTP/1.1\r\n{}", "X-Filler: y\r\n".repeat(FLOOD / 13));
    let endless_path = format!("GET /{}", "x".repeat(FLOOD));
    let many_in_bounds = request().replacen("\r\n", &format!("\r\n{}", "X: y\r\n".repeat(500)), 1);
    let body = format!("POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n{}", "x".repeat(FLOOD));
    let mut failures = Vec::new();
    for (what, request, expected) in [
        ("a long line", long_line, 431),
        ("many lines", many_lines, 431),
        ("an endless path", endless_path, 431),
        ("many lines in few bytes", many_in_bounds, 431),
        ("an endless body", body, 405),
    ] {
        let mut stranger = Raw::connect(game.port());
        stranger.send(&request);
        let began = Instant::now();
        game.play_until(what, |_| {
            stranger.turn();
            stranger.gone.is_some()
        });
        let answer = String::from_utf8_lossy(&stranger.take_all()).into_owned();
        let status = handshake::status(&answer);
        let (took, gone, unsent) = (began.elapsed(), stranger.gone, stranger.unsent());
        println!("{what}: {status:?} after {took:?}, {gone:?}, {unsent} bytes unsent");
        // What still comes is thrown away for a while, so that the answer arrives; then it is cut off.
        if status != Some(expected) {
            failures.push(format!("{what}: {status:?} instead of {expected}, {gone:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // The requests themselves are in the same process.
    watch.saw_less_than(64, "requests without end");
    game.plays_on();
}

#[test]
fn a_player_who_falls_silent_is_given_up() {
    let _alone = alone();
    let limits = Limits { peer_timeout: Duration::from_secs(2), ..Limits::default() };
    let mut game = Game::with(Settings::default(), limits);
    let (_mute, id) = game.stranger_joins();
    let fell_silent = Instant::now();
    game.play_until("it is given up", |game| game.told.len() >= 2);
    let took = fell_silent.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(game.told[0], Notice::PeerDisconnected(id));
    let Notice::PeerLost(_, farewell) = &game.told[1] else { panic!("{:?}", game.told) };
    assert_eq!(farewell.reason, Reason::Timeout);
    game.plays_on();
}

#[test]
fn visitors_while_the_game_sleeps_cost_little_and_are_all_gone_when_it_wakes() {
    let _alone = alone();
    let limits = Limits { inbound: 1 << 20, ..Limits::default() };
    let mut game = Game::with(Settings::default(), limits);
    let watch = Watch::begin();
    let started = Instant::now();
    let mut visits = 0;
    while started.elapsed() < Duration::from_secs(2) {
        let mut visitor = Raw::connect(game.port());
        visitor.send(request());
        let asked = Instant::now();
        // It may not be let in before the game wakes up.
        while visitor.received == 0 && asked.elapsed() < Duration::from_millis(20) {
            visitor.turn();
        }
        visits += u32::from(visitor.received > 0);
        visitor.reset();
    }
    println!("{visits} visits");
    watch.saw_less_than(16, "visitors while the game sleeps");
    game.wakes_up();
    game.plays_on();
    game.play_until("they are gone", |game| game.server.peer_ids() == [game.honest_id]);
    let came = game.told.iter().filter(|notice| matches!(notice, Notice::PeerConnected(_))).count();
    let left = game.told.iter().filter(|notice| matches!(notice, Notice::PeerDisconnected(_))).count();
    println!("the game was told of {came} who came");
    assert_eq!(came, left);
    assert!(came < 4000, "{came} who came wait for a game that sleeps");
}
