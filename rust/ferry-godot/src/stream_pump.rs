//! A WebSocket connection over a stream of the engine's: bytes go from one to the other when a script polls.
//!
//! The network thread makes no call of the engine, so it cannot read a `StreamPeerTCP` or `StreamPeerTLS`. It works on a
//! [`Pump`] instead, two bounded queues of bytes; `run`, on the game's thread, fills one from the stream and empties the other
//! into it. The engine's streams lend no memory, so the bytes of each round are copied; a round is bounded by what the
//! queues have room for.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::link::LinkId;
use ferry_net::websocket::{self, Pump, Settings, Sockets};
use godot::classes::{StreamPeer, StreamPeerTcp, StreamPeerTls, stream_peer_tcp, stream_peer_tls};
use godot::global::Error;
use godot::obj::EngineEnum;
use godot::prelude::*;

use crate::convert;

/// Bytes that are read in one go. The engine makes an array of this size for each, even if nothing has come.
const READ_SIZE: usize = 16 * 1024;

/// Rounds of a millisecond without anything to send after which the last word is thought to be said.
const QUIET_ROUNDS: u32 = 3;

/// A stream, and the connection over it.
pub(crate) struct StreamPump {
    of: Sockets,
    stream: Gd<StreamPeer>,
    tcp: Gd<StreamPeerTcp>,
    tls: Option<Gd<StreamPeerTls>>,
    pump: Pump,
    hung_up: bool,
}

impl StreamPump {
    /// Opens an endpoint for a stream that came in.
    ///
    /// # Errors
    ///
    /// If it is no TCP stream, and no TLS stream over one.
    pub(crate) fn open(
        stream: Gd<StreamPeer>,
        settings: Settings,
        limits: Limits,
    ) -> Result<(Sockets, LinkId, Self), String> {
        let tls = stream.clone().try_cast::<StreamPeerTls>().ok();
        let below = match &tls {
            Some(tls) => tls.get_stream(),
            None => Some(stream.clone()),
        };
        let mut tcp = below
            .and_then(|stream| stream.try_cast::<StreamPeerTcp>().ok())
            .ok_or("Only a StreamPeerTCP, or a StreamPeerTLS over one, can be accepted.")?;
        tcp.set_no_delay(true);
        let address = address_of(&tcp);
        let (sockets, link, pump) = websocket::open_pumped(address, tls.is_some(), settings, limits)
            .map_err(|error| format!("No connection could be begun: {error}."))?;
        let of = sockets.clone();
        Ok((sockets, link, Self { of, stream, tcp, tls, pump, hung_up: false }))
    }

    /// Whether it carries this endpoint's connection.
    pub(crate) fn is_of(&self, sockets: &Sockets) -> bool {
        self.of.is(sockets)
    }

    /// Carries bytes both ways, as many as there are and fit. Returns how many were sent.
    pub(crate) fn run(&mut self) -> usize {
        if self.hung_up {
            return 0;
        }
        match self.readiness() {
            Readiness::NotYet => 0,
            Readiness::Over => {
                self.note_end();
                0
            }
            Readiness::Ready => {
                let sent = self.write();
                self.read();
                sent
            }
        }
    }

    /// Carries what the network thread still has to say, at most for `bound`: once something has come, until no more does.
    pub(crate) fn run_out(&mut self, bound: Duration) {
        let until = Instant::now() + bound;
        let (mut sent, mut quiet) = (false, 0);
        while !self.is_finished() && quiet < QUIET_ROUNDS && Instant::now() < until {
            let more = self.run() > 0;
            sent |= more;
            quiet = if sent && !more { quiet + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all that the connection had to say has been written, or cannot be any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.hung_up || self.pump.is_finished()
    }

    /// Whether the stream has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.hung_up
    }

    /// Ends the stream.
    pub(crate) fn hang_up(&mut self) {
        self.note_end();
        if let Some(tls) = &mut self.tls {
            tls.disconnect_from_stream();
        }
        self.tcp.disconnect_from_host();
    }

    pub(crate) fn set_no_delay(&mut self, enabled: bool) {
        self.tcp.set_no_delay(enabled);
    }

    fn note_end(&mut self) {
        if !std::mem::replace(&mut self.hung_up, true) {
            self.pump.hung_up();
        }
    }

    fn readiness(&mut self) -> Readiness {
        if let Some(tls) = &mut self.tls {
            tls.poll();
            return match tls.get_status() {
                stream_peer_tls::Status::CONNECTED => Readiness::Ready,
                stream_peer_tls::Status::HANDSHAKING => Readiness::NotYet,
                _ => Readiness::Over,
            };
        }
        self.tcp.poll();
        match self.tcp.get_status() {
            stream_peer_tcp::Status::CONNECTED => Readiness::Ready,
            stream_peer_tcp::Status::CONNECTING => Readiness::NotYet,
            _ => Readiness::Over,
        }
    }

    fn read(&mut self) {
        while !self.hung_up {
            let size = self.pump.room().min(READ_SIZE);
            if size == 0 {
                return;
            }
            let answer = self.stream.get_partial_data(i32::try_from(size).unwrap_or(i32::MAX));
            let bytes =
                answer.get(1).and_then(|bytes| bytes.try_to::<PackedByteArray>().ok()).unwrap_or_default();
            if !bytes.is_empty() {
                self.pump.put(bytes.as_slice());
            }
            if error_of(&answer) != Error::OK {
                self.note_end();
            } else if bytes.is_empty() {
                return;
            }
        }
    }

    fn write(&mut self) -> usize {
        let Self { pump, stream, .. } = self;
        let written = pump.take(|bytes| {
            let answer = stream.put_partial_data(&PackedByteArray::from(bytes));
            match error_of(&answer) {
                Error::OK => {
                    Ok(answer.get(1).and_then(|sent| sent.try_to::<i64>().ok()).map_or(0, convert::bytes))
                }
                error => Err(error),
            }
        });
        written.unwrap_or_else(|_| {
            self.note_end();
            0
        })
    }
}

/// Whether bytes can be carried.
enum Readiness {
    NotYet,
    Ready,
    Over,
}

fn error_of(answer: &VarArray) -> Error {
    let number = answer.get(0).and_then(|error| error.try_to::<i32>().ok());
    number.and_then(Error::try_from_ord).unwrap_or(Error::FAILED)
}

fn address_of(tcp: &Gd<StreamPeerTcp>) -> Option<SocketAddr> {
    let ip = tcp.get_connected_host().to_string().parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(tcp.get_connected_port()).ok()?))
}
