//! An end of a WebRTC connection by another implementation, aiortc, in a process of its own.
//!
//! `cargo xtask test` brings it and names a Python that has it in `FERRY_TEST_AIORTC`; where there is none to be had, the tests
//! that need it skip and say so. `tests/peers/aiortc_peer.py` says what it understands and tells.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use crate::brought;
use crate::webrtc_end::{BOUND, End, Told};

const VARIABLE: &str = "FERRY_TEST_AIORTC";

const MARK: &str = "FERRY-AIORTC ";

/// Lines that wait to be looked at; past them it waits for us.
const MOST_LINES: usize = 1024;

/// How long the test sleeps between two looks.
const NAP: Duration = Duration::from_micros(500);

/// An end of ours, and one of aiortc's. That one ends with this object.
pub struct Call {
    /// Ours.
    pub end: End,
    /// What the other one has told, without what it said to us.
    pub told: Vec<String>,
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Call {
    /// Starts the other one. Skips, with a word, where there is none to be had.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn new(end: End) -> Option<Self> {
        let python = brought::or_skip(VARIABLE)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/aiortc_peer.py");
        let mut command = Command::new(python);
        // Lines are UTF-8, whatever the system's words are.
        command.args(["-X", "utf8"]).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let input = process.stdin.take().expect("it is piped");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, lines) = sync_channel(MOST_LINES);
        std::thread::spawn(move || {
            let said = output.lines().map_while(Result::ok);
            let mut marked = said.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned));
            marked.try_for_each(|line| sender.send(line))
        });
        let mut call = Self { end, told: Vec::new(), process, input, lines };
        call.hears("ready");
        Some(call)
    }

    /// Tells the other one to do something.
    ///
    /// # Panics
    /// When it hears nothing any more.
    pub fn tell(&mut self, order: &str) {
        writeln!(self.input, "{order}").expect("it listens");
    }

    /// Polls once, and carries what both say.
    ///
    /// # Panics
    /// When one end does not take what the other one says.
    pub fn poll(&mut self) {
        for told in self.end.poll() {
            self.tell(&told.line());
        }
        while let Ok(line) = self.lines.try_recv() {
            match Told::read(&line) {
                Some(told) => self.end.hear(&told),
                None => self.told.push(line),
            }
        }
    }

    /// Polls until this is so; how long it took.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !done(self) {
            let standing = || format!("{}; the other one told {:?}", self.end.standing(), self.told);
            assert!(begun.elapsed() < BOUND, "not within {BOUND:?}: {what}; {}", standing());
            self.poll();
            std::thread::sleep(NAP);
        }
        begun.elapsed()
    }

    /// Waits until the other one tells a line that begins like this; returns it, and it is not told any more.
    pub fn hears(&mut self, beginning: &str) -> String {
        let mut found = None;
        self.until(beginning, |call| {
            found = call.told.iter().position(|line| line.starts_with(beginning));
            found.is_some()
        });
        found.map(|place| self.told.remove(place)).unwrap_or_default()
    }

    /// Ends the other one at once, without a word to anybody.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
