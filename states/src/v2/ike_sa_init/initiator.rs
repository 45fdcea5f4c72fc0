//! IKE_SA_INIT as initiator.
//!
//! Nothing in the response is authenticated. An error in it is remembered and logged, and
//! waited out for a moment (retransmission goes on), so that who only races the peer cannot
//! stop us; then it is believed, because an administrator should not wait 30 s to learn that
//! there is no common proposal. For the same reason the request counts as answered only when a
//! shared secret has come out of the response.

use super::{InitData, Keyed, OUR_NONCE_LEN, Offer, notifications};
use crate::common::Cx;
use crate::fragments;
use crate::nat::{self, NatDetection, Path};
use crate::v2::ike_auth::initiator::begin_ike_auth;
use crate::v2::state::State;
use crate::window::Paused;
use crate::{Instant, Job, JobId, JobResult, StoryEvent};
use pluto_connections::Encapsulation;
use pluto_connections::proposal::ChosenIke;
use pluto_crypto::{Cost, Error, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType};
use pluto_wire::v2::{KePayload, Notify, Payload};
use pluto_wire::{Header, IkeSpi, IkeSpis, MessageId};
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

/// The shared secret is computed, if one comes out of what the response says.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitAgreement {
    job: JobId,
    response: Response,
    /// What is gone back to when none does, and what was due then.
    waiting: Box<AwaitInitResponse>,
    paused: Option<Paused>,
    refused: Option<Instant>,
}

/// What was taken from a response, and counts once there is a shared secret.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Response {
    init: Arc<InitData>,
    responder: IkeSpi,
    path: Path,
    fragments: bool,
    nat: NatDetection,
    nat_traversal: bool,
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
        let (response, public) = match self.accept(cx, path, header, payloads, bytes) {
            Ok(accepted) => accepted,
            Err(why) => {
                // Anybody could have sent it: the real one may still come.
                cx.debug(format!("ignoring IKE_SA_INIT response: {why}"));
                return State::AwaitInitResponse(self);
            }
        };
        match LocalKey::cost(self.key.method()) {
            Cost::Inline => {
                let shared = self.key.agree(&public);
                self.agreed(cx, response, shared)
            }
            Cost::Pool => {
                let key = LocalKey::clone(&self.key);
                let job = cx.job(Job::Agree { key, peer: public });
                let (paused, refused) = (cx.sa.window.pause(), cx.sa.timers.refused.take());
                let waiting = AwaitAgreement { job, response, waiting: self, paused, refused };
                State::AwaitAgreement(Box::new(waiting))
            }
        }
    }

    /// The shared secret is computed, or cannot be: then the response is one that anybody could
    /// have sent, too.
    fn agreed(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        response: Response,
        shared: Result<Secret, Error>,
    ) -> State {
        match shared {
            Ok(shared) => response.believed(cx, &shared),
            Err(error @ Error::BadPublicValue(_)) => {
                cx.debug(format!("ignoring IKE_SA_INIT response: {error}"));
                State::AwaitInitResponse(self)
            }
            Err(error) => fail(cx, error.to_string()),
        }
    }

    fn accept(
        &self,
        cx: &Cx<'_, '_>,
        path: &Path,
        header: &Header,
        payloads: &[Payload],
        bytes: &[u8],
    ) -> Result<(Response, Vec<u8>), String> {
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
        // A value of the wrong length cannot be agreed with, so nothing is spent on it.
        let expected = pluto_crypto::ke_info(suite.ke).map(|info| info.responder_public);
        if expected != Some(offer.ke.data.len()) {
            let (octets, method) = (offer.ke.data.len(), suite.ke);
            return Err(format!("KE payload: {octets} octets are no value of {method}"));
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
        let encapsulation = cx.sa.policy.encapsulation;
        // The hashes are over both SPIs (RFC 7296, 2.23).
        let responder = header.spis.responder;
        let spis = IkeSpis { responder, ..cx.sa.spis };
        let response = Response {
            init: Arc::new(init),
            responder,
            path: *path,
            fragments: fragments::agreed(cx.sa.policy.fragmentation, payloads),
            nat: NatDetection::judge(encapsulation, payloads, spis, path),
            nat_traversal: encapsulation != Encapsulation::No && nat::is_announced(payloads),
        };
        Ok((response, offer.ke.data.clone()))
    }
}

impl Response {
    /// It is what the peer says, as far as can be known before IKE_AUTH.
    fn believed(self, cx: &mut Cx<'_, '_>, shared: &Secret) -> State {
        let Self { init, responder, path, .. } = self;
        cx.sa.window.response_accepted();
        cx.sa.timers.refused = None;
        cx.sa.spis.responder = responder;
        cx.sa.suite = Some(init.suite);
        cx.sa.fragments.agreed = self.fragments;
        cx.sa.nat = self.nat;
        cx.sa.mobike.nat_traversal = self.nat_traversal;
        cx.story(StoryEvent::ProcessedIkeSaInitResponse { from: path.remote, suite: init.suite });
        if cx.sa.nat.encapsulates() {
            let NatDetection { local, remote, .. } = cx.sa.nat;
            cx.story(StoryEvent::NatDetected { local, remote });
        }
        match Keyed::derive(init, shared, cx.sa.spis, true) {
            Ok(keyed) => begin_ike_auth(cx, keyed),
            Err(error) => fail(cx, error.to_string()),
        }
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
        let Self { response, waiting, paused, refused, .. } = *self;
        let JobResult::Shared(shared) = result else {
            return fail(cx, "the job that computes the shared secret was lost".into());
        };
        cx.sa.window.resume(paused);
        cx.sa.timers.refused = refused;
        waiting.agreed(cx, response, shared)
    }
}
