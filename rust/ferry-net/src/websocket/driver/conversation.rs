//! A link that stands: messages both ways, signs of life, and the end.
//!
//! [`Conversation::turn`] does everything once, in this order: orders of the game, writing, reading, time. What the game sent
//! in a frame has come together in the orders, and leaves in one write. Writing stops where the socket does, and what
//! waits stays in the game's queue, whose limit the game feels. Reading stops where the game's inbox is full, so that the
//! other end's queue fills instead; meanwhile this end goes on pinging, so as to count as alive.
//!
//! What a stranger's messages may cost is seen to by `frames` and `assembly`; how many pings he may send, here.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::Shared;
use super::allowance::{self, Allowance};
use super::assembly::{FREE, Verdict};
use crate::limits::Limits;
use crate::link::LinkId;
use crate::peer_id::PeerId;
use crate::random;
use crate::reason::{Farewell, Reason};
use crate::stats::LinkStats;
use crate::websocket::close::{self, Goodbye};
use crate::websocket::command::{Event, Made, Notice};
use crate::websocket::frames::{PIECE, Violation, Whole};
use crate::websocket::keep_alive::KeepAlive;
use crate::websocket::link::{Kind, LinkShared, Order, Outgoing, Particulars};
use crate::websocket::wire::{Traffic, Wire};

/// Longer messages go past tungstenite, which would copy them and keep the memory.
const LONG: usize = PIECE;

/// What comes together before it is written without waiting for the turn's end.
const WRITE_BUFFER: usize = 32 * 1024;

/// What may wait behind a socket that is full: a message, and what pings call for. That much is never reached otherwise.
const MOST_BUFFERED: usize = 1024 * 1024;

/// What the WebSocket reads at once; small, since the wire reads ahead.
const READ_BUFFER: usize = 2 * 1024;

/// Messages read in a turn, about.
const MESSAGES_IN_A_TURN: usize = 512;

/// Messages that may get lost and wait for a slow reader, in bytes. A second of ten megabits.
const MOST_DROPPABLE: usize = 1280 * 1024;

/// What such a message counts besides its bytes.
const DROPPABLE_OVERHEAD: usize = 64;

/// How long a goodbye may take since the other end last took something of what was queued.
const GOODBYE_BOUND: Duration = Duration::from_secs(5);

/// How long the last words may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often to look whether there is room for a large message, besides when somebody makes some.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Figures are shown at most this late.
const PUBLISH_EVERY: Duration = Duration::from_millis(20);

/// What tungstenite is set up with.
pub(super) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MOST_BUFFERED)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(PIECE))
}

/// How a link has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) farewell: Farewell,
    /// The other end's goodbye, or ours if it broke the rules.
    pub(super) goodbye: Option<Goodbye>,
    /// Nobody wants to hear of it.
    pub(super) silent: bool,
}

impl From<Farewell> for Ended {
    fn from(farewell: Farewell) -> Self {
        Self { farewell, goodbye: None, silent: false }
    }
}

/// Who is at the other end, and who says what first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Introduction {
    /// Every message is the game's.
    None,
    /// This server's first message gives the client this id.
    Given(PeerId),
    /// The server's first message gives this client its id, until then.
    Awaited(Instant),
}

pub(super) struct Conversation {
    stream: WebSocketStream<Wire>,
    shared: Arc<Shared>,
    link: LinkId,
    own: Arc<LinkShared>,
    particulars: Particulars,
    introduction: Introduction,
    is_server: bool,
    /// Messages that the game may leave unfetched.
    most_unread: usize,
    limits: Limits,
    orders: Vec<Order>,
    queue: VecDeque<Outgoing>,
    droppable_bytes: usize,
    /// The length of a long message that is on its way, if it took room.
    long: Option<usize>,
    /// The socket took less than there was; of this end's bytes, so many had left.
    blocked: bool,
    sent_bytes: u64,
    /// Nothing can be written any more; what has come is still read.
    cut: bool,
    closing: Option<Closing>,
    alive: KeepAlive,
    heartbeat: Option<Duration>,
    timer: Pin<Box<tokio::time::Sleep>>,
    nuisance: Allowance,
    /// Pings and pongs that came while the socket took no answers.
    unanswered: u32,
    /// Part of a large message is held.
    assembling: bool,
    figures: LinkStats,
    /// What of the traffic the endpoint's figures know.
    counted: Traffic,
    published: Instant,
}

/// This end says goodbye.
struct Closing {
    /// Until it has left.
    goodbye: Option<Goodbye>,
    /// Further off with whatever the other end takes, but not further than `at_most`.
    until: Instant,
    at_most: Instant,
}

impl Conversation {
    pub(super) fn new(
        stream: WebSocketStream<Wire>,
        shared: Arc<Shared>,
        link: LinkId,
        own: Arc<LinkShared>,
        particulars: Particulars,
        introduction: Introduction,
        role: Role,
    ) -> Self {
        let now = Instant::now();
        let limits = shared.limits();
        let configured = shared.configured();
        let heartbeat = configured.settings.heartbeat;
        let alive = KeepAlive::new(now, limits.peer_timeout, heartbeat);
        Self {
            timer: Box::pin(tokio::time::sleep_until(alive.next_due().into())),
            stream,
            particulars,
            introduction,
            is_server: role == Role::Server,
            most_unread: configured.settings.max_queued_packets.max(1),
            limits,
            orders: Vec::new(),
            queue: VecDeque::new(),
            droppable_bytes: 0,
            long: None,
            blocked: false,
            sent_bytes: 0,
            cut: false,
            closing: None,
            alive,
            heartbeat,
            nuisance: Allowance::new(now),
            unanswered: 0,
            assembling: false,
            figures: LinkStats::default(),
            counted: Traffic::default(),
            published: now,
            shared,
            link,
            own,
        }
    }

    /// Runs until the end, and tells the game.
    pub(super) async fn run(mut self) {
        self.publish(Instant::now());
        let ended = match self.begin() {
            Some(ended) => ended,
            None => poll_fn(|context| self.turn(context)).await,
        };
        self.end(ended).await;
    }

    /// Says what comes first, and tells the game that the link stands, unless the other end speaks first.
    fn begin(&mut self) -> Option<Ended> {
        let id = match self.introduction {
            Introduction::Awaited(_) => return None,
            Introduction::None => None,
            Introduction::Given(id) => {
                let message = Message::Binary(Bytes::copy_from_slice(&id.get().to_le_bytes()));
                if let Err(error) = Pin::new(&mut self.stream).start_send(message) {
                    return Some(broken(&error));
                }
                Some(id)
            }
        };
        let notice = self.connected(id);
        self.shared.port.deliver(&mut vec![notice]);
        None
    }

    fn connected(&self, id: Option<PeerId>) -> Notice {
        let incoming = self.shared.takes_guests;
        let (shared, particulars) = (self.own.clone(), self.particulars.clone());
        let made = Some(Box::new(Made { shared, particulars, incoming }));
        Notice { event: Event::Connected { link: self.link, id }, made }
    }

    async fn end(&mut self, ended: Ended) {
        self.publish(Instant::now());
        self.own.paused.store(false, Ordering::Release);
        self.shared.gone(self.link);
        if !ended.silent {
            let Ended { farewell, goodbye, .. } = ended;
            let (code, text) = goodbye.map_or((None, String::new()), |said| (Some(said.code), said.text));
            let event = Event::Closed { link: self.link, code, text, farewell, stats: None };
            self.shared.port.deliver(&mut vec![event.into()]);
            // What waited for a slow reader is not kept for him.
            self.queue = VecDeque::new();
            self.stop_assembling();
            if let Some(_place) = self.shared.may_linger() {
                linger(&mut self.stream).await;
            }
        }
    }

    /// Does everything once.
    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        self.own.register(context);
        self.stream.get_mut().begin_turn();
        if let Some(ended) = self.obey() {
            return Poll::Ready(ended);
        }
        if !self.cut {
            self.write_or_be_cut(context);
        }
        if let Poll::Ready(ended) = self.read(context) {
            return Poll::Ready(ended);
        }
        if let Some(ended) = self.pass_time(context, Instant::now()) {
            return Poll::Ready(ended);
        }
        Poll::Pending
    }

    fn obey(&mut self) -> Option<Ended> {
        let mut orders = std::mem::take(&mut self.orders);
        self.own.take_orders(&mut orders);
        let mut ended = None;
        for order in orders.drain(..) {
            match order {
                Order::Send(outgoing) if self.closing.is_none() => self.enqueue(outgoing),
                Order::Send(outgoing) => {
                    if !outgoing.droppable {
                        self.own.release(outgoing.payload.len());
                    }
                }
                Order::Close(goodbye) => self.begin_goodbye(goodbye),
                Order::Abandon(farewell) => {
                    self.say_at_once(&Goodbye::of(farewell.reason));
                    ended = Some(farewell.into());
                }
                Order::Drop => {
                    ended = Some(Ended { silent: true, ..Farewell::new(Reason::LocalClose).into() });
                }
                Order::NoDelay(enabled) => self.stream.get_ref().set_no_delay(enabled),
                Order::Heartbeat(interval) => {
                    self.heartbeat = interval;
                    self.alive.set(Instant::now(), self.limits.peer_timeout, interval);
                }
            }
        }
        self.orders = orders;
        ended
    }

    fn enqueue(&mut self, outgoing: Outgoing) {
        if outgoing.droppable {
            self.droppable_bytes += outgoing.payload.len() + DROPPABLE_OVERHEAD;
        }
        self.queue.push_back(outgoing);
    }

    /// Down to half, so that this, which looks at the whole queue, is seldom.
    fn drop_oldest(&mut self) {
        let mut excess = self.droppable_bytes - MOST_DROPPABLE / 2;
        let mut dropped = 0;
        self.queue.retain(|outgoing| {
            let keep = !outgoing.droppable || excess == 0;
            if !keep {
                excess = excess.saturating_sub(outgoing.payload.len() + DROPPABLE_OVERHEAD);
                dropped += outgoing.payload.len() + DROPPABLE_OVERHEAD;
                self.figures.packets_dropped += 1;
            }
            keep
        });
        self.droppable_bytes -= dropped;
    }

    fn begin_goodbye(&mut self, goodbye: Goodbye) {
        if self.closing.is_none() {
            let now = Instant::now();
            let (until, at_most) = (now + GOODBYE_BOUND, now + super::DELIVERY);
            self.closing = Some(Closing { goodbye: Some(goodbye), until, at_most });
        }
    }

    /// Writes. If the line is broken, what has come before is still to be read, and the other end's goodbye may be among it.
    fn write_or_be_cut(&mut self, context: &mut Context<'_>) {
        match self.write(context) {
            Ok(blocked) => self.note_progress(blocked),
            Err(error) => {
                tracing::debug!("a link takes nothing more: {error}");
                self.cut = true;
                self.stream.get_mut().stop_writing();
            }
        }
        if self.blocked && self.droppable_bytes > MOST_DROPPABLE {
            self.drop_oldest();
        }
    }

    /// Where a socket was full, only the other end's reading makes room: a sign of life as good as any, from one who has no
    /// turn to answer pings while a long message is on its way to him.
    fn note_progress(&mut self, blocked: bool) {
        self.settle_long();
        let sent = self.stream.get_ref().traffic().bytes_out;
        if sent > self.sent_bytes {
            let now = Instant::now();
            if self.blocked {
                self.alive.heard(now);
            }
            if let Some(closing) = &mut self.closing {
                closing.until = (now + GOODBYE_BOUND).min(closing.at_most);
            }
        }
        self.sent_bytes = sent;
        self.blocked = blocked;
        if !blocked {
            self.unanswered = 0;
        }
    }

    /// Hands on what the socket takes; whether it is full.
    fn write(&mut self, context: &mut Context<'_>) -> Result<bool, WsError> {
        if self.closing.is_none()
            && let Some(bytes) = self.alive.ping(Instant::now())
        {
            Pin::new(&mut self.stream).start_send(Message::Ping(Bytes::copy_from_slice(&bytes)))?;
        }
        loop {
            let Poll::Ready(ready) = self.poll_ready_for_next(context) else { return Ok(true) };
            ready?;
            let Some(outgoing) = self.queue.pop_front() else { break };
            self.hand_on(outgoing)?;
        }
        if let Some(closing) = &mut self.closing
            && let Some(goodbye) = closing.goodbye.take()
        {
            let frame = CloseFrame { code: goodbye.code.into(), reason: goodbye.text.into() };
            Pin::new(&mut self.stream).start_send(Message::Close(Some(frame)))?;
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => flushed.map(|()| false),
            Poll::Pending => Ok(true),
        }
    }

    /// Whether the stream takes the message in front: a long one goes past tungstenite, and nothing may be in its way.
    fn poll_ready_for_next(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let stream = Pin::new(&mut self.stream);
        let ready = match self.queue.front() {
            None => Poll::Ready(Ok(())),
            Some(next) if next.payload.len() > LONG => stream.poll_flush(context),
            Some(_) => stream.poll_ready(context),
        };
        self.settle_long();
        ready
    }

    /// The room that a long message took is free when the last of it has left.
    fn settle_long(&mut self) {
        if !self.stream.get_ref().is_sending_whole()
            && let Some(length) = self.long.take()
        {
            self.own.release(length);
        }
    }

    fn hand_on(&mut self, outgoing: Outgoing) -> Result<(), WsError> {
        self.figures.packets_sent += 1;
        if outgoing.droppable {
            self.droppable_bytes -= outgoing.payload.len() + DROPPABLE_OVERHEAD;
        }
        let Outgoing { kind, payload, droppable } = outgoing;
        let is_text = kind == Kind::Text;
        if payload.len() > LONG {
            self.long = (!droppable).then_some(payload.len());
            let mask = (!self.is_server).then(|| random::word().to_ne_bytes());
            self.stream.get_mut().send_whole(Whole::new(is_text, payload, mask));
            return Ok(());
        }
        if !droppable {
            self.own.release(payload.len());
        }
        // Whoever made a text saw to it that it is UTF-8.
        let code = if is_text { Data::Text } else { Data::Binary };
        let message = Message::Frame(Frame::message(payload, OpCode::Data(code), true));
        Pin::new(&mut self.stream).start_send(message)
    }

    /// Reads what there is, as far as the game takes it.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let mut notices = Vec::new();
        let before = self.stream.get_ref().received();
        let outcome = self.read_into(context, &mut notices);
        if self.stream.get_ref().received() > before {
            self.alive.heard(Instant::now());
        }
        self.shared.port.deliver(&mut notices);
        outcome
    }

    fn read_into(&mut self, context: &mut Context<'_>, notices: &mut Vec<Notice>) -> Poll<Ended> {
        for _ in 0..MESSAGES_IN_A_TURN {
            if !self.may_read(notices.len()) {
                return Poll::Pending;
            }
            let Some(message) = ready!(Pin::new(&mut self.stream).poll_next(context)) else {
                return Poll::Ready(Farewell::new(Reason::RemoteClose).into());
            };
            match message {
                Ok(message) => {
                    if let Some(ended) = self.digest(message, notices) {
                        return Poll::Ready(ended);
                    }
                }
                Err(error) => return Poll::Ready(self.fail(&error)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether there is room for more: in the game's inbox, for this link in it, and for a large message in part.
    fn may_read(&mut self, at_hand: usize) -> bool {
        // Said first: whoever makes room wakes those who say so. Both orders are one for all threads: else each could miss the
        // other.
        self.own.paused.store(true, Ordering::SeqCst);
        // Nobody hears a link that is closing, so that it needs no room to be heard in.
        let heard = self.closing.is_none();
        let unread = self.own.unread.load(Ordering::SeqCst);
        let full = heard && (unread >= self.most_unread || (at_hand == 0 && !self.shared.port.has_room()));
        if full || !self.may_assemble() {
            self.alive.heard(Instant::now());
            return false;
        }
        self.own.paused.store(false, Ordering::Release);
        true
    }

    /// Whether there is room for more of a large message.
    fn may_assemble(&mut self) -> bool {
        let held = self.stream.get_ref().held();
        if held <= FREE {
            self.stop_assembling();
            return true;
        }
        self.assembling = true;
        match self.shared.assembly().holds(self.link, held, Instant::now()) {
            Verdict::GoOn => return true,
            Verdict::Wait => {}
            Verdict::WaitFor(slow) => {
                let detail = "a large message did not come to its end while others waited for its room";
                self.shared.abandon(slow, Farewell::with(Reason::PacketTooLarge, detail));
            }
        }
        false
    }

    fn stop_assembling(&mut self) {
        if std::mem::take(&mut self.assembling) {
            self.shared.assembly().done(self.link);
            self.shared.wake_paused();
        }
    }

    fn digest(&mut self, message: Message, notices: &mut Vec<Notice>) -> Option<Ended> {
        match message {
            Message::Text(text) => self.take_in(Kind::Text, text.into(), notices),
            Message::Binary(payload) => self.take_in(Kind::Binary, payload, notices),
            Message::Ping(_) => self.bear(),
            Message::Pong(bytes) => {
                self.alive.pong(&bytes, Instant::now());
                self.bear()
            }
            Message::Close(frame) => Some(self.hear_goodbye(frame)),
            Message::Frame(_) => None,
        }
    }

    fn take_in(&mut self, kind: Kind, payload: Bytes, notices: &mut Vec<Notice>) -> Option<Ended> {
        if matches!(self.introduction, Introduction::Awaited(_)) {
            return self.introduced(kind, &payload, notices);
        }
        self.figures.packets_received += 1;
        if self.closing.is_some() {
            // The game does not hear this end any more.
            return None;
        }
        self.own.unread.fetch_add(1, Ordering::AcqRel);
        notices.push(Event::Message { link: self.link, kind, payload }.into());
        None
    }

    /// The server's first message is our id.
    fn introduced(&mut self, kind: Kind, payload: &[u8], notices: &mut Vec<Notice>) -> Option<Ended> {
        let claimed = <[u8; 4]>::try_from(payload).ok().filter(|_| kind == Kind::Binary);
        let Some(id) = claimed.map(u32::from_le_bytes).and_then(PeerId::of_client) else {
            let detail = "the server's first message is no player's id: it is no game's server";
            self.say_at_once(&Goodbye::of(Reason::BadId));
            return Some(Farewell::with(Reason::BadId, detail).into());
        };
        notices.push(self.connected(Some(id)));
        self.introduction = Introduction::None;
        None
    }

    /// Pings and pongs are borne, so many.
    fn bear(&mut self) -> Option<Ended> {
        if self.blocked {
            // Each answer waits in memory.
            self.unanswered += 1;
        }
        let what = if !self.nuisance.take(Instant::now()) {
            "a flood of pings"
        } else if self.unanswered > allowance::BURST {
            "a flood of pings whose answers are not read"
        } else {
            return None;
        };
        self.say_at_once(&Goodbye::of(Reason::Protocol));
        Some(Farewell::with(Reason::Protocol, what).into())
    }

    fn hear_goodbye(&mut self, frame: Option<CloseFrame>) -> Ended {
        let said =
            frame.map_or_else(Goodbye::wordless, |frame| Goodbye::new(frame.code.into(), &frame.reason));
        // It may be the answer to ours.
        let farewell = if self.closing.is_some() { Reason::LocalClose.into() } else { said.heard() };
        Ended { farewell, goodbye: Some(said), silent: false }
    }

    /// What was read makes no sense, or cannot be read any more. Tells the other end what is wrong, if it can be told.
    fn fail(&mut self, error: &WsError) -> Ended {
        if let Some(violation) = violation_in(error) {
            let (reason, code) = match violation {
                Violation::TooLong { .. } => (Reason::PacketTooLarge, close::TOO_BIG),
                Violation::LongControl | Violation::TooManyPieces => (Reason::Protocol, close::PROTOCOL),
            };
            let goodbye = Goodbye::new(code, reason.phrase());
            self.say_at_once(&goodbye);
            let farewell = Farewell::with(reason, violation.to_string());
            return Ended { farewell, goodbye: Some(goodbye), silent: false };
        }
        let (farewell, code) = match error {
            WsError::Utf8(_) => {
                (Farewell::with(Reason::Protocol, "a text that is not UTF-8"), close::INVALID_DATA)
            }
            WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) | WsError::Io(_) => {
                return if self.closing.is_some() {
                    Farewell::new(Reason::LocalClose).into()
                } else {
                    broken(error)
                };
            }
            error => (Farewell::with(Reason::Protocol, error.to_string()), close::PROTOCOL),
        };
        let goodbye = Goodbye::new(code, farewell.reason.phrase());
        self.say_at_once(&goodbye);
        Ended { farewell, goodbye: Some(goodbye), silent: false }
    }

    /// A last word, which leaves while the link lingers.
    fn say_at_once(&mut self, goodbye: &Goodbye) {
        let frame = CloseFrame { code: goodbye.code.into(), reason: Utf8Bytes::from(goodbye.text.as_str()) };
        // If the stream does not take it, there is nobody to tell.
        let _ = Pin::new(&mut self.stream).start_send(Message::Close(Some(frame)));
    }

    /// Time-outs, after reading: what came while the process was stopped counts.
    fn pass_time(&mut self, context: &mut Context<'_>, now: Instant) -> Option<Ended> {
        let limits = self.shared.limits();
        if limits.peer_timeout != self.limits.peer_timeout {
            self.alive.set(now, limits.peer_timeout, self.heartbeat);
        }
        self.limits = limits;
        let due = match &self.closing {
            Some(closing) if now >= closing.until => {
                return Some(Farewell::new(Reason::LocalClose).into());
            }
            Some(closing) => closing.until,
            None if self.introduction_is_overdue(now) => {
                let detail = "the server gave no player id in time: it may be no game's server";
                return Some(Farewell::with(Reason::ConnectTimeout, detail).into());
            }
            None if self.alive.is_dead(now) => {
                let detail = format!("no sign of life for {:.1} s", self.alive.silence(now).as_secs_f64());
                let farewell = Farewell::with(Reason::Timeout, detail);
                self.say_at_once(&Goodbye::of(Reason::Timeout));
                return Some(farewell.into());
            }
            None => self.alive.next_due(),
        };
        let due = match self.introduction {
            Introduction::Awaited(until) if self.closing.is_none() => due.min(until),
            // Somebody else may hold up the room for large messages.
            _ if self.assembling => due.min(now + LOOK_AGAIN),
            _ => due,
        };
        let due = self.publish_when_due(now).map_or(due, |publish| due.min(publish));
        if self.timer.deadline().into_std() != due {
            self.timer.as_mut().reset(due.into());
        }
        if self.timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
        None
    }

    fn introduction_is_overdue(&self, now: Instant) -> bool {
        matches!(self.introduction, Introduction::Awaited(until) if now >= until)
    }

    /// Shows new figures, if it is time; or says when it is.
    fn publish_when_due(&mut self, now: Instant) -> Option<Instant> {
        let traffic = self.stream.get_ref().traffic();
        if traffic == self.counted {
            return None;
        }
        let due = self.published + PUBLISH_EVERY;
        if now < due {
            return Some(due);
        }
        self.publish(now);
        None
    }

    fn publish(&mut self, now: Instant) {
        self.published = now;
        let traffic = self.stream.get_ref().traffic();
        self.shared.totals().add(self.counted, traffic);
        self.counted = traffic;
        (self.figures.rtt, self.figures.jitter) = self.alive.round_trip();
        (self.figures.bytes_sent, self.figures.bytes_received) = (traffic.bytes_out, traffic.bytes_in);
        self.figures.address = self.particulars.address;
        self.own.publish(&self.figures);
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.stop_assembling();
        if let Introduction::Given(id) = self.introduction {
            self.shared.ids().remove(&id);
        }
    }
}

/// What was wrong with the frames, if that is what is wrong.
fn violation_in(error: &WsError) -> Option<&Violation> {
    let WsError::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref()
}

/// The line has broken, or the other end hung up without a goodbye.
fn broken(error: &WsError) -> Ended {
    let WsError::Io(error) = error else {
        return Farewell::with(Reason::RemoteClose, "the other side hung up without a goodbye").into();
    };
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => Reason::Timeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Reason::RemoteClose,
        // TLS could not read it.
        io::ErrorKind::InvalidData => Reason::Protocol,
        _ => Reason::Network,
    };
    Farewell::with(reason, error.to_string()).into()
}

/// Tells somebody who has just come in that he cannot stay.
pub(super) async fn turn_away(mut stream: WebSocketStream<Wire>, reason: Reason) {
    let Goodbye { code, text } = Goodbye::of(reason);
    let frame = CloseFrame { code: code.into(), reason: text.into() };
    let _ = Pin::new(&mut stream).start_send(Message::Close(Some(frame)));
    linger(&mut stream).await;
}

/// Gets the last words away.
async fn linger(stream: &mut WebSocketStream<Wire>) {
    let flushed = poll_fn(|context| Pin::new(&mut *stream).poll_flush(context));
    let _ = tokio::time::timeout(LAST_WORDS, flushed).await;
    stream.get_mut().linger().await;
}
