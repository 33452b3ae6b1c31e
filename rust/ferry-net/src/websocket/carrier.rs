//! How a multiplayer game uses WebSocket: every message is a packet, whatever its channel and mode, as with Godot's own
//! `WebSocketMultiplayerPeer`.
//!
//! All packets arrive, in order. Those that the game sends unreliably may be dropped at this end if the other one reads so
//! slowly that too many wait.

use std::time::Instant;

use bytes::Bytes;

use super::close::Goodbye;
use super::command;
use super::link::Kind;
use super::sockets::Sockets;
use crate::limits::Limits;
use crate::link::{LinkError, LinkId};
use crate::multiplayer::{Carrier, Event, Manners, Upcoming};
use crate::packet::TransferMode;
use crate::reason::{Farewell, Reason};
use crate::stats::{EndpointStats, LinkStats};

fn upcoming(event: &command::Event) -> Upcoming {
    match event {
        command::Event::Connected { .. } => Upcoming::Connected,
        command::Event::Message { .. } => Upcoming::Packet,
        command::Event::Closed { .. } => Upcoming::End,
        command::Event::Failed(_) => Upcoming::Failure,
    }
}

fn translate(event: command::Event) -> Event {
    match event {
        command::Event::Connected { link, id } => {
            Event::Connected { link, word: id.map_or(0, |id| id.get().unsigned_abs()) }
        }
        command::Event::Message { link, payload, .. } => {
            Event::Received { link, channel: 0, mode: TransferMode::Reliable, payload }
        }
        command::Event::Closed { link, farewell, stats, .. } => {
            Event::Disconnected { link, farewell, stats: stats.map(|stats| *stats) }
        }
        command::Event::Failed(farewell) => Event::Failed(farewell),
    }
}

impl Carrier for Sockets {
    const MANNERS: Manners = Manners {
        keeps_refusing: true,
        always_relays: true,
        checks_excluded: false,
        clients_reach_anybody: true,
        clients_have_one_way: true,
        fails_when_leaving: true,
        forgets_first: false,
        first_is_server: false,
    };

    fn next_event(&self, hold: &mut dyn FnMut(Upcoming) -> bool) -> Option<Event> {
        self.next_event_unless(&mut |event| hold(upcoming(event))).map(translate)
    }

    fn send(&self, link: LinkId, _channel: i32, mode: TransferMode, payload: Bytes) -> Result<(), LinkError> {
        Self::send(self, link, Kind::Binary, payload, mode != TransferMode::Reliable)
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
        let Goodbye { code, text } = Goodbye::of(told);
        self.close_link(link, code, &text);
    }

    fn reset(&self, link: LinkId) {
        self.drop_link(link);
    }

    fn abandon(&self, link: LinkId, farewell: Farewell) {
        Self::abandon(self, link, farewell);
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
        Self::begin_close(self);
    }

    fn finish_close(&self, until: Instant) {
        Self::finish_close(self, until);
    }
}
