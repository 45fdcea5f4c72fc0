//! Traffic selectors and their narrowing (RFC 7296, 2.9).

use pluto_wire::v2::TrafficSelector;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Addresses from `start` to `end`, both of one family, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressRange {
    start: IpAddr,
    end: IpAddr,
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
    /// The fewest prefixes (network, length) that cover exactly this range, in order: what
    /// the kernel's policies and routes are made of.
    #[must_use]
    pub fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        unimplemented!()
    }
}

/// Which traffic: addresses, protocol, ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Selector {
    /// The addresses.
    pub addresses: AddressRange,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// First port (or ICMP type and code); 0 to 65535 is any.
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
        Self { addresses: AddressRange::host(address), protocol: 0, start_port: 0, end_port: u16::MAX }
    }

    /// Reads `192.0.2.0/24`, `192.0.2.1-192.0.2.9`, `2001:db8::/64`, each perhaps with
    /// `/protocol/port` behind it.
    ///
    /// # Errors
    /// The text is none of the forms.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        unimplemented!()
    }

    /// Judges a received selector.
    ///
    /// # Errors
    /// Start behind end, or a type that is not supported.
    pub fn from_wire(_payload: &TrafficSelector) -> Result<Self, SelectorError> {
        unimplemented!()
    }

    /// The payload's value.
    #[must_use]
    pub fn to_wire(&self) -> TrafficSelector {
        unimplemented!()
    }

    /// What is in both; none when nothing is.
    #[must_use]
    pub fn intersection(&self, _other: &Self) -> Option<Self> {
        unimplemented!()
    }

    /// Whether all of `other` is in this one.
    #[must_use]
    pub fn contains(&self, _other: &Self) -> bool {
        unimplemented!()
    }
}

impl fmt::Display for Selector {
    /// libreswan's form: `192.0.2.0/24`, `192.0.2.0/24/TCP/7`, `10.0.0.1/32`.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

/// The part of `offered` that `policy` allows, without duplicates and subsets, in the order
/// of `offered` (RFC 7296, 2.9: the first, most specific one of the initiator's must
/// stay included where the policy allows it). Empty: TS_UNACCEPTABLE.
#[must_use]
pub fn narrow(_policy: &[Selector], _offered: &[Selector]) -> Vec<Selector> {
    unimplemented!()
}
