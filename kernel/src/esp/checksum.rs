//! The Internet checksum (RFC 1071), its incremental change (RFC 1624), and where the
//! protocols above IP keep theirs.

use super::octets::{be16, be32, put16};
use std::net::IpAddr;

/// TCP.
pub(crate) const TCP: u8 = 6;
/// UDP.
pub(crate) const UDP: u8 = 17;
/// ICMP.
pub(crate) const ICMP: u8 = 1;
/// ICMPv6.
pub(crate) const ICMPV6: u8 = 58;

/// A running sum of 16 bit words in the machine's own order: RFC 1071, 2 (B) shows that
/// the order does not matter until the end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds `octets`, an odd last one with a zero behind it. Only the last part may be odd.
    pub(crate) fn add(self, octets: &[u8]) -> Self {
        let mut sum = self.0;
        let mut chunks = octets.chunks_exact(64);
        for chunk in chunks.by_ref() {
            // Sixteen words of 32 bits into four lanes: compilers make vectors of this.
            let mut lanes = [0_u64; 4];
            for four in chunk.chunks_exact(16) {
                for (lane, word) in lanes.iter_mut().zip(four.chunks_exact(4)) {
                    *lane += u64::from(word.try_into().map_or(0, u32::from_ne_bytes));
                }
            }
            sum = sum.wrapping_add(lanes.iter().sum());
        }
        let mut words = chunks.remainder().chunks_exact(2);
        for word in words.by_ref() {
            sum += u64::from(word.try_into().map_or(0, u16::from_ne_bytes));
        }
        if let [last] = words.remainder() {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self(sum)
    }

    /// Adds a word.
    pub(crate) fn add16(self, word: u16) -> Self {
        Self(self.0 + u64::from(word.to_be()))
    }

    /// The sum, folded to 16 bits and not complemented.
    pub(crate) fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::from_be((sum & 0xffff) as u16)
    }

    /// The checksum: the complement of the folded sum.
    pub(crate) fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// The sum of the pseudo header of TCP, UDP and ICMPv6 (RFC 793, 3.1; RFC 8200, 8.1).
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Sum {
    let mut sum = Sum::default();
    for address in [source, destination] {
        sum = match address {
            IpAddr::V4(v4) => sum.add(&v4.octets()),
            IpAddr::V6(v6) => sum.add(&v6.octets()),
        };
    }
    sum.add16(u16::from(protocol)).add(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes())
}

/// Sets an IPv4 header's checksum.
pub(crate) fn set_ipv4(header: &mut [u8]) {
    put16(header, 10, 0);
    let sum = Sum::default().add(header).checksum();
    put16(header, 10, sum);
}

/// `checksum` after a word that it covers has changed (RFC 1624, 3, equation 3).
pub(crate) fn changed(checksum: u16, before: u16, after: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
    let once = (sum & 0xffff) + (sum >> 16);
    !(((once & 0xffff) + (once >> 16)) as u16)
}

/// Where `protocol` keeps its checksum in its own header.
pub(crate) fn offset(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMPV6 | ICMP => Some(2),
        _ => None,
    }
}

/// Whether the checksum of a TCP or UDP `datagram` is right; absent in UDP it is.
pub(crate) fn is_right(src: IpAddr, dst: IpAddr, protocol: u8, datagram: &[u8]) -> bool {
    if protocol == UDP && be16(datagram, 6) == Some(0) {
        return true;
    }
    pseudo_header(src, dst, protocol, datagram.len()).add(datagram).folded() == 0xffff
}

/// Computes and sets the checksum of a TCP, UDP or ICMPv6 datagram. One of UDP that is
/// absent stays so.
pub(crate) fn set(src: IpAddr, dst: IpAddr, protocol: u8, datagram: &mut [u8]) {
    let Some(at) = offset(protocol) else { return };
    if protocol == ICMP || (protocol == UDP && be16(datagram, at) == Some(0)) {
        return;
    }
    put16(datagram, at, 0);
    let sum = pseudo_header(src, dst, protocol, datagram.len()).add(datagram).checksum();
    // RFC 768: a computed zero is sent as all ones.
    put16(datagram, at, if protocol == UDP && sum == 0 { 0xffff } else { sum });
}

/// Completes a checksum that was left to the device: the field holds the pseudo header's
/// sum already.
pub(crate) fn complete(packet: &mut [u8], start: usize, offset: usize) -> bool {
    let Some(covered) = packet.get(start..) else { return false };
    let sum = Sum::default().add(covered).checksum();
    let Some(at) = start.checked_add(offset) else { return false };
    // UDP's rule harms no other protocol: both zeroes are right in TCP.
    put16(packet, at, if sum == 0 { 0xffff } else { sum })
}

/// TCP's sequence number.
pub(crate) fn tcp_sequence(segment: &[u8]) -> Option<u32> {
    be32(segment, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&octets).folded(), 0xddf2);
    }

    #[test]
    fn any_length_sums_as_the_plain_loop_does() {
        let octets: Vec<u8> = (0..1500_u32).map(|n| (n * 7 + 3) as u8).collect();
        for len in [0, 1, 2, 3, 63, 64, 65, 127, 128, 1399, 1400, 1500] {
            let mut plain = 0_u32;
            for pair in octets[..len].chunks(2) {
                plain += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
                plain = (plain & 0xffff) + (plain >> 16);
            }
            assert_eq!(u32::from(Sum::default().add(&octets[..len]).folded()), plain, "{len}");
        }
    }

    #[test]
    fn an_incremental_change_equals_a_new_sum() {
        // RFC 1624, 4.
        assert_eq!(changed(0xdd2f, 0x5555, 0x3285), 0x0000);
        let mut header = *b"\x45\x00\x00\x54\x12\x34\x40\x00\x40\x01\x00\x00abcdefgh";
        set_ipv4(&mut header);
        let before = be16(&header, 10).unwrap();
        header[1] = 3;
        let expected = changed(before, 0x4500, 0x4503);
        set_ipv4(&mut header);
        assert_eq!(be16(&header, 10), Some(expected));
    }
}
