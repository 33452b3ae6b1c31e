//! Ports for programs that have to be told one.

use std::net::{IpAddr, TcpListener, UdpSocket};

/// A port of this address that nobody has, neither of TCP nor of UDP.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port(address: IpAddr) -> u16 {
    let free = (0..64).find_map(|_| {
        let listener = TcpListener::bind((address, 0)).ok()?;
        let taken = listener.local_addr().ok()?;
        UdpSocket::bind(taken).ok().map(|_| taken.port())
    });
    free.expect("there are free ports")
}
