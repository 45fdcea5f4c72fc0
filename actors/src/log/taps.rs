//! Who follows which lines.

use super::Subject;
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::Reporter;
use pluto_states::Level;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Where a tap is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Connection(ConnectionSerial),
    State(SerialNo),
}

impl TapFilter {
    fn key(&self) -> Key {
        match self {
            Self::Connection(c) | Self::ConnectionTrace(c) => Key::Connection(*c),
            Self::State(s) => Key::State(*s),
        }
    }

    fn traces(&self) -> bool {
        !matches!(self, Self::Connection(_))
    }
}

#[derive(Debug)]
struct Follower {
    id: u64,
    traces: bool,
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
    entries: Mutex<HashMap<Key, Vec<Follower>>>,
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Vec<Follower>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who follow a subject's connection or state.
fn following<'a>(
    entries: &'a HashMap<Key, Vec<Follower>>,
    subject: &Subject<'_>,
) -> impl Iterator<Item = &'a Follower> {
    let keys = [subject.connection.map(Key::Connection), subject.serial.map(Key::State)];
    keys.into_iter().flatten().filter_map(|key| entries.get(&key)).flatten()
}

/// A tap: dropped, it ends.
#[derive(Debug)]
pub struct Tap {
    id: u64,
    key: Key,
    taps: Taps,
}

impl Taps {
    pub(super) fn add(&self, filter: TapFilter, reporter: Reporter) -> Tap {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (key, traces) = (filter.key(), filter.traces());
        self.shared.entries().entry(key).or_default().push(Follower { id, traces, reporter });
        self.shared.count.fetch_add(1, Ordering::Release);
        Tap { id, key, taps: self.clone() }
    }

    fn remove(&self, key: Key, id: u64) {
        let mut entries = self.shared.entries();
        if let Entry::Occupied(mut of_key) = entries.entry(key) {
            of_key.get_mut().retain(|tap| tap.id != id);
            if of_key.get().is_empty() {
                of_key.remove();
            }
        }
        self.shared.count.fetch_sub(1, Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.shared.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn traces(&self, subject: &Subject<'_>) -> bool {
        !self.is_empty() && following(&self.shared.entries(), subject).any(|tap| tap.traces)
    }

    pub(super) fn tell(&self, level: Level, subject: &Subject<'_>, text: &str) {
        if self.is_empty() {
            return;
        }
        for tap in following(&self.shared.entries(), subject) {
            if level > Level::Debug || tap.traces {
                tap.reporter.say(0, text);
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.remove(self.key, self.id);
    }
}
