//! What the tests, the fuzz targets and the benchmarks of ferry-enet share.
//!
//! * [`random`]: a seeded generator, the only source of chance anywhere in the tests.
//! * [`limits`]: what a peer may make a host keep.
//! * [`link`]: a network in memory that loses, delays, repeats, reorders and limits, by a seed.
//! * [`world`]: hosts on such a network, stepped in virtual time.
//! * [`parcel`]: packets that know what they are, and a ledger that knows which of them may still arrive.
//! * [`raw`]: datagrams written by hand, right or wrong, by code of its own.
//! * [`forger`]: the other end of a connection, driven by hand.
//! * [`choices`]: a fuzzer's bytes, read as choices.
//! * [`parser`], [`machine`], [`coder`]: what a fuzzer's bytes do, one interpreter a fuzz target; each panics if something
//!   is wrong afterwards.
//! * [`rusty`]: a host of rusty_enet, a translation of the C library, on that network.

pub mod choices;
pub mod coder;
pub mod forger;
pub mod limits;
pub mod link;
pub mod machine;
pub mod parcel;
pub mod parser;
pub mod random;
pub mod raw;
pub mod rusty;
pub mod world;
