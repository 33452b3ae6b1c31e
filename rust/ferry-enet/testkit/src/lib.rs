//! What the tests, the fuzz targets and the benchmarks of ferry-enet share.
//!
//! * [`random`]: a seeded generator, the only source of chance anywhere in the tests.
//! * [`link`]: a network in memory that loses, delays, repeats, reorders and limits, by a seed.
//! * [`world`]: hosts on such a network, stepped in virtual time.
//! * [`parcel`]: packets that know what they are, and a ledger that knows which of them may still arrive.
//! * [`raw`]: datagrams written by hand, right or wrong, by code of its own.
//! * [`rusty`]: a host of rusty_enet, a translation of the C library, on that network.

pub mod link;
pub mod parcel;
pub mod random;
pub mod raw;
pub mod rusty;
pub mod world;
