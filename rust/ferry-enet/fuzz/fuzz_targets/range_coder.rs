#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ferry_enet_testkit::coder::run(data));
