//! An end that is no association: it sends whatever a test wants.

use std::time::Instant;

use bytes::Bytes;
use ferry_sctp::{Association, Config, Event};

pub(crate) const DATA: u8 = 0;
pub(crate) const SACK: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 4;
pub(crate) const ERROR: u8 = 9;
pub(crate) const RE_CONFIG: u8 = 130;
pub(crate) const FORWARD_TSN: u8 = 192;
pub(crate) const WHOLE: u8 = 3;
pub(crate) const FIRST: u8 = 2;

/// The first number that the raw end uses, and its tag.
pub(crate) const TSN: u32 = 1000;
const TAG: u32 = 99;

pub(crate) fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend_from_slice(&((value.len() + 4) as u16).to_be_bytes());
    chunk.extend_from_slice(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

pub(crate) fn data(tsn: u32, flags: u8, stream: u16, ssn: u16, payload: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend_from_slice(&stream.to_be_bytes());
    value.extend_from_slice(&ssn.to_be_bytes());
    value.extend_from_slice(&53_u32.to_be_bytes());
    value.extend_from_slice(payload);
    chunk(DATA, flags, &value)
}

/// Puts the checksum in.
pub(crate) fn seal(packet: &mut [u8]) {
    if packet.len() >= 12 {
        packet[8..12].fill(0);
        let checksum = crc32c::crc32c(packet);
        packet[8..12].copy_from_slice(&checksum.to_le_bytes());
    }
}

pub(crate) fn packet(tag: u32, chunks: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend_from_slice(&tag.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(chunks);
    seal(&mut packet);
    packet
}

/// An association, and what it said to the raw end.
pub(crate) struct Target {
    pub(crate) now: Instant,
    pub(crate) end: Association,
    pub(crate) tag: u32,
    pub(crate) tsn: u32,
}

impl Target {
    pub(crate) fn new(config: Config) -> Self {
        let now = Instant::now();
        let mut target = Self { now, end: Association::new(config, now), tag: 0, tsn: 0 };
        let mut init = TAG.to_be_bytes().to_vec();
        init.extend_from_slice(&1_000_000_u32.to_be_bytes());
        init.extend_from_slice(&[0xFF; 4]);
        init.extend_from_slice(&TSN.to_be_bytes());
        init.extend_from_slice(&[0xC0, 0, 0, 4]);
        target.input(&chunk(1, 0, &init));
        let answer = target.output().pop().unwrap();
        let u32_at = |at: usize| u32::from_be_bytes(answer[at..at + 4].try_into().unwrap());
        (target.tag, target.tsn) = (u32_at(16), u32_at(28));
        let cookie = answer.windows(4).position(|header| header == [0, 7, 0, 20]).unwrap();
        target.input(&chunk(10, 0, &answer[cookie + 4..cookie + 20]));
        assert_eq!(target.end.poll_event(), Some(Event::Established));
        target.output();
        target
    }

    /// One packet of these chunks comes in.
    pub(crate) fn input(&mut self, chunks: &[u8]) {
        self.end.handle_input(self.now, packet(self.tag, chunks));
    }

    pub(crate) fn output(&mut self) -> Vec<Bytes> {
        let (mut packets, mut packet) = (Vec::new(), Vec::new());
        while self.end.poll_transmit(self.now, &mut packet) {
            packets.push(Bytes::copy_from_slice(&packet));
            assert!(packets.len() < 10_000, "it does not stop talking");
        }
        packets
    }
}
