//! The fuzz targets' interpreters, over random inputs by seed: what every test run does of fuzzing.

use std::panic::catch_unwind;

use ferry_enet_testkit::random::Random;
use ferry_enet_testkit::{coder, machine, parser};

/// Runs one seed instead of all if it is set; any seed may be given.
const ONE_SEED: &str = "FERRY_SEED";
/// Runs so many seeds if it is set.
const SEEDS: &str = "FERRY_SEEDS";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

fn input(seed: u64, most: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    // Short ones too: many lives end early.
    let len = random.below(most).min(random.below(most) + 10);
    (0..len).map(|_| random.any() as u8).collect()
}

/// Runs the interpreter on the input of each seed, and tells of all seeds that fail.
fn run_seeds(test: &str, interpret: fn(&[u8]), seeds: u64, most: u64) {
    let seeds = number(ONE_SEED).map_or(0..number(SEEDS).unwrap_or(seeds), |seed| seed..seed + 1);
    let failed: Vec<u64> =
        seeds.filter(|&seed| catch_unwind(|| interpret(&input(seed, most))).is_err()).collect();
    let Some(first) = failed.first() else { return };
    panic!(
        "seeds {failed:?} fail (see above); to replay one:\n  \
         {ONE_SEED}={first} cargo test -p ferry-enet --test hostile {test} -- --nocapture"
    );
}

#[test]
fn no_random_datagrams_break_a_host() {
    run_seeds("no_random_datagrams_break_a_host", parser::run, 20_000, 2000);
}

#[test]
fn no_random_life_breaks_a_promise() {
    run_seeds("no_random_life_breaks_a_promise", machine::run, 4000, 1500);
}

#[test]
fn no_random_bytes_break_the_range_coder() {
    run_seeds("no_random_bytes_break_the_range_coder", coder::run, 1000, 3000);
}
