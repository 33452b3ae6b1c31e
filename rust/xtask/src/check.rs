//! `cargo xtask check`: what has to hold before a change goes in, and what CI runs first.
//!
//! Goes through all checks even when one fails, so that one run shows everything there is to mend.

use crate::run::{Step, answer, cargo, workspace_root};
use crate::{Outcome, dependencies};

type Check = fn() -> Outcome;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.first() {
        return Err(format!("takes no arguments, got `{unknown}`"));
    }
    let checks: [(&str, Check); 5] = [
        ("format", format),
        ("clippy", clippy),
        ("docs", docs),
        ("dependencies", dependencies::check),
        ("fuzz targets", fuzz_targets),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(reason) = check() {
            eprintln!("{name}: {reason}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("all checks passed");
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")))
}

fn format() -> Outcome {
    component("fmt", "rustfmt")?;
    let mut command = cargo();
    command.args(["fmt", "--all", "--check"]);
    Step::new("cargo fmt --all --check", command).run()
}

fn clippy() -> Outcome {
    component("clippy", "clippy")?;
    let mut command = cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    Step::new("cargo clippy --workspace --all-targets", command).run()
}

fn docs() -> Outcome {
    let mut command = cargo();
    command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings");
    Step::new("cargo doc --workspace --no-deps", command).run()
}

/// They are a workspace of their own, built by nightly when they run; that they compile is seen on stable too.
fn fuzz_targets() -> Outcome {
    let manifest = workspace_root().join("rust/ferry-enet/fuzz/Cargo.toml");
    if !manifest.exists() {
        eprintln!("==> fuzz targets: none in this tree");
        return Ok(());
    }
    let mut command = cargo();
    command.args(["check", "--manifest-path"]).arg(manifest);
    Step::new("cargo check of the fuzz targets", command).run()
}

fn component(subcommand: &str, component: &str) -> Outcome {
    answer(cargo().args([subcommand, "--version"]))
        .map(|_| ())
        .map_err(|_| format!("is not installed; add it with `rustup component add {component}`"))
}
