//! A batch by a call for each datagram: for systems that have no calls for many.

use std::io;

use tokio::net::UdpSocket;

use super::{Arrived, Outgoing, SLOT, as_named};

/// Nothing is kept between batches.
#[derive(Debug)]
pub(super) struct Names;

impl Names {
    pub(super) fn new() -> Self {
        Self
    }
}

/// Windows' error for a datagram that is longer than the buffer; elsewhere the rest of it is cut off in silence.
const CUT_OFF: Option<i32> = if cfg!(windows) { Some(10040) } else { None };

/// Fills buffers until there is nothing more. An error behind the first datagram is left for the next call.
#[cfg_attr(target_os = "android", allow(dead_code, reason = "it has recvmmsg, but no safe sendmmsg"))]
pub(super) fn receive(
    socket: &UdpSocket,
    _ipv6: bool,
    buffers: &mut [u8],
    arrived: &mut Vec<Arrived>,
) -> io::Result<()> {
    for slot in buffers.chunks_exact_mut(SLOT) {
        match socket.try_recv_from(slot) {
            Ok((len, from)) => arrived.push((from, len)),
            Err(error) if CUT_OFF.is_some() && error.raw_os_error() == CUT_OFF => {
                // It did not say who it came from, which nobody needs.
                arrived.push((socket.local_addr()?, SLOT));
            }
            Err(_) if !arrived.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends from the first one on until something is wrong, and returns how many went. An error is the first one's.
pub(super) fn send(
    socket: &UdpSocket,
    ipv6: bool,
    outgoing: &Outgoing,
    _names: &mut Names,
) -> io::Result<usize> {
    let mut sent = 0;
    for (to, datagram) in outgoing.datagrams() {
        match socket.try_send_to(datagram, as_named(to, ipv6)) {
            Ok(_) => sent += 1,
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
