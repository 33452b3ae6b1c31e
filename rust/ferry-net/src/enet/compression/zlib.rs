//! Deflate in zlib's envelope (RFC 1950, 1951), by `miniz_oxide`: safe Rust with no memory but what stands here.
//!
//! The engine's own streams have the default level and a window of 32 KiB. Any are read: the window is the output itself,
//! so no header can ask for memory. The checksum at the end must be right, and what follows it is ignored, as in the
//! engine.

use ferry_enet::compress::Compressor;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The quickest level. On datagrams the engine's level 6 takes twice the time and is a hundredth shorter.
const LEVEL: i32 = 1;
/// A window of 32 KiB, with zlib's header.
const WINDOW_BITS: i32 = 15;
/// No special strategy.
const STRATEGY: i32 = 0;

const FLAGS: u32 = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
    | inflate_flags::TINFL_FLAG_COMPUTE_ADLER32
    | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;

/// Both ways with their tables: about 300 KiB.
pub(super) struct Zlib {
    deflate: Box<CompressorOxide>,
    inflate: Box<DecompressorOxide>,
}

impl Zlib {
    pub(super) fn new() -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, WINDOW_BITS, STRATEGY);
        Self { deflate: Box::new(CompressorOxide::new(flags)), inflate: Box::default() }
    }
}

impl Compressor for Zlib {
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.deflate.reset();
        let (status, _, written) = compress(&mut self.deflate, input, output, TDEFLFlush::Finish);
        (status == TDEFLStatus::Done).then_some(written)
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.inflate.init();
        let (status, _, written) = decompress(&mut self.inflate, input, output, 0, FLAGS);
        (status == TINFLStatus::Done).then_some(written)
    }
}
