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

/// How long ago something was at `then`, in seconds since 1970; none: never (0), or the clock has
/// been set back since, so that nobody knows.
#[must_use]
pub fn ago(now: Duration, then: u64) -> Option<Duration> {
    (then != 0).then(|| now.checked_sub(Duration::from_secs(then))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_before_the_clock_was_set_back_is_not_heard_just_now() {
        let now = Duration::from_millis(100_500);
        assert_eq!(ago(now, 0), None);
        assert_eq!(ago(now, 40), Some(Duration::from_millis(60_500)));
        assert_eq!(ago(now, 100), Some(Duration::from_millis(500)));
        assert_eq!(ago(now, 101), None);
        assert_eq!(ago(now, u64::MAX), None);
    }
}
