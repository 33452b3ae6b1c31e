//! What a host costs, beside rusty_enet 0.4.1 (a mechanical translation of the C library), in processor time.
//!
//! Both run the same load in one process, in turns: a round of one, a round of the other, and so on; a figure is the
//! median over the rounds, a ratio the median of the rounds' ratios with their quartiles behind. Time is virtual, 60
//! ticks a second; the network is a flat queue, and moving datagrams through it is not measured: what is, is the same
//! for both, one copy of each datagram in and one out, as a socket would do it.
//!
//! A tick of a host is what a game does in a frame: queue its packets, then serve its host once. With rusty_enet that
//! is `service()` until it has no event any more, as its documentation shows; with ferry-enet it is the driving order
//! of its documentation. What a game pays to make packets of its bytes and to look at those that came is in it.
//!
//! Run with `cargo bench -p ferry-enet --bench beside_rusty_enet`; `-- --quick` takes seconds, and a word picks the
//! loads whose name it is part of.

use std::cell::Cell;
use std::convert::Infallible;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use cpu_time::ThreadTime;
use ferry_enet::{Config, Event, Host, Mode, PeerId, Timestamp};
use rusty_enet as rusty;

const TICK_US: u64 = 16_667;
const PACKET_LEN: usize = 64;
/// What the largest datagram takes.
const BUFFER_LEN: usize = 4096;
/// Clients connect over so many ticks, so that their pings do not all fall on one.
const JOIN_TICKS: usize = 30;

/// A place on the network: 0 is the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Node(u16);

impl ferry_enet::Address for Node {
    type Host = u16;

    fn host(&self) -> u16 {
        self.0
    }
}

impl rusty::Address for Node {
    fn same_host(&self, other: &Self) -> bool {
        self == other
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }

    fn is_broadcast(&self) -> bool {
        false
    }
}

/// Datagrams one behind the other: as cheap as a network can be.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    /// Where from or where to, and where it ends in `bytes`.
    datagrams: Vec<(Node, usize)>,
    taken: usize,
}

impl Pipe {
    fn push(&mut self, node: Node, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push((node, self.bytes.len()));
    }

    fn take(&mut self) -> Option<(Node, &[u8])> {
        let (node, end) = *self.datagrams.get(self.taken)?;
        let start = self.taken.checked_sub(1).map_or(0, |before| self.datagrams[before].1);
        self.taken += 1;
        Some((node, &self.bytes[start..end]))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
        self.taken = 0;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Reliable,
    Unreliable,
    Unsequenced,
}

/// One host of either crate, with its end of the network.
trait Machine {
    fn new(peers: usize, clock: &Clock) -> Self;
    fn inbox(&mut self) -> &mut Pipe;
    fn outbox(&mut self) -> &mut Pipe;
    fn connect(&mut self, to: Node);
    fn peers(&self) -> usize;
    fn send(&mut self, peer: usize, kind: Kind, payload: &[u8]);
    fn broadcast(&mut self, kind: Kind, payload: &[u8]);
    /// Serves the host once. Returns how many packets came.
    fn service(&mut self) -> u64;
}

/// The time, shared by all. ferry-enet is told it, rusty_enet asks for it.
#[derive(Clone, Default)]
struct Clock {
    now_us: Rc<Cell<u64>>,
    /// Let rusty_enet ask the system as well, as it does by default.
    system: bool,
}

struct Ferry {
    host: Host<Node>,
    clock: Clock,
    peers: Vec<PeerId>,
    inbox: Pipe,
    outbox: Pipe,
    buffer: Vec<u8>,
}

impl Machine for Ferry {
    fn new(peers: usize, clock: &Clock) -> Self {
        let mut serial = 0_u32;
        let random = move || {
            serial = serial.wrapping_add(0x9E37_79B9);
            serial
        };
        let config = Config { max_peers: peers, ..Config::default() };
        Self {
            host: Host::new(config, random).expect("a good configuration"),
            clock: clock.clone(),
            peers: Vec::new(),
            inbox: Pipe::default(),
            outbox: Pipe::default(),
            buffer: vec![0; BUFFER_LEN],
        }
    }

    fn inbox(&mut self) -> &mut Pipe {
        &mut self.inbox
    }

    fn outbox(&mut self) -> &mut Pipe {
        &mut self.outbox
    }

    fn connect(&mut self, to: Node) {
        self.host.connect(to, 2, 0).expect("room for a connection");
    }

    fn peers(&self) -> usize {
        self.peers.len()
    }

    fn send(&mut self, peer: usize, kind: Kind, payload: &[u8]) {
        let payload = bytes::Bytes::copy_from_slice(payload);
        self.host.send(self.peers[peer], 0, kind.mode(), payload).expect("a connected peer");
    }

    fn broadcast(&mut self, kind: Kind, payload: &[u8]) {
        let payload = bytes::Bytes::copy_from_slice(payload);
        self.host.broadcast(0, kind.mode(), &payload);
    }

    fn service(&mut self) -> u64 {
        let now = Timestamp::from_micros(self.clock.now_us.get());
        while let Some((from, datagram)) = self.inbox.take() {
            // A socket would have copied it too.
            let len = datagram.len();
            self.buffer[..len].copy_from_slice(datagram);
            self.host.handle_input(now, from, &self.buffer[..len]);
        }
        if self.host.poll_timeout().is_some_and(|at| at <= now) {
            self.host.handle_timeout(now);
        }
        let mut received = 0;
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Received { payload, .. } => {
                    black_box(&payload[..]);
                    received += 1;
                }
                Event::Connected { peer, .. } => self.peers.push(peer),
                Event::Disconnected { reason, .. } => panic!("a connection ended: {reason:?}"),
            }
        }
        while let Some(transmit) = self.host.poll_transmit(now, &mut self.buffer) {
            self.outbox.push(transmit.to, &self.buffer[..transmit.len]);
        }
        received
    }
}

impl Kind {
    fn mode(self) -> Mode {
        match self {
            Self::Reliable => Mode::Reliable,
            Self::Unreliable => Mode::Unreliable,
            Self::Unsequenced => Mode::Unsequenced,
        }
    }

    fn packet_kind(self) -> rusty::PacketKind {
        match self {
            Self::Reliable => rusty::PacketKind::Reliable,
            Self::Unreliable => rusty::PacketKind::AlwaysUnreliable { sequenced: true },
            Self::Unsequenced => rusty::PacketKind::AlwaysUnreliable { sequenced: false },
        }
    }
}

#[derive(Default)]
struct Socket {
    inbox: Pipe,
    outbox: Pipe,
}

impl rusty::Socket for Socket {
    type Address = Node;
    type Error = Infallible;

    fn send(&mut self, address: Node, buffer: &[u8]) -> Result<usize, Infallible> {
        self.outbox.push(address, buffer);
        Ok(buffer.len())
    }

    fn receive(
        &mut self,
        buffer: &mut [u8; rusty::MTU_MAX],
    ) -> Result<Option<(Node, rusty::PacketReceived)>, Infallible> {
        Ok(self.inbox.take().map(|(from, datagram)| {
            buffer[..datagram.len()].copy_from_slice(datagram);
            (from, rusty::PacketReceived::Complete(datagram.len()))
        }))
    }
}

struct Rusty {
    host: rusty::Host<Socket>,
    peers: Vec<rusty::PeerID>,
}

impl Machine for Rusty {
    fn new(peers: usize, clock: &Clock) -> Self {
        let clock = clock.clone();
        let time = move || {
            if clock.system {
                black_box(rusty::time_since_epoch());
            }
            Duration::from_micros(clock.now_us.get())
        };
        let settings = rusty::HostSettings {
            peer_limit: peers,
            time: Box::new(time),
            seed: Some(1),
            ..rusty::HostSettings::default()
        };
        let mut host = rusty::Host::new(Socket::default(), settings).expect("good settings");
        host.set_mtu(Config::default().mtu).expect("a good MTU");
        Self { host, peers: Vec::new() }
    }

    fn inbox(&mut self) -> &mut Pipe {
        &mut self.host.socket_mut().inbox
    }

    fn outbox(&mut self) -> &mut Pipe {
        &mut self.host.socket_mut().outbox
    }

    fn connect(&mut self, to: Node) {
        self.host.connect(to, 2, 0).expect("room for a connection");
    }

    fn peers(&self) -> usize {
        self.peers.len()
    }

    fn send(&mut self, peer: usize, kind: Kind, payload: &[u8]) {
        let packet = rusty::Packet::new(payload, kind.packet_kind());
        self.host.peer_mut(self.peers[peer]).send(0, &packet).expect("a connected peer");
    }

    fn broadcast(&mut self, kind: Kind, payload: &[u8]) {
        self.host.broadcast(0, &rusty::Packet::new(payload, kind.packet_kind()));
    }

    fn service(&mut self) -> u64 {
        let mut received = 0;
        // It takes in 256 datagrams at most before it says that nothing happened.
        loop {
            let before = self.host.socket_mut().inbox.taken;
            while let Some(event) = self.host.service().expect("a socket that cannot fail") {
                match event {
                    rusty::Event::Receive { packet, .. } => {
                        black_box(packet.data());
                        received += 1;
                    }
                    rusty::Event::Connect { peer, .. } => self.peers.push(peer.id()),
                    rusty::Event::Disconnect { data, .. } => panic!("a connection ended: {data}"),
                }
            }
            let inbox = &self.host.socket_mut().inbox;
            if inbox.taken == inbox.datagrams.len() || inbox.taken == before {
                return received;
            }
        }
    }
}

/// What is sent, each tick.
#[derive(Clone, Copy, PartialEq)]
enum Traffic {
    /// The server sends these to each client, each client the last one to the server.
    Each([Kind; 4]),
    /// The server sends four packets to all.
    Broadcast(Kind),
    /// Nothing but pings.
    Idle,
    /// The server sends this many bytes to each client as fast as they go, in reliable packets of 64 KiB.
    Bulk(usize),
}

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    traffic: Traffic,
    clients: &'static [usize],
    /// The server is served once for each datagram that comes.
    eager: bool,
    /// rusty_enet asks the system for the time.
    system_clock: bool,
}

const fn load(name: &'static str, traffic: Traffic, clients: &'static [usize]) -> Load {
    Load { name, traffic, clients, eager: false, system_clock: false }
}

const UNSEQUENCED: Traffic = Traffic::Each([Kind::Unsequenced; 4]);
const RELIABLE: Traffic = Traffic::Each([Kind::Reliable; 4]);
const MIX: Traffic = Traffic::Each([Kind::Unsequenced, Kind::Reliable, Kind::Unreliable, Kind::Unreliable]);
const MEBIBYTE: usize = 1024 * 1024;
const CROWDS: &[usize] = &[32, 512, 1000];

const LOADS: &[Load] = &[
    load("unsequenced", UNSEQUENCED, CROWDS),
    load("reliable", RELIABLE, CROWDS),
    load("broadcast", Traffic::Broadcast(Kind::Unreliable), CROWDS),
    load("broadcast-reliable", Traffic::Broadcast(Kind::Reliable), CROWDS),
    load("mix", MIX, CROWDS),
    Load { system_clock: true, ..load("mix-system-clock", MIX, CROWDS) },
    Load { eager: true, ..load("mix-eager-service", MIX, &[32, 512]) },
    load("idle", Traffic::Idle, CROWDS),
    load("bulk-16-MiB", Traffic::Bulk(16 * MEBIBYTE), &[1]),
];

/// A server and its clients.
struct World<M> {
    clock: Clock,
    server: M,
    clients: Vec<M>,
    load: Load,
    queued: usize,
    arrived: usize,
}

/// What so many ticks took.
#[derive(Clone, Copy, Default)]
struct Cost {
    server: Duration,
    clients: Duration,
    ticks: u32,
    /// Packets that the server sent, as its clients got them, and got.
    packets: u64,
    datagrams_out: u64,
    datagrams_in: u64,
}

impl<M: Machine> World<M> {
    fn new(load: Load, count: usize) -> Self {
        let clock = Clock { system: load.system_clock, ..Clock::default() };
        clock.now_us.set(1_000_000);
        let server = M::new(count, &clock);
        let clients = (0..count).map(|_| M::new(1, &clock)).collect();
        let mut world = Self { clock, server, clients, load, queued: 0, arrived: 0 };
        world.join();
        world
    }

    fn join(&mut self) {
        let load = self.load;
        self.load = Load { traffic: Traffic::Idle, eager: false, ..load };
        let count = self.clients.len();
        for tick in 0..JOIN_TICKS {
            for client in &mut self.clients[count * tick / JOIN_TICKS..count * (tick + 1) / JOIN_TICKS] {
                client.connect(Node(0));
            }
            self.tick(&mut Cost::default());
        }
        for _ in 0..JOIN_TICKS {
            self.tick(&mut Cost::default());
        }
        assert_eq!(self.server.peers(), count);
        assert!(self.clients.iter().all(|client| client.peers() == 1));
        self.load = load;
    }

    fn tick(&mut self, cost: &mut Cost) {
        self.clock.now_us.set(self.clock.now_us.get() + TICK_US);
        cost.ticks += 1;
        cost.datagrams_in += self.server.inbox().datagrams.len() as u64;
        let started = ThreadTime::now();
        self.server_sends();
        if !self.load.eager {
            cost.packets += self.server.service();
        }
        cost.server += started.elapsed();
        if self.load.eager {
            self.serve_eagerly(cost);
        }
        self.server.inbox().clear();
        let out = self.server.outbox();
        cost.datagrams_out += out.datagrams.len() as u64;
        while let Some((to, datagram)) = out.take() {
            self.clients[usize::from(to.0) - 1].inbox().push(Node(0), datagram);
        }
        out.clear();

        let started = ThreadTime::now();
        for client in &mut self.clients {
            if let Traffic::Each([.., kind]) = self.load.traffic {
                client.send(0, kind, &[2; PACKET_LEN]);
            }
            if let Traffic::Broadcast(kind) = self.load.traffic {
                client.send(0, kind, &[2; PACKET_LEN]);
            }
            let came = client.service();
            cost.packets += came;
            self.arrived += came as usize;
        }
        cost.clients += started.elapsed();
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.inbox().clear();
            let out = client.outbox();
            while let Some((_, datagram)) = out.take() {
                self.server.inbox().push(Node(number as u16 + 1), datagram);
            }
            out.clear();
        }
    }

    fn server_sends(&mut self) {
        match self.load.traffic {
            Traffic::Idle => {}
            Traffic::Each(kinds) => {
                for peer in 0..self.server.peers() {
                    for kind in kinds {
                        self.server.send(peer, kind, &[1; PACKET_LEN]);
                    }
                }
            }
            Traffic::Broadcast(kind) => {
                for _ in 0..4 {
                    self.server.broadcast(kind, &[1; PACKET_LEN]);
                }
            }
            // A window is one packet; more of them wait than that.
            Traffic::Bulk(total) => {
                let (queued, packets) = (self.queued, total / BULK_PACKET.len());
                if queued < packets && queued - self.arrived < 4 {
                    self.server.send(0, Kind::Reliable, &BULK_PACKET);
                    self.queued += 1;
                }
            }
        }
    }

    /// Serves the server after each datagram, and once more at the end.
    fn serve_eagerly(&mut self, cost: &mut Cost) {
        let inbox = std::mem::take(self.server.inbox());
        let mut rest = inbox;
        while let Some((from, datagram)) = rest.take() {
            self.server.inbox().clear();
            self.server.inbox().push(from, datagram);
            let started = ThreadTime::now();
            cost.packets += self.server.service();
            cost.server += started.elapsed();
        }
        self.server.inbox().clear();
        let started = ThreadTime::now();
        cost.packets += self.server.service();
        cost.server += started.elapsed();
    }

    fn round(&mut self, ticks: u32) -> Cost {
        let mut cost = Cost::default();
        if let Traffic::Bulk(total) = self.load.traffic {
            (self.queued, self.arrived) = (0, 0);
            while self.arrived < total / BULK_PACKET.len() {
                self.tick(&mut cost);
            }
        } else {
            for _ in 0..ticks {
                self.tick(&mut cost);
            }
        }
        cost
    }
}

static BULK_PACKET: [u8; 64 * 1024] = [3; 64 * 1024];

/// A figure of all rounds.
struct Spread {
    quarter: f64,
    median: f64,
    three_quarters: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: usize| sorted[(sorted.len() - 1) * part / 4];
        Self { quarter: at(1), median: at(2), three_quarters: at(3) }
    }
}

fn compare(load: Load, clients: usize, rounds: u32, ticks: u32) {
    let mut ferry = World::<Ferry>::new(load, clients);
    let mut rusty = World::<Rusty>::new(load, clients);
    (ferry.round(60), rusty.round(60));
    let costs: Vec<(Cost, Cost)> = (0..rounds).map(|_| (ferry.round(ticks), rusty.round(ticks))).collect();
    // A transfer counts as a whole, everything else by the tick.
    let bulk = matches!(load.traffic, Traffic::Bulk(_));
    let per = |cost: &Cost| if bulk { 16.0 } else { f64::from(cost.ticks) };
    let side = |of: fn(&Cost) -> Duration| {
        let micros = move |cost: &Cost| of(cost).as_secs_f64() * 1e6 / per(cost);
        let ferry = Spread::of(costs.iter().map(|(ferry, _)| micros(ferry))).median;
        let rusty = Spread::of(costs.iter().map(|(_, rusty)| micros(rusty))).median;
        let ratio = Spread::of(costs.iter().map(|(ferry, rusty)| micros(ferry) / micros(rusty)));
        (ferry, rusty, ratio)
    };
    let (ferry_us, rusty_us, ratio) = side(|cost| cost.server);
    let (ferry_client_us, rusty_client_us, client_ratio) = side(|cost| cost.clients);
    let rate = |cost: &Cost| cost.packets as f64 / cost.server.as_secs_f64() / 1e6;
    let ferry_rate = Spread::of(costs.iter().map(|(ferry, _)| rate(ferry))).median;
    let rusty_rate = Spread::of(costs.iter().map(|(_, rusty)| rate(rusty))).median;
    let sum = |of: fn(&Cost) -> u64| {
        let all = |pick: fn(&(Cost, Cost)) -> &Cost| {
            costs.iter().map(|pair| of(pick(pair)) as f64 / f64::from(pick(pair).ticks)).sum::<f64>()
                / f64::from(rounds)
        };
        (all(|pair| &pair.0), all(|pair| &pair.1))
    };
    let (ferry_packets, rusty_packets) = sum(|cost| cost.packets);
    let (ferry_out, rusty_out) = sum(|cost| cost.datagrams_out);
    let (ferry_in, rusty_in) = sum(|cost| cost.datagrams_in);
    println!(
        "{:>7}  {:<19} {ferry_us:>9.1} {rusty_us:>9.1}  {:>5.2} [{:.2}-{:.2}]  {ferry_rate:>6.2} {rusty_rate:>6.2}  \
         {ferry_client_us:>9.1} {rusty_client_us:>9.1}  {:>5.2}  {ferry_packets:>6.0} {rusty_packets:>6.0}  \
         {:>11} {:>11}",
        clients,
        load.name,
        ratio.median,
        ratio.quarter,
        ratio.three_quarters,
        client_ratio.median,
        format!("{ferry_in:.0}/{ferry_out:.0}"),
        format!("{rusty_in:.0}/{rusty_out:.0}"),
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    println!(
        "us of processor time a tick (bulk: a MiB), f: ferry-enet, r: rusty_enet; ratio f/r with quartiles;\n\
         packets: delivered from and to the server, millions a second of the server's processor time, and each tick\n\
         {:>7}  {:<19} {:>9} {:>9}  {:>17}  {:>6} {:>6}  {:>9} {:>9}  {:>5}  {:>6} {:>6}  {:>11} {:>11}",
        "clients",
        "load",
        "server f",
        "server r",
        "ratio",
        "Mp/s f",
        "Mp/s r",
        "clients f",
        "clients r",
        "ratio",
        "pkts f",
        "pkts r",
        "dgrams f",
        "dgrams r"
    );
    for load in LOADS {
        if !wanted.is_empty() && !wanted.iter().any(|word| load.name.contains(word.as_str())) {
            continue;
        }
        for &clients in load.clients {
            if quick && clients > 512 {
                continue;
            }
            let crowd = clients as u32;
            // About as many packets in each round, whatever the crowd.
            let (rounds, work) = if quick { (5, 10_000) } else { (15, 60_000) };
            compare(*load, clients, rounds, (work / crowd).clamp(30, 600));
        }
    }
}
