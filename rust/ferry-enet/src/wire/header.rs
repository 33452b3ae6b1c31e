//! The two to eight bytes that open a datagram.

use super::{NO_PEER_ID, Reader, SESSION_MASK};

const TIMED: u16 = 1 << 15;
const COMPRESSED: u16 = 1 << 14;
const SESSION_SHIFT: u32 = 12;

/// What a datagram's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The receiver's number for the sender, [`NO_PEER_ID`] before it has one.
    pub(crate) peer_id: u16,
    pub(crate) session: u8,
    pub(crate) compressed: bool,
    /// When the sender let it go, in its own milliseconds; there if a command wants an acknowledgement.
    pub(crate) sent_time: Option<u16>,
}

/// Where the parts of a datagram lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderLayout {
    /// Offset of the checksum, if the host uses one.
    pub(crate) checksum: Option<usize>,
    /// Offset of the first command.
    pub(crate) commands: usize,
}

impl HeaderLayout {
    pub(crate) const CHECKSUM_SIZE: usize = 4;
    /// The peer id and the sent time.
    pub(crate) const FULL_SIZE: usize = 4;

    pub(crate) fn new(timed: bool, checksum: bool) -> Self {
        let fixed = if timed { Self::FULL_SIZE } else { 2 };
        if checksum {
            Self { checksum: Some(fixed), commands: fixed + Self::CHECKSUM_SIZE }
        } else {
            Self { checksum: None, commands: fixed }
        }
    }
}

/// What stands in the checksum's place: over what comes before it, the connection's id (zero before there is one), and
/// the uncompressed commands.
pub(crate) fn checksum(head: &[u8], connect_id: u32, commands: &[u8]) -> [u8; HeaderLayout::CHECKSUM_SIZE] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(&connect_id.to_be_bytes());
    hasher.update(commands);
    hasher.finalize().to_be_bytes()
}

impl Header {
    pub(crate) fn read(datagram: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let word = reader.u16()?;
        let sent_time = if word & TIMED != 0 { Some(reader.u16()?) } else { None };
        Some(Self {
            peer_id: word & NO_PEER_ID,
            session: (word >> SESSION_SHIFT) as u8 & SESSION_MASK,
            compressed: word & COMPRESSED != 0,
            sent_time,
        })
    }

    /// Writes the header over the first bytes of `datagram`; the checksum's place is the caller's.
    pub(crate) fn write(self, datagram: &mut [u8]) {
        let session = u16::from(self.session & SESSION_MASK) << SESSION_SHIFT;
        let mut word = (self.peer_id & NO_PEER_ID) | session;
        if self.compressed {
            word |= COMPRESSED;
        }
        if let Some(sent_time) = self.sent_time {
            word |= TIMED;
            datagram[2..4].copy_from_slice(&sent_time.to_be_bytes());
        }
        datagram[..2].copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_reads_back_as_written() {
        for peer_id in [0, 1, 0x7FF, NO_PEER_ID] {
            for session in 0..4 {
                for compressed in [false, true] {
                    for sent_time in [None, Some(0), Some(0xABCD)] {
                        let header = Header { peer_id, session, compressed, sent_time };
                        let mut bytes = [0; 4];
                        header.write(&mut bytes);
                        let len = HeaderLayout::new(sent_time.is_some(), false).commands;
                        assert_eq!(Header::read(&bytes[..len]), Some(header));
                        assert_eq!(Header::read(&bytes[..len - 1]), None);
                    }
                }
            }
        }
    }
}
