//! What goes out: which piece leaves when, and what is done about its loss.
//!
//! The order within a packet: what the other end must skip, what was lost, what is new. How much may be under way is said by
//! the congestion window, the other end's window and [`OUTSTANDING`].
//!
//! Messages given up come in three ways. Unsent ones go when their time is over. Lost ones go when the loss is seen.
//! And while little is under way, an ordered message that would not be sent again anyway is given up as soon as that is
//! sure, so that the next one brings the word to skip it: otherwise a loss holds up a stream of unreliable messages for
//! a round trip, as long as sending it again would have.

mod flight;
mod streams;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::flight::{Flight, Transmission};
use self::streams::{Queued, Streams};
use crate::config::Config;
use crate::congestion::Congestion;
use crate::event::{Message, Reliability};
use crate::rtt::Rtt;
use crate::serial;
use crate::statistics::Statistics;
use crate::timers::{Timer, Timers};
use crate::wire::data::{self, Flags, ForwardTsn, OVERHEAD};
use crate::wire::sack::Sack;
use crate::wire::{HEADER, Writer, kind};

/// Numbers in use at most. Half of what an acknowledgement can tell of, since some receivers count in signed numbers.
const OUTSTANDING: usize = 32_000;

/// What counts as little under way, in packets.
const LITTLE: usize = 16;

/// How long an ordered message that is not sent again is left on its way, before the other end is told to skip it.
/// Messages that overtake each other by less still count.
const ON_ITS_WAY: Duration = Duration::from_millis(10);

/// The same for an unordered message. Nobody waits for it, but for the ordered ones behind it that are skipped.
const UNORDERED_ON_ITS_WAY: Duration = Duration::from_millis(30);

/// Whether the other end is to be told what it may skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Forward {
    Not,
    /// When there is data to send, which would wait for it.
    WithData,
    Now,
}

#[derive(Debug)]
pub(crate) struct Outgoing {
    streams: Streams,
    flight: Flight,
    congestion: Congestion,
    rtt: Rtt,
    grace: Duration,
    mtu: usize,
    /// Payload that the other end takes beyond what it has acknowledged.
    window: usize,
    /// Streams that the other end takes.
    stream_count: u16,
    /// The other end understands FORWARD-TSN.
    partial: bool,
    forward: Forward,
    forwarded_at: Option<Instant>,
    /// Messages that are not sent again: when to give them up, and a number of each.
    passing: VecDeque<(Instant, u64)>,
    /// The last ordered one among them.
    last_ordered: u64,
    /// Time-outs since anything was acknowledged, and since anything at all was heard.
    timeouts: u32,
    unanswered: u32,
    /// Bytes that leave whatever the window says: a probe.
    forced: usize,
    last_sent: Option<Instant>,
    blocks: Vec<(u64, u64)>,
}

impl Outgoing {
    /// `tsn` is the number that this end begins with.
    pub(crate) fn new(config: &Config, tsn: u32) -> Self {
        Self {
            streams: Streams::default(),
            flight: Flight::new(serial::first(tsn)),
            congestion: Congestion::new(config.mtu),
            rtt: Rtt::new(config.rto_initial, config.rto_min, config.rto_max),
            grace: config.first_send_grace,
            mtu: config.mtu,
            window: 0,
            stream_count: config.outgoing_streams,
            partial: false,
            forward: Forward::Not,
            forwarded_at: None,
            passing: VecDeque::new(),
            last_ordered: 0,
            timeouts: 0,
            unanswered: 0,
            forced: 0,
            last_sent: None,
            blocks: Vec::new(),
        }
    }

    /// What the other end said of itself.
    pub(crate) fn agreed(&mut self, window: u32, streams: u16, partial: bool) {
        self.window = window as usize;
        self.stream_count = self.stream_count.min(streams);
        self.streams.drop_from(self.stream_count);
        self.partial = partial;
    }

    pub(crate) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    pub(crate) fn measured(&mut self, sample: Duration) {
        self.rtt.measured(sample);
    }

    pub(crate) fn window(&self) -> usize {
        self.congestion.window()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flight.bytes()
    }

    /// Queues a message; false if it is refused.
    pub(crate) fn send(&mut self, now: Instant, message: Message, reliability: Reliability) -> bool {
        if message.payload.is_empty() || message.stream >= self.stream_count {
            return false;
        }
        let lifetime = reliability.lifetime;
        let queued = Queued {
            payload: message.payload,
            ppid: message.ppid,
            ordered: reliability.ordered,
            deadline: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            unsent_deadline: lifetime.and_then(|lifetime| now.checked_add(lifetime.max(self.grace))),
            retransmits: reliability.retransmits,
        };
        self.streams.push(now, message.stream, queued)
    }

    pub(crate) fn unsent(&self, stream: u16) -> usize {
        self.streams.unsent(stream)
    }

    pub(crate) fn queued(&self, stream: u16) -> usize {
        self.streams.queued(stream)
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.streams.queued_altogether()
    }

    /// Nothing is queued, and nothing under way.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.streams.has_unsent() && self.flight.is_empty()
    }

    pub(crate) fn close_stream(&mut self, stream: u16) {
        self.streams.close(stream);
    }

    pub(crate) fn take_drained(&mut self, most: usize) -> Vec<u16> {
        self.streams.take_drained(most)
    }

    pub(crate) fn stream_closed(&mut self, stream: u16) {
        self.streams.closed(stream);
        self.flight.stream_closed(stream);
    }

    /// The last number used.
    pub(crate) fn last_tsn(&self) -> u32 {
        (self.flight.next_tsn() - 1) as u32
    }

    /// An acknowledgement came. One for what was never sent, or older than another, is ignored.
    pub(crate) fn sack(&mut self, now: Instant, sack: &Sack<'_>, timers: &mut Timers) {
        let cumulative = serial::unwrap(self.flight.base() - 1, sack.cumulative);
        if cumulative + 1 < self.flight.base() || cumulative >= self.flight.next_tsn() {
            return;
        }
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.clear();
        for (first, last) in sack.blocks() {
            let (first, last) = (cumulative + u64::from(first), cumulative + u64::from(last));
            let after = blocks.last().map_or(cumulative + 1, |&(_, end)| end + 1);
            if first > last || first < after || last >= self.flight.next_tsn() {
                // Out of order, or never sent: what was understood so far is good.
                break;
            }
            blocks.push((first, last));
        }
        if self.timeouts == 1 {
            self.rtt.probed(sack.duplicates > 0);
        }
        self.unanswered = 0;
        self.arrived(now, cumulative, &blocks, timers);
        self.window = (sack.window as usize).saturating_sub(self.flight.payload());
        self.blocks = blocks;
    }

    /// A SHUTDOWN tells how far everything came, too.
    pub(crate) fn acknowledged_up_to(&mut self, now: Instant, cumulative: u32, timers: &mut Timers) {
        let cumulative = serial::unwrap(self.flight.base() - 1, cumulative);
        if cumulative >= self.flight.base() && cumulative < self.flight.next_tsn() {
            self.arrived(now, cumulative, &[], timers);
        }
    }

    fn arrived(&mut self, now: Instant, cumulative: u64, blocks: &[(u64, u64)], timers: &mut Timers) {
        let least = self.rtt.least();
        let progress = self.flight.acknowledge(now, cumulative, blocks, least, &mut self.streams);
        if let Some(sample) = progress.sample {
            self.rtt.measured(sample);
        }
        self.congestion.answered();
        if progress.bytes > 0 {
            self.congestion.acknowledged(progress.bytes, progress.packet);
        }
        if progress.any {
            self.timeouts = 0;
            timers.stop(Timer::Retransmission);
            if !self.flight.is_empty() {
                timers.set(Timer::Retransmission, now + self.rtt.timeout(0));
            }
        }
        self.find_lost(now, timers);
        // Still not skipped, though there was time enough.
        let told_long_ago = self.forwarded_at.is_some_and(|at| at + self.rtt.timeout(0) <= now);
        if self.flight.forward().is_some() && told_long_ago {
            self.forward = Forward::Now;
        }
    }

    /// Looks for losses, now that a later packet came or some time has gone.
    pub(crate) fn find_lost(&mut self, now: Instant, timers: &mut Timers) {
        timers.stop(Timer::Loss);
        let late = self.rtt.smoothed().unwrap_or_default() + self.rtt.reordering();
        let (lost, again) = self.flight.find_lost(now, late, &mut self.streams);
        if let Some(packet) = lost {
            self.congestion.lost(packet, self.flight.next_packet());
            self.forced = self.mtu;
            self.given_up(now);
        }
        if let Some(at) = again {
            timers.set(Timer::Loss, at);
        }
    }

    /// Messages were given up: the other end must hear of it.
    fn given_up(&mut self, now: Instant) {
        if self.partial && self.flight.advance(now) {
            self.forward = Forward::Now;
        }
    }

    /// The retransmission timer went off: how often in a row, without anything heard.
    pub(crate) fn timed_out(&mut self, now: Instant, timers: &mut Timers) -> u32 {
        if self.flight.is_empty() {
            return 0;
        }
        let first = self.timeouts == 0;
        self.timeouts += 1;
        self.unanswered += 1;
        // The first time-out sends a probe. The next says that the way is cut, or that the other end takes nothing.
        if first || self.window == 0 {
            self.flight.silence(now, self.mtu - HEADER, &mut self.streams);
        } else {
            self.flight.forget(now, &mut self.streams);
            self.congestion.silence(self.flight.next_packet());
        }
        self.forced = self.mtu;
        self.given_up(now);
        if self.flight.forward().is_some() {
            self.forward = Forward::Now;
        }
        timers.set(Timer::Retransmission, now + self.rtt.timeout(self.timeouts));
        self.unanswered
    }

    /// Whether [`Self::write`] has something to write, most likely.
    pub(crate) fn wants_to_write(&mut self) -> bool {
        let room = self.congestion.has_room(self.flight.bytes());
        self.forward == Forward::Now
            || (self.flight.has_lost() && (room || self.forced > 0))
            || (self.streams.has_unsent() && room && (self.window > 0 || self.flight.is_empty()))
    }

    /// Writes what may leave into the packet.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        writer: &mut Writer<'_>,
        timers: &mut Timers,
        statistics: &mut Statistics,
    ) {
        self.give_up_passing(now);
        let sends = self.flight.has_lost() || self.streams.has_unsent();
        if self.forward == Forward::Now || (self.forward == Forward::WithData && sends) {
            self.write_forward(now, writer);
        }
        let before = statistics.chunks_sent;
        self.write_lost(now, writer, statistics);
        if !self.flight.has_lost() {
            self.write_new(now, writer, statistics);
        }
        if statistics.chunks_sent > before {
            self.flight.packet_left();
            self.last_sent = Some(now);
        }
        if !self.flight.is_empty() && !timers.is_set(Timer::Retransmission) {
            timers.set(Timer::Retransmission, now + self.rtt.timeout(self.timeouts));
        }
        statistics.messages_abandoned = self.streams.expired + self.flight.given_up;
        statistics.congestion_events = self.congestion.cuts();
    }

    fn write_forward(&mut self, now: Instant, writer: &mut Writer<'_>) {
        let Some((tsn, skipped)) = self.flight.forward() else {
            self.forward = Forward::Not;
            return;
        };
        if writer.room() < data::forward_tsn_length(skipped.len()) {
            return;
        }
        writer.chunk(kind::FORWARD_TSN, 0, |out| {
            ForwardTsn::write(out, tsn as u32, skipped.iter().map(|(&stream, &ssn)| (stream, ssn)));
        });
        self.forward = Forward::Not;
        self.forwarded_at = Some(now);
    }

    fn write_lost(&mut self, now: Instant, writer: &mut Writer<'_>, statistics: &mut Statistics) {
        while self.flight.has_lost() && (self.forced > 0 || self.congestion.has_room(self.flight.bytes())) {
            let Some(transmission) = self.flight.resend(now, writer.room()) else { break };
            self.forced = self.forced.saturating_sub(OVERHEAD + transmission.payload.len());
            statistics.retransmissions += 1;
            self.write_data(writer, &transmission, Flags(0), statistics);
        }
    }

    fn write_new(&mut self, now: Instant, writer: &mut Writer<'_>, statistics: &mut Statistics) {
        let largest = self.mtu - HEADER - OVERHEAD;
        loop {
            if self.partial
                && self.streams.is_cut_stale(now)
                && let Some(first) = self.flight.unfinished()
            {
                self.flight.give_up(first, &mut self.streams);
                self.given_up(now);
            }
            let Some(length) = self.streams.next_length(now) else {
                self.congestion.satisfied();
                return;
            };
            if self.flight.is_empty() && self.last_sent.is_some_and(|at| at + self.rtt.timeout(1) < now) {
                self.congestion.idle();
                self.last_sent = None;
            }
            if self.flight.len() >= OUTSTANDING || !self.congestion.has_room(self.flight.bytes()) {
                return;
            }
            let room = writer.room().saturating_sub(OVERHEAD);
            // With nothing under way, one piece probes a closed window.
            if length.min(largest) > self.window && !self.flight.is_empty() {
                return;
            }
            let Some(mut piece) = self.streams.next_piece(now, room, largest) else { return };
            if !self.partial {
                // The other end cannot skip anything: what has left must come.
                (piece.deadline, piece.retransmits) = (None, None);
            }
            if piece.flags.has(Flags::LAST) {
                self.note_passing(now, piece.flags, piece.deadline, piece.retransmits);
            }
            let transmission = self.flight.push(now, piece);
            self.window = self.window.saturating_sub(transmission.payload.len());
            self.congestion.sent(OVERHEAD + transmission.payload.len());
            // What cannot go on before it is acknowledged should be acknowledged at once.
            let blocked = !self.congestion.has_room(self.flight.bytes());
            let hurry = if blocked { Flags::IMMEDIATE } else { Flags(0) };
            self.write_data(writer, &transmission, hurry, statistics);
        }
    }

    fn write_data(
        &self,
        writer: &mut Writer<'_>,
        transmission: &Transmission,
        more: Flags,
        statistics: &mut Statistics,
    ) {
        let Transmission { tsn, payload, flags, stream, ssn, ppid } = transmission;
        statistics.chunks_sent += 1;
        writer.chunk(kind::DATA, (*flags | more).0, |out| {
            data::write(out, *tsn as u32, *stream, *ssn, *ppid, payload);
        });
    }

    /// A message has left whole: notes when it can be given up, if it is not sent again.
    fn note_passing(
        &mut self,
        now: Instant,
        flags: Flags,
        deadline: Option<Instant>,
        retransmits: Option<u16>,
    ) {
        let at = match (deadline, retransmits) {
            (_, Some(0)) => now,
            (Some(deadline), _) => deadline.max(now),
            (None, _) => return,
        };
        let tsn = self.flight.next_tsn();
        if flags.has(Flags::UNORDERED) {
            self.passing.push_back((at + UNORDERED_ON_ITS_WAY, tsn));
        } else {
            self.passing.push_back((at + ON_ITS_WAY, tsn));
            self.last_ordered = tsn;
        }
    }

    /// Gives messages up that are not sent again, as far as the other end could be told at once. A message behind one that
    /// must come is left alone: until the word to skip it could leave, it will be known whether it came; and other
    /// implementations throw away what they hold of the messages that they are told to skip.
    fn give_up_passing(&mut self, now: Instant) {
        let little = self.flight.bytes() <= LITTLE * self.mtu;
        let mut moved = false;
        while let Some(&(at, tsn)) = self.passing.front() {
            if let Some(first) = self.flight.pending(tsn)
                && little
            {
                if at > now || tsn > self.last_ordered {
                    break;
                }
                moved |= self.flight.advance(now);
                if !self.flight.is_next_to_skip(first) {
                    break;
                }
                self.flight.give_up(first, &mut self.streams);
            }
            self.passing.pop_front();
        }
        if moved | self.flight.advance(now) {
            self.forward = self.forward.max(Forward::WithData);
        }
    }

    /// Nothing is sent any more.
    pub(crate) fn clear(&mut self) {
        self.streams.clear();
        self.flight.clear();
        self.passing.clear();
        self.forward = Forward::Not;
    }
}
