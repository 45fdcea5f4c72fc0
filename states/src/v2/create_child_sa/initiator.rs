//! CREATE_CHILD_SA for a Child SA, as who begins it: a new one, or one that replaces another.

use super::{
    Nonces, Ours, doubt, first_error, ke_payload, nonce, out_of_patience, pfs, put_off,
    rekey_again, suggested, try_again,
};
use crate::child_sa::{Child, ChildState};
use crate::common::{Cue, Cx, Task};
use crate::story::ChildOffer;
use crate::v2::child::{self, ChildPayloads, KeySource, Place, Settled};
use crate::v2::established::Established;
use crate::v2::ike_sa_init::OUR_NONCE_LEN;
use crate::v2::outbound;
use crate::v2::refused;
use crate::v2::state::State;
use crate::{
    ChildSpi, DownReason, Finish, Job, JobId, JobResult, KernelFault, KernelResult, Output,
    StoryEvent,
};
use pluto_connections::{ChildPolicy, SerialNo};
use pluto_crypto::{Cost, LocalKey, Secret};
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType, ProtocolId};
use pluto_wire::v2::{KePayload, Notify, Payload};
use std::sync::Arc;

/// INVALID_KE_PAYLOADs that are followed.
const MAX_GUESSES: u8 = 3;

/// Deleted SPIs that are remembered while a response is waited for.
const MAX_STILLBORN: usize = 16;

/// A Child SA that we are making.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChildExchange {
    child: SerialNo,
    /// What is offered: for a rekeying the selectors that the old one has.
    policy: Arc<ChildPolicy>,
    replaces: Option<SerialNo>,
    /// Whether the peer is told what it replaces.
    rekeys: bool,
    methods: Vec<KeId>,
    key: Option<LocalKey>,
    ni: Box<[u8]>,
    guesses: u8,
    /// What the peer has made for the same Child SA meanwhile.
    rival: Option<Rival>,
    /// What the peer has deleted and we have not known.
    deleted: Vec<(ProtocolId, ChildSpi)>,
    stage: Stage,
}

/// What it waits for.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
enum Stage {
    /// The kernel reserves our SPI.
    Spi,
    /// Our key pair is made.
    Key(JobId),
    /// The request is out.
    Response,
    /// The shared secret is computed.
    Agreement { job: JobId, settled: Box<Settled>, nr: Box<[u8]> },
    /// The kernel installs it.
    Install { nr: Box<[u8]> },
    /// It stands, and the peer's request for the same is being answered.
    Ready { nr: Box<[u8]> },
}

/// See [`ChildExchange::rival`].
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Rival {
    child: SerialNo,
    nonces: Nonces,
}

impl Established {
    /// Begins another Child SA.
    pub(crate) fn create_child(&mut self, cx: &mut Cx<'_, '_>, policy: &Arc<ChildPolicy>) {
        let child = child::begin(cx, policy);
        let ike = cx.sa.serial;
        self.begin(cx, child, Arc::clone(policy), None, false);
        tell(cx, child, StoryEvent::InitiatingChild { ike, replaces: None });
    }

    /// Asks again for what the peer has put off; its SPI is reserved already.
    pub(crate) fn ask_again(&mut self, cx: &mut Cx<'_, '_>, serial: SerialNo) {
        let larval = |child: &&Child| child.state == ChildState::Larval;
        let Some(child) = cx.sa.child(serial).filter(larval) else { return };
        let policy = Arc::clone(&child.policy);
        self.begin(cx, serial, policy, None, false);
        if let Some(Ours::Child(exchange)) = self.ours.take() {
            exchange.with_spi(self, cx);
        }
    }

    /// Begins the replacement of a Child SA.
    pub(crate) fn rekey_child(&mut self, cx: &mut Cx<'_, '_>, old: SerialNo) {
        self.replace_child(cx, old, true);
    }

    /// Begins a new Child SA in place of one that the peer does not have.
    pub(crate) fn recreate_child(&mut self, cx: &mut Cx<'_, '_>, old: SerialNo) {
        self.replace_child(cx, old, false);
    }

    fn replace_child(&mut self, cx: &mut Cx<'_, '_>, serial: SerialNo, rekeys: bool) {
        let Some(old) = cx.sa.child(serial).filter(|child| child.is_current()) else { return };
        let Some(up) = old.up.clone() else { return };
        let configured = Arc::clone(&old.policy);
        // "The new Child SA SHOULD NOT have different Traffic Selectors" (RFC 7296, 2.9.2).
        let policy = ChildPolicy {
            local_ts: up.local_ts.clone(),
            remote_ts: up.remote_ts.clone(),
            mode: up.mode,
            ..ChildPolicy::clone(&configured)
        };
        let child = child::begin(cx, &configured);
        let ike = cx.sa.serial;
        tell(cx, child, StoryEvent::InitiatingChild { ike, replaces: Some(serial) });
        self.begin(cx, child, Arc::new(policy), Some(serial), rekeys);
    }

    fn begin(
        &mut self,
        cx: &mut Cx<'_, '_>,
        child: SerialNo,
        policy: Arc<ChildPolicy>,
        replaces: Option<SerialNo>,
        rekeys: bool,
    ) {
        let mut methods = pfs::methods(cx, &policy, None);
        methods.retain(|method| *method != KeId::NONE);
        self.ours = Some(Ours::Child(Box::new(ChildExchange {
            child,
            policy,
            replaces,
            rekeys,
            methods,
            key: None,
            ni: Box::default(),
            guesses: 0,
            rival: None,
            deleted: Vec::new(),
            stage: Stage::Spi,
        })));
    }
}

fn tell(cx: &mut Cx<'_, '_>, child: SerialNo, event: StoryEvent) {
    if let Some(child) = cx.sa.child(child).cloned() {
        cx.child_story(&child, event);
    }
}

impl ChildExchange {
    pub(crate) fn awaits_us(&self) -> bool {
        !matches!(self.stage, Stage::Response | Stage::Ready { .. })
    }

    pub(crate) fn awaits_job(&self, id: JobId) -> bool {
        match &self.stage {
            Stage::Key(job) | Stage::Agreement { job, .. } => *job == id,
            _ => false,
        }
    }

    pub(crate) fn awaits_kernel(&self, about: SerialNo) -> bool {
        about == self.child && matches!(self.stage, Stage::Spi | Stage::Install { .. })
    }

    /// Whether it rekeys this Child SA.
    pub(crate) fn is_replacing(&self, old: SerialNo) -> bool {
        self.replaces == Some(old)
    }

    /// Whether the peer does not know of it yet.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.stage, Stage::Spi | Stage::Key(_))
    }

    /// The peer has made another replacement meanwhile.
    pub(crate) fn has_rival(&mut self, child: SerialNo, nonces: Nonces) {
        self.rival = Some(Rival { child, nonces });
    }

    /// See [`Established::rival_and_ours`].
    pub(crate) fn rival_and_ours(&self) -> Option<(SerialNo, SerialNo)> {
        self.rival.as_ref().map(|rival| (rival.child, self.child))
    }

    /// Gives up before anything was sent: the peer has begun the same.
    pub(crate) fn withdraw(self, cx: &mut Cx<'_, '_>) {
        cx.child_down(self.child, DownReason::Replaced);
    }

    /// See [`Established::unknown_deleted`].
    pub(crate) fn stillborn(&mut self, spis: &[(ProtocolId, ChildSpi)]) {
        let room = MAX_STILLBORN.saturating_sub(self.deleted.len());
        self.deleted.extend(spis.iter().take(room));
    }

    fn wait(self, mut established: Established, cx: &mut Cx<'_, '_>) -> State {
        established.ours = Some(Ours::Child(Box::new(self)));
        established.go_on(cx)
    }

    pub(crate) fn kernel_done(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: KernelResult,
    ) -> State {
        match (result, &self.stage) {
            (KernelResult::Spi(serial, Ok(spi)), Stage::Spi) => {
                if let Some(child) = cx.sa.child_mut(serial) {
                    child.spi_in = Some(spi);
                }
                self.with_spi(&mut established, cx);
            }
            (KernelResult::Spi(_, Err(fault)), Stage::Spi) => {
                self.not_installed(&mut established, cx, fault, false);
            }
            (KernelResult::Installed(_, Ok(())), Stage::Install { nr }) => {
                self.stage = Stage::Ready { nr: nr.clone() };
                established.ours = Some(Ours::Child(self));
            }
            (KernelResult::Installed(_, Err(fault)), Stage::Install { .. }) => {
                self.not_installed(&mut established, cx, fault, true);
            }
            _ => established.ours = Some(Ours::Child(self)),
        }
        established.go_on(cx)
    }

    /// Our SPI is there: now our key pair, if there is to be one.
    fn with_spi(mut self: Box<Self>, established: &mut Established, cx: &mut Cx<'_, '_>) {
        let wanted = match &self.key {
            Some(key) => Some(key.method()),
            None => self.policy.proposals.first_ke().or(self.methods.first().copied()),
        };
        let Some(method) = wanted else { return self.send(established, cx) };
        match LocalKey::cost(method) {
            Cost::Inline => match LocalKey::generate(method, cx.env.entropy) {
                Ok(key) => {
                    self.key = Some(key);
                    self.send(established, cx);
                }
                Err(error) => self.fail(established, cx, error.to_string()),
            },
            Cost::Pool => {
                let seed = cx.seed();
                self.stage = Stage::Key(cx.job(Job::GenerateKey { method, seed }));
                established.ours = Some(Ours::Child(self));
            }
        }
    }

    pub(crate) fn job_done(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        result: JobResult,
    ) -> State {
        match (result, std::mem::replace(&mut self.stage, Stage::Response)) {
            (JobResult::Key(Ok(key)), Stage::Key(_)) => {
                self.key = Some(key);
                self.send(&mut established, cx);
            }
            (JobResult::Shared(Ok(shared)), Stage::Agreement { settled, nr, .. }) => {
                self.install(&mut established, cx, *settled, nr, Some(&shared));
            }
            (JobResult::Key(Err(error)), Stage::Key(_)) => {
                self.fail(&mut established, cx, error.to_string());
            }
            (JobResult::Shared(Err(error)), Stage::Agreement { .. }) => {
                self.reject(&mut established, cx, error.to_string());
            }
            (_, Stage::Key(_)) => self.fail(&mut established, cx, "the job was lost".into()),
            (_, _) => self.reject(&mut established, cx, "the job was lost".into()),
        }
        established.go_on(cx)
    }

    fn send(mut self: Box<Self>, established: &mut Established, cx: &mut Cx<'_, '_>) {
        let Some(larval) = cx.sa.child(self.child).cloned() else { return };
        let Some(spi_in) = larval.spi_in else { return };
        let mut payloads = Vec::new();
        // The old one may have ended while we were preparing.
        let old = self.replaces.and_then(|old| cx.sa.child(old)).cloned();
        if self.replaces.is_some() && !old.as_ref().is_some_and(Child::is_current) {
            return self.withdraw(cx);
        }
        if let Some((spi, old)) = old.and_then(|old| Some((old.spi_in?, old)))
            && self.rekeys
        {
            payloads.push(Payload::Notify(Notify {
                protocol: old.protocol,
                spi: spi.0.to_be_bytes().to_vec(),
                notify_type: NotifyType::REKEY_SA,
                data: Vec::new(),
            }));
        }
        self.ni = Box::new(cx.random::<OUR_NONCE_LEN>());
        let mut offer = child::offer(&self.policy, spi_in, Some(&self.methods)).into_iter();
        payloads.extend(offer.next());
        payloads.push(Payload::Nonce(self.ni.to_vec()));
        if let Some(key) = &self.key {
            let data = key.public().to_vec();
            payloads.push(Payload::Ke(KePayload { method: key.method(), data }));
        }
        payloads.extend(offer);
        let exchange = ExchangeType::CREATE_CHILD_SA;
        if let Err(error) = cx.request(&mut established.protection, exchange, &payloads) {
            return self.fail(established, cx, error.to_string());
        }
        let event = StoryEvent::SentCreateChildRequest {
            ike: cx.sa.serial,
            rekeys: self.replaces.filter(|_| self.rekeys),
            child: Box::new(ChildOffer {
                child: self.child,
                protocol: larval.protocol,
                encapsulated: cx.sa.nat.encapsulates(),
                spi_in,
                local_ts: self.policy.local_ts.clone(),
                remote_ts: self.policy.remote_ts.clone(),
            }),
        };
        cx.child_story(&larval, event);
        self.stage = Stage::Response;
        established.ours = Some(Ours::Child(self));
    }

    /// The response has come.
    pub(crate) fn response(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        payloads: &[Payload],
    ) -> State {
        let Some(answer) = ChildPayloads::find(payloads) else {
            let notify = first_error(payloads).cloned();
            let absent = Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new());
            return self.refused(established, cx, &notify.unwrap_or(absent));
        };
        // RFC 7296, 3.10.1: it has failed, though the peer may have made one all the same.
        if let Some(notify) = first_error(payloads) {
            let why = format!("it has {} beside its choice", notify.notify_type);
            self.reject(&mut established, cx, why);
            return established.go_on(cx);
        }
        let (Some(nr), true) = (nonce(payloads), cx.sa.child(self.child).is_some()) else {
            self.reject(&mut established, cx, "the response has no nonce".into());
            return established.go_on(cx);
        };
        let nr: Box<[u8]> = nr.into();
        let settled = match self.settle(cx, &answer, ke_payload(payloads)) {
            Ok(settled) => settled,
            Err(why) => {
                self.reject(&mut established, cx, why);
                return established.go_on(cx);
            }
        };
        if self.deleted.iter().any(|(_, spi)| *spi == settled.spi_out) {
            let event = StoryEvent::PeerDeletedChild { spi: settled.spi_out };
            child::failed(cx, self.child, event, DownReason::PeerDeleted);
            return established.go_on(cx);
        }
        let key = self.key.take().filter(|_| settled.suite.ke != KeId::NONE);
        let (Some(key), Some(peer)) = (key, ke_payload(payloads)) else {
            self.install(&mut established, cx, settled, nr, None);
            return established.go_on(cx);
        };
        match LocalKey::cost(key.method()) {
            Cost::Inline => match key.agree(&peer.data) {
                Ok(shared) => self.install(&mut established, cx, settled, nr, Some(&shared)),
                Err(error) => self.reject(&mut established, cx, error.to_string()),
            },
            Cost::Pool => {
                let job = cx.job(Job::Agree { key, peer: peer.data.clone() });
                self.stage = Stage::Agreement { job, settled: Box::new(settled), nr };
                return self.wait(established, cx);
            }
        }
        established.go_on(cx)
    }

    fn settle(
        &self,
        cx: &Cx<'_, '_>,
        answer: &ChildPayloads,
        ke: Option<&KePayload>,
    ) -> Result<Settled, String> {
        let settled =
            child::accept(&self.policy, answer, Some(&self.methods)).map_err(|r| r.why)?;
        child::unused_spi(cx, settled.protocol, settled.spi_out).map_err(|r| r.why)?;
        let method = settled.suite.ke;
        if method == KeId::NONE {
            return Ok(settled);
        }
        let sent = self.key.as_ref().map(LocalKey::method);
        if sent != Some(method) || ke.map(|ke| ke.method) != Some(method) {
            return Err(format!("it chose the key exchange {method}, and its KE is not for that"));
        }
        Ok(settled)
    }

    fn install(
        mut self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        settled: Settled,
        nr: Box<[u8]>,
        shared: Option<&Secret>,
    ) {
        let kept = Arc::clone(&established.kept);
        let source = KeySource { prf: kept.prf, d: &kept.d, shared, ni: &self.ni, nr: &nr };
        let replaces = self.replaces;
        // Where the peer has begun the same, nobody knows yet which of the two will send.
        let rival = self.rival.is_some() || established.is_answering_for(replaces);
        let place = Place { initiator: true, replaces, sends_later: rival };
        let begun = child::install(cx, &kept.proof, self.child, settled, &source, place);
        if let Err(error) = begun {
            return self.reject(established, cx, error.to_string());
        }
        self.stage = Stage::Install { nr };
        established.ours = Some(Ours::Child(self));
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready { .. })
    }

    /// It stands. Where the peer has made one too, the nonces decide (RFC 7296, 2.8.1).
    pub(crate) fn installed(self: Box<Self>, established: &mut Established, cx: &mut Cx<'_, '_>) {
        let Stage::Ready { nr } = self.stage else { return };
        let (child, now) = (self.child, cx.now());
        let nonces = Nonces { ni: self.ni, nr };
        let rival = self.rival.filter(|rival| cx.sa.child(rival.child).is_some());
        if let Some(rival) = &rival
            && nonces.loses_to(&rival.nonces, cx.sa.initiator)
        {
            tell(cx, child, StoryEvent::RedundantChild { rival: rival.child, ours: true });
            outbound::never(cx, child);
            if let Some(child) = cx.sa.child_mut(child) {
                child.replaced_by = Some(rival.child);
            }
            return established.delete_child(cx, child, Cue::Replaced);
        }
        child::up(cx, child);
        outbound::begin(cx, child);
        if let Some(rival) = rival {
            outbound::never(cx, rival.child);
            tell(cx, rival.child, StoryEvent::RedundantChild { rival: child, ours: false });
            if let Some(redundant) = cx.sa.child_mut(rival.child) {
                redundant.replaced(child, now);
            }
        }
        let Some(old) = self.replaces else { return };
        outbound::changed_over(cx);
        // Where the peer has said that it does not have it, it is told so all the same: it may
        // have it by now.
        established.delete_child(cx, old, Cue::Replaced);
    }

    /// The peer has refused.
    fn refused(
        mut self: Box<Self>,
        mut established: Established,
        cx: &mut Cx<'_, '_>,
        notify: &Notify,
    ) -> State {
        let exchange = ExchangeType::CREATE_CHILD_SA;
        let notify_type = notify.notify_type;
        self.forget_gone_rival(cx);
        let superseded = self.rival.is_some();
        if notify_type == NotifyType::INVALID_KE_PAYLOAD
            && !superseded
            && let Some(method) = suggested(notify).filter(|method| self.may_use(*method))
        {
            self.guesses = self.guesses.saturating_add(1);
            match LocalKey::cost(method) {
                Cost::Inline => match LocalKey::generate(method, cx.env.entropy) {
                    Ok(key) => {
                        self.key = Some(key);
                        self.send(&mut established, cx);
                    }
                    Err(error) => self.fail(&mut established, cx, error.to_string()),
                },
                Cost::Pool => {
                    let seed = cx.seed();
                    self.stage = Stage::Key(cx.job(Job::GenerateKey { method, seed }));
                    return self.wait(established, cx);
                }
            }
            return established.go_on(cx);
        }
        doubt(cx, notify_type);
        let why = refused::child(notify, &self.policy, Some(&self.methods));
        let told = why.clone();
        tell(cx, self.child, StoryEvent::ChildRejectedByPeer { exchange, why: told });
        let temporary = notify_type == NotifyType::TEMPORARY_FAILURE;
        if temporary && self.replaces.is_none() && !out_of_patience(cx) {
            let wait = put_off(cx);
            cx.postpone(wait, Task::AskAgain(self.child));
            return established.go_on(cx);
        }
        cx.child_down(self.child, DownReason::Refused(why.clone()));
        let Some(old) = self.replaces.filter(|_| !superseded) else {
            return established.go_on(cx);
        };
        if notify_type == NotifyType::CHILD_SA_NOT_FOUND && self.rekeys {
            // RFC 7296, 2.25: it is not there; a new one is made from scratch.
            cx.enqueue(Task::Recreate(old));
        } else if temporary {
            if out_of_patience(cx) {
                let why = "the peer has answered TEMPORARY_FAILURE for minutes";
                cx.story(StoryEvent::OutOfStep { why });
                return established.delete(cx, Finish::Failed(why.into()));
            }
            let wait = put_off(cx);
            cx.postpone(wait, Task::RekeyChild(old));
        } else {
            self.not_replaced(cx, format!("the peer has refused it with {why}"));
        }
        established.go_on(cx)
    }

    /// What the peer has made in place of the old one meanwhile may have gone again: then that is
    /// as good as before.
    fn forget_gone_rival(&mut self, cx: &mut Cx<'_, '_>) {
        let gone = self.rival.as_ref().filter(|rival| cx.sa.child(rival.child).is_none());
        let (Some(rival), Some(old)) = (gone.map(|rival| rival.child), self.replaces) else {
            return;
        };
        let now = cx.now();
        if let Some(old) = cx.sa.child_mut(old).filter(|old| old.replaced_by == Some(rival)) {
            old.stays(try_again(now, old.had.and_then(|life| life.end)));
        }
        self.rival = None;
    }

    /// What it was to replace has to do without, for good reasons. Where the peer has said that it
    /// does not have that, it leads nowhere, and goes; otherwise a rekeying is tried once more.
    fn not_replaced(mut self: Box<Self>, cx: &mut Cx<'_, '_>, why: String) {
        self.forget_gone_rival(cx);
        let Some(old) = self.replaces else { return };
        cx.out.push(Output::NotRekeyed(old, why));
        let now = cx.now();
        let Some(old) = cx.sa.child_mut(old).filter(|old| old.is_current()) else { return };
        if self.rekeys {
            old.life.rekey = rekey_again(now, old);
        } else {
            let old = old.serial;
            cx.enqueue(Task::DeleteChild(old, Cue::Expired));
        }
    }

    fn may_use(&self, method: KeId) -> bool {
        let own = self.policy.proposals.proposals.iter().any(|p| p.ke.contains(&method));
        let offered = own || self.methods.contains(&method);
        let sent = self.key.as_ref().map(LocalKey::method);
        self.guesses < MAX_GUESSES && offered && method != KeId::NONE && sent != Some(method)
    }

    /// Something of our own has failed before the peer knew of it.
    pub(crate) fn fail(
        self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        why: String,
    ) {
        if self.is_unsent() {
            self.not_installed(established, cx, KernelFault(why), false);
        } else {
            self.reject(established, cx, why);
        }
    }

    fn not_installed(
        self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        fault: KernelFault,
        known: bool,
    ) {
        tell(cx, self.child, StoryEvent::ChildNotInstalled { fault: fault.clone() });
        let why = format!("the kernel could not: {fault}");
        let reason = DownReason::Kernel(fault);
        if known {
            established.disown(cx, self.child, reason);
        } else {
            cx.child_down(self.child, reason);
        }
        self.not_replaced(cx, why);
    }

    /// We do not want what the peer has made; it is told so.
    pub(crate) fn reject(
        self: Box<Self>,
        established: &mut Established,
        cx: &mut Cx<'_, '_>,
        why: String,
    ) {
        tell(cx, self.child, StoryEvent::ChildRejectedByUs { why: why.clone() });
        established.disown(cx, self.child, DownReason::Unacceptable(why.clone()));
        self.not_replaced(cx, format!("the peer's answer is not acceptable: {why}"));
    }
}
