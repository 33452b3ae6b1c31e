//! The handshake, to the byte.

use bytes::Bytes;
use ferry_enet::{Config, Event, Host, Mode, Timestamp};
use ferry_enet_testkit::rusty::{RustyHost, RustySettings};
use ferry_enet_testkit::world::Place;
use rusty_enet::EventNoRef;

/// What the two ends may set and the handshake tells.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    mtu: u16,
    channels: u8,
    incoming: u32,
    outgoing: u32,
    checksum: bool,
}

const NOW: Timestamp = Timestamp::from_micros(70_123_456);
const DATA: u32 = 0xDEAD_BEEF;

fn wishes(checksum: bool) -> impl Iterator<Item = Wishes> {
    let mtus = [576, 1392, 4096].into_iter();
    mtus.flat_map(move |mtu| {
        [1, 3, 255].into_iter().flat_map(move |channels| {
            [0, 1, 65_535, 65_536, 1_000_000, u32::MAX].into_iter().flat_map(move |incoming| {
                [0, 100_000, 500_000].map(|outgoing| Wishes { mtu, channels, incoming, outgoing, checksum })
            })
        })
    })
}

fn rusty(wishes: Wishes) -> RustyHost {
    let settings = RustySettings {
        mtu: wishes.mtu,
        channels: usize::from(wishes.channels),
        checksum: wishes.checksum,
        ..RustySettings::default()
    };
    let mut host = RustyHost::new(settings);
    let limit = |limit: u32| (limit != 0).then_some(limit);
    host.host.set_bandwidth_limit(limit(wishes.incoming), limit(wishes.outgoing)).expect("no limit is zero");
    host.set_now(NOW);
    host
}

fn ferry(wishes: Wishes, connect_id: u32) -> Host<Place> {
    let config = Config {
        mtu: wishes.mtu,
        channel_limit: wishes.channels,
        incoming_bandwidth: wishes.incoming,
        outgoing_bandwidth: wishes.outgoing,
        checksum: wishes.checksum,
        ..Config::default()
    };
    Host::new(config, move || connect_id).expect("good settings")
}

fn only_datagram(host: &mut Host<Place>) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let sent = host.poll_transmit(NOW, &mut buffer).expect("a datagram");
    assert_eq!(host.poll_transmit(NOW, &mut [0; 4096]), None);
    buffer[..sent.len].to_vec()
}

fn rusty_connect(wishes: Wishes) -> Vec<u8> {
    let mut client = rusty(wishes);
    client.host.connect(Place::of(0), usize::from(wishes.channels), DATA).expect("a free peer");
    client.poll(NOW);
    let datagrams = client.take_datagrams();
    assert_eq!(datagrams.len(), 1);
    datagrams[0].1.clone()
}

/// The number that the client chose, out of its CONNECT.
fn connect_id(connect: &[u8]) -> u32 {
    let [.., a, b, c, d, _, _, _, _] = *connect else { panic!("a short CONNECT") };
    u32::from_be_bytes([a, b, c, d])
}

#[test]
fn both_clients_ask_with_the_same_bytes() {
    for wishes in wishes(false).chain(wishes(true)) {
        let theirs = rusty_connect(wishes);
        let mut client = ferry(wishes, connect_id(&theirs));
        client.connect(Place::of(0), wishes.channels, DATA).unwrap();
        assert_eq!(only_datagram(&mut client), theirs, "{wishes:?}");
    }
}

#[test]
fn both_servers_answer_with_the_same_bytes() {
    for checksum in [false, true] {
        for asked in wishes(checksum) {
            for granted in wishes(checksum).step_by(5) {
                let connect = rusty_connect(asked);
                let mut theirs = rusty(granted);
                theirs.hand_in(Place::of(1), &connect);
                theirs.poll(NOW);
                let answers = theirs.take_datagrams();
                assert_eq!(answers.len(), 1);
                let mut ours = ferry(granted, 0);
                ours.handle_input(NOW, Place::of(1), &connect);
                assert_eq!(only_datagram(&mut ours), answers[0].1, "{asked:?} of {granted:?}");
            }
        }
    }
}

/// Carries datagrams to and fro until there are none.
fn exchange(ferry: &mut Host<Place>, rusty: &mut RustyHost) -> (Vec<Event>, Vec<EventNoRef>) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    loop {
        let mut quiet = true;
        while let Some(sent) = ferry.poll_transmit(NOW, &mut buffer) {
            quiet = false;
            rusty.hand_in(Place::of(0), &buffer[..sent.len]);
        }
        theirs.extend(rusty.poll(NOW));
        for (_, datagram) in rusty.take_datagrams() {
            quiet = false;
            ferry.handle_input(NOW, Place::of(1), &datagram);
        }
        while let Some(event) = ferry.poll_event() {
            ours.push(event);
        }
        if quiet {
            return (ours, theirs);
        }
    }
}

#[test]
fn compressed_datagrams_of_either_are_read_by_the_other() {
    for checksum in [false, true] {
        let mut theirs =
            RustyHost::new(RustySettings { compress: true, checksum, ..RustySettings::default() });
        let config = Config { checksum, ..Config::default() };
        let mut ours: Host<Place> = Host::new(config, || 7).unwrap();
        ours.set_compressor(Some(Box::new(ferry_enet::compress::RangeCoder::new())));
        let peer = ours.connect(Place::of(1), 2, DATA).unwrap();
        let (_, told) = exchange(&mut ours, &mut theirs);
        let [EventNoRef::Connect { peer: their_peer, data: DATA }] = told[..] else { panic!("{told:?}") };

        let text = Bytes::from(vec![b'x'; 5000]);
        ours.send(peer, 1, Mode::Reliable, text.clone()).unwrap();
        let packet = rusty_enet::Packet::reliable(&text[..]);
        theirs.host.peer_mut(their_peer).send(1, &packet).unwrap();
        let (events, told) = exchange(&mut ours, &mut theirs);
        let [EventNoRef::Receive { channel_id: 1, ref packet, .. }] = told[..] else { panic!("{told:?}") };
        assert_eq!(packet.data(), text);
        assert_eq!(events, [Event::Received { peer, channel: 1, mode: Mode::Reliable, payload: text }]);
        assert!(ours.stats().bytes_sent < 1000 && ours.stats().bytes_received < 1000);
    }
}
