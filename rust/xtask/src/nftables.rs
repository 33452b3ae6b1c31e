//! What makes a router of a network that a test has made: rules that give players behind it another address.
//!
//! What is brought (see `program`) is 3 MB of download.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::debian::Wanted;
use crate::launcher;
use crate::program::Program;
use crate::run::answer_within;

pub(crate) const NFTABLES: Program = Program {
    name: "nftables",
    variable: "FERRY_TEST_NFT",
    missing_variable: "FERRY_TEST_NFT_MISSING",
    on_path: &["nft"],
    folder: "nftables",
    packages: Wanted {
        folder: "packages",
        packages: &["nftables"],
        suites: &["trixie", "forky"],
        with_dependencies: true,
        left_out: &[],
        bound: Duration::from_secs(10 * 60),
    },
    try_out: answers,
    set_up: |home, root| launcher::start_by_own_loader(home, root, "sbin/nft"),
};

/// Telling its version takes milliseconds.
const ANSWER_BOUND: Duration = Duration::from_secs(20);

/// Whether it starts. What the system lets it do is seen where it is used.
fn answers(_: &Path, program: &Path) -> Result<(), String> {
    answer_within(Command::new(program).arg("--version"), ANSWER_BOUND).map(drop)
}
