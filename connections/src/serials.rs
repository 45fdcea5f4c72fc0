//! A small set of serial numbers: one of them costs no allocation, as most index entries
//! hold one.

use crate::ConnectionSerial;
use std::collections::BTreeSet;

/// Serial numbers in order.
#[derive(Debug, Clone, Default)]
pub(crate) enum SerialSet {
    #[default]
    Empty,
    One(ConnectionSerial),
    #[allow(clippy::box_collection, reason = "tens of thousands of sets hold one: 16 octets each")]
    Many(Box<BTreeSet<ConnectionSerial>>),
}

impl SerialSet {
    pub(crate) fn insert(&mut self, serial: ConnectionSerial) {
        match self {
            Self::Empty => *self = Self::One(serial),
            Self::One(one) if *one == serial => {}
            Self::One(one) => *self = Self::Many(Box::new(BTreeSet::from([*one, serial]))),
            Self::Many(all) => {
                all.insert(serial);
            }
        }
    }

    pub(crate) fn remove(&mut self, serial: ConnectionSerial) {
        match self {
            Self::One(one) if *one == serial => *self = Self::Empty,
            Self::Empty | Self::One(_) => {}
            Self::Many(all) => {
                all.remove(&serial);
                if all.is_empty() {
                    *self = Self::Empty;
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The oldest.
    pub(crate) fn first(&self) -> Option<ConnectionSerial> {
        self.iter().next()
    }

    /// From the oldest to the newest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ConnectionSerial> + '_ {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(one) => (Some(*one), None),
            Self::Many(all) => (None, Some(all.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_come_in_order_and_go() {
        let mut set = SerialSet::default();
        for n in [3, 1, 2, 3] {
            set.insert(ConnectionSerial(n));
        }
        assert_eq!(set.iter().map(|s| s.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(set.first(), Some(ConnectionSerial(1)));
        for n in [1, 2, 9, 3] {
            set.remove(ConnectionSerial(n));
        }
        assert!(set.is_empty());
        set.insert(ConnectionSerial(7));
        set.remove(ConnectionSerial(8));
        assert_eq!(set.first(), Some(ConnectionSerial(7)));
    }
}
