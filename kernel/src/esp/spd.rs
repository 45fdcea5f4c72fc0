//! Policies of what goes out, found by packet.
//!
//! Policies are grouped by *shape*: family, prefix lengths, whether protocol and ports
//! count. Within a shape one hash look-up finds the only candidate, so the cost grows with
//! the number of shapes in use, a handful, and not with the number of tunnels. Shapes
//! are tried in the order of their best priority, and the search ends where none can win.

use super::inner::Inner;
use crate::{PolicyKey, PolicyShape, Traffic};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    v6: bool,
    local: u8,
    remote: u8,
    protocol: bool,
    local_port: u16,
    remote_port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    local: u128,
    remote: u128,
    ports: u32,
    protocol: u8,
}

#[derive(Debug)]
struct Table {
    shape: Shape,
    entries: FxHashMap<Name, Policy>,
    /// How many entries there are of each priority.
    priorities: BTreeMap<u32, usize>,
}

impl Table {
    fn best(&self) -> u32 {
        self.priorities.keys().next().copied().unwrap_or(u32::MAX)
    }

    fn leave(&mut self, priority: u32) {
        if let Some(count) = self.priorities.get_mut(&priority) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.priorities.remove(&priority);
            }
        }
    }
}

/// A policy as it is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) shape: PolicyShape,
}

/// All policies.
#[derive(Debug, Default)]
pub(crate) struct Spd {
    tables: Vec<Table>,
}

impl Spd {
    /// Adds a policy, or replaces the one for the same traffic.
    pub(crate) fn insert(&mut self, key: PolicyKey, policy: PolicyShape) {
        let Some((shape, name)) = place(&key) else { return };
        let at = self.tables.iter().position(|table| table.shape == shape).unwrap_or_else(|| {
            self.tables.push(Table {
                shape,
                entries: FxHashMap::default(),
                priorities: BTreeMap::new(),
            });
            self.tables.len() - 1
        });
        let Some(table) = self.tables.get_mut(at) else { return };
        if let Some(before) = table.entries.insert(name, Policy { shape: policy }) {
            table.leave(before.shape.priority);
        }
        let count = table.priorities.entry(policy.priority).or_default();
        *count = count.saturating_add(1);
        self.tables.sort_by_key(Table::best);
    }

    /// Removes a policy.
    pub(crate) fn remove(&mut self, key: &PolicyKey) {
        let Some((shape, name)) = place(key) else { return };
        let Some(table) = self.tables.iter_mut().find(|table| table.shape == shape) else { return };
        if let Some(before) = table.entries.remove(&name) {
            table.leave(before.shape.priority);
        }
        self.tables.retain(|table| !table.entries.is_empty());
        self.tables.sort_by_key(Table::best);
    }

    /// The policy for a packet: the one with the smallest priority, among equals the one
    /// with the longest prefixes.
    pub(crate) fn find(&self, inner: &Inner) -> Option<&Policy> {
        let (local, remote, v6) = match (inner.source, inner.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                (u128::from(u32::from(source)), u128::from(u32::from(destination)), false)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                (source.into(), destination.into(), true)
            }
            _ => return None,
        };
        let mut found: Option<(&Policy, (u32, u16))> = None;
        for table in self.tables.iter().filter(|table| table.shape.v6 == v6) {
            if found.is_some_and(|(best, _)| best.shape.priority < table.best()) {
                break;
            }
            let Some(name) = named(&table.shape, local, remote, inner) else { continue };
            let Some(policy) = table.entries.get(&name) else { continue };
            let length = u16::from(table.shape.local) + u16::from(table.shape.remote);
            let rank = (policy.shape.priority, u16::MAX - length);
            if found.is_none_or(|(_, best)| rank < best) {
                found = Some((policy, rank));
            }
        }
        found.map(|(policy, _)| policy)
    }
}

/// The packet's name in a table; none where the table asks for ports that it does not show.
fn named(shape: &Shape, local: u128, remote: u128, inner: &Inner) -> Option<Name> {
    let ports = if shape.local_port | shape.remote_port == 0 {
        0
    } else {
        let (source, destination) = inner.ports?;
        pair(source & shape.local_port, destination & shape.remote_port)
    };
    Some(Name {
        local: masked(local, shape.v6, shape.local),
        remote: masked(remote, shape.v6, shape.remote),
        ports,
        protocol: if shape.protocol { inner.protocol } else { 0 },
    })
}

fn pair(source: u16, destination: u16) -> u32 {
    u32::from(source) << 16 | u32::from(destination)
}

fn masked(address: u128, v6: bool, prefix: u8) -> u128 {
    let free = if v6 { 128_u32 } else { 32 }.saturating_sub(u32::from(prefix));
    u128::MAX.checked_shl(free).map_or(0, |mask| address & mask)
}

/// Where a policy belongs; nowhere if its sides are of different families.
fn place(key: &PolicyKey) -> Option<(Shape, Name)> {
    let number = |side: &Traffic| match side.network {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => v6.into(),
    };
    let (local, remote) = (&key.local, &key.remote);
    let v6 = local.network.is_ipv6();
    if v6 != remote.network.is_ipv6() {
        return None;
    }
    // Both sides carry the same protocol; one may leave it open.
    let protocol = local.protocol.max(remote.protocol);
    let shape = Shape {
        v6,
        local: local.prefix,
        remote: remote.prefix,
        protocol: protocol != 0,
        local_port: local.port.1,
        remote_port: remote.port.1,
    };
    let name = Name {
        local: masked(number(local), v6, local.prefix),
        remote: masked(number(remote), v6, remote.prefix),
        ports: pair(local.port.0 & local.port.1, remote.port.0 & remote.port.1),
        protocol,
    };
    Some((shape, name))
}

#[cfg(test)]
#[path = "spd_tests.rs"]
mod tests;
