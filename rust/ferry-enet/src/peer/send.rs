//! Queueing: the game's packets and the connection's own commands, until a datagram takes them.
//!
//! Four queues. Control commands (handshake, ping, goodbye) always go first; then what must be sent again; then
//! reliable and unreliable packets in the order the game sent them, except that reliable ones wait while the window is
//! full. Reliable commands live in their channel's line and stand in a queue by number; unreliable ones have a queue of
//! their own (`unreliable.rs`). A packet that goes to many peers and must be kept is shared memory: only its [`Bytes`]
//! handle is copied.

use bytes::Bytes;

use super::budget::PACKET_OVERHEAD;
use super::{Peer, QueuedReliable, State};
use crate::channel::outgoing::{ReliableBody, ReliableFragment, SmallPacket};
use crate::error::SendError;
use crate::event::{DisconnectReason, Mode};
use crate::wire::{
    Body, CONTROL_CHANNEL, Command, HeaderLayout, MAXIMUM_FRAGMENTS, Number, OPEN_RELIABLE_WINDOWS,
    RELIABLE_WINDOW_BITS,
};

/// The most pieces that a reliable packet can be in. The receiver delivers none before all are there, and takes no
/// number past its open windows, the first of which may be as good as over.
const MAXIMUM_RELIABLE_FRAGMENTS: u32 = (OPEN_RELIABLE_WINDOWS - 1) << RELIABLE_WINDOW_BITS;
/// Pings and the like that a peer leaves unacknowledged, out of malice perhaps, are not sent more of than this.
const MAXIMUM_CONTROL_COMMANDS: usize = 16;

/// A packet to be sent, in the memory that it comes in.
pub(crate) enum Packet<'a> {
    /// Somebody else's memory, which must be copied to be kept.
    Borrowed(&'a [u8]),
    /// Shared memory that others may need too, and its bytes if they are few.
    Shared(&'a Bytes, Option<&'a SmallPacket>),
    /// Shared memory that was handed over.
    Owned(Bytes),
}

impl Packet<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes, _) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    fn into_body(self) -> ReliableBody {
        let small = match self {
            Self::Shared(_, small) => small.copied(),
            _ => SmallPacket::new(self.bytes()),
        };
        match small {
            Some(small) => ReliableBody::Small(small),
            None => ReliableBody::Packet(self.into_shared()),
        }
    }

    fn into_shared(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Shared(bytes, _) => bytes.clone(),
            Self::Owned(bytes) => bytes,
        }
    }
}

/// The host's settings that sending goes by.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) checksum: bool,
    pub(crate) max_packet_size: usize,
    pub(crate) max_outgoing_reliable: usize,
    pub(crate) max_outgoing_unreliable: usize,
}

impl Peer {
    /// Queues a packet of the game. Borrowed memory is only shared if it must be kept.
    #[inline]
    pub(crate) fn send(
        &mut self,
        channel: u8,
        mode: Mode,
        packet: Packet<'_>,
        limits: &Limits,
    ) -> Result<(), SendError> {
        if self.state != State::Connected {
            return Err(SendError::NotConnected);
        }
        let len = packet.bytes().len();
        if len > limits.max_packet_size {
            return Err(SendError::TooLarge);
        }
        let piece_len = self.fragment_len(limits.checksum);
        let outgoing = &mut self.channels.get_mut(channel).ok_or(SendError::NoSuchChannel)?.outgoing;
        let reliable = match mode {
            Mode::Reliable => true,
            Mode::Unsequenced if len <= piece_len => false,
            Mode::UnsequencedUnlessLarge => len > piece_len,
            Mode::Unreliable | Mode::Unsequenced => outgoing.unreliable_used_up(),
            Mode::UnreliableUnlessLarge => len > piece_len || outgoing.unreliable_used_up(),
        };
        match (reliable, len <= piece_len) {
            (false, true) => self.send_unreliable(channel, mode, packet.bytes(), limits),
            (false, false) => self.send_unreliable_fragments(channel, packet, piece_len, limits),
            (true, true) => self.send_reliable(channel, packet, limits),
            (true, false) => self.send_fragments(channel, &packet.into_shared(), piece_len, limits),
        }
    }

    /// The packet bytes that go into one fragment: a datagram's worth.
    fn fragment_len(&self, checksum: bool) -> usize {
        let header = HeaderLayout::new(true, checksum).commands;
        usize::from(self.mtu) - header - Number::SendFragment.size()
    }

    #[inline]
    fn send_reliable(&mut self, channel: u8, packet: Packet<'_>, limits: &Limits) -> Result<(), SendError> {
        self.reserve_reliable(packet.bytes().len() + PACKET_OVERHEAD, limits)?;
        self.queue_reliable(channel, packet.into_body());
        Ok(())
    }

    fn send_fragments(
        &mut self,
        channel: u8,
        packet: &Bytes,
        piece_len: usize,
        limits: &Limits,
    ) -> Result<(), SendError> {
        let count = fragment_count(packet.len(), piece_len, MAXIMUM_RELIABLE_FRAGMENTS)?;
        self.reserve_reliable(packet.len() + count as usize * PACKET_OVERHEAD, limits)?;
        let last = self.channels.get_mut(channel).map_or(0, |channel| channel.outgoing.line.last());
        let start_seq = (last as u16).wrapping_add(1);
        for number in 0..count {
            let fragment =
                ReliableFragment { packet: packet.clone(), piece_len: piece_len as u16, start_seq, number };
            self.queue_reliable(channel, ReliableBody::Fragment(fragment));
        }
        Ok(())
    }

    #[inline]
    fn reserve_reliable(&mut self, cost: usize, limits: &Limits) -> Result<(), SendError> {
        if self.reliable_bytes + cost > limits.max_outgoing_reliable {
            self.counters.outgoing_overflows += 1;
            return Err(SendError::QueueFull);
        }
        self.reliable_bytes += cost;
        Ok(())
    }

    #[inline]
    fn queue_reliable(&mut self, channel: u8, body: ReliableBody) {
        self.outgoing_data_total += (reliable_number(&body).size() + body.payload_len()) as u64;
        let Some(target) = self.channels.get_mut(channel) else { return };
        let index = target.outgoing.push_reliable(body);
        self.unacknowledged += 1;
        let order = self.next_order();
        self.reliable_queue.push_back(QueuedReliable { index, order, channel });
    }

    /// Queues a command of the connection itself.
    pub(crate) fn queue_control(&mut self, body: ReliableBody) {
        self.outgoing_data_total += reliable_number(&body).size() as u64;
        self.control_queue.push_back(self.control.push(body));
        self.unacknowledged += 1;
    }

    #[inline]
    fn send_unreliable(
        &mut self,
        channel: u8,
        mode: Mode,
        payload: &[u8],
        limits: &Limits,
    ) -> Result<(), SendError> {
        self.make_room_for_unreliable(payload.len() + PACKET_OVERHEAD, limits)?;
        let (reliable_seq, body) = if matches!(mode, Mode::Unsequenced | Mode::UnsequencedUnlessLarge) {
            self.unsequenced_group = self.unsequenced_group.wrapping_add(1);
            (0, Body::SendUnsequenced { group: self.unsequenced_group, payload })
        } else {
            let outgoing = &mut self.channels.get_mut(channel).ok_or(SendError::NoSuchChannel)?.outgoing;
            let (reliable_seq, seq) = outgoing.next_unreliable().ok_or(SendError::QueueFull)?;
            (reliable_seq, Body::SendUnreliable { seq, payload })
        };
        let command = Command { channel, reliable_seq, wants_acknowledgement: false, body };
        self.outgoing_data_total += (command.number().size() + payload.len()) as u64;
        let order = self.next_order();
        self.unreliable.push(order, &command);
        Ok(())
    }

    fn send_unreliable_fragments(
        &mut self,
        channel: u8,
        packet: Packet<'_>,
        piece_len: usize,
        limits: &Limits,
    ) -> Result<(), SendError> {
        let len = packet.bytes().len();
        let count = fragment_count(len, piece_len, MAXIMUM_FRAGMENTS)?;
        self.make_room_for_unreliable(len + PACKET_OVERHEAD, limits)?;
        let outgoing = &mut self.channels.get_mut(channel).ok_or(SendError::NoSuchChannel)?.outgoing;
        let (reliable_seq, seq) = outgoing.next_unreliable().ok_or(SendError::QueueFull)?;
        self.outgoing_data_total += (count as usize * Number::SendUnreliableFragment.size() + len) as u64;
        let order = self.next_order();
        self.unreliable.push_large(order, channel, reliable_seq, seq, packet.into_shared(), piece_len, count);
        Ok(())
    }

    /// Drops the oldest unreliable packets until one of this cost fits.
    fn make_room_for_unreliable(&mut self, cost: usize, limits: &Limits) -> Result<(), SendError> {
        if cost > limits.max_outgoing_unreliable {
            self.counters.outgoing_overflows += 1;
            return Err(SendError::QueueFull);
        }
        while self.unreliable.bytes() + cost > limits.max_outgoing_unreliable {
            self.unreliable.drop_front_packet();
            self.counters.outgoing_overflows += 1;
        }
        Ok(())
    }

    /// What unreliable packets that wait to be sent take.
    pub(crate) fn unreliable_backlog(&self) -> usize {
        self.unreliable.bytes()
    }

    fn next_order(&mut self) -> u32 {
        self.queue_order = self.queue_order.wrapping_add(1);
        self.queue_order
    }

    /// Whether commands that can do without had better not be queued.
    pub(crate) fn control_congested(&self) -> bool {
        self.control.len() >= MAXIMUM_CONTROL_COMMANDS
    }

    /// Asks for an acknowledgement, whatever the ping interval.
    pub(crate) fn ping(&mut self) {
        if self.may_ping() {
            self.queue_control(ReliableBody::Ping);
        }
    }

    /// Ends the connection once the other end knows; at once if it does not stand yet.
    pub(crate) fn disconnect(&mut self, data: u32, reason: DisconnectReason) {
        match self.state {
            State::Connected | State::DisconnectLater { .. } => {
                self.clear_queues();
                self.queue_control(ReliableBody::Disconnect { data });
                self.state = State::Disconnecting { reason };
            }
            State::Connecting | State::AcknowledgingConnect { .. } => {
                self.clear_queues();
                self.state = State::Gone;
            }
            State::Disconnecting { .. } | State::Draining { .. } | State::Gone => {}
        }
    }

    /// Ends the connection once all that is queued has arrived.
    pub(crate) fn disconnect_later(&mut self, data: u32) {
        if self.established() && !self.nothing_outgoing() {
            self.state = State::DisconnectLater { data };
        } else {
            self.disconnect(data, DisconnectReason::ByUs);
        }
    }

    /// Whether a `disconnect_later` has come due; carries it out.
    pub(super) fn disconnect_if_all_arrived(&mut self) -> bool {
        let State::DisconnectLater { data } = self.state else { return false };
        let due = self.nothing_outgoing();
        if due {
            self.disconnect(data, DisconnectReason::ByUs);
        }
        due
    }

    /// Ends the connection now; the host sends a DISCONNECT along if the other end can know it.
    pub(crate) fn disconnect_now(&mut self, data: u32) {
        if self.established() {
            self.goodbye = Some(data);
        }
        self.reset();
    }

    /// Ends the connection now, without a word.
    pub(crate) fn reset(&mut self) {
        self.clear_queues();
        self.state = State::Gone;
    }
}

fn fragment_count(len: usize, piece_len: usize, maximum: u32) -> Result<u32, SendError> {
    let count = u32::try_from(len.div_ceil(piece_len)).unwrap_or(u32::MAX);
    if count > maximum { Err(SendError::TooLarge) } else { Ok(count) }
}

/// What a reliable command is on the wire.
#[inline]
pub(super) fn reliable_number(body: &ReliableBody) -> Number {
    match body {
        ReliableBody::Small(_) | ReliableBody::Packet(_) => Number::SendReliable,
        ReliableBody::Fragment(_) => Number::SendFragment,
        ReliableBody::Connect(_) => Number::Connect,
        ReliableBody::VerifyConnect(_) => Number::VerifyConnect,
        ReliableBody::Disconnect { .. } => Number::Disconnect,
        ReliableBody::Ping => Number::Ping,
        ReliableBody::BandwidthLimit { .. } => Number::BandwidthLimit,
        ReliableBody::ThrottleConfigure(_) => Number::ThrottleConfigure,
    }
}

/// The channel number of control commands is no channel's.
const _: () = assert!(CONTROL_CHANNEL == crate::wire::MAXIMUM_CHANNELS);
