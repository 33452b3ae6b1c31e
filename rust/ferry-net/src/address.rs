//! Addresses as people write and know them.

use std::net::{IpAddr, SocketAddr};

/// The address as people know it: a socket of both families names those of IPv4 as mapped into IPv6.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(IpAddr::V4(ip), v6.port()),
            // With its interface, which an address of the local network is nothing without.
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// A host without the brackets that are put around addresses of IPv6.
pub(crate) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_known_as_what_they_are_and_others_stay() {
        for (named, known) in [
            ("[::ffff:10.0.0.1]:7", "10.0.0.1:7"),
            ("10.0.0.1:7", "10.0.0.1:7"),
            ("[fe80::1%3]:7", "[fe80::1%3]:7"),
        ] {
            assert_eq!(canonical(named.parse().expect("an address")).to_string(), known);
        }
    }

    #[test]
    fn only_a_pair_of_brackets_is_taken_off() {
        for (written, bare) in [("[::1]", "::1"), ("::1", "::1"), ("[::1", "[::1"), ("[]", ""), ("", "")] {
            assert_eq!(without_brackets(written), bare);
        }
    }
}
