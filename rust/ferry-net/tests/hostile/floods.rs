//! What is meant to cost memory, or other players' time.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ferry_enet_testkit::raw::RawFragment;
use ferry_net::enet::HostSettings;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Notice;
use ferry_net::packet::TransferMode;
use ferry_net::reason::Reason;

use crate::scene::{BOUND, Game, alone, client, memory_mb, pair, poll};
use crate::stranger::Stranger;

/// Memory that the process may have got while something happened.
struct Memory {
    before: Option<u64>,
}

impl Memory {
    fn now() -> Self {
        Self { before: memory_mb() }
    }

    fn has_grown_by_less_than(&self, bound_mb: u64, what: &str) {
        let (Some(before), Some(now)) = (self.before, memory_mb()) else { return };
        println!("{what}: {} MB more memory", now.saturating_sub(before));
        assert!(now < before + bound_mb, "{what}: from {before} to {now} MB");
    }
}

#[test]
fn a_flood_of_connects_from_many_ports_keeps_no_player_out() {
    const HOSTS: u8 = 8;
    const PORTS_EACH: u16 = 24;
    /// Three times as many as there are places for handshakes.
    const FLOOD: u64 = 12_288;
    let _alone = alone();
    let mut game = Game::new();
    // Hosts of their own where the system has more than one loopback address; the newcomer's is not among them.
    let flooders: Vec<Stranger> = (0..HOSTS)
        .flat_map(|host| (0..PORTS_EACH).map(move |_| Ipv4Addr::new(127, 0, 0, 2 + host)))
        .filter_map(|host| Stranger::from_host(host, game.port()).ok())
        .collect();
    let many_hosts = !flooders.is_empty();
    let flooders =
        if many_hosts { flooders } else { (0..PORTS_EACH).map(|_| Stranger::new(game.port())).collect() };
    let memory = Memory::now();
    let mut asked = 0_u32;
    let mut ask = |count: usize| {
        for flooder in flooders.iter().cycle().skip(asked as usize % flooders.len()).take(count) {
            asked += 1;
            flooder.ask(255, asked, 1000 + asked);
        }
        asked
    };
    game.play_until("the flood has come", |game| {
        ask(flooders.len());
        game.server.endpoint_stats().datagrams_received > FLOOD
    });
    // All places for handshakes are taken now, and a random one makes room for each that comes. That may be the newcomer's
    // own, since a busy network thread reads many before it answers: then it tries again.
    let mut tries = 0;
    while many_hosts && game.server.peer_ids().len() < 2 {
        tries += 1;
        assert!(tries <= 5, "the newcomer cannot get in");
        let mut newcomer = client(game.port(), Limits::default());
        let began = Instant::now();
        game.play_until("the newcomer gets in, or gives up", |game| {
            ask(8);
            poll(&mut newcomer);
            game.server.peer_ids().len() == 2 || began.elapsed() > Duration::from_secs(2)
        });
    }
    let asked = ask(0);
    println!("{asked} asked, a newcomer got in at try {tries}");
    memory.has_grown_by_less_than(64, "a flood of connects");
    game.plays_on();
    // Nobody who only knocked is a player.
    let came = game.told.iter().filter(|notice| matches!(notice, Notice::PeerConnected(_))).count();
    assert!(came <= tries, "{:?}", game.told);
}

#[test]
fn connects_that_are_refused_leave_nothing_behind() {
    let _alone = alone();
    let mut game = Game::new();
    let flooders: Vec<Stranger> = (0..100).map(|_| Stranger::new(game.port())).collect();
    let memory = Memory::now();
    let mut asked = 0;
    for _ in 0..100 {
        for flooder in &flooders {
            asked += 1;
            // The id of nobody.
            flooder.ask(255, asked, 0);
        }
        game.turn();
    }
    memory.has_grown_by_less_than(32, "refused connects");
    game.plays_on();
    assert!(game.server.endpoint_stats().connections_refused > 1000, "{:?}", game.server.endpoint_stats());
}

#[test]
fn a_peer_that_never_acknowledges_loses_its_place_and_no_more() {
    const LIMIT: usize = 1 << 20;
    let _alone = alone();
    let mut game = Game::with(HostSettings::default(), Limits { outbound: LIMIT, ..Limits::default() });
    let mut deaf = Stranger::new(game.port());
    deaf.join(&mut game, 255, 42);
    game.told.clear();
    let memory = Memory::now();
    let mut most_queued = 0;
    game.play_until("its queue is full", |game| {
        deaf.ping();
        deaf.ignore_all();
        game.server.set_target(42);
        let _ = game.server.put_packet(&[9; 4000]);
        most_queued = most_queued.max(game.server.stats(42).map_or(0, |stats| stats.queued_bytes));
        game.told.len() >= 2
    });
    let Some(Notice::PeerLost(42, farewell)) = game.told.get(1) else { panic!("{:?}", game.told) };
    assert_eq!(farewell.reason, Reason::QueueFull);
    assert!(most_queued <= 2 * LIMIT as u64, "{most_queued} bytes");
    memory.has_grown_by_less_than(32, "a peer that never acknowledges");
    game.plays_on();
}

#[test]
fn a_peer_that_never_says_a_word_again_times_out() {
    let _alone = alone();
    let limits = Limits { peer_timeout: Duration::from_secs(2), ..Limits::default() };
    let mut game = Game::with(HostSettings::default(), limits);
    let mut mute = Stranger::new(game.port());
    mute.join(&mut game, 255, 43);
    game.told.clear();
    let started = Instant::now();
    game.play_until("it is given up", |game| game.told.len() >= 2);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(game.told, [Notice::PeerDisconnected(43), Notice::PeerLost(43, Reason::Timeout.into())]);
    game.plays_on();
}

#[test]
fn fragments_that_never_end_cost_little() {
    const CHANNELS: u8 = 128;
    const PIECE: usize = 1300;
    const PIECES: u32 = 1000;
    let _alone = alone();
    let mut game = Game::new();
    let mut stranger = Stranger::new(game.port());
    stranger.join(&mut game, 255, 44);
    let piece = [3; PIECE];
    let memory = Memory::now();
    let mut most_kept = 0;
    // A megabyte and a quarter on each channel, reliable on one half and unreliable on the other, all but the last piece.
    for first in (0..PIECES - 1).step_by(10) {
        for channel in 0..CHANNELS {
            for number in first..(first + 10).min(PIECES - 1) {
                let fragment = RawFragment {
                    start_seq: 1,
                    count: PIECES,
                    number,
                    total_len: PIECES * PIECE as u32,
                    offset: number * PIECE as u32,
                    payload: &piece,
                };
                let raw = if channel % 2 == 0 {
                    stranger.header().fragment(channel, 1 + number as u16, fragment)
                } else {
                    stranger.header().unreliable_fragment(channel, 0, fragment)
                };
                stranger.send(&raw.bytes);
            }
            stranger.ignore_all();
        }
        game.turn();
        if let Some((connection, link)) = game.server.way_to(44) {
            let kept = connection.enet_stats(link).map_or(0, |stats| stats.incomplete_bytes);
            most_kept = most_kept.max(kept);
        }
    }
    println!("at most {} kB of pieces were kept", most_kept / 1000);
    memory.has_grown_by_less_than(48, "fragments without end");
    assert!(most_kept > 0 && most_kept < 16 << 20, "{most_kept} bytes");
    game.plays_on();
}

#[test]
fn a_packet_longer_than_any_may_be_ends_its_sender() {
    const PIECE: u32 = 1300;
    const PIECES: u32 = 40_000;
    let _alone = alone();
    let mut game = Game::new();
    let mut stranger = Stranger::new(game.port());
    stranger.join(&mut game, 255, 45);
    game.told.clear();
    let fragment = RawFragment {
        start_seq: 1,
        count: PIECES,
        number: 0,
        total_len: PIECES * PIECE,
        offset: 0,
        payload: &[1; PIECE as usize],
    };
    game.play_until("it is sent away", |game| {
        stranger.send(&stranger.header().fragment(0, 1, fragment).bytes);
        stranger.agree_to_leave();
        game.told.len() >= 2
    });
    assert_eq!(
        game.told,
        [Notice::PeerDisconnected(45), Notice::PeerLost(45, Reason::PacketTooLarge.into())]
    );
    game.plays_on();
}

/// The limit on what waits for the game counted the packets' bytes alone: of packets of one byte, a game that polled and
/// did not read kept fifty times as much.
#[test]
fn tiny_packets_that_nobody_reads_count_with_what_they_cost() {
    const LIMIT: usize = 1 << 18;
    let _alone = alone();
    let limits = Limits { inbound: LIMIT, ..Limits::default() };
    let (mut server, mut sender) = pair(HostSettings::default(), limits);
    let memory = Memory::now();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(500) {
        for _ in 0..20_000 {
            // The sender's own queue may be full, which is not the matter here.
            if sender.stats(1).is_some_and(|stats| stats.queued_bytes > 8 << 20) {
                break;
            }
            sender.put_packet(b"x").unwrap();
        }
        poll(&mut sender);
        poll(&mut server);
        std::thread::sleep(Duration::from_millis(1));
    }
    let waiting = server.available_packets();
    println!("{waiting} tiny packets wait");
    assert!(waiting <= LIMIT / 32, "{waiting} packets of a byte wait for a game that does not read");
    memory.has_grown_by_less_than(96, "tiny packets that nobody reads");
}

/// Packets that come share memory, 64 KiB at a time. While a game slept, the unreliable ones were dropped, and a reliable
/// one of a byte among them kept all 64 KiB: a peer could fill the memory with what counted for nothing.
#[test]
fn a_game_that_sleeps_does_not_keep_the_memory_of_packets_that_were_dropped() {
    const DATAGRAMS: u64 = 36_000;
    /// So many that the socket's buffer holds them.
    const AHEAD: u64 = 24;
    let _alone = alone();
    let mut game = Game::new();
    let mut stranger = Stranger::new(game.port());
    stranger.join(&mut game, 255, 46);
    let filler = [5; 3900];
    let memory = Memory::now();
    let before = game.server.endpoint_stats().datagrams_received;
    let (mut reliable, started) = (0, Instant::now());
    for number in 0..DATAGRAMS {
        let mut raw = stranger.header();
        if number % 16 == 0 {
            reliable += 1;
            raw = raw.reliable(0, reliable, b"x");
        }
        stranger.send(&raw.unsequenced(1, number as u16, &filler).bytes);
        if number % 8 == 0 {
            stranger.ignore_all();
        }
        // The game sleeps: the figures are read without a poll.
        while game.server.endpoint_stats().datagrams_received + AHEAD < before + number
            && started.elapsed() < BOUND
        {
            std::thread::yield_now();
        }
    }
    println!("{} MB in {:?}", DATAGRAMS * 3900 / 1_000_000, started.elapsed());
    memory.has_grown_by_less_than(90, "packets to a sleeping game");
    game.wakes_up();
    game.plays_on();
}

/// Packets that are put share memory, 64 KiB at a time. One that waited for a deaf peer kept what had gone to all the
/// others, while the deaf one's queue counted a hundred bytes.
#[test]
fn what_waits_for_a_deaf_peer_does_not_keep_what_went_to_others() {
    const PACKETS: usize = 2000;
    let _alone = alone();
    let mut game = Game::new();
    let mut deaf = Stranger::new(game.port());
    deaf.join(&mut game, 255, 47);
    let memory = Memory::now();
    for number in 0..PACKETS {
        deaf.ping();
        deaf.ignore_all();
        game.server.set_target(47);
        game.server.put_packet(&[number as u8; 100]).unwrap();
        game.server.set_target(game.honest_id);
        game.server.set_mode(TransferMode::Unreliable);
        for other in 0..16 {
            game.server.put_packet(&[other; 4000]).unwrap();
        }
        game.server.set_mode(TransferMode::Reliable);
        if number % 8 == 0 {
            game.turn();
        }
    }
    assert!(game.server.stats(47).unwrap().queued_bytes < 1 << 20);
    memory.has_grown_by_less_than(64, "packets for a deaf peer among others");
    game.plays_on();
}

#[test]
fn visitors_while_the_game_sleeps_cost_little_and_are_all_gone_when_it_wakes() {
    let _alone = alone();
    let mut game = Game::new();
    let mut visitor = Stranger::new(game.port());
    let memory = Memory::now();
    let started = Instant::now();
    let (mut visits, mut unanswered) = (0_u32, 0);
    while started.elapsed() < Duration::from_secs(1) {
        let came = visitor.visit(10_000 + visits, 10_000 + visits % 1000);
        visits += u32::from(came);
        unanswered += u32::from(!came);
    }
    println!("{visits} visits, {unanswered} unanswered");
    memory.has_grown_by_less_than(64, "visitors while the game sleeps");
    game.wakes_up();
    game.plays_on();
    game.play_until("they are gone", |game| game.server.peer_ids() == [game.honest_id]);
    let came = game.told.iter().filter(|notice| matches!(notice, Notice::PeerConnected(_))).count();
    let left = game.told.iter().filter(|notice| matches!(notice, Notice::PeerDisconnected(_))).count();
    println!("the game was told of {came} who came");
    assert!(came > 0 && came == left, "{came} came and {left} left");
}
