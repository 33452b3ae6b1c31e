//! Memory for packets that arrive, without an allocation for each.
//!
//! Packets are copied off the datagram one behind the other into a chunk, and handed out as [`Bytes`] that share
//! it. A chunk whose packets have all been dropped is used again. Called by the receiving side for each packet
//! that is delivered at once. What must wait (out of order, in pieces) does not belong here: a single waiting
//! packet would pin its whole chunk, and a hostile peer could pin many. Such packets get memory of their own,
//! see [`own`].

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A chunk holds about forty full datagrams: few enough chunks a second, little memory pinned by one packet.
const CHUNK_SIZE: usize = 64 * 1024;
/// Packets above this would waste much of a chunk's end.
const LARGEST_SHARED: usize = 8 * 1024;
/// Full chunks that are kept in the hope that their packets get dropped: 256 KiB a host at most.
const MAXIMUM_RETIRED: usize = 4;

pub(crate) struct PayloadPool {
    chunk: BytesMut,
    retired: VecDeque<BytesMut>,
}

impl PayloadPool {
    pub(crate) fn new() -> Self {
        Self { chunk: BytesMut::new(), retired: VecDeque::with_capacity(MAXIMUM_RETIRED + 1) }
    }

    /// A copy of `data` that lives as long as anybody needs it.
    pub(crate) fn store(&mut self, data: &[u8]) -> Bytes {
        if data.is_empty() {
            return Bytes::new();
        }
        if data.len() > LARGEST_SHARED {
            return own(data);
        }
        if self.chunk.capacity() < data.len() {
            self.replace_chunk();
        }
        self.chunk.extend_from_slice(data);
        self.chunk.split().freeze()
    }

    /// Takes the first retired chunk that nobody uses any more, or a new one.
    fn replace_chunk(&mut self) {
        let full = std::mem::take(&mut self.chunk);
        for _ in 0..self.retired.len() {
            let Some(mut chunk) = self.retired.pop_front() else { break };
            if chunk.try_reclaim(CHUNK_SIZE) {
                self.chunk = chunk;
                break;
            }
            self.retired.push_back(chunk);
        }
        if full.capacity() > 0 || !full.is_empty() {
            self.retired.push_back(full);
        }
        if self.retired.len() > MAXIMUM_RETIRED {
            self.retired.pop_front();
        }
        if self.chunk.capacity() == 0 {
            self.chunk = BytesMut::with_capacity(CHUNK_SIZE);
        }
    }
}

/// A copy of `data` in memory of its own.
pub(crate) fn own(data: &[u8]) -> Bytes {
    Bytes::copy_from_slice(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_packets_keep_their_bytes_while_chunks_are_reused() {
        let mut pool = PayloadPool::new();
        let mut kept: VecDeque<(u8, Bytes)> = VecDeque::new();
        for round in 0..20_000_u32 {
            let byte = round as u8;
            kept.push_back((byte, pool.store(&[byte; 100])));
            if kept.len() > 50 {
                kept.pop_front();
            }
            if round % 997 == 0 {
                assert!(kept.iter().all(|(byte, stored)| stored[..] == [*byte; 100]));
            }
        }
        assert!(pool.retired.len() <= MAXIMUM_RETIRED);
    }

    #[test]
    fn packets_of_every_size_are_stored() {
        let mut pool = PayloadPool::new();
        for len in [0, 1, LARGEST_SHARED, LARGEST_SHARED + 1, CHUNK_SIZE + 1] {
            assert_eq!(pool.store(&vec![7; len]).len(), len);
        }
    }
}
