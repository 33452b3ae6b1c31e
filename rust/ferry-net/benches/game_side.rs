//! What the game's thread pays: sending, polling and reading, while the network thread does its work beside it.
//! `cargo bench -p ferry-net --bench game_side`.
//!
//! With divan: a tenth of criterion's dependencies, nothing but a table, and generic benchmarks, so that each is written
//! once for all transports. A sample is what a game does in a frame; between two of them everything arrives, untimed.

mod crowd;

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use ferry_net::packet::PacketMaker;

use crowd::{Crowd, Enet, Transport, WebRtc, WebSocket, poll, take_all};

/// Packets of a frame to or from one player.
const FRAME: usize = 256;

/// What most packets of a game are like.
const SMALL: usize = 64;

/// Players of a large game.
const MANY: usize = 512;

/// Players of a large game over WebRTC: to bring more together takes longer than to measure.
const MANY_BY_WEBRTC: usize = 32;

/// Players where nothing is measured.
const A_FEW: usize = 4;

/// In this time, what was sent over loopback has come.
const ARRIVING: Duration = Duration::from_millis(5);

fn main() {
    divan::main();
}

fn many<T: Transport>() -> usize {
    // What `cargo test --benches` runs is only whether it runs.
    let measures = std::env::args().any(|argument| argument == "--bench");
    match T::NAME {
        _ if !measures => A_FEW,
        WebRtc::NAME => MANY_BY_WEBRTC,
        _ => MANY,
    }
}

/// Times what a game does in a frame, which sends so many packets; they arrive before the next one.
fn sends<T: Transport>(
    bencher: Bencher<'_, '_>,
    crowd: Crowd<T::Carrier>,
    packets: usize,
    frame: impl Fn(&mut Crowd<T::Carrier>),
) {
    let crowd = RefCell::new(crowd);
    let mut under_way = 0;
    bencher
        .counter(ItemsCount::new(packets))
        .with_inputs(|| crowd.borrow_mut().deliver(std::mem::replace(&mut under_way, packets)))
        .bench_local_values(|()| frame(&mut crowd.borrow_mut()));
}

#[divan::bench(types = [Enet, WebSocket, WebRtc], args = [SMALL, 1200, 16 * 1024], sample_size = 1)]
fn put_to_one<T: Transport>(bencher: Bencher<'_, '_>, length: usize) {
    let mut crowd = T::crowd(1);
    crowd.server.set_target(crowd.ids[0]);
    let packets: Vec<Vec<u8>> = (0..FRAME).map(|number| vec![number as u8; length]).collect();
    sends::<T>(bencher, crowd, FRAME, |crowd| {
        for packet in &packets {
            crowd.server.put_packet(packet).expect("there is room");
        }
    });
}

/// As the engine sends an RPC to all.
#[divan::bench(types = [Enet, WebSocket, WebRtc], sample_size = 1)]
fn put_the_same_to_each<T: Transport>(bencher: Bencher<'_, '_>) {
    let crowd = T::crowd(many::<T>());
    sends::<T>(bencher, crowd, many::<T>(), |crowd| {
        for id in &crowd.ids {
            crowd.server.set_target(*id);
            crowd.server.put_packet(&[7; SMALL]).expect("there is room");
        }
    });
}

#[divan::bench(types = [Enet, WebSocket, WebRtc], sample_size = 1)]
fn put_another_to_each<T: Transport>(bencher: Bencher<'_, '_>) {
    let crowd = T::crowd(many::<T>());
    sends::<T>(bencher, crowd, many::<T>(), |crowd| {
        for id in &crowd.ids {
            crowd.server.set_target(*id);
            crowd.server.put_packet(&[*id as u8; SMALL]).expect("there is room");
        }
    });
}

/// One put that is meant for all.
#[divan::bench(types = [Enet, WebSocket, WebRtc], sample_size = 1)]
fn broadcast<T: Transport>(bencher: Bencher<'_, '_>) {
    let mut crowd = T::crowd(many::<T>());
    crowd.server.set_target(0);
    sends::<T>(bencher, crowd, many::<T>(), |crowd| {
        crowd.server.put_packet(&[7; SMALL]).expect("there is room");
    });
}

/// Rings the network thread.
#[divan::bench(types = [Enet, WebSocket, WebRtc], sample_size = 1)]
fn flush_after_a_put<T: Transport>(bencher: Bencher<'_, '_>) {
    let mut crowd = T::crowd(1);
    crowd.server.set_target(0);
    let crowd = RefCell::new(crowd);
    let mut under_way = 0;
    let put = || {
        let mut crowd = crowd.borrow_mut();
        crowd.deliver(std::mem::replace(&mut under_way, 1));
        crowd.server.put_packet(&[7; SMALL]).expect("there is room");
    };
    bencher.with_inputs(put).bench_local_values(|()| crowd.borrow().server.flush());
}

#[divan::bench(types = [Enet, WebSocket, WebRtc])]
fn flush_of_nothing<T: Transport>(bencher: Bencher<'_, '_>) {
    let crowd = T::crowd(1);
    bencher.bench_local(|| crowd.server.flush());
}

/// Times what the server does when a packet of each of many players has come, after `before`.
fn receives<T: Transport, R>(
    bencher: Bencher<'_, '_>,
    before: impl Fn(&mut Crowd<T::Carrier>),
    frame: impl Fn(&mut Crowd<T::Carrier>) -> R,
) {
    let crowd = RefCell::new(T::crowd(many::<T>()));
    let packets = many::<T>();
    let mut first = true;
    bencher
        .counter(ItemsCount::new(packets))
        .with_inputs(|| {
            let mut crowd = crowd.borrow_mut();
            if !std::mem::take(&mut first) {
                poll(&mut crowd.server);
                take_all(&mut crowd.server);
            }
            for player in &mut crowd.players {
                player.set_target(1);
                player.put_packet(&[7; SMALL]).expect("there is room");
            }
            crowd.flush();
            std::thread::sleep(ARRIVING);
            before(&mut crowd);
        })
        .bench_local_values(|()| frame(&mut crowd.borrow_mut()));
}

#[divan::bench(types = [Enet, WebSocket, WebRtc], sample_size = 1)]
fn poll_what_came<T: Transport>(bencher: Bencher<'_, '_>) {
    receives::<T, _>(bencher, |_| {}, |crowd| poll(&mut crowd.server));
}

#[divan::bench(types = [Enet, WebSocket, WebRtc], sample_size = 1)]
fn take_what_was_polled<T: Transport>(bencher: Bencher<'_, '_>) {
    receives::<T, _>(bencher, |crowd| poll(&mut crowd.server), |crowd| take_all(&mut crowd.server));
}

#[divan::bench(types = [Enet, WebSocket, WebRtc])]
fn poll_of_nothing<T: Transport>(bencher: Bencher<'_, '_>) {
    let crowd = RefCell::new(T::crowd(many::<T>()));
    bencher.bench_local(|| poll(&mut crowd.borrow_mut().server));
}

#[divan::bench(args = [SMALL, 1200, 16 * 1024])]
fn make_another_packet(bencher: Bencher<'_, '_>, length: usize) {
    let mut maker = PacketMaker::default();
    let packets = [vec![1; length], vec![2; length]];
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = 1 - turn;
        maker.make(black_box(&packets[turn]))
    });
}

#[divan::bench(args = [SMALL, 1200, 16 * 1024])]
fn make_the_same_packet(bencher: Bencher<'_, '_>, length: usize) {
    let mut maker = PacketMaker::default();
    let packet = vec![1; length];
    bencher.bench_local(|| maker.make(black_box(&packet)));
}
