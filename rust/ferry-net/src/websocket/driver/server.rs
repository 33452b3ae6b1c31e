//! A server's door: taking connections, getting them through their handshakes, and letting them in or not.
//!
//! Everybody has [`Limits::connect_timeout`](crate::limits::Limits) from the connection to the end of his handshake, and
//! `waiting` bounds how many are at it. Who cannot come in is told why in a goodbye, which browsers show their pages.
//! What strangers do wrong is counted, and logged seldom.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_tungstenite::tungstenite::http::header::{FORWARDED, HeaderMap, HeaderName};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::conversation::{self, Conversation, Introduction};
use super::upgrade::{self, Accepted, Refusal};
use super::{Fate, Shared, Tasks, given_up};
use crate::address::canonical;
use crate::link::LinkId;
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};
use crate::tls;
use crate::websocket::link::{LinkShared, Particulars};
use crate::websocket::proxies::{self, ProxyHeader};
use crate::websocket::pump::PumpEnd;
use crate::websocket::wire::{Carriage, Counted, Wire};

/// Connections taken in a turn.
const TAKEN_IN_A_TURN: usize = 64;

/// How long to wait when the system has no room for more connections, after having made some.
const OUT_OF_FILES: Duration = Duration::from_millis(20);

/// What is kept of what a guest asked for.
const LONGEST_URL: usize = 1024;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where clients knock.
pub(super) struct Door {
    listener: TcpListener,
    /// The system has no room for more connections, until then.
    shut_until: Option<Instant>,
}

impl Door {
    /// Opens it, in the runtime that this is called in.
    pub(super) fn open(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, shut_until: None })
    }

    /// The next who knocks.
    pub(super) async fn knock(&self) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(until) = self.shut_until {
            tokio::time::sleep_until(until.into()).await;
        }
        self.listener.accept().await
    }

    /// Takes somebody, and whoever waits behind him, a turn's worth.
    pub(super) fn take(
        &mut self,
        first: io::Result<(TcpStream, SocketAddr)>,
        shared: &Arc<Shared>,
        tasks: &mut Tasks,
    ) {
        self.shut_until = None;
        let mut next = Some(first);
        let mut left = TAKEN_IN_A_TURN;
        while let Some(knocked) = next {
            match knocked {
                Ok((tcp, from)) => begin(tcp, canonical(from), shared, tasks),
                Err(error) => return self.trouble(&error, shared),
            }
            left -= 1;
            // What is taken is begun: one more than the turn's share would be dropped.
            next = if left > 0 { self.listener.accept().now_or_never() } else { None };
        }
    }

    /// Connections that were cut before they were taken are nothing; no room for more is for those to make who wait.
    fn trouble(&mut self, error: &io::Error, shared: &Shared) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        shared.waiting().make_room();
        self.shut_until = Some(Instant::now() + OUT_OF_FILES);
        shared.complain(&format!(
            "a connection could not be taken: {error} (if it is open files that are too many, raise their limit: ulimit -n)"
        ));
    }
}

fn begin(tcp: TcpStream, from: SocketAddr, shared: &Arc<Shared>, tasks: &mut Tasks) {
    let knock = shared.next_knock.fetch_add(1, Ordering::Relaxed);
    let task = tasks.spawn(welcome(tcp, from, knock, shared.clone()));
    let is_proxy = proxies::are(&shared.configured().settings.trusted_proxies, from.ip());
    shared.waiting().add(from.ip(), is_proxy, knock, task);
}

async fn welcome(tcp: TcpStream, from: SocketAddr, knock: u64, shared: Arc<Shared>) {
    let bound = shared.limits().connect_timeout;
    let place = Place { shared: shared.clone(), from, knock };
    // In a box of its own, which is gone when the link stands.
    let shaken = Box::pin(tokio::time::timeout(bound, shake_hands(tcp, &shared))).await;
    let guest = match shaken {
        Ok(Ok(guest)) => guest,
        Ok(Err(why)) => return shared.reject(from, &why),
        Err(_) => {
            return shared
                .reject(from, &format!("the handshake took longer than {:.1} s", bound.as_secs_f64()));
        }
    };
    if let Some(reason) = shared.refusal() {
        shared.totals().refused.fetch_add(1, Ordering::Relaxed);
        return conversation::turn_away(guest.stream, reason).await;
    }
    drop(place);
    let link = shared.draw_link();
    // The same again.
    Box::pin(Fate::of(shared.clone(), link, let_in(guest, from, link, shared).run())).await;
}

/// A guest's place among those whose handshake is under way.
struct Place {
    shared: Arc<Shared>,
    from: SocketAddr,
    knock: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.waiting().remove(self.from.ip(), self.knock);
    }
}

/// TLS, if it is spoken here, and the request for a WebSocket.
async fn shake_hands(tcp: TcpStream, shared: &Shared) -> Result<Accepted, String> {
    let _ = tcp.set_nodelay(true);
    let identity = shared.common.tls();
    let carriage = match identity {
        None => Carriage::Tcp(Counted::new(tcp)),
        Some(identity) => encrypted(tcp, &identity).await?,
    };
    match upgrade::accept(Wire::new(carriage), &shared.configured()).await {
        Ok(accepted) => Ok(accepted),
        Err(Refusal::Answered(why)) => Err(why),
        Err(Refusal::Gone(error)) => Err(format!("it hung up during the handshake: {error}")),
    }
}

async fn encrypted(tcp: TcpStream, identity: &tls::Server) -> Result<Carriage, String> {
    let mut first = [0];
    if tcp.peek(&mut first).await.is_ok_and(|read| read == 1) && first[0] != upgrade::TLS_HELLO {
        let rejected = upgrade::not_encrypted();
        upgrade::reject(Wire::new(Carriage::Tcp(Counted::new(tcp))), &rejected).await;
        return Err("TLS was expected, and something else came".to_owned());
    }
    let accepted = TlsAcceptor::from(identity.config()).accept(Counted::new(tcp)).await;
    match accepted {
        Ok(stream) => Ok(Carriage::Tls(Box::new(TlsStream::Server(stream)))),
        Err(error) => Err(format!("the TLS handshake failed: {}", tls::explain(&error, tls::End::Server))),
    }
}

/// Takes over a connection that the game has accepted itself and pumps: it does the same at its own pace.
pub(super) async fn take_over(
    end: PumpEnd,
    link: LinkId,
    own: Arc<LinkShared>,
    address: Option<SocketAddr>,
    encrypted: bool,
    shared: Arc<Shared>,
) {
    let bound = shared.limits().connect_timeout;
    let configured = shared.configured();
    let wire = Wire::new(Carriage::Pumped(end));
    let upgrade = upgrade::accept(wire, &configured);
    let accepted = tokio::select! {
        biased;
        wanted = given_up(&own) => return shared.given_up(link, wanted),
        accepted = tokio::time::timeout(bound, upgrade) => accepted,
    };
    let farewell = match accepted {
        Ok(Ok(guest)) => {
            let particulars = particulars(&guest, address, encrypted);
            let introduction = Introduction::None;
            return Conversation::new(
                guest.stream,
                shared,
                link,
                own,
                particulars,
                introduction,
                Role::Server,
            )
            .run()
            .await;
        }
        Ok(Err(Refusal::Answered(why))) => Farewell::with(Reason::Handshake, why),
        Ok(Err(Refusal::Gone(error))) => {
            Farewell::with(Reason::Handshake, format!("the other side hung up during the handshake: {error}"))
        }
        Err(_) => Farewell::with(Reason::ConnectTimeout, "the WebSocket handshake took too long"),
    };
    shared.never_made(link, farewell);
}

fn particulars(guest: &Accepted, address: Option<SocketAddr>, encrypted: bool) -> Particulars {
    let scheme = if encrypted { "wss" } else { "ws" };
    let mut url = format!("{scheme}://{}", guest.asked);
    url.truncate(url.floor_char_boundary(LONGEST_URL));
    Particulars { address, protocol: guest.protocol.clone(), url, encrypted }
}

fn let_in(guest: Accepted, from: SocketAddr, link: LinkId, shared: Arc<Shared>) -> Conversation {
    let introduction = Introduction::Given(shared.draw_id());
    let own = Arc::new(LinkShared::default());
    shared.links().insert(link, own.clone());
    let address = player_address(from, &guest.headers, &shared);
    let encrypted = guest.stream.get_ref().is_encrypted();
    let particulars = particulars(&guest, Some(address), encrypted);
    Conversation::new(guest.stream, shared, link, own, particulars, introduction, Role::Server)
}

/// Behind a trusted proxy, what that one says; the port is the proxy's own then, and means nothing.
fn player_address(from: SocketAddr, headers: &HeaderMap, shared: &Shared) -> SocketAddr {
    let configured = shared.configured();
    let trusted = &configured.settings.trusted_proxies;
    let header = match configured.settings.proxy_header {
        ProxyHeader::XForwardedFor => &X_FORWARDED_FOR,
        ProxyHeader::Forwarded => &FORWARDED,
    };
    let values: Vec<&str> = headers.get_all(header).iter().filter_map(|value| value.to_str().ok()).collect();
    let original = proxies::original(trusted, from.ip(), configured.settings.proxy_header, &values);
    original.map_or(from, |ip| SocketAddr::new(ip, from.port()))
}

impl Shared {
    /// Why nobody is let in at the moment.
    fn refusal(&self) -> Option<Reason> {
        if self.common.is_refusing() {
            Some(Reason::Refused)
        } else if self.links().len() >= self.configured().settings.max_clients || !self.port.has_room() {
            // A game that hears nobody for so long that its inbox is full has no room for more.
            Some(Reason::ServerFull)
        } else {
            None
        }
    }

    fn draw_id(&self) -> PeerId {
        let mut ids = self.ids();
        loop {
            let id = PeerId::draw();
            if ids.insert(id) {
                return id;
            }
        }
    }
}
