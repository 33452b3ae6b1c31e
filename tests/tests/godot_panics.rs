//! A panic of ours, inside a call of the engine's, is an error to the engine and not success: the engine reads an answer that
//! was not written as `OK`, and a packet where none is.
//!
//! `cargo xtask test` builds a library that panics where this test asks for it, and names it in
//! `FERRY_TEST_PANICKING_LIBRARY`.

use std::path::PathBuf;

use ferry_tests::godot::{Scene, engine};
use ferry_tests::project_copy::{Folder, copy_project};

const LIBRARY_VARIABLE: &str = "FERRY_TEST_PANICKING_LIBRARY";

#[test]
fn a_panic_does_not_look_like_success() {
    // One put and one read.
    scene_with_panics("answers", 2);
}

#[test]
fn a_panic_of_a_websocket_does_not_look_like_success() {
    // Two puts, two reads of the server, one of each client.
    scene_with_panics("websocket_answers", 6);
}

#[test]
fn a_panic_of_webrtc_does_not_look_like_success() {
    // One put and one read of a channel, three calls of a connection, one put and one read of a peer.
    scene_with_panics("webrtc_answers", 7);
}

/// Runs the scene with the library that panics, and counts the panics.
fn scene_with_panics(name: &str, wanted: usize) {
    let library = std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from);
    let library = library.unwrap_or_else(|| panic!("{LIBRARY_VARIABLE} is not set; run `cargo xtask test`"));
    let folder = Folder::new(&format!("ferry-panics-{name}"));
    copy_project(folder.path());
    let place = library.file_name().expect("a file");
    let platforms = std::fs::read_dir(folder.path().join("addons/ferry/bin")).expect("a built library");
    let mut replaced = 0;
    for platform in platforms.filter_map(Result::ok) {
        let target = platform.path().join(place);
        if target.exists() {
            std::fs::remove_file(&target).expect("the copy is ours");
            std::fs::copy(&library, &target).expect("the library can be copied");
            replaced += 1;
        }
    }
    assert_eq!(replaced, 1, "one library of this name");

    let project = folder.path().to_str().expect("the folder's path is text");
    let script = format!("res://tests/panics/{name}.gd");
    let arguments = ["--headless", "--path", project, "--script", &script];
    let outcome = Scene::with_program("panics", &engine(), &arguments).run();
    let lines = outcome.lines();
    assert!(outcome.status().is_some_and(|status| status.success()), "{}", outcome.tail());
    assert!(lines.iter().any(|line| *line == format!("FERRY_TEST_END ok {name}")), "{}", outcome.tail());
    let panics = lines.iter().filter(|line| line.contains("a panic on purpose")).count();
    assert_eq!(panics, wanted, "{}", outcome.tail());
}
