//! What an association is told at the start: ports, limits and timers.
//!
//! The defaults suit a game over DTLS over UDP. They are shorter than the RFC's: its second of minimal retransmission
//! time is from 1988's modems, and a player sees each of them. Browsers chose much the same.

use std::time::Duration;

/// The smallest packet that an association works with: what IPv4 carries over any path, less the headers.
pub(crate) const SMALLEST_MTU: usize = 512;

/// The largest packet: a DTLS record holds 16 KiB.
pub(crate) const LARGEST_MTU: usize = 16 * 1024;

/// What the two ends agree on elsewhere, and what this end allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether this end is the DTLS client. Only tells the two apart in their random numbers: either may connect.
    pub role_client: bool,
    /// The SCTP port here, from the session description; 5000 by custom.
    pub local_port: u16,
    /// The SCTP port there.
    pub remote_port: u16,
    /// The longest message taken. A longer one ends the association.
    pub max_message_size: usize,
    /// Bytes of an SCTP packet, its header included: what a DTLS record in a datagram leaves.
    pub mtu: usize,
    /// Bytes that may wait here, unread or incomplete. The other end is told what is left of it.
    pub receive_window: usize,
    /// Streams that this end wants to send on; the other end may allow fewer.
    pub outgoing_streams: u16,
    /// Streams that the other end may send on.
    pub incoming_streams: u16,
    /// The retransmission time-out before anything was measured.
    pub rto_initial: Duration,
    /// The least retransmission time-out. The first attempt at a loss does not wait for it; see `rtt.rs`.
    pub rto_min: Duration,
    /// The most that the time-out backs off to.
    pub rto_max: Duration,
    /// How long an acknowledgement waits for a second packet to acknowledge.
    pub sack_delay: Duration,
    /// After so long a silence the other end is asked whether it is there.
    pub heartbeat_interval: Duration,
    /// Time-outs in a row, with no answer at all, before the association is given up.
    pub max_retransmissions: u32,
    /// How long a message with a lifetime may wait for its first transmission, if its lifetime is shorter. Godot's
    /// unreliable channels live for a millisecond: without this, what exceeds the congestion window in a frame would be
    /// thrown away although the next acknowledgement makes room for it.
    pub first_send_grace: Duration,
    /// Where tags, sequence numbers and cookies come from. From the operating system's randomness.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role_client: true,
            local_port: 5000,
            remote_port: 5000,
            max_message_size: 256 * 1024,
            mtu: 1172,
            receive_window: 1024 * 1024,
            outgoing_streams: u16::MAX,
            incoming_streams: u16::MAX,
            rto_initial: Duration::from_millis(500),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(2),
            sack_delay: Duration::from_millis(20),
            heartbeat_interval: Duration::from_secs(15),
            max_retransmissions: 15,
            first_send_grace: Duration::from_millis(50),
            seed: 0,
        }
    }
}

impl Config {
    /// The same with sizes that the machine can work with.
    pub(crate) fn sane(mut self) -> Self {
        // Chunks are padded to four bytes: with a multiple of four, no fragment is.
        self.mtu = self.mtu.clamp(SMALLEST_MTU, LARGEST_MTU) & !3;
        // The RFC's least window, below which a sender could not even send a packet.
        self.receive_window = self.receive_window.clamp(1500, u32::MAX as usize / 4);
        self.outgoing_streams = self.outgoing_streams.max(1);
        self.incoming_streams = self.incoming_streams.max(1);
        self.rto_min = self.rto_min.max(Duration::from_millis(1));
        self.rto_max = self.rto_max.max(self.rto_min);
        self
    }
}
