//! What has been asked of the kernel, by owner: enough to take all of it back.
//!
//! SAs belong to Child SAs, policies to connections (see [`crate::claims`]).

use crate::claims::{Claim, Claims, User};
use crate::policy::child_policies;
use crate::{PolicyChange, PolicyKey, PolicyShape, PolicyUse, SaMove, SaPairSpec, Template};
use pluto_wire::numbers::ProtocolId;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// An SA in the kernel, or the place reserved for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstalledSa {
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Sender of its packets.
    pub source: IpAddr,
    /// Receiver of its packets; with SPI and protocol, the SA's name.
    pub destination: IpAddr,
    /// SPI.
    pub spi: u32,
    /// We receive.
    pub inbound: bool,
    /// Only the SPI is reserved.
    pub larval: bool,
    /// Mark (value, mask): part of the SA's name.
    pub mark: Option<(u32, u32)>,
}

/// What is found of an SA that should stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Well,
    /// It has reached a soft limit.
    Worn,
    Gone,
}

/// What one Child SA or connection owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// SAs and reserved SPIs (of a Child SA).
    pub sas: Vec<InstalledSa>,
    /// Policies claimed (by a connection), or needed (by a Child SA).
    pub policies: Vec<PolicyKey>,
}

/// A claim as it was before a change, to go back to.
#[derive(Debug, Clone)]
pub struct Undo {
    key: PolicyKey,
    previous: Option<Claim>,
}

/// What is installed, by serial number of Child SA and of connection.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// SAs by Child SA.
    pub children: FxHashMap<u64, Owned>,
    /// Policies by connection.
    pub connections: FxHashMap<u64, Owned>,
    claims: Claims,
    inbound: FxHashMap<(IpAddr, u32), u64>,
    outbound: FxHashMap<(IpAddr, u32), u64>,
    addresses: FxHashMap<(IpAddr, String), u32>,
    /// Outbound SAs that have moved to another address, by Child SA: what they were, for
    /// packets that are on their way through the kernel by them.
    pub left: Vec<(u64, InstalledSa)>,
}

impl Ledger {
    /// Whether nothing is installed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.connections.is_empty() && self.addresses.is_empty()
    }

    /// The Child SA whose SA this is.
    #[must_use]
    pub fn child_of(&self, destination: IpAddr, spi: u32) -> Option<u64> {
        let name = (destination, spi);
        self.inbound.get(&name).or_else(|| self.outbound.get(&name)).copied()
    }

    /// Expiries of all SAs, other than reservations, by what is `found` of each.
    pub(crate) fn missed(&self, found: impl Fn(&InstalledSa) -> Found) -> Vec<crate::KernelEvent> {
        let mut events = Vec::new();
        for (child, owned) in &self.children {
            for sa in owned.sas.iter().filter(|sa| !sa.larval) {
                let hard = match found(sa) {
                    Found::Well => continue,
                    Found::Worn => false,
                    Found::Gone => true,
                };
                let (spi, destination) = (sa.spi, sa.destination);
                let child = Some(*child);
                events.push(crate::KernelEvent::Expire { spi, destination, child, hard });
            }
        }
        events
    }

    /// Writes down an SA.
    pub fn add_sa(&mut self, child: u64, sa: InstalledSa) {
        let index = if sa.inbound { &mut self.inbound } else { &mut self.outbound };
        index.insert((sa.destination, sa.spi), child);
        let owned = self.children.entry(child).or_default();
        owned.sas.retain(|had| !same_name(had, &sa));
        owned.sas.push(sa);
    }

    /// Strikes an SA out.
    pub fn remove_sa(&mut self, child: u64, sa: &InstalledSa) {
        let index = if sa.inbound { &mut self.inbound } else { &mut self.outbound };
        if index.get(&(sa.destination, sa.spi)) == Some(&child) {
            index.remove(&(sa.destination, sa.spi));
        }
        if let Some(owned) = self.children.get_mut(&child) {
            owned.sas.retain(|had| !same_name(had, sa));
            if owned.sas.is_empty() && owned.policies.is_empty() {
                self.children.remove(&child);
            }
        }
    }

    /// Whether a Child SA has more than reservations.
    #[must_use]
    pub fn is_installed(&self, child: u64) -> bool {
        let owned = self.children.get(&child);
        owned.is_some_and(|owned| owned.sas.iter().any(|sa| !sa.larval))
    }

    /// Whether a Child SA has an SA in this direction, other than a reservation.
    #[must_use]
    pub(crate) fn has_half(&self, child: u64, inbound: bool) -> bool {
        let owned = self.children.get(&child);
        owned.is_some_and(|owned| owned.sas.iter().any(|sa| !sa.larval && sa.inbound == inbound))
    }

    /// Strikes a Child SA out and tells what it had. Before, [`Ledger::stop_sending`] says what
    /// becomes of the policies that it needs.
    pub fn take_child(&mut self, child: u64) -> Vec<InstalledSa> {
        self.stop_sending(child, false);
        let sas = self.children.get(&child).map(|owned| owned.sas.clone()).unwrap_or_default();
        for sa in &sas {
            self.remove_sa(child, sa);
        }
        self.children.remove(&child);
        sas
    }

    /// Strikes out what the SAs of a Child SA have left behind, and tells it.
    pub fn take_left(&mut self, child: u64) -> Vec<InstalledSa> {
        let (of_child, others): (Vec<_>, Vec<_>) =
            self.left.drain(..).partition(|(owner, _)| *owner == child);
        self.left = others;
        of_child.into_iter().map(|(_, sa)| sa).collect()
    }

    /// Moves a Child SA and its connection's policies: what each SA was and is, and what
    /// becomes of the policies.
    pub fn move_child(
        &mut self,
        to: &SaMove,
    ) -> (Vec<(InstalledSa, InstalledSa)>, Vec<PolicyChange>) {
        let (local, remote) = (to.local.ip(), to.remote.ip());
        let owned = self.children.get(&to.child).map(|owned| owned.sas.clone());
        let sas = owned.unwrap_or_default().into_iter().filter(|sa| !sa.larval);
        let ends = |inbound| if inbound { (remote, local) } else { (local, remote) };
        let moved: Vec<_> = sas
            .map(|sa| {
                let (source, destination) = ends(sa.inbound);
                (sa, InstalledSa { source, destination, ..sa })
            })
            .collect();
        let from = moved.first().map(|(sa, _)| match sa.inbound {
            true => (sa.destination, sa.source),
            false => (sa.source, sa.destination),
        });
        for (old, new) in moved.iter().filter(|(old, new)| old != new) {
            self.remove_sa(to.child, old);
            self.add_sa(to.child, *new);
        }
        let mut changes = Vec::new();
        for key in self.policies_of(to.connection) {
            let whose = (to.connection, to.child);
            let change = self.claims.move_templates(whose, key, |template| {
                match Some((template.local, template.remote)) == from {
                    true => Template { local, remote, ..template },
                    false => template,
                }
            });
            if !change.is_empty() {
                changes.push(change);
            }
        }
        (moved, changes)
    }

    /// Writes down that `connection` wants a policy, in place of what it wanted for the
    /// same traffic; while a Child SA of it needs that one, for afterwards.
    pub fn claim(
        &mut self,
        connection: u64,
        key: PolicyKey,
        shape: PolicyShape,
    ) -> (PolicyChange, Undo) {
        self.claim_for(connection, key, shape, None)
    }

    fn claim_for(
        &mut self,
        connection: u64,
        key: PolicyKey,
        shape: PolicyShape,
        user: Option<User>,
    ) -> (PolicyChange, Undo) {
        let previous = self.claims.of(connection, &key).cloned();
        if previous.is_none() {
            self.connections.entry(connection).or_default().policies.push(key);
        }
        if let Some(User { child, .. }) = user
            && !previous.as_ref().is_some_and(|claim| claim.has_user(child))
        {
            let policies = &mut self.children.entry(child).or_default().policies;
            if policies.is_empty() {
                policies.reserve_exact(1); // there is seldom another one
            }
            policies.push(key);
        }
        (self.claims.claim(connection, key, shape, user), Undo { key, previous })
    }

    /// Writes down the policies of a Child SA that is installed; with `sends` it sends by them
    /// from now on.
    pub fn claim_child(
        &mut self,
        spec: &SaPairSpec,
        sends: bool,
    ) -> (Vec<PolicyChange>, Vec<Undo>) {
        let policies = child_policies(spec).into_iter();
        let claimed = policies.map(|(key, shape)| {
            let user = user(spec, &shape, sends);
            self.claim_for(spec.connection, key, shape, user)
        });
        really(claimed)
    }

    /// Writes down that a Child SA whose policies stand sends by them. What is no policy of a
    /// tunnel any more stays as it is.
    pub fn begin_sending(&mut self, spec: &SaPairSpec) -> (Vec<PolicyChange>, Vec<Undo>) {
        let policies = child_policies(spec).into_iter();
        let claimed = policies.filter_map(|(key, shape)| {
            let had = self.claims.shape_of(spec.connection, &key)?;
            let user = user(spec, &shape, true);
            let tunnel = matches!(had.does, PolicyUse::Tunnel(_));
            tunnel.then(|| self.claim_for(spec.connection, key, had, user))
        });
        really(claimed)
    }

    /// Writes down that a Child SA sends no more, and needs no policies; with `for_another`, only
    /// those by which another one of its connection sends too.
    pub fn stop_sending(&mut self, child: u64, for_another: bool) -> Vec<PolicyChange> {
        let Some(owned) = self.children.get_mut(&child) else { return Vec::new() };
        let keys = match for_another {
            true => owned.policies.clone(),
            false => std::mem::take(&mut owned.policies),
        };
        let mut changes = Vec::new();
        for key in keys {
            let (change, gone) = self.claims.stop(child, key, for_another);
            gone.into_iter().for_each(|connection| self.strike(connection, key));
            if !change.is_empty() {
                changes.push(change);
            }
        }
        changes
    }

    /// Strikes out what `connection` wants for this traffic: at once, or when no Child SA of it
    /// needs that any more.
    pub fn release(&mut self, connection: u64, key: PolicyKey) -> PolicyChange {
        let change = self.claims.release(connection, key);
        self.strike(connection, key);
        change
    }

    /// What `connection` has wished before it knew of its Child SAs is void.
    pub fn forget_wishes(&mut self, connection: u64) {
        for key in self.policies_of(connection) {
            self.claims.forget_wish(connection, &key);
        }
    }

    /// Strikes out all that `connection` wants, though Child SAs may need it.
    pub(crate) fn drop_claims(&mut self, connection: u64) -> Vec<PolicyChange> {
        let keys = self.policies_of(connection);
        keys.into_iter().map(|key| self.drop_claim(connection, key)).collect()
    }

    fn drop_claim(&mut self, connection: u64, key: PolicyKey) -> PolicyChange {
        let change = self.claims.remove(connection, key);
        self.strike(connection, key);
        change
    }

    /// A connection owns what it has a claim on.
    fn strike(&mut self, connection: u64, key: PolicyKey) {
        if self.claims.of(connection, &key).is_some() {
            return;
        }
        if let Some(owned) = self.connections.get_mut(&connection) {
            owned.policies.retain(|had| *had != key);
            if owned.policies.is_empty() {
                self.connections.remove(&connection);
            }
        }
    }

    /// Makes `wanted` all that `connection` wants, but for what its Child SAs need: that changes
    /// when they have gone.
    pub fn replace_claims(
        &mut self,
        connection: u64,
        wanted: &[(PolicyKey, PolicyShape)],
    ) -> Vec<(PolicyChange, Undo)> {
        let mut changes = Vec::with_capacity(wanted.len());
        for (key, shape) in wanted {
            changes.push(self.claim(connection, *key, *shape));
        }
        let had = self.policies_of(connection);
        for key in had.into_iter().filter(|key| !wanted.iter().any(|(wanted, _)| wanted == key)) {
            let previous = self.claims.of(connection, &key).cloned();
            changes.push((self.release(connection, key), Undo { key, previous }));
        }
        changes
    }

    /// Goes back to what `connection` claimed before.
    pub fn undo(&mut self, connection: u64, undo: Undo) -> PolicyChange {
        match undo.previous {
            Some(had) => {
                let policies = &mut self.connections.entry(connection).or_default().policies;
                if !policies.contains(&undo.key) {
                    policies.push(undo.key);
                }
                self.claims.restore(undo.key, had)
            }
            None => self.drop_claim(connection, undo.key),
        }
    }

    /// The policies that are to be installed.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyKey, PolicyShape)> + '_ {
        self.claims.policies()
    }

    /// The traffic that `connection` has claims on.
    #[must_use]
    pub fn policies_of(&self, connection: u64) -> Vec<PolicyKey> {
        self.connections.get(&connection).map(|owned| owned.policies.clone()).unwrap_or_default()
    }

    /// Writes down one more user of a source address that we added; true for the first.
    pub fn add_address(&mut self, address: IpAddr, interface: &str) -> bool {
        let users = self.addresses.entry((address, interface.to_owned())).or_default();
        *users = users.saturating_add(1);
        *users == 1
    }

    /// Strikes out one user of a source address; true for the last, false when there are
    /// others or when we did not add it.
    pub fn remove_address(&mut self, address: IpAddr, interface: &str) -> bool {
        let name = (address, interface.to_owned());
        let Some(users) = self.addresses.get_mut(&name) else { return false };
        *users = users.saturating_sub(1);
        let last = *users == 0;
        if last {
            self.addresses.remove(&name);
        }
        last
    }

    /// Whether a source address was added by us.
    #[must_use]
    pub fn added_address(&self, address: IpAddr, interface: &str) -> bool {
        self.addresses.contains_key(&(address, interface.to_owned()))
    }

    /// The source addresses that we added.
    pub fn addresses(&self) -> impl Iterator<Item = &(IpAddr, String)> {
        self.addresses.keys()
    }
}

fn same_name(a: &InstalledSa, b: &InstalledSa) -> bool {
    (a.protocol, a.destination, a.spi, a.inbound) == (b.protocol, b.destination, b.spi, b.inbound)
}

/// A Child SA as who needs a policy of this shape.
fn user(spec: &SaPairSpec, shape: &PolicyShape, sends: bool) -> Option<User> {
    let PolicyUse::Tunnel(template) = shape.does else { return None };
    let template = Template { spi: spec.spi_out, ..template };
    Some(User { child: spec.child, sends: sends.then_some(template) })
}

/// Changes that are none are left out.
fn really(claimed: impl Iterator<Item = (PolicyChange, Undo)>) -> (Vec<PolicyChange>, Vec<Undo>) {
    let (mut changes, undo): (Vec<_>, Vec<_>) = claimed.unzip();
    changes.retain(|change| !change.is_empty());
    (changes, undo)
}

/// The inbound and the outbound SA of a pair.
#[must_use]
pub(crate) fn child_sas(spec: &SaPairSpec) -> (InstalledSa, InstalledSa) {
    let (local, remote) = (spec.local.ip(), spec.remote.ip());
    let inbound = InstalledSa {
        protocol: spec.protocol,
        source: remote,
        destination: local,
        spi: spec.spi_in,
        inbound: true,
        larval: false,
        mark: spec.mark_in,
    };
    let outbound = InstalledSa {
        source: local,
        destination: remote,
        spi: spec.spi_out,
        inbound: false,
        mark: spec.mark_out,
        ..inbound
    };
    (inbound, outbound)
}
