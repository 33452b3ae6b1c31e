//! How a connection is to be made: which servers help, which addresses and ports it may use, how long its messages are.

use super::ice::Server;
use crate::bind_address::BindAddress;
use crate::tls;

/// The longest message unless told otherwise, each way: what browsers take.
pub const USUAL_MESSAGE_SIZE: usize = 256 * 1024;

/// Whether addresses that only this machine knows are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// If there is no other.
    #[default]
    Alone = 0,
    /// Beside the others.
    Always = 1,
    /// Not at all.
    Never = 2,
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Servers that tell this end's public address (STUN) or pass everything on (TURN).
    pub servers: Vec<Server>,
    /// Nothing goes but through a relay: the other end does not learn this end's addresses.
    pub relay_only: bool,
    /// The UDP port that all connections with this setting share; 0 for one of its own for each.
    pub shared_port: u16,
    /// The only address of this machine to use, or all.
    pub bind: BindAddress,
    /// Whether to offer addresses that only this machine knows.
    pub loopback: Loopback,
    /// Which relays are believed, where they are reached by TLS.
    pub trust: tls::Client,
    /// The longest message that is sent or taken in. The other end may take less.
    pub longest_message: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            relay_only: false,
            shared_port: 0,
            bind: BindAddress::Any,
            loopback: Loopback::default(),
            trust: tls::Client::default(),
            longest_message: USUAL_MESSAGE_SIZE,
        }
    }
}
