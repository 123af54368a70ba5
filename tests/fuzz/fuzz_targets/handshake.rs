//! Any bytes as the certificate that a node shows. See `dfaas_tests::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dfaas_tests::fuzzed::handshake(input));
