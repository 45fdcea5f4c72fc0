//! Secrets in snapshots: written only where somebody means it.
//!
//! A type that holds a secret may be serialisable, and so may find its way into a log or an
//! answer by accident. So a [`Secret`] refuses to be serialised, with an error, except within
//! [`with_secrets`], for the time of one call and on this thread.

use crate::ke::LocalKey;
use crate::{IkeCipher, IkeSuite, Secret};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;

thread_local! {
    static MEANT: Cell<bool> = const { Cell::new(false) };
}

/// Ends the time in which secrets may be written, however that comes about.
struct Meant(bool);

impl Drop for Meant {
    fn drop(&mut self) {
        MEANT.set(self.0);
    }
}

/// Calls `write`, within which secrets are serialised as they are. Whoever calls this answers
/// for what becomes of the octets.
pub fn with_secrets<T>(write: impl FnOnce() -> T) -> T {
    let _meant = Meant(MEANT.replace(true));
    write()
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !MEANT.get() {
            return Err(S::Error::custom("a secret is serialised in snapshots only"));
        }
        self.expose().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

/// [`IkeCipher`] as it is written.
#[derive(Serialize, Deserialize)]
struct CipherKeys {
    encr: EncrId,
    encr_bits: u16,
    integ: IntegId,
    encr_key: Secret,
    integ_key: Secret,
}

impl Serialize for IkeCipher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (encr, encr_bits, integ, encr_key, integ_key) = self.parts();
        let (encr_key, integ_key) = (encr_key.clone(), integ_key.clone());
        CipherKeys { encr, encr_bits, integ, encr_key, integ_key }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IkeCipher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let CipherKeys { encr, encr_bits, integ, encr_key, integ_key } =
            CipherKeys::deserialize(deserializer)?;
        // Neither of the others is looked at.
        let (prf, ke) = (PrfId::HMAC_SHA2_256, KeId::NONE);
        let suite = IkeSuite { encr, encr_bits, integ, prf, ke };
        Self::new(&suite, &encr_key, &integ_key).map_err(D::Error::custom)
    }
}

/// [`LocalKey`] as it is written.
#[derive(Serialize, Deserialize)]
struct KeyPair {
    method: KeId,
    private: Secret,
}

impl Serialize for LocalKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let private = self.private_value().map_err(S::Error::custom)?;
        KeyPair { method: self.method(), private }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LocalKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let KeyPair { method, private } = KeyPair::deserialize(deserializer)?;
        Self::from_private(method, private.expose()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn a_secret_is_not_written_unless_that_is_meant() {
        let secret = Secret::from_slice(b"secret");
        let refused = serde_json::to_string(&secret).unwrap_err().to_string();
        assert_eq!(refused, "a secret is serialised in snapshots only");
        let text = with_secrets(|| serde_json::to_string(&secret)).unwrap();
        assert_eq!(serde_json::from_str::<Secret>(&text).unwrap(), secret);
        assert!(serde_json::to_string(&secret).is_err(), "no longer than the call");
        let panicked = std::panic::catch_unwind(|| with_secrets(|| panic!("in between")));
        assert!(panicked.is_err() && serde_json::to_string(&secret).is_err());
    }

    #[test]
    fn key_pairs_come_back_with_what_they_agree_on() {
        for method in [KeId::X25519, KeId::ECP_256, KeId::ECP_384, KeId::ECP_521, KeId::MODP2048] {
            let mut entropy = SeededEntropy::new(7);
            let peer = LocalKey::generate(method, &mut entropy).unwrap();
            let key = LocalKey::generate(method, &mut entropy).unwrap();
            assert!(serde_json::to_string(&key).is_err(), "{method}");
            let text = with_secrets(|| serde_json::to_string(&key)).unwrap();
            let read: LocalKey = serde_json::from_str(&text).unwrap();
            assert_eq!((read.method(), read.public()), (method, key.public()));
            assert_eq!(read.agree(peer.public()), key.agree(peer.public()), "{method}");
        }
    }
}
