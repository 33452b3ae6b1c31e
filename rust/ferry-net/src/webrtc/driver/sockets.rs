//! The UDP sockets of one connection: one for each address of this machine, so that what is sent leaves from the address that
//! its candidate names.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use super::outside::Outside;
use super::shared_port::Membership;
use crate::bind_address::BindAddress;
use crate::udp::{AsyncPort, Outgoing, UdpPort};
use crate::webrtc::ice::{Server, Token};
use crate::webrtc::settings::{Loopback, Settings};
use crate::webrtc::stack::{Sink, Stack};

/// Addresses that are used: machines with more have them for containers.
const MOST_ADDRESSES: usize = 12;

/// Batches read from a socket in a turn.
const BATCHES_PER_TURN: usize = 8;

/// Datagrams sent in a turn, about.
const SENT_PER_TURN: usize = 512;

thread_local! {
    /// What leaves in one turn of one connection; empty between them.
    static OUTGOING: RefCell<Outgoing> = RefCell::new(Outgoing::new());
}

/// All sockets of a connection.
pub(super) struct Sockets {
    bind: BindAddress,
    loopback: Loopback,
    shared_port: u16,
    /// Some server is a relay over UDP.
    has_relays: bool,
    own: Vec<Own>,
    shared: Option<Membership>,
}

/// Addresses that were opened.
pub(super) struct Opened {
    pub(super) addresses: Vec<SocketAddr>,
    /// Nothing is reached by these but relays.
    pub(super) for_relays: Vec<SocketAddr>,
}

/// A socket of this connection alone.
struct Own {
    local: SocketAddr,
    port: AsyncPort,
    /// What the system did not take; nothing else leaves before.
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Sockets {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { bind, loopback, shared_port, .. } = *settings;
        let has_relays = settings.servers.iter().any(Server::is_relay_by_udp);
        Self { bind, loopback, shared_port, has_relays, own: Vec::new(), shared: None }
    }

    /// Opens what is not open yet, and returns those addresses. With a shared port, whoever asks for `ufrag` there is meant
    /// for this connection.
    pub(super) fn open(&mut self, ufrag: &str) -> io::Result<Opened> {
        let addresses = addresses(self.bind, self.loopback)?;
        if self.shared_port == 0 {
            return Ok(Opened { addresses: self.open_own(addresses)?, for_relays: Vec::new() });
        }
        let membership = self.shared.get_or_insert_with(Membership::new);
        let joined = membership.join(self.shared_port, &addresses, ufrag)?;
        // A relay tells its users apart by their sockets.
        let for_relays =
            if self.has_relays { self.open_own(addresses).unwrap_or_default() } else { Vec::new() };
        Ok(Opened { addresses: joined, for_relays })
    }

    /// A socket of this connection's own for each address that has none.
    fn open_own(&mut self, addresses: Vec<IpAddr>) -> io::Result<Vec<SocketAddr>> {
        let mut opened = Vec::new();
        let mut failure = None;
        for ip in addresses {
            if self.own.iter().any(|own| own.local.ip() == ip) {
                continue;
            }
            match UdpPort::bind(BindAddress::Ip(ip), 0).and_then(UdpPort::into_async) {
                Ok(port) => {
                    let local = port.local_address();
                    opened.push(local);
                    self.own.push(Own { local, port, waiting: VecDeque::new() });
                }
                // An address that has just gone, or that only some may use.
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if self.own.is_empty() => Err(error),
            _ => Ok(opened),
        }
    }

    /// Waits until something has come, or can leave that could not.
    pub(super) async fn ready(&mut self) {
        let Self { own, shared, .. } = self;
        let mut arrived = pin!(async {
            match shared {
                Some(shared) => shared.arrived().await,
                None => std::future::pending().await,
            }
        });
        std::future::poll_fn(|context| {
            for Own { port, waiting, .. } in own.iter() {
                if port.poll_readable(context).is_ready()
                    || !waiting.is_empty() && port.poll_writable(context).is_ready()
                {
                    return Poll::Ready(());
                }
            }
            arrived.as_mut().poll(context)
        })
        .await;
    }

    /// Hands over what has come; false if there may be more.
    pub(super) fn read(&mut self, stack: &mut Stack) -> bool {
        let mut dry = true;
        self.own.retain_mut(|Own { local, port, .. }| {
            for _ in 0..BATCHES_PER_TURN {
                let now = Instant::now();
                match port.receive(|from, datagram| stack.handle_datagram(now, *local, from, datagram)) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!("the socket of {local} is gone: {error}");
                        stack.lost(now, *local);
                        return false;
                    }
                }
            }
            dry = false;
            true
        });
        if let Some(shared) = &mut self.shared {
            dry &= shared
                .read(|local, remote, bytes| stack.handle_datagram(Instant::now(), local, remote, bytes));
        }
        dry
    }

    /// Sends what there is; false if there is more, and it can leave.
    pub(super) fn transmit(&mut self, stack: &mut Stack, outside: &Outside) -> bool {
        OUTGOING.with_borrow_mut(|outgoing| {
            let Self { own, shared, .. } = self;
            let mut leaving =
                Leaving { own, shared, outside, outgoing, from: None, left: SENT_PER_TURN, blocked: false };
            leaving.send_waiting();
            stack.transmit(Instant::now(), &mut leaving);
            leaving.flush();
            leaving.left > 0 || leaving.blocked
        })
    }
}

/// One turn's datagrams on their way out.
struct Leaving<'a> {
    own: &'a mut Vec<Own>,
    shared: &'a mut Option<Membership>,
    outside: &'a Outside,
    outgoing: &'a mut Outgoing,
    /// The socket that those in `outgoing` leave from.
    from: Option<usize>,
    left: usize,
    blocked: bool,
}

impl Leaving<'_> {
    fn send_waiting(&mut self) {
        for place in 0..self.own.len() {
            while let Some((to, bytes)) = self.own[place].waiting.pop_front() {
                self.push(place, to, &bytes);
                if self.blocked {
                    return;
                }
            }
        }
        self.flush();
    }

    fn push(&mut self, place: usize, to: SocketAddr, bytes: &[u8]) {
        if self.from != Some(place) {
            self.flush();
            self.from = Some(place);
        }
        let buffer = self.outgoing.buffer().and_then(|buffer| buffer.get_mut(..bytes.len()));
        // There is room: it is flushed when full; and nothing of ours is longer than a datagram.
        let Some(buffer) = buffer else { return };
        buffer.copy_from_slice(bytes);
        self.outgoing.push(to, bytes.len());
        if self.outgoing.is_full() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(own) = self.from.take().and_then(|place| self.own.get_mut(place)) else { return };
        match own.port.flush(self.outgoing) {
            Ok(sent) if sent.blocked => {
                self.blocked = true;
                let rest = self.outgoing.take_all();
                // In front of what waits already.
                rest.into_iter().rev().for_each(|datagram| own.waiting.push_front(datagram));
            }
            Ok(_) => {}
            // Reading finds the same, and tells.
            Err(_) => drop(self.outgoing.take_all()),
        }
    }
}

impl Sink for Leaving<'_> {
    fn has_room(&mut self) -> bool {
        self.left > 0 && !self.blocked
    }

    fn datagram(&mut self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        self.left = self.left.saturating_sub(1);
        if let Some(place) = self.own.iter().position(|own| own.local == local) {
            self.push(place, remote, bytes);
        } else if let Some(shared) = self.shared {
            shared.send(local, remote, bytes);
        }
    }

    fn stream(&mut self, stream: Token, bytes: &[u8]) {
        self.left = self.left.saturating_sub(1);
        self.outside.write(stream, bytes);
    }
}

/// The addresses of this machine that are offered.
fn addresses(bind: BindAddress, loopback: Loopback) -> io::Result<Vec<IpAddr>> {
    if let BindAddress::Ip(ip) = bind {
        return Ok(vec![ip.to_canonical()]);
    }
    let mut found: Vec<IpAddr> = Vec::new();
    for interface in if_addrs::get_if_addrs()? {
        let ip = interface.ip();
        if !found.contains(&ip) && !is_link_local(ip) {
            found.push(ip);
        }
    }
    let has_others = found.iter().any(|ip| !ip.is_loopback());
    let takes_loopback = match loopback {
        Loopback::Always => true,
        Loopback::Never => false,
        Loopback::Alone => !has_others,
    };
    found.retain(|ip| takes_loopback || !ip.is_loopback());
    found.truncate(MOST_ADDRESSES);
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "this machine has no network address"));
    }
    Ok(found)
}

/// Such addresses mean something on one cable only, and candidates have no place for which.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
