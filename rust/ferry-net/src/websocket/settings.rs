//! What a WebSocket endpoint is made with.

use std::time::Duration;

use super::proxies::{Network, ProxyHeader};

/// The longest message, unless the game says otherwise: what the engine's class says that a packet may have.
const USUAL_MESSAGE: usize = 16 * 1024 * 1024;

/// Packets in a queue. Bytes are what counts, and their limit is reached first; this one is for games that set it.
const USUAL_QUEUED_PACKETS: usize = 1 << 20;

/// Clients of a server: as many as an ENet server can have.
pub const MAX_CLIENTS: usize = 4095;

/// What both ends of connections are made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sub-protocols; a client's in the order of its preference, which decides. A server with some refuses clients that ask for
    /// none of them.
    pub protocols: Vec<String>,
    /// Headers to send along with the handshake, as lines: `Name: value`.
    pub headers: Vec<String>,
    /// The longest message that is taken in; a longer one ends the connection.
    pub max_message: usize,
    /// The longest message that can be sent.
    pub max_packet: usize,
    /// Messages that may wait each way, of one connection.
    pub max_queued_packets: usize,
    /// How often to ask a silent other end for a sign of life; `None` for what the peer timeout calls for.
    pub heartbeat: Option<Duration>,
    /// Connections of a server.
    pub max_clients: usize,
    /// Proxies whose word on a player's address is taken.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they give it.
    pub proxy_header: ProxyHeader,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocols: Vec::new(),
            headers: Vec::new(),
            max_message: USUAL_MESSAGE,
            max_packet: USUAL_MESSAGE,
            max_queued_packets: USUAL_QUEUED_PACKETS,
            heartbeat: None,
            max_clients: MAX_CLIENTS,
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
        }
    }
}
