//! Many connections on one UDP port.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use counted_memory::process::alone;
use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelId, ChannelPhase, ConnectionState, Loopback, Settings};

use crate::pair::{Pair, numbered, read, send};
use crate::system::files;

fn on_loopback(shared_port: u16) -> Settings {
    Settings {
        bind: BindAddress::Ip(Ipv4Addr::LOCALHOST.into()),
        loopback: Loopback::Always,
        shared_port,
        ..Settings::default()
    }
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// Messages go both ways between these, many at a time.
fn play(pairs: &mut [(Pair, (ChannelId, ChannelId))], messages: u32) {
    for (pair, channels) in &*pairs {
        for number in 0..messages {
            send(&pair.one, channels.0, &[number.to_be_bytes(); 16].concat());
            send(&pair.two, channels.1, &[number.to_be_bytes(); 16].concat());
        }
    }
    for (pair, channels) in &mut *pairs {
        let (mut up, mut down) = (0, 0);
        pair.until("all messages have come", |pair| {
            up += read(&pair.two, channels.1).len();
            down += read(&pair.one, channels.0).len();
            (up, down) == (messages as usize, messages as usize)
        });
    }
}

#[test]
fn thirty_two_connections_share_one_port() {
    let _alone = alone();
    let port = free_port();
    let before = files();
    let mut pairs: Vec<_> = (0..32)
        .map(|_| {
            let pair = Pair::with(on_loopback(port), on_loopback(0), Limits::default());
            let channels = pair.negotiated(&numbered(1));
            pair.one.connection.create_offer().expect("an offer");
            (pair, channels)
        })
        .collect();
    for (pair, channels) in &mut pairs {
        pair.until_open(*channels);
    }
    println!("32 connections on one port: {} more files", files().saturating_sub(before));
    play(&mut pairs, 300);
    for (pair, _) in &mut pairs {
        // Figures are some tens of milliseconds old.
        pair.until("it is told where the other end is", |pair| {
            pair.two.connection.stats().address.is_some_and(|address| address.port() == port)
        });
    }
    // One that goes takes no other with it.
    let (first, _) = pairs.remove(0);
    drop(first);
    play(&mut pairs, 50);
    drop(pairs);
    // The port is free again.
    let begun = Instant::now();
    while UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(3), "the port is not free again");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_connections_between_the_same_two_shared_ports_both_work() {
    let _alone = alone();
    let ports = [free_port(), free_port()];
    let mut pairs: Vec<_> = (0..2)
        .map(|_| {
            let mut pair = Pair::with(on_loopback(ports[0]), on_loopback(ports[1]), Limits::default());
            let channels = pair.negotiated(&numbered(1));
            pair.one.connection.create_offer().expect("an offer");
            pair.until_open(channels);
            (pair, channels)
        })
        .collect();
    play(&mut pairs, 100);
    // Checks go on and on: the connections must not take each other's messages for theirs, and then wait for them.
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(4) {
        let round = Instant::now();
        play(&mut pairs, 2);
        longest = longest.max(round.elapsed());
    }
    println!("the longest round took {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn a_port_in_use_is_a_failure_that_says_so() {
    let _alone = alone();
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("a bound socket has an address").port();
    let mut pair = Pair::with(on_loopback(port), on_loopback(0), Limits::default());
    let channels = pair.negotiated(&numbered(1));
    pair.one.connection.create_offer().expect("an offer");
    pair.until("failed", |pair| pair.one.connection.state() == ConnectionState::Failed);
    let farewell = pair.one.connection.farewell();
    println!("{farewell}");
    assert_eq!(farewell.reason, Reason::Network);
    assert!(farewell.detail.contains(&port.to_string()), "it names the port: {farewell}");
    assert_eq!(pair.one.connection.channel_phase(channels.0), ChannelPhase::Closed);
}
