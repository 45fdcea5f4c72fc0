//! What is known of each algorithm: sizes, and whether it is implemented.

use crate::Error;
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

impl EncrInfo {
    /// Whether it brings its own integrity check.
    #[must_use]
    pub fn is_aead(&self) -> bool {
        self.icv != 0
    }

    /// Octets of a key of `bits` bits, without salt; `bits` may be 0 where there is only
    /// one length (or none, as with NULL). None if there is no such key.
    #[must_use]
    pub fn key_octets(&self, bits: u16) -> Option<usize> {
        match (bits, self.key_bits) {
            (0, []) => Some(0),
            (0, [only]) => Some(usize::from(*only) / 8),
            (bits, known) if known.contains(&bits) => Some(usize::from(bits) / 8),
            _ => None,
        }
    }
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

/// Key lengths of AES and Camellia, the longest first as libreswan tries them.
const BITS_256_192_128: &[u16] = &[256, 192, 128];

/// AES in counter mode with an ICV of its own.
const fn aead(salt: usize, icv: usize, ike: bool) -> EncrInfo {
    EncrInfo {
        key_bits: BITS_256_192_128,
        key_length_attribute: true,
        salt,
        iv: 8,
        block: 1,
        icv,
        ike,
        esp: true,
    }
}

const AES_CBC: EncrInfo = EncrInfo {
    key_bits: BITS_256_192_128,
    key_length_attribute: true,
    salt: 0,
    iv: 16,
    block: 16,
    icv: 0,
    ike: true,
    esp: true,
};

/// Facts of an encryption algorithm; none when it is not implemented.
#[must_use]
pub fn encr_info(id: EncrId) -> Option<EncrInfo> {
    Some(match id {
        EncrId::AES_GCM_16 => aead(4, 16, true),
        EncrId::AES_GCM_12 => aead(4, 12, true),
        EncrId::AES_GCM_8 => aead(4, 8, true),
        EncrId::AES_CCM_16 => aead(3, 16, false),
        EncrId::AES_CCM_12 => aead(3, 12, false),
        EncrId::AES_CCM_8 => aead(3, 8, false),
        EncrId::NULL_AUTH_AES_GMAC => aead(4, 16, false),
        // RFC 3686; RFC 5930 for IKE. Not an AEAD: integrity comes from elsewhere.
        EncrId::AES_CTR => EncrInfo { icv: 0, ..aead(4, 0, true) },
        EncrId::AES_CBC | EncrId::CAMELLIA_CBC => AES_CBC,
        // RFC 7634, 4: 256 bits always, no key length attribute.
        EncrId::CHACHA20_POLY1305 => {
            EncrInfo { key_bits: &[256], key_length_attribute: false, ..aead(4, 16, true) }
        }
        EncrId::TRIPLE_DES => {
            EncrInfo { key_bits: &[192], key_length_attribute: false, iv: 8, block: 8, ..AES_CBC }
        }
        EncrId::NULL => EncrInfo {
            key_bits: &[],
            key_length_attribute: false,
            salt: 0,
            iv: 0,
            block: 1,
            icv: 0,
            ike: false,
            esp: true,
        },
        _ => return None,
    })
}

/// Facts of an integrity algorithm; none when it is not implemented (NONE is not one).
#[must_use]
pub fn integ_info(id: IntegId) -> Option<IntegInfo> {
    let (key, icv) = match id {
        IntegId::HMAC_SHA1_96 => (20, 12),
        IntegId::AES_XCBC_96 | IntegId::AES_CMAC_96 => (16, 12),
        IntegId::HMAC_SHA2_256_128 => (32, 16),
        IntegId::HMAC_SHA2_384_192 => (48, 24),
        IntegId::HMAC_SHA2_512_256 => (64, 32),
        _ => return None,
    };
    Some(IntegInfo { key, icv })
}

/// Facts of a pseudorandom function; none when it is not implemented.
#[must_use]
pub fn prf_info(id: PrfId) -> Option<PrfInfo> {
    let (output, fixed_key) = match id {
        PrfId::HMAC_SHA1 => (20, None),
        PrfId::HMAC_SHA2_256 => (32, None),
        PrfId::HMAC_SHA2_384 => (48, None),
        PrfId::HMAC_SHA2_512 => (64, None),
        PrfId::AES_XCBC | PrfId::AES_CMAC => (16, Some(16)),
        _ => return None,
    };
    Some(PrfInfo { output, fixed_key })
}

/// Facts of a key exchange method; none when it is not implemented.
#[must_use]
pub fn ke_info(id: KeId) -> Option<KeInfo> {
    let octets = match id {
        KeId::MODP1536 => 192,
        KeId::MODP2048 => 256,
        KeId::MODP3072 => 384,
        KeId::MODP4096 => 512,
        KeId::MODP6144 => 768,
        KeId::MODP8192 => 1024,
        // Two coordinates of whole octets (RFC 5903, 7).
        KeId::ECP_256 => 64,
        KeId::ECP_384 => 96,
        KeId::ECP_521 => 132,
        KeId::X25519 => 32,
        _ => return None,
    };
    Some(KeInfo { initiator_public: octets, responder_public: octets })
}

/// The facts of a cipher and the octets of its key, or the error that names it.
pub(crate) fn encr_with_key(id: EncrId, bits: u16) -> Result<(EncrInfo, usize), Error> {
    let info = encr_info(id).ok_or(Error::UnsupportedEncr(id, bits))?;
    let octets = info.key_octets(bits).ok_or(Error::UnsupportedEncr(id, bits))?;
    Ok((info, octets))
}

/// The facts of what protects integrity beside `encr`: an AEAD has none, everything else
/// needs one.
pub(crate) fn integ_beside(encr: &EncrInfo, id: IntegId) -> Result<IntegInfo, Error> {
    match (encr.is_aead(), id) {
        (true, IntegId::NONE) => Ok(IntegInfo { key: 0, icv: 0 }),
        (true, _) => Err(Error::UnsupportedInteg(id)),
        (false, _) => integ_info(id).ok_or(Error::UnsupportedInteg(id)),
    }
}
