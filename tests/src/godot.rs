//! A headless Godot, started on the project's test scenes, and the judge of how it ended.
//!
//! `cargo xtask test` brings the engine and makes the project ready; it names them in `FERRY_TEST_GODOT` and
//! `FERRY_TEST_PROJECT`. [`Scene`] says what to run, [`Run`] is the process while it runs, [`Outcome`] what it wrote
//! and how it ended. [`Outcome::verdict`] lets a scene pass only if its exit code is 0, its end line appeared and
//! nothing that it wrote tells of a failure: a scene that stops half-way cannot pass by accident.
//!
//! Errors that a scene provokes on purpose stand between two marks that it writes (`expecting_errors` in
//! `scene_test.gd`); script errors, panics and leaks count there, too. Every process has a bound, and is ended by its
//! own id when the handle goes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Names the program that starts the engine.
const ENGINE_VARIABLE: &str = "FERRY_TEST_GODOT";

/// Names the folder with `project.godot`.
const PROJECT_VARIABLE: &str = "FERRY_TEST_PROJECT";

/// Names the program that starts the engine's release template.
const TEMPLATE_VARIABLE: &str = "FERRY_TEST_GODOT_TEMPLATE";

/// What a scene may take. Most take seconds; the rest is for a machine under load.
pub const SCENE_BOUND: Duration = Duration::from_secs(90);

/// How often a process is asked whether it has ended.
const ASK_INTERVAL: Duration = Duration::from_millis(5);

/// Lines that are kept. A scene that writes more is broken, and the rest is dropped.
const MAX_LINES: usize = 1 << 16;

/// How many of the last lines a failure shows.
const SHOWN_LINES: usize = 40;

/// A scene's last word, followed by `ok` and its name, or by `failed` and why.
const END_MARK: &str = "FERRY_TEST_END ";

/// Between these two lines, errors of the engine are what the scene wants to see.
const ERRORS_EXPECTED: &str = "FERRY_TEST_ERRORS expected";
const ERRORS_UNEXPECTED: &str = "FERRY_TEST_ERRORS unexpected";

/// A line of a transcript: `FERRY_OBSERVE key = value`.
pub const OBSERVE_MARK: &str = "FERRY_OBSERVE ";

/// What no scene may write, whatever it expects.
const NEVER: [(&str, &str); 15] = [
    ("SCRIPT ERROR", "a script failed"),
    ("USER SCRIPT ERROR", "a script failed"),
    ("Parse Error", "a script does not parse"),
    ("Can't open dynamic library", "the library was not loaded"),
    ("Can't open GDExtension", "the library was not loaded"),
    ("GDExtension dynamic library not found", "the library was not loaded"),
    ("Error loading GDExtension", "the library was not loaded"),
    ("No GDExtension library found", "the library was not loaded"),
    ("ObjectDB instances leaked", "objects leaked"),
    ("ObjectDB instances were leaked", "objects leaked"),
    ("still in use at exit", "resources leaked"),
    ("were leaked", "something leaked"),
    ("panicked at", "Rust code panicked"),
    ("[panic ", "Rust code panicked"),
    ("Program crashed with signal", "the engine crashed"),
];

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Scene {
    name: String,
    program: PathBuf,
    /// What stands before the `--`.
    engine_arguments: Vec<String>,
    /// What stands after it.
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    allowed_errors: Vec<String>,
    end_mark: &'static str,
    folder: Option<PathBuf>,
    bound: Duration,
}

impl Scene {
    /// A script of the project's `tests` folder, such as `parity/peer_errors.gd`.
    ///
    /// # Panics
    /// Where `cargo xtask test` has not named the engine and the project.
    pub fn script(path: &str) -> Self {
        Self::in_project(path, &["--script", &format!("res://tests/{path}")])
    }

    /// The engine on the project, with arguments of its own.
    ///
    /// # Panics
    /// Where `cargo xtask test` has not named the engine and the project.
    pub fn in_project(name: &str, engine_arguments: &[&str]) -> Self {
        let project = project();
        let place = ["--headless", "--path", project.to_str().expect("the project's path is text")];
        Self::with_program(name, &engine(), &[&place[..], engine_arguments].concat())
    }

    /// Any program: an exported game.
    pub fn with_program(name: &str, program: &Path, engine_arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            engine_arguments: engine_arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            arguments: Vec::new(),
            environment: Vec::new(),
            allowed_errors: Vec::new(),
            end_mark: END_MARK,
            folder: None,
            bound: SCENE_BOUND,
        }
    }

    /// Adds `--key=value` for the scene to read.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.arguments.push(format!("--{key}={value}"));
        self
    }

    /// Sets a variable of the process.
    #[must_use]
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Lets `ERROR:` lines pass that contain this, wherever they stand.
    #[must_use]
    pub fn allowing_error(mut self, part: &str) -> Self {
        self.allowed_errors.push(part.to_owned());
        self
    }

    /// Sets what its end line begins with.
    #[must_use]
    pub fn ending_with(mut self, mark: &'static str) -> Self {
        self.end_mark = mark;
        self
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Sets what the process may take.
    #[must_use]
    pub fn within(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Starts the process.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(self) -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe for what the engine writes");
        let errors = writer.try_clone().expect("a second end of the pipe");
        let mut command = Command::new(&self.program);
        command.args(&self.engine_arguments).arg("--").args(&self.arguments);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        // Both go through one pipe, so that marks and errors keep their order.
        command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        // The command holds the pipe's writing ends: without them gone, the pipe would never end.
        drop(command);
        let (sender, lines) = sync_channel(MAX_LINES);
        thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            // Ends with the process, or with us. What is beyond the bound is read and dropped.
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                drop(sender.try_send(text));
                line.clear();
            }
        });
        Run { deadline: Instant::now() + self.bound, scene: self, child, lines, seen: Vec::new() }
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Outcome {
        self.start().outcome()
    }

    /// Starts it, waits, and fails the test unless the scene passed.
    ///
    /// # Panics
    /// With the reasons and the last lines, when the scene did not pass.
    pub fn must_pass(self) -> Outcome {
        let outcome = self.run();
        outcome.must_have_passed();
        outcome
    }
}

/// A process that was started, and may still run.
#[derive(Debug)]
pub struct Run {
    scene: Scene,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    deadline: Instant,
}

/// What can be sent to a process.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stands still until [`Signal::Continue`].
    Stop,
    /// Goes on.
    Continue,
    /// Ends at once, with no goodbye.
    Kill,
}

impl Run {
    /// Waits for a line that begins with this, and gives the rest of it.
    ///
    /// # Panics
    /// When the process ends, or its bound passes, before such a line.
    pub fn line(&mut self, start: &str) -> String {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let rest = line.strip_prefix(start).map(|rest| rest.trim().to_owned());
                    self.seen.push(line);
                    if let Some(rest) = rest {
                        return rest;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{}: no line `{start}` in time\n{}", self.scene.name, tail(&self.seen));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: ended without a line `{start}`\n{}", self.scene.name, tail(&self.seen));
                }
            }
        }
    }

    /// Sends a signal to this process, by its id.
    ///
    /// # Panics
    /// When the process is already gone.
    #[cfg(unix)]
    pub fn signal(&mut self, signal: Signal) {
        let name = match signal {
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
            Signal::Kill => "-KILL",
        };
        assert!(self.child.try_wait().is_ok_and(|ended| ended.is_none()), "{} has ended", self.scene.name);
        // The process was not waited for, so that the id is still its own.
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {name} {}", self.child.id());
    }

    /// Waits for the end, at most until the bound.
    pub fn outcome(mut self) -> Outcome {
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < self.deadline => thread::sleep(ASK_INTERVAL),
                Ok(status) => break status,
                Err(_) => break None,
            }
        };
        if status.is_none() {
            self.end();
        }
        // The pipe ends with the process; one that was inherited further must not hold us up.
        let patience = Instant::now() + Duration::from_secs(2);
        while let Ok(line) = self.lines.recv_timeout(patience.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
        Outcome {
            name: self.scene.name.clone(),
            status,
            lines: std::mem::take(&mut self.seen),
            allowed_errors: self.scene.allowed_errors.clone(),
            end_mark: self.scene.end_mark,
        }
    }

    fn end(&mut self) {
        // It may have ended by itself in the meantime.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a process ended, and all that it wrote.
#[derive(Debug)]
pub struct Outcome {
    name: String,
    /// None for one that had to be ended.
    status: Option<ExitStatus>,
    lines: Vec<String>,
    allowed_errors: Vec<String>,
    end_mark: &'static str,
}

impl Outcome {
    /// What was run.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it wrote, both to its output and to its errors.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// How it ended; None for one that was still running at its bound.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// The last of it, for a message.
    pub fn tail(&self) -> String {
        tail(&self.lines)
    }

    /// Everything that keeps the scene from having passed; empty if it passed.
    pub fn verdict(&self) -> Vec<String> {
        let mut reasons = self.troubles();
        let ends: Vec<&str> = self.lines.iter().filter_map(|line| line.strip_prefix(self.end_mark)).collect();
        match ends[..] {
            [end] if end == "ok" || end.starts_with("ok ") => {}
            [end] => reasons.push(end.to_owned()),
            [] => reasons.push("no end line".to_owned()),
            _ => reasons.push("more than one end line".to_owned()),
        }
        reasons
    }

    /// As [`Outcome::verdict`], for a process that writes no end line.
    pub fn troubles(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.status {
            None => reasons.push("still running at its bound".to_owned()),
            Some(status) if !status.success() => reasons.push(format!("ended with {status}")),
            Some(_) => {}
        }
        let mut expected = false;
        for line in &self.lines {
            match line.as_str() {
                ERRORS_EXPECTED => expected = true,
                ERRORS_UNEXPECTED => expected = false,
                line => reasons.extend(self.trouble(line, expected)),
            }
        }
        if expected {
            reasons.push("stopped while it expected errors".to_owned());
        }
        reasons
    }

    fn trouble(&self, line: &str, expected: bool) -> Option<String> {
        // What a test observes may quote anything.
        if line.starts_with(OBSERVE_MARK) {
            return None;
        }
        if let Some((_, why)) = NEVER.iter().find(|(part, _)| line.contains(part)) {
            return Some(format!("{why}: {line}"));
        }
        let is_error = line.starts_with("ERROR:") || line.starts_with("USER ERROR:");
        let allowed = expected || self.allowed_errors.iter().any(|part| line.contains(part.as_str()));
        (is_error && !allowed).then(|| format!("an unexpected error: {line}"))
    }

    /// Fails the test unless the scene passed.
    ///
    /// # Panics
    /// With the reasons and the last lines.
    pub fn must_have_passed(&self) {
        let reasons = self.verdict();
        assert!(
            reasons.is_empty(),
            "{} failed:\n  {}\n{}",
            self.name,
            reasons.join("\n  "),
            tail(&self.lines)
        );
    }
}

/// The engine's release template.
///
/// # Panics
/// Where none is named.
pub fn template() -> PathBuf {
    variable(TEMPLATE_VARIABLE)
}

/// The project with the test scenes.
///
/// # Panics
/// Where none is named.
pub fn project() -> PathBuf {
    variable(PROJECT_VARIABLE)
}

/// The engine.
///
/// # Panics
/// Where none is named.
pub fn engine() -> PathBuf {
    variable(ENGINE_VARIABLE)
}

fn variable(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(value) => PathBuf::from(value),
        None => panic!(
            "{name} is not set: run `cargo xtask test`, which builds the library and brings the engine"
        ),
    }
}

/// The last lines, without the places in code that the engine adds below its errors.
fn tail(lines: &[String]) -> String {
    let lines: Vec<&String> = lines.iter().filter(|line| !line.starts_with("   ")).collect();
    let skipped = lines.len().saturating_sub(SHOWN_LINES);
    let shown = lines[skipped..].iter().map(|line| format!("  | {line}\n"));
    let note = if skipped > 0 { format!("  | ... {skipped} lines ...\n") } else { String::new() };
    note + &shown.collect::<String>()
}
