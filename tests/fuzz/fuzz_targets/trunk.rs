//! Any bytes on a trunk. See `dfaas_tests::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dfaas_tests::fuzzed::trunk(input));
