//! Telling a sender that its packet is too big for the tunnel.

use super::checksum::{self, ICMP, ICMPV6, Sum, set_ipv4};
use super::inner::Inner;
use super::octets::{be16, octet, put, put16, u16_of};
use std::net::IpAddr;

/// RFC 1812, 4.3.2.3: as much of the packet as fits 576 octets.
const LARGEST_V4: usize = 576;
/// RFC 4443, 2.4 (c): as much as fits the smallest MTU.
const LARGEST_V6: usize = 1280;
/// RFC 792: what is quoted at least behind the header.
const QUOTED_V4: usize = 8;

/// Writes into `answer` the message that `packet` is larger than `mtu` octets: destination
/// unreachable, fragmentation needed (RFC 1191, 4), or packet too big (RFC 4443, 3.2).
/// Tells its length; none where no answer may be given.
///
/// It comes from the address that the packet was for: it must not come from one of the
/// host's own, which would be refused as forged.
pub(crate) fn too_big(
    answer: &mut [u8],
    packet: &[u8],
    inner: &Inner,
    mtu: usize,
) -> Option<usize> {
    if !may_be_answered(packet, inner) {
        return None;
    }
    match (inner.source, inner.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let limit = (LARGEST_V4 - 28).max(inner.header + QUOTED_V4);
            let quoted = packet.get(..inner.len.min(limit))?;
            let len = 28 + quoted.len();
            let answer = answer.get_mut(..len)?;
            let (header, message) = answer.split_at_mut_checked(20)?;
            header.fill(0);
            put(header, 0, &[0x45, 0xc0]);
            put16(header, 2, u16_of(len));
            put(header, 8, &[64, ICMP]);
            put(header, 12, &destination.octets());
            put(header, 16, &source.octets());
            set_ipv4(header);
            put(message, 0, &[3, 4, 0, 0, 0, 0]);
            put16(message, 6, u16_of(mtu));
            put(message, 8, quoted);
            let sum = Sum::default().add(message).checksum();
            put16(message, 2, sum);
            Some(len)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let quoted = packet.get(..inner.len.min(LARGEST_V6 - 48))?;
            let len = 48 + quoted.len();
            let answer = answer.get_mut(..len)?;
            let (header, message) = answer.split_at_mut_checked(40)?;
            put(header, 0, &[0x60, 0, 0, 0, 0, 0, ICMPV6, 64]);
            put16(header, 4, u16_of(8 + quoted.len()));
            put(header, 8, &destination.octets());
            put(header, 24, &source.octets());
            put(message, 0, &[2, 0, 0, 0]);
            put(message, 4, &u32::from(u16_of(mtu)).to_be_bytes());
            put(message, 8, quoted);
            checksum::set(inner.destination, inner.source, ICMPV6, message);
            Some(len)
        }
        _ => None,
    }
}

/// RFC 1122, 3.2.2 and RFC 4443, 2.4 (e): no answer to errors, to later fragments, to and
/// from more or less than one host.
fn may_be_answered(packet: &[u8], inner: &Inner) -> bool {
    let single = |address: IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    };
    let kind = octet(packet, inner.header);
    let error = match inner.protocol {
        ICMP => matches!(kind, Some(3 | 4 | 5 | 11 | 12)),
        ICMPV6 => kind.is_some_and(|kind| kind < 128),
        _ => false,
    };
    let later = match inner.source {
        IpAddr::V4(_) => be16(packet, 6).is_some_and(|bits| bits & 0x1fff != 0),
        IpAddr::V6(_) => inner.fragment && inner.ports.is_none(),
    };
    single(inner.source) && single(inner.destination) && !error && !later
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp_v4(len: usize) -> Vec<u8> {
        let mut packet = vec![0; len];
        packet[..20].copy_from_slice(&[
            0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1,
        ]);
        put16(&mut packet, 2, len as u16);
        set_ipv4(&mut packet[..20]);
        packet
    }

    #[test]
    fn ipv4_is_told_the_mtu_and_sees_its_packet_again() {
        let packet = udp_v4(1500);
        let inner = Inner::parse(&packet).unwrap();
        let mut answer = [0xee; 1500];
        let len = too_big(&mut answer, &packet, &inner, 1400).unwrap();
        let told = Inner::parse(&answer[..len]).unwrap();
        assert_eq!((told.source, told.destination), (inner.destination, inner.source));
        assert_eq!((told.ports, told.len), (Some((3, 4)), 576));
        assert_eq!(be16(&answer, 26), Some(1400));
        assert_eq!(answer[28..len], packet[..548]);
        assert_eq!(Sum::default().add(&answer[..20]).folded(), 0xffff);
        assert_eq!(Sum::default().add(&answer[20..len]).folded(), 0xffff);
    }

    #[test]
    fn ipv6_is_told_the_mtu() {
        let mut packet = vec![0; 1400];
        packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 5, 80, 17, 64]);
        packet[8..40].fill(0x20);
        let inner = Inner::parse(&packet).unwrap();
        let mut answer = [0xee; 1500];
        let len = too_big(&mut answer, &packet, &inner, 1350).unwrap();
        assert_eq!((len, answer[40], answer[47]), (1280, 2, (1350 & 0xff) as u8));
        assert!(checksum::is_right(inner.source, inner.destination, ICMPV6, &answer[40..len]));
    }

    #[test]
    fn errors_multicast_and_later_fragments_are_not_answered() {
        let mut answer = [0; 1500];
        let mut refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = udp_v4(1500);
            change(&mut packet);
            let inner = Inner::parse(&packet).unwrap();
            too_big(&mut answer, &packet, &inner, 1400).is_none()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|packet| packet[7] = 1));
        assert!(refused(&|packet| packet[16] = 224));
        assert!(refused(&|packet| packet[12..16].fill(0)));
        assert!(refused(&|packet| {
            packet[9] = 1;
            packet[20] = 3;
        }));
    }
}
