//! The 28 octets that the listener looks at.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::header(bytes));
