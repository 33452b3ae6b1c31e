//! A batch of datagrams by one call: recvmmsg(2), which Linux and Android have.
//!
//! The call's headers are allocated once for each thread and kind of address: they may not leave their thread, and an
//! endpoint may before it runs. The kernel writes the length of an address into its header and expects it there the next
//! time, so headers of one kind are never used for the other.

use std::array;
use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{Arrived, BATCH, SLOT};

thread_local! {
    static IPV4: RefCell<MultiHeaders<SockaddrIn>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
    static IPV6: RefCell<MultiHeaders<SockaddrIn6>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
}

/// Fills buffers with what there is, at least one.
pub(super) fn receive(
    socket: &UdpSocket,
    ipv6: bool,
    buffers: &mut [u8],
    arrived: &mut Vec<Arrived>,
) -> io::Result<()> {
    socket.try_io(Interest::READABLE, || {
        if ipv6 {
            IPV6.with_borrow_mut(|headers| {
                take(socket, headers, buffers, arrived, |from| {
                    SocketAddrV6::new(from.ip(), from.port(), from.flowinfo(), from.scope_id()).into()
                })
            })
        } else {
            IPV4.with_borrow_mut(|headers| {
                take(socket, headers, buffers, arrived, |from| {
                    SocketAddrV4::new(from.ip(), from.port()).into()
                })
            })
        }
    })
}

fn take<A: SockaddrLike + Copy>(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<A>,
    buffers: &mut [u8],
    arrived: &mut Vec<Arrived>,
    address: impl Fn(A) -> SocketAddr,
) -> io::Result<()> {
    let mut slots = buffers.chunks_exact_mut(SLOT);
    let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
        array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
    let messages = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    arrived.extend(messages.filter_map(|message| Some((address(message.address?), message.bytes))));
    Ok(())
}
