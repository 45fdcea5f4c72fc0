//! What has happened since the daemon began, or since `whack --clearstats`.

use super::Supervisor;
use pluto_messages::{ClearCounters, Reporter};

/// How many there were of a kind of SA.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lives {
    pub(super) started: u64,
    pub(super) established: u64,
    pub(super) finished: u64,
}

/// Counts for `--globalstatus`.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub(super) ike: Lives,
    pub(super) child: Lives,
    /// Panics before the counts began.
    pub(super) panics_before: u64,
}

/// One more.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl Totals {
    /// By their names.
    pub(super) fn counters(&self) -> [(&'static str, u64); 7] {
        [
            ("total.ike.ikev2.established", self.ike.established),
            ("total.ikev2.ike.started", self.ike.started),
            ("total.ikev2.ike.established", self.ike.established),
            ("total.ikev2.ike.finished", self.ike.finished),
            ("total.ikev2.child.started", self.child.started),
            ("total.ikev2.child.established", self.child.established),
            ("total.ikev2.child.finished", self.child.finished),
        ]
    }
}

impl Supervisor {
    /// `--clearstats`.
    pub(super) fn clear_totals(&mut self, reporter: &Reporter) {
        self.totals = Totals { panics_before: self.panics, ..Totals::default() };
        if let Some(listener) = &self.listener {
            listener.addr.do_send(ClearCounters);
        }
        let text = "counters are set to zero";
        self.shell.log.info(text);
        reporter.say(pluto_whack::codes::LOG, text);
    }
}
