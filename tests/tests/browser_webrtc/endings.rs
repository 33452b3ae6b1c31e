//! How page and Ferry part, and what the other is told.

use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::packet::Kind;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelPhase, ConnectionState};

use crate::duo::{Duo, Offers, numbered};

/// What the other end hears of at once, it hears of by then.
const AT_ONCE: Duration = Duration::from_millis(700);

#[test]
fn a_page_that_closes_is_seen_to_at_once_after_what_it_sent() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some((mut duo, channels)) = Duo::connected(who) else { return };
        duo.ask("burst reliable 100");
        duo.ask("drained reliable");
        let begun = Instant::now();
        duo.order("close");
        duo.until("closed", |duo| duo.ferry.state() == ConnectionState::Closed);
        let took = begun.elapsed();
        println!("seen by Ferry after {took:?}: {}", duo.ferry.farewell());
        assert!(took < AT_ONCE, "{took:?}");
        assert_eq!(duo.ferry.farewell().reason, Reason::RemoteClose);
        assert!(channels.values().all(|channel| duo.ferry.channel_phase(*channel) == ChannelPhase::Closed));
        let messages = std::iter::from_fn(|| duo.ferry.take_message(channels["reliable"])).count();
        assert_eq!(messages, 100);
    }
}

#[test]
fn a_page_sees_at_once_that_ferry_has_closed_after_what_it_sent() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some((mut duo, channels)) = Duo::connected(who) else { return };
        for number in 0..100 {
            duo.send(channels["reliable"], Kind::Binary, numbered(number));
        }
        let begun = Instant::now();
        duo.ferry.close();
        duo.until("the page sees it", |duo| {
            channels.keys().all(|label| duo.has_happened(&format!("closed {label}")))
        });
        let took = begun.elapsed();
        println!("seen by the page after {took:?}: {:?}", duo.events);
        assert!(took < AT_ONCE, "{took:?}");
        assert_eq!(duo.ask("inbox reliable"), "100 messages, no gap");
        duo.pass(Duration::from_millis(300));
        println!("{}; {}; {:?}", duo.ask("state"), duo.ask("path"), duo.events);
    }
}

/// The browser is ended with all its parts: nobody says goodbye.
#[cfg(unix)]
#[test]
fn a_page_whose_browser_was_killed_is_given_up_in_time() {
    let limits = Limits { peer_timeout: Duration::from_secs(3), ..Limits::default() };
    let Some(mut duo) = Duo::with(limits) else { return };
    let channels = duo.connect(Offers::Page);
    duo.page.signal("KILL");
    let begun = Instant::now();
    let mut disconnected = None;
    duo.until("given up", |duo| {
        if duo.ferry.state() == ConnectionState::Disconnected {
            disconnected.get_or_insert(begun.elapsed());
        }
        duo.ferry.state() == ConnectionState::Failed
    });
    println!("disconnected {disconnected:?}, given up {:?}: {}", begun.elapsed(), duo.ferry.farewell());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(duo.ferry.farewell().reason, Reason::Timeout);
    assert!(channels.values().all(|channel| duo.ferry.channel_phase(*channel) == ChannelPhase::Closed));
}

/// Stopped for less than the time-out, and let go on: nothing is lost.
#[cfg(unix)]
#[test]
fn a_page_whose_browser_stood_still_for_a_while_comes_back() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    duo.page.signal("STOP");
    for number in 0..1000 {
        duo.send(channels["reliable"], Kind::Binary, numbered(number));
    }
    let mut seen = Vec::new();
    let begun = Instant::now();
    duo.until("some seconds", |duo| {
        if seen.last() != Some(&duo.ferry.state()) {
            seen.push(duo.ferry.state());
        }
        begun.elapsed() > Duration::from_secs(7)
    });
    duo.page.signal("CONT");
    let begun = Instant::now();
    let counted = duo.ask("count reliable 1000");
    println!("{seen:?}; {counted}, {:?} after it went on", begun.elapsed());
    duo.until("connected again", |duo| duo.ferry.state() == ConnectionState::Connected);
}
