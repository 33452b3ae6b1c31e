//! A game's server and its players in one process, over loopback, on each transport: what benchmarks measure, and what
//! allocations are counted of.
//!
//! All ends share the one network thread, so what it spends is spent for both ends.

mod transports;

use std::time::{Duration, Instant};

use ferry_net::multiplayer::{Carrier, Multiplayer, Status};

#[allow(unused_imports, reason = "each program uses a part")]
pub(crate) use transports::{
    Enet, Transport, WebRtc, WebSocket, enet_player, enet_server, websocket_player, websocket_server,
};

/// Whatever is waited for comes within this time, or never.
const BOUND: Duration = Duration::from_secs(20);

/// Pause between two polls that wait for something.
const PAUSE: Duration = Duration::from_micros(100);

/// A server with players.
pub(crate) struct Crowd<C: Carrier> {
    pub(crate) server: Multiplayer<C>,
    pub(crate) players: Vec<Multiplayer<C>>,
    /// Those of the players, as the server names them.
    pub(crate) ids: Vec<i32>,
}

impl<C: Carrier> Crowd<C> {
    /// Polls all until everybody is in. Whatever else has to be done after each poll does `meanwhile`.
    fn gather(server: Multiplayer<C>, players: Vec<Multiplayer<C>>, mut meanwhile: impl FnMut()) -> Crowd<C> {
        let mut crowd = Self { server, players, ids: Vec::new() };
        let begun = Instant::now();
        while !crowd.is_complete() {
            assert!(begun.elapsed() < BOUND, "not all are in within {BOUND:?}");
            crowd.poll();
            meanwhile();
            std::thread::sleep(PAUSE);
        }
        crowd.ids = crowd.server.peer_ids();
        crowd
    }

    fn is_complete(&self) -> bool {
        let ids = self.server.peer_ids();
        ids.len() == self.players.len()
            && ids.iter().all(|id| self.server.is_connected(*id))
            && self.players.iter().all(|player| player.status() == Status::Connected)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Multiplayer<C>> {
        std::iter::once(&mut self.server).chain(&mut self.players)
    }

    /// Lets everybody's packets leave.
    pub(crate) fn flush(&mut self) {
        self.all().for_each(|peer| peer.flush());
    }

    fn poll(&mut self) {
        self.all().for_each(|peer| poll(peer));
    }

    /// Lets everything leave, and reads at all ends until so many packets have been read.
    pub(crate) fn deliver(&mut self, packets: usize) {
        let begun = Instant::now();
        let mut read = self.read();
        while read < packets {
            assert!(begun.elapsed() < BOUND, "{read} of {packets} packets came within {BOUND:?}");
            std::thread::sleep(PAUSE);
            read += self.read();
        }
        assert_eq!(read, packets, "more came than was sent");
    }

    /// Polls all, and reads what has come; how much that was.
    pub(crate) fn read(&mut self) -> usize {
        self.all()
            .map(|peer| {
                poll(peer);
                take_all(peer)
            })
            .sum()
    }
}

/// One poll of a game.
pub(crate) fn poll<C: Carrier>(peer: &mut Multiplayer<C>) {
    peer.begin_poll();
    while peer.next_notice().is_some() {}
}

/// Reads what was polled; how many packets that was.
pub(crate) fn take_all<C: Carrier>(peer: &mut Multiplayer<C>) -> usize {
    let mut read = 0;
    while std::hint::black_box(peer.take_packet()).is_some() {
        read += 1;
    }
    read
}
