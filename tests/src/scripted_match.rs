//! The demo match of `godot_project/match`, played by its script: a server and three clients, a process each.
//!
//! The scene checks itself what should happen at each end, and says so in its end line; here, every process has to end
//! well, and the figures that they print have to make sense.

use crate::godot::{Outcome, Scene};

/// The clients, in the order in which they go: thrown out, by itself, left behind by the server.
pub const CLIENTS: [&str; 3] = ["anna", "ben", "cleo"];

/// The scene that plays it.
pub const SCENE: &str = "res://match/match.tscn";
const PORT_MARK: &str = "FERRY_MATCH port=";
const ROW_MARK: &str = "FERRY_MATCH_ROW ";
const END_MARK: &str = "FERRY_MATCH_END ";

/// A process of the match, in the project, not yet started.
pub fn in_project(who: &str) -> Scene {
    Scene::in_project(who, &[SCENE])
}

/// Plays the match over ENet; see [`play_over`].
///
/// # Panics
/// When one of its processes does not end well.
pub fn play(make: impl Fn(&str) -> Scene) -> Vec<String> {
    play_over("enet", make)
}

/// Plays the match over `transport` (`enet`, `websocket`, `webrtc`) with processes that `make` prepares, by who they are; gives all
/// rows that they printed.
///
/// # Panics
/// When one of them does not end well.
pub fn play_over(transport: &str, make: impl Fn(&str) -> Scene) -> Vec<String> {
    let make = |who| make(who).with("transport", transport).ending_with(END_MARK);
    let server = make("server").with("role", "server").with("port", 0).with("script", "demo");
    let mut server = server.start();
    let port = server.line(PORT_MARK);
    let clients =
        CLIENTS.map(|name| make(name).with("role", "client").with("name", name).with("port", &port).start());
    let mut outcomes: Vec<Outcome> = clients.map(crate::godot::Run::outcome).into();
    outcomes.push(server.outcome());
    let reasons: Vec<String> = outcomes.iter().flat_map(failures).collect();
    assert!(reasons.is_empty(), "the match did not go as scripted:\n{}", reasons.join("\n"));
    outcomes.iter().flat_map(rows).collect()
}

fn failures(outcome: &Outcome) -> Option<String> {
    let reasons = outcome.verdict();
    (!reasons.is_empty()).then(|| format!("{}: {}\n{}", outcome.name(), reasons.join("; "), outcome.tail()))
}

fn rows(outcome: &Outcome) -> Vec<String> {
    outcome.lines().iter().filter_map(|line| line.strip_prefix(ROW_MARK)).map(str::to_owned).collect()
}

/// A number of a row.
///
/// # Panics
/// When the row has no such number.
pub fn number(row: &str, key: &str) -> f64 {
    let mark = format!("\"{key}\":");
    let value = row.split_once(&mark).and_then(|(_, rest)| rest.split([',', '}']).next());
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no number {key} in {row}"))
}
