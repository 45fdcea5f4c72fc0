//! The range of a pool.

use crate::{AddressRange, Family, Selector};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that may be given out, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolRange(AddressRange);

impl PoolRange {
    /// Reads one range of `addresspool=`: `192.0.2.100-192.0.2.110`, `192.0.2.0/24`,
    /// `2001:db8::/112`. Of a network, what cannot be a host's address is left out: for
    /// IPv4 its first and last one, for IPv6 the first (RFC 4291, 2.6.1).
    ///
    /// # Errors
    /// What is wrong; `None` inside: networks of networks (`2001:db8::/56/64`) are not
    /// supported yet.
    pub fn parse(text: &str) -> Result<Self, Option<String>> {
        if text.matches('/').count() > 1 {
            return Err(None);
        }
        let selector = Selector::parse(text).map_err(|e| Some(format!("\"{text}\": {e}")))?;
        let (first, last) = (selector.addresses.start(), selector.addresses.end());
        if first.is_unspecified() || first.is_multicast() || last.is_multicast() {
            return Err(Some(format!("\"{text}\" has addresses that no host can have")));
        }
        let is_network = !text.contains('-') && first != last;
        let usable = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if is_network => {
                let (first, last) = (u32::from(first), u32::from(last));
                let inner = (first.saturating_add(1), last.saturating_sub(1));
                // RFC 3021: a /31 has hosts only.
                let (first, last) = if inner.0 <= inner.1 { inner } else { (first, last) };
                AddressRange::new(Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if is_network => {
                let first = u128::from(first).saturating_add(1);
                AddressRange::new(Ipv6Addr::from(first).into(), last.into())
            }
            _ => Some(selector.addresses),
        };
        Ok(Self(usable.unwrap_or(selector.addresses)))
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.0.start())
    }

    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.0.start()
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.0.end()
    }

    /// All of them.
    #[must_use]
    pub fn addresses(&self) -> AddressRange {
        self.0
    }

    /// How many addresses it has; `u128::MAX` for all of IPv6.
    #[must_use]
    pub fn size(&self) -> u128 {
        number(self.0.end()).saturating_sub(number(self.0.start())).saturating_add(1)
    }

    /// Whether two ranges have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.intersection(&other.0).is_some()
    }

    /// The address at that place, from 0; none behind the end.
    pub(super) fn at(&self, place: u128) -> Option<IpAddr> {
        let number = number(self.0.start()).checked_add(place)?;
        let address = match self.0.start() {
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).ok()?).into(),
            IpAddr::V6(_) => Ipv6Addr::from(number).into(),
        };
        self.0.contains(address).then_some(address)
    }

    /// The place of an address, from 0; none for one outside.
    pub(super) fn place(&self, address: IpAddr) -> Option<u128> {
        let inside = self.0.contains(address);
        inside.then(|| number(address).saturating_sub(number(self.0.start())))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

impl fmt::Display for PoolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}
