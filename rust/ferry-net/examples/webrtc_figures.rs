//! What WebRTC costs here: two connections in this process, over loopback, as two games would use them.
//!
//! `cargo run --release -p ferry-net --example webrtc_figures [repeats]`. Each figure is the median of its repeats. Processor
//! time is that of the whole process, so of both ends, unless it says otherwise.

#![allow(clippy::print_stdout, reason = "a program for the one who measures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dimpl::{Dtls, DtlsCertificate, Output};
use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::webrtc::{ChannelId, ChannelInit, ChannelPhase, Connection, Persistence, Settings, Signal};

/// The game's pause between two polls while it waits for the other end.
const PAUSE: Duration = Duration::from_micros(50);

/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(60);

struct Pair {
    ends: [Connection; 2],
    channels: [[ChannelId; 2]; 2],
}

impl Pair {
    /// Connected, with a reliable channel and one whose messages are sent once.
    fn new() -> Self {
        let ends =
            [0, 1].map(|_| Connection::new(Settings::default(), Limits::default()).expect("a connection"));
        let channel = |number, persistence, unordered| {
            let init = ChannelInit {
                negotiated: Some(number),
                persistence,
                unordered,
                label: "figures".to_owned(),
                ..ChannelInit::default()
            };
            [0, 1].map(|end: usize| ends[end].create_channel(init.clone()).expect("a channel"))
        };
        let once = Persistence::Lifetime(Duration::from_millis(1));
        let channels = [channel(1, Persistence::Reliable, false), channel(3, once, true)];
        let mut pair = Self { ends, channels };
        pair.ends[0].create_offer().expect("an offer");
        pair.until(|pair| {
            [0, 1].iter().all(|end| {
                pair.channels
                    .iter()
                    .all(|both| pair.ends[*end].channel_phase(both[*end]) == ChannelPhase::Open)
            })
        });
        pair
    }

    fn poll(&self) {
        for end in [0, 1] {
            let (own, other) = (&self.ends[end], &self.ends[1 - end]);
            own.begin_turn();
            while let Some(signal) = own.next_signal() {
                match signal {
                    Signal::DescriptionCreated(kind, text) => {
                        own.set_local_description(kind, &text).expect("its own");
                        other.set_remote_description(kind, &text).expect("the other's");
                    }
                    Signal::CandidateCreated { candidate, .. } => drop(other.add_candidate(&candidate)),
                    Signal::ChannelReceived(_) => {}
                }
            }
        }
    }

    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < BOUND, "it takes too long");
            self.poll();
            std::thread::sleep(PAUSE);
        }
    }

    /// Messages read at the second end.
    fn read(&self, channel: usize) -> usize {
        self.ends[1].fetch();
        std::iter::from_fn(|| self.ends[1].take_message(self.channels[channel][1])).count()
    }
}

/// Processor time of the process, and of its network thread.
#[derive(Clone, Copy)]
struct Spent {
    all: Duration,
    network: Duration,
}

impl Spent {
    fn now() -> Self {
        let (mut all, mut network) = (Duration::ZERO, Duration::ZERO);
        for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let text = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let nanoseconds = text("schedstat").split(' ').next().and_then(|word| word.parse().ok());
            let spent = Duration::from_nanos(nanoseconds.unwrap_or_default());
            all += spent;
            if text("comm").starts_with("ferry-net") {
                network += spent;
            }
        }
        Self { all, network }
    }

    fn since(self) -> Self {
        let now = Self::now();
        Self { all: now.all.saturating_sub(self.all), network: now.network.saturating_sub(self.network) }
    }
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).expect("figures are numbers"));
    values[values.len() / 2]
}

/// So many messages of this length in one go; seconds, and processor time of all and of the network thread.
fn burst(pair: &mut Pair, count: usize, length: usize) -> (f64, f64, f64) {
    let payload = Bytes::from(vec![7; length]);
    let (begun, spent) = (Instant::now(), Spent::now());
    let (mut sent, mut came) = (0, 0);
    pair.until(|pair| {
        // As much as the queue takes; a game gets the rest refused, too.
        while sent < count && pair.ends[0].send(pair.channels[0][0], Kind::Binary, payload.clone()).is_ok() {
            sent += 1;
        }
        came += pair.read(0);
        came == count
    });
    let spent = spent.since();
    (begun.elapsed().as_secs_f64(), spent.all.as_secs_f64(), spent.network.as_secs_f64())
}

fn connects(repeats: usize) {
    let (mut took, mut cost) = (Vec::new(), Vec::new());
    for _ in 0..repeats * 10 {
        let (begun, spent) = (Instant::now(), Spent::now());
        let pair = Pair::new();
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        cost.push(spent.since().network.as_secs_f64() * 1e3);
        drop(pair);
    }
    took.sort_by(f64::total_cmp);
    println!(
        "connect: median {:.1} ms, max {:.1} ms; network thread {:.1} ms for both ends",
        took[took.len() / 2],
        took[took.len() - 1],
        median(cost)
    );
}

fn small(repeats: usize) {
    const COUNT: usize = 50_000;
    let mut pair = Pair::new();
    let runs: Vec<_> = (0..repeats).map(|_| burst(&mut pair, COUNT, 64)).collect();
    let each = |time: f64| time * 1e6 / COUNT as f64;
    println!(
        "{COUNT} x 64 B reliable: {:.0} messages a second; {:.2} us each for both ends, network thread {:.2} us",
        COUNT as f64 / median(runs.iter().map(|run| run.0).collect()),
        each(median(runs.iter().map(|run| run.1).collect())),
        each(median(runs.iter().map(|run| run.2).collect())),
    );
}

fn bulk(repeats: usize) {
    const COUNT: usize = 2048;
    const LENGTH: usize = 16 * 1024;
    let mut pair = Pair::new();
    let runs: Vec<_> = (0..repeats).map(|_| burst(&mut pair, COUNT, LENGTH)).collect();
    let megabytes = (COUNT * LENGTH) as f64 / 1e6;
    println!(
        "32 MiB in 16 KiB messages: {:.0} MB/s; {:.2} s of processor time, network thread {:.2} s",
        megabytes / median(runs.iter().map(|run| run.0).collect()),
        median(runs.iter().map(|run| run.1).collect()),
        median(runs.iter().map(|run| run.2).collect()),
    );
    let link = pair.ends[0].stats();
    println!("  sent again: {:.3} %", link.loss * 100.0);
}

fn paced() {
    const A_SECOND: u32 = 1000;
    let mut pair = Pair::new();
    let payload = Bytes::from(vec![7; 64]);
    let (begun, spent) = (Instant::now(), Spent::now());
    let (mut sent, mut came) = (0_u32, 0);
    pair.until(|pair| {
        while sent < A_SECOND * 3 && begun.elapsed() >= Duration::from_secs(1) / A_SECOND * sent {
            let _ = pair.ends[0].send(pair.channels[1][0], Kind::Binary, payload.clone());
            sent += 1;
        }
        came += pair.read(1);
        begun.elapsed() > Duration::from_millis(3200)
    });
    println!(
        "unreliable, {A_SECOND} a second for 3 s: {came} of {sent} came; network thread {:.1} %",
        spent.since().network.as_secs_f64() / 3.2 * 100.0
    );
}

fn pings() {
    let pair = Pair::new();
    let mut took = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        for end in [0, 1] {
            pair.ends[end]
                .send(pair.channels[0][end], Kind::Binary, Bytes::from_static(&[1; 64]))
                .expect("it is taken");
            pair.ends[end].flush();
            let other = 1 - end;
            loop {
                pair.ends[other].wait(Duration::from_millis(5));
                if pair.ends[other].take_message(pair.channels[0][other]).is_some() {
                    break;
                }
            }
        }
        took.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    println!("there and back: p50 {:.0} us, p99 {:.0} us", took[250], took[495]);
    pair.poll();
}

/// The encryption alone: two ends in memory.
fn encryption() {
    let now = Instant::now();
    let begun = Instant::now();
    let mut ends = [0, 1].map(|_| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
        let config = dimpl::Config::builder()
            .use_server_cookie(false)
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .build()
            .expect("a configuration");
        let certificate =
            DtlsCertificate { certificate: certificate.der().to_vec(), private_key: key.serialize_der() };
        let mut end = Dtls::new_auto(Arc::new(config), certificate, now);
        end.handle_timeout(now).expect("a start");
        end
    });
    println!(
        "encryption: certificates and configurations {:.1} ms for both ends",
        begun.elapsed().as_secs_f64() * 1e3
    );
    ends[0].set_active(true);
    let mut buffer = vec![0; 4096];
    let mut drain = |end: &mut Dtls, packets: &mut Vec<Vec<u8>>| {
        let mut plain = 0;
        loop {
            match end.poll_output(&mut buffer) {
                Output::Packet(packet) => packets.push(packet.to_vec()),
                Output::ApplicationData(data) => plain += data.len(),
                Output::Timeout(_) => return plain,
                _ => {}
            }
        }
    };
    let begun = Instant::now();
    let mut packets = Vec::new();
    for round in 0..12 {
        let (from, to) = (round % 2, 1 - round % 2);
        ends[from].handle_timeout(now).expect("time passes");
        drain(&mut ends[from], &mut packets);
        for packet in packets.drain(..) {
            ends[to].handle_packet(&packet).expect("a packet of the handshake");
        }
    }
    println!("encryption: handshake {:.1} ms for both ends", begun.elapsed().as_secs_f64() * 1e3);
    for length in [100, 1180] {
        const COUNT: usize = 20_000;
        let data = vec![7; length];
        let (mut sealing, mut opening, mut came) = (Duration::ZERO, Duration::ZERO, 0);
        for _ in 0..COUNT / 10 {
            let begun = Instant::now();
            for _ in 0..10 {
                ends[0].send_application_data(&data).expect("it is connected");
                drain(&mut ends[0], &mut packets);
            }
            sealing += begun.elapsed();
            let begun = Instant::now();
            for packet in packets.drain(..) {
                ends[1].handle_packet(&packet).expect("a record");
                came += drain(&mut ends[1], &mut Vec::new());
            }
            opening += begun.elapsed();
        }
        assert_eq!(came, COUNT * length);
        let each = |time: Duration| time.as_secs_f64() * 1e6 / COUNT as f64;
        println!("  packets of {length} B: {:.2} us to seal, {:.2} us to open", each(sealing), each(opening));
    }
}

fn main() {
    let repeats = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(5);
    connects(repeats);
    small(repeats);
    bulk(repeats);
    paced();
    pings();
    encryption();
}
