//! What leaves next: one packet, filled in the order in which it is wanted at the other end.

use std::time::Instant;

use super::{Association, State};
use crate::incoming::Wanted;
use crate::timers::Timer;
use crate::wire::parameter::{self, HEARTBEAT_INFO};
use crate::wire::{CHUNK_HEADER, Writer, kind};

impl Association {
    /// Fills `out` with the next packet, if there is one: ask until there is none, after the end as well, whose last word is
    /// one.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let written = self.write_alone(now, out) || self.write_bundle(now, out);
        self.statistics.packets_sent += u64::from(written);
        if !written {
            out.clear();
        }
        written
    }

    fn writer<'a>(&self, out: &'a mut Vec<u8>, tag: u32) -> Writer<'a> {
        Writer::new(out, self.config.mtu, self.config.local_port, self.config.remote_port, tag)
    }

    /// Chunks that share a packet with no other.
    fn write_alone(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if std::mem::take(&mut self.pending.init_ack)
            && let Some(offer) = &mut self.offer
        {
            offer.answers += 1;
            offer.answered_at = Some(now);
            let (tag, cookie, unknown) = (offer.init.tag, offer.cookie.clone(), offer.unknown.clone());
            let init = self.own_init(Some(cookie));
            let mut writer = self.writer(out, tag);
            writer.chunk(kind::INIT_ACK, 0, |out| init.write(out, &unknown));
            writer.finish();
            return true;
        }
        if std::mem::take(&mut self.pending.init) {
            self.asked_at = (self.attempts == 0).then_some(now);
            let init = self.own_init(None);
            let mut writer = self.writer(out, 0);
            writer.chunk(kind::INIT, 0, |out| init.write(out, &[]));
            writer.finish();
            return true;
        }
        if let Some(abort) = self.pending.abort.take() {
            let mut writer = self.writer(out, self.remote_tag);
            writer.chunk(kind::ABORT, 0, |out| {
                parameter::write(out, abort.cause, |out| out.extend_from_slice(abort.text.as_bytes()));
            });
            writer.finish();
            return true;
        }
        if std::mem::take(&mut self.pending.shutdown_complete) {
            let mut writer = self.writer(out, self.remote_tag);
            writer.chunk(kind::SHUTDOWN_COMPLETE, 0, |_| ());
            writer.finish();
            return true;
        }
        false
    }

    /// Whatever else there is, together.
    fn write_bundle(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if matches!(self.state, State::Idle | State::CookieWait | State::Closed) {
            return false;
        }
        let mut writer = self.writer(out, self.remote_tag);
        self.write_control(now, &mut writer);
        let sends =
            matches!(self.state, State::Established | State::ShutdownPending | State::ShutdownReceived);
        let data = sends && self.outgoing.wants_to_write();
        self.write_acknowledgement(data, &mut writer);
        if sends {
            self.write_resets(now, &mut writer);
            self.outgoing.write(now, &mut writer, &mut self.timers, &mut self.statistics);
            self.go_on_with_shutdown(now);
        }
        let written = !writer.is_empty();
        if written {
            writer.finish();
        }
        written
    }

    fn write_control(&mut self, now: Instant, writer: &mut Writer<'_>) {
        if std::mem::take(&mut self.pending.cookie_echo)
            && let State::CookieEchoed(cookie) = &self.state
        {
            self.asked_at = (self.attempts == 0).then_some(now);
            writer.chunk(kind::COOKIE_ECHO, 0, |out| out.extend_from_slice(cookie));
        }
        if std::mem::take(&mut self.pending.cookie_ack) {
            writer.chunk(kind::COOKIE_ACK, 0, |_| ());
        }
        if let Some(info) =
            self.pending.heartbeat_ack.take_if(|info| writer.room() >= CHUNK_HEADER + info.len())
        {
            writer.chunk(kind::HEARTBEAT_ACK, 0, |out| out.extend_from_slice(&info));
        }
        let heartbeat = self.established && writer.room() >= 16;
        if heartbeat && std::mem::take(&mut self.pending.heartbeat) {
            let nonce = self.random.next();
            self.heartbeat = Some((nonce, now));
            writer.chunk(kind::HEARTBEAT, 0, |out| {
                parameter::write(out, HEARTBEAT_INFO, |out| out.extend_from_slice(&nonce.to_be_bytes()));
            });
        }
        if let Some((cause, value)) =
            self.pending.error.take_if(|(_, value)| writer.room() >= 8 + value.len())
        {
            writer.chunk(kind::ERROR, 0, |out| {
                parameter::write(out, cause, |out| out.extend_from_slice(&value));
            });
        }
        self.write_shutdown(writer);
    }

    fn write_shutdown(&mut self, writer: &mut Writer<'_>) {
        let Some(incoming) = &self.incoming else { return };
        if self.state == State::ShutdownSent && std::mem::take(&mut self.pending.shutdown) {
            let cumulative = incoming.cumulative() as u32;
            writer.chunk(kind::SHUTDOWN, 0, |out| out.extend_from_slice(&cumulative.to_be_bytes()));
        }
        if self.state == State::ShutdownAckSent && std::mem::take(&mut self.pending.shutdown_ack) {
            writer.chunk(kind::SHUTDOWN_ACK, 0, |_| ());
        }
    }

    /// An acknowledgement, if one is due, or wanted at all and there is data to go with it.
    fn write_acknowledgement(&mut self, data: bool, writer: &mut Writer<'_>) {
        let Some(incoming) = &mut self.incoming else { return };
        let room = writer.room();
        let due = match incoming.wanted() {
            Wanted::Now => true,
            Wanted::Soon => data,
            Wanted::Not => false,
        };
        if due && room >= LEAST_SACK {
            writer.chunk(kind::SACK, 0, |out| incoming.acknowledge(out, room));
            self.timers.stop(Timer::Acknowledgement);
        }
    }

    fn write_resets(&mut self, now: Instant, writer: &mut Writer<'_>) {
        let Some(resets) = &mut self.resets else { return };
        let vacancy = resets.vacancy();
        if vacancy > 0 {
            let streams = self.outgoing.take_drained(vacancy);
            if !streams.is_empty() {
                resets.ask(streams, self.outgoing.last_tsn());
            }
        }
        if resets.has_something() {
            resets.write(writer);
        }
        if resets.is_asking() && !self.timers.is_set(Timer::Reset) {
            self.timers.set(Timer::Reset, now + self.outgoing.rtt().timeout(1));
        }
    }
}

/// The least room for an acknowledgement: with nothing beyond a gap.
const LEAST_SACK: usize = 16;
