//! A link that stands: messages both ways, signs of life, and the end.
//!
//! [`Conversation::turn`] does everything once, in this order: orders of the game, writing, reading, time. What the game sent
//! in a frame has come together in the orders, and leaves in one write. Writing stops where the socket does, and what
//! waits stays in the game's queue, whose limit the game feels. Reading stops where the game's inbox is full, so that the
//! other end's queue fills instead; meanwhile this end goes on pinging, so as to count as alive.
//!
//! What leaves is in `writing`, what comes in `reading`. What a stranger's messages may cost is seen to by `frames` and
//! `assembly`.

mod reading;
mod writing;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Sink;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::Shared;
use super::allowance::Allowance;
use crate::crowd::CountedLink;
use crate::limits::Limits;
use crate::link::LinkId;
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};
use crate::stats::LinkStats;
use crate::websocket::close::Goodbye;
use crate::websocket::command::{Event, Made, Notice};
use crate::websocket::frames::PIECE;
use crate::websocket::keep_alive::KeepAlive;
use crate::websocket::link::{LinkShared, Order, Outgoing, Particulars};
use crate::websocket::wire::{Traffic, Wire};

/// What comes together before it is written without waiting for the turn's end.
const WRITE_BUFFER: usize = 32 * 1024;

/// What may wait behind a socket that is full: a message, and what pings call for. That much is never reached otherwise.
const MOST_BUFFERED: usize = 1024 * 1024;

/// What the WebSocket reads at once; small, since the wire reads ahead.
const READ_BUFFER: usize = 2 * 1024;

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
    _counted: CountedLink,
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
            _counted: CountedLink::new(),
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

    fn begin_goodbye(&mut self, goodbye: Goodbye) {
        if self.closing.is_none() {
            let now = Instant::now();
            let (until, at_most) = (now + GOODBYE_BOUND, now + super::DELIVERY);
            self.closing = Some(Closing { goodbye: Some(goodbye), until, at_most });
        }
    }

    /// A last word, which leaves while the link lingers.
    fn say_at_once(&mut self, goodbye: &Goodbye) {
        // If the stream does not take it, there is nobody to tell.
        let _ = Pin::new(&mut self.stream).start_send(goodbye.message());
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
    let _ = Pin::new(&mut stream).start_send(Goodbye::of(reason).message());
    linger(&mut stream).await;
}

/// Gets the last words away.
async fn linger(stream: &mut WebSocketStream<Wire>) {
    let flushed = poll_fn(|context| Pin::new(&mut *stream).poll_flush(context));
    let _ = tokio::time::timeout(LAST_WORDS, flushed).await;
    stream.get_mut().linger().await;
}
