//! One pool.
//!
//! Every address that was ever leased has a slot. A slot is in use, or lingers (its
//! identity may return for it), or is free. Lingering slots form a list, the one that was
//! given back first in front: it is taken when nothing else is left.

use super::RememberedLease;
use super::{Lease, LeaseRequest, LeaseStatus, MAX_LINGERING, PoolRange, PoolStatus};
use crate::ConnectionSerial;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Index of a slot.
type SlotNo = usize;

#[derive(Debug)]
struct Slot {
    place: u128,
    identity: Option<Box<str>>,
    holder: Option<ConnectionSerial>,
    /// Neighbours in the list of those that linger.
    before: Option<SlotNo>,
    behind: Option<SlotNo>,
}

#[derive(Debug)]
pub(super) struct Pool {
    range: PoolRange,
    /// The first place that was never leased, but for those restored behind it.
    next: u128,
    slots: Vec<Slot>,
    by_place: FxHashMap<u128, SlotNo>,
    by_identity: FxHashMap<Box<str>, SlotNo>,
    free: Vec<SlotNo>,
    oldest: Option<SlotNo>,
    newest: Option<SlotNo>,
    lingering: usize,
    in_use: usize,
}

impl Pool {
    pub(super) fn new(range: PoolRange) -> Self {
        Self {
            range,
            next: 0,
            slots: Vec::new(),
            by_place: FxHashMap::default(),
            by_identity: FxHashMap::default(),
            free: Vec::new(),
            oldest: None,
            newest: None,
            lingering: 0,
            in_use: 0,
        }
    }

    pub(super) fn range(&self) -> PoolRange {
        self.range
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    /// The address that an identity had, or has elsewhere.
    pub(super) fn recover(&mut self, identity: &str, request: &LeaseRequest<'_>) -> Option<Lease> {
        let number = *self.by_identity.get(identity)?;
        let taken_from = self.slots.get(number)?.holder;
        if taken_from.is_some() && !request.takeover {
            return None;
        }
        if taken_from.is_none() {
            self.unlink(number);
            self.in_use = self.in_use.saturating_add(1);
        }
        let slot = self.slots.get_mut(number)?;
        slot.holder = Some(request.holder);
        Some(Lease { address: self.range.at(slot.place)?, taken_from })
    }

    /// An address that is nobody's, not even that of an identity that is away.
    pub(super) fn take(
        &mut self,
        identity: Option<&str>,
        holder: ConnectionSerial,
    ) -> Option<Lease> {
        let number = self.free.pop().or_else(|| self.grow())?;
        self.give(number, identity, holder)
    }

    /// The address of the identity that is away for the longest time. None when all are in
    /// use.
    pub(super) fn displace(
        &mut self,
        identity: Option<&str>,
        holder: ConnectionSerial,
    ) -> Option<Lease> {
        let number = self.evict()?;
        self.give(number, identity, holder)
    }

    fn give(
        &mut self,
        number: SlotNo,
        identity: Option<&str>,
        holder: ConnectionSerial,
    ) -> Option<Lease> {
        // Who already has an address elsewhere in this pool is known by that one.
        let identity = identity.filter(|id| !self.by_identity.contains_key(*id));
        let slot = self.slots.get_mut(number)?;
        slot.holder = Some(holder);
        slot.identity = identity.map(Into::into);
        if let Some(identity) = identity {
            self.by_identity.insert(identity.into(), number);
        }
        self.in_use = self.in_use.saturating_add(1);
        Some(Lease { address: self.range.at(slot.place)?, taken_from: None })
    }

    fn grow(&mut self) -> Option<SlotNo> {
        while self.by_place.contains_key(&self.next) {
            self.next = self.next.saturating_add(1);
        }
        let place = self.next;
        self.range.at(place)?;
        self.next = self.next.saturating_add(1);
        Some(self.add_slot(place))
    }

    fn add_slot(&mut self, place: u128) -> SlotNo {
        let number = self.slots.len();
        let slot = Slot { place, identity: None, holder: None, before: None, behind: None };
        self.slots.push(slot);
        self.by_place.insert(place, number);
        number
    }

    /// Forgets the identity that is away for the longest time; its slot is nobody's.
    fn evict(&mut self) -> Option<SlotNo> {
        let number = self.oldest?;
        self.unlink(number);
        if let Some(identity) = self.slots.get_mut(number)?.identity.take() {
            self.by_identity.remove(&identity);
        }
        Some(number)
    }

    pub(super) fn release(&mut self, address: IpAddr) {
        let place = self.range.place(address);
        let Some(number) = place.and_then(|place| self.by_place.get(&place).copied()) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(number) else { return };
        if slot.holder.take().is_none() {
            return;
        }
        self.in_use = self.in_use.saturating_sub(1);
        if slot.identity.is_some() {
            self.linger(number);
        } else {
            self.free.push(number);
        }
    }

    fn linger(&mut self, number: SlotNo) {
        let last = self.newest.replace(number);
        if let Some(slot) = self.slots.get_mut(number) {
            (slot.before, slot.behind) = (last, None);
        }
        match last.and_then(|last| self.slots.get_mut(last)) {
            Some(last) => last.behind = Some(number),
            None => self.oldest = Some(number),
        }
        self.lingering = self.lingering.saturating_add(1);
        if self.lingering > MAX_LINGERING
            && let Some(forgotten) = self.evict()
        {
            self.free.push(forgotten);
        }
    }

    /// Takes a slot out of the list of those that linger.
    fn unlink(&mut self, number: SlotNo) {
        let Some(slot) = self.slots.get_mut(number) else { return };
        let (before, behind) = (slot.before.take(), slot.behind.take());
        match before.and_then(|before| self.slots.get_mut(before)) {
            Some(slot) => slot.behind = behind,
            None => self.oldest = behind,
        }
        match behind.and_then(|behind| self.slots.get_mut(behind)) {
            Some(slot) => slot.before = before,
            None => self.newest = before,
        }
        self.lingering = self.lingering.saturating_sub(1);
    }

    pub(super) fn status(&self) -> PoolStatus {
        let mut slots: Vec<&Slot> = self.slots.iter().collect();
        slots.sort_unstable_by_key(|slot| slot.place);
        let leases = slots.into_iter().filter_map(|slot| {
            let identity = slot.identity.as_deref();
            // Its kind stands in front.
            let identity = identity.and_then(|id| Some(id.split_once(' ')?.1.to_owned()));
            let address = self.range.at(slot.place)?;
            Some(LeaseStatus { address, holder: slot.holder, identity })
        });
        PoolStatus {
            range: self.range,
            size: self.range.size(),
            in_use: self.in_use,
            lingering: self.lingering,
            leases: leases.collect(),
        }
    }

    pub(super) fn remembered(&self) -> impl Iterator<Item = RememberedLease> + '_ {
        self.slots.iter().filter_map(|slot| {
            let identity = slot.identity.as_deref()?.to_owned();
            Some(RememberedLease { identity, address: self.range.at(slot.place)? })
        })
    }

    pub(super) fn restore(&mut self, lease: &RememberedLease) {
        let Some(place) = self.range.place(lease.address) else { return };
        let known = self.by_identity.contains_key(lease.identity.as_str());
        // Slots that are free already are not searched for this one.
        if known || self.by_place.contains_key(&place) || self.lingering >= MAX_LINGERING {
            return;
        }
        let number = self.add_slot(place);
        if let Some(slot) = self.slots.get_mut(number) {
            slot.identity = Some(lease.identity.as_str().into());
        }
        self.by_identity.insert(lease.identity.as_str().into(), number);
        self.linger(number);
    }

    /// What must always hold.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let used = self.slots.iter().filter(|s| s.holder.is_some()).count();
        assert_eq!(used, self.in_use);
        assert_eq!(self.slots.len(), self.in_use + self.lingering + self.free.len());
        let (mut at, mut before, mut count) = (self.oldest, None, 0);
        while let Some(number) = at {
            let slot = &self.slots[number];
            assert_eq!(slot.before, before);
            assert!(slot.holder.is_none() && slot.identity.is_some());
            (before, at, count) = (Some(number), slot.behind, count + 1);
        }
        assert_eq!((before, count), (self.newest, self.lingering));
        for (identity, number) in &self.by_identity {
            assert_eq!(self.slots[*number].identity.as_ref(), Some(identity));
        }
        assert!(self.free.iter().all(|n| self.slots[*n].identity.is_none()));
    }
}
