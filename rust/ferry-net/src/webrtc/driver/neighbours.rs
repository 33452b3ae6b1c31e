//! Asks the local network for a name, as browsers hide their addresses behind (mDNS; what is said, is in `ice::mdns`).
//!
//! The question leaves on every interface, by IPv4 and IPv6, from a port of its own: by the book, whoever is meant answers
//! there. Browsers of Chromium's family tell the whole group instead, so that is listened to as well, beside other programs
//! that do. Whoever is not allowed to listen still hears the first kind.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::webrtc::ice::mdns;

/// How often a name is asked for, and how long an answer is waited for each time. More than a second in all: for so long an
/// end may be silent that has just told the group the same.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_millis(400);

/// The longest answer that is looked at.
const LONGEST_ANSWER: usize = 4096;

/// Interfaces that are asked on, of each family: machines with more have them for containers.
const MOST_INTERFACES: usize = 12;

/// One way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interface {
    /// By IPv4, where this address is.
    V4(Ipv4Addr),
    /// By IPv6, on the one with this number.
    V6(u32),
}

impl Interface {
    fn join(self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::V4(address) => socket.join_multicast_v4(&mdns::GROUP_V4, &address),
            Self::V6(number) => socket.join_multicast_v6(&mdns::GROUP_V6, number),
        }
    }

    fn choose(self, socket: SockRef<'_>) -> io::Result<()> {
        match self {
            Self::V4(address) => socket.set_multicast_if_v4(&address),
            Self::V6(number) => socket.set_multicast_if_v6(number),
        }
    }
}

/// Finds a name's addresses.
pub(super) async fn ask(name: &str) -> Result<Vec<IpAddr>, String> {
    let (of_v4, of_v6) = interfaces().map_err(|error| format!("{name}: {error}"))?;
    let by_v4 = ask_on(name, &of_v4, Ipv4Addr::UNSPECIFIED.into(), mdns::GROUP_V4.into());
    let by_v6 = ask_on(name, &of_v6, Ipv6Addr::UNSPECIFIED.into(), mdns::GROUP_V6.into());
    let (mut by_v4, mut by_v6) = (pin!(by_v4), pin!(by_v6));
    tokio::select! {
        Ok(addresses) = &mut by_v4 => Ok(addresses),
        Ok(addresses) = &mut by_v6 => Ok(addresses),
        else => Err(format!("nobody in the local network goes by {name}")),
    }
}

/// Those of IPv4, and those of IPv6.
fn interfaces() -> io::Result<(Vec<Interface>, Vec<Interface>)> {
    let (mut of_v4, mut of_v6) = (Vec::new(), Vec::new());
    for found in if_addrs::get_if_addrs()? {
        let (list, interface) = match (found.ip(), found.index) {
            (IpAddr::V4(address), _) => (&mut of_v4, Interface::V4(address)),
            (IpAddr::V6(_), Some(number)) => (&mut of_v6, Interface::V6(number)),
            (IpAddr::V6(_), None) => continue,
        };
        if list.len() < MOST_INTERFACES && !list.contains(&interface) {
            list.push(interface);
        }
    }
    Ok((of_v4, of_v6))
}

/// Asks by one family.
async fn ask_on(name: &str, interfaces: &[Interface], any: IpAddr, group: IpAddr) -> io::Result<Vec<IpAddr>> {
    let asking = UdpSocket::bind((any, 0)).await?;
    let listening = listen(interfaces, any, group)
        .inspect_err(|error| tracing::debug!("what {group} is told is not heard: {error}"))
        .ok();
    let question = mdns::query(name);
    for _ in 0..TRIES {
        send(&asking, interfaces, group, &question).await?;
        if let Ok(answer) = tokio::time::timeout(WAIT, hear(&asking, listening.as_ref(), name)).await {
            return answer;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// A socket that hears what the group is told on these interfaces.
fn listen(interfaces: &[Interface], any: IpAddr, group: IpAddr) -> io::Result<UdpSocket> {
    let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    if group.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // With the group's own address, a Unix system hands over nothing that is meant for another program on this port.
    let address = if cfg!(unix) { group } else { any };
    socket.bind(&SocketAddr::from((address, mdns::PORT)).into())?;
    socket.set_nonblocking(true)?;
    for interface in interfaces {
        // Some have no groups.
        let _ = interface.join(&socket);
    }
    UdpSocket::from_std(socket.into())
}

/// Asks on every interface; an error if that went on none.
async fn send(
    socket: &UdpSocket,
    interfaces: &[Interface],
    group: IpAddr,
    question: &[u8],
) -> io::Result<()> {
    let mut outcome = Err(io::ErrorKind::NetworkUnreachable.into());
    for interface in interfaces {
        let sent = match interface.choose(SockRef::from(socket)) {
            Ok(()) => socket.send_to(question, (group, mdns::PORT)).await.map(drop),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            outcome = sent;
        }
    }
    outcome
}

/// Waits for an answer, on either socket.
async fn hear(asking: &UdpSocket, listening: Option<&UdpSocket>, name: &str) -> io::Result<Vec<IpAddr>> {
    let (mut direct, mut told) = (vec![0; LONGEST_ANSWER], vec![0; LONGEST_ANSWER]);
    loop {
        let packet = tokio::select! {
            length = receive(Some(asking), &mut direct) => &direct[..length?],
            length = receive(listening, &mut told) => &told[..length?],
        };
        if let Some(addresses) = mdns::answer(packet, name) {
            return Ok(addresses);
        }
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<usize> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await.map(|(length, _)| length),
        None => std::future::pending().await,
    }
}
