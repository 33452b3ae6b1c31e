//! Sharing out bandwidth, once a second, if anybody has set a limit.
//!
//! Downward, to each peer's throttle: a peer that can take less than it is sent gets its throttle limited to what it can
//! take; what is left of this host's outgoing bandwidth is shared by the others in proportion to what they are sent.
//! Upward, to the other ends: this host's incoming bandwidth is shared equally, but for those who say that they send
//! less than a share anyway; each is told its part when that changes.
//!
//! Two deliberate differences to the C library: nobody is told what he knows already (it tells everybody on every join
//! and leave), and a peer that has no limit of its own gets a share like the others (it is told "no limit").

use super::Host;
use crate::address::Address;
use crate::channel::outgoing::ReliableBody;
use crate::config::Config;
use crate::peer::Peer;
use crate::throttle::OPEN;
use crate::time::Timestamp;

const INTERVAL_US: u64 = 1_000_000;

/// When bandwidth is shared out next.
#[derive(Default)]
pub(super) struct BandwidthTimer {
    last: Option<Timestamp>,
    /// Who is there, or what they are told, has changed.
    changed: bool,
    /// Some peer has said how much it can take.
    limited_peers: bool,
}

impl BandwidthTimer {
    /// Something has changed that the shares depend on.
    pub(super) fn recalculate(&mut self) {
        self.changed = true;
    }

    pub(super) fn due(&self, config: &Config, peers: usize) -> Option<Timestamp> {
        let needed = self.changed || self.limited_peers || config.outgoing_bandwidth != 0;
        (needed && peers > 0)
            .then(|| self.last.map_or(Timestamp::default(), |last| last.after_micros(INTERVAL_US)))
    }
}

impl<A: Address> Host<A> {
    pub(super) fn share_bandwidth(&mut self, now: Timestamp) {
        let elapsed_us = self.bandwidth.last.map_or(INTERVAL_US, |last| now.micros_since(last));
        self.bandwidth.last = Some(now);
        let mut peers: Vec<&mut Peer> = self.slots.peers_mut().filter(|peer| peer.established()).collect();
        self.bandwidth.limited_peers = peers.iter().any(|peer| peer.incoming_bandwidth != 0);
        limit_throttles(&mut peers, self.config.outgoing_bandwidth, elapsed_us);
        let mut told = Vec::new();
        if std::mem::take(&mut self.bandwidth.changed) {
            told = tell_shares(&mut peers, self.config.incoming_bandwidth, self.config.outgoing_bandwidth);
        }
        for slot in told {
            self.settle(slot);
        }
    }
}

fn allowance(bandwidth: u32, elapsed_us: u64) -> u64 {
    (u128::from(bandwidth) * u128::from(elapsed_us) / 1_000_000) as u64
}

/// The part of 32 that `of` is of `total`.
fn share_of_throttle(of: u64, total: u64) -> u32 {
    if total <= of { OPEN } else { (u128::from(of) * u128::from(OPEN) / u128::from(total)) as u32 }
}

fn limit_throttles(peers: &mut [&mut Peer], outgoing_bandwidth: u32, elapsed_us: u64) {
    let unlimited = outgoing_bandwidth == 0;
    let mut total: u64 = peers.iter().map(|peer| peer.outgoing_data_total).sum();
    let mut left = allowance(outgoing_bandwidth, elapsed_us);
    let mut settled = vec![false; peers.len()];
    loop {
        let throttle = if unlimited { OPEN } else { share_of_throttle(left, total) };
        let mut found = false;
        for (peer, settled) in peers.iter_mut().zip(&mut settled) {
            let takes = allowance(peer.incoming_bandwidth, elapsed_us);
            let gets = peer.outgoing_data_total * u64::from(throttle) / u64::from(OPEN);
            if *settled || peer.incoming_bandwidth == 0 || gets <= takes {
                continue;
            }
            // At least one part: a throttle that is shut would never measure its way open.
            peer.throttle.set_limit(share_of_throttle(takes, peer.outgoing_data_total).max(1));
            *settled = true;
            found = true;
            left = left.saturating_sub(takes);
            total = total.saturating_sub(peer.outgoing_data_total);
        }
        if !found {
            for (peer, settled) in peers.iter_mut().zip(&settled) {
                if !settled {
                    peer.throttle.set_limit(throttle);
                }
                peer.outgoing_data_total = 0;
            }
            return;
        }
    }
}

/// Tells each peer its share of the incoming bandwidth, and the outgoing one. Returns the slots of those who were told
/// something new.
fn tell_shares(peers: &mut [&mut Peer], incoming: u32, outgoing: u32) -> Vec<u16> {
    let mut share = equal_share(incoming, peers.iter().map(|peer| peer.outgoing_bandwidth).collect());
    if incoming != 0 {
        // Nought would mean "no limit".
        share = share.max(1);
    }
    let mut told = Vec::new();
    for peer in peers {
        let modest = peer.outgoing_bandwidth != 0 && peer.outgoing_bandwidth < share;
        let own = if modest { peer.outgoing_bandwidth } else { share };
        if peer.announced_bandwidth != (own, outgoing) && !peer.control_congested() {
            peer.announced_bandwidth = (own, outgoing);
            peer.queue_control(ReliableBody::BandwidthLimit { incoming: own, outgoing });
            told.push(peer.id.slot);
        }
    }
    told
}

/// What each gets of `bandwidth` if those who want less keep to that and the others share the rest equally. A wish of 0
/// is one for any amount.
fn equal_share(bandwidth: u32, mut wishes: Vec<u32>) -> u32 {
    wishes.sort_unstable();
    let mut left = bandwidth;
    let mut sharers = wishes.len() as u32;
    for wish in wishes.into_iter().filter(|&wish| wish != 0) {
        if wish >= left / sharers {
            break;
        }
        left -= wish;
        sharers -= 1;
    }
    // If all of them are modest, nobody asks for a share, and any will do that is not below what they want.
    left.checked_div(sharers).unwrap_or(bandwidth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modest_keep_their_wish_and_the_others_share_the_rest() {
        assert_eq!(equal_share(0, vec![0, 0, 10]), 0);
        assert_eq!(equal_share(900, vec![0, 0, 0]), 300);
        assert_eq!(equal_share(900, vec![0, 100, 0]), 400);
        assert_eq!(equal_share(900, vec![350, 100, 0]), 450);
        assert_eq!(equal_share(900, vec![100, 100]), 900);
        assert_eq!(equal_share(3, vec![0, 0, 0, 0]), 0);
    }
}
