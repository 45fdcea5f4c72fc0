//! An established IKE SA, and its end.

use super::authentication::Authenticated;
use super::child;
use super::create_child_sa::{Ours, Theirs};
use super::ike_sa_init::Keyed;
use super::mobike;
use super::outbound;
use super::reauth;
use super::state::State;
use crate::child_sa::{ChildState, Life};
use crate::common::{Cue, Cx, Task, Timers};
use crate::nat::Path;
use crate::protection::Protection;
use crate::{ChildSpi, Count, DownReason, Finish, IkeEstablished, Instant, Output, StoryEvent};
use pluto_connections::{Id, SerialNo};
use pluto_crypto::{IkeKeys, Secret};
use pluto_wire::numbers::PrfId;
use pluto_wire::numbers::{ExchangeType, ProtocolId};
use pluto_wire::v2::{Delete, Notify, Payload};
use std::sync::Arc;
use std::time::Duration;

/// How long a refusal of IKE_AUTH is repeated: three retransmissions of the peer's.
const LINGER: Duration = Duration::from_secs(4);

/// Both have proved who they are. One exchange of ours and one of the peer's may be under
/// way at the same time; each waits for its own jobs, kernel answers and messages.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Established {
    pub(crate) protection: Protection,
    pub(super) kept: Arc<Kept>,
    /// The exchange that we have begun.
    pub(super) ours: Option<Ours>,
    /// The request of the peer's that is not answered yet.
    pub(super) theirs: Option<Theirs>,
}

/// What later exchanges need of those that are over.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Kept {
    /// The keys of new SAs are derived from it, with this function.
    pub(super) d: Secret,
    pub(super) prf: PrfId,
    pub(super) proof: Authenticated,
}

/// Our Delete for the IKE SA is on the way.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Deleting {
    pub(crate) protection: Protection,
    finish: Finish,
}

/// A responder that has refused IKE_AUTH.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Lingering {
    /// By which it knows who may have the response again.
    pub(crate) protection: Protection,
    why: String,
}

/// A Delete for the IKE SA itself (RFC 7296, 1.4.1).
pub(super) fn delete_ike() -> Payload {
    Payload::Delete(Delete { protocol: ProtocolId::IKE, spis: Vec::new() })
}

fn delete_child(protocol: ProtocolId, spi: ChildSpi) -> Payload {
    Payload::Delete(Delete { protocol, spis: vec![spi.0.to_be_bytes()] })
}

impl Established {
    /// From here on the IKE SA counts.
    pub(crate) fn enter(
        cx: &mut Cx<'_, '_>,
        keyed: &Keyed,
        proof: Authenticated,
        initial_contact: bool,
    ) -> Self {
        let policy = Arc::clone(&cx.sa.policy);
        let (now, fuzz) = (cx.now(), child::fuzz(cx));
        let initiator = cx.sa.initiator;
        cx.sa.remote_id = Some(Arc::clone(proof.remote_id()));
        cx.sa.timers = Timers {
            life: Life::begin(now, &policy.lifetimes, initiator, fuzz),
            keepalive: policy.nat_keepalive.filter(|_| cx.sa.nat.local).map(|i| now.after(i)),
            liveness: policy.dpd_delay.map(|delay| now.after(delay)),
            ..Timers::default()
        };
        let remote_id = Id::clone(proof.remote_id());
        let (auth, told) = (proof.how(), remote_id.clone());
        cx.story(StoryEvent::EstablishedIke { initiator, auth, remote_id: told });
        let ike = cx.sa.serial;
        cx.out.push(Output::Established(IkeEstablished {
            ike,
            policy,
            remote_id,
            initial_contact,
            initiator,
            suite: keyed.init.suite,
        }));
        let kept = Kept { d: keyed.keys.d.clone(), prf: keyed.init.suite.prf, proof };
        let (protection, kept) = (keyed.protection.clone(), Arc::new(kept));
        Self { protection, kept, ours: None, theirs: None }
    }

    /// What takes the place of an IKE SA that was rekeyed: the same peer, new keys.
    pub(super) fn successor(
        keys: &IkeKeys,
        prf: PrfId,
        protection: Protection,
        proof: Authenticated,
    ) -> Self {
        let kept = Arc::new(Kept { d: keys.d.clone(), prf, proof });
        Self { protection, kept, ours: None, theirs: None }
    }

    /// Proof of who the peer is.
    pub(crate) fn proof(&self) -> &Authenticated {
        &self.kept.proof
    }

    /// Whether another exchange of ours may begin.
    pub(crate) fn is_free(&self, cx: &Cx<'_, '_>) -> bool {
        self.ours.is_none() && self.theirs.is_none() && !cx.sa.window.is_waiting()
    }

    /// Does what waits, now that a step is over.
    pub(crate) fn go_on(mut self, cx: &mut Cx<'_, '_>) -> State {
        for policy in std::mem::take(&mut cx.sa.wanted) {
            cx.enqueue(Task::CreateChild(policy));
        }
        // What ours has made and what theirs has made can be compared now.
        match self.ours.take() {
            Some(Ours::Child(made)) if made.is_ready() && self.theirs.is_none() => {
                made.installed(&mut self, cx);
            }
            Some(Ours::Ike(made)) if made.is_ready() && self.theirs.is_none() => {
                return made.decide(self, cx);
            }
            ours => self.ours = ours,
        }
        while self.is_free(cx) && has_task(cx) {
            match cx.sa.tasks.remove(0) {
                Task::DeleteIke => return self.delete(cx, Finish::Deleted),
                Task::DeleteChild(serial, cue) => self.delete_child(cx, serial, cue),
                Task::CreateChild(policy) => self.create_child(cx, &policy),
                Task::AskAgain(serial) => self.ask_again(cx, serial),
                Task::Recreate(serial) => self.recreate_child(cx, serial),
                Task::RekeyChild(serial) => self.rekey_child(cx, serial),
                Task::RekeyIke => self.rekey_ike(cx),
                Task::Liveness => {
                    self.ours = Some(Ours::Liveness);
                    cx.story(StoryEvent::Liveness);
                    cx.count(Count::LivenessSent);
                    let probe = mobike::probe(cx);
                    if let Err(error) = self.informational(cx, &probe) {
                        return fail(cx, error);
                    }
                    mobike::asked(cx);
                }
                task @ (Task::UpdateAddresses | Task::TellAddresses | Task::CheckReturn) => {
                    if let Err(error) = self.mobike_task(cx, &task) {
                        return fail(cx, error);
                    }
                }
            }
        }
        State::Established(self)
    }

    fn informational(&mut self, cx: &mut Cx<'_, '_>, payloads: &[Payload]) -> Result<(), String> {
        cx.request(&mut self.protection, ExchangeType::INFORMATIONAL, payloads)
            .map_err(|error| error.to_string())
    }

    /// Deletes the IKE SA. Its Child SAs are reported as down at once: what follows is only
    /// that the peer gets to know.
    pub(crate) fn delete(self, cx: &mut Cx<'_, '_>, finish: Finish) -> State {
        let words = State::Established(self.clone()).words();
        cx.story(StoryEvent::DeletingIke { state_words: words });
        let reason = match finish {
            _ if cx.sa.replaced_by.is_some() => DownReason::Replaced,
            Finish::Expired => DownReason::Expired,
            _ => DownReason::Requested,
        };
        cx.all_children_down(&reason);
        end_with(cx, self.protection, vec![delete_ike()], finish)
    }

    pub(super) fn delete_child(&mut self, cx: &mut Cx<'_, '_>, serial: SerialNo, cue: Cue) {
        let ike = cx.sa.serial;
        let Some(child) = cx.sa.child(serial) else { return };
        // Who wants it gone means what has replaced it, too; whose time is over, or who is
        // replaced, goes alone.
        let cue = match (cue, child.replaced_by) {
            (Cue::Requested, Some(by)) => {
                cx.enqueue(Task::DeleteChild(by, cue));
                cue
            }
            (Cue::Expired, Some(_)) => Cue::Replaced,
            (cue, _) => cue,
        };
        let Some(child) = cx.sa.child(serial) else { return };
        if child.state == ChildState::Deleting {
            return;
        }
        outbound::old_goes(cx, serial);
        let Some(child) = cx.sa.child_mut(serial) else { return };
        child.state = ChildState::Deleting;
        child.life = Life::default();
        let child = child.clone();
        let Some(spi_in) = child.spi_in else { return cx.child_down(serial, cue.reason()) };
        self.ours = Some(Ours::DeleteChild(serial, cue));
        if let Err(error) = self.informational(cx, &[delete_child(child.protocol, spi_in)]) {
            cx.debug(error);
            self.ours = None;
            return cx.child_down(serial, cue.reason());
        }
        cx.child_story(&child, StoryEvent::SentDeleteChild { ike, larval: child.up.is_none() });
    }

    /// A Child SA that the peer has installed, and we have not: it is down here, and a
    /// Delete says so there.
    pub(crate) fn disown(&mut self, cx: &mut Cx<'_, '_>, serial: SerialNo, reason: DownReason) {
        let Some(child) = cx.sa.child(serial).cloned() else { return };
        cx.child_down(serial, reason);
        let Some(spi_in) = child.spi_in else { return };
        self.ours = Some(Ours::Telling);
        let ike = cx.sa.serial;
        match self.informational(cx, &[delete_child(child.protocol, spi_in)]) {
            Ok(()) => cx.child_story(&child, StoryEvent::SentDeleteChild { ike, larval: true }),
            Err(error) => {
                self.ours = None;
                cx.debug(error);
            }
        }
    }

    /// The response to an INFORMATIONAL request has come.
    pub(crate) fn answered(
        mut self,
        cx: &mut Cx<'_, '_>,
        path: &Path,
        payloads: &[Payload],
    ) -> State {
        cx.sa.window.response_accepted();
        match self.ours.take() {
            Some(Ours::DeleteChild(serial, cue)) => {
                if let Some(child) = cx.sa.child(serial).cloned() {
                    cx.child_story(&child, StoryEvent::ChildDeleted);
                }
                cx.child_down(serial, cue.reason());
            }
            Some(Ours::Mobike(sent)) => return self.mobike_answered(cx, sent, path, payloads),
            Some(Ours::Liveness) => self.probed(cx, payloads),
            _ => {}
        }
        self.go_on(cx)
    }
}

/// Whether something waits; when all is done, what this IKE SA is made in place of may go.
fn has_task(cx: &mut Cx<'_, '_>) -> bool {
    if cx.sa.tasks.is_empty() && !reauth::is_unfinished(cx.sa) {
        reauth::complete(cx);
    }
    !cx.sa.tasks.is_empty()
}

pub(super) fn fail(cx: &mut Cx<'_, '_>, why: String) -> State {
    cx.story(StoryEvent::FatalInState { state: "ESTABLISHED_IKE_SA", why: why.clone() });
    cx.failed(why);
    State::Finished
}

/// Ends an IKE SA with a last request.
pub(super) fn end_with(
    cx: &mut Cx<'_, '_>,
    mut protection: Protection,
    payloads: Vec<Payload>,
    finish: Finish,
) -> State {
    cx.sa.timers = Timers::default();
    cx.sa.tasks.clear();
    cx.sa.postponed.clear();
    cx.sa.mobike.closing = true;
    if let Err(error) = cx.request(&mut protection, ExchangeType::INFORMATIONAL, &payloads) {
        cx.debug(error.to_string());
        cx.finished(finish, &DownReason::IkeEnded);
        return State::Finished;
    }
    cx.story(StoryEvent::SentDeleteIke);
    State::Deleting(Deleting { protection, finish })
}

/// Ends an IKE SA whose responder we do not accept: the notification says why, and a Delete
/// goes with it for peers that do not look at notifications (RFC 7296, 2.21.2).
pub(crate) fn reject(
    cx: &mut Cx<'_, '_>,
    protection: Protection,
    notify: Option<Notify>,
    why: String,
) -> State {
    cx.all_children_down(&DownReason::IkeEnded);
    let payloads = notify.map(Payload::Notify).into_iter().chain([delete_ike()]).collect();
    end_with(cx, protection, payloads, Finish::Failed(why))
}

/// Says Delete once, whatever the window holds, and ends.
pub(crate) fn delete_once(
    cx: &mut Cx<'_, '_>,
    mut protection: Protection,
    words: &'static str,
    finish: Finish,
) -> State {
    cx.story(StoryEvent::DeletingIke { state_words: words });
    cx.sa.window.response_accepted();
    match cx.request(&mut protection, ExchangeType::INFORMATIONAL, &[delete_ike()]) {
        Ok(()) => cx.story(StoryEvent::SentDeleteIke),
        Err(error) => cx.debug(error.to_string()),
    }
    cx.finished(finish, &DownReason::Requested);
    State::Finished
}

impl Deleting {
    /// The peer knows, or never will.
    pub(crate) fn end(self, cx: &mut Cx<'_, '_>) -> State {
        cx.finished(self.finish, &DownReason::IkeEnded);
        State::Finished
    }
}

impl Lingering {
    /// Repeats the response that the window has kept.
    pub(crate) fn begin(cx: &mut Cx<'_, '_>, protection: Protection, why: String) -> State {
        cx.all_children_down(&DownReason::IkeEnded);
        let end: Instant = cx.now().after(LINGER);
        cx.sa.timers = Timers { discard: Some(end), ..Timers::default() };
        State::Lingering(Self { protection, why })
    }

    pub(crate) fn end(self, cx: &mut Cx<'_, '_>) -> State {
        cx.failed(self.why);
        State::Finished
    }
}
