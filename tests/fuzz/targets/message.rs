//! Whole datagrams, their length field made true.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::message(bytes));
