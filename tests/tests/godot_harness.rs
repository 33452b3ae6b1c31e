//! The harness that judges scenes, itself judged: what must fail fails, for the right reason.

use std::time::{Duration, Instant};

use ferry_tests::godot::{Outcome, Scene};
use ferry_tests::project_copy::Folder;

fn behaving(how: &str) -> Scene {
    Scene::script("harness/behaves.gd").with("how", how)
}

fn must_fail(outcome: &Outcome, why: &str) {
    let reasons = outcome.verdict();
    assert!(reasons.iter().any(|reason| reason.contains(why)), "{why} is not among {reasons:?}");
}

#[test]
fn a_scene_that_does_all_it_should_passes() {
    behaving("well").must_pass();
    behaving("expected_error").must_pass();
    behaving("error").allowing_error("nobody expects").must_pass();
    behaving("environment").environment("FERRY_TEST_WORD", "word").must_pass();
}

#[test]
fn a_scene_that_does_not_fails_with_the_reason() {
    for (how, why) in [
        ("failed_check", "failed behaves: one: 1 instead of 2"),
        ("exit_code", "exit status: 3"),
        ("no_end_line", "no end line"),
        ("script_error", "a script failed"),
        ("script_error_where_errors_are_expected", "a script failed"),
        ("panic_where_errors_are_expected", "Rust code panicked"),
        ("error", "an unexpected error"),
        ("leak", "objects leaked"),
        ("two_ends", "more than one end line"),
        ("crash", "ended with"),
        ("environment", "the variable"),
    ] {
        must_fail(&behaving(how).run(), why);
    }
}

#[test]
fn a_script_that_is_not_there_fails() {
    must_fail(&Scene::script("harness/nothing_here.gd").run(), "no end line");
}

#[test]
fn a_scene_has_a_bound_of_its_own_and_the_process_another() {
    must_fail(&behaving("endless").with("bound", 1).run(), "not done after");
    let start = Instant::now();
    must_fail(&behaving("hang").within(Duration::from_secs(3)).run(), "still running");
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_library_that_is_missing_fails_the_scene() {
    let scratch = Folder::new("ferry-missing-library");
    let folder = scratch.path();
    std::fs::create_dir(folder.join(".godot")).expect("a folder for the project");
    for (name, text) in [
        ("project.godot", "config_version=5\n"),
        (".godot/extension_list.cfg", "res://missing.gdextension\n"),
        (
            "missing.gdextension",
            "[configuration]\nentry_symbol = \"gdext_rust_init\"\ncompatibility_minimum = \"4.3\"\n\
             [libraries]\nlinux = \"res://missing.so\"\nwindows = \"res://missing.dll\"\nmacos = \"res://missing.dylib\"\n",
        ),
        (
            "scene.gd",
            "extends SceneTree\nfunc _initialize() -> void:\n\tprint(\"FERRY_TEST_END ok scene\")\n\tquit()\n",
        ),
    ] {
        std::fs::write(folder.join(name), text).expect("a file of the project");
    }
    let place = folder.to_str().expect("the folder's path is text");
    let arguments = ["--headless", "--path", place, "--script", "res://scene.gd"];
    let outcome = Scene::with_program("missing library", &ferry_tests::godot::engine(), &arguments).run();
    must_fail(&outcome, "the library was not loaded");
}

#[cfg(unix)]
#[test]
fn a_process_can_be_stopped_continued_and_killed() {
    use ferry_tests::godot::Signal;
    let mut run = behaving("hang").start();
    run.line("hanging");
    run.signal(Signal::Stop);
    run.signal(Signal::Continue);
    run.signal(Signal::Kill);
    let outcome = run.outcome();
    assert!(outcome.status().is_some_and(|status| !status.success()));
    must_fail(&outcome, "no end line");
}
