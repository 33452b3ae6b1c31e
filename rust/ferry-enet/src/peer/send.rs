//! Queueing: the game's packets and the connection's own commands, until a datagram takes them.
//!
//! Four queues. Control commands (handshake, ping, goodbye) always go first; then what must be sent again; then
//! reliable and unreliable packets in the order the game sent them, except that reliable ones wait while the window is
//! full. Reliable commands live in their channel's line and stand in a queue by number; unreliable ones live in the
//! queue itself. A packet that is shared by many peers is shared memory: only its [`Bytes`] handle is copied.

use std::collections::VecDeque;

use bytes::Bytes;

use super::budget::PACKET_OVERHEAD;
use super::{Peer, QueuedReliable, State};
use crate::channel::outgoing::{ReliableBody, ReliableFragment};
use crate::error::SendError;
use crate::event::Mode;
use crate::wire::{
    CONTROL_CHANNEL, HeaderLayout, MAXIMUM_FRAGMENTS, Number, OPEN_RELIABLE_WINDOWS, RELIABLE_WINDOW_BITS,
};

/// The most pieces that a reliable packet can be in. The receiver delivers none before all are there, and takes no
/// number past its open windows, the first of which may be as good as over.
const MAXIMUM_RELIABLE_FRAGMENTS: u32 = (OPEN_RELIABLE_WINDOWS - 1) << RELIABLE_WINDOW_BITS;

/// The host's settings that sending goes by.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) checksum: bool,
    pub(crate) max_packet_size: usize,
    pub(crate) max_outgoing_reliable: usize,
    pub(crate) max_outgoing_unreliable: usize,
}

/// One unreliable command.
pub(super) struct Unreliable {
    pub(super) order: u32,
    pub(super) channel: u8,
    pub(super) reliable_seq: u16,
    pub(super) kind: UnreliableKind,
    pub(super) packet: Bytes,
}

#[derive(Clone, Copy)]
pub(super) enum UnreliableKind {
    Sequenced { seq: u16 },
    Unsequenced { group: u16 },
    Fragment { seq: u16, count: u32, number: u32, offset: u32, len: u16 },
}

impl Unreliable {
    pub(super) fn number(&self) -> Number {
        match self.kind {
            UnreliableKind::Sequenced { .. } => Number::SendUnreliable,
            UnreliableKind::Unsequenced { .. } => Number::SendUnsequenced,
            UnreliableKind::Fragment { .. } => Number::SendUnreliableFragment,
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        match self.kind {
            UnreliableKind::Fragment { offset, len, .. } => {
                &self.packet[offset as usize..offset as usize + usize::from(len)]
            }
            _ => &self.packet,
        }
    }

    /// Whether this is the first command of its packet.
    pub(super) fn begins_packet(&self) -> bool {
        !matches!(self.kind, UnreliableKind::Fragment { number: 1.., .. })
    }

    /// Whether this is the last command of its packet.
    pub(super) fn ends_packet(&self) -> bool {
        match self.kind {
            UnreliableKind::Fragment { number, count, .. } => number + 1 == count,
            _ => true,
        }
    }

    fn cost(&self) -> usize {
        self.payload().len() + PACKET_OVERHEAD
    }
}

/// Unreliable commands in order, with the memory they take.
#[derive(Default)]
pub(super) struct UnreliableQueue {
    commands: VecDeque<Unreliable>,
    bytes: usize,
}

impl UnreliableQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn front(&self) -> Option<&Unreliable> {
        self.commands.front()
    }

    pub(super) fn pop_front(&mut self) -> Option<Unreliable> {
        let command = self.commands.pop_front()?;
        self.bytes -= command.cost();
        Some(command)
    }

    /// Drops what is left of the first packet.
    pub(super) fn drop_front_packet(&mut self) {
        while let Some(command) = self.pop_front() {
            if command.ends_packet() {
                return;
            }
        }
    }

    fn push(&mut self, command: Unreliable) {
        self.bytes += command.cost();
        self.commands.push_back(command);
    }

    pub(super) fn clear(&mut self) {
        self.commands.clear();
        self.bytes = 0;
    }
}

impl Peer {
    /// Queues a packet of the game.
    pub(crate) fn send(
        &mut self,
        channel: u8,
        mode: Mode,
        packet: &Bytes,
        limits: &Limits,
    ) -> Result<(), SendError> {
        if self.state != State::Connected {
            return Err(SendError::NotConnected);
        }
        if packet.len() > limits.max_packet_size {
            return Err(SendError::TooLarge);
        }
        let piece_len = self.fragment_len(limits.checksum);
        let outgoing = &mut self.channels.get_mut(channel).ok_or(SendError::NoSuchChannel)?.outgoing;
        let used_up = outgoing.unreliable_used_up();
        if packet.len() <= piece_len {
            return match mode {
                Mode::Unsequenced | Mode::UnsequencedUnlessLarge => {
                    self.send_unsequenced(channel, packet, limits)
                }
                Mode::Unreliable | Mode::UnreliableUnlessLarge if !used_up => {
                    self.send_unreliable(channel, packet, limits)
                }
                _ => self.send_reliable(channel, packet, limits),
            };
        }
        let count = u32::try_from(packet.len().div_ceil(piece_len)).map_err(|_| SendError::TooLarge)?;
        match mode {
            Mode::Unreliable | Mode::Unsequenced if !used_up => {
                self.send_unreliable_fragments(channel, packet, piece_len, count, limits)
            }
            _ => self.send_fragments(channel, packet, piece_len, count, limits),
        }
    }

    /// The packet bytes that go into one fragment: a datagram's worth.
    fn fragment_len(&self, checksum: bool) -> usize {
        let header = HeaderLayout::new(true, checksum).commands;
        usize::from(self.mtu) - header - Number::SendFragment.size()
    }

    fn send_reliable(&mut self, channel: u8, packet: &Bytes, limits: &Limits) -> Result<(), SendError> {
        self.reserve_reliable(packet.len() + PACKET_OVERHEAD, limits)?;
        self.queue_reliable(channel, ReliableBody::Packet(packet.clone()));
        Ok(())
    }

    fn send_fragments(
        &mut self,
        channel: u8,
        packet: &Bytes,
        piece_len: usize,
        count: u32,
        limits: &Limits,
    ) -> Result<(), SendError> {
        if count > MAXIMUM_RELIABLE_FRAGMENTS {
            return Err(SendError::TooLarge);
        }
        self.reserve_reliable(packet.len() + count as usize * PACKET_OVERHEAD, limits)?;
        let mut start_seq = 0;
        for number in 0..count {
            let offset = number as usize * piece_len;
            let len = piece_len.min(packet.len() - offset);
            if number == 0 {
                let line = self.channels.get_mut(channel).map(|channel| channel.outgoing.line.last());
                start_seq = (line.unwrap_or_default() as u16).wrapping_add(1);
            }
            self.queue_reliable(
                channel,
                ReliableBody::Fragment(ReliableFragment {
                    packet: packet.clone(),
                    start_seq,
                    count,
                    number,
                    offset: offset as u32,
                    len: len as u16,
                }),
            );
        }
        Ok(())
    }

    fn reserve_reliable(&mut self, cost: usize, limits: &Limits) -> Result<(), SendError> {
        if self.reliable_bytes + cost > limits.max_outgoing_reliable {
            self.counters.outgoing_overflows += 1;
            return Err(SendError::QueueFull);
        }
        self.reliable_bytes += cost;
        Ok(())
    }

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

    fn send_unreliable(&mut self, channel: u8, packet: &Bytes, limits: &Limits) -> Result<(), SendError> {
        self.make_room_for_unreliable(packet.len() + PACKET_OVERHEAD, limits)?;
        let outgoing = &mut self.channels.get_mut(channel).ok_or(SendError::NoSuchChannel)?.outgoing;
        let (reliable_seq, seq) = outgoing.next_unreliable().ok_or(SendError::QueueFull)?;
        self.queue_unreliable(channel, reliable_seq, UnreliableKind::Sequenced { seq }, packet);
        Ok(())
    }

    fn send_unsequenced(&mut self, channel: u8, packet: &Bytes, limits: &Limits) -> Result<(), SendError> {
        self.make_room_for_unreliable(packet.len() + PACKET_OVERHEAD, limits)?;
        self.unsequenced_group = self.unsequenced_group.wrapping_add(1);
        let group = self.unsequenced_group;
        self.queue_unreliable(channel, 0, UnreliableKind::Unsequenced { group }, packet);
        Ok(())
    }

    fn send_unreliable_fragments(
        &mut self,
        channel: u8,
        packet: &Bytes,
        piece_len: usize,
        count: u32,
        limits: &Limits,
    ) -> Result<(), SendError> {
        if count > MAXIMUM_FRAGMENTS {
            return Err(SendError::TooLarge);
        }
        self.make_room_for_unreliable(packet.len() + count as usize * PACKET_OVERHEAD, limits)?;
        let outgoing = &mut self.channels.get_mut(channel).ok_or(SendError::NoSuchChannel)?.outgoing;
        let (reliable_seq, seq) = outgoing.next_unreliable().ok_or(SendError::QueueFull)?;
        for number in 0..count {
            let offset = number as usize * piece_len;
            let len = piece_len.min(packet.len() - offset) as u16;
            let kind = UnreliableKind::Fragment { seq, count, number, offset: offset as u32, len };
            self.queue_unreliable(channel, reliable_seq, kind, packet);
        }
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

    fn queue_unreliable(&mut self, channel: u8, reliable_seq: u16, kind: UnreliableKind, packet: &Bytes) {
        let order = self.next_order();
        let command = Unreliable { order, channel, reliable_seq, kind, packet: packet.clone() };
        self.outgoing_data_total += (command.number().size() + command.payload().len()) as u64;
        self.unreliable.push(command);
    }

    fn next_order(&mut self) -> u32 {
        self.queue_order = self.queue_order.wrapping_add(1);
        self.queue_order
    }

    /// Asks for an acknowledgement, whatever the ping interval.
    pub(crate) fn ping(&mut self) {
        if self.state == State::Connected && self.control_queue.len() < MAXIMUM_QUEUED_PINGS {
            self.queue_control(ReliableBody::Ping);
        }
    }

    /// Ends the connection once the other end knows; at once if it does not stand yet.
    pub(crate) fn disconnect(&mut self, data: u32) {
        match self.state {
            State::Connected | State::DisconnectLater { .. } => {
                self.clear_queues();
                self.queue_control(ReliableBody::Disconnect { data });
                self.state = State::Disconnecting;
            }
            State::Connecting | State::AcknowledgingConnect { .. } => {
                self.clear_queues();
                self.state = State::Gone;
            }
            State::Disconnecting | State::Draining { .. } | State::Gone => {}
        }
    }

    /// Ends the connection once all that is queued has arrived.
    pub(crate) fn disconnect_later(&mut self, data: u32) {
        if self.established() && !self.nothing_outgoing() {
            self.state = State::DisconnectLater { data };
        } else {
            self.disconnect(data);
        }
    }

    /// Whether a `disconnect_later` has come due; carries it out.
    pub(super) fn disconnect_if_all_arrived(&mut self) -> bool {
        let State::DisconnectLater { data } = self.state else { return false };
        let due = self.nothing_outgoing();
        if due {
            self.disconnect(data);
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

/// A game that asks for pings faster than it lets datagrams go gets no more than this many of them.
const MAXIMUM_QUEUED_PINGS: usize = 16;

/// What a reliable command is on the wire.
pub(super) fn reliable_number(body: &ReliableBody) -> Number {
    match body {
        ReliableBody::Packet(_) => Number::SendReliable,
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
