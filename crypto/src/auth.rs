//! AUTH payloads (RFC 7296, 2.15).

use crate::{Error, Secret, prf};
use pluto_wire::numbers::PrfId;

/// prf(prf(Shared Secret, "Key Pad for IKEv2"), octets): what an AUTH payload of method
/// 2 holds. `octets` are the signed octets of its sender, in parts.
///
/// # Errors
/// The function is not implemented.
pub fn psk_auth(prf_id: PrfId, shared: &Secret, octets: &[&[u8]]) -> Result<Secret, Error> {
    let padded = prf(prf_id, shared.expose(), &[b"Key Pad for IKEv2"])?;
    prf(prf_id, padded.expose(), octets)
}

/// Whether two values are equal, in time that depends on their lengths only.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
