//! Pieces that overlap, repeat, contradict each other or announce what never comes; then an honest packet in pieces.

use counted_memory::thread::held;
use ferry_enet::{Config, Event, Mode, PeerState};
use ferry_enet_testkit::limits::most_incomplete;
use ferry_enet_testkit::raw::{Raw, RawFragment};

use crate::scene::{Scene, State, report, small};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reliable,
    Unreliable,
}

const KINDS: [Kind; 2] = [Kind::Reliable, Kind::Unreliable];

/// A piece's command; a reliable one has the number that belongs to the piece.
fn piece(raw: Raw, kind: Kind, channel: u8, fragment: RawFragment<'_>) -> Raw {
    match kind {
        Kind::Reliable => {
            let seq = fragment.start_seq.wrapping_add(fragment.number as u16);
            raw.fragment(channel, seq, fragment)
        }
        Kind::Unreliable => raw.unreliable_fragment(channel, 0, fragment),
    }
}

/// A packet of three pieces, the last one short.
const PACKET: [u8; 700] = {
    let mut packet = [0; 700];
    let mut at = 0;
    while at < packet.len() {
        packet[at] = at as u8 ^ (at >> 8) as u8;
        at += 1;
    }
    packet
};
const PIECE: usize = 300;

/// The honest pieces of [`PACKET`].
fn honest() -> [RawFragment<'static>; 3] {
    [0, 1, 2].map(|number| RawFragment {
        start_seq: 1,
        count: 3,
        number: number as u32,
        total_len: PACKET.len() as u32,
        offset: (number * PIECE) as u32,
        payload: &const { PACKET }[number * PIECE..PACKET.len().min((number + 1) * PIECE)],
    })
}

/// How a forged piece differs from an honest one.
#[derive(Clone, Copy, Debug)]
struct Forged {
    kind: Kind,
    /// Which one it claims to be, and how many honest ones came before it.
    number: usize,
    before: usize,
    count: u32,
    total_len: u32,
    offset: u32,
    claimed: u32,
    len: usize,
}

fn forged_pieces() -> Vec<Forged> {
    let mut all = Vec::new();
    let honest = honest();
    for (kind, number, before) in KINDS.into_iter().flat_map(|kind| (0..9).map(move |i| (kind, i / 3, i % 3)))
    {
        let right = honest[number];
        let base = Forged {
            kind,
            number,
            before,
            count: 3,
            total_len: right.total_len,
            offset: right.offset,
            claimed: right.number,
            len: right.payload.len(),
        };
        for count in [0, 1, 2, 4, 5, 700, 701, 65_536, 65_539, 1 << 20, (1 << 20) + 1, u32::MAX] {
            all.push(Forged { count, ..base });
        }
        for total_len in
            [0, 1, 100, 300, 301, 600, 601, 699, 701, 900, 901, 50_000, 50_001, 1 << 25, 1 << 31, u32::MAX]
        {
            all.push(Forged { total_len, ..base });
        }
        for offset in
            [0, 1, 100, 299, 300, 301, 599, 600, 601, 699, 700, 701, 50_000, 1 << 31, u32::MAX - 4, u32::MAX]
        {
            all.push(Forged { offset, ..base });
        }
        for claimed in [0, 1, 2, 3, 4, 699, 65_536, 65_537, 1 << 20, u32::MAX - 1, u32::MAX] {
            all.push(Forged { claimed, ..base });
        }
        for len in [0, 1, 99, 100, 101, 255, 256, 299, 300, 301, 400, 600, 700, 701, 1300] {
            all.push(Forged { len, ..base });
            all.push(Forged { len, total_len: len as u32, offset: 0, count: 1, claimed: 0, ..base });
            all.push(Forged { len, offset: base.claimed * len as u32, ..base });
        }
    }
    all
}

#[test]
fn no_forged_piece_panics_nor_makes_a_packet_that_was_not_sent() {
    report(forged_pieces(), |forged| {
        let mut scene = Scene::new(State::Connected, &small());
        let honest = honest();
        let header = scene.forger.header();
        let others: Vec<_> = (0..3).filter(|&number| number != forged.number).collect();
        let mut raw = header;
        for &number in others.iter().take(forged.before) {
            raw = piece(raw, forged.kind, 0, honest[number]);
        }
        let zeros = [b'?'; 1300];
        let fragment = RawFragment {
            start_seq: 1,
            count: forged.count,
            number: forged.claimed,
            total_len: forged.total_len,
            offset: forged.offset,
            payload: &zeros[..forged.len],
        };
        let raw = piece(raw, forged.kind, 0, fragment);
        scene.say(raw);
        // The honest pieces, in datagrams of their own: the forged one ends its datagram if it is refused.
        for fragment in honest {
            let raw = piece(scene.forger.header(), forged.kind, 0, fragment);
            scene.say(raw);
        }
        let whole = forged.count == 1 && forged.len > 0;
        for event in scene.honest_exchange()? {
            let Event::Received { payload, .. } = event else { return Err(format!("{event:?}")) };
            let made_of_pieces = payload.len() == PACKET.len()
                && payload.iter().zip(PACKET).all(|(&a, b)| a == b || a == b'?');
            let forged_wholly = whole && payload == zeros[..forged.len];
            if !made_of_pieces && !forged_wholly && payload.len() != forged.total_len as usize {
                return Err(format!("{payload:?} was delivered"));
            }
        }
        scene.within_limits()?;
        scene.quiet_in_the_end()
    });
}

#[test]
fn repeated_and_shuffled_pieces_make_the_packet_once() {
    let orders: [&[usize]; 6] = [
        &[0, 1, 2],
        &[2, 1, 0],
        &[0, 0, 0, 1, 1, 2, 2],
        &[2, 0, 2, 1, 0],
        &[1, 2, 1, 2, 0],
        &[2, 2, 1, 0, 1],
    ];
    let cases = KINDS.into_iter().flat_map(|kind| orders.map(|order| (kind, order)));
    report(cases, |&(kind, order)| {
        let mut scene = Scene::new(State::Connected, &small());
        for &number in order {
            let raw = piece(scene.forger.header(), kind, 0, honest()[number]);
            scene.say(raw);
        }
        let received: Vec<Vec<u8>> = scene
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Received { payload, .. } => Some(payload.to_vec()),
                _ => None,
            })
            .collect();
        if received == [PACKET.to_vec()] { Ok(()) } else { Err(format!("{received:?}")) }
    });
}

#[test]
fn announcing_four_gigabytes_takes_no_more_memory_than_what_was_sent() {
    // No packet may be longer than the host's setting: the largest one is allowed to be announced.
    let config = Config {
        max_packet_size: u32::MAX as usize,
        max_incoming_incomplete: u32::MAX as usize + (1 << 20),
        ..Config::default()
    };
    for kind in KINDS {
        for number in [0, 1, 5000] {
            let mut scene = Scene::new(State::Connected, &config);
            // The number of its first piece, so that a later one has a number that is open.
            let payload = [7; 4096];
            let fragment = RawFragment {
                start_seq: 1,
                count: 1 << 20,
                number,
                total_len: u32::MAX,
                offset: number * 4096,
                payload: &payload,
            };
            let raw = piece(scene.forger.header(), kind, 0, fragment);
            scene.say(scene.forger.header().ping(2));
            scene.answers();
            let bytes = raw.bytes;
            let before = held();
            scene.victim.handle_input(scene.now, scene.forger.place, &bytes);
            let taken = held() - before;
            assert!(taken < 3 * 4096, "{kind:?} piece {number} took {taken} bytes");
        }
    }
}

/// No shorter piece is taken, but at the end of a packet: no sender cuts packets so small.
const SHORTEST: usize = 256;

/// Begins packets of which one piece comes, on every channel, until nothing more is taken: the first of the shortest pieces
/// there are, or a last one of one byte.
fn begin_packets(scene: &mut Scene, kind: Kind, number: u32, apart: u16) {
    for start in (0..20_000_u16).step_by(usize::from(apart)) {
        for channel in 0..=254 {
            let payload: &[u8] = if number == 0 { &[b'?'; SHORTEST] } else { b"?" };
            let fragment = RawFragment {
                start_seq: start + 1,
                count: 2,
                number,
                total_len: SHORTEST as u32 + 1,
                offset: number * SHORTEST as u32,
                payload,
            };
            let raw = piece(scene.forger.header(), kind, channel, fragment);
            scene.say(raw);
        }
        if scene.figures().incoming_overflows > 1000 {
            return;
        }
    }
}

fn crowded() -> Config {
    Config { max_packet_size: 5000, max_incoming_incomplete: 5000 + 256 * 1024, ..small() }
}

fn with_255_channels(config: &Config) -> Scene {
    let mut scene = Scene::new(State::Stranger, config);
    scene.peer = scene.forger.open(&mut scene.victim, scene.now, 255, 99);
    assert!(scene.peer.is_some());
    // Each channel's own state, before anything is measured: these are too late to be taken.
    for channel in 0..=254 {
        let raw = scene.forger.header().unreliable(channel, 0, 0, b"");
        scene.say(raw);
    }
    scene.answers();
    scene
}

#[test]
fn begun_packets_on_all_channels_stay_within_the_limit_and_cost_what_is_counted() {
    // Counted memory and true memory may differ by this: maps have room to spare.
    const SLACK: isize = 2;
    let config = crowded();
    let cases = KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 1)]);
    report(cases, |&(kind, number)| {
        let mut scene = with_255_channels(&config);
        let before = held();
        begin_packets(&mut scene, kind, number, 2);
        scene.answers();
        let taken = held() - before;
        let figures = scene.figures();
        let limit = config.max_incoming_incomplete;
        if figures.incomplete_bytes > most_incomplete(&config) || figures.incomplete_bytes < limit / 3 {
            return Err(format!("{} bytes are held of {limit}", figures.incomplete_bytes));
        }
        if taken > (figures.incomplete_bytes as isize) * SLACK {
            return Err(format!("{taken} bytes were taken for {} counted", figures.incomplete_bytes));
        }
        scene.honest_exchange()?;
        scene.quiet_in_the_end()
    });
}

#[test]
fn packets_that_are_next_on_all_channels_in_tiny_pieces_stay_within_the_limit() {
    // Story: a packet that is next in its channel's order may pass the limit; cut into single bytes it cost ninety
    // times its length.
    let config = crowded();
    let cases = KINDS.into_iter().flat_map(|kind| [1, 2, 50, SHORTEST].map(|piece_len| (kind, piece_len)));
    report(cases, |&(kind, piece_len)| {
        let mut scene = with_255_channels(&config);
        let before = held();
        let total_len = config.max_packet_size;
        let count = (total_len / piece_len) as u32;
        let pieces = (0..=254).flat_map(|channel| (1..count).map(move |number| (channel, number)));
        for (channel, number) in pieces {
            let fragment = RawFragment {
                start_seq: 1,
                count,
                number,
                total_len: total_len as u32,
                offset: number * piece_len as u32,
                payload: &[b'?'; SHORTEST][..piece_len],
            };
            let raw = piece(scene.forger.header(), kind, channel, fragment);
            scene.say(raw);
            if number % 100 == 0 {
                scene.answers();
            }
        }
        scene.answers();
        let taken = held() - before;
        let limit = most_incomplete(&config);
        if taken > 2 * limit as isize {
            return Err(format!("{taken} bytes were taken where {limit} may be"));
        }
        scene.within_limits()?;
        scene.honest_exchange()?;
        scene.quiet_in_the_end()
    });
}

#[test]
fn small_packets_that_wait_cost_what_is_counted() {
    const SLACK: isize = 2;
    let config = crowded();
    report(KINDS, |&kind| {
        let mut scene = with_255_channels(&config);
        let before = held();
        'full: for seq in 2..20_000_u16 {
            for channel in [0, 1, 200] {
                let header = scene.forger.header();
                let raw = match kind {
                    Kind::Reliable => header.reliable(channel, seq, b"?"),
                    Kind::Unreliable => header.unreliable(channel, seq, 1, b"?"),
                };
                scene.say(raw);
            }
            scene.answers();
            if scene.figures().incoming_overflows > 100 {
                break 'full;
            }
        }
        let taken = held() - before;
        let counted = scene.figures().incomplete_bytes;
        if counted > most_incomplete(&config) || taken > counted as isize * SLACK {
            return Err(format!("{taken} bytes were taken for {counted} counted"));
        }
        scene.honest_exchange()?;
        scene.quiet_in_the_end()
    });
}

#[test]
fn begun_packets_of_one_peer_do_not_keep_another_peers_packets_out() {
    let mut scene = with_255_channels(&crowded());
    begin_packets(&mut scene, Kind::Reliable, 1, 2);
    begin_packets(&mut scene, Kind::Unreliable, 0, 2);
    let packet = vec![3; 5000];
    scene.honest.send(scene.victim_at_honest, 0, Mode::Reliable, packet.clone().into()).unwrap();
    scene.honest.send(scene.victim_at_honest, 1, Mode::Unreliable, packet.clone().into()).unwrap();
    scene.pass(std::time::Duration::from_secs(1));
    let received = scene.events();
    let whole = |event: &Event| matches!(event, Event::Received { payload, .. } if *payload == packet);
    assert_eq!(received.iter().filter(|event| whole(event)).count(), 2, "{} events", received.len());
}

#[test]
fn unreliable_packets_that_were_begun_make_room_for_later_ones() {
    // Story: a sender whose unreliable packets lose pieces must not lose all later ones for it.
    let mut scene = Scene::new(State::Connected, &crowded());
    let payload = [1; 1000];
    let begin = |scene: &mut Scene, seq: u16, numbers: std::ops::Range<u32>| {
        for number in numbers {
            let fragment = RawFragment {
                start_seq: seq,
                count: 3,
                number,
                total_len: 3000,
                offset: number * 1000,
                payload: &payload,
            };
            let raw = scene.forger.header().unreliable_fragment(0, 0, fragment);
            scene.say(raw);
        }
    };
    for seq in 1..100 {
        begin(&mut scene, seq, 0..1);
    }
    begin(&mut scene, 100, 0..3);
    let received = scene.honest_exchange().unwrap();
    assert_eq!(received.len(), 1, "the packet that came whole");
    assert_eq!(scene.figures().incomplete_bytes, 0);
}

#[test]
fn a_reliable_packet_that_is_too_long_ends_its_connection_and_an_unreliable_one_is_dropped() {
    // Story: its pieces were refused and came again for ever, and nothing behind them was ever delivered.
    for kind in KINDS {
        let mut scene = Scene::new(State::Connected, &small());
        let total_len = scene.victim.config().max_packet_size as u32 + 1;
        let (count, payload) = (total_len.div_ceil(1000), &[1; 1000]);
        let fragment = RawFragment { start_seq: 1, count, number: 0, total_len, offset: 0, payload };
        let raw = piece(scene.forger.header(), kind, 0, fragment);
        scene.say(raw.clone());
        scene.say(raw);
        let state = scene.peer.and_then(|peer| scene.victim.state(peer));
        let expected = match kind {
            Kind::Reliable => PeerState::Disconnecting,
            Kind::Unreliable => PeerState::Connected,
        };
        assert_eq!(state, Some(expected), "{kind:?}");
        assert_eq!(scene.honest_exchange().unwrap(), []);
        scene.quiet_in_the_end().unwrap();
    }
}
