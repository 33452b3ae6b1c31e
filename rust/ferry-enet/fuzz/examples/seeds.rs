//! Writes inputs to begin with into `corpus/`: `cargo run --example seeds` in this folder.

use std::{fs, io};

use ferry_enet_testkit::{parser, random::Random};

fn write(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    let folder = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(format!("{folder}/seed-{number}"), seed)?;
    }
    Ok(())
}

fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.any() as u8).collect()
}

fn main() -> io::Result<()> {
    write("parser", parser::seeds())?;
    write("machine", (0..200).map(|seed| bytes(seed, 20 + seed * 5)))?;
    write("range_coder", (0..50).map(|seed| bytes(seed, seed * seed)))
}
