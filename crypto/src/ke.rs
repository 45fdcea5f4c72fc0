//! Key exchange: MODP, ECP, X25519 (and, later, ML-KEM).

mod ecdh;
mod modp;

use crate::{Entropy, Error, Secret};
use aws_lc_rs::agreement::PrivateKey;
use pluto_wire::numbers::KeId;
use std::sync::Arc;

/// Whether an operation may run on the session thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Below 100 µs.
    Inline,
    /// A job for the pool.
    Pool,
}

/// Our half of a key exchange: the private value with its public one. Plain data, so
/// that the state that holds it can be cloned and handed to a job.
#[derive(Debug, Clone)]
pub struct LocalKey {
    method: KeId,
    private: Private,
    public: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Private {
    /// The exponent.
    Modp(Secret),
    /// The library's object, which has the public point in it: making it again from the
    /// scalar would cost as much as generating did.
    Ecdh(Arc<PrivateKey>),
}

impl LocalKey {
    /// What generating or agreeing costs.
    #[must_use]
    pub fn cost(method: KeId) -> Cost {
        match method {
            KeId::X25519 | KeId::ECP_256 => Cost::Inline,
            _ => Cost::Pool,
        }
    }

    /// Makes a key pair.
    ///
    /// # Errors
    /// The method is not implemented.
    pub fn generate(method: KeId, entropy: &mut dyn Entropy) -> Result<Self, Error> {
        if let Some(curve) = ecdh::Curve::of(method) {
            let key = curve.generate(entropy)?;
            Self::from_ecdh(method, curve, key)
        } else if let Some(group) = modp::Group::of(method) {
            Self::from_modp(method, group, group.generate(entropy))
        } else {
            Err(Error::UnsupportedKe(method))
        }
    }

    /// The private value, as [`Self::from_private`] takes it.
    ///
    /// # Errors
    /// The library does not give it out.
    pub(crate) fn private_value(&self) -> Result<Secret, Error> {
        match &self.private {
            Private::Modp(exponent) => Ok(exponent.clone()),
            Private::Ecdh(key) => ecdh::Curve::of(self.method)
                .and_then(|curve| curve.scalar_of(key))
                .ok_or(Error::UnsupportedKe(self.method)),
        }
    }

    /// The key pair of a given private value.
    ///
    /// # Errors
    /// The method is not implemented, or that is no private value of it.
    pub(crate) fn from_private(method: KeId, private: &[u8]) -> Result<Self, Error> {
        if let Some(curve) = ecdh::Curve::of(method) {
            let key = curve.private_key(private).ok_or(Error::UnsupportedKe(method))?;
            return Self::from_ecdh(method, curve, key);
        }
        let group = modp::Group::of(method).ok_or(Error::UnsupportedKe(method))?;
        Self::from_modp(method, group, Secret::from_slice(private))
    }

    fn from_ecdh(method: KeId, curve: ecdh::Curve, key: PrivateKey) -> Result<Self, Error> {
        let public = curve.public(&key)?;
        Ok(Self { method, private: Private::Ecdh(Arc::new(key)), public })
    }

    fn from_modp(method: KeId, group: modp::Group, exponent: Secret) -> Result<Self, Error> {
        let public = group.public(&exponent)?;
        Ok(Self { method, private: Private::Modp(exponent), public })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> KeId {
        self.method
    }

    /// The public value as it stands in a KE payload.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret with the peer's public value, which is checked as RFC 6989 and
    /// RFC 8031 ask.
    ///
    /// # Errors
    /// The peer's value is not valid.
    pub fn agree(&self, peer_public: &[u8]) -> Result<Secret, Error> {
        let bad = Error::BadPublicValue(self.method);
        match &self.private {
            Private::Ecdh(key) => {
                let curve = ecdh::Curve::of(self.method).ok_or_else(|| bad.clone())?;
                curve.agree(key, peer_public).ok_or(bad)
            }
            Private::Modp(exponent) => {
                let group = modp::Group::of(self.method).ok_or_else(|| bad.clone())?;
                group.agree(exponent, peer_public)?.ok_or(bad)
            }
        }
    }
}

#[cfg(test)]
mod tests;
