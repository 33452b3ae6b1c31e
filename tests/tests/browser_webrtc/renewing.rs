//! Offers while the connection stands: new paths, nothing new, and two at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ferry_net::packet::Kind;
use ferry_net::webrtc::{ChannelId, ChannelPhase, ConnectionState, SignalingState};

use crate::duo::{Duo, Offers, number_of, numbered};

/// Messages a while before and after, in milliseconds between two.
const EVERY: Duration = Duration::from_millis(5);

/// Both ends send all the time; nothing is lost and nothing waits for long while `change` is made.
fn while_data_flows(duo: &mut Duo, channel: ChannelId, change: impl FnOnce(&mut Duo)) {
    duo.order(&format!("stream reliable {}", EVERY.as_millis()));
    let mut flow = Flow { channel, sent: 0, came: 0, last: Instant::now(), longest: Duration::ZERO };
    flow.pass(duo, Duration::from_millis(500));
    change(duo);
    flow.pass(duo, Duration::from_millis(1500));
    let sent: u32 = duo.ask("stop reliable").parse().unwrap();
    duo.until("the rest comes", |duo| {
        flow.read(duo);
        flow.came == sent
    });
    let counted = duo.ask(&format!("count reliable {}", flow.sent));
    println!("{sent} to Ferry, longest pause {:?}; {} to the page: {counted}", flow.longest, flow.sent);
    assert!(flow.longest < Duration::from_secs(1), "{:?}", flow.longest);
}

struct Flow {
    channel: ChannelId,
    sent: u32,
    came: u32,
    last: Instant,
    longest: Duration,
}

impl Flow {
    fn pass(&mut self, duo: &mut Duo, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            duo.send(self.channel, Kind::Binary, numbered(self.sent));
            self.sent += 1;
            duo.pass(EVERY);
            self.read(duo);
        }
    }

    fn read(&mut self, duo: &Duo) {
        while let Some((_, message)) = duo.ferry.take_message(self.channel) {
            assert_eq!(number_of(&message), self.came);
            self.came += 1;
            self.longest = self.longest.max(self.last.elapsed());
            self.last = Instant::now();
        }
    }
}

fn settled(duo: &mut Duo) {
    duo.until("settled", |duo| duo.ferry.signaling() == SignalingState::Stable);
    assert_eq!(duo.ask("state"), "connected connected stable");
    assert_eq!(duo.ferry.state(), ConnectionState::Connected);
}

fn ufrags(duo: &Duo) -> Vec<(Offers, &'static str, String)> {
    let of =
        |text: &String| text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned();
    duo.descriptions.iter().map(|(from, word, text)| (*from, *word, of(text))).collect()
}

fn restarts(duo: &mut Duo, channels: &BTreeMap<&'static str, ChannelId>, who: Offers) {
    let before = duo.descriptions.len();
    while_data_flows(duo, channels["reliable"], |duo| {
        match who {
            Offers::Page => drop(duo.ask("restart")),
            Offers::Ferry => duo.ferry.restart_ice(),
        }
        duo.offer(who);
        duo.until("answered", |duo| duo.descriptions.len() == before + 2);
    });
    settled(duo);
    let ufrags = ufrags(duo);
    println!("{ufrags:?}; {}", duo.ask("path"));
    assert!(ufrags[before].2 != ufrags[0].2 && ufrags[before + 1].2 != ufrags[1].2, "{ufrags:?}");
    for (label, channel) in channels {
        duo.exchange(label, *channel, 10, 0);
    }
}

#[test]
fn either_end_restarts_ice_while_data_flows() {
    for first in [Offers::Page, Offers::Ferry] {
        for who in [Offers::Page, Offers::Ferry] {
            let Some((mut duo, channels)) = Duo::connected(first) else { return };
            println!("{first:?} offered, {who:?} restarts");
            restarts(&mut duo, &channels, who);
        }
    }
}

#[test]
fn an_offer_of_nothing_new_changes_nothing() {
    for first in [Offers::Page, Offers::Ferry] {
        let Some((mut duo, channels)) = Duo::connected(first) else { return };
        while_data_flows(&mut duo, channels["reliable"], |duo| {
            for who in [Offers::Page, Offers::Ferry, Offers::Page] {
                let before = duo.descriptions.len();
                duo.offer(who);
                duo.until("answered", |duo| duo.descriptions.len() == before + 2);
                settled(duo);
            }
        });
        let ufrags = ufrags(&duo);
        for (from, word, ufrag) in &ufrags {
            let (_, _, own) = ufrags.iter().find(|(other, ..)| other == from).unwrap();
            assert_eq!(ufrag, own, "{from:?} {word}");
        }
        assert_eq!(duo.ferry.channel_phase(channels["reliable"]), ChannelPhase::Open);
    }
}

/// One of them must give way; the other one's answer never comes.
#[test]
fn of_two_offers_at_once_one_gives_way() {
    for stubborn in [Offers::Page, Offers::Ferry] {
        let Some(mut duo) = Duo::new() else { return };
        let channels = duo.game_channels("godot");
        // Whoever does not give way does not take the other one's offer.
        duo.carriage.loses_offers_of =
            Some(if stubborn == Offers::Page { Offers::Ferry } else { Offers::Page });
        let asked = duo.order("offer");
        duo.ferry.create_offer().expect("an offer");
        duo.answer(asked);
        duo.until_open(&channels);
        settled(&mut duo);
        println!("{stubborn:?} does not give way: {:?}", ufrags(&duo));
        for (label, channel) in &channels {
            duo.exchange(label, *channel, 10, 0);
        }
    }
}
