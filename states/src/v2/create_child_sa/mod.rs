//! CREATE_CHILD_SA (RFC 7296, 1.3): more Child SAs, and rekeying of both kinds.
//!
//! ```text
//! HDR, SK {[N(REKEY_SA),] SA, Ni, [KEi,] TSi, TSr}  -->       a Child SA
//!                            <--  HDR, SK {SA, Nr, [KEr,] TSi, TSr}
//! HDR, SK {SA, Ni, KEi}  -->                                  the IKE SA itself
//!                            <--  HDR, SK {SA, Nr, KEr}
//! ```
//!
//! What is refused because something else is under way (RFC 7296, 2.25) is refused here.

pub(crate) mod initiator;
mod pfs;
pub(crate) mod responder;

use super::established::Established;
use super::ike_sa_init::notifications;
use super::informational::protection_mut;
use super::mobike::Sent;
use super::rekey_ike::initiator::IkeExchange;
use super::rekey_ike::responder::IkeAnswer;
use super::state::State;
use crate::child_sa::Child;
use crate::common::{Cue, Cx, Task};
use crate::nat::Path;
use crate::{AskId, AskResult, ChildSpi, JobId, JobResult, KernelResult, StoryEvent};
use initiator::ChildExchange;
use pluto_connections::SerialNo;
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType, ProtocolId};
use pluto_wire::v2::{KePayload, Notify, Payload};
use responder::ChildAnswer;
use std::time::Duration;

/// An exchange that we have begun.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum Ours {
    /// Whether the peer lives.
    Liveness,
    /// A Child SA is deleted.
    DeleteChild(SerialNo, Cue),
    /// The peer is told of something that is over for us.
    Telling,
    /// A Child SA is made.
    Child(Box<ChildExchange>),
    /// The IKE SA is rekeyed.
    Ike(Box<IkeExchange>),
    /// The peer is told or asked about addresses.
    Mobike(Sent),
}

/// A request of the peer's that waits for us.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum Theirs {
    /// A Child SA is made.
    Child(Box<ChildAnswer>),
    /// The IKE SA is rekeyed.
    Ike(Box<IkeAnswer>),
}

/// The nonces of an exchange, by which redundant SAs are found (RFC 7296, 2.8.1).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Nonces {
    pub(crate) ni: Box<[u8]>,
    pub(crate) nr: Box<[u8]>,
}

impl Nonces {
    /// The lower one, octet by octet; where one ends, that is the lower.
    fn lowest(&self) -> &[u8] {
        (&*self.ni).min(&*self.nr)
    }

    /// Of two exchanges that made SAs for the same, the one with the lowest nonce is given
    /// up. Equal ones (only a broken generator makes them) are decided so that both sides
    /// decide alike: that of the IKE SA's initiator stays.
    pub(crate) fn loses_to(&self, other: &Self, original_initiator: bool) -> bool {
        match self.lowest().cmp(other.lowest()) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => !original_initiator,
            std::cmp::Ordering::Greater => false,
        }
    }
}

/// How long a peer that answers nothing but TEMPORARY_FAILURE is believed in
/// ("several minutes", RFC 7296, 2.25).
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Two TEMPORARY_FAILUREs further apart than that have nothing to do with each other.
const SAME_TROUBLE: Duration = Duration::from_secs(60);

/// How long to wait after TEMPORARY_FAILURE: long enough for an exchange of the peer's, and
/// not the same at both ends.
pub(crate) fn put_off(cx: &mut Cx<'_, '_>) -> Duration {
    let now = cx.now();
    let since = cx.sa.put_off.filter(|(_, last)| now.since(*last) < SAME_TROUBLE);
    cx.sa.put_off = Some((since.map_or(now, |(since, _)| since), now));
    let jitter = u16::from_be_bytes(cx.random());
    Duration::from_millis(2000 + u64::from(jitter) % 6000)
}

/// Whether the peer has put us off for too long.
pub(crate) fn out_of_patience(cx: &Cx<'_, '_>) -> bool {
    let now = cx.now();
    cx.sa
        .put_off
        .is_some_and(|(since, last)| now.since(since) > PATIENCE && now.since(last) < SAME_TROUBLE)
}

/// A peer that answers like this may have ended the IKE SA without a Delete (RFC 7296, 2.21.3):
/// it is asked whether it lives.
pub(crate) fn doubt(cx: &mut Cx<'_, '_>, answer: NotifyType) {
    if matches!(answer, NotifyType::INVALID_SYNTAX | NotifyType::AUTHENTICATION_FAILED) {
        cx.enqueue(Task::Liveness);
    }
}

/// When a failed rekeying is tried again, given when the SA ends: half way there, and not at
/// all in the last minute.
pub(crate) fn try_again(
    now: crate::Instant,
    end: Option<crate::Instant>,
) -> Option<crate::Instant> {
    let left = end?.since(now);
    (left > Duration::from_secs(60)).then(|| now.after(left / 2))
}

/// The same for a Child SA. Of what a limit of traffic wears out there is as much left as it has
/// carried, at least: there it is tried after a quarter of its age already.
pub(crate) fn rekey_again(now: crate::Instant, child: &Child) -> Option<crate::Instant> {
    let by_time = try_again(now, child.life.end);
    let left = child.life.end.filter(|_| child.worn).map(|end| end.since(now));
    let age = left.map(|left| child.policy.lifetimes.life.saturating_sub(left));
    let by_traffic = age.map(|age| now.after((age / 4).max(Duration::from_secs(1))));
    by_time.into_iter().chain(by_traffic).min()
}

/// The payloads that this exchange adds to those of a Child SA.
pub(crate) fn ke_payload(payloads: &[Payload]) -> Option<&KePayload> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Ke(ke) => Some(ke),
        _ => None,
    })
}

pub(crate) fn nonce(payloads: &[Payload]) -> Option<&[u8]> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.as_slice()),
        _ => None,
    })
}

/// The first error of a response.
pub(crate) fn first_error(payloads: &[Payload]) -> Option<&Notify> {
    notifications(payloads).find(|notify| notify.notify_type.is_error())
}

/// The method that INVALID_KE_PAYLOAD suggests.
pub(crate) fn suggested(notify: &Notify) -> Option<KeId> {
    let octets = <[u8; 2]>::try_from(notify.data.as_slice()).ok()?;
    Some(KeId(u16::from_be_bytes(octets)))
}

impl Established {
    /// Whether a request of the peer's is being answered: its window is one, so another one
    /// is the same again.
    pub(crate) fn is_answering(&self) -> bool {
        self.theirs.is_some()
    }

    /// Whether a request of the peer's to replace the same Child SA is being answered.
    pub(crate) fn is_answering_for(&self, replaced: Option<SerialNo>) -> bool {
        match &self.theirs {
            Some(Theirs::Child(answer)) => replaced.is_some_and(|old| answer.is_replacing(old)),
            _ => false,
        }
    }

    /// Whether a job, a question or the kernel is waited for.
    pub(crate) fn awaits_us(&self) -> bool {
        let ours = match &self.ours {
            Some(Ours::Child(exchange)) => exchange.awaits_us(),
            Some(Ours::Ike(exchange)) => exchange.awaits_us(),
            _ => false,
        };
        ours || self.theirs.is_some()
    }

    /// A job has ended.
    pub(crate) fn job_done(mut self, cx: &mut Cx<'_, '_>, id: JobId, result: JobResult) -> State {
        let ours = match &self.ours {
            Some(Ours::Child(exchange)) => exchange.awaits_job(id),
            Some(Ours::Ike(exchange)) => exchange.awaits_job(id),
            _ => false,
        };
        if ours {
            return match self.ours.take() {
                Some(Ours::Child(exchange)) => exchange.job_done(self, cx, result),
                Some(Ours::Ike(exchange)) => exchange.job_done(self, cx, result),
                _ => State::Established(self),
            };
        }
        match self.theirs.take() {
            Some(Theirs::Child(answer)) if answer.awaits_job(id) => {
                answer.job_done(self, cx, result)
            }
            Some(Theirs::Ike(answer)) if answer.awaits_job(id) => answer.job_done(self, cx, result),
            theirs => State::Established(Self { theirs, ..self }),
        }
    }

    /// A question was answered.
    pub(crate) fn ask_done(mut self, cx: &mut Cx<'_, '_>, id: AskId, result: AskResult) -> State {
        match self.theirs.take() {
            Some(Theirs::Child(answer)) if answer.awaits_answer(id) => {
                answer.ask_done(self, cx, result)
            }
            theirs => State::Established(Self { theirs, ..self }),
        }
    }

    /// The kernel has answered.
    pub(crate) fn kernel_done(mut self, cx: &mut Cx<'_, '_>, result: KernelResult) -> State {
        let about = match &result {
            KernelResult::Spi(child, _) | KernelResult::Installed(child, _) => *child,
            KernelResult::Expired { .. }
            | KernelResult::LastHeard(_)
            | KernelResult::Sources(_)
            | KernelResult::Mapping { .. }
            | KernelResult::OutboundInstalled(..)
            | KernelResult::Moved(..) => {
                return State::Established(self);
            }
        };
        match self.ours.take() {
            Some(Ours::Child(exchange)) if exchange.awaits_kernel(about) => {
                return exchange.kernel_done(self, cx, result);
            }
            ours => self.ours = ours,
        }
        match self.theirs.take() {
            Some(Theirs::Child(answer)) if answer.awaits_kernel(about) => {
                answer.kernel_done(self, cx, result)
            }
            theirs => State::Established(Self { theirs, ..self }),
        }
    }

    /// Our own side does not answer: what waits for it fails.
    pub(crate) fn stalled(mut self, cx: &mut Cx<'_, '_>, why: &str) -> State {
        match self.theirs.take() {
            Some(Theirs::Child(answer)) => answer.fail(&mut self, cx, why.into()),
            Some(Theirs::Ike(answer)) => answer.fail(&mut self, cx, why),
            None => {}
        }
        match self.ours.take() {
            Some(Ours::Child(exchange)) if exchange.awaits_us() => {
                exchange.fail(&mut self, cx, why.into());
            }
            Some(Ours::Ike(exchange)) if exchange.awaits_us() => {
                return exchange.fail(self, cx, why);
            }
            ours => self.ours = ours,
        }
        self.go_on(cx)
    }

    /// The peer has deleted what we do not know. It may be what it has made for us, whose
    /// response is still on its way.
    pub(crate) fn unknown_deleted(&mut self, spis: &[(ProtocolId, ChildSpi)]) {
        if let Some(Ours::Child(exchange)) = &mut self.ours {
            exchange.stillborn(spis);
        }
    }

    /// What the peer has made for the same as ours, and ours.
    pub(crate) fn rival_and_ours(&self) -> Option<(SerialNo, SerialNo)> {
        match &self.ours {
            Some(Ours::Child(exchange)) => exchange.rival_and_ours(),
            _ => None,
        }
    }

    /// Refuses a request of the peer's.
    pub(crate) fn refuse(
        &mut self,
        cx: &mut Cx<'_, '_>,
        path: Path,
        notify: Notify,
        why: impl Into<String>,
    ) {
        let (exchange, notify_type) = (ExchangeType::CREATE_CHILD_SA, notify.notify_type);
        let payloads = [Payload::Notify(notify)];
        if let Err(error) = cx.respond(&mut self.protection, exchange, path, &payloads) {
            cx.debug(error.to_string());
        }
        let (notify, to, why) = (notify_type, path.remote, why.into());
        cx.story(StoryEvent::SentProtected { exchange, notify, to, why });
    }
}

/// A request; the table has seen to its payloads.
pub(crate) fn process_request(
    cx: &mut Cx<'_, '_>,
    mut state: State,
    path: Path,
    payloads: &[Payload],
) -> State {
    let put_off = match &state {
        State::Established(_) if cx.sa.replaced_by.is_some() => "the IKE SA was rekeyed",
        State::Established(_) => "",
        // RFC 7296, 2.25.2.
        _ => "the IKE SA is being deleted",
    };
    match state {
        State::Established(established) if put_off.is_empty() => {
            let child = payloads.iter().any(|payload| matches!(payload, Payload::TsI(_)));
            if child {
                responder::process_request(established, cx, path, payloads)
            } else {
                super::rekey_ike::responder::process_request(established, cx, path, payloads)
            }
        }
        _ => {
            let notify = NotifyType::TEMPORARY_FAILURE;
            let answer = [Payload::Notify(Notify::new(notify, Vec::new()))];
            let Some(protection) = protection_mut(&mut state) else { return state };
            let exchange = ExchangeType::CREATE_CHILD_SA;
            if let Err(error) = cx.respond(protection, exchange, path, &answer) {
                cx.debug(error.to_string());
            }
            let (to, why) = (path.remote, put_off.into());
            cx.story(StoryEvent::SentProtected { exchange, notify, to, why });
            state
        }
    }
}

/// A response to our request.
pub(crate) fn process_response(cx: &mut Cx<'_, '_>, state: State, payloads: &[Payload]) -> State {
    let State::Established(mut established) = state else { return state };
    cx.sa.window.response_accepted();
    let error = first_error(payloads).map(|notify| notify.notify_type);
    if error != Some(NotifyType::TEMPORARY_FAILURE) {
        cx.sa.put_off = None;
    }
    match established.ours.take() {
        Some(Ours::Child(exchange)) => exchange.response(established, cx, payloads),
        Some(Ours::Ike(exchange)) => exchange.response(established, cx, payloads),
        _ => established.go_on(cx),
    }
}

/// A response that cannot be read: the peer believes in what it has made.
pub(crate) fn refuse_response(cx: &mut Cx<'_, '_>, state: State, why: String) -> State {
    let State::Established(mut established) = state else { return state };
    cx.sa.window.response_accepted();
    match established.ours.take() {
        Some(Ours::Child(exchange)) => {
            exchange.reject(&mut established, cx, why);
            established.go_on(cx)
        }
        Some(Ours::Ike(exchange)) => exchange.reject(established, cx, why),
        _ => established.go_on(cx),
    }
}

#[cfg(test)]
#[path = "nonces_tests.rs"]
mod tests;
