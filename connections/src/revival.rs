//! When a connection that should be up tries again.

use std::time::Duration;

/// Counts attempts since the last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revival {
    attempts: u32,
}

impl Revival {
    /// The number of the next attempt (from 1) and how long to wait before it: 0, 5, 10, …
    /// up to 300 s.
    pub fn next_attempt(&mut self) -> (u32, Duration) {
        let wait = Duration::from_secs(u64::from(self.attempts).saturating_mul(5).min(300));
        self.attempts = self.attempts.saturating_add(1);
        (self.attempts, wait)
    }

    /// The connection is up: the next wait is 0 again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}
