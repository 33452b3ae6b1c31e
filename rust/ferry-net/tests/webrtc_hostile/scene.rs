//! Two honest players whose game goes on meanwhile, and a connection that meets a bad one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::webrtc::{
    ChannelId, ChannelPhase, Connection, ConnectionState, DescriptionKind, Loopback, Settings,
};

use crate::pair::{Pair, numbered, read};
use crate::raw::{Manners, Raw};
use crate::under_attack::driver_has_panicked;

/// Whatever is waited for comes within this time, or never.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// The longest time without a message for the honest players: a connection that is harmed stands still for good.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Messages under way each way.
const UNDER_WAY: u32 = 32;

/// The honest game: numbered messages both ways that must come in order and keep coming.
pub(crate) struct Scene {
    pub(crate) honest: Pair,
    channels: [ChannelId; 2],
    sent: [u32; 2],
    came: [u32; 2],
    moved: Instant,
    longest: Duration,
}

pub(crate) fn on_loopback() -> Settings {
    Settings {
        bind: ferry_net::bind_address::BindAddress::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
        loopback: Loopback::Always,
        ..Settings::default()
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mut honest = Pair::with(on_loopback(), on_loopback(), Limits::default());
        let (one, two) = honest.negotiated(&numbered(1));
        honest.connect();
        honest.until_open((one, two));
        let mut scene = Self {
            honest,
            channels: [one, two],
            sent: [0; 2],
            came: [0; 2],
            moved: Instant::now(),
            longest: Duration::ZERO,
        };
        scene.play_for(Duration::from_millis(20));
        scene
    }

    /// Both honest players poll, read and send once.
    pub(crate) fn turn(&mut self) {
        self.honest.poll();
        let ends = [&self.honest.one, &self.honest.two];
        for (index, end) in ends.iter().enumerate() {
            assert_eq!(end.connection.state(), ConnectionState::Connected, "{}", end.connection.farewell());
            let other = 1 - index;
            for message in read(end, self.channels[index]) {
                let due = self.came[other].to_be_bytes();
                assert_eq!(message[..4], due, "an honest message came changed or out of turn");
                self.came[other] += 1;
                self.longest = self.longest.max(self.moved.elapsed());
                self.moved = Instant::now();
            }
            while self.sent[index] - self.came[index] < UNDER_WAY {
                let message = Bytes::from(self.sent[index].to_be_bytes().repeat(10));
                end.connection.send(self.channels[index], Kind::Binary, message).unwrap();
                self.sent[index] += 1;
            }
            end.connection.flush();
        }
        let still = self.moved.elapsed();
        assert!(still < STANDSTILL, "the honest game stands still since {still:?}");
    }

    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < BOUND, "not within the bound: {what}");
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn play_for(&mut self, time: Duration) {
        let begun = Instant::now();
        self.until("time passes", |_| begun.elapsed() >= time);
    }

    /// After an attack: the game still moves both ways.
    pub(crate) fn plays_on(&mut self, what: &str) {
        println!("{what}: the longest pause of the honest game was {:?}", self.longest);
        self.longest = Duration::ZERO;
        let aims = self.came.map(|came| came + 200);
        self.until("the game goes on", |scene| scene.came.iter().zip(aims).all(|(came, aim)| *came >= aim));
        assert!(!driver_has_panicked(), "a driver has panicked");
    }
}

/// A connection, and the bad player that it meets.
pub(crate) struct Meeting {
    pub(crate) scene: Scene,
    pub(crate) victim: Connection,
    pub(crate) channel: ChannelId,
    pub(crate) raw: Raw,
    pub(crate) announced: usize,
}

impl Meeting {
    pub(crate) fn begin(manners: Manners, limits: Limits) -> Self {
        let scene = Scene::new();
        let victim = Connection::new(on_loopback(), limits).unwrap();
        let channel = victim.create_channel(numbered(1)).unwrap();
        let raw = Raw::new(manners);
        victim.set_remote_description(DescriptionKind::Offer, &raw.offer()).unwrap();
        Self { scene, victim, channel, raw, announced: 0 }
    }

    /// One that has got in.
    pub(crate) fn within(manners: Manners, limits: Limits) -> Self {
        let mut meeting = Self::begin(manners, limits);
        meeting.until("the bad player gets in", |meeting| {
            meeting.raw.established && meeting.victim.channel_phase(meeting.channel) == ChannelPhase::Open
        });
        meeting
    }

    pub(crate) fn turn(&mut self) {
        self.announced += self.raw.hear(&self.victim);
        self.raw.turn();
        self.scene.turn();
    }

    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(
                begun.elapsed() < BOUND,
                "not within the bound: {what}; {:?} ({})",
                self.victim.state(),
                self.victim.farewell()
            );
            self.turn();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn go_on_for(&mut self, time: Duration) {
        let begun = Instant::now();
        self.until("time passes", |_| begun.elapsed() >= time);
    }

    pub(crate) fn until_over(&mut self) {
        self.until("the connection is over", |meeting| {
            matches!(meeting.victim.state(), ConnectionState::Failed | ConnectionState::Closed)
        });
        println!("told: {}", self.victim.farewell());
    }
}
