//! The driver's table of links: by their name, and by the protocol's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ferry_enet::{Host, PeerId};

use crate::crowd::CountedLink;
use crate::enet::link::LinkShared;
use crate::id_map::IdMap;
use crate::link::LinkId;

/// A link that stands, or is being ended.
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) peer: PeerId,
    pub(super) shared: Arc<LinkShared>,
    /// What it said when it asked to come in, if it did.
    pub(super) guest_word: Option<u32>,
    /// The game has set its time-outs: changes for all do not touch them.
    pub(super) own_timeouts: bool,
    /// Room in the outgoing queue that its packets in the protocol's hands take.
    taken: usize,
    _counted: CountedLink,
}

impl Link {
    pub(super) fn new(id: LinkId, peer: PeerId, shared: Arc<LinkShared>, guest_word: Option<u32>) -> Self {
        Self { id, peer, shared, guest_word, own_timeouts: false, taken: 0, _counted: CountedLink::new() }
    }
}

/// All links of an endpoint.
pub(super) struct Links {
    by_id: IdMap<LinkId, u16>,
    by_slot: Vec<Option<Link>>,
    /// Slots of links that have room to give back.
    unsettled: Vec<u16>,
    next_id: Arc<AtomicU32>,
}

impl Links {
    pub(super) fn new(next_id: Arc<AtomicU32>) -> Self {
        Self { by_id: IdMap::default(), by_slot: Vec::new(), unsettled: Vec::new(), next_id }
    }

    /// A name that no link of this endpoint has had.
    pub(super) fn draw_id(&self) -> LinkId {
        LinkId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn insert(&mut self, link: Link) {
        let slot = usize::from(link.peer.slot());
        if self.by_slot.len() <= slot {
            self.by_slot.resize_with(slot + 1, || None);
        }
        self.by_id.insert(link.id, link.peer.slot());
        self.by_slot[slot] = Some(link);
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let slot = *self.by_id.get(&id)?;
        self.by_slot.get_mut(usize::from(slot))?.as_mut()
    }

    pub(super) fn peer(&self, id: LinkId) -> Option<PeerId> {
        let slot = *self.by_id.get(&id)?;
        self.by_slot.get(usize::from(slot))?.as_ref().map(|link| link.peer)
    }

    pub(super) fn of_peer(&self, peer: PeerId) -> Option<&Link> {
        self.by_slot.get(usize::from(peer.slot()))?.as_ref().filter(|link| link.peer == peer)
    }

    pub(super) fn remove(&mut self, peer: PeerId) -> Option<Link> {
        let place = self.by_slot.get_mut(usize::from(peer.slot()))?;
        let link = place.take_if(|link| link.peer == peer)?;
        self.by_id.remove(&link.id);
        Some(link)
    }

    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.by_slot.iter().flatten().map(|link| link.peer).collect()
    }

    pub(super) fn keep_own_timeouts(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id) {
            link.own_timeouts = true;
        }
    }

    /// All whose time-outs nobody has set for them alone.
    pub(super) fn with_usual_timeouts(&self) -> Vec<PeerId> {
        let usual = self.by_slot.iter().flatten().filter(|link| !link.own_timeouts);
        usual.map(|link| link.peer).collect()
    }

    /// A reliable packet of this cost is in the protocol's hands now.
    pub(super) fn await_room(&mut self, peer: PeerId, cost: usize) {
        let Some(Some(link)) = self.by_slot.get_mut(usize::from(peer.slot())) else { return };
        if link.taken == 0 {
            self.unsettled.push(peer.slot());
        }
        link.taken += cost;
    }

    /// Gives room back for what has been acknowledged.
    pub(super) fn release_rooms(&mut self, host: &Host<SocketAddr>) {
        self.unsettled.retain(|slot| {
            let Some(Some(link)) = self.by_slot.get_mut(usize::from(*slot)) else { return false };
            let still = host.reliable_backlog(link.peer).min(link.taken);
            if still < link.taken {
                link.shared.room.release(link.taken - still);
                link.taken = still;
            }
            still > 0
        });
    }

    /// Puts down everybody's figures.
    pub(super) fn publish(&self, host: &Host<SocketAddr>) {
        for link in self.by_slot.iter().flatten() {
            if let Some(stats) = host.peer_stats(link.peer) {
                link.shared.publish(stats, host.address(link.peer).copied());
            }
        }
    }
}
