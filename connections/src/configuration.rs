//! Remote access: which end gives the other its address (`addresspool=`, `modecfgserver=`,
//! `modecfgclient=`) and what goes with it.

use crate::config::{option, told};
use crate::connection::Connection;
use crate::end::End;
use crate::keywords::Draft;
use crate::{
    AddressRange, ConnectionSpec, ConnectionType, Family, Id, PoolRange, Selector, Side, SpecError,
};
use std::net::IpAddr;

/// Octets that a greeting may have.
pub const MAX_BANNER: usize = 512;

/// Which part we play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ConfigRole {
    /// We give.
    Server,
    /// We are given.
    Client,
}

/// What one end is configured with by the other (RFC 7296, 2.19 and 3.15).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Configuration {
    /// Our part.
    pub role: ConfigRole,
    /// Whether there are IPv4 addresses to be had, or one is wanted.
    pub ipv4: bool,
    /// The same of IPv6.
    pub ipv6: bool,
    /// What the client has been given; none yet: it must ask.
    pub addresses: Vec<IpAddr>,
    /// Its DNS servers.
    pub dns: Vec<IpAddr>,
    /// Domains that these resolve.
    pub domains: Vec<String>,
    /// A greeting.
    pub banner: Option<String>,
    /// As client: neither servers nor domains are used (`ignore-peer-dns=`).
    pub ignore_dns: bool,
}

impl Configuration {
    /// As a client's selectors: the addresses that it was given.
    #[must_use]
    pub fn leased_selectors(&self) -> Vec<Selector> {
        self.addresses.iter().copied().map(Selector::host).collect()
    }

    /// Whether an address of that family was given.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.addresses.iter().any(|address| Family::of(*address) == family)
    }
}

/// Whether a text, whoever sent it, is a domain name and nothing that a script could take
/// for something else.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    crate::end::is_dns_name(text)
}

fn plays(end: &End) -> bool {
    end.config_client || end.config_server || !end.address_pool.is_empty()
}

/// Whether either end gives or asks for addresses.
pub(crate) fn is_used(draft: &Draft) -> bool {
    plays(&draft.left) || plays(&draft.right)
}

/// Whether the keywords of both ends agree.
pub(crate) fn check(draft: &Draft, spec: &ConnectionSpec) -> Result<(), SpecError> {
    let (left, right) = (&draft.left, &draft.right);
    let both = |keyword: &str, l: bool, r: bool, why: &str| {
        if !(l && r) {
            return Ok(());
        }
        let value = told(&spec.right, keyword);
        let why = format!("left{keyword}= is {why} too");
        Err(SpecError::conflict(&format!("right{keyword}"), &value, why))
    };
    let pools = [&left.address_pool, &right.address_pool].map(|pool| !pool.is_empty());
    both("addresspool", pools[0], pools[1], "given")?;
    both("modecfgserver", left.config_server, right.config_server, "yes")?;
    both("modecfgclient", left.config_client, right.config_client, "yes")?;
    for (side, end, other, told_end) in
        [("left", left, right, &spec.left), ("right", right, left, &spec.right)]
    {
        let pool = !end.address_pool.is_empty();
        if end.config_server && (pool || end.config_client) {
            let value = told(told_end, "modecfgserver");
            let why = format!("{side} gets its addresses from the other end");
            return Err(SpecError::conflict(&format!("{side}modecfgserver"), &value, why));
        }
        if pool && other.config_client {
            let value = told(told_end, "addresspool");
            let why = "the other end is the client";
            return Err(SpecError::conflict(&format!("{side}addresspool"), &value, why));
        }
    }
    if is_used(draft) && draft.settings.kind != ConnectionType::Tunnel {
        let why = "addresspool= and modecfgclient= need type=tunnel";
        return Err(SpecError::conflict("type", &option(spec, "type"), why));
    }
    Ok(())
}

fn all_addresses(family: Family) -> Option<Selector> {
    let addresses = AddressRange::from_prefix(family.any_address(), 0)?;
    Some(Selector { addresses, protocol: 0, start_port: 0, end_port: u16::MAX })
}

impl Connection {
    /// What peers of this connection are given addresses of; empty when we give none.
    #[must_use]
    pub fn address_pool(&self) -> &[PoolRange] {
        self.remote_end().map(|end| &*end.address_pool).unwrap_or_default()
    }

    /// What either end's peers are given addresses of, whichever of the two we are.
    #[must_use]
    pub fn configured_pool(&self) -> &[PoolRange] {
        let ends = crate::config::SIDES.map(|side| &*self.config.end(side).address_pool);
        ends.into_iter().find(|pool| !pool.is_empty()).unwrap_or_default()
    }

    /// Who a peer's address is leased to, and kept for while it is away: its identity; with
    /// `share-lease=no` nobody in particular, so that each IKE SA of an identity is given
    /// another one, which is anybody's afterwards.
    #[must_use]
    pub fn lessee<'a>(&self, identity: &'a Id) -> &'a Id {
        if self.config.settings.share_lease { identity } else { &Id::Null }
    }

    /// The addresses that the peer has from us.
    #[must_use]
    pub fn leases(&self) -> &[IpAddr] {
        &self.leased
    }

    /// Which part we play; none: nobody is configured by the other.
    #[must_use]
    pub fn config_role(&self) -> Option<ConfigRole> {
        let (local, remote) = (self.local_end()?, self.remote_end()?);
        if !remote.address_pool.is_empty() {
            return Some(ConfigRole::Server);
        }
        let asks = local.config_client || remote.config_server || !local.address_pool.is_empty();
        asks.then_some(ConfigRole::Client)
    }

    /// The traffic of an end whose host has that address, with what it was given in mind.
    pub(crate) fn selectors_at(&self, side: Side, address: Option<IpAddr>) -> Vec<Selector> {
        let (end, other) = (self.config.end(side), self.config.end(side.other()));
        let ours = self.local_side() == Some(side);
        match self.config_role() {
            Some(ConfigRole::Server) if !ours && !self.leased.is_empty() => {
                end.restricted(self.leased.iter().copied().map(Selector::host))
            }
            Some(ConfigRole::Server) if !ours => end.restricted(end.address_pool.iter().map(|r| {
                let (start_port, end_port) = (0, u16::MAX);
                let addresses = r.addresses();
                Selector { addresses, protocol: 0, start_port, end_port }
            })),
            // Whatever we are given (RFC 7296, 2.19).
            Some(ConfigRole::Client) if ours && end.subnets.is_empty() => {
                let remote = other.selectors(self.remote_address());
                let has = |f: &Family| remote.iter().any(|s| Family::of(s.addresses.start()) == *f);
                let families = [Family::Ipv4, Family::Ipv6].into_iter().filter(has);
                end.restricted(families.filter_map(all_addresses))
            }
            _ => end.selectors(address),
        }
    }

    /// What a Child SA of this connection has to do with it.
    pub(crate) fn configuration(&self) -> Option<Configuration> {
        let role = self.config_role()?;
        let s = &*self.config.settings;
        let server = role == ConfigRole::Server;
        let has = |family| match role {
            ConfigRole::Server => self.address_pool().iter().any(|r| r.family() == family),
            ConfigRole::Client => {
                let mine = self.local_selectors();
                mine.iter().any(|s| Family::of(s.addresses.start()) == family)
            }
        };
        Some(Configuration {
            role,
            ipv4: has(Family::Ipv4),
            ipv6: has(Family::Ipv6),
            addresses: self.leased.to_vec(),
            dns: if server { s.config_dns.to_vec() } else { Vec::new() },
            domains: if server {
                s.config_domains.iter().map(|d| (**d).into()).collect()
            } else {
                Vec::new()
            },
            banner: s.config_banner.as_deref().filter(|_| server).map(Into::into),
            ignore_dns: s.ignore_peer_dns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keywords::tests::spec;
    use crate::{LocalAddress, Selector};

    fn at(address: &str, keywords: &[(&str, &str)]) -> Connection {
        let mut all = vec![("left", "192.0.2.1"), ("right", "192.0.2.2"), ("authby", "secret")];
        all.retain(|(name, _)| !keywords.iter().any(|(other, _)| other == name));
        all.extend(keywords);
        let here = LocalAddress { interface: "eth0".into(), address: address.parse().unwrap() };
        Connection::parse(&spec("c", &all)).unwrap().oriented(&[here])
    }

    fn shown(selectors: &[Selector]) -> String {
        selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_end_without_the_pool_serves_the_other_one() {
        let both = [
            ("leftsubnet", "0.0.0.0/0,::/0"),
            ("rightaddresspool", "192.0.2.100-192.0.2.110, 2001:db8::/112"),
            ("modecfgdns", "192.0.2.53,2001:db8::53"),
            ("modecfgdomains", "example.com example.org"),
            ("modecfgbanner", "hello"),
            ("modecfgpull", "yes"),
        ];
        let server = at("192.0.2.1", &both);
        let given = server.configuration().unwrap();
        assert_eq!((given.role, given.ipv4, given.ipv6), (ConfigRole::Server, true, true));
        assert_eq!((given.dns.len(), given.domains.len()), (2, 2));
        let pool = "192.0.2.100-192.0.2.110 2001:db8::1-2001:db8::ffff";
        assert_eq!(shown(&server.remote_selectors()), pool);
        assert!(server.child_policy().unwrap().narrowing);
        let client = at("192.0.2.2", &both);
        let wanted = client.configuration().unwrap();
        assert_eq!((wanted.role, wanted.ipv4, wanted.ipv6), (ConfigRole::Client, true, true));
        assert_eq!((wanted.dns.len(), wanted.banner), (0, None));
        assert_eq!(shown(&client.local_selectors()), "0.0.0.0/0 ::/0");
    }

    #[test]
    fn a_client_asks_for_the_families_of_what_it_wants_to_reach() {
        let keywords = [("leftmodecfgclient", "yes"), ("rightsubnet", "0.0.0.0/0")];
        let client = at("192.0.2.1", &keywords);
        let wanted = client.child_policy().unwrap().configuration.clone().unwrap();
        assert_eq!((wanted.role, wanted.ipv4, wanted.ipv6), (ConfigRole::Client, true, false));
        assert_eq!(shown(&client.local_selectors()), "0.0.0.0/0");
        let implied = at("192.0.2.1", &[("rightmodecfgserver", "yes")]);
        assert_eq!(implied.config_role(), Some(ConfigRole::Client));
        assert_eq!(at("192.0.2.1", &[]).config_role(), None);
    }

    #[test]
    fn without_share_lease_an_address_is_leased_to_nobody_in_particular() {
        let pool = ("rightaddresspool", "10.9.0.0/24");
        let identity = Id::Fqdn("road".into());
        for (said, lessee) in [("yes", &identity), ("no", &Id::Null)] {
            let server = at("192.0.2.1", &[pool, ("share-lease", said)]);
            assert_eq!(server.lessee(&identity), lessee);
        }
        assert_eq!(at("192.0.2.1", &[pool]).lessee(&identity), &identity);
    }

    #[test]
    fn a_lease_is_the_peers_traffic_until_it_is_given_back() {
        let mut table = crate::Connections::default();
        let pool = [("leftsubnet", "0.0.0.0/0"), ("rightaddresspool", "10.9.0.0/24")];
        let serial = table.add(at("192.0.2.1", &pool)).unwrap().serial();
        let here = LocalAddress { interface: "e".into(), address: "192.0.2.1".parse().unwrap() };
        table.orient(&[here]);
        let leased = table.set_leases(serial, &["10.9.0.7".parse().unwrap()]).unwrap();
        assert_eq!(shown(&leased.child_policy().unwrap().remote_ts), "10.9.0.7/32");
        let given = leased.configuration().unwrap();
        assert!(given.has(Family::Ipv4) && !given.has(Family::Ipv6));
        let back = table.set_leases(serial, &[]).unwrap();
        assert_eq!(shown(&back.remote_selectors()), "10.9.0.1-10.9.0.254");
    }
}
