//! One end of a WebRTC connection, without the engine, and two of them whose words a test carries from one to the other.
//!
//! What an end wants the other one to be told is [`Told`]. It fits on a line, for ends in processes of their own: other
//! implementations, and neighbours in other networks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::reason::Farewell;
use ferry_net::webrtc::{
    ChannelId, ChannelInit, ChannelPhase, Connection, ConnectionState, DescriptionKind, Settings, Signal,
};

/// Whatever is waited for comes within this time, or never.
pub const BOUND: Duration = Duration::from_secs(30);

/// How long an end that waits for something sleeps between two looks.
const NAP: Duration = Duration::from_micros(500);

/// What one end has to be told of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its description.
    Description(DescriptionKind, String),
    /// Where it may be reached.
    Candidate(String),
}

impl Told {
    /// On one line, which [`read`](Self::read) takes.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Description(kind, text) => {
                format!("description {} {}", kind.word(), hexadecimal(text.as_bytes()))
            }
            Self::Candidate(text) => format!("candidate {text}"),
        }
    }

    /// What such a line says; none if it says something else.
    ///
    /// # Panics
    /// When it begins like one and goes on otherwise.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        if let Some(text) = line.strip_prefix("candidate ") {
            return Some(Self::Candidate(text.to_owned()));
        }
        let (kind, text) = line.strip_prefix("description ")?.split_once(' ').expect("a kind and a text");
        let kind = DescriptionKind::of(kind).expect("a kind of description");
        Some(Self::Description(kind, String::from_utf8(bytes_of(text)).expect("descriptions are text")))
    }
}

/// Two digits a byte.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes again.
///
/// # Panics
/// When it is not what [`hexadecimal`] makes.
#[must_use]
pub fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// One end, with what it has heard and said.
pub struct End {
    /// The end itself.
    pub connection: Connection,
    /// Channels that the other end has made.
    pub received: Vec<ChannelId>,
    /// What it told the other end of where it may be reached.
    pub candidates: Vec<String>,
    /// All states it has been in, since it was made.
    pub states: Vec<ConnectionState>,
}

impl End {
    /// Makes one.
    ///
    /// # Panics
    /// When the settings make no sense.
    #[must_use]
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let connection = Connection::new(settings, limits).expect("settings that make sense");
        Self { connection, received: Vec::new(), candidates: Vec::new(), states: vec![ConnectionState::New] }
    }

    /// Polls once, as a frame does; what the other end has to be told.
    ///
    /// # Panics
    /// When the end does not take its own description.
    pub fn poll(&mut self) -> Vec<Told> {
        self.connection.begin_turn();
        let mut told = Vec::new();
        while let Some(signal) = self.connection.next_signal() {
            match signal {
                Signal::DescriptionCreated(kind, text) => {
                    self.connection.set_local_description(kind, &text).expect("its own");
                    told.push(Told::Description(kind, text));
                }
                Signal::CandidateCreated { candidate, .. } => {
                    self.candidates.push(candidate.clone());
                    told.push(Told::Candidate(candidate));
                }
                Signal::ChannelReceived(channel) => self.received.push(channel),
            }
        }
        self.note_state();
        told
    }

    fn note_state(&mut self) {
        let state = self.connection.state();
        if self.states.last() != Some(&state) {
            self.states.push(state);
        }
    }

    /// Hears what the other end has said.
    ///
    /// # Panics
    /// When it does not take the description.
    pub fn hear(&self, told: &Told) {
        match told {
            Told::Description(kind, text) => {
                self.connection.set_remote_description(*kind, text).expect("it is taken");
            }
            // It may be over already.
            Told::Candidate(text) => drop(self.connection.add_candidate(text)),
        }
    }

    /// Makes a channel that the other end makes, too.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn channel(&self, init: &ChannelInit) -> ChannelId {
        self.connection.create_channel(init.clone()).expect("a channel")
    }

    /// Whether a channel carries messages.
    #[must_use]
    pub fn is_open(&self, channel: ChannelId) -> bool {
        self.connection.channel_phase(channel) == ChannelPhase::Open
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When they are not taken.
    pub fn send(&self, channel: ChannelId, bytes: &[u8]) {
        self.connection.send(channel, Kind::Binary, Bytes::copy_from_slice(bytes)).expect("it is taken");
    }

    /// The messages of a channel that have come.
    #[must_use]
    pub fn read(&self, channel: ChannelId) -> Vec<(Kind, Bytes)> {
        self.connection.fetch();
        std::iter::from_fn(|| self.connection.take_message(channel)).collect()
    }

    /// Whether it found that no candidate of its own is of another kind.
    #[must_use]
    pub fn told_only(&self, kind: &str) -> bool {
        let kind = format!(" typ {kind}");
        !self.candidates.is_empty() && self.candidates.iter().all(|line| line.contains(&kind))
    }

    /// Where it stands, for the message of a test that fails.
    #[must_use]
    pub fn standing(&self) -> String {
        let Farewell { reason, detail } = self.connection.farewell();
        format!("{:?}, {reason:?} {detail:?}, told {:?}", self.states, self.candidates)
    }
}

/// Two ends in this process.
pub struct Ends {
    /// The one that offers.
    pub one: End,
    /// The one that answers.
    pub two: End,
}

impl Ends {
    /// Makes both.
    #[must_use]
    pub fn new(one: Settings, two: Settings, limits: Limits) -> Self {
        Self { one: End::new(one, limits), two: End::new(two, limits) }
    }

    /// Polls both once, and carries what they say.
    pub fn poll(&mut self) {
        let Self { one, two } = self;
        one.poll().iter().for_each(|told| two.hear(told));
        two.poll().iter().for_each(|told| one.hear(told));
    }

    /// Polls until this is so; how long it took.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !done(self) {
            let standing = || format!("{}; {}", self.one.standing(), self.two.standing());
            assert!(begun.elapsed() < BOUND, "not within {BOUND:?}: {what}; {}", standing());
            self.poll();
            std::thread::sleep(NAP);
        }
        begun.elapsed()
    }

    /// The same channel at both ends.
    #[must_use]
    pub fn channel(&self, init: &ChannelInit) -> (ChannelId, ChannelId) {
        (self.one.channel(init), self.two.channel(init))
    }

    /// Connects them, until this channel is open at both ends; how long it took.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn connect(&mut self, channels: (ChannelId, ChannelId)) -> Duration {
        self.one.connection.create_offer().expect("an offer");
        self.until("connected", |ends| ends.one.is_open(channels.0) && ends.two.is_open(channels.1))
    }
}

/// A channel that both ends make, of this number.
#[must_use]
pub fn numbered(number: u16) -> ChannelInit {
    ChannelInit { label: format!("channel {number}"), negotiated: Some(number), ..ChannelInit::default() }
}
