//! A ferry-enet host and a C ENet host with a connection between them.
//!
//! Either can be the server and either can send, so that one test body covers all directions. Whatever happens at
//! either end while [`Pair::until`] runs is sorted into [`Pair::arrived`] and [`Pair::ended`], in the same words for both.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_enet::compress::RangeCoder;
use ferry_enet::{Config, DisconnectReason, Event, Mode, PeerId};

use crate::c_enet::{self, Oracle, flags};
use crate::payload;
use crate::relay::{Conditions, Relay};
use crate::udp_host::UdpHost;

/// What every handshake here carries as its word.
pub const CONNECT_DATA: u32 = 0xFE44_1234;

/// A handshake takes milliseconds; over a bad network ENet tries again after half a second, then one, then two.
const HANDSHAKE_BOUND: Duration = Duration::from_secs(30);

/// Round trips after which ENet's guess of half a second for the first one no longer weighs.
const WARM_UP: u32 = 40;

/// How long one turn may sleep.
const TURN: Duration = Duration::from_millis(1);

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The ferry-enet host.
    Ferry,
    /// The C host.
    C,
}

impl End {
    /// Both, for loops.
    pub const BOTH: [Self; 2] = [Self::Ferry, Self::C];

    /// The one that this one talks to.
    pub fn other(self) -> Self {
        match self {
            Self::Ferry => Self::C,
            Self::C => Self::Ferry,
        }
    }
}

/// How a connection is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which end takes the connection.
    pub server: End,
    /// How many channels the client asks for.
    pub channels: u8,
    /// The ferry host's settings.
    pub config: Config,
    /// The C host's settings, but for what follows from the rest.
    pub options: c_enet::Options,
    /// Both ends compress with the range coder.
    pub compress: bool,
    /// Both ends add and check a CRC-32.
    pub checksum: bool,
    /// What the network between them does; nothing bad if left out.
    pub conditions: Option<Conditions>,
}

impl Setup {
    /// Four channels, a good network, all defaults.
    pub fn with_server(server: End) -> Self {
        Self {
            server,
            channels: 4,
            config: Config::default(),
            options: c_enet::Options::default(),
            compress: false,
            checksum: false,
            conditions: None,
        }
    }
}

/// A packet that came out at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// On which channel.
    pub channel: u8,
    /// How it travelled: reliable, unreliable or unsequenced.
    pub mode: Mode,
    /// Its size.
    pub length: usize,
    /// The CRC-32 of its bytes.
    pub crc32: u32,
}

impl Arrived {
    /// Whether this is what the seed stands for.
    pub fn is(&self, length: usize, seed: u32) -> bool {
        self.length == length && self.crc32 == payload::crc32(&payload::bytes(length, seed))
    }
}

/// How a connection ended for one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What ferry-enet said.
    Ferry(DisconnectReason),
    /// The number of the C host's event.
    C(u32),
}

/// Two connected hosts.
pub struct Pair {
    /// The ferry-enet host.
    pub ferry: UdpHost,
    /// The C host.
    pub c: Oracle,
    /// The connection at the ferry end.
    pub ferry_peer: PeerId,
    /// The connection at the C end.
    pub c_peer: c_enet::Peer,
    arrived: [Vec<Arrived>; 2],
    ended: [Option<Ended>; 2],
    port: u16,
    setup: Setup,
    // Ends after both hosts.
    _relay: Option<Relay>,
}

impl Pair {
    /// Starts both hosts and connects them.
    ///
    /// # Panics
    /// When the handshake fails, or carries other numbers than it was given.
    pub fn connected(setup: Setup) -> Self {
        let mut options = setup.options.clone();
        options.listens = setup.server == End::C;
        options.compress = setup.compress;
        options.checksum = setup.checksum;
        let mut c = Oracle::start(&options);

        let mut ferry = UdpHost::new(Config { checksum: setup.checksum, ..setup.config.clone() });
        if setup.compress {
            ferry.host.set_compressor(Some(Box::new(RangeCoder::new())));
        }
        let server_port = if setup.server == End::C { c.port() } else { ferry.port() };
        let relay = setup.conditions.map(|conditions| Relay::before(server_port, conditions));
        let port = relay.as_ref().map_or(server_port, Relay::port);

        let (ferry_peer, c_peer) = handshake(&mut ferry, &mut c, port, &setup);
        let arrived = [Vec::new(), Vec::new()];
        Self { ferry, c, ferry_peer, c_peer, arrived, ended: [None; 2], port, setup, _relay: relay }
    }

    /// Makes a new connection between the same hosts, after the last one has ended.
    pub fn reconnect(&mut self) {
        (self.ferry_peer, self.c_peer) = handshake(&mut self.ferry, &mut self.c, self.port, &self.setup);
        self.ended = [None; 2];
        self.arrived = [Vec::new(), Vec::new()];
    }

    /// Queues the packet that length and seed stand for; false if the end does not take it.
    pub fn send(&mut self, from: End, channel: u8, mode: Mode, length: usize, seed: u32) -> bool {
        match from {
            End::Ferry => {
                let payload = Bytes::from(payload::bytes(length, seed));
                self.ferry.host.send(self.ferry_peer, channel, mode, payload).is_ok()
            }
            End::C => self.c.send(self.c_peer, channel, flags_of(mode), length, seed),
        }
    }

    /// Queues `count` packets, from one seed and those that follow it; returns how many the end took.
    pub fn send_many(
        &mut self,
        from: End,
        channel: u8,
        mode: Mode,
        length: usize,
        seed: u32,
        count: u32,
    ) -> u32 {
        match from {
            End::Ferry => {
                let seeds = seed..seed + count;
                seeds.map(|seed| u32::from(self.send(from, channel, mode, length, seed))).sum()
            }
            End::C => self.c.send_many(self.c_peer, channel, flags_of(mode), length, seed, count),
        }
    }

    /// Runs both ends until the condition holds.
    ///
    /// # Panics
    /// When it does not within the bound.
    pub fn until(&mut self, what: &str, bound: Duration, mut condition: impl FnMut(&mut Self) -> bool) {
        if !self.happens(bound, &mut condition) {
            let [ferry, c] = [End::Ferry, End::C].map(|end| (self.arrived(end).len(), self.ended(end)));
            let last_lines = self.c.last_lines();
            panic!("not within {bound:?}: {what}. Arrived and ended: ferry {ferry:?}, C {c:?}; {last_lines}");
        }
    }

    /// Runs both ends until the condition holds; false if it does not within the bound.
    pub fn happens(&mut self, bound: Duration, mut condition: impl FnMut(&mut Self) -> bool) -> bool {
        let until = Instant::now() + bound;
        loop {
            self.sort_events();
            if condition(self) {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            self.ferry.turn(TURN);
        }
    }

    /// Sends some small packets to and fro on channel 0, so that both ends know how short the way is: before that, what
    /// gets lost is sent again after half a second, then one, then two. Leaves nothing behind in [`Pair::arrived`].
    ///
    /// # Panics
    /// When they do not arrive.
    pub fn warm_up(&mut self) {
        for number in 0..WARM_UP {
            for end in End::BOTH {
                assert!(self.send(end, 0, Mode::Reliable, 1, number), "{end:?} takes packets");
            }
            self.run_for(Duration::from_millis(3));
        }
        let all = |pair: &mut Self| End::BOTH.iter().all(|end| pair.arrived(*end).len() == WARM_UP as usize);
        self.until("the first packets have arrived", HANDSHAKE_BOUND, all);
        self.arrived = [Vec::new(), Vec::new()];
    }

    /// Runs both ends for that long, and for one turn at least.
    pub fn run_for(&mut self, time: Duration) {
        self.ferry.turn(Duration::ZERO);
        self.happens(time, |_| false);
    }

    /// How the connection was made.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What has come out at this end since the beginning or the last [`Pair::take_arrived`].
    pub fn arrived(&self, end: End) -> &[Arrived] {
        &self.arrived[end as usize]
    }

    /// Takes what has come out at this end.
    pub fn take_arrived(&mut self, end: End) -> Vec<Arrived> {
        std::mem::take(&mut self.arrived[end as usize])
    }

    /// How the connection ended for this end, once it has.
    pub fn ended(&self, end: End) -> Option<Ended> {
        self.ended[end as usize]
    }

    /// Leaves the C host behind, as the only one, without a word to it.
    pub fn drop_ferry(self) -> (Oracle, c_enet::Peer) {
        (self.c, self.c_peer)
    }

    /// Leaves the ferry host behind and ends the C process without a word.
    pub fn kill_c(self) -> (UdpHost, PeerId) {
        self.c.vanish();
        (self.ferry, self.ferry_peer)
    }

    fn sort_events(&mut self) {
        while let Some(event) = self.ferry.take_event() {
            assert_eq!(event.peer(), self.ferry_peer, "an event of another connection: {event:?}");
            let ended = &mut self.ended[End::Ferry as usize];
            assert_eq!(*ended, None, "an event after the end: {event:?}");
            match event {
                Event::Connected { .. } => panic!("connected twice"),
                Event::Disconnected { reason, .. } => *ended = Some(Ended::Ferry(reason)),
                Event::Received { channel, mode, payload, .. } => {
                    let (length, crc32) = (payload.len(), payload::crc32(&payload));
                    self.arrived[End::Ferry as usize].push(Arrived { channel, mode, length, crc32 });
                }
            }
        }
        while let Some(event) = self.c.take_event() {
            let ended = &mut self.ended[End::C as usize];
            match event {
                c_enet::Event::Connected { .. } => panic!("connected twice"),
                c_enet::Event::Disconnected { data, .. } => *ended = Some(Ended::C(data)),
                c_enet::Event::Received { channel, flags, length, crc32, .. } => {
                    let mode = mode_of(flags);
                    self.arrived[End::C as usize].push(Arrived { channel, mode, length, crc32 });
                }
            }
        }
    }
}

/// The client asks, both ends are run until both say that the connection stands.
fn handshake(ferry: &mut UdpHost, c: &mut Oracle, port: u16, setup: &Setup) -> (PeerId, c_enet::Peer) {
    match setup.server {
        End::C => {
            ferry.connect(port, setup.channels, CONNECT_DATA);
        }
        End::Ferry => {
            c.connect(port, setup.channels.into(), CONNECT_DATA);
        }
    }
    let (mut at_ferry, mut at_c) = (None, None);
    let both = |ferry: &mut UdpHost| {
        if at_ferry.is_none() {
            at_ferry = ferry.take_event();
        }
        if at_c.is_none() {
            at_c = c.take_event();
        }
        at_ferry.is_some() && at_c.is_some()
    };
    let stands = ferry.pump_until(both, HANDSHAKE_BOUND);
    let (Some(Event::Connected { peer: ferry_peer, data: ferry_data }), true) = (at_ferry.clone(), stands)
    else {
        panic!("no connection at the ferry end: {at_ferry:?}; at the other {at_c:?}; {}", c.last_lines());
    };
    let Some(c_enet::Event::Connected { peer: c_peer, data: c_data }) = at_c else {
        panic!("no connection at the C end: {at_c:?}; {}", c.last_lines());
    };
    let (server_data, client_data) =
        if setup.server == End::C { (c_data, ferry_data) } else { (ferry_data, c_data) };
    assert_eq!((server_data, client_data), (CONNECT_DATA, 0), "the handshake's word goes to the server only");
    (ferry_peer, c_peer)
}

/// What a mode is in ENet's flags.
fn flags_of(mode: Mode) -> u32 {
    match mode {
        Mode::Reliable => flags::RELIABLE,
        Mode::Unreliable => flags::UNRELIABLE_FRAGMENT,
        Mode::Unsequenced => flags::UNSEQUENCED | flags::UNRELIABLE_FRAGMENT,
        Mode::UnreliableUnlessLarge => 0,
        Mode::UnsequencedUnlessLarge => flags::UNSEQUENCED,
    }
}

/// The mode that the flags of an arrived packet tell of.
fn mode_of(arrived_with: u32) -> Mode {
    if arrived_with & flags::RELIABLE != 0 {
        Mode::Reliable
    } else if arrived_with & flags::UNSEQUENCED != 0 {
        Mode::Unsequenced
    } else {
        Mode::Unreliable
    }
}
