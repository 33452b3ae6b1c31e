//! Constants of the classes, under the names of their enums, as the engine's own classes have them.
//!
//! gdext 0.5 has `#[constant]` for plain ones only, while a script may say `FerryENetConnection.CompressionMode`. So they are
//! registered here, by the calls that gdext's own macros expand to; and for each there is a type that arguments can have. A
//! script may pass any number for one: whoever gets it answers for wrong ones.

use std::borrow::Cow;

use godot::builtin::{CowStr, VariantType};
use godot::meta::conv::ByValue;
use godot::meta::error::ConvertError;
use godot::meta::shape::GodotShape;
use godot::meta::{FromGodot, GodotConvert, GodotImmutable, ToGodot};
use godot::obj::GodotClass;
use godot::prelude::StringName;
use godot::register::private::constant::{ConstantKind, ExportConstant, IntegerConstant};

use crate::disconnect::FerryDisconnect;
use crate::enet_connection::FerryENetConnection;
use crate::enet_multiplayer_peer::FerryENetMultiplayerPeer;
use crate::enet_packet_peer::FerryENetPacketPeer;
use crate::webrtc_multiplayer_peer::FerryWebRTCMultiplayerPeer;
use crate::websocket_multiplayer_peer::FerryWebSocketMultiplayerPeer;
use crate::websocket_peer::FerryWebSocketPeer;

macro_rules! argument_types {
    ($($name:ident = $godot_name:literal;)*) => { $(
        /// A number that stands for one of the enum's values, or for none.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) i64);

        impl GodotConvert for $name {
            type Via = i64;

            fn godot_shape() -> GodotShape {
                GodotShape::Enum {
                    variant_type: VariantType::INT,
                    enumerators: Cow::Borrowed(&[]),
                    godot_name: Some(CowStr::from($godot_name)),
                    is_bitfield: false,
                }
            }
        }

        impl ToGodot for $name {
            type Pass = ByValue;

            fn to_godot(&self) -> i64 {
                self.0
            }
        }

        impl FromGodot for $name {
            fn try_from_godot(via: i64) -> Result<Self, ConvertError> {
                Ok(Self(via))
            }
        }
    )* };
}

argument_types! {
    CompressionMode = "FerryENetConnection.CompressionMode";
    HostStatistic = "FerryENetConnection.HostStatistic";
    PeerState = "FerryENetPacketPeer.PeerState";
    PeerStatistic = "FerryENetPacketPeer.PeerStatistic";
    SocketState = "FerryWebSocketPeer.State";
    WriteMode = "FerryWebSocketPeer.WriteMode";
}

// SAFETY: a number, of which each call has its own.
unsafe impl GodotImmutable for WriteMode {}

/// Lists an enum's values with what the editor's help says of each; the texts are the engine's markup.
macro_rules! documented_enum {
    ($list:ident, $enum_name:literal, $($name:literal = $value:literal, $text:literal;)*) => {
        const $list: Values = Values {
            enum_name: $enum_name,
            values: &[$(($name, $value)),*],
            help: concat!($(
                "<constant name=\"", $name, "\" value=\"", $value, "\" enum=\"", $enum_name, "\">", $text, "</constant>",
            )*),
        };
    };
}

struct Values {
    enum_name: &'static str,
    values: &'static [(&'static str, i64)],
    /// As the editor's help takes it.
    help: &'static str,
}

documented_enum! { COMPRESSION_MODE, "CompressionMode",
    "COMPRESS_NONE" = 0, "Datagrams travel as they are.";
    "COMPRESS_RANGE_CODER" = 1, "ENet's own range coder: good for small packets.";
    "COMPRESS_FASTLZ" = 2, "FastLZ: the quickest, for more bytes.";
    "COMPRESS_ZLIB" = 3, "Zlib: fewer bytes, for more time.";
    "COMPRESS_ZSTD" = 4, "Zstandard: pays for datagrams that are full.";
}

documented_enum! { EVENT_TYPE, "EventType",
    "EVENT_ERROR" = -1, "The host has failed, or is not active.";
    "EVENT_NONE" = 0, "Nothing has happened in the given time.";
    "EVENT_CONNECT" = 1, "A connection stands. The data is the number that the other end gave when it connected.";
    "EVENT_DISCONNECT" = 2, "A connection has ended, or could not be made. The data is the number that came with the other end's goodbye, or 0.";
    "EVENT_RECEIVE" = 3, "A packet has come. It is the last one that the peer has to read.";
}

documented_enum! { HOST_STATISTIC, "HostStatistic",
    "HOST_TOTAL_SENT_DATA" = 0, "Bytes sent.";
    "HOST_TOTAL_SENT_PACKETS" = 1, "Datagrams sent. Packets that leave together share one.";
    "HOST_TOTAL_RECEIVED_DATA" = 2, "Bytes received.";
    "HOST_TOTAL_RECEIVED_PACKETS" = 3, "Datagrams received.";
}

documented_enum! { PEER_STATE, "PeerState",
    "STATE_DISCONNECTED" = 0, "The connection has ended.";
    "STATE_CONNECTING" = 1, "The connection is being made.";
    "STATE_ACKNOWLEDGING_CONNECT" = 2, "For likeness with the engine's class only; connections that others make show once they stand.";
    "STATE_CONNECTION_PENDING" = 3, "For likeness with the engine's class only.";
    "STATE_CONNECTION_SUCCEEDED" = 4, "For likeness with the engine's class only.";
    "STATE_CONNECTED" = 5, "The connection stands.";
    "STATE_DISCONNECT_LATER" = 6, "The connection ends once everything that was sent has arrived.";
    "STATE_DISCONNECTING" = 7, "The connection is being ended.";
    "STATE_ACKNOWLEDGING_DISCONNECT" = 8, "For likeness with the engine's class only.";
    "STATE_ZOMBIE" = 9, "For likeness with the engine's class only.";
}

documented_enum! { PEER_STATISTIC, "PeerStatistic",
    "PEER_PACKET_LOSS" = 0, "Mean loss, in parts of [constant PACKET_LOSS_SCALE].";
    "PEER_PACKET_LOSS_VARIANCE" = 1, "How much the loss scatters.";
    "PEER_PACKET_LOSS_EPOCH" = 2, "When the loss was averaged last, in milliseconds.";
    "PEER_ROUND_TRIP_TIME" = 3, "Mean round trip in milliseconds; 500 until one was measured, never below 1.";
    "PEER_ROUND_TRIP_TIME_VARIANCE" = 4, "How much round trips scatter, in milliseconds.";
    "PEER_LAST_ROUND_TRIP_TIME" = 5, "The best mean round trip of the throttle's last interval, in milliseconds.";
    "PEER_LAST_ROUND_TRIP_TIME_VARIANCE" = 6, "How much round trips scattered then, in milliseconds.";
    "PEER_PACKET_THROTTLE" = 7, "How many parts of [constant PACKET_THROTTLE_SCALE] of the unreliable packets are sent.";
    "PEER_PACKET_THROTTLE_LIMIT" = 8, "How many the bandwidths allow.";
    "PEER_PACKET_THROTTLE_COUNTER" = 9, "Where the pattern of leaving some out stands.";
    "PEER_PACKET_THROTTLE_EPOCH" = 10, "When the throttle's interval began, in milliseconds.";
    "PEER_PACKET_THROTTLE_ACCELERATION" = 11, "By how much a good round trip opens the throttle. 2 by default.";
    "PEER_PACKET_THROTTLE_DECELERATION" = 12, "By how much a bad one closes it, if packets got lost. 2 by default.";
    "PEER_PACKET_THROTTLE_INTERVAL" = 13, "The throttle's interval in milliseconds. 5000 by default.";
}

documented_enum! { STATE, "State",
    "STATE_CONNECTING" = 0, "The connection is being made.";
    "STATE_OPEN" = 1, "The connection stands.";
    "STATE_CLOSING" = 2, "This side has closed it, and waits for the other side's goodbye. Go on calling [method poll].";
    "STATE_CLOSED" = 3, "There is no connection: not yet, not any more, or it could not be made.";
}

documented_enum! { WRITE_MODE, "WriteMode",
    "WRITE_MODE_TEXT" = 0, "The message is text: UTF-8.";
    "WRITE_MODE_BINARY" = 1, "The message is bytes, whatever they are.";
}

documented_enum! { RELIABLE_OVERFLOW, "ReliableOverflow",
    "OVERFLOW_DISCONNECT" = 0, "The peer is disconnected, with [constant FerryDisconnect.QUEUE_FULL].";
    "OVERFLOW_RETURN_ERROR" = 1, "The packet is not sent, and the put returns [constant ERR_OUT_OF_MEMORY].";
}

documented_enum! { REASON, "Reason",
    "NONE" = 0, "It has not ended, or there was none.";
    "LOCAL_CLOSE" = 1, "This side ended it: by [method MultiplayerPeer.disconnect_peer] or [method MultiplayerPeer.close].";
    "REMOTE_CLOSE" = 2, "The other side ended it, and gave no reason that Ferry knows.";
    "KICKED" = 3, "The server ended it, by [method MultiplayerPeer.disconnect_peer].";
    "SERVER_FULL" = 4, "The server has as many clients as it takes.";
    "REFUSED" = 5, "The server takes no new connections: see [member MultiplayerPeer.refuse_new_connections].";
    "BAD_ID" = 6, "The server knows another client by this id, or the id is none.";
    "TIMEOUT" = 7, "The other side was there and does not answer any more.";
    "CONNECT_TIMEOUT" = 8, "Nobody has answered within the time to connect.";
    "RESOLVE" = 9, "The host name could not be found.";
    "PROTOCOL" = 10, "What came from the other side was not this protocol, or made no sense.";
    "QUEUE_FULL" = 11, "More was sent to it than it took: see the queue limits.";
    "PACKET_TOO_LARGE" = 12, "A packet was longer than one of both sides allows.";
    "NETWORK" = 13, "The network of this machine has failed.";
    "INTERNAL" = 14, "A fault in Ferry itself. Please report it.";
    "TLS" = 15, "No encrypted connection could be made: a certificate that is not trusted, has ended or is another server's, or no TLS at all. The detail says which.";
    "HANDSHAKE" = 16, "The other side answered, but not with a connection of this kind: the detail has its HTTP status, or the sub-protocol.";
    "UNREACHABLE" = 17, "There was no way to the server, or nobody listened there.";
    "ICE_FAILED" = 18, "Over WebRTC, no path to the other side was found, or none was left: no candidate of it answered. Behind some routers only a TURN server helps.";
}

/// Says which classes have which enums: registers them, and their help.
macro_rules! classes {
    ($($class:ident: $($list:ident)+;)*) => {
        /// Registers all of them. The classes must be known to the engine.
        pub(crate) fn register() {
            $($(register_values::<$class>(&$list);)+)*
        }

        $($(
            godot::sys::shard_add!(
                godot::private::__GODOT_DOCS_REGISTRY;
                godot::private::DocsShard::new::<$class>(godot::private::DocsItem::InherentImpl(
                    godot::private::InherentImplDocs {
                        methods_xml: "",
                        signals_xml: "",
                        constants_xml: $list.help,
                    },
                ))
            );
        )+)*
    };
}

classes! {
    FerryENetConnection: COMPRESSION_MODE EVENT_TYPE HOST_STATISTIC;
    FerryENetPacketPeer: PEER_STATE PEER_STATISTIC;
    FerryENetMultiplayerPeer: RELIABLE_OVERFLOW;
    FerryWebSocketPeer: STATE WRITE_MODE;
    FerryWebSocketMultiplayerPeer: RELIABLE_OVERFLOW;
    FerryWebRTCMultiplayerPeer: RELIABLE_OVERFLOW;
    FerryDisconnect: REASON;
}

fn register_values<T: GodotClass>(list: &Values) {
    let enumerators = list.values.iter().map(|(name, value)| IntegerConstant::new(name, *value)).collect();
    let name = StringName::from(list.enum_name);
    ExportConstant::new(T::class_id(), ConstantKind::Enum { name, enumerators }).register();
}

#[cfg(test)]
mod tests {
    use ferry_net::reason::Reason;

    use super::*;

    #[test]
    fn every_reason_is_listed_by_its_name_and_number() {
        let listed: Vec<(String, i64)> =
            REASON.values.iter().map(|(name, value)| (name.replace('_', ""), *value)).collect();
        let known: Vec<(String, i64)> =
            Reason::ALL.iter().map(|reason| (format!("{reason:?}").to_uppercase(), *reason as i64)).collect();
        assert_eq!(listed, known);
    }
}
