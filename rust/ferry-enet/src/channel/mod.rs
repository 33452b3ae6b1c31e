//! The channels of one connection: independent lines of packets, each in its own order.
//!
//! A connection may have 255 of them and mostly uses three, so a channel gets its state with its first packet,
//! either way. Called by the peer, in whose name everything here happens; each direction has its own file.

pub(crate) mod assembly;
pub(crate) mod incoming;
pub(crate) mod outgoing;
pub(crate) mod unsequenced;

use incoming::IncomingChannel;
use outgoing::OutgoingChannel;

pub(crate) struct Channel {
    number: u8,
    pub(crate) outgoing: OutgoingChannel,
    pub(crate) incoming: IncomingChannel,
}

/// All channels of a connection, by number.
pub(crate) struct Channels {
    count: u8,
    used: Vec<Channel>,
    /// For each channel number, its place in `used` plus one; zero for a channel that was never used.
    places: Box<[u8]>,
}

impl Channels {
    pub(crate) fn new(count: u8) -> Self {
        Self { count, used: Vec::new(), places: vec![0; usize::from(count)].into_boxed_slice() }
    }

    pub(crate) fn count(&self) -> u8 {
        self.count
    }

    /// Leaves only the first `count`, which a server's answer may ask for.
    pub(crate) fn limit(&mut self, count: u8) {
        self.count = self.count.min(count);
    }

    /// The channel of this number, `None` past the agreed count.
    #[inline]
    pub(crate) fn get_mut(&mut self, number: u8) -> Option<&mut Channel> {
        if number >= self.count {
            return None;
        }
        let place = self.places.get_mut(usize::from(number))?;
        if *place == 0 {
            let (outgoing, incoming) = (OutgoingChannel::default(), IncomingChannel::default());
            self.used.push(Channel { number, outgoing, incoming });
            // 255 channels at most, so the place of the last one is 255.
            *place = self.used.len() as u8;
        }
        let index = usize::from(*place) - 1;
        self.used.get_mut(index)
    }

    /// The channel of this number if it was used before.
    #[inline]
    pub(crate) fn used_mut(&mut self, number: u8) -> Option<&mut Channel> {
        let place = *self.places.get(usize::from(number))?;
        self.used.get_mut(usize::from(place).checked_sub(1)?)
    }

    /// The outgoing side of every channel that was used, with its number.
    pub(crate) fn outgoing_mut(&mut self) -> impl Iterator<Item = (u8, &mut OutgoingChannel)> {
        self.used.iter_mut().map(|channel| (channel.number, &mut channel.outgoing))
    }
}
