//! Packets that have come and wait to be read.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::id_map::IdMap;
use crate::packet::TransferMode;

/// What a packet costs besides its bytes, about: a limit that counted bytes alone would let a flood of tiny ones take fifty
/// times as much.
const PACKET_OVERHEAD: usize = 64;

/// A packet that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The sender's id.
    pub from: i32,
    /// The game's channel.
    pub channel: i32,
    /// How it travelled.
    pub mode: TransferMode,
    /// Its bytes.
    pub payload: Bytes,
}

#[derive(Default)]
pub(super) struct Incoming {
    packets: VecDeque<Packet>,
    /// How many of them are from whom.
    of: IdMap<i32, usize>,
    bytes: usize,
    /// The packet that was taken last: the engine reads its bytes where they are.
    lent: Bytes,
    empty_packets: u64,
}

impl Incoming {
    /// Takes a packet in. Empty ones are counted only: the engine prints an error for each.
    pub(super) fn push(&mut self, packet: Packet) {
        if packet.payload.is_empty() {
            self.empty_packets += 1;
            return;
        }
        self.bytes += PACKET_OVERHEAD + packet.payload.len();
        *self.of.entry(packet.from).or_default() += 1;
        self.packets.push_back(packet);
    }

    pub(super) fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }

    pub(super) fn take(&mut self) -> Option<&[u8]> {
        let packet = self.packets.pop_front()?;
        self.bytes -= PACKET_OVERHEAD + packet.payload.len();
        if let Some(count) = self.of.get_mut(&packet.from) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&packet.from);
            }
        }
        self.lent = packet.payload;
        Some(&self.lent)
    }

    /// Nobody is going to read what this peer has sent.
    pub(super) fn drop_of(&mut self, id: i32) {
        if self.of.remove(&id).is_none() {
            return;
        }
        self.packets.retain(|packet| packet.from != id);
        self.bytes = self.packets.iter().map(|packet| PACKET_OVERHEAD + packet.payload.len()).sum();
    }

    /// Whether packets of this peer wait.
    pub(super) fn has_of(&self, id: i32) -> bool {
        self.of.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn empty_packets(&self) -> u64 {
        self.empty_packets
    }

    /// Forgets the packets, but for the one that is lent.
    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.of.clear();
        self.bytes = 0;
    }
}
