//! What Godot's MultiplayerPeer is, for every transport: ids, roles, the packets that wait, and the order of signals.
//!
//! [`Multiplayer`] lives on the game's thread. A class of the engine's side owns one, starts it as server, client or mesh on
//! a [`Carrier`], and then calls [`Multiplayer::begin_poll`] and [`Multiplayer::next_notice`] until there is none, emitting each
//! notice while *nothing* of this is borrowed: a handler may send, close, disconnect, poll again or start anew. What a
//! notice changes is changed just before it is returned, and not earlier.
//!
//! Two rules of the engine decide the order. It reads packets only while the status after a poll is CONNECTED, and drops
//! packets of peers it does not know any more: so the end of a link waits while packets of that peer are unread. And
//! `peer_disconnected` comes before the status changes: so a client's end is told in steps.
//!
//! A packet that does not fit into a peer's queue ends that peer (see [`Overflow`]); a game that does not read its packets
//! makes its peers wait, since no more is fetched than [`Limits::inbound`].

mod carrier;
mod departures;
mod endings;
mod incoming;
mod send;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

pub use carrier::{Carrier, Event, Manners, Upcoming};
pub use incoming::Packet;
pub use send::{Overflow, PutError};

use departures::Departures;
use endings::HeldEnd;
use incoming::Incoming;

use crate::id_map::IdMap;
use crate::limits::{CLOSE_BOUND, Limits};
use crate::link::LinkId;
use crate::packet::{PacketMaker, TransferMode};
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};
use crate::seldom::Seldom;
use crate::stats::{EndpointStats, LinkStats};

/// The key of a server's or client's only carrier; in a mesh, carriers go by the peer's id.
const ONLY: i32 = 0;

/// The engine's ConnectionStatus, with its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing is open.
    #[default]
    Disconnected = 0,
    /// A client that has no answer yet.
    Connecting = 1,
    /// Everything else.
    Connected = 2,
}

/// What an open peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Others connect to it.
    Server,
    /// It connects to a server.
    Client,
    /// It is one of many that are connected to each other.
    Mesh,
}

/// Something to tell the game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `peer_connected`
    PeerConnected(i32),
    /// `peer_disconnected`
    PeerDisconnected(i32),
    /// `peer_lost`: right after `peer_disconnected`, with the reason.
    PeerLost(i32, Farewell),
    /// `connection_succeeded`
    ConnectionSucceeded,
    /// `connection_failed`
    ConnectionFailed(Farewell),
    /// `server_disconnected`
    ServerDisconnected(Farewell),
}

/// What is left to do of an event.
enum Step {
    Tell(Notice),
    /// This peer is not known any more: after its `peer_disconnected`, in whose handlers it still is.
    Forget(i32, u64),
    /// The status becomes DISCONNECTED.
    Close,
}

/// Why a call was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The peer is open already.
    AlreadyActive,
    /// The peer is not open.
    NotActive,
    /// It is no mesh.
    NotAMesh,
    /// Nobody here has this id.
    UnknownPeer(i32),
    /// No id can be this number.
    InvalidId(i32),
}

/// Somebody connected to us.
struct Peer {
    carrier: i32,
    link: LinkId,
    /// Tells it from another one who goes by the same id.
    serial: u64,
    /// This end is sending it away: nothing of it counts any more.
    leaving: bool,
    /// It was brought in, and its connection does not stand yet.
    awaited: bool,
}

/// One multiplayer peer.
pub struct Multiplayer<C: Carrier> {
    role: Option<Role>,
    status: Status,
    unique_id: i32,
    carriers: BTreeMap<i32, C>,
    peers: IdMap<i32, Peer>,
    /// The ids of all peers, in order: what is meant for all goes through them without a list of its own.
    in_order: Vec<i32>,
    ids: IdMap<(i32, LinkId), i32>,
    incoming: Incoming,
    departures: Departures,
    steps: VecDeque<Step>,
    /// Links that have ended while packets of theirs were unread.
    held: Vec<HeldEnd>,
    /// When a packet was read last, while there was somebody in `held`.
    last_read: Option<Instant>,
    next_serial: u64,
    maker: PacketMaker,
    target: i32,
    channel: i32,
    mode: TransferMode,
    refusing: bool,
    limits: Limits,
    overflow: Overflow,
    overflows: Seldom,
}

impl<C: Carrier> Default for Multiplayer<C> {
    fn default() -> Self {
        Self {
            role: None,
            status: Status::Disconnected,
            unique_id: 0,
            carriers: BTreeMap::new(),
            peers: IdMap::default(),
            in_order: Vec::new(),
            ids: IdMap::default(),
            incoming: Incoming::default(),
            departures: Departures::default(),
            steps: VecDeque::new(),
            held: Vec::new(),
            last_read: None,
            next_serial: 0,
            maker: PacketMaker::default(),
            target: 0,
            channel: 0,
            mode: TransferMode::Reliable,
            refusing: false,
            limits: Limits::default(),
            overflow: Overflow::default(),
            overflows: Seldom::default(),
        }
    }
}

impl<C: Carrier> Multiplayer<C> {
    /// Opens as a server.
    ///
    /// # Errors
    ///
    /// If it is open already.
    pub fn start_server(&mut self, carrier: C) -> Result<(), StateError> {
        self.start(Role::Server, Status::Connected, PeerId::SERVER.get())?;
        carrier.adopt();
        carrier.set_refusing(self.refusing);
        self.carriers.insert(ONLY, carrier);
        Ok(())
    }

    /// Opens as a client, whose connection to the server is being made. With this id, or without one if the server gives it.
    ///
    /// # Errors
    ///
    /// If it is open already.
    pub fn start_client(&mut self, carrier: C, link: LinkId, id: Option<PeerId>) -> Result<(), StateError> {
        self.start(Role::Client, Status::Connecting, id.map_or(0, PeerId::get))?;
        carrier.adopt();
        self.carriers.insert(ONLY, carrier);
        self.add(PeerId::SERVER.get(), ONLY, link);
        Ok(())
    }

    /// Opens as a member of a mesh, with this id.
    ///
    /// # Errors
    ///
    /// If the id is none, or it is open already.
    pub fn start_mesh(&mut self, id: i32) -> Result<(), StateError> {
        // In this order, as the engine.
        let id = PeerId::new(id).ok_or(StateError::InvalidId(id))?;
        self.start(Role::Mesh, Status::Connected, id.get())
    }

    /// Opens in this role, with this id, for connections that are made outside and brought in by [`Multiplayer::bring`].
    ///
    /// # Errors
    ///
    /// If the id is none, or it is open already.
    pub fn start_bringing(&mut self, role: Role, id: i32) -> Result<(), StateError> {
        let id = PeerId::new(id).ok_or(StateError::InvalidId(id))?;
        let status = if role == Role::Client { Status::Connecting } else { Status::Connected };
        self.start(role, status, id.get())
    }

    /// Brings a connection in that is being made. The game hears of the peer when it stands.
    ///
    /// # Errors
    ///
    /// If this is not open, or nobody of this id can be its peer.
    pub fn bring(&mut self, id: i32, carrier: C, link: LinkId) -> Result<(), StateError> {
        let of_server = PeerId::new(id).ok_or(StateError::InvalidId(id))? == PeerId::SERVER;
        match self.role {
            None => return Err(StateError::NotActive),
            Some(Role::Client) if !of_server => return Err(StateError::InvalidId(id)),
            Some(Role::Server) if of_server => return Err(StateError::InvalidId(id)),
            Some(_) => {}
        }
        carrier.adopt();
        carrier.set_limits(self.limits);
        self.release_held_of(id);
        // A client's server may have another connection brought in for it, without a word; of others the game hears.
        if self.role != Some(Role::Client) && self.is_connected(id) {
            self.lose(id, Reason::LocalClose.into());
        }
        self.remove(id);
        self.drop_unread_of(id);
        close_all(self.carriers.insert(id, carrier));
        self.add(id, id, link);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.awaited = true;
        }
        Ok(())
    }

    /// Takes out what was brought in. The game hears of it if the peer was connected; the connection is closed.
    ///
    /// # Errors
    ///
    /// If nobody has this id.
    pub fn take_out(&mut self, id: i32) -> Result<(), StateError> {
        let peer = self.peers.get(&id).ok_or(StateError::UnknownPeer(id))?;
        let (carrier, link, serial) = (peer.carrier, peer.link, peer.serial);
        if self.is_connected(id) {
            self.let_go(carrier, Some(link), Reason::LocalClose.into());
        } else {
            self.departures.note(id, Reason::LocalClose.into());
            self.forget(id, serial);
        }
        Ok(())
    }

    /// Whether a peer that was brought in is connected.
    pub fn is_connected(&self, id: i32) -> bool {
        self.peers.get(&id).is_some_and(|peer| !peer.awaited)
    }

    /// The next thing to tell of what has been noticed already.
    pub fn next_step(&mut self) -> Option<Notice> {
        loop {
            match self.steps.pop_front()? {
                Step::Tell(notice) => return Some(notice),
                Step::Forget(id, serial) => self.forget(id, serial),
                Step::Close => self.close_keeping_steps(),
            }
        }
    }

    fn start(&mut self, role: Role, status: Status, id: i32) -> Result<(), StateError> {
        self.check_inactive()?;
        self.role = Some(role);
        self.status = status;
        self.unique_id = id;
        if !C::MANNERS.keeps_refusing {
            self.refusing = false;
        }
        self.departures = Departures::default();
        Ok(())
    }

    /// Says whether it can be opened.
    ///
    /// # Errors
    ///
    /// If it is open already.
    pub fn check_inactive(&self) -> Result<(), StateError> {
        if self.role.is_some() { Err(StateError::AlreadyActive) } else { Ok(()) }
    }

    /// Takes a connection into a mesh. Telling the game is the caller's, as the engine does it within the call.
    ///
    /// # Errors
    ///
    /// If this is no mesh.
    pub fn add_mesh_peer(&mut self, id: i32, carrier: C, link: LinkId) -> Result<(), StateError> {
        if self.role != Some(Role::Mesh) {
            return Err(StateError::NotAMesh);
        }
        carrier.adopt();
        carrier.set_limits(self.limits);
        self.remove(id);
        self.carriers.insert(id, carrier);
        self.add(id, id, link);
        Ok(())
    }

    fn add(&mut self, id: i32, carrier: i32, link: LinkId) {
        self.departures.forget(id);
        self.next_serial += 1;
        self.peers
            .insert(id, Peer { carrier, link, serial: self.next_serial, leaving: false, awaited: false });
        self.ids.insert((carrier, link), id);
        if let Err(place) = self.in_order.binary_search(&id) {
            self.in_order.insert(place, id);
        }
    }

    fn remove(&mut self, id: i32) -> Option<Peer> {
        let peer = self.peers.remove(&id)?;
        if let Ok(place) = self.in_order.binary_search(&id) {
            self.in_order.remove(place);
        }
        self.ids.remove(&(peer.carrier, peer.link));
        if let Some(stats) = self.carriers.get(&peer.carrier).and_then(|carrier| carrier.stats(peer.link)) {
            self.departures.note_stats(id, stats);
        }
        Some(peer)
    }

    /// Whether it is open.
    pub fn is_active(&self) -> bool {
        self.role.is_some()
    }

    /// What it is, if it is open.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Whether the server may pass packets on between its clients: not in a mesh, where all are connected.
    pub fn can_relay(&self) -> bool {
        C::MANNERS.always_relays || matches!(self.role, Some(Role::Server | Role::Client))
    }

    /// The engine's status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The own id, 0 if it is not open.
    pub fn unique_id(&self) -> i32 {
        self.unique_id
    }

    /// Whether it is a server, as the engine's own class says it.
    pub fn is_server(&self) -> bool {
        let is_first = C::MANNERS.first_is_server && self.unique_id == PeerId::SERVER.get();
        self.role == Some(Role::Server) || is_first
    }

    /// Whether somebody goes by this id here, connected or not.
    pub fn has_peer(&self, id: i32) -> bool {
        self.peers.contains_key(&id)
    }

    /// The endpoint of a server or client.
    pub fn carrier(&self) -> Option<&C> {
        self.carriers.get(&ONLY)
    }

    /// The endpoint and the link that lead to a peer.
    pub fn way_to(&self, id: i32) -> Option<(&C, LinkId)> {
        let peer = self.peers.get(&id)?;
        Some((self.carriers.get(&peer.carrier)?, peer.link))
    }

    /// Lets leave what was put since the last frame's end: who polls in a loop of his own has no frames.
    pub fn begin_poll(&mut self) {
        self.maker.forget_large();
        for carrier in self.carriers.values() {
            carrier.begin_turn();
        }
        // A handler that polls goes on with what is being told already.
        if self.steps.is_empty() {
            self.notice_what_the_game_ended();
            self.release_held();
        }
    }

    /// The next thing to tell the game; `None` when this poll is over.
    pub fn next_notice(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.next_step() {
                return Some(notice);
            }
            let (carrier, event) = self.next_event()?;
            self.digest(carrier, event);
        }
    }

    fn next_event(&mut self) -> Option<(i32, Event)> {
        let Self { carriers, incoming, limits, .. } = self;
        for (key, carrier) in carriers {
            let full = |upcoming| upcoming == Upcoming::Packet && incoming.bytes() > limits.inbound;
            if let Some(event) = carrier.next_event(&mut { full }) {
                return Some((*key, event));
            }
        }
        None
    }

    fn digest(&mut self, carrier: i32, event: Event) {
        match event {
            Event::Connected { link, word } => self.connected(carrier, link, word),
            Event::Received { link, channel, mode, payload } => {
                let Some(id) = self.ids.get(&(carrier, link)) else { return };
                if self.peers.get(id).is_some_and(|peer| !peer.leaving) {
                    self.incoming.push(Packet { from: *id, channel, mode, payload });
                }
            }
            Event::Disconnected { link, farewell, stats } => {
                if let (Some(id), Some(stats)) = (self.ids.get(&(carrier, link)), stats) {
                    self.departures.note_stats(*id, stats);
                }
                self.ended(carrier, Some(link), farewell);
            }
            Event::Failed(farewell) => self.ended(carrier, None, farewell),
        }
    }

    fn connected(&mut self, carrier: i32, link: LinkId, word: u32) {
        match self.role {
            // Not everybody who connects to it is its server.
            Some(Role::Client) if !self.ids.contains_key(&(carrier, link)) => self.reset(carrier, link),
            Some(Role::Client) => {
                if self.unique_id == 0 {
                    // The carrier lets no other numbers through.
                    self.unique_id = PeerId::of_client(word).map_or(0, PeerId::get);
                }
                self.status = Status::Connected;
                self.joined(PeerId::SERVER.get());
                self.tell(Notice::ConnectionSucceeded);
            }
            Some(Role::Server | Role::Mesh) if carrier != ONLY => match self.ids.get(&(carrier, link)) {
                Some(id) => self.joined(*id),
                None => self.reset(carrier, link),
            },
            Some(Role::Server) => {
                let Some(id) = PeerId::of_client(word).map(PeerId::get) else {
                    self.reset(carrier, link);
                    return;
                };
                self.release_held_of(id);
                if self.peers.contains_key(&id) {
                    // The network thread lets in no two of one id, so this cannot be; but if it were, the first one stays.
                    self.reset(carrier, link);
                    return;
                }
                self.add(id, carrier, link);
                self.joined(id);
            }
            // In a mesh, connections are made outside and brought in.
            Some(Role::Mesh) | None => self.reset(carrier, link),
        }
    }

    fn joined(&mut self, id: i32) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.awaited = false;
        }
        self.tell(Notice::PeerConnected(id));
    }

    fn drop_unread_of(&mut self, id: i32) {
        if C::MANNERS.forgets_first {
            self.incoming.drop_of(id);
        }
    }

    fn reset(&self, carrier: i32, link: LinkId) {
        if let Some(carrier) = self.carriers.get(&carrier) {
            carrier.reset(link);
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.steps.push_back(Step::Tell(notice));
    }

    /// Ends the connection to a peer: what is queued for it still arrives. Without `force`, the game is told once the other end
    /// knows; with it, the peer is forgotten at once, without a signal.
    ///
    /// # Errors
    ///
    /// If it is not open, or nobody has this id.
    pub fn disconnect_peer(&mut self, id: i32, force: bool) -> Result<(), StateError> {
        if !self.is_active() {
            return Err(StateError::NotActive);
        }
        let peer = self.peers.get_mut(&id).ok_or(StateError::UnknownPeer(id))?;
        let already_leaving = std::mem::replace(&mut peer.leaving, true);
        let (key, link) = (peer.carrier, peer.link);
        let told = if self.role == Some(Role::Server) { Reason::Kicked } else { Reason::RemoteClose };
        if let Some(carrier) = self.carriers.get(&key)
            && !already_leaving
        {
            carrier.disconnect(link, told);
        }
        if !force {
            return Ok(());
        }
        self.departures.note(id, Reason::LocalClose.into());
        self.remove(id);
        if self.role == Some(Role::Client) {
            self.close();
        } else {
            self.drop_unread_of(id);
            self.close_brought(key);
        }
        Ok(())
    }

    /// The carrier of one peer goes with it; that of a server serves the others.
    fn close_brought(&mut self, key: i32) {
        if key != ONLY {
            close_all(self.carriers.remove(&key));
        }
    }

    /// Delivers what is queued, says goodbye to everybody and is not open any more. No signals.
    pub fn close(&mut self) {
        self.steps.clear();
        self.close_keeping_steps();
    }

    fn close_keeping_steps(&mut self) {
        // From the end, so that none has to move up.
        while let Some(id) = self.in_order.last().copied() {
            self.departures.note_if_unknown(id, Reason::LocalClose.into());
            self.remove(id);
        }
        close_all(std::mem::take(&mut self.carriers).into_values());
        self.role = None;
        self.status = Status::Disconnected;
        self.unique_id = 0;
        self.incoming.clear();
        self.held.clear();
        self.maker.forget_last();
        if !C::MANNERS.keeps_refusing {
            self.refusing = false;
        }
    }

    /// Lets what was put leave now.
    pub fn flush(&self) {
        for carrier in self.carriers.values() {
            carrier.flush();
        }
    }

    /// How many packets wait to be read.
    pub fn available_packets(&self) -> usize {
        self.incoming.len()
    }

    /// The next packet to be read.
    pub fn next_packet(&self) -> Option<&Packet> {
        self.incoming.front()
    }

    /// Takes the next packet; its bytes stay until the next call.
    pub fn take_packet(&mut self) -> Option<&[u8]> {
        if !self.held.is_empty() {
            self.last_read = Some(Instant::now());
        }
        self.incoming.take()
    }

    /// To whom packets go: 0 for all, an id, or all but one as its negative.
    pub fn set_target(&mut self, target: i32) {
        self.target = target;
    }

    /// The channel that packets go on.
    pub fn channel(&self) -> i32 {
        self.channel
    }

    /// Sets it.
    pub fn set_channel(&mut self, channel: i32) {
        self.channel = channel;
    }

    /// How packets travel.
    pub fn mode(&self) -> TransferMode {
        self.mode
    }

    /// Sets it.
    pub fn set_mode(&mut self, mode: TransferMode) {
        self.mode = mode;
    }

    /// Whether new clients are told no.
    pub fn is_refusing(&self) -> bool {
        self.refusing
    }

    /// Sets it.
    pub fn set_refusing(&mut self, refusing: bool) {
        self.refusing = refusing;
        // Nobody connects to a client, whatever it says.
        let refusing = refusing || self.role == Some(Role::Client);
        for carrier in self.carriers.values() {
            carrier.set_refusing(refusing);
        }
    }

    /// Times and sizes.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets them, for connections that stand too.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for carrier in self.carriers.values() {
            carrier.set_limits(limits);
        }
    }

    /// What becomes of a peer whose queue is full.
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Sets it.
    pub fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
    }

    /// Why the connection to a peer ended, or could not be made. [`Reason::None`] while it stands, or if there was none.
    pub fn farewell(&self, id: i32) -> Farewell {
        self.departures.farewell(id)
    }

    /// Figures of the connection to a peer; the last ones, if it has ended.
    pub fn stats(&self, id: i32) -> Option<LinkStats> {
        let standing = self.way_to(id).and_then(|(carrier, link)| carrier.stats(link));
        standing.or_else(|| self.departures.stats(id))
    }

    /// Figures of everything together.
    pub fn endpoint_stats(&self) -> EndpointStats {
        let each = self.carriers.values().map(Carrier::endpoint_stats);
        each.fold(EndpointStats::default(), EndpointStats::plus)
    }

    /// The ids of all peers, in order.
    pub fn peer_ids(&self) -> Vec<i32> {
        self.in_order.clone()
    }

    /// Packets without bytes that came; the engine has no use for them.
    pub fn empty_packets(&self) -> u64 {
        self.incoming.empty_packets()
    }
}

impl<C: Carrier> Drop for Multiplayer<C> {
    fn drop(&mut self) {
        self.close();
    }
}

/// All at once: each may take its time.
fn close_all<C: Carrier>(carriers: impl IntoIterator<Item = C>) {
    let carriers: Vec<C> = carriers.into_iter().collect();
    carriers.iter().for_each(Carrier::begin_close);
    let until = Instant::now() + CLOSE_BOUND;
    carriers.iter().for_each(|carrier| carrier.finish_close(until));
}

impl std::fmt::Display for StateError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AlreadyActive => formatter.write_str("The multiplayer instance is already active."),
            Self::NotActive => formatter.write_str("The multiplayer instance isn't currently active."),
            Self::NotAMesh => {
                formatter.write_str("The multiplayer instance is not a mesh. Call 'create_mesh' first.")
            }
            Self::UnknownPeer(id) => write!(formatter, "No peer has the ID {id}."),
            Self::InvalidId(id) => write!(formatter, "The unique ID must be greater than 0, not {id}."),
        }
    }
}

impl std::error::Error for StateError {}
