//! A cable that is pulled between a server and a client, and plugged in again or not.
//!
//! Each end has a network of its own, with a pair of virtual Ethernet devices between them, that the test makes itself;
//! it needs no rights for that where the system gives its users namespaces, and skips where not. A test starts its own
//! program again: once in a new network, where it is the server and holds the cable, and that one once more in another,
//! where it is the client. The client is driven by lines and tells what it sees by lines.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_net::bind_address::BindAddress;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::{Multiplayer, Notice, Status};
use ferry_net::reason::Reason;
use ferry_net::tls;
use ferry_net::websocket::{self, Settings, Sockets, Url};

type Peer = Multiplayer<Sockets>;

/// Tells a program that a test started again what it is there.
const ROLE_VARIABLE: &str = "FERRY_CABLE_ROLE";

/// What the client's lines begin with; the test harness writes others.
const MARK: &str = "CABLE ";

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
    match std::env::var(ROLE_VARIABLE).as_deref() {
        Ok("server") => {
            let mut link = Link::make(name, limits);
            story(&mut link);
            link.client.child.wait().unwrap();
        }
        Ok("client") => play_client(limits),
        _ => {
            let worlds = ["--user", "--map-root-user", "--net"];
            let probe = ["ip", "link", "add", SERVER_DEVICE, "type", "veth", "peer", "name", CLIENT_DEVICE];
            let possible = Command::new("unshare").args(worlds).args(probe).output();
            if !possible.is_ok_and(|output| output.status.success()) {
                println!("skipped: this system gives nobody a network of his own");
                return;
            }
            let output = again(name, &worlds, "server").output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }
}

/// This program once more, at this test, in a world of its own.
fn again(name: &str, worlds: &[&str], role: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(worlds).arg("--").arg(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(ROLE_VARIABLE, role).stdin(Stdio::null());
    command
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

/// The server, the cable and the process at its other end.
struct Link {
    server: Peer,
    /// What it was told, but for who came.
    told: Vec<Notice>,
    client: Client,
}

impl Link {
    fn make(name: &str, limits: Limits) -> Self {
        ip("link set lo up");
        ip(&format!("link add {SERVER_DEVICE} type veth peer name {CLIENT_DEVICE}"));
        let mut client = Client::start(name);
        // Only once it is in its own network does its id stand for that.
        assert_eq!(client.lines.recv_timeout(BOUND).unwrap(), "ready");
        ip(&format!("link set {CLIENT_DEVICE} netns {}", client.child.id()));
        ip(&format!("addr add {SERVER_ADDRESS}/24 dev {SERVER_DEVICE}"));
        ip(&format!("link set {SERVER_DEVICE} up"));
        let mut server = Peer::default();
        let sockets = websocket::open_server(BindAddress::Any, 0, None, Settings::default(), limits).unwrap();
        let port = sockets.local_port();
        server.start_server(sockets).unwrap();
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

fn poll(peer: &mut Peer) -> Vec<Notice> {
    peer.begin_poll();
    let told = std::iter::from_fn(|| peer.next_notice()).collect();
    peer.flush();
    told
}

/// The process at the other end.
struct Client {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Client {
    fn start(name: &str) -> Self {
        let mut command = again(name, &["--net"], "client");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take().unwrap(), child, lines: marked_lines(output) }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{MARK}{line}").unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What follows the mark, of each line that has it. Ends with what it reads from.
fn marked_lines(input: impl BufRead + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(64);
    std::thread::spawn(move || {
        let said = input.lines().map_while(Result::ok);
        let mut marked = said.filter_map(|line| line.split_once(MARK).map(|(_, rest)| rest.to_owned()));
        marked.try_for_each(|line| sender.send(line))
    });
    lines
}

fn play_client(limits: Limits) {
    let orders = marked_lines(BufReader::new(std::io::stdin()));
    println!("{MARK}ready");
    let order = orders.recv_timeout(BOUND).unwrap();
    let port = order.strip_prefix("join ").unwrap();
    ip(&format!("addr add {CLIENT_ADDRESS}/24 dev {CLIENT_DEVICE}"));
    ip(&format!("link set {CLIENT_DEVICE} up"));
    let url = Url::parse(&format!("ws://{SERVER_ADDRESS}:{port}")).unwrap();
    let trust = tls::Client::new(&tls::ClientOptions::default()).unwrap();
    let (sockets, link) = websocket::open_client(url, trust, Settings::default(), limits).unwrap();
    let mut client = Peer::default();
    client.start_client(sockets, link, None).unwrap();
    let start = Instant::now();
    let mut due = 0;
    loop {
        assert!(start.elapsed() < 2 * BOUND, "the story goes on for too long");
        for notice in poll(&mut client) {
            match notice {
                Notice::ConnectionSucceeded => println!("{MARK}joined"),
                Notice::PeerLost(1, farewell) => println!("{MARK}lost {:?}", farewell.reason),
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
                println!("{MARK}got {due} in order");
                due = 0;
            }
        }
        match orders.try_recv().as_deref() {
            Ok("send") => (0..MEANWHILE).for_each(|number| client.put_packet(&[number; 500]).unwrap()),
            Ok("leave") => return,
            Ok(state) => {
                ip(&format!("link set {CLIENT_DEVICE} {state}"));
                println!("{MARK}{state}");
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(2));
    }
}
