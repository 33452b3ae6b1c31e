//! Corners of WebSocket that were got wrong once: each test opens with what went wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod play;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Notice, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::Reason;
use ferry_net::websocket::{self, Event, Settings, Url};

use play::over_websocket::{Peer, client, client_to, port, server, server_with};
use play::{BOUND, poll, until};

const SIXTEEN_MEGABYTES: usize = 16 << 20;

/// Somebody who speaks just enough to get in, and the id he was given.
fn stranger(server: &mut Peer) -> (TcpStream, i32) {
    let mut tcp = TcpStream::connect(("127.0.0.1", port(server))).unwrap();
    tcp.write_all(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    .unwrap();
    let told = until(&mut [server], |_, told| !told[0].is_empty());
    let [Notice::PeerConnected(id)] = told[0][..] else { panic!("{told:?}") };
    (tcp, id)
}

/// A frame as a client sends it, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn join(server: &mut Peer) -> (Peer, i32) {
    let mut client = client(port(server));
    until(&mut [server, &mut client], |peers, _| {
        peers[1].status() == Status::Connected && !peers[0].peer_ids().is_empty()
    });
    let id = client.unique_id();
    (client, id)
}

/// A ping waits behind a long message, and who only answers pings gave no sign of life until he had read all of it: an
/// honest player on a slow line was given up in the middle of his level.
#[test]
fn a_long_packet_may_take_longer_than_the_peer_timeout() {
    let limits = Limits { peer_timeout: Duration::from_secs(1), ..Limits::default() };
    let mut server = server_with(Settings::default(), limits);
    server.set_limits(limits);
    let (mut slow, id) = stranger(&mut server);
    server.set_target(id);
    server.put_packet(&vec![0; SIXTEEN_MEGABYTES]).unwrap();
    let started = Instant::now();
    let mut read = 0;
    let mut some = vec![0; 80_000];
    // Four megabytes a second.
    while started.elapsed() < Duration::from_secs(3) {
        assert!(poll(&mut server).is_empty(), "after {:?} and {read} bytes", started.elapsed());
        read += slow.read(&mut some).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(read < SIXTEEN_MEGABYTES, "too quick to tell anything");
}

/// Somebody sent, said goodbye and left while the game was in a loading screen. The answer to him broke the line, and what
/// lay in the socket was thrown away with it.
#[test]
fn what_came_before_the_line_broke_is_read() {
    // More than the inbox takes, and not more than a socket holds.
    const PACKETS: usize = 180;
    let limits = Limits { inbound: 64 << 10, peer_timeout: Duration::from_millis(1500), ..Limits::default() };
    let mut server = server_with(Settings::default(), limits);
    server.set_limits(limits);
    let (mut leaving, id) = stranger(&mut server);
    // Who closes with something unread takes back what he has sent.
    leaving.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut rest = [0; 1000];
    while leaving.read(&mut rest).is_ok_and(|read| read > 0) {}
    for _ in 0..PACKETS {
        leaving.write_all(&frame(0x82, &[7; 1000])).unwrap();
    }
    leaving.write_all(&frame(0x88, &4321_u16.to_be_bytes())).unwrap();
    drop(leaving);
    std::thread::sleep(Duration::from_secs(2));
    let mut seen = 0;
    let told = until(&mut [&mut server], |peers, told| {
        while peers[0].take_packet().is_some() {
            seen += 1;
        }
        told[0].len() == 2
    });
    assert_eq!(seen, PACKETS);
    let Notice::PeerLost(lost, farewell) = &told[0][1] else { panic!("{told:?}") };
    assert_eq!((*lost, farewell.reason), (id, Reason::RemoteClose));
    assert!(farewell.detail.contains("4321"), "{farewell}");
}

/// All unreliable packets of a frame beyond 1.25 MiB were dropped before anything was written, whoever was at the other end.
#[test]
fn unreliable_packets_of_one_frame_all_reach_a_quick_reader() {
    let mut server = server();
    let (mut client, id) = join(&mut server);
    server.set_target(id);
    server.set_mode(TransferMode::Unreliable);
    server.put_packet(&vec![1; 2 << 20]).unwrap();
    for _ in 0..3000 {
        server.put_packet(&[1; 1000]).unwrap();
    }
    let mut seen = 0;
    until(&mut [&mut server, &mut client], |peers, _| {
        while peers[1].take_packet().is_some() {
            seen += 1;
        }
        seen == 3001
    });
}

/// A player who gave up while a server kept him waiting for his id: the timer for the id was due in every turn.
#[cfg(target_os = "linux")]
#[test]
fn giving_up_while_waiting_for_an_id_costs_no_processor_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let limits = Limits { connect_timeout: Duration::from_millis(300), ..Limits::default() };
    let mut client = client_to(&url, Settings::default(), limits);
    poll(&mut client);
    let (mut tcp, _) = silent.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    write!(
        tcp,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    client.close();
    std::thread::sleep(Duration::from_millis(400));
    // Should the timer be due in every turn, the one network thread is busy with it and others wait for their turns.
    let before = network_thread_time();
    std::thread::sleep(Duration::from_secs(1));
    let taken = network_thread_time() - before;
    assert!(taken < Duration::from_millis(600), "{taken:?} of processor time in a second");
}

/// What the network thread has taken of the processor.
#[cfg(target_os = "linux")]
fn network_thread_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let is_it = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "ferry-net")
    };
    let path = threads.into_iter().find(is_it).unwrap();
    // Nanoseconds on the processor come first.
    let figures = std::fs::read_to_string(path.join("schedstat")).unwrap();
    Duration::from_nanos(figures.split(' ').next().unwrap().parse().unwrap())
}

/// Pings of somebody who did not read were answered into memory, without end.
#[test]
fn who_pings_and_does_not_read_the_answers_is_sent_away() {
    let mut server = server();
    let (mut deaf, id) = stranger(&mut server);
    server.set_target(id);
    server.put_packet(&vec![0; SIXTEEN_MEGABYTES]).unwrap();
    let ping = frame(0x89, &[1; 125]);
    let started = Instant::now();
    let mut told = Vec::new();
    while told.is_empty() {
        // Slowly enough to be borne, if they were read.
        for _ in 0..20 {
            let _ = deaf.write_all(&ping);
        }
        told = poll(&mut server);
        assert!(started.elapsed() < BOUND, "still there after {:?}", started.elapsed());
        std::thread::sleep(Duration::from_millis(110));
    }
    let Notice::PeerLost(_, farewell) = &told[1] else { panic!("{told:?}") };
    assert_eq!(farewell.reason, Reason::Protocol, "{farewell}");
}

/// Whoever took more than five seconds for what was queued was cut, although he took it all the time.
#[test]
fn a_slow_reader_gets_what_was_sent_before_closing() {
    let mut server = server();
    let (mut slow, id) = stranger(&mut server);
    server.set_target(id);
    server.put_packet(&vec![0; SIXTEEN_MEGABYTES]).unwrap();
    server.close();
    let started = Instant::now();
    let mut read = Vec::new();
    let mut some = vec![0; 50_000];
    loop {
        let count = slow.read(&mut some).unwrap();
        if count == 0 {
            break;
        }
        read.extend_from_slice(&some[..count]);
        // Some two and a half megabytes a second.
        std::thread::sleep(Duration::from_millis(20));
        if read.len() > SIXTEEN_MEGABYTES && read.ends_with(&1001_u16.to_be_bytes()) {
            slow.shutdown(Shutdown::Write).unwrap();
        }
    }
    assert!(started.elapsed() > Duration::from_secs(5), "too quick to tell anything");
    assert!(
        read.len() > SIXTEEN_MEGABYTES && read.ends_with(&1001_u16.to_be_bytes()),
        "{} bytes",
        read.len()
    );
}

/// A proxy that appends to `X-Forwarded-For` passes on a `Forwarded` of the player's own, which was believed.
#[test]
fn only_the_header_that_the_game_has_named_tells_a_players_address() {
    let settings = Settings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let mut server = server_with(settings, Limits::default());
    let headers = vec!["Forwarded: for=198.51.100.66".to_owned(), "X-Forwarded-For: 203.0.113.9".to_owned()];
    let settings = Settings { headers, ..Settings::default() };
    let mut client = client_to(&format!("ws://127.0.0.1:{}", port(&server)), settings, Limits::default());
    until(&mut [&mut server, &mut client], |peers, _| peers[0].peer_ids().len() == 1);
    let id = server.peer_ids()[0];
    assert_eq!(server.stats(id).unwrap().address.unwrap().ip().to_string(), "203.0.113.9");
}

/// A time that no clock can show killed the task of each link, and nobody heard of it.
#[test]
fn times_without_end_are_borne() {
    let forever = Limits { peer_timeout: Duration::MAX, connect_timeout: Duration::MAX, ..Limits::default() };
    let mut server = server_with(Settings::default(), forever);
    server.set_limits(forever);
    let (mut client, id) = join(&mut server);
    client.set_limits(forever);
    server.set_target(id);
    server.put_packet(b"on").unwrap();
    until(&mut [&mut server, &mut client], |peers, _| peers[1].available_packets() == 1);
}

/// A link that had waited for the game to fetch its packets slept on when the last of them was fetched in the same moment.
#[test]
fn one_packet_at_a_time_never_stalls() {
    const PACKETS: u32 = 20_000;
    let mut server =
        server_with(Settings { max_queued_packets: 1, ..Settings::default() }, Limits::default());
    let (mut client, _) = join(&mut server);
    for number in 0..PACKETS {
        client.put_packet(&number.to_le_bytes()).unwrap();
    }
    poll(&mut client);
    let mut next = 0;
    let mut last = Instant::now();
    while next < PACKETS {
        server.begin_poll();
        while server.next_notice().is_some() {}
        while let Some(packet) = server.take_packet() {
            assert_eq!(packet, next.to_le_bytes());
            next += 1;
            last = Instant::now();
        }
        assert!(last.elapsed() < Duration::from_secs(2), "stalled at {next}");
    }
}

/// The room of a long packet was given back as soon as it began to leave: games that pace their uploads by the figure sent on.
#[test]
fn a_packet_counts_as_queued_until_the_last_of_it_has_left() {
    let mut server = server();
    let (_deaf, id) = stranger(&mut server);
    server.set_target(id);
    server.put_packet(&vec![0; SIXTEEN_MEGABYTES]).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(300) {
        poll(&mut server);
        std::thread::sleep(Duration::from_millis(5));
    }
    let stats = server.stats(id).unwrap();
    assert!(stats.bytes_sent > 100_000, "{stats:?}");
    assert!(stats.queued_bytes >= SIXTEEN_MEGABYTES as u64, "{stats:?}");
}

/// Who gave up a link before it stood, for a reason, never heard of its end.
#[test]
fn a_link_that_is_abandoned_while_it_is_made_ends_with_that_reason() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let trust = play::over_websocket::usual_trust();
    let (sockets, link) =
        websocket::open_plain(Url::parse(&url).unwrap(), trust, Settings::default(), Limits::default())
            .unwrap();
    sockets.flush();
    std::thread::sleep(Duration::from_millis(50));
    sockets.abandon(link, Reason::Kicked.into());
    let event = sockets.wait_for_event(BOUND);
    assert!(
        matches!(&event, Some(Event::Closed { farewell, .. }) if farewell.reason == Reason::Kicked),
        "{event:?}"
    );
}
