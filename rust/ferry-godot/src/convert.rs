//! Between the engine's types and ferry-net's.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ferry_net::bind_address::BindAddress;
use ferry_net::create_error::CreateError;
use ferry_net::link::LinkError;
use ferry_net::multiplayer::{PutError, StateError};
use ferry_net::packet::TransferMode;
use ferry_net::stats::{EndpointStats, LinkStats};
use godot::global::Error;
use godot::prelude::*;

/// Times above this mean the same to everybody: a month.
const LONGEST_SECONDS: f64 = 31.0 * 86_400.0;

/// The shortest time that a time-out may be.
const SHORTEST_SECONDS: f64 = 0.05;

/// The largest packet, as the engine's classes say.
pub(crate) const MAX_PACKET_SIZE: i32 = 1 << 24;

/// A transfer mode by the engine's number for it.
pub(crate) fn mode_of_number(number: i32) -> TransferMode {
    match number {
        0 => TransferMode::Unreliable,
        1 => TransferMode::UnreliableOrdered,
        _ => TransferMode::Reliable,
    }
}

/// Which of the engine's errors a refused call is; the engine's own classes answer the same.
pub(crate) fn state_error(error: StateError) -> Error {
    match error {
        StateError::AlreadyActive => Error::ERR_ALREADY_IN_USE,
        StateError::NotActive | StateError::NotAMesh => Error::ERR_UNCONFIGURED,
        StateError::UnknownPeer(_) | StateError::InvalidId(_) => Error::ERR_INVALID_PARAMETER,
    }
}

pub(crate) fn create_error(error: &CreateError) -> Error {
    match error {
        CreateError::Invalid(_) => Error::ERR_INVALID_PARAMETER,
        CreateError::Bind(_) => Error::ERR_CANT_CREATE,
    }
}

pub(crate) fn put_error(error: &PutError) -> Error {
    match error {
        PutError::NotActive | PutError::NotConnected => Error::ERR_UNCONFIGURED,
        PutError::UnknownTarget(_) => Error::ERR_INVALID_PARAMETER,
        PutError::Link(_, error) => link_error(*error),
    }
}

/// Says what was wrong, unless ferry-net has: full queues come in crowds, and it counts them.
pub(crate) fn report_put(error: &PutError) {
    if !matches!(error, PutError::Link(_, LinkError::QueueFull(_))) {
        godot_error!("{error}");
    }
}

pub(crate) fn link_error(error: LinkError) -> Error {
    match error {
        LinkError::Gone => Error::ERR_UNCONFIGURED,
        LinkError::NotConnected => Error::FAILED,
        LinkError::NoSuchChannel(_) | LinkError::TooLarge => Error::ERR_INVALID_PARAMETER,
        LinkError::QueueFull(_) | LinkError::OverLimit(_) => Error::ERR_OUT_OF_MEMORY,
        LinkError::NoFreeLink => Error::ERR_CANT_CREATE,
    }
}

/// How a WebSocket endpoint that could not be made shows: a port that somebody has is what the engine's listening socket says.
pub(crate) fn open_error(error: &CreateError) -> Error {
    match error {
        CreateError::Invalid(_) => Error::ERR_INVALID_PARAMETER,
        CreateError::Bind(_) => Error::ERR_ALREADY_IN_USE,
    }
}

/// Says what is wrong with an argument.
pub(crate) fn invalid(text: String) -> Error {
    godot_error!("{text}");
    Error::ERR_INVALID_PARAMETER
}

/// The engine's way to say how a call went.
pub(crate) fn outcome(result: Result<(), Error>) -> Error {
    result.err().unwrap_or(Error::OK)
}

/// An address to bind to, as the engine writes it: `*` is all.
pub(crate) fn bind_address(text: &str) -> Option<BindAddress> {
    let text = text.trim();
    if text == "*" {
        return Some(BindAddress::Any);
    }
    text.parse().ok().map(BindAddress::Ip)
}

/// An address as the engine writes it: of IPv6 all eight numbers.
pub(crate) fn ip_text(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ip.segments().map(|segment| format!("{segment:x}")).join(":"),
    }
}

/// Where somebody is, as a script gets it: nothing if that is not known.
pub(crate) fn host(address: Option<SocketAddr>) -> GString {
    address.map_or_else(GString::new, |address| GString::from(&ip_text(address.ip())))
}

/// Likewise, the port: 0 if it is not known.
pub(crate) fn port(address: Option<SocketAddr>) -> i64 {
    address.map_or(0, |address| i64::from(address.port()))
}

/// A time in seconds as a property takes it.
pub(crate) fn seconds(seconds: f64) -> Duration {
    seconds_from(SHORTEST_SECONDS, seconds)
}

/// Likewise, with a shortest time of its own.
pub(crate) fn seconds_from(shortest: f64, seconds: f64) -> Duration {
    let seconds = if seconds.is_nan() { shortest } else { seconds };
    Duration::from_secs_f64(seconds.clamp(shortest, LONGEST_SECONDS))
}

/// A number of bytes as a property takes it.
pub(crate) fn bytes(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// A number of bytes as the engine takes it.
pub(crate) fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn time(time: Option<Duration>) -> f64 {
    time.map_or(-1.0, |time| time.as_secs_f64())
}

/// The figures of a peer, as `get_peer_stats` gives them.
pub(crate) fn peer_figures(stats: &LinkStats, transport: &str, encrypted: bool) -> VarDictionary {
    vdict! {
        "rtt" => time(stats.rtt),
        "jitter" => time(stats.jitter),
        "loss" => stats.loss,
        "bytes_sent" => count(stats.bytes_sent),
        "bytes_received" => count(stats.bytes_received),
        "packets_sent" => count(stats.packets_sent),
        "packets_received" => count(stats.packets_received),
        "packets_dropped" => count(stats.packets_dropped),
        "queued_bytes" => count(stats.queued_bytes),
        "address" => &host(stats.address),
        "port" => port(stats.address),
        "transport" => transport,
        "encrypted" => encrypted,
    }
}

/// The figures of everything together, as `get_stats` gives them.
pub(crate) fn total_figures(stats: &EndpointStats, peers: usize, empty_packets: u64) -> VarDictionary {
    vdict! {
        "peers" => int(peers),
        "bytes_sent" => count(stats.bytes_sent),
        "bytes_received" => count(stats.bytes_received),
        "datagrams_sent" => count(stats.datagrams_sent),
        "datagrams_received" => count(stats.datagrams_received),
        "datagrams_rejected" => count(stats.datagrams_rejected),
        "connections_refused" => count(stats.connections_refused),
        "packets_dropped" => count(stats.packets_dropped),
        "empty_packets" => count(empty_packets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_engine_writes_them() {
        for (text, written) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("2001:db8::ff", "2001:db8:0:0:0:0:0:ff"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(ip_text(text.parse().unwrap()), written);
        }
    }
}
