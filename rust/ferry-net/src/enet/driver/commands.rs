//! What the driver does when the game tells it something.

use std::net::SocketAddr;

use bytes::Bytes;
use ferry_enet::{Host, Mode, PeerId, SendError, UnknownPeer};

use super::Driver;
use super::attempts::{Attempt, Wishes};
use crate::enet::command::{Command, Target};
use crate::enet::link::{Ending, takes_room};
use crate::enet::settings::{MAX_UNRELIABLE_PER_PEER, timeouts};
use crate::limits::Limits;
use crate::link::LinkId;
use crate::lookup::{self, Found};
use crate::reason::{Farewell, Reason};
use crate::room::Room;

/// What waits for one peer without being a reason to send before all commands are obeyed.
const MANY_UNRELIABLE: usize = MAX_UNRELIABLE_PER_PEER / 2;

/// Who asked for a name.
pub(super) enum Sought {
    Link(LinkId),
    Datagram(Bytes),
}

impl Driver {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Send { link, channel, mode, payload } => self.send_packet(link, channel, mode, payload),
            Command::Connect { link, shared, target, channels, data } => {
                let (began, bound) = (self.clock.now(), self.limits.connect_timeout);
                self.attempts.add(Attempt::new(link, shared, channels, data, began, bound));
                match target {
                    Target::Address(address) => self.found(Sought::Link(link), Ok(vec![address])),
                    Target::Name(name, port) => self.look_up(name, port, Sought::Link(link)),
                }
            }
            Command::End { link, how, word } => {
                self.end_link(link, how, word);
            }
            Command::Abandon { link, farewell } => {
                if self.end_link(link, Ending::Now, farewell.reason.word()) {
                    self.report_end(link, farewell, 0);
                }
            }
            Command::Ping { link } => self.adjust(link, |_| {}, Host::ping),
            Command::PingInterval { link, interval } => self.adjust(
                link,
                |wishes| wishes.ping_interval = Some(interval),
                |host, peer| host.set_ping_interval(peer, interval),
            ),
            Command::Timeouts { link, timeouts } => {
                self.links.keep_own_timeouts(link);
                self.adjust(
                    link,
                    |wishes| wishes.timeouts = Some(timeouts),
                    |host, peer| host.set_timeouts(peer, timeouts),
                );
            }
            Command::Throttle { link, throttle } => self.adjust(
                link,
                |wishes| wishes.throttle = Some(throttle),
                |host, peer| host.configure_throttle(peer, throttle),
            ),
            Command::Bandwidth { incoming, outgoing } => self.host.set_bandwidth(incoming, outgoing),
            Command::ChannelLimit(limit) => self.host.set_channel_limit(limit),
            Command::Compress(mode) => self.host.set_compressor(mode.compressor()),
            Command::Limits(limits) => self.set_limits(limits),
            Command::Datagram { target, payload } => match target {
                Target::Address(address) => self.send_datagram(address, &payload),
                Target::Name(name, port) => self.look_up(name, port, Sought::Datagram(payload)),
            },
        }
    }

    /// Does something to a link's peer, or notes it for when the link stands. One that has ended meanwhile is no error: the
    /// game hears of it at its next poll.
    fn adjust(
        &mut self,
        link: LinkId,
        note: impl FnOnce(&mut Wishes),
        change: impl FnOnce(&mut Host<SocketAddr>, PeerId) -> Result<(), UnknownPeer>,
    ) {
        if let Some(attempt) = self.attempts.get_mut(link) {
            note(&mut attempt.wishes);
        } else if let Some(peer) = self.links.peer(link) {
            let _ = change(&mut self.host, peer);
        }
    }

    /// What the game wanted of a link before it stood.
    pub(super) fn fulfil(&mut self, peer: PeerId, wishes: &Wishes) {
        // Errors would mean that it has ended: then its event follows.
        let _ = self.host.set_timeouts(peer, wishes.timeouts.unwrap_or_else(|| timeouts(&self.limits)));
        if let Some(interval) = wishes.ping_interval {
            let _ = self.host.set_ping_interval(peer, interval);
        }
        if let Some(throttle) = wishes.throttle {
            let _ = self.host.configure_throttle(peer, throttle);
        }
    }

    fn send_packet(&mut self, id: LinkId, channel: u8, mode: Mode, payload: Bytes) {
        let Some(link) = self.links.get_mut(id) else { return };
        let (peer, cost) = (link.peer, Room::cost_of(payload.len()));
        let len = payload.len();
        let outcome = self.host.send(peer, channel, mode, payload);
        if takes_room(mode, len) {
            match outcome {
                Ok(()) => self.links.await_room(peer, cost),
                Err(_) => link.shared.room.release(cost),
            }
        } else {
            self.backed_up |= self.host.unreliable_backlog(peer) > MANY_UNRELIABLE;
        }
        if outcome == Err(SendError::TooLarge) {
            let detail = format!("{len} bytes do not go into what both ends agreed on");
            self.obey(Command::Abandon {
                link: id,
                farewell: Farewell::with(Reason::PacketTooLarge, detail),
            });
        }
    }

    /// False if there is no such link (any more).
    fn end_link(&mut self, id: LinkId, how: Ending, word: u32) -> bool {
        if let Some(attempt) = self.attempts.remove(id) {
            if let Some(peer) = attempt.peer {
                let _ = self.host.disconnect_now(peer, word);
            }
            return true;
        }
        let Some(peer) = self.links.peer(id) else { return false };
        // It may have ended in this moment: then its event is on the way.
        let _ = match how {
            Ending::Disconnect => self.host.disconnect(peer, word),
            Ending::Later => self.host.disconnect_later(peer, word),
            Ending::Now => self.host.disconnect_now(peer, word),
            Ending::Reset => self.host.reset(peer),
        };
        if matches!(how, Ending::Now | Ending::Reset) {
            self.forget(peer);
        }
        true
    }

    fn set_limits(&mut self, limits: Limits) {
        let patience = timeouts(&limits);
        if patience != timeouts(&self.limits) {
            for peer in self.links.with_usual_timeouts() {
                let _ = self.host.set_timeouts(peer, patience);
            }
        }
        self.attempts.set_bound(limits.connect_timeout);
        self.limits = limits;
    }

    fn send_datagram(&mut self, to: SocketAddr, payload: &[u8]) {
        // It is for opening a way through a router, and may get lost like any datagram: also for want of room.
        let Some(buffer) = self.outgoing.buffer() else { return };
        let Some(place) = buffer.get_mut(..payload.len()) else { return };
        place.copy_from_slice(payload);
        self.outgoing.push(to, payload.len());
    }

    fn look_up(&mut self, name: String, port: u16, sought: Sought) {
        let tell = self.tell.clone();
        lookup::find(name, port, move |found| {
            // Nobody listens any more once the endpoint has ended.
            let _ = tell.send((sought, found));
        });
    }

    pub(super) fn found(&mut self, sought: Sought, found: Found) {
        match (sought, found) {
            (Sought::Link(link), found) => {
                let now = self.clock.now();
                if let Some(next) = self.attempts.resolved(now, link, found, self.socket.reaches_ipv6()) {
                    self.go_on_trying(next);
                }
            }
            (Sought::Datagram(payload), Ok(addresses)) => {
                if let Some(address) = addresses.first() {
                    self.send_datagram(*address, &payload);
                }
            }
            (Sought::Datagram(_), Err(reason)) => tracing::warn!("no datagram was sent: {reason}"),
        }
    }
}
