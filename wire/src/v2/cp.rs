//! Configuration (RFC 7296, 3.15).
//!
//! ```text
//! payload    |   CFG type    |                   reserved                    |
//! attribute  |R|           type              |            length             |
//!            |  value                        ...                             |
//! ```

use crate::numbers::{CfgAttributeType, CfgType};
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};

/// Attributes that one configuration payload may hold: enough for a long list of subnets.
pub const MAX_CFG_ATTRIBUTES: usize = 1024;

/// The bit in front of the type is reserved (RFC 7296, 3.15.1).
const TYPE_MASK: u16 = 0x7fff;

/// Configuration (RFC 7296, 3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConfigPayload {
    /// Request, reply, set or ack.
    pub cfg_type: CfgType,
    /// Attributes as (type of 15 bits, value); at most [`MAX_CFG_ATTRIBUTES`].
    pub attributes: Vec<(CfgAttributeType, Vec<u8>)>,
}

impl ConfigPayload {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cfg_type = CfgType(reader.u8("CFG type")?);
        reader.reserved::<3>()?;
        let mut attributes = Vec::new();
        while reader.left() > 0 {
            if attributes.len() >= MAX_CFG_ATTRIBUTES {
                return Err(reader.error("attributes", Why::TooMany(MAX_CFG_ATTRIBUTES)));
            }
            let attribute = CfgAttributeType(reader.u16("attribute type")? & TYPE_MASK);
            let value = reader.measured(0, "attribute length")?.rest().to_vec();
            attributes.push((attribute, value));
        }
        Ok(Self { cfg_type, attributes })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        if self.attributes.len() > MAX_CFG_ATTRIBUTES {
            return Err(writer.error("attributes"));
        }
        writer.u8(self.cfg_type.0);
        writer.reserved::<3>();
        self.attributes.iter().try_for_each(|(attribute, value)| {
            if attribute.0 & !TYPE_MASK != 0 {
                return Err(writer.error("attribute type"));
            }
            writer.u16(attribute.0);
            writer.measured(0, "attribute length", |w| {
                w.bytes(value);
                Ok(())
            })
        })
    }
}
