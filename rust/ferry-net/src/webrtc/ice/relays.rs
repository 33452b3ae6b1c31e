//! All allocations of a connection, over sockets and streams, and the streams that are being opened for them.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::gathering::{Gathering, PATIENCE};
use super::relay::{self, Link, News, Relay};
use super::server::{Kind, Transport};
use super::session::Way;
use super::{MAX_TRANSMITS, Token, Tokens, Transmit, Via, Want};

/// Allocations at once: a server counts them against its user, and each costs packets to keep.
const MAX_RELAYS: usize = 8;

/// What the agent must know.
#[derive(Debug)]
pub(super) enum Notice {
    Want(Want),
    /// A relayed address; `local` decides which of several is preferred.
    Allocated {
        local: SocketAddr,
        relayed: SocketAddr,
    },
    Lost {
        relayed: Vec<SocketAddr>,
    },
    Trouble {
        server: usize,
        text: String,
    },
}

/// What became of a datagram.
pub(super) enum Received {
    Handled,
    Ignored,
    /// A packet of the peer's, on the way that it came to the server.
    Data(Way, Bytes),
}

/// A stream that is being opened.
struct Opening {
    token: Token,
    server: usize,
    to: SocketAddr,
    tls_name: Option<String>,
    /// Where else the server may be.
    others: VecDeque<SocketAddr>,
    until: Instant,
}

#[derive(Default)]
pub(super) struct Relays {
    relays: Vec<Relay>,
    opening: Vec<Opening>,
    notices: VecDeque<Notice>,
}

impl Relays {
    /// Asks a server for addresses over UDP, unless that has been done.
    pub(super) fn allocate(
        &mut self,
        now: Instant,
        server: usize,
        base: SocketAddr,
        to: SocketAddr,
        gathering: &Gathering,
    ) {
        let there = self.relays.iter().any(|relay| relay.is_from(base, to));
        if !there {
            self.add(now, server, (base, to, Link::Socket), gathering);
        }
    }

    /// Opens a stream to a server, unless there is one.
    pub(super) fn open_stream(
        &mut self,
        now: Instant,
        server: usize,
        addresses: Vec<SocketAddr>,
        gathering: &Gathering,
        tokens: &mut Tokens,
    ) {
        let there = |relay: &Relay| relay.server == server && relay.link != Link::Socket;
        let opening = self.opening.iter().any(|opening| opening.server == server);
        if opening || self.relays.iter().any(there) {
            return;
        }
        let named = gathering.server(server);
        let tls_name = (named.transport == Transport::Tls).then(|| named.host.clone());
        self.open_next(server, addresses.into(), tls_name, now + PATIENCE, tokens);
    }

    pub(super) fn stream_opened(
        &mut self,
        now: Instant,
        token: Token,
        local: SocketAddr,
        gathering: &Gathering,
    ) {
        match self.opening.iter().position(|opening| opening.token == token) {
            Some(place) => {
                let Opening { server, to, .. } = self.opening.swap_remove(place);
                self.add(now, server, (local, to, Link::Stream(token)), gathering);
            }
            None => self.notices.push_back(Notice::Want(Want::CloseStream { token })),
        }
    }

    pub(super) fn stream_received(
        &mut self,
        now: Instant,
        token: Token,
        bytes: &[u8],
        packets: &mut Vec<(Way, Bytes)>,
    ) {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.link == Link::Stream(token)) else {
            return;
        };
        let relayed = relay.relayed().to_vec();
        relay.handle_stream(now, bytes, |peer, bytes| {
            if let Some(local) = relayed.iter().find(|local| local.is_ipv4() == peer.is_ipv4()) {
                packets.push((Way { local: *local, remote: peer }, bytes));
            }
        });
        self.collect();
    }

    pub(super) fn stream_ended(&mut self, now: Instant, token: Token, why: &str, tokens: &mut Tokens) {
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.link == Link::Stream(token)) {
            relay.end(format!("the stream ended: {why}"));
            self.collect();
        }
        if let Some(place) = self.opening.iter().position(|opening| opening.token == token) {
            let Opening { server, others, tls_name, until, .. } = self.opening.swap_remove(place);
            if others.is_empty() || now >= until {
                let text = format!("could not be reached: {why}");
                self.notices.push_back(Notice::Trouble { server, text });
            } else {
                self.open_next(server, others, tls_name, until, tokens);
            }
        }
    }

    pub(super) fn base_lost(&mut self, base: SocketAddr) {
        for relay in self.relays.iter_mut().filter(|relay| relay.link == Link::Socket && relay.local == base)
        {
            relay.end("the socket is gone".to_owned());
        }
        self.collect();
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, way: Way, bytes: &[u8]) -> Received {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.is_from(way.local, way.remote)) else {
            return Received::Ignored;
        };
        match relay.handle_datagram(now, bytes) {
            relay::Received::Ignored => Received::Ignored,
            relay::Received::Handled => {
                self.collect();
                Received::Handled
            }
            relay::Received::Data { peer, bytes } => match relay.relayed_for(peer) {
                Some(local) => Received::Data(Way { local, remote: peer }, bytes),
                None => Received::Handled,
            },
        }
    }

    pub(super) fn is_from(&self, way: Way) -> bool {
        self.relays.iter().any(|relay| relay.is_from(way.local, way.remote))
    }

    /// Whether an address of ours is at a relay.
    pub(super) fn is_relayed(&self, local: SocketAddr) -> bool {
        self.relays.iter().any(|relay| relay.relayed().contains(&local))
    }

    /// Whether an allocation may still come.
    pub(super) fn is_pending(&self) -> bool {
        !self.opening.is_empty() || self.relays.iter().any(Relay::is_pending)
    }

    pub(super) fn permit(&mut self, now: Instant, peer: IpAddr) {
        for relay in &mut self.relays {
            relay.permit(now, peer);
        }
    }

    /// The peer tells its candidates anew.
    pub(super) fn forget_peers(&mut self) {
        for relay in &mut self.relays {
            relay.forget_peers();
        }
    }

    pub(super) fn bind(&mut self, now: Instant, way: Way) {
        if let Some(relay) = self.relays.iter_mut().find(|relay| relay.relayed().contains(&way.local)) {
            relay.bind(now, way.remote);
        }
    }

    /// Sends a packet from an address at a relay; false if the server would not pass it on.
    pub(super) fn send(
        &mut self,
        now: Instant,
        way: Way,
        bytes: &[u8],
        transmits: &mut VecDeque<Transmit>,
    ) -> bool {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.relayed().contains(&way.local)) else {
            return false;
        };
        let sent = relay.send(now, way.remote, bytes);
        drain(relay, transmits);
        sent
    }

    pub(super) fn take_transmits(&mut self, transmits: &mut VecDeque<Transmit>) {
        for relay in &mut self.relays {
            drain(relay, transmits);
        }
        self.collect();
        self.relays.retain(|relay| !relay.has_ended());
    }

    pub(super) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let opening = self.opening.iter().map(|opening| opening.until);
        opening.chain(self.relays.iter().filter_map(Relay::poll_timeout)).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, tokens: &mut Tokens) {
        for relay in &mut self.relays {
            relay.handle_timeout(now);
        }
        while let Some(late) = self.opening.iter().find(|opening| now >= opening.until) {
            let token = late.token;
            self.notices.push_back(Notice::Want(Want::CloseStream { token }));
            self.stream_ended(now, token, "no connection in time", tokens);
        }
        self.collect();
    }

    /// Gives everything back.
    pub(super) fn release(&mut self, now: Instant) {
        for relay in &mut self.relays {
            relay.release(now);
        }
        let tokens = self.relays.iter().filter_map(|relay| match relay.link {
            Link::Stream(token) => Some(token),
            Link::Socket => None,
        });
        let tokens: Vec<Token> = tokens.chain(self.opening.drain(..).map(|opening| opening.token)).collect();
        self.notices.extend(tokens.into_iter().map(|token| Notice::Want(Want::CloseStream { token })));
    }

    fn add(
        &mut self,
        now: Instant,
        server: usize,
        way: (SocketAddr, SocketAddr, Link),
        gathering: &Gathering,
    ) {
        let Kind::Turn { username, password } = &gathering.server(server).kind else { return };
        if self.relays.len() < MAX_RELAYS {
            self.relays.push(Relay::new(now, server, (username, password), way, PATIENCE));
            self.collect();
        } else if let Link::Stream(token) = way.2 {
            self.notices.push_back(Notice::Want(Want::CloseStream { token }));
        }
    }

    fn open_next(
        &mut self,
        server: usize,
        mut others: VecDeque<SocketAddr>,
        tls_name: Option<String>,
        until: Instant,
        tokens: &mut Tokens,
    ) {
        let Some(to) = others.pop_front() else { return };
        let token = tokens.draw();
        let want = Want::OpenStream { token, address: to, tls_name: tls_name.clone() };
        self.notices.push_back(Notice::Want(want));
        self.opening.push(Opening { token, server, to, tls_name, others, until });
    }

    fn collect(&mut self) {
        for relay in &mut self.relays {
            while let Some(news) = relay.poll_news() {
                match news {
                    News::Allocated(relayed) => {
                        let local = preference(relay.link, relayed, relay.local);
                        self.notices.push_back(Notice::Allocated { local, relayed });
                    }
                    News::Ended(text) => {
                        if let Link::Stream(token) = relay.link {
                            self.notices.push_back(Notice::Want(Want::CloseStream { token }));
                        }
                        self.notices.push_back(Notice::Lost { relayed: relay.relayed().to_vec() });
                        self.notices.push_back(Notice::Trouble { server: relay.server, text });
                    }
                }
            }
        }
    }
}

/// The local address that the ICE crate is told. It prefers relayed addresses of the local one's family: a stream, behind
/// one lost packet of which all others wait, is told as of the other.
fn preference(link: Link, relayed: SocketAddr, local: SocketAddr) -> SocketAddr {
    match (link, relayed) {
        (Link::Socket, _) => local,
        (Link::Stream(_), SocketAddr::V4(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        (Link::Stream(_), SocketAddr::V6(_)) => (Ipv4Addr::UNSPECIFIED, 0).into(),
    }
}

fn drain(relay: &mut Relay, transmits: &mut VecDeque<Transmit>) {
    let by = match relay.link {
        Link::Socket => Via::Socket { local: relay.local, remote: relay.to },
        Link::Stream(token) => Via::Stream(token),
    };
    while let Some(bytes) = relay.poll_outgoing() {
        if transmits.len() < MAX_TRANSMITS {
            transmits.push_back(Transmit { by, bytes });
        }
    }
}
