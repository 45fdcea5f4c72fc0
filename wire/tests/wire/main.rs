//! The codec from outside: every payload by hand, generated messages both ways, hostile
//! ones, and captures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod adversarial;
mod bytes;
mod captures;
mod generate;
mod header;
mod mutation;
mod payloads;
mod round_trip;
