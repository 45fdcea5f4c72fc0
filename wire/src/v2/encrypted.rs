//! Encrypted and authenticated payload (RFC 7296, 3.14): opaque here, `crypto` opens it.
//!
//! ```text
//! |  initialization vector        ...                             |
//! |  encrypted payloads, padding, pad length   ...                |
//! |  integrity checksum           ...                             |
//! ```

use crate::numbers::PayloadType;
use crate::reader::Reader;

/// Encrypted and authenticated (RFC 7296, 3.14).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Encrypted {
    /// Type of the first payload inside.
    pub first_inner: PayloadType,
    /// Where the body (IV, cipher text, ICV) starts in the datagram. Not looked at when
    /// the payload is written.
    pub body_offset: usize,
    /// The body.
    pub body: Vec<u8>,
}

impl Encrypted {
    pub(super) fn decode(first_inner: PayloadType, reader: &mut Reader<'_>) -> Self {
        let body_offset = reader.offset();
        Self { first_inner, body_offset, body: reader.rest().to_vec() }
    }
}
