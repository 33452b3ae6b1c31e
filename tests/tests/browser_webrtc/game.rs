//! The page as a player of a game: what a web export is to a Ferry server.

use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::link::LinkId;
use ferry_net::multiplayer::{Multiplayer, Notice, Packet, Role, Status};
use ferry_net::packet::TransferMode;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{Member, Ways};
use ferry_tests::players;

use crate::duo::{Duo, Offers, pattern};

/// The page's id.
const PLAYER: i32 = 2;

/// What the other end hears of at once, it hears of by then.
const AT_ONCE: Duration = Duration::from_millis(700);

/// How long the engine's `add_peer` lets unreliable packets wait.
const LIFETIME: Duration = Duration::from_millis(1);

const MODES: [(&str, TransferMode); 3] = [
    ("reliable", TransferMode::Reliable),
    ("ordered", TransferMode::UnreliableOrdered),
    ("unreliable", TransferMode::Unreliable),
];

struct Game {
    duo: Duo,
    server: Multiplayer<Member>,
    told: Vec<Notice>,
}

impl Game {
    /// A page has joined.
    fn joined(who: Offers, limits: Limits) -> Option<Self> {
        let mut duo = Duo::with(limits)?;
        let member = Member::new(duo.ferry.clone(), Ways::new(&[]), LIFETIME).expect("a new connection");
        let mut server = Multiplayer::default();
        server.set_limits(limits);
        server.start_bringing(Role::Server, 1).expect("a server");
        server.bring(PLAYER, member, LinkId::ONLY).expect("a player");
        duo.ask("channels godot");
        duo.offer(who);
        let mut game = Self { duo, server, told: Vec::new() };
        game.until("the page joins", |game| !game.told.is_empty());
        assert_eq!(game.told, [Notice::PeerConnected(PLAYER)]);
        game.told.clear();
        Some(game)
    }

    /// Polls until this is so.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let Self { duo, server, told } = self;
        // The page is looked at by `Duo::until`, the server here.
        let mut polled = Vec::new();
        duo.until(what, |_| {
            polled.extend(players::poll(server));
            !polled.is_empty() || server.available_packets() > 0
        });
        told.extend(polled);
        if !done(self) {
            self.until(what, done);
        }
    }

    fn next_packet(&mut self) -> Packet {
        self.until("a packet comes", |game| game.server.available_packets() > 0);
        let packet = self.server.next_packet().expect("just seen").clone();
        self.server.take_packet();
        packet
    }

    /// The page goes this way: the game hears of it once, at once or within `bound`, with this reason.
    fn player_goes(mut self, bound: Duration, reason: Reason, go: impl FnOnce(&mut Duo)) {
        go(&mut self.duo);
        let begun = Instant::now();
        self.until("the page is gone", |game| game.told.len() >= 2);
        println!("{:?}: {:?}", begun.elapsed(), self.told);
        assert!(begun.elapsed() < bound, "{:?}", begun.elapsed());
        let [Notice::PeerDisconnected(PLAYER), Notice::PeerLost(PLAYER, farewell)] = &self.told[..] else {
            panic!("{:?}", self.told);
        };
        assert_eq!(farewell.reason, reason);
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until {
            assert_eq!(players::poll(&mut self.server), []);
        }
        assert_eq!(self.server.status(), Status::Connected);
    }
}

#[test]
fn a_page_is_a_player_of_a_game_and_gets_packets_of_each_mode() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some(mut game) = Game::joined(who, Limits::default()) else { return };
        for (label, mode) in MODES {
            game.server.set_target(PLAYER);
            game.server.set_mode(mode);
            game.server.put_packet(&pattern(500, 1)).expect("it is taken");
            assert_eq!(game.duo.ask(&format!("next {label} 1")), "500 bytes, the same");
            game.duo.ask(&format!("bytes {label} 700 2"));
            let packet = game.next_packet();
            assert_eq!((packet.from, packet.channel, packet.mode), (PLAYER, 0, mode));
            assert_eq!(packet.payload, pattern(700, 2));
        }
    }
}

#[test]
fn a_player_whose_page_closes_its_connection_is_gone_at_once() {
    let Some(game) = Game::joined(Offers::Page, Limits::default()) else { return };
    game.player_goes(AT_ONCE, Reason::RemoteClose, |duo| _ = duo.order("close"));
}

/// As Godot's own peer closes: its channels first.
#[test]
fn a_player_whose_page_closes_a_channel_is_gone_at_once() {
    let Some(game) = Game::joined(Offers::Ferry, Limits::default()) else { return };
    game.player_goes(AT_ONCE, Reason::RemoteClose, |duo| _ = duo.order("closeChannel ordered"));
}

#[test]
fn a_player_whose_page_goes_somewhere_else_is_gone_at_once() {
    let Some(game) = Game::joined(Offers::Page, Limits::default()) else { return };
    game.player_goes(AT_ONCE, Reason::RemoteClose, |duo| _ = duo.order("go"));
}

#[cfg(unix)]
#[test]
fn a_player_whose_browser_was_killed_is_gone_in_time() {
    let limits = Limits { peer_timeout: Duration::from_secs(2), ..Limits::default() };
    let Some(game) = Game::joined(Offers::Page, limits) else { return };
    game.player_goes(Duration::from_secs(3), Reason::Timeout, |duo| duo.page.signal("KILL"));
}

#[test]
fn a_page_that_is_kicked_sees_its_channels_closed_after_what_was_sent() {
    let Some(mut game) = Game::joined(Offers::Page, Limits::default()) else { return };
    game.server.set_target(PLAYER);
    game.server.put_packet(&pattern(500, 1)).expect("it is taken");
    game.server.disconnect_peer(PLAYER, false).expect("it is there");
    let begun = Instant::now();
    game.until("the game hears of it", |game| !game.told.is_empty());
    game.duo.until("the page hears of it", |duo| {
        MODES.iter().all(|(label, _)| duo.has_happened(&format!("closed {label}")))
    });
    println!("{:?}: {:?}; {:?}", begun.elapsed(), game.told, game.duo.events);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(game.duo.ask("next reliable 1"), "500 bytes, the same");
}
