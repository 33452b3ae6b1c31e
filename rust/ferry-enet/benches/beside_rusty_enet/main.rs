//! What a host costs, beside rusty_enet 0.4.1 (a mechanical translation of the C library), in processor time.
//!
//! Both run the same load in one process, in turns: a round of one, a round of the other, and so on; a figure is the
//! median over the rounds, a ratio the median of the rounds' ratios with their quartiles behind. Time is virtual, 60
//! ticks a second; the network is a flat queue, and moving datagrams through it is not measured: what is, is the same
//! for both, one copy of each datagram in and one out, as a socket would do it.
//!
//! A tick of a host is what a game does in a frame: queue its packets, then serve its host once. With rusty_enet that
//! is `service()` until it has no event any more, as its documentation shows; with ferry-enet it is the driving order
//! of its documentation. What a game pays to make packets of its bytes and to look at those that came is in it.
//!
//! A third host has no protocol at all and only makes packets and copies datagrams; the ratio "own" leaves out of
//! both what that costs.
//!
//! Run with `cargo bench -p ferry-enet --bench beside_rusty_enet`; `-- --quick` takes seconds, and a word picks the
//! loads whose name it is part of; `--ferry` or `--rusty` runs one alone, for a profiler.

mod machines;

use std::time::Duration;

use cpu_time::ThreadTime;

use machines::{Clock, Ferry, Floor, Kind, Machine, Node, Rusty};

const TICK_US: u64 = 16_667;
/// The length of a packet, unless the load says otherwise, and the longest.
const PACKET_LEN: usize = 64;
const LONGEST_PACKET: usize = 1000;
/// Clients connect over so many ticks, so that their pings do not all fall on one.
const JOIN_TICKS: usize = 30;

/// What is sent, each tick.
#[derive(Clone, Copy, PartialEq)]
enum Traffic {
    /// The server sends these to each client, each client the last one to the server.
    Each([Kind; 4]),
    /// The server sends four packets to all.
    Broadcast(Kind),
    /// Nothing but pings.
    Idle,
    /// The server sends this many bytes to each client as fast as they go, in reliable packets of 64 KiB.
    Bulk(usize),
}

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    traffic: Traffic,
    clients: &'static [usize],
    packet_len: usize,
    /// The server is served once for each datagram that comes.
    eager: bool,
    /// rusty_enet asks the system for the time.
    system_clock: bool,
}

const fn load(name: &'static str, traffic: Traffic, clients: &'static [usize]) -> Load {
    Load { name, traffic, clients, packet_len: PACKET_LEN, eager: false, system_clock: false }
}

const UNSEQUENCED: Traffic = Traffic::Each([Kind::Unsequenced; 4]);
const RELIABLE: Traffic = Traffic::Each([Kind::Reliable; 4]);
const MIX: Traffic = Traffic::Each([Kind::Unsequenced, Kind::Reliable, Kind::Unreliable, Kind::Unreliable]);
const MEBIBYTE: usize = 1024 * 1024;
const CROWDS: &[usize] = &[32, 512, 1000];

const LOADS: &[Load] = &[
    load("unsequenced", UNSEQUENCED, CROWDS),
    load("reliable", RELIABLE, CROWDS),
    load("broadcast", Traffic::Broadcast(Kind::Unreliable), CROWDS),
    load("broadcast-reliable", Traffic::Broadcast(Kind::Reliable), CROWDS),
    load("mix", MIX, CROWDS),
    Load { system_clock: true, ..load("mix-system-clock", MIX, CROWDS) },
    Load { eager: true, ..load("mix-eager-service", MIX, &[32, 512]) },
    Load { packet_len: 20, ..load("mix-20-bytes", MIX, &[512]) },
    Load { packet_len: 200, ..load("mix-200-bytes", MIX, &[512]) },
    Load { packet_len: LONGEST_PACKET, ..load("mix-1000-bytes", MIX, &[512]) },
    load("idle", Traffic::Idle, CROWDS),
    load("bulk-16-MiB", Traffic::Bulk(16 * MEBIBYTE), &[1]),
];

/// A server and its clients.
struct World<M> {
    clock: Clock,
    server: M,
    clients: Vec<M>,
    load: Load,
    queued: usize,
    arrived: usize,
}

/// What so many ticks took.
#[derive(Clone, Copy, Default)]
struct Cost {
    server: Duration,
    clients: Duration,
    ticks: u32,
    /// Packets that the server sent, as its clients got them, and got.
    packets: u64,
    datagrams_out: u64,
    datagrams_in: u64,
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            server: self.server + other.server,
            clients: self.clients + other.clients,
            ticks: self.ticks + other.ticks,
            packets: self.packets + other.packets,
            datagrams_out: self.datagrams_out + other.datagrams_out,
            datagrams_in: self.datagrams_in + other.datagrams_in,
        }
    }
}

impl<M: Machine> World<M> {
    fn new(load: Load, count: usize) -> Self {
        let clock = Clock { system: load.system_clock, ..Clock::default() };
        clock.now_us.set(1_000_000);
        let server = M::new(count, &clock);
        let clients = (0..count).map(|_| M::new(1, &clock)).collect();
        let mut world = Self { clock, server, clients, load, queued: 0, arrived: 0 };
        world.join();
        world
    }

    fn join(&mut self) {
        let load = self.load;
        self.load = Load { traffic: Traffic::Idle, eager: false, ..load };
        let count = self.clients.len();
        for tick in 0..JOIN_TICKS {
            for client in &mut self.clients[count * tick / JOIN_TICKS..count * (tick + 1) / JOIN_TICKS] {
                client.connect(Node(0));
            }
            self.tick(&mut Cost::default());
        }
        for _ in 0..JOIN_TICKS {
            self.tick(&mut Cost::default());
        }
        assert_eq!(self.server.peers(), count);
        assert!(self.clients.iter().all(|client| client.peers() == 1));
        self.load = load;
    }

    fn tick(&mut self, cost: &mut Cost) {
        self.clock.now_us.set(self.clock.now_us.get() + TICK_US);
        cost.ticks += 1;
        cost.datagrams_in += self.server.inbox().len() as u64;
        let started = ThreadTime::now();
        self.server_sends();
        if !self.load.eager {
            cost.packets += self.server.service();
        }
        cost.server += started.elapsed();
        if self.load.eager {
            self.serve_eagerly(cost);
        }
        self.server.inbox().clear();
        let out = self.server.outbox();
        cost.datagrams_out += out.len() as u64;
        while let Some((to, datagram)) = out.take() {
            self.clients[usize::from(to.0) - 1].inbox().push(Node(0), datagram);
        }
        out.clear();

        let started = ThreadTime::now();
        for client in &mut self.clients {
            if let Traffic::Each([.., kind]) = self.load.traffic {
                client.send(0, kind, &PAYLOAD[..self.load.packet_len]);
            }
            if let Traffic::Broadcast(kind) = self.load.traffic {
                client.send(0, kind, &PAYLOAD[..self.load.packet_len]);
            }
            let came = client.service();
            cost.packets += came;
            self.arrived += came as usize;
        }
        cost.clients += started.elapsed();
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.inbox().clear();
            let out = client.outbox();
            while let Some((_, datagram)) = out.take() {
                self.server.inbox().push(Node(number as u16 + 1), datagram);
            }
            out.clear();
        }
    }

    fn server_sends(&mut self) {
        match self.load.traffic {
            Traffic::Idle => {}
            Traffic::Each(kinds) => {
                for peer in 0..self.server.peers() {
                    for kind in kinds {
                        self.server.send(peer, kind, &PAYLOAD[..self.load.packet_len]);
                    }
                }
            }
            Traffic::Broadcast(kind) => {
                for _ in 0..4 {
                    self.server.broadcast(kind, &PAYLOAD[..self.load.packet_len]);
                }
            }
            // A window is one packet; more of them wait than that.
            Traffic::Bulk(total) => {
                let (queued, packets) = (self.queued, total / BULK_PACKET.len());
                if queued < packets && queued - self.arrived < 4 {
                    self.server.send(0, Kind::Reliable, &BULK_PACKET);
                    self.queued += 1;
                }
            }
        }
    }

    /// Serves the server after each datagram, and once more at the end.
    fn serve_eagerly(&mut self, cost: &mut Cost) {
        let mut rest = std::mem::take(self.server.inbox());
        let started = ThreadTime::now();
        while let Some((from, datagram)) = rest.take() {
            self.server.inbox().clear();
            self.server.inbox().push(from, datagram);
            cost.packets += self.server.service();
        }
        self.server.inbox().clear();
        cost.packets += self.server.service();
        cost.server += started.elapsed();
    }

    fn round(&mut self, ticks: u32) -> Cost {
        let mut cost = Cost::default();
        if let Traffic::Bulk(total) = self.load.traffic {
            (self.queued, self.arrived) = (0, 0);
            while self.arrived < total / BULK_PACKET.len() {
                self.tick(&mut cost);
            }
        } else {
            for _ in 0..ticks {
                self.tick(&mut cost);
            }
        }
        cost
    }
}

static PAYLOAD: [u8; LONGEST_PACKET] = [1; LONGEST_PACKET];
static BULK_PACKET: [u8; 64 * 1024] = [3; 64 * 1024];

/// A figure of all rounds.
struct Spread {
    quarter: f64,
    median: f64,
    three_quarters: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: usize| sorted[(sorted.len() - 1) * part / 4];
        Self { quarter: at(1), median: at(2), three_quarters: at(3) }
    }
}

/// Which hosts are measured.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    All,
    Ferry,
    Rusty,
}

/// One round of each.
struct Round {
    ferry: Cost,
    rusty: Cost,
    floor: Cost,
}

fn measure(load: Load, clients: usize, rounds: u32, ticks: u32) -> Vec<Round> {
    let mut ferry = World::<Ferry>::new(load, clients);
    let mut rusty = World::<Rusty>::new(load, clients);
    let mut floor = World::<Floor>::new(load, clients);
    let mut round =
        |ticks| Round { ferry: ferry.round(ticks), rusty: rusty.round(ticks), floor: floor.round(ticks) };
    round(60);
    (0..rounds).map(|_| round(ticks)).collect()
}

/// A median for each side, and the ratio.
struct Figures {
    ferry: f64,
    rusty: f64,
    ratio: Spread,
    /// The ratio of what remains when the floor is taken off both.
    own: f64,
}

fn figures(rounds: &[Round], of: impl Fn(&Cost) -> f64) -> Figures {
    let own = |round: &Round| {
        let floor = of(&round.floor);
        (of(&round.ferry) - floor).max(0.0) / (of(&round.rusty) - floor).max(f64::MIN_POSITIVE)
    };
    Figures {
        ferry: Spread::of(rounds.iter().map(|round| of(&round.ferry))).median,
        rusty: Spread::of(rounds.iter().map(|round| of(&round.rusty))).median,
        ratio: Spread::of(rounds.iter().map(|round| of(&round.ferry) / of(&round.rusty))),
        own: Spread::of(rounds.iter().map(own)).median,
    }
}

const HEADINGS: [&str; 15] = [
    "clients", "load", "server f", "server r", "floor", "ratio", "own", "Mp/s f", "Mp/s r", "client f",
    "client r", "ratio", "pkts", "dgrams f", "dgrams r",
];
const WIDTHS: [usize; 15] = [7, 18, 8, 8, 8, 17, 5, 7, 7, 8, 8, 5, 10, 11, 11];

fn print_row(cells: &[String; 15]) {
    let padded: Vec<String> =
        cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:>width$}")).collect();
    println!("{}", padded.join("  "));
}

fn report(load: Load, clients: usize, rounds: &[Round]) {
    // A transfer counts by the MiB, everything else by the tick.
    let units = move |cost: &Cost| match load.traffic {
        Traffic::Bulk(total) => (total / MEBIBYTE) as f64,
        _ => f64::from(cost.ticks),
    };
    let server = figures(rounds, |cost| cost.server.as_secs_f64() * 1e6 / units(cost));
    let client = figures(rounds, |cost| cost.clients.as_secs_f64() * 1e6 / units(cost));
    let rate = figures(rounds, |cost| cost.packets as f64 / cost.server.as_secs_f64() / 1e6);
    let packets = figures(rounds, |cost| cost.packets as f64 / units(cost));
    let came = figures(rounds, |cost| cost.datagrams_in as f64 / units(cost));
    let went = figures(rounds, |cost| cost.datagrams_out as f64 / units(cost));
    let floor =
        Spread::of(rounds.iter().map(|round| round.floor.server.as_secs_f64() * 1e6 / units(&round.floor)));
    let Spread { quarter, median, three_quarters } = server.ratio;
    print_row(&[
        clients.to_string(),
        load.name.to_string(),
        format!("{:.1}", server.ferry),
        format!("{:.1}", server.rusty),
        format!("{:.1}", floor.median),
        format!("{median:.2} [{quarter:.2}-{three_quarters:.2}]"),
        format!("{:.2}", server.own),
        format!("{:.2}", rate.ferry),
        format!("{:.2}", rate.rusty),
        format!("{:.1}", client.ferry),
        format!("{:.1}", client.rusty),
        format!("{:.2}", client.ratio.median),
        format!("{:.0}/{:.0}", packets.ferry, packets.rusty),
        format!("{:.0}/{:.0}", came.ferry, went.ferry),
        format!("{:.0}/{:.0}", came.rusty, went.rusty),
    ]);
}

/// Runs one alone, long enough for a profiler.
fn run_alone<M: Machine>(load: Load, clients: usize, rounds: u32, ticks: u32) {
    let mut world = World::<M>::new(load, clients);
    let cost = (0..rounds).map(|_| world.round(ticks)).fold(Cost::default(), Cost::plus);
    let per_tick = |span: Duration| span.as_secs_f64() * 1e6 / f64::from(cost.ticks);
    println!(
        "{clients} {}: server {:.1} us a tick, clients {:.1}",
        load.name,
        per_tick(cost.server),
        per_tick(cost.clients)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = flag("--quick");
    let who = if flag("--ferry") {
        Who::Ferry
    } else if flag("--rusty") {
        Who::Rusty
    } else {
        Who::All
    };
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    if who == Who::All {
        println!(
            "Microseconds of processor time a tick (bulk: a MiB). f: ferry-enet, r: rusty_enet, floor: no protocol.\n\
             ratio: f/r with its quartiles; own: (f - floor) / (r - floor). Mp/s: millions of packets that the server\n\
             sent and got a second of its processor time. pkts: packets a tick, f/r; dgrams: a tick, in/out."
        );
        print_row(&HEADINGS.map(String::from));
    }
    let chosen =
        |load: &&Load| wanted.is_empty() || wanted.iter().any(|word| load.name.contains(word.as_str()));
    for load in LOADS.iter().filter(chosen) {
        for &clients in load.clients.iter().filter(|&&clients| !quick || clients <= 512) {
            // About as many packets in each round, whatever the crowd.
            let (rounds, work) = if quick { (5, 10_000) } else { (15, 60_000) };
            let ticks = (work / clients as u32).clamp(30, 600);
            match who {
                Who::All => report(*load, clients, &measure(*load, clients, rounds, ticks)),
                Who::Ferry => run_alone::<Ferry>(*load, clients, rounds, ticks),
                Who::Rusty => run_alone::<Rusty>(*load, clients, rounds, ticks),
            }
        }
    }
}
