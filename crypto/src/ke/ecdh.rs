//! NIST curves (RFC 5903) and Curve25519 (RFC 8031), by aws-lc-rs.

use crate::error::library;
use crate::{Entropy, Error, Secret};
use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519, agree,
};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use pluto_wire::numbers::KeId;
use zeroize::Zeroizing;

/// The first octet of a point that is not compressed (SEC 1, 2.3.3). It stands in no KE
/// payload: RFC 5903, 7 has the coordinates only.
const UNCOMPRESSED: u8 = 4;

/// A scalar out of range is drawn again. Less than one in 2^30 is, so that this many in a
/// row mean that the generator is broken.
const ATTEMPTS: u32 = 64;

#[derive(Clone, Copy)]
pub(super) struct Curve {
    algorithm: &'static Algorithm,
    /// Octets of a scalar.
    scalar: usize,
    /// Bits of the first octet of a scalar.
    first_octet: u8,
    /// Octets of the public value.
    public: usize,
    /// Whether it is a point with two coordinates.
    weierstrass: bool,
}

impl Curve {
    pub(super) fn of(method: KeId) -> Option<Self> {
        let nist = |algorithm, scalar, first_octet| Self {
            algorithm,
            scalar,
            first_octet,
            public: 2 * scalar,
            weierstrass: true,
        };
        Some(match method {
            KeId::ECP_256 => nist(&ECDH_P256, 32, 0xff),
            KeId::ECP_384 => nist(&ECDH_P384, 48, 0xff),
            KeId::ECP_521 => nist(&ECDH_P521, 66, 0x01),
            KeId::X25519 => Self {
                algorithm: &X25519,
                scalar: 32,
                first_octet: 0xff,
                public: 32,
                weierstrass: false,
            },
            _ => return None,
        })
    }

    pub(super) fn generate(self, entropy: &mut dyn Entropy) -> Result<PrivateKey, Error> {
        let mut scalar = Zeroizing::new(vec![0; self.scalar]);
        for _ in 0..ATTEMPTS {
            entropy.fill(&mut scalar);
            if let Some(first) = scalar.first_mut() {
                *first &= self.first_octet;
            }
            if let Some(key) = self.private_key(&scalar) {
                return Ok(key);
            }
        }
        Err(library("no random scalar was in the range of the group"))
    }

    /// None for a scalar that is zero or not below the order.
    pub(super) fn private_key(self, scalar: &[u8]) -> Option<PrivateKey> {
        PrivateKey::from_private_key(self.algorithm, scalar).ok()
    }

    /// The scalar of a key.
    pub(super) fn scalar_of(self, key: &PrivateKey) -> Option<Secret> {
        if self.weierstrass {
            let scalar: EcPrivateKeyBin<'_> = key.as_be_bytes().ok()?;
            return Some(Secret::from_slice(scalar.as_ref()));
        }
        let seed: Curve25519SeedBin<'_> = key.as_be_bytes().ok()?;
        Some(Secret::from_slice(seed.as_ref()))
    }

    pub(super) fn public(self, key: &PrivateKey) -> Result<Vec<u8>, Error> {
        let point = key.compute_public_key().map_err(|_| library("no public value"))?;
        let octets = point.as_ref();
        let value =
            if self.weierstrass { octets.strip_prefix(&[UNCOMPRESSED]) } else { Some(octets) };
        value
            .filter(|value| value.len() == self.public)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| library("the public value has the wrong length"))
    }

    /// None if the peer's value is not a point of the group, is the neutral one, or, for
    /// Curve25519, gives zero (RFC 7748, 6.1). The secret is the x coordinate.
    pub(super) fn agree(self, key: &PrivateKey, peer: &[u8]) -> Option<Secret> {
        if peer.len() != self.public {
            return None;
        }
        let secret = |x: &[u8]| Ok::<_, ()>(Secret::from_slice(x));
        if self.weierstrass {
            let mut point = Vec::with_capacity(1 + peer.len());
            point.push(UNCOMPRESSED);
            point.extend_from_slice(peer);
            agree(key, UnparsedPublicKey::new(self.algorithm, point), (), secret).ok()
        } else {
            agree(key, UnparsedPublicKey::new(self.algorithm, peer), (), secret).ok()
        }
    }
}
