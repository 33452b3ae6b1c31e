//! The ENet 1.3 protocol as a sans-IO state machine.
#![forbid(unsafe_code)]

mod address;
mod channel;
pub mod compress;
mod config;
mod error;
mod event;
mod event_queue;
mod host;
mod loss;
mod peer;
mod rtt;
mod stats;
mod throttle;
mod time;
mod timer_queue;
mod wire;

pub use address::Address;
pub use config::{Config, ConfigError, ThrottleConfig, Timeouts};
pub use error::{ConnectError, SendError, UnknownPeer};
pub use event::{DisconnectReason, Event, Mode, PeerId};
pub use host::{Admission, ConnectRequest, Host, PeerState, Transmit};
pub use stats::{HostStats, PeerStats};
pub use time::Timestamp;
pub use wire::MAXIMUM_DATAGRAM;
