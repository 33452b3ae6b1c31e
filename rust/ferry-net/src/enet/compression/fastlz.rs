//! FastLZ, a byte-aligned LZ77: content as literal runs and as references to what came before.
//!
//! A stream is a row of instructions. The first byte's upper three bits give the level (0 or 1) of the whole stream:
//!
//! ```text
//! 000lllll                    l + 1 literal bytes follow. The first instruction is always one of these.
//! mmmddddd [length] dddddddd  copy m + 2 bytes from 1 + d (13 bits) back; m is 1 to 6
//!                             m = 7: 9 bytes and as many more as the length byte says;
//!                             on level 2, a length byte of 255 goes on with another
//! ```
//!
//! On level 2 a distance of all ones is followed by 16 bits more, counted from 8192 on. The engine writes level 2 for
//! contents of 64 KiB and more, so never in a datagram, but reads it. So does this; it writes level 1.
//!
//! The engine reads a level 1 stream only while two bytes are left, and fills content shorter than 16 bytes up with zeros
//! before it compresses. Here a lone byte at the end is ignored likewise, and content that short is not compressed: the
//! zeros would arrive as commands that make no sense. References to before the beginning, which the engine refuses, and
//! streams that end inside an instruction, where it reads on, are refused.

use ferry_enet::compress::Compressor;

/// What the engine would fill up is not compressed.
const SHORTEST_CONTENT: usize = 16;
/// Literal bytes that one instruction holds.
const LONGEST_RUN: usize = 32;
/// The shortest content that a reference saves anything for.
const SHORTEST_MATCH: usize = 3;
/// What one instruction of level 1 copies at most: 9 bytes and 255 more.
const LONGEST_MATCH: usize = 9 + 255;
/// How far back a reference of level 1 reaches. The format has room for one more, which the engine never uses.
const FARTHEST: usize = 8191;
/// Where level 2 counts its far distances from.
const FAR_BEGINS: usize = 8192;
/// Entries of the table, 16 KiB in all: as many as a datagram has places, so that few are lost to others.
const TABLE_BITS: u32 = 12;

/// The compressor, with the table that it finds repetitions by.
pub(super) struct FastLz {
    /// By a hash of three bytes, where they stood last: the place plus the `base` of that datagram, so that entries of
    /// earlier ones show by being below the present `base` and the table need not be cleared.
    table: Box<[u32; 1 << TABLE_BITS]>,
    base: u32,
}

impl FastLz {
    pub(super) fn new() -> Self {
        Self { table: Box::new([0; 1 << TABLE_BITS]), base: 1 }
    }

    /// Where the three bytes at `at` may have stood before. Remembers that they stand here.
    fn seen_before(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let three = input.get(at..at + SHORTEST_MATCH)?;
        let number = u32::from_le_bytes([three[0], three[1], three[2], 0]);
        let entry = &mut self.table[(number.wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS)) as usize];
        let place = std::mem::replace(entry, self.base + at as u32).checked_sub(self.base)? as usize;
        (at - place <= FARTHEST && input[place..].starts_with(three)).then_some(place)
    }

    /// Makes all entries of the table old ones, with room for content of this length.
    fn begin(&mut self, len: usize) -> Option<()> {
        // Content of 4 GiB is no datagram.
        let len = u32::try_from(len).ok()?;
        if self.base.checked_add(len).is_none() {
            self.table.fill(0);
            self.base = 1;
            self.base.checked_add(len)?;
        }
        Some(())
    }
}

impl Compressor for FastLz {
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        if input.len() < SHORTEST_CONTENT {
            return None;
        }
        self.begin(input.len())?;
        let mut output = Output { bytes: output, len: 0 };
        let mut at = 0;
        let mut literals_from = 0;
        let mut whole = Some(());
        while whole.is_some() && at + SHORTEST_MATCH <= input.len() {
            let Some(place) = self.seen_before(input, at) else {
                at += 1;
                continue;
            };
            let len = common_length(&input[place..], &input[at..]).min(LONGEST_MATCH);
            whole =
                output.literals(&input[literals_from..at]).and_then(|()| output.reference(at - place, len));
            // Where a repetition ends, the next one often begins: those places are worth remembering.
            self.seen_before(input, at + len - 2);
            self.seen_before(input, at + len - 1);
            at += len;
            literals_from = at;
        }
        self.base += input.len() as u32;
        whole?;
        output.literals(&input[literals_from..])?;
        Some(output.len)
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let (&first, rest) = input.split_first()?;
        let level = first >> 5;
        let mut input = Input(rest);
        let mut output = Output { bytes: output, len: 0 };
        let enough = match level {
            0 => 2,
            1 => 1,
            _ => return None,
        };
        let mut instruction = first & 31;
        loop {
            if instruction < 32 {
                output.append(input.take(usize::from(instruction) + 1)?)?;
            } else {
                let (distance, len) = input.reference(instruction, level == 1)?;
                output.repeat(distance, len)?;
            }
            if input.0.len() < enough {
                return Some(output.len);
            }
            instruction = input.byte()?;
        }
    }
}

fn common_length(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Distance and length of the reference that begins with this byte.
    fn reference(&mut self, instruction: u8, level_2: bool) -> Option<(usize, usize)> {
        let mut len = usize::from(instruction >> 5) + 2;
        if instruction >> 5 == 7 {
            loop {
                let more = self.byte()?;
                len += usize::from(more);
                if !(level_2 && more == 255) {
                    break;
                }
            }
        }
        let upper = usize::from(instruction & 31);
        let lower = usize::from(self.byte()?);
        let near = (upper << 8) + lower;
        if level_2 && near == FAR_BEGINS - 1 {
            let far = usize::from(self.byte()?) << 8 | usize::from(self.byte()?);
            return Some((FAR_BEGINS + far, len));
        }
        Some((near + 1, len))
    }
}

struct Output<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Output<'_> {
    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn literals(&mut self, bytes: &[u8]) -> Option<()> {
        for run in bytes.chunks(LONGEST_RUN) {
            self.append(&[run.len() as u8 - 1])?;
            self.append(run)?;
        }
        Some(())
    }

    fn reference(&mut self, distance: usize, len: usize) -> Option<()> {
        let [upper, lower] = (distance as u16 - 1).to_be_bytes();
        match u8::try_from(len - 2) {
            Ok(short @ ..7) => self.append(&[short << 5 | upper, lower]),
            _ => self.append(&[7 << 5 | upper, (len - 9) as u8, lower]),
        }
    }

    /// Appends what stands so far back; where that reaches into what is being appended, it repeats.
    fn repeat(&mut self, distance: usize, len: usize) -> Option<()> {
        let from = self.len.checked_sub(distance)?;
        let end = self.len.checked_add(len)?;
        let bytes = self.bytes.get_mut(..end)?;
        if distance >= len {
            bytes.copy_within(from..from + len, self.len);
        } else {
            for at in self.len..end {
                bytes[at] = bytes[at - distance];
            }
        }
        self.len = end;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(input: &[u8], room: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; room];
        let len = FastLz::new().decompress(input, &mut output)?;
        output.truncate(len);
        Some(output)
    }

    #[test]
    fn level_2_is_read_with_lengths_of_many_bytes_and_far_distances() {
        // "ab", then 9 + 255 + 10 more of it.
        let near = [0x21, b'a', b'b', 0xE0, 255, 10, 1];
        assert_eq!(decompress(&near, 4096), Some(b"ab".repeat(138)));

        // "xyz", a run of z to 9003 bytes in all, then the first three bytes again: 9003 back.
        let mut far = vec![0x22, b'x', b'y', b'z', 0xE0];
        far.extend([255; 35]);
        far.extend([66, 0, 0x3F, 255]);
        far.extend((9003_u16 - 8192).to_be_bytes());
        let found = decompress(&far, 10_000).expect("it is valid");
        assert_eq!(found.len(), 9006);
        assert_eq!((&found[..4], &found[9002..]), (&b"xyzz"[..], &b"zxyz"[..]));
    }

    #[test]
    fn references_reach_back_to_the_beginning_and_no_further() {
        assert_eq!(decompress(&[1, b'a', b'b', 0x20, 1], 100).as_deref(), Some(&b"ababa"[..]));
        assert_eq!(decompress(&[1, b'a', b'b', 0x20, 2], 100), None);
        assert_eq!(decompress(&[1, b'a', b'b', 0x3F, 255], 100), None);
    }

    #[test]
    fn instructions_that_are_cut_off_are_refused() {
        assert_eq!(decompress(&[0], 100), None);
        assert_eq!(decompress(&[2, b'a', b'b'], 100), None);
        assert_eq!(decompress(&[0, b'a', 0xE0, 4], 100), None);
        assert_eq!(decompress(&[0x20, b'a', 0x20], 100), None);
    }

    #[test]
    fn a_lone_byte_at_the_end_of_level_1_is_ignored_as_the_engine_does() {
        assert_eq!(decompress(&[0, b'a', 0x20], 100).as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn other_levels_are_refused() {
        for level in 2..8_u8 {
            assert_eq!(decompress(&[level << 5, b'a'], 100), None);
        }
    }

    #[test]
    fn long_repetitions_take_several_references() {
        let content = [b'a'; 4000];
        let mut made = [0; 4096];
        let mut fastlz = FastLz::new();
        let len = fastlz.compress(&content, &mut made).expect("it fits");
        assert!(len < 60, "{len} bytes");
        assert_eq!(decompress(&made[..len], 4096).as_deref(), Some(&content[..]));
    }

    #[test]
    fn references_stop_where_the_engines_do() {
        let noise: Vec<u8> =
            (0..9000_u32).flat_map(|at| at.wrapping_mul(0x9E37_79B1).to_be_bytes()).take(8190).collect();
        for gap in 0..6 {
            let mut content = b"This is repeated.".to_vec();
            content.extend(&noise[..8190 - 17 + gap]);
            content.extend(b"This is repeated.");
            let mut made = vec![0; 12_000];
            let len = FastLz::new().compress(&content, &mut made).expect("it fits");
            assert_eq!(decompress(&made[..len], 12_000), Some(content));
        }
    }

    #[test]
    fn the_table_survives_the_end_of_its_numbers() {
        let mut fastlz = FastLz::new();
        fastlz.base = u32::MAX - 1500;
        let content = b"again and again and again and again".repeat(20);
        let mut first = None;
        for _ in 0..6 {
            let mut made = vec![0; 1000];
            let len = fastlz.compress(&content, &mut made).expect("it fits");
            made.truncate(len);
            assert_eq!(decompress(&made, 1000).as_ref(), Some(&content));
            assert_eq!(first.get_or_insert_with(|| made.clone()), &made);
        }
        assert!(fastlz.base < u32::MAX / 2);
    }
}
