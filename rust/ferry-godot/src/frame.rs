//! The end of a frame, when what a game has sent in it leaves.
//!
//! Packets are sent while the tree polls its multiplayer API (answers, synchronizers) and, later in the same frame, by the
//! game's scripts. To leave together, they wait for the end of both. The engine's deferred calls run once between the
//! two and once behind, so a deferred call alone comes too early for the first: where an object was polled, a timer of the
//! tree that is over at once does the rest, since those run behind both. Should neither run, because a frame takes long or
//! there is no tree, the network thread sends by itself after 5 ms.
//!
//! Both are calls by name of methods that each class registers: they do not keep the object alive, and survive a library
//! that the editor loads anew, as closures of ours would not.

use std::sync::atomic::{AtomicBool, Ordering};

use godot::classes::{Engine, RefCounted, SceneTree};
use godot::obj::bounds::DeclUser;
use godot::obj::{Bounds, Singleton, WithBaseField};
use godot::prelude::*;

/// The method of a class that calls [`deferred_calls_run`].
const DEFERRED: &str = "_ferry_deferred_calls_run";

/// The method that calls [`frame_ended`].
const FRAME_ENDED: &str = "_ferry_frame_ended";

/// What an object knows of the running frame.
#[derive(Default)]
pub(crate) struct Frame {
    /// The end has been asked for.
    end_is_coming: AtomicBool,
    /// It was polled in this frame.
    polled: AtomicBool,
}

/// A class whose objects send.
pub(crate) trait Framed: WithBaseField + Bounds<Declarer = DeclUser> + Inherits<RefCounted> {
    /// Does something with what the object knows of the frame.
    fn with_frame<R>(&self, body: impl FnOnce(&Frame) -> R) -> R;

    /// Lets what is queued leave.
    fn flush(&self);
}

impl Frame {
    /// Something is to leave when the frame ends.
    pub(crate) fn flush_at_end(&self, object: impl FnOnce() -> InstanceId) {
        if self.end_is_coming.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Ok(mut object) = Gd::<RefCounted>::try_from_instance_id(object()) {
            object.call_deferred(DEFERRED, &[]);
        }
    }

    /// The object is being polled.
    pub(crate) fn note_poll(&self) {
        self.polled.store(true, Ordering::Release);
    }

    fn was_polled(&self) -> bool {
        self.polled.load(Ordering::Acquire)
    }

    fn begin_next(&self) {
        self.end_is_coming.store(false, Ordering::Release);
        self.polled.store(false, Ordering::Release);
    }
}

/// The engine runs its deferred calls.
pub(crate) fn deferred_calls_run<F: Framed>(object: &Gd<F>) {
    let polled = object.bind().with_frame(Frame::was_polled);
    let timer = tree()
        .filter(|_| polled)
        .and_then(|mut tree| tree.create_timer_ex(0.0).process_always(true).ignore_time_scale(true).done());
    match timer {
        Some(mut timer) => {
            timer.connect("timeout", &Callable::from_object_method(object, FRAME_ENDED));
        }
        None => frame_ended(object),
    }
}

/// Lets what is queued leave: the frame has ended.
pub(crate) fn frame_ended<F: Framed>(object: &Gd<F>) {
    let object = object.bind();
    object.with_frame(Frame::begin_next);
    object.flush();
}

fn tree() -> Option<Gd<SceneTree>> {
    Engine::singleton().get_main_loop()?.try_cast::<SceneTree>().ok()
}
