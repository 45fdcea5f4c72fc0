//! What can go wrong in cryptography.

use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};
use std::fmt;

/// Why an operation was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An encryption algorithm (with this key length in bits) that is not implemented.
    UnsupportedEncr(EncrId, u16),
    /// An integrity algorithm that is not implemented.
    UnsupportedInteg(IntegId),
    /// A pseudorandom function that is not implemented.
    UnsupportedPrf(PrfId),
    /// A key exchange method that is not implemented.
    UnsupportedKe(KeId),
    /// The peer's public value has the wrong length or is not a valid element.
    BadPublicValue(KeId),
    /// Integrity check failed: corrupt, forged, or the wrong key.
    Integrity,
    /// Decrypted octets are not laid out as they must be (padding, block size).
    Malformed(&'static str),
    /// The library refused; the text is its own.
    Library(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedEncr(id, bits) => {
                write!(f, "encryption {id} with a key of {bits} bits is not implemented")
            }
            Self::UnsupportedInteg(id) => write!(f, "integrity {id} is not implemented"),
            Self::UnsupportedPrf(id) => write!(f, "PRF {id} is not implemented"),
            Self::UnsupportedKe(id) => write!(f, "key exchange {id} is not implemented"),
            Self::BadPublicValue(id) => write!(f, "the peer's public value for {id} is not valid"),
            Self::Integrity => write!(f, "integrity check failed"),
            Self::Malformed(what) => write!(f, "{what}"),
            Self::Library(text) => write!(f, "cryptographic library: {text}"),
        }
    }
}

impl std::error::Error for Error {}

/// A refusal by a library that does not say why.
pub(crate) fn library(what: &str) -> Error {
    Error::Library(what.to_owned())
}

impl From<openssl::error::ErrorStack> for Error {
    fn from(stack: openssl::error::ErrorStack) -> Self {
        Self::Library(stack.to_string())
    }
}
