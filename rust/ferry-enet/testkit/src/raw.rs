//! Datagrams written by hand: what a C client would send, or what it never would.
//!
//! Written from the protocol's description, apart from the crate's own writer, so that both would have to be wrong in
//! the same way for a test to miss it.

use ferry_enet::compress::{Compressor, RangeCoder};

/// Builds a datagram byte by byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    /// What there is so far.
    pub bytes: Vec<u8>,
}

/// The number of the connection's own channel.
pub const CONTROL: u8 = 0xFF;
/// The flag of a command that wants an acknowledgement.
pub const ACK: u8 = 0x80;

impl Raw {
    /// A header: the receiver's number for us, the session, and when it was sent.
    pub fn to_peer(peer_id: u16, session: u8, sent_time: Option<u16>) -> Self {
        let mut word = peer_id & 0x0FFF | u16::from(session & 3) << 12;
        if sent_time.is_some() {
            word |= 0x8000;
        }
        let mut raw = Self { bytes: word.to_be_bytes().to_vec() };
        if let Some(sent_time) = sent_time {
            raw.bytes.extend(sent_time.to_be_bytes());
        }
        raw
    }

    /// A header without a peer id, as before the handshake.
    pub fn to_nobody() -> Self {
        Self::to_peer(0x0FFF, 0, Some(1))
    }

    fn u16(mut self, value: u16) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    /// The first four bytes of a command.
    pub fn command(mut self, number_and_flags: u8, channel: u8, seq: u16) -> Self {
        self.bytes.extend([number_and_flags, channel]);
        self.u16(seq)
    }

    /// Anything.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// ACKNOWLEDGE of command `seq` of `channel`.
    pub fn acknowledge(self, channel: u8, seq: u16, sent_time: u16) -> Self {
        self.command(1, channel, seq).u16(seq).u16(sent_time)
    }

    /// CONNECT, with the usual wishes.
    pub fn connect(self, peer_id: u16, channels: u32, connect_id: u32, data: u32) -> Self {
        self.command(2 | ACK, CONTROL, 1)
            .u16(peer_id)
            .bytes(&[0xFF, 0xFF])
            .u32(1392)
            .u32(65_536)
            .u32(channels)
            .u32(0)
            .u32(0)
            .u32(5000)
            .u32(2)
            .u32(2)
            .u32(connect_id)
            .u32(data)
    }

    /// VERIFY_CONNECT, granting the usual wishes.
    pub fn verify_connect(self, peer_id: u16, sessions: [u8; 2], channels: u32, connect_id: u32) -> Self {
        self.command(3 | ACK, CONTROL, 1)
            .u16(peer_id)
            .bytes(&sessions)
            .u32(1392)
            .u32(65_536)
            .u32(channels)
            .u32(0)
            .u32(0)
            .u32(5000)
            .u32(2)
            .u32(2)
            .u32(connect_id)
    }

    /// DISCONNECT, to be acknowledged or not.
    pub fn disconnect(self, acknowledge: bool, seq: u16, data: u32) -> Self {
        self.command(4 | if acknowledge { ACK } else { 0x40 }, CONTROL, seq).u32(data)
    }

    /// PING.
    pub fn ping(self, seq: u16) -> Self {
        self.command(5 | ACK, CONTROL, seq)
    }

    /// SEND_RELIABLE.
    pub fn reliable(self, channel: u8, seq: u16, payload: &[u8]) -> Self {
        self.command(6 | ACK, channel, seq).u16(payload.len() as u16).bytes(payload)
    }

    /// SEND_UNRELIABLE.
    pub fn unreliable(self, channel: u8, reliable_seq: u16, seq: u16, payload: &[u8]) -> Self {
        self.command(7, channel, reliable_seq).u16(seq).u16(payload.len() as u16).bytes(payload)
    }

    /// SEND_UNSEQUENCED.
    pub fn unsequenced(self, channel: u8, group: u16, payload: &[u8]) -> Self {
        self.command(9 | 0x40, channel, 0).u16(group).u16(payload.len() as u16).bytes(payload)
    }

    /// SEND_FRAGMENT.
    pub fn fragment(self, channel: u8, seq: u16, piece: RawFragment<'_>) -> Self {
        self.command(8 | ACK, channel, seq).piece(piece)
    }

    /// SEND_UNRELIABLE_FRAGMENT.
    pub fn unreliable_fragment(self, channel: u8, reliable_seq: u16, piece: RawFragment<'_>) -> Self {
        self.command(12, channel, reliable_seq).piece(piece)
    }

    fn piece(self, piece: RawFragment<'_>) -> Self {
        self.u16(piece.start_seq)
            .u16(piece.payload.len() as u16)
            .u32(piece.count)
            .u32(piece.number)
            .u32(piece.total_len)
            .u32(piece.offset)
            .bytes(piece.payload)
    }

    /// BANDWIDTH_LIMIT.
    pub fn bandwidth_limit(self, seq: u16, incoming: u32, outgoing: u32) -> Self {
        self.command(10 | ACK, CONTROL, seq).u32(incoming).u32(outgoing)
    }

    /// THROTTLE_CONFIGURE.
    pub fn throttle_configure(self, seq: u16, interval: u32, acceleration: u32, deceleration: u32) -> Self {
        self.command(11 | ACK, CONTROL, seq).u32(interval).u32(acceleration).u32(deceleration)
    }
}

/// The fields of a fragment.
#[derive(Clone, Copy, Debug)]
pub struct RawFragment<'a> {
    /// The packet's first sequence number.
    pub start_seq: u16,
    /// How many pieces there are.
    pub count: u32,
    /// Which one this is.
    pub number: u32,
    /// The packet's length.
    pub total_len: u32,
    /// Where this one goes.
    pub offset: u32,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What is done to a datagram's commands before it leaves.
#[derive(Default)]
pub struct Wrapping {
    /// Put a checksum in, with this connection's id (zero before there is one).
    pub checksum: Option<u32>,
    /// Compress the commands, if that makes them shorter.
    pub coder: Option<RangeCoder>,
}

impl Raw {
    /// The datagram as it goes over the wire.
    pub fn wrapped(self, wrapping: &mut Wrapping) -> Vec<u8> {
        let Some(seen) = Seen::read(&self.bytes, false) else { return self.bytes };
        let (head, commands) = self.bytes.split_at(seen.commands);
        let mut head = head.to_vec();
        let compressed = wrapping.coder.as_mut().and_then(|coder| {
            let mut output = vec![0; commands.len()];
            let len = coder.compress(commands, &mut output).filter(|&len| len < commands.len())?;
            output.truncate(len);
            Some(output)
        });
        if compressed.is_some() {
            head[0] |= 0x40;
        }
        if let Some(connect_id) = wrapping.checksum {
            let id = if seen.peer_id == 0x0FFF { 0 } else { connect_id };
            let summed = [&head[..], &id.to_be_bytes(), commands].concat();
            head.extend(crc32(&summed).to_be_bytes());
        }
        head.extend(compressed.as_deref().unwrap_or(commands));
        head
    }
}

/// What a datagram's header says to whoever sees it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The receiver's number for the sender.
    pub peer_id: u16,
    /// The session.
    pub session: u8,
    /// Where the commands begin.
    pub commands: usize,
}

impl Seen {
    /// Reads a header, if there is one and anything behind it.
    pub fn read(datagram: &[u8], checksum: bool) -> Option<Self> {
        let word = u16::from_be_bytes([*datagram.first()?, *datagram.get(1)?]);
        let commands = if word & 0x8000 != 0 { 4 } else { 2 } + if checksum { 4 } else { 0 };
        (datagram.len() >= commands).then_some(Self {
            peer_id: word & 0x0FFF,
            session: (word >> 12) as u8 & 3,
            commands,
        })
    }
}

/// The CRC-32 that everybody uses, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
