//! Every truncation and every spoilt byte or field of every command, in every state of the connection.

use std::fmt;

use ferry_enet::{Config, Event};
use ferry_enet_testkit::raw::{Raw, RawFragment};

use crate::scene::{CHANNELS, Scene, State, report, small};

/// One datagram: which command, and what was done to it.
#[derive(Clone)]
struct Case {
    state: State,
    command: &'static str,
    change: String,
    bytes: Vec<u8>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}, {}", self.state, self.command, self.change)
    }
}

/// The commands that a forger in this scene would send, right in all.
fn commands(scene: &Scene) -> Vec<(&'static str, Raw)> {
    let forger = &scene.forger;
    let id = forger.connect_id;
    let payload = &[b'p'; 300];
    let piece = RawFragment { start_seq: 1, count: 3, number: 1, total_len: 700, offset: 300, payload };
    let nobody = Raw::to_nobody;
    vec![
        ("ACKNOWLEDGE", forger.header().acknowledge(0xFF, 1, 1)),
        ("ACKNOWLEDGE of a packet", forger.header().acknowledge(0, 1, 1)),
        ("CONNECT", nobody().connect(6, CHANNELS, 0xBAD, 0)),
        ("CONNECT again", nobody().connect(5, CHANNELS, id, 0)),
        ("CONNECT within", forger.header().connect(6, CHANNELS, 0xBAD, 0)),
        ("VERIFY_CONNECT", forger.header().verify_connect(5, [0, 0], CHANNELS, id)),
        ("DISCONNECT", forger.header().disconnect(true, 2, 7)),
        ("DISCONNECT without answer", forger.header().disconnect(false, 2, 7)),
        ("PING", forger.header().ping(2)),
        ("SEND_RELIABLE", forger.header().reliable(0, 1, b"reliable")),
        ("SEND_UNRELIABLE", forger.header().unreliable(0, 0, 1, b"unreliable")),
        ("SEND_FRAGMENT", forger.header().fragment(0, 2, piece)),
        ("SEND_UNSEQUENCED", forger.header().unsequenced(0, 1, b"unsequenced")),
        ("BANDWIDTH_LIMIT", forger.header().bandwidth_limit(2, 1000, 1000)),
        ("THROTTLE_CONFIGURE", forger.header().throttle_configure(2, 1000, 2, 2)),
        ("SEND_UNRELIABLE_FRAGMENT", forger.header().unreliable_fragment(0, 0, piece)),
    ]
}

/// What is tried in place of a byte: its neighbours, each of its bits flipped, and the ends and the middle of the range.
fn other_bytes(byte: u8) -> Vec<u8> {
    let mut others: Vec<u8> = (0..8).map(|bit| byte ^ 1 << bit).collect();
    others.extend([0, 1, 2, 3, 0x0F, 0x10, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xC0, 0xF0, 0xFE, 0xFF]);
    others.extend([byte.wrapping_add(1), byte.wrapping_sub(1), !byte]);
    // All command numbers, with the flag that asks for an acknowledgement.
    others.extend((0x84..0x8E).step_by(2));
    others.sort_unstable();
    others.dedup();
    others.retain(|&other| other != byte);
    others
}

const WORDS: [u32; 10] = [0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];

fn cases(state: State, command: &'static str, right: &[u8]) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |change: String, bytes: Vec<u8>| cases.push(Case { state, command, change, bytes });
    add("as it is".into(), right.to_vec());
    add("twice".into(), [right, &right[4..]].concat());
    for len in 0..right.len() {
        add(format!("cut to {len}"), right[..len].to_vec());
    }
    // What stands behind is a packet's bytes.
    let spoilt = right.len().min(60);
    for at in 0..spoilt {
        for other in other_bytes(right[at]) {
            let mut bytes = right.to_vec();
            bytes[at] = other;
            add(format!("byte {at} is {other:#04x}"), bytes);
        }
    }
    for at in (4..spoilt - 1).step_by(2) {
        for word in WORDS {
            let mut bytes = right.to_vec();
            bytes[at..at + 2].copy_from_slice(&(word as u16).to_be_bytes());
            add(format!("word at {at} is {:#x}", word as u16), bytes.clone());
            if at + 4 <= bytes.len() {
                bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
                add(format!("long word at {at} is {word:#x}"), bytes);
            }
        }
    }
    cases.retain(|case| case.bytes != right || case.change == "as it is");
    let mut add = |change: String, bytes: Vec<u8>| cases.push(Case { state, command, change, bytes });
    for garbage in [vec![0], vec![0xFF; 3], vec![0; 8], vec![0xFF; 1000], vec![0x85; 80]] {
        add(format!("with {} of {:#04x} behind", garbage.len(), garbage[0]), [right, &garbage].concat());
    }
    cases
}

/// Whether the datagram holds a command of this number anywhere that a command could begin.
fn may_hold(bytes: &[u8], number: u8) -> bool {
    bytes.iter().any(|byte| byte & 15 == number)
}

fn check(case: &Case, config: &Config) -> Result<(), String> {
    let mut scene = Scene::new(case.state, config);
    let (now, from) = (scene.now, scene.forger.place);
    scene.victim.handle_input(now, from, &case.bytes);
    let answers = scene.answers();
    let most = if case.state.proven() { 2 } else { 1 };
    if answers.len() > most {
        return Err(format!("{} datagrams in answer to one", answers.len()));
    }
    if let Some((to, answer)) = answers.first() {
        if *to != from {
            return Err(format!("an answer goes to {to:?}"));
        }
        // An ACKNOWLEDGE that ends the handshake is proof: nobody else could know what it must say.
        let proven = case.state.proven() || case.state == State::HalfOpen && may_hold(&case.bytes, 1);
        if !proven && answer.len() > case.bytes.len() {
            return Err(format!("{} bytes are answered by {}", case.bytes.len(), answer.len()));
        }
    }
    for event in scene.honest_exchange()? {
        let expected = match &event {
            Event::Connected { .. } => match case.state {
                State::HalfOpen => may_hold(&case.bytes, 1),
                State::Connecting => may_hold(&case.bytes, 3),
                _ => false,
            },
            Event::Received { peer, payload, .. } => {
                let said =
                    payload.is_empty() || case.bytes.windows(payload.len()).any(|part| part == &payload[..]);
                case.state == State::Connected && Some(*peer) == scene.peer && said
            }
            Event::Disconnected { peer, .. } => Some(*peer) == scene.peer && case.state.proven(),
        };
        if !expected {
            return Err(format!("{event:?}"));
        }
    }
    scene.within_limits()?;
    scene.quiet_in_the_end()
}

fn all_of(state: State, config: &Config) {
    let scene = Scene::new(state, config);
    let all = commands(&scene).into_iter().flat_map(|(name, raw)| cases(state, name, &raw.bytes));
    report(all, |case| check(case, config));
}

#[test]
fn a_strangers_spoilt_commands_do_nothing() {
    all_of(State::Stranger, &small());
}

#[test]
fn a_half_open_connections_spoilt_commands_harm_nobody() {
    all_of(State::HalfOpen, &small());
}

#[test]
fn a_called_hosts_spoilt_commands_harm_nobody_and_the_call_ends() {
    all_of(State::Connecting, &small());
}

#[test]
fn a_peers_spoilt_commands_harm_nobody_else() {
    all_of(State::Connected, &small());
}

#[test]
fn a_leaving_peers_spoilt_commands_harm_nobody_else() {
    all_of(State::DisconnectLater, &small());
}

#[test]
fn an_ended_peers_spoilt_commands_harm_nobody_else() {
    all_of(State::Disconnecting, &small());
}

#[test]
fn a_gone_peers_spoilt_commands_harm_nobody_else() {
    all_of(State::Draining, &small());
}

#[test]
fn no_spoilt_byte_passes_the_checksum() {
    let config = Config { checksum: true, ..small() };
    for state in State::ALL {
        let mut scene = Scene::new(state, &config);
        let raw = scene.forger.header().reliable(0, 1, b"reliable").ping(2);
        let right = raw.wrapped(&mut scene.forger.wrapping);
        let spoilt = cases(state, "SEND_RELIABLE and PING", &right).into_iter().skip(1);
        report(spoilt, |case| {
            let mut scene = Scene::new(state, &config);
            let (now, from) = (scene.now, scene.forger.place);
            scene.victim.handle_input(now, from, &case.bytes);
            let stats = scene.victim.stats();
            if stats.malformed_datagrams + stats.stray_datagrams != 1 {
                return Err(format!("{stats:?}"));
            }
            let events = scene.honest_exchange()?;
            if events.is_empty() { Ok(()) } else { Err(format!("{events:?}")) }
        });
    }
}

#[test]
fn what_stands_behind_a_broken_command_is_not_read() {
    let mut scene = Scene::new(State::Connected, &small());
    for broken in [&[0x8D, 0, 0, 1][..], &[0x86, 200, 0, 1, 0, 0], &[0x80; 4], &[0x86, 0, 0]] {
        let raw = scene.forger.header().reliable(0, 1, b"before").bytes(broken).reliable(0, 2, b"behind");
        scene.say(raw);
    }
    let events = scene.honest_exchange().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn a_command_that_wants_an_answer_without_a_sent_time_gets_none() {
    let mut scene = Scene::new(State::Connected, &small());
    let header = Raw::to_peer(scene.forger.slot, scene.forger.session, None);
    scene.say(header.ping(2));
    assert_eq!(scene.answers(), []);
}

#[test]
fn datagrams_of_any_length_are_taken_or_dropped_whole() {
    let config = Config::default();
    let lengths = [0, 1, 2, 3, 4, 5, 575, 576, 577, 4095, 4096, 4097, 32_768, 65_497, 65_507, 65_535, 70_000];
    report(lengths, |&len| {
        let mut scene = Scene::new(State::Connected, &config);
        let payload = vec![b'x'; len.min(65_535)];
        for seq in 1..4 {
            // What stands behind the longest payload there can be is no command.
            let mut raw = scene.forger.header().reliable(0, seq, &payload);
            raw.bytes.resize(raw.bytes.len() + len - payload.len(), 0);
            scene.say(raw);
        }
        let received = scene.honest_exchange()?;
        let right = |event: &Event| matches!(event, Event::Received { payload: got, .. } if *got == payload);
        if received.len() != 3 || !received.iter().all(right) {
            return Err(format!("{} events", received.len()));
        }
        let zeros = vec![0; len];
        scene.victim.handle_input(scene.now, scene.forger.place, &zeros);
        scene.honest_exchange()?;
        scene.quiet_in_the_end()
    });
}
