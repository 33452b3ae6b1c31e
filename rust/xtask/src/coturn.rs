//! The STUN and TURN server that WebRTC connections find their ways by.
//!
//! What is brought (see `program`) is 15 MB of download: it can speak to several databases, of which tests use none.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::debian::Wanted;
use crate::launcher;
use crate::program::Program;
use crate::run::answer_within;

pub(crate) const COTURN: Program = Program {
    name: "coturn",
    variable: "FERRY_TEST_COTURN",
    missing_variable: "FERRY_TEST_COTURN_MISSING",
    on_path: &["turnserver"],
    folder: "coturn",
    packages: Wanted {
        folder: "packages",
        packages: &["coturn"],
        suites: &["trixie", "forky"],
        with_dependencies: true,
        left_out: &[],
        bound: Duration::from_secs(15 * 60),
    },
    try_out: answers,
    set_up: |home, root| launcher::start_by_own_loader(home, root, "bin/turnserver"),
};

/// Telling its version takes milliseconds.
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// Whether all that it loads is there; an error says what is not.
fn answers(_: &Path, program: &Path) -> Result<(), String> {
    answer_within(Command::new(program).arg("--version"), ANSWER_BOUND).map(drop)
}
