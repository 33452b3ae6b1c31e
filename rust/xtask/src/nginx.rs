//! The reverse proxy that WebSocket servers are tested behind.
//!
//! Looked for in this order: `FERRY_TEST_NGINX`; `nginx` on PATH; else Debian's package is brought below `target/nginx`
//! (see `debian`): 4 MB of download, once. It counts only if it takes a configuration with TLS in it. One command brings
//! it at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian::{self, Wanted};
use crate::launcher;
use crate::run::{answer_within, on_path, target_folder};

/// Names a proxy, for us and for the tests.
pub(crate) const NGINX_VARIABLE: &str = "FERRY_TEST_NGINX";

/// Tells the tests why there is none.
pub(crate) const MISSING_VARIABLE: &str = "FERRY_TEST_NGINX_MISSING";

const PACKAGES: Wanted = Wanted {
    folder: "packages",
    packages: &["nginx"],
    suites: &["trixie", "forky"],
    with_dependencies: true,
    left_out: &[],
    bound: Duration::from_secs(15 * 60),
};

/// Looking through a configuration takes milliseconds.
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// What the tests need of it.
const TRIAL: &str = "events {}\n\
    http {\n    map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n    ssl_protocols TLSv1.2 TLSv1.3;\n}\n";

/// Finds the proxy, or brings it.
pub(crate) fn find() -> Result<PathBuf, String> {
    let home = target_folder().join("nginx");
    let failed = |error: std::io::Error| format!("{}: {error}", home.display());
    fs::create_dir_all(&home).map_err(failed)?;
    // The system lets go of the lock when this process ends, however it ends.
    let lock = fs::File::create(home.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;

    if let Some(named) = std::env::var_os(NGINX_VARIABLE).filter(|name| !name.is_empty()) {
        // Asked for by name: taking another one instead would be a surprise.
        let program = std::path::absolute(&named).map_err(|error| format!("{NGINX_VARIABLE}: {error}"))?;
        let tried = will_do(&home, &program).map_err(|reason| format!("{NGINX_VARIABLE}: {reason}"));
        return tried.map(|()| found(program, NGINX_VARIABLE));
    }
    let mut tried = Vec::new();
    for program in on_path(&["nginx"]) {
        match will_do(&home, &program) {
            Ok(()) => return Ok(found(program, "PATH")),
            Err(reason) => tried.push(format!("PATH: {reason}")),
        }
    }
    match debian::bring(&home, &PACKAGES, &mut |root| start_by_own_loader(&home, root)) {
        Ok((program, origin)) => return Ok(found(program, &origin)),
        Err(reasons) => tried.extend(reasons),
    }
    Err(format!(
        "none found. Install nginx, or name its program in {NGINX_VARIABLE}. Tried:\n  {}",
        tried.join("\n  ")
    ))
}

fn found(program: PathBuf, origin: &str) -> PathBuf {
    eprintln!("==> nginx ({origin})");
    program
}

/// Whether it runs and takes what the tests configure; an error says why it will not do.
fn will_do(home: &Path, program: &Path) -> Result<(), String> {
    let configuration = home.join("trial.conf");
    fs::write(&configuration, format!("pid {};\n{TRIAL}", home.join("trial.pid").display()))
        .map_err(|error| format!("{}: {error}", configuration.display()))?;
    let mut command = Command::new(program);
    command.args(["-t", "-q", "-e", "stderr", "-p"]).arg(home).arg("-c").arg(&configuration);
    answer_within(&mut command, ANSWER_BOUND).map(drop)
}

/// Writes the launcher for unpacked packages, and tries it.
fn start_by_own_loader(home: &Path, root: &Path) -> Result<PathBuf, String> {
    let (folder, loader) = launcher::loader_below(root).ok_or("the packages hold no loader")?;
    if !root.join("usr/sbin/nginx").is_file() {
        return Err("the packages hold no nginx".to_owned());
    }
    let program = launcher::write(&home.join("nginx"), &launcher_text(PACKAGES.folder, &folder, &loader))?;
    will_do(home, &program)?;
    Ok(program)
}

fn launcher_text(root: &str, folder: &str, loader: &str) -> String {
    format!(
        "#!/bin/sh\n\
         # Starts the nginx that was unpacked beside this file, by the loader and with the libraries unpacked with it.\n\
         root=$(cd \"$(dirname \"$0\")\" && pwd)/{root}/usr\n\
         libraries=$root/lib/{folder}\n\
         exec \"$libraries/{loader}\" --library-path \"$libraries\" \"$root/sbin/nginx\" \"$@\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_finds_nginx_beside_itself() {
        let text = launcher_text("packages", "x86_64-linux-gnu", "ld-linux-x86-64.so.2");
        assert!(text.starts_with("#!/bin/sh\n"));
        assert!(text.contains("/packages/usr\n"));
        assert!(text.ends_with("\"$root/sbin/nginx\" \"$@\"\n"));
    }
}
