//! What is known of each algorithm: sizes, and whether it is implemented.

use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// An encryption algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncrInfo {
    /// Key lengths in bits, preferred first; empty for NULL.
    pub key_bits: &'static [u16],
    /// Whether the key length is sent as an attribute.
    pub key_length_attribute: bool,
    /// Octets of salt taken from the keying material behind the key.
    pub salt: usize,
    /// Octets of IV in each message.
    pub iv: usize,
    /// Octets of a cipher block; 1 for stream modes.
    pub block: usize,
    /// Octets of the tag for an AEAD, else 0.
    pub icv: usize,
    /// Whether it may protect IKE messages (CCM may not, as in libreswan).
    pub ike: bool,
    /// Whether it may protect ESP.
    pub esp: bool,
}

/// An integrity algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegInfo {
    /// Octets of the key.
    pub key: usize,
    /// Octets of the (truncated) output.
    pub icv: usize,
}

/// A pseudorandom function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrfInfo {
    /// Octets of output, which is the preferred key length too.
    pub output: usize,
    /// Octets that a key must have, for those with fixed keys (AES); else none.
    pub fixed_key: Option<usize>,
}

/// A key exchange method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeInfo {
    /// Octets of the initiator's public value.
    pub initiator_public: usize,
    /// Octets of the responder's public value.
    pub responder_public: usize,
}

/// Facts of an encryption algorithm; none when it is not implemented.
#[must_use]
pub fn encr_info(_id: EncrId) -> Option<EncrInfo> {
    unimplemented!()
}
/// Facts of an integrity algorithm; none when it is not implemented (NONE is not one).
#[must_use]
pub fn integ_info(_id: IntegId) -> Option<IntegInfo> {
    unimplemented!()
}
/// Facts of a pseudorandom function; none when it is not implemented.
#[must_use]
pub fn prf_info(_id: PrfId) -> Option<PrfInfo> {
    unimplemented!()
}
/// Facts of a key exchange method; none when it is not implemented.
#[must_use]
pub fn ke_info(_id: KeId) -> Option<KeInfo> {
    unimplemented!()
}
