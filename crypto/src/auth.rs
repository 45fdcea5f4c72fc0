//! AUTH payloads (RFC 7296, 2.15).

use crate::{Error, Secret};
use pluto_wire::numbers::PrfId;

/// prf(prf(Shared Secret, "Key Pad for IKEv2"), octets): what an AUTH payload of method
/// 2 holds. `octets` are the signed octets of its sender, in parts.
///
/// # Errors
/// The function is not implemented.
pub fn psk_auth(_prf: PrfId, _shared: &Secret, _octets: &[&[u8]]) -> Result<Secret, Error> {
    unimplemented!()
}

/// Whether two values are equal, in time that depends on their lengths only.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}
