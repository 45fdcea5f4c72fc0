//! Hashes, pseudorandom functions and prf+ (RFC 7296, 2.13).

use crate::mac::{Mac, Tag};
use crate::{Error, Secret, prf_info};
use aws_lc_rs::digest;
use pluto_wire::numbers::PrfId;

/// A plain hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum HashId {
    Sha1,
    Sha2_256,
    Sha2_384,
    Sha2_512,
}

/// Hash of the concatenated `parts`.
#[must_use]
pub fn hash(id: HashId, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(match id {
        HashId::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashId::Sha2_256 => &digest::SHA256,
        HashId::Sha2_384 => &digest::SHA384,
        HashId::Sha2_512 => &digest::SHA512,
    });
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// prf(key, parts...). Keys of any length: the AES functions bring one that is not of 16
/// octets to it as RFC 4434 and RFC 4615 say.
///
/// # Errors
/// The function is not implemented.
pub fn prf(id: PrfId, key: &[u8], parts: &[&[u8]]) -> Result<Secret, Error> {
    Ok(Secret::from_slice(Mac::prf(id, key)?.compute(parts)?.octets()))
}

/// prf+(key, seed...), `len` octets.
///
/// # Errors
/// The function is not implemented, or more than 255 rounds would be needed.
pub fn prf_plus(id: PrfId, key: &[u8], seed: &[&[u8]], len: usize) -> Result<Secret, Error> {
    let info = prf_info(id).ok_or(Error::UnsupportedPrf(id))?;
    let rounds = u8::try_from(len.div_ceil(info.output))
        .map_err(|_| Error::Malformed("prf+ cannot give more than 255 times its output"))?;
    let mac = Mac::prf(id, key)?;
    // T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n)
    let mut out = zeroize::Zeroizing::new(Vec::with_capacity(len + info.output));
    let mut previous: Option<Tag> = None;
    for round in 1..=rounds {
        let counter = [round];
        let mut parts: Vec<&[u8]> = Vec::with_capacity(seed.len() + 2);
        parts.extend(previous.as_ref().map(Tag::octets));
        parts.extend_from_slice(seed);
        parts.push(&counter);
        let tag = mac.compute(&parts)?;
        out.extend_from_slice(tag.octets());
        previous = Some(tag);
    }
    Ok(Secret::from_slice(out.get(..len).unwrap_or(&[])))
}
