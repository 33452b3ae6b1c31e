//! Players in networks of their own: cables that are pulled, routers that give them another address, and a relay as the only
//! way (coturn, see `ferry_tests::coturn`).
//!
//! Each player, and each router, is a neighbour (`ferry_tests::networks`); what is between them is the test's. It carries what
//! the players tell each other, as a signaling server would.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::webrtc::{ConnectionState, Settings};
use ferry_tests::brought;
use ferry_tests::coturn::{self, By, Coturn, PASSWORD};
use ferry_tests::networks::{self, Neighbour, Part, ip, say};
use ferry_tests::webrtc_end::{BOUND, End, Ends, Told, numbered};

/// Where the servers are.
const SERVERS: &str = "10.77.0.1";

/// How routers give players another address: the port that they had, or another one for each that they talk to.
const SAME_PORT: &str = "masquerade";
const ANY_PORT: &str = "masquerade random,fully-random";

#[test]
fn players_who_cannot_reach_each_other_meet_at_the_relay() {
    in_networks("players_who_cannot_reach_each_other_meet_at_the_relay", false, |name| {
        for by in [By::Udp, By::Tcp] {
            let coturn = with_servers();
            let mut players = Players::new([cabled(name, 1), cabled(name, 2)]);
            forward(false);
            players.begin(30, &coturn.relay_url(by));
            let took = players.until("open", |players| players.both_said("open"));
            println!("{by:?}: connected in {took:?}");
            players.talk();
            players.leave();
        }
    });
}

#[test]
fn a_cable_that_is_plugged_in_again_brings_them_back_and_one_that_is_not_is_a_time_out() {
    let name = "a_cable_that_is_plugged_in_again_brings_them_back_and_one_that_is_not_is_a_time_out";
    in_networks(name, false, |name| {
        ip("link set lo up");
        let mut players = Players::new([cabled(name, 1), cabled(name, 2)]);
        forward(true);
        // Half of it passes until it is noticed; the rest is long enough on a busy machine.
        players.begin(12, "");
        players.until("open", |players| players.both_said("open"));
        players.talk();

        ip("link set cable1 down");
        let took = players.until("noticed", |players| players.both_said("state Disconnected"));
        println!("noticed after {took:?}");
        players.forget();
        // What is sent meanwhile arrives later.
        players.send();
        players.for_a_while(Duration::from_secs(1));
        ip("link set cable1 up");
        let took = players.until("back", |players| players.both_said("state Connected"));
        println!("back after {took:?}");
        players.all_come();
        players.talk();
        players.forget();

        ip("link set cable2 down");
        let took = players.until("over", |players| players.both_said("over Timeout"));
        println!("over after {took:?}");
        assert!(took > Duration::from_secs(10) && took < Duration::from_secs(15), "{took:?}");
    });
}

#[test]
fn when_the_direct_way_is_cut_the_relay_takes_over() {
    in_networks("when_the_direct_way_is_cut_the_relay_takes_over", false, |name| {
        let coturn = with_servers();
        let mut players = Players::new([cabled(name, 1), cabled(name, 2)]);
        forward(true);
        players.begin(20, &coturn.relay_url(By::Udp));
        players.until("open", |players| players.both_said("open"));
        players.talk();
        forward(false);
        players.send();
        let start = Instant::now();
        players.all_come();
        println!("by the relay after {:?}; {:?}", start.elapsed(), players.said);
        players.talk();
        players.leave();
    });
}

#[test]
fn players_behind_routers_of_their_own_find_a_direct_way() {
    in_networks("players_behind_routers_of_their_own_find_a_direct_way", true, |name| {
        let coturn = with_servers();
        let mut players =
            Players::new([behind_router(name, 1, SAME_PORT), behind_router(name, 2, SAME_PORT)]);
        forward(true);
        players.begin(30, &coturn.stun_url());
        let took = players.until("open", |players| players.both_said("open"));
        println!("connected in {took:?}");
        for (player, network) in [(0, 1), (1, 2)] {
            let reflexive = format!(" 10.77.{network}.2 ");
            let told = players.candidates(player);
            assert!(
                told.iter().any(|line| line.contains(&reflexive) && line.contains(" typ srflx ")),
                "{told:?}"
            );
        }
        players.talk();
        players.leave();
    });
}

#[test]
fn behind_routers_that_change_ports_too_only_a_relay_helps() {
    in_networks("behind_routers_that_change_ports_too_only_a_relay_helps", true, |name| {
        for (servers, outcome) in [("stun", "over IceFailed"), ("turn", "open")] {
            let coturn = with_servers();
            let homes = [behind_router(name, 1, ANY_PORT), behind_router(name, 2, ANY_PORT)];
            let mut players = Players::new(homes);
            forward(true);
            let url = if servers == "stun" { coturn.stun_url() } else { coturn.relay_url(By::Udp) };
            players.begin(20, &url);
            let took = players.until(outcome, |players| players.both_said(outcome));
            println!("{servers}: {outcome} after {took:?}; {:?}", players.said);
            if outcome == "open" {
                players.talk();
                players.leave();
            }
        }
    });
}

#[test]
fn where_every_tenth_packet_is_lost_every_connection_is_made() {
    in_networks("where_every_tenth_packet_is_lost_every_connection_is_made", true, |_| {
        const PAIRS: usize = 30;
        ip("link set lo up");
        networks::nft("add table inet bad");
        networks::nft("add chain inet bad in { type filter hook input priority 0 ; }");
        networks::nft("add rule inet bad in meta l4proto udp numgen random mod 100 < 10 drop");
        let mut pairs: Vec<_> = (0..PAIRS)
            .map(|_| {
                let ends = Ends::new(Settings::default(), Settings::default(), Limits::default());
                let channels = ends.channel(&numbered(1));
                ends.one.connection.create_offer().unwrap();
                (ends, channels)
            })
            .collect();
        let start = Instant::now();
        let mut took = Vec::new();
        while !pairs.is_empty() {
            pairs.retain_mut(|(ends, (one, two))| {
                ends.poll();
                for end in [&ends.one, &ends.two] {
                    assert_ne!(end.connection.state(), ConnectionState::Failed, "{}", end.standing());
                }
                let open = ends.one.is_open(*one) && ends.two.is_open(*two);
                if open {
                    took.push(start.elapsed());
                }
                !open
            });
            sleep(Duration::from_millis(1));
        }
        println!("the first after {:?}, the last after {:?}", took[0], took[PAIRS - 1]);
    });
}

/// Plays the part that this process has.
fn in_networks(name: &str, with_routers: bool, story: impl FnOnce(&str)) {
    match networks::part() {
        Part::Start => {
            if with_routers && !networks::can_filter() {
                return;
            }
            if brought::is_there("FERRY_TEST_COTURN") {
                networks::inside(name);
            }
        }
        Part::Inside => story(name),
        Part::Neighbour => obey(),
    }
}

/// Between all networks stand the servers.
fn with_servers() -> Coturn {
    ip("link set lo up");
    ip(&format!("addr replace {SERVERS}/32 dev lo"));
    // What players are called at home leads nowhere from here. coturn closes an allocation that cannot send at all.
    ip("route replace 192.168.0.0/16 dev lo");
    Coturn::start(SERVERS.parse().unwrap(), "").unwrap()
}

/// Whether what is between the networks lets through what is for another.
fn forward(on: bool) {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", if on { "1" } else { "0" }).unwrap();
}

/// Somebody in a network of his own.
struct Place {
    neighbour: Neighbour,
    /// Who stands between him and the others; goes with him.
    _router: Option<Box<Place>>,
}

impl Place {
    fn new(name: &str) -> Self {
        let neighbour = Neighbour::start(name);
        // Only once it is in its own network does its id stand for that.
        assert_eq!(neighbour.lines.recv_timeout(BOUND).unwrap(), "ready");
        Self { neighbour, _router: None }
    }

    /// Changes its network.
    fn does(&mut self, orders: &[&str]) {
        for order in orders {
            self.neighbour.tell(order);
            assert_eq!(self.neighbour.lines.recv_timeout(BOUND).unwrap(), "done", "{order}");
        }
    }
}

/// Somebody at the end of a cable of this number.
fn cabled(name: &str, number: u8) -> Place {
    let mut place = Place::new(name);
    ip(&format!("link add cable{number} type veth peer name far{number}"));
    ip(&format!("link set far{number} netns {}", place.neighbour.id()));
    ip(&format!("addr add 10.77.{number}.1/24 dev cable{number}"));
    ip(&format!("link set cable{number} up"));
    place.does(&[
        &format!("ip addr add 10.77.{number}.2/24 dev far{number}"),
        &format!("ip link set far{number} up"),
        &format!("ip route add default via 10.77.{number}.1"),
    ]);
    place
}

/// Somebody behind a router at the end of a cable of this number. At home all have the same addresses, as at everybody's.
fn behind_router(name: &str, number: u8, masquerade: &str) -> Place {
    let mut router = cabled(name, number);
    let mut place = Place::new(name);
    router.does(&[
        "ip link add home0 type veth peer name home1",
        &format!("ip link set home1 netns {}", place.neighbour.id()),
        "ip addr add 192.168.1.1/24 dev home0",
        "ip link set home0 up",
        "forward",
        "nft add table ip router",
        "nft add chain ip router out { type nat hook postrouting priority 100 ; }",
        &format!("nft add rule ip router out oifname far{number} {masquerade}"),
        // What nobody at home has asked for is not for the router either.
        "nft add chain ip router in { type filter hook input priority 0 ; }",
        &format!("nft add rule ip router in iifname far{number} ct state new drop"),
    ]);
    place.does(&[
        "ip addr add 192.168.1.2/24 dev home1",
        "ip link set home1 up",
        "ip route add default via 192.168.1.1",
    ]);
    Place { _router: Some(Box::new(router)), ..place }
}

/// The two players, and what each has said.
struct Players {
    places: [Place; 2],
    said: [Vec<String>; 2],
    /// How many messages each has been told to send.
    sent: u32,
}

/// Messages that a player sends when he is told to.
const MESSAGES: u32 = 50;

impl Players {
    fn new(places: [Place; 2]) -> Self {
        Self { places, said: Default::default(), sent: 0 }
    }

    /// Lets them connect, with a time-out in seconds and the URL of a server, or none.
    fn begin(&mut self, peer_timeout: u64, server: &str) {
        for (place, what) in self.places.iter_mut().zip(["offer", "answer"]) {
            place.neighbour.tell(&format!("play {what} {peer_timeout} {server}"));
        }
    }

    /// Carries what they say, until this is so; how long it took.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < BOUND, "not in time: {what}; {:?}", self.said);
            for from in 0..2 {
                while let Ok(line) = self.places[from].neighbour.lines.try_recv() {
                    if Told::read(&line).is_some() {
                        self.places[1 - from].neighbour.tell(&line);
                    }
                    self.said[from].push(line);
                }
            }
            sleep(Duration::from_millis(1));
        }
        start.elapsed()
    }

    fn for_a_while(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.until("a while", |_| Instant::now() > end);
    }

    fn both_said(&self, line: &str) -> bool {
        self.said.iter().all(|said| said.iter().any(|one| one == line))
    }

    fn candidates(&self, player: usize) -> Vec<&String> {
        self.said[player].iter().filter(|line| line.starts_with("candidate ")).collect()
    }

    fn forget(&mut self) {
        self.said = Default::default();
    }

    fn send(&mut self) {
        self.sent += MESSAGES;
        self.places.iter_mut().for_each(|place| place.neighbour.tell("send"));
    }

    fn all_come(&mut self) {
        let line = format!("got {}", self.sent);
        self.until("the messages", |players| players.both_said(&line));
    }

    /// Both send, and both get it.
    fn talk(&mut self) {
        self.send();
        self.all_come();
    }

    /// One goes; the other one hears of it.
    fn leave(mut self) {
        self.places[0].neighbour.tell("leave");
        let heard = |players: &mut Self| players.said[1].iter().any(|line| line == "over RemoteClose");
        self.until("the goodbye", heard);
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        // Their networks go some time after they did, and the next ones are cabled by the same names.
        for number in [1, 2] {
            let _ = Command::new("ip").args(["link", "del", &format!("cable{number}")]).status();
        }
    }
}

/// A neighbour does what it is told, until it is told to play.
fn obey() {
    let orders = networks::orders();
    say("ready");
    while let Ok(order) = orders.recv() {
        match order.split_once(' ') {
            Some(("ip", words)) => ip(words),
            Some(("nft", words)) => networks::nft(words),
            Some(("play", words)) => {
                play(words, &orders);
                return;
            }
            _ if order == "forward" => forward(true),
            _ => panic!("not understood: {order}"),
        }
        say("done");
    }
}

fn play(words: &str, orders: &std::sync::mpsc::Receiver<String>) {
    let mut words = words.split(' ').filter(|word| !word.is_empty());
    let offers = words.next().unwrap() == "offer";
    let peer_timeout = Duration::from_secs(words.next().unwrap().parse().unwrap());
    let servers = words.map(|url| coturn::server(url, PASSWORD)).collect();
    let limits = Limits { peer_timeout, ..Limits::default() };
    let mut end = End::new(Settings { servers, ..Settings::default() }, limits);
    let channel = end.channel(&numbered(1));
    if offers {
        end.connection.create_offer().unwrap();
    }
    let (mut sent, mut got, mut states, mut was_open) = (0_u32, 0_u32, 1, false);
    loop {
        end.poll().iter().for_each(|told| say(&told.line()));
        if !was_open && end.is_open(channel) {
            was_open = true;
            say("open");
        }
        for state in &end.states[states..] {
            say(&format!("state {state:?}"));
        }
        states = end.states.len();
        for (_, message) in end.read(channel) {
            assert_eq!(message[..4], got.to_be_bytes(), "in order");
            got += 1;
            if got.is_multiple_of(MESSAGES) {
                say(&format!("got {got}"));
            }
        }
        if matches!(end.connection.state(), ConnectionState::Closed | ConnectionState::Failed) {
            let farewell = end.connection.farewell();
            say(&format!("detail {farewell}"));
            say(&format!("over {:?}", farewell.reason));
            // Whoever started it ends it.
            while orders.recv().is_ok() {}
            return;
        }
        match orders.recv_timeout(Duration::from_millis(1)).as_deref() {
            Ok("send") => {
                for number in sent..sent + MESSAGES {
                    end.send(channel, &[number.to_be_bytes(); 16].concat());
                }
                sent += MESSAGES;
            }
            Ok("leave") => end.connection.close(),
            Ok(line) => end.hear(&Told::read(line).unwrap()),
            Err(_) => {}
        }
    }
}
