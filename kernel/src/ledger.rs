//! What has been asked of the kernel, by owner: enough to take all of it back.
//!
//! SAs belong to Child SAs, policies to connections. Several connections may want a policy
//! for the same traffic (an instance and the template whose trap it answers); the kernel
//! holds one. So each keeps its *claim*, the best one is installed, and when it is
//! withdrawn the next takes its place.

use crate::{PolicyAction, PolicySpec, SaMove, SaPairSpec, Traffic, TrafficPair};
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

/// What one Child SA or connection owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// SAs and reserved SPIs (of a Child SA).
    pub sas: Vec<InstalledSa>,
    /// Policies claimed (by a connection).
    pub policies: Vec<PolicyKey>,
}

/// What makes two policies one to the kernel; the priority does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyKey {
    /// Our side.
    pub local: Traffic,
    /// The peer's side.
    pub remote: Traffic,
    /// Mark (value, mask) of the policies for what comes in and is forwarded.
    pub mark_in: Option<(u32, u32)>,
    /// Mark (value, mask) of the policy for what goes out.
    pub mark_out: Option<(u32, u32)>,
    /// Interface id; 0 is none.
    pub if_id: u32,
}

/// What SA a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Template {
    /// Transport mode instead of tunnel mode.
    pub transport: bool,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Our address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// Group of the SAs.
    pub reqid: u32,
}

/// What a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyUse {
    /// A Child SA's: protects both ways.
    Tunnel(Template),
    /// Outbound traffic raises ACQUIRE.
    Trap(Template),
    /// Outbound traffic is dropped.
    Block,
    /// Traffic passes both ways in the clear.
    Pass,
}

/// A policy without its selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyShape {
    /// What it does.
    pub does: PolicyUse,
    /// Kernel priority; smaller wins.
    pub priority: u32,
}

/// Where in the path of a packet a policy applies; the numbers are XFRM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// To this host.
    In = 0,
    /// From this host.
    Out = 1,
    /// Through this host, after decapsulation.
    Forward = 2,
}

impl PolicyShape {
    /// The directions it needs policies for.
    #[must_use]
    pub fn directions(&self) -> &'static [Direction] {
        match self.does {
            PolicyUse::Trap(_) | PolicyUse::Block => &[Direction::Out],
            PolicyUse::Tunnel(template) if template.transport => &[Direction::Out, Direction::In],
            PolicyUse::Tunnel(_) | PolicyUse::Pass => {
                &[Direction::Out, Direction::In, Direction::Forward]
            }
        }
    }

    /// Smaller is better: priority as in the kernel, then protection before its absence.
    fn rank(&self) -> (u32, bool) {
        (self.priority, !matches!(self.does, PolicyUse::Tunnel(_)))
    }
}

/// What a change of claims means for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyChange {
    /// For which traffic.
    pub key: PolicyKey,
    /// What is installed.
    pub before: Option<PolicyShape>,
    /// What is to be installed.
    pub after: Option<PolicyShape>,
}

impl PolicyChange {
    /// Whether the kernel has anything to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// Directions that lose their policy.
    pub fn removed(&self) -> impl Iterator<Item = Direction> + '_ {
        let kept = self.after.as_ref().map_or(&[][..], PolicyShape::directions);
        let had = self.before.as_ref().map_or(&[][..], PolicyShape::directions);
        had.iter().filter(|direction| !kept.contains(direction)).copied()
    }
}

/// A claim as it was before a change, to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Undo {
    key: PolicyKey,
    previous: Option<PolicyShape>,
}

/// What is installed, by serial number of Child SA and of connection.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// SAs by Child SA.
    pub children: FxHashMap<u64, Owned>,
    /// Policies by connection.
    pub connections: FxHashMap<u64, Owned>,
    claims: FxHashMap<PolicyKey, Vec<(u64, PolicyShape)>>,
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

    /// Hard expiries of all SAs, other than reservations, that are not `present`.
    pub(crate) fn missing(
        &self,
        present: impl Fn(&InstalledSa) -> bool,
    ) -> Vec<crate::KernelEvent> {
        let mut events = Vec::new();
        for (child, owned) in &self.children {
            for sa in owned.sas.iter().filter(|sa| !sa.larval && !present(sa)) {
                events.push(crate::KernelEvent::Expire {
                    spi: sa.spi,
                    destination: sa.destination,
                    child: Some(*child),
                    hard: true,
                });
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
            if owned.sas.is_empty() {
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

    /// The SA by which a Child SA sends.
    #[must_use]
    pub fn outbound_of(&self, child: u64) -> Option<InstalledSa> {
        self.children.get(&child)?.sas.iter().find(|sa| !sa.larval && !sa.inbound).copied()
    }

    /// Strikes a Child SA out and tells what it had.
    pub fn take_child(&mut self, child: u64) -> Vec<InstalledSa> {
        let sas = self.children.get(&child).map(|owned| owned.sas.clone()).unwrap_or_default();
        for sa in &sas {
            self.remove_sa(child, sa);
        }
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
            let Some(shape) = self.claim_of(to.connection, &key) else { continue };
            if let PolicyUse::Tunnel(template) = shape.does
                && Some((template.local, template.remote)) == from
                && from != Some((local, remote))
            {
                let does = PolicyUse::Tunnel(Template { local, remote, ..template });
                let (change, _) = self.claim(to.connection, key, PolicyShape { does, ..shape });
                changes.push(change);
            }
        }
        (moved, changes)
    }

    /// Writes down that `connection` wants a policy, in place of what it wanted for the
    /// same traffic.
    pub fn claim(
        &mut self,
        connection: u64,
        key: PolicyKey,
        shape: PolicyShape,
    ) -> (PolicyChange, Undo) {
        let claims = self.claims.entry(key).or_default();
        let before = best(claims);
        let previous = match claims.iter_mut().find(|(owner, _)| *owner == connection) {
            Some(claim) => Some(std::mem::replace(&mut claim.1, shape)),
            None => {
                claims.push((connection, shape));
                self.connections.entry(connection).or_default().policies.push(key);
                None
            }
        };
        let after = self.claims.get(&key).and_then(|claims| best(claims));
        (PolicyChange { key, before, after }, Undo { key, previous })
    }

    /// Strikes out what `connection` wants for this traffic.
    pub fn release(&mut self, connection: u64, key: PolicyKey) -> PolicyChange {
        let mut change = PolicyChange { key, before: None, after: None };
        if let Some(claims) = self.claims.get_mut(&key) {
            change.before = best(claims);
            claims.retain(|(owner, _)| *owner != connection);
            change.after = best(claims);
            if claims.is_empty() {
                self.claims.remove(&key);
            }
        }
        if let Some(owned) = self.connections.get_mut(&connection) {
            owned.policies.retain(|had| *had != key);
            if owned.policies.is_empty() {
                self.connections.remove(&connection);
            }
        }
        change
    }

    /// Makes `wanted` all that `connection` wants.
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
            let previous = self.claim_of(connection, &key);
            changes.push((self.release(connection, key), Undo { key, previous }));
        }
        changes
    }

    /// Goes back to what `connection` claimed before.
    pub fn undo(&mut self, connection: u64, undo: Undo) -> PolicyChange {
        match undo.previous {
            Some(shape) => self.claim(connection, undo.key, shape).0,
            None => self.release(connection, undo.key),
        }
    }

    /// The policies that are to be installed.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyKey, PolicyShape)> + '_ {
        self.claims.iter().filter_map(|(key, claims)| Some((*key, best(claims)?)))
    }

    /// The traffic that `connection` has claims on.
    #[must_use]
    pub fn policies_of(&self, connection: u64) -> Vec<PolicyKey> {
        self.connections.get(&connection).map(|owned| owned.policies.clone()).unwrap_or_default()
    }

    fn claim_of(&self, connection: u64, key: &PolicyKey) -> Option<PolicyShape> {
        let claims = self.claims.get(key)?;
        claims.iter().find(|(owner, _)| *owner == connection).map(|(_, shape)| *shape)
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

/// Of equals the newest: it was asked for last.
fn best(claims: &[(u64, PolicyShape)]) -> Option<PolicyShape> {
    claims.iter().rev().min_by_key(|(_, shape)| shape.rank()).map(|(_, shape)| *shape)
}

/// The policies that a Child SA needs.
#[must_use]
pub(crate) fn child_policies(spec: &SaPairSpec) -> Vec<(PolicyKey, PolicyShape)> {
    let template = Template {
        transport: spec.transport,
        protocol: spec.protocol,
        local: spec.local.ip(),
        remote: spec.remote.ip(),
        reqid: spec.reqid,
    };
    let marks = (spec.mark_in, spec.mark_out);
    policies(&spec.traffic, marks, spec.if_id, PolicyUse::Tunnel(template))
}

/// The policies of a connection without a Child SA.
#[must_use]
pub(crate) fn bare_policies(spec: &PolicySpec) -> Vec<(PolicyKey, PolicyShape)> {
    let template = Template {
        transport: spec.transport,
        protocol: spec.protocol,
        local: spec.local,
        remote: spec.remote,
        reqid: spec.reqid,
    };
    let does = match spec.action {
        PolicyAction::Trap => PolicyUse::Trap(template),
        PolicyAction::Block => PolicyUse::Block,
        PolicyAction::Pass => PolicyUse::Pass,
    };
    policies(&spec.traffic, (spec.mark_in, spec.mark_out), spec.if_id, does)
}

type Mark = Option<(u32, u32)>;

fn policies(
    traffic: &[TrafficPair],
    (mark_in, mark_out): (Mark, Mark),
    if_id: u32,
    does: PolicyUse,
) -> Vec<(PolicyKey, PolicyShape)> {
    let one = |pair: &TrafficPair| {
        let (local, remote) = (pair.local, pair.remote);
        let key = PolicyKey { local, remote, mark_in, mark_out, if_id };
        (key, PolicyShape { does, priority: pair.priority })
    };
    traffic.iter().map(one).collect()
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
