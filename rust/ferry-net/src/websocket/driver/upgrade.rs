//! From an HTTP request to a WebSocket, at both ends (RFC 6455, section 4).
//!
//! The server reads the request here, and not with tungstenite's own reader, since it wants to answer: whoever asks for
//! something else than a WebSocket, or speaks TLS to a plain port, gets an HTTP status that says so. What makes a request
//! valid is tungstenite's business again. A request has [`MAX_HEAD`] bytes at most; how long it may take is the caller's.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::handshake::client;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{self, Request, create_response};
use tokio_tungstenite::tungstenite::http::header::{HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{self, StatusCode, Version};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::reason::{Farewell, Reason};
use crate::websocket::url::Url;

/// The longest request that is read: eight times what the engine's own class takes.
const MAX_HEAD: usize = 32 * 1024;

/// The first byte of everything that speaks TLS.
pub(super) const TLS_HELLO: u8 = 0x16;

/// What a client asked for and got.
#[derive(Debug)]
pub(super) struct Accepted<S> {
    pub(super) stream: WebSocketStream<S>,
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
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    protocols: &[String],
    own_headers: &HeaderMap,
    config: WebSocketConfig,
) -> Result<Accepted<S>, Refusal> {
    let answer = match read_request(&mut stream).await.map_err(Refusal::Gone)? {
        Ok((request, tail)) => answer(&request, protocols, own_headers)
            .map(|(response, protocol)| (request, tail, response, protocol)),
        Err(rejected) => Err(rejected),
    };
    let (request, tail, response, protocol) = match answer {
        Ok(answer) => answer,
        Err(rejected) => {
            reject(&mut stream, &rejected).await;
            return Err(Refusal::Answered(rejected.text));
        }
    };
    let mut bytes = Vec::new();
    server::write_response(&mut bytes, &response)
        .map_err(|error| Refusal::Gone(io::Error::other(error.to_string())))?;
    stream.write_all(&bytes).await.map_err(Refusal::Gone)?;
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let asked = format!("{host}{}", request.uri());
    let headers = request.into_parts().0.headers;
    let stream = WebSocketStream::from_partially_read(stream, tail, Role::Server, Some(config)).await;
    Ok(Accepted { stream, protocol, asked, headers })
}

async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> io::Result<Result<(Request, Vec<u8>), Rejected>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if head.len() >= MAX_HEAD {
            return Ok(Err(Rejected::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request is too long",
            )));
        }
        let searched = head.len();
        let before = head.len();
        let room = MAX_HEAD - before;
        if (&mut *stream).take(room as u64).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head[0] == TLS_HELLO {
            return Ok(Err(Rejected::new(
                StatusCode::BAD_REQUEST,
                "TLS was spoken to a port that is not encrypted: use ws:// instead of wss://",
            )));
        }
        // Whole once there is an empty line; parsing before would be work for each byte of a slow request.
        let from = searched.saturating_sub(3);
        if head[from..].windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(parse(&head));
        }
    }
}

fn parse(head: &[u8]) -> Result<(Request, Vec<u8>), Rejected> {
    match Request::try_parse(head) {
        Ok(Some((length, request))) => Ok((request, head[length..].to_vec())),
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
        .get_all(SEC_WEBSOCKET_PROTOCOL)
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
                format!("no common sub-protocol: asked for [{}], there is [{}]", asked.join(", "), protocols.join(", ")),
            ));
        }
        Some(chosen) => {
            let value = HeaderValue::from_str(chosen)
                .map_err(|_| Rejected::new(StatusCode::BAD_REQUEST, "the sub-protocol is no header value"))?;
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
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
pub(super) async fn reject<S: AsyncWrite + Unpin>(stream: &mut S, rejected: &Rejected) {
    let Rejected { status, text } = rejected;
    let more = match *status {
        StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        StatusCode::METHOD_NOT_ALLOWED => "Allow: GET\r\n",
        _ => "",
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n{more}Content-Length: {}\r\n\r\n{text}\n",
        text.len() + 1
    );
    // Whoever does not wait for it has hung up already.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Answers plain HTTP at a port that is encrypted.
pub(super) fn not_encrypted() -> Rejected {
    Rejected::new(
        StatusCode::BAD_REQUEST,
        "this port is encrypted: use wss:// instead of ws://",
    )
}

/// Asks a server for a WebSocket; with the sub-protocol that it chose.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &Url,
    protocols: &[String],
    own_headers: &HeaderMap,
    config: WebSocketConfig,
) -> Result<(WebSocketStream<S>, String), Farewell> {
    let request = request(url, protocols, own_headers)
        .map_err(|error| Farewell::with(Reason::Handshake, error.to_string()))?;
    match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
        Ok((stream, response)) => {
            let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
            Ok((stream, chosen.unwrap_or_default().to_owned()))
        }
        Err(error) => Err(refused(&error)),
    }
}

fn request(
    url: &Url,
    protocols: &[String],
    own_headers: &HeaderMap,
) -> Result<client::Request, http::Error> {
    let scheme = if url.is_tls() { "wss" } else { "ws" };
    let mut builder = http::Request::builder()
        .version(Version::HTTP_11)
        .uri(format!("{scheme}://{}{}", url.authority(), url.path()))
        .header(http::header::HOST, url.authority())
        .header(http::header::CONNECTION, "Upgrade")
        .header(http::header::UPGRADE, "websocket")
        .header(http::header::SEC_WEBSOCKET_VERSION, "13")
        .header(http::header::SEC_WEBSOCKET_KEY, client::generate_key());
    if !protocols.is_empty() {
        builder = builder.header(SEC_WEBSOCKET_PROTOCOL, protocols.join(", "));
    }
    for (name, value) in own_headers {
        builder = builder.header(name, value);
    }
    builder.body(())
}

fn refused(error: &WsError) -> Farewell {
    match error {
        WsError::Http(response) => {
            let status = response.status();
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let said = body.lines().next().map(str::trim).unwrap_or_default();
            let said: String = said.chars().filter(|letter| !letter.is_control()).take(MAX_SAID).collect();
            let more = if said.is_empty() { String::new() } else { format!(": {said}") };
            Farewell::with(Reason::Handshake, format!("HTTP status {status}{more}"))
        }
        WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(which)) => {
            let what = match which {
                SubProtocolError::NoSubProtocol => "the server chose no sub-protocol",
                SubProtocolError::InvalidSubProtocol => "the server chose a sub-protocol that was not asked for",
                SubProtocolError::ServerSentSubProtocolNoneRequested => {
                    "the server chose a sub-protocol although none was asked for"
                }
            };
            Farewell::with(Reason::Handshake, what)
        }
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => {
            Farewell::with(Reason::Handshake, "the server hung up during the WebSocket handshake")
        }
        WsError::Io(error) => {
            Farewell::with(Reason::Handshake, format!("the line broke during the WebSocket handshake: {error}"))
        }
        error => Farewell::with(Reason::Handshake, format!("the server's answer is no WebSocket's: {error}")),
    }
}

/// What is shown of a server's text about why it refused.
const MAX_SAID: usize = 200;

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
    use http::header;
    [
        header::HOST,
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
    ]
    .contains(name)
}
