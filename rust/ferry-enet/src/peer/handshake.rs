//! Making a connection: what each end proposes, and what they settle on.
//!
//! ```text
//! client                                   server
//!   CONNECT  (its peer id, connect id,  ─▶
//!             mtu, window, channels, ...)
//!                                       ◀─ VERIFY_CONNECT  (its peer id, the same connect id, what it grants)
//!   ACKNOWLEDGE                         ─▶
//! ```
//!
//! Both commands are sent again until answered. The answer to CONNECT is VERIFY_CONNECT itself, which is also the
//! client's proof that the server heard it; the server's is the ACKNOWLEDGE. Of mtu, window and channels the smaller
//! wish counts. Bandwidths are told, not bargained for. The client names the throttle's parameters, and the server
//! repeats them. What a stranger proposes is brought into bounds or refused, never believed.

use super::receive::{Refused, Surroundings};
use super::{Peer, Sessions, State, window_for_bandwidth};
use crate::channel::outgoing::{Index, ReliableBody};
use crate::config::Config;
use crate::event::{DisconnectReason, Event, PeerId};
use crate::time::{Timestamp, duration_micros};
use crate::wire::{
    CONTROL_CHANNEL, Connect, MAXIMUM_CHANNELS, MAXIMUM_MTU, MAXIMUM_WINDOW_SIZE, MINIMUM_MTU,
    MINIMUM_WINDOW_SIZE, NO_PEER_ID, NO_SESSION, SESSION_MASK, Terms,
};

/// The sequence number of every connection's first command.
const FIRST_SEQ: u16 = 1;

impl Peer {
    /// A connection that we ask for.
    pub(crate) fn connecting(
        id: PeerId,
        sessions: Sessions,
        connect_id: u32,
        channel_count: u8,
        data: u32,
        config: &Config,
    ) -> Self {
        let mut peer = Self::new(id, State::Connecting, sessions, connect_id, channel_count, config);
        peer.window_size = window_for_bandwidth(config.outgoing_bandwidth, 0);
        peer.initiator = true;
        peer.queue_control(ReliableBody::Connect(Box::new(Connect {
            data,
            wishes: Terms {
                peer_id: id.slot,
                incoming_session: sessions.incoming,
                outgoing_session: sessions.outgoing,
                mtu: u32::from(peer.mtu),
                window_size: peer.window_size,
                channel_count: u32::from(channel_count),
                incoming_bandwidth: config.incoming_bandwidth,
                outgoing_bandwidth: config.outgoing_bandwidth,
                throttle: peer.throttle.parameters,
                connect_id,
            },
        })));
        peer
    }

    /// A connection that a client asks for, by a CONNECT that [`acceptable`] has seen.
    pub(crate) fn half_open(
        id: PeerId,
        last_sessions: Sessions,
        connect: &Connect,
        config: &Config,
        now: Timestamp,
    ) -> Self {
        let Connect { ref wishes, data } = *connect;
        let sessions = Sessions {
            outgoing: next_session(wishes.incoming_session, last_sessions.outgoing),
            incoming: next_session(wishes.outgoing_session, last_sessions.incoming),
        };
        let deadline = now.after_micros(duration_micros(config.half_open_timeout));
        let state = State::AcknowledgingConnect { data, deadline };
        let channel_count = (wishes.channel_count as u8).min(config.channel_limit);
        let mut peer = Self::new(id, state, sessions, wishes.connect_id, channel_count, config);
        peer.remote_id = wishes.peer_id;
        peer.mtu = agreed_mtu(config.mtu, wishes.mtu);
        peer.incoming_bandwidth = wishes.incoming_bandwidth;
        peer.outgoing_bandwidth = wishes.outgoing_bandwidth;
        peer.throttle.parameters = wishes.throttle;
        peer.window_size = window_for_bandwidth(config.outgoing_bandwidth, wishes.incoming_bandwidth);
        let granted_window = window_for_bandwidth(config.incoming_bandwidth, 0)
            .min(wishes.window_size)
            .clamp(MINIMUM_WINDOW_SIZE, MAXIMUM_WINDOW_SIZE);
        peer.queue_control(ReliableBody::VerifyConnect(Box::new(Terms {
            peer_id: id.slot,
            incoming_session: sessions.outgoing,
            outgoing_session: sessions.incoming,
            mtu: u32::from(peer.mtu),
            window_size: granted_window,
            channel_count: u32::from(channel_count),
            incoming_bandwidth: config.incoming_bandwidth,
            outgoing_bandwidth: config.outgoing_bandwidth,
            throttle: wishes.throttle,
            connect_id: wishes.connect_id,
        })));
        peer
    }

    /// The server grants the connection.
    pub(super) fn handle_verify_connect(
        &mut self,
        now: Timestamp,
        granted: &Terms,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Refused> {
        if self.state != State::Connecting {
            // It comes again until our acknowledgement arrives.
            return Ok(());
        }
        if granted.connect_id != self.connect_id {
            return Err(Refused);
        }
        let asked = match self.control.get_mut(Index::from(FIRST_SEQ)).map(|command| &command.body) {
            Some(ReliableBody::Connect(connect)) => connect.wishes.throttle,
            _ => return Err(Refused),
        };
        let Some(command) = self.control.acknowledge(FIRST_SEQ) else { return Err(Refused) };
        self.forget_acknowledged(&command, CONTROL_CHANNEL);
        if command.attempts == 1 {
            // The C library guesses half a second until a ping was answered; what is lost meanwhile waits that long.
            let sample_us = now.micros_since(command.sent_at);
            self.rtt.sample_precisely(sample_us);
            let sample_ms = u32::try_from(sample_us / 1000).unwrap_or(u32::MAX).max(1);
            self.rtt.sample(now, sample_ms, self.throttle.parameters.interval_ms);
        }
        let channel_count = u8::try_from(granted.channel_count).unwrap_or(0);
        if channel_count == 0 || granted.throttle != asked || granted.peer_id >= NO_PEER_ID {
            self.end(DisconnectReason::HandshakeFailed, State::Gone, around.events);
            return Err(Refused);
        }
        self.channels.limit(channel_count);
        self.remote_id = granted.peer_id;
        self.sessions = Sessions {
            incoming: granted.incoming_session & SESSION_MASK,
            outgoing: granted.outgoing_session & SESSION_MASK,
        };
        self.mtu = agreed_mtu(self.mtu, granted.mtu);
        self.window_size =
            self.window_size.min(granted.window_size.clamp(MINIMUM_WINDOW_SIZE, MAXIMUM_WINDOW_SIZE));
        self.incoming_bandwidth = granted.incoming_bandwidth;
        self.outgoing_bandwidth = granted.outgoing_bandwidth;
        self.state = State::Connected;
        self.sign_of_life(now);
        if self.throttle.parameters != asked {
            self.configure_throttle(self.throttle.parameters);
        }
        self.last_acknowledged = now;
        around.events.push(Event::Connected { peer: self.id, data: 0 });
        Ok(())
    }
}

/// Whether a CONNECT asks for something that can be granted at all.
pub(crate) fn acceptable(wishes: &Terms) -> bool {
    (1..=u32::from(MAXIMUM_CHANNELS)).contains(&wishes.channel_count) && wishes.peer_id < NO_PEER_ID
}

/// The session number behind the one that the client used last, and never the one that this slot used last.
fn next_session(client_last: u8, slot_last: u8) -> u8 {
    let last = if client_last == NO_SESSION { slot_last } else { client_last };
    let next = last.wrapping_add(1) & SESSION_MASK;
    if next == slot_last { (next + 1) & SESSION_MASK } else { next }
}

fn agreed_mtu(ours: u16, theirs: u32) -> u16 {
    let theirs = theirs.clamp(u32::from(MINIMUM_MTU), u32::from(MAXIMUM_MTU));
    ours.min(theirs as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_numbers_follow_the_client_and_avoid_the_slots_last() {
        assert_eq!(next_session(NO_SESSION, NO_SESSION), 0);
        assert_eq!(next_session(NO_SESSION, 0), 1);
        assert_eq!(next_session(NO_SESSION, 3), 0);
        assert_eq!(next_session(1, NO_SESSION), 2);
        assert_eq!(next_session(1, 2), 3);
        assert_eq!(next_session(2, 3), 0);
        assert_eq!(next_session(0x7F, 1), 0);
    }

    #[test]
    fn windows_follow_the_bandwidth_in_steps() {
        assert_eq!(window_for_bandwidth(0, 0), 65_536);
        assert_eq!(window_for_bandwidth(1, 0), 4096);
        assert_eq!(window_for_bandwidth(0, 131_072), 8192);
        assert_eq!(window_for_bandwidth(1_000_000, 131_072), 8192);
        assert_eq!(window_for_bandwidth(u32::MAX, u32::MAX), 65_536);
    }
}
