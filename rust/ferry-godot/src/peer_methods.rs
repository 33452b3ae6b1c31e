//! What scripts find on every multiplayer peer of Ferry, with the same meaning on each transport: written once, here.
//!
//! A class says `peer_methods!(Class, __godot_Class_Funcs)` and gets a block of `#[func]`s with their documentation. What gdext
//! wants in a class's own blocks stays there: the signals, and the properties, whose words differ a little from one transport
//! to the other (see `peer_state::tell` for who emits the signals). The second name is that of the struct in which gdext
//! looks up the getters and setters of properties; it does not know of blocks beside the first by itself.
//!
//! Behind the methods are the functions below, which are the same for all classes.

use ferry_net::limits::Limits;
use ferry_net::multiplayer::Overflow;
use ferry_net::reason::Farewell;
use godot::global::godot_error;
use godot::prelude::VarDictionary;

use crate::convert;
use crate::peer_state::PeerClass;

/// Adds the methods to a class.
macro_rules! peer_methods {
    ($class:ident, $names:ident) => {
        #[godot::register::godot_api(secondary)]
        impl $class {
            /// Why the connection to a peer ended, or (for 1, on a client) could not be made, as one of [FerryDisconnect];
            /// [constant FerryDisconnect.NONE] while it stands. Remembered until this peer is opened again.
            #[func]
            fn get_disconnect_reason(&self, id: i64) -> i64 {
                $crate::peer_methods::farewell(self, id).reason as i64
            }

            /// The same in words, with what else is known: for a log or a message to the player.
            #[func]
            fn get_disconnect_text(&self, id: i64) -> GString {
                GString::from(&$crate::peer_methods::farewell(self, id).to_string())
            }

            /// Figures of the connection to a peer, at most 50 ms old; the last ones if it has ended, empty if there was none.
            ///
            /// [code]rtt[/code] and [code]jitter[/code] in seconds (-1 if not measured yet), [code]loss[/code] from 0 to 1,
            /// [code]bytes_sent[/code], [code]bytes_received[/code] (on the wire), [code]packets_sent[/code],
            /// [code]packets_received[/code] (the game's), [code]packets_dropped[/code] (unreliable ones, at this end),
            /// [code]queued_bytes[/code], [code]address[/code], [code]port[/code], [code]transport[/code],
            /// [code]encrypted[/code].
            #[func]
            fn get_peer_stats(&self, id: i64) -> VarDictionary {
                $crate::peer_methods::peer_stats(self, id)
            }

            /// Figures of everything together: [code]peers[/code], [code]bytes_sent[/code], [code]bytes_received[/code],
            /// [code]datagrams_sent[/code], [code]datagrams_received[/code] (of a stream: writes and reads),
            /// [code]datagrams_rejected[/code] (what strangers sent), [code]connections_refused[/code],
            /// [code]packets_dropped[/code], [code]empty_packets[/code].
            #[func]
            fn get_stats(&self) -> VarDictionary {
                $crate::peer_methods::stats(self)
            }

            /// See [member connect_timeout].
            #[func]
            fn get_connect_timeout(&self) -> f64 {
                $crate::peer_methods::limits(self).connect_timeout.as_secs_f64()
            }

            /// See [member connect_timeout].
            #[func]
            fn set_connect_timeout(&self, seconds: f64) {
                let time = $crate::convert::seconds(seconds);
                $crate::peer_methods::change_limits(self, |limits| limits.connect_timeout = time);
            }

            /// See [member peer_timeout].
            #[func]
            fn get_peer_timeout(&self) -> f64 {
                $crate::peer_methods::limits(self).peer_timeout.as_secs_f64()
            }

            /// See [member peer_timeout].
            #[func]
            fn set_peer_timeout(&self, seconds: f64) {
                let time = $crate::convert::seconds(seconds);
                $crate::peer_methods::change_limits(self, |limits| limits.peer_timeout = time);
            }

            /// See [member outbound_queue_limit].
            #[func]
            fn get_outbound_queue_limit(&self) -> i64 {
                $crate::convert::int($crate::peer_methods::limits(self).outbound)
            }

            /// See [member outbound_queue_limit].
            #[func]
            fn set_outbound_queue_limit(&self, bytes: i64) {
                let bytes = $crate::convert::bytes(bytes);
                $crate::peer_methods::change_limits(self, |limits| limits.outbound = bytes);
            }

            /// See [member inbound_queue_limit].
            #[func]
            fn get_inbound_queue_limit(&self) -> i64 {
                $crate::convert::int($crate::peer_methods::limits(self).inbound)
            }

            /// See [member inbound_queue_limit].
            #[func]
            fn set_inbound_queue_limit(&self, bytes: i64) {
                let bytes = $crate::convert::bytes(bytes);
                $crate::peer_methods::change_limits(self, |limits| limits.inbound = bytes);
            }

            /// See [member reliable_overflow].
            #[func]
            fn get_reliable_overflow(&self) -> i64 {
                $crate::peer_methods::overflow(self)
            }

            /// See [member reliable_overflow].
            #[func]
            fn set_reliable_overflow(&self, overflow: i64) {
                $crate::peer_methods::set_overflow(self, overflow);
            }
        }

        $crate::peer_methods::name_accessors! { $names:
            get_connect_timeout set_connect_timeout get_peer_timeout set_peer_timeout
            get_outbound_queue_limit set_outbound_queue_limit get_inbound_queue_limit set_inbound_queue_limit
            get_reliable_overflow set_reliable_overflow
        }
    };
}

/// Tells gdext's properties of methods that are not in a class's first block.
macro_rules! name_accessors {
    ($names:ident: $($name:ident)*) => {
        #[allow(non_upper_case_globals, reason = "gdext's own are named as the methods are")]
        impl $names { $(pub(crate) const $name: &str = stringify!($name);)* }
    };
}

pub(crate) use {name_accessors, peer_methods};

pub(crate) fn farewell<P: PeerClass>(class: &P, id: i64) -> Farewell {
    class.state().lock().farewell(i32::try_from(id).unwrap_or(0))
}

pub(crate) fn peer_stats<P: PeerClass>(class: &P, id: i64) -> VarDictionary {
    let stats = i32::try_from(id).ok().and_then(|id| class.state().lock().stats(id));
    stats.map_or_else(VarDictionary::new, |stats| {
        convert::peer_figures(&stats, P::TRANSPORT, class.is_encrypted())
    })
}

pub(crate) fn stats<P: PeerClass>(class: &P) -> VarDictionary {
    let peer = class.state().lock();
    convert::total_figures(&peer.endpoint_stats(), peer.peer_ids().len(), peer.empty_packets())
}

pub(crate) fn limits<P: PeerClass>(class: &P) -> Limits {
    class.state().lock().limits()
}

pub(crate) fn change_limits<P: PeerClass>(class: &P, change: impl FnOnce(&mut Limits)) {
    let mut peer = class.state().lock();
    let mut limits = peer.limits();
    change(&mut limits);
    peer.set_limits(limits);
}

pub(crate) fn overflow<P: PeerClass>(class: &P) -> i64 {
    class.state().lock().overflow() as i64
}

pub(crate) fn set_overflow<P: PeerClass>(class: &P, overflow: i64) {
    match overflow {
        0 => class.state().lock().set_overflow(Overflow::Disconnect),
        1 => class.state().lock().set_overflow(Overflow::ReturnError),
        other => godot_error!("reliable_overflow is 0 or 1, not {other}."),
    }
}
