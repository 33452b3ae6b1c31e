//! Random scripts: what both ends do and when, on which line. All of it follows from the seed.

use ferry_enet::Mode;
use ferry_enet_testkit::link::Conditions;
use ferry_enet_testkit::parcel::MODES;
use ferry_enet_testkit::random::Random;

use crate::endpoint::{How, Settings};

/// How much is asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// A perfect line, even polls, no more than a window at once: every packet arrives, in the order it was sent.
    Calm,
    /// A perfect line, and ends that do what they like.
    Fair,
    /// Any line.
    Rough,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Send { channel: u8, mode: Mode, len: usize },
    Ping,
    Throttle { interval_ms: u32, acceleration: u32, deceleration: u32 },
    Bandwidth { incoming: u32, outgoing: u32 },
}

/// A deed of one end (0 is the server, 1 the client), so long after the connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at_ms: u64,
    pub(crate) by: usize,
    pub(crate) deed: Deed,
}

/// An end's goodbye, so long after the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub(crate) after_us: u64,
    pub(crate) by: usize,
    pub(crate) how: How,
    pub(crate) word: u32,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) channels: u8,
    pub(crate) data: u32,
    pub(crate) steps: Vec<Step>,
    /// Everything owed arrives before anybody says goodbye.
    pub(crate) settle: bool,
    /// One, or two that may cross.
    pub(crate) goodbyes: Vec<Goodbye>,
    /// How long nothing happens afterwards: at no time at all, datagrams of this connection meet the next one.
    pub(crate) pause_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) weather: Weather,
    pub(crate) conditions: Conditions,
    /// Of the server and the client.
    pub(crate) settings: [Settings; 2],
    pub(crate) poll_ms: (u64, u64),
    /// One after the other.
    pub(crate) sessions: Vec<Session>,
}

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} weather, polls of {:?} ms", self.weather, self.poll_ms)?;
        if self.weather == Weather::Rough {
            write!(f, ", {:?}", self.conditions)?;
        }
        Ok(())
    }
}

/// What a calm script sends at once, in bytes: well below the window.
const CALM_BURST: usize = 20_000;
/// How far apart its bursts are.
const CALM_PAUSE_MS: u64 = 40;

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let weather = random.pick(&[Weather::Calm, Weather::Fair, Weather::Rough, Weather::Rough]);
        let (checksum, compress) = (random.chance(400), random.chance(300));
        // C forgets the checksum when it fills a datagram behind other commands: that one is four bytes longer than the
        // MTU, and the largest ones do not fit into its own buffer.
        let largest_mtu = if checksum { 4092 } else { 4096 };
        let settings = [(); 2].map(|()| Settings {
            mtu: random.pick(&[576, 577, 1000, 1392, 1392, 1400, largest_mtu]),
            channel_limit: random.pick(&[1, 3, 255, 255]),
            checksum,
            compress,
        });
        let conditions = match weather {
            Weather::Rough => Conditions::random(&mut random),
            _ => Conditions::PERFECT,
        };
        let poll_ms =
            if weather == Weather::Calm { (1, 1) } else { random.pick(&[(1, 1), (1, 16), (16, 16)]) };
        let mut script = Self { seed, weather, conditions, settings, poll_ms, sessions: Vec::new() };
        for _ in 0..random.between(1, 3) {
            let session = script.session(&mut random);
            script.sessions.push(session);
        }
        script
    }

    /// How many packet bytes a fragment holds, and a packet of one command at most: what the smaller datagram leaves
    /// beside the headers.
    pub(crate) fn piece_len(&self) -> usize {
        let mtu = self.settings[0].mtu.min(self.settings[1].mtu);
        let checksum = if self.settings[0].checksum { 4 } else { 0 };
        usize::from(mtu) - 4 - checksum - 24
    }

    /// How a packet of this length travels.
    pub(crate) fn travels(&self, mode: Mode, len: usize) -> Mode {
        match (mode, len > self.piece_len()) {
            (Mode::UnreliableUnlessLarge | Mode::UnsequencedUnlessLarge, true) => Mode::Reliable,
            (Mode::UnreliableUnlessLarge, false) | (Mode::Unsequenced, true) => Mode::Unreliable,
            (Mode::UnsequencedUnlessLarge, false) => Mode::Unsequenced,
            _ => mode,
        }
    }

    /// The channels that a session really has.
    pub(crate) fn channel_count(&self, session: &Session) -> u8 {
        session.channels.min(self.settings[0].channel_limit)
    }

    /// Whether somebody limits bandwidth.
    pub(crate) fn limits_bandwidth(&self) -> bool {
        let steps = self.sessions.iter().flat_map(|session| &session.steps);
        steps.into_iter().any(|step| matches!(step.deed, Deed::Bandwidth { .. }))
    }

    fn session(&self, random: &mut Random) -> Session {
        let mut session = Session {
            channels: random.pick(&[1, 2, 5, 255]),
            data: random.any() as u32,
            steps: Vec::new(),
            settle: self.weather == Weather::Calm || random.chance(600),
            goodbyes: Vec::new(),
            pause_ms: random.pick(&[0, 0, 20, 6000]),
        };
        let channels = self.channel_count(&session);
        session.steps = match self.weather {
            Weather::Calm => self.calm_steps(random, channels),
            _ => self.steps(random, channels),
        };
        let crossing = self.weather != Weather::Calm && random.chance(200);
        for _ in 0..if crossing { 2 } else { 1 } {
            session.goodbyes.push(Goodbye {
                after_us: random.below(20_000),
                by: random.below(2) as usize,
                how: random.pick(&[How::Disconnect, How::Later, How::Now]),
                word: random.between(1, 1_000_000) as u32,
            });
        }
        session.goodbyes.sort_by_key(|goodbye| goodbye.after_us);
        if crossing && session.goodbyes[0].by == session.goodbyes[1].by {
            session.goodbyes.pop();
        }
        session
    }

    fn calm_steps(&self, random: &mut Random, channels: u8) -> Vec<Step> {
        // Uneven round trips of the first moment must not make a C sender drop packets.
        let deed = Deed::Throttle { interval_ms: 5000, acceleration: 2, deceleration: 0 };
        let mut steps = vec![Step { at_ms: 0, by: 0, deed }, Step { at_ms: 0, by: 1, deed }];
        for burst in 1..=random.between(1, 20) {
            let at_ms = burst * CALM_PAUSE_MS;
            let by = random.below(2) as usize;
            let mut room = CALM_BURST;
            for _ in 0..random.between(1, 12) {
                let len = self.len(random, room);
                room = room.saturating_sub(len);
                let channel = random.below(u64::from(channels)) as u8;
                steps.push(Step { at_ms, by, deed: Deed::Send { channel, mode: random.pick(&MODES), len } });
            }
            if random.chance(100) {
                steps.push(Step { at_ms, by, deed: Deed::Ping });
            }
        }
        steps
    }

    fn steps(&self, random: &mut Random, channels: u8) -> Vec<Step> {
        let mut steps = Vec::new();
        let span_ms = random.pick(&[1, 100, 2000]);
        let limited = random.chance(150);
        let largest = if limited { 20_000 } else { random.pick(&[2000, 10_000, 200_000]) };
        let mut volume = 400_000;
        for _ in 0..random.between(0, 80) {
            let deed = match random.below(20) {
                0 => Deed::Ping,
                1 => Deed::Throttle {
                    interval_ms: random.pick(&[100, 1000, 5000]),
                    acceleration: random.pick(&[1, 2, 32]),
                    deceleration: random.pick(&[0, 1, 2, 32]),
                },
                2 if limited => Deed::Bandwidth {
                    incoming: random.pick(&[0, 10_000, 100_000, 1_000_000]),
                    outgoing: random.pick(&[0, 10_000, 100_000, 1_000_000]),
                },
                _ => {
                    let len = self.len(random, largest.min(volume));
                    volume = volume.saturating_sub(len);
                    let channel = random.below(u64::from(channels)) as u8;
                    Deed::Send { channel, mode: random.pick(&MODES), len }
                }
            };
            steps.push(Step { at_ms: random.below(span_ms), by: random.below(2) as usize, deed });
        }
        steps.sort_by_key(|step| step.at_ms);
        steps
    }

    /// A length, mostly near where something changes.
    fn len(&self, random: &mut Random, largest: usize) -> usize {
        let piece = self.piece_len();
        let len = match random.below(10) {
            0 => random.below(10) as usize,
            1..=4 => random.between(9, 200) as usize,
            5 => piece - 1 + random.below(3) as usize,
            6 => piece * random.between(1, 12) as usize - 1 + random.below(3) as usize,
            7 => piece + random.below(40) as usize,
            8 => random.between(1, 20_000) as usize,
            _ => random.between(1, largest.max(1) as u64) as usize,
        };
        // C's range coder reads past an empty packet, and nobody can read that datagram.
        let least = usize::from(self.settings[0].compress);
        len.min(largest).max(least)
    }
}
