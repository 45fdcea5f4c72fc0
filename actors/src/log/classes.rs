//! Which debug lines are on: classes for all, and more of them for single connections.

use pluto_connections::ConnectionSerial;
use pluto_whack::{DebugClass, DebugSet};
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Looking costs two atomic loads where no connection has classes of its own.
#[derive(Debug, Default)]
pub(super) struct Classes {
    of_all: AtomicU16,
    /// Those that any connection has.
    of_some: AtomicU16,
    by_connection: Mutex<FxHashMap<ConnectionSerial, DebugSet>>,
}

impl Classes {
    pub(super) fn set(&self, on: DebugSet) {
        self.of_all.store(on.bits(), Ordering::Relaxed);
    }

    pub(super) fn all(&self) -> DebugSet {
        DebugSet::from_bits(self.of_all.load(Ordering::Relaxed))
    }

    pub(super) fn set_of(&self, connection: ConnectionSerial, on: DebugSet) {
        let mut sets = self.lock();
        if on.is_empty() {
            sets.remove(&connection);
        } else {
            sets.insert(connection, on);
        }
        let any = sets.values().fold(DebugSet::NONE, |any, set| any.union(*set));
        self.of_some.store(any.bits(), Ordering::Relaxed);
    }

    pub(super) fn of(&self, connection: ConnectionSerial) -> DebugSet {
        if self.of_some.load(Ordering::Relaxed) == 0 {
            return DebugSet::NONE;
        }
        self.lock().get(&connection).copied().unwrap_or_default()
    }

    pub(super) fn show(&self, class: DebugClass, connection: Option<ConnectionSerial>) -> bool {
        let somebody = || DebugSet::from_bits(self.of_some.load(Ordering::Relaxed));
        self.all().contains(class)
            || connection.is_some_and(|connection| {
                somebody().contains(class) && self.of(connection).contains(class)
            })
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<ConnectionSerial, DebugSet>> {
        self.by_connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
