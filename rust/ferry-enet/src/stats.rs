//! Figures: what every peer and the host itself can tell of themselves.

use std::time::Duration;

/// Figures of one connection. Counts go from its beginning on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Mean round trip as ENet counts it, in milliseconds: 500 before one was measured, never below 1.
    pub round_trip_time_ms: u32,
    /// How much it scatters, likewise.
    pub round_trip_time_variance_ms: u32,
    /// The lowest mean round trip of the throttle's last interval.
    pub last_round_trip_time_ms: u32,
    /// The highest variance of that interval.
    pub last_round_trip_time_variance_ms: u32,
    /// Mean round trip by Ferry's own clock, once one was measured.
    pub rtt: Option<Duration>,
    /// Mean deviation of that.
    pub jitter: Option<Duration>,
    /// The shortest round trip so far.
    pub least_rtt: Option<Duration>,
    /// Mean loss in parts of 65536, averaged over intervals of ten seconds.
    pub packet_loss: u32,
    /// How much it scatters.
    pub packet_loss_variance: u32,
    /// When the running interval began, in microseconds of the driver's clock.
    pub packet_loss_epoch_us: Option<u64>,
    /// Parts of 32 of the unreliable packets that are sent.
    pub packet_throttle: u32,
    /// What the bandwidth settings allow it to rise to.
    pub packet_throttle_limit: u32,
    /// Where the pattern of dropping stands.
    pub packet_throttle_counter: u32,
    /// When the throttle's running interval began, in microseconds of the driver's clock.
    pub packet_throttle_epoch_us: Option<u64>,
    /// Parts of 32 that a good round trip opens the throttle by.
    pub packet_throttle_acceleration: u32,
    /// Parts of 32 that a bad one closes it by.
    pub packet_throttle_deceleration: u32,
    /// The throttle's interval, in milliseconds.
    pub packet_throttle_interval_ms: u32,
    /// Datagrams and their bytes that came from the peer and were its own.
    pub datagrams_received: u64,
    /// Bytes of those.
    pub bytes_received: u64,
    /// Datagrams that were sent to it.
    pub datagrams_sent: u64,
    /// Bytes of those.
    pub bytes_sent: u64,
    /// Packets that were delivered.
    pub packets_received: u64,
    /// Packets that were sent, wholly, at least once.
    pub packets_sent: u64,
    /// Commands that were sent again.
    pub retransmissions: u64,
    /// Commands that were sent again and whose first sending did get lost, on its way or on the answer's.
    pub confirmed_losses: u64,
    /// Unreliable packets that the throttle kept back.
    pub throttled_packets: u64,
    /// Unreliable packets that were dropped, or left to be sent again, because a queue was full, outgoing.
    pub outgoing_overflows: u64,
    /// Packets and fragments that found no room on arrival.
    pub incoming_overflows: u64,
    /// Commands that made no sense in themselves or in the connection's state.
    pub refused_commands: u64,
    /// Bytes of packets that wait to be sent or acknowledged.
    pub queued_bytes: usize,
    /// Bytes of reliable packets that are under way.
    pub bytes_in_flight: usize,
    /// Memory of packets that wait in the event queue.
    pub undelivered_bytes: usize,
    /// Memory that packets which wait for earlier ones or for their missing fragments use at most; a packet in fragments
    /// counts as if it were whole.
    pub incomplete_bytes: usize,
    /// The largest datagram both ends agreed on.
    pub mtu: u16,
    /// How many bytes of reliable packets may be under way, before the throttle.
    pub window_size: u32,
}

/// Figures of a host. Counts go from its beginning on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStats {
    /// All datagrams that were handed in.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// All datagrams that were handed out.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Datagrams that nobody here was meant by: no such peer, another address, another session.
    pub stray_datagrams: u64,
    /// Datagrams that could not be read: too short, badly compressed, a wrong checksum, a broken command.
    pub malformed_datagrams: u64,
    /// Clients that were refused with a reason.
    pub refused_connections: u64,
    /// CONNECTs that were passed over in silence: a limit, or an [`Admission`](crate::Admission) that said so.
    pub ignored_connections: u64,
    /// Handshakes that were never finished.
    pub abandoned_handshakes: u64,
    /// Connections that are being made or stand.
    pub peers: usize,
    /// Clients in the middle of the handshake.
    pub half_open: usize,
}
