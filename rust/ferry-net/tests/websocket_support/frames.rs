//! WebSocket frames (RFC 6455, section 5.2) as data: any bits, any length.

use std::rc::Rc;

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const LAST_BIT: u8 = 0x80;
const MASK_BIT: u8 = 0x80;

/// What a client masks with here: that it is random matters to proxies, not to Ferry.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    /// The last one of its message.
    pub(crate) last: bool,
    /// The three reserved bits, as a number.
    pub(crate) reserved: u8,
    /// Shared, since the long ones are many.
    pub(crate) payload: Rc<[u8]>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { opcode, last: true, reserved: 0, payload: payload.as_ref().into() }
    }

    pub(crate) fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, payload)
    }

    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, payload)
    }

    pub(crate) fn more(payload: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUE, payload)
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Self {
        Self::new(PING, payload)
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Self {
        Self::new(PONG, payload)
    }

    pub(crate) fn close(code: u16, text: impl AsRef<[u8]>) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), text.as_ref()].concat())
    }

    /// More of its message follows.
    pub(crate) fn unfinished(self) -> Self {
        Self { last: false, ..self }
    }

    pub(crate) fn with_reserved(self, reserved: u8) -> Self {
        Self { reserved, ..self }
    }

    /// As it goes over the wire.
    pub(crate) fn write(&self, masked: bool, into: &mut Vec<u8>) {
        write_header(self.first_byte(), masked, self.payload.len() as u64, into);
        let from = into.len();
        into.extend_from_slice(&self.payload);
        if masked {
            for (byte, mask) in into[from..].iter_mut().zip(MASK.into_iter().cycle()) {
                *byte ^= mask;
            }
        }
    }

    pub(crate) fn bytes(&self, masked: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len() + 14);
        self.write(masked, &mut bytes);
        bytes
    }

    /// A close frame's code, if it has one.
    pub(crate) fn code(&self) -> Option<u16> {
        let code = self.payload.first_chunk::<2>().filter(|_| self.opcode == CLOSE)?;
        Some(u16::from_be_bytes(*code))
    }

    fn first_byte(&self) -> u8 {
        self.opcode | self.reserved << 4 | if self.last { LAST_BIT } else { 0 }
    }
}

/// A header alone, which claims any length.
pub(crate) fn claim(opcode: u8, last: bool, masked: bool, len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(opcode | if last { LAST_BIT } else { 0 }, masked, len, &mut bytes);
    bytes
}

fn write_header(first: u8, masked: bool, len: u64, into: &mut Vec<u8>) {
    let mask_bit = if masked { MASK_BIT } else { 0 };
    into.push(first);
    match len {
        0..=125 => into.push(mask_bit | len as u8),
        126..=0xFFFF => {
            into.push(mask_bit | 126);
            into.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            into.push(mask_bit | 127);
            into.extend_from_slice(&len.to_be_bytes());
        }
    }
    if masked {
        into.extend_from_slice(&MASK);
    }
}

/// Takes the first frame off what has come, once it is whole; whether it was masked comes with it.
pub(crate) fn take(bytes: &mut Vec<u8>, taken: &mut usize) -> Option<(Frame, bool)> {
    let rest = &bytes[*taken..];
    let (&first, &second) = (rest.first()?, rest.get(1)?);
    let (len, mut at) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.get(2..)?.first_chunk()?), 10),
        len => (u64::from(len), 2),
    };
    let masked = second & MASK_BIT != 0;
    let mask: Option<[u8; 4]> = if masked { Some(*rest.get(at..)?.first_chunk()?) } else { None };
    at += if masked { 4 } else { 0 };
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    let mut payload = rest.get(at..end)?.to_vec();
    if let Some(mask) = mask {
        for (byte, mask) in payload.iter_mut().zip(mask.into_iter().cycle()) {
            *byte ^= mask;
        }
    }
    *taken += end;
    // What was taken is thrown away once it is most of what there is.
    if *taken > bytes.len() / 2 {
        bytes.drain(..*taken);
        *taken = 0;
    }
    let frame = Frame {
        opcode: first & 0x0F,
        last: first & LAST_BIT != 0,
        reserved: first >> 4 & 7,
        payload: payload.into(),
    };
    Some((frame, masked))
}
