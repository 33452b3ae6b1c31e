//! The demo match, played headless by its script: with Ferry at every end, and against the engine's built-in ENet.

use std::fs;

use ferry_tests::godot::{Scene, engine};
use ferry_tests::project_copy::{Folder, copy_project};
use ferry_tests::scripted_match::{SCENE, in_project, number, play};

const BUILT_IN: &str = "ENetMultiplayerPeer";

#[test]
fn the_match_goes_as_scripted_and_has_its_figures() {
    let rows = play(in_project);
    assert_eq!(rows.len(), 6, "one for each end of each connection: {rows:#?}");
    for row in &rows {
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
    play(|who| with_built_in(who, who == "server"));
}

#[test]
fn the_match_goes_as_scripted_with_built_in_clients() {
    play(|who| with_built_in(who, who != "server"));
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
    play(|who| Scene::with_program(who, &engine(), &["--headless", "--path", place, SCENE]));
}

fn with_built_in(who: &str, built_in: bool) -> Scene {
    let scene = in_project(who);
    if built_in { scene.with("class", BUILT_IN) } else { scene }
}
