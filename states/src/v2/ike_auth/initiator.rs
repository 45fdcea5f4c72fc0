//! IKE_AUTH as initiator.

use crate::common::Cx;
use crate::nat::Path;
use crate::refusal::Refusal;
use crate::story::ChildOffer;
use crate::v2::authentication::{
    Authenticated, Claim, authby_of, method_of, null_auth, signed_octets, verify,
};
use crate::v2::child::{self, ChildPayloads, KeySource, Place, Settled};
use crate::v2::configuration;
use crate::v2::established::{self, Established};
use crate::v2::ike_sa_init::{Keyed, notifications};
use crate::v2::mobike::{self, Announced};
use crate::v2::refused;
use crate::v2::state::State;
use crate::{AskId, AskResult, Cause, DownReason, KernelResult, StoryEvent};
use pluto_connections::{Authby, ChildPolicy, ConfigRole, Id, SerialNo, narrow};
use pluto_crypto::Secret;
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{AuthPayload, Notify, Payload, describe};
use std::sync::Arc;

/// Our AUTH is computed by who holds the key.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitOwnAuth {
    ask: AskId,
    keyed: Keyed,
}

/// The kernel reserves our SPI.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitSpi {
    keyed: Keyed,
    auth: Secret,
    child: SerialNo,
}

/// The request is out.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitAuthResponse {
    pub(crate) keyed: Keyed,
    child: Option<SerialNo>,
}

/// What the peer's AUTH must be is computed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitExpectedAuth {
    ask: AskId,
    keyed: Keyed,
    child: Option<SerialNo>,
    response: Box<Response>,
}

/// The kernel installs the Child SA; the IKE SA is established.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitInstall {
    pub(crate) established: Established,
    child: SerialNo,
}

/// What was taken from the response.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Response {
    claim: Claim,
    remote_id: Id,
    child: Option<ChildPayloads>,
    /// CFG_REPLY, if there is one.
    configuration: Option<Payload>,
    error: Option<NotifyType>,
    initial_contact: bool,
    /// MOBIKE.
    mobike: Option<Announced>,
}

fn fail(cx: &mut Cx<'_, '_>, state: &'static str, why: String) -> State {
    cx.story(StoryEvent::FatalInState { state, why: why.clone() });
    cx.failed(why);
    State::Finished
}

/// The keys are there: our AUTH, then our SPI, then the request.
pub(crate) fn begin_ike_auth(cx: &mut Cx<'_, '_>, keyed: Keyed) -> State {
    let policy = Arc::clone(&cx.sa.policy);
    let Some(own_id) = policy.local_id.to_wire() else {
        let why = format!("'{}' cannot be our identity", policy.local_id);
        return fail(cx, "IKE_SA_INIT_IR", why);
    };
    let octets = match signed_octets(&keyed, true, &own_id) {
        Ok(octets) => octets,
        Err(error) => return fail(cx, "IKE_SA_INIT_IR", error.to_string()),
    };
    match policy.local_auth {
        Authby::Psk => {
            let ask = cx.ask_psk(&keyed.init.suite, &policy.remote_id, vec![octets]);
            State::AwaitOwnAuth(Box::new(AwaitOwnAuth { ask, keyed }))
        }
        Authby::Null => match null_auth(&keyed, true, &octets) {
            Ok(auth) => with_own_auth(cx, keyed, auth),
            Err(error) => fail(cx, "IKE_SA_INIT_IR", error.to_string()),
        },
        other => fail(cx, "IKE_SA_INIT_IR", format!("{other:?} is not implemented")),
    }
}

impl AwaitOwnAuth {
    pub(crate) fn ask_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: AskId,
        result: AskResult,
    ) -> State {
        if id != self.ask {
            return State::AwaitOwnAuth(self);
        }
        match result {
            AskResult::Psk(Some(macs)) => match macs.into_iter().next() {
                Some(auth) => with_own_auth(cx, self.keyed, auth),
                None => fail(cx, "IKE_SA_INIT_IR", "no AUTH was computed".into()),
            },
            AskResult::Psk(None) => {
                let policy = Arc::clone(&cx.sa.policy);
                let (local_id, remote_id) = (policy.local_id.clone(), policy.remote_id.clone());
                cx.story(StoryEvent::NoSecret { local_id, remote_id });
                fail(cx, "IKE_SA_INIT_IR", "no pre-shared key for this connection".into())
            }
            _ => fail(cx, "IKE_SA_INIT_IR", "the holder of secrets did not answer".into()),
        }
    }
}

fn with_own_auth(cx: &mut Cx<'_, '_>, keyed: Keyed, auth: Secret) -> State {
    if !cx.sa.wanted.is_empty() {
        let policy = cx.sa.wanted.remove(0);
        let child = child::begin(cx, &policy);
        return State::AwaitSpi(Box::new(AwaitSpi { keyed, auth, child }));
    }
    if keyed.init.childless {
        return send_request(cx, keyed, &auth, None);
    }
    // RFC 6023, 3: only who announced it understands IKE_AUTH without a Child SA.
    fail(cx, "IKE_SA_INIT_IR", "peer does not support an IKE SA without Child SA".into())
}

impl AwaitSpi {
    pub(crate) fn kernel_done(self: Box<Self>, cx: &mut Cx<'_, '_>, result: KernelResult) -> State {
        match result {
            KernelResult::Spi(child, Ok(spi)) if child == self.child => {
                if let Some(child) = cx.sa.child_mut(child) {
                    child.spi_in = Some(spi);
                }
                send_request(cx, self.keyed, &self.auth, Some(child))
            }
            KernelResult::Spi(child, Err(fault)) if child == self.child => {
                let why = format!("kernel: no SPI: {fault}");
                let event = StoryEvent::ChildNotInstalled { fault: fault.clone() };
                child::failed(cx, child, event, DownReason::Kernel(fault));
                fail(cx, "IKE_SA_INIT_IR", why)
            }
            _ => State::AwaitSpi(self),
        }
    }
}

fn send_request(
    cx: &mut Cx<'_, '_>,
    mut keyed: Keyed,
    auth: &Secret,
    child: Option<SerialNo>,
) -> State {
    let policy = Arc::clone(&cx.sa.policy);
    let (Some(own_id), Some(method)) = (policy.local_id.to_wire(), method_of(policy.local_auth))
    else {
        return fail(cx, "IKE_SA_INIT_IR", "we have no identity".into());
    };
    // RFC 7296, 2.23: both ports move when there is a NAT, and with MOBIKE always, for there
    // may be one later (RFC 4555, 3.3).
    if cx.sa.nat.encapsulates() || (policy.mobike && cx.sa.mobike.nat_traversal) {
        cx.sa.path.float(policy.nat_port);
    }
    let mut payloads = vec![Payload::IdI(own_id)];
    if policy.initial_contact {
        let notify = Notify::new(NotifyType::INITIAL_CONTACT, Vec::new());
        payloads.push(Payload::Notify(notify));
    }
    if policy.remote_id_configured {
        payloads.extend(policy.remote_id.to_wire().map(Payload::IdR));
    }
    payloads.push(Payload::Auth(AuthPayload { method, data: auth.expose().to_vec() }));
    let encapsulated = cx.sa.nat.encapsulates();
    let mut offered = None;
    if let Some(child) = child.and_then(|serial| cx.sa.child(serial))
        && let Some(spi_in) = child.spi_in
    {
        payloads.extend(configuration::request(&child.policy));
        payloads.extend(child::offer(&child.policy, spi_in, None));
        offered = Some(Box::new(ChildOffer {
            child: child.serial,
            protocol: child.protocol,
            encapsulated,
            spi_in,
            local_ts: child.policy.local_ts.clone(),
            remote_ts: child.policy.remote_ts.clone(),
        }));
    }
    payloads.extend(mobike::announcement(cx));
    if let Err(error) = cx.request(&mut keyed.protection, ExchangeType::IKE_AUTH, &payloads) {
        return fail(cx, "IKE_SA_INIT_IR", error.to_string());
    }
    let (to, local_id) = (cx.sa.path.remote, policy.local_id.clone());
    cx.story(StoryEvent::SentIkeAuthRequest { to, method, local_id, child: offered });
    State::AwaitAuthResponse(Box::new(AwaitAuthResponse { keyed, child }))
}

impl AwaitAuthResponse {
    /// A response without AUTH: the peer refuses us (RFC 7296, 2.21.2).
    pub(crate) fn rejected(self, cx: &mut Cx<'_, '_>, payloads: &[Payload]) -> State {
        let error = notifications(payloads).map(|n| n.notify_type).find(|n| n.is_error());
        let Some(notify) = error else {
            // Nothing but status: no answer to what we asked.
            let why = "the IKE_AUTH response has neither AUTH nor an error".into();
            return self.refuse(cx, &Refusal::syntax(why));
        };
        cx.sa.window.response_accepted();
        cx.story(StoryEvent::IkeAuthRejected { notify });
        fail(cx, "IKE_AUTH_I", format!("IKE SA authentication request rejected by peer: {notify}"))
    }

    /// A response with IDr and AUTH.
    pub(crate) fn response(self, cx: &mut Cx<'_, '_>, path: &Path, payloads: &[Payload]) -> State {
        let contents = describe(payloads);
        let (from, fragments) = (path.remote, cx.sa.fragments.made_of);
        cx.story(StoryEvent::ProcessingIkeAuthResponse { from, contents, fragments });
        let response = match judge(cx, payloads) {
            Ok(response) => response,
            Err(refusal) => return self.refuse(cx, &refusal),
        };
        let octets = match signed_octets(&self.keyed, false, &response.claim.sender) {
            Ok(octets) => octets,
            Err(error) => return fail(cx, "IKE_AUTH_I", error.to_string()),
        };
        cx.sa.window.response_accepted();
        let Self { keyed, child } = self;
        if cx.sa.policy.remote_auth == Authby::Null {
            return match null_auth(&keyed, false, &octets) {
                Ok(expected) => with_expected(cx, keyed, child, response, &expected),
                Err(error) => fail(cx, "IKE_AUTH_I", error.to_string()),
            };
        }
        let ask = cx.ask_psk(&keyed.init.suite, &response.remote_id, vec![octets]);
        let response = Box::new(response);
        State::AwaitExpectedAuth(Box::new(AwaitExpectedAuth { ask, keyed, child, response }))
    }

    /// The response cannot be used: the peer, which believes in the IKE SA, is told in an
    /// exchange of its own (RFC 7296, 2.21.2).
    pub(crate) fn refuse(self, cx: &mut Cx<'_, '_>, refusal: &Refusal) -> State {
        cx.sa.window.response_accepted();
        refuse_peer(cx, self.keyed, refusal)
    }
}

fn refuse_peer(cx: &mut Cx<'_, '_>, keyed: Keyed, refusal: &Refusal) -> State {
    cx.story(StoryEvent::PeerNotAuthenticated { why: refusal.why.clone() });
    let why = format!("IKE_AUTH response refused: {}", refusal.why);
    cx.story(StoryEvent::FatalInState { state: "IKE_AUTH_I", why: why.clone() });
    established::reject(cx, keyed.protection, refusal.notify().cloned(), why)
}

/// Who answers, and how that will be proved.
fn judge(cx: &Cx<'_, '_>, payloads: &[Payload]) -> Result<Response, Refusal> {
    let policy = &cx.sa.policy;
    let claim = Claim::find(payloads, false)
        .ok_or_else(|| Refusal::syntax("the IKE_AUTH response lacks IDr or AUTH".into()))?;
    let remote_id = Id::from_wire(&claim.sender)
        .map_err(|error| Refusal::auth_failed(Cause::Incompatible, format!("IDr: {error}")))?;
    if !policy.remote_id.accepts(&remote_id) {
        let why = format!("we expected peer ID '{}', it is '{remote_id}'", policy.remote_id);
        return Err(Refusal::auth_failed(Cause::AuthFailed, why));
    }
    if authby_of(claim.auth.method) != policy.remote_auth {
        let (method, wanted) = (claim.auth.method, policy.remote_auth);
        let why = format!("AUTH has method {method}, the connection wants {wanted:?}");
        return Err(Refusal::auth_failed(Cause::AuthFailed, why));
    }
    let mut notifies = notifications(payloads).map(|notify| notify.notify_type);
    Ok(Response {
        claim,
        remote_id,
        child: ChildPayloads::find(payloads),
        configuration: payloads.iter().find(|p| matches!(p, Payload::Cp(_))).cloned(),
        error: notifies.find(|notify| notify.is_error()),
        initial_contact: notifications(payloads)
            .any(|notify| notify.notify_type == NotifyType::INITIAL_CONTACT),
        mobike: Announced::find(payloads).filter(|_| policy.mobike),
    })
}

impl AwaitExpectedAuth {
    pub(crate) fn ask_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: AskId,
        result: AskResult,
    ) -> State {
        if id != self.ask {
            return State::AwaitExpectedAuth(self);
        }
        let Self { keyed, child, response, .. } = *self;
        match result {
            AskResult::Psk(Some(macs)) => {
                let expected = macs.into_iter().next().unwrap_or_default();
                with_expected(cx, keyed, child, *response, &expected)
            }
            AskResult::Psk(None) => {
                let local_id = cx.sa.policy.local_id.clone();
                let remote_id = response.remote_id.clone();
                cx.story(StoryEvent::NoSecret { local_id, remote_id });
                let why = "no pre-shared key for this peer".into();
                refuse_peer(cx, keyed, &Refusal::auth_failed(Cause::Local, why))
            }
            _ => {
                let why = "the holder of secrets did not answer".into();
                refuse_peer(cx, keyed, &Refusal::auth_failed(Cause::Local, why))
            }
        }
    }
}

fn with_expected(
    cx: &mut Cx<'_, '_>,
    keyed: Keyed,
    child: Option<SerialNo>,
    response: Response,
    expected: &Secret,
) -> State {
    let how = cx.sa.policy.remote_auth;
    let proof = match verify(expected, &response.claim.auth, response.remote_id.clone(), how) {
        Ok(proof) => proof,
        Err(refusal) => return refuse_peer(cx, keyed, &refusal),
    };
    let mut established = Established::enter(cx, &keyed, proof, response.initial_contact);
    if let Some(announced) = response.mobike.clone() {
        mobike::agree(cx, announced);
    }
    let proof = established.proof().clone();
    match child {
        None => {}
        Some(child) => match first_child(cx, &keyed, &proof, child, &response) {
            Ok(()) => {
                return State::AwaitInstall(Box::new(AwaitInstall { established, child }));
            }
            Err(Rejected::ByPeer(reason)) => cx.child_down(child, reason),
            Err(Rejected::ByUs(reason)) => established.disown(cx, child, reason),
        },
    }
    established.go_on(cx)
}

enum Rejected {
    /// The peer has nothing to delete.
    ByPeer(DownReason),
    /// The peer must be told.
    ByUs(DownReason),
}

/// The Child SA of the response; installing it has begun when this is `Ok`.
fn first_child(
    cx: &mut Cx<'_, '_>,
    keyed: &Keyed,
    proof: &Authenticated,
    serial: SerialNo,
    response: &Response,
) -> Result<(), Rejected> {
    let Some(child) = cx.sa.child(serial).cloned() else { return Ok(()) };
    let Some(payloads) = &response.child else {
        let exchange = ExchangeType::IKE_AUTH;
        let notify = response.error.unwrap_or(NotifyType::NO_PROPOSAL_CHOSEN);
        let why = refused::child(&Notify::new(notify, Vec::new()), &child.policy, None);
        let told = why.clone();
        cx.child_story(&child, StoryEvent::ChildRejectedByPeer { exchange, why: told });
        return Err(Rejected::ByPeer(DownReason::Refused(why)));
    };
    let installed = settle(cx, serial, &child.policy, payloads, response).and_then(|settled| {
        let source = KeySource {
            prf: keyed.init.suite.prf,
            d: &keyed.keys.d,
            shared: None,
            ni: &keyed.init.ni,
            nr: &keyed.init.nr,
        };
        let place = Place { initiator: true, replaces: None, sends_later: false };
        child::install(cx, proof, serial, settled, &source, place).map_err(|e| e.to_string())
    });
    installed.map_err(|why| {
        cx.child_story(&child, StoryEvent::ChildRejectedByUs { why: why.clone() });
        Rejected::ByUs(DownReason::Unacceptable(why))
    })
}

/// What the response makes of the Child SA: what we were given, and what we asked for.
fn settle(
    cx: &mut Cx<'_, '_>,
    serial: SerialNo,
    policy: &ChildPolicy,
    payloads: &ChildPayloads,
    response: &Response,
) -> Result<Settled, String> {
    let mut settled = child::accept(policy, payloads, None).map_err(|refusal| refusal.why)?;
    let wanted = policy.configuration.as_ref().filter(|c| c.role == ConfigRole::Client);
    let Some(wanted) = wanted else { return Ok(settled) };
    let given = configuration::received(wanted, response.configuration.as_slice())?;
    for story in configuration::stories(&given) {
        cx.story(StoryEvent::Configuration(story));
    }
    // The lease is our traffic, even for a peer that does not say so (RFC 7296, 2.19).
    let policy = configuration::leased(policy, given);
    settled.local_ts = narrow(&policy.local_ts, &settled.local_ts);
    if settled.local_ts.is_empty() {
        return Err("its traffic selectors for us do not hold the address that it gave".into());
    }
    if let Some(child) = cx.sa.child_mut(serial) {
        child.policy = Arc::new(policy);
    }
    Ok(settled)
}

impl AwaitInstall {
    pub(crate) fn kernel_done(self, cx: &mut Cx<'_, '_>, result: KernelResult) -> State {
        let Self { mut established, child } = self;
        match result {
            KernelResult::Installed(serial, Ok(())) if serial == child => child::up(cx, child),
            KernelResult::Installed(serial, Err(fault)) if serial == child => {
                if let Some(larval) = cx.sa.child(child).cloned() {
                    let event = StoryEvent::ChildNotInstalled { fault: fault.clone() };
                    cx.child_story(&larval, event);
                }
                established.disown(cx, child, DownReason::Kernel(fault));
            }
            _ => return State::AwaitInstall(Box::new(Self { established, child })),
        }
        established.go_on(cx)
    }
}
