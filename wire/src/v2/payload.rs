//! The payloads as values.

use crate::numbers::*;
use crate::{DecodeError, EncodeError, Header};
use std::net::IpAddr;

/// One message: its header and its payloads in order.
///
/// What an SK payload holds is opaque here: it is decrypted by `crypto`, and its
/// plain text is read by [`decode_chain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header; `next_payload` and `length` are computed by [`Message::encode`].
    pub header: Header,
    /// The payloads in the order of the datagram.
    pub payloads: Vec<Payload>,
}

/// One payload.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Nonce, 16 to 256 octets.
    Nonce(Vec<u8>),
    /// Notification.
    Notify(Notify),
    /// SAs that the sender has deleted.
    Delete(Delete),
    /// Vendor id.
    VendorId(Vec<u8>),
    /// Traffic selectors of the initiator.
    TsI(Vec<TrafficSelector>),
    /// Traffic selectors of the responder.
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

/// Proposals (RFC 7296, 3.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SaPayload {
    /// In order of preference.
    pub proposals: Vec<Proposal>,
}

/// One proposal (RFC 7296, 3.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Counts from 1; in a response the number of the chosen one.
    pub number: u8,
    /// For which protocol.
    pub protocol: ProtocolId,
    /// SPI of the sender: empty, 4 octets (ESP, AH) or 8 (rekey of an IKE SA).
    pub spi: Vec<u8>,
    /// The algorithms offered, of every type.
    pub transforms: Vec<Transform>,
}

/// One transform (RFC 7296, 3.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// What it is for.
    pub transform_type: TransformType,
    /// Number within that type's registry.
    pub id: u16,
    /// Key length attribute in bits, where there is one.
    pub key_length: Option<u16>,
    /// Attributes other than the key length, as (type with AF bit, value): a proposal
    /// that has any must not be chosen (RFC 7296, 3.3.6).
    pub unknown_attributes: Vec<(u16, Vec<u8>)>,
}

/// Key exchange (RFC 7296, 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KePayload {
    /// The method.
    pub method: KeId,
    /// The public value.
    pub data: Vec<u8>,
}

/// Identification (RFC 7296, 3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// Its kind.
    pub id_type: IdType,
    /// Its octets, unchecked.
    pub data: Vec<u8>,
}

/// Certificate (RFC 7296, 3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertPayload {
    /// How it is encoded.
    pub encoding: CertEncoding,
    /// Its octets.
    pub data: Vec<u8>,
}

/// Certificate request (RFC 7296, 3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertReqPayload {
    /// Of which encoding.
    pub encoding: CertEncoding,
    /// SHA-1 hashes of the public keys of trusted authorities, 20 octets each, for the
    /// X.509 encodings.
    pub authorities: Vec<u8>,
}

/// Authentication (RFC 7296, 3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPayload {
    /// How it was computed.
    pub method: AuthMethod,
    /// Signature or MAC.
    pub data: Vec<u8>,
}

/// Notification (RFC 7296, 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Protocol of the SPI, or none.
    pub protocol: ProtocolId,
    /// The SA that it is about; empty for the IKE SA itself.
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
}

/// Delete (RFC 7296, 3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// IKE (no SPIs follow), ESP or AH.
    pub protocol: ProtocolId,
    /// The sender's inbound SPIs; empty for the IKE SA.
    pub spis: Vec<[u8; 4]>,
}

/// A traffic selector (RFC 7296, 3.13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrafficSelector {
    /// A range of addresses; both ends have the same family.
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

/// Configuration (RFC 7296, 3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigPayload {
    /// Request, reply, set or ack.
    pub cfg_type: CfgType,
    /// Attributes as (type, value).
    pub attributes: Vec<(CfgAttributeType, Vec<u8>)>,
}

/// Encrypted and authenticated (RFC 7296, 3.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// Type of the first payload inside.
    pub first_inner: PayloadType,
    /// Where the body (IV, cipher text, ICV) starts in the datagram.
    pub body_offset: usize,
    /// The body.
    pub body: Vec<u8>,
}

/// Encrypted fragment (RFC 7383, 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedFragment {
    /// Type of the first payload inside; set in fragment 1 only.
    pub first_inner: PayloadType,
    /// Counts from 1.
    pub number: u16,
    /// How many there are.
    pub total: u16,
    /// Where the body (IV, cipher text, ICV) starts in the datagram.
    pub body_offset: usize,
    /// The body.
    pub body: Vec<u8>,
}

/// A payload of a type that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPayload {
    /// Its type.
    pub payload_type: PayloadType,
    /// Whether the sender wants the message refused by whoever does not know it.
    pub critical: bool,
    /// Its octets.
    pub data: Vec<u8>,
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
}

impl Message {
    /// Reads a whole datagram (without the non-ESP marker). The header's length must be
    /// the datagram's; versions and exchange types are not judged here.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn decode(_datagram: &[u8]) -> Result<Self, DecodeError> {
        unimplemented!()
    }

    /// The datagram of a message without an SK payload (see [`encode_protected_prefix`]
    /// for those with one).
    ///
    /// # Errors
    /// A value does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        unimplemented!()
    }
}

/// Reads a chain of payloads: the plain text of an SK payload.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_chain(_first: PayloadType, _bytes: &[u8]) -> Result<Vec<Payload>, DecodeError> {
    unimplemented!()
}

/// Writes a chain of payloads and returns the type of the first one (NONE for an empty
/// chain) with the octets.
///
/// # Errors
/// A value does not fit its field.
pub fn encode_chain(_payloads: &[Payload]) -> Result<(PayloadType, Vec<u8>), EncodeError> {
    unimplemented!()
}

/// The octets of a protected message from the header to the generic header of the SK
/// payload, with all lengths set for an SK body (IV, cipher text, padding, ICV) of
/// `body_len` octets. It is what an AEAD authenticates (RFC 5282, 5.1); `crypto` appends
/// the body.
///
/// `outer` are payloads in front of SK, normally none.
///
/// # Errors
/// The message is longer than its length fields can say.
pub fn encode_protected_prefix(
    _header: &Header,
    _outer: &[Payload],
    _first_inner: PayloadType,
    _body_len: usize,
) -> Result<Vec<u8>, EncodeError> {
    unimplemented!()
}

/// As [`encode_protected_prefix`], for fragment `number` of `total` (RFC 7383).
///
/// # Errors
/// The message is longer than its length fields can say.
pub fn encode_fragment_prefix(
    _header: &Header,
    _first_inner: PayloadType,
    _number: u16,
    _total: u16,
    _body_len: usize,
) -> Result<Vec<u8>, EncodeError> {
    unimplemented!()
}
