//! Key exchange: MODP, ECP, X25519 (and, later, ML-KEM).

use crate::{Entropy, Error, Secret};
use pluto_wire::numbers::KeId;

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
    private: Secret,
    public: Vec<u8>,
}

impl LocalKey {
    /// What generating or agreeing costs.
    #[must_use]
    pub fn cost(_method: KeId) -> Cost {
        unimplemented!()
    }

    /// Makes a key pair.
    ///
    /// # Errors
    /// The method is not implemented.
    pub fn generate(_method: KeId, _entropy: &mut dyn Entropy) -> Result<Self, Error> {
        unimplemented!()
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
    pub fn agree(&self, _peer_public: &[u8]) -> Result<Secret, Error> {
        let _ = &self.private;
        unimplemented!()
    }
}
