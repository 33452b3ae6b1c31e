//! One endpoint: all connections of one socket, and the calls that drive them.
//!
//! A driver owns the socket and the clock and loops over:
//!
//! 1. [`Host::handle_input`] for each datagram that came,
//! 2. [`Host::handle_timeout`] if [`Host::poll_timeout`] has passed,
//! 3. [`Host::poll_event`] until there is none,
//! 4. [`Host::poll_transmit`] until there is none, whenever it wants datagrams to leave.
//!
//! Nothing leaves by itself: what is queued between two rounds of `poll_transmit` shares datagrams.
//!
//! Inside, every call that touches a connection ends in `Host::settle`, the one place that looks at what became of
//! it: frees its slot, lists it for transmission, sets its timer. So the work is in proportion to what happens, not to
//! how many connections there are. Strangers' doings are bounded in `admission.rs` (who gets in) and by each peer's
//! budget (what those who did can make us keep).

mod admission;
mod bandwidth;
mod input;
mod output;
mod slots;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub use admission::{Admission, ConnectRequest};
pub use output::Transmit;

use crate::address::Address;
use crate::channel::outgoing::SmallPacket;
use crate::compress::Compressor;
use crate::config::{Config, ConfigError, ThrottleConfig, Timeouts};
use crate::error::{ConnectError, SendError, UnknownPeer};
use crate::event::{DisconnectReason, Event, Mode, PeerId};
use crate::event_queue::EventQueue;
use crate::peer::{Limits, Packet, Peer, Stage, State, ping_interval_us};
use crate::stats::{HostStats, PeerStats};
use crate::time::Timestamp;
use crate::timer_queue::TimerQueue;
use crate::wire::{MAXIMUM_CHANNELS, MAXIMUM_MTU};

use admission::Doorkeeper;
use bandwidth::BandwidthTimer;
use output::{Outbox, ReadyList};
use slots::Slots;

/// One endpoint of the protocol.
pub struct Host<A: Address> {
    config: Config,
    random: Box<dyn FnMut() -> u32 + Send>,
    compressor: Option<Box<dyn Compressor>>,
    slots: Slots<A>,
    doorkeeper: Doorkeeper<A>,
    timers: TimerQueue,
    ready: ReadyList,
    outbox: Outbox<A>,
    events: EventQueue,
    bandwidth: BandwidthTimer,
    /// Where datagrams are compressed to and decompressed into.
    scratch: Vec<u8>,
    stats: HostStats,
}

/// A driver may run a host on a thread of its own.
const fn assert_send<T: Send>() {}
const _: () = assert_send::<Host<std::net::SocketAddr>>();

/// Where a connection stands, as [`Host::state`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// Being made; the other end has not answered yet.
    Connecting,
    /// It stands.
    Connected,
    /// It stands until all that is queued has arrived; takes no more packets.
    DisconnectLater,
    /// Its end is on the way to the other end.
    Disconnecting,
}

impl<A: Address> Host<A> {
    /// A host without connections. `random` is asked for the number that names each connection which this end
    /// makes, and now and then for a victim among unfinished handshakes; a driver should take it from the operating
    /// system.
    ///
    /// # Errors
    ///
    /// Names the setting that is out of its range.
    pub fn new(config: Config, random: impl FnMut() -> u32 + Send + 'static) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            slots: Slots::new(config.max_peers, config.max_half_open),
            random: Box::new(random),
            compressor: None,
            doorkeeper: Doorkeeper::new(),
            timers: TimerQueue::new(),
            ready: ReadyList::default(),
            outbox: Outbox::default(),
            events: EventQueue::new(),
            bandwidth: BandwidthTimer::default(),
            scratch: vec![0; usize::from(MAXIMUM_MTU)],
            stats: HostStats::default(),
            config,
        })
    }

    /// The settings as they are now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Compresses datagrams from now on, or stops doing so. Compressed ones that come in need the same compressor.
    pub fn set_compressor(&mut self, compressor: Option<Box<dyn Compressor>>) {
        self.compressor = compressor;
    }

    /// Lets `decide` say yes or no to each client that the limits let through. Without it, all may come.
    pub fn set_admission(&mut self, decide: impl FnMut(&ConnectRequest<A>) -> Admission + Send + 'static) {
        self.doorkeeper.set_policy(Box::new(decide));
    }

    /// Sets the most channels that future clients get; out of 1 to 255, the nearest counts, and 0 means 255.
    pub fn set_channel_limit(&mut self, limit: u8) {
        self.config.channel_limit = if limit == 0 { MAXIMUM_CHANNELS } else { limit };
    }

    /// Asks the host at `to` for a connection of `channel_count` channels; `data` is a word to it.
    ///
    /// # Errors
    ///
    /// If there are as many connections as there may be, or `channel_count` is zero.
    pub fn connect(&mut self, to: A, channel_count: u8, data: u32) -> Result<PeerId, ConnectError> {
        if channel_count == 0 {
            return Err(ConnectError::NoChannels);
        }
        if self.stats.peers >= self.config.max_peers {
            return Err(ConnectError::NoFreePeer);
        }
        let id = self.allocate_slot().ok_or(ConnectError::NoFreePeer)?;
        let connect_id = (self.random)();
        let sessions = self.slots.last_sessions(id);
        let peer = Peer::connecting(id, sessions, connect_id, channel_count, data, &self.config);
        self.slots.occupy(to, peer);
        self.stats.peers += 1;
        self.settle(id.slot);
        Ok(id)
    }

    /// Queues a packet. [`Bytes`] is shared memory: to send one packet to many, clone it.
    ///
    /// # Errors
    ///
    /// If the connection does not take packets, or this one. Then nothing of it was queued.
    #[inline]
    pub fn send(&mut self, peer: PeerId, channel: u8, mode: Mode, payload: Bytes) -> Result<(), SendError> {
        let limits = self.limits();
        self.send_packet(peer, channel, mode, Packet::Owned(payload), limits)
    }

    /// Queues a copy of `payload`, as [`Host::send`] would a shared packet: for bytes in memory that is not to be given
    /// away.
    ///
    /// # Errors
    ///
    /// As for [`Host::send`].
    #[inline]
    pub fn send_copy(
        &mut self,
        peer: PeerId,
        channel: u8,
        mode: Mode,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let limits = self.limits();
        self.send_packet(peer, channel, mode, Packet::Borrowed(payload), limits)
    }

    #[inline]
    fn send_packet(
        &mut self,
        peer: PeerId,
        channel: u8,
        mode: Mode,
        packet: Packet<'_>,
        limits: Limits,
    ) -> Result<(), SendError> {
        self.slots.visible_mut(peer)?.send(channel, mode, packet, &limits)?;
        self.ready.insert(peer.slot);
        Ok(())
    }

    /// Queues a packet to everybody who is connected. Says how many took it.
    pub fn broadcast(&mut self, channel: u8, mode: Mode, payload: &Bytes) -> usize {
        let limits = self.limits();
        let small = SmallPacket::new(payload);
        let mut taken = 0;
        for peer in self.slots.peers_mut() {
            if peer.send(channel, mode, Packet::Shared(payload, small.as_ref()), &limits).is_ok() {
                self.ready.insert(peer.id.slot);
                taken += 1;
            }
        }
        taken
    }

    fn limits(&self) -> Limits {
        Limits {
            checksum: self.config.checksum,
            max_packet_size: self.config.max_packet_size,
            max_outgoing_reliable: self.config.max_outgoing_reliable,
            max_outgoing_unreliable: self.config.max_outgoing_unreliable,
        }
    }

    /// Ends a connection. What is queued either way is dropped. [`Event::Disconnected`] follows once the other end
    /// knows, or counts as dead. A connection that was still being made is gone at once, without an event.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub fn disconnect(&mut self, peer: PeerId, data: u32) -> Result<(), UnknownPeer> {
        self.act(peer, |target| target.disconnect(data, DisconnectReason::ByUs))?;
        self.events.forget(peer);
        Ok(())
    }

    /// Ends a connection as [`Host::disconnect`] does, but once everything that is queued has arrived.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub fn disconnect_later(&mut self, peer: PeerId, data: u32) -> Result<(), UnknownPeer> {
        self.act(peer, |target| target.disconnect_later(data))
    }

    /// Ends a connection at once, without an event. The other end is told, but not twice: if that datagram gets lost it
    /// has to find out by itself.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub fn disconnect_now(&mut self, peer: PeerId, data: u32) -> Result<(), UnknownPeer> {
        self.act(peer, |target| target.disconnect_now(data))?;
        self.events.forget(peer);
        Ok(())
    }

    /// Forgets a connection at once, without an event and without a word to the other end.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub fn reset(&mut self, peer: PeerId) -> Result<(), UnknownPeer> {
        self.act(peer, Peer::reset)?;
        self.events.forget(peer);
        Ok(())
    }

    /// Asks the other end for a sign of life now.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub fn ping(&mut self, peer: PeerId) -> Result<(), UnknownPeer> {
        self.act(peer, Peer::ping)
    }

    /// Sets how long the connection may be silent before it is pinged. Zero means the host's setting, and
    /// the least is a millisecond.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub fn set_ping_interval(&mut self, peer: PeerId, interval: Duration) -> Result<(), UnknownPeer> {
        let interval = if interval.is_zero() { self.config.ping_interval } else { interval };
        self.act(peer, |target| target.ping_interval_us = ping_interval_us(interval))
    }

    /// Sets when the other end counts as dead.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub fn set_timeouts(&mut self, peer: PeerId, timeouts: Timeouts) -> Result<(), UnknownPeer> {
        self.act(peer, |target| target.timeouts = timeouts)
    }

    /// Sets how the throttle reacts, at both ends; at this end only if the other one has left the last sixteen commands
    /// of this sort unanswered.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub fn configure_throttle(&mut self, peer: PeerId, throttle: ThrottleConfig) -> Result<(), UnknownPeer> {
        self.act(peer, |target| target.configure_throttle(throttle.into()))
    }

    /// Sets what this host can take and give, in bytes a second, 0 for no limit. Peers are told within a second.
    pub fn set_bandwidth(&mut self, incoming: u32, outgoing: u32) {
        self.config.incoming_bandwidth = incoming;
        self.config.outgoing_bandwidth = outgoing;
        self.bandwidth.recalculate();
    }

    /// The next thing that happened.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop()?;
        if let Event::Received { peer, ref payload, .. } = event
            && let Some(from) = self.slots.get_mut(peer)
        {
            from.budget.fetched(payload.len());
        }
        Some(event)
    }

    /// When [`Host::handle_timeout`] has something to do, if nothing else happens until then.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let bandwidth = self.bandwidth.due(&self.config, self.stats.peers);
        match (self.timers.first(), bandwidth) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(slot) = self.timers.pop_due(now) {
            if let Some(peer) = self.slots.at_mut(slot) {
                peer.handle_timeout(now, &mut self.events);
            }
            self.settle(slot);
        }
        if self.bandwidth.due(&self.config, self.stats.peers).is_some_and(|due| now >= due) {
            self.share_bandwidth(now);
        }
    }

    /// Every connection that is being made or stands, in no particular order.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.slots.peers().filter(|peer| peer.visible()).map(|peer| peer.id)
    }

    /// Where a connection stands, `None` once it has ended.
    pub fn state(&self, peer: PeerId) -> Option<PeerState> {
        match self.slots.visible(peer).ok()?.state {
            State::Connecting => Some(PeerState::Connecting),
            State::Connected => Some(PeerState::Connected),
            State::DisconnectLater { .. } => Some(PeerState::DisconnectLater),
            State::Disconnecting { .. } => Some(PeerState::Disconnecting),
            State::AcknowledgingConnect { .. } | State::Draining { .. } | State::Gone => None,
        }
    }

    /// Where the other end is.
    pub fn address(&self, peer: PeerId) -> Option<&A> {
        self.slots.visible(peer).ok()?;
        self.slots.address(peer.slot)
    }

    /// How many channels both ends agreed on (or this end asked for, until then).
    pub fn channel_count(&self, peer: PeerId) -> Option<u8> {
        Some(self.slots.visible(peer).ok()?.channels.count())
    }

    /// What reliable packets that wait to be sent or acknowledged take, as [`Config::max_outgoing_reliable`] counts it; 0
    /// once the connection has ended.
    pub fn reliable_backlog(&self, peer: PeerId) -> usize {
        self.slots.visible(peer).map_or(0, |peer| peer.reliable_bytes)
    }

    /// What unreliable packets that wait to be sent take, as [`Config::max_outgoing_unreliable`] counts it; 0 once the
    /// connection has ended.
    pub fn unreliable_backlog(&self, peer: PeerId) -> usize {
        self.slots.visible(peer).map_or(0, Peer::unreliable_backlog)
    }

    /// Figures of a connection.
    pub fn peer_stats(&self, peer: PeerId) -> Option<PeerStats> {
        Some(self.slots.visible(peer).ok()?.stats())
    }

    /// Figures of the host.
    pub fn stats(&self) -> HostStats {
        self.stats
    }

    fn act(&mut self, peer: PeerId, action: impl FnOnce(&mut Peer)) -> Result<(), UnknownPeer> {
        action(self.slots.visible_mut(peer)?);
        self.settle(peer.slot);
        Ok(())
    }

    /// A slot for a new connection; one that only lingers makes room if there is no other.
    fn allocate_slot(&mut self) -> Option<PeerId> {
        if let Some(id) = self.slots.allocate() {
            return Some(id);
        }
        let lingering = self.slots.oldest_draining()?;
        self.slots.at_mut(lingering)?.reset();
        self.settle(lingering);
        self.slots.allocate()
    }

    /// Looks at what became of the connection in `slot`, and acts on it. Follows everything that touches one.
    #[inline]
    fn settle(&mut self, slot: u16) {
        let Some((before, peer)) = self.slots.staged_mut(slot) else { return };
        let after = peer.stage();
        if before != after {
            self.count_stage_change(slot, before, after);
        }
        if after == Stage::Gone {
            self.remove(slot);
            return;
        }
        let Some(peer) = self.slots.at_mut(slot) else { return };
        if peer.wants_transmit() {
            self.ready.insert(slot);
        }
        if let Some(at) = peer.next_deadline() {
            self.timers.at_latest(slot, at);
        }
    }

    fn count_stage_change(&mut self, slot: u16, before: Stage, after: Stage) {
        match before {
            Stage::HalfOpen => {
                self.stats.half_open -= 1;
                self.doorkeeper.handshake_over(&self.slots, slot);
                self.stats.abandoned_handshakes += u64::from(after == Stage::Gone);
            }
            Stage::Counted => self.stats.peers -= 1,
            Stage::Draining | Stage::Gone => {}
        }
        match after {
            Stage::Counted => self.stats.peers += 1,
            Stage::Draining => {
                self.doorkeeper.left(&self.slots, slot);
                self.slots.note_draining(slot);
            }
            Stage::Gone if before != Stage::Draining => self.doorkeeper.left(&self.slots, slot),
            Stage::HalfOpen | Stage::Gone => {}
        }
        if before == Stage::Counted || after == Stage::Counted {
            self.bandwidth.recalculate();
        }
        self.slots.note_stage(slot, after);
    }

    fn remove(&mut self, slot: u16) {
        if let Some((address, peer)) = self.slots.vacate(slot)
            && let Some(data) = peer.goodbye
        {
            self.outbox.push_goodbye(address, &peer, data, self.config.checksum);
        }
        self.timers.remove(slot);
    }
}

/// A queue of slots is a `VecDeque`; each slot stands in it once.
type SlotQueue = VecDeque<u16>;
