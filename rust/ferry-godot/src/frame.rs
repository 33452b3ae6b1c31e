//! The end of a frame, when what a game has sent in it leaves.
//!
//! Packets are sent while the tree polls its multiplayer API (answers, synchronizers) and, later in the same frame, by the
//! game's scripts. To leave together, they wait for the end of both. The engine's deferred calls run once between the
//! two and once behind, so a deferred call alone comes too early for the first: where a peer was polled, a timer of the
//! tree that is over at once does the rest, since those run behind both. Should neither run, because a frame takes long or
//! there is no tree, the network thread sends by itself after 5 ms.

use godot::classes::{Engine, SceneTree};
use godot::obj::Singleton;
use godot::prelude::*;

use crate::peer_state::{PeerClass, flush_frame, was_polled};

/// Flushes a peer when the frame ends. Does not keep it alive: a peer that is dropped sends what it has at once.
pub(crate) fn flush_at_end<P: PeerClass>(peer: InstanceId) {
    let soon = Callable::from_sync_fn("ferry_soon", move |_| {
        let Ok(target) = Gd::<P>::try_from_instance_id(peer) else { return };
        match tree().filter(|_| was_polled(&target)) {
            Some(tree) => flush_behind_scripts::<P>(tree, peer),
            None => flush_frame(&target),
        }
    });
    soon.call_deferred(&[]);
}

fn flush_behind_scripts<P: PeerClass>(mut tree: Gd<SceneTree>, peer: InstanceId) {
    let at_end = Callable::from_sync_fn("ferry_end_of_frame", move |_| {
        if let Ok(target) = Gd::<P>::try_from_instance_id(peer) {
            flush_frame(&target);
        }
    });
    let timer = tree.create_timer_ex(0.0).process_always(true).ignore_time_scale(true).done();
    match timer {
        Some(mut timer) => drop(timer.connect("timeout", &at_end)),
        None => drop(at_end.call(&[])),
    }
}

fn tree() -> Option<Gd<SceneTree>> {
    Engine::singleton().get_main_loop()?.try_cast::<SceneTree>().ok()
}
