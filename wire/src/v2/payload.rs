//! One payload of any type, and chains of them.
//!
//! ```text
//! | next payload  |C|  reserved   |        payload length         |
//! ```

use super::*;
use crate::numbers::PayloadType;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{DecodeError, EncodeError, Why};

/// Payloads that a message, or the inside of an SK payload, may hold.
pub const MAX_PAYLOADS: usize = 256;

/// Octets of the generic header (RFC 7296, 3.2).
pub(super) const GENERIC_HEADER_LEN: usize = 4;

/// The critical bit in the octet behind the next payload (RFC 7296, 3.2).
const CRITICAL: u8 = 0x80;

/// One payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Payload {
    /// Security association: proposals offered, or the one chosen.
    Sa(SaPayload),
    /// Public value of a key exchange.
    Ke(KePayload),
    /// Identification of the initiator.
    IdI(Identification),
    /// Identification of the responder.
    IdR(Identification),
    /// A certificate.
    Cert(CertPayload),
    /// Authorities that the sender trusts.
    CertReq(CertReqPayload),
    /// Proof of identity.
    Auth(AuthPayload),
    /// Nonce, 16 to 256 octets ([`NONCE_LEN`]).
    Nonce(Vec<u8>),
    /// Notification.
    Notify(Notify),
    /// SAs that the sender has deleted.
    Delete(Delete),
    /// Vendor id.
    VendorId(Vec<u8>),
    /// Traffic selectors of the initiator, 1 to 255.
    TsI(Vec<TrafficSelector>),
    /// Traffic selectors of the responder, 1 to 255.
    TsR(Vec<TrafficSelector>),
    /// Configuration.
    Cp(ConfigPayload),
    /// An EAP packet (RFC 3748), unparsed.
    Eap(Vec<u8>),
    /// Encrypted and authenticated; always the last.
    Encrypted(Encrypted),
    /// A fragment of an encrypted payload (RFC 7383); always the last.
    EncryptedFragment(EncryptedFragment),
    /// A payload of a type that is not known here.
    Unknown(UnknownPayload),
}

/// A payload of a type that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnknownPayload {
    /// Its type; not NONE, SK or SKF.
    pub payload_type: PayloadType,
    /// Whether the sender wants the message refused by whoever does not know it
    /// (RFC 7296, 2.5). The critical bit of a known payload is ignored and not kept.
    pub critical: bool,
    /// Its octets.
    pub data: Vec<u8>,
}

/// Where a chain of payloads stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the datagram: an SK or SKF payload may end it.
    Outer,
    /// Inside an SK payload: there cannot be another.
    Inner,
}

impl Payload {
    /// The type that the payload before it announces.
    #[must_use]
    pub fn payload_type(&self) -> PayloadType {
        match self {
            Self::Sa(_) => PayloadType::SA,
            Self::Ke(_) => PayloadType::KE,
            Self::IdI(_) => PayloadType::IDI,
            Self::IdR(_) => PayloadType::IDR,
            Self::Cert(_) => PayloadType::CERT,
            Self::CertReq(_) => PayloadType::CERTREQ,
            Self::Auth(_) => PayloadType::AUTH,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::TsI(_) => PayloadType::TSI,
            Self::TsR(_) => PayloadType::TSR,
            Self::Cp(_) => PayloadType::CP,
            Self::Eap(_) => PayloadType::EAP,
            Self::Encrypted(_) => PayloadType::SK,
            Self::EncryptedFragment(_) => PayloadType::SKF,
            Self::Unknown(u) => u.payload_type,
        }
    }

    /// Reads what follows the generic header, up to its last octet. `next` is that
    /// header's next payload, which belongs to the inside where this is SK or SKF.
    fn decode(
        payload_type: PayloadType,
        critical: bool,
        next: PayloadType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        Ok(match payload_type {
            PayloadType::SA => Self::Sa(SaPayload::decode(reader)?),
            PayloadType::KE => Self::Ke(KePayload::decode(reader)?),
            PayloadType::IDI => Self::IdI(Identification::decode(reader)?),
            PayloadType::IDR => Self::IdR(Identification::decode(reader)?),
            PayloadType::CERT => Self::Cert(CertPayload::decode(reader)?),
            PayloadType::CERTREQ => Self::CertReq(CertReqPayload::decode(reader)?),
            PayloadType::AUTH => Self::Auth(AuthPayload::decode(reader)?),
            PayloadType::NONCE => Self::Nonce(nonce::decode(reader)?),
            PayloadType::NOTIFY => Self::Notify(Notify::decode(reader)?),
            PayloadType::DELETE => Self::Delete(Delete::decode(reader)?),
            PayloadType::VENDOR_ID => Self::VendorId(vendor::decode(reader)),
            PayloadType::TSI => Self::TsI(ts::decode(reader)?),
            PayloadType::TSR => Self::TsR(ts::decode(reader)?),
            PayloadType::CP => Self::Cp(ConfigPayload::decode(reader)?),
            PayloadType::EAP => Self::Eap(eap::decode(reader)),
            PayloadType::SK => Self::Encrypted(Encrypted::decode(next, reader)),
            PayloadType::SKF => Self::EncryptedFragment(EncryptedFragment::decode(next, reader)?),
            _ => {
                let data = reader.rest().to_vec();
                Self::Unknown(UnknownPayload { payload_type, critical, data })
            }
        })
    }

    /// Writes what follows the generic header.
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        match self {
            Self::Sa(sa) => sa.encode(writer)?,
            Self::Ke(ke) => ke.encode(writer)?,
            Self::IdI(id) | Self::IdR(id) => id.encode(writer)?,
            Self::Cert(cert) => cert.encode(writer)?,
            Self::CertReq(certreq) => certreq.encode(writer)?,
            Self::Auth(auth) => auth.encode(writer)?,
            Self::Nonce(octets) => nonce::encode(octets, writer)?,
            Self::Notify(notify) => notify.encode(writer)?,
            Self::Delete(delete) => delete.encode(writer)?,
            Self::VendorId(octets) => vendor::encode(octets, writer),
            Self::TsI(selectors) | Self::TsR(selectors) => ts::encode(selectors, writer)?,
            Self::Cp(config) => config.encode(writer)?,
            Self::Eap(packet) => eap::encode(packet, writer),
            Self::Encrypted(encrypted) => writer.bytes(&encrypted.body),
            Self::EncryptedFragment(part) => {
                fragment::encode_counters(part.number, part.total, writer)?;
                writer.bytes(&part.body);
            }
            Self::Unknown(unknown) => match unknown.payload_type {
                PayloadType::NONE | PayloadType::SK | PayloadType::SKF => {
                    return Err(writer.error("payload type"));
                }
                _ => writer.bytes(&unknown.data),
            },
        }
        Ok(())
    }
}

/// The name that errors give a payload.
fn name_of(payload_type: PayloadType) -> &'static str {
    payload_type.name().unwrap_or("unknown")
}

/// A chain of payloads, which are taken off one after the other.
///
/// Each takes at least the four octets of its generic header, so no chain is endless.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    coming: PayloadType,
    reader: Reader<'a>,
    place: Place,
    taken: usize,
}

/// A payload whose inside is not read yet.
pub(super) struct Link<'a> {
    pub(super) payload_type: PayloadType,
    critical: bool,
    next: PayloadType,
    pub(super) inside: Reader<'a>,
}

impl<'a> Chain<'a> {
    /// The first payload is of type `first`; the last ends where `reader` does.
    pub(super) fn new(first: PayloadType, reader: Reader<'a>, place: Place) -> Self {
        Self { coming: first, reader, place, taken: 0 }
    }

    /// The next one; none behind the last.
    pub(super) fn next_link(&mut self) -> Result<Option<Link<'a>>, DecodeError> {
        let (coming, reader) = (self.coming, &mut self.reader);
        if coming == PayloadType::NONE {
            reader.finish("payload length")?;
            return Ok(None);
        }
        reader.name(name_of(coming));
        if self.taken >= MAX_PAYLOADS {
            return Err(reader.error("payloads", Why::TooMany(MAX_PAYLOADS)));
        }
        // RFC 7296, 3.14: SK is the last payload of a message, and never within another.
        let last = matches!(coming, PayloadType::SK | PayloadType::SKF);
        if last && self.place == Place::Inner {
            return Err(reader.error("payload type", Why::Invalid(coming.0.into())));
        }
        let next = PayloadType(reader.u8("next payload")?);
        let critical = reader.u8("critical bit")? & CRITICAL != 0;
        let inside = reader.measured(GENERIC_HEADER_LEN, "payload length")?;
        self.coming = if last { PayloadType::NONE } else { next };
        self.taken = self.taken.saturating_add(1);
        Ok(Some(Link { payload_type: coming, critical, next, inside }))
    }

    /// Nothing more is taken off.
    pub(super) fn end(&mut self) {
        self.coming = PayloadType::NONE;
        self.reader.rest();
    }
}

/// Reads the payloads of a chain.
pub(super) fn decode_payloads(mut chain: Chain<'_>) -> Result<Vec<Payload>, DecodeError> {
    let mut payloads = Vec::new();
    while let Some(link) = chain.next_link()? {
        let Link { payload_type, critical, next, mut inside } = link;
        payloads.push(Payload::decode(payload_type, critical, next, &mut inside)?);
        inside.finish("payload length")?;
    }
    Ok(payloads)
}

/// Writes payloads, each announcing the one behind it, the last announcing `behind`.
pub(super) fn encode_payloads(
    payloads: &[Payload],
    behind: PayloadType,
    place: Place,
    writer: &mut Writer,
) -> Result<(), EncodeError> {
    if payloads.len() > MAX_PAYLOADS {
        return Err(writer.error("payloads"));
    }
    let following = payloads.iter().skip(1).map(Payload::payload_type).chain([behind]);
    let last = payloads.len().saturating_sub(1);
    for (i, (payload, next)) in payloads.iter().zip(following).enumerate() {
        writer.name(name_of(payload.payload_type()));
        let (next, critical) = match payload {
            Payload::Encrypted(Encrypted { first_inner, .. })
            | Payload::EncryptedFragment(EncryptedFragment { first_inner, .. }) => {
                if place == Place::Inner || i != last || behind != PayloadType::NONE {
                    return Err(writer.error("place"));
                }
                (*first_inner, false)
            }
            Payload::Unknown(unknown) => (next, unknown.critical),
            // RFC 7296, 3.2: the bit is zero for every payload that this RFC defines.
            _ => (next, false),
        };
        writer.u8(next.0);
        writer.u8(if critical { CRITICAL } else { 0 });
        writer.measured(GENERIC_HEADER_LEN, "payload length", |w| payload.encode(w))?;
    }
    Ok(())
}

/// The type that announces `payloads`, with `behind` following them.
pub(super) fn first_of(payloads: &[Payload], behind: PayloadType) -> PayloadType {
    payloads.first().map_or(behind, Payload::payload_type)
}

/// Reads a chain of payloads: the plain text of an SK payload, its padding removed. There
/// cannot be an SK or SKF payload in it.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_chain(first: PayloadType, bytes: &[u8]) -> Result<Vec<Payload>, DecodeError> {
    decode_payloads(Chain::new(first, Reader::new("SK", bytes, 0), Place::Inner))
}

/// Writes a chain of payloads and returns the type of the first one (NONE for an empty
/// chain) with the octets.
///
/// # Errors
/// A value does not fit its field, or an SK or SKF payload is among them.
pub fn encode_chain(payloads: &[Payload]) -> Result<(PayloadType, Vec<u8>), EncodeError> {
    let mut writer = Writer::new("SK", Vec::new());
    encode_payloads(payloads, PayloadType::NONE, Place::Inner, &mut writer)?;
    Ok((first_of(payloads, PayloadType::NONE), writer.done()))
}
