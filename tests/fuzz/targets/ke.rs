//! The key exchange payload's decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::payload(pluto_fuzz::PayloadType::KE, bytes));
