//! Packets as they travel: a header of twelve bytes, then chunks, one behind the other (RFC 9260, 3).
//!
//! ```text
//! header   u16 source port    u16 destination port    u32 verification tag    u32 CRC-32c, little endian
//! chunk    u8 type    u8 flags    u16 length with this header    the value    0 to 3 bytes of padding
//! ```
//!
//! [`Packet`] reads what came and trusts no length in it; [`Writer`] fills a buffer. What is in a chunk is read by the
//! modules below this one. The two upper bits of an unknown chunk or parameter say what to do with it: [`Unknown`].

pub(crate) mod data;
pub(crate) mod init;
pub(crate) mod parameter;
pub(crate) mod sack;

use bytes::Bytes;

pub(crate) const HEADER: usize = 12;
pub(crate) const CHUNK_HEADER: usize = 4;

/// The kinds of chunks.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(crate) const RE_CONFIG: u8 = 130;
    pub(crate) const FORWARD_TSN: u8 = 192;
}

/// The causes in ABORT and ERROR that this machine uses.
pub(crate) mod cause {
    pub(crate) const STALE_COOKIE: u16 = 3;
    pub(crate) const UNRECOGNIZED_CHUNK: u16 = 6;
    pub(crate) const INVALID_PARAMETER: u16 = 7;
    pub(crate) const NO_USER_DATA: u16 = 9;
    pub(crate) const USER_INITIATED: u16 = 12;
    pub(crate) const PROTOCOL_VIOLATION: u16 = 13;
}

/// In ABORT and SHUTDOWN-COMPLETE: the tag is the receiver's own one, sent back.
pub(crate) const REFLECTED_TAG: u8 = 1;

/// What to do with a chunk or a parameter that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Leave the rest of the packet, or of the chunk, alone.
    pub(crate) stop: bool,
    /// Tell the sender.
    pub(crate) report: bool,
}

impl Unknown {
    pub(crate) fn chunk(kind: u8) -> Self {
        Self { stop: kind & 0x80 == 0, report: kind & 0x40 != 0 }
    }

    pub(crate) fn parameter(kind: u16) -> Self {
        Self { stop: kind & 0x8000 == 0, report: kind & 0x4000 != 0 }
    }
}

/// Why a packet was dropped whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A packet that came, its checksum proven.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: Bytes,
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) tag: u32,
}

impl Packet {
    pub(crate) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        if bytes.len() < HEADER + CHUNK_HEADER {
            return Err(Malformed);
        }
        let told = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if checksum(&bytes) != told {
            return Err(Malformed);
        }
        Ok(Self { source: u16_at(&bytes, 0), destination: u16_at(&bytes, 2), tag: u32_at(&bytes, 4), bytes })
    }

    /// The chunks, up to the first whose length lies.
    pub(crate) fn chunks(&self) -> Chunks {
        Chunks { bytes: self.bytes.clone(), at: HEADER }
    }
}

/// One chunk: its value is a part of the packet.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value: Bytes,
}

#[derive(Debug)]
pub(crate) struct Chunks {
    bytes: Bytes,
    at: usize,
}

impl Iterator for Chunks {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let rest = self.bytes.get(self.at..)?;
        let header = rest.get(..CHUNK_HEADER)?;
        let length = usize::from(u16_at(header, 2));
        if length < CHUNK_HEADER || length > rest.len() {
            self.at = self.bytes.len();
            return None;
        }
        let (kind, flags, start) = (header[0], header[1], self.at);
        // The padding of the last chunk may be missing.
        self.at = start.saturating_add(length.next_multiple_of(4));
        Some(Chunk { kind, flags, value: self.bytes.slice(start + CHUNK_HEADER..start + length) })
    }
}

/// Fills a buffer with one packet.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    mtu: usize,
    chunks: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, mtu: usize, source: u16, destination: u16, tag: u32) -> Self {
        out.clear();
        out.extend_from_slice(&source.to_be_bytes());
        out.extend_from_slice(&destination.to_be_bytes());
        out.extend_from_slice(&tag.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, mtu, chunks: 0 }
    }

    /// Bytes that are left for another chunk, its header included.
    pub(crate) fn room(&self) -> usize {
        self.mtu.saturating_sub(self.out.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// A chunk, whose value `write` appends.
    pub(crate) fn chunk(&mut self, kind: u8, flags: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[kind, flags, 0, 0]);
        write(self.out);
        let length = u16::try_from(self.out.len() - start).expect("a packet is shorter than 64 KiB");
        self.out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        pad(self.out);
        self.chunks += 1;
    }

    /// Puts the checksum in.
    pub(crate) fn finish(self) {
        let checksum = checksum(self.out);
        self.out[8..12].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The CRC-32c of a packet, the checksum's own place taken as zero.
fn checksum(packet: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&packet[..8]), &[0; 4]);
    crc32c::crc32c_append(head, &packet[HEADER..])
}

/// The header stands at a multiple of four, so the whole buffer tells how much is missing.
pub(crate) fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Reads a number that the caller knows to be there.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a number that the caller knows to be there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a number that the caller knows to be there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 1200, 1, 2, 3);
        writer.chunk(kind::COOKIE_ECHO, 7, |out| out.extend_from_slice(b"abcde"));
        writer.chunk(kind::COOKIE_ACK, 0, |_| ());
        writer.finish();
        out
    }

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        let packet = Packet::read(packet().into()).unwrap();
        assert_eq!((packet.source, packet.destination, packet.tag), (1, 2, 3));
        let chunks: Vec<_> = packet.chunks().map(|chunk| (chunk.kind, chunk.flags, chunk.value)).collect();
        assert_eq!(chunks, [(10, 7, Bytes::from("abcde")), (11, 0, Bytes::new())]);
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let packet = packet();
        for bit in 0..packet.len() * 8 {
            let mut broken = packet.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Packet::read(broken.into()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn reading_ends_at_a_length_that_lies() {
        for length in [0_u16, 3, 18, 1000, u16::MAX] {
            let mut bytes = packet();
            bytes[14..16].copy_from_slice(&length.to_be_bytes());
            let checksum = checksum(&bytes);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(Packet::read(bytes.into()).unwrap().chunks().count(), 0, "{length}");
        }
    }
}
