//! A game that was exported with the engine's release template plays the match.
//!
//! The project is copied and exported by the engine itself, as a developer would do it. A template that the system can
//! start by itself is then started as it is. One that was brought with libraries of its own has a launcher, a shell
//! script that starts it through its own loader; the same is done here, with the loader beside the game: the engine looks
//! for the game's data and libraries beside the program that the system started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ferry_tests::godot::{Scene, engine, template};
use ferry_tests::project_copy::{Folder, copy_project};
use ferry_tests::scripted_match::play;

/// Importing and packing, on a machine that is busy.
const EXPORT_BOUND: Duration = Duration::from_secs(180);

/// Debian's release template says so of the engine's own connections, in any game.
const OWN_ERROR: &str = "Attempt to disconnect a nonexistent connection";

const ELF: &[u8] = b"\x7fELF";

#[test]
fn an_exported_game_plays_the_match() {
    let folder = Folder::new("ferry-export");
    let game = Template::find(&template()).export(folder.path());
    for file in ["ferry.pck", "libferry.so"] {
        assert!(folder.path().join("game").join(file).is_file(), "{file} was not exported");
    }
    play(|who| {
        let arguments: Vec<&str> = game[1..].iter().map(String::as_str).chain(["--headless"]).collect();
        let game = Scene::with_program(who, Path::new(&game[0]), &arguments);
        game.in_folder(folder.path()).allowing_error(OWN_ERROR)
    });
}

/// The release template, and how to start what is exported with it.
struct Template {
    program: PathBuf,
    /// The loader and its arguments, where the program needs them.
    loader: Vec<String>,
}

impl Template {
    fn find(launcher: &Path) -> Self {
        let start = fs::read(launcher).unwrap_or_else(|error| panic!("{}: {error}", launcher.display()));
        if start.starts_with(ELF) {
            return Self { program: launcher.to_owned(), loader: Vec::new() };
        }
        // The shell itself tells what the script starts.
        let traced = Command::new("sh").arg("-x").arg(launcher).arg("--version").output().expect("sh");
        let trace = String::from_utf8_lossy(&traced.stderr);
        let line = trace.lines().rev().find_map(|line| line.strip_prefix("+ exec "));
        let line = line.unwrap_or_else(|| panic!("{} starts nothing by exec: {trace}", launcher.display()));
        let mut words: Vec<String> = line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect();
        assert_eq!(words.pop().as_deref(), Some("--version"), "{line}");
        let program = words.pop().expect("a program behind the loader");
        Self { program: program.into(), loader: words }
    }

    /// Exports the project; gives the words that start the game.
    fn export(&self, folder: &Path) -> Vec<String> {
        let copy = folder.join("project");
        copy_project(&copy);
        let presets = copy.join("export_presets.cfg");
        let text = fs::read_to_string(&presets).expect("the project has export presets");
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            other => other,
        };
        let text = text
            .replace(
                "custom_template/release=\"\"",
                &format!("custom_template/release=\"{}\"", self.program.display()),
            )
            .replace("architecture=\"x86_64\"", &format!("architecture=\"{architecture}\""));
        fs::write(&presets, text).expect("the copy can be written");
        let game = folder.join("game");
        fs::create_dir(&game).expect("a folder for the game");
        let program = game.join("ferry");
        let arguments =
            ["--headless", "--path", text_of(&copy), "--export-release", "Linux", text_of(&program)];
        let outcome = Scene::with_program("export", &engine(), &arguments).within(EXPORT_BOUND).run();
        let troubles = outcome.troubles();
        assert!(troubles.is_empty(), "the export failed: {troubles:#?}\n{}", outcome.tail());
        if self.loader.is_empty() {
            return vec![text_of(&program).to_owned()];
        }
        let loader = game.join("ferry.loader");
        fs::copy(&self.loader[0], &loader).expect("the loader can be copied");
        let mut words = vec![text_of(&loader).to_owned()];
        words.extend_from_slice(&self.loader[1..]);
        words.push(text_of(&program).to_owned());
        words
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}
