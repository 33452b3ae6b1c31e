//! Starting programs out of unpacked packages, on a system that has other libraries or none of them.
//!
//! What `debian` unpacks brings its own C library, so it has to be started by its own loader: `godot` and `chromium` find
//! that here and write a small script, the launcher, that names it. A launcher finds the packages beside itself, so the
//! folder can be moved.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of libraries below `usr/lib`, and the loader in it: their names tell the machine.
pub(crate) fn loader_below(root: &Path) -> Option<(String, String)> {
    let folders = fs::read_dir(root.join("usr/lib")).ok()?.filter_map(Result::ok);
    folders.filter(|folder| folder.path().is_dir()).find_map(|folder| {
        let files = fs::read_dir(folder.path()).ok()?.filter_map(Result::ok);
        let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let loader = names.find(|name| name.starts_with("ld-linux"))?;
        Some((folder.file_name().to_string_lossy().into_owned(), loader))
    })
}

/// Leaves a launcher alone that is as it should be: somebody may be starting it.
pub(crate) fn write(place: &Path, text: &str) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    if fs::read_to_string(place).is_ok_and(|there| there == text) {
        return Ok(place.to_path_buf());
    }
    let fresh = place.with_extension("fresh");
    fs::write(&fresh, text).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    fs::rename(&fresh, place).map_err(failed)?;
    Ok(place.to_path_buf())
}
