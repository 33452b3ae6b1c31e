//! The end of a frame, when what a game has sent in it leaves.
//!
//! Packets are sent while the tree polls its multiplayer API (answers, synchronizers) and, later in the same frame, by the
//! game's scripts. To leave together, they wait for the end of both. The engine's deferred calls run once between the
//! two and once behind, so a deferred call alone comes too early for the first: for a peer that was polled, a timer of the
//! tree that is over at once does the rest, since those run behind both. Should neither run, because a frame takes long or
//! there is no tree, the network thread sends by itself after 5 ms.
//!
//! The engine calls one object of the library's own ([`FerryFrameEnds`]), and not the peers: the last reference to a peer may
//! go on another thread just then, and the engine frees an object of an extension before it forgets it. The peers stand in a
//! list that does not keep them alive. Both calls are by name: closures of ours would not survive a library that the editor
//! loads anew.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use godot::classes::{Engine, SceneTree};
use godot::obj::Singleton;
use godot::prelude::*;

const DEFERRED: &str = "deferred_calls_run";
const FRAME_ENDED: &str = "frame_ended";

/// Something that sends.
pub(crate) trait Sender: Send + Sync {
    /// What it knows of the running frame.
    fn frame(&self) -> &Frame;

    /// Lets what is queued leave.
    fn flush(&self);
}

/// What a sender knows of the running frame.
pub(crate) struct Frame {
    own: Weak<dyn Sender>,
    /// The end has been asked for.
    end_is_coming: AtomicBool,
    /// It was polled in this frame.
    polled: AtomicBool,
}

impl Frame {
    /// For this sender.
    pub(crate) fn of(own: Weak<dyn Sender>) -> Self {
        Self { own, end_is_coming: AtomicBool::new(false), polled: AtomicBool::new(false) }
    }

    /// Something is to leave when the frame ends.
    pub(crate) fn flush_at_end(&self) {
        if !self.end_is_coming.swap(true, Ordering::AcqRel) {
            ENDS.wait_for_deferred_calls(self.own.clone());
        }
    }

    /// The sender is being polled.
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

/// Who waits for what.
struct Ends {
    /// The engine's number of the one object that it calls; 0 without one.
    object: AtomicI64,
    deferred: Mutex<Vec<Weak<dyn Sender>>>,
    timed: Mutex<Vec<Weak<dyn Sender>>>,
}

static ENDS: Ends =
    Ends { object: AtomicI64::new(0), deferred: Mutex::new(Vec::new()), timed: Mutex::new(Vec::new()) };

fn lock(list: &Mutex<Vec<Weak<dyn Sender>>>) -> MutexGuard<'_, Vec<Weak<dyn Sender>>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ends {
    fn object(&self) -> Option<Gd<Object>> {
        let id = self.object.load(Ordering::Acquire);
        (id != 0).then(|| Gd::try_from_instance_id(InstanceId::from_i64(id)).ok()).flatten()
    }

    fn wait_for_deferred_calls(&self, sender: Weak<dyn Sender>) {
        let is_first = {
            let mut waiting = lock(&self.deferred);
            waiting.push(sender);
            waiting.len() == 1
        };
        if is_first && let Some(mut object) = self.object() {
            object.call_deferred(DEFERRED, &[]);
        }
    }

    /// The engine runs its deferred calls: those who were not polled in this frame have nothing more to wait for.
    fn deferred_calls_run(&self) {
        let waiting = std::mem::take(&mut *lock(&self.deferred));
        let (polled, done): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|sender| sender.upgrade().is_some_and(|one| one.frame().was_polled()));
        flush(done);
        if polled.is_empty() {
            return;
        }
        let is_first = {
            let mut timed = lock(&self.timed);
            let is_first = timed.is_empty();
            timed.extend(polled);
            is_first
        };
        if is_first && !self.start_timer() {
            self.frame_ended();
        }
    }

    fn start_timer(&self) -> bool {
        let timer = tree().and_then(|mut tree| {
            tree.create_timer_ex(0.0).process_always(true).ignore_time_scale(true).done()
        });
        match (timer, self.object()) {
            (Some(mut timer), Some(object)) => {
                timer.connect("timeout", &Callable::from_object_method(&object, FRAME_ENDED));
                true
            }
            _ => false,
        }
    }

    fn frame_ended(&self) {
        let waiting = std::mem::take(&mut *lock(&self.timed));
        flush(waiting);
    }
}

fn flush(senders: Vec<Weak<dyn Sender>>) {
    for sender in senders.iter().filter_map(Weak::upgrade) {
        sender.frame().begin_next();
        sender.flush();
    }
}

fn tree() -> Option<Gd<SceneTree>> {
    Engine::singleton().get_main_loop()?.try_cast::<SceneTree>().ok()
}

/// What the engine calls at the end of a frame.
#[derive(GodotClass)]
#[class(tool, init, internal, base = Object)]
pub(crate) struct FerryFrameEnds {
    base: Base<Object>,
}

#[godot_api]
impl FerryFrameEnds {
    #[func]
    fn deferred_calls_run(&self) {
        ENDS.deferred_calls_run();
    }

    #[func]
    fn frame_ended(&self) {
        ENDS.frame_ended();
    }
}

/// The library is there: makes the one object.
pub(crate) fn begin() {
    let object = FerryFrameEnds::new_alloc();
    ENDS.object.store(object.instance_id().to_i64(), Ordering::Release);
}

/// The library is about to go.
pub(crate) fn end() {
    if let Some(object) = ENDS.object() {
        ENDS.object.store(0, Ordering::Release);
        object.free();
    }
}
