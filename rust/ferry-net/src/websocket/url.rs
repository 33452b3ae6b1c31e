//! The URL of a WebSocket server, read as the engine reads it: `ws://` is meant where no scheme is given, names are in lower
//! case, and a user name in it is left out. IPv6 addresses stand in brackets.

use std::fmt;

use crate::lookup;

/// Ports of the schemes.
const PLAIN_PORT: u16 = 80;
const TLS_PORT: u16 = 443;

/// A URL is not longer: no server would read it.
const MAX_LENGTH: usize = 4096;

/// A WebSocket server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// There is nothing.
    Empty,
    /// It is longer than any server reads.
    TooLong,
    /// Brackets or colons do not make a host and a port.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// The scheme is neither `ws` nor `wss`.
    Scheme,
    /// There are blanks or control characters in it.
    Blank,
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "the URL is empty",
            Self::TooLong => "the URL is too long",
            Self::Host => "the URL has no host name or address",
            Self::Port => "the port in the URL must be between 1 and 65535",
            Self::Scheme => "the URL must begin with ws:// or wss://",
            Self::Blank => "there is a blank or a control character in the URL",
        })
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// Says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Err(UrlError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = split_scheme(text);
        let tls = match scheme.as_deref() {
            None | Some("ws") => false,
            Some("wss") => true,
            Some(_) => return Err(UrlError::Scheme),
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.split_once('@').map_or(authority, |(_, after)| after);
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        if host.chars().chain(path.chars()).any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(UrlError::Blank);
        }
        let usual = if tls { TLS_PORT } else { PLAIN_PORT };
        let port = match port {
            None => usual,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?,
        };
        Ok(Self { text: text.to_owned(), tls, host: host.to_lowercase(), port, path: request_path(path) })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The name or address of the server, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is asked of the server: path and query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What the `Host` header says.
    pub(super) fn authority(&self) -> String {
        let literal = lookup::literal(&self.host).is_some_and(|ip| ip.is_ipv6());
        let host = if literal { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { TLS_PORT } else { PLAIN_PORT };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn split_scheme(text: &str) -> (Option<String>, &str) {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.chars().all(is_scheme_letter) => (Some(scheme.to_lowercase()), rest),
        _ => (None, text),
    }
}

fn is_scheme_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let (host, after) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.rfind(']').ok_or(UrlError::Host)?;
            (&rest[..end], &rest[end + 1..])
        }
        None if authority.matches(':').count() > 1 => return Err(UrlError::Host),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match after.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if after.is_empty() => Ok((host, None)),
        None => Err(UrlError::Host),
    }
}

/// As it goes over the wire: letters beyond ASCII as percent signs and numbers.
fn request_path(path: &str) -> String {
    let mut request = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`') {
            request.push(char::from(byte));
        } else {
            request.push_str(&format!("%{byte:02X}"));
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (bool, String, u16, String, String) {
        let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (url.tls, url.host.clone(), url.port, url.path.clone(), url.authority())
    }

    fn own(
        tls: bool,
        host: &str,
        port: u16,
        path: &str,
        authority: &str,
    ) -> (bool, String, u16, String, String) {
        (tls, host.to_owned(), port, path.to_owned(), authority.to_owned())
    }

    #[test]
    fn urls_are_read_as_the_engine_reads_them() {
        assert_eq!(parts("ws://example.com"), own(false, "example.com", 80, "/", "example.com"));
        assert_eq!(parts("WSS://Example.com/a?b=c"), own(true, "example.com", 443, "/a?b=c", "example.com"));
        assert_eq!(parts("localhost:8080"), own(false, "localhost", 8080, "/", "localhost:8080"));
        assert_eq!(parts("ws://[::1]:9/x#y"), own(false, "::1", 9, "/x", "[::1]:9"));
        assert_eq!(parts("wss://me:secret@host:80"), own(true, "host", 80, "/", "host:80"));
        assert_eq!(parts("ws://host?q"), own(false, "host", 80, "/?q", "host"));
        assert_eq!(parts("ws://host/ä"), own(false, "host", 80, "/%C3%A4", "host"));
    }

    #[test]
    fn what_is_no_url_says_what_is_wrong() {
        for (text, error) in [
            ("", UrlError::Empty),
            ("http://host", UrlError::Scheme),
            ("ws://", UrlError::Host),
            ("ws://:80", UrlError::Host),
            ("ws://::1:80", UrlError::Host),
            ("ws://[::1", UrlError::Host),
            ("ws://[::1]x", UrlError::Host),
            ("ws://host:0", UrlError::Port),
            ("ws://host:70000", UrlError::Port),
            ("ws://host:port", UrlError::Port),
            ("ws://ho st", UrlError::Blank),
            ("ws://host/\r\nX: y", UrlError::Blank),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Url::parse(&"x".repeat(5000)), Err(UrlError::TooLong));
    }
}
