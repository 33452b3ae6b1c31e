//! The reverse proxy that WebSocket servers are tested behind.
//!
//! What is brought (see `program`) is 4 MB of download. It counts only if it takes a configuration with TLS in it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::debian::Wanted;
use crate::launcher;
use crate::program::Program;
use crate::run::answer_within;

pub(crate) const NGINX: Program = Program {
    name: "nginx",
    variable: "FERRY_TEST_NGINX",
    missing_variable: "FERRY_TEST_NGINX_MISSING",
    on_path: &["nginx"],
    folder: "nginx",
    packages: Wanted {
        folder: "packages",
        packages: &["nginx"],
        suites: &["trixie", "forky"],
        with_dependencies: true,
        left_out: &[],
        bound: Duration::from_secs(15 * 60),
    },
    try_out: will_do,
    set_up: |home, root| launcher::start_by_own_loader(home, root, "sbin/nginx"),
};

/// Looking through a configuration takes milliseconds.
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// What the tests need of it.
const TRIAL: &str = "events {}\n\
    http {\n    map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n    ssl_protocols TLSv1.2 TLSv1.3;\n}\n";

/// Whether it runs and takes what the tests configure; an error says why it will not do.
fn will_do(home: &Path, program: &Path) -> Result<(), String> {
    let configuration = home.join("trial.conf");
    fs::write(&configuration, format!("pid {};\n{TRIAL}", home.join("trial.pid").display()))
        .map_err(|error| format!("{}: {error}", configuration.display()))?;
    let mut command = Command::new(program);
    command.args(["-t", "-q", "-e", "stderr", "-p"]).arg(home).arg("-c").arg(&configuration);
    answer_within(&mut command, ANSWER_BOUND).map(drop)
}
