//! How much one peer may make this host remember, and the way out to the game.
//!
//! Two byte counts: *undelivered*, packets in the event queue that the driver has not fetched; and *held*, packets
//! that wait for an earlier one or for their missing pieces. At a limit, a reliable command stays unacknowledged (it
//! comes again), an unreliable one is lost, and both are counted.
//!
//! A packet in pieces is charged wholly when its first piece is taken (memory is only used as pieces come); from then on
//! all its pieces are taken. Otherwise pieces of many packets could fill the room that each needs to become whole, and a
//! channel would jam for ever. For the same reason some may pass the limit: a whole packet that is next in order goes
//! to the event queue at once; a packet that is next and no larger than a sender's window is always taken; and of
//! larger ones that are next, one at a time (the *reserve*). When something was refused, its channel comes first:
//! senders send in the order they were given, and what they sent first may fill their window until it is taken.
//!
//! A packet of many pieces comes out all at once, and would close the event queue to what is behind it in the same batch of
//! datagrams: that would have to be sent again, a pause for each large packet. So one such packet is *excused* until it is
//! fetched, if it is not huge: those take long enough to come for a pause not to matter.
//!
//! So a peer holds its limit, an excused packet, one of the largest size, and a window's worth for each channel at most.

use bytes::Bytes;

use crate::event::{Event, Mode, PeerId};
use crate::event_queue::EventQueue;
use crate::wire::MAXIMUM_WINDOW_SIZE;

/// What a queued packet costs besides its bytes: so a flood of empty ones is bounded too.
pub(crate) const PACKET_OVERHEAD: usize = 64;
/// What a packet that must wait costs besides its bytes: its place in a map that is half full, and memory of its own.
pub(crate) const HELD_OVERHEAD: usize = 192;

/// The longest packet that is excused.
const EXCUSED_UP_TO: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Budget {
    undelivered: usize,
    /// How much of it does not count against the limit.
    excused: usize,
    held: usize,
    maximum_undelivered: usize,
    maximum_held: usize,
    /// The channel whose next packet may pass the limit.
    reserve: Option<u8>,
    /// The channel that has waited longest for room.
    starving: Option<u8>,
    /// The longest packet that is put together.
    pub(crate) maximum_packet: usize,
}

impl Budget {
    pub(crate) fn new(maximum_undelivered: usize, maximum_held: usize, maximum_packet: usize) -> Self {
        Self {
            undelivered: 0,
            excused: 0,
            held: 0,
            maximum_undelivered,
            maximum_held,
            reserve: None,
            starving: None,
            maximum_packet,
        }
    }

    /// Whether the event queue takes another packet. The last one taken may pass the limit.
    pub(crate) fn open(&self) -> bool {
        self.undelivered - self.excused < self.maximum_undelivered
    }

    /// Whether there is room for something of this cost to wait.
    fn fits(&self, cost: usize) -> bool {
        self.held + cost <= self.maximum_held
    }

    /// Whether there is room for something unreliable to wait: it may not take more than half, or it could keep out
    /// reliable packets for long.
    pub(crate) fn fits_unreliable(&self, cost: usize) -> bool {
        self.held + cost <= self.maximum_held / 2
    }

    /// Whether something reliable of `channel`, of `len` bytes and this cost, may wait; `next` if it is what the channel
    /// waits for.
    pub(crate) fn admits(&mut self, len: usize, cost: usize, channel: u8, next: bool) -> bool {
        if next && len <= MAXIMUM_WINDOW_SIZE as usize {
            return true;
        }
        let first = self.starving.is_none_or(|starving| starving == channel);
        if first && self.fits(cost) {
            return true;
        }
        if first && next && self.reserve.is_none() {
            self.reserve = Some(channel);
            return true;
        }
        self.starving.get_or_insert(channel);
        false
    }

    /// The order of `channel` has moved on: its next packet was delivered.
    pub(crate) fn moved_on(&mut self, channel: u8) {
        for waiting in [&mut self.reserve, &mut self.starving] {
            if *waiting == Some(channel) {
                *waiting = None;
            }
        }
    }

    pub(crate) fn hold(&mut self, cost: usize) {
        self.held += cost;
    }

    pub(crate) fn release(&mut self, cost: usize) {
        debug_assert!(cost <= self.held, "more is released than was held");
        self.held = self.held.saturating_sub(cost);
    }

    /// The driver has fetched a packet of this length.
    pub(crate) fn fetched(&mut self, len: usize) {
        let cost = len + PACKET_OVERHEAD;
        self.undelivered = self.undelivered.saturating_sub(cost);
        // Packets are fetched in their order. If another of its length goes first, the excuse ends a little early.
        if self.excused == cost || self.excused > self.undelivered {
            self.excused = 0;
        }
    }

    /// A packet of this length waits for the driver.
    fn delivered(&mut self, len: usize) {
        let cost = len + PACKET_OVERHEAD;
        self.undelivered += cost;
        if self.excused == 0 && len > MAXIMUM_WINDOW_SIZE as usize && len <= EXCUSED_UP_TO {
            self.excused = cost;
        }
    }

    pub(crate) fn undelivered(&self) -> usize {
        self.undelivered
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

/// Where a peer's packets go.
pub(crate) struct Inbox<'a> {
    pub(crate) budget: &'a mut Budget,
    pub(crate) events: &'a mut EventQueue,
    pub(crate) received: &'a mut u64,
    pub(crate) peer: PeerId,
    pub(crate) channel: u8,
}

impl Inbox<'_> {
    pub(crate) fn open(&self) -> bool {
        self.budget.open()
    }

    #[inline]
    pub(crate) fn deliver_copy(&mut self, mode: Mode, payload: &[u8]) {
        self.count(payload.len());
        self.events.push_packet(self.peer, self.channel, mode, payload);
    }

    pub(crate) fn deliver(&mut self, mode: Mode, payload: Bytes) {
        self.count(payload.len());
        self.events.push(Event::Received { peer: self.peer, channel: self.channel, mode, payload });
    }

    fn count(&mut self, len: usize) {
        self.budget.delivered(len);
        *self.received += 1;
    }
}
