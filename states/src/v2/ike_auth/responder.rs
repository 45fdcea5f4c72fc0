//! IKE_AUTH as responder: the response goes out when everything it promises is there.

use crate::common::Cx;
use crate::nat::Path;
use crate::refusal::Refusal;
use crate::v2::authentication::{
    Authenticated, Claim, authby_of, method_of, null_auth, signed_octets, verify,
};
use crate::v2::child::{self, ChildPayloads, KeySource, Place, Reply, Settled, selectors};
use crate::v2::configuration::{self, Asked, ConfigStory};
use crate::v2::established::{Established, Lingering};
use crate::v2::ike_sa_init::{Keyed, notifications};
use crate::v2::mobike::{self, Announced, NatSurprise};
use crate::v2::state::State;
use crate::{
    Ask, AskId, AskResult, AuthAnswer, Cause, DownReason, KernelFault, KernelResult, StoryEvent,
};
use pluto_connections::{
    AuthLookup, Authby, ChildPolicy, ConfigRole, Id, IpsecMode, Mismatch, SerialNo,
};
use pluto_crypto::{Error, Secret};
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{AuthPayload, Identification, Notify, Payload, describe};
use std::sync::Arc;

/// A connection is looked up.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitConnection {
    ask: AskId,
    keyed: Keyed,
    request: Request,
}

/// The MACs are computed by who holds the key.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitBothAuths {
    ask: AskId,
    keyed: Keyed,
    request: Request,
    own_id: Identification,
    own: Option<Secret>,
    expected: Option<Secret>,
    child: Option<Result<Arc<ChildPolicy>, Vec<Mismatch>>>,
}

/// An inner address is asked for.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitLease {
    ask: AskId,
    accepted: Accepted,
    payloads: ChildPayloads,
    asked: Asked,
}

/// The kernel reserves our SPI.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitResponderSpi {
    accepted: Accepted,
    child: SerialNo,
    settled: Settled,
    reply: Reply,
}

/// The kernel installs the Child SA.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AwaitResponderInstall {
    accepted: Accepted,
    child: SerialNo,
    reply: Reply,
}

/// What was taken from the request.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Request {
    path: Path,
    claim: Claim,
    remote_id: Id,
    child: Option<ChildPayloads>,
    asked: Option<Asked>,
    initial_contact: bool,
    mobike: Option<Announced>,
}

/// The peer has proved who it is.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Accepted {
    keyed: Keyed,
    path: Path,
    proof: Authenticated,
    own_id: Identification,
    own: Secret,
    initial_contact: bool,
    mobike: Option<Announced>,
    /// CFG_REPLY for the Child SA.
    configuration: Option<Payload>,
}

/// Refuses IKE_AUTH in a protected response, and repeats that for a while.
pub(crate) fn refuse(
    cx: &mut Cx<'_, '_>,
    mut keyed: Keyed,
    path: Path,
    refusal: &Refusal,
) -> State {
    let Some(notify) = refusal.notify().cloned() else {
        cx.debug(refusal.why.clone());
        cx.failed(refusal.why.clone());
        return State::Finished;
    };
    let (exchange, to, why) = (ExchangeType::IKE_AUTH, path.remote, refusal.why.clone());
    let told = StoryEvent::SentProtected { exchange, notify: notify.notify_type, to, why };
    if let Err(error) =
        cx.respond(&mut keyed.protection, exchange, path, &[Payload::Notify(notify)])
    {
        cx.debug(error.to_string());
    }
    cx.story(told);
    Lingering::begin(cx, keyed.protection, refusal.why.clone())
}

/// No AUTH: the peer wants EAP, which no connection offers yet.
pub(crate) fn refuse_eap(cx: &mut Cx<'_, '_>, keyed: Keyed, path: Path) -> State {
    let why = "peer wants EAP, which is not implemented".into();
    refuse(cx, keyed, path, &Refusal::auth_failed(Cause::Incompatible, why))
}

/// The request; the table has admitted it.
pub(crate) fn process_request(
    cx: &mut Cx<'_, '_>,
    keyed: Keyed,
    path: Path,
    payloads: &[Payload],
) -> State {
    let contents = describe(payloads);
    let fragments = cx.sa.fragments.made_of;
    cx.story(StoryEvent::ProcessingIkeAuthRequest { from: path.remote, contents, fragments });
    match look_up(cx, &keyed, path, payloads) {
        Ok((lookup, request)) => {
            let ask = cx.ask(Ask::Connection(lookup));
            State::AwaitConnection(Box::new(AwaitConnection { ask, keyed, request }))
        }
        Err(refusal) => refuse(cx, keyed, path, &refusal),
    }
}

fn look_up(
    cx: &Cx<'_, '_>,
    keyed: &Keyed,
    path: Path,
    payloads: &[Payload],
) -> Result<(AuthLookup, Request), Refusal> {
    let claim = Claim::find(payloads, true)
        .ok_or_else(|| Refusal::syntax("the IKE_AUTH request lacks IDi or AUTH".into()))?;
    let identity = |name: &str, payload: &Identification| {
        Id::from_wire(payload)
            .map_err(|e| Refusal::auth_failed(Cause::Incompatible, format!("{name}: {e}")))
    };
    let remote_id = identity("IDi", &claim.sender)?;
    let local_id = claim.receiver.as_ref().map(|id| identity("IDr", id)).transpose()?;
    let child = ChildPayloads::find(payloads);
    let lookup = AuthLookup {
        initial: cx.sa.policy.connection,
        local: path.local.ip(),
        remote: path.remote.ip(),
        remote_id: remote_id.clone(),
        local_id,
        remote_auth: authby_of(claim.auth.method),
        suite: keyed.init.suite,
        selectors: child.as_ref().map(|c| (selectors(&c.ts_r), selectors(&c.ts_i))),
        mode: match &child {
            Some(child) if child.transport => IpsecMode::Transport,
            _ => IpsecMode::Tunnel,
        },
    };
    let initial_contact =
        notifications(payloads).any(|notify| notify.notify_type == NotifyType::INITIAL_CONTACT);
    let asked = Asked::find(payloads);
    let mobike = Announced::find(payloads);
    if mobike.is_some() && NatSurprise::find(&path, payloads).is_some() {
        return Err(mobike::refuse_nat());
    }
    Ok((lookup, Request { path, claim, remote_id, child, asked, initial_contact, mobike }))
}

impl AwaitConnection {
    pub(crate) fn ask_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: AskId,
        result: AskResult,
    ) -> State {
        if id != self.ask {
            return State::AwaitConnection(self);
        }
        let Self { keyed, request, .. } = *self;
        let answer = match result {
            AskResult::Connection(Ok(answer)) => answer,
            AskResult::Connection(Err(mismatches)) => {
                let remote_id = request.remote_id.clone();
                cx.story(StoryEvent::NoConnection { remote_id, mismatches });
                let why = format!("no connection for '{}'", request.remote_id);
                let refusal = Refusal::auth_failed(Cause::Incompatible, why);
                return refuse(cx, keyed, request.path, &refusal);
            }
            _ => {
                let why = "the table of connections did not answer".into();
                let refusal = Refusal::auth_failed(Cause::Local, why);
                return refuse(cx, keyed, request.path, &refusal);
            }
        };
        with_connection(cx, keyed, request, answer)
    }
}

fn with_connection(
    cx: &mut Cx<'_, '_>,
    keyed: Keyed,
    request: Request,
    answer: AuthAnswer,
) -> State {
    cx.sa.policy = Arc::clone(&answer.ike);
    // Who says INITIAL_CONTACT has nothing else.
    cx.sa.stands_elsewhere = answer.stands && !request.initial_contact;
    let policy = &answer.ike;
    let method = request.claim.auth.method;
    let fits = policy.remote_id.accepts(&request.remote_id)
        && authby_of(method) == policy.remote_auth
        && method_of(policy.remote_auth).is_some();
    let own_id = policy.local_id.to_wire().filter(|_| fits);
    let (Some(own_id), Some(_)) = (own_id, method_of(policy.local_auth)) else {
        let why = format!("connection {} cannot answer this peer", policy.log_name);
        let refusal = Refusal::auth_failed(Cause::Incompatible, why);
        return refuse(cx, keyed, request.path, &refusal);
    };
    let prepared = prepare(&keyed, policy.local_auth, policy.remote_auth, &own_id, &request);
    let Prepared { own, expected, octets } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let refusal = Refusal::auth_failed(Cause::Local, error.to_string());
            return refuse(cx, keyed, request.path, &refusal);
        }
    };
    let child = answer.child;
    if octets.is_empty() {
        let waiting =
            AwaitBothAuths { ask: AskId(0), keyed, request, own_id, own, expected, child };
        return waiting.decide(cx);
    }
    let ask = cx.ask_psk(&keyed.init.suite, &request.remote_id, octets);
    let waiting = AwaitBothAuths { ask, keyed, request, own_id, own, expected, child };
    State::AwaitBothAuths(Box::new(waiting))
}

/// Both AUTH values, as far as they need no key, and the octets for the others.
struct Prepared {
    own: Option<Secret>,
    expected: Option<Secret>,
    octets: Vec<Vec<u8>>,
}

fn prepare(
    keyed: &Keyed,
    local_auth: Authby,
    remote_auth: Authby,
    own_id: &Identification,
    request: &Request,
) -> Result<Prepared, Error> {
    let mut prepared = Prepared { own: None, expected: None, octets: Vec::new() };
    let ours = signed_octets(keyed, false, own_id)?;
    let theirs = signed_octets(keyed, true, &request.claim.sender)?;
    if local_auth == Authby::Null {
        prepared.own = Some(null_auth(keyed, false, &ours)?);
    } else {
        prepared.octets.push(ours);
    }
    if remote_auth == Authby::Null {
        prepared.expected = Some(null_auth(keyed, true, &theirs)?);
    } else {
        prepared.octets.push(theirs);
    }
    Ok(prepared)
}

impl AwaitBothAuths {
    pub(crate) fn ask_done(
        mut self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: AskId,
        result: AskResult,
    ) -> State {
        if id != self.ask {
            return State::AwaitBothAuths(self);
        }
        let why = match result {
            AskResult::Psk(Some(macs)) => {
                // In the order asked for: ours, then the peer's.
                let mut macs = macs.into_iter();
                self.own = self.own.take().or_else(|| macs.next());
                self.expected = self.expected.take().or_else(|| macs.next());
                return self.decide(cx);
            }
            AskResult::Psk(None) => {
                let local_id = cx.sa.policy.local_id.clone();
                let remote_id = self.request.remote_id.clone();
                cx.story(StoryEvent::NoSecret { local_id, remote_id });
                format!("no pre-shared key for '{}'", self.request.remote_id)
            }
            _ => "the holder of secrets did not answer".into(),
        };
        let refusal = Refusal::auth_failed(Cause::Local, why);
        refuse(cx, self.keyed, self.request.path, &refusal)
    }

    /// Verifies the peer, and only then looks at its Child SA.
    fn decide(self, cx: &mut Cx<'_, '_>) -> State {
        let Self { keyed, request, own_id, own, expected, child, .. } = self;
        let how = cx.sa.policy.remote_auth;
        let expected = expected.unwrap_or_default();
        let verified = verify(&expected, &request.claim.auth, request.remote_id, how);
        let (proof, own) = match (verified, own) {
            (Ok(proof), Some(own)) => (proof, own),
            (Ok(_), None) => {
                let refusal = Refusal::auth_failed(Cause::Local, "no AUTH was computed".into());
                return refuse(cx, keyed, request.path, &refusal);
            }
            (Err(refusal), _) => {
                cx.story(StoryEvent::PeerNotAuthenticated { why: refusal.why.clone() });
                return refuse(cx, keyed, request.path, &refusal);
            }
        };
        let Request { initial_contact, path, mobike, .. } = request;
        let configuration = None;
        let accepted =
            Accepted { keyed, path, proof, own_id, own, initial_contact, mobike, configuration };
        let Some(payloads) = request.child else {
            return accepted.complete(cx, Outcome::Childless);
        };
        let given = match &child {
            Some(Ok(policy)) => policy.configuration.as_ref().map(|given| (policy, given)),
            _ => None,
        };
        let Some((policy, given)) = given.filter(|(_, c)| c.role == ConfigRole::Server) else {
            return accepted.with_child(cx, child, &payloads);
        };
        // Inner addresses are for those only who have proved who they are.
        match configuration::question(policy, given, request.asked, accepted.proof.remote_id()) {
            Ok(question) => {
                let ask = cx.ask(Ask::Lease(question));
                let asked = request.asked.unwrap_or_default();
                State::AwaitLease(Box::new(AwaitLease { ask, accepted, payloads, asked }))
            }
            Err(refusal) => accepted.without_child(cx, &refusal),
        }
    }
}

impl AwaitLease {
    pub(crate) fn ask_done(
        self: Box<Self>,
        cx: &mut Cx<'_, '_>,
        id: AskId,
        result: AskResult,
    ) -> State {
        if id != self.ask {
            return State::AwaitLease(self);
        }
        let Self { mut accepted, payloads, asked, .. } = *self;
        let policy = match result {
            AskResult::Lease(Ok(policy)) => configuration::fitted(&policy),
            AskResult::Lease(Err(why)) => {
                return accepted.without_child(cx, &configuration::no_address(&why));
            }
            _ => {
                let refusal = configuration::no_address("the address pools did not answer");
                return accepted.without_child(cx, &refusal);
            }
        };
        if let Some(given) = &policy.configuration {
            for address in &given.addresses {
                let (address, remote_id) = (*address, Id::clone(accepted.proof.remote_id()));
                let story = ConfigStory::AssignedLease { address, remote_id };
                cx.story(StoryEvent::Configuration(story));
            }
            accepted.configuration = Some(configuration::reply(&policy, given, asked));
        }
        accepted.with_child(cx, Some(Ok(policy)), &payloads)
    }
}

impl Accepted {
    /// A Child SA of this policy, once it has its addresses.
    fn with_child(
        self,
        cx: &mut Cx<'_, '_>,
        child: Option<Result<Arc<ChildPolicy>, Vec<Mismatch>>>,
        payloads: &ChildPayloads,
    ) -> State {
        match settle_child(cx, child, payloads) {
            Ok((policy, settled, reply)) => {
                let child = child::begin(cx, &policy);
                let waiting = AwaitResponderSpi { accepted: self, child, settled, reply };
                State::AwaitResponderSpi(Box::new(waiting))
            }
            Err(refusal) => self.without_child(cx, &refusal),
        }
    }

    /// The IKE SA alone (RFC 7296, 1.2).
    fn without_child(self, cx: &mut Cx<'_, '_>, refusal: &Refusal) -> State {
        self.tell_child_refused(cx, refusal);
        self.complete(cx, Outcome::refused(refusal))
    }
}

fn settle_child(
    cx: &Cx<'_, '_>,
    child: Option<Result<Arc<ChildPolicy>, Vec<Mismatch>>>,
    payloads: &ChildPayloads,
) -> Result<(Arc<ChildPolicy>, Settled, Reply), Refusal> {
    let unacceptable =
        |why: String| Refusal::child(Cause::Incompatible, NotifyType::TS_UNACCEPTABLE, why);
    let policy = match child {
        Some(Ok(policy)) => policy,
        Some(Err(mismatches)) => {
            let list: Vec<String> = mismatches.iter().map(Mismatch::to_string).collect();
            return Err(unacceptable(list.join("; ")));
        }
        None => return Err(unacceptable("the connection has no Child SA".into())),
    };
    let (settled, reply) = child::answer(cx, &policy, payloads, None)?;
    Ok((policy, settled, reply))
}

impl AwaitResponderSpi {
    pub(crate) fn kernel_done(self: Box<Self>, cx: &mut Cx<'_, '_>, result: KernelResult) -> State {
        match result {
            KernelResult::Spi(child, Ok(spi)) if child == self.child => {
                let Self { accepted, settled, reply, .. } = *self;
                if let Some(child) = cx.sa.child_mut(child) {
                    child.spi_in = Some(spi);
                }
                let keyed = &accepted.keyed;
                let source = KeySource {
                    prf: keyed.init.suite.prf,
                    d: &keyed.keys.d,
                    shared: None,
                    ni: &keyed.init.ni,
                    nr: &keyed.init.nr,
                };
                let sends_later = cx.sa.stands_elsewhere;
                let place = Place { initiator: false, replaces: None, sends_later };
                match child::install(cx, &accepted.proof, child, settled, &source, place) {
                    Ok(()) => {
                        let waiting = AwaitResponderInstall { accepted, child, reply };
                        State::AwaitResponderInstall(Box::new(waiting))
                    }
                    Err(error) => accepted.without(cx, child, KernelFault(error.to_string())),
                }
            }
            KernelResult::Spi(child, Err(fault)) if child == self.child => {
                self.accepted.without(cx, child, fault)
            }
            _ => State::AwaitResponderSpi(self),
        }
    }
}

impl AwaitResponderInstall {
    pub(crate) fn kernel_done(self: Box<Self>, cx: &mut Cx<'_, '_>, result: KernelResult) -> State {
        match result {
            KernelResult::Installed(child, Ok(())) if child == self.child => {
                let Self { accepted, child, reply } = *self;
                accepted.complete(cx, Outcome::Child(child, reply))
            }
            KernelResult::Installed(child, Err(fault)) if child == self.child => {
                self.accepted.without(cx, child, fault)
            }
            _ => State::AwaitResponderInstall(self),
        }
    }
}

/// What becomes of the Child SA.
enum Outcome {
    Childless,
    Child(SerialNo, Reply),
    Refused(Notify),
}

impl Outcome {
    fn refused(refusal: &Refusal) -> Self {
        refusal.notify().cloned().map_or(Self::Childless, Self::Refused)
    }
}

impl Accepted {
    fn tell_child_refused(&self, cx: &mut Cx<'_, '_>, refusal: &Refusal) {
        let Some(notify) = refusal.notify().map(|n| n.notify_type) else { return };
        let (exchange, to) = (ExchangeType::IKE_AUTH, self.path.remote);
        let why = refusal.why.clone();
        cx.story(StoryEvent::SentProtected { exchange, notify, to, why });
    }

    /// Our kernel could not: the Child SA alone fails, and the peer may try again
    /// (RFC 7296, 2.25).
    fn without(self, cx: &mut Cx<'_, '_>, child: SerialNo, fault: KernelFault) -> State {
        let event = StoryEvent::ChildNotInstalled { fault: fault.clone() };
        child::failed(cx, child, event, DownReason::Kernel(fault));
        let notify = Notify::new(NotifyType::TEMPORARY_FAILURE, Vec::new());
        self.complete(cx, Outcome::Refused(notify))
    }

    /// The response, and with it the IKE SA.
    fn complete(mut self, cx: &mut Cx<'_, '_>, outcome: Outcome) -> State {
        let Some(method) = method_of(cx.sa.policy.local_auth) else {
            cx.failed("the connection's authentication is not implemented".into());
            return State::Finished;
        };
        let mut payloads = vec![
            Payload::IdR(self.own_id),
            Payload::Auth(AuthPayload { method, data: self.own.expose().to_vec() }),
        ];
        let mut up = None;
        match outcome {
            Outcome::Childless => {}
            Outcome::Refused(notify) => payloads.push(Payload::Notify(notify)),
            Outcome::Child(child, reply) => {
                payloads.extend(self.configuration.take());
                let spi_in = cx.sa.child(child).and_then(|child| child.spi_in);
                payloads.extend(spi_in.into_iter().flat_map(|spi| reply.clone().payloads(spi)));
                up = Some(child);
            }
        }
        let mobike = self.mobike.filter(|_| cx.sa.policy.mobike);
        let announcement = mobike.as_ref().map(|_| mobike::announcement(cx)).unwrap_or_default();
        let agreed = mobike.filter(|_| !announcement.is_empty());
        payloads.extend(announcement);
        let exchange = ExchangeType::IKE_AUTH;
        if let Err(error) = cx.respond(&mut self.keyed.protection, exchange, self.path, &payloads) {
            cx.failed(error.to_string());
            return State::Finished;
        }
        let established = Established::enter(cx, &self.keyed, self.proof, self.initial_contact);
        if let Some(announced) = agreed {
            mobike::agree(cx, announced);
        }
        if let Some(child) = up {
            child::up(cx, child);
        }
        established.go_on(cx)
    }
}
