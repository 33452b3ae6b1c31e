//! A copy of the Godot project, for a test that changes it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::godot::project;

/// Below this many folders nothing of the project is found; a link that leads in circles ends here.
const MAX_DEPTH: usize = 12;

/// Copies the project, what its links lead to included. Libraries are linked where that works: they are large.
///
/// # Panics
/// When it cannot be copied.
pub fn copy_project(to: &Path) {
    copy_folder(&project(), to, MAX_DEPTH);
}

fn copy_folder(from: &Path, to: &Path, depth: usize) {
    assert!(depth > 0, "{} is deeper than a project should be", from.display());
    fs::create_dir_all(to).expect("a folder of the copy");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("an entry of the project");
        let target = to.join(entry.file_name());
        let source = fs::canonicalize(entry.path()).expect("no link leads nowhere");
        let is_library =
            source.extension().is_some_and(|kind| ["so", "dll", "dylib"].iter().any(|one| kind == *one));
        if source.is_dir() {
            copy_folder(&source, &target, depth - 1);
        } else if !is_library || fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).expect("a file of the project can be copied");
        }
    }
}

/// A folder in the system's temporary one, which goes with the handle.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one; the name tells tests apart.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays behind, among temporary files.
        drop(fs::remove_dir_all(&self.0));
    }
}
