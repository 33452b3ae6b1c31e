//! `cargo xtask test`: every test there is, with the C library ENet at hand for those that talk to it.
//!
//! Ends with the line `N passed, N failed`, counted over all test programs. A C ENet that cannot be had does not stop
//! the rest: its tests fail, and the reason stands above the last line.

use crate::Outcome;
use crate::oracle::{self, ORACLE_VARIABLE};
use crate::run::{Step, cargo};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let arguments = match arguments.split_first() {
        None => &[],
        Some((first, rest)) if first == "--" => rest,
        Some((first, _)) => {
            return Err(format!("unexpected `{first}`; arguments for cargo test follow a `--`"));
        }
    };
    let oracle = oracle::bring();
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    if !selects_packages(arguments) {
        command.arg("--workspace");
    }
    command.args(arguments);
    match &oracle {
        Ok(program) => command.env(ORACLE_VARIABLE, program),
        Err(reason) => {
            eprintln!("no C ENet: {reason}");
            command.env_remove(ORACLE_VARIABLE)
        }
    };

    let mut tally = Tally::default();
    let status = Step::new("cargo test", command).run_reading(&mut |line| tally.add(line));
    // A program that does not compile, dies or hangs prints no result line: that is a failure all the same.
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) && tally.failed == 0 {
        tally.failed = 1;
    }
    if let Err(reason) = &oracle {
        eprintln!("no C ENet: {reason}");
    }
    println!("{tally}");
    status?;
    if tally.failed == 0 { Ok(()) } else { Err("some tests failed".to_owned()) }
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
    }
}
