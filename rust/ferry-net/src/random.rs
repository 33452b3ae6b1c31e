//! Random numbers from the standard library's hash keys, which the operating system seeds. Not for secrets that have to
//! withstand more than guessing.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Thirty-two random bits.
pub(crate) fn word() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// A source of random words that takes its key once: quicker than [`word`] for many.
pub(crate) fn source() -> impl FnMut() -> u32 + Send {
    let keys = RandomState::new();
    let mut drawn = 0_u64;
    move || {
        drawn += 1;
        let mut hasher = keys.build_hasher();
        hasher.write_u64(drawn);
        hasher.finish() as u32
    }
}
