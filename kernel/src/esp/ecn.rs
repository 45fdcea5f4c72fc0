//! DSCP and ECN between the inner and the outer header (RFC 4301, 5.1.2; RFC 6040).

use super::checksum::changed;
use super::octets::{be16, put16};

const ECN: u8 = 3;
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const CE: u8 = 3;

/// The outer header's octet: ECN is copied (RFC 6040, 4.1, normal mode), DSCP only when
/// it may be seen.
#[must_use]
pub fn outer(inner: u8, copy_dscp: bool) -> u8 {
    if copy_dscp { inner } else { inner & ECN }
}

/// The inner header's octet after decapsulation, none where the packet must be dropped
/// (RFC 6040, 4.2, figure 4).
#[must_use]
pub fn decapsulated(inner: u8, outer: u8, copy_dscp: bool) -> Option<u8> {
    let ecn = match (inner & ECN, outer & ECN) {
        (NOT_ECT, CE) => return None,
        (NOT_ECT, _) => NOT_ECT,
        (CE, _) | (_, CE) => CE,
        (_, ECT_1) => ECT_1,
        (arrived, _) => arrived,
    };
    Some(if copy_dscp { outer & !ECN } else { inner & !ECN } | ecn)
}

/// Writes DSCP and ECN into a packet, with its checksum.
pub(crate) fn set_tos(packet: &mut [u8], tos: u8) {
    let Some(word) = be16(packet, 0) else { return };
    if word >> 12 == 4 {
        let new = word & 0xff00 | u16::from(tos);
        let sum = be16(packet, 10).unwrap_or(0);
        put16(packet, 10, changed(sum, word, new));
        put16(packet, 0, new);
    } else {
        put16(packet, 0, word & 0xf00f | u16::from(tos) << 4);
    }
}

#[cfg(test)]
mod tests {
    use super::super::checksum::{Sum, set_ipv4};
    use super::*;

    #[test]
    fn decapsulation_follows_the_table_of_rfc_6040() {
        // Rows: inner Not-ECT, ECT(0), ECT(1), CE; columns: outer the same.
        let rows = [
            (0, [Some(0), Some(0), Some(0), None]),
            (2, [Some(2), Some(2), Some(1), Some(3)]),
            (1, [Some(1), Some(1), Some(1), Some(3)]),
            (3, [Some(3), Some(3), Some(3), Some(3)]),
        ];
        for (inner, expected) in rows {
            for (outer, expected) in [0, 2, 1, 3].into_iter().zip(expected) {
                assert_eq!(decapsulated(inner, outer, false), expected, "{inner} in {outer}");
            }
        }
    }

    #[test]
    fn dscp_crosses_only_where_it_is_told_to() {
        assert_eq!(outer(0xb9, true), 0xb9);
        assert_eq!(outer(0xb9, false), 0x01);
        assert_eq!(decapsulated(0xb8, 0x20, true), Some(0x20));
        assert_eq!(decapsulated(0xb8, 0x20, false), Some(0xb8));
    }

    #[test]
    fn a_written_octet_leaves_the_checksum_right() {
        let mut v4 = *b"\x45\x00\x00\x14\x00\x00\x00\x00\x40\x11\x00\x00abcdefgh";
        set_ipv4(&mut v4);
        set_tos(&mut v4, 0xbb);
        assert_eq!(v4[1], 0xbb);
        assert_eq!(Sum::default().add(&v4).folded(), 0xffff);
        let mut v6 = [0_u8; 40];
        v6[..4].copy_from_slice(&[0x60, 0x0a, 0xbc, 0xde]);
        set_tos(&mut v6, 0xb9);
        assert_eq!(v6[..4], [0x6b, 0x9a, 0xbc, 0xde]);
    }
}
