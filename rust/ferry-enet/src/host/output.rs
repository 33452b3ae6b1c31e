//! The way out: which peer is next, and its commands into a datagram.
//!
//! Peers that have something to say stand in a list, each once. The first one fills datagrams until it has no more to
//! say or has had its turn; so the work is in proportion to what is sent. Words to those who are no peers (any more)
//! go out before.

use std::collections::VecDeque;

use super::{Host, SlotQueue};
use crate::address::Address;
use crate::peer::{Filled, Peer};
use crate::time::Timestamp;
use crate::wire::{
    Body, CONTROL_CHANNEL, Command, Header, HeaderLayout, NO_PEER_ID, Terms, Writer, checksum,
};

/// How many datagrams a peer sends in a row while others wait: a long run to one address is cheaper for the system,
/// and a whole window is 47 of them.
const TURN: u32 = 16;
/// How many stateless words may wait. More are not worth keeping: who asks again is answered again.
const MAXIMUM_OUTBOX: usize = 4096;

/// A datagram to be sent: so many bytes of the buffer, to there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit<A> {
    /// Its destination.
    pub to: A,
    /// Its length.
    pub len: usize,
}

/// Peers that have something to send.
#[derive(Default)]
pub(super) struct ReadyList {
    queue: SlotQueue,
    listed: Vec<bool>,
    /// Datagrams that the first one has sent in its turn.
    turn: u32,
}

impl ReadyList {
    #[inline]
    pub(super) fn insert(&mut self, slot: u16) {
        let index = usize::from(slot);
        if self.listed.len() <= index {
            self.listed.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.listed[index], true) {
            self.queue.push_back(slot);
        }
    }

    fn first(&self) -> Option<u16> {
        self.queue.front().copied()
    }

    /// The first one is done.
    fn remove_first(&mut self) {
        if let Some(slot) = self.queue.pop_front() {
            self.listed[usize::from(slot)] = false;
        }
        self.turn = 0;
    }

    /// The first one has sent a datagram and has more.
    fn took_turn(&mut self) {
        self.turn += 1;
        if self.turn >= TURN {
            self.turn = 0;
            self.queue.rotate_left(1);
        }
    }
}

/// Datagrams without a connection: refusals, and goodbyes of connections that are no more.
pub(super) struct Outbox<A> {
    words: VecDeque<Word<A>>,
}

/// A DISCONNECT that nobody will acknowledge.
struct Word<A> {
    to: A,
    header: Header,
    connect_id: u32,
    checksum: bool,
    seq: u16,
    data: u32,
}

impl<A> Default for Outbox<A> {
    fn default() -> Self {
        Self { words: VecDeque::new() }
    }
}

impl<A> Outbox<A> {
    pub(super) fn push_refusal(&mut self, to: A, wishes: &Terms, data: u32, checksum: bool) {
        // Any but the one that the client used last, which it may still know.
        let session = wishes.incoming_session.wrapping_add(1);
        let header = Header { peer_id: wishes.peer_id, session, compressed: false, sent_time: None };
        self.push(Word { to, header, connect_id: wishes.connect_id, checksum, seq: 1, data });
    }

    pub(super) fn push_goodbye(&mut self, to: A, peer: &Peer, data: u32, checksum: bool) {
        let session = peer.sessions.outgoing;
        let header = Header { peer_id: peer.remote_id, session, compressed: false, sent_time: None };
        self.push(Word { to, header, connect_id: peer.connect_id, checksum, seq: 0, data });
    }

    fn push(&mut self, word: Word<A>) {
        if self.words.len() < MAXIMUM_OUTBOX {
            self.words.push_back(word);
        }
    }
}

impl<A: Address> Host<A> {
    /// The next datagram to send now, written into `buffer`. `None` when there is nothing (more) to send.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than the [`Config::mtu`](crate::Config::mtu).
    pub fn poll_transmit(&mut self, now: Timestamp, buffer: &mut [u8]) -> Option<Transmit<A>> {
        assert!(buffer.len() >= usize::from(self.config.mtu), "the buffer is shorter than a datagram may be");
        let transmit = match self.outbox.words.pop_front() {
            Some(word) => Some(write_word(word, buffer)),
            None => self.transmit_ready(now, buffer),
        }?;
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += transmit.len as u64;
        Some(transmit)
    }

    fn transmit_ready(&mut self, now: Timestamp, buffer: &mut [u8]) -> Option<Transmit<A>> {
        while let Some(slot) = self.ready.first() {
            let Some((address, peer)) = self.slots.with_address_mut(slot) else {
                self.ready.remove_first();
                continue;
            };
            let start = HeaderLayout::new(true, self.config.checksum).commands;
            let room = usize::from(peer.mtu) - start;
            let mut writer = Writer::new(&mut buffer[start..start + room]);
            let filled = peer.fill(now, &mut writer);
            let written = writer.len();
            if filled.more {
                self.ready.took_turn();
            } else {
                self.ready.remove_first();
            }
            if filled.commands == 0 {
                // All that was left is kept back by the window, or was thinned out.
                self.settle(slot);
                continue;
            }
            let to = address.clone();
            let len = self.finish(now, slot, filled, buffer, start, written);
            return Some(Transmit { to, len });
        }
        None
    }

    /// Puts header, compression and checksum around commands that stand in `buffer` at `start`.
    fn finish(
        &mut self,
        now: Timestamp,
        slot: u16,
        filled: Filled,
        buffer: &mut [u8],
        start: usize,
        written: usize,
    ) -> usize {
        let Some(peer) = self.slots.at_mut(slot) else { return 0 };
        let layout = HeaderLayout::new(filled.timed, self.config.checksum);
        let commands = start..start + written;
        let mut header = Header {
            peer_id: peer.remote_id,
            session: if peer.remote_id == NO_PEER_ID { 0 } else { peer.sessions.outgoing },
            compressed: false,
            sent_time: filled.timed.then(|| now.wire_millis()),
        };
        let compressor = self.compressor.as_deref_mut();
        let compressed = compressor
            .and_then(|compressor| {
                compressor.compress(&buffer[commands.clone()], &mut self.scratch[..written])
            })
            .filter(|&len| len < written);
        header.compressed = compressed.is_some();
        header.write(buffer);
        // Over the commands as they were, with the header as it will be.
        let id = if peer.remote_id == NO_PEER_ID { 0 } else { peer.connect_id };
        let sum = layout.checksum.map(|at| (at, checksum(&buffer[..at], id, &buffer[commands.clone()])));
        match compressed {
            Some(len) => {
                buffer[layout.commands..layout.commands + len].copy_from_slice(&self.scratch[..len]);
            }
            None if layout.commands != start => buffer.copy_within(commands, layout.commands),
            None => {}
        }
        if let Some((at, sum)) = sum {
            buffer[at..layout.commands].copy_from_slice(&sum);
        }
        let len = layout.commands + compressed.unwrap_or(written);
        peer.count_sent(now, len);
        self.settle(slot);
        len
    }
}

fn write_word<A>(word: Word<A>, buffer: &mut [u8]) -> Transmit<A> {
    let layout = HeaderLayout::new(false, word.checksum);
    word.header.write(buffer);
    let (head, rest) = buffer.split_at_mut(layout.commands);
    let mut writer = Writer::new(rest);
    let body = Body::Disconnect { data: word.data };
    Command { channel: CONTROL_CHANNEL, reliable_seq: word.seq, wants_acknowledgement: false, body }
        .write(&mut writer);
    let written = writer.len();
    if let Some(at) = layout.checksum {
        let sum = checksum(&head[..at], word.connect_id, &rest[..written]);
        head[at..].copy_from_slice(&sum);
    }
    Transmit { to: word.to, len: layout.commands + written }
}
