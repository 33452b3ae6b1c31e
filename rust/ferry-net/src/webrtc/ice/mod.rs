//! ICE: the ways on which two peers can reach each other (RFC 8445), through routers and relays, without a socket.
//!
//! [`Agent`] is one connection's part. The driver binds UDP sockets and tells their addresses ([`Agent::add_base`]), looks
//! names up and opens streams when it is asked to ([`Agent::poll_want`]), hands over every datagram and what streams
//! bring, and sends what [`Agent::poll_transmit`] gives. Candidates go to the peer by the game's signalling
//! ([`Event::Candidate`]) and come back the same way. After every input: `poll_want`, `poll_transmit`, `poll_event` until
//! they are empty, then `poll_timeout`.
//!
//! Inside: [`gathering`] asks servers what they see, a [`relay`] is one allocation at a TURN server, a [`session`] is one
//! generation of checks. An ICE restart makes a new session; the old one carries data until the new one has a path.
//!
//! What a peer or stranger can make it hold is bounded by constants at the place; malformed packets are counted. Data is
//! passed on only from ways on which an authentic check has come. Tests in virtual time: `tests.rs`.

mod candidate;
mod credentials;
mod framing;
mod gathering;
mod interface;
pub(super) mod mdns;
mod names;
mod relay;
mod relays;
mod server;
mod session;
mod settle;
mod state;
mod stun;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use is::Candidate;

use crate::limits::OVERSLEPT;

pub(super) use candidate::CandidateError;
use candidate::{Host, Line, Remote};
pub(super) use credentials::Credentials;
use gathering::Gathering;
pub use interface::GatheringState;
use interface::Tokens;
pub(super) use interface::{Config, Event, Path, Selected, State, Token, Transmit, Via, Want};
use names::Names;
use relays::Relays;
pub use server::Server;
use session::{Session, Way};
pub(super) use stun::Transaction;

/// Whether a line can be a candidate of the other end's.
pub(super) fn check_candidate(line: &str) -> Result<(), CandidateError> {
    candidate::parse(line).map(|_| ())
}

/// The user fragment of whom a check of ICE is for; `None` for other bytes.
pub(super) fn asked_for(bytes: &[u8]) -> Option<&str> {
    let message = stun::Message::parse(bytes)?;
    if !message.is_binding() || message.class != stun::Class::Request {
        return None;
    }
    message.users().map(|(asked, _)| asked)
}

/// What ties this request to its answer; `None` for other bytes.
pub(super) fn question(bytes: &[u8]) -> Option<Transaction> {
    let message = stun::Message::parse(bytes)?;
    (message.class == stun::Class::Request).then_some(message.transaction)
}

/// What ties this answer to its request; `None` for other bytes.
pub(super) fn answered(bytes: &[u8]) -> Option<Transaction> {
    let message = stun::Message::parse(bytes)?;
    message.is_answer().then_some(message.transaction)
}

/// Sockets of one connection: interfaces of the machine, both families.
const MAX_BASES: usize = 32;

/// Packets that wait for the driver, which takes them after every input. More than that is dropped, as networks do.
const MAX_TRANSMITS: usize = 1024;

/// Where a candidate of our own is from.
#[derive(Clone, Debug)]
struct Local {
    candidate: Candidate,
    from: SocketAddr,
    line: String,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Host,
    Reflexive,
    Relay,
}

/// See the module.
pub(super) struct Agent {
    config: Config,
    tokens: Tokens,
    gathering: Gathering,
    relays: Relays,
    names: Names,
    session: Session,
    previous: Option<(Session, Option<Instant>)>,
    bases: Vec<SocketAddr>,
    locals: Vec<Local>,
    state: State,
    gathering_state: GatheringState,
    /// Whether this session ever had a path.
    was_connected: bool,
    troubles: Vec<String>,
    failure: String,
    wants: VecDeque<Want>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    due: Option<Instant>,
    dropped: u64,
}

impl Agent {
    pub(super) fn new(config: Config, credentials: Credentials, now: Instant) -> Agent {
        let session = Session::new(now, credentials, config.controlling);
        Agent {
            tokens: Tokens::default(),
            gathering: Gathering::new(config.servers.clone(), config.relay_only),
            relays: Relays::default(),
            names: Names::default(),
            session,
            previous: None,
            bases: Vec::new(),
            locals: Vec::new(),
            state: State::New,
            gathering_state: GatheringState::New,
            was_connected: false,
            troubles: Vec::new(),
            failure: String::new(),
            wants: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            due: None,
            dropped: 0,
            config,
        }
    }

    /// The checks begin. An error is the peer's fault, and a sentence for the game.
    pub(super) fn set_remote_credentials(
        &mut self,
        now: Instant,
        credentials: Credentials,
    ) -> Result<(), String> {
        credentials.check()?;
        self.session.set_remote_credentials(now, credentials);
        self.settle(now);
        Ok(())
    }

    /// Begins anew with other credentials, and tells all candidates again. The path in use stays until there is another.
    /// The peer's credentials and candidates follow.
    pub(super) fn restart(&mut self, now: Instant, credentials: Credentials) {
        let controlling = self.session.controlling();
        let old = std::mem::replace(&mut self.session, Session::new(now, credentials, controlling));
        if self.state != State::Failed && old.selected().is_some() {
            self.previous = Some((old, None));
        }
        if self.state == State::Failed {
            self.previous = None;
            self.set_state(State::Checking);
        }
        self.was_connected = false;
        self.failure.clear();
        self.names.forget_waiting();
        self.relays.forget_peers();
        self.locals.retain(|local| local.origin != Origin::Reflexive);
        for place in 0..self.locals.len() {
            let Local { candidate, from, .. } = self.locals[place].clone();
            if let Some(line) = self.session.add_local(now, candidate, from) {
                self.locals[place].line.clone_from(&line);
                self.events.push_back(Event::Candidate(line));
            }
        }
        self.set_gathering(GatheringState::Gathering);
        self.gathering.restart(now, &mut self.tokens);
        self.settle(now);
    }

    /// A UDP socket is bound to an address of an interface. Others than the first [`MAX_BASES`] are left aside.
    pub(super) fn add_base(&mut self, now: Instant, local: SocketAddr) {
        let known = self.bases.contains(&local);
        if known || self.bases.len() >= MAX_BASES || !candidate::is_usable(local.ip()) {
            return;
        }
        self.bases.push(local);
        self.set_gathering(GatheringState::Gathering);
        if !self.config.relay_only {
            self.add_local(now, Candidate::host(local, "udp").ok(), local, Origin::Host);
        }
        self.gathering.add_base(now, local, &mut self.tokens);
        self.settle(now);
    }

    /// A socket of an interface that serves for nothing but relays over UDP. If there is one, they are reached by no other
    /// base: such sockets come before those.
    pub(super) fn add_base_for_relays(&mut self, now: Instant, local: SocketAddr) {
        if self.bases.contains(&local) || self.bases.len() >= MAX_BASES || !candidate::is_usable(local.ip()) {
            return;
        }
        self.bases.push(local);
        self.gathering.add_base_for_relays(now, local, &mut self.tokens);
        self.settle(now);
    }

    /// There are no more bases; gathering is complete when all servers have answered or had their time.
    pub(super) fn bases_complete(&mut self, now: Instant) {
        self.set_gathering(GatheringState::Gathering);
        self.gathering.bases_complete(now, &mut self.tokens);
        self.settle(now);
    }

    /// The socket is gone.
    pub(super) fn base_lost(&mut self, now: Instant, local: SocketAddr) {
        self.bases.retain(|known| *known != local);
        self.gathering.base_lost(local);
        self.relays.base_lost(local);
        self.remove_locals(now, |known| known.from == local);
        self.settle(now);
    }

    /// A line of the peer's, "candidate:...", or an empty one for the end.
    pub(super) fn add_remote_candidate(&mut self, now: Instant, line: &str) -> Result<(), CandidateError> {
        if let Line::Usable(remote) = candidate::parse(line)? {
            match &remote.host {
                Host::Address(ip) => self.add_remote(now, *ip, &remote),
                Host::Mdns(name) => {
                    let name = name.clone();
                    for ip in self.names.add(&name, remote.clone(), &mut self.tokens, &mut self.wants) {
                        self.add_remote(now, ip, &remote);
                    }
                }
            }
            self.settle(now);
        }
        Ok(())
    }

    /// What the driver must do next.
    pub(super) fn poll_want(&mut self) -> Option<Want> {
        self.wants.pop_front()
    }

    /// The answer to [`Want::Resolve`].
    pub(super) fn resolved(&mut self, now: Instant, token: Token, addresses: Result<Vec<IpAddr>, String>) {
        if !self.gathering.resolved(now, token, &addresses) {
            for (ip, remote) in self.names.resolved(token, addresses.unwrap_or_default()) {
                self.add_remote(now, ip, &remote);
            }
        }
        self.settle(now);
    }

    /// The answer to [`Want::OpenStream`].
    pub(super) fn stream_opened(&mut self, now: Instant, token: Token, local: SocketAddr) {
        self.relays.stream_opened(now, token, local, &self.gathering);
        self.settle(now);
    }

    /// Whoever drives this was not run for long (a machine that slept): nobody was asked meanwhile, so nobody was silent.
    fn wake(&mut self, now: Instant) {
        let slept = self.due.map(|due| now.saturating_duration_since(due)).unwrap_or_default();
        if slept <= OVERSLEPT {
            return;
        }
        self.session.was_not_asked(now, slept);
        if let Some((previous, _)) = &mut self.previous {
            previous.was_not_asked(now, slept);
        }
    }

    /// Bytes that a stream brought; the peer's data in them is appended to `data`.
    pub(super) fn stream_received(
        &mut self,
        now: Instant,
        token: Token,
        bytes: &[u8],
        data: &mut Vec<Bytes>,
    ) {
        self.wake(now);
        let mut packets = Vec::new();
        self.relays.stream_received(now, token, bytes, &mut packets);
        for (way, packet) in packets {
            self.take_packet(now, way, packet, data);
        }
        self.settle(now);
    }

    /// A stream could not be opened, or has ended.
    pub(super) fn stream_ended(&mut self, now: Instant, token: Token, why: &str) {
        self.relays.stream_ended(now, token, why, &mut self.tokens);
        self.settle(now);
    }

    /// A datagram. What is for ICE is digested; the peer's data is appended to `data`.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
        data: &mut Vec<Bytes>,
    ) {
        let way = Way { local, remote };
        if !stun::is_stun(bytes) && self.is_way(way) {
            data.push(Bytes::copy_from_slice(bytes));
            return;
        }
        self.wake(now);
        match self.relays.handle_datagram(now, way, bytes) {
            relays::Received::Ignored => self.take_packet(now, way, Bytes::copy_from_slice(bytes), data),
            relays::Received::Handled => {}
            relays::Received::Data(inner, packet) => {
                let is_data = !stun::is_stun(&packet);
                self.take_packet(now, inner, packet, data);
                if is_data {
                    return;
                }
            }
        }
        self.settle(now);
    }

    /// Whether the peer's data may come from there.
    pub(super) fn is_path(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let way = Way { local, remote };
        self.is_way(way) || self.relays.is_from(way)
    }

    /// How data goes to the peer, if there is a way.
    pub(super) fn path(&self) -> Option<Path> {
        let Selected { local, remote, relayed } = self.selected()?;
        Some(if relayed { Path::Relayed } else { Path::Direct { local, remote } })
    }

    /// Sends data to the peer; false if there is no way now.
    pub(super) fn send(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let Some(selected) = self.selected() else { return false };
        if self.transmits.len() >= MAX_TRANSMITS {
            return false;
        }
        let Selected { local, remote, relayed } = selected;
        if relayed {
            return self.relays.send(now, Way { local, remote }, bytes, &mut self.transmits);
        }
        self.transmits.push_back(Transmit { by: Via::Socket { local, remote }, bytes: bytes.to_vec() });
        true
    }

    /// The next packet to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When [`Agent::handle_timeout`] must be called.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        self.due
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.wake(now);
        self.gathering.handle_timeout(now);
        self.relays.handle_timeout(now, &mut self.tokens);
        if self.state != State::Failed {
            self.session.handle_timeout(now);
            if let Some((previous, _)) = &mut self.previous {
                previous.handle_timeout(now);
            }
        }
        self.settle(now);
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Gives relays back and closes streams; what is left to send and to do comes out of the polls.
    pub(super) fn close(&mut self, now: Instant) {
        self.relays.release(now);
        self.settle(now);
    }

    /// Sets how long the peer may be silent.
    pub(super) fn set_failed_after(&mut self, disconnected: Duration, failed: Duration) {
        (self.config.disconnected_after, self.config.failed_after) = (disconnected, failed);
    }

    /// What this end is known by.
    pub(super) fn credentials(&self) -> &Credentials {
        self.session.credentials()
    }

    /// The lines of our own candidates, as they were told.
    #[cfg(test)]
    pub(super) fn local_candidates(&self) -> Vec<String> {
        self.locals.iter().map(|local| local.line.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> State {
        self.state
    }

    #[cfg(test)]
    pub(super) fn gathering_state(&self) -> GatheringState {
        self.gathering_state
    }

    /// The path in use.
    pub(super) fn selected(&self) -> Option<Selected> {
        let Way { local, remote } = self.in_use()?.selected()?;
        Some(Selected { local, remote, relayed: self.relays.is_relayed(local) })
    }

    /// The round trip of the last check on the path in use.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.in_use()?.rtt()
    }

    /// Packets that were none of ours or beyond a bound.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.session.refused
    }

    /// Why the state is [`State::Failed`], in a sentence.
    pub(super) fn failure(&self) -> String {
        self.failure.clone()
    }

    /// The session whose path carries data.
    fn in_use(&self) -> Option<&Session> {
        let previous = self.previous.as_ref().map(|(previous, _)| previous);
        [Some(&self.session), previous].into_iter().flatten().find(|session| session.selected().is_some())
    }

    fn is_way(&self, way: Way) -> bool {
        self.session.is_way(way) || self.previous.as_ref().is_some_and(|(previous, _)| previous.is_way(way))
    }

    fn add_local(&mut self, now: Instant, candidate: Option<Candidate>, from: SocketAddr, origin: Origin) {
        // None: an address that is no machine's, which a server may well have sent.
        let Some(candidate) = candidate else { return };
        if let Some(line) = self.session.add_local(now, candidate.clone(), from) {
            self.locals.push(Local { candidate, from, line: line.clone(), origin });
            self.events.push_back(Event::Candidate(line));
        }
    }

    fn remove_locals(&mut self, now: Instant, is_lost: impl Fn(&Local) -> bool) {
        let (lost, kept): (Vec<Local>, Vec<Local>) = self.locals.drain(..).partition(is_lost);
        self.locals = kept;
        for Local { candidate, from, .. } in &lost {
            self.session.remove_local(now, candidate, *from);
            if let Some((previous, _)) = &mut self.previous {
                previous.remove_local(now, candidate, *from);
            }
        }
    }

    fn add_remote(&mut self, now: Instant, ip: IpAddr, remote: &Remote) {
        self.session.add_remote(now, remote.at(ip), remote.ufrag.as_deref());
    }

    /// A packet on a way that may be the peer's: directly, or out of a relay.
    fn take_packet(&mut self, now: Instant, way: Way, bytes: Bytes, data: &mut Vec<Bytes>) {
        if !stun::is_stun(&bytes) {
            if self.is_way(way) {
                data.push(bytes);
            } else {
                self.dropped += 1;
            }
            return;
        }
        let Some(message) = stun::Message::parse(&bytes) else {
            self.dropped += 1;
            return;
        };
        let taken = self.gathering.answer(way, &message)
            || self.state != State::Failed
                && (self.session.handle(now, way, &message, &bytes)
                    || self
                        .previous
                        .as_mut()
                        .is_some_and(|(previous, _)| previous.handle(now, way, &message, &bytes)));
        self.dropped += u64::from(!taken);
    }
}
