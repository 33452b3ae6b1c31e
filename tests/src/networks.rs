//! Networks that a test makes itself, with nobody else in them.
//!
//! It needs no rights for that where the system gives its users namespaces, and skips where not. A test starts its own
//! program again at itself: once in a new network ([`inside`]), and that one once more in another ([`Neighbour`]). Each
//! finds out by [`part`] which of the three it is. A neighbour is driven by lines ([`orders`]) and tells what it sees by
//! lines ([`say`]); they carry a mark, since the test harness writes others.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::brought;

/// Tells a program that a test started again what it is there.
const PART_VARIABLE: &str = "FERRY_NETWORK_PART";

/// Names the program that says what a network lets through.
const NFT_VARIABLE: &str = "FERRY_TEST_NFT";

const MARK: &str = "FERRY-NETWORK ";

/// Lines that wait to be looked at; a story has a dozen.
const MOST_LINES: usize = 64;

/// A user's own networks, in which he may do what he likes.
const OWN_WORLD: [&str; 3] = ["--user", "--map-root-user", "--net"];

/// Which part of a test this process plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The test as the harness started it.
    Start,
    /// In the network of its own.
    Inside,
    /// In another, started from inside the first.
    Neighbour,
}

/// Which part this process plays.
#[must_use]
pub fn part() -> Part {
    match std::env::var(PART_VARIABLE).as_deref() {
        Ok("inside") => Part::Inside,
        Ok("neighbour") => Part::Neighbour,
        _ => Part::Start,
    }
}

/// Runs the test of this name inside a network of its own. Skips, with a word, where the system gives nobody one.
///
/// # Panics
/// When the test fails there, with all that it said.
pub fn inside(name: &str) {
    let probe = ["ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"];
    let possible = Command::new("unshare").args(OWN_WORLD).args(probe).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: this system gives nobody a network of his own");
        return;
    }
    let output = again(name, &OWN_WORLD, "inside").output().expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// This program once more, at this test, in a world of its own.
fn again(name: &str, worlds: &[&str], part: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(worlds).arg("--").arg(std::env::current_exe().expect("this program has a file"));
    command.args([name, "--exact", "--nocapture"]).env(PART_VARIABLE, part).stdin(Stdio::null());
    command
}

/// Changes the network that this process is in, by the words of `ip`.
///
/// # Panics
/// When it refuses.
pub fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "ip {arguments}: {status:?}");
}

/// Changes what this network lets through, by the words of `nft`.
///
/// # Panics
/// When it refuses.
pub fn nft(arguments: &str) {
    let program = brought::or_skip(NFT_VARIABLE).expect("it was there before");
    let status = Command::new(program).args(arguments.split(' ')).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "nft {arguments}: {status:?}");
}

/// Whether a network of one's own can also be made to lose packets, and to give its users another address. Says so where not.
#[must_use]
pub fn can_filter() -> bool {
    let Some(program) = brought::or_skip(NFT_VARIABLE) else { return false };
    let rules = "add table ip probe; add chain ip probe out { type nat hook postrouting priority 100; }; \
                 add rule ip probe out numgen random mod 2 0 masquerade random,fully-random";
    let tried = Command::new("unshare").args(OWN_WORLD).arg(program).arg(rules).output();
    let works = tried.is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: this system lets nobody filter what passes his own network");
    }
    works
}

/// The process in the other network. It ends with this object.
pub struct Neighbour {
    child: Child,
    input: ChildStdin,
    /// What it says.
    pub lines: Receiver<String>,
}

impl Neighbour {
    /// Starts the test of this name in another network. Only once it has said something, its [id](Self::id) stands for that.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let mut command = again(name, &["--net"], "neighbour");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let input = child.stdin.take().expect("it is piped");
        Self { input, child, lines: marked_lines(output) }
    }

    /// The id of its process, by which `ip` knows its network.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives it an order.
    ///
    /// # Panics
    /// When it hears nothing any more.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{MARK}{line}").expect("it listens");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn wait(&mut self) {
        self.child.wait().expect("it ends");
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// In a neighbour: what it is told to do.
#[must_use]
pub fn orders() -> Receiver<String> {
    marked_lines(BufReader::new(std::io::stdin()))
}

/// In a neighbour: tells whoever started it.
pub fn say(line: &str) {
    println!("{MARK}{line}");
}

/// What follows the mark, of each line that has it. Ends with what it reads from.
fn marked_lines(input: impl BufRead + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(MOST_LINES);
    std::thread::spawn(move || {
        let said = input.lines().map_while(Result::ok);
        let mut marked = said.filter_map(|line| line.split_once(MARK).map(|(_, rest)| rest.to_owned()));
        marked.try_for_each(|line| sender.send(line))
    });
    lines
}
