//! Traffic selectors (RFC 7296, 3.13).
//!
//! ```text
//! payload    | number of TSs |                   reserved                    |
//! selector   |    TS type    | IP protocol   |        selector length        |
//!            |          start port           |           end port            |
//!            |  starting address (4 or 16)   ...                             |
//!            |  ending address (4 or 16)     ...                             |
//! ```

use crate::numbers::TsType;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets from the start of a selector to the end of its length field.
const SELECTOR_HEAD: usize = 4;

/// A traffic selector (RFC 7296, 3.13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TrafficSelector {
    /// A range of addresses; both ends have the same family. A start above its end is
    /// kept as it is, for addresses and for ports.
    AddressRange {
        /// IP protocol; 0 is any.
        protocol: u8,
        /// First port, or type and code for ICMP.
        start_port: u16,
        /// Last port. Start 65535 and end 0 is OPAQUE.
        end_port: u16,
        /// First address.
        start: IpAddr,
        /// Last address.
        end: IpAddr,
    },
    /// Of another type, kept as it is.
    Unknown {
        /// Its type.
        ts_type: TsType,
        /// The octet where others have the protocol.
        protocol: u8,
        /// All behind the length field.
        data: Vec<u8>,
    },
}

/// Reads what follows the generic header of a TSi or TSr payload: 1 to 255 selectors.
pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Vec<TrafficSelector>, DecodeError> {
    let count = reader.u8("number of TSs")?;
    if count == 0 {
        return Err(reader.error("number of TSs", Why::Invalid(0)));
    }
    reader.reserved::<3>()?;
    let mut selectors = Vec::new();
    for _ in 0..count {
        selectors.push(TrafficSelector::decode(reader)?);
    }
    reader.finish("number of TSs")?;
    Ok(selectors)
}

pub(super) fn encode(
    selectors: &[TrafficSelector],
    writer: &mut Writer,
) -> Result<(), EncodeError> {
    if selectors.is_empty() {
        return Err(writer.error("number of TSs"));
    }
    writer.count(selectors.len(), "number of TSs")?;
    writer.reserved::<3>();
    selectors.iter().try_for_each(|selector| selector.encode(writer))
}

impl TrafficSelector {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ts_type = TsType(reader.u8("TS type")?);
        let protocol = reader.u8("IP protocol")?;
        let mut inside = reader.measured(SELECTOR_HEAD, "selector length")?;
        let expected = match ts_type {
            TsType::IPV4_ADDR_RANGE => 16,
            TsType::IPV6_ADDR_RANGE => 40,
            _ => {
                let data = inside.rest().to_vec();
                return Ok(Self::Unknown { ts_type, protocol, data });
            }
        };
        let said = inside.left().saturating_add(SELECTOR_HEAD);
        if said != expected {
            return Err(reader.error("selector length", Why::Length { said, expected }));
        }
        Ok(Self::AddressRange {
            protocol,
            start_port: inside.u16("start port")?,
            end_port: inside.u16("end port")?,
            start: address(ts_type, &mut inside, "starting address")?,
            end: address(ts_type, &mut inside, "ending address")?,
        })
    }

    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        match self {
            Self::AddressRange { protocol, start_port, end_port, start, end } => {
                let ts_type = match (start, end) {
                    (IpAddr::V4(_), IpAddr::V4(_)) => TsType::IPV4_ADDR_RANGE,
                    (IpAddr::V6(_), IpAddr::V6(_)) => TsType::IPV6_ADDR_RANGE,
                    _ => return Err(writer.error("ending address")),
                };
                writer.u8(ts_type.0);
                writer.u8(*protocol);
                writer.measured(SELECTOR_HEAD, "selector length", |w| {
                    w.u16(*start_port);
                    w.u16(*end_port);
                    [start, end].into_iter().for_each(|address| match address {
                        IpAddr::V4(address) => w.bytes(&address.octets()),
                        IpAddr::V6(address) => w.bytes(&address.octets()),
                    });
                    Ok(())
                })
            }
            Self::Unknown { ts_type, protocol, data } => {
                writer.u8(ts_type.0);
                writer.u8(*protocol);
                writer.measured(SELECTOR_HEAD, "selector length", |w| {
                    w.bytes(data);
                    Ok(())
                })
            }
        }
    }
}

/// An address of the family that the type of its selector says.
fn address(
    ts_type: TsType,
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<IpAddr, DecodeError> {
    Ok(match ts_type {
        TsType::IPV4_ADDR_RANGE => Ipv4Addr::from(reader.array::<4>(field)?).into(),
        _ => Ipv6Addr::from(reader.array::<16>(field)?).into(),
    })
}
