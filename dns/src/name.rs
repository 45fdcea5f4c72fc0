//! What may be asked, and what of the answer is kept.

use crate::DnsError;
use std::net::IpAddr;

/// Addresses of one name that are kept: no peer has more that are worth trying, and the
/// answer comes from outside.
pub const MOST_ADDRESSES: usize = 16;

/// Octets of a name without the final dot (RFC 1035, 2.3.4: 255 on the wire).
const LONGEST_NAME: usize = 253;
/// Octets of a label (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

/// Which addresses are wanted, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preference {
    /// IPv4 before IPv6: what IKE's peers have most.
    #[default]
    Ipv4First,
    /// IPv6 before IPv4.
    Ipv6First,
    /// Only IPv4 (`hostaddrfamily=ipv4`).
    Ipv4Only,
    /// Only IPv6 (`hostaddrfamily=ipv6`).
    Ipv6Only,
}

impl Preference {
    fn first_is_v6(self) -> bool {
        matches!(self, Self::Ipv6First | Self::Ipv6Only)
    }

    fn both(self) -> bool {
        matches!(self, Self::Ipv4First | Self::Ipv6First)
    }
}

/// Addresses by preference, each once, otherwise in the order given; at most
/// [`MOST_ADDRESSES`], of which a wanted second family has up to half.
#[must_use]
pub fn arrange(addresses: &[IpAddr], preference: Preference) -> Vec<IpAddr> {
    let of_family = |v6: bool| {
        let mut family: Vec<IpAddr> = Vec::new();
        for address in addresses.iter().filter(|address| address.is_ipv6() == v6) {
            if family.len() < MOST_ADDRESSES && !family.contains(address) {
                family.push(*address);
            }
        }
        family
    };
    let mut arranged = of_family(preference.first_is_v6());
    if preference.both() {
        let second = of_family(!preference.first_is_v6());
        let room = second.len().min(MOST_ADDRESSES / 2);
        arranged.truncate(MOST_ADDRESSES - room);
        arranged.extend(second);
        arranged.truncate(MOST_ADDRESSES);
    }
    arranged
}

/// An address written where a name could stand, without asking anybody.
#[must_use]
pub fn literal(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

/// Whether a name can be asked for (RFC 1123, 2.1; underscores occur and are let through).
pub(crate) fn check(name: &str) -> Result<(), DnsError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(DnsError::BadName("it is empty"));
    }
    if name.len() > LONGEST_NAME {
        return Err(DnsError::BadName("it is longer than 253 characters"));
    }
    if !name.is_ascii() {
        return Err(DnsError::BadName("it has characters beyond ASCII (write its xn-- form)"));
    }
    let mut last = "";
    for label in name.split('.') {
        if label.is_empty() {
            return Err(DnsError::BadName("a label is empty"));
        }
        if label.len() > LONGEST_LABEL {
            return Err(DnsError::BadName("a label is longer than 63 characters"));
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(DnsError::BadName("only letters, digits, '-', '_' and '.' can be in it"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(DnsError::BadName("a label begins or ends with '-'"));
        }
        last = label;
    }
    // RFC 1123, 2.1: a top-level label is never all digits, so this is a mistyped address.
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DnsError::BadName("it looks like an IPv4 address and is none"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MOST_ADDRESSES, Preference, arrange, check, literal};
    use crate::DnsError;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn v4(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))
    }

    fn v6(n: u16) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n))
    }

    #[test]
    fn names_are_checked_before_they_are_asked() {
        for good in ["east.example", "east", "a_b.example.", "xn--mnchen-3ya.example", "1and1.com"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = "a.".repeat(128);
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a\nb",
            "münchen.example",
            "-a.example",
            "a-.example",
            "a/b",
            "192.0.2.300",
            "1.2.3",
            "192.0.2.1.",
            &long_label,
            &long_name,
        ] {
            assert!(matches!(check(bad), Err(DnsError::BadName(_))), "{bad:?} was let through");
        }
        assert_eq!(check(&"a.".repeat(127)), Ok(()));
    }

    #[test]
    fn literals_need_no_server() {
        assert_eq!(literal("192.0.2.1"), Some(v4(1)));
        assert_eq!(literal("2001:db8::7"), Some(v6(7)));
        assert_eq!(literal("east.example"), None);
        assert_eq!(literal("192.0.2.1/32"), None);
    }

    #[test]
    fn families_are_ordered_as_wanted() {
        let mixed = [v6(1), v4(1), v6(2), v4(2), v4(1)];
        let as_wanted = |preference| arrange(&mixed, preference);
        assert_eq!(as_wanted(Preference::Ipv4First), [v4(1), v4(2), v6(1), v6(2)]);
        assert_eq!(as_wanted(Preference::Ipv6First), [v6(1), v6(2), v4(1), v4(2)]);
        assert_eq!(as_wanted(Preference::Ipv4Only), [v4(1), v4(2)]);
        assert_eq!(as_wanted(Preference::Ipv6Only), [v6(1), v6(2)]);
    }

    #[test]
    fn answers_are_bounded_and_neither_family_starves() {
        let mut many: Vec<IpAddr> = (0..100).map(v4).collect();
        assert_eq!(arrange(&many, Preference::Ipv4First).len(), MOST_ADDRESSES);
        many.extend((0..100).map(v6));
        let both = arrange(&many, Preference::Ipv4First);
        assert_eq!(both.len(), MOST_ADDRESSES);
        assert_eq!(both.iter().filter(|address| address.is_ipv6()).count(), MOST_ADDRESSES / 2);
        many.truncate(101);
        let both = arrange(&many, Preference::Ipv4First);
        assert_eq!((both.len(), both.last()), (MOST_ADDRESSES, Some(&v6(0))));
    }
}
