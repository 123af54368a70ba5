//! Any text as names and labels. See `dfaas_tests::fuzzed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dfaas_tests::fuzzed::labels(input));
