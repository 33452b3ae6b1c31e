//! One end of a connection, of either crate, driven the same way.
//!
//! ferry-enet is served the moment something happens; rusty_enet asks for everything itself, so it is polled, as a game
//! would, every so many milliseconds. An end speaks of one connection at a time; whatever it tells of another one is
//! [`Told::Stray`].

use bytes::Bytes;
use ferry_enet::{Config, DisconnectReason, Event, Host, Mode, PeerId, ThrottleConfig, Timestamp};
use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::rusty::{RustyHost, RustySettings};
use ferry_enet_testkit::world::Place;
use rusty_enet::{EventNoRef, Packet, PacketKind, PeerID, PeerState};

/// Which crate stands at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Ferry,
    Rusty,
}

/// What an end tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Connected(u32),
    /// The mode is only known at a ferry-enet end.
    Received {
        channel: u8,
        mode: Option<Mode>,
        payload: Bytes,
    },
    Ended(Ending),
    /// Something of a connection that it ought not to speak of.
    Stray(String),
}

/// How an end says that the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ferry(DisconnectReason),
    /// rusty_enet gives a word and no reason.
    Rusty(u32),
}

impl Ending {
    /// The other end said goodbye with this word.
    pub(crate) fn is_goodbye(self, word: u32) -> bool {
        self == Self::Ferry(DisconnectReason::ByRemote(word)) || self == Self::Rusty(word)
    }

    /// It does not answer any more.
    pub(crate) fn is_time_out(self) -> bool {
        self == Self::Ferry(DisconnectReason::TimedOut) || self == Self::Rusty(0)
    }
}

/// The ways to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Disconnect,
    Later,
    Now,
}

/// Settings that both crates know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) mtu: u16,
    pub(crate) channel_limit: u8,
    pub(crate) checksum: bool,
    pub(crate) compress: bool,
}

pub(crate) trait Endpoint {
    fn connect(&mut self, to: Place, channels: u8, data: u32);
    /// Whether the packet was taken.
    fn send(&mut self, channel: u8, mode: Mode, payload: &Bytes) -> bool;
    fn ping(&mut self);
    fn configure_throttle(&mut self, interval_ms: u32, acceleration: u32, deceleration: u32);
    fn set_bandwidth(&mut self, incoming: u32, outgoing: u32);
    fn end(&mut self, now: Timestamp, how: How, data: u32);
    fn channel_count(&self) -> usize;
    fn hand_in(&mut self, now: Timestamp, from: Place, datagram: &[u8]);
    /// When it wants to be served without being called.
    fn wakes(&self) -> Option<Timestamp>;
    /// Serves it, if it is time. Returns what happened and what wants to leave.
    fn serve(&mut self, now: Timestamp) -> (Vec<Told>, Vec<(Place, Vec<u8>)>);
    /// The next connection may come.
    fn forget(&mut self);
}

/// An end of this make. `poll_ms` is how long it lies between two polls, at least and at most.
pub(crate) fn endpoint(
    make: Make,
    settings: Settings,
    poll_ms: (u64, u64),
    mut random: Random,
) -> Box<dyn Endpoint> {
    match make {
        Make::Ferry => {
            let config = Config {
                max_peers: 8,
                mtu: settings.mtu,
                channel_limit: settings.channel_limit,
                checksum: settings.checksum,
                ..Config::default()
            };
            let host = Host::new(config, move || random.any() as u32).expect("good settings");
            let mut end = FerryEnd { host, peer: None, buffer: vec![0; 4096] };
            if settings.compress {
                end.host.set_compressor(Some(Box::new(ferry_enet::compress::RangeCoder::new())));
            }
            Box::new(end)
        }
        Make::Rusty => {
            let host = RustyHost::new(RustySettings {
                mtu: settings.mtu,
                channels: usize::from(settings.channel_limit),
                checksum: settings.checksum,
                compress: settings.compress,
                seed: random.any() as u32,
                ..RustySettings::default()
            });
            Box::new(RustyEnd { host, peer: None, next_poll: Timestamp::default(), poll_ms, random })
        }
    }
}

struct FerryEnd {
    host: Host<Place>,
    peer: Option<PeerId>,
    buffer: Vec<u8>,
}

impl FerryEnd {
    fn tell(&mut self, event: Event) -> Told {
        let peer = event.peer();
        if self.peer.is_none() && matches!(event, Event::Connected { .. }) {
            self.peer = Some(peer);
        }
        if self.peer != Some(peer) {
            return Told::Stray(format!("{event:?}"));
        }
        match event {
            Event::Connected { data, .. } => Told::Connected(data),
            Event::Received { channel, mode, payload, .. } => {
                Told::Received { channel, mode: Some(mode), payload }
            }
            Event::Disconnected { reason, .. } => Told::Ended(Ending::Ferry(reason)),
        }
    }
}

impl Endpoint for FerryEnd {
    fn connect(&mut self, to: Place, channels: u8, data: u32) {
        self.peer = Some(self.host.connect(to, channels, data).expect("room for a connection"));
    }

    fn send(&mut self, channel: u8, mode: Mode, payload: &Bytes) -> bool {
        self.peer.is_some_and(|peer| self.host.send(peer, channel, mode, payload.clone()).is_ok())
    }

    fn ping(&mut self) {
        let _ = self.peer.map(|peer| self.host.ping(peer));
    }

    fn configure_throttle(&mut self, interval_ms: u32, acceleration: u32, deceleration: u32) {
        let interval = std::time::Duration::from_millis(u64::from(interval_ms));
        let throttle = ThrottleConfig { interval, acceleration, deceleration };
        let _ = self.peer.map(|peer| self.host.configure_throttle(peer, throttle));
    }

    fn set_bandwidth(&mut self, incoming: u32, outgoing: u32) {
        self.host.set_bandwidth(incoming, outgoing);
    }

    fn end(&mut self, _now: Timestamp, how: How, data: u32) {
        let Some(peer) = self.peer else { return };
        let _ = match how {
            How::Disconnect => self.host.disconnect(peer, data),
            How::Later => self.host.disconnect_later(peer, data),
            How::Now => self.host.disconnect_now(peer, data),
        };
    }

    fn channel_count(&self) -> usize {
        self.peer.and_then(|peer| self.host.channel_count(peer)).map_or(0, usize::from)
    }

    fn hand_in(&mut self, now: Timestamp, from: Place, datagram: &[u8]) {
        self.host.handle_input(now, from, datagram);
    }

    fn wakes(&self) -> Option<Timestamp> {
        self.host.poll_timeout()
    }

    fn serve(&mut self, now: Timestamp) -> (Vec<Told>, Vec<(Place, Vec<u8>)>) {
        if self.wakes().is_some_and(|at| at <= now) {
            self.host.handle_timeout(now);
        }
        let mut told = Vec::new();
        while let Some(event) = self.host.poll_event() {
            told.push(self.tell(event));
        }
        let mut datagrams = Vec::new();
        while let Some(transmit) = self.host.poll_transmit(now, &mut self.buffer) {
            datagrams.push((transmit.to, self.buffer[..transmit.len].to_vec()));
        }
        (told, datagrams)
    }

    fn forget(&mut self) {
        self.peer = None;
    }
}

struct RustyEnd {
    host: RustyHost,
    peer: Option<PeerID>,
    next_poll: Timestamp,
    poll_ms: (u64, u64),
    random: Random,
}

/// ENet's flags, as rusty_enet names them.
fn packet_kind(mode: Mode) -> PacketKind {
    match mode {
        Mode::Reliable => PacketKind::Reliable,
        Mode::Unreliable => PacketKind::AlwaysUnreliable { sequenced: true },
        Mode::Unsequenced => PacketKind::AlwaysUnreliable { sequenced: false },
        Mode::UnreliableUnlessLarge => PacketKind::Unreliable { sequenced: true },
        Mode::UnsequencedUnlessLarge => PacketKind::Unreliable { sequenced: false },
    }
}

impl RustyEnd {
    fn tell(&mut self, event: EventNoRef) -> Told {
        let (EventNoRef::Connect { peer, .. }
        | EventNoRef::Disconnect { peer, .. }
        | EventNoRef::Receive { peer, .. }) = event;
        if self.peer.is_none() && matches!(event, EventNoRef::Connect { .. }) {
            self.peer = Some(peer);
        }
        if self.peer != Some(peer) {
            return Told::Stray(format!("{event:?}"));
        }
        match event {
            EventNoRef::Connect { data, .. } => Told::Connected(data),
            EventNoRef::Receive { channel_id, packet, .. } => {
                let payload = Bytes::copy_from_slice(packet.data());
                Told::Received { channel: channel_id, mode: None, payload }
            }
            EventNoRef::Disconnect { data, .. } => Told::Ended(Ending::Rusty(data)),
        }
    }
}

impl Endpoint for RustyEnd {
    fn connect(&mut self, to: Place, channels: u8, data: u32) {
        let peer = self.host.host.connect(to, usize::from(channels), data).expect("room for a connection");
        self.peer = Some(peer.id());
    }

    fn send(&mut self, channel: u8, mode: Mode, payload: &Bytes) -> bool {
        let Some(peer) = self.peer else { return false };
        let peer = self.host.host.peer_mut(peer);
        // It takes packets for connections that are about to end, and forgets them.
        peer.state() == PeerState::Connected
            && peer.send(channel, &Packet::new(&payload[..], packet_kind(mode))).is_ok()
    }

    fn ping(&mut self) {
        if let Some(peer) = self.peer {
            self.host.host.peer_mut(peer).ping();
        }
    }

    fn configure_throttle(&mut self, interval_ms: u32, acceleration: u32, deceleration: u32) {
        if let Some(peer) = self.peer {
            self.host.host.peer_mut(peer).set_throttle(interval_ms, acceleration, deceleration);
        }
    }

    fn set_bandwidth(&mut self, incoming: u32, outgoing: u32) {
        let limit = |limit: u32| (limit != 0).then_some(limit);
        self.host.host.set_bandwidth_limit(limit(incoming), limit(outgoing)).expect("no limit is zero");
    }

    fn end(&mut self, now: Timestamp, how: How, data: u32) {
        let Some(peer) = self.peer else { return };
        self.host.set_now(now);
        let peer = self.host.host.peer_mut(peer);
        match how {
            How::Disconnect => peer.disconnect(data),
            How::Later => peer.disconnect_later(data),
            How::Now => peer.disconnect_now(data),
        }
    }

    fn channel_count(&self) -> usize {
        self.peer.map_or(0, |peer| self.host.host.peer(peer).channel_count())
    }

    fn hand_in(&mut self, _now: Timestamp, from: Place, datagram: &[u8]) {
        self.host.hand_in(from, datagram);
    }

    fn wakes(&self) -> Option<Timestamp> {
        Some(self.next_poll)
    }

    fn serve(&mut self, now: Timestamp) -> (Vec<Told>, Vec<(Place, Vec<u8>)>) {
        let mut told = Vec::new();
        if now >= self.next_poll {
            let pause_ms = self.random.between(self.poll_ms.0, self.poll_ms.1);
            self.next_poll = now + std::time::Duration::from_millis(pause_ms);
            told = self.host.poll(now).into_iter().map(|event| self.tell(event)).collect();
        }
        (told, self.host.take_datagrams())
    }

    fn forget(&mut self) {
        self.peer = None;
    }
}
