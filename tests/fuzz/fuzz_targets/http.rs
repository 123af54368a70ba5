//! Any bytes as the head of an answer or a chunked body. See `dfaas_tests::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dfaas_tests::fuzzed::http(input));
