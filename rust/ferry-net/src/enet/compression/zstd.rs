//! Zstandard (RFC 8878), by the reference library through `zstd-safe`.
//!
//! A call reads whole frames from one slice into another. So the window is the output, and the size that a header
//! announces is only compared with the room there is: no header can ask for memory. The decoder has all it will use from
//! the start; the encoder's workspace follows the datagrams' size, at most once in a hundred. Frames that need a dictionary
//! are refused. A checksum is checked where there is one; the engine writes none.
//!
//! Why C here: of the crates in Rust, one allocates for each frame and compresses three times as slowly, the others are
//! weeks old. The reference has been fuzzed for years, and is what the engine itself reads these datagrams with.

use ferry_enet::compress::Compressor;
use zstd_safe::{CCtx, DCtx};

/// The engine's default.
const LEVEL: i32 = 3;

/// Both ways with their contexts.
pub(super) struct Zstd {
    encoder: CCtx<'static>,
    decoder: DCtx<'static>,
}

impl Zstd {
    pub(super) fn new() -> Self {
        Self { encoder: CCtx::create(), decoder: DCtx::create() }
    }
}

impl Compressor for Zstd {
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.encoder.compress(output, input, LEVEL).ok()
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        // No input at all is no frames, which would be no error.
        if input.is_empty() {
            return None;
        }
        self.decoder.decompress(output, input).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_announces_a_huge_window_gets_the_room_there_is() {
        // A window of 2 GiB, no content size; then one raw block of two bytes.
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8];
        frame.extend([0x11, 0, 0, b'o', b'k']);
        let mut output = [0; 16];
        assert_eq!(Zstd::new().decompress(&frame, &mut output), Some(2));
        assert_eq!(&output[..2], b"ok");
    }

    #[test]
    fn a_frame_that_announces_more_content_than_there_is_room_for_is_refused() {
        // A single segment of 2^62 bytes that is said to be one run.
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0xE0];
        frame.extend((1_u64 << 62).to_le_bytes());
        frame.extend([0xFB, 0xFF, 0xFF, b'x']);
        assert_eq!(Zstd::new().decompress(&frame, &mut [0; 4096]), None);
    }

    #[test]
    fn frames_behind_one_another_are_one_content() {
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x02, 0x11, 0, 0, b'o', b'k'];
        let mut output = [0; 16];
        assert_eq!(Zstd::new().decompress(&[frame, frame].concat(), &mut output), Some(4));
        assert_eq!(&output[..4], b"okok");
    }

    #[test]
    fn a_frame_that_wants_a_dictionary_is_refused() {
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x21, 7, 0x02, 0x11, 0, 0, b'o', b'k'];
        assert_eq!(Zstd::new().decompress(&frame, &mut [0; 16]), None);
    }
}
