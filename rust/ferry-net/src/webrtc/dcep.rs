//! How an end announces a channel to the other (DCEP, RFC 8832), and which kinds of messages there are (RFC 8831).

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::channel::{ChannelInit, Persistence};
use crate::packet::Kind;

/// Messages about channels.
pub(super) const CONTROL: u32 = 50;
const TEXT: u32 = 51;
const BINARY: u32 = 53;
const EMPTY_TEXT: u32 = 56;
const EMPTY_BINARY: u32 = 57;

const ACK: u8 = 2;
const OPEN: u8 = 3;

const UNORDERED: u8 = 0x80;
const BY_RETRANSMITS: u8 = 1;
const BY_LIFETIME: u8 = 2;

/// What an OPEN has before its names.
const OPEN_HEADER: usize = 12;

/// A message about a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// There is a channel.
    Open(ChannelInit),
    /// It was understood.
    Ack,
}

impl Control {
    /// Reads one; `None` if it makes no sense.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        match *bytes.first()? {
            ACK => Some(Self::Ack),
            OPEN => parse_open(bytes).map(Self::Open),
            _ => None,
        }
    }

    pub(super) fn write(&self) -> Bytes {
        let init = match self {
            Self::Ack => return Bytes::from_static(&[ACK]),
            Self::Open(init) => init,
        };
        let (kind, parameter) = match init.persistence {
            Persistence::Reliable => (0, 0),
            Persistence::Retransmits(count) => (BY_RETRANSMITS, u32::from(count)),
            Persistence::Lifetime(time) => (BY_LIFETIME, u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
        };
        let mut bytes = BytesMut::with_capacity(OPEN_HEADER + init.label.len() + init.protocol.len());
        bytes.put_u8(OPEN);
        bytes.put_u8(kind | if init.unordered { UNORDERED } else { 0 });
        bytes.put_u16(0);
        bytes.put_u32(parameter);
        // Their lengths were checked when the channel was asked for.
        bytes.put_u16(init.label.len() as u16);
        bytes.put_u16(init.protocol.len() as u16);
        bytes.put_slice(init.label.as_bytes());
        bytes.put_slice(init.protocol.as_bytes());
        bytes.freeze()
    }
}

fn parse_open(bytes: &[u8]) -> Option<ChannelInit> {
    let header: &[u8; OPEN_HEADER] = bytes.first_chunk()?;
    let [_, kind, _, _, p0, p1, p2, p3, l0, l1, q0, q1] = *header;
    let parameter = u32::from_be_bytes([p0, p1, p2, p3]);
    let (label, protocol) =
        (usize::from(u16::from_be_bytes([l0, l1])), usize::from(u16::from_be_bytes([q0, q1])));
    let names = &bytes[OPEN_HEADER..];
    let label_bytes = names.get(..label)?;
    let protocol_bytes = names.get(label..label + protocol)?;
    let persistence = match kind & !UNORDERED {
        0 => Persistence::Reliable,
        BY_RETRANSMITS => Persistence::Retransmits(u16::try_from(parameter).unwrap_or(u16::MAX)),
        BY_LIFETIME => Persistence::Lifetime(Duration::from_millis(parameter.into())),
        _ => return None,
    };
    Some(ChannelInit {
        label: String::from_utf8_lossy(label_bytes).into_owned(),
        protocol: String::from_utf8_lossy(protocol_bytes).into_owned(),
        unordered: kind & UNORDERED != 0,
        persistence,
        negotiated: None,
    })
}

/// How a message of the game's goes on the wire: SCTP knows no empty ones.
pub(super) fn wrap(kind: Kind, payload: Bytes) -> (u32, Bytes) {
    let nothing = || Bytes::from_static(&[0]);
    match (kind, payload.is_empty()) {
        (Kind::Text, true) => (EMPTY_TEXT, nothing()),
        (Kind::Text, false) => (TEXT, payload),
        (Kind::Binary, true) => (EMPTY_BINARY, nothing()),
        (Kind::Binary, false) => (BINARY, payload),
    }
}

/// What came, as a message of the game's; `None` for other kinds.
pub(super) fn unwrap(identifier: u32, payload: Bytes) -> Option<(Kind, Bytes)> {
    match identifier {
        TEXT => Some((Kind::Text, payload)),
        BINARY => Some((Kind::Binary, payload)),
        EMPTY_TEXT => Some((Kind::Text, Bytes::new())),
        EMPTY_BINARY => Some((Kind::Binary, Bytes::new())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Control> {
        let init = |persistence, unordered| ChannelInit {
            label: "größer".to_owned(),
            protocol: "p".to_owned(),
            unordered,
            persistence,
            negotiated: None,
        };
        vec![
            Control::Ack,
            Control::Open(ChannelInit::default()),
            Control::Open(init(Persistence::Retransmits(7), true)),
            Control::Open(init(Persistence::Lifetime(Duration::from_millis(70_000)), false)),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for control in examples() {
            assert_eq!(Control::parse(&control.write()), Some(control));
        }
    }

    #[test]
    fn what_is_cut_or_unknown_is_nothing() {
        for control in examples().into_iter().skip(1) {
            let bytes = control.write();
            for end in 0..bytes.len() {
                assert_eq!(Control::parse(&bytes[..end]), None, "{end} of {}", bytes.len());
            }
            let mut unknown = bytes.to_vec();
            unknown[1] = 0x7F;
            assert_eq!(Control::parse(&unknown), None);
        }
        assert_eq!(Control::parse(&[9, 9]), None);
    }

    #[test]
    fn empty_messages_travel_as_a_byte() {
        for kind in [Kind::Text, Kind::Binary] {
            let (identifier, payload) = wrap(kind, Bytes::new());
            assert_eq!((payload.len(), unwrap(identifier, payload)), (1, Some((kind, Bytes::new()))));
        }
    }
}
