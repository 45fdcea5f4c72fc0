//! The names of algorithms in `ike=`, `esp=` and `ah=`, and where each may be used.

use super::parse::{IkeVersion, Rules};
use pluto_crypto::{encr_info, integ_info, ke_info, prf_info};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType};

/// How libreswan calls a type of transform in complaints.
pub(super) fn type_name(transform_type: TransformType) -> &'static str {
    match transform_type {
        TransformType::ENCR => "Encryption Algorithm (cipher)",
        TransformType::PRF => "Pseudorandom Function (KDF)",
        TransformType::INTEG => "Integrity Algorithm",
        TransformType::SN => "Sequence Number",
        _ => "Key Exchange Method (DH)",
    }
}

/// Where an algorithm may be used, beyond ESP (or what its type is for) in IKEv2.
const V1_IKE: u8 = 1;
const V1_CHILD: u8 = 2;
const V2_IKE: u8 = 4;
const FIPS: u8 = 8;
/// Known, so that the complaint can say more than that the name is not.
const UNSUPPORTED: u8 = 16;
const ALL: u8 = V1_IKE | V1_CHILD | V2_IKE | FIPS;

/// An algorithm: number in IKEv2, flags, names in lower case.
type Entry = (u16, u8, &'static [&'static str]);

const ENCR: &[Entry] = &[
    (EncrId::AES_CBC.0, ALL, &["aes", "aes_cbc"]),
    (EncrId::AES_CTR.0, ALL, &["aesctr", "aes_ctr"]),
    (EncrId::AES_GCM_8.0, V1_CHILD | V2_IKE | FIPS, &["aes_gcm_8", "aes_gcm_a"]),
    (EncrId::AES_GCM_12.0, V1_CHILD | V2_IKE | FIPS, &["aes_gcm_12", "aes_gcm_b"]),
    (EncrId::AES_GCM_16.0, V1_CHILD | V2_IKE | FIPS, &["aes_gcm", "aes_gcm_16", "aes_gcm_c"]),
    (EncrId::AES_CCM_8.0, V1_CHILD | FIPS, &["aes_ccm_8", "aes_ccm_a"]),
    (EncrId::AES_CCM_12.0, V1_CHILD | FIPS, &["aes_ccm_12", "aes_ccm_b"]),
    (EncrId::AES_CCM_16.0, V1_CHILD | FIPS, &["aes_ccm", "aes_ccm_16", "aes_ccm_c"]),
    (EncrId::TRIPLE_DES.0, ALL, &["3des", "3des_cbc"]),
    (EncrId::CAMELLIA_CBC.0, V1_IKE | V1_CHILD | V2_IKE, &["camellia", "camellia_cbc"]),
    (EncrId::CAMELLIA_CTR.0, ALL | UNSUPPORTED, &["camellia_ctr"]),
    (EncrId::CHACHA20_POLY1305.0, V2_IKE, &["chacha20_poly1305", "chacha20poly1305"]),
    (EncrId::NULL.0, V1_CHILD, &["null"]),
    (EncrId::NULL_AUTH_AES_GMAC.0, V1_CHILD | FIPS, &["null_auth_aes_gmac", "aes_gmac"]),
    (
        0,
        ALL | UNSUPPORTED,
        &["des", "des_cbc", "blowfish", "mars", "serpent", "twofish", "cast", "cast_cbc", "idea"],
    ),
];

const PRF: &[Entry] = &[
    (PrfId::HMAC_MD5.0, V1_IKE | V2_IKE, &["md5", "hmac_md5"]),
    (PrfId::HMAC_SHA1.0, ALL, &["sha", "sha1", "hmac_sha1"]),
    (PrfId::AES_XCBC.0, V2_IKE, &["aes_xcbc", "aes128_xcbc"]),
    (PrfId::AES_CMAC.0, V2_IKE | FIPS, &["aes_cmac", "aes128_cmac"]),
    (PrfId::HMAC_SHA2_256.0, ALL, &["sha2", "sha256", "sha2_256", "hmac_sha2_256"]),
    (PrfId::HMAC_SHA2_384.0, ALL, &["sha384", "sha2_384", "hmac_sha2_384"]),
    (PrfId::HMAC_SHA2_512.0, ALL, &["sha512", "sha2_512", "hmac_sha2_512"]),
];

const INTEG: &[Entry] = &[
    (IntegId::NONE.0, ALL, &["none", "null"]),
    (IntegId::HMAC_MD5_96.0, ALL ^ FIPS, &["md5", "hmac_md5", "hmac_md5_96"]),
    (IntegId::HMAC_SHA1_96.0, ALL, &["sha", "sha1", "sha1_96", "hmac_sha1", "hmac_sha1_96"]),
    (
        IntegId::AES_XCBC_96.0,
        V1_CHILD | V2_IKE,
        &["aes_xcbc", "aes128_xcbc", "aes_xcbc_96", "aes128_xcbc_96"],
    ),
    (IntegId::AES_CMAC_96.0, V1_CHILD | V2_IKE | FIPS, &["aes_cmac", "aes_cmac_96"]),
    (
        IntegId::HMAC_SHA2_256_128.0,
        ALL,
        &["sha2", "sha256", "sha2_256", "sha2_256_128", "hmac_sha2_256", "hmac_sha2_256_128"],
    ),
    (
        IntegId::HMAC_SHA2_384_192.0,
        ALL,
        &["sha384", "sha2_384", "sha2_384_192", "hmac_sha2_384", "hmac_sha2_384_192"],
    ),
    (
        IntegId::HMAC_SHA2_512_256.0,
        ALL,
        &["sha512", "sha2_512", "sha2_512_256", "hmac_sha2_512", "hmac_sha2_512_256"],
    ),
];

const KE: &[Entry] = &[
    (KeId::NONE.0, V2_IKE | FIPS, &["none", "null", "dh0"]),
    (KeId::MODP1536.0, ALL ^ FIPS, &["modp1536", "dh5"]),
    (KeId::MODP2048.0, ALL, &["modp2048", "dh14"]),
    (KeId::MODP3072.0, ALL, &["modp3072", "dh15"]),
    (KeId::MODP4096.0, ALL, &["modp4096", "dh16"]),
    (KeId::MODP6144.0, ALL, &["modp6144", "dh17"]),
    (KeId::MODP8192.0, ALL, &["modp8192", "dh18"]),
    (KeId::ECP_256.0, ALL, &["dh19", "ecp_256", "ecp256"]),
    (KeId::ECP_384.0, ALL, &["dh20", "ecp_384", "ecp384"]),
    (KeId::ECP_521.0, ALL, &["dh21", "ecp_521", "ecp521"]),
    (KeId::X25519.0, ALL ^ FIPS, &["dh31", "curve25519", "x25519"]),
    (KeId::ML_KEM_512.0, V2_IKE | UNSUPPORTED, &["ml_kem_512", "mlkem512"]),
    (KeId::ML_KEM_768.0, V2_IKE, &["ml_kem_768", "mlkem768"]),
    (KeId::ML_KEM_1024.0, V2_IKE, &["ml_kem_1024", "mlkem1024"]),
    (0, ALL | UNSUPPORTED, &["modp768", "dh1", "modp1024", "dh2", "dh22", "dh23", "dh24"]),
];

const SN: &[Entry] = &[
    (SnId::SEQUENTIAL_32.0, V2_IKE | FIPS, &["no", "32_bit_sequential"]),
    (SnId::SEQUENTIAL_64.0, V2_IKE | FIPS, &["yes", "partial_64_bit_sequential"]),
    (SnId::UNSPECIFIED_32.0, V2_IKE | FIPS, &["32bit", "32_bit_unspecified"]),
];

/// Why a name cannot be used; the rest of libreswan's sentence.
pub(super) type Unusable = &'static str;

/// Looks an algorithm up; none when the name is not known.
pub(super) fn find(transform_type: TransformType, name: &str) -> Option<&'static Entry> {
    let entries = match transform_type {
        TransformType::ENCR => ENCR,
        TransformType::PRF => PRF,
        TransformType::INTEG => INTEG,
        TransformType::SN => SN,
        _ => KE,
    };
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    entries.iter().find(|(_, _, names)| names.iter().any(is))
}

/// Whether the rules allow an algorithm in a protocol.
pub(super) fn allowed(
    (id, flags, _): &Entry,
    transform_type: TransformType,
    protocol: ProtocolId,
    rules: &Rules,
) -> Result<u16, Unusable> {
    let has = |flag: u8| flags & flag != 0;
    let ike = protocol == ProtocolId::IKE;
    if rules.version == IkeVersion::V1 && !has(if ike { V1_IKE } else { V1_CHILD }) {
        return Err("is not supported by IKEv1");
    }
    let usable = !has(UNSUPPORTED) && (has(FIPS) || !rules.fips) && (has(V2_IKE) || !ike);
    let implemented = match transform_type {
        TransformType::ENCR => encr_info(EncrId(*id)).is_some(),
        TransformType::PRF => prf_info(PrfId(*id)).is_some(),
        TransformType::INTEG => *id == 0 || integ_info(IntegId(*id)).is_some(),
        TransformType::SN => true,
        _ => *id == 0 || ke_info(KeId(*id)).is_some(),
    };
    if usable && (implemented || !rules.implemented_only) {
        Ok(*id)
    } else {
        Err("is not supported")
    }
}

/// Key lengths that may be named, ascending; empty for an algorithm without any.
pub(super) fn key_bits(id: EncrId) -> &'static [u16] {
    match id {
        EncrId::TRIPLE_DES | EncrId::NULL => &[],
        EncrId::CHACHA20_POLY1305 => &[256],
        _ => &[128, 192, 256],
    }
}

/// RFC 9827's names, as libreswan shows them.
pub(super) fn sn_name(id: SnId) -> &'static str {
    match id {
        SnId::SEQUENTIAL_32 => "32_BIT_SEQUENTIAL",
        SnId::SEQUENTIAL_64 => "PARTIAL_64_BIT_SEQUENTIAL",
        _ => "32_BIT_UNSPECIFIED",
    }
}
