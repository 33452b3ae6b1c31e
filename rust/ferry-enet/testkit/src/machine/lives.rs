//! The connections of a machine's life, both ends together, and what each promises.

use ferry_enet::{DisconnectReason, Event, Mode, PeerId, PeerState, Timestamp};

use super::site::Site;
use crate::parcel::Ledger;
use crate::world::Place;

/// When a host that hears from the other end all the time, on a good network, must not give it up any more: its
/// longest patience before that began, and one round trip.
const PATIENCE_IS_NEW_US: u64 = 40_000_000;

/// One connection. Side 0 is the client's.
struct Life {
    ends: [Option<(Place, PeerId)>; 2],
    /// What each side has sent.
    ledgers: [Ledger; 2],
    over: bool,
}

/// All of them; each CONNECT carries its number, so that the server's end is known when it comes to stand.
#[derive(Default)]
pub(super) struct Lives {
    lives: Vec<Life>,
    healing_since: Option<Timestamp>,
    /// Connections whose ends both think that round trips are short, when the network became well.
    quick: Vec<usize>,
}

impl Lives {
    /// The number of the next connection.
    pub(super) fn next(&self) -> u32 {
        self.lives.len() as u32
    }

    /// A client has asked for a connection, under that number.
    pub(super) fn begin(&mut self, place: Place, peer: PeerId) {
        let ends = [Some((place, peer)), None];
        self.lives.push(Life { ends, ledgers: Default::default(), over: false });
    }

    fn find(&mut self, place: Place, peer: PeerId) -> Option<(usize, usize)> {
        self.lives.iter().enumerate().find_map(|(number, life)| {
            let side = life.ends.iter().position(|end| *end == Some((place, peer)))?;
            Some((number, side))
        })
    }

    /// The ledger of what this end sends, if its connection is one that nobody meddles with.
    pub(super) fn outgoing(&mut self, place: Place, peer: PeerId) -> Option<&mut Ledger> {
        let (number, side) = self.find(place, peer)?;
        Some(&mut self.lives[number].ledgers[side])
    }

    /// A host tells of something. `honest` hosts are held to their promises.
    pub(super) fn hear(&mut self, now: Timestamp, place: Place, event: &Event) {
        match event {
            Event::Connected { peer, data } => self.connected(place, *peer, *data),
            Event::Received { peer, channel, mode, payload } => {
                self.received(place, *peer, *channel, *mode, payload);
            }
            Event::Disconnected { peer, reason } => self.disconnected(now, place, *peer, *reason),
        }
    }

    fn connected(&mut self, place: Place, peer: PeerId, data: u32) {
        if self.find(place, peer).is_some() {
            return;
        }
        let Some(life) = self.lives.get_mut(data as usize) else { return };
        if life.ends[1].is_none() {
            life.ends[1] = Some((place, peer));
        }
    }

    fn received(&mut self, place: Place, peer: PeerId, channel: u8, mode: Mode, payload: &[u8]) {
        let Some((number, side)) = self.find(place, peer) else { return };
        if self.lives[number].meddled() {
            return;
        }
        let result = self.lives[number].ledgers[1 - side].arrived(channel, mode, payload);
        assert_eq!(result, Ok(()), "connection {number}, at {place:?}");
    }

    fn disconnected(&mut self, now: Timestamp, place: Place, peer: PeerId, reason: DisconnectReason) {
        let Some((number, _)) = self.find(place, peer) else { return };
        self.lives[number].over = true;
        let healing = self.healing_since.map_or(0, |since| (now - since).as_micros() as u64);
        let unfounded = reason == DisconnectReason::TimedOut && healing > PATIENCE_IS_NEW_US;
        assert!(
            !unfounded || !self.quick.contains(&number),
            "connection {number} counts as dead at {place:?} on a network that is well"
        );
    }

    pub(super) fn begin_healing(&mut self, now: Timestamp, sites: &[Site]) {
        self.healing_since = Some(now);
        self.quick = (0..self.lives.len()).filter(|&number| self.lives[number].quick(sites)).collect();
    }

    /// Whether nothing that must arrive is still on its way.
    pub(super) fn settled(&self, sites: &[Site]) -> bool {
        self.quick.iter().all(|&number| self.lives[number].settled(sites))
    }

    /// Whatever must arrive has arrived.
    pub(super) fn check_healed(&self, sites: &[Site]) {
        for &number in &self.quick {
            let life = &self.lives[number];
            if life.over || !life.stands(sites) {
                continue;
            }
            assert!(life.settled(sites), "connection {number} has still packets to send, long after");
            for (side, ledger) in life.ledgers.iter().enumerate() {
                assert!(ledger.complete(), "reliable packets of side {side} of connection {number} are gone");
            }
        }
    }
}

impl Life {
    /// Whether somebody may have written what this connection's datagrams say: never between hosts 0 and 1.
    fn meddled(&self) -> bool {
        self.ends.iter().any(|end| end.is_none_or(|(place, _)| place.host > 1))
    }

    fn each<'a>(&'a self, sites: &'a [Site]) -> impl Iterator<Item = (&'a Site, PeerId)> {
        self.ends.iter().flatten().filter_map(|&(place, peer)| {
            let site = sites.iter().find(|site| site.place == place)?;
            Some((site, peer))
        })
    }

    /// Whether both ends think so.
    fn stands(&self, sites: &[Site]) -> bool {
        let ends =
            self.each(sites).filter(|(site, peer)| site.host.state(*peer) == Some(PeerState::Connected));
        ends.count() == 2
    }

    fn quick(&self, sites: &[Site]) -> bool {
        self.stands(sites)
            && !self.meddled()
            && self.each(sites).all(|(site, peer)| {
                let figures = site.host.peer_stats(peer).unwrap_or_default();
                figures.round_trip_time_ms + 4 * figures.round_trip_time_variance_ms < 1000
            })
    }

    fn settled(&self, sites: &[Site]) -> bool {
        self.over
            || !self.stands(sites)
            || self.each(sites).all(|(site, peer)| {
                site.host.peer_stats(peer).is_none_or(|figures| figures.queued_bytes == 0)
            })
    }
}
