//! What the protocol needs to know of an address: that it can be compared, and which host it belongs to.

use std::fmt::Debug;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

/// Where datagrams come from and go to. Any type will do: a socket address, the index of a simulated host, the
/// id of a relayed player.
pub trait Address: Clone + Debug + Eq + Hash {
    /// What limits "per address" are counted by: the address without its port.
    type Host: Clone + Debug + Eq + Hash;

    /// The host that this address belongs to.
    fn host(&self) -> Self::Host;

    /// Whether this reaches many hosts at once. A connection to such an address takes on the address of whoever
    /// answers first.
    fn is_broadcast(&self) -> bool {
        false
    }
}

impl Address for SocketAddr {
    type Host = IpAddr;

    fn host(&self) -> IpAddr {
        self.ip().to_canonical()
    }

    fn is_broadcast(&self) -> bool {
        matches!(self.ip().to_canonical(), IpAddr::V4(ip) if ip.is_broadcast())
    }
}
