//! What waits to be sent: a queue for each stream.
//!
//! Streams take turns by bytes, not by messages: next is the one that has had least, counted from when it last began to
//! have something to send. A stream of short messages is not held to one for each long message of another's. The pieces of a
//! message carry numbers in a row, so one that has begun is finished before another's turn. A message gets its number on its stream when its first piece leaves: one that is given up before
//! that leaves no trace.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use crate::wire::data::Flags;

/// A piece of a longer message is not cut smaller than this to fill a packet up.
const LEAST_PIECE: usize = 256;

/// Places that a stream's queue keeps when it is empty.
const KEPT: usize = 64;

/// What a message counts besides its bytes when streams take turns.
const TURN_OVERHEAD: usize = 32;

/// A message as it was handed over.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) payload: Bytes,
    pub(crate) ppid: u32,
    pub(crate) ordered: bool,
    /// When it is given up if it was lost.
    pub(crate) deadline: Option<Instant>,
    /// When it is given up if it was never sent.
    pub(crate) unsent_deadline: Option<Instant>,
    pub(crate) retransmits: Option<u16>,
}

/// A piece that leaves now.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) payload: Bytes,
    pub(crate) flags: Flags,
    pub(crate) stream: u16,
    pub(crate) ssn: u16,
    pub(crate) ppid: u32,
    pub(crate) deadline: Option<Instant>,
    pub(crate) retransmits: Option<u16>,
}

/// Where a stream is on its way to being closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Closing {
    #[default]
    No,
    /// What was handed over is sent first.
    Draining,
    /// The other end was asked.
    Asked,
}

#[derive(Debug, Default)]
struct Stream {
    queue: VecDeque<Queued>,
    /// What it has had, in the count that all streams share.
    had: u64,
    next_ssn: u16,
    unsent: usize,
    /// Unsent, or sent and neither acknowledged nor given up.
    queued: usize,
    closing: Closing,
}

/// The message at the front of the first turn, if some of it has left.
#[derive(Debug)]
struct Cut {
    offset: usize,
    ssn: u16,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<u16, Stream>,
    /// Those with something to send, by what they have had; the first is being served if a message is cut.
    turns: VecDeque<(u64, u16)>,
    /// What the stream that was served last had had before: one that begins to send has had as much.
    count: u64,
    cut: Option<Cut>,
    /// Streams that are closing, and were not asked for yet.
    draining: Vec<u16>,
    queued: usize,
    /// Messages given up before they were sent.
    pub(crate) expired: u64,
}

impl Streams {
    /// False if the stream is closing.
    pub(crate) fn push(&mut self, now: Instant, stream: u16, message: Queued) -> bool {
        let state = self.streams.entry(stream).or_default();
        if state.closing != Closing::No {
            return false;
        }
        let begins = state.queue.is_empty();
        if begins {
            state.had = state.had.max(self.count);
        }
        let had = state.had;
        state.unsent += message.payload.len();
        state.queued += message.payload.len();
        self.queued += message.payload.len();
        state.queue.push_back(message);
        if begins {
            self.take_place(had, stream);
        }
        // What is stale by now makes room, whether or not anything can leave.
        let is_cut = self.cut.is_some() && self.turns.front().is_some_and(|turn| turn.1 == stream);
        if !is_cut {
            self.expire(now, stream);
        }
        true
    }

    /// A stream waits for its turn, behind those that have had less or as much.
    fn take_place(&mut self, had: u64, stream: u16) {
        let begun = usize::from(self.cut.is_some());
        let place =
            self.turns.partition_point(|turn| turn.0 <= had).clamp(begun, self.turns.len().max(begun));
        self.turns.insert(place, (had, stream));
    }

    fn expire(&mut self, now: Instant, stream: u16) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        while state.queue.front().is_some_and(|message| message.unsent_deadline.is_some_and(|at| at <= now)) {
            let message = state.queue.pop_front().expect("it was just looked at");
            state.unsent -= message.payload.len();
            state.queued -= message.payload.len();
            self.queued -= message.payload.len();
            self.expired += 1;
        }
    }

    /// How much of the next message is unsent; drops stale ones before it.
    pub(crate) fn next_length(&mut self, now: Instant) -> Option<usize> {
        loop {
            let &(_, stream) = self.turns.front()?;
            if self.cut.is_none() {
                self.expire(now, stream);
            }
            let front = self.streams.get(&stream).and_then(|state| state.queue.front());
            if let Some(front) = front {
                return Some(front.payload.len() - self.cut.as_ref().map_or(0, |cut| cut.offset));
            }
            self.turns.pop_front();
        }
    }

    /// Whether the message whose turn it is has begun, and its time is over.
    pub(crate) fn is_cut_stale(&self, now: Instant) -> bool {
        let Some((_, stream)) = self.turns.front().filter(|_| self.cut.is_some()) else { return false };
        let front = self.streams.get(stream).and_then(|state| state.queue.front());
        front.and_then(|message| message.unsent_deadline).is_some_and(|at| at <= now)
    }

    /// The next piece, of at most `room` bytes, where `largest` is what an empty packet takes.
    pub(crate) fn next_piece(&mut self, now: Instant, room: usize, largest: usize) -> Option<Piece> {
        let length = self.next_length(now)?;
        let whole = length <= room;
        if !whole && (length <= largest || room < LEAST_PIECE) {
            return None;
        }
        let (had, stream) = *self.turns.front()?;
        self.count = self.count.max(had);
        let state = self.streams.get_mut(&stream)?;
        let message = state.queue.front()?;
        let first = if self.cut.is_none() { Flags::FIRST } else { Flags(0) };
        let last = if whole { Flags::LAST } else { Flags(0) };
        let unordered = if message.ordered { Flags(0) } else { Flags::UNORDERED };
        let cut = self.cut.get_or_insert_with(|| {
            let ssn = state.next_ssn;
            if message.ordered {
                state.next_ssn = ssn.wrapping_add(1);
                Cut { offset: 0, ssn }
            } else {
                Cut { offset: 0, ssn: 0 }
            }
        });
        // All pieces but the last are a multiple of four, so that none is padded.
        let bytes = if whole { length } else { room & !3 };
        let piece = Piece {
            payload: message.payload.slice(cut.offset..cut.offset + bytes),
            flags: first | last | unordered,
            stream,
            ssn: cut.ssn,
            ppid: message.ppid,
            deadline: message.deadline,
            retransmits: message.retransmits,
        };
        cut.offset += bytes;
        state.unsent -= bytes;
        if whole {
            let served = state.queue.pop_front().map_or(0, |message| message.payload.len());
            self.turn_over(served);
        }
        Some(piece)
    }

    /// The message whose turn it is has left, or is given up.
    fn turn_over(&mut self, bytes: usize) {
        self.cut = None;
        let Some((had, stream)) = self.turns.pop_front() else { return };
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.had = had + (bytes + TURN_OVERHEAD) as u64;
        if !state.queue.is_empty() {
            let had = state.had;
            self.take_place(had, stream);
        } else if state.queue.capacity() > KEPT {
            state.queue.shrink_to(KEPT);
        }
    }

    /// The rest of the message that has begun is not sent.
    pub(crate) fn drop_cut(&mut self) {
        let (Some(cut), Some((_, stream))) = (&self.cut, self.turns.front()) else { return };
        let mut served = 0;
        if let Some(state) = self.streams.get_mut(stream)
            && let Some(message) = state.queue.pop_front()
        {
            served = cut.offset;
            let rest = message.payload.len() - cut.offset;
            state.unsent -= rest;
            state.queued -= rest;
            self.queued -= rest;
        }
        self.turn_over(served);
    }

    /// What was sent is acknowledged, or given up.
    pub(crate) fn settled(&mut self, stream: u16, bytes: usize) {
        self.queued -= bytes;
        if let Some(state) = self.streams.get_mut(&stream) {
            // After a reset, bytes of the stream's life before may still be settled.
            state.queued = state.queued.saturating_sub(bytes);
        }
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.turns.is_empty()
    }

    pub(crate) fn unsent(&self, stream: u16) -> usize {
        self.streams.get(&stream).map_or(0, |state| state.unsent)
    }

    pub(crate) fn queued(&self, stream: u16) -> usize {
        self.streams.get(&stream).map_or(0, |state| state.queued)
    }

    pub(crate) fn queued_altogether(&self) -> usize {
        self.queued
    }

    /// Nothing more may be queued on this stream; it is closed when all that was has left.
    pub(crate) fn close(&mut self, stream: u16) {
        let state = self.streams.entry(stream).or_default();
        if state.closing == Closing::No {
            state.closing = Closing::Draining;
            self.draining.push(stream);
        }
    }

    /// Up to `most` streams that can be closed now: the other end is asked.
    pub(crate) fn take_drained(&mut self, most: usize) -> Vec<u16> {
        let mut drained = Vec::new();
        let streams = &mut self.streams;
        self.draining.retain(|stream| {
            let Some(state) = streams.get_mut(stream) else { return false };
            if !state.queue.is_empty() || drained.len() >= most {
                return true;
            }
            state.closing = Closing::Asked;
            drained.push(*stream);
            false
        });
        drained
    }

    /// The other end knows: the stream begins anew.
    pub(crate) fn closed(&mut self, stream: u16) {
        self.streams.remove(&stream);
    }

    /// The other end takes no streams from this one on. Nothing of them has left yet.
    pub(crate) fn drop_from(&mut self, stream: u16) {
        for (_, state) in self.streams.split_off(&stream) {
            self.queued -= state.queued;
            self.expired += state.queue.len() as u64;
        }
        self.turns.retain(|&(_, turn)| turn < stream);
        self.draining.retain(|&draining| draining < stream);
    }

    /// Nothing will be sent any more.
    pub(crate) fn clear(&mut self) {
        *self = Self { expired: self.expired, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(payload: &str) -> Queued {
        Queued {
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            ppid: 51,
            ordered: true,
            deadline: None,
            unsent_deadline: None,
            retransmits: None,
        }
    }

    fn all(streams: &mut Streams, now: Instant, room: usize) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(piece) = streams.next_piece(now, room, room) {
            let text = String::from_utf8_lossy(&piece.payload).into_owned();
            out.push(format!("{}/{}:{}", piece.stream, piece.ssn, text));
        }
        out
    }

    #[test]
    fn streams_take_turns_message_by_message() {
        let (now, mut streams) = (Instant::now(), Streams::default());
        for text in ["a", "b", "c"] {
            streams.push(now, 1, message(text));
        }
        streams.push(now, 2, message("x"));
        streams.push(now, 3, message("y"));
        assert_eq!(all(&mut streams, now, 100), ["1/0:a", "2/0:x", "3/0:y", "1/1:b", "1/2:c"]);
        assert!(!streams.has_unsent());
        assert_eq!((streams.unsent(1), streams.queued(1)), (0, 3));
        streams.settled(1, 3);
        assert_eq!((streams.queued(1), streams.queued_altogether()), (0, 2));
    }

    #[test]
    fn a_stream_of_short_messages_is_not_held_to_one_for_each_long_one() {
        let (now, mut streams) = (Instant::now(), Streams::default());
        let long = "l".repeat(600);
        for _ in 0..3 {
            streams.push(now, 1, message(&long));
        }
        let first = streams.next_piece(now, 600, 600).expect("a long one");
        assert_eq!(first.stream, 1);
        for text in ["x", "y", "z"] {
            streams.push(now, 2, message(text));
        }
        let order: Vec<u16> =
            std::iter::from_fn(|| streams.next_piece(now, 600, 600)).map(|piece| piece.stream).collect();
        assert_eq!(order, [2, 2, 2, 1, 1]);
    }

    #[test]
    fn one_that_was_silent_for_long_has_saved_nothing_up() {
        let (now, mut streams) = (Instant::now(), Streams::default());
        streams.push(now, 2, message("before"));
        for _ in 0..50 {
            streams.push(now, 1, message(&"l".repeat(100)));
        }
        while streams.next_piece(now, 600, 600).is_some_and(|piece| piece.ssn < 40) {}
        for _ in 0..20 {
            streams.push(now, 2, message(&"m".repeat(100)));
        }
        let order: Vec<u16> =
            (0..10).filter_map(|_| streams.next_piece(now, 600, 600)).map(|piece| piece.stream).collect();
        assert_eq!(order.iter().filter(|stream| **stream == 1).count(), 5, "{order:?}");
    }

    #[test]
    fn a_message_that_has_begun_is_finished_first() {
        let (now, mut streams) = (Instant::now(), Streams::default());
        let long = "l".repeat(600);
        streams.push(now, 1, message(&long));
        streams.push(now, 2, message("x"));
        let lengths: Vec<_> = all(&mut streams, now, 257).iter().map(String::len).collect();
        assert_eq!(lengths, [4 + 256, 4 + 256, 4 + 88, 5]);
    }

    #[test]
    fn a_stale_message_is_dropped_whoever_notices() {
        let (now, mut streams) = (Instant::now(), Streams::default());
        let at = now + Duration::from_millis(1);
        let stale = |text| Queued { unsent_deadline: Some(at), ..message(text) };
        streams.push(now, 1, stale("a"));
        streams.push(now, 1, stale("b"));
        streams.push(at, 1, message("c"));
        assert_eq!((streams.expired, streams.unsent(1)), (2, 1));
        assert_eq!(all(&mut streams, at, 100), ["1/0:c"]);
    }

    #[test]
    fn a_closing_stream_takes_no_more_and_is_closed_when_all_has_left() {
        let (now, mut streams) = (Instant::now(), Streams::default());
        streams.push(now, 1, message("a"));
        streams.close(1);
        streams.close(1);
        assert!(!streams.push(now, 1, message("b")));
        assert!(streams.take_drained(10).is_empty());
        all(&mut streams, now, 100);
        assert_eq!(streams.take_drained(10), [1]);
        assert!(streams.take_drained(10).is_empty());
        streams.closed(1);
        assert!(streams.push(now, 1, message("c")));
        assert_eq!(all(&mut streams, now, 100), ["1/0:c"]);
    }
}
