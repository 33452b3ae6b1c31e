//! What a match is on every transport: a server and a client that is connecting to it are handed in.

use std::time::Duration;

use ferry_net::multiplayer::{Carrier, Multiplayer, Notice, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::{Farewell, Reason};

use super::{poll, until};

/// As an unreliable packet on channel 3 is taken, it is seen on this channel, with this mode.
pub(crate) fn a_client_joins_packets_pass_and_it_leaves<C: Carrier>(
    mut server: Multiplayer<C>,
    mut client: Multiplayer<C>,
    seen: (i32, TransferMode),
) {
    assert_eq!(client.status(), Status::Connecting);
    let told = until(&mut [&mut server, &mut client], |_, told| !told[0].is_empty() && !told[1].is_empty());
    let id = client.unique_id();
    assert!(id > 1);
    assert_eq!(told[0], [Notice::PeerConnected(id)]);
    assert_eq!(told[1], [Notice::PeerConnected(1), Notice::ConnectionSucceeded]);

    server.set_target(id);
    server.set_channel(3);
    server.set_mode(TransferMode::UnreliableOrdered);
    server.put_packet(b"down").unwrap();
    client.put_packet(b"up").unwrap();
    client.put_packet(&vec![7; 1 << 20]).unwrap();
    until(&mut [&mut server, &mut client], |peers, _| {
        peers[0].available_packets() == 2 && peers[1].available_packets() == 1
    });
    let packet = client.next_packet().unwrap();
    assert_eq!((packet.from, (packet.channel, packet.mode)), (1, seen));
    assert_eq!(client.take_packet().unwrap(), b"down");
    assert_eq!(server.next_packet().unwrap().from, id);
    assert_eq!(server.take_packet().unwrap(), b"up");
    assert_eq!(server.take_packet().unwrap(), vec![7; 1 << 20]);
    until(&mut [&mut server, &mut client], |peers, _| {
        peers[1].stats(1).is_some_and(|stats| stats.packets_received == 1 && stats.rtt.is_some())
    });
    let stats = client.stats(1).unwrap();
    assert!(stats.rtt < Some(Duration::from_millis(50)), "{stats:?}");
    assert!(stats.bytes_sent > 1 << 20 && stats.packets_sent == 2, "{stats:?}");

    client.close();
    let told = until(&mut [&mut server], |_, told| !told[0].is_empty());
    assert_eq!(told[0], [Notice::PeerDisconnected(id), Notice::PeerLost(id, Reason::RemoteClose.into())]);
}

pub(crate) fn packets_come_before_their_senders_goodbye<C: Carrier>(
    mut server: Multiplayer<C>,
    mut client: Multiplayer<C>,
) {
    until(&mut [&mut server, &mut client], |peers, _| peers[1].status() == Status::Connected);
    let id = client.unique_id();
    for number in 0..100_u8 {
        client.put_packet(&[number; 2000]).unwrap();
    }
    drop(client);
    // Only polled, not read: the end waits for the packets.
    until(&mut [&mut server], |peers, _| peers[0].available_packets() == 100);
    assert!(poll(&mut server).is_empty());
    while server.take_packet().is_some() {}
    let told = until(&mut [&mut server], |_, told| !told[0].is_empty());
    assert_eq!(told[0][0], Notice::PeerDisconnected(id));
}

pub(crate) fn a_kicked_client_knows_why_and_gets_the_last_word<C: Carrier>(
    mut server: Multiplayer<C>,
    mut client: Multiplayer<C>,
) {
    until(&mut [&mut server, &mut client], |peers, _| peers[0].peer_ids().len() == 1);
    let id = client.unique_id();
    server.set_target(id);
    server.put_packet(b"you are out").unwrap();
    server.disconnect_peer(id, false).unwrap();
    let mut last_word = Vec::new();
    let told = until(&mut [&mut server, &mut client], |peers, told| {
        last_word.extend(peers[1].take_packet().map(<[u8]>::to_vec));
        told[0].len() == 2 && told[1].len() >= 3
    });
    assert_eq!(last_word, [b"you are out"]);
    assert_eq!(told[0], [Notice::PeerDisconnected(id), Notice::PeerLost(id, Reason::LocalClose.into())]);
    let kicked = Farewell::from(Reason::Kicked);
    assert_eq!(
        told[1].last_chunk::<3>().unwrap(),
        &[
            Notice::PeerDisconnected(1),
            Notice::PeerLost(1, kicked.clone()),
            Notice::ServerDisconnected(kicked)
        ]
    );
    assert_eq!(client.status(), Status::Disconnected);
    assert_eq!(client.farewell(1).reason, Reason::Kicked);
}
