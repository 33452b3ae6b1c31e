//! A network thread that stands still for a while: the process was stopped, or the machine slept.
//!
//! It is the one of this process, so these tests go one after the other, and no other unit test may wait for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_enet::{Config, Host, MAXIMUM_DATAGRAM, Mode, Timestamp};

use crate::bind_address::BindAddress;
use crate::enet::{Connection, Event, HostSettings, Target};
use crate::limits::Limits;
use crate::link::LinkId;
use crate::lock::lock;
use crate::reason::Reason;
use crate::runtime;

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PATIENCE: Duration = Duration::from_secs(1);

static ALONE: Mutex<()> = Mutex::new(());

/// Another program's end, which answers when it is told to.
struct Other {
    host: Host<SocketAddr>,
    socket: UdpSocket,
    started: Instant,
}

impl Other {
    fn new() -> Self {
        let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        Self { host: Host::new(Config::default(), || 4).unwrap(), socket, started: Instant::now() }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Reads and answers for as long.
    fn answer_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        let mut datagram = [0; MAXIMUM_DATAGRAM];
        while Instant::now() < until {
            let now = Timestamp::from_micros(1) + self.started.elapsed();
            if let Ok((len, from)) = self.socket.recv_from(&mut datagram) {
                self.host.handle_input(now, from, &datagram[..len]);
            }
            self.host.handle_timeout(now);
            while let Some(transmit) = self.host.poll_transmit(now, &mut datagram) {
                self.socket.send_to(&datagram[..transmit.len], transmit.to).unwrap();
            }
            while self.host.poll_event().is_some() {}
        }
    }
}

/// The network thread does nothing until the returned end is dropped.
fn hold_the_thread() -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    runtime::spawn(|_| async move {
        begun.send(()).unwrap();
        let _ = released.recv();
    })
    .unwrap();
    begins.recv().unwrap();
    release
}

fn client_of(port: u16) -> (Connection, LinkId) {
    let settings =
        HostSettings { bind: BindAddress::Ip(LOOPBACK.into()), max_peers: 1, ..HostSettings::default() };
    let limits = Limits { peer_timeout: PATIENCE, connect_timeout: PATIENCE, ..Limits::default() };
    let client = Connection::bind(&settings, limits, false).unwrap();
    let link = client.connect(Target::new("127.0.0.1", port), 1, 0).unwrap();
    client.flush();
    (client, link)
}

fn say(client: &Connection, link: LinkId) {
    client.send(link, 0, Mode::Reliable, Bytes::from_static(b"hello")).unwrap();
    client.flush();
}

#[test]
fn what_came_while_the_process_stood_still_counts() {
    let _alone = lock(&ALONE);
    let mut other = Other::new();
    let (client, link) = client_of(other.port());
    other.answer_for(Duration::from_millis(200));
    assert!(matches!(client.wait_for_event(PATIENCE), Some(Event::Connected { .. })));
    // Sent, and sent again, before it stops.
    say(&client, link);
    std::thread::sleep(Duration::from_millis(200));
    let held = hold_the_thread();
    other.answer_for(PATIENCE * 3 / 2);
    // When it goes on, the game is heard before the system has told what has come.
    say(&client, link);
    drop(held);
    other.answer_for(PATIENCE / 2);
    let event = client.wait_for_event(Duration::ZERO);
    assert!(event.is_none(), "{event:?}");
    // And who falls silent afterwards is given up in time.
    say(&client, link);
    let began = Instant::now();
    let event = client.wait_for_event(PATIENCE * 2);
    assert!(
        matches!(&event, Some(Event::Disconnected { farewell, .. }) if farewell.reason == Reason::Timeout),
        "{event:?}"
    );
    assert!(began.elapsed() <= PATIENCE * 3 / 2, "{:?}", began.elapsed());
}

#[test]
fn who_was_let_in_while_the_process_stood_still_is_in() {
    let _alone = lock(&ALONE);
    let mut other = Other::new();
    let (client, _) = client_of(other.port());
    std::thread::sleep(Duration::from_millis(100));
    let held = hold_the_thread();
    other.answer_for(PATIENCE * 3 / 2);
    client.set_bandwidth(0, 0);
    client.flush();
    drop(held);
    other.answer_for(Duration::from_millis(200));
    let event = client.wait_for_event(PATIENCE);
    assert!(matches!(event, Some(Event::Connected { .. })), "{event:?}");
}
