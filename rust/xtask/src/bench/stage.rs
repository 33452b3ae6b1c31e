//! One run of a case: the processes, the network that they have to themselves, and what they tell.
//!
//! The server's process starts first; when it says that it is open, the clients' process joins it in its network. Where the
//! system gives nobody a network of his own, both use the machine's, on a port that was free. Every run is bounded, and only
//! processes that were started here are ended.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::cases::{Case, Processes};
use super::record::{Figures, Who};
use crate::godot::Engine;
use crate::run::{end_with_descendants, hand_on_lines};

/// What the scripts write.
const FIGURE_MARK: &str = "FERRY_BENCH ";
const OPEN_MARK: &str = "FERRY_BENCH_OPEN";
const END_MARK: &str = "FERRY_BENCH_END ";

/// The scripts give themselves up after 150 s.
const RUN_BOUND: Duration = Duration::from_secs(170);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Lines between a process and us; past it, it waits.
const LINES_IN_FLIGHT: usize = 256;

/// What a shell does before it becomes the process: as many files as the system lets it have, for a thousand sockets.
const MANY_FILES: &str = "ulimit -n $(ulimit -H -n); exec \"$@\"";

/// And before that in a new network: its loopback interface goes up, and it gets an address that is none of loopback's,
/// without which some WebRTC stacks find no way to themselves.
const MANY_FILES_AND_INTERFACES: &str = "set -e; ulimit -n $(ulimit -H -n); ip link set lo up; \
    ip link add bench0 type veth peer name bench1; ip address add 10.77.0.1/24 dev bench0; \
    ip link set bench0 up; ip link set bench1 up; exec \"$@\"";

const OWN_NETWORK: [&str; 3] = ["--user", "--map-root-user", "--net"];

/// Where runs take place.
pub(crate) struct Stage {
    engine: Engine,
    projects: Projects,
    own_network: bool,
}

/// A project for each library that may be under measure, so that none has another in its process.
pub(crate) struct Projects {
    pub(crate) ferry: PathBuf,
    /// Only the engine's own classes.
    pub(crate) plain: PathBuf,
    /// With another plugin for WebRTC.
    pub(crate) native: Option<PathBuf>,
}

impl Stage {
    pub(crate) fn new(engine: Engine, projects: Projects) -> Self {
        let mut probe = Command::new("unshare");
        probe.args(OWN_NETWORK).args(["sh", "-c", MANY_FILES_AND_INTERFACES, "sh", "true"]);
        let own_network =
            probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) && has_nsenter();
        Self { engine, projects, own_network }
    }

    /// In words, for whoever reads the figures.
    pub(crate) fn network(&self) -> &'static str {
        if self.own_network {
            "a network of its own for each run"
        } else {
            "the machine's own loopback interface"
        }
    }

    /// Runs a case with these classes; an error says what went wrong, and what the processes had said.
    pub(crate) fn play(&self, case: &Case, server: &str, clients: &str) -> Result<Figures, String> {
        let port = free_port()?;
        let mut cast = Cast::default();
        let mut common =
            vec![format!("--port={port}"), format!("--server={server}"), format!("--clients={clients}")];
        common.extend(case.arguments.iter().cloned());
        let role = if case.processes == Processes::One { "--role=both" } else { "--role=server" };
        let command = self.command(None, server, case.script, role, &common);
        cast.start(Who::Server, command)?;
        let deadline = Instant::now() + RUN_BOUND;
        let mut awaits_clients = case.processes == Processes::Two;
        while Instant::now() < deadline && cast.any_runs() {
            if cast.listen() && awaits_clients {
                awaits_clients = false;
                let beside = self.own_network.then(|| cast.first_id());
                let command = self.command(beside, clients, case.script, "--role=clients", &common);
                cast.start(Who::Clients, command)?;
            }
        }
        cast.end_all();
        cast.hear_the_rest();
        cast.verdict()
    }

    /// The engine on a script, `beside` a process in whose network it is to be, or in a new one.
    fn command(
        &self,
        beside: Option<u32>,
        class: &str,
        script: &str,
        role: &str,
        options: &[String],
    ) -> Command {
        let mut words: Vec<String> = Vec::new();
        let mut preparation = MANY_FILES;
        if self.own_network {
            match beside {
                Some(id) => {
                    words.extend(["nsenter", "--target"].map(str::to_owned));
                    words.push(id.to_string());
                    words.extend(["--user", "--net", "--preserve-credentials", "--"].map(str::to_owned));
                }
                None => {
                    words.push("unshare".to_owned());
                    words.extend(OWN_NETWORK.map(str::to_owned));
                    words.push("--".to_owned());
                    preparation = MANY_FILES_AND_INTERFACES;
                }
            }
        }
        words.extend(["sh", "-c", preparation, "sh"].map(str::to_owned));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(&self.engine.program).args(["--headless", "--path"]);
        command.arg(self.projects.of(class));
        command.args(["--script", &format!("res://bench/{script}.gd"), "--", role]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Projects {
    fn of(&self, class: &str) -> &PathBuf {
        match &self.native {
            _ if class.starts_with("Ferry") => &self.ferry,
            Some(native) if class.contains("WebRTC") => native,
            _ => &self.plain,
        }
    }
}

fn has_nsenter() -> bool {
    Command::new("nsenter").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// A port that nobody has, neither of UDP nor of TCP.
fn free_port() -> Result<u16, String> {
    for _ in 0..64 {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("a free port: {error}"))?;
        let address = listener.local_addr().map_err(|error| format!("a free port: {error}"))?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address.port());
        }
    }
    Err("no port is free both of UDP and of TCP".to_owned())
}

/// The processes of a run, and what they said.
struct Cast {
    actors: Vec<Actor>,
    lines: (SyncSender<Line>, Receiver<Line>),
    figures: Figures,
    complaints: Vec<String>,
}

/// A line, and whose it is.
type Line = (Who, String);

struct Actor {
    who: Who,
    child: Child,
    running: bool,
    ended_well: bool,
}

impl Default for Cast {
    fn default() -> Self {
        Self {
            actors: Vec::new(),
            lines: sync_channel(LINES_IN_FLIGHT),
            figures: Figures::default(),
            complaints: Vec::new(),
        }
    }
}

impl Cast {
    fn start(&mut self, who: Who, mut command: Command) -> Result<(), String> {
        let mut child = command.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let (output, errors) = (self.lines.0.clone(), self.lines.0.clone());
        let stdout = child.stdout.take().expect("a pipe was asked for");
        let stderr = child.stderr.take().expect("a pipe was asked for");
        hand_on_lines(stdout, move |line| output.send((who, line)).is_ok());
        hand_on_lines(stderr, move |line| errors.send((who, line)).is_ok());
        self.actors.push(Actor { who, child, running: true, ended_well: false });
        Ok(())
    }

    fn first_id(&self) -> u32 {
        self.actors.first().map_or(0, |actor| actor.child.id())
    }

    fn any_runs(&self) -> bool {
        self.actors.iter().any(|actor| actor.running)
    }

    /// Takes in the next line, or sees who has ended. Whether that line said that the server is open.
    fn listen(&mut self) -> bool {
        match self.lines.1.recv_timeout(LOOK_EVERY) {
            Ok((who, line)) => self.hear(who, &line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                for actor in &mut self.actors {
                    actor.running = matches!(actor.child.try_wait(), Ok(None));
                }
                false
            }
        }
    }

    fn hear(&mut self, who: Who, line: &str) -> bool {
        if let Some(figure) = line.strip_prefix(FIGURE_MARK) {
            if let Some((key, value)) = figure.split_once(' ')
                && let Ok(value) = value.trim().parse::<f64>()
                && value.is_finite()
            {
                self.figures.note(who, key, value);
            }
        } else if let Some(end) = line.strip_prefix(END_MARK) {
            let well = end.trim() == "ok";
            for actor in self.actors.iter_mut().filter(|actor| actor.who == who) {
                actor.ended_well = well;
            }
        } else if line.starts_with(OPEN_MARK) {
            return true;
        } else if line.contains("ERROR") && self.complaints.len() < 3 {
            self.complaints.push(line.to_owned());
        }
        false
    }

    fn end_all(&mut self) {
        for actor in &mut self.actors {
            // It is our child and was not waited for, so its id is still its own.
            if let Ok(None) = actor.child.try_wait() {
                end_with_descendants(&mut actor.child);
            }
        }
    }

    /// Lines may still be on their way when their process has ended.
    fn hear_the_rest(&mut self) {
        while let Ok((who, line)) = self.lines.1.recv_timeout(Duration::from_millis(100)) {
            self.hear(who, &line);
        }
    }

    fn verdict(&mut self) -> Result<Figures, String> {
        let said = self.complaints.join("; ");
        match self.actors.iter().find(|actor| !actor.ended_well) {
            Some(actor) => Err(format!("the {:?}'s process did not end well: {said}", actor.who)),
            None if self.figures.is_empty() => Err(format!("no figures were told: {said}")),
            None => Ok(self.figures.clone()),
        }
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.end_all();
    }
}
