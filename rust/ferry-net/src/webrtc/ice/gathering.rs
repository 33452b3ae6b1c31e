//! Finding out where we may be reached: looks up the servers, asks STUN servers what address they see (RFC 8445, section
//! 5.1.1), and says when and from where a relay is to be asked for.
//!
//! Every server is asked once from each base of its address family, loopback bases only servers on the own machine. Each
//! question has [`PATIENCE`]; when all have ended, gathering is complete. The answers come from servers that the game
//! chose, or from whoever sees the question: one answers for one base once, so that there is at most one candidate each.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::server::{Kind, Server, Transport};
use super::session::Way;
use super::stun::{self, Message, Transaction};
use super::{Token, Tokens};

/// How long a look-up, a STUN server or an allocation may take. Whatever answers later is not waited for by anybody.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A question is repeated after this, then after twice as long.
const RETRY: Duration = Duration::from_millis(200);
const SLOWEST_RETRY: Duration = Duration::from_millis(1600);

/// Servers that are asked; browsers warn at five.
const MAX_SERVERS: usize = 16;

/// Questions in all: bases times servers, on a machine with many networks.
const MAX_QUERIES: usize = 128;

/// Addresses tried of a server that is reached by a stream.
const MAX_STREAM_ADDRESSES: usize = 4;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Step {
    Resolve {
        token: Token,
        name: String,
    },
    Send {
        way: Way,
        bytes: Vec<u8>,
    },
    /// A server saw packets of the base come from there.
    Reflexive {
        base: SocketAddr,
        mapped: SocketAddr,
    },
    /// An allocation over UDP.
    Allocate {
        server: usize,
        base: SocketAddr,
        to: SocketAddr,
    },
    /// An allocation over a stream, to the first of the addresses that can be reached.
    Stream {
        server: usize,
        addresses: Vec<SocketAddr>,
    },
    Trouble {
        server: usize,
        text: String,
    },
}

struct Host {
    name: String,
    state: Lookup,
}

enum Lookup {
    Unasked,
    Asked { token: Token, until: Instant },
    Found(Vec<IpAddr>),
    Failed,
}

struct Query {
    server: usize,
    way: Way,
    transaction: Transaction,
    next: Instant,
    wait: Duration,
    until: Instant,
}

/// See the module.
pub(super) struct Gathering {
    servers: Vec<Server>,
    /// The host of each server, by number in `hosts`.
    host_of: Vec<usize>,
    hosts: Vec<Host>,
    relay_only: bool,
    bases: Vec<SocketAddr>,
    /// Those of them that only relays are reached by; if there are any, by these alone.
    for_relays: Vec<SocketAddr>,
    bases_complete: bool,
    /// Questions that wait for an answer.
    queries: Vec<Query>,
    asked: usize,
    /// Servers whose streams have been asked for.
    streams: Vec<usize>,
    answered: Vec<bool>,
    steps: VecDeque<Step>,
}

impl Gathering {
    pub(super) fn new(mut servers: Vec<Server>, relay_only: bool) -> Gathering {
        servers.truncate(MAX_SERVERS);
        let mut hosts: Vec<Host> = Vec::new();
        let mut host_of = Vec::new();
        for server in &servers {
            let place = hosts.iter().position(|host| host.name == server.host).unwrap_or_else(|| {
                let state = match server.host.parse::<IpAddr>() {
                    Ok(ip) => Lookup::Found(vec![ip.to_canonical()]),
                    Err(_) => Lookup::Unasked,
                };
                hosts.push(Host { name: server.host.clone(), state });
                hosts.len() - 1
            });
            host_of.push(place);
        }
        let answered = vec![false; servers.len()];
        let mut steps = VecDeque::new();
        for (server, named) in servers.iter().enumerate() {
            if named.kind == Kind::Stun && named.transport != Transport::Udp {
                let text = "a STUN server that is not asked over UDP says nothing about UDP".to_owned();
                steps.push_back(Step::Trouble { server, text });
            }
        }
        Gathering {
            servers,
            host_of,
            hosts,
            relay_only,
            bases: Vec::new(),
            for_relays: Vec::new(),
            bases_complete: false,
            queries: Vec::new(),
            asked: 0,
            streams: Vec::new(),
            answered,
            steps,
        }
    }

    pub(super) fn server(&self, server: usize) -> &Server {
        &self.servers[server]
    }

    pub(super) fn add_base(&mut self, now: Instant, base: SocketAddr, tokens: &mut Tokens) {
        self.bases.push(base);
        self.look_up(now, tokens);
        for server in 0..self.servers.len() {
            self.ask(now, server, base);
        }
    }

    pub(super) fn add_base_for_relays(&mut self, now: Instant, base: SocketAddr, tokens: &mut Tokens) {
        self.for_relays.push(base);
        self.add_base(now, base, tokens);
    }

    pub(super) fn bases_complete(&mut self, now: Instant, tokens: &mut Tokens) {
        self.bases_complete = true;
        self.look_up(now, tokens);
        self.open_streams();
    }

    pub(super) fn base_lost(&mut self, base: SocketAddr) {
        self.bases.retain(|known| *known != base);
        self.queries.retain(|query| query.way.local != base);
    }

    /// Asks everybody again: what the servers see may have changed.
    pub(super) fn restart(&mut self, now: Instant, tokens: &mut Tokens) {
        self.queries.clear();
        self.asked = 0;
        self.streams.clear();
        self.answered.fill(false);
        for host in &mut self.hosts {
            if matches!(host.state, Lookup::Failed) {
                host.state = Lookup::Unasked;
            }
        }
        self.look_up(now, tokens);
        for base in self.bases.clone() {
            for server in 0..self.servers.len() {
                self.ask(now, server, base);
            }
        }
        self.open_streams();
    }

    /// The answer of a look-up; false if it is another's.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        token: Token,
        found: &Result<Vec<IpAddr>, String>,
    ) -> bool {
        let asked = |host: &Host| matches!(host.state, Lookup::Asked { token: asked, .. } if asked == token);
        let Some(place) = self.hosts.iter().position(asked) else { return false };
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                let addresses = addresses.iter().map(IpAddr::to_canonical).collect();
                self.hosts[place].state = Lookup::Found(addresses);
                for server in 0..self.servers.len() {
                    for base in self.bases.clone() {
                        if self.host_of[server] == place {
                            self.ask(now, server, base);
                        }
                    }
                }
                self.open_streams();
            }
            Ok(_) => self.lookup_failed(place, "its name has no address"),
            Err(why) => self.lookup_failed(place, why),
        }
        true
    }

    /// An answer of a STUN server; false if nobody was asked for it.
    pub(super) fn answer(&mut self, way: Way, message: &Message<'_>) -> bool {
        let asked = |query: &Query| query.transaction == message.transaction && query.way == way;
        let Some(place) = self.queries.iter().position(asked).filter(|_| message.is_binding()) else {
            return false;
        };
        if !message.is_answer() {
            return false;
        }
        let query = self.queries.swap_remove(place);
        match (message.mapped_address(), message.error()) {
            (Some(mapped), None) => {
                self.answered[query.server] = true;
                self.steps.push_back(Step::Reflexive { base: way.local, mapped });
            }
            (_, Some((code, text))) => {
                self.trouble_with_stun(query.server, format!("answered {code} {text}"));
            }
            (None, None) => self.trouble_with_stun(query.server, "answered without an address".to_owned()),
        }
        true
    }

    /// Whether all questions have ended; relays are not counted here.
    pub(super) fn is_complete(&self) -> bool {
        let looking = self.hosts.iter().any(|host| matches!(host.state, Lookup::Asked { .. }));
        self.bases_complete && !looking && self.queries.is_empty() && self.steps.is_empty()
    }

    pub(super) fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lookups = self.hosts.iter().filter_map(|host| match host.state {
            Lookup::Asked { until, .. } => Some(until),
            _ => None,
        });
        lookups.chain(self.queries.iter().map(|query| query.next.min(query.until))).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for place in 0..self.hosts.len() {
            if matches!(self.hosts[place].state, Lookup::Asked { until, .. } if now >= until) {
                self.lookup_failed(place, "its name was not found in time");
            }
        }
        for query in self.queries.iter_mut().filter(|query| now >= query.next && now < query.until) {
            query.next = now + query.wait;
            query.wait = (query.wait * 2).min(SLOWEST_RETRY);
            let bytes = stun::binding_request(query.transaction);
            self.steps.push_back(Step::Send { way: query.way, bytes });
        }
        while let Some(place) = self.queries.iter().position(|query| now >= query.until) {
            let server = self.queries.swap_remove(place).server;
            let silent = !self.answered[server] && self.queries.iter().all(|query| query.server != server);
            if silent {
                self.trouble_with_stun(server, "did not answer".to_owned());
            }
        }
    }

    fn look_up(&mut self, now: Instant, tokens: &mut Tokens) {
        for host in self.hosts.iter_mut().filter(|host| matches!(host.state, Lookup::Unasked)) {
            let token = tokens.draw();
            host.state = Lookup::Asked { token, until: now + PATIENCE };
            self.steps.push_back(Step::Resolve { token, name: host.name.clone() });
        }
    }

    fn lookup_failed(&mut self, place: usize, why: &str) {
        self.hosts[place].state = Lookup::Failed;
        for server in (0..self.servers.len()).filter(|server| self.host_of[*server] == place) {
            self.steps.push_back(Step::Trouble { server, text: why.to_owned() });
        }
    }

    fn ask(&mut self, now: Instant, server: usize, base: SocketAddr) {
        let named = &self.servers[server];
        if named.transport != Transport::Udp {
            return;
        }
        let Some(ip) = self.addresses(server).find(|ip| reaches(base, *ip)) else { return };
        let to = SocketAddr::new(ip, named.port);
        let only_relays = self.for_relays.contains(&base);
        if matches!(named.kind, Kind::Turn { .. }) && (only_relays || self.for_relays.is_empty()) {
            self.steps.push_back(Step::Allocate { server, base, to });
        }
        // A relay also answers the plain question, and saves the game a second server.
        if !only_relays && !self.relay_only && self.asked < MAX_QUERIES {
            self.asked += 1;
            let transaction = stun::fresh_transaction();
            let way = Way { local: base, remote: to };
            let (next, until) = (now + RETRY, now + PATIENCE);
            self.queries.push(Query { server, way, transaction, next, wait: RETRY * 2, until });
            self.steps.push_back(Step::Send { way, bytes: stun::binding_request(transaction) });
        }
    }

    /// Streams do not come from a base; but where only the own machine can be reached, no others are opened.
    fn open_streams(&mut self) {
        if !self.bases_complete {
            return;
        }
        for server in 0..self.servers.len() {
            let named = &self.servers[server];
            let over_stream = named.transport != Transport::Udp && matches!(named.kind, Kind::Turn { .. });
            if !over_stream || self.streams.contains(&server) {
                continue;
            }
            let anywhere = self.bases.is_empty() || self.bases.iter().any(|base| !base.ip().is_loopback());
            let addresses: Vec<SocketAddr> = self
                .addresses(server)
                .filter(|ip| anywhere || ip.is_loopback())
                .map(|ip| SocketAddr::new(ip, named.port))
                .take(MAX_STREAM_ADDRESSES)
                .collect();
            if !addresses.is_empty() {
                self.streams.push(server);
                self.steps.push_back(Step::Stream { server, addresses });
            }
        }
    }

    fn addresses(&self, server: usize) -> impl Iterator<Item = IpAddr> {
        let found: &[IpAddr] = match &self.hosts[self.host_of[server]].state {
            Lookup::Found(addresses) => addresses,
            _ => &[],
        };
        found.iter().copied()
    }

    /// That a relay does not also answer plain questions is nobody's trouble.
    fn trouble_with_stun(&mut self, server: usize, text: String) {
        if self.servers[server].kind == Kind::Stun {
            self.steps.push_back(Step::Trouble { server, text });
        }
    }
}

fn reaches(base: SocketAddr, server: IpAddr) -> bool {
    base.is_ipv4() == server.is_ipv4() && (server.is_loopback() || !base.ip().is_loopback())
}
