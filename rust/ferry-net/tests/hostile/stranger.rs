//! A socket without manners: sends what it likes, and can shake hands to be a peer that follows no rule afterwards.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ferry_enet_testkit::raw::{CONTROL, Raw, Seen};

use crate::scene::{BOUND, Game};

/// The number that a stranger gives the connection.
const OWN_NUMBER: u16 = 5;
/// Where VERIFY_CONNECT keeps the server's number and the session, behind the datagram's header.
const NUMBER_AT: usize = 4;
const SESSION_AT: usize = 7;
const ACKNOWLEDGE: u8 = 1;
const VERIFY_CONNECT: u8 = 3;
const DISCONNECT: u8 = 4;
const PING: u8 = 5;

/// A visit that is not answered this soon is given up: the server may have passed it over.
const VISIT_PATIENCE: Duration = Duration::from_millis(50);

pub(crate) struct Stranger {
    socket: UdpSocket,
    /// The server's number for it, and the session.
    slot: u16,
    session: u8,
    pings: u16,
}

impl Stranger {
    pub(crate) fn new(port: u16) -> Self {
        Self::from_host(Ipv4Addr::LOCALHOST, port).unwrap()
    }

    /// At one of the machine's loopback addresses; an error where there is only one.
    pub(crate) fn from_host(host: Ipv4Addr, port: u16) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((host, 0))?;
        socket.connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, slot: 0, session: 0, pings: 1 })
    }

    /// Whether the system took it does not matter: datagrams may get lost.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let _ = self.socket.send(bytes);
    }

    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).ok()?;
        Some(buffer[..len].to_vec())
    }

    pub(crate) fn ask(&self, channels: u32, connect_id: u32, word: u32) {
        self.send(&Raw::to_nobody().connect(OWN_NUMBER, channels, connect_id, word).bytes);
    }

    /// Shakes hands by the protocol, as the player with this id.
    pub(crate) fn join(&mut self, game: &mut Game, channels: u32, id: i32) {
        let started = Instant::now();
        self.ask(channels, id.unsigned_abs(), id.unsigned_abs());
        while !game.server.peer_ids().contains(&id) {
            game.turn();
            self.hear_verdict();
            assert!(started.elapsed() < BOUND, "the stranger cannot get in");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Comes in and leaves at once, while the game does nothing. False if there was no answer soon.
    pub(crate) fn visit(&mut self, connect_id: u32, word: u32) -> bool {
        self.ignore_all();
        let asked = Instant::now();
        self.ask(1, connect_id, word);
        while !self.hear_verdict() {
            if asked.elapsed() > VISIT_PATIENCE {
                return false;
            }
            std::thread::yield_now();
        }
        self.send(&self.header().disconnect(false, 2, 0).bytes);
        true
    }

    /// Acknowledges VERIFY_CONNECT; whether it came.
    fn hear_verdict(&mut self) -> bool {
        let mut came = false;
        while let Some(datagram) = self.receive() {
            let Some(seen) = Seen::read(&datagram, false) else { continue };
            let commands = &datagram[seen.commands..];
            if commands.len() > SESSION_AT && commands[0] & 15 == VERIFY_CONNECT {
                self.slot = u16::from_be_bytes([commands[NUMBER_AT], commands[NUMBER_AT + 1]]);
                self.session = commands[SESSION_AT] & 3;
                let sent_time = u16::from_be_bytes([datagram[2], datagram[3]]);
                self.send(&self.header().acknowledge(CONTROL, 1, sent_time).bytes);
                came = true;
            }
        }
        came
    }

    /// A header that the server takes for this connection's.
    pub(crate) fn header(&self) -> Raw {
        Raw::to_peer(self.slot, self.session, Some(1))
    }

    /// A sign of life, which acknowledges nothing.
    pub(crate) fn ping(&mut self) {
        self.pings = self.pings.wrapping_add(1);
        self.send(&self.header().ping(self.pings).bytes);
    }

    /// Acknowledges a DISCONNECT, if one came.
    pub(crate) fn agree_to_leave(&self) {
        while let Some(datagram) = self.receive() {
            let Some(mut at) = Seen::read(&datagram, false).map(|seen| seen.commands) else { continue };
            while let Some(command) = datagram.get(at..at + 4) {
                at += match command[0] & 15 {
                    ACKNOWLEDGE => 8,
                    PING => 4,
                    DISCONNECT => {
                        let seq = u16::from_be_bytes([command[2], command[3]]);
                        self.send(&self.header().acknowledge(CONTROL, seq, 1).bytes);
                        8
                    }
                    _ => break,
                };
            }
        }
    }

    /// Reads and forgets what came.
    pub(crate) fn ignore_all(&self) {
        while self.receive().is_some() {}
    }
}
