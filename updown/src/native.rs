//! What the stock script does, decided here and carried out over netlink: routes to the
//! peer's traffic, and the source address that ours is to have.
//!
//! A script costs a process per verb, some 40 ms a tunnel; this costs a look at the
//! routing table. Nothing here has an effect.

mod book;

pub use book::{Book, Change};

use crate::{Facts, Verb};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to.
    pub destination: (IpAddr, u8),
    /// Through which interface.
    pub interface: String,
    /// Through which gateway, none for a link.
    pub gateway: Option<IpAddr>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Metric; 0 for the default.
    pub metric: u32,
    /// MTU in octets; 0 for the interface's.
    pub mtu: u32,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Work {
    /// Add or replace a route.
    AddRoute(Route),
    /// Remove it.
    RemoveRoute(Route),
    /// Put a route in the place of one of ours, or the same once more.
    ReplaceRoute {
        /// What stands there, unless the system has dropped it.
        was: Route,
        /// What is to.
        by: Route,
    },
    /// Put another connection's route in the place of one that is to go.
    HandOver {
        /// What is to go.
        from: Route,
        /// What takes its place, if it can be had.
        to: Route,
    },
    /// Add a source address with host scope to an interface.
    AddAddress {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Add a source address once more, which the system may have dropped.
    KeepAddress {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Remove it.
    RemoveAddress {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
}

impl Work {
    /// What undoes it.
    #[must_use]
    pub fn undone(&self) -> Self {
        match self.clone() {
            Self::AddRoute(route) => Self::RemoveRoute(route),
            Self::RemoveRoute(route) => Self::AddRoute(route),
            Self::ReplaceRoute { was, by } => Self::HandOver { from: by, to: was },
            Self::HandOver { from, to } => Self::HandOver { from: to, to: from },
            // It was there before.
            kept @ Self::KeepAddress { .. } => kept,
            Self::AddAddress { address, interface } => Self::RemoveAddress { address, interface },
            Self::RemoveAddress { address, interface } => Self::AddAddress { address, interface },
        }
    }
}

/// How this host reaches an address now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Source address.
    pub source: Option<IpAddr>,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Interface.
    pub interface: String,
}

/// Routing as it is before the verb.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteFacts {
    /// To the peer; none: unreachable.
    pub peer: Option<Reach>,
    /// To each of [`probes`], in their order; missing ones count as unreachable.
    pub clients: Vec<Option<Reach>>,
}

/// There is no interface to route through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoInterface {
    /// What was to be routed.
    pub destination: (IpAddr, u8),
}

impl fmt::Display for NoInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (network, prefix) = self.destination;
        write!(f, "no route to {network}/{prefix} can be added: the peer's address is unreachable")
    }
}

impl std::error::Error for NoInterface {}

/// Whether the verb may have anything to do, so that routing has to be looked at.
#[must_use]
pub fn concerns(verb: Verb, facts: &Facts) -> bool {
    let wanted =
        facts.device.is_some() || !facts.transport && (!facts.host || facts.source_ip.is_some());
    match verb {
        Verb::Route => wanted,
        // The source address may be known only now (it came from the peer).
        Verb::Up => wanted && facts.source_ip.is_some(),
        Verb::Prepare | Verb::Down | Verb::Unroute => false,
    }
}

/// Addresses that stand for what the verb routes to: how they are reached now is to be
/// found out for [`plan`].
#[must_use]
pub fn probes(facts: &Facts) -> Vec<IpAddr> {
    targets(facts).iter().map(|&target| probe(target)).collect()
}

/// What is to be there after the verb, in the order of adding it. Routes that `book` has
/// are ours: that they lead to the right place already is no reason to leave them out.
/// Unroute undoes what the book remembers, so it plans nothing.
///
/// # Errors
/// There is no interface to route through.
pub fn plan(
    verb: Verb,
    facts: &Facts,
    now: &RouteFacts,
    book: &Book,
) -> Result<Vec<Work>, NoInterface> {
    if !concerns(verb, facts) {
        return Ok(Vec::new());
    }
    let (mut work, mut routes) = (Vec::new(), Vec::new());
    for (n, destination) in targets(facts).into_iter().enumerate() {
        let (gateway, interface) = way(facts, now, destination)?;
        let own = facts.me.filter(|_| facts.device.is_some() && facts.host);
        let mut sources = sources(facts).chain(own);
        let source = sources.find(|source| same_family(*source, destination.0));
        let metric = facts.metric;
        let route = Route { destination, interface, gateway, source, metric, mtu: facts.mtu };
        let reached = now.clients.get(n).and_then(Option::as_ref);
        let same = reached.is_some_and(|reach| is_same(&route, reach));
        let added = Work::AddRoute(route);
        if !same || book.has(&added) {
            routes.push(added);
        }
    }
    // The kernel takes a preferred source only when it is an address of this host.
    if let Some(interface) = interface(facts, now) {
        let add = |address| Work::AddAddress { address, interface: interface.clone() };
        work.extend(sources(facts).map(add));
    }
    work.append(&mut routes);
    Ok(work)
}

/// Our own addresses for what goes through the tunnel. In transport mode it is the one
/// outside.
fn sources(facts: &Facts) -> impl Iterator<Item = IpAddr> {
    let tunnel = !facts.transport;
    [facts.source_ip, facts.other_source_ip].into_iter().flatten().filter(move |_| tunnel)
}

/// The peer's traffic; a default route as two halves, which leave the host's own default
/// route as it is.
fn targets(facts: &Facts) -> Vec<(IpAddr, u8)> {
    let mut targets = Vec::with_capacity(facts.peer_client.len());
    for &(network, prefix) in &facts.peer_client {
        let halves = match (network, prefix) {
            (IpAddr::V4(_), 0) => {
                vec![
                    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1),
                    (IpAddr::V4(Ipv4Addr::new(128, 0, 0, 0)), 1),
                ]
            }
            (IpAddr::V6(_), 0) => {
                vec![
                    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 1),
                    (IpAddr::V6(Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0)), 1),
                ]
            }
            whole => vec![whole],
        };
        for target in halves {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}

/// An ordinary address inside: neither the network's own, which may be special, nor
/// loopback or 0.0.0.0/8.
fn probe((network, prefix): (IpAddr, u8)) -> IpAddr {
    match network {
        IpAddr::V4(v4) if prefix <= 8 && v4.is_unspecified() => Ipv4Addr::new(1, 0, 0, 1).into(),
        IpAddr::V4(v4) if prefix < 31 => Ipv4Addr::from_bits(v4.to_bits() | 1).into(),
        IpAddr::V6(v6) if prefix <= 2 && v6.is_unspecified() => {
            Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1).into()
        }
        IpAddr::V6(v6) if prefix < 127 => Ipv6Addr::from_bits(v6.to_bits() | 1).into(),
        host => host,
    }
}

fn interface(facts: &Facts, now: &RouteFacts) -> Option<String> {
    facts.interface.clone().or_else(|| now.peer.as_ref().map(|peer| peer.interface.clone()))
}

/// Gateway and interface by which the peer is reached: `nexthop=` first, then what the
/// routing table says. Where ESP is not the kernel's, the way is the device.
fn way(
    facts: &Facts,
    now: &RouteFacts,
    destination: (IpAddr, u8),
) -> Result<(Option<IpAddr>, String), NoInterface> {
    if let Some(device) = &facts.device {
        return Ok((None, device.clone()));
    }
    let interface = interface(facts, now).ok_or(NoInterface { destination })?;
    let by_table = now.peer.as_ref().filter(|peer| peer.interface == interface);
    let gateway = facts.next_hop.or_else(|| by_table.and_then(|peer| peer.gateway));
    // IPv6 traffic in an IPv4 tunnel (and the reverse) has no gateway to go to: it only has
    // to reach the interface, where the policy takes it.
    Ok((gateway.filter(|gateway| same_family(*gateway, destination.0)), interface))
}

/// Whether the table does already what the route would do, and nothing asks for more.
fn is_same(route: &Route, reach: &Reach) -> bool {
    route.source.is_none()
        && route.metric == 0
        && route.mtu == 0
        && reach.interface == route.interface
        && reach.gateway == route.gateway
}

fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
