//! Keying material of IKE and Child SAs (RFC 7296, 2.14 and 2.17).

use crate::algorithms::{encr_with_key, integ_beside};
use crate::{Error, Secret, prf, prf_info, prf_plus};
use pluto_wire::IkeSpis;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// The algorithms negotiated for an IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IkeSuite {
    /// Encryption.
    pub encr: EncrId,
    /// Key length in bits (without salt); 0 for the algorithm's only one.
    pub encr_bits: u16,
    /// Integrity, NONE for an AEAD.
    pub integ: IntegId,
    /// Pseudorandom function.
    pub prf: PrfId,
    /// Key exchange.
    pub ke: KeId,
}

/// The seven keys of an IKE SA.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct IkeKeys {
    /// For the keys of Child SAs.
    pub d: Secret,
    /// Integrity, initiator to responder.
    pub ai: Secret,
    /// Integrity, responder to initiator.
    pub ar: Secret,
    /// Encryption (key and salt), initiator to responder.
    pub ei: Secret,
    /// Encryption (key and salt), responder to initiator.
    pub er: Secret,
    /// For the initiator's AUTH payload.
    pub pi: Secret,
    /// For the responder's AUTH payload.
    pub pr: Secret,
}

impl IkeKeys {
    /// From the first exchange: SKEYSEED = prf(Ni | Nr, g^ir).
    ///
    /// # Errors
    /// An algorithm of the suite is not implemented.
    pub fn derive(
        suite: &IkeSuite,
        shared: &Secret,
        ni: &[u8],
        nr: &[u8],
        spis: IkeSpis,
    ) -> Result<Self, Error> {
        let info = prf_info(suite.prf).ok_or(Error::UnsupportedPrf(suite.prf))?;
        // A function with a fixed key takes half of it from each nonce (RFC 7296, 2.14).
        let taken = info.fixed_key.map_or(usize::MAX, |octets| octets / 2);
        let mut key = Vec::with_capacity(ni.len() + nr.len());
        for nonce in [ni, nr] {
            key.extend(nonce.iter().take(taken));
        }
        let seed = prf(suite.prf, &key, &[shared.expose()])?;
        Self::expand(suite, &seed, ni, nr, spis)
    }

    /// From a rekey: SKEYSEED = prf(SK_d (old), g^ir | Ni | Nr) with the old PRF
    /// (RFC 7296, 2.18).
    ///
    /// # Errors
    /// An algorithm of a suite is not implemented.
    pub fn derive_rekeyed(
        old_prf: PrfId,
        old_d: &Secret,
        suite: &IkeSuite,
        shared: &Secret,
        ni: &[u8],
        nr: &[u8],
        spis: IkeSpis,
    ) -> Result<Self, Error> {
        let seed = prf(old_prf, old_d.expose(), &[shared.expose(), ni, nr])?;
        Self::expand(suite, &seed, ni, nr, spis)
    }

    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} =
    /// prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
    fn expand(
        suite: &IkeSuite,
        seed: &Secret,
        ni: &[u8],
        nr: &[u8],
        spis: IkeSpis,
    ) -> Result<Self, Error> {
        let info = prf_info(suite.prf).ok_or(Error::UnsupportedPrf(suite.prf))?;
        let (encr, key) = encr_with_key(suite.encr, suite.encr_bits)?;
        let (prf_len, encr_len) = (info.output, key + encr.salt);
        let integ_len = integ_beside(&encr, suite.integ)?.key;

        let parts: [&[u8]; 4] = [ni, nr, &spis.initiator.0, &spis.responder.0];
        let len = 3 * prf_len + 2 * integ_len + 2 * encr_len;
        let octets = prf_plus(suite.prf, seed.expose(), &parts, len)?;
        let mut keymat = Keymat(octets.expose());
        Ok(Self {
            d: keymat.take(prf_len),
            ai: keymat.take(integ_len),
            ar: keymat.take(integ_len),
            ei: keymat.take(encr_len),
            er: keymat.take(encr_len),
            pi: keymat.take(prf_len),
            pr: keymat.take(prf_len),
        })
    }
}

/// Keying material that is handed out from its beginning.
struct Keymat<'a>(&'a [u8]);

impl Keymat<'_> {
    fn take(&mut self, len: usize) -> Secret {
        let (now, later) = self.0.split_at(len.min(self.0.len()));
        self.0 = later;
        Secret::from_slice(now)
    }
}

/// The algorithms negotiated for a Child SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChildSuite {
    /// Encryption; NULL for AH or integrity only.
    pub encr: EncrId,
    /// Key length in bits (without salt); 0 for the algorithm's only one.
    pub encr_bits: u16,
    /// Integrity, NONE for an AEAD.
    pub integ: IntegId,
    /// Whether sequence numbers have 64 bits.
    pub esn: bool,
    /// Key exchange of its own (PFS); NONE in IKE_AUTH.
    pub ke: KeId,
}

/// The keys of a Child SA, by direction: encryption keys carry their salt behind them,
/// as the kernel and RFC 4106 want it.
#[derive(Debug, Clone)]
pub struct ChildKeys {
    /// Encryption, initiator to responder.
    pub initiator_encr: Secret,
    /// Integrity, initiator to responder.
    pub initiator_integ: Secret,
    /// Encryption, responder to initiator.
    pub responder_encr: Secret,
    /// Integrity, responder to initiator.
    pub responder_integ: Secret,
}

impl ChildKeys {
    /// KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr). "Initiator" is who began this exchange.
    ///
    /// # Errors
    /// An algorithm is not implemented.
    pub fn derive(
        prf: PrfId,
        d: &Secret,
        suite: &ChildSuite,
        shared: Option<&Secret>,
        ni: &[u8],
        nr: &[u8],
    ) -> Result<Self, Error> {
        let (encr, key) = encr_with_key(suite.encr, suite.encr_bits)?;
        let encr_len = key + encr.salt;
        let integ_len = integ_beside(&encr, suite.integ)?.key;

        let parts = [shared.map_or(&[][..], Secret::expose), ni, nr];
        let octets = prf_plus(prf, d.expose(), &parts, 2 * (encr_len + integ_len))?;
        let mut keymat = Keymat(octets.expose());
        Ok(Self {
            initiator_encr: keymat.take(encr_len),
            initiator_integ: keymat.take(integ_len),
            responder_encr: keymat.take(encr_len),
            responder_integ: keymat.take(integ_len),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pluto_wire::IkeSpi;

    const SPIS: IkeSpis = IkeSpis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };

    fn suite(prf: PrfId) -> IkeSuite {
        IkeSuite {
            encr: EncrId::AES_CBC,
            encr_bits: 192,
            integ: IntegId::HMAC_SHA2_384_192,
            prf,
            ke: KeId::X25519,
        }
    }

    #[test]
    fn keys_follow_each_other_in_the_order_of_rfc_7296() {
        let (ni, nr) = ([3; 16], [4; 24]);
        let shared = Secret::new(vec![5; 32]);
        let id = PrfId::HMAC_SHA2_256;
        let keys = IkeKeys::derive(&suite(id), &shared, &ni, &nr, SPIS).unwrap();
        let seed = prf(id, &[&ni[..], &nr].concat(), &[shared.expose()]).unwrap();
        let all = prf_plus(id, seed.expose(), &[&ni, &nr, &[1; 8], &[2; 8]], 240).unwrap();
        let IkeKeys { d, ai, ar, ei, er, pi, pr } = &keys;
        let parts = [(d, 32), (ai, 48), (ar, 48), (ei, 24), (er, 24), (pi, 32), (pr, 32)];
        let mut at = 0;
        for (key, len) in parts {
            assert_eq!(key.expose(), &all.expose()[at..at + len]);
            at += len;
        }
        assert_eq!(at, all.len());
    }

    #[test]
    fn a_function_with_a_fixed_key_takes_eight_octets_of_each_nonce() {
        let (ni, nr) = ([3; 32], [4; 32]);
        let shared = Secret::new(vec![5; 32]);
        for id in [PrfId::AES_XCBC, PrfId::AES_CMAC] {
            let keys = IkeKeys::derive(&suite(id), &shared, &ni, &nr, SPIS).unwrap();
            let seed = prf(id, &[[3; 8], [4; 8]].concat(), &[shared.expose()]).unwrap();
            let parts: [&[u8]; 4] = [&ni, &nr, &[1; 8], &[2; 8]];
            assert_eq!(keys.d, prf_plus(id, seed.expose(), &parts, 16).unwrap());
            // Keys of the AES functions' own length serve the rekeying.
            let rekeyed =
                IkeKeys::derive_rekeyed(id, &keys.d, &suite(id), &shared, &ni, &nr, SPIS).unwrap();
            let seed = prf(id, keys.d.expose(), &[shared.expose(), &ni, &nr]).unwrap();
            assert_eq!(rekeyed.d, prf_plus(id, seed.expose(), &parts, 16).unwrap());
        }
    }

    #[test]
    fn a_rekeying_may_change_the_function() {
        let (ni, nr) = ([3; 32], [4; 32]);
        let (d, shared) = (Secret::new(vec![6; 20]), Secret::new(vec![5; 32]));
        let (old, new) = (PrfId::HMAC_SHA1, PrfId::HMAC_SHA2_512);
        let keys = IkeKeys::derive_rekeyed(old, &d, &suite(new), &shared, &ni, &nr, SPIS).unwrap();
        let seed = prf(old, d.expose(), &[shared.expose(), &ni, &nr]).unwrap();
        let parts: [&[u8]; 4] = [&ni, &nr, &[1; 8], &[2; 8]];
        assert_eq!(keys.d, prf_plus(new, seed.expose(), &parts, 64).unwrap());
    }

    #[test]
    fn keys_of_a_child_sa_are_the_initiators_first() {
        let id = PrfId::HMAC_SHA2_256;
        let (d, shared) = (Secret::new(vec![6; 32]), Secret::new(vec![5; 32]));
        let (ni, nr) = ([3; 16], [4; 16]);
        let child = |encr, encr_bits, integ| ChildSuite {
            encr,
            encr_bits,
            integ,
            esn: false,
            ke: KeId::NONE,
        };
        let cases = [
            (child(EncrId::AES_GCM_16, 256, IntegId::NONE), 36, 0),
            (child(EncrId::AES_CCM_8, 128, IntegId::NONE), 19, 0),
            (child(EncrId::NULL_AUTH_AES_GMAC, 128, IntegId::NONE), 20, 0),
            (child(EncrId::CHACHA20_POLY1305, 0, IntegId::NONE), 36, 0),
            (child(EncrId::TRIPLE_DES, 0, IntegId::HMAC_SHA1_96), 24, 20),
            (child(EncrId::AES_CTR, 192, IntegId::AES_XCBC_96), 28, 16),
            (child(EncrId::NULL, 0, IntegId::HMAC_SHA2_512_256), 0, 64),
        ];
        for (suite, encr, integ) in cases {
            for new in [None, Some(&shared)] {
                let keys = ChildKeys::derive(id, &d, &suite, new, &ni, &nr).unwrap();
                let first = new.map_or(&[][..], Secret::expose);
                let len = 2 * (encr + integ);
                let all = prf_plus(id, d.expose(), &[first, &ni, &nr], len).unwrap();
                let (initiator, responder) = all.expose().split_at(encr + integ);
                assert_eq!(keys.initiator_encr.expose(), &initiator[..encr]);
                assert_eq!(keys.initiator_integ.expose(), &initiator[encr..]);
                assert_eq!(keys.responder_encr.expose(), &responder[..encr]);
                assert_eq!(keys.responder_integ.expose(), &responder[encr..]);
            }
        }
        let open = child(EncrId::AES_CBC, 128, IntegId::NONE);
        let made = ChildKeys::derive(id, &d, &open, None, &ni, &nr);
        assert_eq!(made.map(drop), Err(Error::UnsupportedInteg(IntegId::NONE)));
    }

    #[test]
    fn what_is_not_implemented_is_named() {
        let shared = Secret::new(vec![5; 32]);
        let derive = |suite| IkeKeys::derive(&suite, &shared, &[1; 16], &[2; 16], SPIS).map(drop);
        let good = suite(PrfId::HMAC_SHA1);
        let md5 = IkeSuite { prf: PrfId::HMAC_MD5, ..good };
        assert_eq!(derive(md5), Err(Error::UnsupportedPrf(PrfId::HMAC_MD5)));
        let des = IkeSuite { encr: EncrId::DES, ..good };
        assert_eq!(derive(des), Err(Error::UnsupportedEncr(EncrId::DES, 192)));
        let md5 = IkeSuite { integ: IntegId::HMAC_MD5_96, ..good };
        assert_eq!(derive(md5), Err(Error::UnsupportedInteg(IntegId::HMAC_MD5_96)));
    }
}
