//! One allocation at a TURN server (RFC 8656): an address of the server's that passes packets on to the peer and back.
//!
//! The protocol is the TURN crate's; this gives it time and bytes, asks for permissions and channels, and watches what the
//! crate does not tell: why a server refused. Over a stream (TCP, or TLS that somebody else undoes) it cuts and pads the
//! messages itself, since the crate does not pad channel data.
//!
//! The server is somebody that the game chose; still, nothing that it sends can do more than end the allocation.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use turn_client_proto::api::{
    BindChannelError, TransmitBuild, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::stun::Instant as TurnInstant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::Token;
use super::framing::{self, Frames};
use super::stun::{self, Class, Message, Transaction};

/// The first repetition of a request over UDP, the slowest, how many there are, and the wait after the last.
const RETRY: (Duration, Duration, u32, Duration) =
    (Duration::from_millis(250), Duration::from_secs(2), 8, Duration::from_secs(2));

/// A permission or channel that the server refused, or that was lost, is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Peers for which permission is asked: as many as candidates are taken, and strangers beside them.
const MAX_PEERS: usize = 64;

/// Channels: one for each way that was ever selected. Data on others goes as indications.
const MAX_CHANNELS: usize = 8;

/// Rounds of the crate's timers and events in one go; it needs two or three.
const MAX_ROUNDS: usize = 32;

/// The crate lets one request go in this time.
const CADENCE: Duration = Duration::from_millis(50);

/// Requests that may wait before the last one, which gives the addresses back: permissions and channels just asked for.
const MAX_LAST_REQUESTS: u32 = 16;

/// "Unauthorized": to the first request it brings what the credentials are made with; to another, they are wrong.
const UNAUTHORIZED: u16 = 401;
const STALE_NONCE: u16 = 438;

turn_client_proto::impl_client!(pub(self) Client, (Udp, TurnClientUdp), (Tcp, TurnClientTcp));

/// How packets reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Socket,
    Stream(Token),
}

/// What the server did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The server relays for us at this address.
    Allocated(SocketAddr),
    /// There will be no address, or there is none any more.
    Ended(String),
}

/// What became of bytes from the server.
pub(super) enum Received {
    /// They were about the allocation.
    Handled,
    /// They are none of this allocation's.
    Ignored,
    /// A packet from a peer.
    Data { peer: SocketAddr, bytes: Bytes },
}

#[derive(Clone, Copy)]
struct Asked<T> {
    what: T,
    again_at: Option<Instant>,
}

/// See the module.
pub(super) struct Relay {
    /// Which of the servers it is.
    pub(super) server: usize,
    pub(super) local: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) link: Link,
    client: Client,
    epoch: Instant,
    frames: Frames,
    relayed: Vec<SocketAddr>,
    /// Until when there must be an address.
    until: Option<Instant>,
    permissions: Vec<Asked<IpAddr>>,
    channels: Vec<Asked<SocketAddr>>,
    /// The last packet to each peer that the server does not let through yet.
    held: Vec<(SocketAddr, Vec<u8>)>,
    /// The request that was answered with what the credentials are made with.
    challenged: Option<Transaction>,
    refused_families: usize,
    said: Option<String>,
    ended: bool,
    next: Option<Instant>,
    outgoing: VecDeque<Vec<u8>>,
    news: VecDeque<News>,
}

impl Relay {
    pub(super) fn new(
        now: Instant,
        server: usize,
        (username, password): (&str, &str),
        (local, to, link): (SocketAddr, SocketAddr, Link),
        patience: Duration,
    ) -> Relay {
        let mut config = TurnConfig::new(TurnCredentials::new(username, password));
        config.add_address_family(AddressFamily::IPV6);
        config.set_request_retransmits(RETRY.0, RETRY.1, RETRY.2, RETRY.3);
        let client = match link {
            Link::Socket => Client::Udp(TurnClientUdp::allocate(local, to, config)),
            Link::Stream(_) => Client::Tcp(TurnClientTcp::allocate(local, to, config)),
        };
        let mut relay = Relay {
            server,
            local,
            to,
            link,
            client,
            epoch: now,
            frames: Frames::default(),
            relayed: Vec::new(),
            until: Some(now + patience),
            permissions: Vec::new(),
            channels: Vec::new(),
            held: Vec::new(),
            challenged: None,
            refused_families: 0,
            said: None,
            ended: false,
            next: None,
            outgoing: VecDeque::new(),
            news: VecDeque::new(),
        };
        relay.drive(now);
        relay
    }

    /// Whether a datagram on this way is from the server, about this allocation or with a peer's data.
    pub(super) fn is_from(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.link == Link::Socket && self.local == local && self.to == remote
    }

    /// The server's addresses that relay for us.
    pub(super) fn relayed(&self) -> &[SocketAddr] {
        &self.relayed
    }

    /// Whether it is not yet known if there will be an address.
    pub(super) fn is_pending(&self) -> bool {
        self.until.is_some() && !self.ended
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The address that packets to a peer come from.
    pub(super) fn relayed_for(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.relayed.iter().copied().find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }

    /// Lets packets of a peer's address through.
    pub(super) fn permit(&mut self, now: Instant, peer: IpAddr) {
        let Some(relayed) = self.relayed.iter().find(|relayed| relayed.is_ipv4() == peer.is_ipv4()) else {
            return;
        };
        let useless = peer.is_loopback() && !relayed.ip().is_loopback();
        let known = self.permissions.iter().any(|asked| asked.what == peer);
        if useless || known || self.permissions.len() >= MAX_PEERS {
            return;
        }
        self.permissions.push(Asked { what: peer, again_at: None });
        self.ask_permission(now, peer);
    }

    /// Makes data to a peer four bytes longer instead of 36.
    pub(super) fn bind(&mut self, now: Instant, peer: SocketAddr) {
        if self.channels.iter().any(|asked| asked.what == peer) {
            return;
        }
        if self.channels.len() < MAX_CHANNELS {
            self.channels.push(Asked { what: peer, again_at: None });
            self.ask_channel(now, peer);
        }
    }

    /// The peer's candidates are no longer those: others may take their places.
    pub(super) fn forget_peers(&mut self) {
        self.permissions.clear();
        self.channels.clear();
        self.held.clear();
    }

    /// Passes a packet to a peer; false if the server does not let it through now. Then it is kept until it does, or
    /// until the next one: a check that waits for its permission need not wait for its repetition too.
    pub(super) fn send(&mut self, now: Instant, peer: SocketAddr, bytes: &[u8]) -> bool {
        let at = self.at(now);
        let Ok(Some(transmit)) = self.client.send_to(TransportType::Udp, peer, bytes, at) else {
            self.held.retain(|(known, _)| *known != peer);
            if self.held.len() < MAX_PEERS {
                self.held.push((peer, bytes.to_vec()));
            }
            return false;
        };
        let packet = TransmitBuild::build(transmit).data;
        self.push(packet);
        true
    }

    /// A datagram from the server.
    pub(super) fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) -> Received {
        self.watch_errors(bytes);
        if self.ended {
            return Received::Handled;
        }
        let received = self.receive(now, bytes);
        if matches!(received, Received::Handled) {
            self.drive(now);
        }
        received
    }

    /// Bytes of the stream; a packet of a peer's is handed to `data`.
    pub(super) fn handle_stream(
        &mut self,
        now: Instant,
        bytes: &[u8],
        mut data: impl FnMut(SocketAddr, Bytes),
    ) {
        let mut frames = std::mem::take(&mut self.frames);
        frames.push(bytes);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => {
                    self.watch_errors(frame);
                    if let Received::Data { peer, bytes } = self.receive(now, frame) {
                        data(peer, bytes);
                    }
                }
                Ok(None) => break,
                Err(framing::Garbled) => {
                    self.end("sent something that is not TURN".to_owned());
                    break;
                }
            }
        }
        self.frames = frames;
        self.drive(now);
    }

    /// The stream is gone, or the socket's address.
    pub(super) fn end(&mut self, why: String) {
        if !self.ended {
            self.ended = true;
            self.next = None;
            self.news.push_back(News::Ended(why));
        }
    }

    /// Gives the addresses back to the server.
    pub(super) fn release(&mut self, now: Instant) {
        if !self.relayed.is_empty() && self.client.delete(self.at(now)).is_ok() {
            // There is nobody to wait for the crate's pace any more: it is told that the time has passed.
            for turn in 0..MAX_LAST_REQUESTS {
                let at = self.at(now + turn * CADENCE);
                while let Some(transmit) = self.client.poll_transmit(at) {
                    self.push(transmit.data.to_vec());
                }
            }
        }
        self.ended = true;
    }

    pub(super) fn poll_outgoing(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub(super) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let again = self.permissions.iter().filter_map(|asked| asked.again_at);
        let again = again.chain(self.channels.iter().filter_map(|asked| asked.again_at));
        (!self.ended).then(|| again.chain(self.next).chain(self.until).min()).flatten()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        if self.until.is_some_and(|until| now >= until) {
            let said = self.said.take().unwrap_or_else(|| "did not answer".to_owned());
            self.end(said);
            return;
        }
        let due = |again_at: Option<Instant>| again_at.is_some_and(|at| now >= at);
        for place in 0..self.permissions.len() {
            if due(self.permissions[place].again_at) {
                self.permissions[place].again_at = None;
                self.ask_permission(now, self.permissions[place].what);
            }
        }
        for place in 0..self.channels.len() {
            if due(self.channels[place].again_at) {
                self.channels[place].again_at = None;
                self.ask_channel(now, self.channels[place].what);
            }
        }
        self.drive(now);
    }

    fn at(&self, now: Instant) -> TurnInstant {
        let since = now.saturating_duration_since(self.epoch);
        TurnInstant::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn ask_permission(&mut self, now: Instant, peer: IpAddr) {
        let at = self.at(now);
        // It fails only for one that is there, or with the whole allocation, which ends by itself.
        let _ = self.client.create_permission(TransportType::Udp, peer, at);
        self.drive(now);
    }

    fn ask_channel(&mut self, now: Instant, peer: SocketAddr) {
        let at = self.at(now);
        match self.client.bind_channel(TransportType::Udp, peer, at) {
            Ok(()) | Err(BindChannelError::AlreadyExists) => {}
            Err(_) => self.channel_lost(peer, now),
        }
        self.drive(now);
    }

    fn receive(&mut self, now: Instant, bytes: &[u8]) -> Received {
        let at = self.at(now);
        let transport = self.client.transport();
        match self.client.recv(Transmit::new(bytes, transport, self.to, self.local), at) {
            TurnRecvRet::PeerData(data) => {
                Received::Data { peer: data.peer, bytes: Bytes::copy_from_slice(data.data()) }
            }
            TurnRecvRet::Ignored(_) => Received::Ignored,
            TurnRecvRet::Handled | TurnRecvRet::PeerIcmp { .. } => Received::Handled,
        }
    }

    /// The crate tells that an allocation failed, not why, and waits long after a wrong password.
    fn watch_errors(&mut self, bytes: &[u8]) {
        if !stun::is_stun(bytes) || !self.is_pending() {
            return;
        }
        let Some(message) = Message::parse(bytes).filter(|message| message.class == Class::Error) else {
            return;
        };
        let Some((code, text)) = message.error() else { return };
        match code {
            STALE_NONCE => {}
            UNAUTHORIZED => {
                // The first request may have been repeated, and each copy is answered.
                if *self.challenged.get_or_insert(message.transaction) != message.transaction {
                    self.end("answered 401: the user name or the credential is wrong".to_owned());
                }
            }
            _ => self.said = Some(format!("answered {code} {text}")),
        }
    }

    fn drive(&mut self, now: Instant) {
        let at = self.at(now);
        for _ in 0..MAX_ROUNDS {
            if self.ended {
                return;
            }
            while let Some(transmit) = self.client.poll_transmit(at) {
                self.push(transmit.data.to_vec());
            }
            while let Some(event) = self.client.poll_event() {
                self.take_event(now, event);
            }
            match self.client.poll(at) {
                TurnPollRet::WaitUntil(due) if due > at => {
                    self.next = Some(now + due.duration_since(at));
                    return;
                }
                TurnPollRet::Closed => {
                    let said = self.said.take();
                    self.end(said.unwrap_or_else(|| "ended the allocation".to_owned()));
                }
                TurnPollRet::WaitUntil(_)
                | TurnPollRet::AllocateTcpSocket { .. }
                | TurnPollRet::TcpClose { .. } => {}
            }
        }
        self.next = Some(now + Duration::from_millis(10));
    }

    fn take_event(&mut self, now: Instant, event: TurnEvent) {
        match event {
            TurnEvent::AllocationCreated(_, relayed) => {
                self.until = None;
                self.relayed.push(relayed);
                self.news.push_back(News::Allocated(relayed));
            }
            TurnEvent::AllocationCreateFailed(_) => {
                self.refused_families += 1;
                if self.relayed.is_empty() && self.refused_families > 1 {
                    let said = self.said.take();
                    self.end(said.unwrap_or_else(|| "refused an address".to_owned()));
                }
            }
            TurnEvent::PermissionCreated(_, ip) => {
                let held: Vec<_> = self.held.extract_if(.., |(peer, _)| peer.ip() == ip).collect();
                for (peer, bytes) in held {
                    self.send(now, peer, &bytes);
                }
            }
            TurnEvent::PermissionCreateFailed(_, ip) => {
                for asked in self.permissions.iter_mut().filter(|asked| asked.what == ip) {
                    asked.again_at = Some(now + ASK_AGAIN);
                }
            }
            TurnEvent::ChannelCreateFailed(_, peer) => self.channel_lost(peer, now),
            _ => {}
        }
    }

    fn channel_lost(&mut self, peer: SocketAddr, now: Instant) {
        for asked in self.channels.iter_mut().filter(|asked| asked.what == peer) {
            asked.again_at = Some(now + ASK_AGAIN);
        }
    }

    fn push(&mut self, mut packet: Vec<u8>) {
        if matches!(self.link, Link::Stream(_)) {
            framing::pad_for_stream(&mut packet);
        }
        self.outgoing.push_back(packet);
    }
}
