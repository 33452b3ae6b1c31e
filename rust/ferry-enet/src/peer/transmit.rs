//! Filling one datagram: acknowledgements, then control, then what must be sent again, then packets in their order.
//!
//! Called by the host for a peer that wants to transmit, with a writer over the room that the MTU leaves. A
//! datagram is closed by the first command that does not fit. A ping that is due before long goes along.

use super::send::reliable_number;
use super::{Acknowledgement, Peer, QueuedReliable};
use crate::channel::outgoing::{Reliable, ReliableBody};
use crate::time::Timestamp;
use crate::wire::{Body, CONTROL_CHANNEL, Command, MAXIMUM_DATAGRAM_COMMANDS, Number, Writer};

/// What went into a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled {
    pub(crate) commands: usize,
    /// A command wants an acknowledgement, so the header must say when it was sent.
    pub(crate) timed: bool,
    /// There was more than fits.
    pub(crate) more: bool,
}

impl Filled {
    /// Whether a command of this size still goes in; if not, there is more.
    fn admits(&mut self, size: usize, writer: &Writer<'_>) -> bool {
        let admitted = self.commands < MAXIMUM_DATAGRAM_COMMANDS && size <= writer.room();
        self.more |= !admitted;
        admitted
    }
}

/// Which queue is next.
enum Next {
    Retransmission(QueuedReliable),
    Reliable(QueuedReliable),
    Unreliable,
}

impl Peer {
    pub(crate) fn fill(&mut self, now: Timestamp, writer: &mut Writer<'_>) -> Filled {
        let mut filled = Filled::default();
        self.fill_acknowledgements(writer, &mut filled);
        let acknowledgements = filled.commands;
        let has_packets = self.next_packet(!self.window_closed).is_some();
        if acknowledgements > 0 || has_packets {
            self.let_ping_ride(now, !has_packets);
        }
        self.fill_control(now, writer, &mut filled);
        self.fill_packets(now, writer, &mut filled);
        self.loss.on_sent((filled.commands - acknowledgements) as u32);
        filled.more |= self.disconnect_if_all_arrived();
        filled
    }

    fn fill_acknowledgements(&mut self, writer: &mut Writer<'_>, filled: &mut Filled) {
        while let Some(&Acknowledgement { channel, seq, sent_time }) = self.acknowledgements.front() {
            if !filled.admits(Number::Acknowledge.size(), writer) {
                return;
            }
            self.acknowledgements.pop_front();
            let body = Body::Acknowledge { seq, sent_time };
            Command { channel, reliable_seq: seq, wants_acknowledgement: false, body }.write(writer);
            filled.commands += 1;
        }
    }

    fn fill_control(&mut self, now: Timestamp, writer: &mut Writer<'_>, filled: &mut Filled) {
        while let Some(&index) = self.control_queue.front() {
            if let Some(command) = self.control.get_mut(index) {
                if !filled.admits(reliable_number(&command.body).size(), writer) {
                    return;
                }
                let at = QueuedReliable { index, order: 0, channel: CONTROL_CHANNEL };
                let deadline = send(command, at, now, self.rtt.retransmit_after_us(), writer);
                self.sent_reliable(deadline, 0, filled);
            }
            self.control_queue.pop_front();
        }
    }

    fn fill_packets(&mut self, now: Timestamp, writer: &mut Writer<'_>, filled: &mut Filled) {
        let mut window_open = true;
        let mut room = true;
        while room && let Some(next) = self.next_packet(window_open) {
            room = match next {
                Next::Unreliable => self.fill_unreliable(writer, filled),
                Next::Retransmission(at) => {
                    self.fill_reliable(now, at, true, &mut window_open, writer, filled)
                }
                Next::Reliable(at) => self.fill_reliable(now, at, false, &mut window_open, writer, filled),
            };
        }
        self.window_closed = !window_open;
    }

    #[inline]
    fn next_packet(&self, window_open: bool) -> Option<Next> {
        let unreliable = self.unreliable.front();
        if window_open {
            if let Some(&again) = self.retransmit_queue.front() {
                return Some(Next::Retransmission(again));
            }
            if let Some(&reliable) = self.reliable_queue.front() {
                let first =
                    unreliable.is_none_or(|other| reliable.order.wrapping_sub(other.order) as i32 <= 0);
                if first {
                    return Some(Next::Reliable(reliable));
                }
            }
        }
        unreliable.map(|_| Next::Unreliable)
    }

    /// Sends one reliable command, or finds the window closed. False if the datagram is full.
    #[inline]
    fn fill_reliable(
        &mut self,
        now: Timestamp,
        at: QueuedReliable,
        again: bool,
        window_open: &mut bool,
        writer: &mut Writer<'_>,
        filled: &mut Filled,
    ) -> bool {
        let window = (self.throttle.narrow(self.window_size) as usize).max(usize::from(self.mtu));
        let patience_us = self.rtt.retransmit_after_us();
        let line = self.channels.used_mut(at.channel).map(|channel| &mut channel.outgoing.line);
        let mut payload_len = 0;
        let mut deadline = None;
        if let Some(line) = line {
            let receivable = line.receivable(at.index);
            // What is gone from the line was acknowledged after all while it waited to be sent again.
            if let Some(command) = line.get_mut(at.index) {
                payload_len = command.body.payload_len();
                if !receivable || self.bytes_in_flight + payload_len > window {
                    *window_open = false;
                    return true;
                }
                if !filled.admits(reliable_number(&command.body).size() + payload_len, writer) {
                    return false;
                }
                if command.attempts == 0 && ends_packet(&command.body) {
                    self.counters.packets_sent += 1;
                }
                deadline = Some(send(command, at, now, patience_us, writer));
            }
        }
        if let Some(deadline) = deadline {
            self.sent_reliable(deadline, payload_len, filled);
        }
        if again {
            self.retransmit_queue.pop_front();
        } else {
            self.reliable_queue.pop_front();
        }
        true
    }

    #[inline]
    fn sent_reliable(&mut self, deadline: Timestamp, payload_len: usize, filled: &mut Filled) {
        self.bytes_in_flight += payload_len;
        self.retransmit_at = Some(self.retransmit_at.map_or(deadline, |at| at.min(deadline)));
        filled.timed = true;
        filled.commands += 1;
    }

    /// Sends or thins out one unreliable command. False if the datagram is full.
    #[inline]
    fn fill_unreliable(&mut self, writer: &mut Writer<'_>, filled: &mut Filled) -> bool {
        let Some(front) = self.unreliable.front() else { return true };
        if !filled.admits(front.size, writer) {
            return false;
        }
        if front.begins_packet && !self.throttle.admits_next() {
            self.unreliable.drop_front_packet();
            self.counters.throttled_packets += 1;
            return true;
        }
        self.unreliable.write_front(writer);
        filled.commands += 1;
        self.counters.packets_sent += u64::from(front.ends_packet);
        true
    }
}

fn ends_packet(body: &ReliableBody) -> bool {
    match body {
        ReliableBody::Fragment(fragment) => fragment.is_last(),
        _ => true,
    }
}

/// Writes a reliable command and notes that it was sent. Returns when its answer is due.
#[inline]
fn send(
    command: &mut Reliable,
    at: QueuedReliable,
    now: Timestamp,
    patience_us: u32,
    writer: &mut Writer<'_>,
) -> Timestamp {
    command.attempts += 1;
    command.sent_at = now;
    command.queued = false;
    if command.patience_us == 0 {
        command.patience_us = patience_us;
    }
    let body = match &command.body {
        ReliableBody::Small(packet) => Body::SendReliable { payload: packet.as_slice() },
        ReliableBody::Packet(packet) => Body::SendReliable { payload: packet },
        ReliableBody::Fragment(fragment) => Body::SendFragment(fragment.on_wire()),
        ReliableBody::Connect(connect) => Body::Connect(**connect),
        ReliableBody::VerifyConnect(terms) => Body::VerifyConnect(**terms),
        ReliableBody::Disconnect { data } => Body::Disconnect { data: *data },
        ReliableBody::Ping => Body::Ping,
        ReliableBody::BandwidthLimit { incoming, outgoing } => {
            Body::BandwidthLimit { incoming: *incoming, outgoing: *outgoing }
        }
        ReliableBody::ThrottleConfigure(parameters) => Body::ThrottleConfigure(*parameters),
    };
    let reliable_seq = at.index as u16;
    Command { channel: at.channel, reliable_seq, wants_acknowledgement: true, body }.write(writer);
    now.after_micros(u64::from(command.patience_us))
}
