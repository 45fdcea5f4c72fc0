//! The exchanges of IKEv2: what may arrive in which state, with which payloads, and what is
//! done with it. A message that no row lists is refused here, and nowhere else.

use crate::Cause;
use crate::refusal::Refusal;
use pluto_wire::numbers::{ExchangeType, PayloadType};
use pluto_wire::v2::{Payload, describe};
use std::fmt;

/// Request or response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageRole {
    Request,
    Response,
}

impl fmt::Display for MessageRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// What a state waits for, as far as messages are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A new responder: for the request that made it.
    FirstRequest,
    /// An initiator that has sent IKE_SA_INIT.
    InitResponse,
    /// A responder that has answered IKE_SA_INIT.
    AuthRequest,
    /// An initiator that has sent IKE_AUTH.
    AuthResponse,
    /// Both have proved who they are.
    Established,
    /// We have sent Delete for the IKE SA.
    Deleting,
    /// For a job, an answer or the kernel; or it has ended.
    Nothing,
}

/// Who processes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    IkeSaInitRequest,
    IkeSaInitResponse,
    IkeSaInitNotification,
    IkeAuthRequest,
    IkeAuthEapRequest,
    IkeAuthResponse,
    IkeAuthRejection,
    CreateChildSaRequest,
    CreateChildSaResponse,
    InformationalRequest,
    InformationalResponse,
}

/// One transition.
#[derive(Debug)]
pub(crate) struct Row {
    waiting: &'static [Waiting],
    exchange: ExchangeType,
    message: MessageRole,
    /// Each of these must be there.
    required: &'static [PayloadType],
    /// None of these may be there (another row has them).
    without: &'static [PayloadType],
    /// These are looked at; others are ignored, unless they are unknown and critical.
    optional: &'static [PayloadType],
    /// Who processes it.
    pub(crate) processor: Processor,
    /// For the log.
    pub(crate) story: &'static str,
}

use ExchangeType as X;
use MessageRole::{Request, Response};
use PayloadType as P;

const CHILD: &[PayloadType] = &[P::SA, P::TSI, P::TSR];

/// Rows of one state, exchange and role are tried in order. The exchanges of later issues
/// (IKE_INTERMEDIATE, IKE_FOLLOWUP_KE, IKE_SESSION_RESUME, EAP within IKE_AUTH, MOBIKE within
/// INFORMATIONAL) get their rows here.
static TABLE: &[Row] = &[
    Row {
        waiting: &[Waiting::FirstRequest],
        exchange: X::IKE_SA_INIT,
        message: Request,
        required: &[P::SA, P::KE, P::NONCE],
        without: &[],
        optional: &[P::NOTIFY, P::VENDOR_ID],
        processor: Processor::IkeSaInitRequest,
        story: "responder: process IKE_SA_INIT request",
    },
    Row {
        waiting: &[Waiting::InitResponse],
        exchange: X::IKE_SA_INIT,
        message: Response,
        required: &[P::SA, P::KE, P::NONCE],
        without: &[],
        optional: &[P::NOTIFY, P::CERTREQ, P::VENDOR_ID],
        processor: Processor::IkeSaInitResponse,
        story: "initiator: process IKE_SA_INIT response",
    },
    // COOKIE, INVALID_KE_PAYLOAD, or an error that nobody has signed.
    Row {
        waiting: &[Waiting::InitResponse],
        exchange: X::IKE_SA_INIT,
        message: Response,
        required: &[P::NOTIFY],
        without: &[P::SA, P::KE, P::NONCE],
        optional: &[P::VENDOR_ID],
        processor: Processor::IkeSaInitNotification,
        story: "initiator: process IKE_SA_INIT notification",
    },
    Row {
        waiting: &[Waiting::AuthRequest],
        exchange: X::IKE_AUTH,
        message: Request,
        required: &[P::IDI, P::AUTH, P::SA, P::TSI, P::TSR],
        without: &[],
        optional: &[P::IDR, P::CERT, P::CERTREQ, P::NOTIFY, P::CP, P::VENDOR_ID],
        processor: Processor::IkeAuthRequest,
        story: "responder: process IKE_AUTH request",
    },
    // RFC 6023: no Child SA.
    Row {
        waiting: &[Waiting::AuthRequest],
        exchange: X::IKE_AUTH,
        message: Request,
        required: &[P::IDI, P::AUTH],
        without: CHILD,
        optional: &[P::IDR, P::CERT, P::CERTREQ, P::NOTIFY, P::CP, P::VENDOR_ID],
        processor: Processor::IkeAuthRequest,
        story: "responder: process childless IKE_AUTH request",
    },
    Row {
        waiting: &[Waiting::AuthRequest],
        exchange: X::IKE_AUTH,
        message: Request,
        required: &[P::IDI],
        without: &[P::AUTH],
        optional: &[P::IDR, P::SA, P::TSI, P::TSR, P::CERTREQ, P::NOTIFY, P::CP, P::VENDOR_ID],
        processor: Processor::IkeAuthEapRequest,
        story: "responder: refuse IKE_AUTH request for EAP",
    },
    Row {
        waiting: &[Waiting::AuthResponse],
        exchange: X::IKE_AUTH,
        message: Response,
        required: &[P::IDR, P::AUTH, P::SA, P::TSI, P::TSR],
        without: &[],
        optional: &[P::CERT, P::NOTIFY, P::CP, P::VENDOR_ID],
        processor: Processor::IkeAuthResponse,
        story: "initiator: process IKE_AUTH response",
    },
    // The Child SA was refused with a notification, or there was none asked for.
    Row {
        waiting: &[Waiting::AuthResponse],
        exchange: X::IKE_AUTH,
        message: Response,
        required: &[P::IDR, P::AUTH],
        without: &[P::SA],
        optional: &[P::CERT, P::NOTIFY, P::CP, P::VENDOR_ID, P::TSI, P::TSR],
        processor: Processor::IkeAuthResponse,
        story: "initiator: process IKE_AUTH response without Child SA",
    },
    Row {
        waiting: &[Waiting::AuthResponse],
        exchange: X::IKE_AUTH,
        message: Response,
        required: &[P::NOTIFY],
        without: &[P::AUTH],
        optional: &[P::VENDOR_ID],
        processor: Processor::IkeAuthRejection,
        story: "initiator: process IKE_AUTH rejection",
    },
    // CP, which some peers send in rekeyings, has no meaning here and is ignored.
    Row {
        waiting: &[Waiting::Established, Waiting::Deleting],
        exchange: X::CREATE_CHILD_SA,
        message: Request,
        required: &[P::SA, P::NONCE, P::TSI, P::TSR],
        without: &[],
        optional: &[P::KE, P::NOTIFY],
        processor: Processor::CreateChildSaRequest,
        story: "process CREATE_CHILD_SA request for a Child SA",
    },
    Row {
        waiting: &[Waiting::Established, Waiting::Deleting],
        exchange: X::CREATE_CHILD_SA,
        message: Request,
        required: &[P::SA, P::NONCE, P::KE],
        without: &[P::TSI, P::TSR],
        optional: &[P::NOTIFY],
        processor: Processor::CreateChildSaRequest,
        story: "process CREATE_CHILD_SA request for the IKE SA",
    },
    // What is missing in it is known by who waits for it.
    Row {
        waiting: &[Waiting::Established],
        exchange: X::CREATE_CHILD_SA,
        message: Response,
        required: &[],
        without: &[],
        optional: &[P::SA, P::NONCE, P::KE, P::TSI, P::TSR, P::NOTIFY],
        processor: Processor::CreateChildSaResponse,
        story: "process CREATE_CHILD_SA response",
    },
    Row {
        waiting: &[Waiting::Established, Waiting::Deleting],
        exchange: X::INFORMATIONAL,
        message: Request,
        required: &[],
        without: &[],
        optional: &[P::DELETE, P::NOTIFY, P::CP],
        processor: Processor::InformationalRequest,
        story: "process INFORMATIONAL request",
    },
    Row {
        waiting: &[Waiting::Established, Waiting::Deleting],
        exchange: X::INFORMATIONAL,
        message: Response,
        required: &[],
        without: &[],
        optional: &[P::DELETE, P::NOTIFY, P::CP],
        processor: Processor::InformationalResponse,
        story: "process INFORMATIONAL response",
    },
];

impl Row {
    /// The payloads that were neither asked for nor expected, for the log.
    pub(crate) fn ignored<'a>(
        &self,
        payloads: &'a [Payload],
    ) -> impl Iterator<Item = PayloadType> + use<'a> {
        let (required, optional) = (self.required, self.optional);
        payloads
            .iter()
            .map(Payload::payload_type)
            .filter(move |t| !required.contains(t) && !optional.contains(t))
    }
}

/// Whether a message of this kind is expected at all, before anything is decrypted.
pub(crate) fn expects(waiting: Waiting, exchange: ExchangeType, message: MessageRole) -> bool {
    rows(waiting, exchange, message).next().is_some()
}

fn rows(
    waiting: Waiting,
    exchange: ExchangeType,
    message: MessageRole,
) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| {
        row.exchange == exchange && row.message == message && row.waiting.contains(&waiting)
    })
}

/// The row for a message.
///
/// # Errors
/// There is none: what is wrong, and what its sender may be told.
pub(crate) fn admit(
    waiting: Waiting,
    exchange: ExchangeType,
    message: MessageRole,
    payloads: &[Payload],
) -> Result<&'static Row, Refusal> {
    if !expects(waiting, exchange, message) {
        let why = format!("{exchange} {message} is not expected now");
        return Err(Refusal::drop(Cause::Misbehaved, why));
    }
    // RFC 7296, 2.5: before anything else is looked at.
    if let Some(payload_type) = payloads.iter().find_map(critical_unknown) {
        return Err(Refusal::critical(payload_type));
    }
    let has = |wanted: &PayloadType| payloads.iter().any(|p| p.payload_type() == *wanted);
    let row = rows(waiting, exchange, message)
        .find(|row| row.required.iter().all(has) && !row.without.iter().any(has));
    let Some(row) = row else {
        let contents = describe(payloads);
        return Err(Refusal::syntax(format!(
            "{exchange} {message} lacks a payload that it must have; it has {{{contents}}}"
        )));
    };
    match repeated(payloads) {
        Some(twice) => Err(Refusal::syntax(format!("{exchange} {message} has {twice} twice"))),
        None => Ok(row),
    }
}

/// The type of a payload that is critical and not known.
pub(super) fn critical_unknown(payload: &Payload) -> Option<PayloadType> {
    match payload {
        Payload::Unknown(unknown) if unknown.critical => Some(unknown.payload_type),
        _ => None,
    }
}

/// A payload that may stand in a message once, and stands there twice.
fn repeated(payloads: &[Payload]) -> Option<PayloadType> {
    const ONCE: [PayloadType; 11] =
        [P::SA, P::KE, P::IDI, P::IDR, P::AUTH, P::NONCE, P::TSI, P::TSR, P::CP, P::EAP, P::SK];
    ONCE.into_iter().find(|once| payloads.iter().filter(|p| p.payload_type() == *once).count() > 1)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
