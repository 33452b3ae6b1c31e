//! Waking seldom for a crowd.
//!
//! Packets of many players come one by one, all the time, and to wake the network thread for each costs more than to read
//! it: of what a server of 512 players takes, a sixth. So where there are many links, a thread that is woken again as
//! soon as it sleeps waits a moment before it does, and finds what has come together. That is a hundredth of a frame; a few
//! links, where round trips are what counts, never wait.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// So many links are a crowd.
const CROWD: usize = 64;

/// What is waited for others, if the system's timers are as good; twice as long on Linux.
const PAUSE: Duration = Duration::from_micros(50);

/// Who is awake again after this has much to do.
const SOON: Duration = Duration::from_micros(100);

/// How many links there are in the process.
static LINKS: AtomicUsize = AtomicUsize::new(0);

/// Counts a link, for as long as this is kept.
pub(crate) struct CountedLink(());

impl CountedLink {
    /// One more.
    pub(crate) fn new() -> Self {
        LINKS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for CountedLink {
    fn drop(&mut self) {
        LINKS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a thread does before it sleeps.
pub(crate) struct Gathering {
    /// When it was last about to sleep, or had paused.
    last: Mutex<Option<Instant>>,
}

impl Gathering {
    pub(crate) const fn new() -> Self {
        Self { last: Mutex::new(None) }
    }

    /// Waits a moment if others are about to come. Not on Windows, whose timers are a hundred times coarser.
    pub(crate) fn pause(&self) {
        if cfg!(windows) || !self.is_worth_it(LINKS.load(Ordering::Relaxed), Instant::now()) {
            return;
        }
        std::thread::sleep(PAUSE);
        *lock(&self.last) = Some(Instant::now());
    }

    fn is_worth_it(&self, links: usize, now: Instant) -> bool {
        links >= CROWD && lock(&self.last).replace(now).is_some_and(|last| now.duration_since(last) < SOON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_that_is_busy_is_waited_for() {
        let gathering = Gathering::new();
        let begin = Instant::now();
        let at = |micros| begin + Duration::from_micros(micros);
        assert!(!gathering.is_worth_it(CROWD, at(0)), "the first time");
        assert!(gathering.is_worth_it(CROWD, at(99)));
        assert!(!gathering.is_worth_it(CROWD, at(199)), "it had slept");
        assert!(!gathering.is_worth_it(CROWD - 1, at(200)), "a few");
        assert!(gathering.is_worth_it(CROWD, at(250)));
    }
}
