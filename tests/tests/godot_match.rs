//! The demo match, played headless by its script: with Ferry at every end, and against the engine's built-in peers,
//! over ENet, over WebSocket and over WebRTC.

use std::fs;

use ferry_tests::godot::{Scene, engine};
use ferry_tests::project_copy::{Folder, copy_project};
use ferry_tests::scripted_match::{SCENE, in_project, number, play_over};

const ENET: &str = "enet";
const WEBSOCKET: &str = "websocket";
const WEBRTC: &str = "webrtc";

#[test]
fn the_match_goes_as_scripted_and_has_its_figures() {
    has_its_figures(&play_over(ENET, in_project));
}

#[test]
fn the_match_goes_as_scripted_over_websocket_and_has_its_figures() {
    has_its_figures(&play_over(WEBSOCKET, in_project));
}

#[test]
fn the_match_goes_as_scripted_over_webrtc_and_has_its_figures() {
    has_its_figures(&play_over(WEBRTC, in_project));
}

fn has_its_figures(rows: &[String]) {
    assert_eq!(rows.len(), 6, "one for each end of each connection: {rows:#?}");
    for row in rows {
        for key in ["packets_sent", "packets_received", "bytes_sent", "bytes_received"] {
            assert!(number(row, key) > 20.0, "{key} in {row}");
        }
        let rtt_ms = number(row, "rtt_ms");
        assert!(rtt_ms > 0.0 && rtt_ms < 100.0, "{row}");
    }
    for why in ["kicked by the server", "closed by the other side", "closed by this side"] {
        assert!(rows.iter().any(|row| row.contains(why)), "nobody was {why}: {rows:#?}");
    }
}

#[test]
fn the_match_goes_as_scripted_with_a_built_in_server() {
    for transport in [ENET, WEBSOCKET, WEBRTC] {
        play_over(transport, |who| with_built_in(transport, who, who == "server"));
    }
}

#[test]
fn the_match_goes_as_scripted_with_built_in_clients() {
    for transport in [ENET, WEBSOCKET, WEBRTC] {
        play_over(transport, |who| with_built_in(transport, who, who != "server"));
    }
}

#[test]
fn the_match_needs_no_library() {
    let folder = Folder::new("ferry-no-library");
    let copy = folder.path().join("project");
    copy_project(&copy);
    fs::remove_dir_all(copy.join("addons/ferry/bin")).expect("there were libraries");
    fs::remove_file(copy.join("addons/ferry/ferry.gdextension")).expect("there was a manifest");
    fs::write(copy.join(".godot/extension_list.cfg"), "").expect("the copy can be written");
    let place = copy.to_str().expect("the path is text");
    for transport in [ENET, WEBSOCKET] {
        play_over(transport, |who| {
            Scene::with_program(who, &engine(), &["--headless", "--path", place, SCENE])
        });
    }
}

fn with_built_in(transport: &str, who: &str, built_in: bool) -> Scene {
    let scene = in_project(who);
    let class = match transport {
        WEBSOCKET => "WebSocketMultiplayerPeer",
        WEBRTC => "WebRTCMultiplayerPeer",
        _ => "ENetMultiplayerPeer",
    };
    if built_in { scene.with("class", class) } else { scene }
}
