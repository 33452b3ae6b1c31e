//! What scripts set up for connections over WebSocket, the same for both classes: as they said it, and as ferry-net takes it.

use ferry_net::create_error::CreateError;
use ferry_net::packet::MAX_PACKET_SIZE;
use ferry_net::websocket::{Settings, Url};
use godot::global::Error;
use godot::prelude::*;

use crate::convert::{self, invalid};

/// The properties that both classes have.
#[derive(Clone)]
pub(crate) struct SocketSettings {
    pub(crate) protocols: PackedStringArray,
    pub(crate) headers: PackedStringArray,
    pub(crate) inbound_buffer_size: i64,
    pub(crate) outbound_buffer_size: i64,
    pub(crate) max_queued_packets: i64,
}

impl Default for SocketSettings {
    fn default() -> Self {
        let usual = Settings::default();
        Self {
            protocols: PackedStringArray::new(),
            headers: PackedStringArray::new(),
            inbound_buffer_size: convert::int(usual.max_message),
            outbound_buffer_size: convert::int(usual.max_packet),
            max_queued_packets: convert::int(usual.max_queued_packets),
        }
    }
}

impl SocketSettings {
    /// Takes sub-protocols, without the blanks around them, as the engine's classes do.
    pub(crate) fn set_protocols(&mut self, protocols: &PackedStringArray) {
        self.protocols = protocols.as_slice().iter().map(GString::strip_edges).collect();
    }

    /// The longest message that can be sent: as in the engine's classes, 0 is no limit.
    pub(crate) fn longest_outgoing(&self) -> usize {
        match convert::bytes(self.outbound_buffer_size) {
            0 => MAX_PACKET_SIZE,
            size => size.min(MAX_PACKET_SIZE),
        }
    }

    /// As ferry-net takes them.
    pub(crate) fn settings(&self) -> Settings {
        let texts = |texts: &PackedStringArray| texts.as_slice().iter().map(GString::to_string).collect();
        Settings {
            protocols: texts(&self.protocols),
            headers: texts(&self.headers),
            max_message: convert::bytes(self.inbound_buffer_size),
            max_packet: self.longest_outgoing(),
            max_queued_packets: convert::bytes(self.max_queued_packets),
            ..Settings::default()
        }
    }
}

/// The URL of a server; if it is none, an error is printed.
pub(crate) fn parse_url(text: &GString) -> Result<Url, Error> {
    Url::parse(&text.to_string()).map_err(|error| invalid(format!("No connection to `{text}`: {error}.")))
}

/// Says why there is not even an attempt to connect.
pub(crate) fn cannot_begin(error: CreateError) -> Error {
    godot_error!("No connection could be begun: {error}.");
    convert::open_error(&error)
}
