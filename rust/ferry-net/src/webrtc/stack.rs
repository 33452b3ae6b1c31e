//! One connection from the datagrams up: path, encryption, messages, channels. Stepped with time and bytes from outside.
//!
//! The driver tells it what the game wants and what has come, lets time pass, and then takes what is to be sent, what is to be
//! done outside (look-ups, streams to relays) and what the game is to hear. In this order:
//!
//! ```text
//! both descriptions ─▶ ICE looks for a path ─▶ DTLS shakes hands ─▶ SCTP associates ─▶ channels open
//! ```
//!
//! What a stranger sends ends in ICE, which drops what it did not ask for; what the other end sends wrongly ends the
//! connection, with its reason. Tests of all of it: `tests/webrtc_*.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_sctp::{Association, CloseReason};

use super::channels::{Channels, LEAST_PATIENCE, Put};
use super::command::{Command, Notice};
use super::connection::{ConnectionShared, ConnectionState};
use super::dtls::{Dtls, Outcome};
use super::goodbye;
use super::ice;
use super::identity::Identity;
use super::signaling::{Instruction, Remote};
use crate::limits::Limits;
use crate::random;
use crate::reason::{Farewell, Reason};

/// Bytes of an SCTP packet: with DTLS's 37 and a relay's 4 it fits what IPv6 carries over any path.
const SCTP_PACKET: usize = 1180;

/// Bytes that the other end may send ahead of our reading, a little more than the longest message.
const RECEIVE_WINDOW: usize = 1 << 20;

/// Time that the delivery of what is queued may take once the game lets a peer go.
const LEAVING: Duration = Duration::from_secs(5);

/// After so long without an answer the connection counts as disconnected; it may come back.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(5);

/// What the stack is made of.
pub(super) struct Setup {
    pub(super) identity: &'static Identity,
    pub(super) limits: Limits,
    pub(super) servers: Vec<ice::Server>,
    pub(super) relay_only: bool,
    pub(super) longest_message: usize,
    pub(super) shared: Arc<ConnectionShared>,
}

/// Where outgoing datagrams go.
pub(super) trait Sink {
    /// Whether more may be handed over.
    fn has_room(&mut self) -> bool;
    /// Sends a datagram.
    fn datagram(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]);
    /// Sends bytes on a stream to a relay.
    fn stream(&mut self, stream: ice::Token, bytes: &[u8]);
}

/// One connection.
pub(super) struct Stack {
    setup: Setup,
    ice: Option<ice::Agent>,
    /// What is known of the other end.
    remote: Option<Box<Remote>>,
    /// This end looks for new paths, and the other one has not said yet what it is known by now.
    awaits_remote: bool,
    /// Candidates that came before the own description was applied, or before the other end's new one.
    early_candidates: Vec<String>,
    dtls: Option<Dtls>,
    sctp: Option<Association>,
    channels: Channels,
    state: ConnectionState,
    /// Since when a way to the other end is looked for.
    looking_since: Option<Instant>,
    /// The association has stood.
    established: bool,
    /// Set once this end lets the other go: what it is told, and how long what is queued may take.
    leaving: Option<(Reason, Instant)>,
    /// Why it is over.
    ended: Option<Farewell>,
    notices: Vec<Notice>,
    /// Encrypted datagrams that found no path yet, or came out of turn.
    sealed: Vec<Bytes>,
    plain: Vec<Bytes>,
    /// The last datagrams, once this end has taken its leave.
    goodbye: Vec<Bytes>,
    packet: Vec<u8>,
    pub(super) traffic: Traffic,
}

/// What went over the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) datagrams_sent: u64,
    pub(super) datagrams_received: u64,
}

impl Traffic {
    fn sent(&mut self, bytes: &[u8]) {
        self.datagrams_sent += 1;
        self.bytes_sent += bytes.len() as u64;
    }
}

/// Packets between two looks at what waits: messages of one channel are not to wait for a whole turn of another's.
const PACKETS_PER_PUMP: usize = 16;

/// The first bytes of DTLS's records (RFC 7983).
const DTLS: std::ops::RangeInclusive<u8> = 20..=63;

/// Candidates that may wait for the own description.
const MOST_EARLY_CANDIDATES: usize = 64;

impl Stack {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            ice: None,
            remote: None,
            awaits_remote: false,
            early_candidates: Vec::new(),
            dtls: None,
            sctp: None,
            channels: Channels::default(),
            state: ConnectionState::New,
            looking_since: None,
            established: false,
            leaving: None,
            ended: None,
            notices: Vec::new(),
            sealed: Vec::new(),
            plain: Vec::new(),
            goodbye: Vec::new(),
            packet: Vec::new(),
            traffic: Traffic::default(),
        }
    }

    /// Does what the game wants.
    pub(super) fn obey(&mut self, now: Instant, command: Command) {
        match command {
            Command::Signaled(instruction) => self.signaled(now, instruction),
            Command::Candidate(line) => self.candidate(now, line),
            Command::Open(new) => self.channels.add(*new, self.sctp.as_mut(), now, &mut self.notices),
            Command::Send { channel, kind, payload, lossy } => {
                self.channels.put(channel, Put { kind, payload, lossy }, now, &self.setup.shared);
            }
            Command::CloseChannel(channel) => {
                self.channels.close(channel, self.sctp.as_mut(), now, &self.setup.shared, &mut self.notices);
            }
            Command::TakeMore => {}
            Command::Limits(limits) => {
                self.setup.limits = limits;
                if let Some(ice) = &mut self.ice {
                    ice.set_failed_after(disconnected_after(&limits), limits.peer_timeout);
                }
            }
            Command::Leave(reason) => self.leave(now, reason, LEAVING),
            Command::Abandon(farewell) => self.fail(now, farewell),
        }
    }

    fn signaled(&mut self, now: Instant, instruction: Instruction) {
        self.changes(ConnectionState::Connecting);
        match instruction {
            Instruction::Local { credentials, is_controlling } => match &mut self.ice {
                Some(ice) if *ice.credentials() == credentials => {}
                Some(ice) => {
                    ice.restart(now, credentials);
                    self.awaits_remote = true;
                }
                None => {
                    let config = ice::Config {
                        servers: self.setup.servers.clone(),
                        relay_only: self.setup.relay_only,
                        controlling: is_controlling,
                        connect_within: self.setup.limits.connect_timeout,
                        disconnected_after: disconnected_after(&self.setup.limits),
                        failed_after: self.setup.limits.peer_timeout,
                    };
                    self.ice = Some(ice::Agent::new(config, credentials, now));
                }
            },
            Instruction::Remote(remote) => {
                self.remote = Some(remote);
                self.awaits_remote = false;
            }
        }
        self.begin_checks(now);
    }

    /// Once both descriptions are known.
    fn begin_checks(&mut self, now: Instant) {
        let (Some(ice), Some(remote), false) = (&mut self.ice, &mut self.remote, self.awaits_remote) else {
            return;
        };
        self.looking_since.get_or_insert(now);
        if let Err(error) = ice.set_remote_credentials(now, remote.credentials.clone()) {
            self.fail(now, Farewell::with(Reason::IceFailed, error));
            return;
        }
        for line in remote.candidates.drain(..).chain(self.early_candidates.drain(..)) {
            take_candidate(ice, now, &line);
        }
    }

    fn candidate(&mut self, now: Instant, line: String) {
        match (&mut self.ice, &self.remote) {
            (Some(ice), Some(_)) if !self.awaits_remote => take_candidate(ice, now, &line),
            _ if self.early_candidates.len() < MOST_EARLY_CANDIDATES => self.early_candidates.push(line),
            _ => {}
        }
    }

    /// The ICE agent, once there is one: what the driver gathers addresses for.
    pub(super) fn ice(&mut self) -> Option<&mut ice::Agent> {
        self.ice.as_mut()
    }

    /// A datagram has come.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &[u8],
    ) {
        self.traffic.datagrams_received += 1;
        self.traffic.bytes_received += bytes.len() as u64;
        let Some(ice) = &mut self.ice else { return };
        if bytes.first().is_some_and(|first| DTLS.contains(first)) && ice.is_path(local, remote) {
            self.decrypt(now, bytes);
            return;
        }
        let mut data = Vec::new();
        ice.handle_datagram(now, local, remote, bytes, &mut data);
        self.arrived(now, &data);
    }

    /// Bytes have come on a stream to a relay.
    pub(super) fn handle_stream(&mut self, now: Instant, stream: ice::Token, bytes: &[u8]) {
        self.traffic.bytes_received += bytes.len() as u64;
        let Some(ice) = &mut self.ice else { return };
        let mut data = Vec::new();
        ice.stream_received(now, stream, bytes, &mut data);
        self.arrived(now, &data);
    }

    fn arrived(&mut self, now: Instant, data: &[Bytes]) {
        data.iter().for_each(|datagram| self.decrypt(now, datagram));
    }

    fn decrypt(&mut self, now: Instant, datagram: &[u8]) {
        self.prepare_dtls(now);
        let Some(dtls) = &mut self.dtls else { return };
        let outcome = Self::collect(&mut self.sealed, &mut self.plain, |each| {
            dtls.handle_datagram(now, datagram, each)
        });
        self.after_dtls(now, outcome);
    }

    /// The server's side has to be there when the client's first flight comes, which may be before it hears of the path.
    fn prepare_dtls(&mut self, now: Instant) {
        let Some(remote) = &self.remote else { return };
        if self.dtls.is_some() || self.ended.is_some() {
            return;
        }
        let timeout = self.setup.limits.connect_timeout;
        match Dtls::new(self.setup.identity, remote.is_dtls_client, remote.fingerprint, timeout, now) {
            Ok(dtls) => self.dtls = Some(dtls),
            Err(error) => self.fail(now, Farewell::with(Reason::Internal, error)),
        }
    }

    /// Runs something of DTLS, and keeps what comes out of it.
    fn collect(
        sealed: &mut Vec<Bytes>,
        plain: &mut Vec<Bytes>,
        run: impl FnOnce(&mut dyn FnMut(Outcome<'_>)) -> Result<(), String>,
    ) -> Result<Told, String> {
        let mut told = Told::default();
        run(&mut |outcome| match outcome {
            Outcome::Datagram(bytes) => sealed.push(Bytes::copy_from_slice(bytes)),
            Outcome::Plain(bytes) => plain.push(Bytes::copy_from_slice(bytes)),
            Outcome::Connected => told.connected = true,
            Outcome::Closed => told.closed = true,
        })?;
        Ok(told)
    }

    fn after_dtls(&mut self, now: Instant, outcome: Result<Told, String>) {
        let told = match outcome {
            Ok(told) => told,
            Err(error) => {
                let was_connected = self.dtls.as_ref().is_some_and(Dtls::is_connected);
                let reason = if was_connected { Reason::Protocol } else { Reason::Tls };
                self.fail(now, Farewell::with(reason, error));
                return;
            }
        };
        if told.connected {
            self.associate(now);
        }
        for packet in self.plain.drain(..) {
            if let Some(sctp) = &mut self.sctp {
                sctp.handle_input(now, packet);
            }
        }
        self.after_sctp(now);
        if told.closed {
            self.end(now, Reason::RemoteClose.into());
        }
    }

    /// The encryption stands: so does the connection, and messages are about to.
    fn associate(&mut self, now: Instant) {
        let Some(remote) = &self.remote else { return };
        let config = ferry_sctp::Config {
            role_client: remote.is_dtls_client,
            remote_port: remote.sctp_port,
            max_message_size: self.setup.longest_message,
            mtu: SCTP_PACKET,
            first_send_grace: LEAST_PATIENCE,
            // Whether the other end is there is ICE's to tell: after `peer_timeout`, which may be longer than SCTP's patience.
            max_retransmissions: u32::MAX,
            receive_window: RECEIVE_WINDOW.max(self.setup.longest_message * 2),
            seed: u64::from(random::word()) << 32 | u64::from(random::word()),
            ..ferry_sctp::Config::default()
        };
        let mut sctp = Association::new(config, now);
        sctp.connect(now);
        self.sctp = Some(sctp);
        self.changes(ConnectionState::Connected);
    }

    fn after_sctp(&mut self, now: Instant) {
        let Some(sctp) = &mut self.sctp else { return };
        let shared = &self.setup.shared;
        let mut over = None;
        while let Some(event) = sctp.poll_event() {
            match event {
                ferry_sctp::Event::Established => {
                    self.established = true;
                    let is_client = self.remote.as_ref().is_some_and(|remote| remote.is_dtls_client);
                    self.channels.established(is_client, sctp, now, &mut self.notices);
                }
                ferry_sctp::Event::Message(message) => {
                    self.channels.arrived(message, sctp, now, shared, &mut self.notices);
                }
                ferry_sctp::Event::StreamReset(stream) => {
                    self.channels.reset_by_other(stream, sctp, now, shared, &mut self.notices);
                }
                ferry_sctp::Event::StreamClosed(stream) => {
                    self.channels.reset_confirmed(stream, shared, &mut self.notices);
                }
                ferry_sctp::Event::Closed(reason) => over = Some(farewell_of(reason)),
            }
        }
        if let Some(farewell) = over {
            self.end(now, farewell);
        }
    }

    /// What has to happen by now happens.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(ice) = &mut self.ice {
            ice.handle_timeout(now);
        }
        self.after_ice(now);
        if let Some(dtls) = &mut self.dtls
            && dtls.poll_timeout().is_some_and(|due| due <= now)
        {
            let outcome =
                Self::collect(&mut self.sealed, &mut self.plain, |each| dtls.handle_timeout(now, each));
            self.after_dtls(now, outcome);
        }
        if let Some(sctp) = &mut self.sctp
            && sctp.poll_timeout().is_some_and(|due| due <= now)
        {
            sctp.handle_timeout(now);
            self.after_sctp(now);
        }
        self.give_up_looking(now);
        self.go_on_leaving(now);
    }

    /// Hears what ICE has to say.
    pub(super) fn after_ice(&mut self, now: Instant) {
        while let Some(event) = self.ice.as_mut().and_then(ice::Agent::poll_event) {
            match event {
                ice::Event::Candidate(line) => self.notices.push(Notice::Candidate(line)),
                ice::Event::GatheringChanged(state) => self.notices.push(Notice::Gathering(state)),
                ice::Event::GatheringTrouble { server, text } => tracing::warn!("{server}: {text}"),
                ice::Event::State(ice::State::Connected) => self.has_path(now),
                ice::Event::State(ice::State::Disconnected) => self.changes(ConnectionState::Disconnected),
                ice::Event::State(ice::State::Failed) => {
                    let why = self.ice.as_ref().map(ice::Agent::failure).unwrap_or_default();
                    let reason = if self.established { Reason::Timeout } else { Reason::IceFailed };
                    self.end(now, Farewell::with(reason, why));
                }
                ice::Event::State(ice::State::New | ice::State::Checking) => {}
            }
        }
    }

    fn has_path(&mut self, now: Instant) {
        if self.dtls.as_ref().is_some_and(Dtls::is_connected) {
            self.changes(ConnectionState::Connected);
            return;
        }
        self.prepare_dtls(now);
    }

    fn changes(&mut self, state: ConnectionState) {
        if self.state == state || self.ended.is_some() {
            return;
        }
        // Once it stood, a new search for paths is nobody's concern.
        if state == ConnectionState::Connecting && self.state != ConnectionState::New {
            return;
        }
        self.state = state;
        self.notices.push(Notice::State(state));
    }

    fn give_up_looking(&mut self, now: Instant) {
        let timeout = self.setup.limits.connect_timeout;
        if self.established || self.looking_since.is_none_or(|since| now < since + timeout) {
            return;
        }
        let has_path = self.ice.as_ref().is_some_and(|ice| ice.selected().is_some());
        let farewell = match (&self.dtls, has_path) {
            (Some(dtls), true) if dtls.is_connected() => {
                Farewell::with(Reason::ConnectTimeout, "the other end did not open the SCTP association")
            }
            (_, true) => Farewell::with(Reason::Tls, "the other end did not complete the DTLS handshake"),
            (_, false) => {
                let why = self.ice.as_ref().map(ice::Agent::failure).unwrap_or_default();
                Farewell::with(Reason::IceFailed, why)
            }
        };
        self.fail(now, farewell);
    }

    /// When time matters next.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        let looking = self.looking_since.filter(|_| !self.established);
        [
            self.ice.as_mut().and_then(ice::Agent::poll_timeout),
            self.dtls.as_ref().and_then(Dtls::poll_timeout),
            self.sctp.as_ref().and_then(Association::poll_timeout),
            looking.map(|since| since + self.setup.limits.connect_timeout),
            self.leaving.as_ref().map(|(_, until)| *until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The socket of this address is gone.
    pub(super) fn lost(&mut self, now: Instant, local: SocketAddr) {
        if let Some(ice) = &mut self.ice {
            ice.base_lost(now, local);
        }
    }

    /// Whether messages are taken in, or stay with the other end.
    pub(super) fn set_receiving(&mut self, now: Instant, receiving: bool) {
        if let Some(sctp) = &mut self.sctp {
            sctp.set_receiving(receiving);
        }
        if receiving {
            // Its window is shut, perhaps: nothing more would come to have this done.
            self.after_sctp(now);
        }
    }

    /// Takes what is to be sent, as far as there is room for it.
    pub(super) fn transmit(&mut self, now: Instant, sink: &mut impl Sink) {
        self.send_sealed(now, sink);
        let mut packets = PACKETS_PER_PUMP;
        while sink.has_room() {
            if packets == PACKETS_PER_PUMP {
                packets = 0;
                self.pump(now);
            }
            if !self.send_packet(now, sink) && !self.pump(now) {
                break;
            }
            packets += 1;
        }
        let Some(ice) = &mut self.ice else { return };
        while sink.has_room()
            && let Some(transmit) = ice.poll_transmit()
        {
            self.traffic.sent(&transmit.bytes);
            match transmit.by {
                ice::Via::Socket { local, remote } => sink.datagram(local, remote, &transmit.bytes),
                ice::Via::Stream(stream) => sink.stream(stream, &transmit.bytes),
            }
        }
    }

    /// Hands messages that wait over to SCTP; false if it has taken none.
    fn pump(&mut self, now: Instant) -> bool {
        let Some(sctp) = &mut self.sctp else { return false };
        self.channels.pump(sctp, now, &self.setup.shared)
    }

    /// Encrypts and sends the next packet of SCTP's; false if there is none.
    fn send_packet(&mut self, now: Instant, sink: &mut impl Sink) -> bool {
        let (Some(sctp), Some(dtls), Some(ice)) = (&mut self.sctp, &mut self.dtls, &mut self.ice) else {
            return false;
        };
        if !sctp.poll_transmit(now, &mut self.packet) {
            return false;
        }
        let (path, traffic) = (ice.path(), &mut self.traffic);
        let sealed = dtls.seal(&self.packet, |outcome| {
            if let Outcome::Datagram(bytes) = outcome {
                send_to_other(now, path, bytes, ice, sink, traffic);
            }
        });
        match sealed {
            Ok(()) => true,
            Err(error) => {
                self.fail(now, Farewell::with(Reason::Internal, error));
                false
            }
        }
    }

    fn send_sealed(&mut self, now: Instant, sink: &mut impl Sink) {
        let Some(ice) = &mut self.ice else { return };
        for datagram in self.sealed.drain(..) {
            send_to_other(now, ice.path(), &datagram, ice, sink, &mut self.traffic);
        }
    }

    /// What the game is to hear.
    pub(super) fn notices(&mut self) -> &mut Vec<Notice> {
        &mut self.notices
    }

    /// Why it is over, once it is.
    pub(super) fn ended(&self) -> Option<&Farewell> {
        self.ended.as_ref()
    }

    /// Lets the other end go once it has got what is queued, for so long at most.
    pub(super) fn leave(&mut self, now: Instant, told: Reason, patience: Duration) {
        let until = now + patience;
        self.leaving = Some(self.leaving.map_or((told, until), |(told, before)| (told, before.min(until))));
        self.go_on_leaving(now);
    }

    pub(super) fn go_on_leaving(&mut self, now: Instant) {
        let Some((told, until)) = self.leaving else { return };
        if self.ended.is_some() {
            return;
        }
        let sctp = self.sctp.as_ref().filter(|_| self.established);
        let has_more = self.channels.has_waiting() || sctp.is_some_and(|sctp| sctp.outstanding_bytes() > 0);
        if sctp.is_none() || !has_more || now >= until {
            self.say_goodbye(now, told);
            self.end(now, Reason::LocalClose.into());
        }
    }

    /// Ends it for a reason of this end's.
    pub(super) fn fail(&mut self, now: Instant, farewell: Farewell) {
        if self.ended.is_none() {
            self.say_goodbye(now, farewell.reason);
            self.end(now, farewell);
        }
    }

    fn say_goodbye(&mut self, now: Instant, told: Reason) {
        if let Some(sctp) = &mut self.sctp {
            sctp.abort(now, &goodbye::write(told));
        }
        let before = self.sealed.len();
        if let (Some(sctp), Some(dtls)) = (&mut self.sctp, &mut self.dtls) {
            let _ = Self::collect(&mut self.sealed, &mut self.plain, |each| {
                while sctp.poll_transmit(now, &mut self.packet) {
                    dtls.seal(&self.packet, &mut *each)?;
                }
                Ok(())
            });
        }
        if let Some(dtls) = &mut self.dtls {
            let _ = Self::collect(&mut self.sealed, &mut self.plain, |each| {
                dtls.close(each);
                Ok(())
            });
        }
        self.goodbye = self.sealed[before..].to_vec();
    }

    /// The datagrams that this end took its leave with, if it did.
    pub(super) fn goodbye(&self) -> &[Bytes] {
        &self.goodbye
    }

    /// Sends them again: nobody confirms them.
    pub(super) fn say_again(&mut self) {
        self.sealed.extend_from_slice(&self.goodbye);
    }

    /// Gives back what was borrowed from relays.
    pub(super) fn release(&mut self, now: Instant) {
        if let Some(ice) = &mut self.ice {
            ice.close(now);
        }
    }

    fn end(&mut self, now: Instant, farewell: Farewell) {
        if self.ended.is_none() {
            self.take_the_rest(now);
            self.notices.push(Notice::Ended(farewell.clone()));
            self.ended = Some(farewell);
        }
    }

    /// What the other end knows to have come is the game's, also if it has stopped to take more in: it is no more than
    /// SCTP's window.
    fn take_the_rest(&mut self, now: Instant) {
        let Some(sctp) = &mut self.sctp else { return };
        sctp.set_receiving(true);
        while let Some(event) = sctp.poll_event() {
            if let ferry_sctp::Event::Message(message) = event {
                self.channels.arrived(message, sctp, now, &self.setup.shared, &mut self.notices);
            }
        }
    }

    /// The round trip, by the newest measure.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.sctp.as_ref().and_then(Association::rtt).or_else(|| self.ice.as_ref()?.rtt())
    }

    /// How much round trips scatter.
    pub(super) fn jitter(&self) -> Option<Duration> {
        self.sctp.as_ref().and_then(Association::rtt_variation)
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Which part of what was sent had to be sent again.
    pub(super) fn loss(&self) -> f64 {
        let Some(statistics) = self.sctp.as_ref().map(Association::statistics) else { return 0.0 };
        statistics.retransmissions as f64 / (statistics.chunks_sent.max(1)) as f64
    }

    /// Datagrams that were nobody's here, or made no sense.
    pub(super) fn rejected(&self) -> u64 {
        let of_sctp = self.sctp.as_ref().map_or(0, |sctp| sctp.statistics().packets_dropped);
        self.ice.as_ref().map_or(0, ice::Agent::dropped) + of_sctp
    }

    /// Where the other end is.
    pub(super) fn remote_address(&self) -> Option<SocketAddr> {
        self.ice.as_ref()?.selected().map(|selected| selected.remote)
    }
}

fn take_candidate(ice: &mut ice::Agent, now: Instant, line: &str) {
    if let Err(error) = ice.add_remote_candidate(now, line) {
        tracing::debug!("a candidate of the other end's is passed over: {error}");
    }
}

/// Sends something encrypted. Through a relay, it comes out of ICE. Without a path it is lost, as datagrams may be.
fn send_to_other(
    now: Instant,
    path: Option<ice::Path>,
    bytes: &[u8],
    ice: &mut ice::Agent,
    sink: &mut impl Sink,
    traffic: &mut Traffic,
) {
    match path {
        Some(ice::Path::Direct { local, remote }) => {
            traffic.sent(bytes);
            sink.datagram(local, remote, bytes);
        }
        Some(ice::Path::Relayed) => {
            ice.send(now, bytes);
        }
        None => {}
    }
}

fn disconnected_after(limits: &Limits) -> Duration {
    DISCONNECTED_AFTER.min(limits.peer_timeout / 2)
}

/// What DTLS has told besides bytes.
#[derive(Default)]
struct Told {
    connected: bool,
    closed: bool,
}

fn farewell_of(reason: CloseReason) -> Farewell {
    match reason {
        CloseReason::Shutdown => Reason::RemoteClose.into(),
        CloseReason::Aborted(cause) => goodbye::read(&cause),
        CloseReason::LocalAbort => Reason::LocalClose.into(),
        CloseReason::TimedOut => Farewell::with(Reason::Timeout, "SCTP got no answer"),
        CloseReason::TooLong => Farewell::with(
            Reason::PacketTooLarge,
            "the other end sent a message longer than it was told that this one takes",
        ),
        CloseReason::Protocol(what) => Farewell::with(Reason::Protocol, what),
    }
}
