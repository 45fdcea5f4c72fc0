//! The shell's clock: the one place that reads it.

use pluto_states::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the daemon's start; follows tokio's clock, so that tests may pause it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: tokio::time::Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { epoch: tokio::time::Instant::now() }
    }
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(self.epoch.elapsed())
    }

    /// How long until `deadline`; zero when it has passed.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.since(self.now())
    }
}

/// Seconds since 1970.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "wall-clock time for listings and log files")]
pub fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
