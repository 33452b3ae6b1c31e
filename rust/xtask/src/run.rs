//! Starting processes: where the workspace is, what is shown, how long a step may take.
//!
//! Every step of every command goes through [`Step`], which prints what it runs and ends it, with all that it started,
//! when its time is up: a hanging test fails, it does not hang the machine that runs it. A step that is silent for long is
//! said to be still at it. What is announced goes to the error output: the standard output is for results.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Outcome;

/// The longest a single step may take: a cold build of the whole workspace on a small machine stays well below.
pub(crate) const STEP_BOUND: Duration = Duration::from_secs(40 * 60);

/// How often a running step is looked at when it prints nothing.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a step may say nothing before we say that it is still at it.
const SILENCE: Duration = Duration::from_secs(30);

/// What is kept of an answer; what is asked for is a line or two.
const ANSWER_LIMIT_BYTES: u64 = 1 << 20;

/// Lines between the reader of a step's output and us; past it the step waits for us to print.
const LINES_IN_FLIGHT: usize = 1024;

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.ancestors().nth(2).expect("xtask lies two folders below the root").to_path_buf()
}

/// The folder that cargo builds into.
pub(crate) fn target_folder() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.map_or_else(|| workspace_root().join("target"), |folder| workspace_root().join(folder))
}

/// The cargo that runs us, so that one toolchain does everything.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    command
}

/// Whether `program` can be started at all.
pub(crate) fn exists(program: impl AsRef<OsStr>) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// All programs of these names on PATH, by name first.
pub(crate) fn on_path(names: &[&str]) -> Vec<PathBuf> {
    let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat"] } else { &[""] };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
    let mut found = Vec::new();
    for name in names {
        for ending in endings {
            let files = folders.iter().map(|folder| folder.join(format!("{name}{ending}")));
            found.extend(files.filter(|file| file.is_file()));
        }
    }
    found
}

/// What a quick question to another program answers on its standard output; an error carries what it said instead.
pub(crate) fn answer(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", name_of(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(format!("{} failed: {}", name_of(command), if said.is_empty() { "it said nothing" } else { said }))
}

/// As [`answer`], from a program that may hang. What it writes on its error output is not kept.
pub(crate) fn answer_within(command: &mut Command, bound: Duration) -> Result<String, String> {
    let name = name_of(command);
    let named = |reason: String| format!("{name}: {reason}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| named(error.to_string()))?;
    let output = child.stdout.take().expect("a pipe was asked for");
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = output.take(ANSWER_LIMIT_BYTES).read_to_end(&mut said);
        let _ = sender.send(said);
    });
    let status = wait(&mut child, &mut Watch::new(&name, bound)).map_err(&named)?;
    // A grandchild that outlives the child may hold the pipe open.
    let said = receiver.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
    if status.success() {
        Ok(String::from_utf8_lossy(&said).into_owned())
    } else {
        Err(named(format!("failed ({status})")))
    }
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// One announced, bounded run of a program.
pub(crate) struct Step {
    command: Command,
    what: String,
    bound: Duration,
}

impl Step {
    pub(crate) fn new(what: impl Into<String>, command: Command) -> Self {
        Self { command, what: what.into(), bound: STEP_BOUND }
    }

    pub(crate) fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Runs it with its output going where ours goes; anything but success is an error.
    pub(crate) fn run(self) -> Outcome {
        let what = self.what.clone();
        let status = self.run_with_lines(None)?;
        if status.success() { Ok(()) } else { Err(format!("{what} failed ({status})")) }
    }

    /// Runs it, prints each line of its standard output and shows it to `each_line`.
    pub(crate) fn run_reading(self, each_line: &mut dyn FnMut(&str)) -> Result<ExitStatus, String> {
        self.run_with_lines(Some(each_line))
    }

    fn run_with_lines(mut self, each_line: Option<&mut dyn FnMut(&str)>) -> Result<ExitStatus, String> {
        eprintln!("==> {}", self.what);
        let mut watch = Watch::new(&self.what, self.bound);
        if each_line.is_some() {
            self.command.stdout(Stdio::piped());
        }
        let mut child =
            self.command.spawn().map_err(|error| format!("{}: {error}", name_of(&self.command)))?;
        let status = match each_line {
            Some(each_line) => pass_lines(&mut child, &mut watch, each_line),
            None => wait(&mut child, &mut watch),
        };
        status.map_err(|reason| format!("{}: {reason}", self.what))
    }
}

/// Hands each line to `take` on a thread of its own, which ends with what it reads or when `take` has had enough.
pub(crate) fn hand_on_lines(
    from: impl Read + Send + 'static,
    mut take: impl FnMut(String) -> bool + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            if !take(text) {
                return;
            }
        }
    });
}

/// Prints and shows lines until the output ends. A grandchild that outlives the child may hold the pipe open, so the
/// end of the child counts as well as the end of the output.
fn pass_lines(
    child: &mut Child,
    watch: &mut Watch,
    each_line: &mut dyn FnMut(&str),
) -> Result<ExitStatus, String> {
    let output = child.stdout.take().expect("the caller asked for a pipe");
    let (lines, arriving) = mpsc::sync_channel(LINES_IN_FLIGHT);
    hand_on_lines(output, move |line| lines.send(line).is_ok());
    loop {
        match arriving.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                println!("{line}");
                watch.heard();
                each_line(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return wait(child, watch),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                    return Ok(status);
                }
            }
        }
        watch.look(child)?;
    }
}

fn wait(child: &mut Child, watch: &mut Watch) -> Result<ExitStatus, String> {
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        watch.look(child)?;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The time that a step takes: its bound, and its silence.
struct Watch {
    what: String,
    started: Instant,
    bound: Duration,
    last_sign: Instant,
}

impl Watch {
    fn new(what: &str, bound: Duration) -> Self {
        let now = Instant::now();
        Self { what: what.to_owned(), started: now, bound, last_sign: now }
    }

    fn heard(&mut self) {
        self.last_sign = Instant::now();
    }

    /// Ends the child when its time is up, and says that it is still there when nothing else does.
    fn look(&mut self, child: &mut Child) -> Outcome {
        if self.started.elapsed() >= self.bound {
            end_with_descendants(child);
            return Err(format!("not done after {} s, ended", self.bound.as_secs()));
        }
        if self.last_sign.elapsed() >= SILENCE {
            eprintln!("    still at it: {} ({} s)", self.what, self.started.elapsed().as_secs());
            self.heard();
        }
        Ok(())
    }
}

/// Ends a child and what it has started: killing cargo alone would leave the test programs running. The children are
/// kept in our own process group, so that Ctrl-C reaches them all, which is why the group cannot be used here.
pub(crate) fn end_with_descendants(child: &mut Child) {
    if cfg!(windows) {
        let _ = answer(Command::new("taskkill").args(["/T", "/F", "/PID", &child.id().to_string()]));
    } else {
        let table = answer(Command::new("ps").args(["-A", "-o", "pid=,ppid="])).unwrap_or_default();
        for id in descendants(&table, child.id()) {
            let _ = answer(Command::new("kill").args(["-KILL", &id.to_string()]));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// All processes below `ancestor` in a table of lines `id parent`.
fn descendants(table: &str, ancestor: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for line in table.lines() {
        let mut ids = line.split_whitespace().map_while(|word| word.parse::<u32>().ok());
        if let (Some(id), Some(parent)) = (ids.next(), ids.next()) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![ancestor];
    while let Some(next) = open.pop() {
        for child in children.remove(&next).unwrap_or_default() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_below_the_ancestor_only() {
        let mut found = descendants("1 0\n10 1\n11 10\n12 10\n 13 12\n20 1\n", 10);
        found.sort_unstable();
        assert_eq!(found, [11, 12, 13]);
    }

    #[test]
    #[cfg(unix)]
    fn a_program_that_hangs_gives_no_answer() {
        let bound = Duration::from_millis(200);
        assert!(answer_within(Command::new("sleep").arg("600"), bound).is_err());
        let said = answer_within(Command::new("echo").arg("hello"), Duration::from_secs(30));
        assert_eq!(said.as_deref(), Ok("hello\n"));
    }

    #[test]
    #[cfg(unix)]
    fn a_step_that_hangs_is_ended_at_its_bound() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]);
        let started = Instant::now();
        let outcome =
            Step::new("hang on purpose", command).within(Duration::from_millis(200)).run_reading(&mut |_| {});
        assert!(outcome.is_err_and(|reason| reason.contains("ended")));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
