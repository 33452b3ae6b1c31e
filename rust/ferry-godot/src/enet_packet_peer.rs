//! `FerryENetPacketPeer`: one connection of a `FerryENetConnection`, with the API of the engine's `ENetPacketPeer`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferry_net::enet::{Connection, Ending, Mode, PeerStats, Phase, ThrottleConfig, Timeouts};
use ferry_net::link::{LinkError, LinkId};
use godot::classes::{IPacketPeerExtension, PacketPeerExtension};
use godot::global::Error;
use godot::meta::conv::RawPtr;
use godot::prelude::*;

use crate::convert::{self, MAX_PACKET_SIZE, link_error};
use crate::enums::{PeerState, PeerStatistic};
use crate::guard::guarded;
use crate::raw_packet::{self, LengthOut, PacketOut};

const FLAG_RELIABLE: i64 = 1;
const FLAG_UNSEQUENCED: i64 = 2;
const FLAG_UNRELIABLE_FRAGMENT: i64 = 8;
/// A packet that does not fit into a datagram beside this much travels in pieces.
const PIECE_OVERHEAD: usize = 28;

const FLAGS_ALLOWED: i64 = FLAG_RELIABLE | FLAG_UNSEQUENCED | FLAG_UNRELIABLE_FRAGMENT;

/// How a packet with these flags travels; `None` if there is an unknown one.
pub(crate) fn mode_of(flags: i64) -> Option<Mode> {
    if flags & !FLAGS_ALLOWED != 0 {
        return None;
    }
    let reliable = flags & FLAG_RELIABLE != 0;
    let unsequenced = flags & FLAG_UNSEQUENCED != 0;
    let fragment = flags & FLAG_UNRELIABLE_FRAGMENT != 0;
    Some(match (reliable, unsequenced, fragment) {
        (true, _, _) => Mode::Reliable,
        (false, true, true) => Mode::Unsequenced,
        (false, true, false) => Mode::UnsequencedUnlessLarge,
        (false, false, true) => Mode::Unreliable,
        (false, false, false) => Mode::UnreliableUnlessLarge,
    })
}

/// The flags that the receiver of a packet sees: of one that came in pieces, ENet says so.
fn flags_of(mode: Mode, in_pieces: bool) -> i64 {
    match mode {
        Mode::Reliable => FLAG_RELIABLE,
        Mode::Unsequenced | Mode::UnsequencedUnlessLarge => FLAG_UNSEQUENCED,
        Mode::Unreliable | Mode::UnreliableUnlessLarge if in_pieces => FLAG_UNRELIABLE_FRAGMENT,
        Mode::Unreliable | Mode::UnreliableUnlessLarge => 0,
    }
}

/// A connection of a [FerryENetConnection], in place of [ENetPacketPeer].
///
/// It cannot be made by scripts: [method FerryENetConnection.connect_to_host], [method FerryENetConnection.service],
/// [method FerryENetConnection.get_peers] and [method FerryENetMultiplayerPeer.get_peer] give it.
///
/// Differences from [ENetPacketPeer]: [constant PEER_ROUND_TRIP_TIME] is measured by the handshake, where ENet guesses 500
/// until a ping was answered; figures are at most 50 ms old; a packet that does not fit into the outgoing queue is an
/// error ([constant ERR_OUT_OF_MEMORY]).
#[derive(GodotClass)]
#[class(tool, no_init, base = PacketPeerExtension)]
pub(crate) struct FerryENetPacketPeer {
    base: Base<PacketPeerExtension>,
    connection: Connection,
    link: LinkId,
    received: Mutex<Received>,
}

struct Packet {
    payload: Bytes,
    flags: i64,
}

/// Packets that came, to be read one by one.
#[derive(Default)]
struct Received {
    packets: VecDeque<Packet>,
    /// The one that was read last, whose bytes the engine may still look at.
    lent: Bytes,
}

impl FerryENetPacketPeer {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn create(connection: Connection, link: LinkId) -> Gd<Self> {
        Gd::from_init_fn(|base| Self { base, connection, link, received: Mutex::default() })
    }

    /// A packet that `service` has fetched, to be read here.
    pub(crate) fn store(&self, payload: Bytes, mode: Mode) {
        let mtu = self.connection.enet_stats(self.link).map_or(0, |stats| usize::from(stats.mtu));
        let flags = flags_of(mode, payload.len() + PIECE_OVERHEAD > mtu);
        self.received().packets.push_back(Packet { payload, flags });
    }

    pub(crate) fn is_standing(&self) -> bool {
        self.connection.phase(self.link).is_some()
    }

    fn check_active(&self) -> bool {
        let active = self.is_standing();
        if !active {
            godot_error!("The peer is not connected any more.");
        }
        active
    }

    fn put(&self, channel: u8, mode: Mode, packet: Bytes) -> Error {
        match self.connection.send(self.link, channel, mode, packet) {
            Ok(()) => Error::OK,
            Err(error) => {
                godot_error!("Nothing was sent on channel {channel}: {error}.");
                // As the engine's: only numbers that no connection could have are invalid.
                if matches!(error, LinkError::NoSuchChannel(_)) { Error::FAILED } else { link_error(error) }
            }
        }
    }

    fn end(&self, how: Ending, data: i64) {
        if self.check_active() {
            self.connection.end(self.link, how, data as u32);
        }
    }
}

#[godot_api]
impl FerryENetPacketPeer {
    /// The packet arrives, in order.
    #[constant]
    const FLAG_RELIABLE: i64 = FLAG_RELIABLE;
    /// The packet may get lost or come late.
    #[constant]
    const FLAG_UNSEQUENCED: i64 = FLAG_UNSEQUENCED;
    /// The packet stays unreliable if it has to travel in pieces; without this flag, it becomes reliable then.
    #[constant]
    const FLAG_UNRELIABLE_FRAGMENT: i64 = FLAG_UNRELIABLE_FRAGMENT;
    /// What [constant PEER_PACKET_LOSS] is a part of.
    #[constant]
    const PACKET_LOSS_SCALE: i64 = 65536;
    /// What [constant PEER_PACKET_THROTTLE] is a part of.
    #[constant]
    const PACKET_THROTTLE_SCALE: i64 = 32;

    /// Asks the other end to disconnect; packets that wait are dropped. [method FerryENetConnection.service] tells when it has.
    #[func]
    fn peer_disconnect(&self, #[opt(default = 0)] data: i64) {
        self.end(Ending::Disconnect, data);
    }

    /// Disconnects once everything that was sent has arrived. [method FerryENetConnection.service] tells when it has.
    #[func]
    fn peer_disconnect_later(&self, #[opt(default = 0)] data: i64) {
        self.end(Ending::Later, data);
    }

    /// Disconnects at once, without an event here. The other end is told once; that may get lost.
    #[func]
    fn peer_disconnect_now(&self, #[opt(default = 0)] data: i64) {
        self.end(Ending::Now, data);
        self.connection.flush();
    }

    /// Asks for a sign of life. ENet does this by itself, see [method ping_interval].
    #[func]
    fn ping(&self) {
        if self.check_active() {
            self.connection.ping(self.link);
        }
    }

    /// Sets how long the connection may be silent before it is pinged, in milliseconds; 0 means the usual 500. It is about that
    /// long: a ping goes along with what leaves anyway, from half of the time on, and by itself up to an eighth later.
    #[func]
    fn ping_interval(&self, ping_interval: i64) {
        if self.check_active() {
            let interval = Duration::from_millis(u64::try_from(ping_interval).unwrap_or(0));
            self.connection.set_ping_interval(self.link, interval);
        }
    }

    /// Forgets the connection at once, without telling the other end.
    #[func]
    fn reset(&self) {
        self.end(Ending::Reset, 0);
    }

    /// Sends a packet on a channel; [code]flags[/code] are those that begin with [code]FLAG_[/code]. It leaves with the others
    /// of this frame.
    ///
    /// Returns [constant ERR_INVALID_PARAMETER] for a channel or flags that there are not, or a packet over 32 MB;
    /// [constant ERR_OUT_OF_MEMORY] if too much waits to be sent already; [constant ERR_UNCONFIGURED] and [constant FAILED] if
    /// the connection does not stand.
    #[func]
    fn send(&self, channel: i64, packet: PackedByteArray, flags: i64) -> Error {
        if !self.check_active() {
            return Error::ERR_UNCONFIGURED;
        }
        let channels = self.connection.channels(self.link).unwrap_or(0);
        let Some(channel) = u8::try_from(channel).ok().filter(|channel| *channel <= channels) else {
            godot_error!("There is no channel {channel}: the connection has {channels}.");
            return Error::ERR_INVALID_PARAMETER;
        };
        let Some(mode) = mode_of(flags) else {
            godot_error!("Invalid flags: {flags}.");
            return Error::ERR_INVALID_PARAMETER;
        };
        self.put(channel, mode, Bytes::copy_from_slice(packet.as_slice()))
    }

    /// Sets how quickly ENet thins out unreliable packets when round trips grow *and* packets get lost: the interval in
    /// milliseconds over which the best round trip is taken, and how many parts of [constant PACKET_THROTTLE_SCALE] a good or
    /// a bad one counts for.
    #[func]
    fn throttle_configure(&self, interval: i64, acceleration: i64, deceleration: i64) {
        if self.check_active() {
            let interval = Duration::from_millis(u64::from(interval as u32));
            let throttle = ThrottleConfig {
                interval,
                acceleration: acceleration as u32,
                deceleration: deceleration as u32,
            };
            self.connection.configure_throttle(self.link, throttle);
        }
    }

    /// Sets when the other end counts as gone, in milliseconds: never before [code]timeout_min[/code], at the latest after
    /// [code]timeout_max[/code] of silence, and between the two after [code]timeout[/code] times the usual answering time.
    #[func]
    fn set_timeout(&self, timeout: i64, timeout_min: i64, timeout_max: i64) {
        if !self.check_active() {
            return;
        }
        if timeout > timeout_min || timeout_min > timeout_max || timeout < 0 {
            godot_error!(
                "Timeout limit must be less than minimum timeout, which itself must be less than maximum timeout"
            );
            return;
        }
        let milliseconds = |count: i64| Duration::from_millis(u64::try_from(count).unwrap_or(0));
        // As in ENet, zero means the usual.
        let usual = Timeouts::default();
        let or_usual = |count: i64, usual: Duration| if count == 0 { usual } else { milliseconds(count) };
        let timeouts = Timeouts {
            limit: u32::try_from(timeout).ok().filter(|limit| *limit > 0).unwrap_or(usual.limit),
            minimum: or_usual(timeout_min, usual.minimum),
            maximum: or_usual(timeout_max, usual.maximum),
        };
        self.connection.set_timeouts(self.link, timeouts);
    }

    /// The flags of the next packet: [constant FLAG_RELIABLE], [constant FLAG_UNSEQUENCED] or none.
    #[func]
    fn get_packet_flags(&self) -> i64 {
        self.received().packets.front().map_or(0, |packet| packet.flags)
    }

    /// The address of the other end.
    #[func]
    fn get_remote_address(&self) -> GString {
        let address = self.connection.address(self.link).filter(|_| self.check_active());
        convert::host(address)
    }

    /// The port of the other end.
    #[func]
    fn get_remote_port(&self) -> i64 {
        let address = self.connection.address(self.link).filter(|_| self.check_active());
        convert::port(address)
    }

    /// A figure of the connection, one of those that begin with [code]PEER_[/code]; times are in whole milliseconds. See
    /// [method FerryENetMultiplayerPeer.get_peer_stats] for finer ones.
    #[func]
    fn get_statistic(&self, statistic: PeerStatistic) -> f64 {
        if !self.check_active() {
            return 0.0;
        }
        let stats = self.connection.enet_stats(self.link).unwrap_or_default();
        statistic_of(&stats, statistic.0).unwrap_or_else(|| {
            godot_error!("There is no statistic {}.", statistic.0);
            0.0
        })
    }

    /// The state of the connection, one of those that begin with [code]STATE_[/code].
    #[func]
    fn get_state(&self) -> PeerState {
        PeerState(match self.connection.phase(self.link) {
            None => 0,
            Some(Phase::Connecting) => 1,
            Some(Phase::Connected) => 5,
            Some(Phase::DisconnectLater) => 6,
            Some(Phase::Disconnecting) => 7,
        })
    }

    /// How many channels the connection has.
    #[func]
    fn get_channels(&self) -> i64 {
        let channels = self.connection.channels(self.link).filter(|_| self.check_active());
        channels.map_or(0, i64::from)
    }

    /// Whether the connection is being made, stands or is being ended.
    #[func]
    fn is_active(&self) -> bool {
        self.is_standing()
    }
}

fn statistic_of(stats: &PeerStats, statistic: i64) -> Option<f64> {
    let milliseconds = |micros: Option<u64>| micros.unwrap_or(0) as f64 / 1000.0;
    Some(match statistic {
        0 => f64::from(stats.packet_loss),
        1 => f64::from(stats.packet_loss_variance),
        2 => milliseconds(stats.packet_loss_epoch_us).floor(),
        3 => f64::from(stats.round_trip_time_ms),
        4 => f64::from(stats.round_trip_time_variance_ms),
        5 => f64::from(stats.last_round_trip_time_ms),
        6 => f64::from(stats.last_round_trip_time_variance_ms),
        7 => f64::from(stats.packet_throttle),
        8 => f64::from(stats.packet_throttle_limit),
        9 => f64::from(stats.packet_throttle_counter),
        10 => milliseconds(stats.packet_throttle_epoch_us).floor(),
        11 => f64::from(stats.packet_throttle_acceleration),
        12 => f64::from(stats.packet_throttle_deceleration),
        13 => f64::from(stats.packet_throttle_interval_ms),
        _ => return None,
    })
}

#[godot_api]
impl IPacketPeerExtension for FerryENetPacketPeer {
    #[func(gd_self)]
    unsafe fn get_packet_rawptr(this: Gd<Self>, packet: PacketOut, length: LengthOut) -> Error {
        // SAFETY: both places are the engine's, of this call.
        unsafe { raw_packet::lend_nothing(packet, length) };
        guarded(Error::FAILED, || {
            let peer = this.bind();
            let mut received = peer.received();
            let Some(Packet { payload, .. }) = received.packets.pop_front() else {
                return Error::ERR_UNAVAILABLE;
            };
            received.lent = payload;
            // SAFETY: as above; the packet stays until the next one is taken.
            unsafe { raw_packet::lend_bytes(packet, length, &received.lent) }
        })
    }

    #[func(gd_self)]
    unsafe fn put_packet_rawptr(this: Gd<Self>, packet: RawPtr<*const u8>, length: i32) -> Error {
        guarded(Error::FAILED, || {
            let peer = this.bind();
            if !peer.check_active() {
                return Error::ERR_UNCONFIGURED;
            }
            // SAFETY: both are the engine's, of this call, and the bytes are copied in it.
            let bytes = unsafe { raw_packet::borrow(packet, length) };
            peer.put(0, Mode::Reliable, Bytes::copy_from_slice(bytes))
        })
    }

    fn get_available_packet_count(&self) -> i32 {
        i32::try_from(self.received().packets.len()).unwrap_or(i32::MAX)
    }

    fn get_max_packet_size(&self) -> i32 {
        MAX_PACKET_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_enets() {
        assert_eq!(mode_of(0), Some(Mode::UnreliableUnlessLarge));
        assert_eq!(mode_of(1), Some(Mode::Reliable));
        assert_eq!(mode_of(2 | 8), Some(Mode::Unsequenced));
        assert_eq!(mode_of(8), Some(Mode::Unreliable));
        assert_eq!(mode_of(4), None);
        assert_eq!(mode_of(-1), None);
    }
}
