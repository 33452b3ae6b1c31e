//! Which class `WebRTCPeerConnection.new()` makes: by the project setting `ferry/webrtc/default_extension`, and by what other
//! extensions there are, whichever the engine loads first. Scripts find it so from their first line on.
//!
//! `cargo xtask test` builds the other extension (`tests/rival`), and names it in `FERRY_TEST_RIVAL_LIBRARY`.

use std::fs;
use std::path::{Path, PathBuf};

use ferry_tests::godot::{Outcome, Scene, engine};
use ferry_tests::project_copy::{Folder, copy_project};

const LIBRARY_VARIABLE: &str = "FERRY_TEST_RIVAL_LIBRARY";

const FERRY: &str = "res://addons/ferry/ferry.gdextension";
const RIVAL: &str = "res://rival/rival.gdextension";

/// The orders in which the engine may load them.
const ALONE: &[&str] = &[FERRY];
const BEFORE: &[&str] = &[FERRY, RIVAL];
const AFTER: &[&str] = &[RIVAL, FERRY];

const FERRYS: &str = "FerryWebRTCPeerConnection";
const RIVALS: &str = "RivalPeerConnection";
/// What the engine makes where nobody has named a class.
const NOBODYS: &str = "WebRTCPeerConnectionExtension";

#[test]
fn by_default_ferrys_class_is_made_where_there_is_no_other() {
    let folder = Folder::new("ferry-webrtc-auto");
    prepare(&folder);
    for setting in [None, Some("auto")] {
        makes(&folder, setting, ALONE, FERRYS);
        makes(&folder, setting, BEFORE, RIVALS);
        makes(&folder, setting, AFTER, RIVALS);
    }
    let outcome = makes(&folder, Some("yes"), ALONE, FERRYS);
    let warned = |line: &String| line.starts_with("WARNING:") && line.contains("not \"yes\"");
    assert!(outcome.lines().iter().any(warned), "{}", outcome.tail());
}

#[test]
fn always_means_whatever_else_there_is() {
    let folder = Folder::new("ferry-webrtc-always");
    prepare(&folder);
    for order in [ALONE, BEFORE, AFTER] {
        makes(&folder, Some("always"), order, FERRYS);
    }
}

#[test]
fn never_leaves_it_to_others() {
    let folder = Folder::new("ferry-webrtc-never");
    prepare(&folder);
    makes(&folder, Some("never"), ALONE, NOBODYS);
    makes(&folder, Some("never"), BEFORE, RIVALS);
    makes(&folder, Some("never"), AFTER, RIVALS);
}

/// A copy of the project with the other extension in it, and a script that the engine loads before all others.
fn prepare(folder: &Folder) {
    copy_project(folder.path());
    let library = std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from);
    let library = library.unwrap_or_else(|| panic!("{LIBRARY_VARIABLE} is not set; run `cargo xtask test`"));
    let name = library.file_name().expect("a file").to_str().expect("its name is text");
    let place = folder.path().join("rival");
    fs::create_dir(&place).expect("a folder for the other extension");
    fs::copy(&library, place.join(name)).expect("the library can be copied");
    let platforms: String = ["linux", "windows", "macos"]
        .map(|platform| format!("{platform} = \"res://rival/{name}\"\n"))
        .concat();
    let manifest = format!(
        "[configuration]\nentry_symbol = \"gdext_rust_init\"\ncompatibility_minimum = \"4.3\"\n\n[libraries]\n{platforms}"
    );
    fs::write(place.join("rival.gdextension"), manifest).expect("the manifest");
    let autoload = "\n[autoload]\n\nEarly=\"*res://tests/webrtc/default_early.gd\"\n";
    append(&folder.path().join("project.godot"), autoload);
    fs::copy(folder.path().join("project.godot"), folder.path().join("project.godot.plain"))
        .expect("the project without a setting");
}

fn append(file: &Path, text: &str) {
    let before = fs::read_to_string(file).expect("the project");
    fs::write(file, before + text).expect("the copy is ours");
}

fn makes(folder: &Folder, setting: Option<&str>, order: &[&str], class: &str) -> Outcome {
    let project = folder.path().join("project.godot");
    fs::copy(folder.path().join("project.godot.plain"), &project).expect("the project anew");
    if let Some(setting) = setting {
        append(&project, &format!("\n[ferry]\n\nwebrtc/default_extension=\"{setting}\"\n"));
    }
    let list = order.join("\n") + "\n";
    fs::write(folder.path().join(".godot/extension_list.cfg"), list).expect("the list of extensions");
    let place = folder.path().to_str().expect("the folder's path is text");
    let arguments = ["--headless", "--path", place, "--script", "res://tests/webrtc/default.gd"];
    let name = format!("{class} wanted with {setting:?}, loaded: {order:?}");
    Scene::with_program(&name, &engine(), &arguments).with("class", class).must_pass()
}
