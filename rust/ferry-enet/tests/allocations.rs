//! In the steady state no packet costs an allocation.
//!
//! A counting allocator watches a server and its clients that have warmed up. The clock is the driver's, the network is
//! a buffer that is used again, and everything counted is the hosts' own.

#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use bytes::Bytes;
use counted_memory::thread;
use ferry_enet::{Config, Event, Host, MAXIMUM_DATAGRAM, Mode, PeerId, Timestamp};
use ferry_enet_testkit::world::Place;

const CLIENTS: usize = 20;

struct Game {
    now: Timestamp,
    server: Host<Place>,
    clients: Vec<(Host<Place>, Option<PeerId>)>,
    /// Datagrams on their way: from, to, length, bytes.
    network: Vec<(Place, Place, usize, [u8; MAXIMUM_DATAGRAM])>,
    packets: u64,
}

impl Game {
    fn new(config: &Config) -> Self {
        let mut number = 0;
        let server = Host::new(config.clone(), || 1).unwrap();
        let clients = (0..CLIENTS)
            .map(|_| {
                number += 1;
                let mut client = Host::new(config.clone(), move || number).unwrap();
                client.connect(Place::of(0), 4, 0).unwrap();
                (client, None)
            })
            .collect();
        let network = Vec::with_capacity(1000);
        Self { now: Timestamp::from_micros(0), server, clients, network, packets: 0 }
    }

    fn tick(&mut self, traffic: &mut impl FnMut(&mut Host<Place>, Option<PeerId>)) {
        self.now = Timestamp::from_micros(self.now.as_micros() + 16_667);
        traffic(&mut self.server, None);
        for (client, server) in &mut self.clients {
            if server.is_some() {
                traffic(client, *server);
            }
        }
        // There and back within the tick.
        for _ in 0..2 {
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        let now = self.now;
        let hosts = self.clients.iter_mut().map(|(client, _)| client);
        for (number, host) in std::iter::once(&mut self.server).chain(hosts).enumerate() {
            host.handle_timeout(now);
            let mut buffer = [0; MAXIMUM_DATAGRAM];
            while let Some(transmit) = host.poll_transmit(now, &mut buffer) {
                self.network.push((Place::of(number as u16), transmit.to, transmit.len, buffer));
            }
        }
        for (from, to, len, bytes) in self.network.drain(..) {
            match usize::from(to.host) {
                0 => self.server.handle_input(now, from, &bytes[..len]),
                number => self.clients[number - 1].0.handle_input(now, from, &bytes[..len]),
            }
        }
        while let Some(event) = self.server.poll_event() {
            self.packets += u64::from(matches!(event, Event::Received { .. }));
        }
        for (client, server) in &mut self.clients {
            while let Some(event) = client.poll_event() {
                match event {
                    Event::Connected { peer, .. } => *server = Some(peer),
                    Event::Received { .. } => self.packets += 1,
                    Event::Disconnected { reason, .. } => panic!("{reason:?}"),
                }
            }
        }
    }
}

/// Allocations and packets of ten seconds of traffic, after ten seconds of the same.
fn measure(mut traffic: impl FnMut(&mut Host<Place>, Option<PeerId>)) -> (u64, u64) {
    let mut game = Game::new(&Config { max_peers: 64, ..Config::default() });
    for _ in 0..600 {
        game.tick(&mut traffic);
    }
    let (allocations, packets) = (thread::allocations(), game.packets);
    for _ in 0..600 {
        game.tick(&mut traffic);
    }
    (thread::allocations() - allocations, game.packets - packets)
}

#[test]
fn a_match_of_small_and_shared_packets_allocates_nothing() {
    let (small, large) = (Bytes::from(vec![1; 40]), Bytes::from(vec![2; 900]));
    let (allocations, packets) = measure(|host, server| match server {
        None => {
            host.broadcast(0, Mode::Reliable, &small);
            host.broadcast(1, Mode::Reliable, &large);
            host.broadcast(1, Mode::Unreliable, &small);
            host.broadcast(2, Mode::Unsequenced, &large);
        }
        Some(server) => {
            host.send(server, 0, Mode::Reliable, large.clone()).unwrap();
            host.send_copy(server, 0, Mode::Reliable, &small).unwrap();
            host.send_copy(server, 1, Mode::Unreliable, &large).unwrap();
            host.send_copy(server, 2, Mode::Unsequenced, &small).unwrap();
        }
    });
    assert!(packets >= 600 * 8 * CLIENTS as u64 - 8 * CLIENTS as u64, "{packets}");
    assert_eq!(allocations, 0, "in {packets} packets");
}

#[test]
fn an_idle_server_allocates_nothing() {
    let (allocations, packets) = measure(|_, _| {});
    assert_eq!((allocations, packets), (0, 0));
}

#[test]
fn what_came_in_pieces_costs_less_than_an_allocation_a_piece() {
    let packet = Bytes::from(vec![3; 30_000]);
    let (allocations, packets) = measure(|host, server| {
        if server.is_none() {
            host.broadcast(0, Mode::Reliable, &packet);
        }
    });
    let pieces = packets * 22;
    assert!(packets > 10_000 && allocations < pieces / 2, "{allocations} for {pieces} pieces");
}
