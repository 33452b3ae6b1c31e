//! The other end of a connection, written by hand.
//!
//! A forger has no machine: whoever holds it decides what it says, and it only keeps what must stand in each
//! datagram so that the host under attack takes it for a connection's own.

use ferry_enet::{Address, Config, Event, Host, PeerId, Timestamp};

use crate::raw::{Raw, Seen, Wrapping};
use crate::world::Place;

/// One hand-driven connection.
pub struct Forger {
    /// Where its datagrams come from.
    pub place: Place,
    /// Its own number for the connection, which the host's datagrams carry.
    pub own_id: u16,
    /// The host's number for it.
    pub slot: u16,
    /// The session that its datagrams carry.
    pub session: u8,
    /// Names the connection.
    pub connect_id: u32,
    /// Checksum and compression.
    pub wrapping: Wrapping,
}

/// Everything that a host lets go now.
pub fn drain<A: Address>(host: &mut Host<A>, now: Timestamp) -> Vec<(A, Vec<u8>)> {
    let mut buffer = [0; 4096];
    let mut sent = Vec::new();
    while let Some(transmit) = host.poll_transmit(now, &mut buffer) {
        sent.push((transmit.to, buffer[..transmit.len].to_vec()));
    }
    sent
}

/// A host whose connection ids are 1, 2, 3 and so on.
pub fn counting_host(config: Config) -> Host<Place> {
    let mut count = 0_u32;
    let random = move || {
        count += 1;
        count
    };
    Host::new(config, random).expect("a good configuration")
}

impl Forger {
    /// Nobody yet.
    pub fn new(place: Place, checksum: bool) -> Self {
        let wrapping = Wrapping { checksum: checksum.then_some(0), coder: None };
        Self { place, own_id: 5, slot: 0x0FFF, session: 0, connect_id: 0, wrapping }
    }

    /// A header that the host takes for this connection's, with a sent time.
    pub fn header(&self) -> Raw {
        Raw::to_peer(self.slot, self.session, Some(1))
    }

    /// Hands a datagram of this connection to the host.
    pub fn say(&mut self, host: &mut Host<Place>, now: Timestamp, raw: Raw) {
        let bytes = raw.wrapped(&mut self.wrapping);
        host.handle_input(now, self.place, &bytes);
    }

    fn name(&mut self, connect_id: u32) {
        self.connect_id = connect_id;
        if let Some(id) = &mut self.wrapping.checksum {
            *id = connect_id;
        }
    }

    /// Asks for a connection and hears that it is granted. The host waits for the acknowledgement from here on. False if the
    /// host did not grant it.
    pub fn open_half(&mut self, host: &mut Host<Place>, now: Timestamp, channels: u32, id: u32) -> bool {
        self.name(id);
        self.say(host, now, Raw::to_nobody().connect(self.own_id, channels, id, 0));
        let checksum = self.wrapping.checksum.is_some();
        for (to, bytes) in drain(host, now) {
            let Some(seen) = Seen::read(&bytes, checksum) else { continue };
            let commands = &bytes[seen.commands..];
            if to == self.place
                && seen.peer_id == self.own_id
                && commands.len() >= 44
                && commands[0] & 15 == 3
            {
                self.slot = u16::from_be_bytes([commands[4], commands[5]]);
                self.session = commands[7] & 3;
                return true;
            }
        }
        false
    }

    /// Makes a connection, by the protocol. The host's name for it, if it came to stand.
    pub fn open(&mut self, host: &mut Host<Place>, now: Timestamp, channels: u32, id: u32) -> Option<PeerId> {
        if !self.open_half(host, now, channels, id) {
            return None;
        }
        let acknowledgement = self.header().acknowledge(0xFF, 1, 1);
        self.say(host, now, acknowledgement);
        let mut peer = None;
        while let Some(event) = host.poll_event() {
            if let Event::Connected { peer: new, .. } = event {
                peer = Some(new);
            }
        }
        peer
    }

    /// Hears the CONNECT of a host that calls this place. False if there is none.
    pub fn hear_connect(&mut self, host: &mut Host<Place>, now: Timestamp) -> bool {
        let checksum = self.wrapping.checksum.is_some();
        for (to, bytes) in drain(host, now) {
            let Some(seen) = Seen::read(&bytes, checksum) else { continue };
            let commands = &bytes[seen.commands..];
            if to == self.place && commands.len() >= 48 && commands[0] & 15 == 2 {
                self.slot = u16::from_be_bytes([commands[4], commands[5]]);
                let id = [commands[40], commands[41], commands[42], commands[43]];
                self.name(u32::from_be_bytes(id));
                return true;
            }
        }
        false
    }
}
