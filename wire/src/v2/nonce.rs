//! Nonce (RFC 7296, 3.9): nothing but its octets, in both directions.

use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};
use std::ops::RangeInclusive;

/// Octets that a nonce may have (RFC 7296, 3.9).
pub const NONCE_LEN: RangeInclusive<usize> = 16..=256;

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let said = reader.left();
    if !NONCE_LEN.contains(&said) {
        let expected = said.clamp(*NONCE_LEN.start(), *NONCE_LEN.end());
        return Err(reader.error("nonce", Why::Length { said, expected }));
    }
    Ok(reader.rest().to_vec())
}

pub(super) fn encode(nonce: &[u8], writer: &mut Writer) -> Result<(), EncodeError> {
    if !NONCE_LEN.contains(&nonce.len()) {
        return Err(writer.error("nonce"));
    }
    writer.bytes(nonce);
    Ok(())
}
