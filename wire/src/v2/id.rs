//! Identification (RFC 7296, 3.5).
//!
//! ```text
//! |    ID type    |                   reserved                    |
//! |  identification data          ...                             |
//! ```

use crate::numbers::IdType;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError};

/// Identification (RFC 7296, 3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identification {
    /// Its kind.
    pub id_type: IdType,
    /// Its octets, unchecked: an `IPV4_ADDR` may have any length here.
    pub data: Vec<u8>,
}

impl Identification {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id_type = IdType(reader.u8("ID type")?);
        reader.reserved::<3>()?;
        Ok(Self { id_type, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.id_type.0);
        writer.reserved::<3>();
        writer.bytes(&self.data);
        Ok(())
    }
}
