//! WebSocket (RFC 6455), plain and over TLS: servers that browsers reach, and clients that pass strict firewalls.
//!
//! [`Sockets`] is what the game's side holds: a server with its guests, or one connection. What runs them on the network
//! thread is in `driver`: tokio-tungstenite speaks the protocol, over a `wire` of ours. A game's server gives each client
//! its id with the first message, four bytes, least significant first; after that each binary message is a packet
//! (`carrier`). Endings travel as close codes (`close`).
//!
//! What a stranger can make us keep is bounded: handshakes under way (`driver/waiting`), the length of a request
//! (`driver/upgrade`) and of a message (`frames`), and of all messages that have come in part (`driver/assembly`).

mod carrier;
mod close;
mod command;
mod driver;
mod frames;
mod keep_alive;
mod link;
mod proxies;
mod pump;
mod settings;
mod sockets;
mod url;
mod wire;

pub use command::Event;
pub use link::{Kind, Particulars, Phase};
pub use proxies::{Network, NetworkError, ProxyHeader};
pub use pump::Pump;
pub use settings::{MAX_CLIENTS, Settings};
pub use sockets::{Sockets, open_client, open_plain, open_pumped, open_server};
pub use url::{Url, UrlError};
