//! Certificate (RFC 7296, 3.6).
//!
//! ```text
//! |   encoding    |  certificate data   ...
//! ```

use crate::numbers::CertEncoding;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError};

/// Certificate (RFC 7296, 3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CertPayload {
    /// How it is encoded.
    pub encoding: CertEncoding,
    /// Its octets.
    pub data: Vec<u8>,
}

impl CertPayload {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let encoding = CertEncoding(reader.u8("encoding")?);
        Ok(Self { encoding, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.encoding.0);
        writer.bytes(&self.data);
        Ok(())
    }
}
