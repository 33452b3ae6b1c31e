//! Ports where TLS is spoken, and those who speak something else there; and TLS where none is spoken.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ferry_enet_testkit::random::Random;
use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Notice;
use ferry_net::reason::{Farewell, Reason};
use ferry_net::tls;
use ferry_net::websocket::{self, Settings};
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::scene::{Game, Peer, client_to, no_trust, poll, port};
use crate::watch::{Watch, alone};
use crate::websocket_support::handshake::{self, request};
use crate::websocket_support::raw::{Raw, pass_on};

const HANDSHAKE: Duration = Duration::from_secs(2);

fn quick() -> Limits {
    Limits { connect_timeout: HANDSHAKE, ..Limits::default() }
}

/// A game whose honest player plays over TLS; with what clients have to trust.
fn encrypted_game() -> (Game, tls::Client) {
    let pair = tls::self_signed(&["localhost".to_owned(), "127.0.0.1".to_owned()], 30).unwrap();
    let identity = tls::Server::new(&pair.certificate, &pair.key).unwrap();
    let localhost = BindAddress::Ip(Ipv4Addr::LOCALHOST.into());
    let sockets = websocket::open_server(localhost, 0, Some(identity), Settings::default(), quick()).unwrap();
    let mut server = Peer::default();
    server.set_limits(quick());
    server.start_server(sockets).unwrap();
    poll(&mut server);
    let options = tls::ClientOptions { trusted: Some(pair.certificate), ..tls::ClientOptions::default() };
    let trust = tls::Client::new(&options).unwrap();
    let honest = client_to(&url(&server), trust.clone(), Limits::default());
    (Game::of(server, honest), trust)
}

fn url(server: &Peer) -> String {
    format!("wss://127.0.0.1:{}", port(server))
}

/// What a client that speaks TLS says first.
fn hello() -> Vec<u8> {
    let options = tls::ClientOptions { verify: false, ..tls::ClientOptions::default() };
    let config = tls::Client::new(&options).unwrap().config().unwrap();
    let mut connection = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

/// Plays until the stranger is sent away: what it was told, and how long that took.
fn sent_away(game: &mut Game, stranger: &mut Raw, what: &str) -> (Vec<u8>, Duration) {
    let began = Instant::now();
    game.play_until(what, |_| {
        stranger.turn();
        stranger.gone.is_some()
    });
    (stranger.take_all(), began.elapsed())
}

/// Why a client of Ferry's did not get in.
fn failure(game: &mut Game, client: &mut Peer) -> Farewell {
    let mut told = Vec::new();
    game.play_until("the client fails", |_| {
        told.extend(poll(client));
        !told.is_empty()
    });
    let [Notice::ConnectionFailed(farewell)] = &told[..] else { panic!("{told:?}") };
    println!("{farewell}");
    farewell.clone()
}

#[test]
fn tls_at_a_plain_port_is_told_so() {
    let _alone = alone();
    let mut game = Game::with(Settings::default(), quick());
    for part in [hello(), hello()[..1].to_vec(), hello()[..50].to_vec()] {
        let mut stranger = Raw::connect(game.port());
        stranger.send(&part);
        let (answer, took) = sent_away(&mut game, &mut stranger, "a hello is answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(handshake::status(&answer), Some(400), "{answer}");
        assert!(answer.contains("ws://"), "{answer}");
        assert!(took < HANDSHAKE / 2, "{took:?}");
    }
    let mut client = client_to(&url(&game.server), no_trust(), Limits::default());
    let farewell = failure(&mut game, &mut client);
    assert_eq!(farewell.reason, Reason::Tls);
    assert!(farewell.detail.contains("TLS"), "{farewell}");
    game.plays_on();
}

#[test]
fn a_plain_request_at_an_encrypted_port_is_told_so() {
    let _alone = alone();
    let (mut game, _) = encrypted_game();
    for plain in [request(), "GET / HTTP/1.0\r\n\r\n".to_owned(), "x".to_owned(), "x".repeat(100_000)] {
        let mut stranger = Raw::connect(game.port());
        stranger.send(&plain);
        let (answer, took) = sent_away(&mut game, &mut stranger, "a plain request is answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(handshake::status(&answer), Some(400), "{answer}");
        assert!(answer.contains("wss://"), "{answer}");
        assert!(took < HANDSHAKE / 2, "{took:?}");
    }
    let plain = format!("ws://127.0.0.1:{}", game.port());
    let farewell = failure(&mut game, &mut client_to(&plain, no_trust(), Limits::default()));
    assert_eq!(farewell.reason, Reason::Handshake);
    assert!(farewell.detail.contains("400") && farewell.detail.contains("wss://"), "{farewell}");
    game.plays_on();
}

#[test]
fn nonsense_that_begins_like_tls_is_cut_off() {
    let _alone = alone();
    let (mut game, trust) = encrypted_game();
    let watch = Watch::begin();
    let mut random = Random::new(7);
    for round in 0..60 {
        let mut bytes = hello();
        match round % 4 {
            // A record that claims much more than comes.
            0 => bytes[3..5].copy_from_slice(&[0xFF, 0xFF]),
            // Anything within the hello.
            1 => {
                let at = 5 + random.below(bytes.len() as u64 - 5) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            // Something else behind the first bytes.
            2 => bytes[3..].fill_with(|| random.any() as u8),
            // Half, and no more.
            _ => bytes.truncate(bytes.len() / 2),
        }
        let mut stranger = Raw::connect(game.port());
        stranger.send(&bytes);
        if round % 4 == 3 {
            stranger.finish();
        }
        game.turn();
        // A bent hello may still be one: then it says nothing more, and runs into the time-out.
        if round % 20 == 0 {
            sent_away(&mut game, &mut stranger, "nonsense is sent away");
        }
    }
    watch.saw_less_than(16, "nonsense that begins like TLS");
    let mut newcomer = client_to(&url(&game.server), trust, Limits::default());
    game.play_until("a newcomer gets in", |game| {
        poll(&mut newcomer);
        game.server.peer_ids().contains(&newcomer.unique_id())
    });
    game.plays_on();
}

#[test]
fn slow_and_silent_tls_handshakes_end_in_time() {
    const STRANGERS: usize = 200;
    let _alone = alone();
    let (mut game, trust) = encrypted_game();
    let watch = Watch::begin();
    let hello = hello();
    let began = Instant::now();
    let mut strangers: Vec<Raw> = (0..STRANGERS).map(|_| Raw::connect(game.port())).collect();
    let mut sent = 0;
    let mut newcomer = client_to(&url(&game.server), trust, Limits::default());
    let mut got_in = None;
    game.measure();
    game.play_until("all handshakes end", |game| {
        if began.elapsed().as_millis() / 100 > sent as u128 {
            for (number, stranger) in strangers.iter_mut().enumerate() {
                stranger.turn();
                match number % 3 {
                    0 => {}
                    1 => stranger.send(&hello[sent..=sent]),
                    // A whole hello, and then silence.
                    _ if sent == 0 => stranger.send(&hello),
                    _ => {}
                }
            }
            sent += 1;
        }
        poll(&mut newcomer);
        if got_in.is_none() && game.server.peer_ids().contains(&newcomer.unique_id()) {
            got_in = Some(began.elapsed());
        }
        strangers.iter().all(|stranger| stranger.gone.is_some())
    });
    println!("over after {:?}, a newcomer got in after {got_in:?}", began.elapsed());
    assert!(began.elapsed() < HANDSHAKE + Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(got_in.is_some_and(|after| after < Duration::from_secs(1)), "{got_in:?}");
    watch.saw_less_than(48, "slow TLS handshakes");
    game.packets_took_less_than(Duration::from_millis(150), "slow TLS handshakes");
    game.plays_on();
}

/// Plain TCP may be cut within a record: that is no goodbye.
#[test]
fn a_tls_line_that_is_cut_is_the_end_of_one_player_only() {
    let _alone = alone();
    let (mut game, trust) = encrypted_game();
    let relay = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    relay.set_nonblocking(true).unwrap();
    let through = format!("wss://127.0.0.1:{}", relay.local_addr().unwrap().port());
    let mut player = client_to(&through, trust, Limits::default());
    let (mut near, mut far) = (None, Raw::connect(game.port()));
    game.play_until("the player gets in", |game| {
        near = near.take().or_else(|| Raw::accept(&relay));
        if let Some(near) = &mut near {
            pass_on(near, &mut far);
        }
        poll(&mut player);
        game.server.peer_ids().contains(&player.unique_id())
    });
    let id = player.unique_id();
    game.told.clear();
    // Something that is no record comes from somebody between them.
    far.send([0x17, 0x03, 0x03, 0x00, 0x20]);
    far.send([0; 32]);
    game.play_until("the player is lost", |game| {
        far.turn();
        game.lost(id).is_some()
    });
    assert_eq!(game.told[0], Notice::PeerDisconnected(id));
    println!("{:?}", game.told);
    game.plays_on();
}
