//! What a multiplayer peer of ours is behind its Godot class: the same for every transport.
//!
//! The class holds this in an `Arc`; virtual calls reach it without going through gdext's cell (see `virtual_calls`), scripts'
//! calls through it. One lock guards the peer; it is never held while signals go out, so that handlers may do anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ferry_net::link::LinkId;
use ferry_net::multiplayer::{Carrier, Multiplayer, Notice, PutError, StateError, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::Farewell;
use godot::classes::MultiplayerPeerExtension;
use godot::global::Error;
use godot::obj::bounds::DeclUser;
use godot::obj::{Bounds, WithBaseField};
use godot::prelude::*;

use crate::convert;
use crate::frame::{Frame, Sender};
use crate::log;

const NOT_ACTIVE: &str = "The multiplayer instance isn't currently active.";

/// A Godot class that is a multiplayer peer.
pub(crate) trait PeerClass:
    WithBaseField + Bounds<Declarer = DeclUser> + Inherits<MultiplayerPeerExtension> + Inherits<RefCounted>
{
    /// What carries its packets.
    type Carrier: Carrier + Send + 'static;

    /// What `get_peer_stats` calls it.
    const TRANSPORT: &'static str;

    /// How it answers while there is nothing to answer with.
    const WHEN_IDLE: WhenIdle;

    /// Its state, always the same.
    fn state(&self) -> &Arc<PeerState<Self::Carrier>>;

    /// Whether its connections are encrypted, or were when it was open last.
    fn is_encrypted(&self) -> bool;

    /// The longest packet that can be put.
    fn max_packet_size(&self) -> i32;

    /// Whether polling it is more than asking its state, see [`PeerClass::before_poll`] and [`PeerClass::sweep`].
    const POLLS_OTHERS: bool = false;

    /// It is about to be polled: what has to be done with other objects of the engine, while nothing is
    /// locked or borrowed. For those who say [`PeerClass::POLLS_OTHERS`].
    fn before_poll(_this: &Gd<Self>) {}

    /// Peers may have gone: lets go of what is kept for those that have. Nothing is locked. After polls, too, for those who say
    /// [`PeerClass::POLLS_OTHERS`].
    fn sweep(&self) {}

    /// It has been closed.
    fn closed(&self);
}

/// The engine's own classes answer a little differently from each other while they are not open, or have no packet; so do
/// ours.
#[derive(Clone, Copy)]
pub(crate) struct WhenIdle {
    /// Polling, or asking for the own id, is an error while it is not open.
    pub(crate) complains_when_closed: bool,
    /// Reading, while it is not connected.
    pub(crate) read_unconnected: Error,
    /// The channel of a packet that is not there.
    pub(crate) channel_of_none: i32,
    /// The sender of a packet that is not there.
    pub(crate) sender_of_none: i32,
    /// The own id while it is not open.
    pub(crate) id_of_none: i32,
}

/// The state behind a class.
pub(crate) type StateOf<P> = PeerState<<P as PeerClass>::Carrier>;

/// The state of one multiplayer peer.
pub(crate) struct PeerState<C: Carrier> {
    peer: Mutex<Multiplayer<C>>,
    frame: Frame,
}

impl<C: Carrier + Send + 'static> PeerState<C> {
    /// A peer that is not open.
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new_cyclic(|own: &Weak<Self>| Self { peer: Mutex::default(), frame: Frame::of(own.clone()) })
    }
}

impl<C: Carrier + Send> Sender for PeerState<C> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn flush(&self) {
        self.lock().flush();
    }
}

impl<C: Carrier> PeerState<C> {
    /// The peer itself. A panic of ours leaves it in order: what it holds is queues.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Multiplayer<C>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something that may be refused; then an error is printed.
    pub(crate) fn attempt<T>(
        &self,
        call: impl FnOnce(&mut Multiplayer<C>) -> Result<T, StateError>,
    ) -> Result<T, Error> {
        // Not under the lock: printing an error may call scripts.
        let outcome = call(&mut self.lock());
        outcome.map_err(report_refused)
    }

    /// The endpoint and the link that lead to a peer; without any, an error is printed.
    pub(crate) fn way_to(&self, id: i64) -> Option<(C, LinkId)> {
        let way = {
            let peer = self.lock();
            let way = i32::try_from(id).ok().and_then(|id| peer.way_to(id));
            way.map(|(carrier, link)| (carrier.clone(), link))
        };
        if way.is_none() {
            godot_error!("No peer has the ID {id}.");
        }
        way
    }

    /// Begins a poll, unless it is not open.
    pub(crate) fn begin_poll(&self) -> Begun {
        let mut peer = self.lock();
        if !peer.is_active() {
            return Begun::NotOpen;
        }
        peer.begin_poll();
        self.frame.note_poll();
        match peer.next_notice() {
            Some(notice) => Begun::Notice(notice),
            None if peer.is_active() => Begun::Quiet,
            None => Begun::Ended,
        }
    }

    /// Queues a packet, to leave at the frame's end.
    pub(crate) fn put_packet(&self, bytes: &[u8]) -> Result<(), PutError> {
        provoke_panic(bytes == b"panic when put");
        let outcome = self.lock().put_packet(bytes);
        self.flush_at_end_of_frame();
        outcome
    }

    /// Lets what is queued leave at the frame's end.
    pub(crate) fn flush_at_end_of_frame(&self) {
        self.frame.flush_at_end();
    }

    /// Takes the next packet. Its bytes stay where they are until the next is taken.
    pub(crate) fn take_packet(&self) -> Option<(*const u8, usize)> {
        let mut peer = self.lock();
        let bytes = peer.take_packet()?;
        provoke_panic(bytes == b"panic when read");
        Some((bytes.as_ptr(), bytes.len()))
    }

    pub(crate) fn packet_mode(&self) -> TransferMode {
        self.lock().next_packet().map_or(TransferMode::Reliable, |packet| packet.mode)
    }

    pub(crate) fn packet_channel(&self, of_none: i32) -> i32 {
        self.lock().next_packet().map_or(of_none, |packet| packet.channel)
    }

    pub(crate) fn packet_peer(&self, of_none: i32) -> i32 {
        self.lock().next_packet().map_or(of_none, |packet| packet.from)
    }

    pub(crate) fn unique_id(&self) -> Option<i32> {
        let peer = self.lock();
        peer.is_active().then(|| peer.unique_id())
    }
}

/// For the tests that a panic does not look like success.
pub(crate) fn provoke_panic(asked: bool) {
    assert!(!(asked && cfg!(feature = "provoke-panics")), "a panic on purpose");
}

/// Says why a packet was not sent.
pub(crate) fn report_put(outcome: Result<(), PutError>) -> Error {
    outcome.err().map_or(Error::OK, |error| {
        convert::report_put(&error);
        convert::put_error(&error)
    })
}

/// Says that there was no packet to read.
pub(crate) fn report_no_packet<P: PeerClass>(state: &StateOf<P>) -> Error {
    if state.lock().status() != Status::Connected && P::WHEN_IDLE.read_unconnected != Error::ERR_UNAVAILABLE {
        godot_error!("Nothing can be read: this peer is not connected.");
        return P::WHEN_IDLE.read_unconnected;
    }
    godot_error!("No incoming packets available.");
    Error::ERR_UNAVAILABLE
}

/// Says that a peer is not open, where that is an error.
pub(crate) fn report_not_active<P: PeerClass>() {
    if P::WHEN_IDLE.complains_when_closed {
        godot_error!("{NOT_ACTIVE}");
    }
}

/// Says why a call was refused.
pub(crate) fn report_refused(error: StateError) -> Error {
    godot_error!("{error}");
    convert::state_error(error)
}

/// Emits the signal of a notice. By name, since each class has signals of its own; nothing of it is borrowed, so that a
/// handler may do anything.
pub(crate) fn tell<P: PeerClass>(this: &mut Gd<P>, notice: Notice) {
    let mut object = this.clone().upcast::<RefCounted>();
    match notice {
        Notice::PeerConnected(id) => object.emit_signal("peer_connected", vslice![id]),
        Notice::PeerDisconnected(id) => object.emit_signal("peer_disconnected", vslice![id]),
        Notice::PeerLost(id, Farewell { reason, detail }) => {
            object.emit_signal("peer_lost", vslice![id, reason as i64, detail.as_str()])
        }
        Notice::ConnectionSucceeded => object.emit_signal("connection_succeeded", &[]),
        Notice::ConnectionFailed(farewell) => {
            object.emit_signal("connection_failed", vslice![farewell.reason as i64])
        }
        Notice::ServerDisconnected(farewell) => {
            object.emit_signal("server_disconnected", vslice![farewell.reason as i64])
        }
    };
}

/// What a poll begins with.
pub(crate) enum Begun {
    /// The peer is not open.
    NotOpen,
    /// Nothing has happened.
    Quiet,
    /// Nothing is to be told any more, and the peer has ended.
    Ended,
    /// This is to be told, and perhaps more.
    Notice(Notice),
}

/// Polls, with a strong reference: tells the game everything that has happened, one by one.
pub(crate) fn poll<P: PeerClass>(mut this: Gd<P>, begun: Option<Begun>) {
    let state = this.bind().state().clone();
    let begun = begun.unwrap_or_else(|| {
        P::before_poll(&this);
        state.begin_poll()
    });
    let mut next = match begun {
        Begun::NotOpen => return report_not_active::<P>(),
        Begun::Quiet | Begun::Ended => None,
        Begun::Notice(notice) => Some(notice),
    };
    while let Some(notice) = next {
        tell(&mut this, notice);
        next = state.lock().next_notice();
    }
    let_go_of_gone(&this, &state);
    log::print_waiting();
}

/// Tells the game what a call of its own has brought about: within that call.
pub(crate) fn tell_at_once<P: PeerClass>(this: &mut Gd<P>) {
    let state = this.bind().state().clone();
    loop {
        let notice = state.lock().next_step();
        let Some(notice) = notice else { break };
        tell(this, notice);
    }
    let_go_of_gone(this, &state);
}

/// A peer that has ended by itself is closed as much as one that was.
fn let_go_of_gone<P: PeerClass>(this: &Gd<P>, state: &StateOf<P>) {
    let active = state.lock().is_active();
    if active {
        this.bind().sweep();
    } else {
        this.bind().closed();
    }
}

/// Closes, without signals.
pub(crate) fn close<P: PeerClass>(this: &Gd<P>) {
    let state = this.bind().state().clone();
    state.lock().close();
    this.bind().closed();
    log::print_waiting();
}

/// Ends the connection to a peer.
pub(crate) fn disconnect_peer<P: PeerClass>(this: &Gd<P>, id: i32, force: bool) {
    let state = this.bind().state().clone();
    // The engine's call has no answer to give.
    let _ = state.attempt(|peer| peer.disconnect_peer(id, force));
    let_go_of_gone(this, &state);
}
