//! How page and Ferry get to each other.

use std::time::Instant;

use ferry_net::webrtc::ConnectionState;

use crate::duo::{Carriage, Duo, Offers};

/// What is done with a connection to see that it is one.
fn exchange(
    duo: &mut Duo,
    channels: &std::collections::BTreeMap<&'static str, ferry_net::webrtc::ChannelId>,
) {
    for (label, channel) in channels {
        duo.exchange(label, *channel, 100, 1);
    }
    assert_eq!(duo.ferry.state(), ConnectionState::Connected);
    assert_eq!(duo.ask("state").split(' ').next(), Some("connected"));
}

fn connects(who: Offers, spelling: &str, carriage: Carriage) -> Option<Duo> {
    Duo::new().map(|duo| connects_with(duo, who, spelling, carriage))
}

fn connects_with(mut duo: Duo, who: Offers, spelling: &str, carriage: Carriage) -> Duo {
    duo.carriage = carriage;
    let channels = duo.game_channels(spelling);
    let begun = Instant::now();
    duo.offer(who);
    duo.until_open(&channels);
    let took = begun.elapsed();
    println!("{who:?} offers, {spelling} names: open after {took:?}; {}", duo.ask("path"));
    exchange(&mut duo, &channels);
    duo
}

#[test]
fn a_page_that_offers_is_connected_with_the_channels_of_a_web_export() {
    connects(Offers::Page, "godot", Carriage::default());
}

#[test]
fn a_page_that_answers_is_connected_with_the_channels_of_a_web_export() {
    connects(Offers::Ferry, "godot", Carriage::default());
}

#[test]
fn options_by_the_names_that_browsers_know_make_no_difference() {
    connects(Offers::Page, "known", Carriage::default());
    connects(Offers::Ferry, "known", Carriage::default());
}

/// Left to themselves, whoever answers begins the handshake.
#[test]
fn either_end_may_begin_the_encryption() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some(mut duo) = connects(who, "godot", Carriage::default()) else { return };
        assert!(duo.ask("path").contains(role_of_page(who == Offers::Ferry)), "{who:?}");
        // The offer says "active": the answer must be "passive".
        let setup = Carriage { setup: Some("active"), ..Carriage::default() };
        let mut duo = connects(who, "godot", setup).expect("a browser as before");
        let (_, _, answer) = duo.descriptions.last().expect("an answer");
        assert!(answer.contains("a=setup:passive"), "{answer}");
        println!("{}", duo.ask("path"));
    }
}

fn role_of_page(is_client: bool) -> &'static str {
    if is_client { "dtls client" } else { "dtls server" }
}

#[test]
fn a_page_whose_candidates_do_not_arrive_is_found_by_its_own_checks() {
    for who in [Offers::Page, Offers::Ferry] {
        connects(who, "godot", Carriage { without_page_candidates: true, ..Carriage::default() });
    }
}

/// Browsers hide their addresses behind names of the local network, which only its neighbours can ask for.
#[test]
fn a_page_that_hides_its_addresses_is_connected() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some(duo) = Duo::hiding() else { return };
        let duo = connects_with(duo, who, "godot", Carriage::default());
        println!("the page's candidates: {:#?}", duo.page_candidates);
        assert!(duo.page_candidates.iter().all(|line| line.contains(".local ")), "not hidden");
    }
}

/// Here the names are all there is. Chromium answers questions for them to the whole network, and not to who asked: Ferry
/// did not hear that once.
#[test]
fn a_page_that_hides_its_addresses_and_hears_no_others_is_found_by_its_names() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some(duo) = Duo::hiding() else { return };
        connects_with(duo, who, "godot", Carriage { without_ferry_candidates: true, ..Carriage::default() });
    }
}
