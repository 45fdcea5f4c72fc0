//! The IKE header (RFC 7296, 3.1).

use crate::DecodeError;
use crate::numbers::{ExchangeType, PayloadType};
use crate::reader::Reader;
use std::fmt;

/// Octets of an IKE header.
pub const HEADER_LEN: usize = 28;

/// Four zero octets in front of an IKE message on port 4500 (RFC 3948, 2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// An IKE SPI; all zero means "none yet".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IkeSpi(pub [u8; 8]);

impl IkeSpi {
    /// No SPI: what an IKE_SA_INIT request carries for the responder.
    pub const ZERO: Self = Self([0; 8]);

    /// Whether all octets are zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The pair of SPIs that names an IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IkeSpis {
    /// Of the original initiator.
    pub initiator: IkeSpi,
    /// Of the original responder; zero in the first request.
    pub responder: IkeSpi,
}

impl fmt::Display for IkeSpis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_i {}_r", self.initiator, self.responder)
    }
}

/// A message id: counts the requests of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageId(pub u32);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Four bits.
    pub major: u8,
    /// Four bits.
    pub minor: u8,
}

impl Version {
    /// IKEv1.
    pub const V1: Self = Self { major: 1, minor: 0 };
    /// IKEv2.
    pub const V2: Self = Self { major: 2, minor: 0 };
}

/// The flags octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender is the original initiator of the IKE SA.
    pub const INITIATOR: Self = Self(0x08);
    /// The sender speaks a higher major version too.
    pub const VERSION: Self = Self(0x10);
    /// The message is a response.
    pub const RESPONSE: Self = Self(0x20);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both sets of bits.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether the sender is the original initiator.
    #[must_use]
    pub fn from_initiator(self) -> bool {
        self.contains(Self::INITIATOR)
    }
    /// Whether the message is a response.
    #[must_use]
    pub fn is_response(self) -> bool {
        self.contains(Self::RESPONSE)
    }
}

/// The first 28 octets of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which IKE SA.
    pub spis: IkeSpis,
    /// Type of the first payload.
    pub next_payload: PayloadType,
    /// Major and minor version.
    pub version: Version,
    /// Which exchange.
    pub exchange: ExchangeType,
    /// Who sent it, and whether it is a response.
    pub flags: Flags,
    /// Which request of its sender.
    pub message_id: MessageId,
    /// Octets of the whole message, header included.
    pub length: u32,
}

impl Header {
    /// Reads the header of a datagram without looking behind it: what the listener
    /// needs to find the IKE SA. The length field is returned as it is, unchecked.
    ///
    /// # Errors
    /// Fewer than 28 octets.
    pub fn peek(bytes: &[u8]) -> Result<Self, DecodeError> {
        // As a whole, so that the error says how much a header takes.
        let head: [u8; HEADER_LEN] = Reader::new("header", bytes, 0).array("header")?;
        let mut reader = Reader::new("header", &head, 0);
        let initiator = IkeSpi(reader.array("initiator SPI")?);
        let responder = IkeSpi(reader.array("responder SPI")?);
        let next_payload = PayloadType(reader.u8("next payload")?);
        let version = reader.u8("version")?;
        Ok(Self {
            spis: IkeSpis { initiator, responder },
            next_payload,
            version: Version { major: version >> 4, minor: version & 0x0f },
            exchange: ExchangeType(reader.u8("exchange type")?),
            flags: Flags(reader.u8("flags")?),
            message_id: MessageId(u32::from_be_bytes(reader.array("message id")?)),
            length: u32::from_be_bytes(reader.array("length")?),
        })
    }

    /// The 28 octets.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let version = (self.version.major << 4) | (self.version.minor & 0x0f);
        let parts = self
            .spis
            .initiator
            .0
            .into_iter()
            .chain(self.spis.responder.0)
            .chain([self.next_payload.0, version, self.exchange.0, self.flags.0])
            .chain(self.message_id.0.to_be_bytes())
            .chain(self.length.to_be_bytes());
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        out
    }
}
