//! What a packet costs on its whole way over loopback: processor time of both ends, the game's thread and the network
//! thread each. `cargo bench -p ferry-net --bench round_trips [-- part of a row's name]`.
//!
//! Not with a library: they time what runs on the thread that measures, and the most of this runs on the other one. Each
//! figure is the median of its repeats. The last rows are WebSocket's frames alone: what a system would do with a stream
//! is left out.

#![allow(clippy::print_stdout, reason = "a program for the one who measures")]

#[allow(dead_code, reason = "game_side uses the rest")]
mod crowd;

use std::time::{Duration, Instant};

use bytes::Bytes;
use cpu_time::{ProcessTime, ThreadTime};
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Carrier;
use ferry_net::packet::TransferMode;
use ferry_net::websocket::{self, Event, Kind, Pump, Sockets};

use crowd::{Crowd, Enet, Transport, WebRtc, WebSocket};

/// Pause of a game that waits for packets.
const PAUSE: Duration = Duration::from_micros(100);

/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(30);

/// Without a packet for this long, unreliable ones that have not come are lost.
const LOST_AFTER: Duration = Duration::from_millis(100);

/// How much is measured.
struct Scale {
    repeats: usize,
    /// Bursts of packets are divided by this.
    divisor: usize,
    /// Only rows whose name contains one of these; all, if there are none.
    wanted: Vec<String>,
}

impl Scale {
    fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| name.contains(wanted))
    }
}

/// What a burst has cost.
#[derive(Clone, Copy)]
struct Cost {
    took: Duration,
    game: Duration,
    all: Duration,
    came: usize,
}

struct Watch {
    begun: Instant,
    game: ThreadTime,
    all: ProcessTime,
}

impl Watch {
    fn begin() -> Self {
        Self { begun: Instant::now(), game: ThreadTime::now(), all: ProcessTime::now() }
    }

    fn end(self, came: usize) -> Cost {
        Cost { took: self.begun.elapsed(), game: self.game.elapsed(), all: self.all.elapsed(), came }
    }
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn report(name: &str, sent: usize, length: usize, costs: &[Cost]) {
    let came = median(costs.iter().map(|cost| cost.came));
    let each =
        |of: fn(&Cost) -> Duration| median(costs.iter().map(of)).as_secs_f64() * 1e9 / came.max(1) as f64;
    println!(
        "{name:<34} {:8.0} /s {:7.1} MB/s   game {:6.0} ns, network {:6.0} ns each   {came} of {sent} came",
        1e9 / each(|cost| cost.took),
        length as f64 * 1e3 / each(|cost| cost.took),
        each(|cost| cost.game),
        each(|cost| cost.all.saturating_sub(cost.game)),
    );
}

/// The server sends so many packets to each player, as fast as they are taken.
fn burst<C: Carrier>(crowd: &mut Crowd<C>, rounds: usize, packet: &mut [u8], mode: TransferMode) -> Cost {
    /// So many packets to each, then a poll.
    const FRAME: usize = 64;
    let sent = rounds * crowd.ids.len();
    crowd.server.set_mode(mode);
    let watch = Watch::begin();
    let (mut came, mut last) = (0, Instant::now());
    for round in 0..rounds {
        for id in &crowd.ids {
            // No two in a row alike: equal ones are kept once.
            packet[0] = packet[0].wrapping_add(1);
            crowd.server.set_target(*id);
            crowd.server.put_packet(packet).expect("there is room");
        }
        if (round + 1) % FRAME == 0 {
            came += crowd.read();
        }
    }
    while came < sent {
        let read = crowd.read();
        came += read;
        if read > 0 {
            last = Instant::now();
        } else if mode != TransferMode::Reliable && last.elapsed() > LOST_AFTER {
            break;
        }
        assert!(last.elapsed() < BOUND, "{came} of {sent} came");
        std::thread::sleep(PAUSE);
    }
    watch.end(came)
}

fn trips<T: Transport>(scale: &Scale) {
    const UNRELIABLE: TransferMode = TransferMode::Unreliable;
    const RELIABLE: TransferMode = TransferMode::Reliable;
    let bursts = [
        (1, 20_000, 64, RELIABLE, "64 B reliable"),
        (1, 20_000, 64, UNRELIABLE, "64 B unreliable"),
        (1, 1500, 16 * 1024, RELIABLE, "16 KiB reliable"),
        (32, 1000, 64, RELIABLE, "64 B reliable, to 32"),
    ];
    for (players, rounds, length, mode, what) in bursts {
        let (name, rounds) = (format!("{}, {what}", T::NAME), rounds / scale.divisor);
        if !scale.wants(&name) {
            continue;
        }
        let mut crowd = T::crowd(players);
        let mut packet = vec![7; length];
        // What comes first is not usual: buffers grow, and windows.
        burst(&mut crowd, rounds / 2, &mut packet, mode);
        let costs: Vec<Cost> =
            (0..scale.repeats).map(|_| burst(&mut crowd, rounds, &mut packet, mode)).collect();
        report(&name, rounds * players, length, &costs);
    }
}

/// A WebSocket server's end, whose stream is memory.
struct Pumped {
    sockets: Sockets,
    link: ferry_net::link::LinkId,
    pump: Pump,
}

impl Pumped {
    fn new() -> Self {
        const REQUEST: &[u8] =
            b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let settings = websocket::Settings::default();
        let (sockets, link, pump) =
            websocket::open_pumped(None, false, settings, Limits::default()).expect("sound settings");
        pump.put(REQUEST);
        let begun = Instant::now();
        while !matches!(sockets.next_event(), Some(Event::Connected { .. })) {
            assert!(begun.elapsed() < BOUND, "no connection");
            std::thread::sleep(PAUSE);
        }
        let pumped = Self { sockets, link, pump };
        pumped.carried();
        pumped
    }

    /// What has left, in bytes.
    fn carried(&self) -> usize {
        self.pump.take(|bytes| Ok::<_, ()>(bytes.len())).expect("it cannot fail")
    }

    fn send(&self, count: usize, length: usize) -> Cost {
        let payload = Bytes::from(vec![7; length]);
        let watch = Watch::begin();
        for _ in 0..count {
            self.sockets.send(self.link, Kind::Binary, payload.clone(), false).expect("there is room");
        }
        self.sockets.flush();
        let mut left = 0;
        while left < count * length {
            left += self.carried();
            assert!(watch.begun.elapsed() < BOUND, "{left} bytes left");
            std::thread::sleep(PAUSE);
        }
        watch.end(count)
    }

    fn receive(&self, count: usize, frame: &[u8]) -> Cost {
        let at_once = self.pump.room() / frame.len();
        let frames = frame.repeat(at_once);
        let watch = Watch::begin();
        let (mut put, mut came) = (0, 0);
        while came < count {
            let now = (self.pump.room() / frame.len()).min(count - put).min(at_once);
            self.pump.put(&frames[..now * frame.len()]);
            put += now;
            while let Some(event) = self.sockets.next_event() {
                came += usize::from(matches!(event, Event::Message { .. }));
            }
            assert!(watch.begun.elapsed() < BOUND, "{came} of {count} came");
            std::thread::sleep(PAUSE);
        }
        watch.end(came)
    }
}

/// A message as a client sends it, with a mask that changes nothing.
fn client_frame(length: usize) -> Vec<u8> {
    const BINARY_AND_LAST: u8 = 0x82;
    const MASKED: u8 = 0x80;
    let mut frame = vec![BINARY_AND_LAST];
    match u8::try_from(length) {
        Ok(short @ ..126) => frame.push(MASKED | short),
        _ => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(length).expect("it fits into one frame").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.resize(frame.len() + length, 7);
    frame
}

fn frames(scale: &Scale) {
    for (count, length) in [(20_000, 64), (1500, 16 * 1024)] {
        let [out, into] = ["out", "in"].map(|way| format!("WebSocket frames {way}, {length} B"));
        if !scale.wants(&out) && !scale.wants(&into) {
            continue;
        }
        let (count, pumped) = (count / scale.divisor, Pumped::new());
        let frame = client_frame(length);
        pumped.send(count, length);
        let costs: Vec<Cost> = (0..scale.repeats).map(|_| pumped.send(count, length)).collect();
        report(&out, count, length, &costs);
        pumped.receive(count, &frame);
        let costs: Vec<Cost> = (0..scale.repeats).map(|_| pumped.receive(count, &frame)).collect();
        report(&into, count, length, &costs);
    }
}

fn main() {
    // What `cargo test --benches` runs is only whether it runs.
    let (options, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let measures = options.iter().any(|option| option == "--bench");
    let (repeats, divisor) = if measures { (9, 1) } else { (1, 50) };
    let scale = Scale { repeats, divisor, wanted };
    trips::<Enet>(&scale);
    trips::<WebSocket>(&scale);
    trips::<WebRtc>(&scale);
    frames(&scale);
}
