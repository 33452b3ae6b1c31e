//! What a peer does with each command off the wire.
//!
//! The host has found the peer that a datagram is meant for and reads it command by command; each comes here. A command
//! that makes no sense, in itself or in the connection's state, ends the datagram, as with the C library: what
//! stands behind it is not read, and nothing of it is acknowledged. Everything reliable that was taken, or was taken
//! before, is acknowledged with the sent time of its datagram.

use super::budget::Inbox;
use super::{Acknowledgement, Peer, Stage, State, window_for_bandwidth};
use crate::channel::incoming::Fate;
use crate::event::{DisconnectReason, Mode};
use crate::event_queue::EventQueue;
use crate::time::Timestamp;
use crate::wire::{Body, Command, NO_PEER_ID, Number};

/// A peer that sends faster than this host lets acknowledgements go does not get more than this many: the rest of
/// its commands come again.
const MAXIMUM_ACKNOWLEDGEMENTS: usize = 4096;
/// How long an ended connection answers a DISCONNECT that comes again, counted from the last one: as long as the other
/// end, which measures the same line, is likely to try.
const DRAIN_ROUND_TRIPS: u64 = 63;
const DRAIN_LEAST_US: u64 = 5_000_000;
const DRAIN_MOST_US: u64 = 30_000_000;

/// What of the host a peer may touch while it receives.
pub(crate) struct Surroundings<'a> {
    pub(crate) events: &'a mut EventQueue,
    pub(crate) outgoing_bandwidth: u32,
    /// There, with the word to say, if a handshake that ends now must fail because the host is full.
    pub(crate) no_room_for_peer: Option<Option<u32>>,
}

/// The command is no good, and so is the rest of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Peer {
    pub(crate) fn handle_command(
        &mut self,
        now: Timestamp,
        command: &Command<'_>,
        sent_time: Option<u16>,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Refused> {
        let result = self.obey(now, command, around).and_then(|acknowledge| {
            if command.wants_acknowledgement && acknowledge {
                self.owe_acknowledgement(command, sent_time.ok_or(Refused)?);
                if self.state == State::Connected {
                    self.sign_of_life(now);
                }
            }
            Ok(())
        });
        if result.is_err() {
            self.counters.refused_commands += 1;
        }
        result
    }

    /// Carries out a command. Says whether it may be acknowledged.
    fn obey(
        &mut self,
        now: Timestamp,
        command: &Command<'_>,
        around: &mut Surroundings<'_>,
    ) -> Result<bool, Refused> {
        match command.body {
            // A CONNECT is answered by VERIFY_CONNECT or DISCONNECT; nobody's session was checked before.
            Body::Acknowledge { .. } if self.state == State::Connecting => Err(Refused),
            Body::Acknowledge { seq, sent_time } => {
                self.handle_acknowledge(now, command.channel, seq, sent_time, around);
                Ok(false)
            }
            Body::Connect(_) => Err(Refused),
            Body::VerifyConnect(ref granted) => {
                self.handle_verify_connect(now, granted, around)?;
                Ok(self.established())
            }
            Body::Disconnect { data } => {
                Ok(self.handle_disconnect(now, data, command.wants_acknowledgement, around))
            }
            _ if !self.established() => Err(Refused),
            Body::Ping => Ok(true),
            Body::BandwidthLimit { incoming, outgoing } => {
                self.incoming_bandwidth = incoming;
                self.outgoing_bandwidth = outgoing;
                self.window_size = window_for_bandwidth(around.outgoing_bandwidth, incoming);
                self.window_closed = false;
                Ok(true)
            }
            Body::ThrottleConfigure(parameters) => {
                self.throttle.parameters = parameters;
                Ok(true)
            }
            _ => self.receive_packet(command, around),
        }
    }

    fn receive_packet(
        &mut self,
        command: &Command<'_>,
        around: &mut Surroundings<'_>,
    ) -> Result<bool, Refused> {
        let incoming = &mut self.channels.get_mut(command.channel).ok_or(Refused)?.incoming;
        if self.state != State::Connected {
            // The game has said goodbye: what comes now is acknowledged, for the sender's sake, and dropped.
            return Ok(true);
        }
        let mut inbox = Inbox {
            budget: &mut self.budget,
            events: around.events,
            received: &mut self.counters.packets_received,
            peer: self.id,
            channel: command.channel,
        };
        let seq = command.reliable_seq;
        let fate = match command.body {
            Body::SendReliable { payload } => incoming.receive_reliable(seq, payload, &mut inbox),
            Body::SendUnreliable { seq: number, payload } => {
                incoming.receive_unreliable(seq, number, payload, &mut inbox)
            }
            Body::SendFragment(ref fragment) => incoming.receive_fragment(seq, fragment, &mut inbox),
            Body::SendUnreliableFragment(ref fragment) => {
                incoming.receive_unreliable_fragment(seq, fragment, &mut inbox)
            }
            Body::SendUnsequenced { group, payload } => {
                if !inbox.open() || payload.len() > inbox.budget.maximum_packet {
                    Fate::NoRoom
                } else if self.unsequenced_seen.insert(group) {
                    inbox.deliver_copy(Mode::Unsequenced, payload);
                    Fate::Taken
                } else {
                    Fate::Repeated
                }
            }
            _ => Fate::Malformed,
        };
        match fate {
            Fate::Taken | Fate::Repeated => Ok(true),
            Fate::OutOfWindow => Ok(false),
            Fate::NoRoom => {
                self.counters.incoming_overflows += 1;
                Ok(false)
            }
            Fate::TooLong => {
                // It would come again for ever, and hold up its channel.
                self.disconnect(0, DisconnectReason::PacketTooLong);
                Err(Refused)
            }
            Fate::Malformed => Err(Refused),
        }
    }

    /// The other end says goodbye. Says whether that may be acknowledged.
    fn handle_disconnect(
        &mut self,
        now: Timestamp,
        data: u32,
        wants_acknowledgement: bool,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let linger_us = u64::from(self.rtt.retransmit_after_us()) * DRAIN_ROUND_TRIPS;
        let until = now.after_micros(linger_us.clamp(DRAIN_LEAST_US, DRAIN_MOST_US));
        let draining = State::Draining { until };
        let reason = match self.state {
            State::Draining { .. } => {
                self.state = draining;
                return true;
            }
            State::Gone => return false,
            State::AcknowledgingConnect { .. } => {
                self.reset();
                return false;
            }
            State::Connecting => DisconnectReason::Refused(data),
            State::Disconnecting { reason } => reason,
            State::Connected | State::DisconnectLater { .. } => DisconnectReason::ByRemote(data),
        };
        // Whoever has not told its number yet cannot be sent an acknowledgement.
        let answer = wants_acknowledgement && self.remote_id != NO_PEER_ID;
        self.end(reason, if answer { draining } else { State::Gone }, around.events);
        answer
    }

    fn owe_acknowledgement(&mut self, command: &Command<'_>, sent_time: u16) {
        debug_assert!(self.stage() != Stage::HalfOpen && self.state != State::Gone);
        if self.acknowledgements.len() >= MAXIMUM_ACKNOWLEDGEMENTS {
            return;
        }
        self.outgoing_data_total += Number::Acknowledge.size() as u64;
        let (channel, seq) = (command.channel, command.reliable_seq);
        self.acknowledgements.push_back(Acknowledgement { channel, seq, sent_time });
    }
}
