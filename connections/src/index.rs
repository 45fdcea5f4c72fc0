//! The indexes that answer a packet: by host pair, identity and traffic.

use crate::connection::{Connection, Kind};
use crate::proposal::IkeProposals;
use crate::serials::SerialSet;
use crate::{ConnectionSerial, Id, Selector};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

/// Our address and the peer's; none for peers of any address.
pub(crate) type HostPair = (IpAddr, Option<IpAddr>);

/// Everything that negotiates, is oriented and has a known peer address or a template's
/// open one. Instances are found by way of their template.
///
/// Identities and traffic are indexed by hash alone, which saves a third of a connection's
/// memory: what is found may belong elsewhere, and whoever asks judges it anyhow, the host
/// pair included.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pairs: FxHashMap<HostPair, Pair>,
    /// By host pair and identity.
    by_id: FxHashMap<u64, SerialSet>,
    /// By host pair and the first pair of selectors.
    by_traffic: FxHashMap<u64, SerialSet>,
}

/// What there is between two hosts.
#[derive(Debug, Default)]
struct Pair {
    /// By proposals; equal ones are shared, so that the list stays short.
    by_proposals: Vec<(Arc<IkeProposals>, SerialSet)>,
    /// Those whose peer's identity is not known exactly.
    open_id: SerialSet,
}

/// Where a connection stands in the index.
struct Keys {
    pair: HostPair,
    id: Option<Id>,
    open: bool,
    traffic: Option<(Selector, Selector)>,
}

impl Keys {
    fn of(connection: &Connection) -> Option<Self> {
        if connection.never_negotiates() {
            return None;
        }
        let remote = match connection.kind() {
            Kind::Permanent => Some(connection.remote_address()?),
            Kind::Template => None,
            Kind::Instance => return None,
        };
        let pair = (connection.local_address()?, remote);
        let id = connection.remote_id()?;
        let open = is_open(&id);
        let (locals, remotes) = (connection.local_selectors(), connection.remote_selectors());
        let traffic = locals.first().copied().zip(remotes.first().copied());
        Some(Self { pair, id: normal_id(&id), open, traffic })
    }
}

/// The form under which identities that compare equal are found; none for those that stand
/// for many.
pub(crate) fn normal_id(id: &Id) -> Option<Id> {
    match id {
        Id::Any | Id::FromCert => None,
        id => Some(id.canonical()),
    }
}

/// Whether other identities than itself may match it: a distinguished name may hold
/// wildcards.
fn is_open(id: &Id) -> bool {
    matches!(id, Id::Any | Id::FromCert | Id::Dn(_))
}

impl Index {
    pub(crate) fn insert(&mut self, connection: &Connection) {
        let Some(keys) = Keys::of(connection) else { return };
        let serial = connection.serial();
        let pair = self.pairs.entry(keys.pair).or_default();
        let proposals = &connection.config.ike;
        match pair.by_proposals.iter_mut().find(|(p, _)| Arc::ptr_eq(p, proposals)) {
            Some((_, set)) => set.insert(serial),
            None => {
                // Mostly it stays the only one.
                pair.by_proposals.reserve_exact(1);
                pair.by_proposals.push((Arc::clone(proposals), SerialSet::One(serial)));
            }
        }
        if keys.open {
            pair.open_id.insert(serial);
        }
        if let Some(id) = keys.id {
            self.by_id.entry(hash(&(keys.pair, id))).or_default().insert(serial);
        }
        if let Some((local, remote)) = keys.traffic {
            self.by_traffic.entry(hash(&(keys.pair, local, remote))).or_default().insert(serial);
        }
    }

    pub(crate) fn remove(&mut self, connection: &Connection) {
        let Some(keys) = Keys::of(connection) else { return };
        let serial = connection.serial();
        if let Some(pair) = self.pairs.get_mut(&keys.pair) {
            pair.open_id.remove(serial);
            for (_, set) in &mut pair.by_proposals {
                set.remove(serial);
            }
            pair.by_proposals.retain(|(_, set)| !set.is_empty());
            if pair.by_proposals.is_empty() {
                self.pairs.remove(&keys.pair);
            }
        }
        if let Some(id) = keys.id {
            remove_from(&mut self.by_id, hash(&(keys.pair, id)), serial);
        }
        if let Some((local, remote)) = keys.traffic {
            remove_from(&mut self.by_traffic, hash(&(keys.pair, local, remote)), serial);
        }
    }

    /// The oldest connection of each set of proposals between two hosts, oldest first.
    pub(crate) fn oldest(&self, pair: HostPair) -> Vec<ConnectionSerial> {
        let sets = self.pairs.get(&pair).into_iter().flat_map(|p| &p.by_proposals);
        let mut firsts: Vec<_> = sets.filter_map(|(_, set)| set.first()).collect();
        firsts.sort_unstable();
        firsts
    }

    /// All between two hosts.
    pub(crate) fn all(&self, pair: HostPair) -> impl Iterator<Item = ConnectionSerial> + '_ {
        let sets = self.pairs.get(&pair).into_iter().flat_map(|p| &p.by_proposals);
        sets.flat_map(|(_, set)| set.iter())
    }

    /// Those whose peer has exactly this identity, and perhaps some that do not.
    pub(crate) fn with_id(
        &self,
        pair: HostPair,
        id: &Id,
    ) -> impl Iterator<Item = ConnectionSerial> + '_ {
        let set = normal_id(id).and_then(|id| self.by_id.get(&hash(&(pair, id))));
        set.into_iter().flat_map(SerialSet::iter)
    }

    /// Those whose peer's identity is not known exactly.
    pub(crate) fn with_open_id(
        &self,
        pair: HostPair,
    ) -> impl Iterator<Item = ConnectionSerial> + '_ {
        self.pairs.get(&pair).into_iter().flat_map(|p| p.open_id.iter())
    }

    /// Those whose first pair of selectors is exactly this, and perhaps some that do not.
    pub(crate) fn with_traffic(
        &self,
        pair: HostPair,
        local: &Selector,
        remote: &Selector,
    ) -> impl Iterator<Item = ConnectionSerial> + '_ {
        let set = self.by_traffic.get(&hash(&(pair, *local, *remote)));
        set.into_iter().flat_map(SerialSet::iter)
    }
}

fn hash(value: &impl Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

fn remove_from(map: &mut FxHashMap<u64, SerialSet>, key: u64, serial: ConnectionSerial) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = map.entry(key) {
        entry.get_mut().remove(serial);
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}
