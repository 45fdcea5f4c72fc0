//! Keying material of IKE and Child SAs (RFC 7296, 2.14 and 2.17).

use crate::{Error, Secret};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};
use pluto_wire::IkeSpis;

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
        _suite: &IkeSuite,
        _shared: &Secret,
        _ni: &[u8],
        _nr: &[u8],
        _spis: IkeSpis,
    ) -> Result<Self, Error> {
        unimplemented!()
    }

    /// From a rekey: SKEYSEED = prf(SK_d (old), g^ir | Ni | Nr) with the old PRF
    /// (RFC 7296, 2.18).
    ///
    /// # Errors
    /// An algorithm of a suite is not implemented.
    pub fn derive_rekeyed(
        _old_prf: PrfId,
        _old_d: &Secret,
        _suite: &IkeSuite,
        _shared: &Secret,
        _ni: &[u8],
        _nr: &[u8],
        _spis: IkeSpis,
    ) -> Result<Self, Error> {
        unimplemented!()
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
        _prf: PrfId,
        _d: &Secret,
        _suite: &ChildSuite,
        _shared: Option<&Secret>,
        _ni: &[u8],
        _nr: &[u8],
    ) -> Result<Self, Error> {
        unimplemented!()
    }
}
