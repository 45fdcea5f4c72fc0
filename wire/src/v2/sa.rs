//! Security association (RFC 7296, 3.3): a list of proposals, each a list of transforms,
//! each with attributes.
//!
//! ```text
//! proposal   | 0 last, 2 more|   reserved    |        proposal length        |
//!            |    number     |   protocol    |   SPI size    | no. transforms|
//!            |  SPI                          ...                             |
//! transform  | 0 last, 3 more|   reserved    |       transform length        |
//!            |     type      |   reserved    |         transform id          |
//! attribute  |1|       type  (key length: 14)|             value             |
//!         or |0|       type                  |            length             | value ...
//! ```

use crate::numbers::{ProtocolId, TransformType};
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};

/// Proposals that one SA payload may hold: as many as their numbers can count.
pub const MAX_PROPOSALS: usize = 255;

/// Attributes that one transform may hold. One is defined, the key length.
pub const MAX_ATTRIBUTES: usize = 16;

/// Octets from the start of a proposal or a transform to the end of its length field.
const SUBSTRUCTURE_HEAD: usize = 4;

/// The attribute's value follows in place of its length (RFC 7296, 3.3.5).
const ATTRIBUTE_FORMAT: u16 = 0x8000;

/// The key length attribute, always in the short format.
const KEY_LENGTH: u16 = ATTRIBUTE_FORMAT | 14;

/// Proposals (RFC 7296, 3.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SaPayload {
    /// In order of preference; at least one, at most [`MAX_PROPOSALS`].
    pub proposals: Vec<Proposal>,
}

/// One proposal (RFC 7296, 3.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Proposal {
    /// Counts from 1; in a response the number of the chosen one.
    pub number: u8,
    /// For which protocol.
    pub protocol: ProtocolId,
    /// SPI of the sender: empty, 4 octets (ESP, AH) or 8 (rekey of an IKE SA). Other
    /// sizes are kept as they are.
    pub spi: Vec<u8>,
    /// The algorithms offered, of every type; at most 255.
    pub transforms: Vec<Transform>,
}

/// One transform (RFC 7296, 3.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transform {
    /// What it is for.
    pub transform_type: TransformType,
    /// Number within that type's registry.
    pub id: u16,
    /// Key length attribute in bits, where there is one; any value is kept.
    pub key_length: Option<u16>,
    /// Attributes other than the key length, as (type with AF bit, value): a proposal
    /// that has any must not be chosen (RFC 7296, 3.3.6). A key length that is repeated,
    /// not the first attribute, or in the long format stands here too.
    pub unknown_attributes: Vec<(u16, Vec<u8>)>,
}

impl SaPayload {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut proposals = Vec::new();
        loop {
            if proposals.len() >= MAX_PROPOSALS {
                return Err(reader.error("proposals", Why::TooMany(MAX_PROPOSALS)));
            }
            let more = match reader.u8("proposal: last substructure")? {
                0 => false,
                2 => true,
                other => {
                    let why = Why::Invalid(other.into());
                    return Err(reader.error("proposal: last substructure", why));
                }
            };
            reader.reserved::<1>()?;
            let mut inside = reader.measured(SUBSTRUCTURE_HEAD, "proposal length")?;
            proposals.push(Proposal::decode(&mut inside)?);
            inside.finish("number of transforms")?;
            if !more {
                break;
            }
        }
        reader.finish("proposals")?;
        Ok(Self { proposals })
    }

    pub(super) fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        let last = self.proposals.len().checked_sub(1).ok_or_else(|| writer.error("proposals"))?;
        if self.proposals.len() > MAX_PROPOSALS {
            return Err(writer.error("proposals"));
        }
        self.proposals.iter().enumerate().try_for_each(|(i, proposal)| {
            writer.u8(if i == last { 0 } else { 2 });
            writer.reserved::<1>();
            writer.measured(SUBSTRUCTURE_HEAD, "proposal length", |w| proposal.encode(w))
        })
    }
}

impl Proposal {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.u8("proposal number")?;
        let protocol = ProtocolId(reader.u8("proposal protocol")?);
        let spi_size = reader.u8("SPI size")?;
        let mut announced = reader.u8("number of transforms")?;
        let spi = reader.take(spi_size.into(), "SPI")?.to_vec();
        let mut transforms = Vec::new();
        while let Some(behind) = announced.checked_sub(1) {
            announced = behind;
            let field = "transform: last substructure";
            let last = reader.u8(field)?;
            if last != if behind == 0 { 0 } else { 3 } {
                return Err(reader.error(field, Why::Invalid(last.into())));
            }
            reader.reserved::<1>()?;
            let mut inside = reader.measured(SUBSTRUCTURE_HEAD, "transform length")?;
            transforms.push(Transform::decode(&mut inside)?);
        }
        Ok(Self { number, protocol, spi, transforms })
    }

    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.number);
        writer.u8(self.protocol.0);
        writer.count(self.spi.len(), "SPI size")?;
        writer.count(self.transforms.len(), "number of transforms")?;
        writer.bytes(&self.spi);
        let last = self.transforms.len().saturating_sub(1);
        self.transforms.iter().enumerate().try_for_each(|(i, transform)| {
            writer.u8(if i == last { 0 } else { 3 });
            writer.reserved::<1>();
            writer.measured(SUBSTRUCTURE_HEAD, "transform length", |w| transform.encode(w))
        })
    }
}

impl Transform {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let transform_type = TransformType(reader.u8("transform type")?);
        reader.reserved::<1>()?;
        let id = reader.u16("transform id")?;
        let mut key_length = None;
        let mut unknown_attributes = Vec::new();
        let mut count = 0_usize;
        while reader.left() > 0 {
            count = count.saturating_add(1);
            if count > MAX_ATTRIBUTES {
                return Err(reader.error("attributes", Why::TooMany(MAX_ATTRIBUTES)));
            }
            let attribute = reader.u16("attribute type")?;
            if attribute == KEY_LENGTH && count == 1 {
                key_length = Some(reader.u16("key length")?);
            } else if attribute & ATTRIBUTE_FORMAT != 0 {
                unknown_attributes.push((attribute, reader.take(2, "attribute value")?.to_vec()));
            } else {
                let value = reader.measured(0, "attribute length")?.rest().to_vec();
                unknown_attributes.push((attribute, value));
            }
        }
        Ok(Self { transform_type, id, key_length, unknown_attributes })
    }

    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.u8(self.transform_type.0);
        writer.reserved::<1>();
        writer.u16(self.id);
        let count =
            self.unknown_attributes.len().saturating_add(usize::from(self.key_length.is_some()));
        if count > MAX_ATTRIBUTES {
            return Err(writer.error("attributes"));
        }
        if let Some(bits) = self.key_length {
            writer.u16(KEY_LENGTH);
            writer.u16(bits);
        }
        self.unknown_attributes.iter().try_for_each(|(attribute, value)| {
            writer.u16(*attribute);
            if attribute & ATTRIBUTE_FORMAT == 0 {
                return writer.measured(0, "attribute length", |w| {
                    w.bytes(value);
                    Ok(())
                });
            }
            if value.len() != 2 {
                return Err(writer.error("attribute value"));
            }
            writer.bytes(value);
            Ok(())
        })
    }
}
