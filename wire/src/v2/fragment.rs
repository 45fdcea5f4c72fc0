//! Encrypted fragment (RFC 7383, 2.5).
//!
//! ```text
//! |        fragment number        |        total fragments        |
//! |  initialization vector        ...                             |
//! |  encrypted part, padding, pad length   ...                    |
//! |  integrity checksum           ...                             |
//! ```

use crate::numbers::PayloadType;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};

/// Encrypted fragment (RFC 7383, 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EncryptedFragment {
    /// Type of the first payload inside; set in fragment 1 only.
    pub first_inner: PayloadType,
    /// Counts from 1 to `total`.
    pub number: u16,
    /// How many there are.
    pub total: u16,
    /// Where the body (IV, cipher text, ICV) starts in the datagram. Not looked at when
    /// the payload is written.
    pub body_offset: usize,
    /// The body.
    pub body: Vec<u8>,
}

impl EncryptedFragment {
    pub(super) fn decode(
        first_inner: PayloadType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let number = reader.u16("fragment number")?;
        let total = reader.u16("total fragments")?;
        // RFC 7383, 2.5: neither is zero, and the number is at most the total.
        if total == 0 {
            return Err(reader.error("total fragments", Why::Invalid(0)));
        }
        if number == 0 || number > total {
            return Err(reader.error("fragment number", Why::Invalid(number.into())));
        }
        let body_offset = reader.offset();
        Ok(Self { first_inner, number, total, body_offset, body: reader.rest().to_vec() })
    }
}

/// The two counters in front of a fragment's body.
pub(super) fn encode_counters(
    number: u16,
    total: u16,
    writer: &mut Writer,
) -> Result<(), EncodeError> {
    if number == 0 || number > total {
        return Err(writer.error("fragment number"));
    }
    writer.u16(number);
    writer.u16(total);
    Ok(())
}
