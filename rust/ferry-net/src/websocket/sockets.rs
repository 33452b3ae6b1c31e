//! The game's side of a WebSocket endpoint: a server with its guests, or one connection, to be told what to do and asked
//! what happened.
//!
//! [`Sockets`] is a handle: clones mean the same endpoint, which ends when the last is dropped or one says
//! [`Sockets::close`]. None of its calls touches the network, but for [`open_server`], which takes the port so that one in
//! use is an error at once, and closing, which gives it back.
//!
//! What is seen of a link ([`Sockets::phase`], for one) changes only when its event is fetched, or when the game itself ends
//! it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};

use super::close::{GOING_AWAY, Goodbye, NORMAL};
use super::command::{Command, Event, Made, Notice};
use super::driver::client::Target;
use super::driver::{self, Common, Configured, Ends, Parts};
use super::link::{Kind, LinkShared, Order, Outgoing, Particulars, Phase};
use super::pump::{self, Pump};
use super::settings::Settings;
use super::url::Url;
use crate::bind_address::BindAddress;
use crate::create_error::CreateError;
use crate::endpoint;
use crate::game_side::GameSide;
use crate::id_map::IdMap;
use crate::limits::{CLOSE_BOUND, Limits};
use crate::link::{LinkError, LinkId};
use crate::lock::lock;
use crate::reason::Farewell;
use crate::runtime;
use crate::stats::{EndpointStats, LinkStats};
use crate::tls;

/// Connections that the system holds until they are taken: a whole server's worth may come in the same moment.
const BACKLOG: i32 = 4096;

/// The name of the only link of an endpoint that is no server.
const ONLY: LinkId = LinkId::ONLY;

/// The handle of an endpoint.
#[derive(Clone)]
pub struct Sockets {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    side: GameSide<Command, Notice, Parts>,
    links: IdMap<LinkId, LinkView>,
    /// What is left to tell of links that have ended; of the last ones, if there were very many.
    departed: BTreeMap<LinkId, Departed>,
    common: Arc<Common>,
    local_port: u16,
    limits: Limits,
    max_packet: usize,
    max_queued_packets: usize,
}

/// A link as the game sees it.
struct LinkView {
    phase: Phase,
    shared: Arc<LinkShared>,
    particulars: Particulars,
}

/// Opens a game's server, which gives each client its id. With an identity, it speaks TLS.
///
/// # Errors
///
/// If a setting makes no sense, or the port cannot be had.
pub fn open_server(
    bind: BindAddress,
    port: u16,
    identity: Option<tls::Server>,
    settings: Settings,
    limits: Limits,
) -> Result<Sockets, CreateError> {
    let configured = Configured::new(settings).map_err(CreateError::Invalid)?;
    let listener = bind.open(|ip| listen_at(ip, port)).map_err(CreateError::Bind)?;
    let local_port = listener.local_addr().map_err(CreateError::Bind)?.port();
    let common = Common::new(identity, configured, Goodbye::new(GOING_AWAY, ""));
    Ok(Sockets::open(Ends::Guests(listener), IdMap::default(), common, local_port, limits))
}

/// Opens a game's client and begins to connect. The server gives it its id.
///
/// # Errors
///
/// If a setting makes no sense.
pub fn open_client(
    url: Url,
    trust: tls::Client,
    settings: Settings,
    limits: Limits,
) -> Result<(Sockets, LinkId), CreateError> {
    connect(url, trust, settings, limits, true)
}

/// Opens a connection to any WebSocket server.
///
/// # Errors
///
/// If a setting makes no sense.
pub fn open_plain(
    url: Url,
    trust: tls::Client,
    settings: Settings,
    limits: Limits,
) -> Result<(Sockets, LinkId), CreateError> {
    connect(url, trust, settings, limits, false)
}

fn connect(
    url: Url,
    trust: tls::Client,
    settings: Settings,
    limits: Limits,
    is_game: bool,
) -> Result<(Sockets, LinkId), CreateError> {
    let particulars =
        Particulars { url: url.as_str().to_owned(), encrypted: url.is_tls(), ..Particulars::default() };
    let view = LinkView::new(particulars);
    let ends = Ends::Server {
        target: Box::new(Target { url, trust, is_game }),
        link: ONLY,
        own: view.shared.clone(),
    };
    one_link(ends, view, settings, limits)
}

/// Takes over a connection that somebody else has accepted, and whose bytes he carries through the [`Pump`].
///
/// # Errors
///
/// If a setting makes no sense.
pub fn open_pumped(
    address: Option<SocketAddr>,
    encrypted: bool,
    settings: Settings,
    limits: Limits,
) -> Result<(Sockets, LinkId, Pump), CreateError> {
    let (pump, end) = pump::pair();
    let view = LinkView::new(Particulars { address, encrypted, ..Particulars::default() });
    let ends = Ends::Pumped { end, link: ONLY, own: view.shared.clone(), address, encrypted };
    let (sockets, link) = one_link(ends, view, settings, limits)?;
    Ok((sockets, link, pump))
}

fn one_link(
    ends: Ends,
    view: LinkView,
    settings: Settings,
    limits: Limits,
) -> Result<(Sockets, LinkId), CreateError> {
    let configured = Configured::new(settings).map_err(CreateError::Invalid)?;
    let common = Common::new(None, configured, Goodbye::new(NORMAL, ""));
    let links = IdMap::from_iter([(ONLY, view)]);
    Ok((Sockets::open(ends, links, common, 0, limits), ONLY))
}

fn listen_at(ip: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // So that a server can begin again where its last connections linger. On Windows it would mean that two may
    // listen.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A link that has ended.
struct Departed {
    goodbye: Option<Goodbye>,
    particulars: Particulars,
}

/// Links that are remembered after their end.
const MOST_DEPARTED: usize = 4096;

impl LinkView {
    fn new(particulars: Particulars) -> Self {
        Self { phase: Phase::Connecting, shared: Arc::default(), particulars }
    }
}

impl Sockets {
    fn open(
        ends: Ends,
        links: IdMap<LinkId, LinkView>,
        common: Common,
        local_port: u16,
        limits: Limits,
    ) -> Self {
        let limits = limits.bounded();
        let frees_port = matches!(ends, Ends::Guests(_));
        let (handle, port) = endpoint::pair(limits.inbound);
        let (max_packet, max_queued_packets) = common.outgoing_limits();
        let common = Arc::new(common);
        let parts = Parts { ends, port, common: common.clone(), limits };
        let start = |parts| runtime::spawn(|stopping| driver::run(parts, stopping));
        let side = GameSide::new(handle, parts, start, frees_port);
        let departed = BTreeMap::new();
        let inner =
            Inner { side, links, departed, common, local_port, limits, max_packet, max_queued_packets };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Whether both mean the same endpoint.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.lock().side.is_closed()
    }

    /// The port that a server listens on; 0 for others.
    pub fn local_port(&self) -> u16 {
        self.lock().local_port
    }

    /// From now on, a server shows this certificate to those who come. Nobody who is there is disturbed.
    pub fn renew_tls(&self, identity: tls::Server) {
        self.lock().common.set_tls(identity);
    }

    /// Lets everything that was queued leave, and arms the endpoint.
    pub fn flush(&self) {
        self.lock().side.flush();
    }

    /// Another turn of the game begins: lets everything leave that was queued in the last one.
    pub fn begin_turn(&self) {
        self.lock().side.begin_turn();
    }

    /// The next thing that happened. What it changes is changed when this returns.
    pub fn next_event(&self) -> Option<Event> {
        self.next_event_unless(&mut |_| false)
    }

    /// The next thing that happened, unless `hold` wants it to wait: then it stays the next.
    pub fn next_event_unless(&self, hold: &mut dyn FnMut(&Event) -> bool) -> Option<Event> {
        let mut inner = self.lock();
        loop {
            let notice = inner.side.next(|notice| hold(&notice.event))?;
            if let Some(event) = inner.see(notice) {
                return Some(event);
            }
        }
    }

    /// Lets everything leave and waits until there is an event, at most for `bound`.
    pub fn wait_for_event(&self, bound: Duration) -> Option<Event> {
        self.flush();
        if let Some(event) = self.next_event() {
            return Some(event);
        }
        let wait = self.lock().side.wait()?;
        // Not under the lock: others may want to send meanwhile.
        wait.for_events(bound);
        self.next_event()
    }

    /// Queues a message. One that is `droppable` may get lost if the other end reads too slowly; then others of its kind
    /// that are older go first.
    ///
    /// # Errors
    ///
    /// If the link or the message is not fit for it. Text must be UTF-8, which is the caller's business.
    pub fn send(&self, link: LinkId, kind: Kind, payload: Bytes, droppable: bool) -> Result<(), LinkError> {
        let inner = self.lock();
        let view = inner.links.get(&link).ok_or(LinkError::Gone)?;
        if view.phase != Phase::Open {
            return Err(LinkError::NotConnected);
        }
        if payload.len() > inner.max_packet {
            return Err(LinkError::OverLimit(inner.max_packet));
        }
        if !droppable {
            let (own, length) = (&view.shared, payload.len());
            if own.queued.load(Ordering::Acquire) >= inner.max_queued_packets
                || !own.room.reserve(length, inner.limits.outbound)
            {
                return Err(LinkError::QueueFull(own.room.taken()));
            }
            own.queued.fetch_add(1, Ordering::AcqRel);
        }
        let order = Order::Send(Outgoing { kind, payload, droppable });
        inner.side.push(Command::Order { link, order })
    }

    /// Says goodbye once everything that is queued was sent; an event follows. A link that does not stand yet has nobody to
    /// say it to, and is forgotten at once.
    pub fn close_link(&self, link: LinkId, code: u16, text: &str) {
        let mut inner = self.lock();
        let Some(view) = inner.links.get_mut(&link) else { return };
        match view.phase {
            Phase::Connecting => inner.drop_link(link),
            Phase::Closing => {}
            Phase::Open => {
                view.phase = Phase::Closing;
                inner.order(link, Order::Close(Goodbye::new(code, text)));
                inner.side.flush();
            }
        }
    }

    /// Forgets a link at once, without a word to anybody and without an event.
    pub fn drop_link(&self, link: LinkId) {
        self.lock().drop_link(link);
    }

    /// Ends a link at once; an event with this farewell follows.
    pub fn abandon(&self, link: LinkId, farewell: Farewell) {
        let mut inner = self.lock();
        if let Some(view) = inner.links.get_mut(&link) {
            view.phase = Phase::Closing;
            inner.order(link, Order::Abandon(farewell));
            inner.side.flush();
        }
    }

    /// Where a link stands; `None` once it has ended.
    pub fn phase(&self, link: LinkId) -> Option<Phase> {
        self.lock().links.get(&link).map(|view| view.phase)
    }

    /// What else is known of a link; for a while also after its end.
    pub fn particulars(&self, link: LinkId) -> Option<Particulars> {
        let inner = self.lock();
        let standing = inner.links.get(&link).map(|view| &view.particulars);
        standing.or_else(|| inner.departed.get(&link).map(|departed| &departed.particulars)).cloned()
    }

    /// Code and text of the goodbye that a link has ended with; `None` if it stands or ended without one.
    pub fn goodbye(&self, link: LinkId) -> Option<(u16, String)> {
        let inner = self.lock();
        let goodbye = inner.departed.get(&link)?.goodbye.as_ref()?;
        Some((goodbye.code, goodbye.text.clone()))
    }

    /// From now on, connections are made with these settings, and packets sent.
    ///
    /// # Errors
    ///
    /// If one makes no sense; then everything is as it was.
    pub fn set_settings(&self, settings: Settings) -> Result<(), CreateError> {
        let configured = Configured::new(settings).map_err(CreateError::Invalid)?;
        let mut inner = self.lock();
        inner.common.configure(configured);
        (inner.max_packet, inner.max_queued_packets) = inner.common.outgoing_limits();
        Ok(())
    }

    /// Bytes of packets that wait to be sent on a link.
    pub fn queued_bytes(&self, link: LinkId) -> usize {
        self.lock().links.get(&link).map_or(0, |view| view.shared.room.taken())
    }

    /// Whether small writes leave at once: on, until told otherwise.
    pub fn set_no_delay(&self, link: LinkId, enabled: bool) {
        self.lock().order(link, Order::NoDelay(enabled));
    }

    /// How often a link is pinged; `None` for what the peer timeout calls for.
    pub fn set_heartbeat(&self, link: LinkId, interval: Option<Duration>) {
        self.lock().order(link, Order::Heartbeat(interval));
    }

    /// Figures of a link, in the words that all transports share.
    pub fn stats(&self, link: LinkId) -> Option<LinkStats> {
        self.lock().links.get(&link).map(|view| view.shared.stats())
    }

    /// Figures of the endpoint.
    pub fn endpoint_stats(&self) -> EndpointStats {
        let inner = self.lock();
        inner.common.totals.get(inner.side.dropped())
    }

    /// Sets limits, for links that stand too.
    pub fn set_limits(&self, limits: Limits) {
        let limits = limits.bounded();
        let mut inner = self.lock();
        inner.limits = limits;
        inner.side.set_inbound_limit(limits.inbound);
        // Once closed there is nothing to limit.
        let _ = inner.side.push(Command::Limits(limits));
    }

    /// Whether those who want in are told no from now on.
    pub fn set_refusing(&self, refusing: bool) {
        self.lock().common.set_refusing(refusing);
    }

    /// Keeps note of links that the game ends without an event, from now on.
    pub(super) fn adopt(&self) {
        self.lock().side.adopt();
    }

    /// Those links, since it was asked last.
    pub(super) fn taken_away(&self) -> Vec<LinkId> {
        self.lock().side.taken_away()
    }

    /// Ends the endpoint: what is queued is still delivered and everybody is told, on the network thread. A server's port is
    /// free again when this returns.
    pub fn close(&self) {
        self.begin_close();
        self.finish_close(Instant::now() + CLOSE_BOUND);
    }

    /// The first half of closing; does not wait.
    pub(super) fn begin_close(&self) {
        let mut inner = self.lock();
        let has_links = !inner.links.is_empty();
        inner.side.begin_close(has_links);
        inner.all_depart();
    }

    /// The second half: waits for the port, if there is one.
    pub(super) fn finish_close(&self, until: Instant) {
        let closing = self.lock().side.closing();
        // Not under the lock.
        if let Some(closing) = closing {
            closing.finish(until);
        }
    }
}

impl Inner {
    fn order(&self, link: LinkId, order: Order) {
        // Once closed there is nobody to order.
        let _ = self.side.push(Command::Order { link, order });
    }

    fn drop_link(&mut self, link: LinkId) {
        if self.depart(link, None).is_some() {
            self.side.took_away(link);
            self.order(link, Order::Drop);
            self.side.flush();
        }
    }

    /// A link has ended. Returns what is left of it, if there was one.
    fn depart(&mut self, link: LinkId, goodbye: Option<Goodbye>) -> Option<Arc<LinkShared>> {
        let LinkView { shared, particulars, .. } = self.links.remove(&link)?;
        self.departed.insert(link, Departed { goodbye, particulars });
        if self.departed.len() > MOST_DEPARTED {
            self.departed.pop_first();
        }
        Some(shared)
    }

    fn all_depart(&mut self) {
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.depart(link, None);
        }
    }

    /// Makes the event's change. `None` if it is about a link that the game has ended itself.
    fn see(&mut self, Notice { mut event, made }: Notice) -> Option<Event> {
        match &mut event {
            Event::Connected { link, .. } => {
                let Made { shared, particulars, incoming } = *made?;
                // A link that this end asked for and gave up meanwhile stays given up.
                if !incoming && !self.links.contains_key(link) {
                    return None;
                }
                self.links.insert(*link, LinkView { phase: Phase::Open, shared, particulars });
                Some(event)
            }
            Event::Message { link, .. } => {
                let view = self.links.get(link)?;
                view.shared.fetched();
                (view.phase == Phase::Open).then_some(event)
            }
            Event::Closed { link, code, text, stats, .. } => {
                let goodbye = code.map(|code| Goodbye { code, text: text.clone() });
                *stats = Some(Box::new(self.depart(*link, goodbye)?.stats()));
                Some(event)
            }
            Event::Failed(_) => {
                self.side.has_failed();
                self.all_depart();
                Some(event)
            }
        }
    }
}
