//! STUN and TURN servers as games name them: `stun:host:port`, `turn:host:port?transport=udp` and the secure forms
//! (RFC 7064, RFC 7065), as in `iceServers` of browsers and of Godot's `initialize`.

use std::fmt;

const PORT: u16 = 3478;
const SECURE_PORT: u16 = 5349;

/// The longest user name: a STUN attribute holds 512 bytes of it.
const MAX_USERNAME: usize = 508;
const MAX_URL: usize = 512;

/// What a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The address that the outside sees.
    Stun,
    /// An address of the server's own that passes everything on.
    Turn { username: String, password: String },
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub(super) kind: Kind,
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) transport: Transport,
}

impl Server {
    /// Whether it is a relay that is asked from a connection's own UDP port.
    pub(in crate::webrtc) fn is_relay_by_udp(&self) -> bool {
        matches!(self.kind, Kind::Turn { .. }) && self.transport == Transport::Udp
    }

    /// Reads a URL; a clear sentence says what is wrong with it. The credentials are for TURN only.
    pub fn parse(url: &str, username: &str, credential: &str) -> Result<Server, String> {
        if url.len() > MAX_URL {
            return Err(format!("the URL of an ICE server is longer than {MAX_URL} bytes"));
        }
        let wrong = |why: &str| format!("ICE server \"{}\": {why}", url.escape_debug());
        let url_text = url.trim();
        let (scheme, rest) = url_text
            .split_once(':')
            .ok_or_else(|| wrong("it begins with none of stun:, stuns:, turn:, turns:"))?;
        let (turn, secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return Err(wrong("it begins with none of stun:, stuns:, turn:, turns:")),
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (host, port) = host_and_port(place).map_err(|why| wrong(&why))?;
        let asked = match query {
            None => None,
            Some(_) if !turn => return Err(wrong("a STUN server takes no ?transport=")),
            Some(query) => match query.to_ascii_lowercase().as_str() {
                "transport=udp" => Some(Transport::Udp),
                "transport=tcp" => Some(Transport::Tcp),
                _ => {
                    return Err(wrong(
                        "after the question mark only transport=udp or transport=tcp is known",
                    ));
                }
            },
        };
        let transport = match (secure, asked) {
            (true, Some(Transport::Udp)) => {
                return Err(wrong("TURN over DTLS is not offered; use ?transport=tcp, which is TLS"));
            }
            (true, _) => Transport::Tls,
            (false, asked) => asked.unwrap_or(Transport::Udp),
        };
        let kind = if turn {
            if username.is_empty() || credential.is_empty() {
                return Err(wrong("a TURN server needs a user name and a credential"));
            }
            if username.len() > MAX_USERNAME {
                return Err(wrong("the user name is too long"));
            }
            Kind::Turn { username: username.to_owned(), password: credential.to_owned() }
        } else {
            Kind::Stun
        };
        let default = if secure { SECURE_PORT } else { PORT };
        Ok(Server { kind, host, port: port.unwrap_or(default), transport })
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    if place.contains('@') || place.contains('/') {
        return Err("only a host and a port belong behind the colon".to_owned());
    }
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("the bracket is not closed")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "there is no IPv6 address between the brackets")?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("a port follows the bracket with a colon".to_owned()),
        }
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if host.is_empty() || host.len() > 253 || host.contains(odd) {
        return Err("there is no host name in it".to_owned());
    }
    let port = port
        .map(|text| match text.parse::<u16>() {
            Ok(port) if port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
            _ => Err("the port is not a number from 1 to 65535".to_owned()),
        })
        .transpose()?;
    Ok((host.to_owned(), port))
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.kind, self.transport) {
            (Kind::Stun, Transport::Tls) => "stuns",
            (Kind::Stun, _) => "stun",
            (Kind::Turn { .. }, Transport::Tls) => "turns",
            (Kind::Turn { .. }, _) => "turn",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}:{open}{}{close}:{}", self.host, self.port)?;
        match (&self.kind, self.transport) {
            (Kind::Turn { .. }, Transport::Udp) => f.write_str("?transport=udp"),
            (Kind::Turn { .. }, _) => f.write_str("?transport=tcp"),
            (Kind::Stun, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        Server::parse(url, "user", "secret").map_or_else(|error| error, |server| server.to_string())
    }

    #[test]
    fn urls_as_games_write_them_are_understood() {
        for (url, expected) in [
            ("stun:stun.example.org", "stun:stun.example.org:3478"),
            ("STUN:stun.example.org:19302", "stun:stun.example.org:19302"),
            ("stuns:stun.example.org", "stuns:stun.example.org:5349"),
            ("turn:10.0.0.1", "turn:10.0.0.1:3478?transport=udp"),
            ("turn:relay:80?transport=tcp", "turn:relay:80?transport=tcp"),
            ("turns:relay", "turns:relay:5349?transport=tcp"),
            ("turns:relay:443?transport=TCP", "turns:relay:443?transport=tcp"),
            ("turn:[2001:db8::1]:3000", "turn:[2001:db8::1]:3000?transport=udp"),
            ("stun:[::1]", "stun:[::1]:3478"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }

    #[test]
    fn every_wrong_url_gets_a_sentence_that_names_it() {
        for (url, why) in [
            ("", "none of stun:"),
            ("http://x", "none of stun:"),
            ("stun:", "no host name"),
            ("stun:host:0", "port"),
            ("stun:host:99999", "port"),
            ("stun:host:+5", "port"),
            ("stun:host?transport=udp", "takes no"),
            ("turn:host?transport=sctp", "transport=udp or transport=tcp"),
            ("turns:host?transport=udp", "DTLS"),
            ("turn:2001:db8::1", "brackets"),
            ("turn:[::1", "not closed"),
            ("turn:[nonsense]:1", "IPv6"),
            ("turn:user@host", "only a host"),
            ("turn:ho st", "no host name"),
        ] {
            let error = Server::parse(url, "user", "secret").expect_err(url);
            assert!(error.contains(why), "{url}: {error}");
        }
    }

    #[test]
    fn turn_needs_a_user_name_and_a_credential() {
        for (user, secret) in [("", "secret"), ("user", ""), (&*"u".repeat(509), "secret")] {
            assert!(Server::parse("turn:host", user, secret).is_err());
        }
        assert!(Server::parse("stun:host", "", "").is_ok());
    }
}
