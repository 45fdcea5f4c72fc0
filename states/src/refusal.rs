//! Why a message is refused, and what its sender gets to know.

use pluto_wire::numbers::{NotifyType, PayloadType};
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

impl Refusal {
    /// Nothing is said.
    pub(crate) fn drop(cause: Cause, why: String) -> Self {
        Self { cause, answer: Answer::Drop, why }
    }

    /// What cannot be read, or does not stand where the protocol wants it, ends the IKE SA
    /// (RFC 7296, 2.21.3).
    pub(crate) fn syntax(why: String) -> Self {
        let notify = Notify::new(NotifyType::INVALID_SYNTAX, Vec::new());
        Self { cause: Cause::Syntax, answer: Answer::FailIke(notify), why }
    }

    /// RFC 7296, 2.5: the notification holds the payload's type.
    pub(crate) fn critical(payload_type: PayloadType) -> Self {
        let notify = Notify::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![payload_type.0]);
        let why = format!("payload of type {} is critical and not known", payload_type.0);
        Self { cause: Cause::Incompatible, answer: Answer::Reply(notify), why }
    }

    /// Who the peer says it is was not proved, or is not acceptable.
    pub(crate) fn auth_failed(cause: Cause, why: String) -> Self {
        let notify = Notify::new(NotifyType::AUTHENTICATION_FAILED, Vec::new());
        Self { cause, answer: Answer::FailIke(notify), why }
    }

    /// The Child SA cannot be.
    pub(crate) fn child(cause: Cause, notify_type: NotifyType, why: String) -> Self {
        let answer = Answer::FailChild(Notify::new(notify_type, Vec::new()));
        Self { cause, answer, why }
    }

    /// The notification that goes out, if one does.
    pub(crate) fn notify(&self) -> Option<&Notify> {
        match &self.answer {
            Answer::Drop => None,
            Answer::Reply(notify) | Answer::FailChild(notify) | Answer::FailIke(notify) => {
                Some(notify)
            }
        }
    }
}
