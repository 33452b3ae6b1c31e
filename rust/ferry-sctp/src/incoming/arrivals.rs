//! Which numbers have come: all up to one, and blocks beyond it.
//!
//! Sixteen bits tell how far a block lies beyond, so nothing further ahead is taken. Blocks are bounded: what would begin one
//! too many counts as not come, and is sent again.

use std::collections::VecDeque;

use crate::wire::sack;

/// The furthest that an acknowledgement can tell of.
const FURTHEST: u64 = u16::MAX as u64;

/// Blocks that are kept. A window of a megabyte that loses every second packet has half as many.
const BLOCKS: usize = 1024;

/// Blocks that an acknowledgement tells of, the lowest. More would crowd out the data that it travels with.
const BLOCKS_TOLD: usize = 128;

/// Duplicates that an acknowledgement tells of.
const DUPLICATES_TOLD: usize = 8;

#[derive(Debug)]
pub(crate) struct Arrivals {
    cumulative: u64,
    /// First and last of each, ascending, never adjacent.
    blocks: VecDeque<(u64, u64)>,
    duplicates: Vec<u32>,
}

impl Arrivals {
    /// `first` is the first number that will come.
    pub(crate) fn new(first: u64) -> Self {
        Self { cumulative: first - 1, blocks: VecDeque::new(), duplicates: Vec::new() }
    }

    pub(crate) fn cumulative(&self) -> u64 {
        self.cumulative
    }

    pub(crate) fn has_gaps(&self) -> bool {
        !self.blocks.is_empty()
    }

    pub(crate) fn has_come(&self, tsn: u64) -> bool {
        if tsn <= self.cumulative {
            return true;
        }
        // The last block is where news is; look there before searching.
        match self.blocks.back() {
            None => false,
            Some(&(_, last)) if tsn > last => false,
            Some(_) => {
                let behind = self.blocks.partition_point(|&(first, _)| first <= tsn);
                behind > 0 && self.blocks[behind - 1].1 >= tsn
            }
        }
    }

    pub(crate) fn duplicate(&mut self, tsn: u64) {
        if self.duplicates.len() < DUPLICATES_TOLD {
            self.duplicates.push(tsn as u32);
        }
    }

    /// Whether there is a place to note this one, which has not come yet.
    pub(crate) fn reaches(&self, tsn: u64) -> bool {
        if tsn > self.cumulative + FURTHEST {
            return false;
        }
        if self.blocks.len() < BLOCKS || tsn == self.cumulative + 1 {
            return true;
        }
        let at = self.blocks.partition_point(|&(first, _)| first <= tsn);
        let joins_left = at > 0 && self.blocks[at - 1].1 + 1 == tsn;
        joins_left || self.blocks.get(at).is_some_and(|&(first, _)| first == tsn + 1)
    }

    /// Whether so far ahead may be skipped.
    pub(crate) fn reaches_forward(&self, tsn: u64) -> bool {
        tsn <= self.cumulative + FURTHEST
    }

    /// It came.
    pub(crate) fn note(&mut self, tsn: u64) {
        if tsn == self.cumulative + 1 {
            self.cumulative = tsn;
            self.join_front();
            return;
        }
        if let Some((_, last)) = self.blocks.back_mut()
            && *last + 1 == tsn
        {
            *last = tsn;
            return;
        }
        let at = self.blocks.partition_point(|&(first, _)| first <= tsn);
        let joins_left = at > 0 && self.blocks[at - 1].1 + 1 == tsn;
        let joins_right = self.blocks.get(at).is_some_and(|&(first, _)| first == tsn + 1);
        match (joins_left, joins_right) {
            (true, true) => {
                self.blocks[at - 1].1 = self.blocks[at].1;
                self.blocks.remove(at);
            }
            (true, false) => self.blocks[at - 1].1 = tsn,
            (false, true) => self.blocks[at].0 = tsn,
            (false, false) => self.blocks.insert(at, (tsn, tsn)),
        }
    }

    /// Nothing up to this one will come any more.
    pub(crate) fn skip_to(&mut self, tsn: u64) {
        self.cumulative = self.cumulative.max(tsn);
        while let Some(&(_, last)) = self.blocks.front()
            && last <= self.cumulative
        {
            self.blocks.pop_front();
        }
        if let Some((first, _)) = self.blocks.front_mut()
            && *first <= self.cumulative
        {
            *first = self.cumulative + 1;
        }
        self.join_front();
    }

    fn join_front(&mut self) {
        if let Some(&(first, last)) = self.blocks.front()
            && first == self.cumulative + 1
        {
            self.cumulative = last;
            self.blocks.pop_front();
        }
    }

    /// Writes an acknowledgement that is no longer than `room`, and forgets the duplicates.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, window: u32, room: usize) {
        let room = room.saturating_sub(sack::length(0, 0)) / 4;
        let duplicates = self.duplicates.len().min(room);
        let blocks = self.blocks.len().min(BLOCKS_TOLD).min(room - duplicates);
        let cumulative = self.cumulative;
        let told = (0..blocks).map(|index| {
            let (first, last) = self.blocks[index];
            let distance =
                |tsn: u64| u16::try_from(tsn - cumulative).expect("nothing further ahead is taken");
            (distance(first), distance(last))
        });
        sack::Sack::write(out, cumulative as u32, window, told, &self.duplicates[..duplicates]);
        self.duplicates.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(arrivals: &Arrivals) -> (u64, Vec<(u64, u64)>) {
        (arrivals.cumulative, arrivals.blocks.iter().copied().collect())
    }

    #[test]
    fn blocks_grow_and_join() {
        let mut arrivals = Arrivals::new(1000);
        for tsn in [1000, 1004, 1006, 1003, 1008, 1009] {
            assert!(!arrivals.has_come(tsn));
            arrivals.note(tsn);
            assert!(arrivals.has_come(tsn));
        }
        assert_eq!(seen(&arrivals), (1000, vec![(1003, 1004), (1006, 1006), (1008, 1009)]));
        assert!(!arrivals.has_come(1005));
        arrivals.note(1005);
        assert_eq!(seen(&arrivals), (1000, vec![(1003, 1006), (1008, 1009)]));
        arrivals.note(1001);
        arrivals.note(1002);
        assert_eq!(seen(&arrivals), (1006, vec![(1008, 1009)]));
        arrivals.skip_to(1008);
        assert_eq!(seen(&arrivals), (1009, vec![]));
    }

    #[test]
    fn nothing_is_taken_that_no_acknowledgement_could_tell_of() {
        let mut arrivals = Arrivals::new(1000);
        assert!(arrivals.reaches(999 + 65535));
        assert!(!arrivals.reaches(999 + 65536));
        for block in 0..BLOCKS as u64 {
            arrivals.note(1001 + 2 * block);
        }
        let beyond = 1001 + 2 * BLOCKS as u64;
        assert!(!arrivals.reaches(beyond), "one block too many");
        assert!(arrivals.reaches(beyond - 1) && arrivals.reaches(1000) && arrivals.reaches(1002));
    }
}
