//! What the game's side does by itself, without the network thread. Connections that stand: `tests/webrtc/`.

use std::time::Duration;

use super::*;
use crate::webrtc::Persistence;
use crate::webrtc::command::Notice;

/// Far more than may wait between the threads.
const FAR_TOO_MANY: usize = 100;

const LENGTH: usize = 1 << 20;

// What was dropped between the threads counted as waiting for ever: a script that looks at it before it sends more would
// never have sent again.
#[test]
fn what_is_dropped_between_the_threads_does_not_wait_any_more() {
    let settings = Settings { longest_message: LENGTH, ..Settings::default() };
    let connection = Connection::new(settings, Limits::default()).expect("settings that make sense");
    let lossy = |number| ChannelInit {
        negotiated: Some(number),
        persistence: Persistence::Lifetime(Duration::from_millis(1)),
        ..ChannelInit::default()
    };
    let channels = [1, 2].map(|number| connection.create_channel(lossy(number)).expect("a channel"));
    // Nothing polls or flushes: no network thread takes what is put.
    for (channel, stream) in channels.into_iter().zip(1..) {
        connection.lock().see(Notice::ChannelOpened { channel, stream });
    }
    let payload = Bytes::from(vec![7; LENGTH]);
    for put in 0..FAR_TOO_MANY {
        connection.send(channels[put % 2], Kind::Binary, payload.clone()).expect("it may get lost");
    }
    let dropped = connection.endpoint_stats().packets_dropped as usize;
    assert!(dropped > FAR_TOO_MANY / 2, "{dropped} were dropped");
    let waiting = channels.map(|channel| connection.buffered_amount(channel));
    assert_eq!(waiting.iter().sum::<usize>(), (FAR_TOO_MANY - dropped) * LENGTH, "{waiting:?}");
    assert!(waiting[0].abs_diff(waiting[1]) <= LENGTH, "each channel's own: {waiting:?}");
}
