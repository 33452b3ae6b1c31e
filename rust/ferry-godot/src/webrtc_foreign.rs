//! A connection that is not Ferry's as a peer of a game: another plugin's, or one that a script plays.
//!
//! Such a connection is an object of the engine, and calling it may run scripts. So nothing of it is called while the game's
//! peer is locked: packets wait here, and are handed over and fetched by [`Foreign::pump`] (in the peer's `poll`) and at
//! the end of a frame. What `Multiplayer` sees is a [`Carrier`] as any other. The objects themselves are held by the class; here
//! they go by their numbers.
//!
//! What waits is bounded by [`Limits`], both ways. The engine's class takes a connection that is DISCONNECTED for lost; here it may
//! come back within [`Limits::peer_timeout`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::{LinkError, LinkId};
use ferry_net::multiplayer::{Carrier, Event, Manners, Upcoming};
use ferry_net::packet::TransferMode;
use ferry_net::reason::{Farewell, Reason};
use ferry_net::stats::{EndpointStats, LinkStats};
use ferry_net::webrtc::{ChannelInit, Member, Persistence, Ways};
use godot::classes::web_rtc_data_channel::ChannelState;
use godot::classes::web_rtc_peer_connection::ConnectionState;
use godot::classes::{WebRtcDataChannel, WebRtcPeerConnection};
use godot::global::Error;
use godot::prelude::*;

use crate::frame::{Frame, Sender};

/// How long a connection that is being ended may take to send what it has taken.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a packet costs besides its bytes, so that a flood of tiny ones is bounded too.
const PACKET_OVERHEAD: usize = 64;

/// A connection that is not Ferry's. A handle: clones mean the same one.
#[derive(Clone)]
pub(crate) struct Foreign(Arc<Shared>);

struct Shared {
    connection: InstanceId,
    channels: Vec<InstanceId>,
    ways: Ways,
    frame: Frame,
    inner: Mutex<Inner>,
}

/// Where it stands for the game.
#[derive(Clone, Copy)]
enum Phase {
    /// It is not there yet; since then it is being made.
    Awaited(Option<Instant>),
    /// All its channels are open. Since then it is silent, if it is.
    Standing(Option<Instant>),
    /// Since then this end is leaving.
    Leaving(Instant),
    Over,
}

struct Inner {
    phase: Phase,
    happened: VecDeque<Event>,
    unread_bytes: usize,
    outgoing: VecDeque<(usize, Bytes)>,
    queued_bytes: usize,
    /// Its objects are being called: a script that they run may poll again.
    pumping: bool,
    limits: Limits,
    figures: LinkStats,
}

/// Makes the channels of a peer, as the engine's class makes them; `None` if the connection does not.
pub(crate) fn make_channels(
    connection: &mut Gd<WebRtcPeerConnection>,
    ways: &Ways,
    lifetime: Duration,
) -> Option<Vec<Gd<WebRtcDataChannel>>> {
    ways.channels(lifetime)
        .map(|init| {
            let options = options_of(&init);
            connection.create_data_channel_ex(&init.label).options(&options).done()
        })
        .collect()
}

fn options_of(init: &ChannelInit) -> VarDictionary {
    let mut options = vdict! {
        "id" => i64::from(init.negotiated.unwrap_or_default()),
        "negotiated" => true,
        "ordered" => !init.unordered,
    };
    if let Persistence::Lifetime(lifetime) = init.persistence {
        let milliseconds = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        // The engine's own class says the one, browsers and plugins listen to the other.
        options.set("maxPacketLifetime", milliseconds);
        options.set("maxPacketLifeTime", milliseconds);
    }
    options
}

fn cost_of(payload: &Bytes) -> usize {
    payload.len() + PACKET_OVERHEAD
}

impl Foreign {
    /// For a connection with its channels, one for each of the ways. Somebody else holds them.
    pub(crate) fn new(
        connection: &Gd<WebRtcPeerConnection>,
        channels: &[Gd<WebRtcDataChannel>],
        ways: Ways,
    ) -> Self {
        let inner = Inner {
            phase: Phase::Awaited(None),
            happened: VecDeque::new(),
            unread_bytes: 0,
            outgoing: VecDeque::new(),
            queued_bytes: 0,
            pumping: false,
            limits: Limits::default(),
            figures: LinkStats::default(),
        };
        Self(Arc::new_cyclic(|own: &Weak<Shared>| Shared {
            connection: connection.instance_id(),
            channels: channels.iter().map(Gd::instance_id).collect(),
            ways,
            frame: Frame::of(own.clone()),
            inner: Mutex::new(inner),
        }))
    }

    /// Whether both mean the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Polls the connection and moves packets both ways. Runs scripts.
    pub(crate) fn pump(&self) {
        self.0.frame.note_poll();
        self.0.call_objects(Shared::look_after);
    }

    /// Hands over what waits, and closes the connection. Runs scripts.
    pub(crate) fn finish(&self) {
        self.0.call_objects(Shared::hand_over);
        self.0.lock().phase = Phase::Over;
        let open = |connection: &Gd<WebRtcPeerConnection>| {
            connection.get_connection_state() != ConnectionState::CLOSED
        };
        if let Some(mut connection) = self.0.connection().filter(open) {
            connection.close();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Option<Gd<WebRtcPeerConnection>> {
        Gd::try_from_instance_id(self.connection).ok()
    }

    fn channel(&self, place: usize) -> Option<Gd<WebRtcDataChannel>> {
        Gd::try_from_instance_id(*self.channels.get(place)?).ok()
    }

    fn channels(&self) -> impl Iterator<Item = Gd<WebRtcDataChannel>> {
        (0..self.channels.len()).filter_map(|place| self.channel(place))
    }

    /// Does something with the objects, unless a script that it runs has come back here.
    fn call_objects(&self, body: impl FnOnce(&Self)) {
        if std::mem::replace(&mut self.lock().pumping, true) {
            return;
        }
        body(self);
        self.lock().pumping = false;
    }

    fn look_after(&self) {
        let Some(mut connection) = self.connection() else { return };
        connection.poll();
        self.hand_over();
        let end = self.judge(connection.get_connection_state());
        // What came before the end is read before it.
        self.take_in();
        if let Some(farewell) = end {
            self.lock().end(farewell);
        } else if self.has_left() {
            connection.close();
            self.lock().end(Reason::LocalClose.into());
        }
    }

    /// Follows the connection's state; gives why it is over, if it is.
    fn judge(&self, state: ConnectionState) -> Option<Farewell> {
        let now = Instant::now();
        match state {
            ConnectionState::NEW => None,
            ConnectionState::CONNECTING => self.lock().is_being_made(now),
            ConnectionState::CONNECTED => self.judge_channels(now),
            ConnectionState::DISCONNECTED => self.lock().is_silent(now),
            ConnectionState::FAILED => Some(Reason::IceFailed.into()),
            _ => {
                let leaving = matches!(self.lock().phase, Phase::Leaving(_));
                Some(if leaving { Reason::LocalClose } else { Reason::RemoteClose }.into())
            }
        }
    }

    fn judge_channels(&self, now: Instant) -> Option<Farewell> {
        let mut open = 0;
        for mut channel in self.channels() {
            channel.poll();
            match channel.get_ready_state() {
                ChannelState::CONNECTING => {}
                ChannelState::OPEN => open += 1,
                _ => {
                    let detail = format!("its channel `{}` was closed", channel.get_label());
                    return Some(Farewell::with(Reason::RemoteClose, detail));
                }
            }
        }
        let mut inner = self.lock();
        if open < self.channels.len() {
            return inner.is_being_made(now);
        }
        inner.stands();
        None
    }

    /// Whether this end has left, and everything of its is on its way.
    fn has_left(&self) -> bool {
        let since = {
            let inner = self.lock();
            let Phase::Leaving(since) = inner.phase else { return false };
            if !inner.outgoing.is_empty() && since.elapsed() < LAST_WORDS {
                return false;
            }
            since
        };
        since.elapsed() >= LAST_WORDS || self.channels().all(|channel| channel.get_buffered_amount() <= 0)
    }

    fn take_in(&self) {
        if !matches!(self.lock().phase, Phase::Standing(_)) {
            return;
        }
        for place in 0..self.channels.len() {
            let Some(mut channel) = self.channel(place) else { continue };
            while self.lock().has_room() && channel.get_available_packet_count() > 0 {
                let packet = channel.get_packet();
                if channel.get_packet_error() != Error::OK {
                    break;
                }
                let (number, mode) = (self.ways.number(place), self.ways.mode(place));
                self.lock().received(number, mode, Bytes::copy_from_slice(packet.as_slice()));
            }
        }
    }

    fn hand_over(&self) {
        loop {
            let next = self.lock().outgoing.pop_front();
            let Some((place, payload)) = next else { return };
            let outcome = self.channel(place).map_or(Error::ERR_DOES_NOT_EXIST, |mut channel| {
                channel.put_packet(&PackedByteArray::from(&payload[..]))
            });
            let mut inner = self.lock();
            let reliable = self.ways.mode(place) == TransferMode::Reliable;
            match outcome {
                Error::ERR_OUT_OF_MEMORY | Error::ERR_BUSY if reliable => {
                    inner.outgoing.push_front((place, payload));
                    return;
                }
                Error::OK => {
                    inner.figures.packets_sent += 1;
                    inner.figures.bytes_sent += payload.len() as u64;
                }
                _ if reliable => {
                    let detail = format!("it did not take a packet of {} bytes: {outcome:?}", payload.len());
                    inner.end(Farewell::with(Reason::Network, detail));
                }
                _ => inner.figures.packets_dropped += 1,
            }
            inner.queued_bytes = inner.queued_bytes.saturating_sub(cost_of(&payload));
        }
    }
}

impl Sender for Shared {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn flush(&self) {
        self.call_objects(Self::hand_over);
    }
}

impl Inner {
    fn is_being_made(&mut self, now: Instant) -> Option<Farewell> {
        let Phase::Awaited(since) = &mut self.phase else { return None };
        let since = *since.get_or_insert(now);
        (now - since >= self.limits.connect_timeout).then(|| Reason::ConnectTimeout.into())
    }

    fn is_silent(&mut self, now: Instant) -> Option<Farewell> {
        match &mut self.phase {
            Phase::Awaited(_) => self.is_being_made(now),
            Phase::Standing(since) => {
                let since = *since.get_or_insert(now);
                (now - since >= self.limits.peer_timeout).then(|| Reason::Timeout.into())
            }
            Phase::Leaving(_) | Phase::Over => None,
        }
    }

    fn stands(&mut self) {
        match self.phase {
            Phase::Awaited(_) => {
                self.happened.push_back(Event::Connected { link: LinkId::ONLY, word: 0 });
                self.phase = Phase::Standing(None);
            }
            Phase::Standing(_) => self.phase = Phase::Standing(None),
            Phase::Leaving(_) | Phase::Over => {}
        }
    }

    fn has_room(&self) -> bool {
        self.unread_bytes < self.limits.inbound
    }

    fn received(&mut self, channel: i32, mode: TransferMode, payload: Bytes) {
        self.unread_bytes += cost_of(&payload);
        self.figures.packets_received += 1;
        self.figures.bytes_received += payload.len() as u64;
        self.happened.push_back(Event::Received { link: LinkId::ONLY, channel, mode, payload });
    }

    fn end(&mut self, farewell: Farewell) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.phase = Phase::Over;
        let stats = Some(self.stats());
        self.happened.push_back(Event::Disconnected { link: LinkId::ONLY, farewell, stats });
    }

    fn stats(&self) -> LinkStats {
        LinkStats { queued_bytes: self.queued_bytes as u64, ..self.figures.clone() }
    }
}

fn upcoming(event: &Event) -> Upcoming {
    match event {
        Event::Connected { .. } => Upcoming::Connected,
        Event::Received { .. } => Upcoming::Packet,
        Event::Disconnected { .. } => Upcoming::End,
        Event::Failed(_) => Upcoming::Failure,
    }
}

impl Carrier for Foreign {
    const MANNERS: Manners = Member::MANNERS;

    fn next_event(&self, hold: &mut dyn FnMut(Upcoming) -> bool) -> Option<Event> {
        let mut inner = self.0.lock();
        if hold(upcoming(inner.happened.front()?)) {
            return None;
        }
        let event = inner.happened.pop_front()?;
        if let Event::Received { payload, .. } = &event {
            inner.unread_bytes = inner.unread_bytes.saturating_sub(cost_of(payload));
        }
        Some(event)
    }

    fn send(&self, _link: LinkId, channel: i32, mode: TransferMode, payload: Bytes) -> Result<(), LinkError> {
        let place = self.0.ways.place(channel, mode)?;
        {
            let mut inner = self.0.lock();
            match inner.phase {
                Phase::Standing(_) => {}
                Phase::Awaited(_) | Phase::Leaving(_) => return Err(LinkError::NotConnected),
                Phase::Over => return Err(LinkError::Gone),
            }
            let cost = cost_of(&payload);
            if !inner.outgoing.is_empty() && inner.queued_bytes + cost > inner.limits.outbound {
                if self.0.ways.mode(place) == TransferMode::Reliable {
                    return Err(LinkError::QueueFull(inner.queued_bytes));
                }
                inner.figures.packets_dropped += 1;
                return Ok(());
            }
            inner.queued_bytes += cost;
            inner.outgoing.push_back((place, payload));
        }
        self.0.frame.flush_at_end();
        Ok(())
    }

    fn adopt(&self) {}

    fn taken_away(&self) -> Vec<LinkId> {
        Vec::new()
    }

    fn is_closed(&self) -> bool {
        false
    }

    // Its objects are called by `pump` and at the frame's end only: the game's peer is locked now.
    fn begin_turn(&self) {}

    fn flush(&self) {}

    fn disconnect(&self, _link: LinkId, _told: Reason) {
        let mut inner = self.0.lock();
        if !matches!(inner.phase, Phase::Over) {
            inner.phase = Phase::Leaving(Instant::now());
        }
    }

    fn reset(&self, _link: LinkId) {
        self.0.lock().phase = Phase::Over;
    }

    fn abandon(&self, _link: LinkId, farewell: Farewell) {
        let mut inner = self.0.lock();
        inner.outgoing.clear();
        inner.queued_bytes = 0;
        inner.end(farewell);
    }

    fn set_refusing(&self, _refusing: bool) {}

    fn set_limits(&self, limits: Limits) {
        self.0.lock().limits = limits;
    }

    fn stats(&self, _link: LinkId) -> Option<LinkStats> {
        let inner = self.0.lock();
        (!matches!(inner.phase, Phase::Over)).then(|| inner.stats())
    }

    fn endpoint_stats(&self) -> EndpointStats {
        let inner = self.0.lock();
        EndpointStats {
            bytes_sent: inner.figures.bytes_sent,
            bytes_received: inner.figures.bytes_received,
            packets_dropped: inner.figures.packets_dropped,
            ..EndpointStats::default()
        }
    }

    // The class closes the connection when it lets go of it.
    fn begin_close(&self) {
        self.0.lock().happened.clear();
    }

    fn finish_close(&self, _until: Instant) {}
}
