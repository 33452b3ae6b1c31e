//! A bad line: all datagrams between two connections pass through it, take their time, and some get lost.
//!
//! Each end is told an address of the line's in place of the other's, so nothing goes past it. What happens to the n-th
//! datagram of a direction depends on the seed alone. One thread carries both directions, and ends with the line.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Datagrams under way in one direction. Past it new ones are lost, as in a router.
const UNDER_WAY: usize = 8192;

/// Datagrams that the line remembers, to send them again.
const REMEMBERED: usize = 512;

/// How exactly the delay is kept.
const PAUSE: Duration = Duration::from_micros(400);

/// Buffers of the line's sockets: what a burst needs while the thread does not run.
const SOCKET_BUFFER: usize = 4 << 20;

/// How datagrams are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// Of a hundred datagrams, how many are lost.
    pub(crate) loss_percent: u32,
    /// Of a hundred datagrams, how many are followed by an old one, as whoever listens on the way might send it.
    pub(crate) replay_percent: u32,
    /// Of a hundred datagrams, how many are followed by a copy with a bit flipped.
    pub(crate) damage_percent: u32,
    /// Of a hundred datagrams, how many come after one that is nobody's, and looks like a record of the encryption.
    pub(crate) stray_percent: u32,
    /// Each takes this long.
    pub(crate) delay: Duration,
    /// What chance is drawn from.
    pub(crate) seed: u32,
}

impl Conditions {
    /// Nothing happens to datagrams but that they take their time.
    pub(crate) fn good(delay: Duration, seed: u32) -> Self {
        Self { loss_percent: 0, replay_percent: 0, damage_percent: 0, stray_percent: 0, delay, seed }
    }

    /// What a player on a bad wireless link abroad has: a twentieth lost, a tenth of a second there and back.
    pub(crate) fn bad(seed: u32) -> Self {
        Self { loss_percent: 5, ..Self::good(Duration::from_millis(50), seed) }
    }
}

/// What the line's thread and its owner know.
struct Shared {
    cut: AtomicBool,
    ending: AtomicBool,
    /// Where the two ends really are.
    real: Mutex<[Option<SocketAddr>; 2]>,
}

/// A running line.
pub(crate) struct Line {
    stands_for: [u16; 2],
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    pub(crate) fn new(conditions: Conditions) -> Self {
        let sockets = [socket(), socket()];
        let port = |socket: &UdpSocket| socket.local_addr().expect("a bound socket has an address").port();
        let stands_for = [port(&sockets[0]), port(&sockets[1])];
        let shared = Arc::new(Shared {
            cut: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            real: Mutex::default(),
        });
        let chances = [Chance(conditions.seed), Chance(!conditions.seed)];
        let carrier = Carrier {
            sockets,
            chances,
            waiting: [VecDeque::new(), VecDeque::new()],
            seen: [Vec::new(), Vec::new()],
            conditions,
            shared: shared.clone(),
        };
        let thread = std::thread::spawn(move || carrier.run());
        Self { stands_for, shared, thread: Some(thread) }
    }

    /// A candidate of an end (0 or 1), as the other one is to see it.
    pub(crate) fn disguise(&self, end: usize, candidate: &str) -> String {
        let mut words: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
        let address = format!("{}:{}", words[4], words[5]).parse().expect("a candidate of IPv4");
        let mut real = self.shared.real.lock().unwrap_or_else(PoisonError::into_inner);
        let known = real[end].get_or_insert(address);
        assert_eq!(*known, address, "the line knows one address of each end");
        words[5] = self.stands_for[end].to_string();
        words.join(" ")
    }

    /// Nothing passes any more, or again.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the line");
    socket.set_nonblocking(true).expect("a socket can be non-blocking");
    // Less will do if the system gives less.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER);
    socket
}

struct Carrier {
    sockets: [UdpSocket; 2],
    chances: [Chance; 2],
    /// Towards each end, the oldest first: all take the same time.
    waiting: [VecDeque<(Instant, Vec<u8>)>; 2],
    /// What went towards each end, some of it.
    seen: [Vec<Vec<u8>>; 2],
    conditions: Conditions,
    shared: Arc<Shared>,
}

impl Carrier {
    fn run(mut self) {
        while !self.shared.ending.load(Ordering::Relaxed) {
            for end in [0, 1] {
                self.take_in(end);
                self.let_out(end);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What came to the socket that stands for an end is for that end.
    fn take_in(&mut self, end: usize) {
        let mut buffer = [0; 2048];
        loop {
            match self.sockets[end].recv(&mut buffer) {
                Ok(length) => self.carry(end, &buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Some systems report here that an earlier datagram found nobody.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused) => {}
                Err(error) => panic!("the line's socket failed: {error}"),
            }
        }
    }

    fn carry(&mut self, end: usize, datagram: &[u8]) {
        let Conditions { loss_percent, replay_percent, damage_percent, .. } = self.conditions;
        let lost = self.happens(end, loss_percent);
        let replays = self.happens(end, replay_percent);
        let damages = self.happens(end, damage_percent);
        let strays = self.happens(end, self.conditions.stray_percent);
        if self.shared.cut.load(Ordering::Relaxed) {
            return;
        }
        if strays {
            let stray = self.stray(end);
            self.put(end, stray);
        }
        if !lost {
            self.put(end, datagram.to_vec());
        }
        if replay_percent > 0 {
            let place = self.chances[end].below(REMEMBERED as u32) as usize;
            match self.seen[end].get_mut(place) {
                Some(seen) => *seen = datagram.to_vec(),
                None => self.seen[end].push(datagram.to_vec()),
            }
        }
        if replays {
            let place = self.chances[end].below(self.seen[end].len() as u32) as usize;
            self.put(end, self.seen[end][place].clone());
        }
        if damages && !datagram.is_empty() {
            let mut copy = datagram.to_vec();
            let bit = self.chances[end].below(copy.len() as u32 * 8) as usize;
            copy[bit / 8] ^= 1 << (bit % 8);
            self.put(end, copy);
        }
    }

    fn happens(&mut self, end: usize, percent: u32) -> bool {
        percent > 0 && self.chances[end].below(100) < percent
    }

    /// As another connection's data look. Not as a part of a handshake in the clear, which the DTLS crate takes amiss.
    fn stray(&mut self, end: usize) -> Vec<u8> {
        let chance = &mut self.chances[end];
        let kind = [21, 23, 0x2C, 0x2E, 0x3F][chance.below(5) as usize];
        let length = chance.below(300) as u16;
        let mut record = vec![kind, 0xFE, 0xFD, 0, 1 + chance.below(3) as u8, 0, 0, 0, 0, 0];
        record.push(chance.below(4) as u8);
        record.extend_from_slice(&length.to_be_bytes());
        record.extend((0..length).map(|_| chance.below(256) as u8));
        record
    }

    fn put(&mut self, end: usize, datagram: Vec<u8>) {
        if self.waiting[end].len() < UNDER_WAY {
            self.waiting[end].push_back((Instant::now() + self.conditions.delay, datagram));
        }
    }

    fn let_out(&mut self, end: usize) {
        let real = self.shared.real.lock().unwrap_or_else(PoisonError::into_inner)[end];
        while let Some((due, _)) = self.waiting[end].front()
            && *due <= Instant::now()
        {
            let (_, datagram) = self.waiting[end].pop_front().expect("there is a first one");
            if let Some(real) = real {
                // From the address that the receiver knows its other end by.
                let _ = self.sockets[1 - end].send_to(&datagram, real);
            }
        }
    }
}

/// A small generator (splitmix32): the same chances every time.
pub(crate) struct Chance(pub(crate) u32);

impl Chance {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x21F0_AAAD);
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x735A_2D97);
        mixed ^= mixed >> 15;
        ((u64::from(mixed) * u64::from(limit)) >> 32) as u32
    }
}
