//! The browser that pages are tested in.
//!
//! Looked for in this order: `FERRY_TEST_CHROMIUM`; Chromium and its kin on PATH; else Debian's `chromium-headless-shell`
//! is brought below `target/chromium` (see `debian`): 163 MB, once. A browser counts only if it has rendered a page here:
//! one that is packed in a sandbox of its own may start and still not run. One command brings it at a time.
//!
//! A browser starts itself again for each of its parts, and looks for its data beside its program. Both go by the file
//! that runs, which for unpacked packages is their loader: so a copy of the loader lies beside the browser's data, and the
//! launcher says how the parts are started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian::{self, Wanted};
use crate::launcher;
use crate::run::{answer_within, on_path, target_folder};

/// Names a browser, for us and for the tests.
pub(crate) const BROWSER_VARIABLE: &str = "FERRY_TEST_CHROMIUM";

/// Tells the tests why there is none.
pub(crate) const MISSING_VARIABLE: &str = "FERRY_TEST_CHROMIUM_MISSING";

/// Names that a browser goes by on PATH.
const NAMES: [&str; 5] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser without its windows, with all that it loads. What draws on graphics cards stays out: half of the size.
const PACKAGES: Wanted = Wanted {
    folder: "packages",
    packages: &["chromium-headless-shell"],
    suites: &["trixie", "forky"],
    with_dependencies: true,
    left_out: &[
        "libllvm",
        "libz3-",
        "mesa-",
        "libgl1-mesa-dri",
        "libdrm-",
        "x11-",
        "xdg-utils",
        "libvulkan1",
    ],
    bound: Duration::from_secs(30 * 60),
};

/// A page takes a fifth of a second; the first start from a slow disk takes more.
const PAGE_BOUND: Duration = Duration::from_secs(60);

/// A page whose script has to run before it shows its answer.
const TRIAL_PAGE: &str = "data:text/html,<script>document.write(6*7*1000)</script>";
const TRIAL_ANSWER: &str = "42000";

/// Finds the browser, or brings it.
pub(crate) fn find() -> Result<PathBuf, String> {
    let home = target_folder().join("chromium");
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    fs::create_dir_all(&home).map_err(failed)?;
    // The system lets go of the lock when this process ends, however it ends.
    let lock = fs::File::create(home.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;

    if let Some(named) = std::env::var_os(BROWSER_VARIABLE).filter(|name| !name.is_empty()) {
        // Asked for by name: taking another one instead would be a surprise.
        let program = std::path::absolute(&named).map_err(|error| format!("{BROWSER_VARIABLE}: {error}"))?;
        let tried = renders(&home, &program).map_err(|reason| format!("{BROWSER_VARIABLE}: {reason}"));
        return tried.map(|()| found(program, BROWSER_VARIABLE));
    }
    let mut tried = Vec::new();
    for program in on_path(&NAMES) {
        match renders(&home, &program) {
            Ok(()) => return Ok(found(program, "PATH")),
            Err(reason) => tried.push(format!("PATH: {reason}")),
        }
    }
    match debian::bring(&home, &PACKAGES, &mut |root| start_by_own_loader(&home, root)) {
        Ok((program, origin)) => return Ok(found(program, &origin)),
        Err(reasons) => tried.extend(reasons),
    }
    Err(format!(
        "none found. Install Chromium, or name its program in {BROWSER_VARIABLE}. Tried:\n  {}",
        tried.join("\n  ")
    ))
}

fn found(program: PathBuf, origin: &str) -> PathBuf {
    eprintln!("==> Chromium ({origin})");
    program
}

/// Whether a page's script runs in it; an error says why it will not do.
fn renders(home: &Path, program: &Path) -> Result<(), String> {
    let profile = home.join("trial");
    let mut command = Command::new(program);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]);
    let mut folder = std::ffi::OsString::from("--user-data-dir=");
    folder.push(&profile);
    command.arg(folder).arg(TRIAL_PAGE);
    let said = answer_within(&mut command, PAGE_BOUND);
    let _ = fs::remove_dir_all(&profile);
    if said?.contains(TRIAL_ANSWER) {
        return Ok(());
    }
    Err(format!("{}: did not show a page", program.display()))
}

/// Writes the launcher for unpacked packages, and tries it.
fn start_by_own_loader(home: &Path, root: &Path) -> Result<PathBuf, String> {
    let (folder, loader) = launcher::loader_below(root).ok_or("the packages hold no loader")?;
    let browser = root.join("usr/lib/chromium");
    if !browser.join(PROGRAM).is_file() {
        return Err(format!("the packages hold no {PROGRAM}"));
    }
    copy_once(&root.join("usr/lib").join(&folder).join(&loader), &browser.join(LOADER))?;
    let program = launcher::write(&home.join(PROGRAM), &launcher_text(PACKAGES.folder, &folder))?;
    renders(home, &program)?;
    Ok(program)
}

/// The browser's program below `usr/lib/chromium`.
const PROGRAM: &str = "chromium-headless-shell";

/// What the copied loader is called there; not like a loader, or its folder would pass for that of the libraries.
const LOADER: &str = "started-by";

/// Moved in whole: a copy that is there is complete.
fn copy_once(from: &Path, to: &Path) -> Result<(), String> {
    if to.is_file() {
        return Ok(());
    }
    let fresh = to.with_extension("fresh");
    let copied = fs::copy(from, &fresh).and_then(|_| fs::rename(&fresh, to));
    copied.map_err(|error| format!("{}: {error}", to.display()))
}

fn launcher_text(root: &str, folder: &str) -> String {
    format!(
        "#!/bin/sh\n\
         # Starts the {PROGRAM} that was unpacked beside this file, by the loader and with the libraries unpacked with it.\n\
         # Each part of the browser is started by this file again.\n\
         here=$(cd \"$(dirname \"$0\")\" && pwd)\n\
         libraries=$here/{root}/usr/lib/{folder}\n\
         browser=$here/{root}/usr/lib/chromium\n\
         exec \"$browser/{LOADER}\" --library-path \"$libraries:$libraries/pulseaudio:$browser\" \"$browser/{PROGRAM}\" \\\n  \
         --browser-subprocess-path=\"$here/{PROGRAM}\" --no-zygote \"$@\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_starts_the_browser_s_parts_by_itself() {
        let text = launcher_text("packages", "x86_64-linux-gnu");
        assert!(text.starts_with("#!/bin/sh\n"));
        assert!(text.contains("\nbrowser=$here/packages/usr/lib/chromium\n"));
        assert!(text.contains("--browser-subprocess-path=\"$here/chromium-headless-shell\""));
        assert!(text.ends_with(" \"$@\"\n"));
    }
}
