//! Configuration payloads in IKE_AUTH (RFC 7296, 2.19 and 3.15): the client asks for an inner
//! address, the server gives one, and the lease becomes the client's traffic selector.
//!
//! Every other place of a configuration payload has no meaning here: it is ignored.

use crate::refusal::Refusal;
use crate::{Cause, LeaseQuestion};
use pluto_connections::{
    ChildPolicy, ConfigRole, Configuration, Family, Id, MAX_BANNER, Selector, is_domain, narrow,
};
use pluto_wire::numbers::{CfgAttributeType, CfgType, NotifyType};
use pluto_wire::v2::{ConfigPayload, Payload};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

type Attribute = (CfgAttributeType, Vec<u8>);

/// A greeting: of the attributes for private use, as Cisco's Unity has it.
const BANNER: CfgAttributeType = CfgAttributeType(28_672);

/// DNS servers that a client takes.
const MAX_DNS: usize = 16;
/// Domains that a client takes.
const MAX_DOMAINS: usize = 64;
/// Subnets that a server tells.
const MAX_SUBNETS: usize = 64;

/// What a client's request asks for. The addresses in it are wishes that nobody has to grant:
/// who returns gets the same one anyway, and who names another one's does not get that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Asked {
    ipv4: bool,
    ipv6: bool,
    banner: bool,
}

/// A line about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the text of each line is in Display below, field by field")]
pub enum ConfigStory {
    ReceivedAddress(IpAddr),
    ReceivedDns(IpAddr),
    ReceivedDomain(String),
    ReceivedBanner(String),
    UsingLease(IpAddr),
    AssignedLease { address: IpAddr, remote_id: Id },
}

impl fmt::Display for ConfigStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |address: &IpAddr| if address.is_ipv4() { 4 } else { 6 };
        match self {
            Self::ReceivedAddress(address) => {
                write!(f, "received INTERNAL_IP{}_ADDRESS {address}", version(address))
            }
            Self::ReceivedDns(address) => {
                write!(f, "received INTERNAL_IP{}_DNS server address {address}", version(address))
            }
            Self::ReceivedDomain(domain) => write!(f, "received INTERNAL_DNS_DOMAIN {domain}"),
            Self::ReceivedBanner(banner) => write!(f, "received banner \"{banner}\""),
            Self::UsingLease(address) => {
                let version = version(address);
                write!(f, "received IPv{version} lease {address}, updating source IP address")
            }
            Self::AssignedLease { address, remote_id } => {
                write!(f, "assigned lease {address} to peer {} '{remote_id}'", remote_id.kind())
            }
        }
    }
}

fn find(payloads: &[Payload], cfg_type: CfgType) -> Option<&ConfigPayload> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Cp(config) if config.cfg_type == cfg_type => Some(config),
        _ => None,
    })
}

/// A client's request; none for a Child SA that asks for nothing.
pub(crate) fn request(policy: &ChildPolicy) -> Option<Payload> {
    let wanted = policy.configuration.as_ref().filter(|c| c.role == ConfigRole::Client)?;
    use CfgAttributeType as A;
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut ask = |kind: CfgAttributeType| attributes.push((kind, Vec::new()));
    if wanted.ipv4 {
        ask(A::INTERNAL_IP4_ADDRESS);
        ask(A::INTERNAL_IP4_DNS);
    }
    if wanted.ipv6 {
        ask(A::INTERNAL_IP6_ADDRESS);
        ask(A::INTERNAL_IP6_DNS);
    }
    ask(A::INTERNAL_DNS_DOMAIN);
    // Who does not know it ignores it (RFC 7296, 3.15.1).
    ask(BANNER);
    Some(Payload::Cp(ConfigPayload { cfg_type: CfgType::REQUEST, attributes }))
}

impl Asked {
    /// What a request asks for; none when it asks for nothing.
    pub(crate) fn find(payloads: &[Payload]) -> Option<Self> {
        let config = find(payloads, CfgType::REQUEST)?;
        let has = |wanted| config.attributes.iter().any(|(kind, _)| *kind == wanted);
        Some(Self {
            ipv4: has(CfgAttributeType::INTERNAL_IP4_ADDRESS),
            ipv6: has(CfgAttributeType::INTERNAL_IP6_ADDRESS),
            banner: has(BANNER),
        })
    }
}

/// As server: what the table of pools is to be asked. Every peer of such a connection must
/// ask for an address.
///
/// # Errors
/// FAILED_CP_REQUIRED: it asks for none. INTERNAL_ADDRESS_FAILURE: for none that we have.
pub(crate) fn question(
    policy: &ChildPolicy,
    given: &Configuration,
    asked: Option<Asked>,
    remote_id: &Id,
) -> Result<LeaseQuestion, Refusal> {
    let Some(asked) = asked.filter(|asked| asked.ipv4 || asked.ipv6) else {
        let why = "the connection has an address pool, and the peer asks for no address".into();
        return Err(Refusal::child(Cause::Incompatible, NotifyType::FAILED_CP_REQUIRED, why));
    };
    let (ipv4, ipv6) = (asked.ipv4 && given.ipv4, asked.ipv6 && given.ipv6);
    if !ipv4 && !ipv6 {
        return Err(no_address("the peer wants an address of another family than the pool's"));
    }
    let (connection, remote_id) = (policy.connection, remote_id.clone());
    Ok(LeaseQuestion { connection, remote_id, ipv4, ipv6 })
}

/// As server: no Child SA for a peer that has no address yet, in whatever exchange it asks
/// for one: it would choose its address by itself.
///
/// # Errors
/// FAILED_CP_REQUIRED.
pub(crate) fn require_lease(policy: &ChildPolicy) -> Result<(), Refusal> {
    let given = policy.configuration.as_ref().filter(|c| c.role == ConfigRole::Server);
    if given.is_none_or(|given| !given.addresses.is_empty()) {
        return Ok(());
    }
    let why = "the connection has an address pool, and the peer has no address of it".into();
    Err(Refusal::child(Cause::Incompatible, NotifyType::FAILED_CP_REQUIRED, why))
}

/// INTERNAL_ADDRESS_FAILURE (RFC 7296, 3.15.4).
pub(crate) fn no_address(why: &str) -> Refusal {
    let notify = NotifyType::INTERNAL_ADDRESS_FAILURE;
    Refusal::child(Cause::Local, notify, format!("no address for the peer: {why}"))
}

/// Selectors of the families in which there is an address.
fn reachable(selectors: &[Selector], given: &Configuration) -> Vec<Selector> {
    let has = |s: &&Selector| given.has(Family::of(s.addresses.start()));
    selectors.iter().filter(has).copied().collect()
}

/// As server: a policy with its lease, without our traffic of families that the client has
/// no address of.
pub(crate) fn fitted(policy: &Arc<ChildPolicy>) -> Arc<ChildPolicy> {
    let Some(given) = &policy.configuration else { return Arc::clone(policy) };
    let local_ts = reachable(&policy.local_ts, given);
    if local_ts.len() == policy.local_ts.len() {
        return Arc::clone(policy);
    }
    Arc::new(ChildPolicy { local_ts, ..ChildPolicy::clone(policy) })
}

/// As server: the reply.
pub(crate) fn reply(policy: &ChildPolicy, given: &Configuration, asked: Asked) -> Payload {
    use CfgAttributeType as A;
    let mut attributes: Vec<Attribute> = Vec::new();
    for address in &given.addresses {
        attributes.push(match address {
            IpAddr::V4(v4) => (A::INTERNAL_IP4_ADDRESS, v4.octets().to_vec()),
            IpAddr::V6(v6) => (A::INTERNAL_IP6_ADDRESS, prefixed(*v6, 128)),
        });
    }
    for server in given.dns.iter().filter(|server| given.has(Family::of(**server))) {
        attributes.push(match server {
            IpAddr::V4(v4) => (A::INTERNAL_IP4_DNS, v4.octets().to_vec()),
            IpAddr::V6(v6) => (A::INTERNAL_IP6_DNS, v6.octets().to_vec()),
        });
    }
    for domain in &given.domains {
        attributes.push((A::INTERNAL_DNS_DOMAIN, domain.as_bytes().to_vec()));
    }
    attributes
        .extend(reachable(&policy.local_ts, given).iter().filter_map(subnet).take(MAX_SUBNETS));
    if let Some(banner) = given.banner.as_ref().filter(|_| asked.banner) {
        attributes.push((BANNER, banner.as_bytes().to_vec()));
    }
    Payload::Cp(ConfigPayload { cfg_type: CfgType::REPLY, attributes })
}

fn prefixed(address: Ipv6Addr, length: u8) -> Vec<u8> {
    address.octets().into_iter().chain([length]).collect()
}

/// INTERNAL_IP4_SUBNET or INTERNAL_IP6_SUBNET: what is behind us (RFC 7296, 3.15.2). All the
/// world needs no telling.
fn subnet(selector: &Selector) -> Option<Attribute> {
    use CfgAttributeType as A;
    let length = selector.addresses.prefix_length().filter(|length| *length > 0)?;
    Some(match selector.addresses.start() {
        IpAddr::V4(v4) => {
            let zeros = 32_u32.checked_sub(u32::from(length))?;
            let mask = u32::MAX.checked_shl(zeros).unwrap_or(0);
            let octets = v4.octets().into_iter().chain(mask.to_be_bytes()).collect();
            (A::INTERNAL_IP4_SUBNET, octets)
        }
        IpAddr::V6(v6) => (A::INTERNAL_IP6_SUBNET, prefixed(v6, length)),
    })
}

/// As client: what the reply gives, as far as it was asked for and makes sense; none of it
/// without an address.
///
/// # Errors
/// There is no address that we could use: a sentence.
pub(crate) fn received(
    wanted: &Configuration,
    payloads: &[Payload],
) -> Result<Configuration, String> {
    let none = "we asked for an address, and the peer gave none";
    let reply = find(payloads, CfgType::REPLY).ok_or(none)?;
    let mut given = Configuration { addresses: Vec::new(), ..wanted.clone() };
    let mut unusable = None;
    for (kind, value) in &reply.attributes {
        use CfgAttributeType as A;
        match *kind {
            A::INTERNAL_IP4_ADDRESS | A::INTERNAL_IP6_ADDRESS => match address(*kind, value) {
                Some(address) => take_address(&mut given, address),
                None if value.is_empty() => {}
                None => unusable = Some(*kind),
            },
            A::INTERNAL_IP4_DNS | A::INTERNAL_IP6_DNS => {
                let server = address(*kind, value).filter(|_| given.dns.len() < MAX_DNS);
                given.dns.extend(server);
            }
            A::INTERNAL_DNS_DOMAIN => {
                let domain = std::str::from_utf8(value).ok().filter(|text| is_domain(text));
                let room = given.domains.len() < MAX_DOMAINS;
                given.domains.extend(domain.filter(|_| room).map(ToOwned::to_owned));
            }
            BANNER => given.banner = banner(value),
            _ => {}
        }
    }
    match (given.addresses.is_empty(), unusable) {
        (false, _) => Ok(given),
        (true, Some(kind)) => Err(format!("the peer's {kind} is no address that a host can have")),
        (true, None) => Err(none.to_owned()),
    }
}

/// One of each family that was asked for.
fn take_address(given: &mut Configuration, address: IpAddr) {
    let family = Family::of(address);
    let wanted = if address.is_ipv4() { given.ipv4 } else { given.ipv6 };
    if wanted && !given.has(family) {
        given.addresses.push(address);
    }
}

/// An address that a host can have.
fn address(kind: CfgAttributeType, value: &[u8]) -> Option<IpAddr> {
    let v6 =
        matches!(kind, CfgAttributeType::INTERNAL_IP6_ADDRESS | CfgAttributeType::INTERNAL_IP6_DNS);
    let address: IpAddr = if v6 {
        // The octet behind an address is its prefix length.
        let octets = value.get(..16).filter(|_| value.len() <= 17)?;
        Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()
    } else {
        Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()
    };
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let usable = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
    (usable && !broadcast).then_some(address)
}

/// Printable, on one line, of bounded length. It is shown in logs and terminals: what breaks
/// lines becomes a space, and what turns the direction of writing, or is not seen, goes.
fn banner(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value.get(..MAX_BANNER).unwrap_or(value));
    let unseen = |c: &char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let plain = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
    let clean: String = text.chars().filter(|c| !unseen(c)).map(plain).collect();
    Some(clean.trim().to_owned()).filter(|text| !text.is_empty())
}

/// As client: the policy with what was given: its traffic is that of the lease.
pub(crate) fn leased(policy: &ChildPolicy, given: Configuration) -> ChildPolicy {
    let local_ts = narrow(&policy.local_ts, &given.leased_selectors());
    let remote_ts = reachable(&policy.remote_ts, &given);
    let configuration = Some(Arc::new(given));
    ChildPolicy { local_ts, remote_ts, configuration, ..policy.clone() }
}

/// As client: the lines that tell what was given.
pub(crate) fn stories(given: &Configuration) -> impl Iterator<Item = ConfigStory> + '_ {
    let addresses = given.addresses.iter().map(|a| ConfigStory::ReceivedAddress(*a));
    let dns = given.dns.iter().map(|a| ConfigStory::ReceivedDns(*a));
    let domains = given.domains.iter().map(|d| ConfigStory::ReceivedDomain(d.clone()));
    let banner = given.banner.iter().map(|b| ConfigStory::ReceivedBanner(b.clone()));
    let using = given.addresses.iter().map(|a| ConfigStory::UsingLease(*a));
    addresses.chain(dns).chain(domains).chain(banner).chain(using)
}

#[cfg(test)]
mod tests {
    use super::banner;

    #[test]
    fn a_banner_is_one_line_of_what_can_be_seen() {
        let shown = |text: &str| banner(text.as_bytes());
        assert_eq!(shown(" Grüß Gott \n").as_deref(), Some("Grüß Gott"));
        let hostile = "a\r\nb\u{1b}[2J\u{2028}c\u{202e}d\u{0}";
        assert_eq!(shown(hostile).as_deref(), Some("a  b [2J cd"));
        assert_eq!(shown("\n\u{200b}\t"), None);
        assert_eq!(shown(""), None);
        let long = banner(&[b'x'; 4_000]).map(|text| text.len());
        assert_eq!(long, Some(super::MAX_BANNER));
        // A letter that is cut in two, and octets that are none.
        assert!(banner(&[0xff; 4_000]).is_some_and(|text| text.chars().count() <= 512));
    }
}
