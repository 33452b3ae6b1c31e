//! Where a server listens: one choice for every transport.

use std::net::IpAddr;

/// Which of the machine's addresses a port listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindAddress {
    /// All of them: IPv6 and IPv4, or IPv4 alone where there is no IPv6.
    #[default]
    Any,
    /// This one.
    Ip(IpAddr),
}
