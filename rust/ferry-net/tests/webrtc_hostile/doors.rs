//! What happens before the encryption stands, and with those who never get that far.

use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ConnectionState, Signal};

use crate::pair::{Pair, numbered};
use crate::raw::Manners;
use crate::scene::{Meeting, on_loopback};
use crate::watch::alone;

/// Long enough to be told apart from what comes at once.
fn patient() -> Limits {
    Limits { connect_timeout: Duration::from_millis(1500), ..Limits::default() }
}

/// Connects two honest ends through a go-between that changes their descriptions, until both are over or `within` has passed.
fn with_descriptions(
    change: impl Fn(&str) -> String,
    within: Duration,
    over: impl Fn(&Pair) -> bool,
) -> (Pair, Duration) {
    let pair = Pair::with(on_loopback(), on_loopback(), patient());
    pair.negotiated(&numbered(1));
    pair.one.connection.create_offer().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < within && !over(&pair) {
        for (own, other) in [(&pair.one, &pair.two), (&pair.two, &pair.one)] {
            own.connection.begin_turn();
            while let Some(signal) = own.connection.next_signal() {
                match signal {
                    Signal::DescriptionCreated(kind, text) => {
                        own.connection.set_local_description(kind, &text).unwrap();
                        other.connection.set_remote_description(kind, &change(&text)).unwrap();
                    }
                    Signal::CandidateCreated { candidate, .. } => {
                        let _ = other.connection.add_candidate(&candidate);
                    }
                    Signal::ChannelReceived(_) => {}
                }
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (pair, begun.elapsed())
}

fn is_over(state: ConnectionState) -> bool {
    matches!(state, ConnectionState::Failed | ConnectionState::Closed)
}

fn both_are_over(pair: &Pair) -> bool {
    is_over(pair.one.connection.state()) && is_over(pair.two.connection.state())
}

#[test]
fn a_certificate_with_another_hash_is_refused_at_once_and_the_other_end_gives_up() {
    let _alone = alone();
    let change = |text: &str| {
        text.lines()
            .map(|line| match line.strip_prefix("a=fingerprint:sha-256 ") {
                Some(hash) => {
                    let other = if hash.starts_with("00") { "01" } else { "00" };
                    format!("a=fingerprint:sha-256 {other}{}\r\n", &hash[2..])
                }
                None => format!("{line}\r\n"),
            })
            .collect()
    };
    let first = std::cell::Cell::new(None);
    let begun = Instant::now();
    let over = |pair: &Pair| {
        let over = [&pair.one, &pair.two].into_iter().find(|end| is_over(end.connection.state()));
        let told = first.take().or_else(|| Some((over?.connection.farewell(), begun.elapsed())));
        first.set(told);
        both_are_over(pair)
    };
    let (pair, took) = with_descriptions(change, Duration::from_secs(4), over);
    let farewells = [pair.one.connection.farewell(), pair.two.connection.farewell()];
    println!("after {took:?}: {} / {}", farewells[0], farewells[1]);
    assert!(both_are_over(&pair), "{farewells:?}");
    assert!(farewells.iter().all(|farewell| farewell.reason == Reason::Tls));
    let (refused, after) = first.take().unwrap();
    assert!(refused.detail.contains("certificate"), "{refused}");
    assert!(after < Duration::from_millis(1200), "it does not take the time-out: {after:?}");
}

#[test]
fn a_wrong_password_is_no_path_and_says_so_in_time() {
    let _alone = alone();
    let change = |text: &str| text.replace("a=ice-pwd:", "a=ice-pwd:X");
    let (pair, took) = with_descriptions(change, Duration::from_secs(4), both_are_over);
    let farewells = [pair.one.connection.farewell(), pair.two.connection.farewell()];
    println!("after {took:?}: {} / {}", farewells[0], farewells[1]);
    for farewell in farewells {
        assert_eq!(farewell.reason, Reason::IceFailed);
        assert!(!farewell.detail.is_empty());
    }
}

#[test]
fn one_whose_certificate_is_not_the_one_told_does_not_get_in() {
    let _alone = alone();
    let mut meeting = Meeting::begin(Manners { wrong_hash: true, ..Manners::default() }, Limits::default());
    meeting.until_over();
    let farewell = meeting.victim.farewell();
    assert_eq!(farewell.reason, Reason::Tls);
    assert!(farewell.detail.contains("certificate"), "{farewell}");
    meeting.scene.plays_on("a wrong certificate");
}

#[test]
fn one_that_says_nothing_about_encryption_is_given_up_with_that_reason() {
    let _alone = alone();
    let mut meeting = Meeting::begin(Manners { silent_dtls: true, ..Manners::default() }, patient());
    let begun = Instant::now();
    meeting.until_over();
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    assert_eq!(meeting.victim.farewell().reason, Reason::Tls);
}

#[test]
fn one_that_says_nothing_once_encrypted_is_given_up_with_that_reason() {
    let _alone = alone();
    let mut meeting = Meeting::begin(Manners { silent_sctp: true, ..Manners::default() }, patient());
    let begun = Instant::now();
    meeting.until_over();
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    assert_eq!(meeting.victim.farewell().reason, Reason::ConnectTimeout);
}
