//! The game's side of a WebRTC connection: to be told what to do and asked what happened.
//!
//! [`Connection`] is a handle: clones mean the same connection, which ends when the last is dropped or one says
//! [`Connection::close`]. None of its calls touches the network. What is seen of it changes in [`Connection::fetch`], which
//! the other calls that read make by themselves, or when the game itself changes something.
//!
//! Messages lie with their channels until they are read; once a multiplayer peer has taken the connection over
//! ([`Connection::adopt`]), they come one after the other, in the order they came in. What is unread is bounded: the network
//! thread stops to take data in while more than [`Limits::inbound`] waits, and the other end's sending comes to rest.

mod seen;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::channel::{ChannelError, ChannelId, ChannelInit, ChannelPhase};
use super::command::Command;
use super::driver::{self, Parts};
use super::ice;
use super::ice::GatheringState;
use super::identity;
use super::quoted::quoted;
use super::settings::Settings;
use super::signaling::{DescriptionKind, Signaling, SignalingError, SignalingState};
use crate::create_error::CreateError;
use crate::endpoint;
use crate::game_side::GameSide;
use crate::limits::Limits;
use crate::link::LinkError;
use crate::lock::lock;
use crate::packet::Kind;
use crate::reason::{Farewell, Reason};
use crate::room::Room;
use crate::runtime;
use crate::stats::{EndpointStats, LinkStats};

use seen::{Game, Seen};

/// Channels that one connection may have: more would serve nobody, and each costs memory that the other end could ask for.
pub(super) const MOST_CHANNELS: usize = 1024;

/// Bytes of the names of channels that the other end has announced: so that it cannot make each as long as may be.
pub(super) const MOST_NAMES: usize = 1 << 20;

/// As much of a stranger's text as a message about it quotes, in letters.
const QUOTED: usize = 120;

/// What an unread message counts besides its bytes.
const MESSAGE_OVERHEAD: usize = 64;

/// Where a connection stands, with the engine's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nothing was done with it.
    #[default]
    New = 0,
    /// A way to the other end is looked for.
    Connecting = 1,
    /// It stands.
    Connected = 2,
    /// The other end has not answered for a while; it may come back.
    Disconnected = 3,
    /// It could not be made, or the other end does not come back.
    Failed = 4,
    /// One of the ends has closed it.
    Closed = 5,
}

/// Something to tell the game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `session_description_created`
    DescriptionCreated(DescriptionKind, String),
    /// `ice_candidate_created`
    CandidateCreated {
        /// The name of the part that carries data.
        mid: String,
        /// The candidate, as it stands in a description.
        candidate: String,
    },
    /// `data_channel_received`
    ChannelReceived(ChannelId),
}

/// What a multiplayer peer hears of a connection that it has taken over.
#[derive(Debug)]
pub enum Happened {
    /// It stands, and all channels that were to be there are open.
    Ready,
    /// A message has come.
    Message {
        /// On which channel.
        channel: ChannelId,
        /// Its bytes.
        payload: Bytes,
    },
    /// It is over.
    Ended(Farewell),
}

/// What both threads know of a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionShared {
    /// Taken by messages that must arrive and have not begun to leave.
    pub(super) room: Room,
    /// Bytes of messages that were handed over and are unread.
    pub(super) unread: AtomicUsize,
    /// The driver takes nothing in until it is told to take more.
    pub(super) paused: AtomicBool,
    figures: Mutex<(LinkStats, EndpointStats)>,
}

impl ConnectionShared {
    pub(super) fn publish(&self, link: LinkStats, endpoint: EndpointStats) {
        *lock(&self.figures) = (link, endpoint);
    }

    fn figures(&self) -> (LinkStats, EndpointStats) {
        lock(&self.figures).clone()
    }

    /// A message is handed over, to be read.
    pub(super) fn took(&self, payload: usize) {
        self.unread.fetch_add(payload + MESSAGE_OVERHEAD, Ordering::AcqRel);
    }

    /// A message was read; returns what is left.
    fn was_read(&self, payload: usize) -> usize {
        let cost = payload + MESSAGE_OVERHEAD;
        self.unread.fetch_sub(cost, Ordering::AcqRel) - cost
    }
}

/// The handle of a connection.
#[derive(Clone)]
pub struct Connection {
    seen: Arc<Mutex<Seen>>,
}

impl Connection {
    /// A connection that nothing was done with.
    ///
    /// # Errors
    ///
    /// If a setting makes no sense.
    pub fn new(settings: Settings, limits: Limits) -> Result<Self, CreateError> {
        let limits = limits.bounded();
        let identity = identity::own().map_err(CreateError::Invalid)?;
        let longest_message = settings.longest_message;
        let signaling = Signaling::new(identity.fingerprint, longest_message);
        let (handle, port) = endpoint::pair(limits.inbound);
        let shared = Arc::<ConnectionShared>::default();
        let parts = Parts { settings, limits, identity, port, shared: shared.clone() };
        let start = |parts| runtime::spawn(|stopping| driver::run(parts, stopping));
        let side = GameSide::new(handle, parts, start, false);
        let seen = Seen::new(side, shared, signaling, limits, longest_message);
        Ok(Self { seen: Arc::new(Mutex::new(seen)) })
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// Whether both mean the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seen, &other.seen)
    }

    /// Makes a channel.
    ///
    /// # Errors
    ///
    /// If there can be no such channel, or the connection is over.
    pub fn create_channel(&self, init: ChannelInit) -> Result<ChannelId, ChannelError> {
        self.lock().create_channel(init)
    }

    /// Creates an offer; a signal with its text follows.
    ///
    /// # Errors
    ///
    /// If it is not the time for one.
    pub fn create_offer(&self) -> Result<(), SignalingError> {
        let mut seen = self.lock();
        seen.check_open()?;
        if seen.channels.is_empty() {
            let why =
                "A connection without data channels has nothing to offer: call create_data_channel before";
            return Err(SignalingError::OutOfTurn(why.to_owned()));
        }
        let text = seen.signaling.create_offer()?;
        seen.signals.push_back(Signal::DescriptionCreated(DescriptionKind::Offer, text));
        seen.begin();
        Ok(())
    }

    /// Applies the own description that was created last, and begins to gather candidates.
    ///
    /// # Errors
    ///
    /// If it is not that one.
    pub fn set_local_description(&self, kind: DescriptionKind, text: &str) -> Result<(), SignalingError> {
        let mut seen = self.lock();
        seen.check_open()?;
        let instruction = seen.signaling.set_local(kind, text)?;
        seen.tell(instruction);
        Ok(())
    }

    /// Takes the other end's description. To an offer, a signal with the answer's text follows.
    ///
    /// # Errors
    ///
    /// If it is not the time for it, or it makes no sense.
    pub fn set_remote_description(&self, kind: DescriptionKind, text: &str) -> Result<(), SignalingError> {
        let mut seen = self.lock();
        seen.check_open()?;
        let (instructions, answer) = seen.signaling.set_remote(kind, text)?;
        if let Some(text) = answer {
            // An own offer that nobody has heard of yet gives way.
            let is_offer =
                |signal: &Signal| matches!(signal, Signal::DescriptionCreated(DescriptionKind::Offer, _));
            seen.signals.retain(|signal| !is_offer(signal));
            seen.signals.push_back(Signal::DescriptionCreated(DescriptionKind::Answer, text));
        }
        seen.begin();
        seen.tell(instructions);
        Ok(())
    }

    /// Takes a candidate of the other end.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn add_candidate(&self, line: &str) -> Result<(), SignalingError> {
        let mut seen = self.lock();
        seen.check_open()?;
        ice::check_candidate(line).map_err(|error| {
            SignalingError::Invalid(format!("`{}` is no candidate: {error}", quoted(line, QUOTED)))
        })?;
        if !seen.signaling.keeps_candidate(line) {
            // Checked above: it is not over.
            let _ = seen.side.push(Command::Candidate(line.to_owned()));
        }
        Ok(())
    }

    /// The next offer is to find new paths, as after a change of networks.
    pub fn restart_ice(&self) {
        self.lock().signaling.restart();
    }

    /// Where it stands.
    pub fn state(&self) -> ConnectionState {
        self.lock().state
    }

    /// How gathering goes.
    pub fn gathering(&self) -> GatheringState {
        self.lock().gathering
    }

    /// Where the exchange of descriptions stands.
    pub fn signaling(&self) -> SignalingState {
        self.lock().signaling.state()
    }

    /// Why it ended; [`Reason::None`] while it has not.
    pub fn farewell(&self) -> Farewell {
        self.lock().farewell.clone()
    }

    /// Lets leave what is queued and takes what has happened. Arms the connection.
    pub fn begin_turn(&self) {
        let mut seen = self.lock();
        seen.side.begin_turn();
        seen.fetch();
        seen.apply_forgotten();
    }

    /// Takes what has happened.
    pub fn fetch(&self) {
        self.lock().fetch();
    }

    /// The next thing to tell the game.
    pub fn next_signal(&self) -> Option<Signal> {
        self.lock().signals.pop_front()
    }

    /// Lets everything that is queued leave.
    pub fn flush(&self) {
        self.lock().side.flush();
    }

    /// The channels there are, with those that have closed.
    pub fn channels(&self) -> Vec<ChannelId> {
        self.lock().channels.keys().copied().collect()
    }

    /// How a channel was asked for.
    pub fn channel_init(&self, channel: ChannelId) -> Option<ChannelInit> {
        self.lock().channels.get(&channel).map(|channel| channel.init.clone())
    }

    /// Where a channel stands.
    pub fn channel_phase(&self, channel: ChannelId) -> ChannelPhase {
        self.lock().channels.get(&channel).map_or(ChannelPhase::Closed, |channel| channel.phase)
    }

    /// The stream that carries a channel: the id that scripts know it by. `None` until it is chosen.
    pub fn channel_stream(&self, channel: ChannelId) -> Option<u16> {
        self.lock().channels.get(&channel)?.stream
    }

    /// Bytes of messages on a channel that have not begun to leave.
    pub fn buffered_amount(&self, channel: ChannelId) -> usize {
        self.lock().channels.get(&channel).map_or(0, |channel| channel.shared.waiting())
    }

    /// The longest message that can be put: this end's limit; the other one's counts too, once it is known.
    pub fn longest_message(&self) -> usize {
        self.lock().longest_message()
    }

    /// How many messages of a channel wait to be read.
    pub fn available(&self, channel: ChannelId) -> usize {
        let mut seen = self.lock();
        seen.fetch();
        seen.channels.get(&channel).map_or(0, |channel| channel.inbox.len())
    }

    /// Reads the next message of a channel.
    pub fn take_message(&self, channel: ChannelId) -> Option<(Kind, Bytes)> {
        let mut seen = self.lock();
        let (kind, payload) = seen.channels.get_mut(&channel)?.inbox.pop_front()?;
        seen.was_read(payload.len());
        Some((kind, payload))
    }

    /// Queues a message on a channel.
    ///
    /// # Errors
    ///
    /// If the channel or the message is not fit for it.
    pub fn send(&self, channel: ChannelId, kind: Kind, payload: Bytes) -> Result<(), LinkError> {
        let seen = self.lock();
        let view = seen.channels.get(&channel).ok_or(LinkError::Gone)?;
        match view.phase {
            ChannelPhase::Open => {}
            ChannelPhase::Closed => return Err(LinkError::Gone),
            ChannelPhase::Connecting | ChannelPhase::Closing => return Err(LinkError::NotConnected),
        }
        if payload.len() > seen.longest_message() {
            return Err(LinkError::OverLimit(seen.longest_message()));
        }
        let lossy = view.init.is_lossy();
        if !lossy && !seen.shared.room.reserve(payload.len(), seen.limits.outbound) {
            return Err(LinkError::QueueFull(seen.shared.room.taken()));
        }
        view.shared.put(payload.len());
        seen.side.push_or_lose(Command::Send { channel, kind, payload, lossy }, |lost| seen.lost(lost))
    }

    /// Closes a channel, once what was put on it has arrived.
    pub fn close_channel(&self, channel: ChannelId) {
        let mut seen = self.lock();
        let Some(view) = seen.channels.get_mut(&channel) else { return };
        if matches!(view.phase, ChannelPhase::Closing | ChannelPhase::Closed) {
            return;
        }
        view.phase = ChannelPhase::Closing;
        // Once the connection is over, so are its channels.
        let _ = seen.side.push(Command::CloseChannel(channel));
        seen.side.flush();
    }

    /// Nobody will ask for this channel any more: closes it, and forgets it when it has closed.
    pub fn forget_channel(&self, channel: ChannelId) {
        self.close_channel(channel);
        let mut seen = self.lock();
        let Some(view) = seen.channels.get_mut(&channel) else { return };
        view.forgotten = true;
        let unread = std::mem::take(&mut view.inbox);
        if view.phase == ChannelPhase::Closed {
            seen.channels.remove(&channel);
        }
        unread.iter().for_each(|(_, payload)| seen.was_read(payload.len()));
    }

    /// Sets times and sizes.
    pub fn set_limits(&self, limits: Limits) {
        let mut seen = self.lock();
        seen.limits = limits.bounded();
        let limits = seen.limits;
        seen.side.set_inbound_limit(limits.inbound);
        // Once closed there is nothing to limit.
        let _ = seen.side.push(Command::Limits(limits));
    }

    /// Figures of the connection, at most some tens of milliseconds old.
    pub fn stats(&self) -> LinkStats {
        let seen = self.lock();
        let (link, _) = seen.shared.figures();
        LinkStats { queued_bytes: seen.shared.room.taken() as u64, ..link }
    }

    /// The same in other words.
    pub fn endpoint_stats(&self) -> EndpointStats {
        let seen = self.lock();
        let (_, endpoint) = seen.shared.figures();
        EndpointStats { packets_dropped: endpoint.packets_dropped + seen.side.dropped(), ..endpoint }
    }

    /// Whether the game has closed it.
    pub fn is_closed_here(&self) -> bool {
        self.lock().side.is_closed()
    }

    /// From now on what happens on these channels is told one after the other, by [`Connection::next_happened`]; it begins
    /// when all are open.
    pub fn adopt(&self, channels: Vec<ChannelId>) {
        self.lock().game = Some(Game::new(channels));
    }

    /// The next thing that happened, unless `hold` wants it to wait: then it stays the next.
    pub fn next_happened(&self, hold: impl FnOnce(&Happened) -> bool) -> Option<Happened> {
        let mut seen = self.lock();
        let mut game = seen.game.as_ref()?;
        if game.happened.is_empty() {
            seen.fetch();
            game = seen.game.as_ref()?;
        }
        if hold(game.happened.front()?) {
            return None;
        }
        let happened = seen.game.as_mut()?.happened.pop_front();
        if let Some(Happened::Message { payload, .. }) = &happened {
            seen.was_read(payload.len());
        }
        happened
    }

    /// Ends it once everything that is queued has arrived; the other end hears the reason.
    pub fn leave(&self, told: Reason) {
        let mut seen = self.lock();
        // Once closed there is nobody to tell.
        let _ = seen.side.push(Command::Leave(told));
        seen.side.flush();
    }

    /// Ends it at once, for this reason.
    pub fn abandon(&self, farewell: Farewell) {
        let mut seen = self.lock();
        let _ = seen.side.push(Command::Abandon(farewell));
        seen.side.flush();
    }

    /// Closes it and all its channels. What is queued is still delivered, on the network thread.
    pub fn close(&self) {
        self.begin_close();
        self.finish_close(Instant::now());
    }

    /// The first half of closing; does not wait.
    pub(super) fn begin_close(&self) {
        let mut seen = self.lock();
        let is_begun = seen.state != ConnectionState::New;
        seen.side.begin_close(is_begun);
        seen.over(ConnectionState::Closed, Reason::LocalClose.into());
        seen.signals.clear();
        if let Some(game) = &mut seen.game {
            game.happened.clear();
        }
    }

    /// The second half.
    pub(super) fn finish_close(&self, until: Instant) {
        let closing = self.lock().side.closing();
        if let Some(closing) = closing {
            closing.finish(until);
        }
    }

    /// Lets everything leave and waits until something happens, at most for `bound`.
    pub fn wait(&self, bound: Duration) {
        self.flush();
        let wait = self.lock().side.wait();
        if let Some(wait) = wait {
            wait.for_events(bound);
        }
        self.fetch();
    }
}

#[cfg(test)]
mod tests;
