//! A C client that a ferry-enet host does not want hears so at once, with the host's word.

use ferry_enet::{Admission, Config, Host, Timestamp};
use ferry_enet_testkit::rusty::{RustyHost, RustySettings};
use ferry_enet_testkit::world::Place;
use rusty_enet::EventNoRef;

const WORD: u32 = 9;

struct Door {
    host: Host<Place>,
    now: Timestamp,
}

impl Door {
    fn new(checksum: bool) -> Self {
        let config = Config { max_peers: 1, refusal_when_full: Some(WORD), checksum, ..Config::default() };
        Self { host: Host::new(config, || 5).expect("good settings"), now: Timestamp::from_micros(3_000_000) }
    }

    /// One round trip: what the client sends reaches the host, and its answer the client.
    fn round_trip(&mut self, client: &mut RustyHost, place: Place) -> Vec<EventNoRef> {
        let mut events = client.poll(self.now);
        for (_, datagram) in client.take_datagrams() {
            self.host.handle_input(self.now, place, &datagram);
        }
        let mut buffer = [0; 4096];
        while let Some(sent) = self.host.poll_transmit(self.now, &mut buffer) {
            if sent.to == place {
                client.hand_in(Place::of(0), &buffer[..sent.len]);
            }
        }
        self.now = self.now + std::time::Duration::from_millis(1);
        events.extend(client.poll(self.now));
        events
    }

    /// Knocks, and must be turned away within one round trip, for good.
    fn turns_away(&mut self, checksum: bool) {
        let mut client = client(checksum, 2);
        let events = self.round_trip(&mut client, Place::of(2));
        assert!(matches!(events[..], [EventNoRef::Disconnect { data: WORD, .. }]), "{events:?}");
        for _ in 0..10 {
            let events = self.round_trip(&mut client, Place::of(2));
            assert!(events.is_empty(), "{events:?}");
        }
        assert_eq!(self.host.stats().refused_connections, 1);
    }
}

fn client(checksum: bool, seed: u32) -> RustyHost {
    let mut client = RustyHost::new(RustySettings { checksum, seed, ..RustySettings::default() });
    client.host.connect(Place::of(0), 2, 0).expect("a free peer");
    client
}

#[test]
fn a_full_host_refuses_a_c_client_within_a_round_trip() {
    for checksum in [false, true] {
        let mut door = Door::new(checksum);
        let mut first = client(checksum, 1);
        let events = door.round_trip(&mut first, Place::of(1));
        assert!(matches!(events[..], [EventNoRef::Connect { .. }]), "{events:?}");
        door.round_trip(&mut first, Place::of(1));
        assert_eq!(door.host.stats().peers, 1);
        door.turns_away(checksum);
    }
}

#[test]
fn a_policy_refuses_a_c_client_within_a_round_trip() {
    for checksum in [false, true] {
        let mut door = Door::new(checksum);
        door.host.set_admission(
            |request| if request.data == 0 { Admission::Refuse(WORD) } else { Admission::Accept },
        );
        door.turns_away(checksum);
        assert_eq!(door.host.stats().peers, 0);
    }
}
