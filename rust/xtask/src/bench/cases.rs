//! What is measured: the cases, what each runs, which of its figures count, and what Ferry holds itself to.
//!
//! A case runs one script of `godot_project/bench` on the built-in class and on Ferry's, with the same arguments. The bounds
//! are promises for a machine with two cores; they are shown beside what was measured, and whether they were kept.

use super::record::{Figures, Who};

/// A way over the network, with the classes that stand for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Enet,
    WebSocket,
    WebRtc,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Enet, Self::WebSocket, Self::WebRtc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enet => "enet",
            Self::WebSocket => "websocket",
            Self::WebRtc => "webrtc",
        }
    }

    pub(crate) fn builtin(self) -> &'static str {
        match self {
            Self::Enet => "ENetMultiplayerPeer",
            Self::WebSocket => "WebSocketMultiplayerPeer",
            Self::WebRtc => "WebRTCMultiplayerPeer",
        }
    }

    pub(crate) fn ferry(self) -> String {
        format!("Ferry{}", self.builtin())
    }
}

/// How many processes take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processes {
    /// Both ends in one.
    One,
    /// A server, and one for all clients.
    Two,
}

/// A figure that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) title: &'static str,
    source: Source,
    pub(crate) bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Told(Who, &'static str),
    /// Of what one end put, what the other read, in per cent.
    Arrived {
        put: Who,
        received: Who,
    },
}

/// What Ferry holds itself to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Not above the built-in class.
    AsGood,
}

impl Measure {
    fn server(title: &'static str, key: &'static str) -> Self {
        Self { title, source: Source::Told(Who::Server, key), bound: None }
    }

    fn clients(title: &'static str, key: &'static str) -> Self {
        Self { title, source: Source::Told(Who::Clients, key), bound: None }
    }

    /// Who is there as the server sees it.
    fn everybody(n: u32) -> Self {
        Self::server("who is in", "joined").at_least(f64::from(n))
    }

    fn reaches_server() -> Self {
        let source = Source::Arrived { put: Who::Clients, received: Who::Server };
        Self { title: "client packets that arrive, %", source, bound: None }
    }

    fn reaches_clients() -> Self {
        let source = Source::Arrived { put: Who::Server, received: Who::Clients };
        Self { title: "server packets that arrive, %", source, bound: None }
    }

    fn at_most(self, most: f64) -> Self {
        Self { bound: Some(Bound::AtMost(most)), ..self }
    }

    fn at_least(self, least: f64) -> Self {
        Self { bound: Some(Bound::AtLeast(least)), ..self }
    }

    fn as_good(self) -> Self {
        Self { bound: Some(Bound::AsGood), ..self }
    }

    /// This figure of a run, if it has it.
    pub(crate) fn of(self, figures: &Figures) -> Option<f64> {
        match self.source {
            Source::Told(who, key) => figures.get(who, key),
            Source::Arrived { put, received } => {
                let put = figures.get(put, "put").filter(|put| *put > 0.0)?;
                Some(100.0 * figures.get(received, "received")? / put)
            }
        }
    }
}

/// Which class the clients have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clients {
    AsServer,
    Other,
}

/// One row of the benchmark.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) transport: Transport,
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What tells it from others of its name.
    pub(crate) variant: String,
    pub(crate) script: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) processes: Processes,
    pub(crate) measures: Vec<Measure>,
    /// The same every time, and long: once is enough.
    pub(crate) once: bool,
    clients: Clients,
}

impl Case {
    fn new(
        transport: Transport,
        name: &'static str,
        variant: &str,
        script: &'static str,
        arguments: &str,
    ) -> Self {
        Self {
            transport,
            name,
            variant: variant.to_owned(),
            script,
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            processes: Processes::Two,
            measures: Vec::new(),
            once: false,
            clients: Clients::AsServer,
        }
    }

    fn in_one_process(self) -> Self {
        Self { processes: Processes::One, ..self }
    }

    fn measuring(self, measures: impl Into<Vec<Measure>>) -> Self {
        Self { measures: measures.into(), ..self }
    }

    /// What it is known by in records.
    pub(crate) fn id(&self) -> String {
        format!("{} {} {}", self.transport.name(), self.name, self.variant)
    }

    /// The two pairs of classes, of server and clients: first the one with the built-in server.
    pub(crate) fn pairs(&self) -> [(String, String); 2] {
        let (builtin, ferry) = (self.transport.builtin().to_owned(), self.transport.ferry());
        match self.clients {
            Clients::AsServer => [(builtin.clone(), builtin), (ferry.clone(), ferry)],
            Clients::Other => [(builtin.clone(), ferry.clone()), (ferry, builtin)],
        }
    }
}

/// All there are, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for transport in [Transport::Enet, Transport::WebSocket] {
        cases.extend(crowds(transport));
        cases.extend(pairs(transport));
        cases.extend(storms_and_stalls(transport));
    }
    cases.extend(webrtc());
    cases
}

/// What a transport is to hold: the first for ENet, the second for WebSocket.
fn either(transport: Transport, enet: f64, websocket: f64) -> f64 {
    if transport == Transport::WebSocket { websocket } else { enet }
}

fn crowds(transport: Transport) -> Vec<Case> {
    let of = |enet, websocket| either(transport, enet, websocket);
    let game = || Measure::server("game thread, ms a tick", "game_ms");
    let cpu = || Measure::server("server, CPU s/s", "cpu");
    // A few microseconds are less than the engine's own loop varies by, so it is left in.
    let whole = || Measure::server("game thread, engine's loop included, ms a tick", "frame_ms");
    let mut cases = Vec::new();
    for n in [1_u32, 32, 128, 512, 1000] {
        let measures = match n {
            512 => vec![
                Measure::everybody(n),
                game().at_most(1.0),
                Measure::reaches_server().at_least(of(99.9, 100.0)),
                Measure::reaches_clients(),
                cpu().at_most(of(0.25, 0.33)),
            ],
            1000 => vec![
                Measure::everybody(n),
                game().at_most(2.0),
                Measure::reaches_server().at_least(of(99.0, 100.0)),
                Measure::reaches_clients(),
                cpu(),
            ],
            32 => vec![
                game().as_good(),
                cpu(),
                Measure::server("on the wire, a second", "wire_packets").at_most(of(4000.0, 8000.0)),
                Measure::server("on the wire, kB/s", "wire_kb"),
            ],
            1 => vec![whole().as_good(), game(), cpu()],
            _ => vec![game(), Measure::reaches_server(), cpu()],
        };
        let arguments = format!("--n={n} --up=1 --down=4");
        cases.push(Case::new(transport, "frame", &format!("n={n}"), "crowd", &arguments).measuring(measures));
    }
    let mut mixed = Case::new(
        transport,
        "frame",
        "n=512, clients of the other class",
        "crowd",
        "--n=512 --up=1 --down=4",
    )
    .measuring([
        Measure::everybody(512),
        game(),
        Measure::reaches_server(),
        Measure::reaches_clients(),
        cpu(),
    ]);
    mixed.clients = Clients::Other;
    cases.push(mixed);
    cases.push(
        Case::new(transport, "broadcast", "n=512", "crowd", "--n=512 --down=4 --size=200 --to_all")
            .measuring([Measure::everybody(512), game().at_most(0.4), Measure::reaches_clients(), cpu()]),
    );
    for n in [32, 512] {
        let arguments = format!("--n={n} --up=1 --down=4");
        cases.push(Case::new(transport, "rpc", &format!("n={n}"), "rpc", &arguments).measuring([
            Measure::everybody(n),
            game(),
            Measure::reaches_server(),
            cpu(),
        ]));
    }
    cases.push(Case::new(transport, "idle", "n=512", "crowd", "--n=512 --ticks=480").measuring([
        Measure::everybody(512),
        Measure::server("poll, ms", "poll_ms").at_most(0.005),
        cpu().at_most(of(0.02, 0.005)),
        Measure::server("memory of a connection, kB", "kb_per_connection").at_most(of(13.0, 15.0)),
    ]));
    cases
}

fn pairs(transport: Transport) -> Vec<Case> {
    let of = |enet, websocket| either(transport, enet, websocket);
    let latency =
        |variant: &str, arguments: &str| Case::new(transport, "latency", variant, "latency", arguments);
    let trip = |who: fn(&'static str, &'static str) -> Measure| {
        [
            who("round trip p50, ms", "p50_ms"),
            who("p99, ms", "p99_ms"),
            who("as the peer reports it, ms", "own_ms"),
        ]
    };
    let [p50, p99, own] = trip(Measure::clients);
    let mut cases = vec![
        latency("60 Hz", "--rate=60").measuring([p50, p99, own.at_most(1.0)]),
        latency("1 kHz", "--rate=1000 --trips=2000").measuring([p50, p99, own]),
    ];
    let [p50, p99, own] = trip(Measure::server);
    cases.push(latency("spinning", "--rate=0 --trips=20000").in_one_process().measuring([
        p50.at_most(0.05),
        p99,
        own,
    ]));
    let buffers =
        "--inbound_buffer_size=16777216 --outbound_buffer_size=16777216 --max_queued_packets=300000";
    let speed = || Measure::server("MB/s", "mb_per_s");
    let cost = || Measure::server("both ends, CPU ms a MB", "cpu_ms_per_mb");
    let bulk = |variant: &str, arguments: String| {
        Case::new(transport, "bulk", variant, "bulk", &arguments).in_one_process()
    };
    if transport == Transport::WebSocket {
        // The built-in class takes 64 KiB between two polls unless it is told otherwise.
        cases.push(
            bulk("16 KiB, 60 Hz, buffers as they come", "--rate=60".to_owned())
                .measuring([speed().at_least(250.0), cost()]),
        );
    }
    for (variant, size, rate, least) in [
        ("16 KiB, 60 Hz", 16384, 60, Some(of(150.0, 250.0))),
        ("16 KiB, spinning", 16384, 0, Some(of(300.0, 400.0))),
        ("1 MiB, 60 Hz", 1 << 20, 60, None),
        ("1 MiB, spinning", 1 << 20, 0, None),
    ] {
        let speed = least.map_or(speed(), |least| speed().at_least(least));
        cases
            .push(bulk(variant, format!("--size={size} --rate={rate} {buffers}")).measuring([speed, cost()]));
    }
    for (variant, burst, worst) in
        [("200 000, 20 000 a tick", 20000, 20.0), ("200 000 in one tick", 200_000, 20.0)]
    {
        cases.push(
            Case::new(transport, "flood", variant, "flood", &format!("--burst={burst} {buffers}"))
                .in_one_process()
                .measuring([
                    Measure::server("packets a second", "packets_per_s").at_least(600_000.0),
                    Measure::server("longest tick of both ends, ms", "worst_tick_ms").at_most(worst),
                    Measure::server("longest of putting, ms", "worst_put_ms"),
                    Measure::server("longest of reading, ms", "worst_read_ms"),
                    Measure::server("arrived", "arrived").at_least(200_000.0),
                ]),
        );
    }
    cases
}

fn storms_and_stalls(transport: Transport) -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [64_u32, 256, 1000] {
        let took = Measure::clients("until the last is in, ms", "join_ms");
        let took = if n == 256 { took.at_most(either(transport, 100.0, 250.0)) } else { took };
        let arguments = format!("--n={n} --at_once={n} --warm=1 --ticks=1");
        cases.push(
            Case::new(transport, "storm", &format!("n={n}"), "crowd", &arguments)
                .measuring([Measure::everybody(n), took]),
        );
    }
    for seconds in [3, 10, 35] {
        let mut case =
            Case::new(transport, "stall", &format!("{seconds} s"), "stall", &format!("--stall={seconds}"))
                .measuring([
                    Measure::clients("lost, of 8", "lost").at_most(0.0),
                    Measure::reaches_server().at_least(100.0),
                    Measure::server("first tick after, ms", "first_tick_ms"),
                ]);
        case.once = true;
        cases.push(case);
    }
    cases
}

fn webrtc() -> Vec<Case> {
    let case = |name: &'static str, variant: &str, arguments: &str| {
        Case::new(Transport::WebRtc, name, variant, "webrtc", arguments).in_one_process()
    };
    let told = Measure::server;
    let mut connect = case("connect", "spinning", "--what=connect --tries=1000").measuring([
        told("median, ms", "connect_ms").at_most(30.0),
        told("p99, ms", "connect_p99_ms"),
        told("failed, of 1000", "failed").at_most(0.0),
    ]);
    connect.once = true;
    let mut cases = vec![
        connect,
        case("messages", "50 000 of 64 bytes, reliable", "--what=messages").measuring([
            told("messages a second", "messages_per_s").at_least(300_000.0),
            told("both ends, CPU µs a message", "cpu_us_per_message").at_most(5.0),
        ]),
        case("bulk", "32 MiB in 16 KiB", "--what=bulk").measuring([
            told("MB/s", "mb_per_s").at_least(120.0),
            told("both ends, CPU µs a packet", "cpu_us_per_message"),
        ]),
        case("paced", "1000/s each way, unreliable", "--what=paced").measuring([told(
            "arrived, %",
            "arrived",
        )
        .at_least(100.0)]),
    ];
    for n in [1, 16, 64] {
        cases.push(case("frame", &format!("n={n}, both ends"), &format!("--what=frame --n={n}")).measuring(
            [
                told("game thread, ms a tick", "game_ms"),
                told("process, CPU s/s", "cpu"),
                told("arrived, %", "arrived"),
            ],
        ));
    }
    for n in [16, 64] {
        cases.push(case("memory", &format!("n={n}"), &format!("--what=memory --n={n}")).measuring([
            told("until all are connected, ms", "all_connected_ms"),
            told("memory of an end, kB", "kb_per_connection").at_most(200.0),
        ]));
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_measures_something() {
        let mut names = HashSet::new();
        for case in all() {
            assert!(!case.measures.is_empty(), "{}", case.id());
            assert!(names.insert(case.id()), "{} is there twice", case.id());
        }
    }

    #[test]
    fn what_arrives_is_counted_against_what_was_put() {
        let mut figures = Figures::default();
        figures.note(Who::Clients, "put", 400.0);
        figures.note(Who::Server, "received", 300.0);
        assert_eq!(Measure::reaches_server().of(&figures), Some(75.0));
        assert_eq!(Measure::reaches_clients().of(&figures), None);
    }
}
