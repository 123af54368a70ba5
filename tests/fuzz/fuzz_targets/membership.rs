//! Any bytes as certificates, revocations, tokens and requests to join. See `dfaas_tests::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dfaas_tests::fuzzed::membership(input));
