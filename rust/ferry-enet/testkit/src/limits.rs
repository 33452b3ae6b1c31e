//! What one peer may make a host keep, by the host's settings: what the tests hold its figures against.

use ferry_enet::Config;

/// Bytes of a window: a packet up to this size that is next in its channel's order is always taken.
const WINDOW: usize = 65_536;
const CHANNELS: usize = 255;

/// A packet of `len` bytes with what it costs besides, in the smallest pieces that an honest sender makes.
fn cost(len: usize) -> usize {
    len + len / 4 + 1024
}

/// The most that may wait for earlier packets or for missing pieces: the limit; one packet of the largest size; and for
/// each channel what is next, up to a window's worth.
pub fn most_incomplete(config: &Config) -> usize {
    let next = cost(config.max_packet_size.min(WINDOW));
    config.max_incoming_incomplete + cost(config.max_packet_size) + CHANNELS * next
}

/// The most that may wait in the event queue: the limit, and all that waited for the last packet that was taken.
pub fn most_undelivered(config: &Config) -> usize {
    config.max_incoming + most_incomplete(config) + cost(config.max_packet_size.max(4096))
}
