//! Routes of this host, by rtnetlink.

use crate::error::refused;
use crate::interfaces::Host;
use crate::netlink::read::{self, Fields, attributes};
use crate::netlink::write::{CREATE, DUMP, REPLACE, Requests};
use crate::{KernelError, Ledger, Route, RouteAnswer, RouteChange};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MARK: u16 = 16;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
const RT_TABLE_MAIN: u8 = 254;
/// Who set a route: us (and the script `_updown`). What a killed daemon has left is known by it.
const OUR_ROUTES: u8 = 117;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNSPEC: u8 = 0;
const RTN_UNICAST: u8 = 1;
const RTM_F_CLONED: u32 = 0x200;
const RT_TABLE_LOCAL: u8 = 255;

impl Host {
    /// Carries out a change of routes or source addresses.
    pub(crate) fn route(
        &mut self,
        ledger: &mut Ledger,
        change: &RouteChange,
    ) -> Result<(), KernelError> {
        match change {
            RouteChange::Add(route) | RouteChange::Replace { by: route, .. } => {
                self.add_route(route)
            }
            RouteChange::Remove(route) => self.remove_route(route),
            // What cannot be had was another one's, and no reason to keep this one.
            RouteChange::HandOver { from, to } => {
                self.add_route(to).or_else(|_| self.remove_route(from))
            }
            RouteChange::AddAddress { address, interface } => {
                self.add_address(ledger, *address, interface)
            }
            RouteChange::KeepAddress { address, interface } => {
                self.keep_address(ledger, *address, interface)
            }
            RouteChange::RemoveAddress { address, interface } => {
                self.remove_address(ledger, *address, interface)
            }
        }
    }

    fn add_route(&mut self, route: &Route) -> Result<(), KernelError> {
        let what = || format!("add a route to {}", shown(route.destination));
        let index = self.index_of(&route.interface).map_err(|errno| refused(what(), errno))?;
        let out = self.netlink.requests();
        let parts = halves(route.destination);
        let table = if self.table == 0 { RT_TABLE_MAIN } else { self.table };
        for part in &parts {
            write_route(out, (RTM_NEWROUTE, CREATE | REPLACE), table, route, *part, index);
        }
        let mut refusals = self.netlink.transact()?;
        let Some(refusal) = refusals.pop() else { return Ok(()) };
        if refusals.is_empty() && parts.len() > 1 {
            // One half is no route to everywhere.
            let _ = self.remove_route(route);
        }
        Err(refusal.of(what()))
    }

    fn remove_route(&mut self, route: &Route) -> Result<(), KernelError> {
        // Routes go with their interface.
        let Ok(index) = self.index_of(&route.interface) else { return Ok(()) };
        let table = if self.table == 0 { RT_TABLE_MAIN } else { self.table };
        let out = self.netlink.requests();
        for part in halves(route.destination) {
            write_route(out, (RTM_DELROUTE, 0), table, route, part, index);
        }
        let refusals = self.netlink.transact()?;
        match refusals.into_iter().find(|refusal| refusal.errno != libc::ESRCH) {
            Some(refusal) => {
                Err(refusal.of(format!("remove the route to {}", shown(route.destination))))
            }
            None => Ok(()),
        }
    }

    /// Removes routes that a predecessor, which was killed, has left.
    pub(crate) fn remove_stale_routes(&mut self) -> Result<(), KernelError> {
        let found = std::cell::RefCell::new(Vec::new());
        self.netlink.dump(
            "list routes",
            |out| {
                out.begin(RTM_GETROUTE, DUMP);
                out.zeros(12);
                out.end();
            },
            |message| {
                if message.kind == RTM_NEWROUTE && is_ours(message.payload) {
                    found.borrow_mut().push(message.payload.to_vec());
                }
            },
            || found.borrow_mut().clear(),
        )?;
        let out = self.netlink.requests();
        for route in found.into_inner() {
            // What names a route in a listing names it in a removal.
            out.begin(RTM_DELROUTE, 0);
            out.bytes(&route);
            out.end();
        }
        match self.netlink.transact()?.into_iter().find(|refusal| refusal.errno != libc::ESRCH) {
            Some(refusal) => Err(refusal.of("remove routes of a daemon that was killed")),
            None => Ok(()),
        }
    }

    /// How this host reaches `destination`.
    pub(crate) fn route_to(&mut self, destination: IpAddr) -> Result<RouteAnswer, KernelError> {
        let out = self.netlink.requests();
        out.begin(RTM_GETROUTE, 0);
        let length = if destination.is_ipv4() { 32 } else { 128 };
        header(out, destination, length, [0, 0, 0, 0]);
        out.attribute_ip(RTA_DST, destination);
        if self.mark != 0 {
            out.attribute_u32(RTA_MARK, self.mark);
        }
        out.end();
        let mut answer = None;
        let refusals = self.netlink.ask_for_one(|message| {
            if message.kind == RTM_NEWROUTE {
                answer = read_answer(message.payload);
            }
        })?;
        let what = || format!("find a route to {destination}");
        if let Some(refusal) = refusals.into_iter().next() {
            return Err(refusal.of(what()));
        }
        let (index, source, gateway) = answer.ok_or_else(|| refused(what(), libc::ENETUNREACH))?;
        Ok(RouteAnswer { source, gateway, interface: self.name_of(index) })
    }
}

/// `struct rtmsg`; `kind` is table, protocol, scope, type.
fn header(out: &mut Requests, destination: IpAddr, length: u8, kind: [u8; 4]) {
    let family = crate::xfrm::attr::family(destination);
    out.u8(u8::try_from(family).unwrap_or(0));
    out.u8(length);
    out.zeros(2); // source length, TOS
    out.bytes(&kind);
    out.u32(0);
}

fn write_route(
    out: &mut Requests,
    (kind, flags): (u16, u16),
    table: u8,
    route: &Route,
    part: (IpAddr, u8),
    index: u32,
) {
    let added = kind == RTM_NEWROUTE;
    let scope = match (added, route.gateway) {
        (false, _) => RT_SCOPE_NOWHERE, // any
        (true, Some(_)) => RT_SCOPE_UNIVERSE,
        (true, None) => RT_SCOPE_LINK,
    };
    let what =
        if added { [table, OUR_ROUTES, scope, RTN_UNICAST] } else { [table, 0, scope, RTN_UNSPEC] };
    out.begin(kind, flags);
    header(out, part.0, part.1, what);
    out.attribute_ip(RTA_DST, part.0);
    out.attribute_u32(RTA_OIF, index);
    if let Some(gateway) = route.gateway {
        if gateway.is_ipv4() == part.0.is_ipv4() {
            out.attribute_ip(RTA_GATEWAY, gateway);
        } else {
            // struct rtvia: an IPv4 route through an IPv6 neighbour (RFC 5549)
            let open = out.open(RTA_VIA);
            out.u16(crate::xfrm::attr::family(gateway));
            out.ip(gateway);
            out.close(open);
        }
    }
    if route.metric != 0 {
        out.attribute_u32(RTA_PRIORITY, route.metric);
    }
    if let Some(source) = route.source.filter(|_| added) {
        out.attribute_ip(RTA_PREFSRC, source);
    }
    if route.mtu != 0 && added {
        let open = out.open(RTA_METRICS);
        out.attribute_u32(RTAX_MTU, route.mtu);
        out.close(open);
    }
    out.end();
}

/// The default route is left to the administrator: two halves of it are more specific.
fn halves(destination: (IpAddr, u8)) -> Vec<(IpAddr, u8)> {
    match destination {
        (IpAddr::V4(_), 0) => {
            vec![(Ipv4Addr::UNSPECIFIED.into(), 1), (Ipv4Addr::new(128, 0, 0, 0).into(), 1)]
        }
        (IpAddr::V6(_), 0) => vec![
            (Ipv6Addr::UNSPECIFIED.into(), 1),
            (Ipv6Addr::new(0x8000, 0, 0, 0, 0, 0, 0, 0).into(), 1),
        ],
        other => vec![other],
    }
}

fn shown((network, prefix): (IpAddr, u8)) -> String {
    format!("{network}/{prefix}")
}

/// Interface, source and gateway of an answer to GETROUTE.
fn read_answer(payload: &[u8]) -> Option<(u32, Option<IpAddr>, Option<IpAddr>)> {
    let mut fields = Fields(payload);
    let family = u16::from(fields.u8()?);
    fields.take(11)?;
    let (mut index, mut source, mut gateway) = (None, None, None);
    for (kind, value) in attributes(fields.0) {
        match kind {
            RTA_OIF => index = Fields(value).u32(),
            RTA_PREFSRC => source = read::ip(family, value),
            RTA_GATEWAY => gateway = read::ip(family, value),
            RTA_VIA => {
                let mut via = Fields(value);
                gateway = via.u16().and_then(|family| read::ip(family, via.0));
            }
            _ => {}
        }
    }
    Some((index?, source, gateway))
}

/// Whether a listed route was set by us, in whatever table of routes.
fn is_ours(payload: &[u8]) -> bool {
    let mut fields = Fields(payload);
    let table = fields.take(4).and(fields.u8());
    table.is_some_and(|table| table != RT_TABLE_LOCAL) && fields.u8() == Some(OUR_ROUTES)
}

/// Whether a route that has come or gone matters: those of single addresses of ours and
/// those that are only remembered do not.
pub(crate) fn matters(payload: &[u8]) -> bool {
    let mut fields = Fields(payload);
    let table = fields.take(4).and(fields.u8());
    let flags = fields.take(3).and(fields.u32());
    matches!((table, flags), (Some(table), Some(flags))
        if table != RT_TABLE_LOCAL && flags & RTM_F_CLONED == 0)
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
