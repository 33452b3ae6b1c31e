//! The opening handshake (RFC 6455, section 4), right unless a test bends it.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Any 16 bytes in base64.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A client's request, without an error.
pub(crate) fn request() -> String {
    request_with(&[])
}

/// A client's request with some headers changed (by their name), taken out (with an empty value) or added.
pub(crate) fn request_with(changes: &[(&str, &str)]) -> String {
    let usual = [
        ("Host", "localhost"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let mut lines: Vec<(&str, &str)> = usual.to_vec();
    for (name, value) in changes {
        match lines.iter_mut().find(|(usual, _)| usual == name) {
            Some(line) => line.1 = value,
            None => lines.push((name, value)),
        }
    }
    let headers: String = lines
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET / HTTP/1.1\r\n{headers}\r\n")
}

/// A server's answer to this request, without an error.
pub(crate) fn answer(request: &str) -> String {
    answer_with(&derive_accept_key(header(request, "sec-websocket-key").as_bytes()), "")
}

/// A server's answer with this key, and more lines.
pub(crate) fn answer_with(accept: &str, more: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

/// A header's value in a request or an answer; nothing if it is not there.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    });
    line.unwrap_or_default()
}

/// The status in the first line of an answer.
pub(crate) fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
