//! Where a server listens: one choice for every transport.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which of the machine's addresses a port listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindAddress {
    /// All of them: IPv6 and IPv4, or IPv4 alone where there is no IPv6.
    #[default]
    Any,
    /// This one.
    Ip(IpAddr),
}

impl BindAddress {
    /// Opens something there. A socket of IPv6 is to speak IPv4, too.
    pub(crate) fn open<T>(self, open: impl Fn(IpAddr) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Ip(ip) => open(ip.to_canonical()),
            Self::Any => match open(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) {
                Err(error) if may_lack_ipv6(&error) => {
                    tracing::debug!("no IPv6 here ({error}): IPv4 alone");
                    open(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
                }
                opened => opened,
            },
        }
    }
}

/// Whether binding to all addresses may have failed because there is no IPv6. What is wrong with the port itself would be
/// wrong with IPv4, too.
fn may_lack_ipv6(error: &io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_alone_is_tried_where_there_is_no_ipv6_and_only_there() {
        let without_ipv6 = |ip: IpAddr| {
            if ip.is_ipv6() { Err(io::Error::from(ErrorKind::Unsupported)) } else { Ok(ip) }
        };
        assert_eq!(BindAddress::Any.open(without_ipv6).expect("IPv4"), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(BindAddress::Any.open(Ok).expect("both"), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let in_use = |ip: IpAddr| -> io::Result<()> {
            assert!(ip.is_ipv6(), "asked again");
            Err(ErrorKind::AddrInUse.into())
        };
        assert_eq!(BindAddress::Any.open(in_use).expect_err("in use").kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_mapped_address_is_one_of_ipv4() {
        let mapped = BindAddress::Ip("::ffff:127.0.0.1".parse().expect("an address"));
        assert_eq!(mapped.open(Ok).expect("an address"), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
