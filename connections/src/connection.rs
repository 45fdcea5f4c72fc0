//! One connection: parsed, oriented, perhaps made for one peer.

use crate::config::{Config, SIDES};
use crate::end::{Host, Nexthop};
use crate::orient::LocalAddresses;
use crate::{
    Authby, ChildPolicy, ConnectionSerial, ConnectionSpec, ConnectionType, Family, Id, IkePolicy,
    IpsecMode, LocalAddress, NAT_PORT, Orientation, Selector, Side, SpdEntry, SpecError,
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// One known peer.
    Permanent,
    /// Peers to come (`%any`): only its instances have SAs.
    Template,
    /// Made from a template for one peer.
    Instance,
}

impl Kind {
    /// libreswan's name, as updown's PLUTO_CONN_KIND has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Permanent => "CK_PERMANENT",
            Self::Template => "CK_TEMPLATE",
            Self::Instance => "CK_INSTANCE",
        }
    }
}

/// The number of an instance within its template, shown `[3]`; from 1, and 0 for what is
/// no instance.
pub type Instance = u64;

/// The UDP port of IKE.
const IKE_PORT: u16 = 500;

/// The keepalive behind a NAT where `keep-alive=` says nothing else.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A connection with all its settings parsed; immutable once added (`auto=`, up, route
/// and keep are wishes that the connection actor keeps). When the table learns more of it
/// (an address, an orientation), it holds a new value.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) serial: ConnectionSerial,
    pub(crate) config: Arc<Config>,
    pub(crate) kind: Kind,
    pub(crate) instance: Instance,
    pub(crate) template: Option<ConnectionSerial>,
    pub(crate) log_name: Arc<str>,
    pub(crate) reqid: u32,
    pub(crate) keep_alive: Duration,
    /// The ends' addresses (left, right), as far as they are known.
    pub(crate) addresses: [Option<IpAddr>; 2],
    /// The default route's router.
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) oriented: Option<(Side, Arc<LocalAddress>)>,
    /// It is not oriented because both ends are ours.
    pub(crate) both_ours: bool,
    /// An instance's peer.
    pub(crate) peer_id: Option<Id>,
    /// The addresses that the peer has from us.
    pub(crate) leased: Box<[IpAddr]>,
    /// Built when first asked for: most of 10,000 connections are not in use.
    pub(crate) ike: OnceLock<Arc<IkePolicy>>,
    pub(crate) child: OnceLock<Option<Arc<ChildPolicy>>>,
}

impl Connection {
    /// Reads the keywords of `spec`. One with `subnets=` must be expanded first
    /// ([`ConnectionSpec::expand`]).
    ///
    /// # Errors
    /// The first keyword that is unknown, not supported yet, or has an impossible value.
    pub fn parse(spec: &ConnectionSpec) -> Result<Self, SpecError> {
        let config = Config::parse(spec)?;
        let address = |side| match config.end(side).host {
            Host::Address(address) => Some(address),
            _ => None,
        };
        let kind = if config.is_template() { Kind::Template } else { Kind::Permanent };
        Ok(Self {
            serial: ConnectionSerial(0),
            kind,
            instance: 0,
            template: None,
            log_name: format!("\"{}\"", config.name).into(),
            reqid: config.settings.reqid,
            keep_alive: KEEP_ALIVE,
            addresses: SIDES.map(address),
            gateway: None,
            oriented: None,
            both_ours: false,
            peer_id: None,
            leased: Box::default(),
            config: Arc::new(config),
            ike: OnceLock::new(),
            child: OnceLock::new(),
        })
    }
    /// Its serial number; set when it is added, 0 before.
    #[must_use]
    pub fn serial(&self) -> ConnectionSerial {
        self.serial
    }
    /// Its name, without instance.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }
    /// Its other names (`connalias=`, the name before `subnets=` was expanded).
    #[must_use]
    pub fn aliases(&self) -> &[Arc<str>] {
        &self.config.aliases
    }
    /// The number of this instance, 0 when it is none.
    #[must_use]
    pub fn instance(&self) -> Instance {
        self.instance
    }
    /// The template that it was made from.
    #[must_use]
    pub fn template(&self) -> Option<ConnectionSerial> {
        self.template
    }
    /// How logs name it: `"west"`, `"road"[3] 192.0.2.1`.
    #[must_use]
    pub fn log_name(&self) -> Arc<str> {
        Arc::clone(&self.log_name)
    }
    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// What is odd about its keywords but no error; to be logged when it is added.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.config.warnings
    }
    /// `type=`.
    #[must_use]
    pub fn connection_type(&self) -> ConnectionType {
        self.config.settings.kind
    }
    /// Whether traffic passes or is dropped without any IKE (`type=passthrough`, `drop`).
    #[must_use]
    pub fn never_negotiates(&self) -> bool {
        self.config.settings.never_negotiates()
    }

    /// Which end we are, with these addresses of ours. A long list that many connections
    /// are oriented by is better given to `Connections::orient`.
    #[must_use]
    pub fn orient(&self, addresses: &[LocalAddress]) -> Orientation {
        match self.orient_among(&LocalAddresses::new(addresses)) {
            Ok((local, address)) => {
                Orientation::Oriented { local, address: LocalAddress::clone(&address) }
            }
            Err(failed) => failed,
        }
    }

    pub(crate) fn orient_among(
        &self,
        addresses: &LocalAddresses,
    ) -> Result<(Side, Arc<LocalAddress>), Orientation> {
        let hosts = SIDES.map(|side| (&self.config.end(side).host, self.address(side)));
        addresses.orient(hosts, self.config.family() == Family::Ipv6)
    }

    /// This connection, oriented by these addresses: for those who have no table.
    #[must_use]
    pub fn oriented(mut self, addresses: &[LocalAddress]) -> Self {
        let found = self.orient_among(&LocalAddresses::new(addresses));
        self.set_orientation(found);
        self
    }

    /// Takes over what orientation found; what was built for the old one is forgotten.
    pub(crate) fn set_orientation(
        &mut self,
        found: Result<(Side, Arc<LocalAddress>), Orientation>,
    ) {
        self.both_ours = matches!(found, Err(Orientation::Both));
        self.oriented = found.ok();
        if let Some((side, ours)) = &self.oriented
            && let Some(address) = self.addresses.get_mut(side.index())
        {
            *address = Some(ours.address);
        }
        self.ike = OnceLock::new();
        self.child = OnceLock::new();
    }

    /// The names that must be resolved before an attempt (`right=gateway.example.com`).
    #[must_use]
    pub fn names_to_resolve(&self) -> Vec<String> {
        let name = |side| match &self.config.end(side).host {
            Host::Name(name) => Some(String::from(&**name)),
            _ => None,
        };
        SIDES.into_iter().filter_map(name).collect()
    }
    /// The side whose host is that name.
    pub(crate) fn side_named(&self, name: &str) -> Option<Side> {
        let is =
            |side: &Side| matches!(&self.config.end(*side).host, Host::Name(n) if &**n == name);
        SIDES.into_iter().find(is)
    }
    /// The family in which a name, an interface or the default route is to be looked up.
    #[must_use]
    pub fn family(&self) -> Family {
        self.config.family()
    }
    /// Whether an end or a next hop is `%defaultroute`: somebody must ask for the default
    /// route and call `Connections::set_default_route`.
    #[must_use]
    pub fn needs_default_route(&self) -> bool {
        let wanted = |end: &crate::end::End| {
            end.host == Host::DefaultRoute || end.nexthop == Nexthop::DefaultRoute
        };
        self.config.ends.iter().any(wanted)
    }

    pub(crate) fn address(&self, side: Side) -> Option<IpAddr> {
        self.addresses.get(side.index()).copied().flatten()
    }
    /// Which side is ours.
    #[must_use]
    pub fn local_side(&self) -> Option<Side> {
        self.oriented.as_ref().map(|(side, _)| *side)
    }
    pub(crate) fn local_end(&self) -> Option<&crate::end::End> {
        self.local_side().map(|side| self.config.end(side))
    }
    pub(crate) fn remote_end(&self) -> Option<&crate::end::End> {
        self.local_side().map(|side| self.config.end(side.other()))
    }
    /// Our address, once it is oriented.
    #[must_use]
    pub fn local_address(&self) -> Option<IpAddr> {
        self.local_side().and_then(|side| self.address(side))
    }
    /// The peer's address, once it is oriented and as far as it is known.
    #[must_use]
    pub fn remote_address(&self) -> Option<IpAddr> {
        self.local_side().and_then(|side| self.address(side.other()))
    }
    /// The interface that our address belongs to.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.oriented.as_ref().map(|(_, ours)| ours.interface.as_str())
    }
    /// Who we are, once it is oriented.
    #[must_use]
    pub fn local_id(&self) -> Option<Id> {
        let (side, end) = (self.local_side()?, self.local_end()?);
        let null = self.config.auth(side) == Some(Authby::Null);
        Some(end.id.clone().unwrap_or_else(|| match self.address(side) {
            _ if null => Id::Null,
            Some(address) => Id::Address(address),
            None => Id::Any,
        }))
    }
    /// Who the peer must be, once it is oriented; `Any` for anybody who authenticates.
    #[must_use]
    pub fn remote_id(&self) -> Option<Id> {
        if self.peer_id.is_some() {
            return self.peer_id.clone();
        }
        let (side, end) = (self.local_side()?.other(), self.remote_end()?);
        let null = self.config.auth(side) == Some(Authby::Null);
        Some(end.id.clone().unwrap_or_else(|| match self.address(side) {
            _ if null => Id::Any,
            Some(address) => Id::Address(address),
            None => Id::Any,
        }))
    }
    /// How we prove who we are; none when it is not oriented or nothing is negotiated.
    #[must_use]
    pub fn local_auth(&self) -> Option<Authby> {
        self.config.auth(self.local_side()?)
    }
    /// How the peer must.
    #[must_use]
    pub fn remote_auth(&self) -> Option<Authby> {
        self.config.auth(self.local_side()?.other())
    }
    /// Our side's traffic, once it is oriented.
    #[must_use]
    pub fn local_selectors(&self) -> Vec<Selector> {
        let side = self.local_side();
        side.map(|side| self.selectors_at(side, self.local_address())).unwrap_or_default()
    }
    /// The peer's traffic; empty for a template whose peers protect just themselves.
    #[must_use]
    pub fn remote_selectors(&self) -> Vec<Selector> {
        let side = self.local_side().map(Side::other);
        side.map(|side| self.selectors_at(side, self.remote_address())).unwrap_or_default()
    }
    /// The pairs of selectors, each with the priority of its kernel policies.
    #[must_use]
    pub fn spd(&self) -> Vec<SpdEntry> {
        let (locals, remotes) = (self.local_selectors(), self.remote_selectors());
        let fixed = self.config.settings.priority;
        crate::selector_pairs(&locals, &remotes)
            .map(|(local, remote)| {
                let computed = || crate::policy_priority(&local, &remote, self.kind);
                let priority = if fixed == 0 { computed() } else { fixed };
                SpdEntry { local, remote, priority }
            })
            .collect()
    }
    /// The number that groups its SAs and policies: `reqid=`, or one of four in a row that
    /// the table gave it (ESP has the first, AH the next, IPCOMP the third).
    #[must_use]
    pub fn reqid(&self) -> u32 {
        self.reqid
    }

    /// What its IKE SA needs; none while it is not oriented, and for one that never
    /// negotiates.
    #[must_use]
    pub fn ike_policy(&self) -> Option<Arc<IkePolicy>> {
        if let Some(policy) = self.ike.get() {
            return Some(Arc::clone(policy));
        }
        let policy = Arc::new(self.build_ike_policy()?);
        Some(Arc::clone(self.ike.get_or_init(|| policy)))
    }

    fn build_ike_policy(&self) -> Option<IkePolicy> {
        let s = &*self.config.settings;
        Some(IkePolicy {
            connection: self.serial,
            log_name: self.log_name(),
            local_id: self.local_id()?,
            remote_id: self.remote_id()?,
            remote_id_configured: self.remote_end()?.id.as_ref().is_some_and(|id| *id != Id::Any),
            local_auth: self.local_auth()?,
            remote_auth: self.remote_auth()?,
            proposals: Arc::clone(&self.config.ike),
            retransmit: self.config.retransmit(),
            lifetimes: self.config.ike_lifetimes(),
            reauth: s.reauth,
            initial_contact: s.initial_contact,
            encapsulation: s.encapsulation,
            nat_port: NAT_PORT,
            nat_keepalive: s.nat_keepalive.then_some(self.keep_alive),
            fragmentation: s.fragmentation,
            mobike: s.mobike,
            // A probe more often than once a second would be a flood.
            dpd_delay: (!s.dpd_delay.is_zero()).then(|| s.dpd_delay.max(Duration::from_secs(1))),
            send_vendor_id: s.send_vendor_id,
            fake_strongswan: s.fake_strongswan,
        })
    }

    /// What its Child SAs need, one a Child SA. None while it is not oriented, for one that
    /// never negotiates, and for a template whose peers protect just themselves (their
    /// addresses are yet unknown).
    #[must_use]
    pub fn child_policies(&self) -> Vec<Arc<ChildPolicy>> {
        self.child_policy().into_iter().collect()
    }

    pub(crate) fn child_policy(&self) -> Option<Arc<ChildPolicy>> {
        self.child.get_or_init(|| self.build_child_policy().map(Arc::new)).clone()
    }

    fn build_child_policy(&self) -> Option<ChildPolicy> {
        let s = &*self.config.settings;
        let (local_ts, remote_ts) = (self.local_selectors(), self.remote_selectors());
        if self.never_negotiates() || local_ts.is_empty() || remote_ts.is_empty() {
            return None;
        }
        let transport = s.kind == ConnectionType::Transport;
        Some(ChildPolicy {
            connection: self.serial,
            log_name: self.log_name(),
            proposals: Arc::clone(&self.config.child),
            local_ts,
            remote_ts,
            mode: if transport { IpsecMode::Transport } else { IpsecMode::Tunnel },
            // A port of %any is whichever the peer chooses.
            narrowing: s.narrowing || self.config.ends.iter().any(crate::end::End::port_wildcard),
            pfs: s.pfs,
            rekey_pfs: s.rekey_pfs(),
            lifetimes: self.config.child_lifetimes(),
            replay_window: s.replay_window,
            reqid: self.reqid,
            priority: s.priority,
            mark_in: s.mark_in,
            mark_out: s.mark_out,
            if_id: 0,
            tfc: s.tfc,
            send_no_tfc: s.send_no_tfc,
            decap_dscp: s.decap_dscp,
            encap_dscp: s.encap_dscp,
            nopmtudisc: s.nopmtudisc,
            configuration: self.configuration().map(Arc::new),
        })
    }

    /// Where IKE starts: our address and port, the peer's; none while it is not oriented or
    /// the peer's address is not known.
    #[must_use]
    pub fn endpoints(&self) -> Option<(SocketAddr, SocketAddr)> {
        let port = |end: &crate::end::End| end.ike_port.unwrap_or(IKE_PORT);
        let local = SocketAddr::new(self.local_address()?, port(self.local_end()?));
        let remote = SocketAddr::new(self.remote_address()?, port(self.remote_end()?));
        Some((local, remote))
    }
}
