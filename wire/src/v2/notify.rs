//! Notification (RFC 7296, 3.10).
//!
//! ```text
//! |   protocol    |   SPI size    |          notify type          |
//! |  SPI                          ...                             |
//! |  notification data            ...                             |
//! ```

use crate::numbers::{NotifyType, ProtocolId};
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError};

/// Notification (RFC 7296, 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Notify {
    /// Protocol of the SPI, or none.
    pub protocol: ProtocolId,
    /// The SA that it is about; empty for the IKE SA itself. Any size is kept, whatever
    /// the protocol: it must not be trusted to be 4 octets.
    pub spi: Vec<u8>,
    /// What it says.
    pub notify_type: NotifyType,
    /// Its data.
    pub data: Vec<u8>,
}

impl Notify {
    /// A notification about the IKE SA itself, or none in particular.
    #[must_use]
    pub fn new(notify_type: NotifyType, data: Vec<u8>) -> Self {
        Self { protocol: ProtocolId::NONE, spi: Vec::new(), notify_type, data }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let protocol = ProtocolId(reader.u8("protocol")?);
        let spi_size = reader.u8("SPI size")?;
        let notify_type = NotifyType(reader.u16("notify type")?);
        let spi = reader.take(spi_size.into(), "SPI")?.to_vec();
        Ok(Self { protocol, spi, notify_type, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.protocol.0);
        writer.count(self.spi.len(), "SPI size")?;
        writer.u16(self.notify_type.0);
        writer.bytes(&self.spi);
        writer.bytes(&self.data);
        Ok(())
    }
}
