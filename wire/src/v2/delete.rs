//! Delete (RFC 7296, 3.11).
//!
//! ```text
//! |   protocol    |   SPI size    |        number of SPIs         |
//! |  SPIs                         ...                             |
//! ```

use crate::numbers::ProtocolId;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};

/// Delete (RFC 7296, 3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Delete {
    /// IKE (no SPIs follow), ESP or AH.
    pub protocol: ProtocolId,
    /// The sender's inbound SPIs; empty for the IKE SA.
    pub spis: Vec<[u8; 4]>,
}

impl Delete {
    /// The IKE SA is named by the header, so its Delete has no SPIs; all others have four
    /// octets each. Protocol 0 deletes nothing and is refused.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let protocol = ProtocolId(reader.u8("protocol")?);
        let said = usize::from(reader.u8("SPI size")?);
        let count = reader.u16("number of SPIs")?;
        let expected = match protocol {
            ProtocolId::NONE => return Err(reader.error("protocol", Why::Invalid(0))),
            ProtocolId::IKE => 0,
            _ => 4,
        };
        if said != expected {
            return Err(reader.error("SPI size", Why::Length { said, expected }));
        }
        if expected == 0 && count != 0 {
            return Err(reader.error("number of SPIs", Why::Invalid(count.into())));
        }
        let mut spis = Vec::new();
        for _ in 0..count {
            spis.push(reader.array("SPI")?);
        }
        reader.finish("number of SPIs")?;
        Ok(Self { protocol, spis })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        let size = match self.protocol {
            ProtocolId::NONE => return Err(writer.error("protocol")),
            ProtocolId::IKE => 0,
            _ => 4,
        };
        let count = match u16::try_from(self.spis.len()) {
            Ok(count) if size != 0 || count == 0 => count,
            _ => return Err(writer.error("number of SPIs")),
        };
        writer.u8(self.protocol.0);
        writer.u8(size);
        writer.u16(count);
        self.spis.iter().for_each(|spi| writer.bytes(spi));
        Ok(())
    }
}
