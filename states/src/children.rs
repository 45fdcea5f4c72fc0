//! The Child SAs of one IKE SA, in the order of their serial numbers.
//!
//! An IKE SA handles each input on a copy of itself, and few inputs concern more than one of
//! its Child SAs, of which there may be thousands. So copies share them: what is changed is
//! the part that holds the one in question, and only that is copied then.

use crate::child_sa::Child;
use crate::{ChildSpi, Instant};
use pluto_connections::SerialNo;
use pluto_wire::numbers::ProtocolId;
use std::sync::{Arc, OnceLock};

/// Child SAs of a part at most: about the root of how many there may be.
const MOST: usize = 32;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Children {
    parts: Arc<Vec<Arc<Part>>>,
}

/// Some that are neighbours by their serial numbers; at least one.
#[derive(Debug, Default)]
struct Part {
    children: Vec<Child>,
    /// The earliest deadline of them, once somebody has asked.
    deadline: OnceLock<Option<Instant>>,
}

impl Clone for Part {
    /// A copy is made to be changed: with room, and nothing that was found out before.
    fn clone(&self) -> Self {
        let mut children = Vec::with_capacity(self.children.len() + 1);
        children.extend_from_slice(&self.children);
        Self { children, deadline: OnceLock::new() }
    }
}

impl Part {
    fn deadline(&self) -> Option<Instant> {
        let earliest = || self.children.iter().filter_map(|child| child.life.deadline()).min();
        *self.deadline.get_or_init(earliest)
    }

    fn last(&self) -> Option<SerialNo> {
        self.children.last().map(|child| child.serial)
    }

    fn find(&self, serial: SerialNo) -> Option<usize> {
        self.children.binary_search_by_key(&serial, |child| child.serial).ok()
    }

    /// It is about to be changed.
    fn open(part: &mut Arc<Self>) -> &mut Vec<Child> {
        let part = Arc::make_mut(part);
        part.deadline.take();
        &mut part.children
    }
}

impl Children {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.children.len()).sum()
    }

    /// All of them, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.parts.iter().flat_map(|part| &part.children)
    }

    /// The newest.
    pub(crate) fn last(&self) -> Option<&Child> {
        self.parts.last().and_then(|part| part.children.last())
    }

    /// The earliest deadline of any.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.parts.iter().filter_map(|part| part.deadline()).min()
    }

    /// The part that holds this serial number, if any does.
    fn part_of(&self, serial: SerialNo) -> usize {
        self.parts.partition_point(|part| part.last().is_some_and(|last| last < serial))
    }

    /// The one with this serial number.
    pub(crate) fn by_serial(&self, serial: SerialNo) -> Option<&Child> {
        let part = self.parts.get(self.part_of(serial))?;
        part.children.get(part.find(serial)?)
    }

    /// The same, to be changed.
    pub(crate) fn by_serial_mut(&mut self, serial: SerialNo) -> Option<&mut Child> {
        let place = self.part_of(serial);
        let at = self.parts.get(place)?.find(serial)?;
        Part::open(Arc::make_mut(&mut self.parts).get_mut(place)?).get_mut(at)
    }

    /// The one that is up with this outbound SPI, which is how the peer names it.
    pub(crate) fn by_outbound(&self, protocol: ProtocolId, spi: ChildSpi) -> Option<&Child> {
        self.iter().find(|child| child.spi_out == Some(spi) && child.protocol == protocol)
    }

    /// Adds one at the place of its serial number.
    pub(crate) fn insert(&mut self, child: Child) {
        let serial = child.serial;
        let place = self.part_of(serial).min(self.parts.len().saturating_sub(1));
        let parts = Arc::make_mut(&mut self.parts);
        let Some(part) = parts.get_mut(place) else {
            return parts.push(Arc::new(Part { children: vec![child], ..Part::default() }));
        };
        let children = Part::open(part);
        let at = children.partition_point(|other| other.serial < serial);
        if children.len() < MOST {
            return children.insert(at, child);
        }
        // As a rule it is the newest, and those before it stay together.
        let mut behind = children.split_off(at.max(MOST / 2));
        match at {
            _ if at < children.len() => children.insert(at, child),
            _ => behind.insert(0, child),
        }
        parts.insert(place + 1, Arc::new(Part { children: behind, ..Part::default() }));
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, serial: SerialNo) -> Option<Child> {
        let place = self.part_of(serial);
        let at = self.parts.get(place)?.find(serial)?;
        let parts = Arc::make_mut(&mut self.parts);
        let children = Part::open(parts.get_mut(place)?);
        let child = children.remove(at);
        let left = children.len();
        if left == 0 {
            parts.remove(place);
        } else if let Some(next) =
            parts.get(place + 1).filter(|n| n.children.len() + left <= MOST / 2)
        {
            let next = Arc::clone(next);
            parts.remove(place + 1);
            Part::open(parts.get_mut(place)?).extend_from_slice(&next.children);
        }
        Some(child)
    }

    /// Changes all of them.
    pub(crate) fn for_each_mut(&mut self, mut change: impl FnMut(&mut Child)) {
        for part in Arc::make_mut(&mut self.parts) {
            Part::open(part).iter_mut().for_each(&mut change);
        }
    }

    /// Changes all that may have something due.
    pub(crate) fn for_each_due(&mut self, now: Instant, mut change: impl FnMut(&mut Child)) {
        let is_due = |part: &Arc<Part>| part.deadline().is_some_and(|deadline| deadline <= now);
        if !self.parts.iter().any(is_due) {
            return;
        }
        for part in Arc::make_mut(&mut self.parts).iter_mut().filter(|part| is_due(part)) {
            Part::open(part).iter_mut().for_each(&mut change);
        }
    }
}

#[cfg(test)]
#[path = "children_tests.rs"]
mod tests;
