//! Decapsulation of ESP.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::esp(bytes));
