//! What a multiplayer peer of ours is behind its Godot class: the same for every transport.
//!
//! The class holds this in an `Arc`; virtual calls reach it without going through gdext's cell (see `virtual_calls`), scripts'
//! calls through it. One lock guards the peer; it is never held while signals go out, so that handlers may do anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_net::multiplayer::{Carrier, Multiplayer, Notice, PutError};
use ferry_net::packet::TransferMode;
use godot::classes::MultiplayerPeerExtension;
use godot::global::Error;
use godot::obj::bounds::DeclUser;
use godot::obj::{Bounds, WithBaseField};
use godot::prelude::*;

use crate::convert;
use crate::frame;
use crate::log;

const NOT_ACTIVE: &str = "The multiplayer instance isn't currently active.";

/// A Godot class that is a multiplayer peer.
pub(crate) trait PeerClass:
    WithBaseField + Bounds<Declarer = DeclUser> + Inherits<MultiplayerPeerExtension>
{
    /// What carries its packets.
    type Carrier: Carrier + Send + 'static;

    /// Its state, always the same.
    fn state(&self) -> &Arc<PeerState<Self::Carrier>>;

    /// Emits the signal of a notice.
    fn tell(this: &mut Gd<Self>, notice: Notice);

    /// It has been closed.
    fn closed(&self);
}

/// The state behind a class.
pub(crate) type StateOf<P> = PeerState<<P as PeerClass>::Carrier>;

/// The state of one multiplayer peer.
pub(crate) struct PeerState<C: Carrier> {
    peer: Mutex<Multiplayer<C>>,
    flush_is_coming: AtomicBool,
    polled: AtomicBool,
}

impl<C: Carrier> Default for PeerState<C> {
    fn default() -> Self {
        Self {
            peer: Mutex::default(),
            flush_is_coming: AtomicBool::new(false),
            polled: AtomicBool::new(false),
        }
    }
}

impl<C: Carrier> PeerState<C> {
    /// The peer itself. A panic of ours leaves it in order: what it holds is queues.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Multiplayer<C>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a packet, to leave at the frame's end.
    pub(crate) fn put_packet(&self, bytes: &[u8], this: impl FnOnce() -> InstanceId) -> Result<(), PutError> {
        provoke_panic(bytes == b"panic when put");
        let outcome = self.lock().put_packet(bytes);
        self.flush_at_end_of_frame(this);
        outcome
    }

    /// Lets what is queued leave at the frame's end.
    pub(crate) fn flush_at_end_of_frame(&self, this: impl FnOnce() -> InstanceId) {
        if !self.flush_is_coming.swap(true, Ordering::AcqRel) {
            frame::flush_at_end(this());
        }
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

    pub(crate) fn packet_channel(&self) -> i32 {
        self.lock().next_packet().map_or(1, |packet| packet.channel)
    }

    pub(crate) fn packet_peer(&self) -> i32 {
        self.lock().next_packet().map_or(1, |packet| packet.from)
    }

    pub(crate) fn unique_id(&self) -> Option<i32> {
        let peer = self.lock();
        peer.is_active().then(|| peer.unique_id())
    }
}

/// For the test that a panic does not look like success.
fn provoke_panic(asked: bool) {
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
pub(crate) fn report_no_packet() -> Error {
    godot_error!("No incoming packets available.");
    Error::ERR_UNAVAILABLE
}

/// Says that a peer is not open.
pub(crate) fn report_not_active() {
    godot_error!("{NOT_ACTIVE}");
}

/// Polls: tells the game everything that has happened, one by one.
pub(crate) fn poll<P: PeerClass>(mut this: Gd<P>) {
    let state = this.bind().state().clone();
    {
        let mut peer = state.lock();
        if !peer.is_active() {
            drop(peer);
            report_not_active();
            return;
        }
        peer.begin_poll();
    }
    state.polled.store(true, Ordering::Release);
    loop {
        let notice = state.lock().next_notice();
        let Some(notice) = notice else { break };
        P::tell(&mut this, notice);
    }
    clear_if_closed(&this, &state);
    log::print_waiting();
}

/// A peer that has ended by itself is closed as much as one that was.
fn clear_if_closed<P: PeerClass>(this: &Gd<P>, state: &StateOf<P>) {
    let active = state.lock().is_active();
    if !active {
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
    let outcome = state.lock().disconnect_peer(id, force);
    if let Err(error) = outcome {
        godot_error!("{error}");
    }
    clear_if_closed(this, &state);
}

/// Lets what is queued leave: the frame has ended.
pub(crate) fn flush_frame<P: PeerClass>(this: &Gd<P>) {
    let state = this.bind().state().clone();
    state.flush_is_coming.store(false, Ordering::Release);
    state.polled.store(false, Ordering::Release);
    state.lock().flush();
}

/// Whether it was polled since the last frame's end.
pub(crate) fn was_polled<P: PeerClass>(this: &Gd<P>) -> bool {
    this.bind().state().polled.load(Ordering::Acquire)
}
