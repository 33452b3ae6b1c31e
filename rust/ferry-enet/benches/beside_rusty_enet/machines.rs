//! The hosts that are measured: one of either crate, and one that does nothing but carry.
//!
//! All stand behind [`Machine`], with two flat queues for a network. [`Floor`] makes packets of the game's bytes and
//! copies datagrams in and out, and has no protocol: what it costs is no matter of either crate.

use std::cell::Cell;
use std::convert::Infallible;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use ferry_enet::{Config, Event, Host, Mode, PeerId, Timestamp};
use rusty_enet as rusty;

/// What the largest datagram takes.
const BUFFER_LEN: usize = 4096;

/// A place on the network: 0 is the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node(pub(crate) u16);

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
pub(crate) struct Pipe {
    bytes: Vec<u8>,
    /// Where from or where to, and where it ends in `bytes`.
    datagrams: Vec<(Node, usize)>,
    taken: usize,
}

impl Pipe {
    pub(crate) fn push(&mut self, node: Node, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push((node, self.bytes.len()));
    }

    pub(crate) fn take(&mut self) -> Option<(Node, &[u8])> {
        let (node, end) = *self.datagrams.get(self.taken)?;
        let start = self.taken.checked_sub(1).map_or(0, |before| self.datagrams[before].1);
        self.taken += 1;
        Some((node, &self.bytes[start..end]))
    }

    pub(crate) fn len(&self) -> usize {
        self.datagrams.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
        self.taken = 0;
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Reliable,
    Unreliable,
    Unsequenced,
}

/// One host of either crate, with its end of the network.
pub(crate) trait Machine {
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
pub(crate) struct Clock {
    pub(crate) now_us: Rc<Cell<u64>>,
    /// Let rusty_enet ask the system as well, as it does by default.
    pub(crate) system: bool,
}

pub(crate) struct Ferry {
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
        self.host.send_copy(self.peers[peer], 0, kind.mode(), payload).expect("a connected peer");
    }

    fn broadcast(&mut self, kind: Kind, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
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

pub(crate) struct Rusty {
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

/// No protocol: what was sent to one peer goes in full datagrams, as it is.
pub(crate) struct Floor {
    peers: usize,
    client: bool,
    sending: bool,
    pending: Vec<Pending>,
    inbox: Pipe,
    outbox: Pipe,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Pending {
    packets: u8,
    bytes: usize,
}

impl Machine for Floor {
    fn new(peers: usize, _clock: &Clock) -> Self {
        Self {
            peers,
            client: false,
            sending: false,
            pending: vec![Pending::default(); peers],
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

    fn connect(&mut self, _to: Node) {
        self.client = true;
    }

    fn peers(&self) -> usize {
        self.peers
    }

    fn send(&mut self, peer: usize, _kind: Kind, payload: &[u8]) {
        black_box(Bytes::copy_from_slice(payload));
        self.sending = true;
        self.pending[peer].packets += 1;
        self.pending[peer].bytes += payload.len();
    }

    fn broadcast(&mut self, _kind: Kind, payload: &[u8]) {
        black_box(Bytes::copy_from_slice(payload));
        self.sending = true;
        for pending in &mut self.pending {
            pending.packets += 1;
            pending.bytes += payload.len();
        }
    }

    fn service(&mut self) -> u64 {
        let mut received = 0;
        while let Some((_, datagram)) = self.inbox.take() {
            self.buffer[..datagram.len()].copy_from_slice(datagram);
            received += u64::from(self.buffer[0]);
        }
        if !std::mem::take(&mut self.sending) {
            return received;
        }
        for (number, pending) in self.pending.iter_mut().enumerate() {
            let to = if self.client { Node(0) } else { Node(number as u16 + 1) };
            let Pending { packets, bytes } = std::mem::take(pending);
            for left in (1..=bytes).rev().step_by(usize::from(Config::default().mtu)) {
                let len = left.min(usize::from(Config::default().mtu));
                self.buffer[0] = if len == left { packets } else { 0 };
                self.outbox.push(to, &self.buffer[..len]);
            }
        }
        received
    }
}
