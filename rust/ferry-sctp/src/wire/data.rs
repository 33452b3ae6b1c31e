//! DATA: a message, or a piece of one (RFC 9260, 3.3.1); and FORWARD-TSN, which says that pieces will not come (RFC 3758).

use std::ops::BitOr;

use bytes::Bytes;

use super::{CHUNK_HEADER, Malformed, u16_at, u32_at};

/// Bytes of a DATA chunk before the payload.
pub(crate) const OVERHEAD: usize = CHUNK_HEADER + FIXED;

const FIXED: usize = 12;

/// The flags of a DATA chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const LAST: Self = Self(1);
    pub(crate) const FIRST: Self = Self(2);
    pub(crate) const UNORDERED: Self = Self(4);
    /// Acknowledge at once.
    pub(crate) const IMMEDIATE: Self = Self(8);
    pub(crate) const WHOLE: Self = Self(3);

    pub(crate) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) flags: Flags,
    pub(crate) tsn: u32,
    pub(crate) stream: u16,
    pub(crate) ssn: u16,
    pub(crate) ppid: u32,
    pub(crate) payload: Bytes,
}

impl Data {
    /// The payload may be empty, which the sender is aborted for.
    pub(crate) fn read(flags: u8, value: &Bytes) -> Result<Self, Malformed> {
        if value.len() < FIXED {
            return Err(Malformed);
        }
        Ok(Self {
            flags: Flags(flags & 0xF),
            tsn: u32_at(value, 0),
            stream: u16_at(value, 4),
            ssn: u16_at(value, 6),
            ppid: u32_at(value, 8),
            payload: value.slice(FIXED..),
        })
    }
}

/// Appends what comes before the payload. Takes its numbers one by one: this is written for every message.
pub(crate) fn write(out: &mut Vec<u8>, tsn: u32, stream: u16, ssn: u16, ppid: u32, payload: &[u8]) {
    let mut fixed = [0; FIXED];
    fixed[0..4].copy_from_slice(&tsn.to_be_bytes());
    fixed[4..6].copy_from_slice(&stream.to_be_bytes());
    fixed[6..8].copy_from_slice(&ssn.to_be_bytes());
    fixed[8..12].copy_from_slice(&ppid.to_be_bytes());
    out.extend_from_slice(&fixed);
    out.extend_from_slice(payload);
}

/// Up to which number nothing is missing any more, and the last message given up of each ordered stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardTsn<'a> {
    pub(crate) tsn: u32,
    skipped: &'a [u8],
}

/// Bytes of a FORWARD-TSN that skips so many streams.
pub(crate) fn forward_tsn_length(streams: usize) -> usize {
    CHUNK_HEADER + 4 + 4 * streams
}

impl<'a> ForwardTsn<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Result<Self, Malformed> {
        if value.len() < 4 {
            return Err(Malformed);
        }
        Ok(Self { tsn: u32_at(value, 0), skipped: &value[4..] })
    }

    /// Streams, and the last number that was given up on each.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = (u16, u16)> + 'a {
        self.skipped.chunks_exact(4).map(|pair| (u16_at(pair, 0), u16_at(pair, 2)))
    }

    pub(crate) fn write(out: &mut Vec<u8>, tsn: u32, skipped: impl Iterator<Item = (u16, u16)>) {
        out.extend_from_slice(&tsn.to_be_bytes());
        for (stream, ssn) in skipped {
            out.extend_from_slice(&stream.to_be_bytes());
            out.extend_from_slice(&ssn.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_as_they_were_written() {
        let mut out = Vec::new();
        write(&mut out, 1, 2, 3, 4, b"five");
        let read = Data::read(Flags::WHOLE.0 | 0x80, &out.into()).unwrap();
        let payload = Bytes::from("five");
        assert_eq!(read, Data { flags: Flags::WHOLE, tsn: 1, stream: 2, ssn: 3, ppid: 4, payload });

        let mut out = Vec::new();
        ForwardTsn::write(&mut out, 9, [(1, 2), (3, 4)].into_iter());
        let read = ForwardTsn::read(&out).unwrap();
        assert_eq!((read.tsn, read.skipped().collect::<Vec<_>>()), (9, vec![(1, 2), (3, 4)]));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for length in 0..FIXED {
            assert!(Data::read(3, &vec![0; length].into()).is_err());
        }
        for length in 0..4 {
            assert!(ForwardTsn::read(&vec![0; length]).is_err());
        }
    }
}
