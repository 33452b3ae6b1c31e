//! A host of the C library ENet, in a process of its own that is driven by lines.
//!
//! The program is `tests/c-enet/oracle.c`; `cargo xtask test` brings the library, compiles it and names it in
//! `FERRY_ENET_ORACLE`. Commands block until their answer is there, which needs nothing from the other side of the
//! network; events are taken without blocking, or waited for with a bound. Dropping the handle ends the process.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Names the program that [`Oracle::start`] runs.
const ORACLE_VARIABLE: &str = "FERRY_ENET_ORACLE";

/// An answer takes microseconds; this is what a machine under load may add.
const ANSWER_BOUND: Duration = Duration::from_secs(10);

/// Lines on their way from the process to the test. At the bound the process waits, as for any full pipe.
const LINES_IN_FLIGHT: usize = 1 << 16;

/// How many of the last lines a failure shows.
const TRANSCRIPT_LINES: usize = 40;

/// The packet flags of ENet's API.
pub mod flags {
    /// Delivered, and in order.
    pub const RELIABLE: u32 = 1;
    /// Delivered in whatever order it arrives, or not at all.
    pub const UNSEQUENCED: u32 = 2;
    /// A packet over the MTU goes as unreliable fragments; without it as reliable ones.
    pub const UNRELIABLE_FRAGMENT: u32 = 8;
}

/// How the host is set up; what is left out is ENet's default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Takes connections on a port that the system chooses.
    pub listens: bool,
    /// How many peers it can have; 32 if left out.
    pub peers: Option<u32>,
    /// How many channels it grants a client.
    pub channels: Option<u32>,
    /// Bytes per second it says it can take.
    pub incoming_bandwidth: Option<u32>,
    /// Bytes per second it says it can send.
    pub outgoing_bandwidth: Option<u32>,
    /// The largest datagram it sends or asks for.
    pub mtu: Option<u32>,
    /// The largest packet it takes or sends.
    pub max_packet: Option<u32>,
    /// How many peers one address may have.
    pub duplicate_peers: Option<u32>,
    /// Compresses with ENet's range coder.
    pub compress: bool,
    /// Puts a CRC-32 into each datagram.
    pub checksum: bool,
}

impl Options {
    /// A host that listens, otherwise the defaults.
    pub fn server() -> Self {
        Self { listens: true, ..Self::default() }
    }

    fn arguments(&self) -> Vec<String> {
        let numbers = [
            ("--port", self.listens.then_some(0)),
            ("--peers", self.peers),
            ("--channels", self.channels),
            ("--in", self.incoming_bandwidth),
            ("--out", self.outgoing_bandwidth),
            ("--mtu", self.mtu),
            ("--max-packet", self.max_packet),
            ("--duplicate-peers", self.duplicate_peers),
        ];
        let set = numbers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut arguments: Vec<String> =
            set.flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect();
        arguments.extend(self.compress.then(|| "--compress".to_owned()));
        arguments.extend(self.checksum.then(|| "--checksum".to_owned()));
        arguments
    }
}

/// A peer of the C host, by its place in the host's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(u32);

/// What the C host reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection stands.
    Connected {
        /// Whose.
        peer: Peer,
        /// The number that came with the request; 0 at the end that asked.
        data: u32,
    },
    /// A connection ended, or never came to be.
    Disconnected {
        /// Whose.
        peer: Peer,
        /// The number that the other side gave; 0 for a time-out.
        data: u32,
    },
    /// A packet arrived.
    Received {
        /// From whom.
        peer: Peer,
        /// On which channel.
        channel: u8,
        /// See [`flags`].
        flags: u32,
        /// Its size in bytes.
        length: usize,
        /// See [`crate::payload::crc32`].
        crc32: u32,
    },
}

/// A running host.
#[derive(Debug)]
pub struct Oracle {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    events: VecDeque<Event>,
    transcript: VecDeque<String>,
    port: u16,
    version: String,
}

impl Oracle {
    /// Starts a host and waits until it is ready.
    ///
    /// # Panics
    /// Without `FERRY_ENET_ORACLE`, or when the host does not start.
    pub fn start(options: &Options) -> Self {
        let Some(program) = std::env::var_os(ORACLE_VARIABLE) else {
            panic!("{ORACLE_VARIABLE} is not set: run `cargo xtask test`, which brings the C library ENet");
        };
        let mut command = Command::new(&program);
        command.args(options.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let input = child.stdin.take().expect("asked for a pipe");
        let output = BufReader::new(child.stdout.take().expect("asked for a pipe"));
        let (sender, lines) = sync_channel(LINES_IN_FLIGHT);
        // Ends with the process, whose end of the pipe it reads, or with us.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });

        let (events, transcript) = Default::default();
        let mut oracle = Self { child, input, lines, events, transcript, port: 0, version: String::new() };
        let ready = oracle.answer("its start");
        let mut words = ready.strip_prefix("ready ").unwrap_or_default().split(' ');
        oracle.port = words.next().and_then(|word| word.parse().ok()).expect("a port after `ready`");
        oracle.version = words.next().expect("a version after the port").to_owned();
        oracle
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The version of the ENet in it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Asks the host on a port of this machine for a connection.
    pub fn connect(&mut self, port: u16, channels: u32, data: u32) -> Peer {
        let answer = self.command(&format!("connect {port} {channels} {data}"));
        Peer(answer.strip_prefix("peer ").and_then(|word| word.parse().ok()).expect("a peer"))
    }

    /// Queues the packet that `length` and `seed` stand for; false when ENet does not take it.
    pub fn send(&mut self, peer: Peer, channel: u8, flags: u32, length: usize, seed: u32) -> bool {
        self.send_many(peer, channel, flags, length, seed, 1) == 1
    }

    /// Queues `count` packets of the same length, from one seed and those that follow it; returns how many ENet took.
    pub fn send_many(
        &mut self,
        peer: Peer,
        channel: u8,
        flags: u32,
        length: usize,
        seed: u32,
        count: u32,
    ) -> u32 {
        let answer = self.command(&format!("send {} {channel} {flags} {length} {seed} {count}", peer.0));
        answer.strip_prefix("sent ").and_then(|word| word.parse().ok()).expect("a number of packets")
    }

    /// Ends a connection; what is queued is lost.
    pub fn disconnect(&mut self, peer: Peer, data: u32) {
        self.expect_ok(&format!("disconnect {} {data}", peer.0));
    }

    /// Ends a connection with one word to the other side and forgets it; there will be no event.
    pub fn disconnect_now(&mut self, peer: Peer, data: u32) {
        self.expect_ok(&format!("disconnect_now {} {data}", peer.0));
    }

    /// Ends a connection when all that is queued has arrived.
    pub fn disconnect_later(&mut self, peer: Peer, data: u32) {
        self.expect_ok(&format!("disconnect_later {} {data}", peer.0));
    }

    /// Forgets a connection without a word.
    pub fn reset(&mut self, peer: Peer) {
        self.expect_ok(&format!("reset {}", peer.0));
    }

    /// Sets when an unanswered packet ends the connection: `limit` doublings, not before `minimum`, not after `maximum`.
    pub fn set_timeouts(&mut self, peer: Peer, limit: u32, minimum: Duration, maximum: Duration) {
        let line = format!("timeout {} {limit} {} {}", peer.0, minimum.as_millis(), maximum.as_millis());
        self.expect_ok(&line);
    }

    /// Sets the pause after which a silent connection is pinged.
    pub fn set_ping_interval(&mut self, peer: Peer, interval: Duration) {
        self.expect_ok(&format!("ping_interval {} {}", peer.0, interval.as_millis()));
    }

    /// Sets how the other side throttles its unreliable packets to us.
    pub fn configure_throttle(
        &mut self,
        peer: Peer,
        interval: Duration,
        acceleration: u32,
        deceleration: u32,
    ) {
        let line = format!("throttle {} {} {acceleration} {deceleration}", peer.0, interval.as_millis());
        self.expect_ok(&line);
    }

    /// Sets the bytes per second of the host; 0 is without limit.
    pub fn set_bandwidth(&mut self, incoming: u32, outgoing: u32) {
        self.expect_ok(&format!("bandwidth {incoming} {outgoing}"));
    }

    /// Sends what is queued, without waiting for the event loop's next turn.
    pub fn flush(&mut self) {
        self.expect_ok("flush");
    }

    /// A figure of a peer, by the name it has in the program's `stats` line.
    pub fn stat(&mut self, peer: Peer, name: &str) -> u32 {
        let answer = self.command(&format!("stats {}", peer.0));
        let value = answer.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in `{answer}`"))
    }

    /// The next event that has arrived, without waiting.
    pub fn take_event(&mut self) -> Option<Event> {
        while let Ok(line) = self.lines.try_recv() {
            self.note(&line);
            self.events.extend(event_in(&line));
        }
        self.events.pop_front()
    }

    /// The next event.
    ///
    /// # Panics
    /// When there is none within the bound.
    pub fn wait_for_event(&mut self, bound: Duration) -> Event {
        let until = Instant::now() + bound;
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            match self.next_line(until) {
                Some(line) => self.events.extend(event_in(&line)),
                None => panic!("no event from C within {bound:?}; {}", self.last_lines()),
            }
        }
    }

    /// Ends the process at once and without a word, as a crash or a pulled plug does.
    pub fn vanish(mut self) {
        self.end();
    }

    /// The last lines of the conversation, for the message of a failed test.
    pub fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.transcript.iter().map(String::as_str).collect();
        format!("the last lines from and to C were\n  {}", lines.join("\n  "))
    }

    /// Gives a command in its own words and returns the answer, an error included. The methods above are made of it.
    pub fn command_in_words(&mut self, line: &str) -> String {
        self.note(&format!("> {line}"));
        writeln!(self.input, "{line}").expect("the C program takes commands until it is dropped");
        self.answer(line)
    }

    fn command(&mut self, line: &str) -> String {
        let answer = self.command_in_words(line);
        assert!(!answer.starts_with("error"), "`{line}` was answered `{answer}`");
        answer
    }

    fn expect_ok(&mut self, line: &str) {
        let answer = self.command(line);
        assert_eq!(answer, "ok", "after `{line}`");
    }

    /// The next line that is not an event. Events on the way are kept.
    fn answer(&mut self, asked: &str) -> String {
        let until = Instant::now() + ANSWER_BOUND;
        loop {
            let Some(line) = self.next_line(until) else {
                panic!("no answer from C to {asked} within {ANSWER_BOUND:?}; {}", self.last_lines());
            };
            match event_in(&line) {
                Some(event) => self.events.push_back(event),
                None => return line,
            }
        }
    }

    fn next_line(&mut self, until: Instant) -> Option<String> {
        match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.note(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the C program ended; {}", self.last_lines()),
        }
    }

    fn note(&mut self, line: &str) {
        if self.transcript.len() == TRANSCRIPT_LINES {
            self.transcript.pop_front();
        }
        self.transcript.push_back(line.to_owned());
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads an event's line; anything else is an answer.
fn event_in(line: &str) -> Option<Event> {
    let mut words = line.strip_prefix("event ")?.split(' ');
    let kind = words.next()?;
    let peer = Peer(number(words.next()?)?);
    let event = match kind {
        "connect" => Event::Connected { peer, data: number(words.next()?)? },
        "disconnect" => Event::Disconnected { peer, data: number(words.next()?)? },
        "receive" => Event::Received {
            peer,
            channel: number(words.next()?)?,
            flags: number(words.next()?)?,
            length: number(words.next()?)?,
            crc32: u32::from_str_radix(words.next()?, 16).ok()?,
        },
        _ => return None,
    };
    Some(event)
}

fn number<N: FromStr>(word: &str) -> Option<N> {
    word.parse().ok()
}
