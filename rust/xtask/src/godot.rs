//! The engine that this checkout uses, and `cargo xtask godot`, which starts it.
//!
//! Looked for in this order: `FERRY_GODOT`; `godot4` and `godot` on PATH, if they say that they are 4.3 or newer; else it
//! is brought below `target/godot`: the packages of Debian (see `debian`), which run on any release of it by their own
//! loader, then the official release (see `archive`). One command brings it at a time, and what is there is whole.
//! `build`, `test` and `demo` ask here; nothing but this file knows where an engine comes from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian::{self, Wanted};
use crate::run::{answer_within, on_path, target_folder};
use crate::{Outcome, archive, launcher, project};

/// Names an engine; nothing else is looked for then.
const ENGINE_VARIABLE: &str = "FERRY_GODOT";

/// Names the release template that belongs to it.
const TEMPLATE_VARIABLE: &str = "FERRY_GODOT_TEMPLATE";

/// The oldest engine that loads the library: `compatibility_minimum` of the addon.
const OLDEST: (u32, u32) = (4, 3);

/// An engine answers in a tenth of a second; another program of its name may open a window and stay.
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// Names that an engine goes by on PATH.
const NAMES: [&str; 2] = ["godot4", "godot"];

/// The engine and its release template, with all that they load.
const PACKAGES: Wanted = Wanted {
    folder: "packages",
    packages: &["godot", "godot-template-release"],
    suites: &["forky"],
    with_dependencies: true,
    left_out: &[],
    bound: Duration::from_secs(30 * 60),
};

/// An engine that runs here.
pub(crate) struct Engine {
    pub(crate) program: PathBuf,
    /// What an exported game runs on, without the editor.
    pub(crate) template: Option<PathBuf>,
    pub(crate) version: String,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let arguments = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--path-only"] => {
            println!("{}", find()?.program.display());
            return Ok(());
        }
        [] => &[],
        ["--", ..] => &arguments[1..],
        _ => return Err("takes --path-only, or arguments for the engine after a `--`".to_owned()),
    };
    let engine = find()?;
    let mut command = Command::new(&engine.program);
    if !names_a_project(arguments) {
        command.arg("--path").arg(project::prepare(&engine)?);
    }
    // No bound: it may be the editor, in which somebody works all day.
    let status = command.args(arguments).status();
    let status = status.map_err(|error| format!("{}: {error}", engine.program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("the engine ended with {status}")) }
}

/// Whether the engine is told where to work, or only to say something about itself.
fn names_a_project(arguments: &[String]) -> bool {
    const NEED_NO_PROJECT: [&str; 7] =
        ["--path", "--main-pack", "--version", "--help", "-h", "--project-manager", "-p"];
    let own = arguments.iter().take_while(|argument| !["--", "++"].contains(&argument.as_str()));
    own.into_iter().any(|argument| NEED_NO_PROJECT.contains(&argument.as_str()))
}

/// Finds the engine, or brings it.
pub(crate) fn find() -> Result<Engine, String> {
    if let Some(named) = std::env::var_os(ENGINE_VARIABLE).filter(|name| !name.is_empty()) {
        // Asked for by name: taking another one instead would be a surprise.
        let program = std::path::absolute(&named).map_err(|error| format!("{ENGINE_VARIABLE}: {error}"))?;
        let version = new_enough(&program).map_err(|reason| format!("{ENGINE_VARIABLE}: {reason}"))?;
        return Ok(found(program, version, ENGINE_VARIABLE));
    }
    let mut tried = Vec::new();
    for program in on_path(&NAMES) {
        match new_enough(&program) {
            Ok(version) => return Ok(found(program, version, "PATH")),
            Err(reason) => tried.push(format!("PATH: {reason}")),
        }
    }
    if tried.is_empty() {
        tried.push(format!("PATH: there is no {}", NAMES.join(" and no ")));
    }
    bring(&mut tried).map_err(|error| {
        format!(
            "no Godot {}.{} or newer. Install one (from godotengine.org or your packages), put it on PATH as `godot`, \
             or name its program in {ENGINE_VARIABLE}. Tried:\n  {}",
            OLDEST.0,
            OLDEST.1,
            [tried, error].concat().join("\n  ")
        )
    })
}

fn found(program: PathBuf, version: String, origin: &str) -> Engine {
    eprintln!("==> Godot {version} ({origin})");
    Engine { program, template: template_named(), version }
}

fn template_named() -> Option<PathBuf> {
    let named = std::env::var_os(TEMPLATE_VARIABLE).filter(|name| !name.is_empty())?;
    std::path::absolute(named).ok()
}

fn bring(tried: &mut Vec<String>) -> Result<Engine, Vec<String>> {
    let home = target_folder().join("godot");
    let failed = |error: std::io::Error| vec![format!("{}: {error}", home.display())];
    fs::create_dir_all(&home).map_err(failed)?;
    // The system lets go of the lock when this process ends, however it ends.
    let lock = fs::File::create(home.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;

    match debian::bring(&home, &PACKAGES, &mut |root| start_by_own_loader(&home, root)) {
        Ok((mut engine, origin)) => {
            eprintln!("==> Godot {} ({origin})", engine.version);
            engine.template = template_named().or(engine.template);
            return Ok(engine);
        }
        Err(reasons) => tried.extend(reasons),
    }
    let official = archive::bring(&home).and_then(|program| {
        let version = new_enough(&program)?;
        Ok(found(program, version, "the official release"))
    });
    official.map_err(|reason| vec![format!("the official release: {reason}")])
}

/// Writes the launchers for unpacked packages. They bring a C library of their own, so they run by their own loader.
fn start_by_own_loader(home: &Path, root: &Path) -> Result<Engine, String> {
    let program = launcher::start_by_own_loader(home, root, "bin/godot")?;
    let version = new_enough(&program)?;
    let template = launcher::start_by_own_loader(home, root, "bin/godot-template-release").ok();
    Ok(Engine { program, template, version })
}

/// Asks a program for its version; an error says why it will not do.
fn new_enough(program: &Path) -> Result<String, String> {
    let said = answer_within(Command::new(program).arg("--version"), ANSWER_BOUND)?;
    let Some((version, parts)) = version_in(&said) else {
        return Err(format!("{}: does not answer like Godot", program.display()));
    };
    if parts < OLDEST {
        return Err(format!("{}: is {version}, older than {}.{}", program.display(), OLDEST.0, OLDEST.1));
    }
    Ok(version)
}

/// The line that is a version such as `4.6.3.stable.official.7a2b3c4d5`, and its first two numbers. Warnings may stand
/// before it.
fn version_in(said: &str) -> Option<(String, (u32, u32))> {
    said.lines().map(str::trim).find_map(|line| {
        let mut parts = line.split('.');
        let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next()?;
        let one_word = !line.contains(char::is_whitespace);
        one_word.then(|| (line.to_owned(), (major, minor)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn versions_are_read_as_engines_say_them() {
        let parts = |said| version_in(said).map(|(_, parts)| parts);
        assert_eq!(parts("4.6.3.stable.debian4.6.3+ds-2\n"), Some((4, 6)));
        assert_eq!(parts("4.3.stable.official.77dcf97d8\n"), Some((4, 3)));
        assert_eq!(parts("WARNING: 1. of 2\n4.10.1.rc\r\n"), Some((4, 10)));
        assert_eq!(parts("3.5.2.stable.custom_build\n"), Some((3, 5)));
        assert_eq!(parts("my own program 4.6.3\n"), None);
        assert_eq!(parts(""), None);
        assert!((4, 10) > OLDEST && (3, 5) < OLDEST);
    }

    #[test]
    fn arguments_that_name_a_project_are_left_as_they_are() {
        assert!(names_a_project(&words("--headless --path elsewhere")));
        assert!(names_a_project(&words("--version")));
        assert!(!names_a_project(&words("-e")));
        assert!(!names_a_project(&words("--headless res://a.tscn -- --path")));
        assert!(!names_a_project(&[]));
    }
}
