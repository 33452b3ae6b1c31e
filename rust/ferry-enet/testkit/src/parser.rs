//! A fuzzer's bytes as datagrams, handed to a host with a connection in any state.
//!
//! The header of most of them is put right, or hardly any would be read: the fuzzer writes commands. Hosts with checksums
//! get right sums, hosts with a compressor get both kinds. Whatever comes, the host must keep its limits, and be quiet
//! in the end.

use std::time::Duration;

use bytes::Bytes;
use ferry_enet::compress::RangeCoder;
use ferry_enet::{Config, Host, Mode, PeerId, Timestamp};

use crate::choices::Choices;
use crate::forger::{Forger, counting_host, drain};
use crate::limits::{most_incomplete, most_undelivered};
use crate::raw::{Raw, RawFragment};
use crate::world::Place;

const FORGER: Place = Place { host: 9, port: 1 };
/// Everything is over by then: handshakes, time-outs, slots that linger, with a host that believes that round trips take
/// half a minute.
const LONG: Duration = Duration::from_secs(400);
const MOST_DATAGRAMS: usize = 64;

/// What the tests and the fuzzer hand datagrams to.
fn config(checksum: bool) -> Config {
    Config {
        max_peers: 3,
        max_half_open: 3,
        max_packet_size: 20_000,
        max_incoming: 30_000,
        max_incoming_incomplete: 20_000 + 256 * 1024,
        checksum,
        ..Config::default()
    }
}

/// Hands the datagrams that `data` holds to a host. Panics if something is wrong with it afterwards.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind = choices.byte();
    let (checksum, coder) = (kind & 1 != 0, kind & 2 != 0);
    let config = config(checksum);
    let mut host = counting_host(config.clone());
    let mut now = Timestamp::from_micros(5_000_000);
    let mut forger = Forger::new(FORGER, checksum);
    let peer = prepare(&mut host, &mut forger, now, kind >> 2 & 7);
    if coder {
        host.set_compressor(Some(Box::new(RangeCoder::new())));
    }
    for _ in 0..MOST_DATAGRAMS {
        if choices.is_empty() {
            break;
        }
        let shape = choices.byte();
        if coder {
            forger.wrapping.coder = (shape & 4 != 0).then(RangeCoder::new);
        }
        let len = usize::from(choices.byte()) << (shape >> 3 & 3);
        let body = choices.bytes(len);
        let header = match shape & 3 {
            0 => Raw::default(),
            1 => Raw::to_nobody(),
            _ => forger.header(),
        };
        let raw = header.bytes(body);
        if shape & 3 == 0 {
            host.handle_input(now, FORGER, &raw.bytes);
        } else {
            forger.say(&mut host, now, raw);
        }
        keep_limits(&host, &config, peer);
        now = now + Duration::from_millis(u64::from(shape >> 5) * 300);
        if kind & 0x80 != 0 && shape & 0x20 != 0 {
            // A clock that runs backwards counts as one that stands.
            now = Timestamp::from_micros(now.as_micros().saturating_sub(2_000_000));
        }
        if shape & 0x80 != 0 {
            host.handle_timeout(now);
            drain(&mut host, now);
        }
        if shape & 0x40 != 0 {
            while host.poll_event().is_some() {}
        }
    }
    end(&mut host, now);
}

/// Brings the connection into state number `state`.
fn prepare(host: &mut Host<Place>, forger: &mut Forger, now: Timestamp, state: u8) -> Option<PeerId> {
    match state {
        0 => None,
        1 => {
            forger.open_half(host, now, 3, 77);
            None
        }
        2 => {
            let peer = host.connect(FORGER, 3, 0).ok();
            forger.hear_connect(host, now);
            peer
        }
        _ => {
            let peer = forger.open(host, now, 3, 77)?;
            host.send(peer, 0, Mode::Reliable, Bytes::from_static(b"to be acknowledged")).expect("room");
            drain(host, now);
            match state {
                4 => host.disconnect_later(peer, 1).expect("it stands"),
                5 => host.disconnect(peer, 1).expect("it stands"),
                6 => forger.say(host, now, forger.header().disconnect(true, 2, 0)),
                _ => {}
            }
            drain(host, now);
            Some(peer)
        }
    }
}

fn keep_limits(host: &Host<Place>, config: &Config, peer: Option<PeerId>) {
    let stats = host.stats();
    assert!(stats.peers <= config.max_peers && stats.half_open <= config.max_half_open, "{stats:?}");
    assert_eq!(host.peers().count(), stats.peers);
    if let Some(figures) = peer.and_then(|peer| host.peer_stats(peer)) {
        assert!(figures.incomplete_bytes <= most_incomplete(config), "{figures:?}");
        assert!(figures.undelivered_bytes <= most_undelivered(config), "{figures:?}");
    }
}

/// Ends all connections from this side; nobody answers any more.
fn end(host: &mut Host<Place>, mut now: Timestamp) {
    drain(host, now);
    while host.poll_event().is_some() {}
    let peers: Vec<PeerId> = host.peers().collect();
    for peer in peers {
        host.disconnect(peer, 0).expect("it was there just now");
    }
    drain(host, now);
    let last = now + LONG;
    while let Some(next) = host.poll_timeout().filter(|&next| next <= last) {
        now = now.max(next);
        host.handle_timeout(now);
        drain(host, now);
    }
    while host.poll_event().is_some() {}
    assert_eq!((host.stats().peers, host.stats().half_open), (0, 0), "after everything has ended");
    assert_eq!(host.poll_timeout(), None, "when there is nothing to wait for");
}

/// Inputs to begin with: every command, right in all, in every state of the connection.
pub fn seeds() -> Vec<Vec<u8>> {
    let payload = &[7; 260];
    let piece = RawFragment { start_seq: 1, count: 3, number: 1, total_len: 600, offset: 260, payload };
    let none = Raw::default;
    let commands = [
        (2, none().acknowledge(0xFF, 1, 1)),
        (2, none().acknowledge(0, 1, 1)),
        (1, none().connect(6, 3, 0xBAD, 0)),
        (2, none().verify_connect(5, [0, 0], 3, 1)),
        (2, none().disconnect(true, 2, 7)),
        (2, none().ping(2)),
        (2, none().reliable(0, 1, b"reliable").reliable(0, 3, b"early")),
        (2, none().unreliable(0, 0, 1, b"unreliable")),
        (2, none().fragment(0, 2, piece)),
        (2, none().unsequenced(0, 1, b"unsequenced")),
        (2, none().bandwidth_limit(2, 1000, 1000)),
        (2, none().throttle_configure(2, 1000, 2, 2)),
        (2, none().unreliable_fragment(0, 0, piece)),
    ];
    let seed = |kind: u8, shape: u8, raw: &Raw| {
        // Lengths above 255 are given in steps of two.
        let (len, shift) = (raw.bytes.len(), u8::from(raw.bytes.len() > 255));
        let mut bytes = vec![kind, shape | shift << 3, (len >> shift) as u8];
        bytes.extend(&raw.bytes);
        bytes
    };
    let kinds = (0..32).filter(|kind| kind >> 2 < 7);
    kinds.flat_map(|kind| commands.iter().map(move |(shape, raw)| seed(kind, *shape, raw))).collect()
}
