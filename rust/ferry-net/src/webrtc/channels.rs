//! The data channels of one connection, on the network thread: which stream carries which, what waits for its turn, how
//! they open and close (RFC 8831, 8832).
//!
//! Messages wait here, channel by channel, and are handed to SCTP a little at a time and in turns, so that a backlog on one
//! channel does not hold up another, and what is too late is still here to be dropped. A channel is closed by resetting its
//! stream, once all that was put on it has left; the other end does the same in answer.
//!
//! What the other end can do: announce channels, up to [`MOST_CHANNELS`] with names of [`MOST_NAMES`] bytes altogether; more
//! are closed at once. Messages on streams that
//! are nobody's are dropped.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_sctp::{Association, Message, Reliability};

use super::channel::{ChannelId, ChannelInit, ChannelShared, NO_STREAM, Persistence};
use super::command::{NewChannel, Notice};
use super::connection::{ConnectionShared, MOST_CHANNELS, MOST_NAMES};
use super::dcep::{self, Control};
use crate::packet::Kind;
use crate::room::Room;

/// As much of a channel is handed to SCTP ahead of what it can send: some packets, so that it never runs dry between two
/// turns.
const AHEAD: usize = 64 * 1024;

/// Bytes of messages that may get lost and wait on one channel. Beyond, the oldest go: they are stale.
const MOST_LOSSY: usize = 4 << 20;

/// What a waiting message counts besides its bytes.
const MESSAGE_OVERHEAD: usize = 64;

/// What travels of a channel's own messages: always, and in order.
const CONTROL_RELIABILITY: Reliability = Reliability::RELIABLE;

/// All channels of a connection.
#[derive(Default)]
pub(super) struct Channels {
    by_id: BTreeMap<ChannelId, Channel>,
    by_stream: HashMap<u16, ChannelId>,
    /// Those whose messages wait.
    waiting: Vec<ChannelId>,
    /// The association stands; which end began the encryption decides which streams this one announces channels on.
    is_open: bool,
    next_stream: u16,
    next_announced: u32,
    /// Bytes of the names of announced channels.
    names: usize,
    pub(super) dropped: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
}

struct Channel {
    init: ChannelInit,
    shared: Arc<ChannelShared>,
    stream: Option<u16>,
    /// It was announced, and the other end has not said yet that it knows: messages keep their order until then, so that
    /// none overtakes the announcement.
    unconfirmed: bool,
    outbox: VecDeque<Waiting>,
    outbox_bytes: usize,
    /// Lengths of messages that SCTP has and has not sent yet, the oldest first.
    handed: VecDeque<usize>,
    handed_bytes: usize,
    /// It is in `waiting`.
    in_turn: bool,
    closing: Closing,
}

struct Waiting {
    kind: Kind,
    payload: Bytes,
    since: Instant,
}

/// A message that the game puts on a channel; `lossy` as the channel is.
pub(super) struct Put {
    pub(super) kind: Kind,
    pub(super) payload: Bytes,
    pub(super) lossy: bool,
}

/// How far a channel is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// The game wants it, and messages wait yet.
    Wanted,
    /// This end's side is being reset: `confirmed` once the other end knows, `heard` once its own side is. Until both are, its
    /// number is no other's.
    Reset {
        heard: bool,
        confirmed: bool,
    },
}

impl Channel {
    fn new(init: ChannelInit, shared: Arc<ChannelShared>) -> Self {
        Self {
            init,
            shared,
            stream: None,
            unconfirmed: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            handed: VecDeque::new(),
            handed_bytes: 0,
            in_turn: false,
            closing: Closing::No,
        }
    }

    fn reliability(&self) -> Reliability {
        let (lifetime, retransmits) = match self.init.persistence {
            Persistence::Reliable => (None, None),
            Persistence::Lifetime(time) => (Some(time), None),
            Persistence::Retransmits(count) => (None, Some(count)),
        };
        Reliability { ordered: !self.init.unordered || self.unconfirmed, lifetime, retransmits }
    }

    /// A message does not wait any more.
    fn gone(&self, payload: usize, connection: &ConnectionShared) {
        self.shared.left(payload);
        if !self.init.is_lossy() {
            connection.room.release(Room::cost_of(payload));
        }
    }

    /// Takes the next message that somebody still wants.
    fn next(&mut self, now: Instant, connection: &ConnectionShared, dropped: &mut u64) -> Option<Waiting> {
        loop {
            let message = self.outbox.pop_front()?;
            let length = message.payload.len();
            self.outbox_bytes -= length + MESSAGE_OVERHEAD;
            if !is_late(self.init.persistence, message.since, now) {
                self.handed.push_back(length);
                self.handed_bytes += length.max(1);
                return Some(message);
            }
            self.gone(length, connection);
            *dropped += 1;
        }
    }

    /// Messages that SCTP has sent do not wait any more; `ahead` bytes do.
    fn settle(&mut self, ahead: usize, connection: &ConnectionShared) {
        while self.handed_bytes > ahead
            && let Some(length) = self.handed.pop_front()
        {
            self.handed_bytes -= length.max(1);
            self.gone(length, connection);
        }
    }

    /// Whether nothing waits.
    fn is_empty(&self) -> bool {
        self.outbox.is_empty() && self.handed.is_empty()
    }

    /// Closes this end's side; `heard` if the other end has closed its own.
    fn begin_reset(&mut self, stream: u16, heard: bool, sctp: &mut Association, now: Instant) {
        self.closing = Closing::Reset { heard, confirmed: false };
        sctp.reset_stream(now, stream);
    }

    /// Forgets all that waits.
    fn drop_all(&mut self, connection: &ConnectionShared) {
        for message in std::mem::take(&mut self.outbox) {
            self.gone(message.payload.len(), connection);
        }
        for length in std::mem::take(&mut self.handed) {
            self.gone(length, connection);
        }
        (self.outbox_bytes, self.handed_bytes) = (0, 0);
    }
}

impl Channels {
    /// The game wants a channel.
    pub(super) fn add(
        &mut self,
        new: NewChannel,
        sctp: Option<&mut Association>,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        let NewChannel { id, init, shared } = new;
        let mut channel = Channel::new(init, shared);
        if let Some(stream) = channel.init.negotiated {
            let before = self.by_stream.get(&stream).and_then(|before| self.by_id.get(before));
            match before.map(|before| before.closing) {
                None => {
                    channel.stream = Some(stream);
                    self.by_stream.insert(stream, id);
                }
                Some(Closing::Reset { .. }) => {
                    // The game has seen that one close; it opens when the other end has, too.
                    self.by_id.insert(id, channel);
                    return;
                }
                Some(Closing::No | Closing::Wanted) => {
                    // The other end was quicker to announce one there.
                    notices.push(Notice::ChannelClosed { channel: id });
                    return;
                }
            }
        }
        self.by_id.insert(id, channel);
        if self.is_open
            && let Some(sctp) = sctp
        {
            self.open(id, sctp, now, notices);
        }
    }

    /// The association stands.
    pub(super) fn established(
        &mut self,
        is_dtls_client: bool,
        sctp: &mut Association,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        self.is_open = true;
        self.next_stream = u16::from(!is_dtls_client);
        for id in self.by_id.keys().copied().collect::<Vec<_>>() {
            self.open(id, sctp, now, notices);
        }
    }

    fn open(&mut self, id: ChannelId, sctp: &mut Association, now: Instant, notices: &mut Vec<Notice>) {
        let announced = self.by_id.get(&id).is_some_and(|channel| channel.stream.is_none());
        let stream = if announced { self.free_stream() } else { None };
        let Some(channel) = self.by_id.get_mut(&id) else { return };
        if announced {
            let Some(stream) = stream else {
                self.by_id.remove(&id);
                notices.push(Notice::ChannelClosed { channel: id });
                return;
            };
            channel.stream = Some(stream);
            channel.unconfirmed = true;
            self.by_stream.insert(stream, id);
            control(sctp, now, stream, &Control::Open(channel.init.clone()));
        }
        if let Some(stream) = channel.stream {
            notices.push(Notice::ChannelOpened { channel: id, stream });
        }
    }

    /// Ends announce channels on streams of their own: even ones if they began the encryption, odd ones else.
    fn free_stream(&mut self) -> Option<u16> {
        for _ in 0..=MOST_CHANNELS {
            let stream = self.next_stream;
            self.next_stream = if stream < NO_STREAM - 2 { stream + 2 } else { stream % 2 };
            if !self.by_stream.contains_key(&stream) {
                return Some(stream);
            }
        }
        None
    }

    /// The game puts a message on a channel.
    pub(super) fn put(&mut self, id: ChannelId, put: Put, now: Instant, connection: &ConnectionShared) {
        let Put { kind, payload, lossy } = put;
        let Some(channel) = self.by_id.get_mut(&id) else {
            // It has just been closed, by the other end.
            if !lossy {
                connection.room.release(Room::cost_of(payload.len()));
            }
            return;
        };
        channel.outbox_bytes += payload.len() + MESSAGE_OVERHEAD;
        channel.outbox.push_back(Waiting { kind, payload, since: now });
        if channel.init.is_lossy() {
            while channel.outbox_bytes > MOST_LOSSY {
                let Some(oldest) = channel.outbox.pop_front() else { break };
                channel.outbox_bytes -= oldest.payload.len() + MESSAGE_OVERHEAD;
                channel.gone(oldest.payload.len(), connection);
                self.dropped += 1;
            }
        }
        if !channel.in_turn {
            channel.in_turn = true;
            self.waiting.push(id);
        }
    }

    /// Hands over to SCTP what it can take; false if that was nothing.
    pub(super) fn pump(
        &mut self,
        sctp: &mut Association,
        now: Instant,
        connection: &ConnectionShared,
    ) -> bool {
        let mut took = false;
        if !self.is_open {
            return took;
        }
        // What may get lost goes first: a long message that has begun is finished before anything else.
        self.waiting.sort_by_key(|id| self.by_id.get(id).is_some_and(|channel| !channel.init.is_lossy()));
        let Self { by_id, waiting, dropped, sent, .. } = self;
        waiting.retain(|id| {
            let Some(channel) = by_id.get_mut(id) else { return false };
            let Some(stream) = channel.stream else { return true };
            let mut ahead = sctp.unsent_bytes(stream);
            channel.settle(ahead, connection);
            while ahead < AHEAD
                && let Some(message) = channel.next(now, connection, dropped)
            {
                let (ppid, payload) = dcep::wrap(message.kind, message.payload);
                ahead += payload.len();
                took = true;
                *sent += 1;
                sctp.send(now, Message { stream, ppid, payload }, channel.reliability());
            }
            channel.in_turn = !channel.is_empty();
            if !channel.in_turn && channel.closing == Closing::Wanted {
                channel.begin_reset(stream, false, sctp, now);
            }
            channel.in_turn
        });
        took
    }

    /// Whether messages wait that SCTP has not got.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|id| self.by_id.get(id).is_some_and(|channel| !channel.outbox.is_empty()))
    }

    /// A message has come.
    pub(super) fn arrived(
        &mut self,
        message: Message,
        sctp: &mut Association,
        now: Instant,
        connection: &ConnectionShared,
        notices: &mut Vec<Notice>,
    ) {
        let Message { stream, ppid, payload } = message;
        if ppid == dcep::CONTROL {
            self.controlled(stream, &payload, sctp, now, notices);
            return;
        }
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        let Some((kind, payload)) = dcep::unwrap(ppid, payload) else { return };
        // The other end knows the channel.
        if let Some(channel) = self.by_id.get_mut(&id) {
            channel.unconfirmed = false;
        }
        self.received += 1;
        connection.took(payload.len());
        notices.push(Notice::Message { channel: id, kind, payload });
    }

    fn controlled(
        &mut self,
        stream: u16,
        payload: &[u8],
        sctp: &mut Association,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) {
        match Control::parse(payload) {
            Some(Control::Ack) => {
                let id = self.by_stream.get(&stream);
                if let Some(channel) = id.and_then(|id| self.by_id.get_mut(id)) {
                    channel.unconfirmed = false;
                }
            }
            Some(Control::Open(_)) if self.by_stream.contains_key(&stream) => {}
            Some(Control::Open(init)) if !self.takes(stream, &init) => sctp.reset_stream(now, stream),
            Some(Control::Open(init)) => {
                self.names += init.name_bytes();
                let id = ChannelId(ChannelId::FIRST_ANNOUNCED + self.next_announced);
                self.next_announced += 1;
                let shared = Arc::<ChannelShared>::default();
                let mut channel = Channel::new(init.clone(), shared.clone());
                channel.stream = Some(stream);
                self.by_stream.insert(stream, id);
                self.by_id.insert(id, channel);
                control(sctp, now, stream, &Control::Ack);
                notices.push(Notice::ChannelAnnounced {
                    new: Box::new(NewChannel { id, init, shared }),
                    stream,
                });
            }
            None => {}
        }
    }

    /// Whether another announced channel is taken.
    fn takes(&self, stream: u16, init: &ChannelInit) -> bool {
        self.by_id.len() < MOST_CHANNELS
            && stream != NO_STREAM
            && self.names + init.name_bytes() <= MOST_NAMES
    }

    /// The game wants a channel closed.
    pub(super) fn close(
        &mut self,
        id: ChannelId,
        sctp: Option<&mut Association>,
        now: Instant,
        connection: &ConnectionShared,
        notices: &mut Vec<Notice>,
    ) {
        let Some(channel) = self.by_id.get_mut(&id) else { return };
        if channel.closing != Closing::No {
            return;
        }
        match (channel.stream, sctp) {
            (Some(stream), Some(sctp)) if self.is_open => {
                if channel.is_empty() {
                    channel.begin_reset(stream, false, sctp, now);
                } else {
                    channel.closing = Closing::Wanted;
                }
            }
            // The other end has not heard of it.
            _ => self.remove(id, connection, notices),
        }
    }

    /// The other end has closed its side of a stream.
    pub(super) fn reset_by_other(
        &mut self,
        stream: u16,
        sctp: &mut Association,
        now: Instant,
        connection: &ConnectionShared,
        notices: &mut Vec<Notice>,
    ) {
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        let Some(channel) = self.by_id.get_mut(&id) else { return };
        match channel.closing {
            Closing::Reset { confirmed: true, .. } => self.remove(id, connection, notices),
            Closing::Reset { confirmed: false, .. } => {
                channel.closing = Closing::Reset { heard: true, confirmed: false };
            }
            Closing::No | Closing::Wanted => {
                channel.drop_all(connection);
                channel.begin_reset(stream, true, sctp, now);
                notices.push(Notice::ChannelClosed { channel: id });
            }
        }
    }

    /// The other end has confirmed that this end's side of a stream is closed.
    pub(super) fn reset_confirmed(
        &mut self,
        stream: u16,
        connection: &ConnectionShared,
        notices: &mut Vec<Notice>,
    ) {
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        let Some(channel) = self.by_id.get_mut(&id) else { return };
        match channel.closing {
            Closing::Reset { heard: true, .. } => self.remove(id, connection, notices),
            Closing::Reset { heard: false, .. } => {
                channel.closing = Closing::Reset { heard: false, confirmed: true };
                notices.push(Notice::ChannelClosed { channel: id });
            }
            Closing::No | Closing::Wanted => {}
        }
    }

    fn remove(&mut self, id: ChannelId, connection: &ConnectionShared, notices: &mut Vec<Notice>) {
        let Some(mut channel) = self.by_id.remove(&id) else { return };
        if id.is_announced() {
            self.names -= channel.init.name_bytes();
        }
        channel.drop_all(connection);
        // Twice does no harm.
        notices.push(Notice::ChannelClosed { channel: id });
        let Some(stream) = channel.stream else { return };
        self.by_stream.remove(&stream);
        let waits = |next: &Channel| next.stream.is_none() && next.init.negotiated == Some(stream);
        if let Some((id, next)) = self.by_id.iter_mut().find(|(_, next)| waits(next)) {
            next.stream = Some(stream);
            self.by_stream.insert(stream, *id);
            notices.push(Notice::ChannelOpened { channel: *id, stream });
        }
    }
}

/// Whether nobody wants it any more, by its waiting here alone.
fn is_late(persistence: Persistence, since: Instant, now: Instant) -> bool {
    match persistence {
        Persistence::Lifetime(time) => now.saturating_duration_since(since) > time.max(LEAST_PATIENCE),
        _ => false,
    }
}

/// The engine's own lifetime, a millisecond, means "do not send it twice": what waits for its turn in a burst, or behind a long
/// message on a slow line, is not late.
pub(super) const LEAST_PATIENCE: Duration = Duration::from_millis(250);

fn control(sctp: &mut Association, now: Instant, stream: u16, control: &Control) {
    let message = Message { stream, ppid: dcep::CONTROL, payload: control.write() };
    sctp.send(now, message, CONTROL_RELIABILITY);
}
