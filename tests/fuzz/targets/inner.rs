//! The parser of the IP packet inside a tunnel.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::inner(bytes));
