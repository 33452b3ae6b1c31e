//! Compression of whole datagrams.
//!
//! Everything after a datagram's header can travel compressed; a flag in the header says so. Both hosts must
//! use the same compressor: one that has none drops compressed datagrams. The host calls a [`Compressor`] with
//! the commands of one datagram at a time; it must keep no state between calls, because datagrams get lost.
//!
//! [`RangeCoder`] is the one that ENet itself brings, and that Godot's `COMPRESS_RANGE_CODER` means.

mod range_coder;

pub use range_coder::RangeCoder;

/// Compresses and decompresses the commands of single datagrams.
pub trait Compressor: Send {
    /// Compresses `input` into `output` and returns the length, or `None` if the result does not fit.
    ///
    /// A result that is not shorter than `input` is thrown away: the datagram then goes uncompressed.
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize>;

    /// Decompresses `input` into `output` and returns the length, or `None` if the input makes no sense or its
    /// result does not fit.
    ///
    /// The input comes from strangers: no input may make this panic, loop or allocate.
    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize>;
}
