//! Makes messages of the pieces that come.
//!
//! A message's pieces carry numbers in a row, and the messages of a stream follow each other. So among what has come
//! without a gap at most one message is incomplete: [`Reassembly::assembling`]. What came beyond a gap lies in a ring, a slot
//! for each number. Pieces next to each other form a run, whose two ends know its length: a piece finds out in constant
//! time whether its message is whole now. Whole messages of another stream than the gap's go out at once.
//!
//! A sender that contradicts itself loses messages, nothing else: pieces without a beginning go when the gap before them
//! is closed.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::event::Message;
use crate::wire::data::{Data, Flags};

/// What a piece costs beside its bytes.
pub(crate) const ENTRY: usize = 64;

/// Slots that an empty ring keeps.
const KEPT_SLOTS: usize = 64;

/// A message is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

#[derive(Debug, Default)]
struct Slot {
    /// Nothing came yet, a piece waits, or it came and went.
    state: State,
    flags: Flags,
    stream: u16,
    ssn: u16,
    ppid: u32,
    /// Pieces and bytes of the run, known at both of its ends.
    run: usize,
    run_bytes: usize,
    payload: Bytes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Missing,
    Held,
    Gone,
}

impl Slot {
    fn held(data: Data) -> Self {
        Self {
            state: State::Held,
            flags: data.flags,
            stream: data.stream,
            ssn: data.ssn,
            ppid: data.ppid,
            run: 1,
            run_bytes: data.payload.len(),
            payload: data.payload,
        }
    }

    fn ordered(&self) -> bool {
        !self.flags.has(Flags::UNORDERED)
    }

    /// Whether `next`, one number later, is the same message's next piece.
    fn goes_on_in(&self, next: &Self) -> bool {
        self.state == State::Held
            && next.state == State::Held
            && !self.flags.has(Flags::LAST)
            && !next.flags.has(Flags::FIRST)
            && self.stream == next.stream
            && self.ordered() == next.ordered()
            && (!self.ordered() || self.ssn == next.ssn)
    }
}

/// A message whose pieces come one after the other.
#[derive(Debug)]
struct Assembling {
    stream: u16,
    ssn: u16,
    ordered: bool,
    ppid: u32,
    bytes: Vec<u8>,
}

/// A stream on which something came.
#[derive(Debug, Default)]
struct Stream {
    /// The number that is next.
    next: u16,
    /// The sender's last number before it began the stream anew, if nothing came since.
    fresh_since: Option<u64>,
    /// The other direction has been closed, and this one not yet.
    half_closed: bool,
}

#[derive(Debug)]
pub(crate) struct Reassembly {
    longest: usize,
    /// The number of the ring's first slot: one more than all have come up to.
    base: u64,
    ring: VecDeque<Slot>,
    assembling: Option<Assembling>,
    streams: BTreeMap<u16, Stream>,
    /// Whole ordered messages in the ring, by stream and number: their first piece.
    waiting: BTreeMap<(u16, u16), u64>,
    /// What the ring holds, with [`ENTRY`] for each piece.
    held: usize,
}

impl Reassembly {
    pub(crate) fn new(first: u64, longest: usize) -> Self {
        Self {
            longest,
            base: first,
            ring: VecDeque::new(),
            assembling: None,
            streams: BTreeMap::new(),
            waiting: BTreeMap::new(),
            held: 0,
        }
    }

    /// Bytes beyond the gap, and what they cost.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes a piece that has not come before; what is whole now goes to `done`. `packet` is the length of what it came in.
    pub(crate) fn take(
        &mut self,
        tsn: u64,
        mut data: Data,
        packet: usize,
        done: &mut impl FnMut(Message),
    ) -> Result<(), TooLong> {
        if data.payload.len() > self.longest {
            return Err(TooLong);
        }
        if tsn == self.base {
            // The slot of the ring, if there is one, is this number's own.
            self.ring.pop_front();
            self.base += 1;
            self.settle(Slot::held(data), done)?;
            return self.advance(done);
        }
        let index = (tsn - self.base) as usize;
        if self.ring.len() <= index {
            self.ring.resize_with(index + 1, Slot::default);
        }
        let alone = data.flags.has(Flags::WHOLE);
        let ordered = !data.flags.has(Flags::UNORDERED);
        if alone && (!ordered || self.next(data.stream) == data.ssn) {
            self.ring[index].state = State::Gone;
            let message = Message { stream: data.stream, ppid: data.ppid, payload: data.payload };
            return self.deliver(ordered.then_some(data.ssn), message, done);
        }
        // A small piece that waits must not keep a whole packet's memory.
        if data.payload.len() < packet / 4 {
            data.payload = Bytes::copy_from_slice(&data.payload);
        }
        self.held += data.payload.len() + ENTRY;
        self.ring[index] = Slot::held(data);
        let (start, pieces) = self.join(index)?;
        if self.ring[start].flags.has(Flags::FIRST) && self.ring[start + pieces - 1].flags.has(Flags::LAST) {
            self.complete(start, done)?;
        }
        Ok(())
    }

    /// This number came, and what came with it is of no use.
    pub(crate) fn skip_over(&mut self, tsn: u64, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        if tsn == self.base {
            return self.skip_to(tsn, done);
        }
        let index = (tsn - self.base) as usize;
        if self.ring.len() <= index {
            self.ring.resize_with(index + 1, Slot::default);
        }
        self.ring[index].state = State::Gone;
        Ok(())
    }

    /// Whoever is behind this number will not come any more.
    pub(crate) fn skip_to(&mut self, tsn: u64, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        while self.base <= tsn {
            let slot = self.ring.pop_front().unwrap_or_default();
            self.base += 1;
            self.pass(slot, done)?;
            if self.ring.is_empty() && self.base <= tsn {
                self.assembling = None;
                self.base = tsn + 1;
            }
        }
        self.advance(done)
    }

    /// Messages up to this number of an ordered stream will not come any more.
    pub(crate) fn skip_message(
        &mut self,
        stream: u16,
        ssn: u16,
        done: &mut impl FnMut(Message),
    ) -> Result<(), TooLong> {
        let next = &mut self.streams.entry(stream).or_default().next;
        let after = ssn.wrapping_add(1);
        if after.wrapping_sub(*next) as i16 > 0 {
            *next = after;
        }
        self.follow(stream, done)
    }

    /// The sender begins this stream anew, `last` being its last number before. False if it has said so before and sent
    /// nothing since: some ask under another number once more, or answer a reset with one of a stream that they have
    /// reset already. Once both directions are closed, it is a new stream that may be closed without having carried anything.
    pub(crate) fn reset(&mut self, stream: u16, last: u64) -> bool {
        let state = self.streams.entry(stream).or_default();
        let known = state.next == 0 && state.fresh_since == Some(last);
        let fresh_since = (!state.half_closed).then_some(last);
        *state = Stream { next: 0, fresh_since, half_closed: false };
        !known
    }

    /// The other end knows that this end's side of this stream is closed.
    pub(crate) fn own_side_closed(&mut self, stream: u16) {
        let state = self.streams.entry(stream).or_default();
        state.half_closed = state.fresh_since.take().is_none();
    }

    /// All streams on which anything came.
    pub(crate) fn streams(&self) -> Vec<u16> {
        self.streams.keys().copied().collect()
    }

    fn next(&self, stream: u16) -> u16 {
        self.streams.get(&stream).map_or(0, |stream| stream.next)
    }

    /// Takes what has come without a gap from the front of the ring.
    fn advance(&mut self, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        while self.ring.front().is_some_and(|slot| slot.state != State::Missing) {
            let slot = self.ring.pop_front().unwrap_or_default();
            self.base += 1;
            self.pass(slot, done)?;
        }
        if self.ring.is_empty() && self.ring.capacity() > KEPT_SLOTS {
            self.ring.shrink_to(KEPT_SLOTS);
        }
        Ok(())
    }

    fn pass(&mut self, slot: Slot, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        match slot.state {
            State::Missing => self.assembling = None,
            State::Gone => {}
            State::Held => {
                self.held -= slot.payload.len() + ENTRY;
                if slot.ordered() && slot.flags.has(Flags::FIRST) {
                    self.waiting.remove(&(slot.stream, slot.ssn));
                }
                self.settle(slot, done)?;
            }
        }
        Ok(())
    }

    /// A piece before which nothing is missing.
    fn settle(&mut self, slot: Slot, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        let (stream, ssn, ordered) = (slot.stream, slot.ssn, slot.ordered());
        if slot.flags.has(Flags::FIRST) {
            self.assembling = None;
            if slot.flags.has(Flags::LAST) {
                // Nothing before it is missing, so it is this message's turn, whatever its number says.
                let message = Message { stream, ppid: slot.ppid, payload: slot.payload };
                return self.deliver(ordered.then_some(ssn), message, done);
            }
            let bytes = slot.payload.to_vec();
            self.assembling = Some(Assembling { stream, ssn, ordered, ppid: slot.ppid, bytes });
            return Ok(());
        }
        let Some(mut message) = self.assembling.take() else { return Ok(()) };
        if message.stream != stream || message.ordered != ordered || (ordered && message.ssn != ssn) {
            return Ok(());
        }
        if message.bytes.len() + slot.payload.len() > self.longest {
            return Err(TooLong);
        }
        message.bytes.extend_from_slice(&slot.payload);
        if slot.flags.has(Flags::LAST) {
            let whole = Message { stream, ppid: message.ppid, payload: message.bytes.into() };
            return self.deliver(ordered.then_some(ssn), whole, done);
        }
        self.assembling = Some(message);
        Ok(())
    }

    fn deliver(
        &mut self,
        ssn: Option<u16>,
        message: Message,
        done: &mut impl FnMut(Message),
    ) -> Result<(), TooLong> {
        let stream = message.stream;
        done(message);
        let state = self.streams.entry(stream).or_default();
        state.fresh_since = None;
        let Some(ssn) = ssn else { return Ok(()) };
        state.next = ssn.wrapping_add(1);
        self.follow(stream, done)
    }

    /// Delivers those that waited for the messages before them.
    fn follow(&mut self, stream: u16, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        while !self.waiting.is_empty() {
            let next = self.next(stream);
            let Some(first) = self.waiting.remove(&(stream, next)) else { break };
            let message = self.lift((first - self.base) as usize);
            done(message);
            if let Some(state) = self.streams.get_mut(&stream) {
                state.next = next.wrapping_add(1);
            }
        }
        Ok(())
    }

    /// Joins the piece with its neighbours: where its run starts now, and how many pieces it has.
    fn join(&mut self, index: usize) -> Result<(usize, usize), TooLong> {
        let (mut start, mut pieces, mut bytes) = (index, 1, self.ring[index].run_bytes);
        if index > 0 && self.ring[index - 1].goes_on_in(&self.ring[index]) {
            let left = &self.ring[index - 1];
            start = index - left.run;
            pieces += left.run;
            bytes += left.run_bytes;
        }
        if let Some(right) = self.ring.get(index + 1)
            && self.ring[index].goes_on_in(right)
        {
            pieces += right.run;
            bytes += right.run_bytes;
        }
        if bytes > self.longest {
            return Err(TooLong);
        }
        for end in [start, start + pieces - 1] {
            self.ring[end].run = pieces;
            self.ring[end].run_bytes = bytes;
        }
        Ok((start, pieces))
    }

    /// A message in the ring is whole: it goes out, or waits for those before it.
    fn complete(&mut self, start: usize, done: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        let slot = &self.ring[start];
        let (stream, ssn) = (slot.stream, slot.ssn);
        if !slot.ordered() {
            let message = self.lift(start);
            return self.deliver(None, message, done);
        }
        if self.next(stream) == ssn {
            let message = self.lift(start);
            return self.deliver(Some(ssn), message, done);
        }
        self.waiting.insert((stream, ssn), self.base + start as u64);
        Ok(())
    }

    /// Takes a whole message out of the ring.
    fn lift(&mut self, start: usize) -> Message {
        let slot = &self.ring[start];
        let (stream, ppid, pieces, bytes) = (slot.stream, slot.ppid, slot.run, slot.run_bytes);
        self.held -= bytes + pieces * ENTRY;
        let mut take = |index: usize| {
            self.ring[index].state = State::Gone;
            std::mem::take(&mut self.ring[index].payload)
        };
        if pieces == 1 {
            return Message { stream, ppid, payload: take(start) };
        }
        let mut whole = Vec::with_capacity(bytes);
        for index in start..start + pieces {
            whole.extend_from_slice(&take(index));
        }
        Message { stream, ppid, payload: whole.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(flags: Flags, stream: u16, ssn: u16, payload: &'static str) -> Data {
        Data { flags, tsn: 0, stream, ssn, ppid: 51, payload: Bytes::from(payload) }
    }

    /// Hands pieces over in this order, and tells what came out after each.
    fn run(pieces: &[(u64, Data)]) -> Vec<String> {
        let mut reassembly = Reassembly::new(100, 20);
        let mut out = Vec::new();
        for (tsn, data) in pieces {
            let mut now = Vec::new();
            let mut done = |message: Message| {
                now.push(format!("{}:{}", message.stream, String::from_utf8_lossy(&message.payload)));
            };
            reassembly.take(*tsn, data.clone(), 0, &mut done).unwrap();
            out.push(now.join(" "));
        }
        assert_eq!(reassembly.held, 0);
        assert!(reassembly.waiting.is_empty());
        out
    }

    const MIDDLE: Flags = Flags(0);

    #[test]
    fn a_message_is_whole_in_whatever_order_its_pieces_come() {
        let pieces = [
            (100, piece(Flags::WHOLE, 1, 0, "zero")),
            (101, piece(Flags::FIRST, 1, 1, "a")),
            (102, piece(MIDDLE, 1, 1, "b")),
            (103, piece(MIDDLE, 1, 1, "c")),
            (104, piece(Flags::LAST, 1, 1, "d")),
        ];
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 3, 4, 2, 0], [2, 4, 0, 1, 3], [4, 2, 3, 1, 0]] {
            let out = run(&order.map(|index: usize| pieces[index].clone()));
            assert_eq!(
                out.join(" ").split_whitespace().collect::<Vec<_>>(),
                ["1:zero", "1:abcd"],
                "{order:?}"
            );
        }
    }

    #[test]
    fn a_gap_holds_up_only_its_own_stream_and_no_unordered_message() {
        let out = run(&[
            (101, piece(Flags::WHOLE, 1, 1, "held")),
            (102, piece(Flags::WHOLE, 2, 0, "other")),
            (103, piece(Flags::FIRST | Flags::UNORDERED, 1, 0, "un")),
            (104, piece(Flags::LAST | Flags::UNORDERED, 1, 0, "ordered")),
            (105, piece(Flags::FIRST, 3, 0, "lo")),
            (106, piece(Flags::LAST, 3, 0, "ng")),
            (100, piece(Flags::WHOLE, 1, 0, "first")),
        ]);
        assert_eq!(out, ["", "2:other", "", "1:unordered", "", "3:long", "1:first 1:held"]);
    }

    #[test]
    fn pieces_that_contradict_each_other_make_no_message() {
        let out = run(&[
            (100, piece(Flags::FIRST, 1, 0, "a")),
            (101, piece(Flags::FIRST, 1, 0, "b")),
            (102, piece(Flags::LAST, 2, 0, "c")),
            (103, piece(MIDDLE, 1, 0, "d")),
            (105, piece(Flags::LAST, 1, 0, "e")),
            (104, piece(Flags::WHOLE, 1, 0, "f")),
        ]);
        assert_eq!(out, ["", "", "", "", "", "1:f"]);
    }

    #[test]
    fn a_message_that_is_too_long_is_told_before_it_is_whole() {
        for order in [[100, 101], [102, 101]] {
            let mut reassembly = Reassembly::new(100, 5);
            let first = if order[0] == 100 { Flags::FIRST } else { MIDDLE };
            reassembly.take(order[0], piece(first, 1, 0, "abcd"), 0, &mut |_| ()).unwrap();
            let result = reassembly.take(order[1], piece(MIDDLE, 1, 0, "ef"), 0, &mut |_| ());
            assert_eq!(result, Err(TooLong));
        }
    }

    #[test]
    fn what_is_given_up_is_skipped_and_the_rest_comes() {
        let mut reassembly = Reassembly::new(100, 20);
        let mut out = Vec::new();
        let mut done = |message: Message| out.push(message.payload);
        reassembly.take(100, piece(Flags::FIRST, 1, 0, "gone"), 0, &mut done).unwrap();
        reassembly.take(102, piece(Flags::WHOLE, 1, 1, "b"), 0, &mut done).unwrap();
        reassembly.take(105, piece(Flags::WHOLE, 1, 3, "d"), 0, &mut done).unwrap();
        reassembly.skip_to(103, &mut done).unwrap();
        reassembly.skip_message(1, 0, &mut done).unwrap();
        reassembly.take(104, piece(Flags::WHOLE, 1, 2, "c"), 0, &mut done).unwrap();
        assert_eq!(out, ["b", "c", "d"]);
        assert_eq!(reassembly.held, 0);
    }

    #[test]
    fn numbers_of_a_stream_wrap_with_all_of_them_waiting() {
        let mut reassembly = Reassembly::new(100, 20);
        let mut count = 0_u32;
        for number in 1..=60_000_u32 {
            let data = piece(Flags::WHOLE, 1, number as u16, "x");
            reassembly.take(100 + u64::from(number), data, 0, &mut |_| count += 1).unwrap();
        }
        assert_eq!(count, 0);
        reassembly.take(100, piece(Flags::WHOLE, 1, 0, "x"), 0, &mut |_| count += 1).unwrap();
        assert_eq!(count, 60_001);
    }
}
