//! Lines that are cut, and networks that change.

use std::time::{Duration, Instant};

use ferry_net::limits::Limits;
use ferry_net::reason::Reason;
use ferry_net::webrtc::{ChannelPhase, ConnectionState};

use crate::far::{Far, Stream};
use crate::line::Conditions;
use crate::pair::numbered;

fn good() -> Conditions {
    Conditions::good(Duration::from_millis(10), 1)
}

#[test]
fn a_restart_of_ice_loses_nothing() {
    let (mut far, channels) = Far::connected(good(), Limits::default(), &[numbered(1)]);
    let mut streams = [Stream::new(channels[0], 500, true)];
    for _ in 0..3 {
        Stream::run(&mut streams, &mut far, Duration::from_millis(500));
        far.ends[0].connection.restart_ice();
        far.begin();
        Stream::run(&mut streams, &mut far, Duration::from_millis(1500));
        assert_eq!(far.states(), [ConnectionState::Connected; 2]);
    }
    let [stream] = &mut streams;
    stream.all_have_come(&mut far, Duration::from_secs(5));
    println!("through restarts: {}", stream.summary());
    let most = stream.percentile(100);
    assert!(most < Duration::from_millis(500), "{most:?}");
}

#[test]
fn a_restart_begun_by_the_other_end_on_a_bad_line_loses_nothing() {
    let (mut far, channels) = Far::connected(Conditions::bad(3), Limits::default(), &[numbered(1)]);
    let mut streams = [Stream::new(channels[0], 100, true)];
    Stream::run(&mut streams, &mut far, Duration::from_millis(500));
    far.ends[1].connection.restart_ice();
    far.ends[1].connection.create_offer().expect("an offer");
    Stream::run(&mut streams, &mut far, Duration::from_secs(3));
    assert_eq!(far.states(), [ConnectionState::Connected; 2]);
    let [stream] = &mut streams;
    stream.all_have_come(&mut far, Duration::from_secs(5));
    println!("through a restart on a bad line: {}", stream.summary());
}

#[test]
fn a_line_that_was_cut_for_a_while_comes_back_with_everything() {
    let (mut far, channels) = Far::connected(good(), Limits::default(), &[numbered(1)]);
    let mut streams = [Stream::new(channels[0], 60, true)];
    Stream::run(&mut streams, &mut far, Duration::from_millis(500));
    far.line.set_cut(true);
    let cut = Instant::now();
    let mut noticed = [None; 2];
    far.until(Duration::from_secs(20), "eight seconds pass", |far| {
        streams[0].send_due(far);
        for (noticed, state) in noticed.iter_mut().zip(far.states()) {
            match state {
                ConnectionState::Connected => {}
                ConnectionState::Disconnected => {
                    noticed.get_or_insert(cut.elapsed());
                }
                other => panic!("{other:?} after {:?}", cut.elapsed()),
            }
        }
        cut.elapsed() > Duration::from_secs(8)
    });
    assert!(noticed.iter().all(Option::is_some), "disconnected: {noticed:?}");
    assert!(far.is_open(channels[0]));
    far.line.set_cut(false);
    let back = Instant::now();
    far.until(Duration::from_secs(10), "both are connected again", |far| {
        streams[0].send_due(far);
        streams[0].receive(far);
        far.states() == [ConnectionState::Connected; 2]
    });
    let connected = back.elapsed();
    let [stream] = &mut streams;
    stream.all_have_come(&mut far, Duration::from_secs(10));
    let caught_up = back.elapsed();
    println!("noticed after {noticed:?}; back after {connected:?}, caught up after {caught_up:?}");
    assert!(caught_up < Duration::from_secs(5), "{caught_up:?}");
}

#[test]
fn a_line_that_is_cut_for_good_is_a_time_out_at_all_channels() {
    let peer_timeout = Duration::from_secs(4);
    let limits = Limits { peer_timeout, ..Limits::default() };
    let (mut far, channels) = Far::connected(good(), limits, &[numbered(1), numbered(2)]);
    let mut streams = [Stream::new(channels[0], 60, true)];
    Stream::run(&mut streams, &mut far, Duration::from_millis(500));
    far.line.set_cut(true);
    let cut = Instant::now();
    far.until(peer_timeout + Duration::from_secs(1), "both have failed", |far| {
        far.states() == [ConnectionState::Failed; 2]
    });
    let took = cut.elapsed();
    for (index, end) in far.ends.iter().enumerate() {
        let farewell = end.connection.farewell();
        println!("after {took:?}: {farewell}");
        assert_eq!(farewell.reason, Reason::Timeout);
        for both in &channels {
            assert_eq!(end.connection.channel_phase(both[index]), ChannelPhase::Closed);
        }
    }
    assert!(took >= peer_timeout / 2, "too soon: {took:?}");
}
