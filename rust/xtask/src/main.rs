//! Every developer command, as `cargo xtask ...`.
//!
//! One file a command; each hands back an [`Outcome`] and prints what it does as it goes. `run` starts the processes,
//! bounded in time; `godot` finds or brings the engine, `oracle` the C library that the interop tests talk to, `program` the
//! others: the browser (`chromium`), the proxy (`nginx`). Only the standard library is used, so that the tool itself builds in seconds. CI runs `check` and `test`,
//! nothing of its own.

mod aiortc;
mod archive;
mod bench;
mod build;
mod check;
mod chromium;
mod columns;
mod coturn;
mod debian;
mod demo;
mod dependencies;
mod flat_json;
mod fuzz;
mod godot;
mod launcher;
mod nftables;
mod nginx;
mod oracle;
mod package;
mod program;
mod project;
mod rows;
mod run;
mod simulate;
mod test;
mod zip;

use std::process::ExitCode;

/// What a command ends in: nothing to add, or the reason it failed in words for a developer.
type Outcome = Result<(), String>;

const HELP: &str = "\
cargo xtask COMMAND

  demo [--window] [--transport enet|websocket|webrtc]
                                  plays a match of a server and three clients, shows what happens and ends in a table;
                                  with --window a person plays
  test [-- ARGS]                  builds the library, brings Godot, the C library ENet and a browser, then runs every test;
                                  ARGS go to `cargo test`
  check                           format, clippy, docs (warnings denied) and the dependency rules
  build [--release] [--target TRIPLE]
                                  the library, into addons/ferry/bin/PLATFORM
  godot [--path-only | -- ARGS]   starts the engine of this checkout on godot_project, or prints where it is
  package                         addons/ferry as a zip archive, below target/package
  simulate [--seconds N] [--seed N]
                                  the random matches of ferry-enet, for longer or from a given seed
  fuzz [TARGET] [--minutes N]     fuzzes one target (nightly); without TARGET lists them
  bench [CASE ...] [--transport NAME] [--repeats N] [--list]
        [--records FILE] [--from FILE] [--markdown FILE] [--picture FILE] [--webrtc-native FOLDER]
                                  the engine's classes and Ferry's side by side; a CASE is a name, such as `frame`, or a line
                                  of --list; docs/performance.md tells more
  help                            this screen

Variables
  FERRY_GODOT                     the engine to use, 4.3 or newer; else godot4 or godot on PATH; else one is brought
  FERRY_GODOT_TEMPLATE            the release template of that engine, for the tests that export a game
  FERRY_ENET_PREFIX               a C library ENet to test against
  FERRY_TEST_CHROMIUM             a browser of Chromium's kin to test with; else one on PATH; else one is brought
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[] as &[String]),
    };
    let outcome = match command {
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "check" => check::run(rest),
        "build" => build::run(rest),
        "godot" => godot::run(rest),
        "package" => package::run(rest),
        "simulate" => simulate::run(rest),
        "fuzz" => fuzz::run(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => {
            eprint!("unknown command `{unknown}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask {command}: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The number that follows the option `name`, if the option is there.
fn number_after(arguments: &[String], name: &str) -> Result<Option<u64>, String> {
    let Some(at) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
    let value = arguments.get(at + 1).ok_or_else(|| format!("{name} needs a number"))?;
    value.parse().map(Some).map_err(|_| format!("{name} needs a number, not `{value}`"))
}
