//! The target `head` for the fuzzer's engine.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| imds_fuzz::head::check(input));
