//! What one channel receives: reliable packets in order, unreliable ones never late.
//!
//! Called by the peer with each packet command; delivers into an [`Inbox`] what the order allows, at once where it
//! is next (the common case, which touches no map), and keeps the rest, bounded by the peer's [`Budget`].
//!
//! The order: reliable packets come out in the order of their numbers, each once. An unreliable packet names the
//! reliable one it was sent behind and its own number since; it comes out behind that reliable packet, and only if no
//! later unreliable one has. The C library throws away unreliable packets that wait for a reliable one if a further
//! reliable one arrives in the same datagram; here they come out in their place.
//!
//! A hostile peer can fill its own budget and no more. Finding a place costs the logarithm of what is kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;

use super::assembly::{self, Assembly, Piece, plausible};
use super::outgoing::Index;
use crate::event::Mode;
use crate::event_queue::own;
use crate::peer::budget::{HELD_OVERHEAD, Inbox};
use crate::wire::{Fragment, OPEN_RELIABLE_WINDOWS, RELIABLE_WINDOW_BITS, RELIABLE_WINDOWS};

#[derive(Default)]
pub(crate) struct IncomingChannel {
    /// The last reliable number that was delivered, without the wire's wrap.
    delivered: Index,
    /// The last unreliable number that was delivered behind it.
    unreliable_delivered: u16,
    reliable: BTreeMap<Index, Held>,
    unreliable: BTreeMap<(Index, u16), Held>,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Delivered or kept.
    Taken,
    /// Known already, or too late to matter: fine.
    Repeated,
    /// There is no room for it now. Unacknowledged, it comes again.
    NoRoom,
    /// Beyond the numbers that are open.
    OutOfWindow,
    /// Longer than this host takes packets.
    TooLong,
    /// No honest sender sends this.
    Malformed,
}

/// Something that waits, and what the peer's budget was charged for it.
struct Held {
    cost: usize,
    what: Waiting,
}

enum Waiting {
    Packet(Bytes),
    Assembly(Assembly),
}

impl Held {
    fn complete(&self) -> bool {
        match &self.what {
            Waiting::Packet(_) => true,
            Waiting::Assembly(assembly) => assembly.complete(),
        }
    }

    fn into_packet(self) -> Bytes {
        match self.what {
            Waiting::Packet(packet) => packet,
            Waiting::Assembly(assembly) => assembly.into_packet(),
        }
    }
}

/// Where a reliable number lies, seen from the last that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The one delivered last.
    Current,
    Ahead(Index),
    /// In one of the two windows past the open ones: too early to take, too late to be old.
    Beyond,
    Behind,
}

impl IncomingChannel {
    fn place(&self, seq: u16) -> Place {
        let current = self.delivered as u16;
        if seq == current {
            return Place::Current;
        }
        let current_window = u32::from(current) >> RELIABLE_WINDOW_BITS;
        let wrap = if seq < current { RELIABLE_WINDOWS } else { 0 };
        let window = (u32::from(seq) >> RELIABLE_WINDOW_BITS) + wrap;
        if window < current_window + OPEN_RELIABLE_WINDOWS {
            Place::Ahead(self.delivered + u64::from(seq.wrapping_sub(current)))
        } else if window <= current_window + OPEN_RELIABLE_WINDOWS + 1 {
            Place::Beyond
        } else {
            Place::Behind
        }
    }

    #[inline]
    pub(crate) fn receive_reliable(&mut self, seq: u16, payload: &[u8], inbox: &mut Inbox<'_>) -> Fate {
        let index = match self.place(seq) {
            Place::Ahead(index) => index,
            Place::Current | Place::Behind => return Fate::Repeated,
            Place::Beyond => return Fate::OutOfWindow,
        };
        if payload.len() > inbox.budget.maximum_packet {
            return Fate::TooLong;
        }
        if !self.reliable.is_empty() && self.reliable.contains_key(&index) {
            return Fate::Repeated;
        }
        if index == self.delivered + 1 {
            if !inbox.open() {
                return Fate::NoRoom;
            }
            self.advance(index);
            inbox.deliver_copy(Mode::Reliable, payload);
            inbox.budget.moved_on(inbox.channel);
            if !self.unreliable.is_empty() {
                self.release_unreliable(inbox);
            }
            if !self.reliable.is_empty() {
                self.release(inbox);
            }
        } else {
            let cost = payload.len() + HELD_OVERHEAD;
            if !inbox.budget.admits(payload.len(), cost, inbox.channel, false) {
                return Fate::NoRoom;
            }
            inbox.budget.hold(cost);
            self.reliable.insert(index, Held { cost, what: Waiting::Packet(own(payload)) });
        }
        Fate::Taken
    }

    pub(crate) fn receive_fragment(
        &mut self,
        seq: u16,
        fragment: &Fragment<'_>,
        inbox: &mut Inbox<'_>,
    ) -> Fate {
        if !plausible(fragment) || seq != fragment.start_seq.wrapping_add(fragment.number as u16) {
            return Fate::Malformed;
        }
        let index = match self.place(fragment.start_seq) {
            Place::Ahead(index) => index,
            Place::Current | Place::Behind => return Fate::Repeated,
            Place::Beyond => return Fate::OutOfWindow,
        };
        if fragment.total_len as usize > inbox.budget.maximum_packet {
            return Fate::TooLong;
        }
        let next = index == self.delivered + 1;
        let fate = insert_piece(&mut self.reliable, index, fragment, inbox, |inbox, cost| {
            inbox.budget.admits(fragment.total_len as usize, cost, inbox.channel, next)
        });
        if fate == Fate::Taken {
            self.release(inbox);
        }
        fate
    }

    #[inline]
    pub(crate) fn receive_unreliable(
        &mut self,
        reliable_seq: u16,
        seq: u16,
        payload: &[u8],
        inbox: &mut Inbox<'_>,
    ) -> Fate {
        let index = match self.unreliable_place(reliable_seq, seq) {
            Ok(index) => index,
            Err(fate) => return fate,
        };
        if payload.len() > inbox.budget.maximum_packet {
            return Fate::NoRoom;
        }
        if index == self.delivered {
            if !inbox.open() {
                return Fate::NoRoom;
            }
            inbox.deliver_copy(Mode::Unreliable, payload);
            self.pass_unreliable(seq, inbox);
        } else {
            if self.unreliable.contains_key(&(index, seq)) {
                return Fate::Repeated;
            }
            let cost = payload.len() + HELD_OVERHEAD;
            if !inbox.budget.fits_unreliable(cost) {
                return Fate::NoRoom;
            }
            inbox.budget.hold(cost);
            self.unreliable.insert((index, seq), Held { cost, what: Waiting::Packet(own(payload)) });
        }
        Fate::Taken
    }

    pub(crate) fn receive_unreliable_fragment(
        &mut self,
        reliable_seq: u16,
        fragment: &Fragment<'_>,
        inbox: &mut Inbox<'_>,
    ) -> Fate {
        if !plausible(fragment) {
            return Fate::Malformed;
        }
        if fragment.total_len as usize > inbox.budget.maximum_packet {
            return Fate::NoRoom;
        }
        let seq = fragment.start_seq;
        let index = match self.unreliable_place(reliable_seq, seq) {
            Ok(index) => index,
            Err(fate) => return fate,
        };
        self.give_up_older((index, seq), fragment, inbox);
        let fate = insert_piece(&mut self.unreliable, (index, seq), fragment, inbox, |inbox, cost| {
            inbox.budget.fits_unreliable(cost)
        });
        if fate == Fate::Taken && index == self.delivered && self.unreliable[&(index, seq)].complete() {
            if let Some(held) = self.unreliable.remove(&(index, seq)) {
                inbox.budget.release(held.cost);
                inbox.deliver(Mode::Unreliable, held.into_packet());
            }
            self.pass_unreliable(seq, inbox);
        }
        fate
    }

    /// Drops incomplete packets that are older than this one, if there is no room to begin it otherwise: its arrival
    /// would be their end anyway.
    fn give_up_older(&mut self, key: (Index, u16), fragment: &Fragment<'_>, inbox: &mut Inbox<'_>) {
        let cost = assembly::cost(fragment) + HELD_OVERHEAD;
        while !inbox.budget.fits_unreliable(cost) && !self.unreliable.contains_key(&key) {
            let Some(entry) = self.unreliable.first_entry() else { return };
            if *entry.key() > key || entry.get().complete() {
                return;
            }
            inbox.budget.release(entry.remove().cost);
        }
    }

    /// The reliable number that an unreliable packet stands behind, or why it is not wanted.
    fn unreliable_place(&self, reliable_seq: u16, seq: u16) -> Result<Index, Fate> {
        match self.place(reliable_seq) {
            Place::Current if seq > self.unreliable_delivered => Ok(self.delivered),
            Place::Ahead(index) => Ok(index),
            Place::Current | Place::Behind => Err(Fate::Repeated),
            Place::Beyond => Err(Fate::OutOfWindow),
        }
    }

    fn advance(&mut self, index: Index) {
        self.delivered = index;
        self.unreliable_delivered = 0;
    }

    /// Unreliable number `seq` has come out: pieces of earlier packets are of no use any more.
    fn pass_unreliable(&mut self, seq: u16, inbox: &mut Inbox<'_>) {
        self.unreliable_delivered = seq;
        while let Some(entry) = self.unreliable.first_entry() {
            if *entry.key() > (self.delivered, seq) {
                return;
            }
            inbox.budget.release(entry.remove().cost);
        }
    }

    /// Delivers the reliable packets that have become next in order, and what waited for them.
    fn release(&mut self, inbox: &mut Inbox<'_>) {
        while let Some(entry) = self.reliable.first_entry() {
            let index = *entry.key();
            if index > self.delivered + 1 || index == self.delivered + 1 && !entry.get().complete() {
                return;
            }
            let held = entry.remove();
            inbox.budget.release(held.cost);
            // A number inside a packet that came in pieces: only a sender that contradicts itself uses it twice.
            if index <= self.delivered {
                continue;
            }
            let used = match &held.what {
                Waiting::Packet(_) => 1,
                Waiting::Assembly(assembly) => u64::from(assembly.count()),
            };
            inbox.budget.moved_on(inbox.channel);
            self.advance(index + used - 1);
            inbox.deliver(Mode::Reliable, held.into_packet());
            self.release_unreliable(inbox);
        }
    }

    /// Delivers the complete unreliable packets that were waiting for the reliable one just delivered, and drops what is
    /// left of earlier ones. Those that wait for later ones are not looked at: however many are piled up, they cost the
    /// packets in between nothing.
    fn release_unreliable(&mut self, inbox: &mut Inbox<'_>) {
        let mut incomplete = Vec::new();
        while let Some(entry) = self.unreliable.first_entry() {
            let (index, seq) = *entry.key();
            if index > self.delivered {
                break;
            }
            let held = entry.remove();
            if index == self.delivered && !held.complete() {
                incomplete.push((seq, held));
                continue;
            }
            inbox.budget.release(held.cost);
            if index == self.delivered {
                inbox.deliver(Mode::Unreliable, held.into_packet());
                self.unreliable_delivered = seq;
                for (_, older) in incomplete.drain(..) {
                    inbox.budget.release(older.cost);
                }
            }
        }
        for (seq, held) in incomplete {
            self.unreliable.insert((self.delivered, seq), held);
        }
    }
}

/// Adds a piece to the packet it belongs to, which is begun now if this is its first, and if it is admitted.
fn insert_piece<K: Ord>(
    held: &mut BTreeMap<K, Held>,
    key: K,
    fragment: &Fragment<'_>,
    inbox: &mut Inbox<'_>,
    admits: impl FnOnce(&mut Inbox<'_>, usize) -> bool,
) -> Fate {
    let target = match held.entry(key) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let cost = assembly::cost(fragment) + HELD_OVERHEAD;
            if !inbox.open() || !admits(inbox, cost) {
                return Fate::NoRoom;
            }
            inbox.budget.hold(cost);
            entry.insert(Held { cost, what: Waiting::Assembly(Assembly::new(fragment)) })
        }
    };
    let Waiting::Assembly(assembly) = &mut target.what else { return Fate::Malformed };
    match assembly.insert(fragment) {
        Piece::Taken => Fate::Taken,
        Piece::Repeated => Fate::Repeated,
        Piece::Contradiction => Fate::Malformed,
    }
}
