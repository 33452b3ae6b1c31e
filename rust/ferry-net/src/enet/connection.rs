//! The game's side of an ENet endpoint: one socket and its links, to be told what to do and asked what happened.
//!
//! A [`Connection`] is a handle: clones mean the same endpoint, which ends when the last is dropped or one says
//! [`Connection::close`]. None of its calls touches the network, but for [`Connection::bind`], which takes the port so that
//! one in use is an error at once, and closing, which gives it back.
//!
//! The endpoint is *armed*, that is given to the network thread, by the first [`flush`](Connection::flush) or
//! [`next_event`](Connection::next_event). Until then it is only set up, and nothing leaves.
//!
//! What is seen of a link ([`Connection::phase`], for one) changes only when its event is fetched, or when the game itself
//! ends it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_enet::{Host, Mode, PeerStats, ThrottleConfig, Timeouts};

use super::command::{Command, Event, Made, Notice, Target};
use super::compression::Mode as Compression;
use super::driver::{self, Parts, Totals};
use super::guests::Guests;
use super::link::{Ending, LinkShared, Phase, takes_room};
use super::settings::{HostSettings, MAX_CHANNELS};
use crate::create_error::CreateError;
use crate::endpoint;
use crate::game_side::GameSide;
use crate::id_map::IdMap;
use crate::limits::{CLOSE_BOUND, Limits};
use crate::link::{LinkError, LinkId};
use crate::lock::lock;
use crate::packet::MAX_PACKET_SIZE;
use crate::random;
use crate::reason::{Farewell, Reason};
use crate::runtime;
use crate::stats::{EndpointStats, LinkStats};
use crate::udp::UdpPort;

/// The handle of an endpoint.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    side: GameSide<Command, Notice, Parts>,
    links: IdMap<LinkId, LinkView>,
    guests: Arc<Guests>,
    totals: Arc<Totals>,
    next_link: Arc<AtomicU32>,
    goodbye_word: Arc<AtomicU32>,
    local: SocketAddr,
    max_peers: usize,
    max_channels: u8,
    limits: Limits,
}

/// A link as the game sees it.
struct LinkView {
    phase: Phase,
    shared: Arc<LinkShared>,
    channels: u8,
}

impl Connection {
    /// Opens a socket. With `with_ids`, clients claim the id of a player with their connect data, and are refused if they
    /// cannot have it.
    ///
    /// # Errors
    ///
    /// Names what is out of range, or why the port cannot be had.
    pub fn bind(settings: &HostSettings, limits: Limits, with_ids: bool) -> Result<Self, CreateError> {
        let limits = limits.bounded();
        let host = Host::new(settings.config(&limits), random::source())
            .map_err(|error| CreateError::Invalid(error.to_string()))?;
        let socket = UdpPort::bind(settings.bind, settings.port).map_err(CreateError::Bind)?;
        let local = socket.local_address();
        let (handle, port) = endpoint::pair(limits.inbound);
        let guests = Arc::new(Guests::new(with_ids));
        let totals = Arc::new(Totals::default());
        let next_link = Arc::new(AtomicU32::new(0));
        let goodbye_word = Arc::new(AtomicU32::new(Reason::LocalClose.word()));
        let mut parts = Parts {
            host,
            socket,
            port,
            guests: guests.clone(),
            next_link: next_link.clone(),
            goodbye_word: goodbye_word.clone(),
            totals: totals.clone(),
            limits,
        };
        let deciding = guests.clone();
        parts.host.set_admission(move |request| deciding.admit(request.data));
        let start = |parts| runtime::spawn(|stopping| driver::run(parts, stopping));
        let frees_port = settings.frees_port || settings.port != 0;
        let inner = Inner {
            side: GameSide::new(handle, parts, start, frees_port),
            links: IdMap::default(),
            guests,
            totals,
            next_link,
            goodbye_word,
            local,
            max_peers: settings.max_peers,
            max_channels: settings.channel_limit(),
            limits,
        };
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
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

    /// The port that the socket listens on.
    pub fn local_port(&self) -> u16 {
        self.lock().local.port()
    }

    /// The most channels of a connection that somebody else makes.
    pub fn max_channels(&self) -> u8 {
        self.lock().max_channels
    }

    /// Asks somebody for a connection of so many channels, 0 for as many as there may be; `data` is a word to the other end.
    ///
    /// # Errors
    ///
    /// [`LinkError::Gone`] once closed, [`LinkError::NoFreeLink`] if there are as many links as there may be.
    pub fn connect(&self, target: Target, channels: u8, data: u32) -> Result<LinkId, LinkError> {
        let mut inner = self.lock();
        if inner.links.len() >= inner.max_peers {
            return Err(LinkError::NoFreeLink);
        }
        let link = LinkId(inner.next_link.fetch_add(1, Ordering::Relaxed));
        let address = if let Target::Address(address) = &target { Some(*address) } else { None };
        let shared = Arc::new(LinkShared::new(address));
        let channels = if channels == 0 { MAX_CHANNELS } else { channels };
        inner.side.push(Command::Connect { link, shared: shared.clone(), target, channels, data })?;
        inner.links.insert(link, LinkView { phase: Phase::Connecting, shared, channels });
        Ok(link)
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
        self.lock().next_event_unless(hold)
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

    /// Queues a packet.
    ///
    /// # Errors
    ///
    /// If the link or the packet is not fit for it.
    pub fn send(&self, link: LinkId, channel: u8, mode: Mode, payload: Bytes) -> Result<(), LinkError> {
        let inner = self.lock();
        let view = inner.links.get(&link).ok_or(LinkError::Gone)?;
        if view.phase != Phase::Connected {
            return Err(LinkError::NotConnected);
        }
        if channel >= view.channels {
            return Err(LinkError::NoSuchChannel(view.channels));
        }
        if payload.len() > MAX_PACKET_SIZE {
            return Err(LinkError::TooLarge);
        }
        if takes_room(mode, payload.len()) && !view.shared.room.reserve(payload.len(), inner.limits.outbound)
        {
            return Err(LinkError::QueueFull(view.shared.room.taken()));
        }
        inner.side.push(Command::Send { link, channel, mode, payload })
    }

    /// Ends a link. With [`Ending::Disconnect`] and [`Ending::Later`] an event follows.
    pub fn end(&self, link: LinkId, how: Ending, word: u32) {
        let mut inner = self.lock();
        let Some(view) = inner.links.get_mut(&link) else { return };
        // What is not made yet, as the game sees it, has nobody to wait for, even if the other end has answered meanwhile.
        let how = if view.phase == Phase::Connecting { Ending::Now } else { how };
        let at_once = matches!(how, Ending::Now | Ending::Reset);
        view.phase = if how == Ending::Later { Phase::DisconnectLater } else { Phase::Disconnecting };
        if at_once {
            inner.links.remove(&link);
            inner.side.took_away(link);
        }
        // Once closed there is nothing to end.
        let _ = inner.side.push(Command::End { link, how, word });
    }

    /// Ends a link at once; an event with this farewell follows.
    pub fn abandon(&self, link: LinkId, farewell: Farewell) {
        let mut inner = self.lock();
        if let Some(view) = inner.links.get_mut(&link) {
            view.phase = Phase::Disconnecting;
            let _ = inner.side.push(Command::Abandon { link, farewell });
        }
    }

    /// From now on, notes links that the game ends without an event: whoever keeps a list of peers has to know.
    pub fn adopt(&self) {
        self.lock().side.adopt();
    }

    /// The links that the game has ended without an event since it was asked last.
    pub fn taken_away(&self) -> Vec<LinkId> {
        self.lock().side.taken_away()
    }

    /// Every link that is being made, stands or is being ended.
    pub fn links(&self) -> Vec<LinkId> {
        let mut links: Vec<LinkId> = self.lock().links.keys().copied().collect();
        links.sort_unstable();
        links
    }

    /// Where a link stands; `None` once it has ended.
    pub fn phase(&self, link: LinkId) -> Option<Phase> {
        self.lock().links.get(&link).map(|view| view.phase)
    }

    /// How many channels a link has.
    pub fn channels(&self, link: LinkId) -> Option<u8> {
        self.lock().links.get(&link).map(|view| view.channels)
    }

    /// Figures of a link, in the words that all transports share.
    pub fn stats(&self, link: LinkId) -> Option<LinkStats> {
        self.lock().links.get(&link).map(|view| view.shared.stats())
    }

    /// Figures of a link, in ENet's own words.
    pub fn enet_stats(&self, link: LinkId) -> Option<PeerStats> {
        self.lock().links.get(&link).map(|view| view.shared.figures().enet)
    }

    /// Where the other end of a link is, as far as that is known.
    pub fn address(&self, link: LinkId) -> Option<SocketAddr> {
        self.lock().links.get(&link)?.shared.figures().address
    }

    /// Figures of the endpoint.
    pub fn endpoint_stats(&self) -> EndpointStats {
        let inner = self.lock();
        let totals = inner.totals.get();
        EndpointStats {
            packets_dropped: inner.side.dropped(),
            bytes_sent: totals.bytes_sent,
            bytes_received: totals.bytes_received,
            datagrams_sent: totals.datagrams_sent,
            datagrams_received: totals.datagrams_received,
            datagrams_rejected: totals.stray_datagrams + totals.malformed_datagrams,
            connections_refused: totals.refused_connections,
        }
    }

    /// Asks the other end for a sign of life.
    pub fn ping(&self, link: LinkId) {
        self.tell(Command::Ping { link });
    }

    /// Sets how long a link may be silent before it is pinged.
    pub fn set_ping_interval(&self, link: LinkId, interval: Duration) {
        self.tell(Command::PingInterval { link, interval });
    }

    /// Sets when the other end of a link counts as gone.
    pub fn set_timeouts(&self, link: LinkId, timeouts: Timeouts) {
        self.tell(Command::Timeouts { link, timeouts });
    }

    /// Sets how the throttle of a link reacts.
    pub fn configure_throttle(&self, link: LinkId, throttle: ThrottleConfig) {
        if let Some(view) = self.lock().links.get(&link) {
            view.shared.show_throttle(throttle);
        }
        self.tell(Command::Throttle { link, throttle });
    }

    /// Sets what this host can take and give, in bytes a second, 0 for no limit.
    pub fn set_bandwidth(&self, incoming: u32, outgoing: u32) {
        self.tell(Command::Bandwidth { incoming, outgoing });
    }

    /// Sets the most channels of connections to come, 0 for as many as there may be.
    pub fn set_channel_limit(&self, limit: u8) {
        let limit = if limit == 0 { MAX_CHANNELS } else { limit };
        self.lock().max_channels = limit;
        self.tell(Command::ChannelLimit(limit));
    }

    /// Sets how datagrams are compressed, at both ends alike.
    pub fn set_compression(&self, mode: Compression) {
        self.tell(Command::Compress(mode));
    }

    /// Whether those who want in are told no from now on.
    pub fn set_refusing(&self, refusing: bool) {
        self.lock().guests.set_refusing(refusing);
    }

    /// Sends bytes to somebody outside of any connection, once.
    pub fn send_datagram(&self, target: Target, payload: Bytes) {
        self.tell(Command::Datagram { target, payload });
    }

    /// Sets limits, for links that stand too.
    pub fn set_limits(&self, limits: Limits) {
        let limits = limits.bounded();
        let mut inner = self.lock();
        inner.limits = limits;
        inner.side.set_inbound_limit(limits.inbound);
        let _ = inner.side.push(Command::Limits(limits));
    }

    /// Ends the endpoint: what is queued is still delivered and everybody is told with this word, for 200 ms at most, on the
    /// network thread. If somebody may want the port, it is free again when this returns.
    pub fn close(&self, word: u32) {
        self.begin_close(word);
        self.finish_close(Instant::now() + CLOSE_BOUND);
    }

    /// The first half of closing; does not wait.
    pub(super) fn begin_close(&self, word: u32) {
        let mut inner = self.lock();
        inner.goodbye_word.store(word, Ordering::Relaxed);
        let has_links = !inner.links.is_empty();
        inner.side.begin_close(has_links);
        inner.links.clear();
    }

    /// The second half: waits for the port, if somebody may want it.
    pub(super) fn finish_close(&self, until: Instant) {
        let closing = self.lock().side.closing();
        // Not under the lock.
        if let Some(closing) = closing {
            closing.finish(until);
        }
    }

    fn tell(&self, command: Command) {
        // Once closed there is nobody to tell.
        let _ = self.lock().side.push(command);
    }
}

impl Inner {
    fn next_event_unless(&mut self, hold: &mut dyn FnMut(&Event) -> bool) -> Option<Event> {
        loop {
            let notice = self.side.next(|notice| hold(&notice.event))?;
            if let Some(event) = self.see(notice) {
                return Some(event);
            }
        }
    }

    /// Makes the event's change. `None` if it is about a link that the game has ended itself.
    fn see(&mut self, Notice { mut event, made }: Notice) -> Option<Event> {
        match &mut event {
            Event::Connected { link, .. } => {
                let Made { shared, channels, incoming } = made?;
                // A link that this end asked for and gave up meanwhile stays given up.
                if !incoming && !self.links.contains_key(link) {
                    return None;
                }
                self.links.insert(*link, LinkView { phase: Phase::Connected, shared, channels });
                Some(event)
            }
            Event::Received { link, .. } => {
                let phase = self.links.get(link)?.phase;
                matches!(phase, Phase::Connected | Phase::DisconnectLater).then_some(event)
            }
            Event::Disconnected { link, stats, .. } => {
                let view = self.links.remove(link)?;
                *stats = Some(view.shared.stats());
                Some(event)
            }
            Event::Failed(_) => {
                self.side.has_failed();
                self.links.clear();
                Some(event)
            }
        }
    }
}
