//! A log in memory.

use pluto_actors::log::Log;
use slog::{Drain, Logger, Never, OwnedKVList, Record};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The lines that a daemon has logged; clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// A log that writes here.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::to(Logger::root(self.clone(), slog::o!()))
    }

    /// All lines.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines contain this.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.all().iter().filter(|line| line.contains(text)).count()
    }

    /// Whether a line contains this.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.count(text) > 0
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl Drain for Lines {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        let line = record.msg().to_string();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(())
    }
}
