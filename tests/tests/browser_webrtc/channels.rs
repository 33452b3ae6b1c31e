//! Channels that one end announces to the other, and channels that one end closes.

use std::time::{Duration, Instant};

use ferry_net::packet::Kind;
use ferry_net::webrtc::{ChannelInit, ChannelPhase, ConnectionState, Persistence};

use crate::duo::{Duo, Offers, numbered, pattern};

/// What the other end hears of at once, it hears of by then.
const AT_ONCE: Duration = Duration::from_millis(700);

#[test]
fn what_the_page_announces_is_what_ferry_gets() {
    let Some((mut duo, _)) = Duo::connected(Offers::Page) else { return };
    let usual = ChannelInit { label: "usual".to_owned(), ..ChannelInit::default() };
    let cases = [
        ("{}", usual.clone()),
        (
            r#"{"protocol":"chess","ordered":false}"#,
            ChannelInit { protocol: "chess".to_owned(), unordered: true, ..usual.clone() },
        ),
        (
            r#"{"maxRetransmits":3}"#,
            ChannelInit { persistence: Persistence::Retransmits(3), ..usual.clone() },
        ),
        (
            r#"{"maxRetransmits":0,"ordered":false}"#,
            ChannelInit { persistence: Persistence::Retransmits(0), unordered: true, ..usual.clone() },
        ),
        (
            r#"{"maxPacketLifeTime":500}"#,
            ChannelInit { persistence: Persistence::Lifetime(Duration::from_millis(500)), ..usual.clone() },
        ),
        // Not a name that browsers know.
        (r#"{"maxPacketLifetime":500}"#, usual),
    ];
    for (place, (options, init)) in cases.into_iter().enumerate() {
        let label = format!("größer-{place}");
        duo.ask(&format!("make {label}\n{options}"));
        duo.until("announced", |duo| duo.received.len() > place);
        duo.ask(&format!("open {label}"));
        let channel = duo.received[place];
        assert_eq!(duo.ferry.channel_init(channel), Some(ChannelInit { label: label.clone(), ..init }));
        let shown = duo.ask(&format!("shows {label}"));
        let stream = duo.ferry.channel_stream(channel).expect("it is open");
        assert!(shown.contains(&format!("\"id\":{stream},")), "{shown} and {stream}");
        duo.send(channel, Kind::Binary, pattern(100, place));
        assert_eq!(duo.ask(&format!("next {label} {place}")), "100 bytes, the same");
        duo.ask(&format!("bytes {label} 3000 {place}"));
        assert_eq!(duo.next(channel).1, pattern(3000, place));
    }
}

#[test]
fn what_ferry_announces_is_what_the_page_gets() {
    let Some((mut duo, _)) = Duo::connected(Offers::Page) else { return };
    let usual = ChannelInit::default();
    let lifetime = Persistence::Lifetime(Duration::from_millis(500));
    let cases = [
        (usual.clone(), r#""protocol":"","ordered":true,"maxRetransmits":null,"maxPacketLifeTime":null"#),
        (
            ChannelInit { protocol: "chess".to_owned(), unordered: true, ..usual.clone() },
            r#""protocol":"chess","ordered":false,"maxRetransmits":null,"maxPacketLifeTime":null"#,
        ),
        (
            ChannelInit { persistence: Persistence::Retransmits(3), ..usual.clone() },
            r#""protocol":"","ordered":true,"maxRetransmits":3,"maxPacketLifeTime":null"#,
        ),
        (
            ChannelInit { persistence: Persistence::Retransmits(0), unordered: true, ..usual.clone() },
            r#""protocol":"","ordered":false,"maxRetransmits":0,"maxPacketLifeTime":null"#,
        ),
        (
            ChannelInit { persistence: lifetime, ..usual },
            r#""protocol":"","ordered":true,"maxRetransmits":null,"maxPacketLifeTime":500"#,
        ),
    ];
    for (place, (init, shows)) in cases.into_iter().enumerate() {
        let label = format!("größer-{place}");
        let channel =
            duo.ferry.create_channel(ChannelInit { label: label.clone(), ..init }).expect("a channel");
        // Before the page has heard of it.
        duo.until("open", |duo| duo.ferry.channel_phase(channel) == ChannelPhase::Open);
        duo.send(channel, Kind::Binary, pattern(100, place));
        duo.until("announced", |duo| duo.has_happened(&format!("received {label}")));
        let stream = duo.ferry.channel_stream(channel).expect("it is open");
        let shown = duo.ask(&format!("shows {label}"));
        assert_eq!(shown, format!(r#"{{"id":{stream},{shows},"negotiated":false,"readyState":"open"}}"#));
        assert_eq!(duo.ask(&format!("next {label} {place}")), "100 bytes, the same");
        duo.ask(&format!("bytes {label} 3000 {place}"));
        assert_eq!(duo.next(channel).1, pattern(3000, place));
    }
}

/// Each end announces several at once, before they are connected: their streams do not collide.
#[test]
fn channels_announced_by_both_ends_at_once_are_all_there() {
    for who in [Offers::Page, Offers::Ferry] {
        let Some(mut duo) = Duo::new() else { return };
        let own = |number| ChannelInit { label: format!("of-ferry-{number}"), ..ChannelInit::default() };
        let own: Vec<_> = (0..10).map(|number| duo.ferry.create_channel(own(number)).unwrap()).collect();
        for number in 0..10 {
            duo.ask(&format!("make of-page-{number}\n{{}}"));
        }
        duo.offer(who);
        duo.until("all are there", |duo| {
            let of_ferry = (0..10).all(|number| duo.has_happened(&format!("received of-ferry-{number}")));
            let of_page = (0..10).all(|number| duo.has_happened(&format!("open of-page-{number}")));
            of_ferry && of_page && duo.received.len() == 10
        });
        for (number, channel) in own.into_iter().enumerate() {
            duo.send(channel, Kind::Binary, pattern(20, number));
            assert_eq!(duo.ask(&format!("next of-ferry-{number} {number}")), "20 bytes, the same");
        }
        for channel in duo.received.clone() {
            let label = duo.ferry.channel_init(channel).expect("it is there").label;
            duo.send(channel, Kind::Text, label.clone());
            assert_eq!(duo.ask(&format!("next {label} 0")), format!("text \"{label}\""));
        }
    }
}

#[test]
fn a_channel_that_the_page_closes_is_closed_at_ferry_after_what_was_sent() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    duo.ask("burst reliable 1000");
    let begun = Instant::now();
    duo.ask("closeChannel reliable");
    duo.until("closed", |duo| duo.ferry.channel_phase(channels["reliable"]) == ChannelPhase::Closed);
    println!("seen by Ferry after {:?}", begun.elapsed());
    assert!(begun.elapsed() < AT_ONCE);
    duo.until("the page knows", |duo| duo.has_happened("closed reliable"));
    println!("and confirmed to the page after {:?}", begun.elapsed());
    let messages: Vec<_> = std::iter::from_fn(|| duo.ferry.take_message(channels["reliable"])).collect();
    assert_eq!(messages.len(), 1000);
    the_others_go_on(&mut duo, channels["ordered"]);
}

#[test]
fn a_channel_that_ferry_closes_is_closed_at_the_page_after_what_was_sent() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    for number in 0..1000 {
        duo.send(channels["reliable"], Kind::Binary, numbered(number));
    }
    let begun = Instant::now();
    duo.ferry.close_channel(channels["reliable"]);
    duo.until("the page knows", |duo| duo.has_happened("closed reliable"));
    println!("seen by the page after {:?}", begun.elapsed());
    assert!(begun.elapsed() < AT_ONCE);
    duo.until("closed", |duo| duo.ferry.channel_phase(channels["reliable"]) == ChannelPhase::Closed);
    println!("and confirmed to Ferry after {:?}", begun.elapsed());
    assert_eq!(duo.ask("inbox reliable"), "1000 messages, no gap");
    the_others_go_on(&mut duo, channels["ordered"]);
}

fn the_others_go_on(duo: &mut Duo, ordered: ferry_net::webrtc::ChannelId) {
    duo.send(ordered, Kind::Binary, pattern(10, 0));
    assert_eq!(duo.ask("next ordered 0"), "10 bytes, the same");
    duo.ask("bytes ordered 10 0");
    assert_eq!(duo.next(ordered).1, pattern(10, 0));
    assert_eq!(duo.ferry.state(), ConnectionState::Connected);
    assert!(!duo.events.iter().any(|event| event.starts_with("error")), "{:?}", duo.events);
}

/// Numbers of streams are used again, by both ends.
#[test]
fn channels_that_come_and_go_leave_nothing_behind() {
    let Some((mut duo, _)) = Duo::connected(Offers::Ferry) else { return };
    for round in 0..20 {
        let init = ChannelInit { label: format!("of-ferry-{round}"), ..ChannelInit::default() };
        let own = duo.ferry.create_channel(init).expect("a channel");
        duo.ask(&format!("make of-page-{round}\n{{}}"));
        duo.ask(&format!("open of-page-{round}"));
        duo.until("both", |duo| {
            duo.received.len() > round && duo.has_happened(&format!("received of-ferry-{round}"))
        });
        let other = duo.received[round];
        duo.send(own, Kind::Binary, pattern(20, round));
        assert_eq!(duo.ask(&format!("next of-ferry-{round} {round}")), "20 bytes, the same");
        // In turns: closed by whom it is, or by the other.
        if round % 2 == 0 {
            duo.ferry.close_channel(own);
            duo.ask(&format!("closeChannel of-page-{round}"));
        } else {
            duo.ferry.close_channel(other);
            duo.ask(&format!("closeChannel of-ferry-{round}"));
        }
        duo.until("both are closed", |duo| {
            let here = [own, other].map(|channel| duo.ferry.channel_phase(channel));
            let there =
                ["page", "ferry"].map(|whose| duo.has_happened(&format!("closed of-{whose}-{round}")));
            here == [ChannelPhase::Closed; 2] && there == [true; 2]
        });
    }
}
