//! The connections of a host, by the number that the other ends put into their datagrams.
//!
//! Slots come into being as they are needed, up to the host's limit. They are used again in the order they became free,
//! and not before some others did, so that datagrams of an ended connection that are still on their way, or of a host
//! that does not know yet that it has ended, mostly meet an empty slot: two bits of session tell few uses apart. A slot keeps
//! the session numbers of its last connection, which the next one must differ from, and counts its uses.

use std::collections::VecDeque;

use super::SlotQueue;
use crate::error::UnknownPeer;
use crate::event::PeerId;
use crate::peer::{Peer, Sessions, Stage};
use crate::wire::NO_PEER_ID;

/// So many free slots rest before the first of them is used again, if there may be so many.
const RESTING: usize = 64;

pub(super) struct Slots<A> {
    slots: Vec<Slot<A>>,
    free: SlotQueue,
    /// Connections that only linger, oldest first. May name some that have gone since.
    draining: VecDeque<PeerId>,
    maximum: usize,
}

struct Slot<A> {
    generation: u32,
    sessions: Sessions,
    used: Option<Box<Occupant<A>>>,
}

struct Occupant<A> {
    address: A,
    /// What the host has counted this peer as.
    stage: Stage,
    peer: Peer,
}

impl<A> Slots<A> {
    pub(super) fn new(max_peers: usize, max_half_open: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: SlotQueue::new(),
            draining: VecDeque::new(),
            maximum: max_peers.saturating_add(max_half_open).min(usize::from(NO_PEER_ID)),
        }
    }

    /// A free slot, under the name of its next connection, which [`Slots::occupy`] must follow with.
    pub(super) fn allocate(&mut self) -> Option<PeerId> {
        if self.free.len() > RESTING || self.slots.len() >= self.maximum {
            let slot = self.free.pop_front()?;
            let generation = self.slots[usize::from(slot)].generation;
            return Some(PeerId { slot, generation });
        }
        self.slots.push(Slot { generation: 0, sessions: Sessions::UNUSED, used: None });
        Some(PeerId { slot: (self.slots.len() - 1) as u16, generation: 0 })
    }

    pub(super) fn last_sessions(&self, id: PeerId) -> Sessions {
        self.slots[usize::from(id.slot)].sessions
    }

    pub(super) fn occupy(&mut self, address: A, peer: Peer) {
        let slot = &mut self.slots[usize::from(peer.id.slot)];
        debug_assert!(slot.used.is_none() && slot.generation == peer.id.generation);
        slot.used = Some(Box::new(Occupant { address, stage: peer.stage(), peer }));
    }

    /// Takes the connection out of a slot, which is free from now on.
    pub(super) fn vacate(&mut self, slot: u16) -> Option<(A, Peer)> {
        let target = self.slots.get_mut(usize::from(slot))?;
        let occupant = *target.used.take()?;
        target.generation = target.generation.wrapping_add(1);
        target.sessions = occupant.peer.sessions;
        self.free.push_back(slot);
        Some((occupant.address, occupant.peer))
    }

    fn occupant(&self, slot: u16) -> Option<&Occupant<A>> {
        self.slots.get(usize::from(slot))?.used.as_deref()
    }

    fn occupant_mut(&mut self, slot: u16) -> Option<&mut Occupant<A>> {
        self.slots.get_mut(usize::from(slot))?.used.as_deref_mut()
    }

    pub(super) fn at(&self, slot: u16) -> Option<&Peer> {
        Some(&self.occupant(slot)?.peer)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: u16) -> Option<&mut Peer> {
        Some(&mut self.occupant_mut(slot)?.peer)
    }

    /// The connection of this name, if it has not gone.
    #[inline]
    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.at_mut(id.slot).filter(|peer| peer.id == id)
    }

    /// The connection of this name, if the game may speak of it.
    pub(super) fn visible(&self, id: PeerId) -> Result<&Peer, UnknownPeer> {
        self.at(id.slot).filter(|peer| peer.id == id && peer.visible()).ok_or(UnknownPeer)
    }

    #[inline]
    pub(super) fn visible_mut(&mut self, id: PeerId) -> Result<&mut Peer, UnknownPeer> {
        self.at_mut(id.slot).filter(|peer| peer.id == id && peer.visible()).ok_or(UnknownPeer)
    }

    #[inline]
    pub(super) fn with_address_mut(&mut self, slot: u16) -> Option<(&mut A, &mut Peer)> {
        let occupant = self.occupant_mut(slot)?;
        Some((&mut occupant.address, &mut occupant.peer))
    }

    pub(super) fn staged_mut(&mut self, slot: u16) -> Option<(Stage, &mut Peer)> {
        let occupant = self.occupant_mut(slot)?;
        Some((occupant.stage, &mut occupant.peer))
    }

    pub(super) fn note_stage(&mut self, slot: u16, stage: Stage) {
        if let Some(occupant) = self.occupant_mut(slot) {
            occupant.stage = stage;
        }
    }

    pub(super) fn address(&self, slot: u16) -> Option<&A> {
        Some(&self.occupant(slot)?.address)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().filter_map(|slot| Some(&slot.used.as_deref()?.peer))
    }

    pub(super) fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.slots.iter_mut().filter_map(|slot| Some(&mut slot.used.as_deref_mut()?.peer))
    }

    pub(super) fn note_draining(&mut self, slot: u16) {
        // Names of connections that have gone are dropped when there are more names than slots.
        if self.draining.len() > self.slots.len() {
            let slots = &self.slots;
            self.draining.retain(|id| {
                let used = slots.get(usize::from(id.slot)).and_then(|slot| slot.used.as_deref());
                used.is_some_and(|occupant| occupant.peer.id == *id)
            });
        }
        if let Some(id) = self.at(slot).map(|peer| peer.id) {
            self.draining.push_back(id);
        }
    }

    /// The connection that has lingered longest.
    pub(super) fn oldest_draining(&mut self) -> Option<u16> {
        while let Some(id) = self.draining.pop_front() {
            if self.get_mut(id).is_some_and(|peer| peer.stage() == Stage::Draining) {
                return Some(id.slot);
            }
        }
        None
    }
}
