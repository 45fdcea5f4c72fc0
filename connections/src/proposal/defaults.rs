//! libreswan's default proposals: what is offered and accepted when `ike=`, `esp=` or `ah=`
//! is not set. No legacy algorithm is in those of IKEv2, and none may come in.

use super::Algorithms;
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId};

/// PRFs of IKEv2.
pub(super) const PRFS_V2: &[PrfId] = &[PrfId::HMAC_SHA2_512, PrfId::HMAC_SHA2_256];

/// Key exchange methods of IKEv2.
pub(super) const KES_V2: &[KeId] = &[
    KeId::ECP_256,
    KeId::ECP_384,
    KeId::ECP_521,
    KeId::X25519,
    KeId::MODP4096,
    KeId::MODP3072,
    KeId::MODP2048,
    KeId::MODP8192,
];

/// Integrity of ESP and AH in IKEv2, and in IKE that of [`PRFS_V2`].
pub(super) const INTEGS_V2: &[IntegId] = &[IntegId::HMAC_SHA2_512_256, IntegId::HMAC_SHA2_256_128];

/// PRFs of IKEv1 (its hash algorithms).
pub(super) const PRFS_V1: &[PrfId] =
    &[PrfId::HMAC_SHA2_256, PrfId::HMAC_SHA2_512, PrfId::HMAC_SHA1];

/// Key exchange methods of IKEv1.
pub(super) const KES_V1: &[KeId] = &[KeId::MODP2048, KeId::MODP1536, KeId::ECP_256, KeId::X25519];

/// Integrity of ESP and AH in IKEv1.
pub(super) const INTEGS_V1: &[IntegId] =
    &[IntegId::HMAC_SHA1_96, IntegId::HMAC_SHA2_512_256, IntegId::HMAC_SHA2_256_128];

/// The encryption of IKEv2's proposals, one each, and whether it is an AEAD.
const ENCRS_V2: &[(EncrId, u16, bool)] = &[
    (EncrId::AES_GCM_16, 256, true),
    (EncrId::AES_GCM_16, 128, true),
    (EncrId::CHACHA20_POLY1305, 0, true),
    (EncrId::AES_CBC, 256, false),
    (EncrId::AES_CBC, 128, false),
];

fn encrypting_v2(prf: &[PrfId], ke: &[KeId]) -> Vec<Algorithms> {
    let proposals = ENCRS_V2.iter().map(|(encr, bits, aead)| Algorithms {
        encr: vec![(*encr, *bits)],
        prf: prf.to_vec(),
        integ: if *aead { vec![IntegId::NONE] } else { INTEGS_V2.to_vec() },
        ke: ke.to_vec(),
        ..Algorithms::default()
    });
    proposals.collect()
}

pub(super) fn ike_v2() -> Vec<Algorithms> {
    encrypting_v2(PRFS_V2, KES_V2)
}

pub(super) fn esp_v2() -> Vec<Algorithms> {
    encrypting_v2(&[], &[])
}

/// One proposal for each algorithm.
fn ah(integs: &[IntegId]) -> Vec<Algorithms> {
    let proposal = |integ: &IntegId| Algorithms { integ: vec![*integ], ..Algorithms::default() };
    integs.iter().map(proposal).collect()
}

pub(super) fn ah_v2() -> Vec<Algorithms> {
    ah(INTEGS_V2)
}

pub(super) fn ah_v1() -> Vec<Algorithms> {
    ah(INTEGS_V1)
}

/// Flattened, as IKEv1 has one algorithm of a kind in each proposal.
pub(super) fn ike_v1() -> Vec<Algorithms> {
    let encrs = [EncrId::AES_CBC, EncrId::TRIPLE_DES];
    let encrs_and_kes = encrs.iter().flat_map(|encr| KES_V1.iter().map(move |ke| (encr, ke)));
    let all = encrs_and_kes.flat_map(|(encr, ke)| {
        PRFS_V1.iter().map(move |prf| Algorithms {
            encr: vec![(*encr, 0)],
            prf: vec![*prf],
            integ: super::parse::integ_of_prf(*prf).into_iter().collect(),
            ke: vec![*ke],
            ..Algorithms::default()
        })
    });
    all.collect()
}

pub(super) fn esp_v1() -> Vec<Algorithms> {
    let with_integ = |encr: EncrId| {
        INTEGS_V1.iter().map(move |integ| Algorithms {
            encr: vec![(encr, 0)],
            integ: vec![*integ],
            ..Algorithms::default()
        })
    };
    let gcm = [128, 256].map(|bits| Algorithms {
        encr: vec![(EncrId::AES_GCM_16, bits)],
        integ: vec![IntegId::NONE],
        ..Algorithms::default()
    });
    with_integ(EncrId::AES_CBC).chain(gcm).chain(with_integ(EncrId::TRIPLE_DES)).collect()
}
