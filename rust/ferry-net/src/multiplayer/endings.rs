//! How connections end, as the game sees it.
//!
//! The end of a link waits in `held` while packets of that peer are unread: the engine drops packets of those it does not know
//! any more. Nothing of the link can follow, so the others' events go on. Then it becomes steps: `peer_disconnected`, in
//! whose handlers the peer is still known; forgetting it; `peer_lost`. A client's end goes on with the status and its signal.
//!
//! A script may also end connections by the transport's own classes, without an event: each poll asks for those.

use std::time::{Duration, Instant};

use super::{Carrier, Multiplayer, Notice, ONLY, Role, Status, Step};
use crate::link::LinkId;
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};

/// How long the end of a link waits for its packets to be read, if none is.
const UNREAD_PATIENCE: Duration = Duration::from_secs(1);

/// The end of a link, which the game hears of when it has read that peer's packets; or of a whole carrier, without a link.
pub(super) struct HeldEnd {
    carrier: i32,
    link: Option<LinkId>,
    farewell: Farewell,
    since: Instant,
}

impl<C: Carrier> Multiplayer<C> {
    /// A script may end a connection by the transport's own classes; then there is no event.
    pub(super) fn notice_what_the_game_ended(&mut self) {
        let mut ended = Vec::new();
        for (key, carrier) in &self.carriers {
            if carrier.is_closed() {
                ended.push((*key, None));
            } else {
                ended.extend(carrier.taken_away().into_iter().map(|link| (*key, Some(link))));
            }
        }
        for (key, link) in ended {
            self.let_go(key, link, Reason::LocalClose.into());
        }
    }

    /// Whether packets of whom has ended wait to be read.
    fn has_unread(&self, carrier: i32, link: Option<LinkId>) -> bool {
        match link {
            Some(link) => self.ids.get(&(carrier, link)).is_some_and(|id| self.incoming.has_of(*id)),
            None => self.incoming.len() > 0,
        }
    }

    /// Something has ended: the game hears of it now, or when it has read the packets.
    pub(super) fn ended(&mut self, carrier: i32, link: Option<LinkId>, farewell: Farewell) {
        if self.has_unread(carrier, link) {
            self.held.push(HeldEnd { carrier, link, farewell, since: Instant::now() });
        } else {
            self.let_go(carrier, link, farewell);
        }
    }

    pub(super) fn let_go(&mut self, carrier: i32, link: Option<LinkId>, farewell: Farewell) {
        match link {
            Some(link) => self.disconnected(carrier, link, farewell),
            None => self.failed(carrier, farewell),
        }
    }

    /// Goes on with the ends of those whose packets have been read, or are not going to be.
    pub(super) fn release_held(&mut self) {
        for end in std::mem::take(&mut self.held) {
            let waiting_since = self.last_read.map_or(end.since, |read| read.max(end.since));
            if self.has_unread(end.carrier, end.link) && waiting_since.elapsed() < UNREAD_PATIENCE {
                self.held.push(end);
            } else {
                self.let_go(end.carrier, end.link, end.farewell);
            }
        }
        if self.held.is_empty() {
            self.last_read = None;
        }
    }

    /// The held end of whoever goes by this id, which cannot wait any longer: somebody else does now.
    pub(super) fn release_held_of(&mut self, id: i32) {
        let is_his =
            |end: &HeldEnd| end.link.is_some_and(|link| self.ids.get(&(end.carrier, link)) == Some(&id));
        let Some(place) = self.held.iter().position(is_his) else { return };
        let end = self.held.swap_remove(place);
        self.let_go(end.carrier, end.link, end.farewell);
        self.remove(id);
    }

    fn disconnected(&mut self, carrier: i32, link: LinkId, farewell: Farewell) {
        let Some(id) = self.ids.get(&(carrier, link)).copied() else { return };
        if self.role == Some(Role::Client) {
            self.client_ended(farewell);
            return;
        }
        self.lose(id, farewell);
    }

    pub(super) fn lose(&mut self, id: i32, farewell: Farewell) {
        let Some(serial) = self.peers.get(&id).map(|peer| peer.serial) else { return };
        self.departures.note(id, farewell.clone());
        let was_connected = self.is_connected(id);
        if C::MANNERS.forgets_first {
            self.steps.push_back(Step::Forget(id, serial));
        }
        if was_connected {
            self.tell(Notice::PeerDisconnected(id));
        }
        if !C::MANNERS.forgets_first {
            self.steps.push_back(Step::Forget(id, serial));
        }
        self.tell(Notice::PeerLost(id, farewell));
    }

    /// Unless the id means somebody else by now.
    pub(super) fn forget(&mut self, id: i32, serial: u64) {
        if self.peers.get(&id).is_none_or(|peer| peer.serial != serial) {
            return;
        }
        if let Some(peer) = self.remove(id) {
            self.drop_unread_of(id);
            self.close_brought(peer.carrier);
        }
    }

    fn client_ended(&mut self, farewell: Farewell) {
        let server = PeerId::SERVER.get();
        let was_connected = self.status == Status::Connected;
        self.departures.note(server, farewell.clone());
        if C::MANNERS.forgets_first
            && let Some(peer) = self.peers.get(&server)
        {
            self.steps.push_back(Step::Forget(server, peer.serial));
        }
        if was_connected {
            self.tell(Notice::PeerDisconnected(server));
            self.tell(Notice::PeerLost(server, farewell.clone()));
        }
        self.steps.push_back(Step::Close);
        self.tell(if was_connected {
            Notice::ServerDisconnected(farewell)
        } else {
            Notice::ConnectionFailed(farewell)
        });
    }

    fn failed(&mut self, carrier: i32, farewell: Farewell) {
        match self.role {
            Some(Role::Client) => self.client_ended(farewell),
            Some(Role::Server) if carrier == ONLY => {
                for id in self.peer_ids() {
                    self.lose(id, farewell.clone());
                }
                self.steps.push_back(Step::Close);
                self.tell(Notice::ServerDisconnected(farewell));
            }
            // Those that were brought in go by the ids of their peers.
            Some(Role::Server | Role::Mesh) | None => self.lose(carrier, farewell),
        }
    }
}
