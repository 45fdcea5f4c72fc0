//! Authentication (RFC 7296, 3.8).
//!
//! ```text
//! |  auth method  |                   reserved                    |
//! |  authentication data          ...                             |
//! ```

use crate::numbers::AuthMethod;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError};

/// Authentication (RFC 7296, 3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AuthPayload {
    /// How it was computed.
    pub method: AuthMethod,
    /// Signature or MAC.
    pub data: Vec<u8>,
}

impl AuthPayload {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let method = AuthMethod(reader.u8("auth method")?);
        reader.reserved::<3>()?;
        Ok(Self { method, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.method.0);
        writer.reserved::<3>();
        writer.bytes(&self.data);
        Ok(())
    }
}
