//! Another implementation of WebRTC, in Python: aiortc.
//!
//! What the tests are told of is a Python that can import it. Looked for in this order: the variable that names one; the
//! Python on PATH; else an environment of its own (`venv`) is made below `target` and aiortc installed into it by pip, from
//! wherever pip of this machine is set up to fetch: 60 MB, once. The environment is made beside its place and moved in whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::program;
use crate::run::{Step, answer_within, on_path, target_folder};

pub(crate) const NAME: &str = "aiortc";

/// Names a Python that has it, for us and for the tests.
pub(crate) const VARIABLE: &str = "FERRY_TEST_AIORTC";

/// Tells the tests why there is none.
pub(crate) const MISSING_VARIABLE: &str = "FERRY_TEST_AIORTC_MISSING";

/// The release that the tests were written with. Others may have other limits.
const REQUIREMENT: &str = "aiortc==1.16.0";

const PYTHONS: &[&str] = &["python3"];

/// Importing it loads a library for video, too: a second or two from a slow disk.
const IMPORT_BOUND: Duration = Duration::from_secs(60);

/// Making an environment unpacks pip into it.
const ENVIRONMENT_BOUND: Duration = Duration::from_secs(5 * 60);

/// 60 MB over a slow line.
const INSTALL_BOUND: Duration = Duration::from_secs(15 * 60);

/// Finds a Python that has it, or makes one.
pub(crate) fn find() -> Result<PathBuf, String> {
    let home = target_folder().join(NAME);
    let _lock = program::lock(&home)?;
    let (python, origin) = find_below(&home)?;
    eprintln!("==> {NAME} ({origin})");
    Ok(python)
}

fn find_below(home: &Path) -> Result<(PathBuf, &'static str), String> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
        // Asked for by name: taking another one instead would be a surprise.
        let python = PathBuf::from(named);
        return imports(&python)
            .map(|()| (python, VARIABLE))
            .map_err(|reason| format!("{VARIABLE}: {reason}"));
    }
    let made = home.join("environment");
    if made.is_dir() {
        let python = python_of(&made);
        let found = imports(&python).map(|()| (python, "installed before"));
        return found.map_err(|reason| format!("{reason} (delete {} to make it again)", made.display()));
    }
    let mut tried = Vec::new();
    for python in on_path(PYTHONS) {
        if imports(&python).is_ok() {
            return Ok((python, "PATH"));
        }
        match make(home, &made, &python).and_then(|()| imports(&python_of(&made))) {
            Ok(()) => return Ok((python_of(&made), "installed by pip")),
            Err(reason) => tried.push(format!("{}: {reason}", python.display())),
        }
        let _ = fs::remove_dir_all(&made);
    }
    if tried.is_empty() {
        tried.push(format!("there is no {} on PATH", PYTHONS.join(" or ")));
    }
    Err(format!(
        "none found. Install Python with its venv and pip, or name a Python that has {NAME} in {VARIABLE}. Tried:\n  {}",
        tried.join("\n  ")
    ))
}

fn imports(python: &Path) -> Result<(), String> {
    answer_within(Command::new(python).args(["-c", "import aiortc"]), IMPORT_BOUND).map(drop)
}

/// Makes an environment that has it.
fn make(home: &Path, place: &Path, python: &Path) -> Result<(), String> {
    let fresh = home.join("environment.fresh");
    let _ = fs::remove_dir_all(&fresh);
    let mut environment = Command::new(python);
    environment.args(["-m", "venv"]).arg(&fresh);
    Step::new("an environment for Python", environment).within(ENVIRONMENT_BOUND).run()?;

    let mut install = Command::new(python_of(&fresh));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    // Building its parts takes compilers and libraries that few machines have.
    install.args(["--only-binary", ":all:", REQUIREMENT]);
    Step::new(format!("{REQUIREMENT} by pip"), install).within(INSTALL_BOUND).run()?;
    fs::rename(&fresh, place).map_err(|error| format!("{}: {error}", place.display()))
}

fn python_of(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}
