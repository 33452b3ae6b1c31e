//! `cargo xtask fuzz TARGET`: one fuzz target of ferry-enet for some minutes.
//!
//! Needs a nightly compiler and cargo-fuzz, and says how to get what is missing. A crash leaves its input in
//! `rust/ferry-enet/fuzz/artifacts`, and cargo-fuzz prints the command that replays it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::run::{STEP_BOUND, Step, answer, workspace_root};
use crate::{Outcome, number_after};

const DEFAULT_MINUTES: u64 = 5;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let targets = targets()?;
    let Some(target) = arguments.first() else {
        println!("cargo xtask fuzz TARGET [--minutes N], where TARGET is one of\n  {}", targets.join("\n  "));
        return Ok(());
    };
    if !targets.contains(target) {
        return Err(format!("no target `{target}`; there are {}", targets.join(", ")));
    }
    let minutes = number_after(&arguments[1..], "--minutes")?.unwrap_or(DEFAULT_MINUTES);
    what_it_needs()?;

    let mut command = nightly();
    // The code is safe Rust, where a sanitizer finds nothing that the compiler let through, and takes ten times as long.
    command.args(["fuzz", "run", "--release", "--debug-assertions", "--sanitizer", "none", target]);
    command.args(["--", &format!("-max_total_time={}", minutes * 60), "-max_len=3000", "-timeout=20"]);
    let bound = STEP_BOUND + Duration::from_secs(minutes * 60);
    Step::new(format!("fuzzing {target} for {minutes} min"), command).within(bound).run()
}

/// The names of the target files: cargo-fuzz wants one file a target.
fn targets() -> Result<Vec<String>, String> {
    let folder = crate_folder().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("no fuzz targets in {}: {error}", folder.display()))?;
    let mut targets: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    Ok(targets)
}

fn what_it_needs() -> Outcome {
    answer(nightly().arg("--version"))
        .map_err(|_| "needs a nightly compiler; get it with `rustup toolchain install nightly`".to_owned())?;
    answer(nightly().args(["fuzz", "--version"]))
        .map_err(|_| "needs cargo-fuzz; get it with `cargo install cargo-fuzz`".to_owned())?;
    Ok(())
}

/// Rustup's `cargo`, as the toolchain's own one does not know `+nightly`.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(crate_folder()).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn crate_folder() -> PathBuf {
    workspace_root().join("rust/ferry-enet")
}
