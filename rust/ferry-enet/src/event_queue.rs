//! Events on their way to the driver, in order, without an allocation for each packet.
//!
//! A packet that can be delivered as it comes is copied off the datagram to the end of the *filling* chunk, one behind
//! the other. When the driver fetches the first of them, the chunk's full part is sealed into one shared [`Bytes`], and
//! each packet handed out is a slice of that. A chunk whose slices have all been dropped is used again. Packets that had
//! to wait (out of order, in pieces) have memory of their own ([`own`]): a single waiting packet would pin a whole chunk,
//! and a hostile peer could pin many.
//!
//! Bounds: the packets of each connection that stands by its budget (`peer/budget.rs`). A driver that does not fetch
//! would still pile up what ended connections have left, so a congested queue keeps new clients out
//! (`host/admission.rs`).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::event::{Event, Mode, PeerId};

/// A chunk holds about forty full datagrams: few enough chunks a second, little memory pinned by one packet.
const CHUNK_SIZE: usize = 64 * 1024;
/// When so much of a chunk is used, an empty queue begins it anew, if its packets were all dropped.
const WORTH_REWINDING: usize = CHUNK_SIZE - 4 * 1024;
/// Used chunks that are kept in the hope that their packets get dropped: 256 KiB a host at most.
const MAXIMUM_RETIRED: usize = 4;

/// More events than this are more than a driver should ever leave waiting.
const CONGESTED_EVENTS: usize = 64 * 1024;

pub(crate) struct EventQueue {
    waiting: VecDeque<Waiting>,
    /// Packet bytes that wait.
    bytes: usize,
    filling: BytesMut,
    /// The number that the filling chunk's part will have when it is sealed.
    filling_batch: u64,
    /// Sealed parts that no packet was fetched from yet, the oldest first.
    sealed: VecDeque<Bytes>,
    /// The part that packets are being fetched from, and its number.
    open: Bytes,
    open_batch: u64,
    retired: VecDeque<BytesMut>,
}

enum Waiting {
    Whole(Event),
    /// A packet in a chunk.
    Copied {
        peer: PeerId,
        batch: u64,
        start: u32,
        len: u16,
        channel: u8,
        mode: Mode,
    },
}

impl Waiting {
    fn peer(&self) -> PeerId {
        match self {
            Self::Whole(event) => event.peer(),
            Self::Copied { peer, .. } => *peer,
        }
    }

    fn payload_len(&self) -> usize {
        match self {
            Self::Whole(event) => payload_len(event),
            Self::Copied { len, .. } => usize::from(*len),
        }
    }
}

impl EventQueue {
    pub(crate) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            filling: BytesMut::new(),
            filling_batch: 1,
            sealed: VecDeque::new(),
            open: Bytes::new(),
            open_batch: 0,
            retired: VecDeque::with_capacity(MAXIMUM_RETIRED + 1),
        }
    }

    /// Whether the driver is so far behind that there had better be no more connections.
    pub(crate) fn congested(&self, maximum_bytes: usize) -> bool {
        self.waiting.len() > CONGESTED_EVENTS || self.bytes > maximum_bytes
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.bytes += payload_len(&event);
        self.waiting.push_back(Waiting::Whole(event));
    }

    /// Queues a packet that came whole, by copying it.
    #[inline]
    pub(crate) fn push_packet(&mut self, peer: PeerId, channel: u8, mode: Mode, payload: &[u8]) {
        if self.waiting.is_empty() && self.filling.capacity() < WORTH_REWINDING {
            // Memory that was used just now is nearer than the chunk's far end. If that fails, so be it.
            let _ = self.filling.try_reclaim(CHUNK_SIZE);
        }
        if self.filling.capacity() - self.filling.len() < payload.len() {
            if !self.filling.is_empty() {
                self.seal();
            }
            self.replace_chunk();
        }
        let start = self.filling.len() as u32;
        self.filling.extend_from_slice(payload);
        self.bytes += payload.len();
        let (batch, len) = (self.filling_batch, payload.len() as u16);
        self.waiting.push_back(Waiting::Copied { peer, batch, start, len, channel, mode });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = match self.waiting.pop_front()? {
            Waiting::Whole(event) => event,
            Waiting::Copied { peer, batch, start, len, channel, mode } => {
                while self.open_batch < batch {
                    self.open_next();
                }
                let start = start as usize;
                let payload = self.open.slice(start..start + usize::from(len));
                Event::Received { peer, channel, mode, payload }
            }
        };
        self.bytes -= payload_len(&event);
        if self.waiting.is_empty() {
            // It would pin its chunk.
            self.open = Bytes::new();
        }
        Some(event)
    }

    /// Drops all that is queued about a peer which the driver wants to hear no more of.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.waiting.retain(|event| event.peer() != peer);
        self.bytes = self.waiting.iter().map(Waiting::payload_len).sum();
    }

    fn open_next(&mut self) {
        if self.sealed.is_empty() {
            self.seal();
        }
        self.open = self.sealed.pop_front().unwrap_or_default();
        self.open_batch += 1;
    }

    fn seal(&mut self) {
        self.sealed.push_back(self.filling.split().freeze());
        self.filling_batch += 1;
    }

    /// Takes the first retired chunk that nobody uses any more, or a new one.
    fn replace_chunk(&mut self) {
        let used = std::mem::take(&mut self.filling);
        for _ in 0..self.retired.len() {
            let Some(mut chunk) = self.retired.pop_front() else { break };
            if chunk.try_reclaim(CHUNK_SIZE) {
                self.filling = chunk;
                break;
            }
            self.retired.push_back(chunk);
        }
        if self.filling.capacity() == 0 {
            self.filling = BytesMut::with_capacity(CHUNK_SIZE);
        }
        if used.capacity() > 0 {
            self.retired.push_back(used);
        }
        if self.retired.len() > MAXIMUM_RETIRED {
            self.retired.pop_front();
        }
    }
}

fn payload_len(event: &Event) -> usize {
    match event {
        Event::Received { payload, .. } => payload.len(),
        _ => 0,
    }
}

/// A copy of `data` in memory of its own.
pub(crate) fn own(data: &[u8]) -> Bytes {
    Bytes::copy_from_slice(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { slot: 0, generation: 0 };

    fn payload(queue: &mut EventQueue) -> Bytes {
        match queue.pop() {
            Some(Event::Received { payload, .. }) => payload,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_come_out_as_they_went_in_however_pushes_and_pops_mix() {
        let mut queue = EventQueue::new();
        let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
        let mut kept: VecDeque<(Bytes, Vec<u8>)> = VecDeque::new();
        for round in 0..50_000_usize {
            if round * 7 % 11 < 6 {
                let packet = vec![round as u8; round * 31 % 1400];
                queue.push_packet(PEER, 0, Mode::Reliable, &packet);
                expected.push_back(packet);
            } else if let Some(packet) = expected.pop_front() {
                kept.push_back((payload(&mut queue), packet));
            }
            if kept.len() > 60 {
                let (bytes, packet) = kept.pop_front().unwrap();
                assert_eq!(bytes, packet);
            }
        }
        assert!(queue.retired.len() <= MAXIMUM_RETIRED);
    }

    #[test]
    fn events_and_packets_keep_their_order_and_a_forgotten_peer_is_silent() {
        let other = PeerId { slot: 1, generation: 0 };
        let mut queue = EventQueue::new();
        queue.push(Event::Connected { peer: PEER, data: 1 });
        queue.push_packet(PEER, 0, Mode::Reliable, b"first");
        queue.push_packet(other, 0, Mode::Reliable, b"theirs");
        queue.push(Event::Received { peer: PEER, channel: 0, mode: Mode::Reliable, payload: own(b"second") });
        assert_eq!(queue.pop(), Some(Event::Connected { peer: PEER, data: 1 }));
        assert_eq!(payload(&mut queue), "first");
        queue.forget(PEER);
        assert_eq!(payload(&mut queue), "theirs");
        assert_eq!(queue.pop(), None);
    }
}
