//! What passes between page and Ferry.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferry_net::link::LinkError;
use ferry_net::packet::Kind;

use crate::duo::{Duo, Offers, number_of, numbered, pattern};

/// Around what fits one packet, what browsers cut large messages into, and the longest that they take.
const SIZES: [usize; 12] = [1, 2, 1000, 1150, 1151, 1172, 1200, 16_384, 65_535, 65_536, 100_000, 262_144];

const MANY: u32 = 20_000;

/// In a row, messages on loopback do not wait for a timer.
const LONGEST_PAUSE: Duration = Duration::from_millis(150);

#[test]
fn texts_and_bytes_pass_each_way_and_empty_ones_too() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    for (label, channel) in channels {
        for text in ["", "plain", "größer 𝄞"] {
            duo.send(channel, Kind::Text, text);
            assert_eq!(duo.ask(&format!("next {label} 0")), format!("text \"{text}\""), "{label}");
            duo.ask(&format!("text {label}\n{text}"));
            assert_eq!(duo.next(channel), (Kind::Text, Bytes::from(text)), "{label}");
        }
        duo.send(channel, Kind::Binary, Bytes::new());
        assert_eq!(duo.ask(&format!("next {label} 0")), "0 bytes, the same", "{label}");
        duo.ask(&format!("bytes {label} 0 0"));
        assert_eq!(duo.next(channel), (Kind::Binary, Bytes::new()), "{label}");
    }
}

#[test]
fn messages_of_all_sizes_pass_each_way() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Ferry) else { return };
    for (label, channel) in channels {
        for (seed, size) in SIZES.into_iter().enumerate() {
            duo.exchange(label, channel, size, seed);
        }
    }
}

#[test]
fn a_message_that_is_too_long_is_an_error_where_it_is_sent() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    let limit = 262_144;
    assert_eq!(duo.ask("longest"), limit.to_string());
    assert_eq!(duo.ask(&format!("attempt reliable {}", limit + 1)), "TypeError");
    let long = Bytes::from(vec![0; limit + 1]);
    let refused = duo.ferry.send(channels["reliable"], Kind::Binary, long);
    assert!(matches!(refused, Err(LinkError::OverLimit(bound)) if bound == limit), "{refused:?}");
    // Nothing was harmed.
    duo.send(channels["reliable"], Kind::Binary, pattern(10, 0));
    assert_eq!(duo.ask("next reliable 0"), "10 bytes, the same");
}

#[test]
fn twenty_thousand_messages_reach_the_page_in_order_without_a_pause() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    let counted = duo.order(&format!("count reliable {MANY}"));
    let begun = Instant::now();
    for number in 0..MANY {
        duo.send(channels["reliable"], Kind::Binary, numbered(number));
    }
    let seen = duo.answer(counted);
    println!("the page counted {seen}; {:?} with its answer", begun.elapsed());
    let pause = seen.rsplit(' ').nth(1).and_then(|pause| pause.parse().ok()).map(Duration::from_millis);
    assert!(pause.is_some_and(|pause| pause < LONGEST_PAUSE), "{seen}");
}

#[test]
fn twenty_thousand_messages_reach_ferry_in_order_without_a_pause() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Ferry) else { return };
    duo.order(&format!("burst reliable {MANY}"));
    let (begun, mut last, mut longest) = (Instant::now(), None, Duration::ZERO);
    for number in 0..MANY {
        let (_, message) = duo.next(channels["reliable"]);
        let now = Instant::now();
        longest = longest.max(last.map_or(Duration::ZERO, |last| now - last));
        last = Some(now);
        assert_eq!(number_of(&message), number);
    }
    println!("all, in {:?}, longest pause {longest:?}", begun.elapsed());
    assert!(longest < LONGEST_PAUSE, "{longest:?}");
}

/// A frame's worth at a time, on all channels together.
#[test]
fn unreliable_messages_mostly_arrive_on_a_good_line() {
    let Some((mut duo, channels)) = Duo::connected(Offers::Page) else { return };
    for label in ["ordered", "unreliable"] {
        let (frames, of_each) = (60, 10);
        duo.order(&format!("stream {label} 4"));
        for frame in 0..frames {
            for number in 0..of_each {
                duo.send(channels[label], Kind::Binary, numbered(frame * of_each + number));
            }
            duo.pass(Duration::from_millis(4));
        }
        let sent: usize = duo.ask(&format!("stop {label}")).parse().unwrap();
        duo.pass(Duration::from_millis(200));
        let came = std::iter::from_fn(|| duo.ferry.take_message(channels[label])).count();
        let seen = duo.ask(&format!("inbox {label}"));
        println!("{label}: {came} of {sent} to Ferry; to the page {seen} of {}", frames * of_each);
        let seen: u32 = seen.split(' ').next().unwrap().parse().unwrap();
        assert!(came * 10 >= sent * 9 && seen * 10 >= frames * of_each * 9, "{label}");
    }
}
