//! Of WebRTC, where both ends are here.
//!
//! Most of it is the encryption's (dimpl): a datagram costs it some five allocations at its sender, which builds a record in
//! lists that begin empty, and some four at its receiver, two of them of 8 KiB. Ours is a copy of what was decrypted, and
//! the counter of those who hold it.

use counted_memory::process::alone;
use ferry_net::packet::TransferMode::{Reliable, Unreliable};

use crate::crowd::{Crowd, Transport, WebRtc, poll, take_all};
use crate::game::{Counted, LONGEST, Sends, count, frame, stays_within};

/// For a short packet that comes alone: its datagram and the acknowledgement's (10.5 were measured). Checks of the path,
/// which go on beside, are in it.
const A_SHORT_PACKET: f64 = 12.0;

/// A long one has memory of its own, and a counter of who holds it.
const A_LONG_PACKET: f64 = A_SHORT_PACKET + 2.0;

fn both_ends(players: usize, sends: Sends) -> Counted {
    let Crowd { mut server, mut players, ids } = WebRtc::crowd(players);
    let mut packet = [7; LONGEST];
    count(|| {
        let (put, _) = frame(&mut server, &ids, &mut packet, sends);
        let read = players.iter_mut().map(|player| {
            poll(player);
            take_all(player)
        });
        (put, read.sum())
    })
}

#[test]
fn a_packet_costs_what_its_datagrams_cost() {
    let _alone = alone();
    for mode in [Reliable, Unreliable] {
        for (length, bound) in [(64, A_SHORT_PACKET), (1000, A_LONG_PACKET)] {
            stays_within(bound, &format!("{mode:?}, {length} bytes, a packet"), || {
                both_ends(8, Sends::Own(mode, length)).a_packet_put()
            });
        }
    }
}

#[test]
fn an_rpc_to_all_costs_no_more_for_each_when_they_are_many() {
    let _alone = alone();
    stays_within(1.1, "a packet to 32, in relation to one to 4", || {
        let few = both_ends(4, Sends::Rpc(1000)).a_packet_put();
        both_ends(32, Sends::Rpc(1000)).a_packet_put() / few
    });
}
