//! TEMPORARY
use ferry_enet::compress::{Compressor, RangeCoder};
/// mode
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode { None, RangeCoder, FastLz, Zlib, Zstd }
impl Mode { pub(super) fn compressor(self) -> Option<Box<dyn Compressor>> { match self { Self::RangeCoder => Some(Box::new(RangeCoder::new())), _ => None } } }
