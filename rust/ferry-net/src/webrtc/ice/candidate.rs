//! Lines that tell where a peer may be reached: `candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host` (RFC 8839,
//! section 5.1), as they come out of a stranger's session description or one by one over the game's signalling.
//!
//! What cannot be used here but is no mistake of the peer's (TCP, a second component, an address of a link) is left aside.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use is::{Candidate, CandidateKind, Protocol};

use super::mdns;

/// The longest line looked at. Browsers write some 150 bytes.
const MAX_LINE: usize = 512;

/// What is wrong with a line, for the game's developer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CandidateError(String);

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CandidateError {}

/// A line that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// To be checked, if the host's name is an address or has one.
    Usable(Remote),
    /// Well-formed, and of no use here.
    Aside,
    /// There will be no more.
    End,
}

/// A peer's candidate over UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    foundation: String,
    priority: u32,
    pub(super) host: Host,
    port: u16,
    kind: CandidateKind,
    /// The generation that it belongs to, if the line says so.
    pub(super) ufrag: Option<String>,
}

/// Where a candidate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    /// A name that only the peer's own link knows.
    Mdns(String),
}

impl Remote {
    /// The candidate at an address: its own, or one that its name was found to have.
    pub(super) fn at(&self, ip: IpAddr) -> Candidate {
        let address = SocketAddr::new(ip, self.port);
        // Without a related address, which is for people who read the line.
        Candidate::from_parts(
            self.foundation.clone(),
            1,
            Protocol::Udp,
            self.priority,
            address,
            self.kind,
            None,
            None,
            None,
        )
    }
}

/// Whether packets can be sent to an address at all.
pub(super) fn is_usable(ip: IpAddr) -> bool {
    !is_nonsense(ip)
        && match ip {
            IpAddr::V4(ip) => !ip.is_link_local(),
            // Without the number of an interface nobody can tell on which link this is.
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        }
}

fn is_nonsense(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_broadcast() || ip.is_multicast() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
    }
}

/// Reads a line.
pub(super) fn parse(line: &str) -> Result<Line, CandidateError> {
    let text = line.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    if text.is_empty() || text == "end-of-candidates" {
        return Ok(Line::End);
    }
    if text.len() > MAX_LINE {
        return Err(CandidateError(format!("an ICE candidate is longer than {MAX_LINE} bytes")));
    }
    let wrong = |why: &str| CandidateError(format!("ICE candidate \"{}\": {why}", line.escape_debug()));
    let Some(text) = text.strip_prefix("candidate:") else {
        return Err(wrong("it does not begin with \"candidate:\""));
    };
    // "candidate:" with nothing behind it also ends the list in some implementations.
    if text.trim().is_empty() {
        return Ok(Line::End);
    }
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [foundation, component, transport, priority, host, port, typ, kind, extensions @ ..] = &words[..]
    else {
        return Err(wrong("it has fewer than eight words"));
    };
    let foundation_fits =
        (1..=32).contains(&foundation.len()) && foundation.bytes().all(|b| b.is_ascii_graphic());
    if !foundation_fits {
        return Err(wrong("the foundation is not of 1 to 32 characters"));
    }
    let component: u16 = component.parse().map_err(|_| wrong("the component is not a number"))?;
    let priority: u32 = priority.parse().map_err(|_| wrong("the priority is not a number"))?;
    let port: u16 = port.parse().map_err(|_| wrong("the port is not a number below 65536"))?;
    if !typ.eq_ignore_ascii_case("typ") {
        return Err(wrong("the seventh word is not \"typ\""));
    }
    let kind = match kind.to_ascii_lowercase().as_str() {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        _ => return Ok(Line::Aside),
    };
    if component != 1 || !transport.eq_ignore_ascii_case("udp") {
        return Ok(Line::Aside);
    }
    if port == 0 || port == 9 {
        return Err(wrong("nothing listens at its port"));
    }
    let host = match host.parse::<IpAddr>() {
        Ok(ip) if is_nonsense(ip.to_canonical()) => {
            return Err(wrong("its address is not that of one machine"));
        }
        Ok(ip) if !is_usable(ip.to_canonical()) => return Ok(Line::Aside),
        Ok(ip) => Host::Address(ip.to_canonical()),
        Err(_) if mdns::is_name(host) => Host::Mdns(host.to_ascii_lowercase()),
        // An address of one link, with the name of the peer's own interface.
        Err(_) if host.contains('%') => return Ok(Line::Aside),
        Err(_) => return Err(wrong("its host is neither an address nor a name that ends in .local")),
    };
    let ufrag = extensions
        .chunks_exact(2)
        .find(|pair| pair[0].eq_ignore_ascii_case("ufrag"))
        .map(|pair| pair[1].to_owned());
    Ok(Line::Usable(Remote { foundation: (*foundation).to_owned(), priority, host, port, kind, ufrag }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(line: &str) -> Remote {
        match parse(line) {
            Ok(Line::Usable(remote)) => remote,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn lines_as_browsers_write_them_are_understood() {
        let chromium = "candidate:842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 0.0.0.0 rport 0 \
                        generation 0 ufrag e8Zw network-cost 999";
        let remote = usable(chromium);
        assert_eq!(remote.ufrag.as_deref(), Some("e8Zw"));
        assert_eq!(
            remote.at("203.0.113.5".parse().expect("an address")).addr().to_string(),
            "203.0.113.5:46154"
        );
        let hidden = usable(
            "a=candidate:0 1 UDP 2122252543 3f2c1c3e-6b0f-4f5a-9a63-1d2e3f405162.local 50001 typ host",
        );
        assert!(matches!(&hidden.host, Host::Mdns(name) if name.ends_with(".local")));
        usable("candidate:1 1 udp 2130706431 2001:db8::1 5000 typ host");
        usable("candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host\r\n");
    }

    #[test]
    fn what_is_of_no_use_is_left_aside_without_an_error() {
        for line in [
            "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
            "candidate:1 2 udp 2130706430 192.0.2.1 5001 typ host",
            "candidate:1 1 udp 2130706431 fe80::1 5000 typ host",
            "candidate:1 1 udp 2130706431 fe80::1%eth0 5000 typ host",
            "candidate:1 1 udp 2130706431 169.254.1.1 5000 typ host",
            "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ teleport",
        ] {
            assert_eq!(parse(line), Ok(Line::Aside), "{line}");
        }
        for line in ["", "  ", "a=", "a=end-of-candidates", "candidate:"] {
            assert_eq!(parse(line), Ok(Line::End), "{line:?}");
        }
    }

    #[test]
    fn broken_lines_get_an_error_and_no_truncation_panics() {
        for (line, why) in [
            ("nonsense", "begin with"),
            ("candidate:1 1 udp", "eight words"),
            ("candidate:1 1 udp x 192.0.2.1 5000 typ host", "priority"),
            ("candidate:1 1 udp 99999999999 192.0.2.1 5000 typ host", "priority"),
            ("candidate:1 -1 udp 1 192.0.2.1 5000 typ host", "component"),
            ("candidate:1 1 udp 1 192.0.2.1 70000 typ host", "port"),
            ("candidate:1 1 udp 1 192.0.2.1 0 typ host", "port"),
            ("candidate:1 1 udp 1 192.0.2.1 9 typ host", "port"),
            ("candidate:1 1 udp 1 0.0.0.0 5000 typ host", "one machine"),
            ("candidate:1 1 udp 1 255.255.255.255 5000 typ host", "one machine"),
            ("candidate:1 1 udp 1 ff02::1 5000 typ host", "one machine"),
            ("candidate:1 1 udp 1 example.com 5000 typ host", ".local"),
            ("candidate:1 1 udp 1 192.0.2.1 5000 host typ", "typ"),
        ] {
            let error = parse(line).expect_err(line).to_string();
            assert!(error.contains(why), "{line}: {error}");
        }
        assert!(parse(&format!("candidate:{}", "x".repeat(5000))).is_err());
        let whole =
            "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 5 ufrag abcd é";
        for (end, _) in whole.char_indices() {
            let _ = parse(&whole[..end]);
        }
    }
}
