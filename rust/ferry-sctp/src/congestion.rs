//! How much may be under way: RFC 9260, 7.2.
//!
//! Slow start, then a packet more a round trip; a loss halves the window, once for what was under way at the time. Packets
//! are numbered as they leave, retransmissions too: a window is cut again only for the loss of one that left after the cut.
//! The window only grows while it is what holds the sender back.

/// Packets of the first window. The RFC allows four kilobytes; ten packets are TCP's, and Chromium's.
const INITIAL_PACKETS: usize = 10;

/// A loss does not cut below this. The RFC says four packets, which at a loss in twenty and 100 ms there and back is less
/// than a game sends: its messages would wait, or be thrown away, for losses that are no congestion. What may be sent at the
/// start, knowing nothing, may be sent later. A silence cuts to one packet all the same.
const LEAST_PACKETS: usize = INITIAL_PACKETS;

/// Bytes that leave at once when much was acknowledged at once. More would overrun the buffers of the way's first hops.
const BURST: usize = 128 * 1024;

#[derive(Debug)]
pub(crate) struct Congestion {
    mtu: usize,
    window: usize,
    threshold: usize,
    /// Acknowledged since the window last grew, beyond slow start.
    gathered: usize,
    /// The first packet that left after the last cut.
    cut_at: u64,
    /// Something waited for room in the window.
    held_back: bool,
    burst: usize,
    cuts: u64,
}

impl Congestion {
    pub(crate) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            window: INITIAL_PACKETS * mtu,
            threshold: usize::MAX,
            gathered: 0,
            cut_at: 0,
            held_back: false,
            burst: BURST,
            cuts: 0,
        }
    }

    /// Whether something new may leave with so much under way.
    pub(crate) fn has_room(&mut self, in_flight: usize) -> bool {
        let room = in_flight < self.window;
        self.held_back |= !room;
        room && (self.burst > 0 || in_flight == 0)
    }

    /// There is nothing left to send: the window holds nobody back.
    pub(crate) fn satisfied(&mut self) {
        self.held_back = false;
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.burst = self.burst.saturating_sub(bytes);
    }

    /// An acknowledgement came: another burst may leave.
    pub(crate) fn answered(&mut self) {
        self.burst = BURST;
    }

    /// So many bytes came; `packet` is the latest of them.
    pub(crate) fn acknowledged(&mut self, bytes: usize, packet: u64) {
        if !self.held_back || packet < self.cut_at {
            return;
        }
        if self.window < self.threshold {
            self.window += bytes;
            return;
        }
        self.gathered += bytes;
        if self.gathered >= self.window {
            self.gathered -= self.window;
            self.window += self.mtu;
        }
    }

    /// This packet was lost; `next` is the number of the next one to leave.
    pub(crate) fn lost(&mut self, packet: u64, next: u64) {
        if packet < self.cut_at {
            return;
        }
        self.cut_at = next;
        self.cuts += 1;
        self.threshold = (self.window / 2).max(LEAST_PACKETS * self.mtu);
        self.window = self.threshold;
        self.gathered = 0;
    }

    /// Not even a probe was answered: begin anew, a packet at a time.
    pub(crate) fn silence(&mut self, next: u64) {
        self.threshold = (self.window / 2).max(LEAST_PACKETS * self.mtu);
        self.window = self.mtu;
        self.gathered = 0;
        self.cut_at = next;
        self.cuts += 1;
        self.burst = BURST;
    }

    /// Nothing was sent for long: what was known of the way is old.
    pub(crate) fn idle(&mut self) {
        self.window = self.window.min(INITIAL_PACKETS.max(self.window / self.mtu / 2) * self.mtu);
        self.burst = BURST;
    }

    pub(crate) fn window(&self) -> usize {
        self.window
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_once_for_what_was_under_way() {
        let mut congestion = Congestion::new(1000);
        assert!(!congestion.has_room(10_000));
        congestion.acknowledged(10_000, 5);
        assert_eq!(congestion.window(), 20_000);
        congestion.acknowledged(20_000, 5);
        congestion.lost(6, 30);
        congestion.lost(7, 31);
        assert_eq!(congestion.window(), 20_000);
        congestion.lost(30, 40);
        assert_eq!(congestion.window(), 10_000);
        congestion.lost(40, 50);
        assert_eq!((congestion.window(), congestion.cuts()), (10_000, 3));
        congestion.silence(60);
        assert_eq!(congestion.window(), 1_000);
    }

    #[test]
    fn a_sender_that_sends_little_gains_nothing() {
        let mut congestion = Congestion::new(1000);
        assert!(congestion.has_room(2_000));
        congestion.acknowledged(2_000, 5);
        assert_eq!(congestion.window(), 10_000);
    }
}
