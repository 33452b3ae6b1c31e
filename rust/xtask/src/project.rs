//! `godot_project`, made ready to run: what a fresh clone lacks before the engine can start on it without the editor.
//!
//! Three things: its `addons`, which lie beside it (a link, or a copy where links do not work: Windows, some shares); the
//! list of extensions, which the engine otherwise writes only in the editor; and the engine's `--import`, without which no
//! script finds a `class_name` and no icon loads. The import takes some seconds, so it is done only when something that it
//! looks at has changed: [`Fingerprint`]. One command does this at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::build::copy_beside_and_move;
use crate::godot::Engine;
use crate::run::{answer_within, workspace_root};

/// The addon's manifest, as the engine names it.
const EXTENSION: &str = "res://addons/ferry/ferry.gdextension";

/// Imports take seconds; a cold machine on a slow disk takes more.
const IMPORT_BOUND: Duration = Duration::from_secs(300);

/// Where the import leaves which script has which `class_name`.
const CLASS_LIST: &str = "global_script_class_cache.cfg";

/// Where we leave what the last import had looked at.
const FINGERPRINT: &str = "ferry_import.txt";

/// What the editor makes other files of.
const IMPORTED: [&str; 9] = ["svg", "png", "jpg", "webp", "wav", "ogg", "ttf", "otf", "glb"];

/// Deeper than this lies nothing of the project's; a link that leads back ends here.
const DEEPEST: usize = 12;

/// Has the project ready for this engine and returns its folder.
pub(crate) fn prepare(engine: &Engine) -> Result<PathBuf, String> {
    let project = workspace_root().join("godot_project");
    let state = project.join(".godot");
    let failed = |error: std::io::Error| format!("{}: {error}", state.display());
    fs::create_dir_all(&state).map_err(failed)?;
    // The system lets go of the lock when this process ends, however it ends.
    let lock = fs::File::create(state.join("ferry_lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;

    bring_addons(&workspace_root().join("addons"), &project.join("addons"))?;
    list_extension(&project, EXTENSION)?;
    let print = Fingerprint::of(&project, engine).0;
    let known = fs::read_to_string(state.join(FINGERPRINT)).unwrap_or_default();
    if known != print || !state.join(CLASS_LIST).is_file() {
        import(&project, engine)?;
        fs::write(state.join(FINGERPRINT), print).map_err(failed)?;
    }
    Ok(project)
}

fn bring_addons(from: &Path, to: &Path) -> Outcome {
    if fs::read_link(to).is_ok() {
        if to.join("ferry/ferry.gdextension").is_file() {
            return Ok(());
        }
        fs::remove_file(to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    // A text file is what some checkouts make of a link.
    if to.is_file() {
        fs::remove_file(to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    if !to.exists() && link(Path::new("../addons"), to).is_ok() {
        return Ok(());
    }
    mirror(from, to)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

/// Links need a privilege on Windows.
#[cfg(not(unix))]
fn link(_from: &Path, _to: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Makes a folder the same as another: what has changed is copied, what is gone goes.
pub(crate) fn mirror(from: &Path, to: &Path) -> Outcome {
    mirror_at(from, to, 0)
}

fn mirror_at(from: &Path, to: &Path, depth: usize) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", to.display());
    if depth > DEEPEST {
        return Err(format!("{} lies too deep", from.display()));
    }
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)?.filter_map(Result::ok) {
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            mirror_at(&source, &place, depth + 1)?;
        } else {
            copy_beside_and_move(&source, &place)?;
        }
    }
    for entry in fs::read_dir(to).map_err(failed)?.filter_map(Result::ok) {
        let made_by_the_engine =
            entry.path().extension().is_some_and(|ending| ending == "import" || ending == "uid");
        if from.join(entry.file_name()).exists() || made_by_the_engine {
            continue;
        }
        let gone = if entry.path().is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        gone.map_err(failed)?;
    }
    Ok(())
}

/// Has the engine load the extension of this manifest in a project; what else is listed stays.
pub(crate) fn list_extension(project: &Path, manifest: &str) -> Outcome {
    let list = project.join(".godot/extension_list.cfg");
    let mut text = fs::read_to_string(&list).unwrap_or_default();
    if text.lines().any(|line| line.trim() == manifest) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(manifest);
    text.push('\n');
    let failed = |error: std::io::Error| format!("{}: {error}", list.display());
    fs::create_dir_all(project.join(".godot")).map_err(failed)?;
    fs::write(&list, text).map_err(failed)
}

fn import(project: &Path, engine: &Engine) -> Outcome {
    eprintln!("==> the engine's import of godot_project");
    let mut command = Command::new(&engine.program);
    command.args(["--headless", "--path"]).arg(project).arg("--import");
    let said = answer_within(&mut command, IMPORT_BOUND)?;
    if project.join(".godot").join(CLASS_LIST).is_file() {
        return Ok(());
    }
    Err(format!("the engine's import wrote no list of classes; it said:\n{said}"))
}

/// What an import depends on: the engine, the classes that scripts declare, and the files that are imported.
struct Fingerprint(String);

impl Fingerprint {
    fn of(project: &Path, engine: &Engine) -> Self {
        let mut lines = Vec::new();
        note(project, Path::new(""), 0, &mut lines);
        lines.sort();
        Self(format!("{}\n{}\n", engine.version, lines.join("\n")))
    }
}

fn note(project: &Path, folder: &Path, depth: usize, lines: &mut Vec<String>) {
    if depth > DEEPEST {
        return;
    }
    for entry in fs::read_dir(project.join(folder)).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, place) = (entry.path(), folder.join(&name));
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            note(project, &place, depth + 1, lines);
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if ending == "gd" {
            let text = fs::read_to_string(&path).unwrap_or_default();
            lines.extend(declaration(&text).map(|class| format!("{}: {class}", place.display())));
        } else if IMPORTED.contains(&ending.as_str()) {
            let length = entry.metadata().map_or(0, |metadata| metadata.len());
            lines.push(format!("{}: {length} bytes", place.display()));
        }
    }
}

/// What the list of classes takes from a script: its `class_name` and what it extends.
fn declaration(script: &str) -> Option<String> {
    let words = |keyword: &str| {
        let mut lines = script.lines().filter(|line| line.starts_with(keyword));
        lines.next().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
    };
    let class = words("class_name ")?;
    Some([Some(class), words("extends "), words("@tool")].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_a_script_is_what_it_declares_at_its_top_level() {
        let script = "@tool\nclass_name Boat # a boat\nextends Node2D\n\nfunc f():\n\textends_nothing()\n";
        assert_eq!(declaration(script).as_deref(), Some("class_name Boat extends Node2D @tool"));
        assert_eq!(declaration("extends Node\n# class_name None\n\tclass_name Inner\n"), None);
    }

    #[test]
    fn a_mirror_follows_its_source_and_keeps_what_the_engine_added() {
        let folder = std::env::temp_dir().join(format!("ferry-mirror-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("deep")).expect("a folder to try in");
        for file in ["one", "deep/two"] {
            fs::write(from.join(file), file).expect("a file to copy");
        }
        mirror(&from, &to).expect("it is mirrored");
        assert_eq!(fs::read_to_string(to.join("deep/two")).expect("it is there"), "deep/two");
        fs::write(to.join("one.import"), "").expect("what the engine adds");
        fs::remove_dir_all(from.join("deep")).expect("it goes");
        mirror(&from, &to).expect("it is mirrored");
        assert!(!to.join("deep").exists() && to.join("one").exists() && to.join("one.import").exists());
        fs::remove_dir_all(&folder).expect("the folder goes");
    }

    #[test]
    fn the_list_of_extensions_keeps_what_others_wrote() {
        let folder = std::env::temp_dir().join(format!("ferry-list-{}", std::process::id()));
        list_extension(&folder, "res://other.gdextension").expect("a list is made");
        list_extension(&folder, EXTENSION).expect("it is added");
        list_extension(&folder, EXTENSION).expect("it is there");
        let text = fs::read_to_string(folder.join(".godot/extension_list.cfg")).expect("the list");
        assert_eq!(text, format!("res://other.gdextension\n{EXTENSION}\n"));
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}
