//! What a link takes in: messages for the game, as far as there is room for them, and what else the other end says.
//!
//! Everything here is somebody's who may be hostile: pings are borne up to a bound, large messages in part wait for their
//! share of the room, and what breaks the rules is answered with a goodbye that says so.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::Stream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::{Conversation, Ended, Introduction, broken};
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};
use crate::websocket::close::{self, Goodbye};
use crate::websocket::command::{Event, Notice};
use crate::websocket::driver::allowance;
use crate::websocket::driver::assembly::{FREE, Verdict};
use crate::websocket::frames::Violation;
use crate::websocket::link::Kind;

/// Messages read in a turn, about.
const MESSAGES_IN_A_TURN: usize = 512;

thread_local! {
    /// The list of what a turn reads. Empty between turns, so one serves all links: most turns read a message or none, and
    /// a list of each turn's own would cost an allocation for each of them.
    static NOTICES: Cell<Vec<Notice>> = const { Cell::new(Vec::new()) };
}

impl Conversation {
    /// Reads what there is, as far as the game takes it.
    pub(super) fn read(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let mut notices = NOTICES.take();
        let before = self.stream.get_ref().received();
        let outcome = self.read_into(context, &mut notices);
        if self.stream.get_ref().received() > before {
            self.alive.heard(Instant::now());
        }
        self.shared.port.deliver(&mut notices);
        NOTICES.set(notices);
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

    pub(super) fn stop_assembling(&mut self) {
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
        let farewell = match (violation_in(error), error) {
            (Some(violation @ Violation::TooLong { .. }), _) => {
                Farewell::with(Reason::PacketTooLarge, violation.to_string())
            }
            (Some(violation), _) => Farewell::with(Reason::Protocol, violation.to_string()),
            (None, WsError::Utf8(_)) => Farewell::with(Reason::Protocol, "a text that is not UTF-8"),
            (None, WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) | WsError::Io(_)) => {
                return if self.closing.is_some() {
                    Farewell::new(Reason::LocalClose).into()
                } else {
                    broken(error)
                };
            }
            (None, error) => Farewell::with(Reason::Protocol, error.to_string()),
        };
        let mut goodbye = Goodbye::of(farewell.reason);
        if matches!(error, WsError::Utf8(_)) {
            goodbye.code = close::INVALID_DATA;
        }
        self.say_at_once(&goodbye);
        Ended { farewell, goodbye: Some(goodbye), silent: false }
    }
}

/// What was wrong with the frames, if that is what is wrong.
fn violation_in(error: &WsError) -> Option<&Violation> {
    let WsError::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref()
}
