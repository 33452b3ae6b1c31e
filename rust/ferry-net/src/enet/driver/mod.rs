//! What runs an ENet endpoint on the network thread: one socket, one protocol host, one end of the seam.
//!
//! Everything happens in [`Driver::turn`], in this order: take the game's commands if they are due (and send in between, where
//! they bring very much for one peer), read the socket dry, let the protocol's time pass, hand over what happened, send
//! what is ready in batches. Between turns the driver sleeps until the game rings, a datagram comes or something is due. A
//! turn is bounded, so that endpoints share the thread.
//!
//! The socket is read before time-outs run, and time that this process was not run for does not count (`clock`).
//!
//! When the game closes, the driver has [`GOODBYE`] to deliver what is queued and to tell every peer; then it lets go of
//! the socket, and by dropping its [`Port`] says so.

mod attempts;
mod clock;
mod commands;
mod links;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ferry_enet::{DisconnectReason, Host, PeerId};
use tokio::sync::mpsc;

use super::command::{Command, Event, Made, Notice};
use super::guests::Guests;
use super::link::LinkShared;
use crate::endpoint::Port;
use crate::limits::{GOODBYE, Limits};
use crate::link::LinkId;
use crate::lock::lock;
use crate::lookup::Found;
use crate::reason::{Farewell, Reason};
use crate::runtime::{Stopping, until};
use crate::udp::{AsyncPort, Outgoing, UdpPort};

use attempts::{Attempt, Attempts, Next};
use clock::Clock;
use commands::Sought;
use links::{Link, Links};

/// Batches of datagrams read in a turn, of 64 each: what the largest socket buffer holds of small ones takes a few turns.
const BATCHES_PER_TURN: usize = 32;

/// Datagrams sent in a turn, about.
const SENT_PER_TURN: usize = 2048;

/// Commands that are obeyed, at least, before what they bring is sent in between: where much waits because a line is narrow,
/// sending for each would only tear others' datagrams apart.
const SENT_AFTER: usize = 256;

/// Events handed over at once, about. Room is asked for as often.
const EVENTS_PER_STEP: usize = 512;

/// As many steps hand over what a batch brings, but for packets of a few bytes that fill their datagrams; those wait for
/// the next.
const STEPS_PER_BATCH: usize = 8;

/// A socket that is never dry, because of a flood, holds time-outs up for this long at most.
const TIMEOUTS_WAIT_FOR_READING: Duration = Duration::from_millis(100);

/// How fresh the figures are that the game can ask for.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// All that a driver is made of, put together on the game's thread.
pub(super) struct Parts {
    pub(super) host: Host<SocketAddr>,
    pub(super) socket: UdpPort,
    pub(super) port: Port<Command, Notice>,
    pub(super) guests: Arc<Guests>,
    pub(super) next_link: Arc<AtomicU32>,
    /// What everybody is told when the endpoint is closed.
    pub(super) goodbye_word: Arc<AtomicU32>,
    pub(super) totals: Arc<Totals>,
    pub(super) limits: Limits,
}

/// Figures of the endpoint, for the game to read at any time.
#[derive(Debug, Default)]
pub(super) struct Totals(std::sync::Mutex<ferry_enet::HostStats>);

impl Totals {
    pub(super) fn get(&self) -> ferry_enet::HostStats {
        *lock(&self.0)
    }

    fn set(&self, stats: ferry_enet::HostStats) {
        *lock(&self.0) = stats;
    }
}

/// Runs an endpoint until its handle is closed or the library goes.
pub(super) async fn run(parts: Parts, stopping: Stopping) {
    let Parts { host, socket, port, guests, next_link, goodbye_word, totals, limits } = parts;
    let socket = match socket.into_async() {
        Ok(socket) => socket,
        Err(error) => {
            fail(&port, &error);
            return;
        }
    };
    let (tell, answers) = mpsc::unbounded_channel();
    let driver = Driver {
        host,
        socket,
        guests,
        goodbye_word,
        totals,
        limits,
        tell,
        links: Links::new(next_link),
        attempts: Attempts::default(),
        clock: Clock::start(),
        outgoing: Outgoing::new(),
        backed_up: false,
        notices: Vec::new(),
        blocked: false,
        not_dry_since: None,
        full: false,
        goodbye_until: None,
        published: Published { at: Instant::now(), datagrams: 0 },
    };
    driver.run(&port, answers, stopping).await;
    // Dropped last: the socket is gone when the game's side hears of it.
    drop(port);
}

fn fail(port: &Port<Command, Notice>, error: &std::io::Error) {
    tracing::error!("the network failed: {error}");
    port.deliver(&mut vec![Farewell::with(Reason::Network, error.to_string()).into()]);
}

struct Driver {
    host: Host<SocketAddr>,
    socket: AsyncPort,
    guests: Arc<Guests>,
    goodbye_word: Arc<AtomicU32>,
    totals: Arc<Totals>,
    limits: Limits,
    /// Where look-ups answer. Unbounded, since there are a few at most, and they may answer on this very thread.
    tell: mpsc::UnboundedSender<(Sought, Found)>,
    links: Links,
    attempts: Attempts,
    clock: Clock,
    outgoing: Outgoing,
    /// Many unreliable packets wait for some peer.
    backed_up: bool,
    notices: Vec<Notice>,
    /// The socket takes no more datagrams for now.
    blocked: bool,
    /// Since when the socket has had more in it than a turn reads.
    not_dry_since: Option<Instant>,
    /// The game takes no more events for now. Attempts wait too: the answers to them may be among those.
    full: bool,
    /// Set once the endpoint is closing.
    goodbye_until: Option<Instant>,
    published: Published,
}

struct Published {
    at: Instant,
    /// How many datagrams there had been.
    datagrams: u64,
}

/// What a turn leaves to be done.
struct Rest {
    /// There is more to do at once.
    more: bool,
    /// The game's commands are to be looked at again then.
    look_at: Option<Instant>,
}

impl Driver {
    async fn run(
        mut self,
        port: &Port<Command, Notice>,
        mut answers: mpsc::UnboundedReceiver<(Sought, Found)>,
        mut stopping: Stopping,
    ) {
        let mut commands = Vec::new();
        loop {
            let rest = match self.turn(port, &mut commands, stopping.asked()) {
                Ok(Some(rest)) => rest,
                Ok(None) => return,
                Err(error) => {
                    fail(port, &error);
                    return;
                }
            };
            if rest.more {
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.next_due(rest.look_at);
            self.clock.rest_until(due);
            let stopping_is_news = !stopping.asked();
            tokio::select! {
                biased;
                () = port.rung() => {}
                // The other end of the channel is ours too, so it is never closed.
                Some((sought, found)) = answers.recv() => self.found(sought, found),
                () = self.socket.readable() => {}
                () = self.socket.writable(), if self.blocked => self.blocked = false,
                () = until(due) => {}
                () = stopping.wait(), if stopping_is_news => {}
            }
        }
    }

    /// Does everything once. `None` when the endpoint has ended.
    fn turn(
        &mut self,
        port: &Port<Command, Notice>,
        commands: &mut Vec<Command>,
        stopping: bool,
    ) -> std::io::Result<Option<Rest>> {
        let taken = port.take_commands(commands, Instant::now(), stopping);
        let mut unsent = 0;
        for command in commands.drain(..) {
            self.obey(command);
            unsent += 1;
            // A burst for one peer may be more than waits in the protocol, which drops the oldest beyond.
            if unsent >= SENT_AFTER && std::mem::take(&mut self.backed_up) {
                self.send()?;
                unsent = 0;
            }
        }
        self.backed_up = false;
        if self.goodbye_until.is_none() && (stopping || taken.closed) {
            self.begin_goodbye();
        }
        let dry = self.read(port)?;
        self.pass_time(dry);
        let room = self.hand_over(port);
        let idle = self.send()?;
        self.links.release_rooms(&self.host);
        self.publish();
        if self.goodbye_until.is_some_and(|until| self.nobody_left() || Instant::now() >= until) {
            self.end()?;
            return Ok(None);
        }
        let more = !dry || !room || (!idle && !self.blocked);
        Ok(Some(Rest { more, look_at: taken.look_at }))
    }

    /// Reads the socket; false if there may be more in it. What comes is handed over batch by batch: a burst of one peer may
    /// be more than waits in the protocol for it, which drops unreliable packets beyond.
    fn read(&mut self, port: &Port<Command, Notice>) -> std::io::Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            let now = self.clock.now();
            let host = &mut self.host;
            let read = self.socket.receive(|from, datagram| host.handle_input(now, from, datagram))?;
            if read == 0 {
                return Ok(true);
            }
            for _ in 0..STEPS_PER_BATCH {
                if self.fetch(port) {
                    break;
                }
            }
        }
        Ok(false)
    }

    fn pass_time(&mut self, dry: bool) {
        let now = self.clock.now();
        if dry {
            self.not_dry_since = None;
        } else {
            self.not_dry_since.get_or_insert_with(Instant::now);
        }
        if let Some(due) = self.host.poll_timeout()
            && due <= now
            && (dry || self.not_dry_since.is_some_and(|since| since.elapsed() >= TIMEOUTS_WAIT_FOR_READING))
        {
            self.host.handle_timeout(now);
        }
    }

    /// Hands over to the game what has happened; false if there is more and there is room.
    fn hand_over(&mut self, port: &Port<Command, Notice>) -> bool {
        let complete = self.fetch(port);
        if self.full {
            return true;
        }
        // After what has come: an answer may be among it.
        while let Some(next) = self.attempts.take_due(self.clock.now()) {
            self.go_on_trying(next);
        }
        self.deliver(port);
        complete
    }

    /// Fetches the protocol's events and hands them to the game; false if there are more and there is room.
    fn fetch(&mut self, port: &Port<Command, Notice>) -> bool {
        self.full = self.goodbye_until.is_none() && !port.has_room();
        if self.full {
            return true;
        }
        let mut complete = false;
        for _ in 0..EVENTS_PER_STEP {
            let Some(event) = self.host.poll_event() else {
                complete = true;
                break;
            };
            self.translate(event);
        }
        self.deliver(port);
        complete
    }

    fn deliver(&mut self, port: &Port<Command, Notice>) {
        if self.goodbye_until.is_some() {
            self.notices.clear();
        }
        port.deliver(&mut self.notices);
    }

    fn translate(&mut self, event: ferry_enet::Event) {
        match event {
            ferry_enet::Event::Received { peer, channel, mode, payload } => {
                if let Some(link) = self.links.of_peer(peer) {
                    let event = Event::Received { link: link.id, channel, mode, payload };
                    self.notices.push(Notice { event, made: None });
                }
            }
            ferry_enet::Event::Connected { peer, data } => self.connected(peer, data),
            ferry_enet::Event::Disconnected { peer, reason } => self.disconnected(peer, reason),
        }
    }

    fn connected(&mut self, peer: PeerId, data: u32) {
        let address = self.host.address(peer).copied();
        let attempt = self.attempts.succeeded(peer);
        let incoming = attempt.is_none();
        let link = match attempt {
            Some(Attempt { link, shared, wishes, .. }) => {
                self.fulfil(peer, &wishes);
                let mut link = Link::new(link, peer, shared, None);
                link.own_timeouts = wishes.timeouts.is_some();
                link
            }
            None => {
                if !self.guests.enter(data) {
                    let _ = self.host.disconnect_now(peer, Reason::BadId.word());
                    return;
                }
                let id = self.links.draw_id();
                Link::new(id, peer, Arc::new(LinkShared::new(address)), Some(data))
            }
        };
        if let Some(stats) = self.host.peer_stats(peer) {
            link.shared.publish(stats, address);
        }
        let channels = self.host.channel_count(peer).unwrap_or_default();
        let made = Some(Made { shared: link.shared.clone(), channels, incoming });
        self.notices.push(Notice { event: Event::Connected { link: link.id, data }, made });
        self.links.insert(link);
    }

    fn disconnected(&mut self, peer: PeerId, reason: DisconnectReason) {
        if let Some(next) = self.attempts.failed(peer, reason) {
            self.go_on_trying(next);
            return;
        }
        let Some(link) = self.forget(peer) else { return };
        let (farewell, word) = farewell_of(reason);
        self.report_end(link.id, farewell, word);
    }

    fn report_end(&mut self, link: LinkId, farewell: Farewell, word: u32) {
        let event = Event::Disconnected { link, farewell, word, stats: None };
        self.notices.push(Notice { event, made: None });
    }

    fn forget(&mut self, peer: PeerId) -> Option<Link> {
        let link = self.links.remove(peer)?;
        if let Some(data) = link.guest_word {
            self.guests.leave(data);
        }
        Some(link)
    }

    /// Sends what is ready; false if the turn's share did not suffice or the socket is full.
    fn send(&mut self) -> std::io::Result<bool> {
        let mut sent = 0;
        while sent < SENT_PER_TURN && !self.blocked {
            let now = self.clock.now();
            let mut exhausted = false;
            while let Some(buffer) = self.outgoing.buffer() {
                let Some(transmit) = self.host.poll_transmit(now, buffer) else {
                    exhausted = true;
                    break;
                };
                self.outgoing.push(transmit.to, transmit.len);
            }
            if self.outgoing.is_empty() {
                return Ok(true);
            }
            let flushed = self.socket.flush(&mut self.outgoing)?;
            sent += flushed.sent + flushed.skipped;
            self.blocked = flushed.blocked;
            if exhausted && !self.blocked {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Acts on what an attempt wants next.
    fn go_on_trying(&mut self, next: Next) {
        match next {
            Next::Try { link, address, channels, data, instead_of } => {
                if let Some(peer) = instead_of {
                    let _ = self.host.reset(peer);
                }
                match self.host.connect(address, channels, data) {
                    Ok(peer) => {
                        // The attempt has a deadline of its own.
                        let _ = self.host.set_timeouts(peer, attempts::NO_TIMEOUT);
                        self.attempts.trying(link, peer);
                    }
                    Err(error) => {
                        if let Some(failure) = self.attempts.give_up(link, error.to_string()) {
                            self.go_on_trying(failure);
                        }
                    }
                }
            }
            Next::Fail { link, farewell, word, peer } => {
                if let Some(peer) = peer {
                    let _ = self.host.reset(peer);
                }
                self.report_end(link, farewell, word);
            }
        }
    }

    fn begin_goodbye(&mut self) {
        let word = self.goodbye_word.load(Ordering::Relaxed);
        self.goodbye_until = Some(Instant::now() + GOODBYE);
        self.guests.set_refusing(true);
        for attempt in self.attempts.take_all() {
            if let Some(peer) = attempt.peer {
                let _ = self.host.disconnect_now(peer, word);
            }
        }
        for peer in self.links.peers() {
            let _ = self.host.disconnect_later(peer, word);
        }
    }

    fn nobody_left(&self) -> bool {
        self.host.peers().next().is_none() && self.outgoing.is_empty()
    }

    /// The last words to those who have not answered.
    fn end(&mut self) -> std::io::Result<()> {
        let peers: Vec<PeerId> = self.host.peers().collect();
        let word = self.goodbye_word.load(Ordering::Relaxed);
        for peer in peers {
            let _ = self.host.disconnect_now(peer, word);
        }
        self.blocked = false;
        while !self.send()? && !self.blocked {}
        Ok(())
    }

    fn publish(&mut self) {
        let stats = self.host.stats();
        self.totals.set(stats);
        let datagrams = stats.datagrams_received + stats.datagrams_sent;
        if datagrams != self.published.datagrams && self.published.at.elapsed() >= PUBLISH_EVERY {
            self.links.publish(&self.host);
            self.published = Published { at: Instant::now(), datagrams };
        }
    }

    /// When there is something to do if nothing else happens.
    fn next_due(&self, look_at: Option<Instant>) -> Option<Instant> {
        let protocol = self.host.poll_timeout().map(|at| self.clock.instant(at));
        let stats = self.host.stats();
        let unpublished = stats.datagrams_received + stats.datagrams_sent != self.published.datagrams;
        let publish = unpublished.then(|| self.published.at + PUBLISH_EVERY);
        let attempts = self.attempts.next_due().filter(|_| !self.full).map(|at| self.clock.instant(at));
        [protocol, look_at, attempts, self.goodbye_until, publish].into_iter().flatten().min()
    }
}

fn farewell_of(reason: DisconnectReason) -> (Farewell, u32) {
    match reason {
        DisconnectReason::ByRemote(word) | DisconnectReason::Refused(word) => {
            (Reason::heard(word).into(), word)
        }
        DisconnectReason::ByUs => (Reason::LocalClose.into(), 0),
        DisconnectReason::TimedOut => (Reason::Timeout.into(), 0),
        DisconnectReason::HandshakeFailed => (Reason::Protocol.into(), 0),
        DisconnectReason::PacketTooLong => (Reason::PacketTooLarge.into(), 0),
    }
}
