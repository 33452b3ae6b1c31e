//! What carries a peer's packets over WebRTC: a connection of Ferry's, or somebody else's.

use std::time::Instant;

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::{LinkError, LinkId};
use ferry_net::multiplayer::{Carrier, Event, Manners, Upcoming};
use ferry_net::packet::TransferMode;
use ferry_net::reason::{Farewell, Reason};
use ferry_net::stats::{EndpointStats, LinkStats};
use ferry_net::webrtc::Member;

use crate::webrtc_foreign::Foreign;

/// One peer's connection.
#[derive(Clone)]
pub(crate) enum Line {
    /// A [`FerryWebRTCPeerConnection`](crate::webrtc_peer_connection::FerryWebRTCPeerConnection).
    Ours(Member),
    /// Another `WebRTCPeerConnection`.
    Foreign(Foreign),
}

impl Line {
    /// Whether both mean the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ours(one), Self::Ours(other)) => one.connection().is(other.connection()),
            (Self::Foreign(one), Self::Foreign(other)) => one.is(other),
            _ => false,
        }
    }
}

/// Forwards a call to whichever it is.
macro_rules! forward {
    ($self:ident, $line:ident => $call:expr) => {
        match $self {
            Line::Ours($line) => $call,
            Line::Foreign($line) => $call,
        }
    };
}

impl Carrier for Line {
    const MANNERS: Manners = Member::MANNERS;

    fn next_event(&self, hold: &mut dyn FnMut(Upcoming) -> bool) -> Option<Event> {
        forward!(self, line => line.next_event(hold))
    }

    fn send(&self, link: LinkId, channel: i32, mode: TransferMode, payload: Bytes) -> Result<(), LinkError> {
        forward!(self, line => line.send(link, channel, mode, payload))
    }

    fn adopt(&self) {
        forward!(self, line => line.adopt());
    }

    fn taken_away(&self) -> Vec<LinkId> {
        forward!(self, line => line.taken_away())
    }

    fn is_closed(&self) -> bool {
        forward!(self, line => line.is_closed())
    }

    // The class has polled the connection's object just before.
    fn begin_turn(&self) {}

    fn flush(&self) {
        forward!(self, line => line.flush());
    }

    fn disconnect(&self, link: LinkId, told: Reason) {
        forward!(self, line => line.disconnect(link, told));
    }

    fn reset(&self, link: LinkId) {
        forward!(self, line => line.reset(link));
    }

    fn abandon(&self, link: LinkId, farewell: Farewell) {
        forward!(self, line => line.abandon(link, farewell));
    }

    fn set_refusing(&self, refusing: bool) {
        forward!(self, line => line.set_refusing(refusing));
    }

    fn set_limits(&self, limits: Limits) {
        forward!(self, line => line.set_limits(limits));
    }

    fn stats(&self, link: LinkId) -> Option<LinkStats> {
        forward!(self, line => line.stats(link))
    }

    fn endpoint_stats(&self) -> EndpointStats {
        forward!(self, line => line.endpoint_stats())
    }

    fn begin_close(&self) {
        forward!(self, line => line.begin_close());
    }

    fn finish_close(&self, until: Instant) {
        forward!(self, line => line.finish_close(until));
    }
}
