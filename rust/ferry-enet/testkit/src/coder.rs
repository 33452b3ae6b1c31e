//! A fuzzer's bytes for the range coder: garbage to decompress, and content that must come back as it was.

use ferry_enet::compress::{Compressor, RangeCoder};

use crate::choices::Choices;

/// Decompresses `data` into outputs of several lengths, then compresses it and takes it back. Panics if what comes back
/// differs, or if a call depends on the ones before it.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let room = choices.below(5000);
    let data = choices.bytes(usize::MAX);
    let mut coder = RangeCoder::new();
    let garbage = decompress(&mut coder, data, room);
    if let Some(output) = &garbage {
        assert!(!output.is_empty() && output.len() <= room);
        assert_eq!(decompress(&mut coder, data, output.len()).as_ref(), Some(output), "into exact room");
        assert_eq!(decompress(&mut coder, data, output.len() - 1), None, "into too little room");
    }
    let mut output = vec![0; data.len() * 5 / 4 + 16];
    let Some(len) = coder.compress(data, &mut output) else {
        assert!(data.is_empty(), "{} bytes found no room in {}", data.len(), output.len());
        return;
    };
    let back = decompress(&mut coder, &output[..len], data.len());
    assert_eq!(back.as_deref(), Some(data), "what comes back");
    assert_eq!(
        decompress(&mut RangeCoder::new(), data, room),
        garbage,
        "with a coder that was not used before"
    );
}

fn decompress(coder: &mut RangeCoder, input: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut output = vec![0; room];
    let len = coder.decompress(input, &mut output)?;
    output.truncate(len);
    Some(output)
}

/// A compressor that costs next to nothing, for lives that are not about compression: it shortens the run of one byte at
/// the end.
#[derive(Debug, Default)]
pub struct Shortener;

impl Compressor for Shortener {
    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let (&last, _) = input.split_last()?;
        let run = input.iter().rev().take_while(|&&byte| byte == last).count().min(usize::from(u16::MAX));
        let (kept, _) = input.split_at(input.len() - run);
        let target = output.get_mut(..kept.len() + 3)?;
        target[..2].copy_from_slice(&(run as u16).to_be_bytes());
        target[2] = last;
        target[3..].copy_from_slice(kept);
        Some(target.len())
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        let (&[high, low, last], kept) = input.split_first_chunk::<3>()?;
        let run = usize::from(u16::from_be_bytes([high, low]));
        let target = output.get_mut(..kept.len() + run)?;
        target[..kept.len()].copy_from_slice(kept);
        target[kept.len()..].fill(last);
        Some(target.len())
    }
}
