//! Datagrams that no honest end sends, or not like this.

use std::collections::VecDeque;
use std::time::Duration;

use ferry_enet_testkit::random::Random;
use ferry_net::limits::Limits;
use ferry_net::multiplayer::Status;

use crate::relay::Relay;
use crate::scene::{Game, Peer, alone, client, poll};
use crate::stranger::Stranger;

/// Longer than any datagram of ENet's, and the longest that UDP carries over loopback.
const TOO_LONG: [usize; 3] = [4097, 9000, 65_507];

/// A client whose datagrams pass a relay, in a game of an honest one.
struct Victim {
    peer: Peer,
    relay: Relay,
    id: i32,
    sent: u32,
    echoed: u32,
    /// It may be disturbed, even thrown out.
    expendable: bool,
}

impl Victim {
    fn join(game: &mut Game, expendable: bool) -> Self {
        let mut relay = Relay::new(game.port());
        let mut peer = client(relay.port(), Limits::default());
        let id = peer.unique_id();
        game.play_until("the victim gets in", |game| {
            relay.pass_on();
            poll(&mut peer);
            game.server.peer_ids().contains(&id) && peer.status() == Status::Connected
        });
        Self { peer, relay, id, sent: 0, echoed: 0, expendable }
    }

    /// The victim plays, too: numbered packets both ways, through the relay.
    fn turn(&mut self, game: &mut Game) {
        self.relay.pass_on();
        let told = poll(&mut self.peer);
        assert!(self.expendable || told.is_empty(), "the victim was told {told:?}");
        // An expendable one may be gone, at either end.
        let _ = self.peer.put_packet(&self.sent.to_le_bytes());
        game.server.set_target(self.id);
        let _ = game.server.put_packet(&self.sent.to_le_bytes());
        self.sent += 1;
        while let Some(bytes) = self.peer.take_packet() {
            assert!(self.expendable || bytes == self.echoed.to_le_bytes(), "not exactly once, and in order");
            self.echoed += 1;
        }
        self.peer.flush();
    }

    /// Its own packets have all come, each once.
    fn has_lost_nothing(&mut self, game: &mut Game) {
        let expected = u64::from(self.sent);
        game.play_until("the victim's packets arrive", |game| {
            self.relay.pass_on();
            poll(&mut self.peer);
            while let Some(bytes) = self.peer.take_packet() {
                assert_eq!(bytes, self.echoed.to_le_bytes());
                self.echoed += 1;
            }
            game.from_others >= expected && self.echoed == self.sent
        });
        assert_eq!(game.from_others, expected);
        assert!(game.server.peer_ids().contains(&self.id));
    }
}

fn random_bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.any() as u8).collect()
}

fn any<'a>(random: &mut Random, copies: &'a VecDeque<Vec<u8>>) -> Option<&'a Vec<u8>> {
    copies.get(random.below(copies.len().max(1) as u64) as usize)
}

/// What a header of the newest copy is, to put something else behind it.
fn header(copies: &VecDeque<Vec<u8>>) -> &[u8] {
    copies.back().map_or(&[], |copy| &copy[..4.min(copy.len())])
}

#[test]
fn random_datagrams_from_strangers_harm_nobody() {
    let _alone = alone();
    let mut game = Game::new();
    let strangers: Vec<Stranger> = (0..4).map(|_| Stranger::new(game.port())).collect();
    let mut random = Random::new(1);
    for round in 0..200 {
        for _ in 0..50 {
            let len = random.below(1500) as usize;
            let mut bytes = random_bytes(&mut random, len);
            // Every other one looks as if it were meant for a slot that is in use, or for a new connection.
            if round % 2 == 0 && len >= 2 {
                bytes[0] = [0x80, 0x00, 0x8F, 0x0F][random.below(4) as usize];
                bytes[1] = [0x00, 0x01, 0xFF][random.below(3) as usize];
            }
            strangers[random.below(4) as usize].send(&bytes);
        }
        game.turn();
    }
    game.plays_on();
    assert!(game.server.endpoint_stats().datagrams_rejected > 1000, "{:?}", game.server.endpoint_stats());
    assert_eq!(game.server.peer_ids(), [game.honest_id]);
}

#[test]
fn random_bytes_in_a_players_own_name_harm_nobody_else() {
    let _alone = alone();
    let mut game = Game::new();
    let mut victim = Victim::join(&mut game, true);
    let mut random = Random::new(2);
    for _ in 0..200 {
        victim.turn(&mut game);
        for _ in 0..25 {
            let len = random.below(200) as usize;
            let junk = random_bytes(&mut random, len);
            let relay = &victim.relay;
            relay.harm_server(&[header(&relay.to_server), &junk].concat());
            relay.harm_client(&[header(&relay.to_client), &junk].concat());
        }
        game.turn();
    }
    game.plays_on();
}

#[test]
fn bent_datagrams_of_a_player_harm_nobody_else() {
    let _alone = alone();
    let mut game = Game::new();
    let mut victim = Victim::join(&mut game, true);
    let stranger = Stranger::new(game.port());
    let mut random = Random::new(3);
    for _ in 0..300 {
        victim.turn(&mut game);
        for _ in 0..20 {
            for to_server in [true, false] {
                let copies = if to_server { &victim.relay.to_server } else { &victim.relay.to_client };
                let Some(mut bent) = any(&mut random, copies).cloned() else { continue };
                for _ in 0..random.between(1, 4) {
                    let place = random.below(bent.len() as u64) as usize;
                    bent[place] ^= 1 << random.below(8);
                }
                if to_server {
                    victim.relay.harm_server(&bent);
                    stranger.send(&bent);
                } else {
                    victim.relay.harm_client(&bent);
                }
            }
        }
        game.turn();
    }
    game.plays_on();
}

#[test]
fn replayed_datagrams_of_a_player_change_nothing_even_for_it() {
    let _alone = alone();
    let mut game = Game::new();
    let mut victim = Victim::join(&mut game, false);
    let stranger = Stranger::new(game.port());
    let mut random = Random::new(4);
    for _ in 0..300 {
        victim.turn(&mut game);
        for _ in 0..20 {
            if let Some(copy) = any(&mut random, &victim.relay.to_server) {
                victim.relay.harm_server(copy);
                // From elsewhere it is a stranger's.
                stranger.send(copy);
            }
            if let Some(copy) = any(&mut random, &victim.relay.to_client) {
                victim.relay.harm_client(copy);
            }
        }
        game.turn();
    }
    victim.has_lost_nothing(&mut game);
    game.plays_on();
}

#[test]
fn cut_datagrams_of_a_player_change_nothing_even_for_it() {
    let _alone = alone();
    let mut game = Game::new();
    let mut victim = Victim::join(&mut game, false);
    let stranger = Stranger::new(game.port());
    let mut random = Random::new(5);
    for _ in 0..300 {
        victim.turn(&mut game);
        let relay = &victim.relay;
        if let Some(copy) = relay.to_server.back() {
            // Every length once in a while, the short ones often: headers are there.
            for len in (0..copy.len().min(24)).chain([random.below(copy.len() as u64) as usize]) {
                relay.harm_server(&copy[..len]);
                stranger.send(&copy[..len]);
            }
        }
        if let Some(copy) = relay.to_client.back() {
            for len in (0..copy.len().min(24)).chain([random.below(copy.len() as u64) as usize]) {
                relay.harm_client(&copy[..len]);
            }
        }
        game.turn();
    }
    victim.has_lost_nothing(&mut game);
    game.plays_on();
}

#[test]
fn datagrams_that_are_too_long_change_nothing() {
    let _alone = alone();
    let mut game = Game::new();
    let mut victim = Victim::join(&mut game, false);
    let stranger = Stranger::new(game.port());
    for round in 0..60 {
        victim.turn(&mut game);
        let relay = &victim.relay;
        let len = TOO_LONG[round % TOO_LONG.len()];
        for (copies, to_server) in [(&relay.to_server, true), (&relay.to_client, false)] {
            let Some(copy) = copies.back() else { continue };
            let mut long = copy.clone();
            long.resize(len, 0);
            if to_server {
                relay.harm_server(&long);
                stranger.send(&long);
            } else {
                relay.harm_client(&long);
            }
        }
        game.turn();
        std::thread::sleep(Duration::from_millis(1));
    }
    victim.has_lost_nothing(&mut game);
    game.plays_on();
}
