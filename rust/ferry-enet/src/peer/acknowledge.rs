//! What an acknowledgement does: frees the command, measures the round trip, moves the connection on.

use super::budget::PACKET_OVERHEAD;
use super::{Peer, State};
use crate::channel::outgoing::{Acknowledged, What};
use crate::event::Event;
use crate::peer::receive::Surroundings;
use crate::time::Timestamp;
use crate::wire::CONTROL_CHANNEL;

/// An echoed time that seems older than this many milliseconds is one that never was sent: the wire's clock wraps.
const OLDEST_ECHO_MS: u16 = 0x7FFF;

impl Peer {
    pub(super) fn handle_acknowledge(
        &mut self,
        now: Timestamp,
        channel: u8,
        seq: u16,
        echo: u16,
        around: &mut Surroundings<'_>,
    ) {
        let line = if channel == CONTROL_CHANNEL {
            Some(&mut self.control)
        } else {
            self.channels.used_mut(channel).map(|channel| &mut channel.outgoing.line)
        };
        let Some(command) = line.and_then(|line| line.acknowledge(seq)) else { return };
        // Only what was really awaited is a sign of life: a stranger can acknowledge anything.
        self.last_acknowledged = now;
        self.sign_of_life(now);
        self.forget_acknowledged(&command, channel);
        self.window_closed = false;
        self.measure(now, &command, echo);
        match (self.state, command.what) {
            (State::AcknowledgingConnect { data, .. }, What::VerifyConnect) => {
                self.handshake_done(data, around);
            }
            (State::Disconnecting { reason }, What::Disconnect) => {
                self.end(reason, State::Gone, around.events);
            }
            _ => {
                self.disconnect_if_all_arrived();
            }
        }
    }

    /// Takes a command that will not be sent again off the books.
    pub(super) fn forget_acknowledged(&mut self, command: &Acknowledged, channel: u8) {
        self.unacknowledged -= 1;
        if channel != CONTROL_CHANNEL {
            self.reliable_bytes -= command.payload_len + PACKET_OVERHEAD;
        }
        if !command.queued {
            self.bytes_in_flight -= command.payload_len;
        }
        if self.unacknowledged == 0 {
            self.retransmit_at = None;
        }
    }

    fn measure(&mut self, now: Timestamp, command: &Acknowledged, echo: u16) {
        let answers_last_sending = !command.queued && echo == command.sent_at.wire_millis();
        if answers_last_sending {
            self.rtt.sample_precisely(now.micros_since(command.sent_at));
        }
        if answers_last_sending && command.attempts > 1 {
            self.counters.confirmed_losses += 1;
            self.throttle.on_loss(now);
        } else if command.attempts > 1 || command.queued {
            // Late, not lost.
            self.loss.on_found();
        }
        let elapsed_ms = now.wire_millis().wrapping_sub(echo);
        if elapsed_ms > OLDEST_ECHO_MS {
            return;
        }
        let sample_ms = u32::from(elapsed_ms).max(1);
        if self.rtt.measured() {
            self.throttle.on_acknowledgement(now, sample_ms, &self.rtt);
        }
        self.rtt.sample(now, sample_ms, self.throttle.parameters.interval_ms);
    }

    fn handshake_done(&mut self, data: u32, around: &mut Surroundings<'_>) {
        if let Some(refusal) = around.no_room_for_peer {
            self.goodbye = refusal;
            self.reset();
            return;
        }
        self.state = State::Connected;
        around.events.push(Event::Connected { peer: self.id, data });
    }
}
