//! The beginning: INIT, INIT-ACK, COOKIE-ECHO, COOKIE-ACK (RFC 9260, 5).
//!
//! Either end may begin, or both at once, as WebRTC's do. An end has one tag and one first number for its whole life, so
//! whichever of the two handshakes comes through first means the same association. A cookie is a random number for what
//! the other end's INIT said, which is kept here: packets come out of DTLS, so there is no flood of strangers to keep no
//! state for. Over the same DTLS an association does not begin anew: later INITs are ignored.

use std::time::Instant;

use bytes::Bytes;

use super::{Association, State};
use crate::event::{CloseReason, Event};
use crate::incoming::Incoming;
use crate::reset::Resets;
use crate::timers::Timer;
use crate::wire::init::Init;
use crate::wire::{cause, u16_at};

/// An INIT that came, and the cookie that it was answered with.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) init: Init,
    pub(super) cookie: Bytes,
    pub(super) unknown: Vec<Bytes>,
    /// When the answer left, if it left once.
    pub(super) answered_at: Option<Instant>,
    pub(super) answers: u32,
}

impl Association {
    /// Begins the handshake. The other end may do so as well.
    pub fn connect(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.state = State::CookieWait;
            self.pending.init = true;
            self.attempts = 0;
            self.arm_handshake(now);
        }
    }

    fn arm_handshake(&mut self, now: Instant) {
        self.timers.set(Timer::Handshake, now + self.outgoing.rtt().timeout(self.attempts));
    }

    pub(super) fn handshake_timed_out(&mut self, now: Instant) {
        self.attempts += 1;
        self.asked_at = None;
        if self.attempts > self.config.max_retransmissions {
            self.close(CloseReason::TimedOut);
            return;
        }
        match self.state {
            State::CookieWait => self.pending.init = true,
            State::CookieEchoed(_) => self.pending.cookie_echo = true,
            _ => return,
        }
        self.arm_handshake(now);
    }

    /// What this end says of itself.
    pub(super) fn own_init(&self, cookie: Option<Bytes>) -> Init {
        Init {
            tag: self.local_tag,
            window: u32::try_from(self.config.receive_window)
                .expect("windows are bounded by the configuration"),
            outgoing_streams: self.config.outgoing_streams,
            incoming_streams: self.config.incoming_streams,
            tsn: self.local_tsn,
            forward_tsn: true,
            reset: true,
            cookie,
        }
    }

    /// Whether these numbers can be an association's.
    fn makes_sense(init: &Init) -> bool {
        init.tag != 0 && init.outgoing_streams != 0 && init.incoming_streams != 0
    }

    pub(super) fn init_came(&mut self, value: &Bytes) {
        if !matches!(self.state, State::Idle | State::CookieWait | State::CookieEchoed(_)) {
            return;
        }
        let Ok((init, unknown)) = Init::read(value) else {
            self.statistics.packets_dropped += 1;
            return;
        };
        if !Self::makes_sense(&init) {
            self.remote_tag = init.tag;
            self.break_off(CloseReason::Protocol("an INIT made no sense"), cause::INVALID_PARAMETER, "");
            return;
        }
        // The same question gets the same answer, so that either may be lost.
        if self.offer.as_ref().is_none_or(|offer| offer.init != init) {
            let mut cookie = self.random.next().to_be_bytes().to_vec();
            cookie.extend_from_slice(&self.random.next().to_be_bytes());
            let cookie = cookie.into();
            self.offer = Some(Offer { init, cookie, unknown, answered_at: None, answers: 0 });
        }
        self.pending.init_ack = true;
    }

    pub(super) fn init_ack_came(&mut self, now: Instant, value: &Bytes) {
        if self.state != State::CookieWait {
            return;
        }
        let Ok((init, _)) = Init::read(value) else {
            self.statistics.packets_dropped += 1;
            return;
        };
        let Some(cookie) = init.cookie.clone().filter(|_| Self::makes_sense(&init)) else {
            self.remote_tag = init.tag;
            self.break_off(CloseReason::Protocol("an INIT-ACK made no sense"), cause::INVALID_PARAMETER, "");
            return;
        };
        if cookie.len() > self.config.mtu - 16 {
            self.remote_tag = init.tag;
            self.break_off(CloseReason::Protocol("a cookie was too long"), cause::INVALID_PARAMETER, "");
            return;
        }
        self.answered(now);
        self.take_over(&init);
        // A cookie of its own: the packet that it came in can go.
        self.state = State::CookieEchoed(Bytes::copy_from_slice(&cookie));
        self.pending.init = false;
        self.pending.cookie_echo = true;
        self.attempts = 0;
        self.arm_handshake(now);
    }

    fn answered(&mut self, now: Instant) {
        if let Some(at) = self.asked_at.take() {
            self.outgoing.measured(now.saturating_duration_since(at));
        }
    }

    fn take_over(&mut self, init: &Init) {
        self.remote_tag = init.tag;
        self.outgoing.agreed(init.window, init.incoming_streams, init.forward_tsn);
        self.incoming = Some(Incoming::new(&self.config, init.tsn));
        self.resets = Some(Resets::new(self.local_tsn, init.tsn));
    }

    /// Whether the rest of the packet may be read.
    pub(super) fn cookie_echo_came(&mut self, now: Instant, cookie: &Bytes) -> bool {
        let Some(offer) = self.offer.as_ref().filter(|offer| offer.cookie == *cookie) else { return false };
        match self.state {
            State::Idle | State::CookieWait => {}
            State::CookieEchoed(_) if offer.init.tag != self.remote_tag => {}
            State::CookieEchoed(_) => {
                // The other end's handshake came through first. What data came meanwhile stays.
                self.pending.cookie_ack = true;
                self.establish(now);
                return true;
            }
            State::Closed => return false,
            _ => {
                // COOKIE-ACK was lost.
                self.pending.cookie_ack = offer.init.tag == self.remote_tag;
                return self.pending.cookie_ack;
            }
        }
        if let Some(at) = offer.answered_at.filter(|_| offer.answers == 1) {
            self.outgoing.measured(now.saturating_duration_since(at));
        }
        let init = offer.init.clone();
        self.take_over(&init);
        self.pending.cookie_ack = true;
        self.establish(now);
        true
    }

    pub(super) fn cookie_ack_came(&mut self, now: Instant) {
        if matches!(self.state, State::CookieEchoed(_)) {
            self.answered(now);
            self.establish(now);
        }
    }

    fn establish(&mut self, now: Instant) {
        self.state = State::Established;
        self.established = true;
        self.attempts = 0;
        self.asked_at = None;
        self.pending.init = false;
        self.pending.init_ack = false;
        self.pending.cookie_echo = false;
        self.timers.stop(Timer::Handshake);
        self.timers.set(Timer::Heartbeat, now + self.config.heartbeat_interval);
        self.events.push_back(Event::Established);
    }

    /// An ERROR came. Of all causes one means something here: our cookie has become too old on its way.
    pub(super) fn error_came(&mut self, now: Instant, value: &[u8]) {
        let stale = value.len() >= 2 && u16_at(value, 0) == cause::STALE_COOKIE;
        if stale && matches!(self.state, State::CookieEchoed(_)) {
            self.state = State::CookieWait;
            self.pending.cookie_echo = false;
            self.pending.init = true;
            self.arm_handshake(now);
        }
    }
}
