//! A client's way to its server: the name, the addresses one after the other, TLS, the request for a WebSocket.
//!
//! All of it has [`Limits::connect_timeout`](crate::limits::Limits); of what is left of that, each address has its share.
//! Whatever goes wrong ends in a [`Farewell`] that says at which step.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::conversation::{Conversation, Introduction};
use super::upgrade;
use super::{Shared, given_up};
use crate::link::LinkId;
use crate::lookup;
use crate::reason::{Farewell, Reason};
use crate::tls;
use crate::websocket::link::{LinkShared, Particulars};
use crate::websocket::url::Url;
use crate::websocket::wire::{Carriage, Counted, Wire};

/// Whom to reach, and whom to believe.
#[derive(Debug)]
pub(in crate::websocket) struct Target {
    pub(in crate::websocket) url: Url,
    pub(in crate::websocket) trust: tls::Client,
    /// Whether the server's first message gives this client its id.
    pub(in crate::websocket) is_game: bool,
}

/// Which step is being taken: what a time-out says.
#[derive(Clone, Copy, Debug)]
enum Step {
    Lookup,
    Connect,
    Tls,
    Upgrade,
}

/// Connects, and goes on until the end.
pub(super) async fn run(target: Target, link: LinkId, own: Arc<LinkShared>, shared: Arc<Shared>) {
    let deadline = Instant::now() + shared.limits().connect_timeout;
    let mut step = Step::Lookup;
    let reached = {
        let reach = reach(&target, &shared, deadline, &mut step);
        tokio::select! {
            biased;
            wanted = given_up(&own) => return shared.given_up(link, wanted),
            reached = tokio::time::timeout_at(deadline.into(), reach) => reached,
        }
    };
    let reached = reached.unwrap_or_else(|_| Err(too_late(step, &target.url)));
    let (stream, particulars) = match reached {
        Ok(reached) => reached,
        Err(farewell) => return shared.never_made(link, farewell),
    };
    let introduction = if target.is_game { Introduction::Awaited(deadline) } else { Introduction::None };
    Conversation::new(stream, shared, link, own, particulars, introduction, Role::Client).run().await;
}

type Reached = (tokio_tungstenite::WebSocketStream<Wire>, Particulars);

async fn reach(
    target: &Target,
    shared: &Shared,
    deadline: Instant,
    step: &mut Step,
) -> Result<Reached, Farewell> {
    let Target { url, trust, .. } = target;
    let addresses = addresses(url).await?;
    *step = Step::Connect;
    let (tcp, address) = connect(url, &addresses, deadline).await?;
    let carriage = if url.is_tls() {
        *step = Step::Tls;
        encrypt(tcp, url, trust).await?
    } else {
        Carriage::Tcp(Counted::new(tcp))
    };
    *step = Step::Upgrade;
    let (stream, protocol) = upgrade::ask(Wire::new(carriage), url, &shared.configured()).await?;
    let particulars = Particulars {
        address: Some(address),
        protocol,
        url: url.as_str().to_owned(),
        encrypted: url.is_tls(),
    };
    Ok((stream, particulars))
}

async fn addresses(url: &Url) -> Result<Vec<SocketAddr>, Farewell> {
    if let Some(ip) = lookup::literal(url.host()) {
        return Ok(vec![SocketAddr::new(ip, url.port())]);
    }
    let found = lookup::found(url.host().to_owned(), url.port()).await;
    found.map_err(|why| Farewell::with(Reason::Resolve, why))
}

async fn connect(
    url: &Url,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), Farewell> {
    let mut failures = Vec::new();
    for (number, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - number).unwrap_or(1);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                let _ = tcp.set_nodelay(true);
                return Ok((tcp, *address));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                failures.push(format!("nothing listens at {address}"));
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("no answer from {address}")),
        }
    }
    if Instant::now() >= deadline {
        return Err(too_late(Step::Connect, url));
    }
    Err(Farewell::with(Reason::Unreachable, failures.join("; ")))
}

async fn encrypt(tcp: TcpStream, url: &Url, trust: &tls::Client) -> Result<Carriage, Farewell> {
    let stream = tls::connect(trust, url.host(), Counted::new(tcp)).await;
    let stream = stream.map_err(|why| Farewell::with(Reason::Tls, why))?;
    Ok(Carriage::Tls(Box::new(TlsStream::Client(stream))))
}

fn too_late(step: Step, url: &Url) -> Farewell {
    let what = match step {
        // As on every transport.
        Step::Lookup => {
            return Farewell::with(Reason::Resolve, format!("the look-up of {} took too long", url.host()));
        }
        Step::Connect => format!("nobody answers at {}:{}", url.host(), url.port()),
        Step::Tls => "connected, but the TLS handshake took too long".to_owned(),
        Step::Upgrade => "connected, but the WebSocket handshake took too long".to_owned(),
    };
    Farewell::with(Reason::ConnectTimeout, what)
}
