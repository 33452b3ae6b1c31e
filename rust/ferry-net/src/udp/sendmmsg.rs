//! A batch of datagrams by one call: Linux' sendmmsg(2).

use std::array;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{BATCH, Outgoing, as_named};

/// The destinations as the system wants them, kept for their memory.
#[derive(Debug)]
pub(super) struct Names(Vec<SocketAddrAny>);

impl Names {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }
}

/// Sends from the first one on until something is wrong, and returns how many went. An error is the first one's.
pub(super) fn send(
    socket: &UdpSocket,
    ipv6: bool,
    outgoing: &Outgoing,
    names: &mut Names,
) -> io::Result<usize> {
    if outgoing.len() == 1
        && let Some((to, datagram)) = outgoing.datagrams().next()
    {
        return socket.try_send_to(datagram, as_named(to, ipv6)).map(|_| 1);
    }
    names.0.clear();
    names.0.extend(outgoing.datagrams().map(|(to, _)| name(to, ipv6)));
    let mut datagrams = outgoing.datagrams();
    let slices: [[IoSlice<'_>; 1]; BATCH] =
        array::from_fn(|_| [IoSlice::new(datagrams.next().map_or(&[], |(_, datagram)| datagram))]);
    let mut no_ancillaries: [SendAncillaryBuffer<'_, '_, '_>; BATCH] = array::from_fn(|_| Default::default());
    let mut named = names.0.iter().zip(&slices);
    let mut messages = no_ancillaries.each_mut().map(|ancillary| match named.next() {
        Some((name, slice)) => MMsgHdr::new_with_addr(name, slice, ancillary),
        None => MMsgHdr::new(&[], ancillary),
    });
    let messages = &mut messages[..names.0.len()];
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    socket.try_io(Interest::WRITABLE, || Ok(sendmmsg(socket, messages, flags)?))
}

fn name(to: SocketAddr, ipv6: bool) -> SocketAddrAny {
    as_named(to, ipv6).into()
}
