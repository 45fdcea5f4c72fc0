//! Traffic selectors and their narrowing (RFC 7296, 2.9).

use crate::address::{parse_address, parse_prefix};
use pluto_wire::v2::TrafficSelector;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Selectors that a narrowed set may hold: as many as one TS payload can (RFC 7296, 3.13).
const MAX_NARROWED: usize = 255;

/// Addresses from `start` to `end`, both of one family, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressRange {
    start: IpAddr,
    end: IpAddr,
}

/// An address as a number; IPv4 in the low 32 bits.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of a number, in the family of `like`.
fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        // The callers keep numbers of IPv4 within 32 bits.
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

fn family_bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `2^bits - 1`.
pub(crate) fn low_mask(bits: u32) -> u128 {
    1_u128.checked_shl(bits).map_or(u128::MAX, |power| power.wrapping_sub(1))
}

impl AddressRange {
    /// A range; none when the families differ or start is behind end.
    #[must_use]
    pub fn new(start: IpAddr, end: IpAddr) -> Option<Self> {
        (start.is_ipv4() == end.is_ipv4() && start <= end).then_some(Self { start, end })
    }

    /// One address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self { start: address, end: address }
    }

    /// The network of `length` leading bits that `network` is in; none when the length is
    /// more than its family has.
    #[must_use]
    pub fn from_prefix(network: IpAddr, length: u8) -> Option<Self> {
        let host = low_mask(family_bits(network).checked_sub(length.into())?);
        let first = number(network) & !host;
        Some(Self { start: address(first, network), end: address(first | host, network) })
    }

    /// First address.
    #[must_use]
    pub fn start(&self) -> IpAddr {
        self.start
    }

    /// Last address.
    #[must_use]
    pub fn end(&self) -> IpAddr {
        self.end
    }

    /// The prefix length when the range is exactly one network.
    #[must_use]
    pub fn prefix_length(&self) -> Option<u8> {
        let (start, end) = (number(self.start), number(self.end));
        let host = start ^ end;
        let is_network = host & host.wrapping_add(1) == 0 && start & host == 0;
        let length = family_bits(self.start).checked_sub(host.count_ones())?;
        is_network.then(|| u8::try_from(length).ok()).flatten()
    }

    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.start.is_ipv4() == address.is_ipv4() && self.start <= address && address <= self.end
    }

    /// What is in both; none when nothing is.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.start.is_ipv4() != other.start.is_ipv4() {
            return None;
        }
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The fewest prefixes (network, length) that cover exactly this range, in order: what
    /// the kernel's policies and routes are made of. At most 62 for IPv4, 254 for IPv6.
    #[must_use]
    pub fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        let bits = family_bits(self.start);
        let prefix = |(first, host): (u128, u32)| {
            let length = u8::try_from(bits.saturating_sub(host)).unwrap_or(0);
            (address(first, self.start), length)
        };
        self.blocks().map(prefix).collect()
    }

    /// The blocks that [`AddressRange::prefixes`] are made of.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u128, u32)> + use<> {
        blocks(number(self.start), number(self.end), family_bits(self.start))
    }
}

/// The fewest blocks of `2^n` numbers, each at a multiple of its size, that make up `first` to
/// `last` of numbers with so many bits, in order: where each begins, and its `n`.
pub(crate) fn blocks(first: u128, last: u128, bits: u32) -> impl Iterator<Item = (u128, u32)> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let first = next.filter(|first| *first <= last)?;
        // As the alignment of `first` and the room up to `last` allow.
        let mut size = first.trailing_zeros().min(bits);
        while size > 0 && low_mask(size) > last.wrapping_sub(first) {
            size = size.saturating_sub(1);
        }
        next = (first | low_mask(size)).checked_add(1);
        Some((first, size))
    })
}

impl fmt::Display for AddressRange {
    /// `192.0.2.0/24` where it is one network, else `192.0.2.1-192.0.2.9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_length() {
            Some(length) => write!(f, "{}/{length}", self.start),
            None => write!(f, "{}-{}", self.start, self.end),
        }
    }
}

/// Which traffic: addresses, protocol, ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Selector {
    /// The addresses.
    pub addresses: AddressRange,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// First port (or ICMP type and code); 0 to 65535 is any, 65535 to 0 is OPAQUE: packets
    /// of which no port can be seen (RFC 7296, 3.13.1).
    pub start_port: u16,
    /// Last port.
    pub end_port: u16,
}

/// Why a text or a payload is not a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError(pub String);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// All traffic of one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::all_of(AddressRange::host(address))
    }

    /// All traffic of some addresses.
    #[must_use]
    pub fn all_of(addresses: AddressRange) -> Self {
        Self { addresses, protocol: 0, start_port: 0, end_port: u16::MAX }
    }

    /// Reads `192.0.2.0/24`, `192.0.2.1-192.0.2.9`, `2001:db8::/64`, each perhaps with
    /// `/protocol/port` behind it. The port is a number (0 for any), a range `80-90`,
    /// `%any` or `%opaque`; for ICMP it is the type times 256 plus the code
    /// (RFC 7296, 3.13.1). Bits behind the prefix length are cleared.
    ///
    /// # Errors
    /// The text is none of the forms.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let complain = |why: &str| SelectorError(format!("\"{}\": {why}", text.escape_debug()));
        let mut parts = text.trim().split('/');
        let first = parts.next().unwrap_or_default();
        let addresses = if let Some((start, end)) = first.split_once('-') {
            let start = parse_address(start).ok_or_else(|| complain("bad first address"))?;
            let end = parse_address(end).ok_or_else(|| complain("bad last address"))?;
            AddressRange::new(start, end).ok_or_else(|| {
                complain("the range's end is before its start or of another family")
            })?
        } else {
            let (network, short) = network_address(first)
                .ok_or_else(|| complain("neither an address, a network nor a range"))?;
            match parts.next() {
                Some(length) => parse_prefix(length, network)
                    .and_then(|length| AddressRange::from_prefix(network, length))
                    .ok_or_else(|| complain("bad prefix length or mask"))?,
                None if short => return Err(complain("an address of four octets is needed")),
                None => AddressRange::host(network),
            }
        };
        let protocol = match parts.next() {
            Some(name) => protocol_number(name).ok_or_else(|| complain("unknown protocol"))?,
            None => 0,
        };
        let (start_port, end_port) = match parts.next() {
            Some(port) => parse_ports(port).ok_or_else(|| complain("bad port"))?,
            None => (0, u16::MAX),
        };
        if parts.next().is_some() {
            return Err(complain("more than ADDRESSES/PROTOCOL/PORT"));
        }
        let selector = Self { addresses, protocol, start_port, end_port };
        if protocol == 0 && !selector.any_port() {
            return Err(complain("a port needs a protocol"));
        }
        Ok(selector)
    }

    /// Judges a received selector.
    ///
    /// # Errors
    /// Start behind end, or a type that is not supported.
    pub fn from_wire(payload: &TrafficSelector) -> Result<Self, SelectorError> {
        let TrafficSelector::AddressRange { protocol, start_port, end_port, start, end } = payload
        else {
            let TrafficSelector::Unknown { ts_type, .. } = payload else {
                return Err(SelectorError("traffic selector of an unknown type".to_owned()));
            };
            return Err(SelectorError(format!("traffic selector type {ts_type} is not supported")));
        };
        let addresses = AddressRange::new(*start, *end).ok_or_else(|| {
            SelectorError(format!("traffic selector: starting address {start} is behind {end}"))
        })?;
        let selector =
            Self { addresses, protocol: *protocol, start_port: *start_port, end_port: *end_port };
        if start_port > end_port && !selector.opaque() {
            return Err(SelectorError(format!(
                "traffic selector: start port {start_port} is behind end port {end_port}"
            )));
        }
        // "If the protocol is undefined ... this field MUST be zero" (RFC 7296, 3.13.1): some
        // peers send 0 to 0 where the protocol has no ports.
        if *protocol == 0 && !selector.any_port() {
            if (*start_port, *end_port) == (0, 0) {
                return Ok(Self { end_port: u16::MAX, ..selector });
            }
            return Err(SelectorError(format!(
                "traffic selector: ports {start_port}-{end_port} without a protocol"
            )));
        }
        Ok(selector)
    }

    /// The payload's value.
    #[must_use]
    pub fn to_wire(&self) -> TrafficSelector {
        TrafficSelector::AddressRange {
            protocol: self.protocol,
            start_port: self.start_port,
            end_port: self.end_port,
            start: self.addresses.start,
            end: self.addresses.end,
        }
    }

    /// What is in both; none when nothing is.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let addresses = self.addresses.intersection(&other.addresses)?;
        let protocol = match (self.protocol, other.protocol) {
            (0, protocol) | (protocol, 0) => protocol,
            (one, two) => (one == two).then_some(one)?,
        };
        // ANY includes OPAQUE, which no other range of ports touches (RFC 4301, 4.4.1.1).
        let (start_port, end_port) = if self.any_port() || *self == *other {
            (other.start_port, other.end_port)
        } else if other.any_port() {
            (self.start_port, self.end_port)
        } else if self.opaque() || other.opaque() {
            (self.opaque() && other.opaque()).then_some((u16::MAX, 0))?
        } else {
            let ports = (self.start_port.max(other.start_port), self.end_port.min(other.end_port));
            (ports.0 <= ports.1).then_some(ports)?
        };
        Some(Self { addresses, protocol, start_port, end_port })
    }

    /// Whether all of `other` is in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.intersection(other).is_some_and(|both| both == *other)
    }

    /// Whether there can be traffic from one to the other: the address families are the same,
    /// and the protocols are unless one of them is any.
    #[must_use]
    pub fn pairs_with(&self, other: &Self) -> bool {
        let one_family = self.addresses.start.is_ipv4() == other.addresses.start.is_ipv4();
        let protocols = (self.protocol, other.protocol);
        one_family && (protocols.0 == protocols.1 || protocols.0 == 0 || protocols.1 == 0)
    }

    /// Whether it has all ports.
    #[must_use]
    pub fn any_port(&self) -> bool {
        (self.start_port, self.end_port) == (0, u16::MAX)
    }

    fn opaque(&self) -> bool {
        (self.start_port, self.end_port) == (u16::MAX, 0)
    }
}

/// The address of a network, which may leave octets of zero away (`10/8`), and whether it
/// did.
fn network_address(text: &str) -> Option<(IpAddr, bool)> {
    let dots = text.matches('.').count();
    let decimal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !decimal || dots >= 3 {
        return Some((parse_address(text)?, false));
    }
    let whole = format!("{text}{}", ".0".repeat(3_usize.saturating_sub(dots)));
    Some((parse_address(&whole)?, true))
}

/// Protocols with names, as logs and configurations have them.
const PROTOCOLS: &[(&str, u8)] = &[
    ("ICMP", 1),
    ("IGMP", 2),
    ("IPIP", 4),
    ("TCP", 6),
    ("EGP", 8),
    ("IGP", 9),
    ("UDP", 17),
    ("DCCP", 33),
    ("IPV6", 41),
    ("RSVP", 46),
    ("GRE", 47),
    ("ESP", 50),
    ("AH", 51),
    ("ICMPv6", 58),
    ("OSPF", 89),
    ("PIM", 103),
    ("IPCOMP", 108),
    ("VRRP", 112),
    ("L2TP", 115),
    ("SCTP", 132),
    ("MH", 135),
    ("UDPLITE", 136),
];

/// The number of an IP protocol, by name or number; `%any` is 0.
pub(crate) fn protocol_number(text: &str) -> Option<u8> {
    if text.eq_ignore_ascii_case("%any") || text.eq_ignore_ascii_case("any") {
        return Some(0);
    }
    // The names that /etc/protocols and older configurations use besides.
    if text.eq_ignore_ascii_case("ipv6-icmp") || text.eq_ignore_ascii_case("icmp6") {
        return Some(58);
    }
    if let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return Some(*number);
    }
    decimal(text).and_then(|number| u8::try_from(number).ok())
}

/// Digits only: the standard parser would take a sign.
fn decimal(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Ports as text; empty and 0 are any, as in libreswan.
pub(crate) fn parse_ports(text: &str) -> Option<(u16, u16)> {
    if text.is_empty() || text == "0" || text.eq_ignore_ascii_case("%any") {
        return Some((0, u16::MAX));
    }
    if text.eq_ignore_ascii_case("%opaque") {
        return Some((u16::MAX, 0));
    }
    if let Some((first, last)) = text.split_once('-') {
        let ports = (decimal(first)?, decimal(last)?);
        return (ports.0 <= ports.1).then_some(ports);
    }
    decimal(text).map(|port| (port, port))
}

impl fmt::Display for Selector {
    /// libreswan's form: `192.0.2.0/24`, `192.0.2.0/24/TCP/7`, `10.0.0.1/32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addresses.fmt(f)?;
        if self.protocol == 0 && self.any_port() {
            return Ok(());
        }
        match PROTOCOLS.iter().find(|(_, number)| *number == self.protocol) {
            Some((name, _)) => write!(f, "/{name}")?,
            None => write!(f, "/{}", self.protocol)?,
        }
        match (self.start_port, self.end_port) {
            (0, u16::MAX) => Ok(()),
            (u16::MAX, 0) => f.write_str("/%opaque"),
            // A lone 0 would read as any.
            (first, last) if first == last && first != 0 => write!(f, "/{first}"),
            (first, last) => write!(f, "/{first}-{last}"),
        }
    }
}

/// The part of `offered` that `policy` allows, without duplicates and subsets, in the order
/// of `offered` (RFC 7296, 2.9: the first, most specific one of the initiator's must
/// stay included where the policy allows it: it is, in itself or in a later one that
/// contains it). At most 255, the earliest ones. Empty: TS_UNACCEPTABLE.
#[must_use]
pub fn narrow(policy: &[Selector], offered: &[Selector]) -> Vec<Selector> {
    let mut narrowed: Vec<Selector> = Vec::new();
    // What an offer says twice is looked at once.
    let offered = without_subsets(offered);
    let pairs = offered.iter().flat_map(|wanted| policy.iter().map(move |own| (wanted, own)));
    for (wanted, own) in pairs {
        let Some(both) = wanted.intersection(own) else { continue };
        add(&mut narrowed, both);
        if narrowed.len() >= MAX_NARROWED {
            break;
        }
    }
    narrowed
}

/// The same traffic without duplicates, and without selectors that are within others, in
/// order.
#[must_use]
pub fn without_subsets(selectors: &[Selector]) -> Vec<Selector> {
    let mut kept = Vec::new();
    selectors.iter().for_each(|one| add(&mut kept, *one));
    kept
}

fn add(kept: &mut Vec<Selector>, one: Selector) {
    if !kept.iter().any(|had| had.contains(&one)) {
        kept.retain(|had| !one.contains(had));
        kept.push(one);
    }
}

#[cfg(test)]
#[path = "selector_tests.rs"]
pub(crate) mod tests;
