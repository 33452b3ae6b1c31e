//! What runs a WebRTC connection on the network thread: its sockets, its streams to relays, its look-ups, its end of the seam.
//!
//! One task for each connection; what it does with bytes and time is the stack's. Everything happens in [`Driver::turn`], in
//! this order: take the game's commands if they are due, read the sockets dry, let time pass, do what ICE wants done outside,
//! hand over what happened, send. Between turns it sleeps until the game rings, something comes or is due.
//!
//! Sockets are opened with the own description, one for each address of the machine (`sockets`), or taken part in where many
//! connections share a port (`shared_port`). When it is over, the goodbye is sent a few times, since nobody confirms it.

mod neighbours;
mod outside;
mod shared_port;
mod sockets;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::command::{Command, Notice};
use super::connection::ConnectionShared;
use super::identity::Identity;
use super::settings::Settings;
use super::stack::{Setup, Stack};
use crate::crowd::CountedLink;
use crate::endpoint::Port;
use crate::limits::{GOODBYE, Limits};
use crate::reason::{Farewell, Reason};
use crate::runtime::{Stopping, until};
use crate::stats::{EndpointStats, LinkStats};

use outside::{Answer, Outside};
use sockets::{Opened, Sockets};

/// How fresh the figures are that the game can ask for.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// When the goodbye is said again.
const SAID_AGAIN: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(120)];

/// Turns without a pause after which others get the thread.
const ANSWERS_PER_TURN: usize = 64;

/// All that a driver is made of, put together on the game's thread.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) identity: &'static Identity,
    pub(super) port: Port<Command, Notice>,
    pub(super) shared: Arc<ConnectionShared>,
}

/// Runs a connection until it is over, its handle is closed or the library goes.
pub(super) async fn run(parts: Parts, stopping: Stopping) {
    let Parts { settings, limits, identity, port, shared } = parts;
    let stack = Stack::new(Setup {
        identity,
        limits,
        servers: settings.servers.clone(),
        relay_only: settings.relay_only,
        longest_message: settings.longest_message,
        shared: shared.clone(),
    });
    let outside = Outside::new(settings.trust.clone());
    let sockets = Sockets::new(&settings);
    let driver = Driver {
        stack,
        sockets,
        outside,
        shared,
        limits,
        published: None,
        resting: false,
        _counted: CountedLink::new(),
    };
    // A task has room for it once in each call that it moves through: 68 KB instead of 8.
    let driver = Box::new(driver);
    driver.run(&port, stopping).await;
    drop(port);
}

struct Driver {
    stack: Stack,
    sockets: Sockets,
    outside: Outside,
    shared: Arc<ConnectionShared>,
    limits: Limits,
    /// When the game was last given figures, and how many datagrams they count.
    published: Option<(Instant, u64)>,
    /// The game takes nothing in for now.
    resting: bool,
    _counted: CountedLink,
}

/// What a turn leaves to be done.
struct Rest {
    /// There is more to do at once.
    more: bool,
    /// The game's commands are to be looked at again then.
    look_at: Option<Instant>,
}

impl Driver {
    async fn run(mut self: Box<Self>, port: &Port<Command, Notice>, mut stopping: Stopping) {
        let mut commands = Vec::new();
        loop {
            let rest = self.turn(port, &mut commands, stopping.asked());
            if self.stack.ended().is_some() {
                break;
            }
            if rest.more {
                tokio::task::yield_now().await;
                continue;
            }
            let due = [self.stack.poll_timeout(), rest.look_at, self.next_publishing()];
            let due = due.into_iter().flatten().min();
            let stopping_is_news = !stopping.asked();
            tokio::select! {
                biased;
                () = port.rung() => {}
                answer = self.outside.answer() => self.heard(answer),
                () = self.sockets.ready() => {}
                () = until(due) => {}
                () = stopping.wait(), if stopping_is_news => {}
            }
        }
        self.finish(port).await;
    }

    /// Does everything once.
    fn turn(&mut self, port: &Port<Command, Notice>, commands: &mut Vec<Command>, stopping: bool) -> Rest {
        let taken = port.take_commands(commands, Instant::now(), stopping);
        for command in commands.drain(..) {
            self.obey(command);
        }
        if stopping || taken.closed {
            self.stack.leave(Instant::now(), Reason::LocalClose, GOODBYE);
        }
        let dry = self.sockets.read(&mut self.stack);
        for _ in 0..ANSWERS_PER_TURN {
            let Some(answer) = self.outside.try_answer() else { break };
            self.heard(answer);
        }
        let now = Instant::now();
        self.stack.handle_timeout(now);
        self.do_outside(now);
        self.hand_over(port);
        let idle = self.sockets.transmit(&mut self.stack, &self.outside);
        self.stack.go_on_leaving(Instant::now());
        self.publish();
        Rest { more: !dry || !idle, look_at: taken.look_at }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        if let Command::Limits(limits) = &command {
            self.limits = *limits;
        }
        let gathers = matches!(command, Command::Signaled(super::signaling::Instruction::Local { .. }));
        self.stack.obey(now, command);
        if gathers {
            self.gather(now);
        }
    }

    /// Opens sockets and tells ICE of them.
    fn gather(&mut self, now: Instant) {
        let Some(ice) = self.stack.ice() else { return };
        let opened = self.sockets.open(&ice.credentials().ufrag);
        match opened {
            Ok(Opened { addresses, for_relays }) => {
                for_relays.into_iter().for_each(|address| ice.add_base_for_relays(now, address));
                addresses.into_iter().for_each(|address| ice.add_base(now, address));
                ice.bases_complete(now);
            }
            Err(error) => self.stack.fail(now, Farewell::with(Reason::Network, error.to_string())),
        }
    }

    fn heard(&mut self, answer: Answer) {
        let now = Instant::now();
        if let Answer::Bytes(token, bytes) = &answer {
            self.stack.handle_stream(now, *token, bytes);
            return;
        }
        self.outside.note(&answer);
        let Some(ice) = self.stack.ice() else { return };
        match answer {
            Answer::Resolved(token, addresses) => ice.resolved(now, token, addresses),
            Answer::Opened(token, local) => ice.stream_opened(now, token, local),
            Answer::Ended(token, why) => ice.stream_ended(now, token, &why),
            Answer::Bytes(..) => {}
        }
    }

    fn do_outside(&mut self, now: Instant) {
        while let Some(want) = self.stack.ice().and_then(super::ice::Agent::poll_want) {
            self.outside.begin(want);
        }
        self.stack.after_ice(now);
    }

    fn hand_over(&mut self, port: &Port<Command, Notice>) {
        let unread = || self.shared.unread.load(Ordering::Acquire) >= self.limits.inbound;
        let mut rests = !port.has_room();
        if unread() {
            self.shared.paused.store(true, Ordering::Release);
            // Between the two, the game may have read everything: then nobody would wake us.
            rests |= unread();
        }
        if self.resting != rests {
            self.resting = rests;
            self.stack.set_receiving(Instant::now(), !rests);
        }
        port.deliver(self.stack.notices());
    }

    fn publish(&mut self) {
        let now = Instant::now();
        if self.published.is_some_and(|(at, _)| now < at + PUBLISH_EVERY) {
            return;
        }
        self.published = Some((now, self.datagrams()));
        self.publish_now();
    }

    fn publish_now(&self) {
        let (link, endpoint) = figures(&self.stack);
        self.shared.publish(link, endpoint);
    }

    /// When figures are due that the game does not have yet.
    fn next_publishing(&self) -> Option<Instant> {
        let unpublished = self.published.filter(|(_, datagrams)| *datagrams != self.datagrams());
        unpublished.map(|(at, _)| at + PUBLISH_EVERY)
    }

    fn datagrams(&self) -> u64 {
        self.stack.traffic.datagrams_sent + self.stack.traffic.datagrams_received
    }

    /// It is over: says so to the game, and to the other end some times more.
    async fn finish(mut self: Box<Self>, port: &Port<Command, Notice>) {
        self.publish_now();
        port.deliver(self.stack.notices());
        self.sockets.transmit(&mut self.stack, &self.outside);
        port.let_go();
        if !self.stack.goodbye().is_empty() {
            let began = tokio::time::Instant::now();
            for after in SAID_AGAIN {
                tokio::time::sleep_until(began + after).await;
                self.stack.say_again();
                self.sockets.transmit(&mut self.stack, &self.outside);
            }
        }
        self.stack.release(Instant::now());
        self.sockets.transmit(&mut self.stack, &self.outside);
    }
}

fn figures(stack: &Stack) -> (LinkStats, EndpointStats) {
    let traffic = stack.traffic;
    let channels = stack.channels();
    let link = LinkStats {
        rtt: stack.rtt(),
        jitter: stack.jitter(),
        loss: stack.loss(),
        bytes_sent: traffic.bytes_sent,
        bytes_received: traffic.bytes_received,
        packets_sent: channels.sent,
        packets_received: channels.received,
        packets_dropped: channels.dropped,
        queued_bytes: 0,
        address: stack.remote_address(),
    };
    let endpoint = EndpointStats {
        bytes_sent: traffic.bytes_sent,
        bytes_received: traffic.bytes_received,
        datagrams_sent: traffic.datagrams_sent,
        datagrams_received: traffic.datagrams_received,
        datagrams_rejected: stack.rejected(),
        connections_refused: 0,
        packets_dropped: channels.dropped,
    };
    (link, endpoint)
}
