//! Packets that know what they are, and a ledger of what may still arrive.
//!
//! A parcel's payload tells its channel, how it was sent and its number, and the rest of it follows from those; so a
//! receiver finds every byte that is wrong. The [`Ledger`] of one direction of one connection holds each delivery
//! against the protocol's promises: nothing invented, nothing twice, reliable packets all and in order, unreliable ones
//! never late, neither among themselves nor behind the reliable ones they were sent behind.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use ferry_enet::Mode;

/// The shortest payload that can tell what it is.
pub const SHORTEST: usize = 9;

/// What a payload says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The channel it was sent on.
    pub channel: u8,
    /// How it was sent.
    pub mode: Mode,
    /// Counts the packets of one channel, whatever their mode.
    pub number: u32,
}

/// Every way to send.
pub const MODES: [Mode; 5] = [
    Mode::Reliable,
    Mode::Unreliable,
    Mode::Unsequenced,
    Mode::UnreliableUnlessLarge,
    Mode::UnsequencedUnlessLarge,
];

fn filler(seed: u32, index: usize) -> u8 {
    (seed as usize).wrapping_mul(31).wrapping_add(index.wrapping_mul(index >> 3 | 1)) as u8
}

/// A payload of `len` bytes (at least [`SHORTEST`]).
pub fn write(label: Label, len: usize) -> Bytes {
    let len = len.max(SHORTEST);
    let mode = MODES.iter().position(|mode| *mode == label.mode).expect("every mode") as u8;
    let mut payload = vec![label.channel, mode];
    payload.extend(label.number.to_be_bytes());
    payload.extend(&(len as u32).to_be_bytes()[1..]);
    payload.extend((SHORTEST..len).map(|index| filler(label.number, index)));
    Bytes::from(payload)
}

/// What a payload says it is, if every byte of it is right.
pub fn read(payload: &[u8]) -> Option<Label> {
    let (head, rest) = payload.split_first_chunk::<SHORTEST>()?;
    let [channel, mode, a, b, c, d, x, y, z] = *head;
    let label =
        Label { channel, mode: *MODES.get(usize::from(mode))?, number: u32::from_be_bytes([a, b, c, d]) };
    let right_len = u32::from_be_bytes([0, x, y, z]) as usize == payload.len();
    let right_bytes =
        rest.iter().enumerate().all(|(index, byte)| *byte == filler(label.number, index + SHORTEST));
    (right_len && right_bytes).then_some(label)
}

/// One direction of one connection.
#[derive(Default)]
pub struct Ledger {
    channels: BTreeMap<u8, Line>,
}

#[derive(Default)]
struct Line {
    next: u32,
    reliable_sent: Vec<u32>,
    reliable_arrived: usize,
    /// The last sequenced packet that came out.
    newest_sequenced: Option<u32>,
    /// For each packet that is neither: whether it came out.
    arrived: HashSet<u32>,
    lossy_sent: u32,
    lossy_arrived: u32,
}

impl Ledger {
    /// The payload of the next packet on `channel`. Call [`Ledger::sent`] once it was taken.
    pub fn write(&self, channel: u8, mode: Mode, len: usize) -> Bytes {
        let number = self.channels.get(&channel).map_or(0, |line| line.next);
        write(Label { channel, mode, number }, len)
    }

    /// The payload written last was sent; `reliably` if the protocol owes its arrival.
    pub fn sent(&mut self, channel: u8, reliably: bool) {
        let line = self.channels.entry(channel).or_default();
        if reliably {
            line.reliable_sent.push(line.next);
        } else {
            line.lossy_sent += 1;
        }
        line.next += 1;
    }

    /// Holds a delivery against the promises. The error says which was broken.
    pub fn arrived(&mut self, channel: u8, mode: Mode, payload: &[u8]) -> Result<(), String> {
        let label = read(payload).ok_or_else(|| format!("{} bytes that nobody sent", payload.len()))?;
        if label.channel != channel {
            return Err(format!("{label:?} came out on channel {channel}"));
        }
        let line = self.channels.entry(channel).or_default();
        if label.number >= line.next {
            return Err(format!("{label:?} was never sent"));
        }
        match mode {
            Mode::Reliable => line.reliable(label),
            Mode::Unreliable => line.sequenced(label),
            Mode::Unsequenced => line.unsequenced(label),
            _ => Err(format!("{mode:?} is no way for a packet to arrive")),
        }
    }

    /// Whether every packet whose arrival is owed has come.
    pub fn complete(&self) -> bool {
        self.channels.values().all(|line| line.reliable_arrived == line.reliable_sent.len())
    }

    /// How many packets were sent that may get lost, and how many of those came.
    pub fn lossy(&self) -> (u32, u32) {
        self.channels
            .values()
            .fold((0, 0), |(sent, came), line| (sent + line.lossy_sent, came + line.lossy_arrived))
    }
}

impl Line {
    fn reliable(&mut self, label: Label) -> Result<(), String> {
        let expected = self.reliable_sent.get(self.reliable_arrived).copied();
        if expected != Some(label.number) {
            return Err(format!("{label:?} came out where reliable packet {expected:?} was next"));
        }
        self.reliable_arrived += 1;
        Ok(())
    }

    fn sequenced(&mut self, label: Label) -> Result<(), String> {
        if self.newest_sequenced.is_some_and(|newest| label.number <= newest) {
            return Err(format!("{label:?} came out behind {:?}", self.newest_sequenced));
        }
        let owed_before = self.reliable_sent.partition_point(|&number| number < label.number);
        if owed_before != self.reliable_arrived {
            return Err(format!(
                "{label:?} came out behind {} reliable packets, and was sent behind {owed_before}",
                self.reliable_arrived
            ));
        }
        self.newest_sequenced = Some(label.number);
        self.lossy_arrived += 1;
        Ok(())
    }

    fn unsequenced(&mut self, label: Label) -> Result<(), String> {
        if !self.arrived.insert(label.number) {
            return Err(format!("{label:?} came out twice"));
        }
        self.lossy_arrived += 1;
        Ok(())
    }
}
