#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| orchestrator::fuzz::run("words", bytes));
