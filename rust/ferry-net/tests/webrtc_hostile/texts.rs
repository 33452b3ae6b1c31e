//! Descriptions and candidates that make no sense, as a stranger or a script may give them: an error or a connection that fails,
//! never a panic.

use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::webrtc::{Connection, ConnectionState, DescriptionKind, Signal};

use crate::line::Chance;
use crate::pair::numbered;
use crate::scene::{Scene, on_loopback};
use crate::under_attack::driver_has_panicked;
use crate::watch::{Watch, alone};

fn fresh() -> Connection {
    let limits = Limits { connect_timeout: Duration::from_millis(300), ..Limits::default() };
    let connection = Connection::new(on_loopback(), limits).unwrap();
    connection.create_channel(numbered(1)).unwrap();
    connection
}

/// An offer with its candidates, as an honest end makes it.
fn offer() -> (String, Vec<String>) {
    let connection = fresh();
    connection.create_offer().unwrap();
    let (mut offer, mut candidates) = (String::new(), Vec::new());
    let begun = Instant::now();
    while candidates.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        connection.begin_turn();
        while let Some(signal) = connection.next_signal() {
            match signal {
                Signal::DescriptionCreated(kind, text) => {
                    connection.set_local_description(kind, &text).unwrap();
                    offer = text;
                }
                Signal::CandidateCreated { candidate, .. } => candidates.push(candidate),
                Signal::ChannelReceived(_) => {}
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (offer, candidates)
}

/// Changes a text in one to four ways, as chance will have it; it stays UTF-8.
fn changed(text: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=chance.below(3) {
        let at = chance.below(letters.len() as u32 + 1) as usize;
        let length = chance.below(20) as usize;
        let end = (at + length).min(letters.len());
        match chance.below(6) {
            0 => drop(letters.drain(at..end)),
            1 => {
                let piece: Vec<char> = letters[at..end].to_vec();
                let place = chance.below(letters.len() as u32 + 1) as usize;
                letters.splice(place..place, piece);
            }
            2 => letters.truncate(at),
            3 => {
                let odd = ['\0', '\n', '\r', ' ', ':', '9', '-', 'ß', '\u{10FFFF}', '='];
                let letter = odd[chance.below(odd.len() as u32) as usize];
                letters.insert(at, letter);
            }
            4 if at < letters.len() => {
                letters[at] = char::from_u32(chance.below(0x500)).unwrap_or('?');
            }
            _ => {
                // A number becomes one that no type holds.
                if let Some(place) = letters.iter().skip(at).position(char::is_ascii_digit) {
                    letters.splice(at + place..at + place, "99999999999999999999".chars());
                }
            }
        }
    }
    letters.into_iter().collect()
}

#[test]
fn changed_descriptions_are_an_error_or_a_connection_that_may_fail() {
    let _alone = alone();
    let (offer, candidates) = offer();
    let mut scene = Scene::new();
    let watch = Watch::begin();
    let mut chance = Chance(1);
    let (mut errors, mut taken) = (0, 0);
    let mut alive: Vec<Connection> = Vec::new();
    for round in 0..3000 {
        let connection = fresh();
        match connection.set_remote_description(DescriptionKind::Offer, &changed(&offer, &mut chance)) {
            Err(error) => {
                let text = error.to_string();
                assert!(!text.is_empty() && text.len() < 2000, "{text}");
                errors += 1;
            }
            Ok(()) => {
                taken += 1;
                for candidate in &candidates {
                    let _ = connection.add_candidate(&changed(candidate, &mut chance));
                }
                alive.push(connection);
            }
        }
        // Those that were taken are run for a while: their drivers meet what was read.
        for connection in &alive {
            connection.begin_turn();
            while let Some(signal) = connection.next_signal() {
                if let Signal::DescriptionCreated(kind, text) = signal {
                    connection.set_local_description(kind, &text).unwrap();
                }
            }
        }
        if alive.len() > 40 {
            alive.drain(..20).for_each(|connection| connection.close());
        }
        if round % 20 == 0 {
            scene.turn();
        }
    }
    println!("{errors} errors, {taken} taken");
    assert!(errors > 100 && taken > 100);
    alive.clear();
    watch.saw_less_than(64, "changed descriptions");
    scene.plays_on("changed descriptions");
}

#[test]
fn changed_candidates_are_an_error_or_lead_nowhere() {
    let _alone = alone();
    let (offer, candidates) = offer();
    let connection = fresh();
    connection.set_remote_description(DescriptionKind::Offer, &offer).unwrap();
    let watch = Watch::begin();
    let mut chance = Chance(2);
    let mut errors = 0;
    let mut scene = Scene::new();
    for round in 0..20_000 {
        let line = changed(&candidates[0], &mut chance);
        if connection.add_candidate(&line).is_err() {
            errors += 1;
        }
        if round % 200 == 0 {
            scene.turn();
            connection.begin_turn();
            while let Some(signal) = connection.next_signal() {
                if let Signal::DescriptionCreated(kind, text) = signal {
                    connection.set_local_description(kind, &text).unwrap();
                }
            }
            if connection.state() == ConnectionState::Failed {
                break;
            }
        }
    }
    println!("{errors} errors; {:?}: {}", connection.state(), connection.farewell());
    assert!(errors > 10);
    watch.saw_less_than(16, "changed candidates");
    scene.plays_on("changed candidates");
    assert!(!driver_has_panicked());
}

#[test]
fn candidates_without_end_cost_a_bounded_amount() {
    let _alone = alone();
    let (offer, _) = offer();
    let mut scene = Scene::new();
    let connection = fresh();
    let watch = Watch::begin();
    connection.set_remote_description(DescriptionKind::Offer, &offer).unwrap();
    // Before the own description is applied, and without a poll: they wait.
    for number in 0..200_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let _ = connection.add_candidate(&format!("candidate:1 1 udp 1 10.{a}.{b}.{c} 4711 typ host"));
    }
    scene.play_for(Duration::from_millis(300));
    watch.saw_less_than(48, "200 000 candidates");
    scene.plays_on("200 000 candidates");
}
