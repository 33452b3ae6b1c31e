//! What an association has counted since it began.

/// Counts; none of them ever goes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets handed out.
    pub packets_sent: u64,
    /// Packets that came in, the faulty ones included.
    pub packets_received: u64,
    /// Packets dropped: checksum, ports, tag or shape were wrong.
    pub packets_dropped: u64,
    /// DATA chunks sent, retransmissions included.
    pub chunks_sent: u64,
    /// DATA chunks that came in, duplicates included.
    pub chunks_received: u64,
    /// DATA chunks sent again.
    pub retransmissions: u64,
    /// DATA chunks that came in again.
    pub duplicates: u64,
    /// DATA chunks dropped since they were beyond the window or made no sense.
    pub chunks_dropped: u64,
    /// Messages handed over to be sent.
    pub messages_sent: u64,
    /// Messages that came whole.
    pub messages_received: u64,
    /// Messages given up: they were lost, or never sent, and their lifetime or their retransmissions were over. Those that
    /// were only skipped early, and may have come, do not count.
    pub messages_abandoned: u64,
    /// Messages refused: empty, or handed over for a stream that is closing or does not exist, or after the end.
    pub messages_refused: u64,
    /// Times that the congestion window was cut for a loss.
    pub congestion_events: u64,
    /// Times that the retransmission timer went off.
    pub timeouts: u64,
}
