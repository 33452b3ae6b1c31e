//! What the game sees of a connection, and what changes it: a notice of the network thread, or the game's own calls.
//!
//! Unread messages lie with their channel, or in one line with all that happened once a multiplayer peer has taken the
//! connection over. Channels that the other end announced and that have closed are kept for a script to read, up to bounds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{ConnectionShared, ConnectionState, Happened, MOST_CHANNELS, MOST_NAMES, QUOTED, Signal};
use crate::game_side::GameSide;
use crate::limits::Limits;
use crate::packet::Kind;
use crate::reason::{Farewell, Reason};
use crate::webrtc::channel::{ChannelError, ChannelId, ChannelInit, ChannelPhase, ChannelShared};
use crate::webrtc::command::{Command, NewChannel, Notice};
use crate::webrtc::driver::Parts;
use crate::webrtc::ice::GatheringState;
use crate::webrtc::quoted::quoted;
use crate::webrtc::signaling::{Instruction, Signaling, SignalingError, SignalingState};

/// Signals that may wait for a game that reads its channels and never polls; the rest waits between the threads.
const MOST_SIGNALS: usize = 4096;

/// A connection as the game sees it.
pub(super) struct Seen {
    pub(super) side: GameSide<Command, Notice, Parts>,
    pub(super) shared: Arc<ConnectionShared>,
    pub(super) signaling: Signaling,
    pub(super) state: ConnectionState,
    pub(super) gathering: GatheringState,
    pub(super) farewell: Farewell,
    pub(super) channels: BTreeMap<ChannelId, Channel>,
    next_channel: u32,
    closed: Closed,
    pub(super) signals: VecDeque<Signal>,
    /// There once a multiplayer peer has taken the connection over.
    pub(super) game: Option<Game>,
    pub(super) limits: Limits,
    longest_message: usize,
    /// The longest one that the other end takes, as far as it has said.
    longest_there: usize,
}

/// A channel as the game sees it.
pub(super) struct Channel {
    pub(super) init: ChannelInit,
    pub(super) phase: ChannelPhase,
    pub(super) stream: Option<u16>,
    pub(super) shared: Arc<ChannelShared>,
    pub(super) inbox: VecDeque<(Kind, Bytes)>,
    /// Nobody asks for it any more.
    pub(super) forgotten: bool,
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
pub(super) struct Game {
    /// Its channels. Others stay the script's.
    channels: Vec<ChannelId>,
    /// So many of them have to be opened yet.
    awaited: usize,
    pub(super) happened: VecDeque<Happened>,
}

impl Game {
    pub(super) fn new(channels: Vec<ChannelId>) -> Self {
        Self { awaited: channels.len(), channels, happened: VecDeque::new() }
    }
}

impl Seen {
    pub(super) fn new(
        side: GameSide<Command, Notice, Parts>,
        shared: Arc<ConnectionShared>,
        signaling: Signaling,
        limits: Limits,
        longest_message: usize,
    ) -> Self {
        Self {
            side,
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
        }
    }

    pub(super) fn check_open(&self) -> Result<(), SignalingError> {
        match self.state {
            ConnectionState::Closed | ConnectionState::Failed => Err(SignalingError::Closed),
            _ => Ok(()),
        }
    }

    /// A message was dropped on its way to the network thread, for those behind it: it does not wait any more.
    pub(super) fn lost(&self, command: &Command) {
        if let Command::Send { channel, payload, .. } = command
            && let Some(channel) = self.channels.get(channel)
        {
            channel.shared.left(payload.len());
        }
    }

    pub(super) fn longest_message(&self) -> usize {
        self.longest_message.min(self.longest_there)
    }

    /// The exchange of descriptions has begun.
    pub(super) fn begin(&mut self) {
        if self.state == ConnectionState::New {
            self.state = ConnectionState::Connecting;
        }
    }

    pub(super) fn tell(&mut self, instructions: impl IntoIterator<Item = Instruction>) {
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
    pub(super) fn apply_forgotten(&mut self) {
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

    pub(super) fn create_channel(&mut self, init: ChannelInit) -> Result<ChannelId, ChannelError> {
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

    pub(super) fn fetch(&mut self) {
        while self.signals.len() < MOST_SIGNALS
            && let Some(notice) = self.side.next(|_| false)
        {
            self.see(notice);
        }
    }

    pub(super) fn see(&mut self, notice: Notice) {
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
    pub(super) fn was_read(&mut self, length: usize) {
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

    pub(super) fn over(&mut self, state: ConnectionState, farewell: Farewell) {
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
