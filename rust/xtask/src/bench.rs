//! `cargo xtask bench`: ferry-enet beside rusty_enet, on this machine.

use crate::Outcome;
use crate::run::{Step, cargo};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut command = cargo();
    command.args(["bench", "-p", "ferry-enet", "--bench", "beside_rusty_enet", "--"]);
    command.args(arguments.iter().skip_while(|argument| *argument == "--"));
    Step::new("benchmark beside rusty_enet", command).run()
}
