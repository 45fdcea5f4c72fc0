//! Certificate request (RFC 7296, 3.7).
//!
//! ```text
//! |   encoding    |  authorities: hashes of 20 octets   ...
//! ```

use crate::numbers::CertEncoding;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError};

/// Certificate request (RFC 7296, 3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CertReqPayload {
    /// Of which encoding.
    pub encoding: CertEncoding,
    /// SHA-1 hashes of the public keys of trusted authorities, 20 octets each, for the
    /// X.509 encodings. Any length is kept: other encodings put other things here.
    pub authorities: Vec<u8>,
}

impl CertReqPayload {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let encoding = CertEncoding(reader.u8("encoding")?);
        Ok(Self { encoding, authorities: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.encoding.0);
        writer.bytes(&self.authorities);
        Ok(())
    }
}
