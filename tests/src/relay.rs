//! A bad network between two ports of this machine.
//!
//! A client that sends to the relay's port reaches the server behind it, and the answers come back the same way; on
//! the way datagrams are lost, doubled, damaged and delayed, each by its own amount, so that they overtake each other. What
//! happens to the n-th datagram of a direction depends on the seed alone. One thread a direction; both end when the
//! relay is dropped. One client at a time: answers go to whoever sent last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Datagrams under way in one direction. Past it new ones are lost, as in a router.
const UNDER_WAY: usize = 4096;

/// The longest that a thread sleeps before it looks whether it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How datagrams are treated.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// Of a hundred datagrams, how many are lost.
    pub loss_percent: u32,
    /// Of a hundred datagrams, how many come twice.
    pub duplication_percent: u32,
    /// Of a hundred datagrams, how many have a bit flipped. UDP's own checksum is made anew behind it.
    pub corruption_percent: u32,
    /// Each datagram takes a random time up to this.
    pub longest_delay: Duration,
    /// What chance is drawn from.
    pub seed: u32,
}

impl Conditions {
    /// Hands on every datagram once, at once and as it is.
    pub fn good(seed: u32) -> Self {
        let longest_delay = Duration::ZERO;
        Self { loss_percent: 0, duplication_percent: 0, corruption_percent: 0, longest_delay, seed }
    }

    /// Loses a tenth, doubles a tenth and shuffles within some milliseconds.
    pub fn bad(seed: u32) -> Self {
        let longest_delay = Duration::from_millis(8);
        Self { loss_percent: 10, duplication_percent: 10, longest_delay, ..Self::good(seed) }
    }
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Stands in front of the server on `server_port`.
    pub fn before(server_port: u16, conditions: Conditions) -> Self {
        let client_side = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the relay");
        let server_side = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the relay");
        let port = client_side.local_addr().expect("a bound socket has an address").port();
        let ending = Arc::new(AtomicBool::new(false));
        let client = Arc::new(Mutex::new(None));
        let twin = |socket: &UdpSocket| socket.try_clone().expect("a second handle of a socket");

        let learns = Arc::clone(&client);
        let upwards = Direction {
            from: twin(&client_side),
            to: twin(&server_side),
            target: Box::new(move |sender| {
                *learns.lock().expect("no thread panics with the lock") = Some(sender);
                Some(SocketAddr::from((Ipv4Addr::LOCALHOST, server_port)))
            }),
            conditions,
            chance: Chance(conditions.seed),
        };
        let downwards = Direction {
            from: server_side,
            to: client_side,
            target: Box::new(move |_| *client.lock().expect("no thread panics with the lock")),
            conditions,
            chance: Chance(!conditions.seed),
        };
        let threads = [upwards, downwards].map(|direction| {
            let ending = Arc::clone(&ending);
            std::thread::spawn(move || direction.carry(&ending))
        });
        Self { port, ending, threads: threads.into() }
    }

    /// The port that the client shall take for the server's.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A datagram that waits for its time; the number keeps those of one time in order.
type Waiting = Reverse<(Instant, u64, SocketAddr, Vec<u8>)>;

struct Direction {
    from: UdpSocket,
    to: UdpSocket,
    /// Where a datagram from this sender goes.
    target: Box<dyn FnMut(SocketAddr) -> Option<SocketAddr> + Send>,
    conditions: Conditions,
    chance: Chance,
}

impl Direction {
    fn carry(mut self, ending: &AtomicBool) {
        let mut waiting = BinaryHeap::<Waiting>::new();
        let mut buffer = vec![0; 1 << 16];
        let mut count = 0;
        while !ending.load(Ordering::Relaxed) {
            let until_next =
                waiting.peek().map(|Reverse(first)| first.0.saturating_duration_since(Instant::now()));
            let pause = until_next.unwrap_or(LOOK_EVERY).clamp(Duration::from_micros(100), LOOK_EVERY);
            self.from.set_read_timeout(Some(pause)).expect("the pause is not zero");
            match self.from.recv_from(&mut buffer) {
                Ok((length, sender)) => {
                    let Some(target) = (self.target)(sender) else { continue };
                    for _ in 0..self.copies() {
                        if waiting.len() < UNDER_WAY {
                            count += 1;
                            let due = Instant::now() + self.delay();
                            waiting.push(Reverse((due, count, target, self.copy(&buffer[..length]))));
                        }
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                // Some systems report here that an earlier datagram found nobody: a relay does not care.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => panic!("the relay's socket failed: {error}"),
            }
            while waiting.peek().is_some_and(|Reverse(first)| first.0 <= Instant::now()) {
                let Reverse((_, _, target, datagram)) = waiting.pop().expect("there is a first one");
                let _ = self.to.send_to(&datagram, target);
            }
        }
    }

    fn copies(&mut self) -> u32 {
        if self.chance.below(100) < self.conditions.loss_percent {
            return 0;
        }
        1 + u32::from(self.chance.below(100) < self.conditions.duplication_percent)
    }

    fn copy(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut copy = datagram.to_vec();
        if self.chance.below(100) < self.conditions.corruption_percent && !copy.is_empty() {
            let bit = self.chance.below(copy.len() as u32 * 8) as usize;
            copy[bit / 8] ^= 1 << (bit % 8);
        }
        copy
    }

    fn delay(&mut self) -> Duration {
        let longest = u32::try_from(self.conditions.longest_delay.as_micros()).expect("less than an hour");
        Duration::from_micros(self.chance.below(longest + 1).into())
    }
}

/// A small generator (splitmix32): the same chances every time.
struct Chance(u32);

impl Chance {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x21F0_AAAD);
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x735A_2D97);
        mixed ^= mixed >> 15;
        ((u64::from(mixed) * u64::from(limit)) >> 32) as u32
    }
}
