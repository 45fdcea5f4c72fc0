//! IKE_SA_INIT (RFC 7296, 1.2): algorithms, nonces, key exchange, NAT detection.
//!
//! ```text
//! HDR, [N(COOKIE),] SAi1, KEi, Ni, N(NATD)...  -->
//!                                    <--  HDR, SAr1, KEr, Nr, N(NATD)...
//! ```

pub(crate) mod initiator;
pub(crate) mod responder;

use crate::protection::Protection;
use pluto_crypto::{Error, IkeKeys, IkeSuite, Secret};
use pluto_wire::IkeSpis;
use pluto_wire::v2::{KePayload, Notify, Payload, SaPayload};
use std::sync::Arc;

/// Octets of our nonces: half the key of the strongest PRF, and more (RFC 7296, 2.10).
pub(crate) const OUR_NONCE_LEN: usize = 32;

/// Both messages of the exchange and what they settled; shared, not copied.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct InitData {
    /// The whole request, as it was authenticated.
    pub(crate) request: Arc<[u8]>,
    /// The whole response.
    pub(crate) response: Arc<[u8]>,
    /// The initiator's nonce.
    pub(crate) ni: Box<[u8]>,
    /// The responder's.
    pub(crate) nr: Box<[u8]>,
    /// The algorithms.
    pub(crate) suite: IkeSuite,
    /// Whether the peer announced CHILDLESS_IKEV2_SUPPORTED (RFC 6023).
    pub(crate) childless: bool,
}

/// The exchange with the keys that came out of it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Keyed {
    pub(crate) init: Arc<InitData>,
    pub(crate) keys: Arc<IkeKeys>,
    pub(crate) protection: Protection,
}

impl Keyed {
    /// Derives the keys (RFC 7296, 2.14).
    ///
    /// # Errors
    /// An algorithm is not implemented.
    pub(crate) fn derive(
        init: Arc<InitData>,
        shared: &Secret,
        spis: IkeSpis,
        initiator: bool,
    ) -> Result<Self, Error> {
        let keys = IkeKeys::derive(&init.suite, shared, &init.ni, &init.nr, spis)?;
        let protection = Protection::new(&init.suite, &keys, initiator)?;
        Ok(Self { init, keys: Arc::new(keys), protection })
    }
}

/// The payloads that must be there; the table has seen to that.
pub(crate) struct Offer<'a> {
    pub(crate) sa: &'a SaPayload,
    pub(crate) ke: &'a KePayload,
    pub(crate) nonce: &'a [u8],
}

impl<'a> Offer<'a> {
    pub(crate) fn find(payloads: &'a [Payload]) -> Option<Self> {
        let (mut sa, mut ke, mut nonce) = (None, None, None);
        for payload in payloads {
            match payload {
                Payload::Sa(found) => sa = Some(found),
                Payload::Ke(found) => ke = Some(found),
                Payload::Nonce(found) => nonce = Some(found.as_slice()),
                _ => {}
            }
        }
        Some(Self { sa: sa?, ke: ke?, nonce: nonce? })
    }
}

/// The notifications of a message.
pub(crate) fn notifications(payloads: &[Payload]) -> impl Iterator<Item = &Notify> {
    payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify),
        _ => None,
    })
}
