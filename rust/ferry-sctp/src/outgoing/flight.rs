//! What has left and is not acknowledged by number: a ring, a slot for each number, and the packets they left in.
//!
//! A loss is seen by the order of departure, as in QUIC: when a packet is known to have come, those that left three or more
//! before it, or by more than the usual reordering earlier, are lost. So a retransmission that is lost again is seen as well.
//! Acknowledgements name blocks; what they name is compared with what was named before, and only the difference is looked
//! at. Nothing here walks over all that is under way, but the silence of a whole time-out.
//!
//! A message that is given up (RFC 3758) frees its bytes at once. Its numbers stay until the other end knows to skip them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::streams::{Piece, Streams};
use crate::wire::data::{Flags, OVERHEAD};

/// Packets that left later and came, until one counts as lost: the RFC's three misses.
const MISSES: u64 = 3;

/// Streams that one FORWARD-TSN names; the rest follows.
const SKIPPED_STREAMS: usize = 64;

/// Slots that an empty ring keeps.
const KEPT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Under way, for all that is known.
    InFlight,
    /// Lost, and to be sent again if it is not given up.
    Lost,
    /// It came.
    Arrived,
}

#[derive(Debug)]
struct Sent {
    payload: Bytes,
    deadline: Option<Instant>,
    /// The number of its message's first piece.
    first: u64,
    /// The last packet it left in, and when.
    packet: u64,
    sent_at: Instant,
    /// When the other end may first have been told to skip it.
    passed_at: Option<Instant>,
    ppid: u32,
    bytes: u32,
    stream: u16,
    ssn: u16,
    retransmits: Option<u16>,
    transmissions: u16,
    flags: Flags,
    state: State,
    given_up: bool,
}

impl Sent {
    fn size(&self) -> usize {
        OVERHEAD + self.bytes as usize
    }
}

/// Numbers in a row that left in one packet.
#[derive(Debug)]
struct Departure {
    packet: u64,
    sent_at: Instant,
    first: u64,
    count: u32,
}

/// What an acknowledgement brought.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that are known to have come now.
    pub(crate) bytes: usize,
    /// The latest packet among them.
    pub(crate) packet: u64,
    /// Anything was news.
    pub(crate) any: bool,
    /// A round-trip time.
    pub(crate) sample: Option<Duration>,
}

/// A piece to be written into a packet.
#[derive(Debug)]
pub(crate) struct Transmission {
    pub(crate) tsn: u64,
    pub(crate) payload: Bytes,
    pub(crate) flags: Flags,
    pub(crate) stream: u16,
    pub(crate) ssn: u16,
    pub(crate) ppid: u32,
}

#[derive(Debug)]
pub(crate) struct Flight {
    /// The number of the ring's first slot: one more than the other end has acknowledged up to.
    base: u64,
    ring: VecDeque<Sent>,
    departures: VecDeque<Departure>,
    /// What was acknowledged beyond: first and last of each block.
    arrived: Vec<(u64, u64)>,
    lost: BTreeSet<u64>,
    bytes: usize,
    payload: usize,
    next_packet: u64,
    /// The latest packet that came, and when it left.
    latest: Option<(u64, Instant)>,
    /// Up to here the other end misses nothing, if it skips what was given up.
    point: u64,
    skipped: BTreeMap<u16, u16>,
    /// Messages given up since they were lost.
    pub(crate) given_up: u64,
}

impl Flight {
    /// `first` is the first number to be used.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            base: first,
            ring: VecDeque::new(),
            departures: VecDeque::new(),
            arrived: Vec::new(),
            lost: BTreeSet::new(),
            bytes: 0,
            payload: 0,
            next_packet: 1,
            latest: None,
            point: first - 1,
            skipped: BTreeMap::new(),
            given_up: 0,
        }
    }

    /// Bytes under way, chunk headers included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Payload under way: what fills the other end's window.
    pub(crate) fn payload(&self) -> usize {
        self.payload
    }

    /// Numbers in use.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub(crate) fn next_packet(&self) -> u64 {
        self.next_packet
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn next_tsn(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// The data written since the last call left in a packet.
    pub(crate) fn packet_left(&mut self) {
        self.next_packet += 1;
    }

    /// A new piece leaves in the next packet: its number.
    pub(crate) fn push(&mut self, now: Instant, piece: Piece) -> Transmission {
        let tsn = self.next_tsn();
        let first = if piece.flags.has(Flags::FIRST) {
            tsn
        } else {
            self.ring.back().map_or(tsn, |before| before.first)
        };
        let transmission = Transmission {
            tsn,
            payload: piece.payload.clone(),
            flags: piece.flags,
            stream: piece.stream,
            ssn: piece.ssn,
            ppid: piece.ppid,
        };
        let sent = Sent {
            bytes: u32::try_from(piece.payload.len()).expect("a piece fits into a packet"),
            payload: piece.payload,
            deadline: piece.deadline,
            first,
            packet: self.next_packet,
            sent_at: now,
            passed_at: None,
            ppid: piece.ppid,
            stream: piece.stream,
            ssn: piece.ssn,
            retransmits: piece.retransmits,
            transmissions: 1,
            flags: piece.flags,
            state: State::InFlight,
            given_up: false,
        };
        self.bytes += sent.size();
        self.payload += sent.bytes as usize;
        self.ring.push_back(sent);
        self.departed(now, tsn);
        transmission
    }

    fn departed(&mut self, now: Instant, tsn: u64) {
        if let Some(last) = self.departures.back_mut()
            && last.packet == self.next_packet
            && last.first + u64::from(last.count) == tsn
        {
            last.count += 1;
            return;
        }
        self.departures.push_back(Departure { packet: self.next_packet, sent_at: now, first: tsn, count: 1 });
    }

    /// Whether anything waits to be sent again.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The lowest lost piece leaves again, if it fits into the room.
    pub(crate) fn resend(&mut self, now: Instant, room: usize) -> Option<Transmission> {
        let &tsn = self.lost.first()?;
        let sent = &mut self.ring[(tsn - self.base) as usize];
        if sent.size().next_multiple_of(4) > room {
            return None;
        }
        self.lost.pop_first();
        sent.state = State::InFlight;
        sent.transmissions = sent.transmissions.saturating_add(1);
        sent.packet = self.next_packet;
        sent.sent_at = now;
        self.bytes += sent.size();
        self.payload += sent.bytes as usize;
        let transmission = Transmission {
            tsn,
            payload: sent.payload.clone(),
            // Whoever waits for a retransmission should hear of it soon.
            flags: sent.flags | Flags::IMMEDIATE,
            stream: sent.stream,
            ssn: sent.ssn,
            ppid: sent.ppid,
        };
        self.departed(now, tsn);
        Some(transmission)
    }

    /// The other end has all up to `cumulative`, and the blocks beyond, which are ascending. `least` is the shortest
    /// round-trip time there was. Bytes that are settled are taken off `streams`.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        cumulative: u64,
        blocks: &[(u64, u64)],
        least: Option<Duration>,
        streams: &mut Streams,
    ) -> Progress {
        let mut progress = Progress::default();
        // The blocks first: those that the cumulative number has swallowed are popped below.
        self.compare(now, blocks, least, &mut progress);
        while self.base <= cumulative {
            let tsn = self.base;
            self.came(now, tsn, least, &mut progress);
            progress.any = true;
            let sent = self.ring.pop_front().expect("no number was acknowledged that is not in use");
            self.base += 1;
            if !sent.given_up {
                streams.settled(sent.stream, sent.bytes as usize);
            }
        }
        self.forget_below();
        progress
    }

    /// Drops what is known about numbers that have left the ring.
    fn forget_below(&mut self) {
        let base = self.base;
        let gone = self.arrived.partition_point(|&(_, last)| last < base);
        self.arrived.drain(..gone);
        if let Some(front) = self.arrived.first_mut() {
            front.0 = front.0.max(base);
        }
        while self
            .departures
            .front()
            .is_some_and(|departure| departure.first + u64::from(departure.count) <= base)
        {
            self.departures.pop_front();
        }
        if self.point < base {
            self.point = base - 1;
            self.skipped.clear();
        }
        if self.ring.is_empty() && self.ring.capacity() > KEPT {
            self.ring.shrink_to(KEPT);
            self.departures.shrink_to(KEPT);
        }
    }

    /// Looks at what the blocks say that was not known.
    fn compare(
        &mut self,
        now: Instant,
        blocks: &[(u64, u64)],
        least: Option<Duration>,
        progress: &mut Progress,
    ) {
        let Some(&(_, highest)) = blocks.last() else { return };
        let before = std::mem::take(&mut self.arrived);
        for_difference(blocks.iter().copied(), &before, |tsn| self.came(now, tsn, least, progress));
        // What an earlier acknowledgement named and this one, though it reaches further, does not: the other end has
        // thrown it away again, which it may.
        let below = before.iter().take_while(|&&(first, _)| first <= highest);
        let below = below.map(|&(first, last)| (first, last.min(highest)));
        for_difference(below, blocks, |tsn| self.renounced(tsn));
        self.arrived.extend_from_slice(blocks);
        for &(first, last) in before.iter().filter(|&&(_, last)| last > highest) {
            let first = first.max(highest + 1);
            match self.arrived.last_mut() {
                Some(block) if block.1 + 1 == first => block.1 = last,
                _ => self.arrived.push((first, last)),
            }
        }
    }

    fn came(&mut self, now: Instant, tsn: u64, least: Option<Duration>, progress: &mut Progress) {
        let Some(sent) = tsn.checked_sub(self.base).and_then(|index| self.ring.get_mut(index as usize))
        else {
            return;
        };
        match sent.state {
            State::Arrived => return,
            State::InFlight => {
                self.bytes -= sent.size();
                self.payload -= sent.bytes as usize;
            }
            State::Lost => {
                self.lost.remove(&tsn);
            }
        }
        sent.state = State::Arrived;
        progress.any = true;
        // It may have been skipped only.
        let told = |at: Instant| least.is_none_or(|least| now >= at + least);
        if sent.given_up && (sent.bytes == 0 || sent.passed_at.is_some_and(told)) {
            return;
        }
        progress.bytes += sent.size();
        let age = now.saturating_duration_since(sent.sent_at);
        // An answer that is faster than any before is one to an earlier transmission.
        let again = sent.transmissions > 1;
        if again && least.is_some_and(|least| age < least) {
            return;
        }
        if !again {
            // The latest of them has waited the least for this acknowledgement.
            progress.sample = Some(progress.sample.map_or(age, |sample| sample.min(age)));
        }
        progress.packet = progress.packet.max(sent.packet);
        if self.latest.is_none_or(|(packet, _)| packet < sent.packet) {
            self.latest = Some((sent.packet, sent.sent_at));
        }
    }

    fn renounced(&mut self, tsn: u64) {
        let Some(sent) = tsn.checked_sub(self.base).and_then(|index| self.ring.get_mut(index as usize))
        else {
            return;
        };
        if sent.state == State::Arrived {
            sent.state = State::Lost;
            if !sent.given_up {
                self.lost.insert(tsn);
            }
        }
    }

    /// Finds what is lost. `late` is how long after its departure a packet counts as lost if a later one came. The
    /// latest lost packet, and when to look again.
    pub(crate) fn find_lost(
        &mut self,
        now: Instant,
        late: Duration,
        streams: &mut Streams,
    ) -> (Option<u64>, Option<Instant>) {
        let Some((latest, _)) = self.latest else { return (None, None) };
        let mut lost = None;
        while let Some(front) = self.departures.front() {
            if front.packet >= latest {
                break;
            }
            let (packet, first, count, due) =
                (front.packet, front.first, u64::from(front.count), front.sent_at + late);
            let range = first.max(self.base)..(first + count).max(self.base);
            let open = |flight: &Self, tsn: u64| {
                let sent = flight.ring.get((tsn - flight.base) as usize);
                sent.is_some_and(|sent| sent.state == State::InFlight && sent.packet == packet)
            };
            if latest - packet < MISSES && now < due && range.clone().any(|tsn| open(self, tsn)) {
                return (lost, Some(due));
            }
            self.departures.pop_front();
            for tsn in range {
                if open(self, tsn) {
                    lost = Some(packet);
                    self.lose(now, tsn, streams);
                }
            }
        }
        (lost, None)
    }

    /// A piece under way is lost: it is sent again, or its message is given up.
    fn lose(&mut self, now: Instant, tsn: u64, streams: &mut Streams) {
        let sent = &mut self.ring[(tsn - self.base) as usize];
        sent.state = State::Lost;
        self.bytes -= sent.size();
        self.payload -= sent.bytes as usize;
        if sent.given_up {
            return;
        }
        let too_late = sent.deadline.is_some_and(|at| at <= now);
        let too_often = sent.retransmits.is_some_and(|limit| sent.transmissions > limit);
        if too_late || too_often {
            let first = sent.first;
            self.given_up += 1;
            self.give_up(first, streams);
        } else {
            self.lost.insert(tsn);
        }
    }

    /// The message that begins with this number is given up, if not all of it has come.
    pub(crate) fn give_up(&mut self, first: u64, streams: &mut Streams) {
        let mut tsn = first.max(self.base);
        let Some(begin) = self.ring.get((tsn - self.base) as usize) else { return };
        if begin.first != first || begin.given_up {
            return;
        }
        let (stream, ssn, flags, sent_at) = (begin.stream, begin.ssn, begin.flags, begin.sent_at);
        let mut finished = false;
        while let Some(sent) =
            self.ring.get_mut((tsn - self.base) as usize).filter(|sent| sent.first == first)
        {
            sent.given_up = true;
            sent.payload = Bytes::new();
            streams.settled(sent.stream, sent.bytes as usize);
            self.lost.remove(&tsn);
            finished = sent.flags.has(Flags::LAST);
            tsn += 1;
        }
        if finished {
            return;
        }
        // The rest never left. A number stands for it, since all that did leave may have been acknowledged, and a
        // FORWARD-TSN to a number that is no news is not listened to.
        streams.drop_cut();
        self.ring.push_back(Sent {
            payload: Bytes::new(),
            deadline: None,
            first,
            packet: 0,
            sent_at,
            passed_at: None,
            ppid: 0,
            bytes: 0,
            stream,
            ssn,
            retransmits: None,
            transmissions: 0,
            flags: flags | Flags::LAST,
            state: State::Lost,
            given_up: true,
        });
    }

    /// The first number of the message that has begun and not ended.
    pub(crate) fn unfinished(&self) -> Option<u64> {
        self.ring.back().filter(|sent| !sent.flags.has(Flags::LAST)).map(|sent| sent.first)
    }

    /// The message that this piece belongs to: its first number, unless it came, was given up, or is settled.
    pub(crate) fn pending(&self, tsn: u64) -> Option<u64> {
        let sent = self.ring.get(tsn.checked_sub(self.base)? as usize)?;
        (sent.state == State::InFlight && !sent.given_up).then_some(sent.first)
    }

    /// Whether the other end misses nothing before this message that must come.
    pub(crate) fn is_next_to_skip(&self, first: u64) -> bool {
        first <= self.point + 1
    }

    /// Moves the point up to which the other end may skip. Whether it is to be told.
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        let before = self.point;
        while let Some(sent) = self.ring.get_mut((self.point + 1 - self.base) as usize) {
            if sent.given_up {
                let ordered = !sent.flags.has(Flags::UNORDERED);
                if ordered
                    && !self.skipped.contains_key(&sent.stream)
                    && self.skipped.len() >= SKIPPED_STREAMS
                {
                    break;
                }
                if ordered {
                    self.skipped.insert(sent.stream, sent.ssn);
                }
                sent.passed_at = Some(now);
            } else if sent.state != State::Arrived {
                break;
            }
            self.point += 1;
        }
        self.point > before
    }

    /// The FORWARD-TSN that the other end needs, if it does.
    pub(crate) fn forward(&self) -> Option<(u64, &BTreeMap<u16, u16>)> {
        (self.point >= self.base).then_some((self.point, &self.skipped))
    }

    /// Nothing is known any more: what came beyond a gap may have been thrown away again, which a receiver may do without
    /// a word. All that is open counts as lost.
    pub(crate) fn forget(&mut self, now: Instant, streams: &mut Streams) {
        for (first, last) in std::mem::take(&mut self.arrived) {
            (first..=last).for_each(|tsn| self.renounced(tsn));
        }
        self.silence(now, usize::MAX, streams);
    }

    /// Nothing was heard for a time-out. As much of what is under way, the earliest of it, counts as lost.
    pub(crate) fn silence(&mut self, now: Instant, bytes: usize, streams: &mut Streams) {
        let mut left = bytes;
        for index in 0..self.ring.len() {
            let Some(sent) = self.ring.get(index) else { break };
            let size = sent.size();
            if sent.state == State::Lost && !sent.given_up {
                left = left.saturating_sub(size);
            } else if sent.state == State::InFlight {
                if size > left {
                    break;
                }
                left -= size;
                self.lose(now, self.base + index as u64, streams);
            }
        }
    }

    /// This stream begins anew: what was given up on it is no matter any more.
    pub(crate) fn stream_closed(&mut self, stream: u16) {
        self.skipped.remove(&stream);
    }

    /// Nothing is sent any more.
    pub(crate) fn clear(&mut self) {
        let mut empty = Self::new(self.next_tsn());
        empty.given_up = self.given_up;
        *self = empty;
    }
}

/// Calls for each number that is in a block of `these` and in none of `those`; both are ascending.
fn for_difference(these: impl Iterator<Item = (u64, u64)>, those: &[(u64, u64)], mut call: impl FnMut(u64)) {
    let mut others = those.iter().peekable();
    for (first, last) in these {
        let mut at = first;
        while at <= last {
            while others.next_if(|&&(_, end)| end < at).is_some() {}
            match others.peek() {
                Some(&&(begin, end)) if begin <= at => at = end + 1,
                other => {
                    let stop = other.map_or(last, |&&(begin, _)| last.min(begin - 1));
                    (at..=stop).for_each(&mut call);
                    at = stop + 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_difference_is_looked_at() {
        let difference = |these: &[(u64, u64)], those: &[_]| {
            let mut out = Vec::new();
            for_difference(these.iter().copied(), those, |tsn| out.push(tsn));
            out
        };
        assert_eq!(difference(&[(1, 9)], &[(2, 3), (5, 5), (8, 20)]), [1, 4, 6, 7]);
        assert_eq!(difference(&[(1, 2), (4, 5), (7, 8)], &[(2, 4), (8, 8)]), [1, 5, 7]);
        assert_eq!(difference(&[(4, 5)], &[(1, 9)]), []);
        assert_eq!(difference(&[(4, 5)], &[]), [4, 5]);
    }
}
