//! Datagrams written by hand: what a C client would send, or what it never would.
//!
//! Written from the protocol's description, apart from the crate's own writer, so that both would have to be wrong in
//! the same way for a test to miss it.

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
