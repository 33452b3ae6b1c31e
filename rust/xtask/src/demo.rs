//! `cargo xtask demo`: the match, one server and three clients as processes of their own.
//!
//! Builds the library, has engine and project ready and starts `godot_project/match`. What each process says is shown as it
//! comes, with its name before it; the figures that they tell at their end become a table. The match went as scripted if
//! every process said so and ended well. It is bounded in time, and only processes that were started here are ended.
//! With `--window` a person plays instead: a server and a client in windows, until one of them is closed.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::build::Build;
use crate::godot::Engine;
use crate::rows::{Row, table};
use crate::run::{end_with_descendants, hand_on_lines};
use crate::{Outcome, godot, project};

/// The scripted match takes some ten seconds, and gives itself up after 50.
const MATCH_BOUND: Duration = Duration::from_secs(60);

/// How often processes are asked whether they still run.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Lines between the processes and the screen; past it they wait.
const LINES_IN_FLIGHT: usize = 1024;

/// Rows that are kept. A match of four has six.
const MAX_ROWS: usize = 64;

const SERVER: &str = "server";
const CLIENTS: [&str; 3] = ["anna", "ben", "cleo"];

/// What `match.gd` can be played over.
const TRANSPORTS: [&str; 3] = ["enet", "websocket", "webrtc"];

/// What the match's processes write for whoever started them.
const PORT_MARK: &str = "FERRY_MATCH port=";
const ROW_MARK: &str = "FERRY_MATCH_ROW ";
const END_MARK: &str = "FERRY_MATCH_END ";

/// What every engine says of itself; nothing happens in the match by it.
const GREETINGS: [&str; 2] = ["Godot Engine v", "Initialize godot-rust"];

/// What no process may write, however it ends.
const NEVER: [&str; 3] = ["SCRIPT ERROR", "panicked at", "GDExtension dynamic library not found"];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut window = false;
    let mut transport = "enet".to_owned();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--window" => window = true,
            "--transport" => transport.clone_from(rest.next().ok_or("--transport needs a name")?),
            unknown => return Err(format!("unknown option `{unknown}`; there are --window and --transport")),
        }
    }
    if !TRANSPORTS.contains(&transport.as_str()) {
        return Err(format!("there is no transport `{transport}`; there are {}", TRANSPORTS.join(", ")));
    }
    Build::default().library()?;
    let engine = godot::find()?;
    let mut stage = Stage::new(engine, window, transport)?;
    let outcome = if window { stage.play_by_hand() } else { stage.play_script() };
    stage.end_all();
    outcome
}

/// The processes of a match, and what they have said.
struct Stage {
    engine: Engine,
    project: std::path::PathBuf,
    window: bool,
    transport: String,
    players: Vec<Player>,
    said: (SyncSender<Said>, Receiver<Said>),
    port: Option<u16>,
    /// By the number of the process that told of them.
    rows: Vec<(usize, Row)>,
}

/// One process.
struct Player {
    name: &'static str,
    child: Child,
    ended: Option<ExitStatus>,
    /// Its last word.
    end_line: Option<String>,
    trouble: Option<String>,
}

/// A line of a process.
struct Said {
    name: &'static str,
    line: String,
}

impl Stage {
    fn new(engine: Engine, window: bool, transport: String) -> Result<Self, String> {
        let project = project::prepare(&engine)?;
        Ok(Self {
            engine,
            project,
            window,
            transport,
            players: Vec::new(),
            said: sync_channel(LINES_IN_FLIGHT),
            port: None,
            rows: Vec::new(),
        })
    }

    fn play_script(&mut self) -> Outcome {
        eprintln!("==> a match of {} players over {}", CLIENTS.len(), self.transport);
        let deadline = Instant::now() + MATCH_BOUND;
        self.start(SERVER, &["--role=server", "--port=0"])?;
        while Instant::now() < deadline {
            self.listen()?;
            if self.players.len() == 1
                && let Some(port) = self.port
            {
                for name in CLIENTS {
                    let (name_argument, port) = (format!("--name={name}"), format!("--port={port}"));
                    self.start(name, &["--role=client", &name_argument, &port])?;
                }
            }
            if self.players.iter().all(|player| player.ended.is_some()) {
                break;
            }
        }
        self.end_all();
        self.hear_the_rest();
        // The order in which processes end is chance.
        self.rows.sort_by_key(|(number, _)| *number);
        let rows: Vec<Row> = self.rows.drain(..).map(|(_, row)| row).collect();
        print!("\n{}\n", table(&rows));
        let mut reasons = self.players.iter().filter_map(Player::failure).collect::<Vec<_>>();
        if self.players.len() == 1 {
            reasons.push("no client was started, as the server named no port".to_owned());
        }
        if !reasons.is_empty() {
            return Err(format!("the match did not go as scripted\n  {}", reasons.join("\n  ")));
        }
        println!("the match went as scripted");
        Ok(())
    }

    /// Until either window is closed.
    fn play_by_hand(&mut self) -> Outcome {
        eprintln!("==> a match to play; close a window to end it");
        self.start(SERVER, &["--role=server", "--port=0", "--name=host"])?;
        loop {
            self.listen()?;
            if let Some(player) = self.players.iter().find(|player| player.ended.is_some()) {
                let fine = player.ended.is_some_and(|status| status.success());
                let all_open = self.players.len() == 2;
                return if fine && all_open {
                    Ok(())
                } else {
                    Err(format!("{} ended by itself; is there a display?", player.name))
                };
            }
            if self.players.len() == 1
                && let Some(port) = self.port
            {
                self.start("guest", &["--role=client", "--name=guest", &format!("--port={port}")])?;
            }
        }
    }

    fn start(&mut self, name: &'static str, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(&self.engine.program);
        if self.window {
            let position = if self.players.is_empty() { "40,60" } else { "700,260" };
            command.args(["--resolution", "800x500", "--position", position]);
        } else {
            command.arg("--headless");
        }
        command.arg("--path").arg(&self.project).args(["res://match/match.tscn", "--"]).args(arguments);
        command.args((!self.window).then_some("--script=demo"));
        command.arg(format!("--transport={}", self.transport));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("{}: {error}", self.engine.program.display()))?;
        let output = child.stdout.take().expect("a pipe was asked for");
        let errors = child.stderr.take().expect("a pipe was asked for");
        pass_on(name, output, self.said.0.clone());
        pass_on(name, errors, self.said.0.clone());
        self.players.push(Player { name, child, ended: None, end_line: None, trouble: None });
        Ok(())
    }

    /// Takes in the next line, or waits a moment, and sees who has ended.
    fn listen(&mut self) -> Outcome {
        match self.said.1.recv_timeout(LOOK_EVERY) {
            // Who ends has said all before, so ends are looked at in silence only.
            Ok(said) => self.hear(&said),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                for player in self.players.iter_mut().filter(|player| player.ended.is_none()) {
                    player.ended = player.child.try_wait().map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Lines may still be on their way when their process has ended.
    fn hear_the_rest(&mut self) {
        let patience = Instant::now() + Duration::from_secs(2);
        while Instant::now() < patience
            && let Ok(said) = self.said.1.recv_timeout(Duration::from_millis(200))
        {
            self.hear(&said);
        }
    }

    fn hear(&mut self, said: &Said) {
        let mut players = self.players.iter_mut().enumerate();
        let Some((number, player)) = players.find(|(_, player)| player.name == said.name) else { return };
        if let Some(port) = said.line.strip_prefix(PORT_MARK) {
            self.port = port.trim().parse().ok();
            return;
        } else if let Some(row) = said.line.strip_prefix(ROW_MARK) {
            match Row::read(row) {
                Some(row) if self.rows.len() < MAX_ROWS => self.rows.push((number, row)),
                _ => player.trouble = Some(format!("told figures that cannot be read: {row}")),
            }
            return;
        } else if let Some(end) = said.line.strip_prefix(END_MARK) {
            player.end_line = Some(end.trim().to_owned());
            println!("{:>width$} | ends: {}", said.name, end.trim(), width = SERVER.len());
            return;
        } else if NEVER.iter().any(|mark| said.line.contains(mark)) {
            player.trouble = Some(said.line.clone());
        } else if GREETINGS.iter().any(|greeting| said.line.starts_with(greeting)) {
            return;
        }
        println!("{:>width$} | {}", said.name, said.line, width = SERVER.len());
    }

    fn end_all(&mut self) {
        for player in self.players.iter_mut().filter(|player| player.ended.is_none()) {
            // It is our child and was not waited for, so its id is still its own.
            if let Ok(Some(status)) = player.child.try_wait() {
                player.ended = Some(status);
            } else {
                end_with_descendants(&mut player.child);
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Player {
    /// What keeps it from having gone as scripted.
    fn failure(&self) -> Option<String> {
        let name = self.name;
        let status = match self.ended {
            Some(status) if status.success() => None,
            Some(status) => Some(format!("{name} ended with {status}")),
            None => Some(format!("{name} was still playing after {} s", MATCH_BOUND.as_secs())),
        };
        let word = match self.end_line.as_deref() {
            Some("ok") => None,
            Some(other) => Some(format!("{name}: {other}")),
            None => Some(format!("{name} did not say how it went")),
        };
        let trouble = self.trouble.as_ref().map(|trouble| format!("{name}: {trouble}"));
        // The word tells more than the exit status.
        trouble.or(word).or(status)
    }
}

/// Passes lines on that say something.
fn pass_on(name: &'static str, from: impl Read + Send + 'static, to: SyncSender<Said>) {
    hand_on_lines(from, move |line| {
        let line = line.trim_end().to_owned();
        line.is_empty() || to.send(Said { name, line }).is_ok()
    });
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A stage whose engine is a shell script; `$role` and `$name` are what the process was started as.
    fn stage(test: &str, script: &str) -> Stage {
        let folder = std::env::temp_dir().join(format!("ferry-demo-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder to try in");
        let program = folder.join("engine");
        let text = format!(
            "#!/bin/sh\nfor argument; do case $argument in --*=*) argument=${{argument#--}}; \
             eval \"${{argument%%=*}}=${{argument#*=}}\";; esac; done\n{script}\n"
        );
        // Written beside and moved: a program that is open for writing cannot be started.
        let fresh = folder.join("fresh");
        fs::write(&fresh, text).expect("the script");
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("it can be run");
        fs::rename(&fresh, &program).expect("it is in its place");
        Stage {
            engine: Engine { program, template: None, version: "4.6.3".to_owned() },
            project: folder,
            window: false,
            transport: "enet".to_owned(),
            players: Vec::new(),
            said: sync_channel(LINES_IN_FLIGHT),
            port: None,
            rows: Vec::new(),
        }
    }

    fn outcome(test: &str, script: &str) -> Outcome {
        let mut stage = stage(test, script);
        let outcome = stage.play_script();
        fs::remove_dir_all(&stage.project).expect("the folder goes");
        outcome
    }

    const WELL: &str = "[ $role = server ] && echo FERRY_MATCH port=77\n\
        [ $role = client ] && [ $port != 77 ] && exit 9\n\
        echo 'FERRY_MATCH_ROW {\"who\":\"x\",\"peer\":1,\"left\":\"y\"}'\n";

    #[test]
    fn a_match_in_which_all_say_that_it_went_well_went_well() {
        assert_eq!(outcome("well", &format!("{WELL}echo FERRY_MATCH_END ok; sleep 0.3")), Ok(()));
    }

    #[test]
    fn one_process_that_fails_makes_the_match_fail() {
        for (test, script, why) in [
            ("word", "echo FERRY_MATCH_END failed: dry; exit 1", "ben: failed: dry"),
            ("silent", "exit 0", "ben did not say how it went"),
            ("status", "echo FERRY_MATCH_END ok; exit 3", "ben ended with"),
            ("script", "echo 'SCRIPT ERROR: no'; echo FERRY_MATCH_END ok; exit 0", "ben: SCRIPT ERROR"),
            ("row", "echo 'FERRY_MATCH_ROW {'; echo FERRY_MATCH_END ok; exit 0", "ben: told figures"),
        ] {
            let script = format!(
                "{WELL}if [ \"$name\" = ben ]; then {script}; fi\necho FERRY_MATCH_END ok; sleep 0.3"
            );
            let reason = outcome(test, &script).expect_err(test);
            assert!(reason.contains(why), "{test}: {reason}");
            assert!(!reason.contains("anna"), "{test}: {reason}");
        }
    }

    #[test]
    fn a_server_that_does_not_open_makes_the_match_fail() {
        let reason = outcome("closed", "exit 1").expect_err("no server");
        assert!(reason.contains("named no port"), "{reason}");
    }
}
