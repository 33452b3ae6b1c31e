//! When one end does not read, or more is sent than the line takes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::limits::Limits;
use ferry_net::link::LinkError;
use ferry_net::packet::Kind;

use crate::duo::{Duo, Offers, number_of, numbered, pattern};

/// Some of which nothing can hold many.
const LARGE: usize = 65_536;

/// All together are what a browser's channel holds at most (16 MiB), less a little.
const LARGE_COUNT: u32 = 250;

/// The game does not read. What the page sends stays with it, and arrives once the game reads.
#[test]
fn while_ferry_does_not_read_the_page_keeps_what_it_sends() {
    let inbound = 1 << 20;
    let Some(mut duo) = Duo::with(Limits { inbound, ..Limits::default() }) else { return };
    let channels = duo.connect(Offers::Page);
    duo.ask(&format!("fill reliable {LARGE} {LARGE_COUNT}"));
    duo.pass(Duration::from_secs(2));
    let kept: usize = duo.ask("buffered reliable").parse().unwrap();
    let unread = duo.ferry.available(channels["reliable"]) * LARGE;
    println!("{kept} bytes with the page, {unread} unread with Ferry, of {}", LARGE * LARGE_COUNT as usize);
    assert!(unread <= inbound + 4 * LARGE, "{unread}");
    assert!(kept > LARGE * LARGE_COUNT as usize / 2, "{kept}");
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    for number in 0..LARGE_COUNT {
        let waited_since = Instant::now();
        let (_, message) = duo.next(channels["reliable"]);
        longest = longest.max(waited_since.elapsed());
        assert_eq!((number_of(&message), message.len()), (number, LARGE));
    }
    println!("read in {:?}, longest pause {longest:?}", begun.elapsed());
    // The page's browser once waited for its timer, which had run out twice by then: 0.8 s at least.
    assert!(longest < Duration::from_millis(600), "{longest:?}");
    assert_eq!(duo.ask("buffered reliable"), "0");
}

#[test]
fn large_messages_pass_at_a_good_rate_each_way() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Ferry) else { return };
    let bytes = LARGE * LARGE_COUNT as usize;
    let begun = Instant::now();
    duo.order(&format!("fill reliable {LARGE} {LARGE_COUNT}"));
    for number in 0..LARGE_COUNT {
        let (_, message) = duo.next(channels["reliable"]);
        assert_eq!((number_of(&message), message.len()), (number, LARGE));
    }
    println!("{bytes} bytes to Ferry in {:?}", begun.elapsed());
    for number in 0..LARGE_COUNT {
        duo.send(channels["reliable"], Kind::Binary, large(number));
    }
    let counted = duo.ask(&format!("count reliable {LARGE_COUNT}"));
    println!("{bytes} bytes to the page: {counted}; sent again: {:.4}", duo.ferry.stats().loss);
}

/// A large message that tells its place.
fn large(number: u32) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(LARGE, 0);
    Bytes::from(bytes)
}

/// The page's script stands still: its browser takes in what comes, and the script has it all afterwards.
#[test]
fn while_the_page_does_not_read_nothing_is_lost() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    let stood = duo.order("stand 2000");
    duo.pass(Duration::from_millis(100));
    for number in 0..LARGE_COUNT {
        duo.send(channels["reliable"], Kind::Binary, large(number));
    }
    duo.answer(stood);
    let seen = duo.ask(&format!("count reliable {LARGE_COUNT}"));
    println!("{seen}; rtt {:?}", duo.ferry.stats().rtt);
    assert_eq!(duo.ferry.buffered_amount(channels["reliable"]), 0);
}

/// The whole browser stands still: nobody acknowledges. Ferry's queue fills to its bound and says so.
#[cfg(unix)]
#[test]
fn a_browser_that_takes_nothing_fills_the_queue_to_its_bound() {
    let outbound = 1 << 20;
    let Some(mut duo) = Duo::with(Limits { outbound, ..Limits::default() }) else { return };
    let channels = duo.connect(Offers::Page);
    duo.page.signal("STOP");
    let mut sent = 0;
    let begun = Instant::now();
    let refused = loop {
        match duo.ferry.send(channels["reliable"], Kind::Binary, numbered(sent)) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        if sent % 100 == 0 {
            duo.pass(Duration::from_millis(1));
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no bound");
    };
    println!("{sent} taken, {} bytes wait: {refused:?}", duo.ferry.buffered_amount(channels["reliable"]));
    assert!(matches!(refused, LinkError::QueueFull(_)), "{refused:?}");
    duo.page.signal("CONT");
    let seen = duo.ask(&format!("count reliable {sent}"));
    println!("{seen}");
    assert_eq!(duo.ferry.buffered_amount(channels["reliable"]), 0);
}

/// A backlog on one channel does not hold up another.
#[test]
fn a_backlog_of_reliable_messages_does_not_hold_up_unreliable_ones() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    for _ in 0..100 {
        duo.send(channels["reliable"], Kind::Binary, vec![0; 262_144]);
    }
    duo.pass(Duration::from_millis(20));
    let begun = Instant::now();
    // One may get lost, beside so much.
    let mut sent = 0;
    loop {
        duo.send(channels["unreliable"], Kind::Binary, pattern(64, 7));
        sent += 1;
        if duo.ask("finds unreliable 64 7 100") == "true" {
            break;
        }
    }
    let waiting = duo.ferry.buffered_amount(channels["reliable"]);
    println!("{sent} sent, the first there after {:?}, while {waiting} bytes wait", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_millis(500) && waiting > 0, "{:?}", begun.elapsed());
    let begun = Instant::now();
    duo.ask("came reliable 100");
    println!("25 MiB in {:?} more", begun.elapsed());
}
