//! A ferry-enet host over a UDP socket of the standard library, run in the test's own thread.
//!
//! The simplest driver there can be, and an example of one: time, datagrams and the packets' way out are all in
//! [`UdpHost::turn`]. Nothing happens between two turns, so a test sees every state in its own order.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ferry_enet::{Config, Event, Host, PeerId, Timestamp};

/// Datagrams taken in one turn; the rest waits in the socket for the next.
const DATAGRAMS_PER_TURN: usize = 256;

/// The longest that [`UdpHost::pump_until`] sleeps before it asks its condition again.
const ASK_EVERY: Duration = Duration::from_millis(2);

/// Where the host's clock stands at its start: a fifth of a second before the 16 bits of milliseconds on the wire wrap
/// around, so that most tests go through that moment.
const CLOCK_AT_START: Timestamp = Timestamp::from_micros(65_536_000 - 200_000);

/// The largest datagram that UDP carries.
const LARGEST_DATAGRAM: usize = 1 << 16;

/// A host and its socket.
pub struct UdpHost {
    /// The host itself, to be told what to do between turns.
    pub host: Host<SocketAddr>,
    socket: UdpSocket,
    started: Instant,
    buffer: Vec<u8>,
    events: VecDeque<Event>,
}

impl UdpHost {
    /// A host on a port that the system chooses.
    pub fn new(config: Config) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut state = u32::from(socket.local_addr().expect("a bound socket has an address").port());
        let random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state ^ (state >> 16)
        };
        Self {
            host: Host::new(config, random).expect("the test's settings are in range"),
            socket,
            started: Instant::now(),
            buffer: vec![0; LARGEST_DATAGRAM],
            events: VecDeque::new(),
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().expect("a bound socket has an address").port()
    }

    /// Asks the host on a port of this machine for a connection.
    pub fn connect(&mut self, port: u16, channels: u8, data: u32) -> PeerId {
        self.host.connect((Ipv4Addr::LOCALHOST, port).into(), channels, data).expect("a free peer")
    }

    /// The next event, without waiting.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Turns until there is an event; `None` if there is none within the bound.
    pub fn wait_for_event(&mut self, bound: Duration) -> Option<Event> {
        self.pump_until(|host| !host.events.is_empty(), bound);
        self.take_event()
    }

    /// Runs the host once: what waits to be sent, what has arrived, what is due. Sleeps at most `longest` when there is
    /// nothing to do.
    pub fn turn(&mut self, longest: Duration) {
        self.send();
        let now = self.now();
        let pause = self.host.poll_timeout().map_or(longest, |due| longest.min(due - now));
        // A timeout of zero means for ever to the system.
        self.socket
            .set_read_timeout(Some(pause.max(Duration::from_micros(1))))
            .expect("the pause is not zero");
        if self.receive_one() {
            self.socket.set_nonblocking(true).expect("sockets can be made so");
            for _ in 1..DATAGRAMS_PER_TURN {
                if !self.receive_one() {
                    break;
                }
            }
            self.socket.set_nonblocking(false).expect("sockets can be made so");
        }
        let now = self.now();
        if self.host.poll_timeout().is_some_and(|due| due <= now) {
            self.host.handle_timeout(now);
        }
        self.send();
        self.events.extend(std::iter::from_fn(|| self.host.poll_event()));
    }

    /// Turns until the condition holds; false if it does not within the bound.
    pub fn pump_until(&mut self, mut condition: impl FnMut(&mut Self) -> bool, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        while !condition(self) {
            if Instant::now() > until {
                return false;
            }
            self.turn(ASK_EVERY);
        }
        true
    }

    fn now(&self) -> Timestamp {
        CLOCK_AT_START + self.started.elapsed()
    }

    fn send(&mut self) {
        let now = self.now();
        while let Some(transmit) = self.host.poll_transmit(now, &mut self.buffer) {
            // A full socket buffer loses the datagram, as the network may.
            let _ = self.socket.send_to(&self.buffer[..transmit.len], transmit.to);
        }
    }

    fn receive_one(&mut self) -> bool {
        match self.socket.recv_from(&mut self.buffer) {
            Ok((length, from)) => {
                let now = self.now();
                self.host.handle_input(now, from, &self.buffer[..length]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            // Some systems report here that an earlier datagram found nobody: the protocol finds out by itself.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::Interrupted) => true,
            Err(error) => panic!("the host's socket failed: {error}"),
        }
    }
}
