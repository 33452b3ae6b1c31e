//! What an honest peer may count on, on a link that loses nothing and when somebody is suddenly gone.

use std::time::{Duration, Instant};

use ferry_net::enet::HostSettings;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Notice, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::Reason;

use crate::relay::Relay;
use crate::scene::{BOUND, Game, alone, client, pair, poll};

const FRAME: Duration = Duration::from_micros(16_667);

#[test]
fn a_peer_that_falls_silent_is_noticed_within_the_peer_timeout_at_both_ends() {
    let _alone = alone();
    let limits = Limits { peer_timeout: Duration::from_secs(2), ..Limits::default() };
    let mut game = Game::with(HostSettings::default(), limits);
    let mut relay = Relay::new(game.port());
    let mut silent = client(relay.port(), limits);
    let id = silent.unique_id();
    game.play_until("it gets in", |game| {
        relay.pass_on();
        poll(&mut silent);
        game.server.peer_ids().contains(&id) && silent.status() == Status::Connected
    });
    relay.cut = true;
    game.told.clear();
    let fell_silent = Instant::now();
    let (mut noticed, mut told) = ([None; 2], Vec::new());
    game.play_until("both notice", |game| {
        told.extend(poll(&mut silent));
        for (at, news) in noticed.iter_mut().zip([&game.told, &told]) {
            if at.is_none() && !news.is_empty() {
                *at = Some(fell_silent.elapsed());
            }
        }
        noticed.iter().all(Option::is_some)
    });
    println!("noticed after {noticed:?}");
    // What is over the two seconds is for the polls of a busy machine.
    assert!(noticed.iter().flatten().all(|after| *after < Duration::from_millis(2500)), "{noticed:?}");
    assert_eq!(game.told, [Notice::PeerDisconnected(id), Notice::PeerLost(id, Reason::Timeout.into())]);
    assert_eq!(told.last(), Some(&Notice::ServerDisconnected(Reason::Timeout.into())));
    game.plays_on();
}

#[test]
fn what_was_put_reliably_in_the_turn_of_close_arrives() {
    let _alone = alone();
    for size in [4, 1300, 20_000] {
        let (mut server, mut client) = pair(HostSettings::default(), Limits::default());
        for number in 0..10_u8 {
            client.put_packet(&vec![number; size]).unwrap();
        }
        client.close();
        let (mut came, mut told) = (Vec::new(), Vec::new());
        let started = Instant::now();
        while told.is_empty() {
            told.extend(poll(&mut server));
            while let Some(bytes) = server.take_packet() {
                assert_eq!(bytes.len(), size);
                came.push(bytes[0]);
            }
            assert!(started.elapsed() < BOUND, "of {size} bytes there came {came:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(came, (0..10).collect::<Vec<u8>>(), "{size} bytes each");
    }
}

#[test]
fn a_link_that_loses_nothing_loses_no_unreliable_packet() {
    const PACKETS: usize = 5000;
    let _alone = alone();
    for mode in [TransferMode::Unreliable, TransferMode::UnreliableOrdered] {
        let (mut server, mut client) = pair(HostSettings::default(), Limits::default());
        client.set_mode(mode);
        let (mut sent, mut came) = (0, 0);
        let started = Instant::now();
        let mut since = Instant::now();
        while sent < PACKETS || (came < sent && since.elapsed() < BOUND) {
            poll(&mut server);
            poll(&mut client);
            for _ in 0..10.min(PACKETS - sent) {
                client.put_packet(&(sent as u64).to_le_bytes().repeat(8)).unwrap();
                sent += 1;
                since = Instant::now();
            }
            client.flush();
            while let Some(bytes) = server.take_packet() {
                assert_eq!(bytes[..8], (came as u64).to_le_bytes(), "after {came} packets");
                came += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("{mode:?}: {came} of {PACKETS} in {:?}", started.elapsed());
        assert_eq!(came, PACKETS, "{:?}", client.stats(1));
    }
}

#[test]
fn reliable_bulk_moves_quickly_between_ends_that_poll_at_60_hz() {
    const PACKET: usize = 16 * 1024;
    const AHEAD: u64 = 8 << 20;
    let _alone = alone();
    let (mut server, mut client) = pair(HostSettings::default(), Limits::default());
    let bulk = vec![7; PACKET];
    let (mut bytes, mut counted_from, started) = (0, None, Instant::now());
    // The first half second fills the line.
    while started.elapsed() < Duration::from_secs(2) {
        let turn = Instant::now();
        poll(&mut server);
        poll(&mut client);
        while let Some(packet) = server.take_packet() {
            bytes += packet.len();
        }
        if counted_from.is_none() && started.elapsed() > Duration::from_millis(500) {
            counted_from = Some(Instant::now());
            bytes = 0;
        }
        let queued = client.stats(1).unwrap().queued_bytes;
        for _ in 0..AHEAD.saturating_sub(queued) / PACKET as u64 {
            client.put_packet(&bulk).unwrap();
        }
        client.flush();
        std::thread::sleep(FRAME.saturating_sub(turn.elapsed()));
    }
    let speed = bytes as f64 / 1e6 / counted_from.unwrap().elapsed().as_secs_f64();
    println!("reliable bulk: {speed:.0} MB/s");
    // An order of magnitude below what an idle machine does; thinned out by frames it would be 4.
    assert!(speed > 20.0, "{speed:.1} MB/s");
}

#[test]
fn round_trips_over_loopback_do_not_wait_for_frames() {
    let _alone = alone();
    let (mut server, mut client) = pair(HostSettings::default(), Limits::default());
    let started = Instant::now();
    let mut rtts;
    // On a busy machine, a mean takes a while to come down again.
    loop {
        poll(&mut server);
        poll(&mut client);
        let id = server.peer_ids()[0];
        server.set_target(id);
        server.put_packet(b"down").unwrap();
        client.put_packet(b"up").unwrap();
        while server.take_packet().is_some() {}
        while client.take_packet().is_some() {}
        server.flush();
        client.flush();
        rtts = [server.stats(id), client.stats(1)].map(|stats| stats.and_then(|stats| stats.rtt));
        let short = rtts.iter().all(|rtt| rtt.is_some_and(|rtt| rtt < Duration::from_millis(5)));
        if short && started.elapsed() > Duration::from_secs(1) {
            break;
        }
        assert!(started.elapsed() < BOUND, "{rtts:?}");
        std::thread::sleep(FRAME);
    }
    println!("round trips at 60 Hz: {rtts:?}");
}
