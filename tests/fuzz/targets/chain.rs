//! The inside of an SK payload; the first octet is the type of the first payload.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::chain(bytes));
