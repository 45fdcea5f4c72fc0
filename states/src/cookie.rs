//! Stateless cookies (RFC 7296, 2.6): what a listener under load answers IKE_SA_INIT with.

use pluto_crypto::Entropy;
use pluto_wire::IkeSpi;
use std::net::SocketAddr;

/// Makes and checks cookies; holds the current secret and the previous one.
#[derive(Debug, Clone)]
pub struct CookieJar {
    _private: (),
}

impl CookieJar {
    /// With a fresh secret.
    #[must_use]
    pub fn new(_entropy: &mut dyn Entropy) -> Self {
        unimplemented!()
    }
    /// A new secret; cookies of the previous one stay good until the next rotation.
    pub fn rotate(&mut self, _entropy: &mut dyn Entropy) {
        unimplemented!()
    }
    /// The response to an IKE_SA_INIT request without (or with a wrong) cookie: the whole
    /// datagram; none when the request carries a good one, or is no IKE_SA_INIT request at
    /// all (`Err`).
    ///
    /// # Errors
    /// The datagram is not an IKE_SA_INIT request with a nonce; drop it.
    pub fn challenge(&self, _request: &[u8], _remote: SocketAddr) -> Result<Option<Vec<u8>>, ()> {
        let _ = IkeSpi::ZERO;
        unimplemented!()
    }
}
