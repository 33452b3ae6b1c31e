//! One generation of checks: the pairs of both ends' candidates, tried by the ICE crate until one is nominated, and asked
//! again and again whether the peer still consents (RFC 8445, RFC 7675).
//!
//! The crate makes pairs, checks, nominates and settles role conflicts. This wraps it: what a peer can make it hold is
//! bounded before the crate sees it, its clock is what the consent is measured with, and the paths on which a check has
//! passed are kept, since only those carry data. An ICE restart makes a second session; the first goes on carrying data
//! until the second has a path.
//!
//! A peer that knows the password may send from any number of addresses and claim any number of mapped ones:
//! [`MAX_STRANGERS`] and [`MAX_MAPPED`] of them are listened to.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol};

use super::credentials::Credentials;
use super::stun::{Class, Message};

/// The time between two checks. The standard asks for 5 ms at least; a game should open at once.
const PACE: Duration = Duration::from_millis(5);

/// The first check is repeated after this, then after twice as long, and so on. Far shorter than the standard's half a
/// second, since the first check often arrives before the peer has bound its socket: nobody should wait for that.
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// The longest time between two checks of a pair, and how often a path that works is asked for consent. At 5 % loss five
/// lost in a row happen once in weeks; with the standard's 5 s nothing shorter than half a minute could be told.
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// Checks without an answer after which a pair is given up: some 17 s with the times above.
const MAX_CHECKS: usize = 20;

/// While there is no path, pairs that were given up are made anew so often: the network may be back.
const RECHECK: Duration = Duration::from_secs(5);

/// Pairs of candidates. The crate's own bound, which is also the standard's.
const MAX_PAIRS: usize = 100;

/// Candidates taken of the peer: it says how many there are. Browsers send some twenty.
const MAX_REMOTE: usize = 64;

/// Addresses from which authentic checks came that no candidate told of: routers make new ones.
const MAX_STRANGERS: usize = 64;

/// Addresses that the peer may claim to see us at. A router makes one for each of its addresses.
const MAX_MAPPED: usize = 64;

/// Steps of the crate's clock when the credentials come: each takes up one check that came before them.
const FIRST_STEPS: usize = 8;

/// Where data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// An address of ours: of a socket, or of a relay.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// See the module.
pub(super) struct Session {
    agent: IceAgent,
    credentials: Credentials,
    /// Addresses of our own candidates that packets are sent from.
    sources: Vec<SocketAddr>,
    /// Addresses of the peer's candidates.
    told: Vec<SocketAddr>,
    strangers: Vec<SocketAddr>,
    mapped: Vec<SocketAddr>,
    /// Ways on which an authentic check or answer came.
    ways: Vec<Way>,
    selected: Option<Way>,
    /// When the selected way was last known to work.
    answered_at: Instant,
    began: Option<Instant>,
    rechecked_at: Instant,
    /// Candidates beyond the bound, and packets of no use.
    pub(super) refused: u64,
}

impl Session {
    pub(super) fn new(now: Instant, credentials: Credentials, controlling: bool) -> Session {
        let own = IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.password.clone() };
        let mut agent = IceAgent::new(own);
        agent.set_controlling(controlling);
        agent.set_timing_advance(PACE);
        agent.set_initial_stun_rto(FIRST_RETRY);
        agent.set_max_stun_rto(SLOWEST_RETRY);
        agent.set_max_stun_retransmits(MAX_CHECKS);
        agent.set_max_candidate_pairs(MAX_PAIRS);
        agent.handle_timeout(now);
        Session {
            agent,
            credentials,
            sources: Vec::new(),
            told: Vec::new(),
            strangers: Vec::new(),
            mapped: Vec::new(),
            ways: Vec::new(),
            selected: None,
            answered_at: now,
            began: None,
            rechecked_at: now,
            refused: 0,
        }
    }

    /// The role as it is now: a conflict may have changed it.
    pub(super) fn controlling(&self) -> bool {
        self.agent.controlling()
    }

    /// The checks begin.
    pub(super) fn set_remote_credentials(&mut self, now: Instant, remote: Credentials) {
        let remote = IceCreds { ufrag: remote.ufrag, pass: remote.password };
        if self.agent.remote_credentials() == Some(&remote) {
            return;
        }
        self.agent.set_remote_credentials(remote);
        self.began.get_or_insert(now);
        for _ in 0..FIRST_STEPS {
            self.step(now);
        }
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// When both ends' credentials were known.
    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Adds a candidate of our own; gives its line for the peer, or none if it is one that is already told.
    pub(super) fn add_local(
        &mut self,
        now: Instant,
        candidate: Candidate,
        from: SocketAddr,
    ) -> Option<String> {
        if !self.sources.contains(&from) {
            self.sources.push(from);
        }
        let line = self.agent.add_local_candidate(candidate)?.to_sdp_string();
        self.step(now);
        Some(line)
    }

    /// Takes back a candidate of our own. A path that goes through it is gone.
    pub(super) fn remove_local(&mut self, now: Instant, candidate: &Candidate, from: SocketAddr) {
        self.agent.invalidate_candidate(candidate);
        self.sources.retain(|source| *source != from);
        self.ways.retain(|way| way.local != from);
        if self.selected.is_some_and(|way| way.local == from) {
            self.selected = None;
            self.step(now);
        }
    }

    /// Adds a candidate of the peer's; false if it is beyond the bound or of another generation.
    pub(super) fn add_remote(&mut self, now: Instant, candidate: Candidate, ufrag: Option<&str>) -> bool {
        let known = self.agent.remote_credentials();
        let stale = ufrag.zip(known).is_some_and(|(ufrag, known)| known.ufrag != ufrag);
        let address = candidate.addr();
        if stale || self.told.contains(&address) {
            return false;
        }
        if self.told.len() >= MAX_REMOTE {
            self.refused += 1;
            return false;
        }
        self.told.push(address);
        self.agent.add_remote_candidate(candidate);
        self.step(now);
        true
    }

    /// Addresses at which the peer may be reached, as far as they are known.
    pub(super) fn peers(&self) -> impl Iterator<Item = SocketAddr> {
        self.told.iter().chain(&self.strangers).copied()
    }

    pub(super) fn remote_count(&self) -> usize {
        self.told.len()
    }

    /// A STUN message of the peer's; false if it is not authentic or not for us.
    pub(super) fn handle(&mut self, now: Instant, way: Way, message: &Message<'_>, bytes: &[u8]) -> bool {
        let known = self.told.contains(&way.remote) || self.strangers.contains(&way.remote);
        let full = !known && self.strangers.len() >= MAX_STRANGERS;
        if full || !message.is_binding() || message.is_answer() && self.began.is_none() {
            self.refused += 1;
            return false;
        }
        let mapped = message.mapped_address().filter(|_| message.class == Class::Success);
        let is_new = mapped.filter(|address| !self.mapped.contains(address));
        if is_new.is_some() && self.mapped.len() >= MAX_MAPPED {
            self.refused += 1;
            return false;
        }
        let Ok(parsed) = StunMessage::parse(bytes) else { return false };
        let packet =
            StunPacket { proto: Protocol::Udp, source: way.remote, destination: way.local, message: parsed };
        if !self.agent.handle_packet(now, packet) {
            return false;
        }
        self.mapped.extend(is_new);
        if !known {
            self.strangers.push(way.remote);
        }
        if self.sources.contains(&way.local) && !self.ways.contains(&way) && self.ways.len() < MAX_PAIRS {
            self.ways.push(way);
        }
        if message.class == Class::Success && self.selected == Some(way) {
            self.answered_at = now;
        }
        self.take_events(now);
        if self.selected.is_none() {
            self.step(now);
        }
        true
    }

    /// Whether data may come this way.
    pub(super) fn is_way(&self, way: Way) -> bool {
        self.selected == Some(way) || self.ways.contains(&way)
    }

    pub(super) fn selected(&self) -> Option<Way> {
        self.selected
    }

    /// How long ago the selected way, or the last one if there is none, was last known to work.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.answered_at)
    }

    /// For so long, until now, it was not asked whether it works.
    pub(super) fn was_not_asked(&mut self, now: Instant, time: Duration) {
        self.answered_at = (self.answered_at + time).min(now);
    }

    /// When that began to be.
    pub(super) fn answered_at(&self) -> Instant {
        self.answered_at
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.agent.nominated_pair_rtt()
    }

    /// Makes pairs that were given up anew, unless that was done a moment ago.
    pub(super) fn recheck(&mut self, now: Instant) {
        if self.began.is_some() && now >= self.next_recheck() {
            self.rechecked_at = now;
            self.agent.recreate_candidate_pairs();
            self.step(now);
        }
    }

    pub(super) fn next_recheck(&self) -> Instant {
        self.rechecked_at + RECHECK
    }

    /// Whether all pairs have been given up.
    pub(super) fn is_out_of_pairs(&self) -> bool {
        self.agent.state() == IceConnectionState::Disconnected
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(Way, Vec<u8>)> {
        let transmit = self.agent.poll_transmit()?;
        Some((Way { local: transmit.source, remote: transmit.destination }, transmit.contents.into()))
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        // Without the peer's credentials the crate has nothing to do, but would be woken for checks that wait for them.
        self.began?;
        self.agent.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| now >= due) {
            self.step(now);
        }
    }

    fn step(&mut self, now: Instant) {
        if self.began.is_some() {
            self.agent.handle_timeout(now);
            self.take_events(now);
        }
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { source, destination, .. } = event {
                let way = Way { local: source, remote: destination };
                if self.selected != Some(way) {
                    self.selected = Some(way);
                    self.answered_at = now;
                }
            }
        }
    }
}
