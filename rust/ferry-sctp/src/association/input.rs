//! A packet that came, chunk by chunk (RFC 9260, 8.5).

use std::time::Instant;

use bytes::Bytes;

use super::{Association, State};
use crate::event::{CloseReason, Event};
use crate::incoming::{TooLong, Wanted};
use crate::timers::Timer;
use crate::wire::data::{Data, ForwardTsn};
use crate::wire::parameter::{HEARTBEAT_INFO, Parameters};
use crate::wire::sack::Sack;
use crate::wire::{Chunk, Packet, REFLECTED_TAG, Unknown, cause, kind, u64_at};

/// Bytes of an unknown chunk that are sent back.
const REPORTED_LENGTH: usize = 64;

impl Association {
    /// One SCTP packet, as it came out of DTLS. Whatever is in it, this neither fails nor panics.
    pub fn handle_input(&mut self, now: Instant, packet: impl Into<Bytes>) {
        self.statistics.packets_received += 1;
        let bytes = packet.into();
        let length = bytes.len();
        let packet = match Packet::read(bytes) {
            Ok(packet) if self.is_addressed(&packet) => packet,
            _ => {
                self.statistics.packets_dropped += 1;
                return;
            }
        };
        for chunk in packet.chunks() {
            if !self.chunk(now, &chunk, length) {
                break;
            }
        }
        self.packet_over(now);
    }

    /// Ports and tag are right.
    fn is_addressed(&self, packet: &Packet) -> bool {
        let ports = packet.source == self.config.remote_port && packet.destination == self.config.local_port;
        let Some(first) = packet.chunks().next().filter(|_| ports) else { return false };
        match first.kind {
            kind::INIT => packet.tag == 0,
            kind::ABORT | kind::SHUTDOWN_COMPLETE if first.flags & REFLECTED_TAG != 0 => {
                packet.tag == self.remote_tag && self.remote_tag != 0
            }
            _ => packet.tag == self.local_tag,
        }
    }

    /// Whether the next chunk is to be read.
    fn chunk(&mut self, now: Instant, chunk: &Chunk, packet: usize) -> bool {
        if self.state == State::Closed {
            if chunk.kind == kind::SHUTDOWN_ACK {
                self.shutdown_ack_came();
            }
            return false;
        }
        let value = &chunk.value;
        match chunk.kind {
            kind::DATA => self.data_came(chunk, packet),
            kind::SACK => self.sack_came(now, value),
            kind::FORWARD_TSN => self.forward_came(value),
            kind::INIT => {
                self.init_came(value);
                return false;
            }
            kind::INIT_ACK => {
                self.init_ack_came(now, value);
                return false;
            }
            kind::COOKIE_ECHO => return self.cookie_echo_came(now, value),
            kind::COOKIE_ACK => self.cookie_ack_came(now),
            kind::HEARTBEAT => self.heartbeat_came(value),
            kind::HEARTBEAT_ACK => self.heartbeat_ack_came(now, value),
            kind::ABORT => self.abort_came(value),
            kind::ERROR => self.error_came(now, value),
            kind::SHUTDOWN => self.shutdown_came(now, value),
            kind::SHUTDOWN_ACK => self.shutdown_ack_came(),
            kind::SHUTDOWN_COMPLETE => self.shutdown_complete_came(),
            kind::RE_CONFIG => self.reconfig_came(value),
            _ => return self.unknown_came(chunk),
        }
        true
    }

    fn packet_over(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.unanswered_heartbeats = 0;
        if self.established {
            self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
        }
        if let Some(incoming) = &mut self.incoming {
            incoming.packet_over();
            if incoming.wanted() == Wanted::Soon && !self.timers.is_set(Timer::Acknowledgement) {
                self.timers.set(Timer::Acknowledgement, now + self.config.sack_delay);
            }
            if let Some(resets) = &mut self.resets {
                resets.perform(incoming);
            }
        }
        self.go_on_with_shutdown(now);
    }

    fn is_data_expected(&self) -> bool {
        // In CookieEchoed, data says that only COOKIE-ACK was lost: it is kept until that comes.
        !matches!(self.state, State::Idle | State::CookieWait | State::Closed)
    }

    fn data_came(&mut self, chunk: &Chunk, packet: usize) {
        let Some(incoming) = self.incoming.as_mut() else { return };
        let Ok(data) = Data::read(chunk.flags, &chunk.value) else {
            self.statistics.chunks_dropped += 1;
            return;
        };
        if data.payload.is_empty() {
            self.break_off(CloseReason::Protocol("a message had no bytes"), cause::NO_USER_DATA, "");
            return;
        }
        let result = incoming.data(data, packet, &mut self.statistics);
        // RFC 9260, 9.2: whoever has sent SHUTDOWN repeats it with each acknowledgement.
        self.pending.shutdown |= self.state == State::ShutdownSent;
        self.check(result);
    }

    fn forward_came(&mut self, value: &[u8]) {
        let Some(incoming) = self.incoming.as_mut() else { return };
        if let Ok(forward) = ForwardTsn::read(value) {
            let result = incoming.forward(&forward, &mut self.statistics);
            self.check(result);
        }
    }

    fn check(&mut self, result: Result<(), TooLong>) {
        if result.is_err() {
            self.break_off(CloseReason::TooLong, cause::PROTOCOL_VIOLATION, "message too long");
        }
    }

    fn sack_came(&mut self, now: Instant, value: &[u8]) {
        if !self.is_data_expected() {
            return;
        }
        match Sack::read(value) {
            Ok(sack) => self.outgoing.sack(now, &sack, &mut self.timers),
            Err(_) => self.statistics.chunks_dropped += 1,
        }
    }

    fn heartbeat_came(&mut self, value: &Bytes) {
        // The answer is as long as the question; one that would not fit is none of an honest end.
        if value.len() + 16 <= self.config.mtu {
            self.pending.heartbeat_ack = Some(value.clone());
        }
    }

    fn heartbeat_ack_came(&mut self, now: Instant, value: &[u8]) {
        let info = Parameters(value).find(|parameter| parameter.kind == HEARTBEAT_INFO);
        let Some(info) = info.filter(|info| info.value.len() == 8) else { return };
        if let Some((_, at)) = self.heartbeat.take_if(|(nonce, _)| *nonce == u64_at(info.value, 0)) {
            self.outgoing.measured(now.saturating_duration_since(at));
        }
    }

    fn abort_came(&mut self, value: &[u8]) {
        let Some(first) = Parameters(value).next() else {
            self.close(CloseReason::Aborted(String::new()));
            return;
        };
        let text: String = match first.kind {
            cause::USER_INITIATED | cause::PROTOCOL_VIOLATION => String::from_utf8_lossy(first.value)
                .chars()
                .filter(|letter| !letter.is_control())
                .take(super::CAUSE_LENGTH)
                .collect(),
            kind => format!("cause {kind}"),
        };
        self.close(CloseReason::Aborted(text));
    }

    fn reconfig_came(&mut self, value: &[u8]) {
        let (Some(resets), Some(incoming)) = (&mut self.resets, &mut self.incoming) else { return };
        for stream in resets.heard(value, incoming) {
            incoming.own_side_closed(stream);
            self.outgoing.stream_closed(stream);
            self.events.push_back(Event::StreamClosed(stream));
        }
        if !resets.is_asking() {
            self.timers.stop(Timer::Reset);
        }
    }

    fn unknown_came(&mut self, chunk: &Chunk) -> bool {
        let todo = Unknown::chunk(chunk.kind);
        if todo.report && self.established {
            let length = chunk.value.len().min(REPORTED_LENGTH);
            let mut whole = vec![chunk.kind, chunk.flags];
            whole.extend_from_slice(&((length + 4) as u16).to_be_bytes());
            whole.extend_from_slice(&chunk.value[..length]);
            self.pending.error = Some((cause::UNRECOGNIZED_CHUNK, whole.into()));
        }
        !todo.stop
    }
}
