//! INIT and INIT-ACK: who one is and what one can (RFC 9260, 3.3.2 and 3.3.3).

use bytes::Bytes;

use super::parameter::{self, Parameters, init};
use super::{Malformed, Unknown, kind, u16_at, u32_at};

const FIXED: usize = 16;

/// Unknown parameters that are reported back; nobody sends more.
const REPORTED: usize = 4;

/// A reported parameter is cut to this, so that the answer fits into a packet.
const REPORTED_LENGTH: usize = 64;

/// What an end says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Init {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outgoing_streams: u16,
    pub(crate) incoming_streams: u16,
    pub(crate) tsn: u32,
    pub(crate) forward_tsn: bool,
    pub(crate) reset: bool,
    /// Only in INIT-ACK.
    pub(crate) cookie: Option<Bytes>,
}

impl Init {
    /// What it says, and the unknown parameters that want to be reported.
    pub(crate) fn read(value: &Bytes) -> Result<(Self, Vec<Bytes>), Malformed> {
        if value.len() < FIXED {
            return Err(Malformed);
        }
        let mut read = Self {
            tag: u32_at(value, 0),
            window: u32_at(value, 4),
            outgoing_streams: u16_at(value, 8),
            incoming_streams: u16_at(value, 10),
            tsn: u32_at(value, 12),
            forward_tsn: false,
            reset: false,
            cookie: None,
        };
        let mut unknown = Vec::new();
        for parameter in Parameters(&value[FIXED..]) {
            match parameter.kind {
                init::STATE_COOKIE => read.cookie = Some(value.slice_ref(parameter.value)),
                init::FORWARD_TSN_SUPPORTED => read.forward_tsn = true,
                init::SUPPORTED_EXTENSIONS => {
                    read.forward_tsn |= parameter.value.contains(&kind::FORWARD_TSN);
                    read.reset |= parameter.value.contains(&kind::RE_CONFIG);
                }
                // Addresses mean nothing inside DTLS.
                init::IPV4 | init::IPV6 | init::COOKIE_PRESERVATIVE | init::HOST_NAME => {}
                init::ADDRESS_TYPES | init::UNRECOGNIZED => {}
                other => {
                    let todo = Unknown::parameter(other);
                    if todo.report && unknown.len() < REPORTED {
                        let mut whole = Vec::new();
                        let cut = &parameter.value[..parameter.value.len().min(REPORTED_LENGTH)];
                        parameter::write(&mut whole, other, |out| out.extend_from_slice(cut));
                        unknown.push(whole.into());
                    }
                    if todo.stop {
                        break;
                    }
                }
            }
        }
        Ok((read, unknown))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, unknown: &[Bytes]) {
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&self.outgoing_streams.to_be_bytes());
        out.extend_from_slice(&self.incoming_streams.to_be_bytes());
        out.extend_from_slice(&self.tsn.to_be_bytes());
        if self.forward_tsn {
            parameter::write(out, init::FORWARD_TSN_SUPPORTED, |_| ());
        }
        if self.reset {
            let extensions = [kind::RE_CONFIG, kind::FORWARD_TSN];
            parameter::write(out, init::SUPPORTED_EXTENSIONS, |out| out.extend_from_slice(&extensions));
        }
        if let Some(cookie) = &self.cookie {
            parameter::write(out, init::STATE_COOKIE, |out| out.extend_from_slice(cookie));
        }
        for unknown in unknown {
            parameter::write(out, init::UNRECOGNIZED, |out| out.extend_from_slice(unknown));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() -> Init {
        Init {
            tag: 1,
            window: 2,
            outgoing_streams: 3,
            incoming_streams: 4,
            tsn: 5,
            forward_tsn: true,
            reset: true,
            cookie: Some(Bytes::from("cookie!")),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut out = Vec::new();
        init().write(&mut out, &[]);
        assert_eq!(Init::read(&out.into()).unwrap(), (init(), vec![]));
    }

    #[test]
    fn unknown_parameters_are_skipped_or_reported_as_their_upper_bits_say() {
        let mut out = Vec::new();
        Init { cookie: None, ..init() }.write(&mut out, &[]);
        parameter::write(&mut out, 0x8001, |out| out.extend_from_slice(&[0; 4]));
        parameter::write(&mut out, 0xC123, |out| out.extend_from_slice(b"x"));
        parameter::write(&mut out, init::STATE_COOKIE, |out| out.extend_from_slice(b"c"));
        parameter::write(&mut out, 0x0123, |_| ());
        parameter::write(&mut out, 0xC124, |_| ());
        let (read, unknown) = Init::read(&out.into()).unwrap();
        assert_eq!(read.cookie, Some(Bytes::from("c")));
        assert_eq!(unknown, [Bytes::from_static(&[0xC1, 0x23, 0, 5, b'x'])]);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for length in 0..FIXED {
            assert_eq!(Init::read(&vec![0; length].into()), Err(Malformed));
        }
    }
}
