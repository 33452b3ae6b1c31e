//! What a link sends: the game's messages in their order, pings, and its own goodbye behind them.
//!
//! What waits stays in the game's queue until the socket takes it. Of messages that may get lost, the oldest are dropped when
//! the other end reads too slowly; the others hold room that the game feels, until they have left.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::Sink;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::{Conversation, GOODBYE_BOUND};
use crate::random;
use crate::websocket::frames::{PIECE, Whole};
use crate::websocket::link::{Kind, Outgoing};

/// Longer messages go past tungstenite, which would copy them and keep the memory.
const LONG: usize = PIECE;

/// Messages that may get lost and wait for a slow reader, in bytes. A second of ten megabits.
const MOST_DROPPABLE: usize = 1280 * 1024;

/// What such a message counts besides its bytes.
const DROPPABLE_OVERHEAD: usize = 64;

impl Conversation {
    pub(super) fn enqueue(&mut self, outgoing: Outgoing) {
        if outgoing.droppable {
            self.droppable_bytes += outgoing.payload.len() + DROPPABLE_OVERHEAD;
        }
        self.queue.push_back(outgoing);
    }

    /// Writes. If the line is broken, what has come before is still to be read, and the other end's goodbye may be among it.
    pub(super) fn write_or_be_cut(&mut self, context: &mut Context<'_>) {
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
            Pin::new(&mut self.stream).start_send(goodbye.message())?;
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
}
