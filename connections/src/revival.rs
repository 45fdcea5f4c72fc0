//! When a connection that should be up tries again, and over what.

use crate::routing::Wishes;
use crate::settings::EnableTcp;
use std::time::Duration;

/// What carries IKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Transport {
    Udp,
    Tcp,
}

/// Counts attempts since the last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revival {
    attempts: u32,
}

impl Revival {
    /// Whether there is another attempt at all: always while the connection is to be up;
    /// one where it is just kept (`auto=keep`).
    #[must_use]
    pub fn is_wanted(&self, wishes: Wishes) -> bool {
        wishes.up || (wishes.keep && self.attempts == 0)
    }

    /// The number of the next attempt (from 1) and how long to wait before it: 0, 5, 10, …
    /// up to 300 s.
    pub fn next_attempt(&mut self) -> (u32, Duration) {
        let wait = Duration::from_secs(u64::from(self.attempts).saturating_mul(5).min(300));
        self.attempts = self.attempts.saturating_add(1);
        (self.attempts, wait)
    }

    /// What the attempt that [`Self::next_attempt`] counted uses; before the first one,
    /// what the very first negotiation uses. `fallback` begins with UDP and takes turns.
    #[must_use]
    pub fn transport(&self, tcp: EnableTcp) -> Transport {
        match tcp {
            EnableTcp::No => Transport::Udp,
            EnableTcp::Yes => Transport::Tcp,
            EnableTcp::Fallback if self.attempts % 2 == 1 => Transport::Tcp,
            EnableTcp::Fallback => Transport::Udp,
        }
    }

    /// The connection is up: the next wait is 0 again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_five_seconds_up_to_five_minutes() {
        let mut revival = Revival::default();
        let waits: Vec<_> = (0..65).map(|_| revival.next_attempt()).collect();
        assert_eq!(waits[..3], [(1, secs(0)), (2, secs(5)), (3, secs(10))]);
        assert_eq!(waits[59], (60, secs(295)));
        assert_eq!(waits[60], (61, secs(300)));
        assert_eq!(waits[64], (65, secs(300)));
        revival.reset();
        assert_eq!(revival.next_attempt(), (1, secs(0)));
    }

    #[test]
    fn a_connection_that_is_kept_is_revived_once() {
        let keep = Wishes { keep: true, ..Wishes::default() };
        let mut revival = Revival::default();
        assert!(revival.is_wanted(keep));
        revival.next_attempt();
        assert!(!revival.is_wanted(keep));
        assert!(revival.is_wanted(Wishes { up: true, ..keep }));
        revival.reset();
        assert!(revival.is_wanted(keep));
        assert!(!revival.is_wanted(Wishes::default()));
    }

    #[test]
    fn fallback_takes_turns_beginning_with_udp() {
        let mut revival = Revival::default();
        let mut seen = vec![revival.transport(EnableTcp::Fallback)];
        for _ in 0..3 {
            revival.next_attempt();
            seen.push(revival.transport(EnableTcp::Fallback));
        }
        assert_eq!(seen, [Transport::Udp, Transport::Tcp, Transport::Udp, Transport::Tcp]);
        assert_eq!(revival.transport(EnableTcp::No), Transport::Udp);
        assert_eq!(revival.transport(EnableTcp::Yes), Transport::Tcp);
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }
}
