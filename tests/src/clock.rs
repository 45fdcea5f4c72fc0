//! Virtual time: it stands still until the simulation jumps to the next thing due.

use pluto_states::Instant;

/// The time of a simulation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    now: Instant,
}

impl Clock {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Jumps; never back.
    pub fn jump_to(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }
}
