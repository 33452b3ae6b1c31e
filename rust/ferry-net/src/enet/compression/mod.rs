//! The compressions of Godot's `ENetConnection.compress`, byte for byte what the engine reads and close to what it writes.
//!
//! `ferry-enet` hands the commands of one datagram at a time to the chosen [`Compressor`], and sends the result only if
//! it is shorter. Both ends must have chosen the same one: nothing in a datagram says which it is. All of them start
//! afresh with each datagram, because any may get lost, and keep their tables and contexts so that none costs an
//! allocation.
//!
//! What arrives comes from strangers. Every decompressor writes into the slice that it is given and never needs more room
//! than that, whatever a header in the input announces; what makes no sense, or does not fit, is `None`.
//!
//! Tests of what all have in common stand here, with vectors that the engine (4.6.3) made.

mod fastlz;
mod zlib;
mod zstd;

use ferry_enet::compress::{Compressor, RangeCoder};

/// How datagrams are compressed: the modes of Godot's `ENetConnection.CompressionMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Not at all.
    #[default]
    None,
    /// ENet's own: the best of them for datagrams of a few hundred bytes.
    RangeCoder,
    /// Simple and quick: finds repetitions of three bytes and more.
    FastLz,
    /// Deflate with zlib's header and checksum. For what is left of datagrams after those six bytes.
    Zlib,
    /// Zstandard, which costs nine bytes or more of each datagram and is made for longer content.
    Zstd,
}

impl Mode {
    /// What does it, with all memory that it will use; `None` for no compression.
    pub(super) fn compressor(self) -> Option<Box<dyn Compressor>> {
        match self {
            Self::None => None,
            Self::RangeCoder => Some(Box::new(RangeCoder::new())),
            Self::FastLz => Some(Box::new(fastlz::FastLz::new())),
            Self::Zlib => Some(Box::new(zlib::Zlib::new())),
            Self::Zstd => Some(Box::new(zstd::Zstd::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ferry_enet::MAXIMUM_DATAGRAM;

    use super::*;

    const MODES: [Mode; 3] = [Mode::FastLz, Mode::Zlib, Mode::Zstd];

    /// What the engine makes of some content, in each mode.
    struct Vector {
        content: &'static str,
        fastlz: &'static str,
        zlib: &'static str,
        zstd: &'static str,
    }

    const VECTORS: [Vector; 5] = [
        Vector {
            content: "6162",
            fastlz: "0f61620000000000000000000000000000",
            zlib: "789c4b4c0200012600c4",
            zstd: "28b52ffd20021100006162",
        },
        Vector {
            content: "000000000000000000000000",
            fastlz: "010000e0020102000000",
            zlib: "789c6360400000000c0001",
            zstd: "28b52ffd200c45000010000001001bc002",
        },
        Vector {
            content: "68656c6c6f2068656c6c6f2068656c6c6f2068656c6c6f2068656c6c6f2c206665727279206665727279206665727279",
            fastlz: "0568656c6c6f20e00e05122c206665727279206665727279206665727279",
            zlib: "789ccb48cdc9c957c8c04eea28a4a5161555229300b38111e9",
            zstd: "28b52ffd2030ad00006868656c6c6f202c20666572727902008033a94b11",
        },
        Vector {
            content: "86010000001404000100000023000000420000803f000000000086010001001404000100000023000025420000803f000000000b8601000200140400010000002300004a420000803f00000000168601000300140400010000002300006f420000803f000000002186010004001404000100000023000094420000803f000000002c860100050014040001000000230000b9420000803f0000000037860100060014040001000000230000de420000803f000000004286010007001404000100000023000003420000803f000000004d86010008001404000100000023000028420000803f00000000588601000900140400010000002300004d420000803f00000000638601000a001404000100000023000072420000803f000000006e8601000b001404000100000023000097420000803f0000000079",
            fastlz: "0886010000001404000120060023200305420000803f00400020190001e002190025e00019000b20190002e00219004ae00019001620190003e00219006fe00019002120190004e002190094e00019002c20190005e0021900b9e00019003720190006e0021900dee00019004220190007e002190003e00019004d20190008e002190028e00019005820190009e00219004de0001900632019000ae002190072e00019006e2019000be002190a97420000803f0000000079",
            zlib: "789c4dc92b0a84001804e0dff7abca7611c160370a46c16eb72b6cdbb6c913089ec5cb7816c732cec03030dfe69859eedb3325da9bfd3b7bb239385fa92819c41519281f8827b2520a882fb2531a482072525a482872517a4824e25146482c5253264822325266482af2a52c904ce4a0fc6e83e61cd3",
            zstd: "28b52ffd60380005040042451320a037c301ffcf559d592fbadd72bc2e2e5e7ec735de8d681dfca526226477932986449b1d149859c15b66039232fb5632eb16c82ca5386627049b7d086bd60118b32de2ecd5e1dd0fcd9a9f0d1800a00860141406cc034500a3a030601e280218058501f34011c028280c98078a00464161c03c50444f23b8400a0a17",
        },
        Vector {
            content: "c67e816b4bfbe2fb54f6bddf7c1ce18701bf31de56720f4767668759aa883c59ea56137bd285a1d83c54552f37ae655bda027998cce31a768e5fd9998f1f3f36",
            fastlz: "1fc67e816b4bfbe2fb54f6bddf7c1ce18701bf31de56720f4767668759aa883c591fea56137bd285a1d83c54552f37ae655bda027998cce31a768e5fd9998f1f3f36",
            zlib: "789c014000bfffc67e816b4bfbe2fb54f6bddf7c1ce18701bf31de56720f4767668759aa883c59ea56137bd285a1d83c54552f37ae655bda027998cce31a768e5fd9998f1f3f36434d1fa0",
            zstd: "28b52ffd2040010200c67e816b4bfbe2fb54f6bddf7c1ce18701bf31de56720f4767668759aa883c59ea56137bd285a1d83c54552f37ae655bda027998cce31a768e5fd9998f1f3f36",
        },
    ];

    fn from_hex(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn vectors() -> impl Iterator<Item = (Mode, Vec<u8>, Vec<u8>)> {
        VECTORS.iter().flat_map(|vector| {
            let made = [(Mode::FastLz, vector.fastlz), (Mode::Zlib, vector.zlib), (Mode::Zstd, vector.zstd)];
            made.map(|(mode, made)| (mode, from_hex(vector.content), from_hex(made)))
        })
    }

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as u32
        }

        fn below(&mut self, end: usize) -> usize {
            self.next() as usize % end
        }

        /// Content of all sorts: runs, repetitions, few different bytes, noise.
        fn content(&mut self, length: usize) -> Vec<u8> {
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                match self.next() % 4 {
                    0 => bytes.extend(std::iter::repeat_n(self.next() as u8, self.next() as usize % 300)),
                    1 if !bytes.is_empty() => {
                        let from = self.below(bytes.len());
                        let until = bytes.len().min(from + self.below(400));
                        bytes.extend_from_within(from..until);
                    }
                    2 => bytes.extend((0..self.below(50)).map(|_| (self.next() % 5) as u8)),
                    _ => bytes.extend((0..self.below(50)).map(|_| self.next() as u8)),
                }
            }
            bytes.truncate(length);
            bytes
        }
    }

    fn compressor(mode: Mode) -> Box<dyn Compressor> {
        mode.compressor().expect("this mode compresses")
    }

    fn compress(compressor: &mut dyn Compressor, input: &[u8]) -> Option<Vec<u8>> {
        let mut output = vec![0; input.len() + input.len() / 16 + 64];
        let len = compressor.compress(input, &mut output)?;
        output.truncate(len);
        Some(output)
    }

    fn decompress(compressor: &mut dyn Compressor, input: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut output = vec![0xAA; room];
        let len = compressor.decompress(input, &mut output)?;
        output.truncate(len);
        Some(output)
    }

    #[test]
    fn no_compression_needs_no_compressor() {
        assert!(Mode::None.compressor().is_none());
        assert!(Mode::RangeCoder.compressor().is_some());
    }

    #[test]
    fn what_the_engine_compressed_decompresses() {
        for (mode, content, made) in vectors() {
            let found = decompress(compressor(mode).as_mut(), &made, MAXIMUM_DATAGRAM).expect("it is valid");
            let (content_part, padding) = found.split_at(content.len());
            assert_eq!(content_part, content, "{mode:?}");
            // The engine fills what is shorter than 16 bytes up with zeros before FastLZ.
            let expected = if mode == Mode::FastLz { 16_usize.saturating_sub(content.len()) } else { 0 };
            assert_eq!(padding, vec![0; expected], "{mode:?}");
        }
    }

    #[test]
    fn what_was_compressed_decompresses_to_itself() {
        let mut random = Random(7);
        for mode in MODES {
            let mut compressor = compressor(mode);
            for round in 0..600 {
                let length = if round < 200 { round + 1 } else { 1 + random.below(MAXIMUM_DATAGRAM) };
                let content = random.content(length);
                let Some(made) = compress(compressor.as_mut(), &content) else {
                    assert!(mode == Mode::FastLz && length < 16, "{mode:?}: {length} bytes do not compress");
                    continue;
                };
                let found = decompress(compressor.as_mut(), &made, MAXIMUM_DATAGRAM);
                assert!(found.as_ref() == Some(&content), "{mode:?}, {length} bytes");
                let exact = decompress(compressor.as_mut(), &made, length);
                assert!(exact.as_ref() == Some(&content), "{mode:?}, {length} bytes into as much room");
                assert_eq!(decompress(compressor.as_mut(), &made, length - 1), None, "{mode:?}: no room");
            }
        }
    }

    #[test]
    fn repetitive_datagrams_become_shorter() {
        let content: Vec<u8> =
            (0..40_u8).flat_map(|at| [0x86, 1, 0, at, 0, 20, 4, 0, 1, 0, 0, 0, 0x23]).collect();
        for mode in MODES {
            let made = compress(compressor(mode).as_mut(), &content).expect("it fits");
            assert!(made.len() * 2 < content.len(), "{mode:?}: {} of {} bytes", made.len(), content.len());
        }
    }

    #[test]
    fn a_result_that_does_not_fit_is_none_and_the_next_one_is_whole() {
        let mut random = Random(8);
        let content = random.content(1000);
        for mode in MODES {
            let mut compressor = compressor(mode);
            let made = compress(compressor.as_mut(), &content).expect("it fits");
            for room in (0..made.len()).step_by(7) {
                assert_eq!(
                    compressor.compress(&content, &mut vec![0; room]),
                    None,
                    "{mode:?} in {room} bytes"
                );
            }
            assert_eq!(compress(compressor.as_mut(), &content), Some(made), "{mode:?}");
        }
    }

    #[test]
    fn nothing_makes_no_sense() {
        for mode in MODES {
            assert_eq!(decompress(compressor(mode).as_mut(), &[], 100), None, "{mode:?}");
        }
    }

    #[test]
    fn garbage_costs_little_time_and_never_spoils_the_next_datagram() {
        let mut random = Random(9);
        for mode in MODES {
            let mut compressor = compressor(mode);
            let good = random.content(500);
            let good_made = compress(compressor.as_mut(), &good).expect("it fits");
            let started = Instant::now();
            for round in 0..6000 {
                let mut input = match round % 3 {
                    0 => (0..random.below(MAXIMUM_DATAGRAM)).map(|_| random.next() as u8).collect(),
                    1 => vectors().nth(random.below(3 * VECTORS.len())).expect("so many there are").2,
                    _ => {
                        let length = random.below(1400);
                        compress(compressor.as_mut(), &random.content(length)).unwrap_or_default()
                    }
                };
                for _ in 0..random.below(4) {
                    if !input.is_empty() {
                        let at = random.below(input.len());
                        input[at] = random.next() as u8;
                    }
                }
                if random.below(3) == 0 {
                    input.truncate(random.below(input.len() + 1));
                }
                let room = random.below(MAXIMUM_DATAGRAM);
                if let Some(found) = decompress(compressor.as_mut(), &input, room) {
                    assert!(found.len() <= room, "{mode:?}");
                }
                if round % 100 == 0 {
                    let found = decompress(compressor.as_mut(), &good_made, MAXIMUM_DATAGRAM);
                    assert!(found.as_ref() == Some(&good), "{mode:?} after {round} rounds");
                }
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{mode:?}");
        }
    }

    #[test]
    fn every_truncation_is_refused_or_shorter() {
        for (mode, content, made) in vectors() {
            let mut compressor = compressor(mode);
            for end in 0..made.len() {
                if let Some(found) = decompress(compressor.as_mut(), &made[..end], MAXIMUM_DATAGRAM) {
                    // FastLZ has no end mark and no checksum: its beginnings are valid.
                    assert!(
                        mode == Mode::FastLz && found.len() < content.len().max(16),
                        "{mode:?} until {end}"
                    );
                }
            }
        }
    }
}
