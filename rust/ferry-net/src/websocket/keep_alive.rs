//! When to ask a silent other end for a sign of life, and when to give it up.
//!
//! A TCP connection whose cable was pulled looks like one where nobody has anything to say. So each end pings the other at
//! an interval, and whatever comes counts as a sign of life: messages, pings, pongs. The pong also tells the round
//! trip. An end that does not read for the time being, because its game does not, goes on pinging, so that it counts
//! as alive over there, and is patient itself.
//!
//! Knows no clock and no socket: time comes in with each call.

use std::time::{Duration, Instant};

use crate::limits::{LONGEST_TIME, OVERSLEPT};

/// How often a link is pinged at least, and so how old its round trip may be.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);

/// So many pings fit into the patience: two may get lost in a hiccup.
const PINGS_WITHIN_PATIENCE: u32 = 3;

/// A longer round trip is not measured.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(10);

/// What a ping carries: its number.
pub(super) type PingBytes = [u8; 8];

/// One link's signs of life.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    patience: Duration,
    /// The last sign of life.
    heard: Instant,
    next_ping: Instant,
    number: u64,
    /// A ping, until its pong.
    pinged: Option<(u64, Instant)>,
    rtt: Option<Duration>,
    jitter: Option<Duration>,
}

impl KeepAlive {
    /// For a link that stands since now. Pings at once, so that there is a round trip to tell.
    pub(super) fn new(now: Instant, peer_timeout: Duration, heartbeat: Option<Duration>) -> Self {
        let mut this = Self {
            interval: Duration::ZERO,
            patience: Duration::ZERO,
            heard: now,
            next_ping: now,
            number: 0,
            pinged: None,
            rtt: None,
            jitter: None,
        };
        this.set(now, peer_timeout, heartbeat);
        this
    }

    /// Sets the times. A heartbeat of the game's own also bounds the patience: one ping without an answer until the next is
    /// due, and a little. Who is given less patience has it from now on.
    pub(super) fn set(&mut self, now: Instant, peer_timeout: Duration, heartbeat: Option<Duration>) {
        let peer_timeout = peer_timeout.min(LONGEST_TIME);
        let usual = USUAL_INTERVAL.min(peer_timeout / PINGS_WITHIN_PATIENCE);
        self.interval = heartbeat.map_or(usual, |heartbeat| heartbeat.min(peer_timeout));
        self.next_ping = self.next_ping.min(now + self.interval);
        let patience =
            heartbeat.map_or(peer_timeout, |heartbeat| peer_timeout.min(heartbeat.saturating_mul(2)));
        if patience < self.patience {
            self.heard = now;
        }
        self.patience = patience;
    }

    /// Something has come.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A pong has come.
    pub(super) fn pong(&mut self, bytes: &[u8], now: Instant) {
        let Some((number, sent)) = self.pinged else { return };
        if bytes != number.to_be_bytes() {
            return;
        }
        self.pinged = None;
        let sample = now - sent;
        match (self.rtt, self.jitter) {
            (Some(rtt), Some(jitter)) => {
                let off = sample.abs_diff(rtt);
                self.jitter = Some((jitter * 3 + off) / 4);
                self.rtt = Some((rtt * 7 + sample) / 8);
            }
            _ => {
                self.rtt = Some(sample);
                self.jitter = Some(sample / 2);
            }
        }
    }

    /// When to be asked again.
    pub(super) fn next_due(&self) -> Instant {
        self.next_ping.min(self.heard + self.patience)
    }

    /// A ping, if one is due. To be asked before what has come is read.
    pub(super) fn ping(&mut self, now: Instant) -> Option<PingBytes> {
        let late = now.saturating_duration_since(self.next_due());
        if late > OVERSLEPT {
            // Nobody could be heard meanwhile.
            self.heard = (self.heard + late).min(now);
        }
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.interval;
        self.number += 1;
        // A round trip may be longer than the interval; but a ping that got lost on the way is not waited for for ever.
        if self.pinged.is_none_or(|(_, sent)| now - sent >= LONGEST_ROUND_TRIP) {
            self.pinged = Some((self.number, now));
        }
        Some(self.number.to_be_bytes())
    }

    /// How long nothing has come.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// Whether the other end counts as gone. To be asked after what has come was read.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.silence(now) >= self.patience
    }

    /// The round trip and how much it scatters, once known.
    pub(super) fn round_trip(&self) -> (Option<Duration>, Option<Duration>) {
        (self.rtt, self.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_link_is_pinged_at_once_and_at_an_interval() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, 30 * SECOND, None);
        let first = alive.ping(start).expect("a ping");
        alive.pong(&first, start + SECOND / 10);
        assert_eq!(alive.round_trip().0, Some(SECOND / 10));
        alive.heard(start + SECOND / 10);
        assert_eq!(alive.ping(start + SECOND), None);
        assert_eq!(alive.next_due(), start + 5 * SECOND);
        assert!(alive.ping(start + 5 * SECOND).is_some());
    }

    #[test]
    fn silence_ends_within_the_patience_and_signs_of_life_do_not() {
        let start = Instant::now();
        let mut silent = KeepAlive::new(start, 3 * SECOND, None);
        let mut lively = KeepAlive::new(start, 3 * SECOND, None);
        let mut ended = None;
        for tenth in 0..100 {
            let now = start + SECOND / 10 * tenth;
            lively.ping(now);
            lively.heard(now);
            assert!(!lively.is_dead(now));
            silent.ping(now);
            if ended.is_none() && silent.is_dead(now) {
                ended = Some(now);
            }
        }
        assert_eq!(ended, Some(start + 3 * SECOND));
    }

    #[test]
    fn a_process_that_was_stopped_blames_nobody() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, 3 * SECOND, None);
        alive.ping(start);
        let woken = start + 3600 * SECOND;
        assert!(alive.ping(woken).is_some());
        assert!(!alive.is_dead(woken) && !alive.is_dead(woken + SECOND));
        let mut now = woken;
        while !alive.is_dead(now) {
            now += SECOND / 10;
            alive.ping(now);
        }
        assert!(now <= woken + 4 * SECOND);
    }

    #[test]
    fn a_heartbeat_of_the_games_own_is_kept() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, 30 * SECOND, Some(SECOND));
        alive.ping(start);
        assert!(alive.ping(start + SECOND).is_some());
        assert!(!alive.is_dead(start + SECOND) && alive.is_dead(start + 2 * SECOND));
    }

    #[test]
    fn shorter_times_count_from_when_they_are_set() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, 30 * SECOND, None);
        alive.ping(start);
        let later = start + 4 * SECOND;
        alive.set(later, 30 * SECOND, Some(SECOND));
        assert!(!alive.is_dead(later));
        assert!(alive.ping(later + SECOND).is_some());
        assert!(!alive.is_dead(later + SECOND) && alive.is_dead(later + 2 * SECOND));
    }

    #[test]
    fn a_round_trip_longer_than_the_interval_is_measured() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, 30 * SECOND, Some(SECOND / 20));
        let pings: Vec<_> = (0..10)
            .filter_map(|number| {
                let now = start + SECOND / 20 * number;
                alive.heard(now);
                alive.ping(now)
            })
            .collect();
        assert_eq!(pings.len(), 10);
        alive.pong(&pings[0], start + SECOND / 2);
        assert_eq!(alive.round_trip().0, Some(SECOND / 2));
    }

    #[test]
    fn times_without_end_are_a_month() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, Duration::MAX, Some(Duration::MAX));
        alive.ping(start);
        assert!(!alive.is_dead(start + 3600 * SECOND));
        assert!(alive.next_due() <= start + LONGEST_TIME);
    }

    #[test]
    fn pongs_that_answer_no_ping_tell_nothing() {
        let start = Instant::now();
        let mut alive = KeepAlive::new(start, 30 * SECOND, None);
        let bytes = alive.ping(start).expect("a ping");
        alive.pong(b"", start + SECOND);
        alive.pong(b"12345678", start + SECOND);
        assert_eq!(alive.round_trip(), (None, None));
        alive.pong(&bytes, start + SECOND);
        alive.pong(&bytes, start + 2 * SECOND);
        assert_eq!(alive.round_trip().0, Some(SECOND));
    }
}
