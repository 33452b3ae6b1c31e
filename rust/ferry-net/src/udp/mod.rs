//! One UDP port with batched input and output: what an ENet endpoint sends and receives through.
//!
//! [`UdpPort::bind`] runs on the game's thread, so that a port in use is an error at once; [`UdpPort::into_async`] runs on
//! the network thread. From then on the driver waits with [`AsyncPort::readable`], takes batches of datagrams with
//! [`AsyncPort::receive`], collects its own in an [`Outgoing`] and hands them over with [`AsyncPort::flush`]. On Linux a
//! batch is one system call each way; elsewhere it is a loop (`one_by_one`).
//!
//! Callers see and name plain addresses. That a dual-stack socket speaks of IPv4 addresses as mapped into IPv6 stays here.
//!
//! Datagrams may get lost, so what goes wrong with one of them concerns no other: it is counted ([`Faults`]) and the walk
//! goes on. Only a socket that is gone is an error (`fault`). Memory is fixed: one batch of buffers to receive in for each
//! thread, one for each [`Outgoing`]. A datagram that is longer than [`MAXIMUM_DATAGRAM`] does not fit, and is dropped.

mod fault;
#[cfg(any(test, not(target_os = "linux")))]
mod one_by_one;
mod outgoing;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod recvmmsg;
#[cfg(target_os = "linux")]
mod sendmmsg;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::task::{Context, Poll};

use ferry_enet::MAXIMUM_DATAGRAM;
use socket2::{Domain, Protocol, Socket, Type};

use crate::address::canonical;
use crate::bind_address::BindAddress;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use one_by_one::receive;
#[cfg(not(target_os = "linux"))]
use one_by_one::{Names, send};
pub use outgoing::Outgoing;
#[cfg(any(target_os = "linux", target_os = "android"))]
use recvmmsg::receive;
#[cfg(target_os = "linux")]
use sendmmsg::{Names, send};

/// Datagrams of a batch. More would save little: with so many, what the call itself costs is spread thin.
pub const BATCH: usize = 64;

/// A receive buffer. The one byte more tells a datagram that is too long from one that just fits.
const SLOT: usize = MAXIMUM_DATAGRAM + 1;

/// What the system is asked to hold for us each way: a burst of 512 clients while the network thread waits for its turn
/// to run. Most systems grant less.
const SOCKET_BUFFER: usize = 4 << 20;
/// Systems that refuse a size instead of granting less are asked for half of it, down to this.
const SMALLEST_SOCKET_BUFFER: usize = 256 << 10;

/// Failures without a datagram in between after which the socket is given up, in place of asking for ever.
const FAULTS_IN_A_ROW: u32 = 1024;

thread_local! {
    /// What every port of a thread receives in, one after the other.
    static RECEIVED: RefCell<Received> = RefCell::new(Received {
        buffers: vec![0; BATCH * SLOT].into_boxed_slice(),
        arrived: Vec::with_capacity(BATCH),
    });
}

/// A batch of datagrams.
struct Received {
    buffers: Box<[u8]>,
    arrived: Vec<Arrived>,
}

/// A bound port that nobody reads yet.
#[derive(Debug)]
pub struct UdpPort {
    socket: UdpSocket,
    local: SocketAddr,
}

impl UdpPort {
    /// Takes the port, or any free one for 0.
    ///
    /// # Errors
    ///
    /// Those of the system: the port is in use or not allowed, the address is not this machine's.
    pub fn bind(address: BindAddress, port: u16) -> io::Result<Self> {
        address.open(|ip| Self::open(ip, port))
    }

    fn open(ip: IpAddr, port: u16) -> io::Result<Self> {
        let address = SocketAddr::new(ip, port);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // ENet does so; games look for servers in the local network with it.
        socket.set_broadcast(true)?;
        let receive = enlarge(|size| socket.set_recv_buffer_size(size), || socket.recv_buffer_size());
        let send = enlarge(|size| socket.set_send_buffer_size(size), || socket.send_buffer_size());
        // No address reuse: with it, on some systems a second server would take the first one's datagrams in silence.
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        tracing::debug!(
            "UDP on {local}, socket buffers of {} bytes to receive and {} to send",
            receive.unwrap_or_default(),
            send.unwrap_or_default()
        );
        Ok(Self { socket, local })
    }

    /// The address that it is bound to, with the port that was chosen.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        canonical(self.local)
    }

    /// Hands the port to the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// If the system has no more room to watch it.
    pub fn into_async(self) -> io::Result<AsyncPort> {
        Ok(AsyncPort {
            socket: tokio::net::UdpSocket::from_std(self.socket)?,
            local: self.local,
            names: Names::new(),
            faults: Faults::default(),
            faults_in_a_row: 0,
        })
    }
}

/// Asks for as large a socket buffer as there may be, and tells how large it is.
fn enlarge(set: impl Fn(usize) -> io::Result<()>, get: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    let mut size = SOCKET_BUFFER;
    while size >= SMALLEST_SOCKET_BUFFER && set(size).is_err() {
        size /= 2;
    }
    get()
}

/// A datagram in the receive buffer of the same index: where it came from and how long it is.
type Arrived = (SocketAddr, usize);

/// Datagrams that a port lost, or never got away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// Came, and were longer than [`MAXIMUM_DATAGRAM`].
    pub oversized: u64,
    /// Times that receiving failed. Mostly it tells of an earlier datagram of ours that nobody wanted.
    pub receiving: u64,
    /// Could not be sent to where they should go.
    pub unsendable: u64,
}

/// What came of sending a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that are on their way.
    pub sent: usize,
    /// Datagrams that were dropped because their destination cannot be reached.
    pub skipped: usize,
    /// The system takes no more for now: the rest waits in the [`Outgoing`] until the port is writable.
    pub blocked: bool,
}

/// A port on the network thread.
#[derive(Debug)]
pub struct AsyncPort {
    socket: tokio::net::UdpSocket,
    local: SocketAddr,
    names: Names,
    faults: Faults,
    faults_in_a_row: u32,
}

impl AsyncPort {
    /// The address that it is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        canonical(self.local)
    }

    /// Whether IPv6 addresses can be talked to through this port.
    #[must_use]
    pub fn reaches_ipv6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// What went wrong with datagrams so far.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Waits until there may be something to receive.
    pub async fn readable(&self) {
        if self.socket.readable().await.is_err() {
            // The runtime is going, and this task with it.
            std::future::pending::<()>().await;
        }
    }

    /// The same for many ports at once.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.socket.poll_recv_ready(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// And for sending.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.socket.poll_send_ready(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until the system may take more datagrams.
    pub async fn writable(&self) {
        if self.socket.writable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes up to [`BATCH`] datagrams and hands them out in their order.
    ///
    /// Returns how many there were, those included that were dropped; 0 when there is nothing (more) for now. `each` cannot
    /// receive from another port.
    ///
    /// # Errors
    ///
    /// If the socket is gone. Errors that are about single datagrams are counted.
    pub fn receive(&mut self, each: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        RECEIVED.with_borrow_mut(|received| self.receive_in(received, each))
    }

    fn receive_in(
        &mut self,
        Received { buffers, arrived }: &mut Received,
        mut each: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<usize> {
        for _ in 0..BATCH {
            arrived.clear();
            match receive(&self.socket, self.local.is_ipv6(), buffers, arrived) {
                Ok(()) => {
                    self.faults_in_a_row = 0;
                    for (&(from, len), slot) in arrived.iter().zip(buffers.chunks_exact(SLOT)) {
                        match slot[..SLOT - 1].get(..len) {
                            Some(datagram) => each(canonical(from), datagram),
                            None => self.faults.oversized += 1,
                        }
                    }
                    return Ok(arrived.len());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.faults_in_a_row = 0;
                    return Ok(0);
                }
                Err(error) => self.receiving_failed(error)?,
            }
        }
        // There may be more: nobody said that there is nothing.
        Ok(BATCH)
    }

    fn receiving_failed(&mut self, error: io::Error) -> io::Result<()> {
        self.faults.receiving += 1;
        self.faults_in_a_row += 1;
        if fault::is_fatal(&error) || self.faults_in_a_row >= FAULTS_IN_A_ROW {
            return Err(error);
        }
        tracing::trace!("receiving: {error}");
        Ok(())
    }

    /// Sends one datagram, if the system takes it at once.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.socket.try_send_to(datagram, as_named(to, self.local.is_ipv6())).is_err() {
            self.faults.unsendable += 1;
        }
    }

    /// Sends what was collected, as far as the system takes it. What cannot be sent to its destination is dropped.
    ///
    /// # Errors
    ///
    /// If the socket is gone.
    pub fn flush(&mut self, outgoing: &mut Outgoing) -> io::Result<Sent> {
        let mut result = Sent::default();
        // Each round takes something out.
        while !outgoing.is_empty() {
            match send(&self.socket, self.local.is_ipv6(), outgoing, &mut self.names) {
                Ok(sent) => {
                    result.sent += sent;
                    outgoing.remove(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    result.blocked = true;
                    break;
                }
                Err(error) if fault::is_fatal(&error) => return Err(error),
                Err(error) => {
                    tracing::trace!("sending: {error}");
                    self.faults.unsendable += 1;
                    result.skipped += 1;
                    outgoing.remove(1);
                }
            }
        }
        Ok(result)
    }
}

/// The address as a socket wants it that speaks IPv6.
fn as_named(to: SocketAddr, ipv6: bool) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) if ipv6 => {
            SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
        }
        _ if ipv6 => to,
        _ => canonical(to),
    }
}

#[cfg(test)]
mod tests;
