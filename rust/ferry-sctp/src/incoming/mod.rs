//! What comes in: numbers, pieces, messages that wait to be read, and the acknowledgements for all that.
//!
//! The window that the other end is told is what it was promised less what waits here, unread or beyond a gap; the message
//! being assembled is left out, or one longer than the window could never be finished. A sender that ignores the window
//! is not listened to: beyond it, only the very next number is taken, and once as much is unread, as questions whether the
//! window is still shut, a little more.

mod arrivals;
mod reassembly;

use std::collections::VecDeque;

use self::arrivals::Arrivals;
use self::reassembly::{ENTRY, Reassembly};
use crate::config::Config;
use crate::event::{Event, Message};
use crate::serial;
use crate::statistics::Statistics;
use crate::wire::data::{Data, Flags, ForwardTsn};

pub(crate) use self::reassembly::TooLong;

/// Packets that one acknowledgement is for.
const PACKETS_AN_ACKNOWLEDGEMENT: u32 = 2;

/// This part of the window may be unread beyond it, of what comes to ask whether it is still shut: some tens of seconds.
const PROBED: usize = 8;

/// Whether an acknowledgement is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Not,
    /// With the next packet, or when it has waited long enough.
    Soon,
    Now,
}

#[derive(Debug)]
pub(crate) struct Incoming {
    arrivals: Arrivals,
    reassembly: Reassembly,
    streams: u16,
    window: usize,
    /// Messages and resets, in the order in which they were complete, and what they cost.
    inbox: VecDeque<(Event, usize)>,
    /// Bytes in the inbox, and what they cost altogether.
    unread: usize,
    unread_cost: usize,
    wanted: Wanted,
    unacknowledged_packets: u32,
    /// The window that the other end was last told.
    told: usize,
    /// This packet brought DATA; acknowledge it at once.
    brought_data: bool,
    packet_charged: bool,
    at_once: bool,
}

impl Incoming {
    /// `tsn` is the number that the other end begins with.
    pub(crate) fn new(config: &Config, tsn: u32) -> Self {
        let first = serial::first(tsn);
        Self {
            arrivals: Arrivals::new(first),
            reassembly: Reassembly::new(first, config.max_message_size),
            streams: config.incoming_streams,
            window: config.receive_window,
            inbox: VecDeque::new(),
            unread: 0,
            unread_cost: 0,
            wanted: Wanted::Not,
            unacknowledged_packets: 0,
            told: config.receive_window,
            brought_data: false,
            packet_charged: false,
            at_once: false,
        }
    }

    pub(crate) fn cumulative(&self) -> u64 {
        self.arrivals.cumulative()
    }

    /// What a number on the wire means.
    pub(crate) fn whole_number(&self, wire: u32) -> u64 {
        serial::unwrap(self.arrivals.cumulative(), wire)
    }

    /// DATA came, in a packet of this length.
    pub(crate) fn data(
        &mut self,
        data: Data,
        packet: usize,
        statistics: &mut Statistics,
    ) -> Result<(), TooLong> {
        statistics.chunks_received += 1;
        let tsn = self.whole_number(data.tsn);
        let is_probe = self.is_probe(tsn);
        if !is_probe {
            self.brought_data = true;
            self.at_once |= data.flags.has(Flags::IMMEDIATE);
        }
        if self.arrivals.has_come(tsn) {
            statistics.duplicates += 1;
            self.arrivals.duplicate(tsn);
            self.at_once = true;
            return Ok(());
        }
        if !is_probe && !self.admits(tsn) {
            statistics.chunks_dropped += 1;
            self.at_once = true;
            return Ok(());
        }
        let filled = self.arrivals.has_gaps();
        self.arrivals.note(tsn);
        self.at_once |= !is_probe && (filled || self.arrivals.has_gaps());
        let beyond = data.stream >= self.streams;
        let (reassembly, mut done) = self.delivery(packet, statistics);
        if beyond {
            // It is acknowledged, or it would come again and again.
            return reassembly.skip_over(tsn, &mut done);
        }
        reassembly.take(tsn, data, packet, &mut done)
    }

    /// Where messages are made, and where they go. The first of a packet is charged with the whole packet, which its bytes
    /// are a part of and keep alive: a byte in a packet full of padding is not cheap.
    fn delivery<'a>(
        &'a mut self,
        packet: usize,
        statistics: &'a mut Statistics,
    ) -> (&'a mut Reassembly, impl FnMut(Message) + 'a) {
        let Self { reassembly, inbox, unread, unread_cost, packet_charged, .. } = self;
        let done = move |message: Message| {
            let length = message.payload.len();
            let shared = if *packet_charged { 0 } else { packet.saturating_sub(length) };
            *packet_charged |= packet > 0;
            let cost = length + shared + ENTRY;
            *unread += length;
            *unread_cost += cost;
            statistics.messages_received += 1;
            inbox.push_back((Event::Message(message), cost));
        };
        (reassembly, done)
    }

    /// The other end has given messages up.
    pub(crate) fn forward(
        &mut self,
        forward: &ForwardTsn<'_>,
        statistics: &mut Statistics,
    ) -> Result<(), TooLong> {
        self.brought_data = true;
        let tsn = self.whole_number(forward.tsn);
        if tsn <= self.arrivals.cumulative() {
            // Most likely the acknowledgement was lost.
            self.at_once = true;
            return Ok(());
        }
        if !self.arrivals.reaches_forward(tsn) {
            return Ok(());
        }
        self.at_once |= self.arrivals.has_gaps();
        self.arrivals.skip_to(tsn);
        let streams = self.streams;
        let (reassembly, mut done) = self.delivery(0, statistics);
        reassembly.skip_to(tsn, &mut done)?;
        for (stream, ssn) in forward.skipped().filter(|&(stream, _)| stream < streams) {
            reassembly.skip_message(stream, ssn, &mut done)?;
        }
        Ok(())
    }

    /// The other end begins these streams anew, all of them if none is named, `last` being its last number before.
    pub(crate) fn reset(&mut self, streams: &[u16], last: u64) {
        let all;
        let streams = if streams.is_empty() {
            all = self.reassembly.streams();
            &all
        } else {
            streams
        };
        for &stream in streams.iter().filter(|&&stream| stream < self.streams) {
            if self.reassembly.reset(stream, last) {
                self.unread_cost += ENTRY;
                self.inbox.push_back((Event::StreamReset(stream), ENTRY));
            }
        }
    }

    /// The other end knows that this end's side of this stream is closed.
    pub(crate) fn own_side_closed(&mut self, stream: u16) {
        self.reassembly.own_side_closed(stream);
    }

    /// A packet has been read to its end.
    pub(crate) fn packet_over(&mut self) {
        self.packet_charged = false;
        if !std::mem::take(&mut self.brought_data) {
            return;
        }
        self.unacknowledged_packets += 1;
        let now =
            std::mem::take(&mut self.at_once) || self.unacknowledged_packets >= PACKETS_AN_ACKNOWLEDGEMENT;
        if now {
            self.wanted = Wanted::Now;
        } else if self.wanted == Wanted::Not {
            self.wanted = Wanted::Soon;
        }
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// An acknowledgement must leave with the next packet.
    pub(crate) fn want_now(&mut self) {
        self.wanted = Wanted::Now;
    }

    /// Writes an acknowledgement that is no longer than `room`.
    pub(crate) fn acknowledge(&mut self, out: &mut Vec<u8>, room: usize) {
        self.told = self.open_window();
        self.wanted = Wanted::Not;
        self.unacknowledged_packets = 0;
        let window = u32::try_from(self.told).expect("windows are bounded by the configuration");
        self.arrivals.write(out, window, room);
    }

    /// The next message or reset. Without `receiving`, only a reset that no message comes before.
    pub(crate) fn next(&mut self, receiving: bool) -> Option<Event> {
        if !receiving && matches!(self.inbox.front(), Some((Event::Message(_), _))) {
            return None;
        }
        let (event, cost) = self.inbox.pop_front()?;
        let bytes = if let Event::Message(message) = &event { message.payload.len() } else { 0 };
        self.unread -= bytes;
        self.unread_cost -= cost;
        // The other end knows of less than half of the window, and there is a good piece more: tell it.
        if self.told < self.window / 2 && self.open_window() >= self.told + self.window / 4 {
            self.wanted = Wanted::Now;
        }
        Some(event)
    }

    /// So much is unread that not even resets are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.unread_cost >= 2 * self.window
    }

    pub(crate) fn is_read(&self) -> bool {
        self.inbox.is_empty()
    }

    /// What the other end may send beyond what is acknowledged.
    fn open_window(&self) -> usize {
        self.window.saturating_sub(self.unread_cost + self.reassembly.held())
    }

    /// A question whether the window is still shut. It is taken and not acknowledged, until the window opens or it comes
    /// again. If it were dropped, the other end would count it as under way, and once the window opens it could not go on
    /// before its timer runs out, which takes ever longer (so Chromium). Taken, it is one packet for each time that this
    /// timer does run out, for as long as there is room.
    fn is_probe(&self, tsn: u64) -> bool {
        let room = self.window + self.window / PROBED;
        tsn == self.arrivals.cumulative() + 1 && (self.window..room).contains(&self.unread) && !self.is_full()
    }

    fn admits(&self, tsn: u64) -> bool {
        // A sender does not know what its small messages cost here, so there is as much again before they are dropped.
        let most = 2 * self.window;
        if self.unread >= self.window || self.is_full() || !self.arrivals.reaches(tsn) {
            return false;
        }
        tsn == self.arrivals.cumulative() + 1 || self.unread_cost + self.reassembly.held() < most
    }
}
