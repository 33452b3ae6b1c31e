//! The game's side of a WebRTC connection: to be told what to do and asked what happened.
//!
//! [`Connection`] is a handle: clones mean the same connection, which ends when the last is dropped or one says
//! [`Connection::close`]. None of its calls touches the network. What is seen of it changes in [`Connection::fetch`], which
//! the other calls that read make by themselves, or when the game itself changes something.
//!
//! Messages lie with their channels until they are read; once a multiplayer peer has taken the connection over
//! ([`Connection::adopt`]), they come one after the other, in the order they came in. What is unread is bounded: the network
//! thread stops to take data in while more than [`Limits::inbound`] waits, and the other end's sending comes to rest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::channel::{ChannelError, ChannelId, ChannelInit, ChannelPhase, ChannelShared};
use super::command::{Command, NewChannel, Notice};
use super::driver::{self, Parts};
use super::ice;
use super::ice::GatheringState;
use super::identity;
use super::quoted::quoted;
use super::settings::Settings;
use super::signaling::{DescriptionKind, Instruction, Signaling, SignalingError, SignalingState};
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

/// Channels that one connection may have: more would serve nobody, and each costs memory that the other end could ask for.
pub(super) const MOST_CHANNELS: usize = 1024;

/// Signals that may wait for a game that reads its channels and never polls; the rest waits between the threads.
const MOST_SIGNALS: usize = 4096;

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
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    side: GameSide<Command, Notice, Parts>,
    shared: Arc<ConnectionShared>,
    signaling: Signaling,
    state: ConnectionState,
    gathering: GatheringState,
    farewell: Farewell,
    channels: BTreeMap<ChannelId, Channel>,
    next_channel: u32,
    closed: Closed,
    signals: VecDeque<Signal>,
    /// There once a multiplayer peer has taken the connection over.
    game: Option<Game>,
    limits: Limits,
    longest_message: usize,
    /// The longest one that the other end takes, as far as it has said.
    longest_there: usize,
}

/// A channel as the game sees it.
struct Channel {
    init: ChannelInit,
    phase: ChannelPhase,
    stream: Option<u16>,
    shared: Arc<ChannelShared>,
    inbox: VecDeque<(Kind, Bytes)>,
    /// Nobody asks for it any more.
    forgotten: bool,
}

impl Channel {
    fn new(init: ChannelInit, phase: ChannelPhase, stream: Option<u16>, shared: Arc<ChannelShared>) -> Self {
        Self { init, phase, stream, shared, inbox: VecDeque::new(), forgotten: false }
    }
}

/// Announced channels that have closed, the oldest first, with bytes of their names. A script may still read them, but not
/// for ever: the other end could make new ones without end.
#[derive(Default)]
struct Closed {
    channels: VecDeque<(ChannelId, usize)>,
    names: usize,
}

impl Closed {
    fn push(&mut self, id: ChannelId, name_bytes: usize) {
        self.channels.push_back((id, name_bytes));
        self.names += name_bytes;
    }

    /// The oldest, if there are too many.
    fn pop_excess(&mut self) -> Option<ChannelId> {
        if self.channels.len() <= MOST_CHANNELS && self.names <= MOST_NAMES {
            return None;
        }
        let (id, name_bytes) = self.channels.pop_front()?;
        self.names -= name_bytes;
        Some(id)
    }
}

/// What a multiplayer peer uses and waits for, and what it has not heard yet.
struct Game {
    /// Its channels. Others stay the script's.
    channels: Vec<ChannelId>,
    /// So many of them have to be opened yet.
    awaited: usize,
    happened: VecDeque<Happened>,
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
        let inner = Inner {
            side: GameSide::new(handle, parts, start, false),
            shared,
            signaling,
            state: ConnectionState::New,
            gathering: GatheringState::New,
            farewell: Reason::None.into(),
            channels: BTreeMap::new(),
            next_channel: 0,
            closed: Closed::default(),
            signals: VecDeque::new(),
            game: None,
            limits,
            longest_message,
            longest_there: usize::MAX,
        };
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Whether both mean the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
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
        let mut inner = self.lock();
        inner.check_open()?;
        if inner.channels.is_empty() {
            let why =
                "A connection without data channels has nothing to offer: call create_data_channel before";
            return Err(SignalingError::OutOfTurn(why.to_owned()));
        }
        let text = inner.signaling.create_offer()?;
        inner.signals.push_back(Signal::DescriptionCreated(DescriptionKind::Offer, text));
        inner.begin();
        Ok(())
    }

    /// Applies the own description that was created last, and begins to gather candidates.
    ///
    /// # Errors
    ///
    /// If it is not that one.
    pub fn set_local_description(&self, kind: DescriptionKind, text: &str) -> Result<(), SignalingError> {
        let mut inner = self.lock();
        inner.check_open()?;
        let instruction = inner.signaling.set_local(kind, text)?;
        inner.tell(instruction);
        Ok(())
    }

    /// Takes the other end's description. To an offer, a signal with the answer's text follows.
    ///
    /// # Errors
    ///
    /// If it is not the time for it, or it makes no sense.
    pub fn set_remote_description(&self, kind: DescriptionKind, text: &str) -> Result<(), SignalingError> {
        let mut inner = self.lock();
        inner.check_open()?;
        let (instructions, answer) = inner.signaling.set_remote(kind, text)?;
        if let Some(text) = answer {
            // An own offer that nobody has heard of yet gives way.
            let is_offer =
                |signal: &Signal| matches!(signal, Signal::DescriptionCreated(DescriptionKind::Offer, _));
            inner.signals.retain(|signal| !is_offer(signal));
            inner.signals.push_back(Signal::DescriptionCreated(DescriptionKind::Answer, text));
        }
        inner.begin();
        inner.tell(instructions);
        Ok(())
    }

    /// Takes a candidate of the other end.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn add_candidate(&self, line: &str) -> Result<(), SignalingError> {
        let mut inner = self.lock();
        inner.check_open()?;
        ice::check_candidate(line).map_err(|error| {
            SignalingError::Invalid(format!("`{}` is no candidate: {error}", quoted(line, QUOTED)))
        })?;
        if !inner.signaling.keeps_candidate(line) {
            // Checked above: it is not over.
            let _ = inner.side.push(Command::Candidate(line.to_owned()));
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
        let mut inner = self.lock();
        inner.side.begin_turn();
        inner.fetch();
        inner.apply_forgotten();
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
        let mut inner = self.lock();
        inner.fetch();
        inner.channels.get(&channel).map_or(0, |channel| channel.inbox.len())
    }

    /// Reads the next message of a channel.
    pub fn take_message(&self, channel: ChannelId) -> Option<(Kind, Bytes)> {
        let mut inner = self.lock();
        let (kind, payload) = inner.channels.get_mut(&channel)?.inbox.pop_front()?;
        inner.was_read(payload.len());
        Some((kind, payload))
    }

    /// Queues a message on a channel.
    ///
    /// # Errors
    ///
    /// If the channel or the message is not fit for it.
    pub fn send(&self, channel: ChannelId, kind: Kind, payload: Bytes) -> Result<(), LinkError> {
        let inner = self.lock();
        let view = inner.channels.get(&channel).ok_or(LinkError::Gone)?;
        match view.phase {
            ChannelPhase::Open => {}
            ChannelPhase::Closed => return Err(LinkError::Gone),
            ChannelPhase::Connecting | ChannelPhase::Closing => return Err(LinkError::NotConnected),
        }
        if payload.len() > inner.longest_message() {
            return Err(LinkError::OverLimit(inner.longest_message()));
        }
        let lossy = view.init.is_lossy();
        if !lossy && !inner.shared.room.reserve(payload.len(), inner.limits.outbound) {
            return Err(LinkError::QueueFull(inner.shared.room.taken()));
        }
        view.shared.put(payload.len());
        inner.side.push_or_lose(Command::Send { channel, kind, payload, lossy }, |lost| inner.lost(lost))
    }

    /// Closes a channel, once what was put on it has arrived.
    pub fn close_channel(&self, channel: ChannelId) {
        let mut inner = self.lock();
        let Some(view) = inner.channels.get_mut(&channel) else { return };
        if matches!(view.phase, ChannelPhase::Closing | ChannelPhase::Closed) {
            return;
        }
        view.phase = ChannelPhase::Closing;
        // Once the connection is over, so are its channels.
        let _ = inner.side.push(Command::CloseChannel(channel));
        inner.side.flush();
    }

    /// Nobody will ask for this channel any more: closes it, and forgets it when it has closed.
    pub fn forget_channel(&self, channel: ChannelId) {
        self.close_channel(channel);
        let mut inner = self.lock();
        let Some(view) = inner.channels.get_mut(&channel) else { return };
        view.forgotten = true;
        let unread = std::mem::take(&mut view.inbox);
        if view.phase == ChannelPhase::Closed {
            inner.channels.remove(&channel);
        }
        unread.iter().for_each(|(_, payload)| inner.was_read(payload.len()));
    }

    /// Sets times and sizes.
    pub fn set_limits(&self, limits: Limits) {
        let mut inner = self.lock();
        inner.limits = limits.bounded();
        let limits = inner.limits;
        inner.side.set_inbound_limit(limits.inbound);
        // Once closed there is nothing to limit.
        let _ = inner.side.push(Command::Limits(limits));
    }

    /// Figures of the connection, at most some tens of milliseconds old.
    pub fn stats(&self) -> LinkStats {
        let inner = self.lock();
        let (link, _) = inner.shared.figures();
        LinkStats { queued_bytes: inner.shared.room.taken() as u64, ..link }
    }

    /// The same in other words.
    pub fn endpoint_stats(&self) -> EndpointStats {
        let inner = self.lock();
        let (_, endpoint) = inner.shared.figures();
        EndpointStats { packets_dropped: endpoint.packets_dropped + inner.side.dropped(), ..endpoint }
    }

    /// Whether the game has closed it.
    pub fn is_closed_here(&self) -> bool {
        self.lock().side.is_closed()
    }

    /// From now on what happens on these channels is told one after the other, by [`Connection::next_happened`]; it begins
    /// when all are open.
    pub fn adopt(&self, channels: Vec<ChannelId>) {
        let awaited = channels.len();
        self.lock().game = Some(Game { channels, awaited, happened: VecDeque::new() });
    }

    /// The next thing that happened, unless `hold` wants it to wait: then it stays the next.
    pub fn next_happened(&self, hold: impl FnOnce(&Happened) -> bool) -> Option<Happened> {
        let mut inner = self.lock();
        let mut game = inner.game.as_ref()?;
        if game.happened.is_empty() {
            inner.fetch();
            game = inner.game.as_ref()?;
        }
        if hold(game.happened.front()?) {
            return None;
        }
        let happened = inner.game.as_mut()?.happened.pop_front();
        if let Some(Happened::Message { payload, .. }) = &happened {
            inner.was_read(payload.len());
        }
        happened
    }

    /// Ends it once everything that is queued has arrived; the other end hears the reason.
    pub fn leave(&self, told: Reason) {
        let mut inner = self.lock();
        // Once closed there is nobody to tell.
        let _ = inner.side.push(Command::Leave(told));
        inner.side.flush();
    }

    /// Ends it at once, for this reason.
    pub fn abandon(&self, farewell: Farewell) {
        let mut inner = self.lock();
        let _ = inner.side.push(Command::Abandon(farewell));
        inner.side.flush();
    }

    /// Closes it and all its channels. What is queued is still delivered, on the network thread.
    pub fn close(&self) {
        self.begin_close();
        self.finish_close(Instant::now());
    }

    /// The first half of closing; does not wait.
    pub(super) fn begin_close(&self) {
        let mut inner = self.lock();
        let is_begun = inner.state != ConnectionState::New;
        inner.side.begin_close(is_begun);
        inner.over(ConnectionState::Closed, Reason::LocalClose.into());
        inner.signals.clear();
        if let Some(game) = &mut inner.game {
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

impl Inner {
    fn check_open(&self) -> Result<(), SignalingError> {
        match self.state {
            ConnectionState::Closed | ConnectionState::Failed => Err(SignalingError::Closed),
            _ => Ok(()),
        }
    }

    /// A message was dropped on its way to the network thread, for those behind it: it does not wait any more.
    fn lost(&self, command: &Command) {
        if let Command::Send { channel, payload, .. } = command
            && let Some(channel) = self.channels.get(channel)
        {
            channel.shared.left(payload.len());
        }
    }

    fn longest_message(&self) -> usize {
        self.longest_message.min(self.longest_there)
    }

    /// The exchange of descriptions has begun.
    fn begin(&mut self) {
        if self.state == ConnectionState::New {
            self.state = ConnectionState::Connecting;
        }
    }

    fn tell(&mut self, instructions: impl IntoIterator<Item = Instruction>) {
        for instruction in instructions {
            if let Instruction::Remote(remote) = &instruction {
                self.longest_there = remote.longest_message.unwrap_or(usize::MAX);
            }
            // Whoever calls has looked that it is not over.
            let _ = self.side.push(Command::Signaled(instruction));
        }
        self.side.flush();
    }

    /// Some implementations apply an end's own description by themselves, and games rely on it.
    fn apply_forgotten(&mut self) {
        let announced = self.signals.iter().any(|signal| matches!(signal, Signal::DescriptionCreated(..)));
        if announced || !self.signaling.awaits_local() {
            return;
        }
        if self.signaling.state() == SignalingState::HaveRemoteOffer {
            tracing::warn!(
                "set_local_description was not called with the answer: it is applied, but browsers would wait for ever"
            );
            let instruction = self.signaling.apply_created();
            self.tell(instruction);
        }
    }

    fn create_channel(&mut self, init: ChannelInit) -> Result<ChannelId, ChannelError> {
        if self.check_open().is_err() {
            return Err(ChannelError::Closed);
        }
        init.check()?;
        let live = || self.channels.values().filter(|channel| channel.phase != ChannelPhase::Closed);
        if let Some(number) = init.negotiated
            && live().any(|channel| channel.stream == Some(number))
        {
            return Err(ChannelError::NumberInUse(number));
        }
        if live().count() >= MOST_CHANNELS {
            return Err(ChannelError::TooMany);
        }
        let id = ChannelId(self.next_channel);
        self.next_channel += 1;
        let shared = Arc::<ChannelShared>::default();
        let new = NewChannel { id, init: init.clone(), shared: shared.clone() };
        let _ = self.side.push(Command::Open(Box::new(new)));
        let stream = init.negotiated;
        self.channels.insert(id, Channel::new(init, ChannelPhase::Connecting, stream, shared));
        Ok(id)
    }

    fn fetch(&mut self) {
        while self.signals.len() < MOST_SIGNALS
            && let Some(notice) = self.side.next(|_| false)
        {
            self.see(notice);
        }
    }

    fn see(&mut self, notice: Notice) {
        match notice {
            Notice::Candidate(candidate) => {
                let mid = self.signaling.mid().to_owned();
                self.signaling.note_candidate(&candidate);
                self.signals.push_back(Signal::CandidateCreated { mid, candidate });
            }
            Notice::Gathering(state) => self.gathering = state,
            Notice::State(state) => self.state = state,
            Notice::ChannelOpened { channel, stream } => self.channel_opened(channel, stream),
            Notice::ChannelAnnounced { new, stream } => {
                let NewChannel { id, init, shared } = *new;
                self.channels.insert(id, Channel::new(init, ChannelPhase::Open, Some(stream), shared));
                self.signals.push_back(Signal::ChannelReceived(id));
            }
            Notice::ChannelClosed { channel } => self.channel_closed(channel),
            Notice::Message { channel, kind, payload } => self.received(channel, kind, payload),
            Notice::Ended(farewell) => self.ended(farewell),
        }
    }

    fn channel_opened(&mut self, id: ChannelId, stream: u16) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.stream = Some(stream);
        if channel.phase == ChannelPhase::Connecting {
            channel.phase = ChannelPhase::Open;
        }
        if let Some(game) = self.game.as_mut().filter(|game| game.channels.contains(&id)) {
            game.awaited -= 1;
            if game.awaited == 0 {
                game.happened.push_back(Happened::Ready);
            }
        }
    }

    fn channel_closed(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let before = std::mem::replace(&mut channel.phase, ChannelPhase::Closed);
        if channel.forgotten {
            self.channels.remove(&id);
            return;
        }
        if before == ChannelPhase::Closed {
            return;
        }
        if id.is_announced() {
            self.closed.push(id, channel.init.name_bytes());
            self.drop_long_closed();
            return;
        }
        if let Some(game) = self.game.as_mut().filter(|game| game.channels.contains(&id)) {
            let detail = format!("its channel `{}` was closed", quoted(&channel.init.label, QUOTED));
            let is_ours = before == ChannelPhase::Closing;
            let reason = if is_ours { Reason::LocalClose } else { Reason::RemoteClose };
            game.happened.push_back(Happened::Ended(Farewell::with(reason, detail)));
        }
    }

    fn drop_long_closed(&mut self) {
        while let Some(id) = self.closed.pop_excess() {
            let Some(channel) = self.channels.remove(&id) else { continue };
            channel.inbox.iter().for_each(|(_, payload)| self.was_read(payload.len()));
        }
    }

    fn received(&mut self, id: ChannelId, kind: Kind, payload: Bytes) {
        let length = payload.len();
        if let Some(game) = self.game.as_mut().filter(|game| game.channels.contains(&id)) {
            game.happened.push_back(Happened::Message { channel: id, payload });
        } else if let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.forgotten) {
            channel.inbox.push_back((kind, payload));
        } else {
            self.was_read(length);
        }
    }

    /// A message was read, or is not going to be.
    fn was_read(&mut self, length: usize) {
        let left = self.shared.was_read(length);
        if left <= self.limits.inbound / 2 && self.shared.paused.swap(false, Ordering::AcqRel) {
            // Once closed there is nobody to tell.
            let _ = self.side.push(Command::TakeMore);
            self.side.flush();
        }
    }

    fn ended(&mut self, farewell: Farewell) {
        self.side.has_failed();
        if matches!(self.state, ConnectionState::Closed | ConnectionState::Failed) {
            return;
        }
        let state = match farewell.reason {
            Reason::RemoteClose | Reason::LocalClose | Reason::Kicked => ConnectionState::Closed,
            _ => ConnectionState::Failed,
        };
        self.over(state, farewell.clone());
        if let Some(game) = &mut self.game {
            game.happened.push_back(Happened::Ended(farewell));
        }
    }

    fn over(&mut self, state: ConnectionState, farewell: Farewell) {
        if !matches!(self.state, ConnectionState::Closed | ConnectionState::Failed) {
            self.farewell = farewell;
        }
        self.state = state;
        if state == ConnectionState::Closed {
            self.signaling.close();
        }
        for channel in self.channels.values_mut() {
            channel.phase = ChannelPhase::Closed;
        }
    }
}

#[cfg(test)]
mod tests;
