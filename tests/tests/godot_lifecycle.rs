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

const ENET: &str = "FerryENetMultiplayerPeer";
const WEBSOCKET: &str = "FerryWebSocketMultiplayerPeer";
const WEBRTC: &str = "FerryWebRTCMultiplayerPeer";

/// A test for each of these transports, out of a function that takes the name of the peer's class.
macro_rules! on_transports {
    ([$($module:ident $class:ident),*] $names:tt) => { $(tests_over! { $module $class $names })* };
}

macro_rules! tests_over {
    ($module:ident $class:ident { $($(#[$attribute:meta])* $name:ident)* }) => {
        mod $module {
            $(#[test] $(#[$attribute])* fn $name() { super::$name(super::$class); })*
        }
    };
}

on_transports! { [over_enet ENET, over_websocket WEBSOCKET, over_webrtc WEBRTC] {
    things_leave_and_arrive_in_their_frame
    threads_of_the_game_may_use_peers
    the_last_reference_may_go_on_a_thread_while_the_frame_ends
    handlers_may_do_anything_to_their_peer
    a_full_queue_does_what_was_asked_for
    properties_and_figures_are_as_documented
    who_sleeps_for_35_seconds_is_not_lost_and_misses_nothing
    what_is_sent_in_the_frame_of_the_quit_arrives
    what_a_server_sends_in_the_handler_that_quits_arrives
    #[cfg(unix)]
    a_server_that_stands_still_for_three_seconds_loses_nobody
    #[cfg(unix)]
    a_client_that_stands_still_for_three_seconds_finds_its_server_again
}}

// Over WebRTC, a peer looks nobody up: its connections may, to find a server that helps.
on_transports! { [names_over_enet ENET, names_over_websocket WEBSOCKET] {
    a_quit_waits_for_no_look_up
    #[cfg(target_os = "linux")]
    a_quit_waits_for_no_look_up_that_hangs
    #[cfg(target_os = "linux")]
    more_look_ups_than_are_done_at_once_fail_one_by_one
}}

// Nobody hangs up for them: only silence tells.
#[cfg(unix)]
on_transports! { [over_datagrams_of_enet ENET, over_datagrams_of_webrtc WEBRTC] {
    a_killed_client_is_noticed_within_the_time_out
    a_killed_server_is_noticed_within_the_time_out
}}

fn things_leave_and_arrive_in_their_frame(class: &str) {
    scene("frames", class).must_pass();
}

fn threads_of_the_game_may_use_peers(class: &str) {
    scene("threads", class).must_pass();
}

fn the_last_reference_may_go_on_a_thread_while_the_frame_ends(class: &str) {
    scene("drops", class).must_pass();
}

fn handlers_may_do_anything_to_their_peer(class: &str) {
    scene("handlers", class).must_pass();
}

fn a_full_queue_does_what_was_asked_for(class: &str) {
    scene("queues", class).must_pass();
}

fn properties_and_figures_are_as_documented(class: &str) {
    scene("properties", class).must_pass();
}

#[test]
fn failures_say_why_and_wrong_use_is_an_error() {
    let outcome = scene("failures", ENET).must_pass();
    all_are_told(
        &outcome,
        &["isn't currently active", "Invalid target peer", "max_channels must be", "Invalid bind IP address"],
    );
}

#[test]
fn failures_over_websocket_say_why_and_wrong_use_is_an_error() {
    let outcome = scene("websocket_failures", WEBSOCKET).must_pass();
    all_are_told(
        &outcome,
        &[
            "The port must be between",
            "Invalid bind address",
            "max_clients must be between",
            "handshake_timeout must be more than 0",
            "trusted_proxies",
        ],
    );
}

/// Each of these is part of an error.
fn all_are_told(outcome: &Outcome, parts: &[&str]) {
    let told =
        |part: &str| outcome.lines().iter().any(|line| line.starts_with("ERROR:") && line.contains(part));
    for part in parts {
        assert!(told(part), "no error says `{part}`\n{}", outcome.tail());
    }
}

#[test]
fn objects_of_peers_that_have_ended_hold_nothing() {
    scene("objects", ENET).must_pass();
}

#[test]
fn websockets_of_peers_that_have_ended_hold_nothing() {
    scene("websocket_objects", WEBSOCKET).must_pass();
}

#[test]
fn single_websockets_live_and_die_as_a_game_wants_it() {
    scene("websocket_sockets", WEBSOCKET).must_pass();
}

#[test]
fn webrtc_connections_live_and_die_as_a_game_wants_it() {
    scene("webrtc_connections", WEBRTC).must_pass();
}

#[cfg(target_os = "linux")]
#[test]
fn sixty_four_webrtc_connections_take_no_thread_each_and_little_memory() {
    scene("webrtc_crowd", WEBRTC).with("bound", 80).must_pass();
}

#[test]
fn a_quit_waits_for_nothing_that_webrtc_connections_are_at() {
    for role in ["gathering", "looking_up", "connecting", "connected", "talking"] {
        let mut run = scene("webrtc_quits", WEBRTC).with("role", role).start();
        run.line("QUITS now");
        let start = Instant::now();
        run.outcome().must_have_passed();
        // A second to say goodbye in, on a busy machine.
        assert!(start.elapsed() < Duration::from_secs(2), "{role}: {:?}", start.elapsed());
    }
}

/// Both at once, since each takes its 35 seconds.
fn who_sleeps_for_35_seconds_is_not_lost_and_misses_nothing(class: &str) {
    let start = Instant::now();
    let mut runs: Vec<Run> = Vec::new();
    for sleeper in ["server", "client"] {
        let end = |role: &str| {
            let scene = scene("loading", class).with("role", role).with("bound", 80);
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

fn what_is_sent_in_the_frame_of_the_quit_arrives(class: &str) {
    let (mut server, port) = server(class, &[("clients", "2")]);
    for what in ["send_and_quit", "send_and_drop"] {
        client(class, &port, what).must_pass();
        let told = server.line("PROCESS lost ");
        assert_eq!(told, "REMOTE_CLOSE, got 20 in order", "{what}");
    }
    server.outcome().must_have_passed();
}

fn a_quit_waits_for_no_look_up(class: &str) {
    let start = Instant::now();
    scene("process", class).with("role", "lookup").must_pass();
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

#[test]
fn a_quit_waits_for_no_handshake() {
    for role in ["silent_tls", "silent_upgrade", "silent_visitors", "secure_visitors"] {
        let start = Instant::now();
        scene("websocket_quits", WEBSOCKET).with("role", role).must_pass();
        assert!(start.elapsed() < QUICK, "{role}: {:?}", start.elapsed());
    }
}

#[cfg(target_os = "linux")]
fn a_quit_waits_for_no_look_up_that_hangs(class: &str) {
    let start = Instant::now();
    let Some(outcome) = where_no_name_server_answers(class, "lookup") else { return };
    outcome.must_have_passed();
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

// The 17th look-up at once was answered on the network thread, by a call that may block there: a panic.
#[cfg(target_os = "linux")]
fn more_look_ups_than_are_done_at_once_fail_one_by_one(class: &str) {
    let start = Instant::now();
    let Some(outcome) = where_no_name_server_answers(class, "lookups") else { return };
    outcome.must_have_passed();
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

/// A process with a network of its own, in which the name server takes the question and never answers; None, with a
/// word, where the system lets nobody have such a network.
#[cfg(target_os = "linux")]
fn where_no_name_server_answers(class: &str, role: &str) -> Option<Outcome> {
    use std::process::Command;
    let folder = std::env::temp_dir().join(format!("ferry-silent-{role}-{class}-{}", std::process::id()));
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
            .with("server", class)
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

fn what_a_server_sends_in_the_handler_that_quits_arrives(class: &str) {
    let mut server = scene("process", class).with("role", "greeter").start();
    let port = server.line("PROCESS port=");
    scene("process", class).with("role", "greeted").with("port", port).must_pass();
    server.outcome().must_have_passed();
}

#[cfg(unix)]
fn a_server_that_stands_still_for_three_seconds_loses_nobody(class: &str) {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(class, &[("clients", "2"), ("peer_timeout", "2")]);
    let clients =
        [client(class, &port, "send_steadily").start(), client(class, &port, "send_steadily").start()];
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
fn a_client_that_stands_still_for_three_seconds_finds_its_server_again(class: &str) {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(class, &[("clients", "1")]);
    // Its own time-out passes meanwhile, but what the server said lies in its socket.
    let mut stands = client(class, &port, "send_steadily").with("peer_timeout", 2).start();
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
fn a_killed_client_is_noticed_within_the_time_out(class: &str) {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(class, &[("clients", "1"), ("peer_timeout", "2")]);
    let mut killed = client(class, &port, "wait").start();
    let mut stays = client(class, &port, "wait").start();
    server.line("PROCESS joined 2");
    // What it was told last is under way no longer.
    killed.line("PROCESS connected");
    stays.line("PROCESS connected");
    // Long enough that its time-out has to count from its last word, not from its coming.
    sleep(Duration::from_millis(2500));
    killed.signal(Signal::Kill);
    let start = Instant::now();
    let told = server.line("PROCESS lost ");
    let took = start.elapsed();
    assert_eq!(told, "TIMEOUT, got 0 in order");
    // Signs of life come about twice a second, and patience ends before the time-out, not with it.
    assert!((Duration::from_millis(400)..Duration::from_millis(2500)).contains(&took), "{took:?}");
    for run in [server, stays] {
        run.outcome().must_have_passed();
    }
    assert!(killed.outcome().status().is_some_and(|status| !status.success()));
}

#[cfg(unix)]
fn a_killed_server_is_noticed_within_the_time_out(class: &str) {
    use ferry_tests::godot::Signal;
    let (mut killed, port) = server(class, &[("clients", "1")]);
    let mut stays = client(class, &port, "wait").with("peer_timeout", 2).start();
    killed.line("PROCESS joined 1");
    stays.line("PROCESS connected");
    sleep(Duration::from_millis(500));
    killed.signal(Signal::Kill);
    let start = Instant::now();
    assert_eq!(stays.line("PROCESS told "), "succeeded, lost TIMEOUT, server gone TIMEOUT");
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    stays.outcome().must_have_passed();
}

// Longer than a path of WebRTC's goes unconfirmed, at either end: it is taken up again, with everything that was sent.
#[cfg(unix)]
#[test]
fn who_stands_still_for_eight_seconds_comes_back_over_webrtc_and_misses_nothing() {
    use ferry_tests::godot::Signal;
    let pairs = ["server", "client"].map(|stands| {
        let (mut server, port) = server(WEBRTC, &[("clients", "1")]);
        let client = client(WEBRTC, &port, "send_steadily").start();
        server.line("PROCESS joined 1");
        (stands, server, client)
    });
    sleep(Duration::from_secs(1));
    let mut pairs = pairs.map(|(stands, mut server, mut client)| {
        let run = if stands == "server" { &mut server } else { &mut client };
        run.signal(Signal::Stop);
        (stands, server, client)
    });
    sleep(Duration::from_secs(8));
    for (stands, server, client) in &mut pairs {
        let run = if *stands == "server" { server } else { client };
        run.signal(Signal::Continue);
    }
    for (stands, mut server, client) in pairs {
        assert_eq!(server.line("PROCESS lost "), "REMOTE_CLOSE, got 60 in order", "the {stands} stood still");
        client.outcome().must_have_passed();
        server.outcome().must_have_passed();
    }
}

// The system hangs up for it.
#[cfg(unix)]
#[test]
fn a_killed_websocket_client_is_noticed_at_once() {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(WEBSOCKET, &[("clients", "1")]);
    let mut killed = client(WEBSOCKET, &port, "wait").start();
    let stays = client(WEBSOCKET, &port, "wait").start();
    server.line("PROCESS joined 2");
    killed.signal(Signal::Kill);
    let start = Instant::now();
    assert_eq!(server.line("PROCESS lost "), "REMOTE_CLOSE, got 0 in order");
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
    for run in [server, stays] {
        run.outcome().must_have_passed();
    }
    assert!(killed.outcome().status().is_some_and(|status| !status.success()));
}

#[cfg(unix)]
#[test]
fn a_killed_websocket_server_is_noticed_at_once() {
    use ferry_tests::godot::Signal;
    let (mut killed, port) = server(WEBSOCKET, &[("clients", "1")]);
    let clients = [client(WEBSOCKET, &port, "wait").start(), client(WEBSOCKET, &port, "wait").start()];
    killed.line("PROCESS joined 2");
    killed.signal(Signal::Kill);
    let start = Instant::now();
    for mut client in clients {
        assert_eq!(client.line("PROCESS told "), "succeeded, lost REMOTE_CLOSE, server gone REMOTE_CLOSE");
        client.outcome().must_have_passed();
    }
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

// A process that stands still hangs up nothing: only its silence tells.
#[cfg(unix)]
#[test]
fn a_websocket_client_that_stands_still_for_too_long_is_lost_and_hears_of_it() {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(WEBSOCKET, &[("clients", "2"), ("peer_timeout", "2")]);
    let mut stands = client(WEBSOCKET, &port, "wait").start();
    let mut stays = client(WEBSOCKET, &port, "wait").start();
    server.line("PROCESS joined 2");
    // Otherwise it may stop before it knows that it is in.
    stands.line("PROCESS connected");
    let start = Instant::now();
    stands.signal(Signal::Stop);
    assert_eq!(server.line("PROCESS lost "), "TIMEOUT, got 0 in order");
    let took = start.elapsed();
    assert!((Duration::from_millis(1200)..Duration::from_millis(4000)).contains(&took), "{took:?}");
    stands.signal(Signal::Continue);
    assert_eq!(stands.line("PROCESS told "), "succeeded, lost REMOTE_CLOSE, server gone REMOTE_CLOSE");
    stands.outcome().must_have_passed();
    stays.signal(Signal::Kill);
    server.outcome().must_have_passed();
}

#[test]
fn the_log_says_as_much_as_it_is_asked_for() {
    let off = logged("logging", ENET, "off");
    assert_eq!(off.lines, Vec::<String>::new());
    let debug = logged("logging", ENET, "debug");
    assert!(!debug.lines.is_empty(), "{}", debug.outcome.tail());
    let wrong = logged("logging", ENET, "loud");
    assert!(
        wrong.lines.iter().any(|line| line.contains("no log level is called `loud`")),
        "{:?}",
        wrong.lines
    );
}

#[test]
fn strangers_write_no_log() {
    let warn = logged("logging", ENET, "warn");
    let place = |mark: &str| warn.outcome.lines().iter().position(|line| line == mark).unwrap();
    let during_flood = &warn.outcome.lines()[place("LOGGING flood")..place("LOGGING overflow")];
    let from_strangers = during_flood.iter().filter(|line| line.contains(LOG_MARK)).count();
    assert!(from_strangers <= 3, "{from_strangers} lines from 3000 datagrams of rubbish");
    // 200 packets did not fit.
    let overflows = warn.lines.iter().filter(|line| line.contains("is full")).count();
    assert!((1..=3).contains(&overflows), "{overflows} lines about a full queue: {:?}", warn.lines);
    assert!(warn.lines.iter().all(|line| line.starts_with("WARNING: ")), "{:?}", warn.lines);
}

#[test]
fn strangers_over_websocket_write_no_log() {
    let warn = logged("websocket_logging", WEBSOCKET, "warn");
    let place = |mark: &str| warn.outcome.lines().iter().position(|line| line == mark).unwrap();
    let during_flood = &warn.outcome.lines()[place("LOGGING flood")..place("LOGGING overflow")];
    let from_strangers = during_flood.iter().filter(|line| line.contains(LOG_MARK)).count();
    assert!(from_strangers <= 3, "{from_strangers} lines from 600 bad handshakes");
    // 200 packets did not fit.
    let overflows = warn.lines.iter().filter(|line| line.contains("is full")).count();
    assert!((1..=3).contains(&overflows), "{overflows} lines about a full queue: {:?}", warn.lines);
    assert!(warn.lines.iter().all(|line| line.starts_with("WARNING: ")), "{:?}", warn.lines);
    // At the loudest level, too, they are few a second, and no error of the engine's stands among them.
    let debug = logged("websocket_logging", WEBSOCKET, "debug");
    assert!(debug.lines.len() < 200, "{} lines", debug.lines.len());
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
    for class in ["FerryDisconnect", "FerryWebSocketMultiplayerPeer", "FerryWebSocketPeer", "FerryTLS"]
        .into_iter()
        .chain(["FerryWebRTCMultiplayerPeer", "FerryWebRTCPeerConnection", "FerryWebRTCDataChannel"])
    {
        assert!(classes.iter().any(|one| one == class), "no {class}: {classes:?}");
    }
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

fn logged(name: &str, class: &str, level: &str) -> Logged {
    let outcome = scene(name, class).environment("FERRY_LOG", level).must_pass();
    let lines = outcome.lines().iter().filter(|line| line.contains(LOG_MARK)).cloned().collect();
    Logged { outcome, lines }
}

fn scene(name: &str, class: &str) -> Scene {
    Scene::script(&format!("lifecycle/{name}.gd")).with("server", class)
}

/// A server in a process of its own, and its port.
fn server(class: &str, options: &[(&str, &str)]) -> (Run, String) {
    let scene = scene("process", class).with("role", "server");
    let mut run = options.iter().fold(scene, |scene, (key, value)| scene.with(key, value)).start();
    let port = run.line("PROCESS port=");
    (run, port)
}

fn client(class: &str, port: &str, what: &str) -> Scene {
    scene("process", class).with("role", "client").with("port", port).with("do", what)
}
