//! Sending: who is meant, and what happens when a queue is full.

use bytes::Bytes;

use super::{Carrier, Multiplayer, Role, Status};
use crate::link::{LinkError, LinkId};
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};

/// What becomes of a peer whose queue has no room for a reliable packet. The engine ignores errors of sending, and a game
/// that misses a reliable packet goes wrong in ways that nobody understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The peer is disconnected, with reason QUEUE_FULL.
    #[default]
    Disconnect = 0,
    /// The packet is lost, and sending it returns the error only.
    ReturnError = 1,
}

/// Why a packet was not sent (to all it was meant for).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutError {
    /// The peer is not open.
    NotActive,
    /// It is not connected yet.
    NotConnected,
    /// Nobody here has this id.
    UnknownTarget(i32),
    /// This peer does not take it; others, if there were any, have got it.
    Link(i32, LinkError),
}

impl std::fmt::Display for PutError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotActive => formatter.write_str("The multiplayer instance isn't currently active."),
            Self::NotConnected => formatter
                .write_str("The multiplayer instance isn't currently connected to any server or client."),
            Self::UnknownTarget(id) => write!(formatter, "Invalid target peer: {id}."),
            Self::Link(id, error) => write!(formatter, "Nothing was sent to peer {id}: {error}."),
        }
    }
}

impl std::error::Error for PutError {}

impl<C: Carrier> Multiplayer<C> {
    /// Queues a packet for whoever is the target.
    ///
    /// # Errors
    ///
    /// If there is no way to the target, or a queue is full.
    pub fn put_packet(&mut self, bytes: &[u8]) -> Result<(), PutError> {
        if self.role.is_none() {
            return Err(PutError::NotActive);
        }
        if self.status != Status::Connected {
            return Err(PutError::NotConnected);
        }
        let target = self.target;
        // Looked up once: the engine sends an RPC to all with a put for each.
        let way = match self.peers.get(&target).filter(|_| target > 0) {
            Some(peer) if peer.awaited => return Err(PutError::Link(target, LinkError::NotConnected)),
            Some(peer) => Some((peer.carrier, peer.link)),
            None if self.is_somebody(target) => None,
            None => return Err(PutError::UnknownTarget(target)),
        };
        let payload = self.maker.make(bytes);
        if C::MANNERS.clients_have_one_way && self.role == Some(Role::Client) {
            return self.put_to(PeerId::SERVER.get(), payload);
        }
        if target > 0 {
            let (carrier, link) = way.ok_or(PutError::UnknownTarget(target))?;
            return self.put_by(carrier, link, target, payload);
        }
        self.put_to_all_but(target.checked_neg(), &payload)
    }

    fn put_to_all_but(&mut self, excluded: Option<i32>, payload: &Bytes) -> Result<(), PutError> {
        let mut outcome = Ok(());
        let mut place = 0;
        while let Some(id) = self.in_order.get(place).copied() {
            place += 1;
            if Some(id) == excluded {
                continue;
            }
            if let Err(error) = self.put_to(id, payload.clone()) {
                outcome = Err(error);
            }
        }
        outcome
    }

    fn is_told_when_leaving(&self) -> bool {
        C::MANNERS.fails_when_leaving && self.role == Some(Role::Client)
    }

    /// Whether packets may be meant for a target that is nobody's id.
    fn is_somebody(&self, target: i32) -> bool {
        let known = |id| self.peers.contains_key(&id);
        match target {
            0 => true,
            ..0 => !C::MANNERS.checks_excluded || target.checked_neg().is_some_and(known),
            _ => C::MANNERS.clients_reach_anybody && self.role == Some(Role::Client),
        }
    }

    fn put_to(&mut self, id: i32, payload: Bytes) -> Result<(), PutError> {
        let Some(peer) = self.peers.get(&id) else { return Err(PutError::UnknownTarget(id)) };
        self.put_by(peer.carrier, peer.link, id, payload)
    }

    fn put_by(&mut self, carrier: i32, link: LinkId, id: i32, payload: Bytes) -> Result<(), PutError> {
        let Some(carrier) = self.carriers.get(&carrier) else { return Err(PutError::UnknownTarget(id)) };
        let outcome = carrier.send(link, self.channel, self.mode, payload);
        match outcome {
            Ok(()) => Ok(()),
            // As with the engine's own: packets to somebody who is just going are nobody's concern, and do not spoil one for
            // all.
            Err(LinkError::NotConnected | LinkError::Gone) if !self.is_told_when_leaving() => Ok(()),
            Err(error) => {
                if let LinkError::QueueFull(bytes) = error {
                    self.queue_is_full(id, bytes);
                }
                Err(PutError::Link(id, error))
            }
        }
    }

    fn queue_is_full(&mut self, id: i32, bytes: usize) {
        let limit = self.limits.outbound;
        if let Some(more) = self.overflows.turn() {
            tracing::warn!("the queue of peer {id} is full: {bytes} bytes wait, the limit is {limit}{more}");
        }
        if self.overflow == Overflow::Disconnect
            && let Some((carrier, link)) = self.way_to(id)
        {
            let detail = format!("{bytes} bytes waited to be sent, the limit is {limit}");
            carrier.abandon(link, Farewell::with(Reason::QueueFull, detail));
        }
    }
}
