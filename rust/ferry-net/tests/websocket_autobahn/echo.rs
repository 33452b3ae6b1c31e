//! Ferry's ends: each sends every message back as it came.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Instant;

use bytes::Bytes;
use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::link::LinkId;
use ferry_net::reason::Farewell;
use ferry_net::tls;
use ferry_net::websocket::{self, Event, Kind, Pump, Settings, Sockets, Url};

use crate::player::BOUND;
use crate::websocket_support::handshake;
use crate::websocket_support::raw::Raw;

/// What a table is played against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A game's server; its first message, the player's id, is not the table's concern.
    Server,
    /// A client that wants messages, not a game.
    Client,
    /// A server's end of a stream whose bytes the game carries.
    Carried,
}

impl Subject {
    pub(crate) const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Carried];
}

/// How the game heard of the end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<u16>,
    pub(crate) farewell: Farewell,
}

/// An endpoint with one link, and the game that sends everything back.
pub(crate) struct Echo {
    sockets: Sockets,
    carried: Option<(Pump, TcpStream)>,
    waiting: Vec<(LinkId, Kind, Bytes)>,
    pub(crate) ended: Option<Ended>,
}

impl Echo {
    /// Opens one, and the connection to it that the table plays.
    pub(crate) fn open(subject: Subject) -> (Self, Raw) {
        let (settings, limits) = (Settings::default(), Limits::default());
        match subject {
            Subject::Server => {
                let localhost = BindAddress::Ip(Ipv4Addr::LOCALHOST.into());
                let sockets = websocket::open_server(localhost, 0, None, settings, limits).unwrap();
                let mut echo = Self::new(sockets, None);
                // The first turn arms it.
                echo.turn();
                let mut table = Raw::connect(echo.sockets.local_port());
                echo.let_in(&mut table);
                echo.until(|_| {
                    table.turn();
                    table.take_frame()
                });
                (echo, table)
            }
            Subject::Client => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                listener.set_nonblocking(true).unwrap();
                let url = format!("ws://127.0.0.1:{}", listener.local_addr().unwrap().port());
                let url = Url::parse(&url).unwrap();
                let options = tls::ClientOptions { trusted: None, common_name: None, verify: true };
                let trust = tls::Client::new(&options).unwrap();
                let (sockets, _) = websocket::open_plain(url, trust, settings, limits).unwrap();
                let mut echo = Self::new(sockets, None);
                let mut table = echo.until(|_| Raw::accept(&listener));
                let request = echo.until(|_| {
                    table.turn();
                    table.take_head()
                });
                table.send(handshake::answer(&request));
                (echo, table)
            }
            Subject::Carried => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let mut table = Raw::connect(listener.local_addr().unwrap().port());
                let (stream, address) = listener.accept().unwrap();
                stream.set_nonblocking(true).unwrap();
                let (sockets, _, pump) =
                    websocket::open_pumped(Some(address), false, settings, limits).unwrap();
                let mut echo = Self::new(sockets, Some((pump, stream)));
                echo.let_in(&mut table);
                (echo, table)
            }
        }
    }

    fn new(sockets: Sockets, carried: Option<(Pump, TcpStream)>) -> Self {
        Self { sockets, carried, waiting: Vec::new(), ended: None }
    }

    /// The table asks for a WebSocket, and gets it.
    fn let_in(&mut self, table: &mut Raw) {
        table.send(handshake::request());
        let answer = self.until(|_| {
            table.turn();
            table.take_head()
        });
        assert_eq!(handshake::status(&answer), Some(101), "{answer}");
    }

    fn until<T>(&mut self, mut condition: impl FnMut(&mut Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            self.turn();
            if let Some(found) = condition(self) {
                return found;
            }
            assert!(started.elapsed() < BOUND, "no connection within the bound");
            std::thread::sleep(crate::player::TURN);
        }
    }

    /// A turn of the game.
    pub(crate) fn turn(&mut self) {
        if let Some((pump, stream)) = &mut self.carried {
            carry(pump, stream);
        }
        self.sockets.begin_turn();
        while let Some(event) = self.sockets.next_event() {
            match event {
                Event::Connected { .. } => {}
                Event::Message { link, kind, payload } => self.waiting.push((link, kind, payload)),
                Event::Closed { code, farewell, .. } => self.ended = Some(Ended { code, farewell }),
                Event::Failed(farewell) => panic!("the endpoint failed: {farewell}"),
            }
        }
        for (link, kind, payload) in self.waiting.drain(..) {
            // It may be on its way out.
            let _ = self.sockets.send(link, kind, payload, false);
        }
        self.sockets.flush();
    }
}

/// What the engine's side does with its stream at each poll.
fn carry(pump: &Pump, stream: &mut TcpStream) {
    let mut buffer = vec![0; pump.room().min(64 * 1024)];
    if !buffer.is_empty() {
        match stream.read(&mut buffer) {
            Ok(0) => pump.hung_up(),
            Ok(read) => pump.put(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => pump.hung_up(),
        }
    }
    let taken = pump.take(|bytes| match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    });
    if taken.is_err() {
        pump.hung_up();
    }
    if pump.is_finished() {
        let _ = stream.shutdown(Shutdown::Write);
    }
}
