//! What the updown actor receives.

use crate::Fault;
use actix::Message;
use pluto_updown::{Facts, Means, Outcome, Verb};

/// Run a verb for a tunnel; the answer comes when it has ended or its time is over.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<UpdownDone, Fault>")]
pub struct RunUpdown {
    /// The verb.
    pub verb: Verb,
    /// Natively, by a script, or not at all.
    pub means: Means,
    /// Facts of the tunnel.
    pub facts: Box<Facts>,
}

/// See [`RunUpdown`].
#[derive(Debug, Clone)]
pub struct UpdownDone {
    /// How it ended.
    pub outcome: Outcome,
    /// What it printed, line by line, bounded.
    pub output: Vec<String>,
}
