//! Starting programs out of unpacked packages, on a system that has other libraries or none of them.
//!
//! What `debian` unpacks brings its own C library, so it has to be started by its own loader: a small script, the launcher,
//! names that and the program. A launcher finds the packages beside itself, so the
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

/// Writes the launcher beside unpacked packages for a program below their `usr`, such as `bin/name`.
pub(crate) fn start_by_own_loader(home: &Path, root: &Path, program: &str) -> Result<PathBuf, String> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let (folder, loader) = loader_below(root).ok_or("the packages hold no loader")?;
    if !root.join("usr").join(program).is_file() {
        return Err(format!("the packages hold no {name}"));
    }
    write(&home.join(name), &text(&name_of(root)?, &folder, &loader, program))
}

fn text(root: &str, folder: &str, loader: &str, program: &str) -> String {
    format!(
        "#!/bin/sh\n\
         # Starts what was unpacked beside this file, by the loader and with the libraries unpacked with it.\n\
         root=$(cd \"$(dirname \"$0\")\" && pwd)/{root}/usr\n\
         libraries=$root/lib/{folder}\n\
         exec \"$libraries/{loader}\" --library-path \"$libraries:$libraries/pulseaudio\" \"$root/{program}\" \"$@\"\n"
    )
}

/// What the folder of the packages is called, from beside it.
pub(crate) fn name_of(root: &Path) -> Result<String, String> {
    let name = root.file_name().ok_or_else(|| format!("{} is no folder", root.display()))?;
    Ok(name.to_string_lossy().into_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_finds_what_lies_beside_it() {
        let text = text("packages", "x86_64-linux-gnu", "ld-linux-x86-64.so.2", "sbin/nginx");
        assert!(text.starts_with("#!/bin/sh\n"));
        assert!(text.contains("/packages/usr\n"));
        assert!(text.ends_with("\"$root/sbin/nginx\" \"$@\"\n"));
    }
}
