//! `cargo xtask test`: every test there is, with what they need at hand: the library, Godot, the C library ENet, a
//! browser, nginx, coturn, nftables, aiortc.
//!
//! Ends with the line `N passed, N failed`, counted over all test programs. What cannot be had does not stop the rest: the
//! tests that need it fail, and the reason stands above the last line. Only what others wrote and some machines cannot have (a
//! browser, nginx, coturn, nftables, aiortc) may be missing: the tests that need one then skip, and say so. Where ARGS choose
//! packages, only those that talk to other programs (`ferry-tests`) have all this made ready.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::build::Build;
use crate::chromium::CHROMIUM;
use crate::coturn::COTURN;
use crate::nftables::NFTABLES;
use crate::nginx::NGINX;
use crate::oracle::{self, ORACLE_VARIABLE};
use crate::run::{Step, cargo, target_folder};
use crate::{Outcome, aiortc, godot, project};

/// Variables that tell the tests of the engine's program, its release template, and the project to run it on.
const ENGINE_VARIABLE: &str = "FERRY_TEST_GODOT";
const TEMPLATE_VARIABLE: &str = "FERRY_TEST_GODOT_TEMPLATE";
const PROJECT_VARIABLE: &str = "FERRY_TEST_PROJECT";

/// Names a library that panics on purpose.
const PANICKING_LIBRARY_VARIABLE: &str = "FERRY_TEST_PANICKING_LIBRARY";

/// Names the library of another extension.
const RIVAL_LIBRARY_VARIABLE: &str = "FERRY_TEST_RIVAL_LIBRARY";

/// The package whose tests talk to other programs.
const NEEDS_OTHERS: &str = "ferry-tests";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let arguments = match arguments.split_first() {
        None => &[],
        Some((first, rest)) if first == "--" => rest,
        Some((first, _)) => {
            return Err(format!("unexpected `{first}`; arguments for cargo test follow a `--`"));
        }
    };
    let surroundings = if needs_others(arguments) { Surroundings::bring() } else { Surroundings::default() };
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    if !selects_packages(arguments) {
        command.arg("--workspace");
    }
    command.args(arguments);
    for (variable, value) in &surroundings.variables {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }

    let mut tally = Tally::default();
    let status = Step::new("cargo test", command).run_reading(&mut |line| tally.add(line));
    // A program that does not compile, dies or hangs prints no result line: that is a failure all the same.
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) && tally.failed == 0 {
        tally.failed = 1;
    }
    for reason in surroundings.missing.iter().chain(&surroundings.skipped) {
        eprintln!("{reason}");
    }
    println!("{tally}");
    status?;
    if tally.failed > 0 {
        return Err("some tests failed".to_owned());
    }
    if surroundings.missing.is_empty() { Ok(()) } else { Err("not everything could be tested".to_owned()) }
}

/// What the tests find around them.
#[derive(Default)]
struct Surroundings {
    /// Variables to set, or to take away where there is nothing to name.
    variables: Vec<(&'static str, Option<OsString>)>,
    /// What could not be had, and why.
    missing: Vec<String>,
    /// As `missing`, but some machines cannot have it, and the tests go without.
    skipped: Vec<String>,
}

impl Surroundings {
    fn bring() -> Self {
        let mut this = Self::default();
        let oracle = this.noting("no C ENet", oracle::bring());
        this.name(ORACLE_VARIABLE, oracle);
        // First, so that the usual one is what cargo has built last.
        let panicking = Build { panicking: true, ..Build::default() }.library();
        let panicking = this.noting("no library that panics", panicking);
        this.name(PANICKING_LIBRARY_VARIABLE, panicking);
        let rival = this.noting("no other extension", rival());
        this.name(RIVAL_LIBRARY_VARIABLE, rival);
        for release in [false, true] {
            this.noting("no library", Build { release, ..Build::default() }.library());
        }
        let engine = this.noting("no Godot", godot::find());
        let project = engine.as_ref().map(project::prepare);
        let project = project.and_then(|project| this.noting("no project to test on", project));
        let template = engine.as_ref().and_then(|engine| engine.template.clone());
        this.name(ENGINE_VARIABLE, engine.map(|engine| engine.program));
        this.name(TEMPLATE_VARIABLE, template);
        this.name(PROJECT_VARIABLE, project);
        for program in [&CHROMIUM, &NGINX, &COTURN, &NFTABLES] {
            this.skipping(program.name, (program.variable, program.missing_variable), program.find());
        }
        this.skipping(aiortc::NAME, (aiortc::VARIABLE, aiortc::MISSING_VARIABLE), aiortc::find());
        this
    }

    /// Names a program that some machines cannot have, or why there is none.
    fn skipping(
        &mut self,
        name: &str,
        (variable, missing_variable): (&'static str, &'static str),
        found: Result<PathBuf, String>,
    ) {
        let (path, reason) = match found {
            Ok(path) => (Some(path), None),
            Err(reason) => {
                let line = format!("no {name}, so its tests are skipped: {reason}");
                eprintln!("{line}");
                self.skipped.push(line);
                (None, Some(OsString::from(reason)))
            }
        };
        self.name(variable, path);
        self.variables.push((missing_variable, reason));
    }

    fn name(&mut self, variable: &'static str, path: Option<PathBuf>) {
        self.variables.push((variable, path.map(PathBuf::into_os_string)));
    }

    fn noting<T>(&mut self, what: &str, outcome: Result<T, String>) -> Option<T> {
        outcome
            .map_err(|reason| {
                let line = format!("{what}: {reason}");
                eprintln!("{line}");
                self.missing.push(line);
            })
            .ok()
    }
}

/// Builds another extension, that the engine loads beside Ferry's.
fn rival() -> Result<PathBuf, String> {
    let mut command = cargo();
    command.args(["build", "--package", "ferry-rival"]);
    Step::new("another extension", command).run()?;
    let (prefix, ending) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    Ok(target_folder().join("debug").join(format!("{prefix}ferry_rival{ending}")))
}

/// Whether tests are to run that talk to other programs.
fn needs_others(arguments: &[String]) -> bool {
    let mut for_cargo = arguments.iter().take_while(|argument| *argument != "--");
    !selects_packages(arguments) || for_cargo.any(|argument| argument.ends_with(NEEDS_OTHERS))
}

fn selects_packages(arguments: &[String]) -> bool {
    let for_cargo = arguments.iter().take_while(|argument| *argument != "--");
    for_cargo.into_iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

/// What the test programs reported, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Takes in a line such as `test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let Some((count, what)) = part.trim().split_once(' ') else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up_and_other_lines_do_not_count() {
        let mut tally = Tally::default();
        tally.add("running 5 tests");
        tally.add(
            "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s",
        );
        tally.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        tally.add("test wire::result ... ok");
        assert_eq!(tally, Tally { passed: 6, failed: 3, skipped: 1 });
        assert_eq!(tally.to_string(), "6 passed, 3 failed, 1 skipped");
        assert_eq!(Tally::default().to_string(), "0 passed, 0 failed");
    }

    #[test]
    fn naming_a_package_leaves_the_others_out() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(selects_packages(&words("-p ferry-enet name")));
        assert!(selects_packages(&words("--package=ferry-enet")));
        assert!(!selects_packages(&words("name -- -p")));
        assert!(needs_others(&words("name")));
        assert!(needs_others(&words("-p ferry-tests name")));
        assert!(needs_others(&words("--package=ferry-tests")));
        assert!(!needs_others(&words("-p ferry-enet -- ferry-tests")));
    }
}
