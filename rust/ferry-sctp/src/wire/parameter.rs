//! Parameters, and the causes of errors: a type, a length and a value, one behind the other inside a chunk.

use super::{pad, u16_at};

const HEADER: usize = 4;

/// Those of INIT and INIT-ACK.
pub(crate) mod init {
    pub(crate) const IPV4: u16 = 5;
    pub(crate) const IPV6: u16 = 6;
    pub(crate) const STATE_COOKIE: u16 = 7;
    pub(crate) const UNRECOGNIZED: u16 = 8;
    pub(crate) const COOKIE_PRESERVATIVE: u16 = 9;
    pub(crate) const HOST_NAME: u16 = 11;
    pub(crate) const ADDRESS_TYPES: u16 = 12;
    pub(crate) const SUPPORTED_EXTENSIONS: u16 = 0x8008;
    pub(crate) const FORWARD_TSN_SUPPORTED: u16 = 0xC000;
}

/// The one of HEARTBEAT.
pub(crate) const HEARTBEAT_INFO: u16 = 1;

/// Those of RE-CONFIG.
pub(crate) mod reset {
    pub(crate) const OUTGOING: u16 = 13;
    pub(crate) const INCOMING: u16 = 14;
    pub(crate) const ASSOCIATION: u16 = 15;
    pub(crate) const RESPONSE: u16 = 16;
    pub(crate) const ADD_OUTGOING: u16 = 17;
    pub(crate) const ADD_INCOMING: u16 = 18;
}

/// One of them, borrowed from the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// Walks over them, up to the first whose length lies.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Parameters<'a> {
    type Item = Parameter<'a>;

    fn next(&mut self) -> Option<Parameter<'a>> {
        let header = self.0.get(..HEADER)?;
        let (kind, length) = (u16_at(header, 0), usize::from(u16_at(header, 2)));
        let value = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Parameter { kind, value })
    }
}

/// Appends one, whose value `write` appends. Chunks begin at a multiple of four, and so do these.
pub(crate) fn write(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    pad(out);
    let start = out.len();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    write(out);
    let length = u16::try_from(out.len() - start).expect("a packet is shorter than 64 KiB");
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_were_written() {
        let mut out = Vec::new();
        write(&mut out, 7, |out| out.extend_from_slice(b"abc"));
        write(&mut out, 9, |_| ());
        let read: Vec<_> = Parameters(&out).collect();
        assert_eq!(read, [Parameter { kind: 7, value: b"abc" }, Parameter { kind: 9, value: b"" }]);
    }

    #[test]
    fn reading_ends_at_a_length_that_lies() {
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = vec![0, 7, 0, 0, 1, 2, 3, 4];
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            assert_eq!(Parameters(&bytes).count(), 0, "{length}");
        }
    }
}
