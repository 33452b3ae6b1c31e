//! Both range coders, to the byte.

use ferry_enet::compress::{Compressor, RangeCoder};
use ferry_enet_testkit::random::Random;
use rusty_enet::Compressor as _;

/// What datagrams may look like to a compressor: noise, text, few different bytes, runs.
fn input(random: &mut Random) -> Vec<u8> {
    let len = random.between(1, 1400) as usize;
    let alphabet = random.pick(&[1, 2, 5, 26, 256]);
    let run = random.pick(&[1, 1, 4, 100]);
    let mut input = Vec::with_capacity(len);
    while input.len() < len {
        let byte = random.below(alphabet) as u8;
        let count = random.between(1, run) as usize;
        input.extend(std::iter::repeat_n(byte, count.min(len - input.len())));
    }
    input
}

#[test]
fn both_range_coders_write_the_same_and_read_each_other() {
    let mut random = Random::new(1);
    let (mut ferry, mut rusty) = (RangeCoder::new(), rusty_enet::RangeCoder::new());
    for case in 0..2000 {
        let input = input(&mut random);
        let (mut by_ferry, mut by_rusty) = ([0; 4096], [0; 4096]);
        // As the hosts ask them: for less than there is.
        let limit = input.len();
        let ferry_len = ferry.compress(&input, &mut by_ferry[..limit]).filter(|&len| len < limit);
        let rusty_len = rusty.compress(&[&input[..]], limit, &mut by_rusty[..limit]);
        let rusty_len = (rusty_len > 0 && rusty_len < limit).then_some(rusty_len);
        assert_eq!(ferry_len, rusty_len, "case {case} of {limit} bytes");
        let Some(len) = ferry_len else { continue };
        assert_eq!(by_ferry[..len], by_rusty[..len], "case {case}");
        let mut read = [0; 4096];
        assert_eq!(ferry.decompress(&by_rusty[..len], &mut read), Some(limit));
        assert_eq!(read[..limit], input);
        read.fill(0);
        assert_eq!(rusty.decompress(&by_ferry[..len], &mut read), limit);
        assert_eq!(read[..limit], input);
    }
}
