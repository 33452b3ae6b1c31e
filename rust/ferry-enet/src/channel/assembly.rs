//! Putting a packet together from its fragments.
//!
//! A sender cuts a packet into pieces of one size, the last one excepted, and says in each how many there are, which
//! one this is and where it belongs. That is more than enough to know, so everything is checked against everything:
//! a piece that contradicts the others, or itself, is refused. Pieces therefore never overlap, and a packet is whole
//! exactly when its pieces are all there.
//!
//! Memory is taken as bytes arrive, never as they are announced: pieces in order go to the end of the packet, early
//! ones wait by number. The owner charges [`cost`] to the peer's budget.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::event_queue::own;
use crate::wire::{Fragment, MAXIMUM_FRAGMENTS};

/// What an early piece costs besides its bytes, its place in the map, and what the first one costs: a node of the map.
const EARLY_OVERHEAD: usize = 64;
const MAP_OVERHEAD: usize = 448;

pub(crate) struct Assembly {
    count: u32,
    total_len: u32,
    /// The length of every piece but the last, once one of them told it.
    piece_len: Option<u32>,
    /// All pieces up to `next`, which is the first that is missing.
    packet: Vec<u8>,
    next: u32,
    early: BTreeMap<u32, Bytes>,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Taken,
    Repeated,
    /// It cannot belong to this packet.
    Contradiction,
}

/// The most memory that the packet of this fragment can take.
pub(crate) fn cost(fragment: &Fragment<'_>) -> usize {
    MAP_OVERHEAD + fragment.total_len as usize + fragment.count as usize * EARLY_OVERHEAD
}

/// No sender cuts a packet into smaller pieces, the last one excepted: its datagrams hold more than twice this. Many
/// tiny pieces would cost many times what they carry.
const SHORTEST_PIECE: u64 = 256;

/// Whether a fragment could be part of any packet.
pub(crate) fn plausible(fragment: &Fragment<'_>) -> bool {
    let len = fragment.payload.len() as u64;
    let end = u64::from(fragment.offset) + len;
    let last = fragment.number.checked_add(1) == Some(fragment.count);
    fragment.number < fragment.count
        && fragment.count <= MAXIMUM_FRAGMENTS
        && len > 0
        && fragment.total_len >= fragment.count
        && if last {
            end == u64::from(fragment.total_len)
                && (fragment.number == 0) == (fragment.offset == 0)
                && (fragment.number == 0
                    || fragment.offset.is_multiple_of(fragment.number)
                        && len.max(SHORTEST_PIECE) <= u64::from(fragment.offset / fragment.number))
        } else {
            len >= SHORTEST_PIECE
                && u64::from(fragment.offset) == u64::from(fragment.number) * len
                && end < u64::from(fragment.total_len)
        }
}

impl Assembly {
    /// For the packet that `fragment` is a (plausible) piece of.
    pub(crate) fn new(fragment: &Fragment<'_>) -> Self {
        Self {
            count: fragment.count,
            total_len: fragment.total_len,
            piece_len: None,
            packet: Vec::new(),
            next: 0,
            early: BTreeMap::new(),
        }
    }

    /// How many pieces the packet has.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn complete(&self) -> bool {
        self.next == self.count
    }

    pub(crate) fn into_packet(self) -> Bytes {
        debug_assert!(self.complete() && self.packet.len() == self.total_len as usize);
        Bytes::from(self.packet)
    }

    /// Takes in a plausible fragment.
    pub(crate) fn insert(&mut self, fragment: &Fragment<'_>) -> Piece {
        if fragment.count != self.count || fragment.total_len != self.total_len {
            return Piece::Contradiction;
        }
        let last = fragment.number + 1 == self.count;
        let piece_len = match (last, fragment.number) {
            (false, _) => fragment.payload.len() as u32,
            (true, 0) => self.total_len,
            (true, number) => fragment.offset / number,
        };
        if *self.piece_len.get_or_insert(piece_len) != piece_len {
            return Piece::Contradiction;
        }
        if fragment.number < self.next || self.early.contains_key(&fragment.number) {
            return Piece::Repeated;
        }
        if fragment.number == self.next {
            self.append(fragment.payload);
            while let Some(piece) = self.early.remove(&self.next) {
                self.append(&piece);
            }
        } else {
            self.early.insert(fragment.number, own(fragment.payload));
        }
        Piece::Taken
    }

    fn append(&mut self, piece: &[u8]) {
        self.packet.extend_from_slice(piece);
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(packet: &[u8], piece_len: usize) -> Vec<Fragment<'_>> {
        let count = packet.len().div_ceil(piece_len) as u32;
        packet
            .chunks(piece_len)
            .enumerate()
            .map(|(number, payload)| Fragment {
                start_seq: 1,
                count,
                number: number as u32,
                total_len: packet.len() as u32,
                offset: (number * piece_len) as u32,
                payload,
            })
            .collect()
    }

    #[test]
    fn a_packet_comes_together_in_any_order() {
        let packet: Vec<u8> = (0..10_000_u32).map(|i| (i * 7) as u8).collect();
        for piece_len in [256, 257, 999, 1000, 3333, 9999, 10_000, 20_000] {
            let fragments = pieces(&packet, piece_len);
            for stride in [1, 3, 7, 11] {
                let len = fragments.len();
                let mut assembly = Assembly::new(&fragments[0]);
                for i in 0..len * stride {
                    let fragment = &fragments[(i * stride) % len];
                    assert!(plausible(fragment));
                    assembly.insert(fragment);
                }
                for fragment in &fragments {
                    assembly.insert(fragment);
                    assert_eq!(assembly.insert(fragment), Piece::Repeated);
                }
                assert!(assembly.complete());
                assert_eq!(assembly.into_packet(), packet);
            }
        }
    }

    #[test]
    fn tiny_pieces_are_implausible_but_for_the_last() {
        let packet = [0; 1000];
        assert!(pieces(&packet, 255).iter().all(|piece| !plausible(piece)));
        assert!(pieces(&packet, 333).iter().all(plausible));
    }

    #[test]
    fn announcing_much_takes_no_memory() {
        let fragment = Fragment {
            start_seq: 1,
            count: 30_000,
            number: 29_000,
            total_len: 30_000_000,
            offset: 29_000_000,
            payload: &[0; 1000],
        };
        let mut assembly = Assembly::new(&fragment);
        assert_eq!(assembly.insert(&fragment), Piece::Taken);
        assert_eq!(assembly.packet.capacity(), 0);
        assert_eq!(assembly.early.values().map(Bytes::len).sum::<usize>(), 1000);
    }

    #[test]
    fn every_changed_field_of_every_piece_is_refused_or_leaves_the_packet_whole() {
        let packet: Vec<u8> = (0..750_u32).map(|i| i as u8).collect();
        let honest = pieces(&packet, 300);
        let changes: [fn(&mut Fragment<'_>, u32); 4] = [
            |fragment, by| fragment.count = fragment.count.wrapping_add(by),
            |fragment, by| fragment.number = fragment.number.wrapping_add(by),
            |fragment, by| fragment.total_len = fragment.total_len.wrapping_add(by),
            |fragment, by| fragment.offset = fragment.offset.wrapping_add(by),
        ];
        for (target, change) in changes.into_iter().enumerate() {
            for victim in 0..honest.len() {
                for by in [1, 2, 150, 300, 450, u32::MAX, u32::MAX - 299] {
                    let mut forged = honest[victim];
                    change(&mut forged, by);
                    let mut assembly = Assembly::new(&honest[(victim + 1) % honest.len()]);
                    for (number, fragment) in honest.iter().enumerate() {
                        if number != victim {
                            assert_eq!(assembly.insert(fragment), Piece::Taken);
                        }
                    }
                    let fate = plausible(&forged).then(|| assembly.insert(&forged));
                    assert_ne!(fate, Some(Piece::Taken), "change {target} of piece {victim} by {by}");
                }
            }
        }
    }
}
