//! Servers and clients on loopback, for the tests that play matches without an engine.

use std::time::{Duration, Instant};

use ferry_net::multiplayer::{Carrier, Multiplayer, Notice};

#[allow(dead_code, reason = "each test binary plays on one transport")]
pub(crate) mod over_enet;
#[allow(dead_code, reason = "each test binary plays on one transport")]
pub(crate) mod over_websocket;
#[allow(dead_code, reason = "not every test binary plays whole matches")]
pub(crate) mod stories;

/// Whatever is waited for comes within this time, or never.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

pub(crate) fn poll<C: Carrier>(peer: &mut Multiplayer<C>) -> Vec<Notice> {
    peer.begin_poll();
    std::iter::from_fn(|| peer.next_notice()).collect()
}

/// Polls all until the condition holds; returns what each was told.
#[allow(dead_code, reason = "not every test binary has matches of several")]
pub(crate) fn until<C: Carrier>(
    peers: &mut [&mut Multiplayer<C>],
    mut condition: impl FnMut(&mut [&mut Multiplayer<C>], &[Vec<Notice>]) -> bool,
) -> Vec<Vec<Notice>> {
    let started = Instant::now();
    let mut told = vec![Vec::new(); peers.len()];
    loop {
        for (peer, told) in peers.iter_mut().zip(&mut told) {
            told.extend(poll(peer));
        }
        if condition(peers, &told) {
            return told;
        }
        assert!(started.elapsed() < BOUND, "not within the bound; told: {told:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
