//! Unreliable packets on their way out.
//!
//! Nobody asks for them again, so a packet that fits into a datagram is written at once as it will stand there, one
//! behind the other: sending it is one copy, and nothing is allocated or shared for it. A packet that is cut up is
//! kept as the shared memory it came as, and its fragments are written as datagrams take them.
//!
//! Bounded in bytes by the host's settings; whole packets are dropped from the front to make room.

use std::collections::VecDeque;

use bytes::Bytes;

use super::budget::PACKET_OVERHEAD;
use crate::wire::{Body, Command, Fragment, Number, Writer};

/// A small unreliable packet's command without the packet: either kind has the same length.
const HEAD: usize = Number::SendUnreliable.size();
const _: () = assert!(HEAD == Number::SendUnsequenced.size());

#[derive(Default)]
pub(super) struct UnreliableQueue {
    entries: VecDeque<Entry>,
    /// The commands of small packets, those from `taken` on still to be sent.
    written: Vec<u8>,
    taken: usize,
    large: VecDeque<LargePacket>,
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Where it stands among everything the peer was sent.
    order: u32,
    /// The length of its written command; none for the next large packet.
    len: Option<u16>,
}

/// A packet in pieces, the first `next` of which are gone.
struct LargePacket {
    packet: Bytes,
    channel: u8,
    reliable_seq: u16,
    seq: u16,
    piece_len: usize,
    count: u32,
    next: u32,
}

/// What the front of the queue is.
#[derive(Clone, Copy)]
pub(super) struct Front {
    pub(super) order: u32,
    /// How many bytes its next command takes.
    pub(super) size: usize,
    /// Whether that command begins a packet, and whether it ends one.
    pub(super) begins_packet: bool,
    pub(super) ends_packet: bool,
}

impl LargePacket {
    fn fragment(&self) -> Fragment<'_> {
        let start = self.next as usize * self.piece_len;
        let end = self.packet.len().min(start + self.piece_len);
        Fragment {
            start_seq: self.seq,
            count: self.count,
            number: self.next,
            total_len: self.packet.len() as u32,
            offset: start as u32,
            payload: &self.packet[start..end],
        }
    }
}

impl UnreliableQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Queues a SEND_UNRELIABLE or a SEND_UNSEQUENCED.
    #[inline]
    pub(super) fn push(&mut self, order: u32, command: &Command<'_>) {
        let mut head = [0; HEAD];
        let payload = command.write_head(&mut Writer::new(&mut head));
        let size = HEAD + payload.len();
        self.written.extend_from_slice(&head);
        self.written.extend_from_slice(payload);
        self.bytes += size + PACKET_OVERHEAD;
        self.entries.push_back(Entry { order, len: Some(size as u16) });
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one packet, once")]
    pub(super) fn push_large(
        &mut self,
        order: u32,
        channel: u8,
        reliable_seq: u16,
        seq: u16,
        packet: Bytes,
        piece_len: usize,
        count: u32,
    ) {
        self.bytes += packet.len() + PACKET_OVERHEAD;
        self.large.push_back(LargePacket { packet, channel, reliable_seq, seq, piece_len, count, next: 0 });
        self.entries.push_back(Entry { order, len: None });
    }

    #[inline]
    pub(super) fn front(&self) -> Option<Front> {
        let &Entry { order, len } = self.entries.front()?;
        if let Some(len) = len {
            return Some(Front { order, size: usize::from(len), begins_packet: true, ends_packet: true });
        }
        let large = self.large.front()?;
        Some(Front {
            order,
            size: Number::SendUnreliableFragment.size() + large.fragment().payload.len(),
            begins_packet: large.next == 0,
            ends_packet: large.next + 1 == large.count,
        })
    }

    /// Writes the command that [`UnreliableQueue::front`] told of, and takes it off.
    #[inline]
    pub(super) fn write_front(&mut self, writer: &mut Writer<'_>) {
        let Some(&Entry { len, .. }) = self.entries.front() else { return };
        match len {
            Some(len) => {
                let end = self.taken + usize::from(len);
                writer.bytes(&self.written[self.taken..end]);
                self.drop_front_packet();
            }
            None => {
                let Some(large) = self.large.front_mut() else { return };
                Command {
                    channel: large.channel,
                    reliable_seq: large.reliable_seq,
                    wants_acknowledgement: false,
                    body: Body::SendUnreliableFragment(large.fragment()),
                }
                .write(writer);
                large.next += 1;
                if large.next == large.count {
                    self.drop_front_packet();
                }
            }
        }
    }

    /// Takes off the first packet, or what is left of it.
    pub(super) fn drop_front_packet(&mut self) {
        let Some(Entry { len, .. }) = self.entries.pop_front() else { return };
        match len {
            Some(len) => {
                self.taken += usize::from(len);
                self.bytes -= usize::from(len) + PACKET_OVERHEAD;
                self.reclaim();
            }
            None => {
                if let Some(large) = self.large.pop_front() {
                    self.bytes -= large.packet.len() + PACKET_OVERHEAD;
                }
            }
        }
    }

    /// Uses the room of taken commands again: at once when none are left, else when they are most of the memory.
    fn reclaim(&mut self) {
        if self.taken == self.written.len() {
            self.written.clear();
            self.taken = 0;
        } else if self.taken > self.written.len() / 2 && self.taken > 4096 {
            self.written.drain(..self.taken);
            self.taken = 0;
        }
    }
}
