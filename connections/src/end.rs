//! One end of a connection: what `left…=` or `right…=` say, parsed.

use crate::keywords::values;
use crate::{AddressRange, Authby, Id, PoolRange, Selector};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `left=`: where the end is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Host {
    /// Not said.
    #[default]
    Missing,
    /// An address.
    Address(IpAddr),
    /// `%any`, perhaps of one family only (`%any4`, `%any6`).
    Any(Option<Family>),
    /// `%defaultroute`: our address on the way to the world.
    DefaultRoute,
    /// `%eth0`: the address of an interface of ours.
    Interface(Box<str>),
    /// A DNS name.
    Name(Box<str>),
}

/// `leftnexthop=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Nexthop {
    /// Whatever the routing table says; `%direct` too.
    #[default]
    FromRoute,
    /// `%defaultroute`: the gateway of the default route.
    DefaultRoute,
    /// A router.
    Address(IpAddr),
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// `leftprotoport=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProtoPort {
    /// IP protocol, 0 for any.
    pub(crate) protocol: u8,
    /// First port.
    pub(crate) start_port: u16,
    /// Last port.
    pub(crate) end_port: u16,
    /// `/%any`: whichever port the peer chooses.
    pub(crate) wildcard: bool,
}

/// One end, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) host: Host,
    pub(crate) ike_port: Option<u16>,
    pub(crate) nexthop: Nexthop,
    /// `subnet=`; empty: the host itself.
    pub(crate) subnets: Box<[Selector]>,
    pub(crate) proto_port: Option<ProtoPort>,
    pub(crate) source_ips: Box<[IpAddr]>,
    /// `addresspool=`: what peers at this end are given.
    pub(crate) address_pool: Box<[PoolRange]>,
    /// `modecfgserver=`.
    pub(crate) config_server: bool,
    /// `modecfgclient=`.
    pub(crate) config_client: bool,
    /// `id=`; none: the host's address.
    pub(crate) id: Option<Id>,
    /// `auth=`; none: `authby=` decides.
    pub(crate) auth: Option<Authby>,
    /// `updown=`; empty: none is run; none: nothing was said.
    pub(crate) updown: Option<Box<str>>,
    /// `sendcert=`, for listings.
    pub(crate) send_cert: &'static str,
}

impl Default for End {
    fn default() -> Self {
        Self {
            host: Host::Missing,
            ike_port: None,
            nexthop: Nexthop::FromRoute,
            subnets: Box::default(),
            proto_port: None,
            source_ips: Box::default(),
            address_pool: Box::default(),
            config_server: false,
            config_client: false,
            id: None,
            auth: None,
            updown: None,
            send_cert: "always",
        }
    }
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// `ipv4` or `ipv6`, as updown's environment and listings have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// `0.0.0.0` or `::`.
    #[must_use]
    pub fn any_address(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

impl Host {
    /// Reads `left=`; the error text `None` means "not supported yet".
    pub(crate) fn parse(text: &str) -> Result<Self, Option<String>> {
        let wrong = || Some("must be an address, a name, %any, %defaultroute or %interface".into());
        if let Ok(address) = text.parse::<IpAddr>() {
            return if address.is_unspecified() {
                Ok(Self::Any(Some(Family::of(address))))
            } else {
                Ok(Self::Address(address))
            };
        }
        let Some(word) = text.strip_prefix('%') else {
            return if is_dns_name(text) { Ok(Self::Name(text.into())) } else { Err(wrong()) };
        };
        match word.to_ascii_lowercase().as_str() {
            "any" => Ok(Self::Any(None)),
            "any4" => Ok(Self::Any(Some(Family::Ipv4))),
            "any6" => Ok(Self::Any(Some(Family::Ipv6))),
            "defaultroute" | "defaultroute4" | "defaultroute6" => Ok(Self::DefaultRoute),
            "group" | "opportunisticgroup" | "oppogroup" | "opportunistic" | "oppo" => Err(None),
            // IFNAMSIZ is 16 with the final NUL.
            _ if (1..16).contains(&word.len()) && is_interface_name(word) => {
                Ok(Self::Interface(word.into()))
            }
            _ => Err(wrong()),
        }
    }

    /// The family that it implies.
    pub(crate) fn family(&self) -> Option<Family> {
        match self {
            Self::Address(address) => Some(Family::of(*address)),
            Self::Any(family) => *family,
            Self::Missing | Self::DefaultRoute | Self::Interface(_) | Self::Name(_) => None,
        }
    }

    /// As the configuration and listings have it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Missing => "<unset>".to_owned(),
            Self::Address(address) => address.to_string(),
            Self::Any(_) => "%any".to_owned(),
            Self::DefaultRoute => "%defaultroute".to_owned(),
            Self::Interface(name) => format!("%{name}"),
            Self::Name(name) => format!("%dns<{name}>"),
        }
    }
}

/// Letters, digits, hyphens and dots, no empty label but a last one, and not all digits and
/// dots (a mistyped address is not a name).
pub(crate) fn is_dns_name(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text).split('.');
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
    };
    let numeric = |b: u8| b.is_ascii_digit() || b == b'.';
    text.len() <= 253 && labels.into_iter().all(label) && !text.bytes().all(numeric)
}

fn is_interface_name(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b':' && b != b'%')
}

impl Nexthop {
    /// Reads `leftnexthop=`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "%direct" => Ok(Self::FromRoute),
            "%defaultroute" => Ok(Self::DefaultRoute),
            _ => text
                .parse()
                .map(Self::Address)
                .map_err(|_| "must be an address, %direct or %defaultroute".to_owned()),
        }
    }
}

impl ProtoPort {
    /// Reads `leftprotoport=`: `%any`, or a protocol (name or number), perhaps with a port
    /// (service name or number) or `%any` behind a slash.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (protocol, port) = match text.split_once('/') {
            Some((protocol, port)) => (protocol, Some(port)),
            None => (text, None),
        };
        let protocol = protocol_number(protocol)
            .ok_or_else(|| format!("\"{protocol}\" is not a protocol (number or name)"))?;
        let all = Self { protocol, start_port: 0, end_port: u16::MAX, wildcard: false };
        let port = match port {
            None | Some("") => return Ok(all),
            Some("%any") if protocol == 0 => {
                return Err("a port of %any needs a protocol".to_owned());
            }
            Some("%any") => return Ok(Self { wildcard: true, ..all }),
            Some(port) => port_number(port)
                .ok_or_else(|| format!("\"{port}\" is not a port (number or service name)"))?,
        };
        match port {
            0 => Ok(all),
            _ if protocol == 0 => Err("a port needs a protocol".to_owned()),
            _ => Ok(Self { start_port: port, end_port: port, ..all }),
        }
    }

    fn restrict(self, addresses: AddressRange) -> Selector {
        let Self { protocol, start_port, end_port, .. } = self;
        Selector { addresses, protocol, start_port, end_port }
    }
}

/// The protocols that /etc/protocols names and somebody would write here.
const PROTOCOLS: &[(&str, u8)] = &[
    ("%any", 0),
    ("any", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("ipip", 4),
    ("ipv4", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("icmpv6", 58),
    ("icmp6", 58),
    ("eigrp", 88),
    ("ospf", 89),
    ("etherip", 97),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

/// The services that are protected by name now and then.
const SERVICES: &[(&str, u16)] = &[
    ("discard", 9),
    ("echo", 7),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("imap", 143),
    ("imap2", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("isakmp", 500),
    ("syslog", 514),
    ("ldaps", 636),
    ("iscsi", 860),
    ("imaps", 993),
    ("l2tp", 1701),
    ("l2f", 1701),
    ("radius", 1812),
    ("radius-acct", 1813),
    ("nfs", 2049),
    ("mysql", 3306),
    ("ipsec-nat-t", 4500),
    ("postgresql", 5432),
    ("vxlan", 4789),
    ("geneve", 6081),
    ("x11", 6000),
];

fn protocol_number(text: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let number = || values::number(text, 0, 255).ok().and_then(|n| u8::try_from(n).ok());
    named.map(|(_, n)| *n).or_else(number)
}

fn port_number(text: &str) -> Option<u16> {
    let named = SERVICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, n)| *n).or_else(|| values::number16(text, 0, u16::MAX).ok())
}

impl End {
    /// This end's traffic, once its address is known; empty while it has neither subnet nor
    /// address.
    pub(crate) fn selectors(&self, address: Option<IpAddr>) -> Vec<Selector> {
        if self.subnets.is_empty() {
            self.restricted(address.map(Selector::host))
        } else {
            self.restricted(self.subnets.iter().copied())
        }
    }

    /// Selectors with this end's protocol and ports, where it has any.
    pub(crate) fn restricted(&self, all: impl IntoIterator<Item = Selector>) -> Vec<Selector> {
        let restrict = |s: Selector| self.proto_port.map_or(s, |p| p.restrict(s.addresses));
        all.into_iter().map(restrict).collect()
    }

    /// Whether the peer may choose the port.
    pub(crate) fn port_wildcard(&self) -> bool {
        self.proto_port.is_some_and(|p| p.wildcard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_names_interfaces_or_words() {
        assert_eq!(Host::parse("192.0.2.1"), Ok(Host::Address("192.0.2.1".parse().unwrap())));
        assert_eq!(Host::parse("%any"), Ok(Host::Any(None)));
        assert_eq!(Host::parse("0.0.0.0"), Ok(Host::Any(Some(Family::Ipv4))));
        assert_eq!(Host::parse("%any6"), Ok(Host::Any(Some(Family::Ipv6))));
        assert_eq!(Host::parse("%eth0.5"), Ok(Host::Interface("eth0.5".into())));
        assert_eq!(Host::parse("gw.example.com"), Ok(Host::Name("gw.example.com".into())));
        assert_eq!(Host::parse("%oppo"), Err(None));
        for bad in
            ["", "192.0.2", "192.0.2.256", "a b", "-x", "%", "a..b", "%averyveryverylongname"]
        {
            assert!(matches!(Host::parse(bad), Err(Some(_))), "{bad}");
        }
    }

    #[test]
    fn protoports_take_names_numbers_and_wildcards() {
        let port = |text| {
            ProtoPort::parse(text).map(|p| (p.protocol, p.start_port, p.end_port, p.wildcard))
        };
        assert_eq!(port("17/1701"), Ok((17, 1701, 1701, false)));
        assert_eq!(port("tcp/http"), Ok((6, 80, 80, false)));
        assert_eq!(port("udp/%any"), Ok((17, 0, 65_535, true)));
        assert_eq!(port("%any"), Ok((0, 0, 65_535, false)));
        assert_eq!(port("icmp"), Ok((1, 0, 65_535, false)));
        assert_eq!(port("0/0"), Ok((0, 0, 65_535, false)));
        for bad in ["0/5", "%any/%any", "256", "tcp/x", "tcp/65536", "", "nosuch/1"] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }
}
