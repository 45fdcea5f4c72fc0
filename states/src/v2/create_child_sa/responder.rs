//! CREATE_CHILD_SA for a Child SA, as who answers.

use super::{Nonces, Ours, Theirs, ke_payload, nonce, pfs, try_again};
use crate::child_sa::ChildState;
use crate::common::{Cx, MAX_CHILDREN};
use crate::nat::Path;
use crate::refusal::Refusal;
use crate::v2::child::{self, ChildPayloads, KeySource, Place, Reply, Settled, selectors};
use crate::v2::established::Established;
use crate::v2::ike_sa_init::{OUR_NONCE_LEN, notifications};
use crate::v2::state::State;
use crate::{
    Ask, AskId, AskResult, Cause, ChildSpi, DownReason, Job, JobId, JobResult, KernelFault,
    KernelResult, StoryEvent,
};
use pluto_connections::{ChildLookup, ChildPolicy, IpsecMode, Mismatch, Pfs, SerialNo};
use pluto_crypto::{Cost, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType, ProtocolId};
use pluto_wire::v2::{KePayload, Notify, Payload};
use std::sync::Arc;

/// A Child SA that the peer wants.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChildAnswer {
    path: Path,
    request: ChildPayloads,
    ni: Box<[u8]>,
    ke: Option<KePayload>,
    replaces: Option<SerialNo>,
    stage: Stage,
}

/// What it waits for.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
enum Stage {
    /// Whose it is.
    Lookup(AskId),
    /// The kernel reserves our SPI.
    Spi(Promise),
    /// Our key pair and the shared secret are made.
    Agreement(JobId, Promise),
    /// The kernel installs it.
    Install(Promise, Answer),
}

/// What was agreed on.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Promise {
    child: SerialNo,
    settled: Box<Settled>,
    reply: Box<Reply>,
}

/// What of the response is ours to make.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Answer {
    nr: Box<[u8]>,
    public: Option<KePayload>,
}

fn notify(notify_type: NotifyType) -> Notify {
    Notify::new(notify_type, Vec::new())
}

/// A request with SA, Ni, TSi and TSr.
pub(crate) fn process_request(
    mut established: Established,
    cx: &mut Cx<'_, '_>,
    path: Path,
    payloads: &[Payload],
) -> State {
    let (Some(request), Some(ni)) = (ChildPayloads::find(payloads), nonce(payloads)) else {
        established.refuse(cx, path, notify(NotifyType::INVALID_SYNTAX), "a payload is missing");
        return established.go_on(cx);
    };
    // RFC 7296, 2.25.2.
    if let Some(Ours::Ike(_)) = &established.ours {
        let why = "the IKE SA is being rekeyed";
        established.refuse(cx, path, notify(NotifyType::TEMPORARY_FAILURE), why);
        return established.go_on(cx);
    }
    let rekeys = notifications(payloads).find(|n| n.notify_type == NotifyType::REKEY_SA).cloned();
    let room = if rekeys.is_some() { 2 * MAX_CHILDREN } else { MAX_CHILDREN };
    if cx.sa.children.len() >= room {
        let why = format!("the IKE SA has {} Child SAs", cx.sa.children.len());
        established.refuse(cx, path, notify(NotifyType::NO_ADDITIONAL_SAS), why);
        return established.go_on(cx);
    }
    let answer = |replaces, stage| ChildAnswer {
        path,
        request: request.clone(),
        ni: ni.into(),
        ke: ke_payload(payloads).cloned(),
        replaces,
        stage,
    };
    let Some(rekeys) = rekeys else {
        let lookup = ChildLookup {
            ike: cx.sa.policy.connection,
            local_ts: selectors(&request.ts_r),
            remote_ts: selectors(&request.ts_i),
            mode: if request.transport { IpsecMode::Transport } else { IpsecMode::Tunnel },
        };
        let ask = cx.ask(Ask::Child(lookup));
        established.theirs = Some(Theirs::Child(Box::new(answer(None, Stage::Lookup(ask)))));
        return State::Established(established);
    };
    match replaced(&mut established, cx, &rekeys) {
        Ok((old, policy)) => {
            answer(Some(old), Stage::Lookup(AskId(0))).settle(established, cx, &policy)
        }
        Err((notify, why)) => {
            established.refuse(cx, path, notify, why);
            established.go_on(cx)
        }
    }
}

/// The Child SA that REKEY_SA names, and what the new one may be.
fn replaced(
    established: &mut Established,
    cx: &mut Cx<'_, '_>,
    rekeys: &Notify,
) -> Result<(SerialNo, Arc<ChildPolicy>), (Notify, String)> {
    let spi = <[u8; 4]>::try_from(rekeys.spi.as_slice()).ok();
    let ours = matches!(rekeys.protocol, ProtocolId::ESP | ProtocolId::AH);
    let Some(spi) = spi.filter(|_| ours) else {
        // Nothing of it is sent back: it is no SPI.
        let why = "REKEY_SA names no Child SA".to_string();
        return Err((notify(NotifyType::CHILD_SA_NOT_FOUND), why));
    };
    let spi_out = ChildSpi(u32::from_be_bytes(spi));
    let named = cx.sa.children.by_outbound(rekeys.protocol, spi_out);
    let Some(old) = named.cloned() else {
        // It may be what the peer has made for us, whose response is still on its way.
        if let Some(Ours::Child(ours)) = &established.ours
            && !ours.is_unsent()
        {
            let why = format!("a Child SA is being made, perhaps that with SPI {spi_out}");
            return Err((notify(NotifyType::TEMPORARY_FAILURE), why));
        }
        let not_found = Notify { notify_type: NotifyType::CHILD_SA_NOT_FOUND, ..rekeys.clone() };
        let why = format!("there is no Child SA with outbound SPI {spi_out}");
        return Err((Notify { data: Vec::new(), ..not_found }, why));
    };
    // RFC 7296, 2.25.1: it is being closed. One that was replaced is, too.
    if !old.is_current() || old.state != ChildState::Established {
        let why = format!("Child SA {} is being deleted", old.serial);
        return Err((notify(NotifyType::TEMPORARY_FAILURE), why));
    }
    // What the peer does not know of yet need not be: its request is as good as ours.
    match established.ours.take() {
        Some(Ours::Child(ours)) if ours.is_replacing(old.serial) && ours.is_unsent() => {
            ours.withdraw(cx);
            // Should the peer's come to nothing, ours is begun once more.
            let now = cx.now();
            if let Some(old) = cx.sa.child_mut(old.serial) {
                old.life.rekey = try_again(now, old.life.end);
            }
        }
        ours => established.ours = ours,
    }
    let Some(up) = &old.up else { return Err((notify(NotifyType::TEMPORARY_FAILURE), "".into())) };
    // Some peers offer what was narrowed once in its full width again; they get what they
    // have. Less than that only where the connection allows it.
    let policy = ChildPolicy {
        local_ts: up.local_ts.clone(),
        remote_ts: up.remote_ts.clone(),
        mode: up.mode,
        ..ChildPolicy::clone(&old.policy)
    };
    Ok((old.serial, Arc::new(policy)))
}

impl ChildAnswer {
    /// Whether it rekeys this Child SA.
    pub(crate) fn is_replacing(&self, old: SerialNo) -> bool {
        self.replaces == Some(old)
    }

    pub(crate) fn awaits_job(&self, id: JobId) -> bool {
        matches!(&self.stage, Stage::Agreement(job, _) if *job == id)
    }

    pub(crate) fn awaits_answer(&self, id: AskId) -> bool {
        matches!(&self.stage, Stage::Lookup(ask) if *ask == id)
    }

    pub(crate) fn awaits_kernel(&self, about: SerialNo) -> bool {
        match &self.stage {
            Stage::Spi(promise) | Stage::Install(promise, _) => promise.child == about,
            _ => false,
        }
    }

    pub(crate) fn ask_done(
        self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: AskResult,
    ) -> State {
        match result {
            AskResult::Child(Ok(policy)) => self.settle(established, cx, &policy),
            AskResult::Child(Err(mismatches)) => {
                let list: Vec<String> = mismatches.iter().map(Mismatch::to_string).collect();
                let why = list.join("; ");
                established.refuse(cx, self.path, notify(NotifyType::TS_UNACCEPTABLE), why);
                established.go_on(cx)
            }
            _ => {
                let why = "the table of connections did not answer";
                established.refuse(cx, self.path, notify(NotifyType::TEMPORARY_FAILURE), why);
                established.go_on(cx)
            }
        }
    }

    /// Chooses, and begins to make what was chosen.
    fn settle(
        mut self,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        policy: &Arc<ChildPolicy>,
    ) -> State {
        match self.choose(cx, policy) {
            Ok((settled, reply)) => {
                // What it belongs to is what the connection says, not what it was cut to.
                let configured = self.replaces.and_then(|old| cx.sa.child(old));
                let configured = configured.map_or(Arc::clone(policy), |o| Arc::clone(&o.policy));
                let child = child::begin(cx, &configured);
                if settled.suite.ke == KeId::NONE && policy.pfs.is_proposed() {
                    child::story(cx, child, StoryEvent::WithoutPfs);
                }
                let (settled, reply) = (Box::new(settled), Box::new(reply));
                self.stage = Stage::Spi(Promise { child, settled, reply });
                established.theirs = Some(Theirs::Child(Box::new(self)));
                State::Established(established)
            }
            Err(refusal) => {
                let notify = refusal.notify().cloned();
                let notify = notify.unwrap_or(Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, vec![]));
                established.refuse(cx, self.path, notify, refusal.why);
                established.go_on(cx)
            }
        }
    }

    fn propose(&self, cx: &Cx<'_, '_>, policy: &ChildPolicy) -> Result<(Settled, Reply), Refusal> {
        let sent = self.ke.as_ref().map(|ke| ke.method);
        let (methods, policy) = pfs::acceptable(cx, policy, sent, self.replaces.is_some());
        child::answer(cx, &policy, &self.request, Some(&methods))
    }

    fn choose(&self, cx: &Cx<'_, '_>, policy: &ChildPolicy) -> Result<(Settled, Reply), Refusal> {
        let (settled, reply) = self.propose(cx, policy).map_err(|refusal| {
            let lenient = ChildPolicy { pfs: Pfs::Preferred, ..policy.clone() };
            let insists = policy.pfs == Pfs::Required && self.ke.is_none();
            if !insists || self.propose(cx, &lenient).is_err() {
                return refusal;
            }
            let why =
                "the peer proposes no key exchange, and pfs=yes insists on one; pfs=no does not";
            Refusal { why: why.into(), ..refusal }
        })?;
        let method = settled.suite.ke;
        if method == KeId::NONE {
            return Ok((settled, reply));
        }
        let Some(ke) = self.ke.as_ref().filter(|ke| ke.method == method) else {
            let mut refusal = Refusal::child(
                Cause::Incompatible,
                NotifyType::INVALID_KE_PAYLOAD,
                format!("we choose {method}, and there is no KE for it"),
            );
            let data = method.0.to_be_bytes().to_vec();
            let wanted = Notify::new(NotifyType::INVALID_KE_PAYLOAD, data);
            refusal.answer = crate::RefusalAnswer::FailChild(wanted);
            return Err(refusal);
        };
        let expected = pluto_crypto::ke_info(method).map(|info| info.initiator_public);
        if expected != Some(ke.data.len()) {
            let why = format!("KE payload: {} octets are no value of {method}", ke.data.len());
            return Err(Refusal::child(Cause::Misbehaved, NotifyType::INVALID_SYNTAX, why));
        }
        Ok((settled, reply))
    }

    pub(crate) fn kernel_done(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: KernelResult,
    ) -> State {
        match (result, std::mem::replace(&mut self.stage, Stage::Lookup(AskId(0)))) {
            (KernelResult::Spi(serial, Ok(spi)), Stage::Spi(promise)) => {
                if let Some(child) = cx.sa.child_mut(serial) {
                    child.spi_in = Some(spi);
                }
                self.agree(&mut established, cx, promise);
            }
            (KernelResult::Installed(_, Ok(())), Stage::Install(promise, answer)) => {
                self.respond(&mut established, cx, promise, answer);
            }
            (
                KernelResult::Spi(_, Err(fault)) | KernelResult::Installed(_, Err(fault)),
                Stage::Spi(promise) | Stage::Install(promise, _),
            ) => self.without(&mut established, cx, promise.child, fault),
            (_, stage) => {
                self.stage = stage;
                established.theirs = Some(Theirs::Child(self));
            }
        }
        established.go_on(cx)
    }

    fn agree(
        mut self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        promise: Promise,
    ) {
        let method = promise.settled.suite.ke;
        let Some(ke) = self.ke.as_ref().filter(|_| method != KeId::NONE) else {
            return self.install(established, cx, promise, None);
        };
        match LocalKey::cost(method) {
            Cost::Inline => {
                let made = LocalKey::generate(method, cx.env.entropy).and_then(|key| {
                    let shared = key.agree(&ke.data)?;
                    Ok((key, shared))
                });
                match made {
                    Ok((key, shared)) => {
                        self.install(established, cx, promise, Some((&key, &shared)));
                    }
                    Err(error) => {
                        let fault = KernelFault(error.to_string());
                        self.without(established, cx, promise.child, fault);
                    }
                }
            }
            Cost::Pool => {
                let (seed, peer) = (cx.seed(), ke.data.clone());
                let job = cx.job(Job::GenerateAndAgree { method, seed, peer });
                self.stage = Stage::Agreement(job, promise);
                established.theirs = Some(Theirs::Child(self));
            }
        }
    }

    pub(crate) fn job_done(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: JobResult,
    ) -> State {
        let stage = std::mem::replace(&mut self.stage, Stage::Lookup(AskId(0)));
        let Stage::Agreement(_, promise) = stage else {
            return State::Established(established);
        };
        match result {
            JobResult::KeyAndShared(Ok((key, shared))) => {
                self.install(&mut established, cx, promise, Some((&key, &shared)));
            }
            JobResult::KeyAndShared(Err(error)) => {
                let fault = KernelFault(error.to_string());
                self.without(&mut established, cx, promise.child, fault);
            }
            _ => {
                let fault = KernelFault("the job was lost".into());
                self.without(&mut established, cx, promise.child, fault);
            }
        }
        established.go_on(cx)
    }

    fn install(
        mut self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        promise: Promise,
        key: Option<(&LocalKey, &Secret)>,
    ) {
        let kept = Arc::clone(&established.kept);
        let nr: Box<[u8]> = Box::new(cx.random::<OUR_NONCE_LEN>());
        let shared = key.map(|(_, shared)| shared);
        let source = KeySource { prf: kept.prf, d: &kept.d, shared, ni: &self.ni, nr: &nr };
        let (child, replaces) = (promise.child, self.replaces);
        let settled = Settled::clone(&promise.settled);
        let place = Place { initiator: false, replaces, sends_later: replaces.is_some() };
        match child::install(cx, &kept.proof, child, settled, &source, place) {
            Ok(()) => {
                let public = key.map(|(key, _)| KePayload {
                    method: key.method(),
                    data: key.public().to_vec(),
                });
                self.stage = Stage::Install(promise, Answer { nr, public });
                established.theirs = Some(Theirs::Child(self));
            }
            Err(error) => self.without(established, cx, child, KernelFault(error.to_string())),
        }
    }

    /// It stands: the peer gets to know.
    fn respond(
        self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        promise: Promise,
        answer: Answer,
    ) {
        let child = promise.child;
        let Some(spi) = cx.sa.child(child).and_then(|child| child.spi_in) else { return };
        let mut reply = promise.reply.payloads(spi).into_iter();
        let mut payloads: Vec<Payload> = reply.next().into_iter().collect();
        payloads.push(Payload::Nonce(answer.nr.to_vec()));
        payloads.extend(answer.public.map(Payload::Ke));
        payloads.extend(reply);
        let exchange = ExchangeType::CREATE_CHILD_SA;
        if let Err(error) = cx.respond(&mut established.protection, exchange, self.path, &payloads)
        {
            let fault = KernelFault(error.to_string());
            let event = StoryEvent::ChildNotInstalled { fault: fault.clone() };
            return child::failed(cx, child, event, DownReason::Kernel(fault));
        }
        child::up(cx, child);
        if self.replaces.is_none() {
            cx.no_longer_wanted(child);
        }
        if let (Some(Ours::Child(ours)), Some(old)) = (&mut established.ours, self.replaces)
            && ours.is_replacing(old)
        {
            // RFC 7296, 2.8.1: which of the two stays is decided when ours stands.
            ours.has_rival(child, Nonces { ni: self.ni, nr: answer.nr });
        }
    }

    /// Our own side could not: the peer may try again (RFC 7296, 2.25).
    fn without(
        self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        child: SerialNo,
        fault: KernelFault,
    ) {
        let why = format!("Child SA {child} could not be made: {fault}");
        let event = StoryEvent::ChildNotInstalled { fault: fault.clone() };
        child::failed(cx, child, event, DownReason::Kernel(fault));
        established.refuse(cx, self.path, notify(NotifyType::TEMPORARY_FAILURE), why);
    }

    /// See [`Established::stalled`].
    pub(crate) fn fail(
        self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        why: String,
    ) {
        match &self.stage {
            Stage::Spi(promise) | Stage::Agreement(_, promise) | Stage::Install(promise, _) => {
                let child = promise.child;
                self.without(established, cx, child, KernelFault(why));
            }
            Stage::Lookup(_) => {
                established.refuse(cx, self.path, notify(NotifyType::TEMPORARY_FAILURE), why);
            }
        }
    }
}
