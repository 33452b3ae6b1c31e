//! A game's packet and how it travels, in the words that Godot's MultiplayerPeer uses.

use bytes::{Bytes, BytesMut};

/// The longest packet that is taken for sending, in bytes. ENet's numbering ends a little above.
pub const MAX_PACKET_SIZE: usize = 32_000_000;

/// Packets up to this long share memory, [`SHARED_PIECE`] at a time: an allocation each would cost more than the copy. The
/// protocol copies packets this short when they must wait. Longer ones it keeps, for as long as a peer does not answer: each
/// would keep its whole piece, and what it counts in that peer's queue would be a small part of what it costs.
const SHARED_UP_TO: usize = 64;

/// Lives until the last packet in it has been taken by the network thread.
const SHARED_PIECE: usize = 64 * 1024;

/// What is promised about a packet's arrival. The numbers are Godot's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransferMode {
    /// It may get lost, or come late.
    Unreliable = 0,
    /// It may get lost, but is never late: older than one that came before.
    UnreliableOrdered = 1,
    /// It arrives, in the order it was sent in.
    #[default]
    Reliable = 2,
}

/// What a message is, on transports that tell texts from other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// Turns the bytes of puts into packets: small ones without an allocation each, and equal ones that follow each other
/// (the engine sends one RPC to many by putting the same bytes for each) once.
#[derive(Debug, Default)]
pub struct PacketMaker {
    piece: BytesMut,
    last: Bytes,
}

impl PacketMaker {
    /// A packet of these bytes.
    pub fn make(&mut self, bytes: &[u8]) -> Bytes {
        if self.last != bytes {
            self.last = self.copy(bytes);
        }
        self.last.clone()
    }

    /// Lets go of the last packet's memory.
    pub fn forget_last(&mut self) {
        self.last = Bytes::new();
    }

    /// Lets go of the last packet's memory if it is much.
    pub fn forget_large(&mut self) {
        if self.last.len() > SHARED_UP_TO {
            self.forget_last();
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > SHARED_UP_TO {
            return Bytes::copy_from_slice(bytes);
        }
        if self.piece.capacity() < bytes.len() {
            self.piece = BytesMut::with_capacity(SHARED_PIECE);
        }
        self.piece.extend_from_slice(bytes);
        self.piece.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_packets_in_a_row_share_their_bytes() {
        let mut maker = PacketMaker::default();
        let first = maker.make(b"the same");
        let second = maker.make(b"the same");
        assert_eq!(first.as_ptr(), second.as_ptr());
        let other = maker.make(b"another!");
        assert_ne!(first.as_ptr(), other.as_ptr());
        assert_eq!((&first[..], &other[..]), (&b"the same"[..], &b"another!"[..]));
    }

    #[test]
    fn packets_of_any_length_come_out_as_they_went_in() {
        let mut maker = PacketMaker::default();
        let made: Vec<Bytes> =
            (0..3000).map(|number: usize| maker.make(&vec![number as u8; number * 7 % 9000])).collect();
        for (number, packet) in made.iter().enumerate() {
            assert_eq!(packet.len(), number * 7 % 9000);
            assert!(packet.iter().all(|byte| *byte == number as u8));
        }
    }
}
