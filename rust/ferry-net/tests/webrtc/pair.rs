//! Two connections in one process, whose descriptions and candidates are carried from one to the other by the test.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::webrtc::{
    ChannelId, ChannelInit, ChannelPhase, Connection, ConnectionState, Settings, Signal,
};

/// No test waits longer for anything.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// One end, with what it has heard.
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) received: Vec<ChannelId>,
    pub(crate) candidates: Vec<String>,
}

impl End {
    pub(crate) fn new(settings: Settings, limits: Limits) -> Self {
        let connection = Connection::new(settings, limits).expect("settings that make sense");
        Self { connection, received: Vec::new(), candidates: Vec::new() }
    }

    /// Polls, and carries what is to be told to the other end.
    pub(crate) fn poll(&mut self, other: &mut Self) {
        self.connection.begin_turn();
        while let Some(signal) = self.connection.next_signal() {
            match signal {
                Signal::DescriptionCreated(kind, text) => {
                    self.connection.set_local_description(kind, &text).expect("its own");
                    other.connection.set_remote_description(kind, &text).expect("the other's");
                }
                Signal::CandidateCreated { candidate, .. } => {
                    // The other end may be over already.
                    let _ = other.connection.add_candidate(&candidate);
                    self.candidates.push(candidate);
                }
                Signal::ChannelReceived(channel) => self.received.push(channel),
            }
        }
    }
}

/// Both ends.
pub(crate) struct Pair {
    pub(crate) one: End,
    pub(crate) two: End,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default(), Settings::default(), Limits::default())
    }

    pub(crate) fn with(one: Settings, two: Settings, limits: Limits) -> Self {
        Self { one: End::new(one, limits), two: End::new(two, limits) }
    }

    pub(crate) fn poll(&mut self) {
        self.one.poll(&mut self.two);
        self.two.poll(&mut self.one);
    }

    /// Polls until this is so.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(
                begun.elapsed() < BOUND,
                "{what}: not within {BOUND:?}; {:?} ({}) and {:?} ({})",
                self.one.connection.state(),
                self.one.connection.farewell(),
                self.two.connection.state(),
                self.two.connection.farewell(),
            );
            self.poll();
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// The same channel at both ends.
    pub(crate) fn negotiated(&self, init: &ChannelInit) -> (ChannelId, ChannelId) {
        let make = |end: &End| end.connection.create_channel(init.clone()).expect("a channel");
        (make(&self.one), make(&self.two))
    }

    pub(crate) fn connect(&mut self) {
        self.one.connection.create_offer().expect("an offer");
        self.until("connected", |pair| {
            let state = |end: &End| end.connection.state() == ConnectionState::Connected;
            state(&pair.one) && state(&pair.two)
        });
    }

    pub(crate) fn until_open(&mut self, channels: (ChannelId, ChannelId)) {
        self.until("the channels are open", |pair| {
            let open = |end: &End, channel| end.connection.channel_phase(channel) == ChannelPhase::Open;
            open(&pair.one, channels.0) && open(&pair.two, channels.1)
        });
    }
}

/// A channel that both ends make.
pub(crate) fn numbered(number: u16) -> ChannelInit {
    ChannelInit { label: format!("channel {number}"), negotiated: Some(number), ..ChannelInit::default() }
}

pub(crate) fn send(end: &End, channel: ChannelId, text: &[u8]) {
    end.connection.send(channel, Kind::Binary, Bytes::copy_from_slice(text)).expect("it is taken");
}

/// All messages of a channel that have come.
pub(crate) fn read(end: &End, channel: ChannelId) -> Vec<Bytes> {
    end.connection.fetch();
    std::iter::from_fn(|| end.connection.take_message(channel)).map(|(_, payload)| payload).collect()
}
