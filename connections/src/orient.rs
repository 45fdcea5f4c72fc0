//! Which end of a connection we are.

use crate::end::Host;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Left or right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Side {
    Left,
    Right,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// `left` or `right`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }
}

/// An address of this host on which IKE listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface it belongs to.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// What orientation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orientation {
    /// This side is ours.
    Oriented {
        /// Which.
        local: Side,
        /// Through which address.
        address: LocalAddress,
    },
    /// Neither end is an address of ours: `neither left=X nor right=Y match an interface`.
    Neither,
    /// Both are.
    Both,
}

/// Our addresses, findable at once: 10,000 connections are oriented again whenever one
/// changes.
#[derive(Debug, Default)]
pub(crate) struct LocalAddresses {
    by_address: FxHashMap<IpAddr, Arc<LocalAddress>>,
    /// The first of each family that an interface has, IPv4 first.
    by_interface: FxHashMap<Box<str>, [Option<Arc<LocalAddress>>; 2]>,
}

impl LocalAddresses {
    pub(crate) fn new(addresses: &[LocalAddress]) -> Self {
        let mut all = Self::default();
        for one in addresses {
            let one = Arc::new(one.clone());
            let [v4, v6] = all.by_interface.entry(one.interface.as_str().into()).or_default();
            let first = if one.address.is_ipv4() { v4 } else { v6 };
            first.get_or_insert_with(|| Arc::clone(&one));
            all.by_address.entry(one.address).or_insert(one);
        }
        all
    }

    /// The address of ours that `host` names, if it names one. `known` is its address as
    /// far as that had to be found out; `ipv6` the wanted family where only an interface
    /// is named.
    fn ours(&self, host: &Host, known: Option<IpAddr>, ipv6: bool) -> Option<&Arc<LocalAddress>> {
        match host {
            Host::Address(address) => self.by_address.get(address),
            Host::Name(_) | Host::DefaultRoute => self.by_address.get(&known?),
            Host::Interface(name) => {
                let [v4, v6] = self.by_interface.get(name)?;
                if ipv6 { v6.as_ref() } else { v4.as_ref() }
            }
            Host::Any(_) | Host::Missing => None,
        }
    }

    /// Which of the two is ours.
    pub(crate) fn orient(
        &self,
        hosts: [(&Host, Option<IpAddr>); 2],
        ipv6: bool,
    ) -> Result<(Side, Arc<LocalAddress>), Orientation> {
        let [left, right] = hosts.map(|(host, known)| self.ours(host, known, ipv6));
        match (left, right) {
            (Some(ours), None) => Ok((Side::Left, Arc::clone(ours))),
            (None, Some(ours)) => Ok((Side::Right, Arc::clone(ours))),
            (None, None) => Err(Orientation::Neither),
            (Some(_), Some(_)) => Err(Orientation::Both),
        }
    }
}
