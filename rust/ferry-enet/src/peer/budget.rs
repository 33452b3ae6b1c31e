//! How much one peer may make this host remember, and the way out to the game.
//!
//! Two byte counts: *undelivered*, packets in the event queue that the driver has not fetched; and *held*, packets
//! that wait for an earlier one or for their missing pieces. At a limit, a reliable command stays unacknowledged (it
//! comes again), an unreliable one is lost, and both are counted.
//!
//! A gap in the order can always be filled, however much is held behind it, or a channel could jam for ever: a whole
//! packet that is next goes to the event queue, and of the packets that are next and come in pieces, one at a time may
//! pass the limit until it is whole (the *reserve*). So a peer holds its limit and one packet of the largest size at
//! most.

use bytes::Bytes;

use crate::event::{Event, Mode, PeerId};
use crate::event_queue::EventQueue;

/// What a packet costs besides its bytes: so a flood of empty ones is bounded too.
pub(crate) const PACKET_OVERHEAD: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Budget {
    undelivered: usize,
    held: usize,
    maximum_undelivered: usize,
    maximum_held: usize,
    /// The channel whose next packet may pass the limit.
    reserve: Option<u8>,
    /// The longest packet that is put together.
    pub(crate) maximum_packet: usize,
}

impl Budget {
    pub(crate) fn new(maximum_undelivered: usize, maximum_held: usize, maximum_packet: usize) -> Self {
        Self { undelivered: 0, held: 0, maximum_undelivered, maximum_held, reserve: None, maximum_packet }
    }

    /// Whether the event queue takes another packet. The last one taken may pass the limit.
    pub(crate) fn open(&self) -> bool {
        self.undelivered < self.maximum_undelivered
    }

    /// Whether there is room for something of this cost to wait.
    pub(crate) fn fits(&self, cost: usize) -> bool {
        self.held + cost <= self.maximum_held
    }

    /// Whether there is room for a piece of the packet that is next on `channel`: in the reserve if nowhere else.
    pub(crate) fn fits_next(&mut self, cost: usize, channel: u8) -> bool {
        self.fits(cost) || *self.reserve.get_or_insert(channel) == channel
    }

    /// The packet that was next on `channel` is whole, and gone.
    pub(crate) fn release_reserve(&mut self, channel: u8) {
        if self.reserve == Some(channel) {
            self.reserve = None;
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
        self.undelivered = self.undelivered.saturating_sub(len + PACKET_OVERHEAD);
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
        self.budget.undelivered += len + PACKET_OVERHEAD;
        *self.received += 1;
    }
}
