//! The IP packet inside: what policies ask of it, read from octets that may be anything.

use super::octets::{be16, octet, sixteen};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// More extension headers than any honest packet has.
const EXTENSION_HEADERS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// What is known of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The protocol above IP and its extension headers.
    pub protocol: u8,
    /// Source and destination port, or ICMP type and code; none where the packet shows
    /// none (other protocols, fragments but the first).
    pub ports: Option<(u16, u16)>,
    /// Octets of the packet, at most those that were given.
    pub len: usize,
    /// Octets in front of the protocol above IP.
    pub header: usize,
    /// DSCP and ECN.
    pub tos: u8,
    /// IPv4's DF; IPv6 is never fragmented on the way.
    pub dont_fragment: bool,
    /// A fragment: its offset is not zero, or more follow.
    pub fragment: bool,
}

/// Why octets are no IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InnerError {
    /// They end within a header.
    Short,
    /// Neither version 4 nor 6.
    Version(u8),
    /// The header's length cannot be.
    Header,
    /// The packet's length cannot be, or is more than there is.
    Length,
    /// More extension headers than are followed.
    ExtensionHeaders,
}

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the packet ends within a header"),
            Self::Version(version) => write!(f, "IP version {version}"),
            Self::Header => f.write_str("the header's length is impossible"),
            Self::Length => f.write_str("the packet's length is not what there is"),
            Self::ExtensionHeaders => {
                write!(f, "more than {EXTENSION_HEADERS} extension headers")
            }
        }
    }
}

impl std::error::Error for InnerError {}

impl Inner {
    /// Reads the headers of `packet`; what is behind its length is padding (RFC 4303, 2.7).
    ///
    /// # Errors
    /// It is no IP packet.
    pub fn parse(packet: &[u8]) -> Result<Self, InnerError> {
        match octet(packet, 0).ok_or(InnerError::Short)? >> 4 {
            4 => Self::ipv4(packet),
            6 => Self::ipv6(packet),
            version => Err(InnerError::Version(version)),
        }
    }

    fn ipv4(packet: &[u8]) -> Result<Self, InnerError> {
        let fixed: &[u8; 20] = packet.first_chunk().ok_or(InnerError::Short)?;
        let [first, tos, .., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        let header = usize::from(first & 15) * 4;
        if header < 20 {
            return Err(InnerError::Header);
        }
        let len = usize::from(be16(fixed, 2).unwrap_or(0));
        if len < header || len > packet.len() {
            return Err(InnerError::Length);
        }
        let bits = be16(fixed, 6).unwrap_or(0);
        let first_fragment = bits & 0x1fff == 0;
        let protocol = octet(fixed, 9).unwrap_or(0);
        let above = packet.get(header..len).unwrap_or(&[]);
        Ok(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3).into(),
            destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
            protocol,
            ports: if first_fragment { ports(protocol, above) } else { None },
            len,
            header,
            tos,
            dont_fragment: bits & 0x4000 != 0,
            fragment: !first_fragment || bits & 0x2000 != 0,
        })
    }

    fn ipv6(packet: &[u8]) -> Result<Self, InnerError> {
        let fixed: &[u8; 40] = packet.first_chunk().ok_or(InnerError::Short)?;
        let len = usize::from(be16(fixed, 4).unwrap_or(0)) + 40;
        if len > packet.len() {
            return Err(InnerError::Length);
        }
        let whole = packet.get(..len).unwrap_or(&[]);
        let mut next = octet(fixed, 6).unwrap_or(0);
        let (mut at, mut fragment, mut first_fragment) = (40, false, true);
        let mut followed = 0;
        while let HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | HIP | SHIM6 =
            next
        {
            followed += 1;
            if followed > EXTENSION_HEADERS {
                return Err(InnerError::ExtensionHeaders);
            }
            // Behind the first fragment's header there may be anything.
            if !first_fragment {
                break;
            }
            let length = usize::from(octet(whole, at + 1).ok_or(InnerError::Short)?);
            let octets = match next {
                FRAGMENT => {
                    let bits = be16(whole, at + 2).ok_or(InnerError::Short)?;
                    first_fragment = bits & 0xfff8 == 0;
                    fragment |= bits & 0xfff9 != 0;
                    8
                }
                // RFC 4302, 2.2: in units of four, minus two.
                AUTHENTICATION => (length + 2) * 4,
                _ => (length + 1) * 8,
            };
            next = octet(whole, at).ok_or(InnerError::Short)?;
            at += octets;
            if at > len {
                return Err(InnerError::Short);
            }
        }
        let above = whole.get(at..).unwrap_or(&[]);
        let tos = (be16(fixed, 0).unwrap_or(0) >> 4) as u8;
        Ok(Self {
            source: Ipv6Addr::from(sixteen(fixed, 8).unwrap_or_default()).into(),
            destination: Ipv6Addr::from(sixteen(fixed, 24).unwrap_or_default()).into(),
            protocol: next,
            ports: if first_fragment { ports(next, above) } else { None },
            len,
            header: at,
            tos,
            dont_fragment: true,
            fragment,
        })
    }

    /// Version 6.
    #[must_use]
    pub fn is_v6(&self) -> bool {
        self.source.is_ipv6()
    }
}

/// RFC 4301, 4.4.1.1: ports of TCP, UDP, SCTP, DCCP and UDP-Lite; type and code of ICMP;
/// the type of a mobility header.
fn ports(protocol: u8, above: &[u8]) -> Option<(u16, u16)> {
    match protocol {
        6 | 17 | 33 | 132 | 136 => Some((be16(above, 0)?, be16(above, 2)?)),
        1 | 58 => Some((u16::from(octet(above, 0)?), u16::from(octet(above, 1)?))),
        MOBILITY => Some((u16::from(octet(above, 2)?), 0)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "inner_tests.rs"]
mod tests;
