//! Bytes from a seed, the same ones as in `tests/c-enet/oracle.c`.
//!
//! Only the length and the seed go through the pipe to the C program, and only a CRC-32 comes back.

/// The bytes that a seed stands for. An odd seed gives bytes below 8, which compress well; an even one bytes that do
/// not compress.
pub fn bytes(length: usize, seed: u32) -> Vec<u8> {
    let shift = if seed & 1 == 1 { 29 } else { 24 };
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> shift) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The CRC-32 by which the C program names what it received.
pub fn crc32(payload: &[u8]) -> u32 {
    crc32fast::hash(payload)
}
