//! Stateless cookies (RFC 7296, 2.6): what a listener under load answers IKE_SA_INIT with.

use pluto_crypto::{Entropy, HashId, constant_time_eq, hash};
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{Message, NONCE_LEN, Notify, Outline, Payload};
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
        let (offered, nonce) = cookie_and_nonce(request)?;
        let good = |secret| {
            let wanted = cookie(secret, &header, nonce, remote.ip());
            offered.is_some_and(|offered| constant_time_eq(offered, &wanted))
        };
        if offered.is_some() && (good(&self.current) || good(&self.previous)) {
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

/// What of a request a cookie is about: the cookie in it, which is its first payload (RFC 7296,
/// 2.6), and its nonce. Nothing else in it is looked at, and nothing is copied.
fn cookie_and_nonce(request: &[u8]) -> Result<(Option<&[u8]>, &[u8]), ()> {
    let (_, payloads) = Outline::of(request).map_err(drop)?;
    let (mut offered, mut nonce) = (None, None);
    for (place, payload) in payloads.enumerate() {
        match payload.map_err(drop)? {
            (PayloadType::NOTIFY, inside) if place == 0 => offered = cookie_of(inside),
            (PayloadType::NONCE, inside) => nonce = nonce.or(Some(inside)),
            _ => {}
        }
    }
    let nonce = nonce.filter(|nonce| NONCE_LEN.contains(&nonce.len()));
    Ok((offered, nonce.ok_or(())?))
}

/// What the inside of a Notify payload says (RFC 7296, 3.10), if it is a cookie.
fn cookie_of(notify: &[u8]) -> Option<&[u8]> {
    let ([_, spi_size, type_high, type_low], data) = notify.split_first_chunk()?;
    let is_cookie = u16::from_be_bytes([*type_high, *type_low]) == NotifyType::COOKIE.0;
    (is_cookie && *spi_size == 0).then_some(data)
}

/// Hash(Ni | IPi | SPIi | secret), as RFC 7296, 2.6 suggests. The nonce's length goes in
/// first, so that the parts cannot shift.
fn cookie(secret: &[u8; SECRET_LEN], header: &Header, nonce: &[u8], remote: IpAddr) -> Vec<u8> {
    let (v4, v6);
    let address: &[u8] = match remote {
        IpAddr::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        IpAddr::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    let length = u32::try_from(nonce.len()).unwrap_or(u32::MAX).to_be_bytes();
    hash(HashId::Sha2_256, &[&length, nonce, address, &header.spis.initiator.0, secret])
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
