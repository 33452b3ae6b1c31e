//! Two connections with a bad line between them, and what measures how messages fare on it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::webrtc::{
    ChannelId, ChannelInit, ChannelPhase, ConnectionState, Loopback, Persistence, Settings, Signal,
};

use crate::line::{Conditions, Line};
use crate::pair::{End, numbered, read, send};

/// Both ends, and the line.
pub(crate) struct Far {
    pub(crate) ends: [End; 2],
    pub(crate) line: Line,
}

/// The same channel at both ends.
pub(crate) type Both = [ChannelId; 2];

impl Far {
    pub(crate) fn new(conditions: Conditions, limits: Limits) -> Self {
        let settings = Settings {
            bind: BindAddress::Ip(Ipv4Addr::LOCALHOST.into()),
            loopback: Loopback::Always,
            ..Settings::default()
        };
        let end = || End::new(settings.clone(), limits);
        Self { ends: [end(), end()], line: Line::new(conditions) }
    }

    /// Connected, with these channels open.
    pub(crate) fn connected(
        conditions: Conditions,
        limits: Limits,
        channels: &[ChannelInit],
    ) -> (Self, Vec<Both>) {
        let mut far = Self::new(conditions, limits);
        let channels: Vec<Both> = channels.iter().map(|init| far.channel(init)).collect();
        far.begin();
        far.until(Duration::from_secs(10), "the channels are open", |far| {
            channels.iter().all(|both| far.is_open(*both))
        });
        (far, channels)
    }

    pub(crate) fn channel(&self, init: &ChannelInit) -> Both {
        [0, 1].map(|end| self.ends[end].connection.create_channel(init.clone()).expect("a channel"))
    }

    pub(crate) fn begin(&self) {
        self.ends[0].connection.create_offer().expect("an offer");
    }

    pub(crate) fn is_open(&self, both: Both) -> bool {
        [0, 1].iter().all(|end| self.ends[*end].connection.channel_phase(both[*end]) == ChannelPhase::Open)
    }

    pub(crate) fn states(&self) -> [ConnectionState; 2] {
        [0, 1].map(|end| self.ends[end].connection.state())
    }

    /// Both ends poll; what they are to tell each other is told, with the line's addresses.
    pub(crate) fn poll(&mut self) {
        for end in [0, 1] {
            let (own, other) = (&self.ends[end].connection, &self.ends[1 - end].connection);
            own.begin_turn();
            while let Some(signal) = own.next_signal() {
                match signal {
                    Signal::DescriptionCreated(kind, text) => {
                        own.set_local_description(kind, &text).expect("its own");
                        other.set_remote_description(kind, &text).expect("the other's");
                    }
                    Signal::CandidateCreated { candidate, .. } => {
                        // The other end may be over already.
                        let _ = other.add_candidate(&self.line.disguise(end, &candidate));
                    }
                    Signal::ChannelReceived(_) => {}
                }
            }
        }
    }

    /// Polls until this is so.
    pub(crate) fn until(&mut self, bound: Duration, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            let [one, two] = &self.ends;
            assert!(
                begun.elapsed() < bound,
                "{what}: not within {bound:?}; {:?} ({}) and {:?} ({})",
                one.connection.state(),
                one.connection.farewell(),
                two.connection.state(),
                two.connection.farewell(),
            );
            self.poll();
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// A channel whose messages are sent once, as the engine's unreliable ones are.
pub(crate) fn sent_once(number: u16, unordered: bool) -> ChannelInit {
    let persistence = Persistence::Lifetime(Duration::from_millis(1));
    ChannelInit { persistence, unordered, ..numbered(number) }
}

/// Numbered messages from the first end to the second, at a steady pace, and how each fared.
pub(crate) struct Stream {
    channel: Both,
    every: Duration,
    begun: Instant,
    in_order: bool,
    pub(crate) sent: u64,
    next: u64,
    pub(crate) took: Vec<Duration>,
}

impl Stream {
    pub(crate) fn new(channel: Both, per_second: u32, in_order: bool) -> Self {
        let every = Duration::from_secs(1) / per_second;
        Self { channel, every, begun: Instant::now(), in_order, sent: 0, next: 0, took: Vec::new() }
    }

    /// Sends what is due by now.
    pub(crate) fn send_due(&mut self, far: &Far) {
        while self.begun + self.every * u32::try_from(self.sent).expect("a short test") <= Instant::now() {
            let at = u64::try_from(self.begun.elapsed().as_micros()).expect("a short test");
            let mut message = [0; 64];
            message[..8].copy_from_slice(&self.sent.to_be_bytes());
            message[8..16].copy_from_slice(&at.to_be_bytes());
            send(&far.ends[0], self.channel[0], &message);
            self.sent += 1;
        }
        far.ends[0].connection.flush();
    }

    /// Reads what has come.
    pub(crate) fn receive(&mut self, far: &Far) {
        for message in read(&far.ends[1], self.channel[1]) {
            self.received(&message);
        }
    }

    fn received(&mut self, message: &Bytes) {
        let word = |from| u64::from_be_bytes(message[from..from + 8].try_into().expect("eight bytes"));
        let number = word(0);
        if self.in_order {
            assert!(number >= self.next, "{number} came after {}", self.next);
        }
        self.next = number + 1;
        let at = self.begun + Duration::from_micros(word(8));
        self.took.push(at.elapsed());
    }

    /// Sends and receives for so long.
    pub(crate) fn run(streams: &mut [Self], far: &mut Far, time: Duration) {
        let begun = Instant::now();
        far.until(time + Duration::from_secs(5), "time passes", |far| {
            for stream in &mut *streams {
                stream.send_due(far);
                stream.receive(far);
            }
            begun.elapsed() >= time
        });
    }

    /// Waits for all that was sent.
    pub(crate) fn all_have_come(&mut self, far: &mut Far, within: Duration) {
        far.until(within, "all messages have come", |far| {
            self.receive(far);
            self.took.len() as u64 == self.sent
        });
        assert_eq!(self.next, self.sent);
    }

    /// How long most took: so many of a hundred.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.took, percent)
    }

    /// A line about it.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} of {} came ({:.1} %), p50 {:?}, p99 {:?}, max {:?}",
            self.took.len(),
            self.sent,
            self.took.len() as f64 / self.sent as f64 * 100.0,
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
        )
    }
}

/// So many of a hundred took no longer than this.
pub(crate) fn percentile(took: &[Duration], percent: usize) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
