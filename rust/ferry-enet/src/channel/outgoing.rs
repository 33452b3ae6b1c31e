//! Reliable commands on their way out: numbered, kept until acknowledged.
//!
//! A [`ReliableLine`] holds all commands of one channel from the oldest that is not acknowledged to the newest that
//! was queued, in the order of their sequence numbers; so an acknowledgement finds its command by subtraction,
//! however many are under way. Which of them is to be sent next is not decided here but in `peer/outgoing.rs`,
//! whose queues refer to commands by [`Index`].
//!
//! The receiver takes numbers from the window (of 4096) of the last one it has delivered and the six after it, and
//! drops what lies beyond. It has delivered everything before our oldest unacknowledged one at least, so
//! [`ReliableLine::receivable`] follows. Bounds: the peer's byte limit for outgoing data.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::time::Timestamp;
use crate::wire::{
    Connect, Fragment, OPEN_RELIABLE_WINDOWS, RELIABLE_WINDOW_BITS, Terms, ThrottleParameters,
};

/// A reliable command's number without the wrap of the 16 bits on the wire, which are its low ones.
pub(crate) type Index = u64;

pub(crate) struct Reliable {
    pub(crate) body: ReliableBody,
    /// When it was sent last, and how often it was.
    pub(crate) sent_at: Timestamp,
    pub(crate) attempts: u32,
    /// How long the last sending may stay without an answer.
    pub(crate) patience_us: u32,
    /// Stands in a queue: not sent yet, or to be sent again.
    pub(crate) queued: bool,
}

pub(crate) enum ReliableBody {
    Small(SmallPacket),
    Packet(Bytes),
    Fragment(ReliableFragment),
    Connect(Box<Connect>),
    VerifyConnect(Box<Terms>),
    Disconnect { data: u32 },
    Ping,
    BandwidthLimit { incoming: u32, outgoing: u32 },
    ThrottleConfigure(ThrottleParameters),
}

/// A packet that is cheaper to copy than to share: no allocation, no counting of who holds it.
#[derive(Clone, Copy)]
pub(crate) struct SmallPacket {
    len: u8,
    bytes: [u8; Self::CAPACITY],
}

impl SmallPacket {
    /// Most packets of most games.
    const CAPACITY: usize = 64;

    /// `None` if it is not small.
    #[inline]
    pub(crate) fn new(packet: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::CAPACITY];
        bytes.get_mut(..packet.len())?.copy_from_slice(packet);
        Some(Self { len: packet.len() as u8, bytes })
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Piece `number` of a packet in pieces of `piece_len`.
pub(crate) struct ReliableFragment {
    pub(crate) packet: Bytes,
    pub(crate) number: u32,
    pub(crate) piece_len: u16,
    pub(crate) start_seq: u16,
}

impl ReliableFragment {
    fn offset(&self) -> usize {
        self.number as usize * usize::from(self.piece_len)
    }

    fn end(&self) -> usize {
        self.packet.len().min(self.offset() + usize::from(self.piece_len))
    }

    pub(crate) fn is_last(&self) -> bool {
        self.end() == self.packet.len()
    }

    pub(crate) fn on_wire(&self) -> Fragment<'_> {
        Fragment {
            start_seq: self.start_seq,
            count: self.packet.len().div_ceil(usize::from(self.piece_len)) as u32,
            number: self.number,
            total_len: self.packet.len() as u32,
            offset: self.offset() as u32,
            payload: &self.packet[self.offset()..self.end()],
        }
    }
}

impl ReliableBody {
    /// Packet bytes in this command: what the window counts.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Small(packet) => usize::from(packet.len),
            Self::Packet(packet) => packet.len(),
            Self::Fragment(fragment) => fragment.end() - fragment.offset(),
            _ => 0,
        }
    }
}

/// What there is to know of a command that was acknowledged.
pub(crate) struct Acknowledged {
    pub(crate) what: What,
    pub(crate) payload_len: usize,
    pub(crate) sent_at: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) queued: bool,
}

/// What an acknowledgement may mean for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    VerifyConnect,
    Disconnect,
    Anything,
}

/// The reliable commands of one channel.
pub(crate) struct ReliableLine {
    /// The number of the first entry.
    oldest: Index,
    entries: VecDeque<Option<Reliable>>,
}

impl Default for ReliableLine {
    fn default() -> Self {
        Self { oldest: 1, entries: VecDeque::new() }
    }
}

impl ReliableLine {
    /// The number of the last command that was queued, zero before the first.
    pub(crate) fn last(&self) -> Index {
        self.oldest + self.entries.len() as u64 - 1
    }

    #[inline]
    pub(crate) fn push(&mut self, body: ReliableBody) -> Index {
        self.entries.push_back(Some(Reliable {
            body,
            attempts: 0,
            sent_at: Timestamp::default(),
            patience_us: 0,
            queued: true,
        }));
        self.last()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut Reliable> {
        let place = usize::try_from(index.checked_sub(self.oldest)?).ok()?;
        self.entries.get_mut(place)?.as_mut()
    }

    /// Frees the command that an acknowledgement of `seq` means, if it was sent and not acknowledged before.
    #[inline]
    pub(crate) fn acknowledge(&mut self, seq: u16) -> Option<Acknowledged> {
        let place = usize::from(seq.wrapping_sub(self.oldest as u16));
        let entry = self.entries.get_mut(place)?;
        let command = entry.as_ref().filter(|command| command.attempts > 0)?;
        let acknowledged = Acknowledged {
            what: match command.body {
                ReliableBody::VerifyConnect(_) => What::VerifyConnect,
                ReliableBody::Disconnect { .. } => What::Disconnect,
                _ => What::Anything,
            },
            payload_len: command.body.payload_len(),
            sent_at: command.sent_at,
            attempts: command.attempts,
            queued: command.queued,
        };
        *entry = None;
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.oldest += 1;
        }
        Some(acknowledged)
    }

    /// Whether the receiver is sure to take number `index` now.
    pub(crate) fn receivable(&self, index: Index) -> bool {
        let delivered = self.oldest - 1;
        index >> RELIABLE_WINDOW_BITS < (delivered >> RELIABLE_WINDOW_BITS) + u64::from(OPEN_RELIABLE_WINDOWS)
    }

    /// Every command that was sent and is not in a queue: those whose answer is awaited.
    pub(crate) fn awaited(&mut self) -> impl Iterator<Item = (Index, &mut Reliable)> {
        let oldest = self.oldest;
        self.entries
            .iter_mut()
            .enumerate()
            // Commands are first sent in order: behind one that never was, none was.
            .take_while(|(_, entry)| entry.as_ref().is_none_or(|command| command.attempts > 0))
            .filter_map(move |(place, entry)| {
                let command = entry.as_mut().filter(|command| !command.queued)?;
                Some((oldest + place as u64, command))
            })
    }

    /// How many commands wait to be sent or acknowledged, those among them that were acknowledged early included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.oldest += self.entries.len() as u64;
        self.entries.clear();
    }
}

/// What one channel sends: its reliable commands, and the numbering of its unreliable ones.
#[derive(Default)]
pub(crate) struct OutgoingChannel {
    pub(crate) line: ReliableLine,
    /// Unreliable packets since the last reliable one.
    unreliable_seq: u16,
}

impl OutgoingChannel {
    #[inline]
    pub(crate) fn push_reliable(&mut self, body: ReliableBody) -> Index {
        self.unreliable_seq = 0;
        self.line.push(body)
    }

    /// The numbers for an unreliable packet, `None` when they are used up: receivers do not wrap them, so the
    /// channel needs a reliable packet to start over.
    pub(crate) fn next_unreliable(&mut self) -> Option<(u16, u16)> {
        self.unreliable_seq = self.unreliable_seq.checked_add(1)?;
        Some((self.line.last() as u16, self.unreliable_seq))
    }

    /// Whether the next packet must go reliably for the numbering's sake.
    pub(crate) fn unreliable_used_up(&self) -> bool {
        self.unreliable_seq == u16::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(line: &mut ReliableLine) -> Index {
        let index = line.push(ReliableBody::Ping);
        let command = line.get_mut(index).unwrap();
        (command.attempts, command.queued) = (1, false);
        index
    }

    #[test]
    fn an_acknowledgement_finds_its_command_once() {
        let mut line = ReliableLine::default();
        for expected in 1..=5 {
            assert_eq!(sent(&mut line), expected);
        }
        assert!(line.acknowledge(3).is_some());
        assert!(line.acknowledge(3).is_none());
        assert!(line.acknowledge(6).is_none());
        assert!(line.acknowledge(0).is_none());
        assert!(line.acknowledge(1).is_some());
        assert!(line.acknowledge(2).is_some());
        assert_eq!(line.awaited().map(|(index, _)| index).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn what_was_not_sent_cannot_be_acknowledged() {
        let mut line = ReliableLine::default();
        line.push(ReliableBody::Ping);
        assert!(line.acknowledge(1).is_none());
    }

    #[test]
    fn numbers_wrap_on_the_wire_only() {
        let mut line = ReliableLine::default();
        for round in 1..=200_000_u64 {
            assert_eq!(sent(&mut line), round);
            assert!(line.acknowledge(round as u16).is_some());
        }
    }

    #[test]
    fn the_receivers_window_is_respected_to_the_number() {
        let mut line = ReliableLine::default();
        assert!(line.receivable(7 * 4096 - 1));
        assert!(!line.receivable(7 * 4096));
        for _ in 0..4096 {
            sent(&mut line);
        }
        for seq in 1..4096 {
            line.acknowledge(seq);
        }
        assert!(!line.receivable(7 * 4096), "4096 itself is not acknowledged");
        line.acknowledge(4096);
        assert!(line.receivable(8 * 4096 - 1));
        assert!(!line.receivable(8 * 4096));
    }

    #[test]
    fn unreliable_numbers_end_at_the_last_one_and_start_over_behind_a_reliable_packet() {
        let mut channel = OutgoingChannel::default();
        for seq in 1..=u16::MAX {
            assert_eq!(channel.next_unreliable(), Some((0, seq)));
        }
        assert!(channel.unreliable_used_up());
        assert_eq!(channel.next_unreliable(), None);
        channel.push_reliable(ReliableBody::Ping);
        assert_eq!(channel.next_unreliable(), Some((1, 1)));
    }
}
