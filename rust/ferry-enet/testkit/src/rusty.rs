//! A host of rusty_enet (a mechanical translation of the C library) on the simulated network.
//!
//! It asks for the time and for datagrams itself, so it gets a clock that stands still between two polls and a socket
//! of two queues. A driver hands datagrams in with [`RustyHost::hand_in`] and calls [`RustyHost::poll`] as often as a
//! game would.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use ferry_enet::Timestamp;
use rusty_enet::{EventNoRef, HostSettings, MTU_MAX, PacketReceived, RangeCoder};

use crate::world::Place;

impl rusty_enet::Address for Place {
    fn same_host(&self, other: &Self) -> bool {
        self.host == other.host
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }

    fn is_broadcast(&self) -> bool {
        *self == Self::BROADCAST
    }
}

/// Its socket: what has come, and what wants to leave.
#[derive(Default)]
pub struct Queues {
    incoming: VecDeque<(Place, Vec<u8>)>,
    outgoing: Vec<(Place, Vec<u8>)>,
}

impl rusty_enet::Socket for Queues {
    type Address = Place;
    type Error = Infallible;

    fn send(&mut self, address: Place, buffer: &[u8]) -> Result<usize, Infallible> {
        self.outgoing.push((address, buffer.to_vec()));
        Ok(buffer.len())
    }

    fn receive(&mut self, buffer: &mut [u8; MTU_MAX]) -> Result<Option<(Place, PacketReceived)>, Infallible> {
        let Some((from, datagram)) = self.incoming.pop_front() else { return Ok(None) };
        let received = match buffer.get_mut(..datagram.len()) {
            Some(target) => {
                target.copy_from_slice(&datagram);
                PacketReceived::Complete(datagram.len())
            }
            None => PacketReceived::Partial,
        };
        Ok(Some((from, received)))
    }
}

/// What such a host is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RustySettings {
    /// How many connections there may be.
    pub peers: usize,
    /// The most channels of a connection.
    pub channels: usize,
    /// The largest datagram.
    pub mtu: u16,
    /// Whether datagrams carry a CRC-32.
    pub checksum: bool,
    /// Whether datagrams are compressed, by the range coder.
    pub compress: bool,
    /// Where its random numbers start.
    pub seed: u32,
}

impl Default for RustySettings {
    fn default() -> Self {
        Self { peers: 8, channels: 255, mtu: 1392, checksum: false, compress: false, seed: 1 }
    }
}

/// The host.
pub struct RustyHost {
    /// The host itself.
    pub host: rusty_enet::Host<Queues>,
    now_us: Rc<Cell<u64>>,
}

impl RustyHost {
    /// A host without connections.
    pub fn new(settings: RustySettings) -> Self {
        let now_us = Rc::new(Cell::new(0));
        let clock = Rc::clone(&now_us);
        let host_settings = HostSettings {
            peer_limit: settings.peers,
            channel_limit: settings.channels,
            compressor: settings.compress.then(|| Box::new(RangeCoder::new()) as _),
            checksum: settings.checksum.then(|| Box::new(rusty_enet::crc32) as _),
            time: Box::new(move || Duration::from_micros(clock.get())),
            seed: Some(settings.seed),
            ..HostSettings::default()
        };
        let mut host = rusty_enet::Host::new(Queues::default(), host_settings).expect("good settings");
        host.set_mtu(settings.mtu).expect("a good MTU");
        Self { host, now_us }
    }

    /// Sets the clock. Calls that send at once look at it.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now_us.set(now.as_micros());
    }

    /// Puts a datagram onto its doorstep; the next poll finds it.
    pub fn hand_in(&mut self, from: Place, datagram: &[u8]) {
        self.host.socket_mut().incoming.push_back((from, datagram.to_vec()));
    }

    /// Serves it until nothing happens any more, as a game does once a frame. Returns what happened.
    pub fn poll(&mut self, now: Timestamp) -> Vec<EventNoRef> {
        self.set_now(now);
        let mut events = Vec::new();
        loop {
            while let Ok(Some(event)) = self.host.service() {
                events.push(event.no_ref());
            }
            // It takes in 256 datagrams at most before it says that nothing happened.
            if self.host.socket().incoming.is_empty() {
                return events;
            }
        }
    }

    /// Takes away the datagrams that want to leave.
    pub fn take_datagrams(&mut self) -> Vec<(Place, Vec<u8>)> {
        std::mem::take(&mut self.host.socket_mut().outgoing)
    }
}
