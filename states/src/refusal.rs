//! Why a message is refused, and what its sender gets to know.

use pluto_wire::v2::Notify;
use std::fmt;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Bytes that are not a message.
    Syntax,
    /// Against the protocol.
    Misbehaved,
    /// Nothing in common.
    Incompatible,
    /// Identity not proved.
    AuthFailed,
    /// Our own fault: kernel, secrets, scripts.
    Local,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is said.
    Drop,
    /// The request is answered with this notification; the SA goes on.
    Reply(Notify),
    /// The Child SA fails with this notification; the IKE SA goes on.
    FailChild(Notify),
    /// The IKE SA fails with this notification.
    FailIke(Notify),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose fault.
    pub cause: Cause,
    /// What happens.
    pub answer: Answer,
    /// For the log: what is wrong, and what would be right.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
