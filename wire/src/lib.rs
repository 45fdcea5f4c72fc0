//! IKE messages as bytes: no dependencies, no allocation beyond the datagram's size,
//! and no panic whatever the bytes are.
//!
//! A value or a [`DecodeError`] comes out of every datagram. Each payload is a plain
//! struct that is read by `decode` and written by `encode`; what parses, encodes again
//! to the same bytes (but for reserved fields, which are written as zero).
//!
//! - [`Header`]: the 28 octets that every message starts with
//! - [`numbers`]: the registries of IANA, as newtypes that keep unknown values
//! - [`v2`]: RFC 7296 and its extensions

#![warn(clippy::arithmetic_side_effects)]

mod error;
mod header;
pub mod numbers;
mod reader;
pub mod v2;
mod writer;

pub use error::{DecodeError, EncodeError, Why};
pub use header::{Flags, HEADER_LEN, Header, IkeSpi, IkeSpis, MessageId, NON_ESP_MARKER, Version};
