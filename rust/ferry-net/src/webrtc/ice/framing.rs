//! What a relay sends over a stream, cut into messages (RFC 8656, section 12.5): STUN messages, and channel data, which over
//! a stream is padded to a multiple of four bytes.
//!
//! A message is at most 64 KiB and a little, by its own length field: that much is kept of one that is not yet whole.

use super::stun;

/// Number and length of channel data.
const CHANNEL_HEADER: usize = 4;

/// Bytes of a stream that do not yet make a message.
#[derive(Default)]
pub(super) struct Frames {
    rest: Vec<u8>,
    at: usize,
}

/// The stream carries something else; nothing after it can be understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

impl Frames {
    /// Takes what the stream brought.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.rest.drain(..self.at);
        self.at = 0;
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole message, without padding.
    pub(super) fn next_frame(&mut self) -> Result<Option<&[u8]>, Garbled> {
        let rest = &self.rest[self.at..];
        let Some(head) = rest.get(..CHANNEL_HEADER) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (whole, padded) = match head[0] {
            0..=3 if length % 4 == 0 => (stun::HEADER + length, stun::HEADER + length),
            0x40..=0x4F => (CHANNEL_HEADER + length, pad(CHANNEL_HEADER + length)),
            _ => return Err(Garbled),
        };
        if head[0] < 4 && rest.len() >= stun::HEADER && !stun::is_stun(rest) {
            return Err(Garbled);
        }
        if rest.len() < padded {
            return Ok(None);
        }
        let begin = self.at;
        self.at += padded;
        Ok(Some(&self.rest[begin..begin + whole]))
    }
}

/// Pads a message for a stream.
pub(super) fn pad_for_stream(message: &mut Vec<u8>) {
    message.resize(pad(message.len()), 0);
}

fn pad(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel_data(data: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x40, 0x01, 0, data.len() as u8];
        frame.extend_from_slice(data);
        frame
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_cuts_them() {
        let messages = [channel_data(b"five!"), stun::binding_request([5; 12]), channel_data(b"")];
        let mut stream = Vec::new();
        for message in &messages {
            let mut padded = message.clone();
            pad_for_stream(&mut padded);
            stream.extend_from_slice(&padded);
        }
        for size in 1..=stream.len() {
            let (mut frames, mut out) = (Frames::default(), Vec::new());
            for part in stream.chunks(size) {
                frames.push(part);
                while let Some(frame) = frames.next_frame().expect("well-formed") {
                    out.push(frame.to_vec());
                }
            }
            assert_eq!(out, messages, "in parts of {size}");
        }
    }

    #[test]
    fn anything_else_is_garbled() {
        for bytes in [&b"\x16\x03\x01\x00"[..], &[0xFF; 4], &[0, 1, 0, 3], &[0; 20]] {
            let mut frames = Frames::default();
            frames.push(bytes);
            assert_eq!(frames.next_frame(), Err(Garbled), "{bytes:?}");
        }
    }
}
