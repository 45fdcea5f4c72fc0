//! What the openssl crate asks libssl for: nothing but to initialise libcrypto.
//!
//! Its only call into libssl is `OPENSSL_init_ssl`. With this in its place an optimised daemon
//! is linked to libcrypto alone: a library less to load, to relocate and to keep up to date.
//! It is here and not beside what uses the crate, because whack, which does so for nothing but
//! names of algorithms, is linked to neither.
#![allow(unsafe_code, reason = "a function of the C library's interface")]

use std::ffi::{c_int, c_void};

/// Read openssl.cnf, as libssl would have it done.
const OPENSSL_INIT_LOAD_CONFIG: u64 = 0x40;

unsafe extern "C" {
    fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
}

/// libssl's function of this name, as far as libcrypto is concerned: options for TLS mean
/// nothing to it.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the C library's name")]
extern "C" fn OPENSSL_init_ssl(options: u64, settings: *const c_void) -> c_int {
    // SAFETY: both take the same options and the same settings, which are passed as they came.
    unsafe { OPENSSL_init_crypto(options | OPENSSL_INIT_LOAD_CONFIG, settings) }
}
