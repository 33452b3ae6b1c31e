//! How the engine's virtual calls reach a multiplayer peer: any thread, no panic, a few nanoseconds.
//!
//! gdext's own way (`impl IMultiplayerPeerExtension`) borrows the object through a cell for each call. With the feature
//! `experimental-threads`, which use from a script's thread needs, that costs 300 to 500 ns, twenty times the call itself, and
//! a server puts thousands of packets a frame. So the calls are registered by hand, with what gdext's macro expands to
//! (parts of gdext that are not for users: the version is pinned). What is done per packet works on the peer's shared state,
//! found by the object's address in a small memory of each thread; what emits signals holds a strong reference and borrows
//! nothing.
//!
//! A panic must not look like success: the engine takes an answer that was not written for zero, which is `OK`, and reads a
//! packet where none is. So every call answers something else after a panic, and `_get_packet` says "nothing" first.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use godot::obj::Gd;
use godot::private::{Storage, as_storage};
use godot::sys;

use crate::guard::guarded;
use crate::log;
use crate::peer_state::{self, Begun, PeerClass, PeerState};

/// An object of ours, as the engine names it.
pub(crate) type Instance = sys::GDExtensionClassInstancePtr;

/// Goes up whenever a peer is freed: what the threads remember may be gone then.
static FREED: AtomicU64 = AtomicU64::new(0);

/// Peers that a thread remembers. A process has one or two; a test that plays a whole match has some more.
const REMEMBERED: usize = 64;

/// Where the objects of peers have their states.
struct Memory {
    freed: Cell<u64>,
    states: [Cell<(usize, *const ())>; REMEMBERED],
}

thread_local! {
    static MEMORY: Memory = const {
        Memory { freed: Cell::new(0), states: [const { Cell::new((0, std::ptr::null())) }; REMEMBERED] }
    };
}

/// To be called when a peer is dropped, before its state goes.
pub(crate) fn forget_peers() {
    FREED.fetch_add(1, Ordering::Release);
}

/// Does something with the state of a peer, which must not free the peer: so nothing that runs scripts.
///
/// # Safety
///
/// The engine must have passed `instance` to the call that is running, of an object of class `P`.
unsafe fn with_state<P: PeerClass, R>(
    instance: Instance,
    body: impl FnOnce(&PeerState<P::Carrier>) -> R,
) -> R {
    let key = instance as usize;
    let state = MEMORY.with(|memory| {
        let freed = FREED.load(Ordering::Acquire);
        if memory.freed.replace(freed) != freed {
            memory.states.iter().for_each(|place| place.set((0, std::ptr::null())));
        }
        let place = &memory.states[(key >> 6) % REMEMBERED];
        let (known, state) = place.get();
        if known == key {
            return state;
        }
        // SAFETY: the caller vouches for the instance.
        let state = Arc::as_ptr(unsafe { as_storage::<P>(instance) }.get().state()).cast::<()>();
        place.set((key, state));
        state
    });
    // SAFETY: the engine calls on a living object of class P, which owns this state, and since it was remembered no peer
    // was freed whose address this could be.
    body(unsafe { &*state.cast::<PeerState<P::Carrier>>() })
}

/// The arguments of a virtual call.
#[derive(Clone, Copy)]
pub(crate) struct Arguments(pub(crate) *const sys::GDExtensionConstTypePtr);

impl Arguments {
    /// # Safety
    ///
    /// The engine must have passed so many arguments, and a `T` at this place.
    pub(crate) unsafe fn get<T: Copy>(self, place: usize) -> T {
        // SAFETY: the caller vouches for both.
        unsafe { (*self.0.add(place)).cast::<T>().read() }
    }

    /// # Safety
    ///
    /// The engine must have passed so many arguments, and an integer or an enum at this place.
    pub(crate) unsafe fn int(self, place: usize) -> i32 {
        // SAFETY: the caller vouches for it; the engine passes both as 64 bits.
        unsafe { self.get::<i64>(place) as i32 }
    }

    /// # Safety
    ///
    /// The engine must have passed so many arguments, and a truth value at this place.
    pub(crate) unsafe fn truth(self, place: usize) -> bool {
        // SAFETY: the caller vouches for it.
        unsafe { self.get::<u8>(place) != 0 }
    }
}

/// What a virtual call may answer.
pub(crate) trait Answer {
    /// # Safety
    ///
    /// `place` must be where the engine wants an answer of this type.
    unsafe fn write(self, place: sys::GDExtensionTypePtr);
}

impl Answer for () {
    unsafe fn write(self, _: sys::GDExtensionTypePtr) {}
}

impl Answer for i32 {
    unsafe fn write(self, place: sys::GDExtensionTypePtr) {
        // SAFETY: the caller vouches for it; the engine wants integers and enums in 64 bits.
        unsafe { place.cast::<i64>().write(i64::from(self)) }
    }
}

impl Answer for bool {
    unsafe fn write(self, place: sys::GDExtensionTypePtr) {
        // SAFETY: the caller vouches for it.
        unsafe { place.cast::<u8>().write(u8::from(self)) }
    }
}

/// Answers a call by the peer's state; `failure` after a panic, which gdext's hook has printed.
///
/// # Safety
///
/// As for [`with_state`] and [`Answer::write`].
pub(crate) unsafe fn answer<P: PeerClass, A: Answer>(
    instance: Instance,
    place: sys::GDExtensionTypePtr,
    failure: A,
    body: impl FnOnce(&PeerState<P::Carrier>) -> A,
) {
    // SAFETY: the caller vouches for the instance.
    let outcome = guarded(failure, || unsafe { with_state::<P, A>(instance, body) });
    // SAFETY: the caller vouches for the place.
    unsafe { outcome.write(place) }
}

/// Runs a call that may run scripts: with a strong reference, and nothing borrowed.
///
/// # Safety
///
/// As for [`with_state`].
pub(crate) unsafe fn act<P: PeerClass>(instance: Instance, body: impl FnOnce(Gd<P>)) {
    guarded((), || {
        // SAFETY: the caller vouches for the instance.
        let this = unsafe { as_storage::<P>(instance) }.get().to_gd();
        body(this);
    });
}

/// Polls. Mostly nothing has happened, which the peer's state tells without the object: that is a tenth of the work.
///
/// # Safety
///
/// As for [`with_state`].
pub(crate) unsafe fn poll<P: PeerClass>(instance: Instance) {
    let begun = if P::POLLS_OTHERS {
        None
    } else {
        // SAFETY: the caller vouches for the instance.
        let begin = || Some(unsafe { with_state::<P, _>(instance, PeerState::begin_poll) });
        let Some(begun) = guarded(None, begin) else { return };
        Some(begun)
    };
    if matches!(begun, Some(Begun::Quiet)) {
        guarded((), log::print_waiting);
    } else {
        // SAFETY: the caller vouches for the instance.
        unsafe { act::<P>(instance, |this| peer_state::poll(this, begun)) };
    }
}

/// Does something with the object itself. Not for calls that come in crowds.
///
/// # Safety
///
/// As for [`with_state`].
pub(crate) unsafe fn with_object<P: PeerClass, R>(instance: Instance, body: impl FnOnce(&P) -> R) -> R {
    // SAFETY: the caller vouches for the instance.
    body(&unsafe { as_storage::<P>(instance) }.get())
}

/// One virtual call that is answered by the peer's state.
macro_rules! answered {
    ($class:ty, $failure:expr, |$state:ident, $arguments:ident, $instance:ident| $body:expr) => {{
        unsafe extern "C" fn call(
            instance: $crate::virtual_calls::Instance,
            arguments: *const godot::sys::GDExtensionConstTypePtr,
            place: godot::sys::GDExtensionTypePtr,
        ) {
            #[allow(unused_variables, reason = "most calls need neither")]
            let ($arguments, $instance) = ($crate::virtual_calls::Arguments(arguments), instance);
            let body = |$state: &$crate::peer_state::StateOf<$class>| $body;
            // SAFETY: the engine calls this for an object of the class that it was registered for, with the arguments and
            // the place that belong to the method of this name.
            unsafe { $crate::virtual_calls::answer::<$class, _>(instance, place, $failure, body) }
        }
        Some(call)
    }};
}

/// One virtual call that may run scripts.
macro_rules! acted {
    ($class:ty, |$this:ident, $arguments:ident| $body:expr) => {{
        unsafe extern "C" fn call(
            instance: $crate::virtual_calls::Instance,
            arguments: *const godot::sys::GDExtensionConstTypePtr,
            _: godot::sys::GDExtensionTypePtr,
        ) {
            #[allow(unused_variables, reason = "most calls have none")]
            let $arguments = $crate::virtual_calls::Arguments(arguments);
            let body = |$this: godot::obj::Gd<$class>| $body;
            // SAFETY: the engine calls this for an object of the class that it was registered for.
            unsafe { $crate::virtual_calls::act::<$class>(instance, body) }
        }
        Some(call)
    }};
}

/// The virtual call that polls.
macro_rules! polled {
    ($class:ty) => {{
        unsafe extern "C" fn call(
            instance: $crate::virtual_calls::Instance,
            _: *const godot::sys::GDExtensionConstTypePtr,
            _: godot::sys::GDExtensionTypePtr,
        ) {
            // SAFETY: the engine calls this for an object of the class that it was registered for.
            unsafe { $crate::virtual_calls::poll::<$class>(instance) }
        }
        Some(call)
    }};
}

/// Registers all virtual methods of a multiplayer peer for a class.
macro_rules! multiplayer_peer {
    ($class:ident) => {
        impl godot::private::You_forgot_the_attribute__godot_api for $class {}

        impl godot::obj::cap::ImplementsGodotVirtual for $class {
            fn __virtual_call(name: &str) -> godot::sys::GDExtensionClassCallVirtual {
                use $crate::peer_state::{self, PeerClass};
                use $crate::raw_packet;
                use $crate::virtual_calls::{acted, answered, polled};
                match name {
                    "_get_packet" => answered!($class, raw_packet::FAILED, |state, arguments, _instance| {
                        // SAFETY: these are the two places that the engine passes to this method.
                        unsafe { raw_packet::take::<$class>(arguments, state) }
                    }),
                    "_put_packet" => answered!($class, raw_packet::FAILED, |state, arguments, _instance| {
                        // SAFETY: these are the bytes that the engine passes to this method.
                        unsafe { raw_packet::put::<$class>(arguments, state) }
                    }),
                    "_get_available_packet_count" => answered!($class, 0, |state, arguments, _instance| {
                        i32::try_from(state.lock().available_packets()).unwrap_or(i32::MAX)
                    }),
                    "_get_max_packet_size" => answered!($class, 0, |_state, arguments, instance| {
                        // SAFETY: the engine calls this on a living object of the class.
                        unsafe { $crate::virtual_calls::with_object::<$class, _>(instance, PeerClass::max_packet_size) }
                    }),
                    "_get_packet_channel" => {
                        answered!($class, 0, |state, arguments, _instance| state.packet_channel(<$class>::WHEN_IDLE.channel_of_none))
                    }
                    "_get_packet_mode" => {
                        answered!($class, 0, |state, arguments, _instance| state.packet_mode() as i32)
                    }
                    "_get_packet_peer" => {
                        answered!($class, 0, |state, arguments, _instance| state.packet_peer(<$class>::WHEN_IDLE.sender_of_none))
                    }
                    "_set_transfer_channel" => answered!($class, (), |state, arguments, _instance| {
                        // SAFETY: the engine passes one integer.
                        state.lock().set_channel(unsafe { arguments.int(0) })
                    }),
                    "_get_transfer_channel" => {
                        answered!($class, 0, |state, arguments, _instance| state.lock().channel())
                    }
                    "_set_transfer_mode" => answered!($class, (), |state, arguments, _instance| {
                        // SAFETY: the engine passes one enum.
                        let mode = $crate::convert::mode_of_number(unsafe { arguments.int(0) });
                        state.lock().set_mode(mode)
                    }),
                    "_get_transfer_mode" => {
                        answered!($class, 0, |state, arguments, _instance| state.lock().mode() as i32)
                    }
                    "_set_target_peer" => answered!($class, (), |state, arguments, _instance| {
                        // SAFETY: the engine passes one integer.
                        state.lock().set_target(unsafe { arguments.int(0) })
                    }),
                    "_is_server" => answered!($class, false, |state, arguments, _instance| {
                        state.lock().is_server()
                    }),
                    "_is_server_relay_supported" => {
                        answered!($class, false, |state, arguments, _instance| state.lock().can_relay())
                    }
                    "_set_refuse_new_connections" => answered!($class, (), |state, arguments, _instance| {
                        // SAFETY: the engine passes one truth value.
                        state.lock().set_refusing(unsafe { arguments.truth(0) })
                    }),
                    "_is_refusing_new_connections" => {
                        answered!($class, false, |state, arguments, _instance| state.lock().is_refusing())
                    }
                    "_get_connection_status" => {
                        answered!($class, 0, |state, arguments, _instance| state.lock().status() as i32)
                    }
                    "_get_unique_id" => answered!($class, 0, |state, arguments, _instance| {
                        state.unique_id().unwrap_or_else(|| {
                            peer_state::report_not_active::<$class>();
                            <$class>::WHEN_IDLE.id_of_none
                        })
                    }),
                    "_poll" => polled!($class),
                    "_close" => acted!($class, |this, arguments| peer_state::close(&this)),
                    "_disconnect_peer" => acted!($class, |this, arguments| {
                        // SAFETY: the engine passes an integer and a truth value.
                        let (id, force) = unsafe { (arguments.int(0), arguments.truth(1)) };
                        peer_state::disconnect_peer(&this, id, force)
                    }),
                    _ => None,
                }
            }
        }

        godot::sys::shard_add!(
            godot::private::__GODOT_SHARD_REGISTRY;
            godot::private::ClassShard::new::<$class>(godot::private::ShardItem::ITraitImpl(
                godot::private::ITraitImpl::new::<$class>(),
            ))
        );

        impl Drop for $class {
            fn drop(&mut self) {
                $crate::virtual_calls::forget_peers();
                // What was sent leaves, whoever else still knows the state.
                self.state().lock().close();
            }
        }
    };
}

pub(crate) use {acted, answered, multiplayer_peer, polled};
