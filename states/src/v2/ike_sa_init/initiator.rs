//! IKE_SA_INIT as initiator.
//!
//! Nothing in the response is authenticated. An error in it is remembered and logged, and
//! waited out for a moment (retransmission goes on), so that who only races the peer cannot
//! stop us; then it is believed, because an administrator should not wait 30 s to learn that
//! there is no common proposal.

use super::{InitData, Keyed, OUR_NONCE_LEN, Offer, notifications};
use crate::common::Cx;
use crate::fragments;
use crate::nat::{self, NatDetection, Path};
use crate::v2::ike_auth::initiator::begin_ike_auth;
use crate::v2::state::State;
use crate::{Job, JobId, JobResult, StoryEvent};
use pluto_connections::Encapsulation;
use pluto_connections::proposal::ChosenIke;
use pluto_crypto::{Cost, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType};
use pluto_wire::v2::{KePayload, Notify, Payload};
use pluto_wire::{Header, IkeSpi, MessageId};
use std::sync::Arc;
use std::time::Duration;

/// Cookies that are sent back before we suspect a loop (RFC 7296, 2.6).
const MAX_COOKIES: u8 = 3;

/// Key exchange methods that are tried at a responder's suggestion.
const MAX_INVALID_KE: u8 = 3;

/// Octets of a cookie (RFC 7296, 2.6).
const COOKIE_LEN: std::ops::RangeInclusive<usize> = 1..=64;

/// How long a better answer is waited for after an unauthenticated error, in intervals of
/// retransmission: the request goes out two times more.
const GRACE_INTERVALS: u32 = 4;

/// What all rounds of one attempt share.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Attempt {
    nonce: [u8; OUR_NONCE_LEN],
    cookie: Option<Arc<[u8]>>,
    cookies: u8,
    invalid_kes: u8,
}

/// Our key pair is made.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitKeyPair {
    job: JobId,
    attempt: Attempt,
}

/// The request is out.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitInitResponse {
    attempt: Attempt,
    key: Arc<LocalKey>,
    request: Arc<[u8]>,
    /// The first unauthenticated error.
    refused: Option<NotifyType>,
}

/// The shared secret is computed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitAgreement {
    job: JobId,
    init: Arc<InitData>,
}

/// `Input::Start`.
pub(crate) fn start(cx: &mut Cx<'_, '_>) -> State {
    let remote = cx.sa.path.remote.ip();
    cx.story(StoryEvent::Initiating { remote });
    let Some(method) = cx.sa.policy.proposals.first_ke() else {
        return fail(cx, "the connection's IKE proposals have no key exchange method".into());
    };
    let nonce = cx.random();
    let attempt = Attempt { nonce, cookie: None, cookies: 0, invalid_kes: 0 };
    make_key(cx, attempt, method)
}

fn fail(cx: &mut Cx<'_, '_>, why: String) -> State {
    let state = "IKE_SA_INIT_I";
    cx.story(StoryEvent::FatalInState { state, why: why.clone() });
    cx.failed(why);
    State::Finished
}

fn make_key(cx: &mut Cx<'_, '_>, attempt: Attempt, method: KeId) -> State {
    match LocalKey::cost(method) {
        Cost::Inline => match LocalKey::generate(method, cx.env.entropy) {
            Ok(key) => send_request(cx, attempt, Arc::new(key)),
            Err(error) => fail(cx, error.to_string()),
        },
        Cost::Pool => {
            let seed = cx.seed();
            let job = cx.job(Job::GenerateKey { method, seed });
            State::AwaitKeyPair(Box::new(AwaitKeyPair { job, attempt }))
        }
    }
}

impl AwaitKeyPair {
    pub(crate) fn job_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: JobId,
        result: JobResult,
    ) -> State {
        if id != self.job {
            return State::AwaitKeyPair(self);
        }
        match result {
            JobResult::Key(Ok(key)) => send_request(cx, self.attempt, Arc::new(key)),
            JobResult::Key(Err(error)) => fail(cx, error.to_string()),
            _ => fail(cx, "the job that makes our key pair was lost".into()),
        }
    }
}

fn send_request(cx: &mut Cx<'_, '_>, attempt: Attempt, key: Arc<LocalKey>) -> State {
    let policy = Arc::clone(&cx.sa.policy);
    let mut payloads = Vec::with_capacity(7);
    // RFC 7296, 2.6: the cookie comes first, and the rest is unchanged.
    if let Some(cookie) = &attempt.cookie {
        payloads.push(Payload::Notify(Notify::new(NotifyType::COOKIE, cookie.to_vec())));
    }
    payloads.push(Payload::Sa(policy.proposals.to_wire(&[])));
    payloads.push(Payload::Ke(KePayload { method: key.method(), data: key.public().to_vec() }));
    payloads.push(Payload::Nonce(attempt.nonce.to_vec()));
    cx.sa.spis.responder = IkeSpi::ZERO;
    payloads.extend(fragments::announcement(policy.fragmentation));
    payloads.extend(nat::notifications(policy.encapsulation, cx.sa.spis, &cx.sa.path));
    let header = cx.header(ExchangeType::IKE_SA_INIT, false, MessageId(0));
    let Some(bytes) = cx.unprotected(&header, payloads) else {
        return fail(cx, "the IKE_SA_INIT request does not fit into a message".into());
    };
    let request: Arc<[u8]> = bytes.into();
    cx.transmit_request(ExchangeType::IKE_SA_INIT, Arc::clone(&request).into(), &[]);
    cx.story(StoryEvent::SentIkeSaInitRequest { to: cx.sa.path.remote });
    let refused = None;
    State::AwaitInitResponse(Box::new(AwaitInitResponse { attempt, key, request, refused }))
}

impl AwaitInitResponse {
    /// A response without SA, KE and nonce: COOKIE, INVALID_KE_PAYLOAD, or an error.
    pub(crate) fn notified(
        mut self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        path: &Path,
        payloads: &[Payload],
    ) -> State {
        for notify in notifications(payloads) {
            match notify.notify_type {
                NotifyType::COOKIE => return self.cookie(cx, notify),
                NotifyType::INVALID_KE_PAYLOAD => return self.invalid_ke(cx, notify),
                error if error.is_error() => {
                    self.note_error(cx, error, path);
                    return State::AwaitInitResponse(self);
                }
                _ => {}
            }
        }
        State::AwaitInitResponse(self)
    }

    fn note_error(&mut self, cx: &mut Cx<'_, '_>, error: NotifyType, path: &Path) {
        if self.refused.is_some() {
            return;
        }
        self.refused = Some(error);
        let interval = cx.sa.policy.retransmit.interval;
        let grace = interval.saturating_mul(GRACE_INTERVALS).max(Duration::from_millis(100));
        cx.sa.timers.refused = Some(cx.now().after(grace));
        cx.story(StoryEvent::IkeSaInitErrorNoted { notify: error, from: path.remote });
    }

    /// No better answer came.
    pub(crate) fn give_up(self: Box<Self>, cx: &mut Cx<'_, '_>) -> State {
        cx.sa.timers.refused = None;
        let Some(notify) = self.refused else { return State::AwaitInitResponse(self) };
        cx.story(StoryEvent::IkeSaInitRejected { notify });
        cx.failed(format!("IKE_SA_INIT request rejected by peer: {notify}"));
        State::Finished
    }

    fn cookie(mut self: Box<Self>, cx: &mut Cx<'_, '_>, notify: &Notify) -> State {
        if self.attempt.cookies >= MAX_COOKIES || !COOKIE_LEN.contains(&notify.data.len()) {
            cx.debug("ignoring another COOKIE, or one of a length that is not allowed");
            return State::AwaitInitResponse(self);
        }
        self.attempt.cookies = self.attempt.cookies.saturating_add(1);
        self.attempt.cookie = Some(Arc::from(notify.data.as_slice()));
        cx.story(StoryEvent::ResendingWithCookie);
        self.again(cx);
        send_request(cx, self.attempt, self.key)
    }

    fn again(&self, cx: &mut Cx<'_, '_>) {
        cx.sa.window.take_back();
        cx.sa.timers.refused = None;
    }

    /// Only a method that we proposed ourselves is taken up (RFC 7296, 2.7).
    fn invalid_ke(mut self: Box<Self>, cx: &mut Cx<'_, '_>, notify: &Notify) -> State {
        let suggested = match notify.data.as_slice() {
            [high, low] => KeId(u16::from_be_bytes([*high, *low])),
            _ => KeId::NONE,
        };
        let sent = self.key.method();
        if suggested == sent
            || self.attempt.invalid_kes >= MAX_INVALID_KE
            || !cx.sa.policy.proposals.offers_ke(suggested)
        {
            cx.debug(format!("ignoring INVALID_KE_PAYLOAD that suggests {suggested}"));
            return State::AwaitInitResponse(self);
        }
        self.attempt.invalid_kes = self.attempt.invalid_kes.saturating_add(1);
        cx.story(StoryEvent::ResendingWithKe { sent, suggested });
        self.again(cx);
        make_key(cx, self.attempt, suggested)
    }

    /// A response with SA, KE and nonce.
    pub(crate) fn response(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        path: &Path,
        header: &Header,
        payloads: &[Payload],
        bytes: &[u8],
    ) -> State {
        let (init, peer_public) = match self.accept(cx, header, payloads, bytes) {
            Ok(accepted) => accepted,
            Err(why) => {
                // Anybody could have sent it: the real one may still come.
                cx.debug(format!("ignoring IKE_SA_INIT response: {why}"));
                return State::AwaitInitResponse(self);
            }
        };
        cx.sa.window.response_accepted();
        cx.sa.timers.refused = None;
        cx.sa.spis.responder = header.spis.responder;
        cx.sa.suite = Some(init.suite);
        cx.sa.fragments.agree(cx.sa.policy.fragmentation, payloads);
        // The hashes are over both SPIs (RFC 7296, 2.23).
        let encapsulation = cx.sa.policy.encapsulation;
        cx.sa.nat = NatDetection::judge(encapsulation, payloads, cx.sa.spis, path);
        cx.sa.mobike.nat_traversal =
            encapsulation != Encapsulation::No && nat::is_announced(payloads);
        cx.story(StoryEvent::ProcessedIkeSaInitResponse { from: path.remote, suite: init.suite });
        if cx.sa.nat.encapsulates() {
            let NatDetection { local, remote, .. } = cx.sa.nat;
            cx.story(StoryEvent::NatDetected { local, remote });
        }
        match LocalKey::cost(self.key.method()) {
            Cost::Inline => match self.key.agree(&peer_public) {
                Ok(shared) => agreed(cx, init, &shared),
                Err(error) => fail(cx, error.to_string()),
            },
            Cost::Pool => {
                let key = LocalKey::clone(&self.key);
                let job = cx.job(Job::Agree { key, peer: peer_public });
                State::AwaitAgreement(Box::new(AwaitAgreement { job, init }))
            }
        }
    }

    fn accept(
        &self,
        cx: &Cx<'_, '_>,
        header: &Header,
        payloads: &[Payload],
        bytes: &[u8],
    ) -> Result<(Arc<InitData>, Vec<u8>), String> {
        let offer = Offer::find(payloads).ok_or("a payload is missing")?;
        if header.spis.responder.is_zero() {
            return Err("its responder SPI is zero".into());
        }
        let ChosenIke { suite, .. } = cx
            .sa
            .policy
            .proposals
            .check_choice(offer.sa)
            .map_err(|_| "it chose a proposal that we did not make")?;
        if suite.ke != self.key.method() || offer.ke.method != suite.ke {
            return Err(format!(
                "KE is {}, the proposal has {}, we sent {}",
                offer.ke.method,
                suite.ke,
                self.key.method()
            ));
        }
        let childless = notifications(payloads)
            .any(|notify| notify.notify_type == NotifyType::CHILDLESS_IKEV2_SUPPORTED);
        let init = InitData {
            request: Arc::clone(&self.request),
            response: bytes.into(),
            ni: self.attempt.nonce.into(),
            nr: offer.nonce.into(),
            suite,
            childless,
        };
        Ok((Arc::new(init), offer.ke.data.clone()))
    }
}

impl AwaitAgreement {
    pub(crate) fn job_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: JobId,
        result: JobResult,
    ) -> State {
        if id != self.job {
            return State::AwaitAgreement(self);
        }
        match result {
            JobResult::Shared(Ok(shared)) => agreed(cx, self.init, &shared),
            JobResult::Shared(Err(error)) => fail(cx, error.to_string()),
            _ => fail(cx, "the job that computes the shared secret was lost".into()),
        }
    }
}

fn agreed(cx: &mut Cx<'_, '_>, init: Arc<InitData>, shared: &Secret) -> State {
    match Keyed::derive(init, shared, cx.sa.spis, true) {
        Ok(keyed) => begin_ike_auth(cx, keyed),
        Err(error) => fail(cx, error.to_string()),
    }
}
