//! Of servers over ENet and WebSocket, whose players are elsewhere.

use std::time::{Duration, Instant};

use counted_memory::process::alone;
use ferry_net::multiplayer::{Carrier, Multiplayer};
use ferry_net::packet::TransferMode::{Reliable, Unreliable};

use crate::crowd::{Enet, Transport, WebSocket, enet_server, poll, websocket_server};
use crate::game::{Counted, LONGEST, Sends, count, frame, stays_within};
use crate::players::Players;

/// Players where their number does not matter.
const SOME: usize = 64;

/// Shares memory with others of its kind.
const SHORT: usize = 64;

/// Has memory of its own.
const LONG: usize = 1000;

/// What is shared, or used again: two allocations for each 64 KiB of short packets, and a queue now and then that grows.
const NEXT_TO_NOTHING: f64 = 0.02;

/// Likewise, of a frame, in which each of many queues may grow; an allocation for each player would be many times as much.
const LITTLE: f64 = 0.5;

/// A long packet's memory, and the counter of those who hold it.
const ONE_LONG_PACKET: f64 = 2.0;

/// All are in within this time.
const BOUND: Duration = Duration::from_secs(20);

/// Counts a server's frames, with players who send something too.
type Run = fn(usize, Sends, Sends) -> Counted;

const TRANSPORTS: [(&str, Run); 2] = [(Enet::NAME, over_enet), (WebSocket::NAME, over_websocket)];

fn over_enet(players: usize, sends: Sends, players_send: Sends) -> Counted {
    let server = enet_server(players);
    let port = server.carrier().unwrap().local_port();
    let _players = Players::start(Enet::NAME, port, players, players_send);
    count_frames(server, players, sends)
}

fn over_websocket(players: usize, sends: Sends, players_send: Sends) -> Counted {
    let server = websocket_server();
    let port = server.carrier().unwrap().local_port();
    let _players = Players::start(WebSocket::NAME, port, players, players_send);
    count_frames(server, players, sends)
}

fn count_frames<C: Carrier>(mut server: Multiplayer<C>, players: usize, sends: Sends) -> Counted {
    let begun = Instant::now();
    while server.peer_ids().len() < players {
        assert!(begun.elapsed() < BOUND, "{} of {players} are in", server.peer_ids().len());
        poll(&mut server);
        std::thread::sleep(Duration::from_millis(1));
    }
    let (ids, mut packet) = (server.peer_ids(), [7; LONGEST]);
    let counted = count(|| frame(&mut server, &ids, &mut packet, sends));
    assert_eq!(server.peer_ids().len(), players, "somebody has left");
    counted
}

#[test]
fn short_packets_to_send_share_their_memory() {
    let _alone = alone();
    for (name, run) in TRANSPORTS {
        for mode in [Reliable, Unreliable] {
            stays_within(NEXT_TO_NOTHING, &format!("{name}, {mode:?}, a packet"), || {
                run(SOME, Sends::Own(mode, SHORT), Sends::Nothing).a_packet_put()
            });
        }
    }
}

#[test]
fn a_long_packet_to_send_costs_its_memory_and_no_more() {
    let _alone = alone();
    for (name, run) in TRANSPORTS {
        for mode in [Reliable, Unreliable] {
            stays_within(ONE_LONG_PACKET + NEXT_TO_NOTHING, &format!("{name}, {mode:?}, a packet"), || {
                run(SOME, Sends::Own(mode, LONG), Sends::Nothing).a_packet_put()
            });
        }
    }
}

#[test]
fn an_rpc_to_all_costs_its_packet_once_however_many_they_are() {
    let _alone = alone();
    for (name, run) in TRANSPORTS {
        for (length, once) in [(SHORT, 0.0), (LONG, ONE_LONG_PACKET)] {
            for players in [8, 64, 256] {
                stays_within(once + LITTLE, &format!("{name}, {length} bytes to {players}, an RPC"), || {
                    run(players, Sends::Rpc(length), Sends::Nothing).a_frame()
                });
            }
        }
    }
}

#[test]
fn a_packet_for_all_costs_its_memory_and_no_more() {
    let _alone = alone();
    for (name, run) in TRANSPORTS {
        for (length, once) in [(SHORT, 0.0), (LONG, ONE_LONG_PACKET)] {
            stays_within(once + LITTLE, &format!("{name}, {length} bytes, a packet"), || {
                run(SOME, Sends::Broadcast(length), Sends::Nothing).a_packet_put()
            });
        }
    }
}

#[test]
fn packets_that_come_are_read_where_they_are() {
    let _alone = alone();
    for (name, run) in TRANSPORTS {
        // ENet's host keeps a peer's packets in memory that it uses again. tungstenite reads into buffers of 2 KiB, which
        // the messages in them share: as long as the game holds one, the next message that does not fit takes another
        // buffer, and a counter of who holds it.
        let (short, long) = if name == WebSocket::NAME { (0.1, 0.3) } else { (0.0, 0.0) };
        for (length, floor) in [(SHORT, short), (LONG, long)] {
            for mode in [Reliable, Unreliable] {
                stays_within(
                    floor + NEXT_TO_NOTHING,
                    &format!("{name}, {mode:?}, {length} bytes, a packet"),
                    || run(SOME, Sends::Nothing, Sends::Own(mode, length)).a_packet_read(),
                );
            }
        }
    }
}

#[test]
fn an_idle_server_allocates_nothing() {
    let _alone = alone();
    for (name, run) in TRANSPORTS {
        stays_within(0.0, &format!("{name}, a frame"), || {
            run(SOME, Sends::Nothing, Sends::Nothing).a_frame()
        });
    }
}
