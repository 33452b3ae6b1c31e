//! Telling repeats of unsequenced packets from new ones.
//!
//! Such packets carry a group number that the sender counts up, per connection, and wraps. A bit for each of the
//! last 1024 numbers says which were seen. What lies further back is taken for a repeat; what lies ahead moves the
//! window. (The C library's window jumps in steps of 1024 and drops late packets across each step; ours slides.)

const SIZE: u16 = 1024;
const WORDS: usize = SIZE as usize / 64;

pub(crate) struct UnsequencedWindow {
    newest: u16,
    seen: [u64; WORDS],
}

impl UnsequencedWindow {
    pub(crate) fn new() -> Self {
        Self { newest: 0, seen: [0; WORDS] }
    }

    /// Takes note of `group` and says whether it is new.
    pub(crate) fn insert(&mut self, group: u16) -> bool {
        let ahead = group.wrapping_sub(self.newest);
        if ahead == 0 || ahead >= 0x8000 {
            let behind = self.newest.wrapping_sub(group);
            return behind < SIZE && self.set(group);
        }
        if ahead >= SIZE {
            self.seen = [0; WORDS];
        } else {
            for step in 1..ahead {
                self.clear(self.newest.wrapping_add(step));
            }
            self.clear(group);
        }
        self.newest = group;
        self.set(group)
    }

    fn place(group: u16) -> (usize, u64) {
        let bit = group % SIZE;
        (usize::from(bit / 64), 1 << (bit % 64))
    }

    fn set(&mut self, group: u16) -> bool {
        let (word, bit) = Self::place(group);
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }

    fn clear(&mut self, group: u16) {
        let (word, bit) = Self::place(group);
        self.seen[word] &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_new_once_over_many_wraps() {
        let mut window = UnsequencedWindow::new();
        for count in 1..200_000_u32 {
            assert!(window.insert(count as u16));
            assert!(!window.insert(count as u16));
        }
    }

    #[test]
    fn late_numbers_are_new_within_the_window_and_repeats_behind_it() {
        let mut window = UnsequencedWindow::new();
        assert!(window.insert(2000));
        assert!(window.insert(2000 - 1023));
        assert!(!window.insert(2000 - 1023));
        assert!(!window.insert(2000 - 1024));
        assert!(window.insert(3500));
        assert!(window.insert(2999));
        assert!(!window.insert(2000));
    }
}
