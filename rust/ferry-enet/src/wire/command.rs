//! The twelve commands, read and written.

use super::{CONTROL_CHANNEL, Reader, Writer};

const ACKNOWLEDGE_FLAG: u8 = 1 << 7;
const UNSEQUENCED_FLAG: u8 = 1 << 6;
const NUMBER_MASK: u8 = 0x0F;

/// What a command is, as its first byte tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Acknowledge = 1,
    Connect = 2,
    VerifyConnect = 3,
    Disconnect = 4,
    Ping = 5,
    SendReliable = 6,
    SendUnreliable = 7,
    SendFragment = 8,
    SendUnsequenced = 9,
    BandwidthLimit = 10,
    ThrottleConfigure = 11,
    SendUnreliableFragment = 12,
}

impl Number {
    /// How long a command of this number is, without a packet's bytes.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Ping => 4,
            Self::SendReliable => 6,
            Self::Acknowledge | Self::Disconnect | Self::SendUnreliable | Self::SendUnsequenced => 8,
            Self::BandwidthLimit => 12,
            Self::ThrottleConfigure => 16,
            Self::SendFragment | Self::SendUnreliableFragment => 24,
            Self::VerifyConnect => 44,
            Self::Connect => 48,
        }
    }
}

/// One command as it came in. Packet data borrows from the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) channel: u8,
    pub(crate) reliable_seq: u16,
    pub(crate) wants_acknowledgement: bool,
    pub(crate) body: Body<'a>,
}

/// What follows a command's first four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// The command `seq` of this channel has arrived, in a datagram that said it was sent at `sent_time`.
    Acknowledge { seq: u16, sent_time: u16 },
    /// A client asks for a connection.
    Connect(Connect),
    /// The server grants it.
    VerifyConnect(Terms),
    /// The connection ends, `data` says why.
    Disconnect { data: u32 },
    /// Nothing but a reason to acknowledge.
    Ping,
    /// A packet that must arrive, in order.
    SendReliable { payload: &'a [u8] },
    /// A packet that may get lost, but is never late: `seq` counts since the reliable command of this number.
    SendUnreliable { seq: u16, payload: &'a [u8] },
    /// A piece of a reliable packet; each piece uses a reliable sequence number of its own.
    SendFragment(Fragment<'a>),
    /// A packet that may get lost and may come late; `group` tells repeats.
    SendUnsequenced { group: u16, payload: &'a [u8] },
    /// What the sender can take and give from now on, bytes a second, 0 for no limit.
    BandwidthLimit { incoming: u32, outgoing: u32 },
    /// How the receiver is to run its throttle.
    ThrottleConfigure(ThrottleParameters),
    /// A piece of an unreliable packet; all pieces share one unreliable sequence number.
    SendUnreliableFragment(Fragment<'a>),
}

/// How quickly a throttle reacts (see `throttle.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThrottleParameters {
    pub(crate) interval_ms: u32,
    pub(crate) acceleration: u32,
    pub(crate) deceleration: u32,
}

/// What the two ends of a connection are to agree on: the client's wishes, or the server's answer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The sender's own number for this connection, which the receiver puts into its headers.
    pub(crate) peer_id: u16,
    /// From the client, its last session numbers of this slot; from the server, the client's new ones.
    pub(crate) incoming_session: u8,
    pub(crate) outgoing_session: u8,
    pub(crate) mtu: u32,
    pub(crate) window_size: u32,
    pub(crate) channel_count: u32,
    pub(crate) incoming_bandwidth: u32,
    pub(crate) outgoing_bandwidth: u32,
    pub(crate) throttle: ThrottleParameters,
    /// Chosen by the client at random: names the connection, and comes back in the answer.
    pub(crate) connect_id: u32,
}

/// The client's side of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) wishes: Terms,
    /// The game's own word to the server.
    pub(crate) data: u32,
}

/// One piece of a packet that is larger than a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// The sequence number of the packet's first piece (reliable), or of the packet (unreliable).
    pub(crate) start_seq: u16,
    pub(crate) count: u32,
    pub(crate) number: u32,
    pub(crate) total_len: u32,
    pub(crate) offset: u32,
    pub(crate) payload: &'a [u8],
}

/// The commands of one datagram, in order. Ends at the first that cannot be read; then [`Commands::malformed`].
pub(crate) struct Commands<'a> {
    reader: Reader<'a>,
    malformed: bool,
}

impl<'a> Commands<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), malformed: false }
    }

    pub(crate) fn malformed(&self) -> bool {
        self.malformed
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    // Always: a command that is returned by value is copied in other units than it was written in, and that waits
    // for the writes, a third of the time that a datagram takes.
    #[inline(always)]
    fn next(&mut self) -> Option<Command<'a>> {
        if self.reader.is_empty() || self.malformed {
            return None;
        }
        let command = read_command(&mut self.reader);
        self.malformed = command.is_none();
        command
    }
}

#[inline(always)]
fn read_command<'a>(reader: &mut Reader<'a>) -> Option<Command<'a>> {
    let first = reader.u8()?;
    let channel = reader.u8()?;
    let reliable_seq = reader.u16()?;
    let body = read_body(first & NUMBER_MASK, reader)?;
    Some(Command { channel, reliable_seq, wants_acknowledgement: first & ACKNOWLEDGE_FLAG != 0, body })
}

#[inline(always)]
fn read_body<'a>(number: u8, reader: &mut Reader<'a>) -> Option<Body<'a>> {
    Some(match number {
        1 => Body::Acknowledge { seq: reader.u16()?, sent_time: reader.u16()? },
        2 => Body::Connect(Connect { wishes: read_terms(reader)?, data: reader.u32()? }),
        3 => Body::VerifyConnect(read_terms(reader)?),
        4 => Body::Disconnect { data: reader.u32()? },
        5 => Body::Ping,
        6 => Body::SendReliable { payload: read_payload(reader)? },
        7 => Body::SendUnreliable { seq: reader.u16()?, payload: read_payload(reader)? },
        8 => Body::SendFragment(read_fragment(reader)?),
        9 => Body::SendUnsequenced { group: reader.u16()?, payload: read_payload(reader)? },
        10 => Body::BandwidthLimit { incoming: reader.u32()?, outgoing: reader.u32()? },
        11 => Body::ThrottleConfigure(read_throttle(reader)?),
        12 => Body::SendUnreliableFragment(read_fragment(reader)?),
        _ => return None,
    })
}

#[inline]
fn read_payload<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u16()?;
    reader.bytes(usize::from(len))
}

fn read_throttle(reader: &mut Reader<'_>) -> Option<ThrottleParameters> {
    Some(ThrottleParameters {
        interval_ms: reader.u32()?,
        acceleration: reader.u32()?,
        deceleration: reader.u32()?,
    })
}

#[cold]
fn read_terms(reader: &mut Reader<'_>) -> Option<Terms> {
    Some(Terms {
        peer_id: reader.u16()?,
        incoming_session: reader.u8()?,
        outgoing_session: reader.u8()?,
        mtu: reader.u32()?,
        window_size: reader.u32()?,
        channel_count: reader.u32()?,
        incoming_bandwidth: reader.u32()?,
        outgoing_bandwidth: reader.u32()?,
        throttle: read_throttle(reader)?,
        connect_id: reader.u32()?,
    })
}

fn read_fragment<'a>(reader: &mut Reader<'a>) -> Option<Fragment<'a>> {
    let start_seq = reader.u16()?;
    let len = reader.u16()?;
    let (count, number) = (reader.u32()?, reader.u32()?);
    let (total_len, offset) = (reader.u32()?, reader.u32()?);
    let payload = reader.bytes(usize::from(len))?;
    Some(Fragment { start_seq, count, number, total_len, offset, payload })
}

impl Command<'_> {
    #[inline]
    pub(crate) fn number(&self) -> Number {
        match self.body {
            Body::Acknowledge { .. } => Number::Acknowledge,
            Body::Connect(_) => Number::Connect,
            Body::VerifyConnect(_) => Number::VerifyConnect,
            Body::Disconnect { .. } => Number::Disconnect,
            Body::Ping => Number::Ping,
            Body::SendReliable { .. } => Number::SendReliable,
            Body::SendUnreliable { .. } => Number::SendUnreliable,
            Body::SendFragment(_) => Number::SendFragment,
            Body::SendUnsequenced { .. } => Number::SendUnsequenced,
            Body::BandwidthLimit { .. } => Number::BandwidthLimit,
            Body::ThrottleConfigure(_) => Number::ThrottleConfigure,
            Body::SendUnreliableFragment(_) => Number::SendUnreliableFragment,
        }
    }

    /// A command is unsequenced if its number says so, or if it is the connection's business and nobody will
    /// acknowledge it.
    fn unsequenced(&self) -> bool {
        match self.body {
            Body::SendUnsequenced { .. } => true,
            Body::Disconnect { .. } => self.channel == CONTROL_CHANNEL && !self.wants_acknowledgement,
            _ => false,
        }
    }

    /// Writes the command, packet data and all.
    #[inline]
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let payload = self.write_head(writer);
        writer.bytes(payload);
    }

    /// Writes all of the command but the packet data at its end, which it returns.
    #[inline]
    pub(crate) fn write_head(&self, writer: &mut Writer<'_>) -> &[u8] {
        let mut first = self.number() as u8;
        if self.wants_acknowledgement {
            first |= ACKNOWLEDGE_FLAG;
        }
        if self.unsequenced() {
            first |= UNSEQUENCED_FLAG;
        }
        let [high, low] = self.reliable_seq.to_be_bytes();
        writer.array([first, self.channel, high, low]);
        match self.body {
            Body::Acknowledge { seq, sent_time } => writer.u16_pair(seq, sent_time),
            Body::SendReliable { payload } => {
                writer.u16(payload_len(payload));
                return payload;
            }
            Body::SendUnreliable { seq: number, payload }
            | Body::SendUnsequenced { group: number, payload } => {
                writer.u16_pair(number, payload_len(payload));
                return payload;
            }
            Body::SendFragment(ref fragment) | Body::SendUnreliableFragment(ref fragment) => {
                write_fragment(writer, fragment);
                return fragment.payload;
            }
            Body::Connect(Connect { ref wishes, data }) => {
                write_terms(writer, wishes);
                writer.u32(data);
            }
            Body::VerifyConnect(ref terms) => write_terms(writer, terms),
            Body::Disconnect { data } => writer.u32(data),
            Body::Ping => {}
            Body::BandwidthLimit { incoming, outgoing } => {
                writer.u32(incoming);
                writer.u32(outgoing);
            }
            Body::ThrottleConfigure(parameters) => write_throttle(writer, parameters),
        }
        &[]
    }
}

fn payload_len(payload: &[u8]) -> u16 {
    u16::try_from(payload.len()).expect("a command's data is shorter than a datagram")
}

fn write_throttle(writer: &mut Writer<'_>, parameters: ThrottleParameters) {
    writer.u32(parameters.interval_ms);
    writer.u32(parameters.acceleration);
    writer.u32(parameters.deceleration);
}

fn write_terms(writer: &mut Writer<'_>, terms: &Terms) {
    writer.u16(terms.peer_id);
    writer.array([terms.incoming_session, terms.outgoing_session]);
    writer.u32(terms.mtu);
    writer.u32(terms.window_size);
    writer.u32(terms.channel_count);
    writer.u32(terms.incoming_bandwidth);
    writer.u32(terms.outgoing_bandwidth);
    write_throttle(writer, terms.throttle);
    writer.u32(terms.connect_id);
}

fn write_fragment(writer: &mut Writer<'_>, fragment: &Fragment<'_>) {
    writer.u16(fragment.start_seq);
    writer.u16(payload_len(fragment.payload));
    writer.u32(fragment.count);
    writer.u32(fragment.number);
    writer.u32(fragment.total_len);
    writer.u32(fragment.offset);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Command<'static>> {
        let throttle = ThrottleParameters { interval_ms: 5000, acceleration: 2, deceleration: 3 };
        let terms = Terms {
            peer_id: 7,
            incoming_session: 1,
            outgoing_session: 2,
            mtu: 1392,
            window_size: 65_536,
            channel_count: 255,
            incoming_bandwidth: 1,
            outgoing_bandwidth: 2,
            throttle,
            connect_id: 0xDEAD_BEEF,
        };
        let fragment =
            Fragment { start_seq: 9, count: 3, number: 1, total_len: 30, offset: 10, payload: b"0123456789" };
        [
            (CONTROL_CHANNEL, false, Body::Acknowledge { seq: 0x1234, sent_time: 0x5678 }),
            (CONTROL_CHANNEL, true, Body::Connect(Connect { wishes: terms, data: 42 })),
            (CONTROL_CHANNEL, true, Body::VerifyConnect(terms)),
            (CONTROL_CHANNEL, true, Body::Disconnect { data: 77 }),
            (CONTROL_CHANNEL, true, Body::Ping),
            (3, true, Body::SendReliable { payload: b"reliable" }),
            (3, false, Body::SendUnreliable { seq: 5, payload: b"" }),
            (3, true, Body::SendFragment(fragment)),
            (3, false, Body::SendUnsequenced { group: 6, payload: b"x" }),
            (CONTROL_CHANNEL, true, Body::BandwidthLimit { incoming: 8, outgoing: 9 }),
            (CONTROL_CHANNEL, true, Body::ThrottleConfigure(throttle)),
            (3, false, Body::SendUnreliableFragment(fragment)),
        ]
        .into_iter()
        .map(|(channel, wants_acknowledgement, body)| Command {
            channel,
            reliable_seq: 0x0A0B,
            wants_acknowledgement,
            body,
        })
        .collect()
    }

    fn written(command: &Command<'_>) -> Vec<u8> {
        let mut buffer = [0; 256];
        let mut writer = Writer::new(&mut buffer);
        command.write(&mut writer);
        let len = writer.len();
        buffer[..len].to_vec()
    }

    fn payload_len(command: &Command<'_>) -> usize {
        match command.body {
            Body::SendReliable { payload }
            | Body::SendUnreliable { payload, .. }
            | Body::SendUnsequenced { payload, .. } => payload.len(),
            Body::SendFragment(fragment) | Body::SendUnreliableFragment(fragment) => fragment.payload.len(),
            _ => 0,
        }
    }

    #[test]
    fn every_command_reads_back_as_written_and_is_as_long_as_it_says() {
        for command in samples() {
            let bytes = written(&command);
            assert_eq!(bytes.len(), command.number().size() + payload_len(&command), "{command:?}");
            let mut commands = Commands::new(&bytes);
            assert_eq!(commands.next(), Some(command));
            assert_eq!(commands.next(), None);
            assert!(!commands.malformed());
        }
    }

    #[test]
    fn every_truncation_of_every_command_is_malformed() {
        for command in samples() {
            let bytes = written(&command);
            for len in 1..bytes.len() {
                let mut commands = Commands::new(&bytes[..len]);
                assert_eq!(commands.next(), None, "{command:?} cut to {len}");
                assert!(commands.malformed());
            }
        }
    }

    #[test]
    fn unknown_numbers_are_malformed() {
        for number in [0, 13, 14, 15] {
            let bytes = [number, 0, 0, 0, 0, 0, 0, 0];
            let mut commands = Commands::new(&bytes);
            assert_eq!(commands.next(), None);
            assert!(commands.malformed());
        }
    }

    /// Bytes as the C library lays them out, written down by hand.
    #[test]
    fn the_layout_is_that_of_the_c_library() {
        let disconnect = Command {
            channel: CONTROL_CHANNEL,
            reliable_seq: 2,
            wants_acknowledgement: false,
            body: Body::Disconnect { data: 0x0102_0304 },
        };
        assert_eq!(written(&disconnect), [0x44, 0xFF, 0, 2, 1, 2, 3, 4]);
        let reliable = Command {
            channel: 1,
            reliable_seq: 0x0102,
            wants_acknowledgement: true,
            body: Body::SendReliable { payload: b"ab" },
        };
        assert_eq!(written(&reliable), [0x86, 1, 1, 2, 0, 2, b'a', b'b']);
        let unsequenced = Command {
            channel: 1,
            reliable_seq: 0,
            wants_acknowledgement: false,
            body: Body::SendUnsequenced { group: 3, payload: b"z" },
        };
        assert_eq!(written(&unsequenced), [0x49, 1, 0, 0, 0, 3, 0, 1, b'z']);
    }
}
