//! Connections that need a server's help: coturn, which `cargo xtask test` brings (see `ferry_tests::coturn`), on the loopback
//! address. Routers and networks that cannot reach each other are in `webrtc_networks.rs`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::UdpSocket;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelId, ConnectionState, GatheringState, Loopback, Server, Settings};
use ferry_tests::coturn::{By, Coturn, PASSWORD};
use ferry_tests::webrtc_end::{End, Ends, numbered};

const EVERY_WAY: [By; 3] = [By::Udp, By::Tcp, By::Tls];

/// Nothing goes but by the relay.
fn relay_only(coturn: &Coturn, servers: Vec<Server>) -> Settings {
    Settings { relay_only: true, ..at_home(coturn, servers) }
}

/// Nothing leaves this machine.
fn at_home(coturn: &Coturn, servers: Vec<Server>) -> Settings {
    Settings { bind: BindAddress::Ip([127, 0, 0, 1].into()), ..coturn.settings(servers) }
}

/// Two who meet at the relay only, and their channel.
fn meet(coturn: &Coturn, ways: [By; 2], limits: Limits) -> (Ends, (ChannelId, ChannelId)) {
    let [one, two] = ways.map(|by| relay_only(coturn, vec![coturn.relay(by, PASSWORD)]));
    let mut ends = Ends::new(one, two, limits);
    let channels = ends.channel(&numbered(1));
    let took = ends.connect(channels);
    println!("{ways:?}: connected in {took:?}");
    (ends, channels)
}

/// Sends messages one way until all have come, in order.
fn pass(ends: &mut Ends, (from, to): (ChannelId, ChannelId), count: u32, length: usize) {
    let start = Instant::now();
    for number in 0..count {
        let mut message = vec![number as u8; length];
        message[..4].copy_from_slice(&number.to_be_bytes());
        ends.one.send(from, &message);
    }
    let mut due = 0_u32;
    ends.until("the messages", |ends| {
        for (_, message) in ends.two.read(to) {
            assert_eq!(message[..4], due.to_be_bytes());
            assert_eq!(message.len(), length);
            due += 1;
        }
        due == count
    });
    println!("{count} messages of {length} bytes in {:?}", start.elapsed());
}

#[test]
fn a_relay_carries_everything_over_udp_tcp_and_tls() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    for ways in
        [[By::Udp, By::Udp], [By::Tcp, By::Tcp], [By::Tls, By::Tls], [By::Udp, By::Tls], [By::Tcp, By::Udp]]
    {
        let (mut ends, channels) = meet(&coturn, ways, Limits::default());
        for end in [&ends.one, &ends.two] {
            assert!(end.told_only("relay"), "{}", end.standing());
        }
        pass(&mut ends, channels, 20_000, 64);
        pass(&mut ends, channels, 4, 256 * 1024);
        ends.two.send(channels.1, b"and back");
        ends.until("and back", |ends| {
            ends.one.read(channels.0).iter().any(|(_, message)| message == "and back")
        });
        ends.one.connection.close();
        let took = ends.until("closed", |ends| ends.two.connection.state() == ConnectionState::Closed);
        assert_eq!(ends.two.connection.farewell().reason, Reason::RemoteClose);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn one_relayed_end_is_enough_to_hide_its_addresses() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    let hidden = relay_only(&coturn, vec![coturn.relay(By::Udp, PASSWORD)]);
    let open = Settings { loopback: Loopback::Always, ..Settings::default() };
    let mut ends = Ends::new(hidden, open, Limits::default());
    let channels = ends.channel(&numbered(1));
    ends.connect(channels);
    assert!(ends.one.told_only("relay"), "{}", ends.one.standing());
    pass(&mut ends, channels, 1000, 64);
}

#[test]
fn where_there_is_a_direct_way_the_servers_are_not_needed() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    let all = || {
        let relays = EVERY_WAY.map(|by| coturn.relay(by, PASSWORD));
        at_home(&coturn, [coturn.stun()].into_iter().chain(relays).collect())
    };
    let mut ends = Ends::new(all(), all(), Limits::default());
    let channels = ends.channel(&numbered(1));
    let took = ends.connect(channels);
    println!("connected in {took:?}");
    ends.until("all is gathered", |ends| {
        [&ends.one, &ends.two].iter().all(|end| end.connection.gathering() == GatheringState::Complete)
    });
    for end in [&ends.one, &ends.two] {
        let relayed = end.candidates.iter().filter(|line| line.contains(" typ relay ")).count();
        assert_eq!(relayed, EVERY_WAY.len(), "{}", end.standing());
        // It sees what the machine knows by itself: nothing to tell.
        assert!(!end.candidates.iter().any(|line| line.contains(" typ srflx ")), "{}", end.standing());
    }
    pass(&mut ends, channels, 20_000, 64);
}

#[test]
fn connections_that_are_over_leave_nothing_at_the_relay() {
    const AT_ONCE: usize = 2;
    let few = format!("user-quota={AT_ONCE}");
    let Some(coturn) = Coturn::start([127, 0, 0, 1].into(), &few) else { return };
    for round in 0..3 * AT_ONCE {
        let by = EVERY_WAY[round % EVERY_WAY.len()];
        // How it ends does not matter.
        let connects = round % 2 == 0;
        let start = Instant::now();
        // The one before takes leave of its other end first.
        let mut ends = loop {
            let hidden = relay_only(&coturn, vec![coturn.relay(by, PASSWORD)]);
            let mut ends = Ends::new(hidden, at_home(&coturn, Vec::new()), Limits::default());
            let _ = ends.channel(&numbered(1));
            ends.one.connection.create_offer().unwrap();
            ends.until("gathered", |ends| ends.one.connection.gathering() == GatheringState::Complete);
            if ends.one.told_only("relay") {
                break ends;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "{round}: {}", ends.one.standing());
        };
        if connects {
            ends.until("connected", |ends| ends.two.connection.state() == ConnectionState::Connected);
        }
    }
}

#[test]
fn connections_that_share_a_port_have_a_relay_each() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    let port = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    for by in EVERY_WAY {
        let server =
            || Settings { shared_port: port, ..relay_only(&coturn, vec![coturn.relay(by, PASSWORD)]) };
        let mut pairs: Vec<(Ends, (ChannelId, ChannelId))> = (0..3)
            .map(|_| {
                let ends = Ends::new(server(), at_home(&coturn, Vec::new()), Limits::default());
                let channels = ends.channel(&numbered(1));
                (ends, channels)
            })
            .collect();
        for (ends, channels) in &mut pairs {
            let took = ends.connect(*channels);
            println!("{by:?}: connected in {took:?}");
            assert!(ends.one.told_only("relay"), "{}", ends.one.standing());
        }
        for (ends, channels) in &mut pairs {
            pass(ends, *channels, 1000, 64);
        }
    }
}

#[test]
fn connections_that_share_a_port_are_told_by_a_server_where_they_are() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    let port = UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let settings = || Settings { shared_port: port, ..at_home(&coturn, vec![coturn.stun()]) };
    let mut all: Vec<End> = (0..3).map(|_| End::new(settings(), Limits::default())).collect();
    let start = Instant::now();
    for end in &all {
        let _ = end.channel(&numbered(1));
        end.connection.create_offer().unwrap();
    }
    // Without an answer, a server is waited for longer.
    while all.iter().any(|end| end.connection.gathering() != GatheringState::Complete) {
        assert!(start.elapsed() < Duration::from_secs(3), "{}", all[2].standing());
        for end in &mut all {
            drop(end.poll());
        }
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_wrong_password_is_told_at_once() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    for by in EVERY_WAY {
        let wrong = || relay_only(&coturn, vec![coturn.relay(by, "wrong")]);
        let limits = Limits { connect_timeout: Duration::from_secs(3), ..Limits::default() };
        let mut ends = Ends::new(wrong(), wrong(), limits);
        let _ = ends.channel(&numbered(1));
        ends.one.connection.create_offer().unwrap();
        let took = ends.until("it is told", |ends| {
            [&ends.one, &ends.two].iter().all(|end| end.connection.gathering() == GatheringState::Complete)
        });
        assert!(took < Duration::from_secs(2), "{by:?}: {took:?}");
        ends.until("the end", |ends| {
            [&ends.one, &ends.two].iter().all(|end| end.connection.state() == ConnectionState::Failed)
        });
        for end in [&ends.one, &ends.two] {
            let farewell = end.connection.farewell();
            println!("{by:?}: {farewell}");
            assert_eq!(farewell.reason, Reason::IceFailed);
            assert!(farewell.to_string().contains("the user name or the credential is wrong"), "{farewell}");
            assert_eq!(end.candidates, [""; 0]);
        }
    }
}

#[test]
fn a_relay_that_nobody_believes_in_is_not_used() {
    let Some(coturn) = Coturn::on_loopback() else { return };
    let stranger = || Settings {
        trust: Settings::default().trust,
        ..relay_only(&coturn, vec![coturn.relay(By::Tls, PASSWORD)])
    };
    let limits = Limits { connect_timeout: Duration::from_secs(2), ..Limits::default() };
    let mut ends = Ends::new(stranger(), stranger(), limits);
    let _ = ends.channel(&numbered(1));
    ends.one.connection.create_offer().unwrap();
    ends.until("the end", |ends| ends.one.connection.state() == ConnectionState::Failed);
    let farewell = ends.one.connection.farewell();
    println!("{farewell}");
    assert_eq!(farewell.reason, Reason::IceFailed);
    assert!(farewell.to_string().contains("certificate"), "{farewell}");
}

#[test]
fn a_relay_that_dies_ends_the_connection_in_time() {
    for by in EVERY_WAY {
        let Some(mut coturn) = Coturn::on_loopback() else { return };
        let limits = Limits { peer_timeout: Duration::from_secs(4), ..Limits::default() };
        let (mut ends, channels) = meet(&coturn, [by, by], limits);
        pass(&mut ends, channels, 100, 64);
        coturn.kill();
        let start = Instant::now();
        let over = |end: &End| end.connection.state() == ConnectionState::Failed;
        ends.until("both ends notice", |ends| {
            if !over(&ends.one) {
                ends.one.send(channels.0, b"on and on");
            }
            over(&ends.one) && over(&ends.two)
        });
        let took = start.elapsed();
        println!("{by:?}: noticed after {took:?}: {}", ends.one.connection.farewell());
        assert!(took < Duration::from_secs(6), "{by:?}: {took:?}");
        for end in [&ends.one, &ends.two] {
            assert_eq!(end.connection.farewell().reason, Reason::Timeout, "{}", end.standing());
            assert!(end.states.contains(&ConnectionState::Disconnected), "{}", end.standing());
        }
    }
}

#[test]
fn when_one_of_two_relays_dies_the_other_takes_over() {
    let Some(mut first) = Coturn::on_loopback() else { return };
    let Some(second) = Coturn::on_loopback() else { return };
    let limits = Limits { peer_timeout: Duration::from_secs(15), ..Limits::default() };
    // The second is reached by a stream only, which makes the first the better one.
    let servers = || vec![first.relay(By::Udp, PASSWORD), second.relay(By::Tcp, PASSWORD)];
    let settings = || relay_only(&first, servers());
    let mut ends = Ends::new(settings(), settings(), limits);
    let channels = ends.channel(&numbered(1));
    ends.connect(channels);
    ends.until("all is gathered", |ends| {
        [&ends.one, &ends.two].iter().all(|end| end.connection.gathering() == GatheringState::Complete)
    });
    pass(&mut ends, channels, 1000, 64);
    first.kill();
    pass(&mut ends, channels, 1000, 64);
    println!("{:?} and {:?}", ends.one.states, ends.two.states);
    drop(second);
}
