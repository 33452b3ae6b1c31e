//! The editor loads the library anew while peers are open, as it does when somebody has built it again.
//!
//! Deferred calls once were closures of the library: those that waited when it went crashed the editor.

use std::fs;
use std::time::Duration;

use ferry_tests::godot::{Scene, engine};
use ferry_tests::project_copy::{Folder, copy_project};

#[test]
fn the_library_can_be_loaded_anew_while_peers_are_open() {
    let folder = Folder::new("ferry-reload");
    copy_project(folder.path());
    let plugin = folder.path().join("addons/reload");
    fs::create_dir(&plugin).expect("a folder for the plugin");
    fs::copy(folder.path().join("tests/reload/plugin.gd"), plugin.join("plugin.gd")).expect("the plugin");
    let config =
        "[plugin]\nname=\"reload\"\ndescription=\"\"\nauthor=\"\"\nversion=\"1\"\nscript=\"plugin.gd\"\n";
    fs::write(plugin.join("plugin.cfg"), config).expect("its configuration");
    let project = folder.path().join("project.godot");
    let text = fs::read_to_string(&project).expect("the project");
    let enabled = "\n[editor_plugins]\nenabled=PackedStringArray(\"res://addons/reload/plugin.cfg\")\n";
    fs::write(&project, text + enabled).expect("the copy is ours");

    let place = folder.path().to_str().expect("the folder's path is text");
    let arguments = ["--headless", "--editor", "--path", place];
    Scene::with_program("reload", &engine(), &arguments)
        .within(Duration::from_secs(120))
        // Nobody but a connection makes channels, so the engine cannot make those anew that a script held.
        .allowing_error("Unable to recreate GDExtension instance")
        .allowing_error("Required virtual method WebRTCDataChannelExtension::")
        .must_pass();
}
