//! The end of a frame, when what a game has sent in it leaves.
//!
//! Packets are sent while the tree polls its multiplayer API (answers, synchronizers) and, later in the same frame, by the
//! game's scripts. To leave together, they wait for the end of both. The engine's deferred calls run once between the
//! two and once behind, so a deferred call alone comes too early for the first: where a peer was polled, a timer of the
//! tree that is over at once does the rest, since those run behind both. Should neither run, because a frame takes long or
//! there is no tree, the network thread sends by itself after 5 ms.
//!
//! Both are calls by name of methods that each peer class registers: they do not keep the peer alive, and survive a library
//! that the editor loads anew, as closures of ours would not.

use godot::classes::{Engine, MultiplayerPeerExtension, SceneTree};
use godot::obj::Singleton;
use godot::prelude::*;

use crate::peer_state::{PeerClass, flush_frame, was_polled};

/// The method of a peer class that calls [`deferred_calls_run`].
const DEFERRED: &str = "_ferry_deferred_calls_run";

/// The method that calls [`flush_frame`].
const FRAME_ENDED: &str = "_ferry_frame_ended";

/// Flushes a peer when the frame ends.
pub(crate) fn flush_at_end(peer: InstanceId) {
    if let Ok(mut peer) = Gd::<MultiplayerPeerExtension>::try_from_instance_id(peer) {
        peer.call_deferred(DEFERRED, &[]);
    }
}

/// The engine runs its deferred calls.
pub(crate) fn deferred_calls_run<P: PeerClass>(peer: &Gd<P>) {
    let timer = tree()
        .filter(|_| was_polled(peer))
        .and_then(|mut tree| tree.create_timer_ex(0.0).process_always(true).ignore_time_scale(true).done());
    match timer {
        Some(mut timer) => {
            timer.connect("timeout", &Callable::from_object_method(peer, FRAME_ENDED));
        }
        None => flush_frame(peer),
    }
}

fn tree() -> Option<Gd<SceneTree>> {
    Engine::singleton().get_main_loop()?.try_cast::<SceneTree>().ok()
}
