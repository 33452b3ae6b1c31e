//! Programs that tests talk to and that are not this project's: a browser, a proxy, a relay.
//!
//! Looked for in this order: the variable that names it; PATH, under the names that it goes by; else Debian's packages are
//! brought below `target` (see `debian`), once. Wherever it is from, it counts only if it does what the tests need of it.
//! One command brings it at a time. `test` hands it on to the tests, or the reason why there is none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::debian::{self, Wanted};
use crate::run::{on_path, target_folder};

/// Makes a folder, and waits until no other of our commands works in it. The system lets go of the lock when this process
/// ends, however it ends.
pub(crate) fn lock(home: &Path) -> Result<fs::File, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    fs::create_dir_all(home).map_err(failed)?;
    let lock = fs::File::create(home.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

/// What there is to know of one.
pub(crate) struct Program {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Names it, for us and for the tests.
    pub(crate) variable: &'static str,
    /// Tells the tests why there is none.
    pub(crate) missing_variable: &'static str,
    /// What it is called on PATH.
    pub(crate) on_path: &'static [&'static str],
    /// Its folder below `target`.
    pub(crate) folder: &'static str,
    pub(crate) packages: Wanted,
    /// Finds out whether a program will do, and may leave things in its folder, which comes first. An error says why it
    /// will not.
    pub(crate) try_out: fn(&Path, &Path) -> Result<(), String>,
    /// Makes a program below its folder of the packages that were unpacked to the other: see `launcher`.
    pub(crate) set_up: fn(&Path, &Path) -> Result<PathBuf, String>,
}

impl Program {
    /// Finds it, or brings it.
    pub(crate) fn find(&self) -> Result<PathBuf, String> {
        let home = target_folder().join(self.folder);
        let _lock = lock(&home)?;
        let (program, origin) = self.find_below(&home)?;
        eprintln!("==> {} ({origin})", self.name);
        Ok(program)
    }

    fn find_below(&self, home: &Path) -> Result<(PathBuf, String), String> {
        let variable = self.variable;
        if let Some(named) = std::env::var_os(variable).filter(|name| !name.is_empty()) {
            // Asked for by name: taking another one instead would be a surprise.
            let program = std::path::absolute(&named).map_err(|error| format!("{variable}: {error}"))?;
            let tried = (self.try_out)(home, &program).map_err(|reason| format!("{variable}: {reason}"));
            return tried.map(|()| (program, variable.to_owned()));
        }
        let mut tried = Vec::new();
        for program in on_path(self.on_path) {
            match (self.try_out)(home, &program) {
                Ok(()) => return Ok((program, "PATH".to_owned())),
                Err(reason) => tried.push(format!("PATH: {reason}")),
            }
        }
        let brought = debian::bring(home, &self.packages, &mut |root| {
            let program = (self.set_up)(home, root)?;
            (self.try_out)(home, &program).map(|()| program)
        });
        brought.map_err(|reasons| {
            tried.extend(reasons);
            format!(
                "none found. Install {}, or name its program in {variable}. Tried:\n  {}",
                self.name,
                tried.join("\n  ")
            )
        })
    }
}
