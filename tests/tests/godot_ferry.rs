//! What Ferry promises beyond the built-in's behaviour, inside the engine; some of it takes processes that are stopped,
//! killed, or quit at the wrong moment.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_tests::godot::{Outcome, Run, Scene};

/// How long a process stands still: longer than the time-outs that are set for it.
const STANDSTILL: Duration = Duration::from_secs(3);

#[test]
fn every_ending_has_its_reason() {
    Scene::script("ferry/reasons.gd").must_pass();
}

#[test]
fn what_ferry_promises_holds() {
    Scene::script("ferry/promises.gd").must_pass();
}

#[test]
fn a_peer_on_another_thread_works_or_says_that_it_does_not() {
    Scene::script("ferry/threads.gd").must_pass();
}

#[test]
fn a_mesh_sends_unreliably_to_several() {
    let class = "FerryENetMultiplayerPeer";
    Scene::script("parity/peer_mesh.gd")
        .with("server", class)
        .with("client", class)
        .with("all_modes", 1)
        .must_pass();
}

#[test]
fn what_is_sent_reliably_in_the_frame_of_the_quit_arrives() {
    let (mut server, port) = server(&[]);
    client(&port, "send_and_quit", &[]).must_pass();
    let told = server.line("END got ");
    assert!(told.starts_with("20 in_order true"), "{told}");
    server.outcome().must_have_passed();
}

#[test]
fn a_quit_during_a_look_up_is_no_wait() {
    let (server, port) = server(&[]);
    let start = Instant::now();
    client(&port, "lookup_and_quit", &[]).must_pass();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    server.outcome().must_have_passed();
}

#[cfg(unix)]
#[test]
fn a_killed_client_is_noticed() {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(&[("peer_timeout", "1.5")]);
    let mut client = client(&port, "wait", &[]).start();
    server.line("END joined");
    client.signal(Signal::Kill);
    let start = Instant::now();
    server.line("END got ");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    server.outcome().must_have_passed();
    let ended = client.outcome();
    assert!(ended.status().is_some_and(|status| !status.success()));
}

#[cfg(unix)]
#[test]
fn a_client_that_stood_still_finds_its_server_again() {
    // Its own time-out passed meanwhile, but what the server said is in its socket.
    stand_still_in_the_middle(&[], &[("peer_timeout", "1.5")], true);
}

#[cfg(unix)]
#[test]
fn a_server_that_stood_still_finds_its_client_again() {
    stand_still_in_the_middle(&[("peer_timeout", "1.5")], &[], false);
}

#[cfg(unix)]
fn stand_still_in_the_middle(
    server_options: &[(&str, &str)],
    client_options: &[(&str, &str)],
    stops_client: bool,
) {
    use ferry_tests::godot::Signal;
    let (mut server, port) = server(&[server_options, &[("tell_at", "20")]].concat());
    let mut client = client(&port, "send_until_gone", client_options).start();
    server.line("END got 20");
    let stopped = if stops_client { &mut client } else { &mut server };
    stopped.signal(Signal::Stop);
    sleep(STANDSTILL);
    stopped.signal(Signal::Continue);
    let told = server.line("END got ");
    assert!(told.starts_with("100 in_order true"), "{told}");
    let outcomes: [Outcome; 2] = [client.outcome(), server.outcome()];
    for outcome in outcomes {
        outcome.must_have_passed();
    }
}

/// A server of its own, and its port.
fn server(options: &[(&str, &str)]) -> (Run, String) {
    let scene = Scene::script("ferry/end.gd").with("role", "server");
    let mut run = with_all(scene, options).start();
    let port = run.line("END port=");
    (run, port)
}

fn client(port: &str, what: &str, options: &[(&str, &str)]) -> Scene {
    let scene = Scene::script("ferry/end.gd").with("role", "client").with("port", port).with("do", what);
    with_all(scene, options)
}

fn with_all(scene: Scene, options: &[(&str, &str)]) -> Scene {
    options.iter().fold(scene, |scene, (key, value)| scene.with(key, value))
}
