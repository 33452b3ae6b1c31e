//! `cargo xtask package`: `addons/ferry` as a zip archive that is unpacked into a game.
//!
//! Builds the libraries of this machine first, without debug information; those of other platforms go in if they were built
//! before (`build --target`), so a release for all platforms is packed after collecting them in one place.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::build::Build;
use crate::run::{target_folder, workspace_root};
use crate::zip::Archive;

/// Deeper than this lies nothing of the addon's.
const DEEPEST: usize = 8;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.first() {
        return Err(format!("takes no arguments, got `{unknown}`"));
    }
    for release in [false, true] {
        Build { release, stripped: true, ..Build::default() }.library()?;
    }
    let root = workspace_root();
    let mut files = Vec::new();
    collect(&root, Path::new("addons/ferry"), 0, &mut files)?;
    files.sort();
    let mut archive = Archive::default();
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    archive.add("addons/ferry/LICENSE", &read(&root.join("LICENSE"))?)?;
    for file in &files {
        // The format's separator, on every platform.
        let name: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
        archive.add(&name.join("/"), &read(&root.join(file))?)?;
    }
    let place = write(&archive.finish()?)?;
    let platforms: Vec<_> = files.iter().filter_map(|file| platform_of(file)).collect();
    eprintln!("    {} files, libraries: {}", files.len() + 1, platforms.join(", "));
    println!("{}", place.display());
    Ok(())
}

fn collect(root: &Path, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Outcome {
    if depth > DEEPEST {
        return Err(format!("{} lies too deep", folder.display()));
    }
    let entries = fs::read_dir(root.join(folder));
    for entry in entries.map_err(|error| format!("{}: {error}", folder.display()))?.filter_map(Result::ok) {
        let place = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(root, &place, depth + 1, files)?;
        } else if belongs(&entry.file_name().to_string_lossy()) {
            files.push(place);
        }
    }
    Ok(())
}

/// Not what is half written, what the editor makes for itself (`~ferry.dll`) or what a linker leaves beside.
fn belongs(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default();
    !name.starts_with(['.', '~']) && !["pdb", "exp", "lib", "TMP"].contains(&ending)
}

/// `linux-x86_64/libferry.so`, for a file that is a library.
fn platform_of(file: &Path) -> Option<String> {
    let below = file.strip_prefix("addons/ferry/bin").ok()?;
    Some(below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"))
}

fn write(bytes: &[u8]) -> Result<PathBuf, String> {
    let folder = target_folder().join("package");
    let place = folder.join(format!("ferry-{}.zip", env!("CARGO_PKG_VERSION")));
    let fresh = folder.join(format!("unfinished.{}", std::process::id()));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&fresh, bytes))
        .and_then(|()| fs::rename(&fresh, &place))
        .map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_editor_and_linkers_leave_stays_out() {
        for name in
            ["ferry.gd", "ferry.gd.uid", "plugin.cfg", "libferry.debug.so", "ferry.dll", "a.svg.import"]
        {
            assert!(belongs(name), "{name}");
        }
        for name in ["~ferry.debug.dll", ".libferry.so.12", "ferry.pdb"] {
            assert!(!belongs(name), "{name}");
        }
    }
}
