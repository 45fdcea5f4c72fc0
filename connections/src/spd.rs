//! A connection's traffic as pairs of selectors, and the priority of the kernel policies
//! made of them.

use crate::{Kind, Selector};
use serde::{Deserialize, Serialize};

/// A pair of selectors between which traffic is protected: a policy for each direction,
/// and one run of updown for each verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpdEntry {
    /// Our side's traffic.
    pub local: Selector,
    /// The peer's.
    pub remote: Selector,
    /// Priority of its kernel policies: the smaller one wins.
    pub priority: u32,
}

/// All pairs of one address family, in order.
pub fn selector_pairs<'a>(
    local: &'a [Selector],
    remote: &'a [Selector],
) -> impl Iterator<Item = (Selector, Selector)> + 'a {
    let v4 = |s: &Selector| s.addresses.start().is_ipv4();
    local
        .iter()
        .flat_map(move |l| remote.iter().filter(move |r| v4(l) == v4(r)).map(move |r| (*l, *r)))
}

/// The priority of a pair's policies where `priority=` sets none. From the highest bits to
/// the lowest: kind of connection (1 for a configured one), how many ends leave the port
/// open, whether the protocol is open, 128 less the length of our prefix, the same of the
/// peer's, and 1 unless it is an instance: the more specific, the smaller.
#[must_use]
pub fn policy_priority(local: &Selector, remote: &Selector, kind: Kind) -> u32 {
    let open_port = |s: &Selector| u32::from((s.start_port, s.end_port) == (0, u16::MAX));
    let open_protocol = u32::from(local.protocol == 0);
    let width = |s: &Selector| 128_u32.saturating_sub(u32::from(prefix_length(s)));
    (1 << 20)
        | (open_port(local) + open_port(remote)) << 18
        | open_protocol << 17
        | width(local) << 9
        | width(remote) << 1
        | u32::from(kind != Kind::Instance)
}

/// How many leading bits all addresses of a selector share.
#[must_use]
pub fn prefix_length(selector: &Selector) -> u8 {
    use std::net::IpAddr::{V4, V6};
    let zeros = match (selector.addresses.start(), selector.addresses.end()) {
        (V4(a), V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (V6(a), V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    };
    u8::try_from(zeros).unwrap_or(128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AddressRange;

    fn net(start: &str, end: &str) -> Selector {
        let range = AddressRange::new(start.parse().unwrap(), end.parse().unwrap()).unwrap();
        Selector { addresses: range, protocol: 0, start_port: 0, end_port: u16::MAX }
    }

    #[test]
    fn priority_of_two_24_bit_networks_is_libreswans() {
        let (a, b) = (net("192.0.1.0", "192.0.1.255"), net("192.0.2.0", "192.0.2.255"));
        assert_eq!(policy_priority(&a, &b, Kind::Permanent), 1_757_393);
        assert_eq!(policy_priority(&a, &b, Kind::Instance), 1_757_392);
    }

    #[test]
    fn the_more_specific_policy_has_the_smaller_number() {
        let wide = net("10.0.0.0", "10.255.255.255");
        let narrow = net("10.0.0.1", "10.0.0.1");
        let tcp = Selector { protocol: 6, ..wide };
        let http = Selector { protocol: 6, start_port: 80, end_port: 80, ..wide };
        let p = |s: &Selector| policy_priority(s, s, Kind::Permanent);
        assert!(p(&narrow) < p(&wide));
        assert!(p(&tcp) < p(&narrow));
        assert!(p(&http) < p(&tcp));
    }

    #[test]
    fn pairs_join_selectors_of_one_family() {
        let (v4, v6) = (net("10.0.0.0", "10.0.0.255"), net("2001:db8::", "2001:db8::ffff"));
        let pairs: Vec<_> = selector_pairs(&[v4, v6], &[v6, v4]).collect();
        assert_eq!(pairs, [(v4, v4), (v6, v6)]);
    }
}
