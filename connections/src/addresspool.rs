//! Address pools: which peer has which inner address (`addresspool=`; RFC 7296, 2.19).
//!
//! A pool is a range. Connections that name the same range share it; ranges that overlap in
//! part are refused. An address that was given back is kept for its identity as long as
//! others are free, so that a peer that returns gets its old one; that outlives the pool,
//! which goes when no connection names it any more. Leasing and giving back cost the same
//! whatever the size of the pool, and only addresses that were ever leased take memory.

mod pool;
mod range;

pub use range::PoolRange;

use crate::{ConnectionSerial, Family, Id};
use pool::Pool;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Octets of an identity's text up to which its lease is remembered. Longer ones, which no
/// administrator has configured, always get another address.
const MAX_IDENTITY: usize = 256;

/// Identities whose address a pool remembers while they are away; of more, the ones that
/// are away for the longest time are forgotten. Also those that are remembered without a
/// pool; of more, the ones that come last are left out.
pub(crate) const MAX_LINGERING: usize = 100_000;

/// All pools of the daemon.
#[derive(Debug, Default)]
pub struct AddressPools {
    /// By first address, which tells overlapping ranges in O(log n).
    pools: BTreeMap<IpAddr, Entry>,
    /// Who had which address of pools that do not exist yet, or not any more.
    remembered: BTreeMap<IpAddr, String>,
    claims: FxHashMap<ConnectionSerial, Vec<IpAddr>>,
    /// What each connection has, at most one address of a family.
    held: FxHashMap<ConnectionSerial, Vec<Held>>,
}

#[derive(Debug)]
struct Entry {
    pool: Pool,
    /// The connections that name it.
    users: FxHashSet<ConnectionSerial>,
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.users.is_empty() && self.pool.in_use() == 0
    }
}

/// An address with the pool that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    pool: IpAddr,
    address: IpAddr,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRequest<'a> {
    /// The ranges that the connection gives addresses of.
    pub ranges: &'a [PoolRange],
    /// IPv4 or IPv6.
    pub family: Family,
    /// Who the peer has proved to be.
    pub identity: &'a Id,
    /// The connection, or instance, that gets the address.
    pub holder: ConnectionSerial,
    /// Whether an address that the identity has through another connection is taken from
    /// that one: the peer has come back and the old SA is a dead one.
    pub takeover: bool,
}

/// An address that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// The connection that has just lost it.
    pub taken_from: Option<ConnectionSerial>,
}

/// Why there is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseError {
    /// The connection has no pool of this family.
    NoPool(Family),
    /// Every address is in use.
    Exhausted(Family),
}

impl std::fmt::Display for LeaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPool(family) => write!(f, "the connection has no {} pool", family.name()),
            Self::Exhausted(family) => {
                write!(f, "every address of the {} pool is in use", family.name())
            }
        }
    }
}

impl std::error::Error for LeaseError {}

/// A pool for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStatus {
    /// Its range.
    pub range: PoolRange,
    /// How many addresses it has.
    pub size: u128,
    /// How many of them are in use.
    pub in_use: usize,
    /// How many wait for the identity that had them.
    pub lingering: usize,
    /// Those that were ever leased, in order of address.
    pub leases: Vec<LeaseStatus>,
}

/// A lease for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The address.
    pub address: IpAddr,
    /// Who has it; none when it is free.
    pub holder: Option<ConnectionSerial>,
    /// The identity that has it, or had it last and may return.
    pub identity: Option<String>,
}

/// Which identity has which address: what outlives the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSnapshot {
    /// The leases.
    pub leases: Vec<RememberedLease>,
}

/// One lease of a [`LeaseSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedLease {
    /// Kind and text of the identity.
    pub identity: String,
    /// Its address.
    pub address: IpAddr,
}

/// What stands for an identity; none for one that is nobody in particular (NULL
/// authentication) or too long to be remembered.
fn remembered(id: &Id) -> Option<Box<str>> {
    if matches!(id, Id::Null | Id::Any) {
        return None;
    }
    let text = format!("{} {id}", id.kind());
    (text.len() <= MAX_IDENTITY).then(|| text.into())
}

impl AddressPools {
    /// A connection names these ranges from now on.
    ///
    /// # Errors
    /// One overlaps the range of another connection in part; which one.
    pub fn claim(&mut self, user: ConnectionSerial, ranges: &[PoolRange]) -> Result<(), PoolRange> {
        for range in ranges {
            if let Some(other) = self.overlapping(range).filter(|other| other != range) {
                return Err(other);
            }
        }
        for range in ranges {
            self.entry(range).users.insert(user);
            self.claims.entry(user).or_default().push(range.first());
        }
        Ok(())
    }

    /// A connection is gone. Pools that no other one names stay until their last lease is
    /// given back.
    pub fn disclaim(&mut self, user: ConnectionSerial) {
        let claimed = self.claims.remove(&user).unwrap_or_default();
        for pool in &claimed {
            if let Some(entry) = self.pools.get_mut(pool) {
                entry.users.remove(&user);
            }
        }
        self.release(user);
        for pool in claimed {
            self.retire(pool);
        }
    }

    /// A pool goes if no connection names it and nobody has an address of it. Whom it knew
    /// waits for the next one that has their addresses: mostly the same, enlarged.
    fn retire(&mut self, pool: IpAddr) {
        if self.pools.get(&pool).is_some_and(Entry::is_idle)
            && let Some(gone) = self.pools.remove(&pool)
        {
            for lease in gone.pool.remembered() {
                self.remember(lease);
            }
        }
    }

    /// Remembers who had an address that no pool has.
    fn remember(&mut self, lease: RememberedLease) {
        if self.remembered.len() < MAX_LINGERING || self.remembered.contains_key(&lease.address) {
            self.remembered.insert(lease.address, lease.identity);
        }
    }

    /// The pool that a range has addresses in common with. Pools do not overlap each other,
    /// so it is the one that begins last before the range's end.
    fn overlapping(&self, range: &PoolRange) -> Option<PoolRange> {
        let (_, entry) = self.pools.range(..=range.last()).next_back()?;
        let found = entry.pool.range();
        found.overlaps(range).then_some(found)
    }

    fn entry(&mut self, range: &PoolRange) -> &mut Entry {
        let remembered = &mut self.remembered;
        self.pools.entry(range.first()).or_insert_with(|| {
            let mut pool = Pool::new(*range);
            let mut behind = remembered.split_off(&range.first());
            behind.retain(|address, identity| {
                let inside = *address <= range.last();
                if inside {
                    let identity = std::mem::take(identity);
                    pool.restore(&RememberedLease { identity, address: *address });
                }
                !inside
            });
            remembered.append(&mut behind);
            Entry { pool, users: FxHashSet::default() }
        })
    }

    /// Gives an address; the same one again to who has one already.
    ///
    /// # Errors
    /// There is no pool of that family, or nothing is free in it.
    pub fn lease(&mut self, request: &LeaseRequest<'_>) -> Result<Lease, LeaseError> {
        let family = request.family;
        let ranges = || request.ranges.iter().filter(|range| range.family() == family);
        if ranges().next().is_none() {
            return Err(LeaseError::NoPool(family));
        }
        let own = self.held.get(&request.holder).into_iter().flatten();
        if let Some(held) = own.into_iter().find(|held| Family::of(held.address) == family) {
            return Ok(Lease { address: held.address, taken_from: None });
        }
        let (holder, identity) = (request.holder, remembered(request.identity));
        let known = identity.as_deref();
        // No identity that is away loses its address while any range has one to spare.
        let found = self
            .first(ranges(), holder, |pool| pool.recover(known?, request))
            .or_else(|| self.first(ranges(), holder, |pool| pool.take(known, holder)))
            .or_else(|| self.first(ranges(), holder, |pool| pool.displace(known, holder)));
        // Who asks may be left over of a connection that is gone, whose ranges nobody names.
        for range in ranges() {
            self.retire(range.first());
        }
        found.ok_or(LeaseError::Exhausted(family))
    }

    /// What the first range gives that gives anything.
    fn first<'a>(
        &mut self,
        ranges: impl Iterator<Item = &'a PoolRange>,
        holder: ConnectionSerial,
        mut give: impl FnMut(&mut Pool) -> Option<Lease>,
    ) -> Option<Lease> {
        for range in ranges {
            let pool = &mut self.entry(range).pool;
            if let Some(lease) = give(pool) {
                return Some(self.hold(range, lease, holder));
            }
        }
        None
    }

    fn hold(&mut self, range: &PoolRange, lease: Lease, holder: ConnectionSerial) -> Lease {
        if let Some(loser) = lease.taken_from
            && let Some(held) = self.held.get_mut(&loser)
        {
            held.retain(|held| held.address != lease.address);
        }
        let held = Held { pool: range.first(), address: lease.address };
        self.held.entry(holder).or_default().push(held);
        lease
    }

    /// Takes back what a connection has; false: nothing.
    pub fn release(&mut self, holder: ConnectionSerial) -> bool {
        let Some(all) = self.held.remove(&holder) else { return false };
        for held in all {
            if let Some(entry) = self.pools.get_mut(&held.pool) {
                entry.pool.release(held.address);
            }
            self.retire(held.pool);
        }
        true
    }

    /// What a connection has.
    #[must_use]
    pub fn held_by(&self, holder: ConnectionSerial) -> Vec<IpAddr> {
        self.held.get(&holder).into_iter().flatten().map(|held| held.address).collect()
    }

    /// All pools, in order of address.
    #[must_use]
    pub fn status(&self) -> Vec<PoolStatus> {
        self.pools.values().map(|entry| entry.pool.status()).collect()
    }

    /// Who has which address, or had it last.
    #[must_use]
    pub fn snapshot(&self) -> LeaseSnapshot {
        let known = self.pools.values().flat_map(|entry| entry.pool.remembered());
        let unused = self.remembered.iter().map(|(address, identity)| RememberedLease {
            identity: identity.clone(),
            address: *address,
        });
        LeaseSnapshot { leases: known.chain(unused).collect() }
    }

    /// Remembers the leases as they were when the daemon last ended, as far as its
    /// identities and addresses are free: what is told twice or lies outside is left out.
    /// What belongs to no pool yet waits for it.
    pub fn restore(&mut self, snapshot: LeaseSnapshot) {
        let short = |lease: &RememberedLease| lease.identity.len() <= MAX_IDENTITY;
        for lease in snapshot.leases.into_iter().filter(short) {
            let before = self.pools.range_mut(..=lease.address).next_back();
            match before.filter(|(_, entry)| entry.pool.range().last() >= lease.address) {
                Some((_, entry)) => entry.pool.restore(&lease),
                None => self.remember(lease),
            }
        }
    }
}

#[cfg(test)]
#[path = "addresspool/tests.rs"]
mod tests;
