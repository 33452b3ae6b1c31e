//! From an HTTP request to a WebSocket, at both ends (RFC 6455, section 4).
//!
//! Heads are read here, and not by tungstenite's own machines: a server wants to answer whoever asks for something else than
//! a WebSocket, or speaks TLS to a plain port, with an HTTP status that says so; and a client wants to know what the server
//! says. What makes a request valid is tungstenite's business again. A head has [`MAX_HEAD`] bytes at most; how long it may
//! take is the caller's.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::{self, generate_request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{self, Request, create_response};
use tokio_tungstenite::tungstenite::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::http::{self, StatusCode, Version};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Configured;
use super::conversation::config;
use crate::reason::{Farewell, Reason};
use crate::websocket::url::Url;
use crate::websocket::wire::Wire;

/// The longest head of a request or an answer: twice what the engine's own class takes.
const MAX_HEAD: usize = 8 * 1024;

/// What a head usually has.
const USUAL_HEAD: usize = 512;

/// What is shown of a server's text about why it refused, and how long to wait for it.
const MAX_SAID: usize = 200;
const TEXT_MAY_TAKE: Duration = Duration::from_millis(200);

/// The first byte of everything that speaks TLS.
pub(super) const TLS_HELLO: u8 = 0x16;

/// What a client asked for and got.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: WebSocketStream<Wire>,
    /// The sub-protocol, or nothing.
    pub(super) protocol: String,
    /// Host and path, as they were asked for.
    pub(super) asked: String,
    pub(super) headers: HeaderMap,
}

/// Why a request was turned down, and with which status.
#[derive(Debug)]
pub(super) struct Rejected {
    status: StatusCode,
    text: String,
}

impl Rejected {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

/// Why there is no WebSocket.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The other end was answered.
    Answered(String),
    /// It hung up, or the line broke.
    Gone(io::Error),
}

/// Reads a request and answers it.
pub(super) async fn accept(mut wire: Wire, configured: &Configured) -> Result<Accepted, Refusal> {
    let Configured { settings, headers: own_headers } = configured;
    let answer = match read_head(&mut wire).await.map_err(Refusal::Gone)? {
        Some(head) => parse(&head).and_then(|(request, length)| {
            let (response, protocol) = answer(&request, &settings.protocols, own_headers)?;
            Ok((request, head[length..].to_vec(), response, protocol))
        }),
        None => Err(Rejected::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long")),
    };
    let (request, tail, response, protocol) = match answer {
        Ok(answer) => answer,
        Err(rejected) => {
            reject(wire, &rejected).await;
            return Err(Refusal::Answered(rejected.text));
        }
    };
    let mut bytes = Vec::with_capacity(USUAL_HEAD);
    server::write_response(&mut bytes, &response).map_err(|error| gone(&error))?;
    wire.write_all(&bytes).await.map_err(Refusal::Gone)?;
    wire.begin_frames(settings.max_message, &tail);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let asked = format!("{host}{}", request.uri());
    let headers = request.into_parts().0.headers;
    let stream =
        WebSocketStream::from_raw_socket(wire, Role::Server, Some(config(settings.max_message))).await;
    Ok(Accepted { stream, protocol, asked, headers })
}

fn gone(error: &dyn std::error::Error) -> Refusal {
    Refusal::Gone(io::Error::other(error.to_string()))
}

/// Reads until a head is whole, and maybe some more; or until the first byte of a TLS hello. `None` if it is too long.
async fn read_head(wire: &mut Wire) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(USUAL_HEAD);
    while head.len() < MAX_HEAD {
        let before = head.len();
        let room = (MAX_HEAD - before) as u64;
        wire.begin_turn();
        if (&mut *wire).take(room).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Parsing what is not whole would be work for each byte of a slow one.
        let from = before.saturating_sub(3);
        if head[0] == TLS_HELLO || head[from..].windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// A request, and how many bytes it has.
fn parse(head: &[u8]) -> Result<(Request, usize), Rejected> {
    if head.first() == Some(&TLS_HELLO) {
        let text = "TLS was spoken to a port that is not encrypted: use ws:// instead of wss://";
        return Err(Rejected::new(StatusCode::BAD_REQUEST, text));
    }
    match Request::try_parse(head) {
        Ok(Some((length, request))) => Ok((request, length)),
        Ok(None) => Err(Rejected::new(StatusCode::BAD_REQUEST, "the request is incomplete")),
        Err(error) => Err(rejection(&error)),
    }
}

fn answer(
    request: &Request,
    protocols: &[String],
    own_headers: &HeaderMap,
) -> Result<(server::Response, String), Rejected> {
    let mut response = create_response(request).map_err(|error| rejection(&error))?;
    let asked: Vec<&str> = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    // As the engine's own: one that both know, or none at all.
    let chosen = asked.iter().find(|asked| protocols.iter().any(|own| own == *asked));
    match chosen {
        None if asked.is_empty() && protocols.is_empty() => {}
        None => {
            return Err(Rejected::new(
                StatusCode::BAD_REQUEST,
                format!(
                    "no common sub-protocol: asked for [{}], there is [{}]",
                    asked.join(", "),
                    protocols.join(", ")
                ),
            ));
        }
        Some(chosen) => {
            let value = HeaderValue::from_str(chosen)
                .map_err(|_| Rejected::new(StatusCode::BAD_REQUEST, "the sub-protocol is no header value"))?;
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
    for (name, value) in own_headers {
        response.headers_mut().append(name, value.clone());
    }
    Ok((response, chosen.copied().unwrap_or_default().to_owned()))
}

fn rejection(error: &WsError) -> Rejected {
    let status = match error {
        WsError::Protocol(ProtocolError::WrongHttpMethod) => StatusCode::METHOD_NOT_ALLOWED,
        WsError::Protocol(ProtocolError::WrongHttpVersion) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        WsError::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::MissingSecWebSocketVersionHeader,
        ) => StatusCode::UPGRADE_REQUIRED,
        WsError::Capacity(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    Rejected::new(status, error.to_string())
}

/// Answers with a status, for a person who may read it in a browser.
pub(super) async fn reject(mut wire: Wire, rejected: &Rejected) {
    let Rejected { status, text } = rejected;
    let more = match *status {
        StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        StatusCode::METHOD_NOT_ALLOWED => "Allow: GET\r\n",
        _ => "",
    };
    let length = text.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n{more}Content-Length: {length}\r\n\r\n{text}\n"
    );
    // Whoever does not wait for it has hung up already.
    let _ = wire.write_all(answer.as_bytes()).await;
    wire.linger().await;
}

/// Answers plain HTTP at a port that is encrypted.
pub(super) fn not_encrypted() -> Rejected {
    Rejected::new(StatusCode::BAD_REQUEST, "this port is encrypted: use wss:// instead of ws://")
}

/// Asks a server for a WebSocket; with the sub-protocol that it chose.
pub(super) async fn ask(
    mut wire: Wire,
    url: &Url,
    configured: &Configured,
) -> Result<(WebSocketStream<Wire>, String), Farewell> {
    let Configured { settings, headers } = configured;
    let broke =
        |error: io::Error| refused(format!("the server hung up during the WebSocket handshake: {error}"));
    let (request, key) = request(url, &settings.protocols, headers)
        .map_err(WsError::from)
        .and_then(generate_request)
        .map_err(|error| refused(error.to_string()))?;
    wire.write_all(&request).await.map_err(broke)?;
    let head = read_head(&mut wire).await.map_err(broke)?;
    let head = head.ok_or_else(|| refused("the server's answer is too long".to_owned()))?;
    let (length, response) = match client::Response::try_parse(&head) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Err(refused("the server's answer is no HTTP".to_owned())),
        Err(error) => return Err(refused(format!("the server's answer is no HTTP: {error}"))),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(what_it_said(response.status(), &mut wire, &head[length..]).await));
    }
    let protocol = check(&response, &key, &settings.protocols).map_err(|what| refused(what.to_owned()))?;
    wire.begin_frames(settings.max_message, &head[length..]);
    let stream =
        WebSocketStream::from_raw_socket(wire, Role::Client, Some(config(settings.max_message))).await;
    Ok((stream, protocol))
}

fn refused(what: String) -> Farewell {
    Farewell::with(Reason::Handshake, what)
}

/// The status of an answer that is no yes, and the first line of its text, if that comes soon.
async fn what_it_said(status: StatusCode, wire: &mut Wire, beginning: &[u8]) -> String {
    let mut body = beginning.to_vec();
    if body.is_empty() {
        let mut some = (&mut *wire).take(MAX_SAID as u64);
        let _ = tokio::time::timeout(TEXT_MAY_TAKE, some.read_buf(&mut body)).await;
    }
    let text = String::from_utf8_lossy(&body);
    let line = text.lines().next().unwrap_or_default().trim();
    let said: String = line.chars().filter(|letter| !letter.is_control()).take(MAX_SAID).collect();
    if said.is_empty() { format!("HTTP status {status}") } else { format!("HTTP status {status}: {said}") }
}

/// Section 4.1: what makes an answer a yes. Returns the sub-protocol, or nothing.
fn check(response: &client::Response, key: &str, protocols: &[String]) -> Result<String, &'static str> {
    let said = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let says = |name, what: &str| {
        said(name).is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(what)))
    };
    if !says(header::UPGRADE, "websocket") || !says(header::CONNECTION, "upgrade") {
        return Err("the server's answer does not say that it is a WebSocket");
    }
    if said(header::SEC_WEBSOCKET_ACCEPT) != Some(&derive_accept_key(key.as_bytes())) {
        return Err("the server's answer is to another question (Sec-WebSocket-Accept)");
    }
    if said(header::SEC_WEBSOCKET_EXTENSIONS).is_some() {
        return Err("the server chose an extension although none was asked for");
    }
    match said(header::SEC_WEBSOCKET_PROTOCOL) {
        None if protocols.is_empty() => Ok(String::new()),
        None => Err("the server chose no sub-protocol"),
        Some(_) if protocols.is_empty() => Err("the server chose a sub-protocol although none was asked for"),
        Some(chosen) if protocols.iter().any(|own| own == chosen) => Ok(chosen.to_owned()),
        Some(_) => Err("the server chose a sub-protocol that was not asked for"),
    }
}

fn request(url: &Url, protocols: &[String], own_headers: &HeaderMap) -> Result<client::Request, http::Error> {
    let scheme = if url.is_tls() { "wss" } else { "ws" };
    let mut builder = http::Request::builder()
        .version(Version::HTTP_11)
        .uri(format!("{scheme}://{}{}", url.authority(), url.path()))
        .header(header::HOST, url.authority())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, client::generate_key());
    if !protocols.is_empty() {
        builder = builder.header(header::SEC_WEBSOCKET_PROTOCOL, protocols.join(", "));
    }
    for (name, value) in own_headers {
        builder = builder.header(name, value);
    }
    builder.body(())
}

/// The lines that a game wants in its handshakes, read.
///
/// # Errors
///
/// Names the line that is no header.
pub(in crate::websocket) fn headers(lines: &[String]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for line in lines {
        let wrong = || format!("\"{}\" is no header line like \"Name: value\"", line.escape_debug());
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        if is_ours(&name) {
            return Err(format!("the header {name} is the handshake's own"));
        }
        map.append(name, value);
    }
    Ok(map)
}

fn is_ours(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_ACCEPT,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
    ]
    .contains(name)
}
