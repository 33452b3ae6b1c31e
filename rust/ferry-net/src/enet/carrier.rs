//! How a multiplayer game uses ENet: the channels and flags that Godot's own `ENetMultiplayerPeer` puts on the wire.
//!
//! The game's channel 0 is two of ENet's, 0 for reliable packets and 1 for the others; its channel n is 1 + n for all. A
//! client's id is the word of its CONNECT (see `guests`); goodbyes carry Ferry's reasons as their word.

use std::time::Instant;

use bytes::Bytes;
use ferry_enet::Mode;

use super::command::{self, Target};
use super::connection::Connection;
use super::link::Ending;
use super::settings::HostSettings;
use crate::create_error::CreateError;
use crate::limits::Limits;
use crate::link::{LinkError, LinkId};
use crate::multiplayer::{Carrier, Event, Manners, Upcoming};
use crate::packet::TransferMode;
use crate::peer_id::PeerId;
use crate::reason::{Farewell, Reason};
use crate::stats::{EndpointStats, LinkStats};

/// ENet's channel for reliable packets of the game's channel 0.
const RELIABLE: u8 = 0;
/// ENet's channel for its other packets.
const UNRELIABLE: u8 = 1;

/// Opens the socket of a server of a game. `channels` are those of the game besides 0, or 0 for all there may be.
///
/// # Errors
///
/// Names what is out of range, or why the port cannot be had.
pub fn open_server(settings: HostSettings, limits: Limits) -> Result<Connection, CreateError> {
    Connection::bind(&for_server(settings), limits, true)
}

/// Opens the socket of a client and begins to connect; the server will know it by the id that is drawn here.
///
/// # Errors
///
/// Names what is out of range, or why the port cannot be had.
pub fn open_client(
    settings: HostSettings,
    target: Target,
    channels: u8,
    limits: Limits,
) -> Result<(Connection, LinkId, PeerId), CreateError> {
    let connection = Connection::bind(&settings, limits, false)?;
    // Nobody connects to a client.
    connection.set_refusing(true);
    let id = PeerId::draw();
    let link = connection
        .connect(target, wire_channels(channels), id.get().unsigned_abs())
        .map_err(|error| CreateError::Invalid(error.to_string()))?;
    Ok((connection, link, id))
}

fn for_server(settings: HostSettings) -> HostSettings {
    HostSettings { max_channels: wire_channels(settings.max_channels), frees_port: true, ..settings }
}

fn wire_channels(channels: u8) -> u8 {
    if channels == 0 { 0 } else { channels.saturating_add(2) }
}

fn wire_channel(channel: i32, mode: TransferMode) -> Option<u8> {
    match (channel, mode) {
        (0, TransferMode::Reliable) => Some(RELIABLE),
        (0, _) => Some(UNRELIABLE),
        (channel, _) => u8::try_from(channel.checked_add(1)?).ok(),
    }
}

fn game_channel(channel: u8) -> i32 {
    if channel <= UNRELIABLE { 0 } else { i32::from(channel) - 1 }
}

fn wire_mode(mode: TransferMode) -> Mode {
    match mode {
        TransferMode::Reliable => Mode::Reliable,
        TransferMode::UnreliableOrdered => Mode::Unreliable,
        TransferMode::Unreliable => Mode::Unsequenced,
    }
}

fn game_mode(mode: Mode) -> TransferMode {
    match mode {
        Mode::Reliable => TransferMode::Reliable,
        Mode::Unsequenced | Mode::UnsequencedUnlessLarge => TransferMode::Unreliable,
        Mode::Unreliable | Mode::UnreliableUnlessLarge => TransferMode::UnreliableOrdered,
    }
}

fn upcoming(event: &command::Event) -> Upcoming {
    match event {
        command::Event::Connected { .. } => Upcoming::Connected,
        command::Event::Received { .. } => Upcoming::Packet,
        command::Event::Disconnected { .. } => Upcoming::End,
        command::Event::Failed(_) => Upcoming::Failure,
    }
}

fn translate(event: command::Event) -> Event {
    match event {
        command::Event::Connected { link, data } => Event::Connected { link, word: data },
        command::Event::Received { link, channel, mode, payload } => {
            Event::Received { link, channel: game_channel(channel), mode: game_mode(mode), payload }
        }
        command::Event::Disconnected { link, farewell, stats, .. } => {
            Event::Disconnected { link, farewell, stats }
        }
        command::Event::Failed(farewell) => Event::Failed(farewell),
    }
}

impl Carrier for Connection {
    const MANNERS: Manners = Manners {
        keeps_refusing: false,
        always_relays: false,
        checks_excluded: true,
        clients_reach_anybody: false,
        clients_have_one_way: true,
        fails_when_leaving: false,
        forgets_first: false,
        first_is_server: false,
    };

    fn next_event(&self, hold: &mut dyn FnMut(Upcoming) -> bool) -> Option<Event> {
        self.next_event_unless(&mut |event| hold(upcoming(event))).map(translate)
    }

    fn send(&self, link: LinkId, channel: i32, mode: TransferMode, payload: Bytes) -> Result<(), LinkError> {
        let wire = wire_channel(channel, mode).ok_or(LinkError::NoSuchChannel(u8::MAX))?;
        Self::send(self, link, wire, wire_mode(mode), payload)
    }

    fn adopt(&self) {
        Self::adopt(self);
    }

    fn taken_away(&self) -> Vec<LinkId> {
        Self::taken_away(self)
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn begin_turn(&self) {
        Self::begin_turn(self);
    }

    fn flush(&self) {
        Self::flush(self);
    }

    fn disconnect(&self, link: LinkId, told: Reason) {
        self.end(link, Ending::Later, told.word());
        Self::flush(self);
    }

    fn reset(&self, link: LinkId) {
        self.end(link, Ending::Reset, 0);
    }

    fn abandon(&self, link: LinkId, farewell: Farewell) {
        Self::abandon(self, link, farewell);
        Self::flush(self);
    }

    fn set_refusing(&self, refusing: bool) {
        Self::set_refusing(self, refusing);
    }

    fn set_limits(&self, limits: Limits) {
        Self::set_limits(self, limits);
    }

    fn stats(&self, link: LinkId) -> Option<LinkStats> {
        Self::stats(self, link)
    }

    fn endpoint_stats(&self) -> EndpointStats {
        Self::endpoint_stats(self)
    }

    fn begin_close(&self) {
        Self::begin_close(self, Reason::LocalClose.word());
    }

    fn finish_close(&self, until: Instant) {
        Self::finish_close(self, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_those_of_godot() {
        assert_eq!(wire_channel(0, TransferMode::Reliable), Some(0));
        assert_eq!(wire_channel(0, TransferMode::Unreliable), Some(1));
        assert_eq!(wire_channel(0, TransferMode::UnreliableOrdered), Some(1));
        assert_eq!(wire_channel(1, TransferMode::Reliable), Some(2));
        assert_eq!(wire_channel(253, TransferMode::Unreliable), Some(254));
        assert_eq!(wire_channel(255, TransferMode::Reliable), None);
        assert_eq!(wire_channel(i32::MAX, TransferMode::Reliable), None);
        assert_eq!([0, 1, 2, 254].map(game_channel), [0, 0, 1, 253]);
    }

    #[test]
    fn modes_go_there_and_back() {
        for mode in [TransferMode::Reliable, TransferMode::UnreliableOrdered, TransferMode::Unreliable] {
            assert_eq!(game_mode(wire_mode(mode)), mode);
        }
    }
}
