//! Datagrams that wait to be sent: a ring of as many buffers as a batch has.
//!
//! The driver asks for the next free buffer, lets the protocol write into it and says where that goes. What the system did
//! not take stays where it is, and leaves first later. When all is gone the ring begins at its first buffer again, so
//! that small batches use the same memory.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;

use ferry_enet::MAXIMUM_DATAGRAM;

use super::BATCH;

/// Datagrams that wait to be sent.
pub struct Outgoing {
    buffers: Box<[u8]>,
    /// Destination and length of each that waits.
    waiting: VecDeque<(SocketAddr, usize)>,
    /// The buffer of the first one.
    first: usize,
}

impl Outgoing {
    /// An empty one, with all the memory it will use: a quarter of a megabyte.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffers: vec![0; BATCH * MAXIMUM_DATAGRAM].into_boxed_slice(),
            waiting: VecDeque::with_capacity(BATCH),
            first: 0,
        }
    }

    /// The next free buffer, of [`MAXIMUM_DATAGRAM`] bytes; `None` while [`BATCH`] datagrams wait.
    pub fn buffer(&mut self) -> Option<&mut [u8]> {
        if self.is_full() {
            return None;
        }
        let at = (self.first + self.waiting.len()) % BATCH * MAXIMUM_DATAGRAM;
        self.buffers.get_mut(at..at + MAXIMUM_DATAGRAM)
    }

    /// Takes the first `len` bytes of the buffer that [`Outgoing::buffer`] gave as a datagram to there.
    ///
    /// # Panics
    ///
    /// If there was no free buffer, or it is not as long.
    pub fn push(&mut self, to: SocketAddr, len: usize) {
        assert!(self.waiting.len() < BATCH && len <= MAXIMUM_DATAGRAM, "there is no such datagram");
        self.waiting.push_back((to, len));
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many datagrams wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no more can be taken before some have gone.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() == BATCH
    }

    /// Takes all that wait out, the first one first, to be kept elsewhere.
    pub fn take_all(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let all = self.datagrams().map(|(to, bytes)| (to, bytes.to_vec())).collect();
        self.remove(self.waiting.len());
        all
    }

    /// All that wait, the first one first.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.waiting.iter().enumerate().map(|(index, &(to, len))| {
            let at = (self.first + index) % BATCH * MAXIMUM_DATAGRAM;
            (to, &self.buffers[at..at + len])
        })
    }

    /// The first ones are gone.
    pub(super) fn remove(&mut self, count: usize) {
        self.waiting.drain(..count);
        self.first = if self.waiting.is_empty() { 0 } else { (self.first + count) % BATCH };
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outgoing").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(outgoing: &mut Outgoing, count: usize, marks: &mut impl Iterator<Item = u8>) {
        for _ in 0..count {
            let mark = marks.next().expect("they do not end");
            outgoing.buffer().expect("there is room")[0] = mark;
            outgoing.push(SocketAddr::from(([127, 0, 0, 1], u16::from(mark))), 1);
        }
    }

    #[test]
    fn what_waits_keeps_its_order_around_the_ring() {
        let mut outgoing = Outgoing::new();
        let mut marks = (0..=255).cycle();
        let mut expected = (0..=255_u8).cycle();
        fill(&mut outgoing, BATCH, &mut marks);
        for taken in [1, 63, 64, 7, 30, 64] {
            assert!(outgoing.buffer().is_none());
            let gone: Vec<u8> = outgoing.datagrams().take(taken).map(|(_, datagram)| datagram[0]).collect();
            assert_eq!(gone, expected.by_ref().take(taken).collect::<Vec<u8>>());
            outgoing.remove(taken);
            assert_eq!(outgoing.len(), BATCH - taken);
            fill(&mut outgoing, taken, &mut marks);
        }
    }

    #[test]
    fn a_buffer_that_was_not_pushed_is_given_again() {
        let mut outgoing = Outgoing::new();
        outgoing.buffer().expect("there is room")[0] = 1;
        outgoing.buffer().expect("there is room")[0] = 2;
        outgoing.push(SocketAddr::from(([127, 0, 0, 1], 9)), 1);
        assert_eq!(outgoing.datagrams().map(|(_, datagram)| datagram[0]).collect::<Vec<u8>>(), [2]);
    }
}
