//! What runs a WebSocket endpoint on the network thread: one task for the endpoint, and one for each connection.
//!
//! The endpoint's task takes the game's commands when they are due and hands each link its own, takes whoever knocks at a
//! server's door, and wakes those who wait for room. A connection's task gets through its handshake (`server`, `client`)
//! and then holds its [`conversation`]. All run on the one thread, so they are short and take turns.
//!
//! When the game closes, the door goes first, and with it the port. Then everybody is told goodbye, behind what was queued
//! for him: for as long as he takes it, [`DELIVERY`] at most, or [`GOODBYE`] if the library is about to go.

mod allowance;
mod assembly;
pub(super) mod client;
mod conversation;
mod server;
mod upgrade;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio_tungstenite::tungstenite::http::header::HeaderMap;

use super::close::Goodbye;
use super::command::{Command, Event, Notice};
use super::link::{LinkShared, Order};
use super::pump::PumpEnd;
use super::settings::Settings;
use super::wire::Traffic;
use crate::endpoint::Port;
use crate::limits::{GOODBYE, Limits};
use crate::link::LinkId;
use crate::lock::lock;
use crate::packet::MAX_PACKET_SIZE;
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};
use crate::runtime::{Stopping, until};
use crate::seldom::Seldom;
use crate::stats::EndpointStats;
use crate::tls;

use assembly::Assembly;
use client::Target;
use server::Door;
use waiting::Waiting;

/// How long a link, and with it a closed endpoint, goes on delivering what was queued to somebody who takes it slowly.
const DELIVERY: Duration = Duration::from_secs(30);

/// Connections whose links have ended, and that are still there for the last words. Beyond, they are just cut.
const MOST_LINGERING: usize = 256;

/// What connections are made with.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) settings: Settings,
    headers: HeaderMap,
}

impl Configured {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// Names the line that is none.
    pub(super) fn new(settings: Settings) -> Result<Self, String> {
        let headers = upgrade::headers(&settings.headers)?;
        let (max_message, max_packet) =
            (settings.max_message.min(MAX_PACKET_SIZE), settings.max_packet.min(MAX_PACKET_SIZE));
        Ok(Self { settings: Settings { max_message, max_packet, ..settings }, headers })
    }
}

/// What the game and the network thread both look at.
#[derive(Debug)]
pub(super) struct Common {
    refusing: AtomicBool,
    tls: Mutex<Option<tls::Server>>,
    configured: Mutex<Arc<Configured>>,
    pub(super) totals: Totals,
    /// What everybody is told when the endpoint is closed.
    pub(super) goodbye: Mutex<Goodbye>,
}

impl Common {
    pub(super) fn new(tls: Option<tls::Server>, configured: Configured, goodbye: Goodbye) -> Self {
        Self {
            configured: Mutex::new(Arc::new(configured)),
            refusing: AtomicBool::new(false),
            tls: Mutex::new(tls),
            totals: Totals::default(),
            goodbye: Mutex::new(goodbye),
        }
    }

    pub(super) fn set_refusing(&self, refusing: bool) {
        self.refusing.store(refusing, Ordering::Release);
    }

    fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// The longest packet that may be sent, and how many may wait.
    pub(super) fn outgoing_limits(&self) -> (usize, usize) {
        let configured = lock(&self.configured);
        (configured.settings.max_packet, configured.settings.max_queued_packets.max(1))
    }

    /// For connections to come.
    pub(super) fn configure(&self, configured: Configured) {
        *lock(&self.configured) = Arc::new(configured);
    }

    /// For connections to come.
    pub(super) fn set_tls(&self, identity: tls::Server) {
        *lock(&self.tls) = Some(identity);
    }

    pub(super) fn tls(&self) -> Option<tls::Server> {
        lock(&self.tls).clone()
    }
}

/// Figures of the endpoint, for the game to read at any time.
#[derive(Debug, Default)]
pub(super) struct Totals {
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    writes: AtomicU64,
    reads: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
}

impl Totals {
    /// A link's traffic has grown.
    fn add(&self, before: Traffic, now: Traffic) {
        self.bytes_sent.fetch_add(now.bytes_out - before.bytes_out, Ordering::Relaxed);
        self.bytes_received.fetch_add(now.bytes_in - before.bytes_in, Ordering::Relaxed);
        self.writes.fetch_add(now.writes - before.writes, Ordering::Relaxed);
        self.reads.fetch_add(now.reads - before.reads, Ordering::Relaxed);
    }

    pub(super) fn get(&self, packets_dropped: u64) -> EndpointStats {
        EndpointStats {
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            datagrams_sent: self.writes.load(Ordering::Relaxed),
            datagrams_received: self.reads.load(Ordering::Relaxed),
            datagrams_rejected: self.rejected.load(Ordering::Relaxed),
            connections_refused: self.refused.load(Ordering::Relaxed),
            packets_dropped,
        }
    }
}

/// Who is at the other end, and how to get there.
#[derive(Debug)]
pub(super) enum Ends {
    /// Whoever knocks.
    Guests(std::net::TcpListener),
    /// A server.
    Server { target: Box<Target>, link: LinkId, own: Arc<LinkShared> },
    /// A client that the game has taken, and whose bytes it carries.
    Pumped { end: PumpEnd, link: LinkId, own: Arc<LinkShared>, address: Option<SocketAddr>, encrypted: bool },
}

/// All that a driver is made of, put together on the game's thread.
pub(super) struct Parts {
    pub(super) ends: Ends,
    pub(super) port: Port<Command, Notice>,
    pub(super) common: Arc<Common>,
    pub(super) limits: Limits,
}

/// What all tasks of an endpoint share.
struct Shared {
    port: Port<Command, Notice>,
    common: Arc<Common>,
    takes_guests: bool,
    limits: Mutex<Limits>,
    /// The links that stand or are being made, but for handshakes of guests.
    links: Mutex<HashMap<LinkId, Arc<LinkShared>>>,
    next_link: AtomicU32,
    next_knock: AtomicU64,
    ids: Mutex<HashSet<PeerId>>,
    waiting: Mutex<Waiting>,
    assembly: Mutex<Assembly>,
    complaints: Mutex<Seldom>,
    /// Its clones are who lingers.
    lingering: Arc<()>,
}

impl Shared {
    fn new(port: Port<Command, Notice>, common: Arc<Common>, limits: Limits, takes_guests: bool) -> Self {
        Self {
            port,
            common,
            takes_guests,
            limits: Mutex::new(limits),
            links: Mutex::default(),
            next_link: AtomicU32::new(0),
            next_knock: AtomicU64::new(0),
            ids: Mutex::default(),
            waiting: Mutex::default(),
            assembly: Mutex::default(),
            complaints: Mutex::default(),
            lingering: Arc::default(),
        }
    }

    /// For a connection that is being made.
    fn configured(&self) -> Arc<Configured> {
        lock(&self.common.configured).clone()
    }

    fn limits(&self) -> Limits {
        *lock(&self.limits)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<LinkId, Arc<LinkShared>>> {
        lock(&self.links)
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<PeerId>> {
        lock(&self.ids)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    fn assembly(&self) -> MutexGuard<'_, Assembly> {
        lock(&self.assembly)
    }

    fn totals(&self) -> &Totals {
        &self.common.totals
    }

    fn draw_link(&self) -> LinkId {
        LinkId(self.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// A link has ended.
    fn gone(&self, link: LinkId) {
        self.links().remove(&link);
    }

    /// A place among those whose links have ended, and who still hear the last words; `None` if there are too many.
    fn may_linger(&self) -> Option<Arc<()>> {
        (Arc::strong_count(&self.lingering) <= MOST_LINGERING).then(|| self.lingering.clone())
    }

    /// A link was not made, or has ended in a way that its own task cannot tell.
    fn never_made(&self, link: LinkId, farewell: Farewell) {
        self.gone(link);
        let event = Event::Closed { link, code: None, text: String::new(), farewell, stats: None };
        self.port.deliver(&mut vec![event.into()]);
    }

    /// The game has given up a link that was being made.
    fn given_up(&self, link: LinkId, wanted: Option<Farewell>) {
        match wanted {
            Some(farewell) => self.never_made(link, farewell),
            None => self.gone(link),
        }
    }

    /// Ends a link for a reason that the game hears.
    fn abandon(&self, link: LinkId, farewell: Farewell) {
        let own = self.links().get(&link).cloned();
        if let Some(own) = own {
            own.order(Order::Abandon(farewell));
            own.wake();
        }
    }

    /// There is room again, for some.
    fn wake_paused(&self) {
        self.links().values().for_each(|own| own.wake_if_paused());
    }

    /// Somebody did not come in. A stranger's fault: counted, and logged seldom.
    fn reject(&self, from: SocketAddr, why: &str) {
        self.totals().rejected.fetch_add(1, Ordering::Relaxed);
        self.complain(&format!("{from} did not get in: {why}"));
    }

    fn complain(&self, what: &str) {
        if let Some(more) = lock(&self.complaints).turn() {
            tracing::warn!("{what}{more}");
        }
    }
}

/// The tasks of an endpoint's connections, which end with it.
#[derive(Default)]
struct Tasks(JoinSet<()>);

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn(task)
    }

    /// Waits until one has ended; for ever, if there is none.
    async fn ended(&mut self) {
        if self.0.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    async fn all_ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// If the task of a link dies of a fault of ours, the game hears that the link has ended.
struct Fate {
    shared: Arc<Shared>,
    link: LinkId,
}

impl Fate {
    /// Does what is to be done for a link.
    async fn of(shared: Arc<Shared>, link: LinkId, task: impl Future<Output = ()>) {
        let fate = Self { shared, link };
        task.await;
        drop(fate);
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared
                .never_made(self.link, Farewell::with(Reason::Internal, "the connection's task has died"));
        }
    }
}

/// Runs an endpoint until its handle is closed or the library goes.
pub(super) async fn run(parts: Parts, mut stopping: Stopping) {
    let Parts { ends, port, common, limits } = parts;
    let takes_guests = matches!(ends, Ends::Guests(_));
    let shared = Arc::new(Shared::new(port, common, limits, takes_guests));
    let mut tasks = Tasks::default();
    let mut door = match begin(ends, &shared, &mut tasks) {
        Ok(door) => door,
        Err(error) => {
            tracing::error!("the network failed: {error}");
            shared.port.deliver(&mut vec![Farewell::with(Reason::Network, error.to_string()).into()]);
            return;
        }
    };
    attend(&shared, &mut door, &mut tasks, &mut stopping).await;
    // Somebody may want the port again.
    drop(door);
    shared.port.let_go();
    say_goodbye(&shared, &mut tasks, &mut stopping).await;
    tasks.0.shutdown().await;
}

fn begin(ends: Ends, shared: &Arc<Shared>, tasks: &mut Tasks) -> io::Result<Option<Door>> {
    match ends {
        Ends::Guests(listener) => return Door::open(listener).map(Some),
        Ends::Server { target, link, own } => {
            shared.links().insert(link, own.clone());
            let task = client::run(*target, link, own, shared.clone());
            tasks.spawn(Fate::of(shared.clone(), link, task));
        }
        Ends::Pumped { end, link, own, address, encrypted } => {
            shared.links().insert(link, own.clone());
            let task = server::take_over(end, link, own, address, encrypted, shared.clone());
            tasks.spawn(Fate::of(shared.clone(), link, task));
        }
    }
    Ok(None)
}

/// Does what the game wants and takes guests, until the game closes.
async fn attend(shared: &Arc<Shared>, door: &mut Option<Door>, tasks: &mut Tasks, stopping: &mut Stopping) {
    let mut commands = Vec::new();
    let mut touched = Vec::new();
    // What was set before the endpoint was armed holds before anybody comes in.
    let mut at_once = true;
    loop {
        let at_once = std::mem::take(&mut at_once) || stopping.asked();
        let taken = shared.port.take_commands(&mut commands, Instant::now(), at_once);
        obey(shared, &mut commands, &mut touched);
        if taken.closed || stopping.asked() {
            return;
        }
        // The bell may have rung for it.
        shared.wake_paused();
        // Commands are looked at in each round, so the bell comes last: a game that rings all the time must not keep guests
        // outside.
        tokio::select! {
            biased;
            guest = knock(door.as_ref()) => {
                if let Some(door) = door {
                    door.take(guest, shared, tasks);
                }
            }
            () = tasks.ended() => {}
            () = shared.port.rung() => {}
            () = until(taken.look_at) => {}
            () = stopping.wait() => {}
        }
    }
}

/// Hands each link its orders, and wakes it once for all of them.
fn obey(shared: &Shared, commands: &mut Vec<Command>, touched: &mut Vec<Arc<LinkShared>>) {
    {
        let links = shared.links();
        let mut last: Option<(LinkId, &Arc<LinkShared>)> = None;
        for command in commands.drain(..) {
            match command {
                Command::Limits(limits) => *lock(&shared.limits) = limits,
                Command::Order { link, order } => {
                    if last.is_none_or(|(last, _)| last != link) {
                        let Some(own) = links.get(&link) else { continue };
                        last = Some((link, own));
                        if !own.touched.swap(true, Ordering::Relaxed) {
                            touched.push(own.clone());
                        }
                    }
                    if let Some((_, own)) = last {
                        own.order(order);
                    }
                }
            }
        }
    }
    for own in touched.drain(..) {
        own.touched.store(false, Ordering::Relaxed);
        own.wake();
    }
}

async fn knock(door: Option<&Door>) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match door {
        Some(door) => door.knock().await,
        None => std::future::pending().await,
    }
}

async fn say_goodbye(shared: &Shared, tasks: &mut Tasks, stopping: &mut Stopping) {
    while shared.waiting().make_room() {}
    let goodbye = lock(&shared.common.goodbye).clone();
    let links: Vec<Arc<LinkShared>> = shared.links().values().cloned().collect();
    for own in links {
        own.order(Order::Close(goodbye.clone()));
        own.wake();
    }
    tokio::select! {
        () = tasks.all_ended() => return,
        () = tokio::time::sleep(DELIVERY + GOODBYE) => return,
        () = stopping.wait() => {}
    }
    let _ = tokio::time::timeout(GOODBYE, tasks.all_ended()).await;
}

/// Waits until the game wants no more of a link that does not stand yet; with the farewell that it wants to hear, if any.
async fn given_up(own: &LinkShared) -> Option<Farewell> {
    std::future::poll_fn(|context| {
        own.register(context);
        own.given_up().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::endpoint;

    #[tokio::test]
    async fn a_link_whose_task_dies_ends_for_the_game() {
        let (mut handle, port) = endpoint::pair::<Command, Notice>(1 << 20);
        let configured = Configured::new(Settings::default()).expect("the usual settings");
        let common = Arc::new(Common::new(None, configured, Goodbye::new(1000, "")));
        let shared = Arc::new(Shared::new(port, common, Limits::default(), true));
        let mut tasks = Tasks::default();
        tasks.spawn(Fate::of(shared.clone(), LinkId(7), async { panic!("on purpose") }));
        tasks.ended().await;
        let mut told = VecDeque::new();
        handle.fetch(&mut told);
        let [Notice { event: Event::Closed { link, farewell, .. }, .. }] = told.make_contiguous() else {
            panic!("{} notices", told.len())
        };
        assert_eq!((*link, farewell.reason), (LinkId(7), Reason::Internal));
    }
}
