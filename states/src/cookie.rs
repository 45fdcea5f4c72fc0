//! Stateless cookies (RFC 7296, 2.6): what a listener under load answers IKE_SA_INIT with.

use pluto_crypto::{Entropy, HashId, constant_time_eq, hash};
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{Message, Notify, Payload};
use pluto_wire::{Flags, Header, IkeSpi, IkeSpis, Version};
use std::net::{IpAddr, SocketAddr};

const SECRET_LEN: usize = 32;

/// Makes and checks cookies; holds the current secret and the previous one.
#[derive(Clone)]
pub struct CookieJar {
    current: [u8; SECRET_LEN],
    previous: [u8; SECRET_LEN],
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieJar").finish_non_exhaustive()
    }
}

impl CookieJar {
    /// With a fresh secret.
    #[must_use]
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        let (mut current, mut previous) = ([0; SECRET_LEN], [0; SECRET_LEN]);
        entropy.fill(&mut current);
        // Nobody has cookies of a secret before the first one.
        entropy.fill(&mut previous);
        Self { current, previous }
    }

    /// A new secret; cookies of the previous one stay good until the next rotation.
    pub fn rotate(&mut self, entropy: &mut dyn Entropy) {
        self.previous = self.current;
        entropy.fill(&mut self.current);
    }

    /// The response to an IKE_SA_INIT request without (or with a wrong) cookie: the whole
    /// datagram; none when the request carries a good one.
    ///
    /// # Errors
    /// The datagram is not an IKE_SA_INIT request with a nonce; drop it.
    #[allow(clippy::result_unit_err, reason = "there is nothing to say about what is dropped")]
    pub fn challenge(&self, request: &[u8], remote: SocketAddr) -> Result<Option<Vec<u8>>, ()> {
        let header = Header::peek(request).map_err(drop)?;
        if header.exchange != ExchangeType::IKE_SA_INIT
            || header.version.major != Version::V2.major
            || header.flags.is_response()
            || !header.flags.from_initiator()
            || header.spis.initiator.is_zero()
            || !header.spis.responder.is_zero()
        {
            return Err(());
        }
        let message = Message::decode(request).map_err(drop)?;
        let nonce = message.payloads.iter().find_map(|payload| match payload {
            Payload::Nonce(nonce) => Some(nonce.as_slice()),
            _ => None,
        });
        let nonce = nonce.ok_or(())?;
        // RFC 7296, 2.6: the cookie is the first payload.
        if let Some(Payload::Notify(notify)) = message.payloads.first()
            && notify.notify_type == NotifyType::COOKIE
            && [&self.current, &self.previous].into_iter().any(|secret| {
                constant_time_eq(&notify.data, &cookie(secret, &header, nonce, remote.ip()))
            })
        {
            return Ok(None);
        }
        let cookie = cookie(&self.current, &header, nonce, remote.ip());
        let response = Message {
            header: Header {
                spis: IkeSpis { initiator: header.spis.initiator, responder: IkeSpi::ZERO },
                version: Version::V2,
                flags: Flags::RESPONSE,
                ..header
            },
            payloads: vec![Payload::Notify(Notify::new(NotifyType::COOKIE, cookie))],
        };
        response.encode().map(Some).map_err(drop)
    }
}

/// Hash(Ni | IPi | SPIi | secret), as RFC 7296, 2.6 suggests. The nonce's length goes in
/// first, so that the parts cannot shift.
fn cookie(secret: &[u8; SECRET_LEN], header: &Header, nonce: &[u8], remote: IpAddr) -> Vec<u8> {
    let address = match remote {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let length = u32::try_from(nonce.len()).unwrap_or(u32::MAX).to_be_bytes();
    hash(HashId::Sha2_256, &[&length, nonce, &address, &header.spis.initiator.0, secret])
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
