//! What stands behind a `FerryWebSocketPeer`: its connection, the packets that wait to be read, and how it ended.
//!
//! Three kinds of connection: one that the script made (an endpoint of its own), one that came in over a stream of the
//! engine's (an endpoint that works on a `StreamPump`), and one of a multiplayer peer, which keeps the endpoint and reads the
//! packets: it is only lent.
//!
//! What the script sees of its own changes in `poll` and `close` only. A connection that has ended still counts as open
//! while packets of it are unread, since the engine's way is to read only from what is open; for a moment at most, if
//! nothing is read.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::{LinkError, LinkId};
use ferry_net::reason::{Farewell, Reason};
use ferry_net::websocket::{Event, Kind, Particulars, Phase, Settings, Sockets};

use crate::stream_pump::StreamPump;
use crate::websocket_settings::SocketSettings;

/// No close code: as the engine says it.
const NO_CODE: i64 = -1;

/// Of what is waiting to be read, packets count a little more than their bytes, so that a flood of empty ones is bounded too.
const PACKET_OVERHEAD: usize = 64;

/// How long the end of a connection waits for its packets to be read, if none is.
const UNREAD_PATIENCE: Duration = Duration::from_secs(1);

/// How long the last words over a stream of the engine's may take: it ends with the object that carries it.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// All that a `FerryWebSocketPeer` is.
#[derive(Default)]
pub(crate) struct Socket {
    pub(crate) settings: SocketSettings,
    pub(crate) limits: Limits,
    heartbeat: Option<Duration>,
    connection: Option<Connection>,
    /// How the last one ended.
    end: End,
    /// What is still known of it.
    left: Option<Particulars>,
    incoming: Incoming,
}

/// A connection, from when it is begun until its end is seen.
pub(crate) struct Connection {
    sockets: Sockets,
    link: LinkId,
    kind: Ownership,
}

/// Whose the endpoint is.
enum Ownership {
    /// The script's.
    Own {
        /// As the script sees it.
        phase: Phase,
        /// The stream that it came over, if it came over one of the engine's.
        stream: Option<Box<StreamPump>>,
        /// It has ended, at this time, but packets of it are unread.
        held: Option<(End, Instant)>,
    },
    /// A multiplayer peer's.
    Lent,
}

/// How a connection ended.
#[derive(Clone)]
pub(crate) struct End {
    /// The code of the other end's goodbye.
    pub(crate) code: i64,
    pub(crate) text: String,
    pub(crate) farewell: Farewell,
}

impl End {
    fn without_goodbye(farewell: impl Into<Farewell>) -> Self {
        Self { code: NO_CODE, text: String::new(), farewell: farewell.into() }
    }
}

impl Default for End {
    fn default() -> Self {
        Self::without_goodbye(Reason::None)
    }
}

impl Connection {
    /// With an endpoint of its own, over a stream of the engine's or none.
    pub(crate) fn own(sockets: Sockets, link: LinkId, stream: Option<StreamPump>) -> Self {
        let stream = stream.map(Box::new);
        Self { sockets, link, kind: Ownership::Own { phase: Phase::Connecting, stream, held: None } }
    }

    /// One of a multiplayer peer's.
    pub(crate) fn lent(sockets: Sockets, link: LinkId) -> Self {
        Self { sockets, link, kind: Ownership::Lent }
    }

    /// Its endpoint.
    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    fn phase(&self) -> Option<Phase> {
        match self.kind {
            Ownership::Own { phase, .. } => Some(phase),
            Ownership::Lent => self.sockets.phase(self.link),
        }
    }
}

/// A connection that is not the script's any more. What is left to do with it calls the engine, and that may call scripts: so
/// not under the lock that they would want.
#[must_use = "the connection must be let go of"]
pub(crate) struct Leaving {
    connection: Connection,
    at_once: bool,
}

impl Leaving {
    /// Lets go of the endpoint: what was sent before still leaves, with a goodbye, unless it is to be at once.
    pub(crate) fn run(self) {
        let Self { connection: Connection { sockets, link, kind }, at_once } = self;
        let Ownership::Own { phase, stream, .. } = kind else { return };
        if at_once {
            sockets.drop_link(link);
        }
        sockets.close();
        if let Some(mut stream) = stream {
            if !at_once && phase != Phase::Connecting {
                stream.run_out(LAST_WORDS);
            }
            stream.hang_up();
        }
    }
}

impl Socket {
    /// The state, if there is a connection.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.connection.as_ref().and_then(Connection::phase)
    }

    /// How the last connection ended.
    pub(crate) fn end(&self) -> End {
        match &self.connection {
            Some(Connection { sockets, link, kind: Ownership::Lent }) => {
                let goodbye = sockets.goodbye(*link);
                goodbye.map_or_else(End::default, |(code, text)| End {
                    code: code.into(),
                    text,
                    ..End::default()
                })
            }
            _ => self.end.clone(),
        }
    }

    /// What is known of the connection, also after its end.
    pub(crate) fn particulars(&self) -> Option<Particulars> {
        let standing = self.way().and_then(|(sockets, link)| sockets.particulars(link));
        standing.or_else(|| self.left.clone())
    }

    /// The connection's endpoint and link.
    pub(crate) fn way(&self) -> Option<(&Sockets, LinkId)> {
        self.connection.as_ref().map(|connection| (&connection.sockets, connection.link))
    }

    /// Begins another connection; what there was before is over.
    pub(crate) fn begin(&mut self, connection: Connection) -> Option<Leaving> {
        let leaving = self.finish(End::default(), true);
        self.left = None;
        self.connection = Some(connection);
        leaving
    }

    /// Lets go of the connection: what was sent leaves, and a goodbye.
    pub(crate) fn release(&mut self) -> Option<Leaving> {
        self.connection.take().map(|connection| Leaving { connection, at_once: false })
    }

    fn finish(&mut self, end: End, at_once: bool) -> Option<Leaving> {
        self.incoming.clear();
        self.left = self.particulars();
        self.end = end;
        self.connection.take().map(|connection| Leaving { connection, at_once })
    }

    /// Takes out the stream of the engine's, to be run and given back.
    pub(crate) fn take_stream(&mut self) -> Option<Box<StreamPump>> {
        match &mut self.connection {
            Some(Connection { kind: Ownership::Own { stream, .. }, .. }) => stream.take(),
            _ => None,
        }
    }

    /// Gives it back; or what is to be let go of, if there is no place for it any more.
    pub(crate) fn give_back(&mut self, ran: Box<StreamPump>) -> Option<Box<StreamPump>> {
        match &mut self.connection {
            Some(Connection { kind: Ownership::Own { stream: place @ None, .. }, sockets, .. })
                if ran.is_of(sockets) =>
            {
                *place = Some(ran);
                None
            }
            _ => Some(ran),
        }
    }

    /// Lets leave what was sent, and takes in what has happened. A stream of the engine's must have been run before.
    pub(crate) fn poll(&mut self) -> Option<Leaving> {
        let most = self.settings.settings().max_queued_packets.max(1);
        let Self { connection: Some(connection), incoming, limits, .. } = self else { return None };
        let Connection { sockets, kind: Ownership::Own { phase, stream, held }, .. } = connection else {
            connection.sockets.flush();
            return None;
        };
        sockets.begin_turn();
        while held.is_none() && incoming.bytes <= limits.inbound && incoming.len() < most {
            let Some(event) = sockets.next_event() else { break };
            let end = match event {
                Event::Connected { .. } => {
                    *phase = Phase::Open;
                    continue;
                }
                Event::Message { kind, payload, .. } => {
                    // Who has said goodbye does not listen any more.
                    if *phase == Phase::Open {
                        incoming.push(kind, payload);
                    }
                    continue;
                }
                Event::Closed { code, text, farewell, .. } => {
                    End { code: code.map_or(NO_CODE, i64::from), text, farewell }
                }
                Event::Failed(farewell) => End::without_goodbye(farewell),
            };
            *held = Some((end, Instant::now()));
        }
        if *phase == Phase::Connecting
            && held.is_none()
            && stream.as_ref().is_some_and(|stream| stream.is_over())
        {
            let end = Farewell::with(Reason::Handshake, "the stream that was accepted is not connected");
            *held = Some((End::without_goodbye(end), Instant::now()));
        }
        // Its goodbye, too, goes through the stream.
        let is_said = stream.as_ref().is_none_or(|stream| stream.is_finished());
        let ended = held.take_if(|(_, since)| {
            let is_read = *phase != Phase::Open || !incoming.is_awaited(*since);
            is_read && (is_said || since.elapsed() >= UNREAD_PATIENCE)
        });
        ended.and_then(|(end, _)| self.finish(end, false))
    }

    /// Says goodbye, or ends the connection at once where there is nobody to say it to; `code` is `None` for the latter always.
    pub(crate) fn close(&mut self, code: Option<u16>, text: &str) -> Option<Leaving> {
        let connection = self.connection.as_mut()?;
        let (sockets, link) = (&connection.sockets, connection.link);
        match (connection.phase(), code) {
            (Some(Phase::Open), Some(code)) => {
                sockets.close_link(link, code, text);
                sockets.flush();
                if let Ownership::Own { phase, .. } = &mut connection.kind {
                    *phase = Phase::Closing;
                }
                // As with the engine's own, nothing is read after this.
                self.incoming.clear();
                None
            }
            (Some(Phase::Connecting), _) | (Some(_), None) => {
                sockets.drop_link(link);
                self.finish(End::without_goodbye(Reason::LocalClose), true)
            }
            (Some(Phase::Closing), Some(_)) | (None, _) => None,
        }
    }

    /// Queues a message, if the connection is open.
    pub(crate) fn send(&self, kind: Kind, payload: Bytes) -> Result<(), LinkError> {
        let (sockets, link) = self.way().ok_or(LinkError::NotConnected)?;
        if self.phase() != Some(Phase::Open) {
            return Err(LinkError::NotConnected);
        }
        sockets.send(link, kind, payload, false)
    }

    /// The packets that wait to be read, while there is a connection to read from.
    pub(crate) fn incoming(&mut self) -> Option<&mut Incoming> {
        (self.phase() == Some(Phase::Open)).then_some(&mut self.incoming)
    }

    /// Whether the packet that was read last is text.
    pub(crate) fn was_text(&self) -> bool {
        self.incoming.was_text
    }

    /// What its next endpoint is made with.
    pub(crate) fn next_settings(&self) -> Settings {
        Settings { heartbeat: self.heartbeat, ..self.settings.settings() }
    }

    /// How often to ask for a sign of life; `None` for what the peer timeout calls for.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// Sets it.
    pub(crate) fn set_heartbeat(&mut self, heartbeat: Option<Duration>) {
        self.heartbeat = heartbeat;
        if let Some((sockets, link)) = self.way() {
            sockets.set_heartbeat(link, heartbeat);
        }
    }

    /// Sets times and sizes. Of a multiplayer peer's connection, that one sets them.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        if let Some(Connection { sockets, kind: Ownership::Own { .. }, .. }) = &self.connection {
            sockets.set_limits(limits);
        }
    }

    /// Whether small messages leave at once; false if there is no connection.
    pub(crate) fn set_no_delay(&mut self, no_delay: bool) -> bool {
        match &mut self.connection {
            Some(Connection { kind: Ownership::Own { stream: Some(stream), .. }, .. }) => {
                stream.set_no_delay(no_delay);
            }
            Some(connection) => connection.sockets.set_no_delay(connection.link, no_delay),
            None => return false,
        }
        true
    }
}

/// Packets that came, to be read one by one.
#[derive(Default)]
pub(crate) struct Incoming {
    packets: VecDeque<(Kind, Bytes)>,
    bytes: usize,
    /// When one was read last.
    last_read: Option<Instant>,
    was_text: bool,
    /// The one that was read last, whose bytes the engine may still look at.
    lent: Bytes,
}

impl Incoming {
    fn push(&mut self, kind: Kind, payload: Bytes) {
        self.bytes += PACKET_OVERHEAD + payload.len();
        self.packets.push_back((kind, payload));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Takes the next one; its bytes stay where they are until the one after it is taken.
    pub(crate) fn take(&mut self) -> Option<&Bytes> {
        let (kind, payload) = self.packets.pop_front()?;
        self.bytes -= PACKET_OVERHEAD + payload.len();
        self.last_read = Some(Instant::now());
        self.was_text = kind == Kind::Text;
        self.lent = payload;
        Some(&self.lent)
    }

    /// Whether somebody is still about to read them.
    fn is_awaited(&self, since: Instant) -> bool {
        let since = self.last_read.map_or(since, |read| read.max(since));
        !self.packets.is_empty() && since.elapsed() < UNREAD_PATIENCE
    }

    /// Forgets the packets, but for the one that is lent.
    fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
        self.last_read = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_in_order_and_their_kind_is_remembered() {
        let mut incoming = Incoming::default();
        incoming.push(Kind::Text, Bytes::from_static(b"one"));
        incoming.push(Kind::Binary, Bytes::from_static(b""));
        assert_eq!(incoming.bytes, 3 + 2 * PACKET_OVERHEAD);
        assert_eq!(incoming.take().map(|bytes| &bytes[..]), Some(&b"one"[..]));
        assert!(incoming.was_text);
        assert_eq!(incoming.take().map(Bytes::len), Some(0));
        assert!(!incoming.was_text && incoming.take().is_none() && incoming.bytes == 0);
    }

    #[test]
    fn the_end_waits_for_packets_that_are_being_read_and_not_for_others() {
        let mut incoming = Incoming::default();
        let now = Instant::now();
        assert!(!incoming.is_awaited(now));
        incoming.push(Kind::Binary, Bytes::from_static(b"one"));
        incoming.push(Kind::Binary, Bytes::from_static(b"two"));
        assert!(incoming.is_awaited(now));
        let long_ago = now.checked_sub(2 * UNREAD_PATIENCE).unwrap();
        assert!(!incoming.is_awaited(long_ago));
        incoming.take();
        assert!(incoming.is_awaited(long_ago));
        incoming.take();
        assert!(!incoming.is_awaited(now));
    }
}
