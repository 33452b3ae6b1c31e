//! What a stranger sends to the port of an honest player: he knows the address, and nothing else.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelId, ChannelPhase, Signal};

use crate::line::{Chance, Conditions, Line};
use crate::pair::{End, numbered, read, send};
use crate::scene::{BOUND, Scene, on_loopback};
use crate::under_attack::driver_has_panicked;
use crate::watch::{Watch, alone};

/// The players' addresses, out of what they told each other.
fn addresses(scene: &Scene) -> Vec<SocketAddr> {
    let lines = scene.honest.one.candidates.iter().chain(&scene.honest.two.candidates);
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{}:{}", words[4], words[5]).parse().unwrap()
        })
        .collect()
}

/// A question of ICE's, as a stranger can write it: he does not know the password.
fn question(user: &str, chance: &mut Chance) -> Vec<u8> {
    let mut attributes = Vec::new();
    let mut put = |kind: u16, value: &[u8]| {
        attributes.extend_from_slice(&kind.to_be_bytes());
        attributes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        attributes.extend_from_slice(value);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    };
    put(0x0006, user.as_bytes());
    put(0x0024, &[0x6E, 0, 0, 0xFF]);
    put(0x802A, &[1; 8]);
    put(0x0025, &[]);
    let integrity: Vec<u8> = (0..20).map(|_| chance.below(256) as u8).collect();
    put(0x0008, &integrity);
    put(0x8028, &[1, 2, 3, 4]);
    let mut message = vec![0, 1];
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    message.extend((0..12).map(|_| chance.below(256) as u8));
    message.extend_from_slice(&attributes);
    message
}

/// Pours this at the honest players while they play; what they send in answer is counted.
fn pour(what: &str, mut next: impl FnMut(&mut Chance) -> Vec<u8>) {
    let mut scene = Scene::new();
    let victims = addresses(&scene);
    let strangers: Vec<UdpSocket> = (0..16).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    strangers.iter().for_each(|stranger| stranger.set_nonblocking(true).unwrap());
    let watch = Watch::begin();
    let mut chance = Chance(3);
    let (mut sent, mut answers) = (0_u64, 0_u64);
    let begun = Instant::now();
    scene.until("time passes", |_| {
        for stranger in &strangers {
            for _ in 0..8 {
                let datagram = next(&mut chance);
                for victim in &victims {
                    sent += stranger.send_to(&datagram, victim).unwrap_or_default() as u64;
                }
            }
            let mut buffer = [0; 2048];
            while let Ok(length) = stranger.recv(&mut buffer) {
                answers += length as u64;
            }
        }
        begun.elapsed() > Duration::from_secs(2)
    });
    println!("{what}: {sent} bytes sent, {answers} bytes came back");
    watch.saw_less_than(8, what);
    assert!(answers <= sent, "{what}: {answers} bytes of answers to {sent}");
    scene.plays_on(what);
}

#[test]
fn garbage_is_dropped() {
    let _alone = alone();
    pour("garbage", |chance| {
        let length = chance.below(1400) as usize;
        let first = chance.below(256) as u8;
        std::iter::once(first).chain((0..length).map(|_| first.wrapping_mul(31))).collect()
    });
}

#[test]
fn questions_without_the_password_are_dropped() {
    let _alone = alone();
    pour("questions of ICE", |chance| question("nobody:nowhere", chance));
}

#[test]
fn records_that_look_encrypted_are_dropped() {
    let _alone = alone();
    pour("records", |chance| {
        // Handshakes, alerts and data, of 1.2 and 1.3.
        let kind = [20, 21, 22, 23, 0x2E, 0x3F][chance.below(6) as usize];
        let length = chance.below(200) as u16;
        let mut record = vec![kind, 0xFE, 0xFD, 0, chance.below(2) as u8, 0, 0, 0, 0, 0, 1];
        record.extend_from_slice(&length.to_be_bytes());
        record.extend((0..length).map(|_| chance.below(256) as u8));
        record
    });
}

/// Two players on a line of which somebody makes the worst.
struct OnLine {
    line: Line,
    ends: [End; 2],
    channels: [ChannelId; 2],
    sent: u32,
    came: u32,
}

impl OnLine {
    fn new(conditions: Conditions) -> Self {
        let ends = [0, 1].map(|_| End::new(on_loopback(), Limits::default()));
        let channels = [0, 1].map(|end| {
            let end: &End = &ends[end];
            end.connection.create_channel(numbered(1)).unwrap()
        });
        ends[0].connection.create_offer().unwrap();
        Self { line: Line::new(conditions), ends, channels, sent: 0, came: 0 }
    }

    fn turn(&mut self) {
        for end in [0, 1] {
            let (own, other) = (&self.ends[end].connection, &self.ends[1 - end].connection);
            own.begin_turn();
            while let Some(signal) = own.next_signal() {
                match signal {
                    Signal::DescriptionCreated(kind, text) => {
                        own.set_local_description(kind, &text).unwrap();
                        other.set_remote_description(kind, &text).unwrap();
                    }
                    Signal::CandidateCreated { candidate, .. } => {
                        other.add_candidate(&self.line.disguise(end, &candidate)).unwrap();
                    }
                    Signal::ChannelReceived(_) => {}
                }
            }
        }
        if self.ends[0].connection.channel_phase(self.channels[0]) == ChannelPhase::Open {
            while self.sent < self.came + 64 {
                send(&self.ends[0], self.channels[0], &self.sent.to_be_bytes().repeat(10));
                self.sent += 1;
            }
        }
        for message in read(&self.ends[1], self.channels[1]) {
            assert_eq!(message[..4], self.came.to_be_bytes());
            self.came += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }

    fn plays_until(&mut self, count: u32, what: &str) {
        let begun = Instant::now();
        while self.came < count {
            let farewells = [0, 1].map(|end: usize| self.ends[end].connection.farewell());
            assert!(
                begun.elapsed() < BOUND && farewells.iter().all(|farewell| farewell.reason == Reason::None),
                "{what}: {} came; {farewells:?}",
                self.came
            );
            self.turn();
        }
    }
}

/// Somebody on the way sees everything, and sends it again, late and damaged.
#[test]
fn what_is_sent_again_and_damaged_on_the_way_changes_nothing() {
    let _alone = alone();
    for seed in 1..=3 {
        let conditions = Conditions {
            loss_percent: 1,
            replay_percent: 60,
            damage_percent: 10,
            ..Conditions::good(Duration::from_millis(2), seed)
        };
        let mut players = OnLine::new(conditions);
        let watch = Watch::begin();
        players.plays_until(3000, &format!("seed {seed}"));
        watch.saw_less_than(16, "replays and damage");
        assert!(!driver_has_panicked());
    }
}

/// The first answer to a hello used to end the connection if it was none.
#[test]
fn records_that_are_nobodys_spoil_no_handshake() {
    let _alone = alone();
    for seed in 1..=20 {
        let conditions = Conditions { stray_percent: 60, ..Conditions::good(Duration::from_millis(1), seed) };
        OnLine::new(conditions).plays_until(200, &format!("seed {seed}"));
    }
    assert!(!driver_has_panicked());
}
