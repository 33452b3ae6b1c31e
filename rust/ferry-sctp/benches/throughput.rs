//! Two associations in one thread, with nothing between them: messages a second, and processor time a message for both ends
//! together. `cargo bench -p ferry-sctp`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the one who measures")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use cpu_time::ProcessTime;
use ferry_sctp::{Association, Config, Event, Message, Reliability};

/// Bytes that the sender keeps queued, as a driver with a limit would.
const QUEUED: usize = 1024 * 1024;

/// Packets that go over before the other end's turn.
const BATCH: usize = 64;

struct Pair {
    ends: [Association; 2],
    packet: Vec<u8>,
    received: usize,
    bytes: usize,
    packets: u64,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let end = |seed| Association::new(Config { seed, role_client: seed == 1, ..Config::default() }, now);
        let mut pair = Self { ends: [end(1), end(2)], packet: Vec::new(), received: 0, bytes: 0, packets: 0 };
        pair.ends[0].connect(now);
        while !pair.ends.iter().all(Association::is_established) {
            pair.turn(now);
        }
        pair
    }

    /// What is ready goes over, some packets at a time, as from a driver that reads a batch of datagrams.
    fn turn(&mut self, now: Instant) {
        for end in 0..2 {
            for _ in 0..BATCH {
                if !self.ends[end].poll_transmit(now, &mut self.packet) {
                    break;
                }
                self.packets += 1;
                let packet = Bytes::copy_from_slice(&self.packet);
                self.ends[1 - end].handle_input(now, packet);
            }
            let other = &mut self.ends[1 - end];
            while let Some(event) = other.poll_event() {
                if let Event::Message(message) = event {
                    self.received += 1;
                    self.bytes += message.payload.len();
                }
            }
        }
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|at| at <= now) {
                end.handle_timeout(now);
            }
        }
    }
}

fn measure(name: &str, size: usize, count: usize, reliability: Reliability) {
    let mut pair = Pair::new();
    let payload = Bytes::from(vec![7; size]);
    let (start, processor) = (Instant::now(), ProcessTime::now());
    let mut sent = 0;
    while pair.received < count {
        let now = Instant::now();
        while sent < count && pair.ends[0].outstanding_bytes() < QUEUED {
            let message = Message { stream: 1, ppid: 53, payload: payload.clone() };
            pair.ends[0].send(now, message, reliability);
            sent += 1;
        }
        pair.turn(now);
    }
    let (took, cost) = (start.elapsed(), processor.elapsed());
    println!(
        "{name:>22}: {:8.0} msg/s {:7.1} MB/s {:7.3} us of processor a message, {} packets",
        count as f64 / took.as_secs_f64(),
        pair.bytes as f64 / took.as_secs_f64() / 1e6,
        cost.as_secs_f64() * 1e6 / count as f64,
        pair.packets,
    );
}

/// A backlog over a long way that loses: thousands of messages are under way, with many gaps. The way is virtual, the
/// processor's time is not.
fn measure_gaps(count: usize) {
    const ROUND_TRIP: Duration = Duration::from_millis(100);
    let mut now = Instant::now();
    let window = 16 * 1024 * 1024;
    let end =
        |seed| Association::new(Config { seed, receive_window: window, mtu: 600, ..Config::default() }, now);
    let mut ends = [end(1), end(2)];
    ends[0].connect(now);
    let payload = Bytes::from(vec![7; 64]);
    for _ in 0..count {
        let message = Message { stream: 1, ppid: 53, payload: payload.clone() };
        ends[0].send(now, message, Reliability::RELIABLE);
    }
    let (mut received, mut packets, mut most, mut packet) = (0, 0_u64, 0, Vec::new());
    let mut under_way: [Vec<Bytes>; 2] = Default::default();
    let processor = ProcessTime::now();
    while received < count {
        now += ROUND_TRIP / 2;
        for end in 0..2 {
            for bytes in std::mem::take(&mut under_way[end]) {
                ends[1 - end].handle_input(now, bytes);
                // As if each came alone: what it makes the other end say leaves at once.
                while ends[1 - end].poll_transmit(now, &mut packet) {
                    packets += 1;
                    if !packets.is_multiple_of(200) {
                        under_way[1 - end].push(Bytes::copy_from_slice(&packet));
                    }
                }
            }
        }
        for end in 0..2 {
            ends[end].handle_timeout(now);
            while ends[end].poll_transmit(now, &mut packet) {
                packets += 1;
                under_way[end].push(Bytes::copy_from_slice(&packet));
            }
            while let Some(event) = ends[end].poll_event() {
                received += usize::from(matches!(event, Event::Message(_)));
            }
        }
        most = most.max(ends[0].congestion_window().1);
    }
    let cost = processor.elapsed().as_secs_f64() * 1e6;
    println!(
        "  64 B, gaps, 100 ms: {:.3} us of processor a message, {:.2} a packet; {most} bytes under way at most",
        cost / count as f64,
        cost / packets as f64,
    );
}

fn main() {
    // What `cargo test --benches` runs is only whether it runs.
    let scale = if std::env::args().any(|argument| argument == "--bench") { 1 } else { 100 };
    let unordered = Reliability { ordered: false, ..Reliability::RELIABLE };
    let unreliable = Reliability { lifetime: Some(Duration::from_secs(5)), ..unordered };
    measure("64 B reliable", 64, 2_000_000 / scale, Reliability::RELIABLE);
    measure("64 B unordered", 64, 2_000_000 / scale, unordered);
    measure("64 B with a lifetime", 64, 2_000_000 / scale, unreliable);
    measure("1 KiB reliable", 1024, 500_000 / scale, Reliability::RELIABLE);
    measure("16 KiB reliable", 16 * 1024, 60_000 / scale, Reliability::RELIABLE);
    measure("256 KiB reliable", 256 * 1024, 4_000 / scale, Reliability::RELIABLE);
    measure_gaps(2_000_000 / scale);
}
