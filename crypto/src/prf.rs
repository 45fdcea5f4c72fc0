//! Hashes, pseudorandom functions and prf+ (RFC 7296, 2.13).

use crate::{Error, Secret};
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
pub fn hash(_id: HashId, _parts: &[&[u8]]) -> Vec<u8> {
    unimplemented!()
}

/// prf(key, parts...).
///
/// # Errors
/// The function is not implemented.
pub fn prf(_id: PrfId, _key: &[u8], _parts: &[&[u8]]) -> Result<Secret, Error> {
    unimplemented!()
}

/// prf+(key, seed...), `len` octets.
///
/// # Errors
/// The function is not implemented, or more than 255 rounds would be needed.
pub fn prf_plus(_id: PrfId, _key: &[u8], _seed: &[&[u8]], _len: usize) -> Result<Secret, Error> {
    unimplemented!()
}
