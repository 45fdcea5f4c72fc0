//! Who follows which lines.

use super::Subject;
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::Reporter;
use pluto_states::Level;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a tap follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapFilter {
    /// A connection, at info level: a whack that waits for it.
    Connection(ConnectionSerial),
    /// A state, at debug level: `whack --trace '#5'`.
    State(SerialNo),
    /// A connection with all its states, at debug level: `whack --trace west`.
    ConnectionTrace(ConnectionSerial),
}

impl TapFilter {
    fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Connection(c) | Self::ConnectionTrace(c) => subject.connection == Some(*c),
            Self::State(s) => subject.serial == Some(*s),
        }
    }

    fn traces(&self) -> bool {
        !matches!(self, Self::Connection(_))
    }
}

#[derive(Debug)]
struct Entry {
    id: u64,
    filter: TapFilter,
    reporter: Reporter,
}

/// All taps. Looking costs one atomic load while there are none.
#[derive(Debug, Default, Clone)]
pub(super) struct Taps {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    next: AtomicU64,
    entries: Mutex<Vec<Entry>>,
}

/// A tap: dropped, it ends.
#[derive(Debug)]
pub struct Tap {
    id: u64,
    taps: Taps,
}

impl Taps {
    pub(super) fn add(&self, filter: TapFilter, reporter: Reporter) -> Tap {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { id, filter, reporter });
        self.shared.count.store(entries.len(), Ordering::Release);
        drop(entries);
        Tap { id, taps: self.clone() }
    }

    fn remove(&self, id: u64) {
        let mut entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.id != id);
        self.shared.count.store(entries.len(), Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.shared.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn traces(&self, subject: &Subject<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().any(|entry| entry.filter.traces() && entry.filter.matches(subject))
    }

    pub(super) fn tell(&self, level: Level, subject: &Subject<'_>, text: &str) {
        if self.is_empty() {
            return;
        }
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.iter() {
            if entry.filter.matches(subject) && (level > Level::Debug || entry.filter.traces()) {
                entry.reporter.say(0, text);
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.remove(self.id);
    }
}
