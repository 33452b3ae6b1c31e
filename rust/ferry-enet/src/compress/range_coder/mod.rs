//! ENet's built-in compressor: prediction by partial matching, written out by a range coder.
//!
//! For each byte, [`model`] predicts what may come from the two, one and no bytes before it (a *context* each),
//! as weights; [`interval`] turns the weights of what did come into bits. The longest context goes first: if the
//! byte has followed it before, the byte's share is coded there. If not, the context's *escape* is coded and the
//! next shorter context is asked; one without followers yet is passed over unsaid. The empty context ends the
//! chain, because it gives a share to every byte. Its own escape means the end of the data. The encoder never
//! writes that: it drops trailing zeros, the decoder reads zeros past the end, and those are escapes all the
//! way down. Each context that was asked then learns the byte, so both sides always hold the same model.
//!
//! The bytes are those of the C library (and Godot's `COMPRESS_RANGE_CODER`) in both directions; garbage too
//! decompresses to what it does there, or to `None`, hence the arithmetic that wraps as C's does. Garbage can
//! only cost the time that it takes to fill the output. The tests below hold vectors made by the C library.

mod interval;
mod model;

use std::fmt;

use super::Compressor;
use interval::{Decoder, Encoder};
use model::{EMPTY_CONTEXT, Located, Model};

/// The compressor that ENet brings, which Godot calls `COMPRESS_RANGE_CODER`.
///
/// It is made for packets: its model adapts fast, starts afresh for each datagram and forgets everything each
/// few thousand bytes. It takes 72 KiB, allocated once.
#[derive(Default)]
pub struct RangeCoder {
    model: Box<Model>,
}

impl RangeCoder {
    /// Allocates the model.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for RangeCoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RangeCoder").finish_non_exhaustive()
    }
}

impl Compressor for RangeCoder {
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.model.restart();
        let mut encoder = Encoder::new(output);
        for &byte in input {
            encode_byte(&mut self.model, &mut encoder, byte)?;
        }
        encoder.finish().filter(|&length| length > 0)
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        if input.is_empty() {
            return None;
        }
        self.model.restart();
        let mut decoder = Decoder::new(input);
        let mut length = 0;
        while let Decoded::Byte(byte) = decode_byte(&mut self.model, &mut decoder)? {
            *output.get_mut(length)? = byte;
            length += 1;
        }
        (length > 0).then_some(length)
    }
}

enum Decoded {
    Byte(u8),
    End,
}

/// What the data says about the next byte in one context.
enum Answer {
    Byte(Located),
    Escape,
}

/// `None` means that the output is full.
#[inline]
fn encode_byte(model: &mut Model, encoder: &mut Encoder<'_>, byte: u8) -> Option<()> {
    let mut context = model.longest_context();
    loop {
        let share = model.learn(context, byte);
        if share.weight > 0 {
            let below = u32::from(share.escape) + u32::from(share.below);
            encoder.narrow(below, share.weight, share.total)?;
            break;
        }
        if share.escape > 0 {
            encoder.narrow(0, share.escape, share.total)?;
        }
        context = model.shorter(context);
    }
    model.advance();
    Some(())
}

/// `None` means that no encoder has written this.
#[inline]
fn decode_byte(model: &mut Model, decoder: &mut Decoder<'_>) -> Option<Decoded> {
    let longest = model.longest_context();
    let mut context = longest;
    let found = loop {
        match ask(model, decoder, context)? {
            Answer::Byte(found) => break found,
            Answer::Escape if context == EMPTY_CONTEXT => return Some(Decoded::End),
            Answer::Escape => context = model.shorter(context),
        }
    };

    // The encoder let the contexts that it escaped from learn the byte on its way down.
    let mut escaped = longest;
    while escaped != context {
        model.learn(escaped, found.byte);
        escaped = model.shorter(escaped);
    }
    model.link(found.node);
    model.advance();
    Some(Decoded::Byte(found.byte))
}

// Out of line, the answer would go through memory, which costs a third of the speed.
#[inline(always)]
fn ask(model: &mut Model, decoder: &mut Decoder<'_>, context: u16) -> Option<Answer> {
    let (escape, total) = model.escape_and_total(context);
    if escape == 0 {
        return Some(Answer::Escape);
    }
    let point = decoder.point(total)?;
    if point < escape {
        decoder.narrow(0, escape)?;
        return Some(Answer::Escape);
    }
    let found = model.locate(context, point - escape)?;
    decoder.narrow(u32::from(escape) + u32::from(found.below), found.weight)?;
    Some(Answer::Byte(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough for the worst content, which grows by less than a quarter.
    fn room_for(input: &[u8]) -> Vec<u8> {
        vec![0; input.len() * 5 / 4 + 16]
    }

    fn compress(coder: &mut RangeCoder, input: &[u8]) -> Vec<u8> {
        let mut output = room_for(input);
        let length = coder.compress(input, &mut output).expect("there is room");
        output.truncate(length);
        output
    }

    fn decompress(coder: &mut RangeCoder, input: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; room];
        let length = coder.decompress(input, &mut output)?;
        output.truncate(length);
        Some(output)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_hex(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    struct Random(u32);

    impl Random {
        fn byte(&mut self) -> u8 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 24) as u8
        }

        fn below(&mut self, end: usize) -> usize {
            (usize::from(self.byte()) << 8 | usize::from(self.byte())) % end
        }

        fn bytes(&mut self, length: usize) -> Vec<u8> {
            (0..length).map(|_| self.byte()).collect()
        }
    }

    const KINDS: [&str; 6] = ["zeros", "random", "counter", "text", "positions", "sparse"];

    fn content(kind: &str, length: usize) -> Vec<u8> {
        let mut random = Random(length as u32);
        let mut bytes = Vec::new();
        while bytes.len() < length {
            match kind {
                "zeros" => bytes.push(0),
                "random" => bytes.push(random.byte()),
                "counter" => bytes.extend((bytes.len() as u32 / 4).to_be_bytes()),
                "text" => {
                    let words = ["the player ", "moved to ", "position ", "and lost ", "health, "];
                    bytes.extend(words[random.below(words.len())].bytes());
                }
                "positions" => {
                    bytes.extend([0x88, 0, 0, bytes.len() as u8, 0, 14, 0, 33]);
                    for _ in 0..3 {
                        bytes.extend((random.below(2000) as f32 / 8.0).to_le_bytes());
                    }
                }
                "sparse" => {
                    let zeros = random.below(60);
                    bytes.extend(std::iter::repeat_n(0, zeros));
                    bytes.push(random.byte());
                }
                _ => unreachable!("no such kind of content"),
            }
        }
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn what_was_compressed_decompresses_to_itself() {
        let mut coder = RangeCoder::new();
        let lengths = (1..200).chain((200..4200).step_by(97)).chain([4096, 20_000, 150_000]);
        for length in lengths {
            for kind in KINDS {
                let input = content(kind, length);
                let compressed = compress(&mut coder, &input);
                let output = decompress(&mut coder, &compressed, length);
                assert!(output.as_ref() == Some(&input), "{length} bytes of {kind}");
            }
        }
    }

    /// What the C library (1.3.18) makes of it.
    const SHORT: [(&str, &str); 8] = [
        ("00", "00ff00ff"),
        ("ff", "ff00ff"),
        ("61", "619e619e"),
        ("68656c6c6f2068656c6c6f2068656c6c6f", "68fbe0c33d7072bdce28ba5e"),
        (
            "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            "0103e85a2adc44",
        ),
        (
            "476f646f7420456e67696e65207634202d20476f646f7420456e67696e65207634",
            "4829756ab489bfc920e72e8de3b8d039948523eef938f435",
        ),
        (
            "88000000000e002100009a4200c0484300c0ad4288000014000e00210000d9410080104200207843",
            "887888031d87fca316972d81c10bc51ec7ae3c4e5cf73a964d8ce0b184c4341d",
        ),
        ("3d18fb00615939e21619e1e6", "3ddbb90513157538254d6219f2d9"),
    ];

    #[test]
    fn short_inputs_become_the_c_librarys_bytes_and_come_back() {
        let mut coder = RangeCoder::new();
        for (input, compressed) in SHORT {
            let input = from_hex(input);
            assert_eq!(hex(&compress(&mut coder, &input)), compressed, "{input:02x?}");
            let output = decompress(&mut coder, &from_hex(compressed), input.len());
            assert_eq!(output.as_ref(), Some(&input), "{compressed}");
        }
    }

    /// Length and checksum of what the C library makes of it. The longest contents exhaust the pool or have
    /// weights halved, most of them both and many times.
    const LONG: [(&str, usize, usize, u32); 18] = [
        ("zeros", 100, 7, 0x70a71c96),
        ("zeros", 1300, 9, 0x24e3d9b8),
        ("zeros", 40000, 47, 0x2acbc920),
        ("random", 100, 108, 0x49aacb25),
        ("random", 1300, 1407, 0x3100ede5),
        ("random", 40000, 43091, 0xf5ce3dd6),
        ("counter", 100, 56, 0x7ddf27c8),
        ("counter", 1300, 709, 0xe690781d),
        ("counter", 40000, 16710, 0x029232ba),
        ("text", 100, 50, 0xed3dd939),
        ("text", 1300, 194, 0xbb6b232f),
        ("text", 40000, 2783, 0xf402a786),
        ("positions", 100, 65, 0x1a2adb57),
        ("positions", 1300, 622, 0xf4de77af),
        ("positions", 40000, 16051, 0xc2a19fdc),
        ("sparse", 100, 17, 0x775bbda1),
        ("sparse", 1300, 149, 0x3915aa9e),
        ("sparse", 40000, 6976, 0x85da5253),
    ];

    #[test]
    fn long_inputs_become_the_c_librarys_bytes() {
        let mut coder = RangeCoder::new();
        for (kind, length, compressed_length, checksum) in LONG {
            let compressed = compress(&mut coder, &content(kind, length));
            assert_eq!(compressed.len(), compressed_length, "{length} bytes of {kind}");
            assert_eq!(crc32fast::hash(&compressed), checksum, "{length} bytes of {kind}");
        }
    }

    /// Garbage, and the length and checksum of what the C library makes of it, given room for 8000 bytes. The
    /// second and third point past the end of a context nearly all the time: they were bred for that.
    const GARBAGE: [(&str, Option<(usize, u32)>); 10] = [
        ("ffffffff", Some((1, 0xd202ef8d))),
        ("feffffff5cffff", Some((1338, 0xb8295f02))),
        ("cdffffff6bffff80ff0fff9beb357eff97e17fffff81766819448aff19a0", Some((6039, 0x8e349e81))),
        ("01", None),
        ("80000001", Some((170, 0xe2364ad8))),
        ("ffb75c7f380dde10297fa425d87963", None),
        ("ffffff600d461fc44e6848eb70db7f4dc4573f416d81", None),
        ("05e8ebef53714e321d425a0f8731", Some((227, 0x17c89c7b))),
        ("086b464246a3b90093a519872fa6a8ae5712618e5725b91d", Some((182, 0xdf0b6ab9))),
        ("9caa807399dbe8a26b7e55256b52bcfa", Some((181, 0xfcbf3134))),
    ];

    #[test]
    fn garbage_decompresses_to_what_it_does_in_the_c_library() {
        let mut coder = RangeCoder::new();
        for (garbage, expected) in GARBAGE {
            let output = decompress(&mut coder, &from_hex(garbage), 8000);
            let result = output.map(|output| (output.len(), crc32fast::hash(&output)));
            assert_eq!(result, expected, "{garbage}");
        }
    }

    #[test]
    fn nothing_is_neither_compressed_nor_decompressed() {
        let mut coder = RangeCoder::new();
        assert_eq!(coder.compress(&[], &mut [0; 16]), None);
        assert_eq!(coder.decompress(&[], &mut [0; 16]), None);
        // The end of the data at its beginning.
        assert_eq!(coder.decompress(&[0, 0, 0, 0], &mut [0; 16]), None);
    }

    #[test]
    fn an_output_that_is_a_byte_too_small_is_refused() {
        let mut coder = RangeCoder::new();
        for kind in KINDS {
            let input = content(kind, 300);
            let compressed = compress(&mut coder, &input);
            for room in 0..compressed.len() {
                assert_eq!(coder.compress(&input, &mut vec![0; room]), None, "{kind} into {room}");
            }
            let mut exact = vec![0; compressed.len()];
            assert_eq!(coder.compress(&input, &mut exact), Some(compressed.len()), "{kind}");
            assert_eq!(exact, compressed, "{kind}");

            for room in 0..input.len() {
                assert_eq!(decompress(&mut coder, &compressed, room), None, "{kind} into {room}");
            }
        }
    }

    #[test]
    fn no_truncation_or_flipped_bit_panics_or_spoils_what_comes_after() {
        let mut coder = RangeCoder::new();
        for kind in KINDS {
            let input = content(kind, 400);
            let compressed = compress(&mut coder, &input);
            for length in 0..compressed.len() {
                decompress(&mut coder, &compressed[..length], 1000);
            }
            for bit in 0..compressed.len() * 8 {
                let mut damaged = compressed.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                decompress(&mut coder, &damaged, 1000);
                decompress(&mut coder, &damaged, 7);
            }
            assert_eq!(decompress(&mut coder, &compressed, 400), Some(input), "{kind}");
        }
    }

    #[test]
    fn no_garbage_panics_or_spoils_what_comes_after() {
        let mut coder = RangeCoder::new();
        let mut random = Random(1);
        for _ in 0..10_000 {
            let mut garbage = vec![0xFF; random.below(6)];
            let length = random.below(400);
            garbage.extend(random.bytes(length));
            let room = [1, 10, 100, 5000][random.below(4)];
            decompress(&mut coder, &garbage, room);
        }
        let input = content("text", 1300);
        let compressed = compress(&mut coder, &input);
        assert_eq!(compressed, compress(&mut RangeCoder::new(), &input));
        assert_eq!(decompress(&mut coder, &compressed, 1300), Some(input));
    }
}
