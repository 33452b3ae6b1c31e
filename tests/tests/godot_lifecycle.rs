//! The life of Ferry's peers inside the engine: how they begin, wait, fail and end, and what a game may do to them
//! meanwhile. Where it takes processes that sleep, quit, stop or die, this side does that to them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(target_os = "linux")]
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_tests::godot::{Outcome, Run, Scene};

/// What the log begins its lines with, after the engine's own word for how bad it is.
const LOG_MARK: &str = "Ferry: ";

/// A quit that waits for nothing, on a busy machine.
const QUICK: Duration = Duration::from_secs(5);

#[test]
fn things_leave_and_arrive_in_their_frame() {
    Scene::script("lifecycle/frames.gd").must_pass();
}

#[test]
fn threads_of_the_game_may_use_peers() {
    Scene::script("lifecycle/threads.gd").must_pass();
}

#[test]
fn handlers_may_do_anything_to_their_peer() {
    Scene::script("lifecycle/handlers.gd").must_pass();
}

#[test]
fn failures_say_why_and_wrong_use_is_an_error() {
    let outcome = Scene::script("lifecycle/failures.gd").must_pass();
    let told =
        |part: &str| outcome.lines().iter().any(|line| line.starts_with("ERROR:") && line.contains(part));
    for part in
        ["isn't currently active", "Invalid target peer", "max_channels must be", "Invalid bind IP address"]
    {
        assert!(told(part), "no error says `{part}`\n{}", outcome.tail());
    }
}

#[test]
fn a_full_queue_does_what_was_asked_for() {
    Scene::script("lifecycle/queues.gd").must_pass();
}

#[test]
fn objects_of_peers_that_have_ended_hold_nothing() {
    Scene::script("lifecycle/objects.gd").must_pass();
}

#[test]
fn properties_and_figures_are_as_documented() {
    Scene::script("lifecycle/properties.gd").must_pass();
}

/// Both at once, since each takes its 35 seconds.
#[test]
fn who_sleeps_for_35_seconds_is_not_lost_and_misses_nothing() {
    let start = Instant::now();
    let mut runs: Vec<Run> = Vec::new();
    for sleeper in ["server", "client"] {
        let end = |role: &str| {
            let scene = Scene::script("lifecycle/loading.gd").with("role", role).with("bound", 80);
            if role == sleeper { scene.with("sleeps", "yes") } else { scene }
        };
        let mut server = end("server").start();
        let port = server.line("LOADING port=");
        runs.push(end("client").with("port", port).start());
        runs.push(server);
    }
    for run in runs {
        run.outcome().must_have_passed();
    }
    assert!(start.elapsed() < Duration::from_secs(55), "{:?}", start.elapsed());
}

#[test]
fn what_is_sent_in_the_frame_of_the_quit_arrives() {
    let (mut server, port) = server(&[("clients", "2")]);
    for what in ["send_and_quit", "send_and_drop"] {
        client(&port, what).must_pass();
        let told = server.line("PROCESS lost ");
        assert_eq!(told, "REMOTE_CLOSE, got 20 in order", "{what}");
    }
    server.outcome().must_have_passed();
}

#[test]
fn a_quit_waits_for_no_look_up() {
    let start = Instant::now();
    Scene::script("lifecycle/process.gd").with("role", "lookup").must_pass();
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

#[cfg(target_os = "linux")]
#[test]
fn a_quit_waits_for_no_look_up_that_hangs() {
    let start = Instant::now();
    let Some(outcome) = where_no_name_server_answers("lookup") else { return };
    outcome.must_have_passed();
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

// The 17th look-up at once was answered on the network thread, by a call that may block there: a panic.
#[cfg(target_os = "linux")]
#[test]
fn more_look_ups_than_are_done_at_once_fail_one_by_one() {
    let start = Instant::now();
    let Some(outcome) = where_no_name_server_answers("lookups") else { return };
    outcome.must_have_passed();
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

/// A process with a network of its own, in which the name server takes the question and never answers; None, with a
/// word, where the system lets nobody have such a network.
#[cfg(target_os = "linux")]
fn where_no_name_server_answers(role: &str) -> Option<Outcome> {
    use std::process::Command;
    let folder = std::env::temp_dir().join(format!("ferry-silent-{role}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let resolver = folder.join("resolv.conf");
    std::fs::write(&resolver, "nameserver 10.77.0.9\noptions timeout:20 attempts:2\n").unwrap();
    // What goes there comes back by the loopback device, and is dropped: it is meant for nobody.
    let world = format!(
        "mount --bind '{}' /etc/resolv.conf && ip link set lo up && ip route add 10.77.0.0/24 dev lo && exec \"$@\"",
        resolver.display()
    );
    let start = ["--user", "--map-root-user", "--net", "--mount", "sh", "-c", &world, "sh"];
    let possible = Command::new("unshare").args(start).arg("true").output();
    let outcome = possible.is_ok_and(|output| output.status.success()).then(|| {
        let (engine, project) = (ferry_tests::godot::engine(), ferry_tests::godot::project());
        let [engine, project] = [&engine, &project].map(|path| path.to_str().unwrap());
        let script = ["--headless", "--path", project, "--script", "res://tests/lifecycle/process.gd"];
        let arguments = [&start[..], &[engine], &script[..]].concat();
        Scene::with_program(role, Path::new("unshare"), &arguments)
            .with("role", role)
            .with("name", "nobody.example.org")
            .run()
    });
    std::fs::remove_dir_all(&folder).unwrap();
    if outcome.is_none() {
        println!("skipped: this system gives nobody a network of his own");
    }
    outcome
}

#[test]
fn what_a_server_sends_in_the_handler_that_quits_arrives() {
    let mut server = Scene::script("lifecycle/process.gd").with("role", "greeter").start();
    let port = server.line("PROCESS port=");
    Scene::script("lifecycle/process.gd").with("role", "greeted").with("port", port).must_pass();
    server.outcome().must_have_passed();
}

#[cfg(unix)]
#[test]
fn a_server_that_stands_still_for_three_seconds_loses_nobody() {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(&[("clients", "2"), ("peer_timeout", "2")]);
    let clients = [client(&port, "send_steadily").start(), client(&port, "send_steadily").start()];
    server.line("PROCESS joined 2");
    sleep(Duration::from_secs(1));
    server.signal(Signal::Stop);
    sleep(Duration::from_secs(3));
    server.signal(Signal::Continue);
    for _ in 0..2 {
        assert_eq!(server.line("PROCESS lost "), "REMOTE_CLOSE, got 60 in order");
    }
    for run in clients.into_iter().chain([server]) {
        run.outcome().must_have_passed();
    }
}

#[cfg(unix)]
#[test]
fn a_client_that_stands_still_for_three_seconds_finds_its_server_again() {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(&[("clients", "1")]);
    // Its own time-out passes meanwhile, but what the server said lies in its socket.
    let mut stands = client(&port, "send_steadily").with("peer_timeout", 2).start();
    server.line("PROCESS joined 1");
    sleep(Duration::from_secs(1));
    stands.signal(Signal::Stop);
    sleep(Duration::from_secs(3));
    stands.signal(Signal::Continue);
    assert_eq!(server.line("PROCESS lost "), "REMOTE_CLOSE, got 60 in order");
    stands.outcome().must_have_passed();
    server.outcome().must_have_passed();
}

#[cfg(unix)]
#[test]
fn a_killed_client_is_noticed_within_the_time_out() {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(&[("clients", "1"), ("peer_timeout", "2")]);
    let mut killed = client(&port, "wait").start();
    let stays = client(&port, "wait").start();
    server.line("PROCESS joined 2");
    // Long enough that its time-out has to count from its last word, not from its coming.
    sleep(Duration::from_millis(2500));
    killed.signal(Signal::Kill);
    let start = Instant::now();
    let told = server.line("PROCESS lost ");
    let took = start.elapsed();
    assert_eq!(told, "TIMEOUT, got 0 in order");
    // Pings come twice a second, and patience ends before the time-out, not with it.
    assert!((Duration::from_millis(400)..Duration::from_millis(2500)).contains(&took), "{took:?}");
    for run in [server, stays] {
        run.outcome().must_have_passed();
    }
    assert!(killed.outcome().status().is_some_and(|status| !status.success()));
}

#[test]
fn the_log_says_as_much_as_it_is_asked_for() {
    let off = logged("off");
    assert_eq!(off.lines, Vec::<String>::new());
    let debug = logged("debug");
    assert!(!debug.lines.is_empty(), "{}", debug.outcome.tail());
    let wrong = logged("loud");
    assert!(
        wrong.lines.iter().any(|line| line.contains("no log level is called `loud`")),
        "{:?}",
        wrong.lines
    );
}

#[test]
fn strangers_write_no_log() {
    let warn = logged("warn");
    let place = |mark: &str| warn.outcome.lines().iter().position(|line| line == mark).unwrap();
    let during_flood = &warn.outcome.lines()[place("LOGGING flood")..place("LOGGING overflow")];
    let from_strangers = during_flood.iter().filter(|line| line.contains(LOG_MARK)).count();
    assert!(from_strangers <= 3, "{from_strangers} lines from 3000 datagrams of rubbish");
    // 200 packets did not fit.
    let overflows = warn.lines.iter().filter(|line| line.contains("is full")).count();
    assert!((1..=3).contains(&overflows), "{overflows} lines about a full queue: {:?}", warn.lines);
    assert!(warn.lines.iter().all(|line| line.starts_with("WARNING: ")), "{:?}", warn.lines);
}

/// Everything that a class shows in the editor's help is explained there.
#[test]
fn every_class_is_documented() {
    let folder = std::env::temp_dir().join(format!("ferry-help-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let outcome =
        Scene::in_project("the help", &["--doctool", folder.to_str().unwrap(), "--gdextension-docs"]).run();
    assert!(outcome.status().is_some_and(|status| status.success()), "{}", outcome.tail());
    let mut missing = Vec::new();
    let mut classes = Vec::new();
    for entry in std::fs::read_dir(folder.join("doc_classes")).unwrap() {
        let path = entry.unwrap().path();
        let class = path.file_stem().unwrap().to_string_lossy().into_owned();
        missing.extend(undocumented(&class, &std::fs::read_to_string(&path).unwrap()));
        classes.push(class);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    classes.sort();
    assert!(classes.contains(&"FerryENetMultiplayerPeer".to_owned()), "{classes:?}");
    assert!(classes.contains(&"FerryDisconnect".to_owned()), "{classes:?}");
    assert!(missing.is_empty(), "not documented:\n  {}", missing.join("\n  "));
}

/// What in a class's help file has no text.
fn undocumented(class: &str, help: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let mut inside = class.to_owned();
    for line in help.lines().map(str::trim) {
        let name = |line: &str| {
            line.split_once("name=\"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .map(|(name, _)| name.to_owned())
        };
        if ["<method ", "<signal ", "<constructor "].iter().any(|tag| line.starts_with(tag)) {
            inside = format!("{class}.{}", name(line).unwrap_or_default());
        }
        let is_empty = line == "<description />" || line == "<brief_description />";
        if is_empty {
            missing.push(inside.clone());
        }
        let is_value = line.starts_with("<member ") || line.starts_with("<constant ");
        // With a text, the tag stays open until behind it. One that overrides another class's member has that one's text.
        if is_value && line.ends_with("/>") && !line.contains("overrides=") {
            missing.push(format!("{class}.{}", name(line).unwrap_or_default()));
        }
    }
    missing
}

struct Logged {
    outcome: Outcome,
    /// Ferry's own.
    lines: Vec<String>,
}

fn logged(level: &str) -> Logged {
    let outcome = Scene::script("lifecycle/logging.gd").environment("FERRY_LOG", level).must_pass();
    let lines = outcome.lines().iter().filter(|line| line.contains(LOG_MARK)).cloned().collect();
    Logged { outcome, lines }
}

/// A server in a process of its own, and its port.
fn server(options: &[(&str, &str)]) -> (Run, String) {
    let scene = Scene::script("lifecycle/process.gd").with("role", "server");
    let mut run = options.iter().fold(scene, |scene, (key, value)| scene.with(key, value)).start();
    let port = run.line("PROCESS port=");
    (run, port)
}

fn client(port: &str, what: &str) -> Scene {
    Scene::script("lifecycle/process.gd").with("role", "client").with("port", port).with("do", what)
}
