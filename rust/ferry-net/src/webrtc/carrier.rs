//! How a multiplayer game uses WebRTC: a connection is a peer, with a channel for each of the engine's ways to send, as
//! Godot's own `WebRTCMultiplayerPeer` has them.
//!
//! Both ends make the same channels, so nothing is said about them on the wire: 1 is reliable, 2 unreliable in order,
//! 3 unreliable; 4 and on are the game's own, which it lists when it opens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::channel::{ChannelError, ChannelId, ChannelInit, Persistence};
use super::connection::{Connection, ConnectionState, Happened, MOST_CHANNELS};
use crate::limits::Limits;
use crate::link::{LinkError, LinkId};
use crate::multiplayer::{Carrier, Event, Manners, Upcoming};
use crate::packet::{Kind, TransferMode};
use crate::reason::{Farewell, Reason};
use crate::stats::{EndpointStats, LinkStats};

/// The channels that every peer has: name and mode, from stream 1 on.
const USUAL: [(&str, TransferMode); 3] = [
    ("reliable", TransferMode::Reliable),
    ("ordered", TransferMode::UnreliableOrdered),
    ("unreliable", TransferMode::Unreliable),
];

/// How long an unreliable packet of the game's own channels is worth something: the engine's choice.
const OWN_LIFETIME: Duration = Duration::from_millis(1);

/// Bytes that one peer may have us hold unread, besides what the game's own limit says of all together: a game with many
/// peers may be loading for a while.
const MOST_UNREAD: usize = 8 << 20;

/// The ways that packets take on a connection: its channels in the order of their numbers, the usual ones and the game's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    modes: Arc<[TransferMode]>,
}

/// Channels that a game may add to the usual ones: what a connection has room for.
pub const MOST_OWN_WAYS: usize = MOST_CHANNELS - USUAL.len();

impl Ways {
    /// The usual ones, and one for each of `own`.
    pub fn new(own: &[TransferMode]) -> Self {
        Self { modes: USUAL.iter().map(|(_, mode)| *mode).chain(own.iter().copied()).collect() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.modes.len()
    }

    /// The channels to make for them. Unreliable packets of the usual ones are given up after `lifetime`.
    pub fn channels(&self, lifetime: Duration) -> impl Iterator<Item = ChannelInit> {
        self.modes.iter().zip(1_u16..).map(move |(mode, number)| {
            let usual = USUAL.get(usize::from(number) - 1);
            let lifetime = if usual.is_some() { lifetime } else { OWN_LIFETIME };
            ChannelInit {
                label: usual.map_or_else(|| number.to_string(), |(label, _)| (*label).to_owned()),
                unordered: *mode == TransferMode::Unreliable,
                persistence: match mode {
                    TransferMode::Reliable => Persistence::Reliable,
                    _ => Persistence::Lifetime(lifetime),
                },
                negotiated: Some(number),
                ..ChannelInit::default()
            }
        })
    }

    /// The place of the way for packets of this mode, on one of the game's channels (0 is the usual one).
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn place(&self, channel: i32, mode: TransferMode) -> Result<usize, LinkError> {
        let place = match channel {
            0 => USUAL.iter().position(|(_, usual)| *usual == mode),
            own => usize::try_from(own).ok().and_then(|own| own.checked_add(USUAL.len() - 1)),
        };
        let most = u8::try_from(self.count()).unwrap_or(u8::MAX);
        place.filter(|place| *place < self.count()).ok_or(LinkError::NoSuchChannel(most))
    }

    /// The mode of the way at a place.
    pub fn mode(&self, place: usize) -> TransferMode {
        self.modes.get(place).copied().unwrap_or_default()
    }

    /// The game's number of the channel at a place.
    pub fn number(&self, place: usize) -> i32 {
        let number = place.saturating_sub(USUAL.len() - 1);
        i32::try_from(number).unwrap_or_default()
    }
}

/// A connection as a peer of a game. A handle: clones mean the same peer.
#[derive(Clone)]
pub struct Member {
    connection: Connection,
    ways: Ways,
    channels: Arc<[ChannelId]>,
}

impl Member {
    /// Makes the channels of a peer on a new connection: one for each of the ways. Unreliable packets are given up after
    /// `lifetime`.
    ///
    /// # Errors
    ///
    /// If the connection has such channels already, or is over.
    pub fn new(connection: Connection, ways: Ways, lifetime: Duration) -> Result<Self, ChannelError> {
        let channels = ways.channels(lifetime).map(|init| connection.create_channel(init));
        let channels = channels.collect::<Result<_, _>>()?;
        Ok(Self { connection, ways, channels })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Its channels, in the order of their numbers.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.channels.iter().copied()
    }
}

fn upcoming(happened: &Happened) -> Upcoming {
    match happened {
        Happened::Ready => Upcoming::Connected,
        Happened::Message { .. } => Upcoming::Packet,
        Happened::Ended(_) => Upcoming::End,
    }
}

impl Carrier for Member {
    const MANNERS: Manners = Manners {
        keeps_refusing: true,
        always_relays: false,
        checks_excluded: false,
        clients_reach_anybody: false,
        clients_have_one_way: false,
        fails_when_leaving: false,
        forgets_first: true,
        first_is_server: true,
    };

    fn next_event(&self, hold: &mut dyn FnMut(Upcoming) -> bool) -> Option<Event> {
        let link = LinkId::ONLY;
        Some(match self.connection.next_happened(|happened| hold(upcoming(happened)))? {
            Happened::Ready => Event::Connected { link, word: 0 },
            Happened::Message { channel, payload } => {
                let place = self.channels.iter().position(|own| *own == channel).unwrap_or_default();
                let (channel, mode) = (self.ways.number(place), self.ways.mode(place));
                Event::Received { link, channel, mode, payload }
            }
            Happened::Ended(farewell) => {
                Event::Disconnected { link, farewell, stats: Some(self.connection.stats()) }
            }
        })
    }

    fn send(&self, _link: LinkId, channel: i32, mode: TransferMode, payload: Bytes) -> Result<(), LinkError> {
        let place = self.ways.place(channel, mode)?;
        self.connection.send(self.channels[place], Kind::Binary, payload)
    }

    fn adopt(&self) {
        self.connection.adopt(self.channels().collect());
    }

    fn taken_away(&self) -> Vec<LinkId> {
        Vec::new()
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed_here()
    }

    fn begin_turn(&self) {
        self.connection.begin_turn();
    }

    fn flush(&self) {
        self.connection.flush();
    }

    fn disconnect(&self, _link: LinkId, told: Reason) {
        self.connection.leave(told);
    }

    fn reset(&self, _link: LinkId) {
        self.connection.close();
    }

    fn abandon(&self, _link: LinkId, farewell: Farewell) {
        self.connection.abandon(farewell);
    }

    fn set_refusing(&self, _refusing: bool) {}

    fn set_limits(&self, limits: Limits) {
        self.connection.set_limits(Limits { inbound: limits.inbound.min(MOST_UNREAD), ..limits });
    }

    fn stats(&self, _link: LinkId) -> Option<LinkStats> {
        (self.connection.state() != ConnectionState::Closed).then(|| self.connection.stats())
    }

    fn endpoint_stats(&self) -> EndpointStats {
        self.connection.endpoint_stats()
    }

    fn begin_close(&self) {
        self.connection.begin_close();
    }

    fn finish_close(&self, until: Instant) {
        self.connection.finish_close(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_games_own_channels_follow_the_usual_ones() {
        let ways = Ways::new(&[TransferMode::Unreliable, TransferMode::Reliable]);
        assert_eq!(ways.place(0, TransferMode::Reliable), Ok(0));
        assert_eq!(ways.place(0, TransferMode::UnreliableOrdered), Ok(1));
        assert_eq!(ways.place(0, TransferMode::Unreliable), Ok(2));
        assert_eq!(ways.place(1, TransferMode::Reliable), Ok(3));
        assert_eq!(ways.place(2, TransferMode::Unreliable), Ok(4));
        for channel in [3, -1, i32::MAX, i32::MIN] {
            assert_eq!(ways.place(channel, TransferMode::Reliable), Err(LinkError::NoSuchChannel(5)));
        }
        let seen: Vec<_> =
            (0..ways.count()).map(|place| (ways.number(place), ways.mode(place) as i32)).collect();
        assert_eq!(seen, [(0, 2), (0, 1), (0, 0), (1, 0), (2, 2)]);
    }

    #[test]
    fn channels_are_numbered_from_one_and_named_as_the_engine_names_them() {
        let lifetime = Duration::from_millis(70);
        let made: Vec<_> = Ways::new(&[TransferMode::Unreliable]).channels(lifetime).collect();
        let seen: Vec<_> = made
            .iter()
            .map(|init| (init.label.as_str(), init.negotiated, init.unordered, init.persistence))
            .collect();
        assert_eq!(
            seen,
            [
                ("reliable", Some(1), false, Persistence::Reliable),
                ("ordered", Some(2), false, Persistence::Lifetime(lifetime)),
                ("unreliable", Some(3), true, Persistence::Lifetime(lifetime)),
                ("4", Some(4), true, Persistence::Lifetime(OWN_LIFETIME)),
            ]
        );
    }
}
