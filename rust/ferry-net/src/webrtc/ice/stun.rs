//! STUN messages (RFC 8489), as much of them as is asked of servers and as is needed to tell whose a packet is.
//!
//! The checks between peers are the ICE crate's, the talk with relays the TURN crate's: this reader stands before both,
//! writes the plain binding request that a STUN server answers, and reads the mapped address and error texts out of
//! answers. It is handed bytes from strangers: every length is checked before anything is read, and it allocates nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Type, length, magic cookie and transaction.
pub(super) const HEADER: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

const BINDING: u16 = 0x001;
const MAPPED_ADDRESS: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// What ties an answer to its request.
pub(in crate::webrtc) type Transaction = [u8; 12];

/// The two bits of a message's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// A message whose attributes are known to lie within it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) class: Class,
    method: u16,
    pub(super) transaction: Transaction,
    attributes: &'a [u8],
}

/// Whether a packet claims to be STUN: its first byte (RFC 7983) and the magic cookie.
pub(super) fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER && bytes[0] < 4 && bytes[4..8] == MAGIC
}

/// A request to a STUN server, which answers with the address that it saw.
pub(super) fn binding_request(transaction: Transaction) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(&BINDING.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&transaction);
    bytes
}

/// A transaction that nobody off the path can foresee.
pub(super) fn fresh_transaction() -> Transaction {
    let mut transaction = [0; 12];
    for part in transaction.chunks_exact_mut(4) {
        part.copy_from_slice(&crate::random::word().to_be_bytes());
    }
    transaction
}

impl<'a> Message<'a> {
    /// Reads a whole message; none if anything of its form is wrong.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Message<'a>> {
        if !is_stun(bytes) {
            return None;
        }
        let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if HEADER + length != bytes.len() || length % 4 != 0 {
            return None;
        }
        let class = match (kind >> 7 & 2) | (kind >> 4 & 1) {
            0 => Class::Request,
            1 => Class::Indication,
            2 => Class::Success,
            _ => Class::Error,
        };
        let method = (kind & 0x3E00) >> 2 | (kind & 0x00E0) >> 1 | kind & 0x000F;
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&bytes[8..HEADER]);
        let message = Message { class, method, transaction, attributes: &bytes[HEADER..] };
        let covered: usize = message.attributes().map(|(_, value)| 4 + padded(value.len())).sum();
        (covered == length).then_some(message)
    }

    pub(super) fn is_binding(&self) -> bool {
        self.method == BINDING
    }

    pub(super) fn is_answer(&self) -> bool {
        matches!(self.class, Class::Success | Class::Error)
    }

    /// The user name's two halves: whom the request is for, and who asks.
    pub(super) fn users(&self) -> Option<(&'a str, &'a str)> {
        std::str::from_utf8(self.attribute(USERNAME)?).ok()?.split_once(':')
    }

    /// The address that the answering side saw.
    pub(super) fn mapped_address(&self) -> Option<SocketAddr> {
        if let Some(value) = self.attribute(XOR_MAPPED_ADDRESS) {
            return address(value, &self.transaction, true);
        }
        address(self.attribute(MAPPED_ADDRESS)?, &self.transaction, false)
    }

    /// The code and text of an error answer.
    pub(super) fn error(&self) -> Option<(u16, String)> {
        let value = self.attribute(ERROR_CODE)?;
        let (head, text) = value.split_at_checked(4)?;
        let code = u16::from(head[2] & 7) * 100 + u16::from(head[3] % 100);
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_TEXT)]);
        Some((code, text.chars().filter(|c| !c.is_control()).collect()))
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }

    fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let (head, after) = rest.split_at_checked(4)?;
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = after.get(..length)?;
            rest = after.get(padded(length)..)?;
            Some((u16::from_be_bytes([head[0], head[1]]), value))
        })
    }
}

/// What is kept of a server's words.
const MAX_TEXT: usize = 120;

fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn address(value: &[u8], transaction: &Transaction, xored: bool) -> Option<SocketAddr> {
    let mut key = [0; 16];
    if xored {
        key[..4].copy_from_slice(&MAGIC);
        key[4..].copy_from_slice(transaction);
    }
    let (head, ip) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2] ^ key[0], head[3] ^ key[1]]);
    let ip: IpAddr = match (head[1], ip.len()) {
        (1, 4) => {
            let octets: [u8; 4] = std::array::from_fn(|i| ip[i] ^ key[i]);
            Ipv4Addr::from(octets).into()
        }
        (2, 16) => {
            let octets: [u8; 16] = std::array::from_fn(|i| ip[i] ^ key[i]);
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The answer of a STUN server that saw `seen`.
    pub(in super::super) fn binding_answer(transaction: Transaction, seen: SocketAddr) -> Vec<u8> {
        let mut key = MAGIC.to_vec();
        key.extend_from_slice(&transaction);
        let (family, ip) = match seen.ip() {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        let mut bytes = vec![0x01, 0x01, 0, 8 + ip.len() as u8];
        bytes.extend_from_slice(&key);
        bytes.extend_from_slice(&[0, 0x20, 0, 4 + ip.len() as u8, 0, family]);
        bytes.extend_from_slice(&(seen.port() ^ 0x2112).to_be_bytes());
        bytes.extend(ip.iter().zip(&key).map(|(a, b)| a ^ b));
        bytes
    }

    #[test]
    fn mapped_addresses_of_both_families_are_read() {
        for seen in ["203.0.113.9:40123", "[2001:db8::7]:9"] {
            let seen: SocketAddr = seen.parse().expect("an address");
            let bytes = binding_answer([7; 12], seen);
            let message = Message::parse(&bytes).expect("well-formed");
            assert!(message.is_binding() && message.is_answer() && message.class == Class::Success);
            assert_eq!(message.mapped_address(), Some(seen));
            assert_eq!(message.transaction, [7; 12]);
        }
    }

    #[test]
    fn no_truncation_and_no_changed_byte_is_more_than_refused() {
        let whole = binding_answer([9; 12], "203.0.113.9:40123".parse().expect("an address"));
        for end in 0..whole.len() {
            assert!(Message::parse(&whole[..end]).is_none(), "{end} bytes");
        }
        for place in 0..whole.len() {
            for value in 0..=255 {
                let mut bytes = whole.clone();
                bytes[place] = value;
                if let Some(message) = Message::parse(&bytes) {
                    let _ = (message.mapped_address(), message.error(), message.users());
                }
            }
        }
    }

    #[test]
    fn a_request_is_read_back_as_what_it_is() {
        let bytes = binding_request([3; 12]);
        let message = Message::parse(&bytes).expect("well-formed");
        assert!(message.is_binding() && message.class == Class::Request);
        assert_eq!(message.users(), None);
    }
}
