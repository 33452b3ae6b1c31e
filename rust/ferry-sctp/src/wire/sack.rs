//! SACK: what came, and how much more may (RFC 9260, 3.3.4).

use super::{CHUNK_HEADER, Malformed, u16_at, u32_at};

const FIXED: usize = 12;

/// Bytes of a SACK with so many blocks and duplicates.
pub(crate) fn length(blocks: usize, duplicates: usize) -> usize {
    CHUNK_HEADER + FIXED + 4 * (blocks + duplicates)
}

/// One that came, borrowed from its chunk.
#[derive(Clone, Debug)]
pub(crate) struct Sack<'a> {
    /// All up to this one came.
    pub(crate) cumulative: u32,
    /// Bytes that may be sent beyond what is acknowledged.
    pub(crate) window: u32,
    blocks: &'a [u8],
    /// How many came more than once.
    pub(crate) duplicates: usize,
}

impl<'a> Sack<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Result<Self, Malformed> {
        if value.len() < FIXED {
            return Err(Malformed);
        }
        let blocks = usize::from(u16_at(value, 8)) * 4;
        let duplicates = usize::from(u16_at(value, 10));
        if value.len() < FIXED + blocks + 4 * duplicates {
            return Err(Malformed);
        }
        let blocks = &value[FIXED..FIXED + blocks];
        Ok(Self { cumulative: u32_at(value, 0), window: u32_at(value, 4), blocks, duplicates })
    }

    /// What came beyond: the first and the last of each block, as distances from the cumulative number.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u16, u16)> + 'a {
        self.blocks.chunks_exact(4).map(|block| (u16_at(block, 0), u16_at(block, 2)))
    }

    pub(crate) fn write(
        out: &mut Vec<u8>,
        cumulative: u32,
        window: u32,
        blocks: impl ExactSizeIterator<Item = (u16, u16)>,
        duplicates: &[u32],
    ) {
        let count =
            |length: usize| u16::try_from(length).expect("both are bounded by the packet").to_be_bytes();
        out.extend_from_slice(&cumulative.to_be_bytes());
        out.extend_from_slice(&window.to_be_bytes());
        out.extend_from_slice(&count(blocks.len()));
        out.extend_from_slice(&count(duplicates.len()));
        for (first, last) in blocks {
            out.extend_from_slice(&first.to_be_bytes());
            out.extend_from_slice(&last.to_be_bytes());
        }
        for duplicate in duplicates {
            out.extend_from_slice(&duplicate.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut out = Vec::new();
        Sack::write(&mut out, 1, 2, [(3, 4), (6, 6)].into_iter(), &[7, 8, 9]);
        assert_eq!(out.len() + CHUNK_HEADER, length(2, 3));
        let sack = Sack::read(&out).unwrap();
        assert_eq!((sack.cumulative, sack.window, sack.duplicates), (1, 2, 3));
        assert_eq!(sack.blocks().collect::<Vec<_>>(), [(3, 4), (6, 6)]);
        for length in 0..out.len() {
            assert!(Sack::read(&out[..length]).is_err(), "{length}");
        }
    }
}
