//! Keying material of IKE and Child SAs (RFC 7296, 2.14 and 2.17).

use crate::algorithms::{encr_with_key, integ_beside};
use crate::{Error, Secret, prf, prf_info, prf_plus};
use pluto_wire::IkeSpis;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// The algorithms negotiated for an IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
