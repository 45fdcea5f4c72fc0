//! Reading and writing octets where a length may lie: nothing here can panic.

/// Two octets at `at`, in network order.
pub(crate) fn be16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_be_bytes)
}

/// Four octets at `at`, in network order.
pub(crate) fn be32(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

/// Sixteen octets at `at`.
pub(crate) fn sixteen(octets: &[u8], at: usize) -> Option<[u8; 16]> {
    octets.get(at..at.checked_add(16)?)?.try_into().ok()
}

/// One octet at `at`.
pub(crate) fn octet(octets: &[u8], at: usize) -> Option<u8> {
    octets.get(at).copied()
}

/// Writes `value` at `at`; false where there is no room.
pub(crate) fn put(octets: &mut [u8], at: usize, value: &[u8]) -> bool {
    let place = at.checked_add(value.len()).and_then(|end| octets.get_mut(at..end));
    place.map(|place| place.copy_from_slice(value)).is_some()
}

/// Writes `value` at `at` in network order; false where there is no room.
pub(crate) fn put16(octets: &mut [u8], at: usize, value: u16) -> bool {
    put(octets, at, &value.to_be_bytes())
}

/// `value` as 16 bits; what is larger becomes the largest.
pub(crate) fn u16_of(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}
