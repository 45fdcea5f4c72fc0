//! What root receives.

use crate::Reporter;
use actix::Message;

/// Stop the daemon in order.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// Leave what the kernel has.
    pub leave_state: bool,
    /// Who waits until it is done.
    pub reporter: Option<Reporter>,
}

/// SIGHUP.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Hangup;

/// A service cannot go on: the daemon stops in order and exits non-zero.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Escalated {
    /// Which.
    pub service: &'static str,
    /// Why.
    pub why: String,
}
