//! Who gets in: what happens to a CONNECT before there is a peer.
//!
//! A CONNECT costs a stranger one datagram with any return address he likes. So, in this order: one that is known already
//! is passed over (it was sent again); so are all while the driver does not fetch its events; a host that is full, or
//! full of this address, refuses; an address with too many unfinished handshakes is passed over; the game's own policy
//! is asked. Only then a slot is taken, from some unfinished handshake if there are too many, and it counts as a peer
//! only when the handshake is over.
//!
//! A refusal is one stateless DISCONNECT, smaller than the CONNECT, addressed to the peer id that the CONNECT named;
//! a client that has not heard VERIFY_CONNECT yet takes it from any session, and fails at once. Whatever is refused or
//! passed over leaves nothing behind.

use std::collections::HashMap;

use super::Host;
use super::slots::Slots;
use crate::address::Address;
use crate::event::PeerId;
use crate::peer::{Peer, State, handshake_acceptable};
use crate::time::Timestamp;
use crate::wire::Connect;

/// A client that asks to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectRequest<A> {
    /// Where it says it is. Not proven yet.
    pub from: A,
    /// Its own word.
    pub data: u32,
    /// How many channels it wants.
    pub channel_count: u8,
}

/// What becomes of a [`ConnectRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may come in.
    Accept,
    /// It may not, and is told so with this word.
    Refuse(u32),
    /// It gets no answer.
    Ignore,
}

type Policy<A> = Box<dyn FnMut(&ConnectRequest<A>) -> Admission + Send>;

/// What is known of those who came in or are about to.
pub(super) struct Doorkeeper<A: Address> {
    policy: Option<Policy<A>>,
    /// Clients by where they are and the number they chose, to tell a CONNECT that was sent again.
    known: HashMap<(A, u32), PeerId>,
    per_host: HashMap<A::Host, Crowd>,
    /// Unfinished handshakes, in no order.
    half_open: Vec<PeerId>,
}

#[derive(Clone, Copy, Default)]
struct Crowd {
    clients: usize,
    half_open: usize,
}

impl<A: Address> Doorkeeper<A> {
    pub(super) fn new() -> Self {
        Self { policy: None, known: HashMap::new(), per_host: HashMap::new(), half_open: Vec::new() }
    }

    pub(super) fn set_policy(&mut self, policy: Policy<A>) {
        self.policy = Some(policy);
    }

    fn entered(&mut self, id: PeerId, from: &A, connect_id: u32) {
        self.known.insert((from.clone(), connect_id), id);
        let crowd = self.per_host.entry(from.host()).or_default();
        crowd.clients += 1;
        crowd.half_open += 1;
        self.half_open.push(id);
    }

    /// The handshake in `slot` is over, one way or the other.
    pub(super) fn handshake_over(&mut self, slots: &Slots<A>, slot: u16) {
        let Some(address) = slots.address(slot) else { return };
        if let Some(crowd) = self.per_host.get_mut(&address.host()) {
            crowd.half_open = crowd.half_open.saturating_sub(1);
        }
        if let Some(place) = self.half_open.iter().position(|id| id.slot == slot) {
            self.half_open.swap_remove(place);
        }
    }

    /// The client in `slot`, if it is one, does not count any more.
    pub(super) fn left(&mut self, slots: &Slots<A>, slot: u16) {
        let (Some(address), Some(peer)) = (slots.address(slot), slots.at(slot)) else { return };
        let key = (address.clone(), peer.connect_id);
        if self.known.get(&key) != Some(&peer.id) {
            return;
        }
        self.known.remove(&key);
        let host = address.host();
        if let Some(crowd) = self.per_host.get_mut(&host) {
            crowd.clients -= 1;
            if crowd.clients == 0 {
                self.per_host.remove(&host);
            }
        }
    }

    /// The unfinished handshake that makes room, by a random number.
    fn any_half_open(&self, random: u32) -> Option<u16> {
        let count = self.half_open.len();
        Some(self.half_open.get((random as usize).checked_rem(count)?)?.slot)
    }
}

/// What the limits say to a CONNECT.
enum Verdict {
    Welcome,
    Refuse(Option<u32>),
    PassOver,
}

impl<A: Address> Host<A> {
    /// A CONNECT has come.
    pub(super) fn handle_connect(&mut self, now: Timestamp, from: &A, connect: &Connect) {
        if !handshake_acceptable(&connect.wishes) {
            self.stats.malformed_datagrams += 1;
            return;
        }
        if self.doorkeeper.known.contains_key(&(from.clone(), connect.wishes.connect_id)) {
            return;
        }
        let verdict = match self.check_limits(from) {
            Verdict::Welcome => self.ask_policy(from, connect),
            verdict => verdict,
        };
        match verdict {
            Verdict::Welcome => self.let_in(now, from, connect),
            Verdict::Refuse(Some(data)) => {
                self.stats.refused_connections += 1;
                self.outbox.push_refusal(from.clone(), &connect.wishes, data, self.config.checksum);
            }
            Verdict::Refuse(None) | Verdict::PassOver => self.stats.ignored_connections += 1,
        }
    }

    fn check_limits(&self, from: &A) -> Verdict {
        if self.events.congested(self.config.max_incoming) {
            return Verdict::PassOver;
        }
        let crowd = self.doorkeeper.per_host.get(&from.host()).copied().unwrap_or_default();
        if self.stats.peers >= self.config.max_peers || crowd.clients >= self.config.max_peers_per_host {
            return Verdict::Refuse(self.config.refusal_when_full);
        }
        if crowd.half_open >= self.config.max_half_open_per_host {
            return Verdict::PassOver;
        }
        Verdict::Welcome
    }

    fn ask_policy(&mut self, from: &A, connect: &Connect) -> Verdict {
        let Some(policy) = &mut self.doorkeeper.policy else { return Verdict::Welcome };
        let request = ConnectRequest {
            from: from.clone(),
            data: connect.data,
            channel_count: connect.wishes.channel_count as u8,
        };
        match policy(&request) {
            Admission::Accept => Verdict::Welcome,
            Admission::Refuse(data) => Verdict::Refuse(Some(data)),
            Admission::Ignore => Verdict::PassOver,
        }
    }

    fn let_in(&mut self, now: Timestamp, from: &A, connect: &Connect) {
        if self.stats.half_open >= self.config.max_half_open {
            self.drop_any_handshake();
        }
        let Some(id) = self.allocate_slot().or_else(|| self.slot_of_any_handshake()) else {
            self.stats.ignored_connections += 1;
            return;
        };
        let peer = Peer::half_open(id, self.slots.last_sessions(id), connect, &self.config, now);
        self.slots.occupy(from.clone(), peer);
        self.stats.half_open += 1;
        self.doorkeeper.entered(id, from, connect.wishes.connect_id);
        self.settle(id.slot);
    }

    fn slot_of_any_handshake(&mut self) -> Option<PeerId> {
        self.drop_any_handshake();
        self.slots.allocate()
    }

    /// Ends some unfinished handshake. A random one: in a flood of CONNECTs, a player's then lives for as long as the
    /// flood takes to replace all of them, more or less; were it the oldest, never longer.
    fn drop_any_handshake(&mut self) {
        let Some(slot) = self.doorkeeper.any_half_open((self.random)()) else { return };
        if let Some(peer) = self.slots.at_mut(slot) {
            debug_assert!(matches!(peer.state, State::AcknowledgingConnect { .. }));
            peer.reset();
        }
        self.settle(slot);
    }
}
