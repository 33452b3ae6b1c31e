//! A cable that is pulled between a server and a client, and plugged in again or not.
//!
//! Each end has a network of its own (`networks`), with a pair of virtual Ethernet devices between them: inside the first,
//! the test is the server and holds the cable, and its neighbour is the client.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Notice, Status};
use ferry_net::reason::Reason;
use ferry_net::websocket::{Settings, Sockets};
use ferry_tests::networks::{self, Neighbour, Part, ip, say};
use ferry_tests::players::{join_websocket, poll, serve_websocket};

type Peer = Multiplayer<Sockets>;

/// Whatever is waited for comes within this time, or never.
const BOUND: Duration = Duration::from_secs(30);

/// The cable's ends, and addresses of nobody else.
const SERVER_DEVICE: &str = "cable0";
const CLIENT_DEVICE: &str = "cable1";
const SERVER_ADDRESS: &str = "10.77.1.1";
const CLIENT_ADDRESS: &str = "10.77.1.2";

/// Packets that each end sends while the cable is out.
const MEANWHILE: u8 = 20;

#[test]
fn a_cable_pulled_at_the_server_is_noticed_by_both_ends() {
    between("a_cable_pulled_at_the_server_is_noticed_by_both_ends", Duration::from_secs(3), |link| {
        is_noticed(link, SERVER_DEVICE);
    });
}

#[test]
fn a_cable_pulled_at_the_client_is_noticed_by_both_ends() {
    between("a_cable_pulled_at_the_client_is_noticed_by_both_ends", Duration::from_secs(3), |link| {
        is_noticed(link, CLIENT_DEVICE);
    });
}

#[test]
fn a_cable_that_is_plugged_in_again_loses_nobody() {
    between("a_cable_that_is_plugged_in_again_loses_nobody", Duration::from_secs(10), |link| {
        for device in [SERVER_DEVICE, CLIENT_DEVICE] {
            link.set(device, "down");
            link.send(MEANWHILE);
            link.client.tell("send");
            link.for_a_while(Duration::from_secs(2));
            link.set(device, "up");
            link.until("what the client sent", |link| {
                link.server.available_packets() == usize::from(MEANWHILE)
            });
            for number in 0..MEANWHILE {
                assert_eq!(link.server.take_packet().unwrap(), [number; 500]);
            }
            assert_eq!(link.line(), "got 20 in order");
        }
        assert_eq!(link.told, [], "nobody was lost");
        link.client.tell("leave");
        link.until("its goodbye", |link| !link.told.is_empty());
    });
}

/// Both ends have something to say when it happens, and hear of it within their time-out.
fn is_noticed(link: &mut Link, device: &str) {
    // Long enough that the time counts from the last word, not from the coming.
    link.for_a_while(Duration::from_secs(4));
    assert_eq!(link.told, [], "nobody was lost before");
    link.set(device, "down");
    let start = Instant::now();
    link.send(3);
    link.client.tell("send");
    link.until("the client's end", |link| !link.told.is_empty());
    let took = start.elapsed();
    let lost: Vec<Reason> = link.told.iter().filter_map(lost).collect();
    assert_eq!(lost, [Reason::Timeout], "{:?}", link.told);
    assert!(took < Duration::from_millis(4500), "noticed by the server after {took:?}");
    assert_eq!(link.line(), "lost Timeout");
    let took = start.elapsed();
    assert!(took < Duration::from_millis(6000), "noticed by the client after {took:?}");
}

fn lost(notice: &Notice) -> Option<Reason> {
    match notice {
        Notice::PeerLost(_, farewell) => Some(farewell.reason),
        _ => None,
    }
}

/// Plays the part that this process has: the test itself, the server with the cable, or the client.
fn between(name: &str, peer_timeout: Duration, story: impl FnOnce(&mut Link)) {
    let limits = Limits { peer_timeout, ..Limits::default() };
    match networks::part() {
        Part::Start => networks::inside(name),
        Part::Inside => {
            let mut link = Link::make(name, limits);
            story(&mut link);
            link.client.wait();
        }
        Part::Neighbour => play_client(limits),
    }
}

/// The server, the cable and the process at its other end.
struct Link {
    server: Peer,
    /// What it was told, but for who came.
    told: Vec<Notice>,
    client: Neighbour,
}

impl Link {
    fn make(name: &str, limits: Limits) -> Self {
        ip("link set lo up");
        ip(&format!("link add {SERVER_DEVICE} type veth peer name {CLIENT_DEVICE}"));
        let mut client = Neighbour::start(name);
        // Only once it is in its own network does its id stand for that.
        assert_eq!(client.lines.recv_timeout(BOUND).unwrap(), "ready");
        ip(&format!("link set {CLIENT_DEVICE} netns {}", client.id()));
        ip(&format!("addr add {SERVER_ADDRESS}/24 dev {SERVER_DEVICE}"));
        ip(&format!("link set {SERVER_DEVICE} up"));
        let (server, port) = serve_websocket(Settings::default(), limits);
        client.tell(&format!("join {port}"));
        let mut link = Self { server, told: Vec::new(), client };
        link.until("the client", |link| !link.server.peer_ids().is_empty());
        assert_eq!(link.line(), "joined");
        link
    }

    /// Pulls one end of the cable (`down`) or plugs it in (`up`).
    fn set(&mut self, device: &str, state: &str) {
        if device == SERVER_DEVICE {
            ip(&format!("link set {device} {state}"));
        } else {
            self.client.tell(state);
            assert_eq!(self.line(), state);
        }
    }

    fn send(&mut self, packets: u8) {
        self.server.set_target(0);
        for number in 0..packets {
            self.server.put_packet(&[number; 500]).unwrap();
        }
        self.server.flush();
    }

    fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        loop {
            let told = poll(&mut self.server);
            self.told.extend(told.into_iter().filter(|notice| !matches!(notice, Notice::PeerConnected(_))));
            if condition(self) {
                return;
            }
            assert!(start.elapsed() < BOUND, "not in time: {what}; told {:?}", self.told);
            sleep(Duration::from_millis(2));
        }
    }

    fn for_a_while(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.until("a while", |_| Instant::now() > end);
    }

    /// The client's next line.
    fn line(&mut self) -> String {
        let mut line = None;
        self.until("a line of the client's", |link| {
            line = link.client.lines.try_recv().ok();
            line.is_some()
        });
        line.unwrap()
    }
}

fn play_client(limits: Limits) {
    let orders = networks::orders();
    say("ready");
    let order = orders.recv_timeout(BOUND).unwrap();
    let port = order.strip_prefix("join ").unwrap();
    ip(&format!("addr add {CLIENT_ADDRESS}/24 dev {CLIENT_DEVICE}"));
    ip(&format!("link set {CLIENT_DEVICE} up"));
    let url = format!("ws://{SERVER_ADDRESS}:{port}");
    let mut client = join_websocket(&url, None, Settings::default(), limits);
    let start = Instant::now();
    let mut due = 0;
    loop {
        assert!(start.elapsed() < 2 * BOUND, "the story goes on for too long");
        for notice in poll(&mut client) {
            match notice {
                Notice::ConnectionSucceeded => say("joined"),
                Notice::PeerLost(1, farewell) => say(&format!("lost {:?}", farewell.reason)),
                _ => {}
            }
        }
        if client.status() == Status::Disconnected {
            return;
        }
        while let Some(packet) = client.take_packet() {
            assert_eq!(packet, [due; 500]);
            due += 1;
            if due == MEANWHILE {
                say(&format!("got {due} in order"));
                due = 0;
            }
        }
        match orders.try_recv().as_deref() {
            Ok("send") => (0..MEANWHILE).for_each(|number| client.put_packet(&[number; 500]).unwrap()),
            Ok("leave") => return,
            Ok(state) => {
                ip(&format!("link set {CLIENT_DEVICE} {state}"));
                say(state);
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(2));
    }
}
