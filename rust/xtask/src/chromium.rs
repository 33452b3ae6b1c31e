//! The browser that pages are tested in.
//!
//! What is brought (see `program`) is 163 MB. A browser counts only if it has rendered a page here: one that is packed in a
//! sandbox of its own may start and still not run.
//!
//! A browser starts itself again for each of its parts, and looks for its data beside its program. Both go by the file
//! that runs, which for unpacked packages is their loader: so a copy of the loader lies beside the browser's data, and the
//! launcher says how the parts are started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian::Wanted;
use crate::launcher;
use crate::program::Program;
use crate::run::answer_within;

pub(crate) const CHROMIUM: Program = Program {
    name: "Chromium",
    variable: "FERRY_TEST_CHROMIUM",
    missing_variable: "FERRY_TEST_CHROMIUM_MISSING",
    on_path: &[SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    folder: "chromium",
    // The browser without its windows, with all that it loads. What draws on graphics cards stays out: half of the size.
    packages: Wanted {
        folder: "packages",
        packages: &[SHELL],
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
    },
    try_out: renders,
    set_up: start_by_own_loader,
};

/// The browser without windows: its package, and its program below `usr/lib/chromium`.
const SHELL: &str = "chromium-headless-shell";

/// What the copied loader is called there; not like a loader, or its folder would pass for that of the libraries.
const LOADER: &str = "started-by";

/// A page takes a fifth of a second; the first start from a slow disk takes more.
const PAGE_BOUND: Duration = Duration::from_secs(60);

/// A page whose script has to run before it shows its answer.
const TRIAL_PAGE: &str = "data:text/html,<script>document.write(6*7*1000)</script>";
const TRIAL_ANSWER: &str = "42000";

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

/// Writes the launcher for unpacked packages.
fn start_by_own_loader(home: &Path, root: &Path) -> Result<PathBuf, String> {
    let (folder, loader) = launcher::loader_below(root).ok_or("the packages hold no loader")?;
    let browser = root.join("usr/lib/chromium");
    if !browser.join(SHELL).is_file() {
        return Err(format!("the packages hold no {SHELL}"));
    }
    copy_once(&root.join("usr/lib").join(&folder).join(&loader), &browser.join(LOADER))?;
    launcher::write(&home.join(SHELL), &launcher_text(&launcher::name_of(root)?, &folder))
}

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
         # Starts the {SHELL} that was unpacked beside this file, by the loader and with the libraries unpacked with it.\n\
         # Each part of the browser is started by this file again.\n\
         here=$(cd \"$(dirname \"$0\")\" && pwd)\n\
         libraries=$here/{root}/usr/lib/{folder}\n\
         browser=$here/{root}/usr/lib/chromium\n\
         exec \"$browser/{LOADER}\" --library-path \"$libraries:$libraries/pulseaudio:$browser\" \"$browser/{SHELL}\" \\\n  \
         --browser-subprocess-path=\"$here/{SHELL}\" --no-zygote \"$@\"\n"
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
