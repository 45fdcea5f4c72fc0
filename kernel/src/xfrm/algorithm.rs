//! What Linux calls the algorithms.

use super::attr::{XFRMA_ALG_AEAD, XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_CRYPT};
use crate::netlink::write::Requests;
use crate::{KernelError, SaKeys};
use pluto_wire::numbers::{EncrId, IntegId, ProtocolId};

/// Name and bits of the ICV.
fn aead(id: EncrId) -> Option<(&'static str, u32)> {
    Some(match id {
        EncrId::AES_GCM_8 => ("rfc4106(gcm(aes))", 64),
        EncrId::AES_GCM_12 => ("rfc4106(gcm(aes))", 96),
        EncrId::AES_GCM_16 => ("rfc4106(gcm(aes))", 128),
        EncrId::AES_CCM_8 => ("rfc4309(ccm(aes))", 64),
        EncrId::AES_CCM_12 => ("rfc4309(ccm(aes))", 96),
        EncrId::AES_CCM_16 => ("rfc4309(ccm(aes))", 128),
        EncrId::CHACHA20_POLY1305 => ("rfc7539esp(chacha20,poly1305)", 128),
        EncrId::NULL_AUTH_AES_GMAC => ("rfc4543(gcm(aes))", 128),
        _ => return None,
    })
}

fn cipher(id: EncrId) -> Option<&'static str> {
    Some(match id {
        EncrId::DES => "cbc(des)",
        EncrId::TRIPLE_DES => "cbc(des3_ede)",
        EncrId::NULL => "ecb(cipher_null)",
        EncrId::AES_CBC => "cbc(aes)",
        EncrId::AES_CTR => "rfc3686(ctr(aes))",
        EncrId::CAMELLIA_CBC => "cbc(camellia)",
        _ => return None,
    })
}

/// Name and bits that are left of the MAC.
fn authenticator(id: IntegId) -> Option<(&'static str, u32)> {
    Some(match id {
        IntegId::HMAC_MD5_96 => ("hmac(md5)", 96),
        IntegId::HMAC_SHA1_96 => ("hmac(sha1)", 96),
        IntegId::AES_XCBC_96 => ("xcbc(aes)", 96),
        IntegId::AES_CMAC_96 => ("cmac(aes)", 96),
        IntegId::HMAC_SHA2_256_128 => ("hmac(sha256)", 128),
        IntegId::HMAC_SHA2_384_192 => ("hmac(sha384)", 192),
        IntegId::HMAC_SHA2_512_256 => ("hmac(sha512)", 256),
        _ => return None,
    })
}

/// Whether the attributes can be written at all.
///
/// # Errors
/// Linux has no such algorithm, or the combination would carry traffic unprotected.
pub(crate) fn check(protocol: ProtocolId, keys: &SaKeys) -> Result<(), KernelError> {
    let no = |why: String| {
        let what = format!("install an {protocol} SA");
        Err(KernelError { what, errno: libc::EPROTONOSUPPORT, why })
    };
    if keys.encr_key.len().max(keys.integ_key.len()) > 256 {
        return no("a key is longer than any algorithm's".to_owned());
    }
    let integrity = authenticator(keys.integ).is_some();
    if protocol == ProtocolId::AH {
        if integrity {
            return Ok(());
        }
        return no(format!("Linux has no AH with {}", keys.integ));
    }
    match (aead(keys.encr).is_some(), cipher(keys.encr).is_some(), integrity) {
        (true, ..) if keys.integ == IntegId::NONE => Ok(()),
        (true, ..) => no(format!("{} protects integrity itself", keys.encr)),
        (_, true, true) => Ok(()),
        (_, true, false) => no(format!("Linux has no ESP with {} and {}", keys.encr, keys.integ)),
        (_, false, _) => no(format!("Linux has no ESP with {}", keys.encr)),
    }
}

/// Writes the attributes for algorithms and keys.
pub(crate) fn write(out: &mut Requests, protocol: ProtocolId, keys: &SaKeys) {
    if protocol != ProtocolId::AH {
        if let Some((name, icv)) = aead(keys.encr) {
            // struct xfrm_algo_aead; the key has the salt behind it (RFC 4106, 8.1).
            let open = out.open(XFRMA_ALG_AEAD);
            out.name(name, 64);
            out.u32(bits(keys.encr_key.len()));
            out.u32(icv);
            out.bytes(keys.encr_key.expose());
            out.close(open);
            return;
        }
        if let Some(name) = cipher(keys.encr) {
            // struct xfrm_algo
            let open = out.open(XFRMA_ALG_CRYPT);
            out.name(name, 64);
            out.u32(bits(keys.encr_key.len()));
            out.bytes(keys.encr_key.expose());
            out.close(open);
        }
    }
    if let Some((name, left)) = authenticator(keys.integ) {
        // struct xfrm_algo_auth
        let open = out.open(XFRMA_ALG_AUTH_TRUNC);
        out.name(name, 64);
        out.u32(bits(keys.integ_key.len()));
        out.u32(left);
        out.bytes(keys.integ_key.expose());
        out.close(open);
    }
}

fn bits(octets: usize) -> u32 {
    u32::try_from(octets).unwrap_or(0).saturating_mul(8)
}
