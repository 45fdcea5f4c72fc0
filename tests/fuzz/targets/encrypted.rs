//! The SK payload's decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pluto_fuzz::outer_payload(
    pluto_fuzz::PayloadType::SK,
    bytes
));
