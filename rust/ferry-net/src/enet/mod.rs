//! ENet: UDP with reliable and unreliable packets on channels, on the wire what Godot's ENet classes speak.
//!
//! A [`Connection`] is the game's handle of one socket with its links; the protocol itself is the crate `ferry-enet`, run
//! by `driver` on the network thread. `command` is what the two say to each other. [`Carrier`](crate::multiplayer::Carrier)
//! is implemented in `carrier`, which knows what a multiplayer game puts on top: ids, channels, words of goodbye.
//!
//! Hostile input ends in `ferry-enet`, which bounds and counts it; the bounds that this module sets are in `settings`.

mod carrier;
mod command;
mod compression;
mod connection;
mod driver;
mod guests;
mod link;
mod settings;

pub use carrier::{open_client, open_server};
pub use command::{Event, Target};
pub use compression::Mode as Compression;
pub use connection::Connection;
pub use ferry_enet::{Mode, PeerStats, ThrottleConfig, Timeouts};
pub use link::{Ending, Phase};
pub use settings::{HostSettings, MAX_CHANNELS, MAX_PEERS};
