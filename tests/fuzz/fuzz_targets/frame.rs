#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| firewall_tests::fuzz::frame(bytes));
