//! Constants of the classes, under the names of their enums, as the engine's own classes have them.
//!
//! gdext 0.5 has `#[constant]` for plain ones only, while a script may say `FerryENetConnection.CompressionMode`. So they are
//! registered here, by the calls that gdext's own macros expand to; and for each there is a type that arguments can have. A
//! script may pass any number for one: whoever gets it answers for wrong ones.

use std::borrow::Cow;

use ferry_net::reason::Reason;
use godot::builtin::{CowStr, VariantType};
use godot::meta::ClassId;
use godot::meta::conv::ByValue;
use godot::meta::error::ConvertError;
use godot::meta::shape::GodotShape;
use godot::meta::{FromGodot, GodotConvert, ToGodot};
use godot::obj::GodotClass;
use godot::prelude::StringName;
use godot::register::private::constant::{ConstantKind, ExportConstant, IntegerConstant};

use crate::disconnect::FerryDisconnect;
use crate::enet_connection::FerryENetConnection;
use crate::enet_multiplayer_peer::FerryENetMultiplayerPeer;
use crate::enet_packet_peer::FerryENetPacketPeer;

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
}

type Values = &'static [(&'static str, i64)];

const COMPRESSION_MODE: Values = &[
    ("COMPRESS_NONE", 0),
    ("COMPRESS_RANGE_CODER", 1),
    ("COMPRESS_FASTLZ", 2),
    ("COMPRESS_ZLIB", 3),
    ("COMPRESS_ZSTD", 4),
];

const EVENT_TYPE: Values = &[
    ("EVENT_ERROR", -1),
    ("EVENT_NONE", 0),
    ("EVENT_CONNECT", 1),
    ("EVENT_DISCONNECT", 2),
    ("EVENT_RECEIVE", 3),
];

const HOST_STATISTIC: Values = &[
    ("HOST_TOTAL_SENT_DATA", 0),
    ("HOST_TOTAL_SENT_PACKETS", 1),
    ("HOST_TOTAL_RECEIVED_DATA", 2),
    ("HOST_TOTAL_RECEIVED_PACKETS", 3),
];

const PEER_STATE: Values = &[
    ("STATE_DISCONNECTED", 0),
    ("STATE_CONNECTING", 1),
    ("STATE_ACKNOWLEDGING_CONNECT", 2),
    ("STATE_CONNECTION_PENDING", 3),
    ("STATE_CONNECTION_SUCCEEDED", 4),
    ("STATE_CONNECTED", 5),
    ("STATE_DISCONNECT_LATER", 6),
    ("STATE_DISCONNECTING", 7),
    ("STATE_ACKNOWLEDGING_DISCONNECT", 8),
    ("STATE_ZOMBIE", 9),
];

const PEER_STATISTIC: Values = &[
    ("PEER_PACKET_LOSS", 0),
    ("PEER_PACKET_LOSS_VARIANCE", 1),
    ("PEER_PACKET_LOSS_EPOCH", 2),
    ("PEER_ROUND_TRIP_TIME", 3),
    ("PEER_ROUND_TRIP_TIME_VARIANCE", 4),
    ("PEER_LAST_ROUND_TRIP_TIME", 5),
    ("PEER_LAST_ROUND_TRIP_TIME_VARIANCE", 6),
    ("PEER_PACKET_THROTTLE", 7),
    ("PEER_PACKET_THROTTLE_LIMIT", 8),
    ("PEER_PACKET_THROTTLE_COUNTER", 9),
    ("PEER_PACKET_THROTTLE_EPOCH", 10),
    ("PEER_PACKET_THROTTLE_ACCELERATION", 11),
    ("PEER_PACKET_THROTTLE_DECELERATION", 12),
    ("PEER_PACKET_THROTTLE_INTERVAL", 13),
];

const RELIABLE_OVERFLOW: Values = &[("OVERFLOW_DISCONNECT", 0), ("OVERFLOW_RETURN_ERROR", 1)];

/// Registers all of them. The classes must be known to the engine.
pub(crate) fn register() {
    register_enum::<FerryENetConnection>("CompressionMode", COMPRESSION_MODE);
    register_enum::<FerryENetConnection>("EventType", EVENT_TYPE);
    register_enum::<FerryENetConnection>("HostStatistic", HOST_STATISTIC);
    register_enum::<FerryENetPacketPeer>("PeerState", PEER_STATE);
    register_enum::<FerryENetPacketPeer>("PeerStatistic", PEER_STATISTIC);
    register_enum::<FerryENetMultiplayerPeer>("ReliableOverflow", RELIABLE_OVERFLOW);
    let reasons = Reason::ALL.iter().map(|reason| (name_of(*reason), *reason as i64));
    register_values(FerryDisconnect::class_id(), "Reason", reasons);
}

fn register_enum<T: GodotClass>(name: &str, values: Values) {
    register_values(T::class_id(), name, values.iter().map(|(name, value)| ((*name).to_owned(), *value)));
}

fn register_values(class: ClassId, name: &str, values: impl Iterator<Item = (String, i64)>) {
    let enumerators = values.map(|(name, value)| IntegerConstant::new(&name, value)).collect();
    ExportConstant::new(class, ConstantKind::Enum { name: StringName::from(name), enumerators }).register();
}

/// `ServerFull` as the engine writes constants: `SERVER_FULL`.
fn name_of(reason: Reason) -> String {
    let mut name = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_the_engine_does() {
        assert_eq!(name_of(Reason::ServerFull), "SERVER_FULL");
        assert_eq!(name_of(Reason::None), "NONE");
    }
}
