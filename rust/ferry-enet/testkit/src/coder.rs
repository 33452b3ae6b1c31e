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
    assert_eq!(decompress(&mut RangeCoder::new(), data, room), garbage, "with a coder that was not used before");
}

fn decompress(coder: &mut RangeCoder, input: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut output = vec![0; room];
    let len = coder.decompress(input, &mut output)?;
    output.truncate(len);
    Some(output)
}
