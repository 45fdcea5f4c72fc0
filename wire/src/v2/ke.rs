//! Key exchange (RFC 7296, 3.4).
//!
//! ```text
//! |            method             |           reserved            |
//! |  public value                 ...                             |
//! ```

use crate::numbers::KeId;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError};

/// Key exchange (RFC 7296, 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KePayload {
    /// The method.
    pub method: KeId,
    /// The public value; its length is the method's affair.
    pub data: Vec<u8>,
}

impl KePayload {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let method = KeId(reader.u16("method")?);
        reader.reserved::<2>()?;
        Ok(Self { method, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u16(self.method.0);
        writer.reserved::<2>();
        writer.bytes(&self.data);
        Ok(())
    }
}
