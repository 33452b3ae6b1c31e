//! What the driver and the connection say to the agent and hear from it: settings, what is to be done, packets, paths,
//! states and events.

use std::net::SocketAddr;
use std::time::Duration;

use super::server::Server;

/// Names something that the driver was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(pub(super) u64);

/// Draws tokens.
#[derive(Default)]
pub(super) struct Tokens(u64);

impl Tokens {
    pub(super) fn draw(&mut self) -> Token {
        self.0 += 1;
        Token(self.0)
    }
}

/// What a game or the connection sets.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) servers: Vec<Server>,
    /// Tell and use only candidates of relays.
    pub(crate) relay_only: bool,
    pub(crate) controlling: bool,
    /// A path must be found within this time from when both ends' credentials are known.
    pub(crate) connect_within: Duration,
    /// A path on which nothing was answered for so long is [`State::Disconnected`].
    pub(crate) disconnected_after: Duration,
    /// And after this, [`State::Failed`].
    pub(crate) failed_after: Duration,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Find the addresses of a name, then [`super::Agent::resolved`].
    Resolve { token: Token, name: String, is_mdns: bool },
    /// Connect TCP, with TLS for this name if there is one, then [`super::Agent::stream_opened`] or [`super::Agent::stream_ended`].
    OpenStream { token: Token, address: SocketAddr, tls_name: Option<String> },
    /// Close it, or give up opening it; nothing is told back.
    CloseStream { token: Token },
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Socket { local: SocketAddr, remote: SocketAddr },
    Stream(Token),
}

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transmit {
    pub(crate) by: Via,
    pub(crate) bytes: Vec<u8>,
}

/// How data goes to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// The driver may send by itself.
    Direct { local: SocketAddr, remote: SocketAddr },
    /// By [`super::Agent::send`] only.
    Relayed,
}

/// The path in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    /// A socket's address, or our address at a relay.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) relayed: bool,
}

/// Whether there is a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    New,
    Checking,
    Connected,
    Disconnected,
    /// For good, until [`super::Agent::restart`].
    Failed,
}

/// How the search for this end's addresses goes, with the engine's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatheringState {
    /// It has not begun.
    #[default]
    New = 0,
    /// It is under way.
    Gathering = 1,
    /// All are known.
    Complete = 2,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line for the peer, "candidate:...".
    Candidate(String),
    GatheringChanged(GatheringState),
    State(State),
    /// A server was of no use, and why; the others go on.
    GatheringTrouble {
        server: String,
        text: String,
    },
}
