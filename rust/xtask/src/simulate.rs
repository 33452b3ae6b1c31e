//! `cargo xtask simulate`: the random matches of ferry-enet for longer than the test run gives them, or from the seed
//! that a failure printed.

use std::time::Duration;

use crate::run::{STEP_BOUND, Step, cargo};
use crate::{Outcome, number_after};

/// Long enough to see thousands of matches, short enough to wait for.
const DEFAULT_SECONDS: u64 = 60;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let seconds = number_after(arguments, "--seconds")?.unwrap_or(DEFAULT_SECONDS);
    let seed = number_after(arguments, "--seed")?;
    if let Some(unknown) =
        arguments.iter().step_by(2).find(|name| !["--seconds", "--seed"].contains(&name.as_str()))
    {
        return Err(format!("unknown option `{unknown}`; there are --seconds N and --seed N"));
    }
    let mut command = cargo();
    command.args([
        "test",
        "--release",
        "-p",
        "ferry-enet",
        "--test",
        "protocol",
        "simulation",
        "--",
        "--nocapture",
    ]);
    command.env("FERRY_SIM_SECONDS", seconds.to_string());
    let mut what = format!("simulation of {seconds} s");
    if let Some(seed) = seed {
        command.env("FERRY_SEED", seed.to_string());
        what = format!("{what} from seed {seed}");
    }
    Step::new(what, command).within(STEP_BOUND + Duration::from_secs(seconds)).run()
}
