//! What a client may meet where it expects a game's server: it says why it did not get in, in time, and keeps nothing.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Notice, Status};
use ferry_net::reason::{Farewell, Reason};

use crate::scene::{BOUND, Peer, client, poll};
use crate::under_attack::driver_has_panicked;
use crate::watch::{Watch, alone};
use crate::websocket_support::frames::{BINARY, Frame, PING, claim};
use crate::websocket_support::handshake::{KEY, answer, answer_with};
use crate::websocket_support::raw::Raw;

const HANDSHAKE: Duration = Duration::from_secs(1);

/// A server that a test plays, with a client that has come to it and has asked.
struct Meeting {
    client: Peer,
    server: Raw,
    request: String,
    told: Vec<Notice>,
}

impl Meeting {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let limits = Limits { connect_timeout: HANDSHAKE, ..Limits::default() };
        let mut client = client(listener.local_addr().unwrap().port(), limits);
        let started = Instant::now();
        let mut server = loop {
            poll(&mut client);
            if let Some(server) = Raw::accept(&listener) {
                break server;
            }
            assert!(started.elapsed() < BOUND, "nobody comes");
            std::thread::sleep(Duration::from_millis(1));
        };
        let request = loop {
            server.turn();
            if let Some(request) = server.take_head() {
                break request;
            }
            assert!(started.elapsed() < BOUND, "nobody asks");
            std::thread::sleep(Duration::from_millis(1));
        };
        Self { client, server, request, told: Vec::new() }
    }

    /// A client that was let in as far as the handshake goes.
    fn upgraded() -> Self {
        let mut meeting = Self::new();
        let answer = answer(&meeting.request);
        meeting.server.send(answer);
        meeting
    }

    /// A client that is in the game, too.
    fn in_game() -> Self {
        let mut meeting = Self::upgraded();
        meeting.server.send_frame(&Frame::binary(5_i32.to_le_bytes()));
        meeting.play_until("the client is in", |meeting| meeting.client.status() == Status::Connected);
        assert_eq!(meeting.client.unique_id(), 5);
        meeting.told.clear();
        meeting
    }

    fn play_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            self.server.turn();
            self.told.extend(poll(&mut self.client));
            while self.client.take_packet().is_some() {}
            assert!(started.elapsed() < BOUND, "not within the bound: {what}; told {:?}", self.told);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How the client says it did not get in, and how long that took.
    fn failure(&mut self, what: &str, mut meanwhile: impl FnMut(&mut Raw)) -> (Farewell, Duration) {
        let began = Instant::now();
        self.play_until(what, |meeting| {
            meanwhile(&mut meeting.server);
            !meeting.told.is_empty()
        });
        assert!(!driver_has_panicked(), "a driver has panicked");
        let [Notice::ConnectionFailed(farewell)] = &self.told[..] else { panic!("{what}: {:?}", self.told) };
        assert_eq!(self.client.status(), Status::Disconnected, "{what}");
        println!("{what}: {farewell}");
        (farewell.clone(), began.elapsed())
    }
}

/// What a request is answered with.
type Answer = fn(&str) -> String;

/// An answer with this status.
fn http(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}\r\n")
}

#[test]
fn answers_that_are_no_websockets_say_so() {
    let _alone = alone();
    // What comes, and a word that the detail has.
    let table: [(&str, Answer, &str); 13] = [
        ("a wrong key", |_| answer_with(KEY, ""), ""),
        ("no key", |_| answer_with("", ""), ""),
        ("200", |_| http("200 OK", "Content-Length: 2\r\n\r\nhi"), "200"),
        ("302", |_| http("302 Found", "Location: ws://127.0.0.1:1/\r\n"), "302"),
        ("401", |_| http("401 Unauthorized", "WWW-Authenticate: Basic\r\n"), "401"),
        ("404", |_| http("404 Not Found", ""), "404"),
        ("503", |_| http("503 Service Unavailable", "Retry-After: 9\r\n"), "503"),
        ("101 of something else", |request| answer(request).replace("websocket", "h2c"), ""),
        ("101 without Upgrade", |request| answer(request).replace("Upgrade: w", "X: w"), ""),
        ("101 in HTTP/1.0", |request| answer(request).replace("HTTP/1.1", "HTTP/1.0"), ""),
        (
            "a sub-protocol that was not asked for",
            |request| answer(request).replacen("\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n", 1),
            "sub-protocol",
        ),
        ("another protocol", |_| "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), ""),
        ("binary nonsense", |_| "\u{1}\u{2}\0\0\r\n\r\n".to_owned(), ""),
    ];
    let mut failures = Vec::new();
    for (what, answer, word) in table {
        let mut meeting = Meeting::new();
        let answer = answer(&meeting.request);
        meeting.server.send(answer);
        let (farewell, took) = meeting.failure(what, |_| {});
        if farewell.reason != Reason::Handshake
            || !farewell.detail.contains(word)
            || farewell.detail.is_empty()
        {
            failures.push(format!("{what}: {farewell:?}"));
        }
        if took > HANDSHAKE / 2 {
            failures.push(format!("{what}: heard of after {took:?} only"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_server_that_hangs_up_or_says_nothing_is_told_apart() {
    let _alone = alone();
    let mut meeting = Meeting::new();
    meeting.server.finish();
    let (farewell, took) = meeting.failure("it hangs up", |_| {});
    assert_eq!(farewell.reason, Reason::Handshake, "{farewell}");
    assert!(took < HANDSHAKE / 2, "{took:?}");
    let (farewell, took) = Meeting::new().failure("it says nothing", |_| {});
    assert_eq!(farewell.reason, Reason::ConnectTimeout, "{farewell}");
    assert!(took < 2 * HANDSHAKE, "{took:?}");
    // A letter now and then is no sign of getting anywhere.
    let mut meeting = Meeting::new();
    let answer = answer(&meeting.request);
    let mut turns = 0;
    let (farewell, took) = meeting.failure("it says a letter at a time", |server| {
        turns += 1;
        if turns % 20 == 0 {
            server.send(&answer.as_bytes()[turns / 20..=turns / 20]);
        }
    });
    assert!(matches!(farewell.reason, Reason::ConnectTimeout | Reason::Handshake), "{farewell}");
    assert!(took < 2 * HANDSHAKE, "{took:?}");
}

#[test]
fn answers_without_end_are_cut_off() {
    let _alone = alone();
    for (what, piece) in [("a long line", "x".repeat(20_000)), ("many lines", "X-Filler: y\r\n".repeat(1500))]
    {
        let mut meeting = Meeting::new();
        let watch = Watch::begin();
        meeting.server.send("HTTP/1.1 101 Switching Protocols\r\nX: ");
        let mut sent = 0;
        let (farewell, took) = meeting.failure(what, |server| {
            if server.unsent() == 0 {
                server.send(&piece);
                sent += piece.len();
            }
        });
        println!("{what}: {sent} bytes");
        assert_eq!(farewell.reason, Reason::Handshake, "{what}: {farewell}");
        assert!(took < 2 * HANDSHAKE, "{what}: {took:?}");
        watch.saw_less_than(16, what);
    }
}

#[test]
fn a_first_message_that_is_no_id_is_no_games_server() {
    let _alone = alone();
    let id = |id: i32| Frame::binary(id.to_le_bytes());
    let table = [
        ("nothing", Frame::binary("")),
        ("three bytes", Frame::binary([2, 0, 0])),
        ("five bytes", Frame::binary([2, 0, 0, 0, 0])),
        ("a kilobyte", Frame::binary([2; 1024])),
        ("id 0", id(0)),
        ("the server's own id", id(1)),
        ("id -1", id(-1)),
        ("the least id", id(i32::MIN)),
        ("a text of four letters", Frame::text("\u{2}\0\0\0")),
    ];
    for (what, first) in table {
        let mut meeting = Meeting::upgraded();
        meeting.server.send_frame(&first);
        let (farewell, took) = meeting.failure(what, |_| {});
        assert_eq!(farewell.reason, Reason::BadId, "{what}: {farewell}");
        assert!(took < HANDSHAKE / 2, "{what}: {took:?}");
        let mut code = None;
        meeting.play_until(&format!("{what}: the server is told"), |meeting| {
            code = code.or_else(|| meeting.server.take_goodbye());
            code.is_some()
        });
        assert_eq!(code, Some(4006), "{what}");
    }
    // In pieces it is an id all the same, and the least and the greatest are ids.
    for (given, frames) in [
        (2, vec![id(2)]),
        (i32::MAX, vec![id(i32::MAX)]),
        (7, vec![Frame::binary([7, 0]).unfinished(), Frame::ping("x"), Frame::more([0, 0])]),
    ] {
        let mut meeting = Meeting::upgraded();
        frames.iter().for_each(|frame| meeting.server.send_frame(frame));
        meeting.play_until("the client is in", |meeting| meeting.client.status() == Status::Connected);
        assert_eq!(meeting.client.unique_id(), given);
    }
}

#[test]
fn a_server_that_never_gives_an_id_is_given_up_in_time() {
    let _alone = alone();
    // Signs of life are no id.
    let (farewell, took) = Meeting::upgraded().failure("pings instead of an id", |server| {
        server.send_frame(&Frame::new(PING, ""));
        std::thread::sleep(Duration::from_millis(20));
    });
    assert_eq!(farewell.reason, Reason::ConnectTimeout, "{farewell}");
    assert!(took < 2 * HANDSHAKE, "{took:?}");
}

#[test]
fn a_server_that_says_why_it_refuses_is_understood() {
    let _alone = alone();
    for (code, text, expected) in [
        (4004, "the server is full", Farewell::new(Reason::ServerFull)),
        (4005, "refused by the server", Farewell::new(Reason::Refused)),
        (4005, "come back tomorrow", Farewell::with(Reason::Refused, "close code 4005: come back tomorrow")),
        (1008, "no guests", Farewell::with(Reason::RemoteClose, "close code 1008: no guests")),
        (1013, "", Farewell::with(Reason::RemoteClose, "close code 1013")),
    ] {
        let mut meeting = Meeting::upgraded();
        meeting.server.send_frame(&Frame::close(code, text));
        let (farewell, _) = meeting.failure(&format!("{code} {text}"), |_| {});
        assert_eq!(farewell, expected);
    }
}

#[test]
fn broken_frames_of_a_server_end_the_game_with_a_reason() {
    let _alone = alone();
    let too_large = claim(BINARY, true, false, (16 << 20) + 1);
    let mut masked = Vec::new();
    Frame::binary("hello").write(true, &mut masked);
    for (what, bytes, code, reason) in [
        ("a masked frame", masked, 1002, Reason::Protocol),
        ("a reserved opcode", Frame::new(3, "").bytes(false), 1002, Reason::Protocol),
        ("a text that is none", Frame::text(b"\xFF").bytes(false), 1007, Reason::Protocol),
        ("a claim of too much", too_large, 1009, Reason::PacketTooLarge),
    ] {
        let mut meeting = Meeting::in_game();
        meeting.server.send(bytes);
        let mut said = None;
        meeting.play_until(what, |meeting| {
            said = said.or_else(|| meeting.server.take_goodbye());
            said.is_some() && meeting.client.status() == Status::Disconnected
        });
        assert_eq!(said, Some(code), "{what}");
        let Some(Notice::ServerDisconnected(farewell)) = meeting.told.last() else {
            panic!("{what}: {:?}", meeting.told)
        };
        assert_eq!(farewell.reason, reason, "{what}: {farewell}");
    }
}

#[test]
fn a_server_that_is_suddenly_gone_is_told_apart_from_one_that_says_goodbye() {
    let _alone = alone();
    let heard = |end: fn(&mut Meeting)| {
        let mut meeting = Meeting::in_game();
        end(&mut meeting);
        meeting.play_until("the end is noticed", |meeting| meeting.client.status() == Status::Disconnected);
        let Some(Notice::ServerDisconnected(farewell)) = meeting.told.last() else {
            panic!("{:?}", meeting.told)
        };
        farewell.clone()
    };
    let goodbye = heard(|meeting| meeting.server.send_frame(&Frame::close(1001, "")));
    assert_eq!(goodbye, Reason::RemoteClose.into());
    let kicked = heard(|meeting| meeting.server.send_frame(&Frame::close(4003, "kicked by the server")));
    assert_eq!(kicked, Reason::Kicked.into());
    let gone = heard(|meeting| meeting.server.finish());
    assert_eq!(gone.reason, Reason::RemoteClose);
    assert!(!gone.detail.is_empty());
}
