//! Whose word is taken for where a player comes from: proxies that the game has named.
//!
//! Behind a reverse proxy every connection comes from the proxy, which tells the player's address in a header,
//! `X-Forwarded-For` or `Forwarded` (RFC 7239). Anybody can send these headers, and a proxy that writes the one mostly passes the
//! other on as it came from a stranger: so only one is looked at, which the game names, and only on connections from a
//! trusted address. It is read from the last entry backwards: the first one that is no trusted proxy is the player.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::lookup;

/// Entries of the headers that are looked at. A chain of proxies is a few long.
const MAX_ENTRIES: usize = 32;

/// Addresses that begin alike, as `10.0.0.0/8`; or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u8,
}

/// A text that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl fmt::Display for NetworkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\" is neither an address nor a network like 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let ip = lookup::literal(address).ok_or_else(error)?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(error)?,
            None => most,
        };
        Ok(Self { ip, bits })
    }
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Where the proxy tells the player's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, which most proxies append to.
    #[default]
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
}

/// Whether an address is one of these.
pub(super) fn are(trusted: &[Network], ip: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(ip))
}

/// Where a player is whose connection came from `from`, with these headers of that kind, in order. `None` if that is
/// `from`.
pub(super) fn original(
    trusted: &[Network],
    from: IpAddr,
    kind: ProxyHeader,
    headers: &[&str],
) -> Option<IpAddr> {
    if !are(trusted, from) {
        return None;
    }
    let entries = headers.iter().rev().flat_map(|header| header.rsplit(',')).take(MAX_ENTRIES);
    let mut player = None;
    for entry in entries {
        let told = match kind {
            ProxyHeader::XForwardedFor => Some(entry.trim()),
            ProxyHeader::Forwarded => forwarded_for(entry),
        };
        // What cannot be read ends what can be believed.
        let ip = address_of(told?)?;
        player = Some(ip);
        if !are(trusted, ip) {
            break;
        }
    }
    player
}

/// The `for` of an element of a `Forwarded` header.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without a port.
fn address_of(entry: &str) -> Option<IpAddr> {
    lookup::literal(entry).or_else(|| {
        let (address, port) = entry.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        // More colons would be an IPv6 address without brackets, whose end is no port.
        (address.starts_with('[') || !address.contains(':')).then(|| lookup::literal(address))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn x_forwarded(trusted: &[&str], from: &str, headers: &[&str]) -> Option<IpAddr> {
        original(&networks(trusted), ip(from), ProxyHeader::XForwardedFor, headers)
    }

    fn forwarded(trusted: &[&str], from: &str, headers: &[&str]) -> Option<IpAddr> {
        original(&networks(trusted), ip(from), ProxyHeader::Forwarded, headers)
    }

    #[test]
    fn networks_hold_the_addresses_that_begin_alike() {
        let network: Network = "10.1.0.0/16".parse().expect("a network");
        assert!(network.contains(ip("10.1.255.3")) && network.contains(ip("::ffff:10.1.0.1")));
        assert!(!network.contains(ip("10.2.0.0")) && !network.contains(ip("::1")));
        let one: Network = "2001:db8::1".parse().expect("an address");
        assert!(one.contains(ip("2001:db8::1")) && !one.contains(ip("2001:db8::2")));
        let all: Network = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains(ip("8.8.8.8")) && !all.contains(ip("::1")));
        for wrong in ["", "10.0.0", "10.0.0.0/33", "::/129", "host/8", "10.0.0.0/x"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_named_proxy_is_believed_and_nobody_else() {
        assert_eq!(x_forwarded(&["127.0.0.1"], "127.0.0.1", &["203.0.113.7"]), Some(ip("203.0.113.7")));
        assert_eq!(x_forwarded(&["127.0.0.1"], "198.51.100.1", &["203.0.113.7"]), None);
        assert_eq!(forwarded(&[], "127.0.0.1", &["for=203.0.113.7"]), None);
        assert_eq!(x_forwarded(&["127.0.0.1"], "127.0.0.1", &[]), None);
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_player() {
        // A player who lies puts the lie in front.
        let lie = &["1.1.1.1, 203.0.113.7, 10.0.0.5"];
        assert_eq!(x_forwarded(&["10.0.0.0/8"], "10.0.0.9", lie), Some(ip("203.0.113.7")));
        let two = &["1.1.1.1", "203.0.113.7:4711"];
        assert_eq!(x_forwarded(&["10.0.0.0/8"], "10.0.0.9", two), Some(ip("203.0.113.7")));
        assert_eq!(x_forwarded(&["10.0.0.0/8"], "10.0.0.9", &["10.0.0.1, 10.0.0.5"]), Some(ip("10.0.0.1")));
    }

    #[test]
    fn the_standard_header_is_read_and_nonsense_is_not() {
        let standard = &["for=192.0.2.43, for=\"[2001:db8:cafe::17]:4711\";proto=http"];
        assert_eq!(forwarded(&["::1"], "::1", standard), Some(ip("2001:db8:cafe::17")));
        for nonsense in ["for=unknown", "for=_hidden", "by=203.0.113.60", "for=\"[::1\"", ""] {
            assert_eq!(forwarded(&["::1"], "::1", &[nonsense]), None, "{nonsense}");
        }
        assert_eq!(x_forwarded(&["::1"], "::1", &["2001:db8::1"]), Some(ip("2001:db8::1")));
        assert_eq!(x_forwarded(&["::1"], "::1", &["<script>"]), None);
    }
}
