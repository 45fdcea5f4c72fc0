//! An established IKE SA, and its end.

use super::authentication::Authenticated;
use super::child;
use super::ike_sa_init::Keyed;
use super::state::State;
use crate::child_sa::{ChildState, Life};
use crate::common::{Cue, Cx, Task, Timers};
use crate::protection::Protection;
use crate::{
    ChildEvent, ChildSpi, DownReason, Finish, IkeEstablished, Instant, Output, StoryEvent,
};
use pluto_connections::{ChildPolicy, Id, SerialNo};
use pluto_crypto::Secret;
use pluto_wire::numbers::{ExchangeType, ProtocolId};
use pluto_wire::v2::{Delete, Notify, Payload};
use std::sync::Arc;
use std::time::Duration;

/// How long a refusal of IKE_AUTH is repeated: three retransmissions of the peer's.
const LINGER: Duration = Duration::from_secs(4);

/// Both have proved who they are.
#[derive(Debug, Clone)]
pub(crate) struct Established {
    pub(crate) protection: Protection,
    kept: Arc<Kept>,
    /// What the request that waits for its response is for.
    doing: Option<Doing>,
}

/// What rekeying will need of the exchanges that are over.
#[derive(Debug)]
struct Kept {
    #[allow(dead_code, reason = "CREATE_CHILD_SA derives the keys of new SAs from it")]
    d: Secret,
    proof: Authenticated,
}

/// What a request of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Liveness,
    DeleteChild(SerialNo, Cue),
    /// The peer is told of something that is over for us.
    Telling,
}

/// Our Delete for the IKE SA is on the way.
#[derive(Debug, Clone)]
pub(crate) struct Deleting {
    pub(crate) protection: Protection,
    finish: Finish,
}

/// A responder that has refused IKE_AUTH.
#[derive(Debug, Clone)]
pub(crate) struct Lingering {
    why: String,
}

/// A Delete for the IKE SA itself (RFC 7296, 1.4.1).
fn delete_ike() -> Payload {
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
        }));
        let kept = Arc::new(Kept { d: keyed.keys.d.clone(), proof });
        Self { protection: keyed.protection.clone(), kept, doing: None }
    }

    /// Proof of who the peer is.
    pub(crate) fn proof(&self) -> &Authenticated {
        &self.kept.proof
    }

    /// Does what waits, now that a step is over.
    pub(crate) fn go_on(mut self, cx: &mut Cx<'_, '_>) -> State {
        for policy in std::mem::take(&mut cx.sa.wanted) {
            refuse_to_create(cx, &policy);
        }
        while !cx.sa.window.is_waiting() && !cx.sa.tasks.is_empty() {
            match cx.sa.tasks.remove(0) {
                Task::DeleteIke => return self.delete(cx, Finish::Deleted),
                Task::DeleteChild(serial, cue) => self.delete_child(cx, serial, cue),
                Task::Liveness => {
                    self.doing = Some(Doing::Liveness);
                    cx.story(StoryEvent::Liveness);
                    if let Err(error) = self.informational(cx, &[]) {
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
            Finish::Expired => DownReason::Expired,
            _ => DownReason::Requested,
        };
        cx.all_children_down(&reason);
        end_with(cx, self.protection, vec![delete_ike()], finish)
    }

    fn delete_child(&mut self, cx: &mut Cx<'_, '_>, serial: SerialNo, cue: Cue) {
        let ike = cx.sa.serial;
        let Some(child) = cx.sa.child(serial) else { return };
        if child.state == ChildState::Deleting {
            return;
        }
        child.state = ChildState::Deleting;
        child.life = Life::default();
        let child = child.clone();
        let Some(spi_in) = child.spi_in else { return cx.child_down(serial, cue.reason()) };
        self.doing = Some(Doing::DeleteChild(serial, cue));
        if let Err(error) = self.informational(cx, &[delete_child(child.protocol, spi_in)]) {
            cx.debug(error);
            return cx.child_down(serial, cue.reason());
        }
        cx.child_story(&child, StoryEvent::SentDeleteChild { ike, larval: child.up.is_none() });
    }

    /// A Child SA that the peer has installed, and we have not: it is down here, and a
    /// Delete says so there.
    pub(crate) fn disown(&mut self, cx: &mut Cx<'_, '_>, serial: SerialNo, reason: DownReason) {
        let Some(child) = cx.sa.child(serial).map(|child| child.clone()) else { return };
        cx.child_down(serial, reason);
        let Some(spi_in) = child.spi_in else { return };
        self.doing = Some(Doing::Telling);
        let ike = cx.sa.serial;
        match self.informational(cx, &[delete_child(child.protocol, spi_in)]) {
            Ok(()) => cx.child_story(&child, StoryEvent::SentDeleteChild { ike, larval: true }),
            Err(error) => cx.debug(error),
        }
    }

    /// The response to what we were doing has come.
    pub(crate) fn answered(mut self, cx: &mut Cx<'_, '_>) -> State {
        cx.sa.window.response_accepted();
        if let Some(Doing::DeleteChild(serial, cue)) = self.doing.take() {
            if let Some(child) = cx.sa.child(serial).map(|child| child.clone()) {
                cx.child_story(&child, StoryEvent::ChildDeleted);
            }
            cx.child_down(serial, cue.reason());
        }
        self.go_on(cx)
    }
}

fn fail(cx: &mut Cx<'_, '_>, why: String) -> State {
    cx.story(StoryEvent::FatalInState { state: "ESTABLISHED_IKE_SA", why: why.clone() });
    cx.failed(why);
    State::Finished
}

/// CREATE_CHILD_SA as initiator is a later issue.
pub(crate) fn refuse_to_create(cx: &mut Cx<'_, '_>, policy: &Arc<ChildPolicy>) {
    let (child, connection) = (cx.env.serials.next_serial(), policy.connection);
    let what = "CREATE_CHILD_SA for another Child SA";
    cx.story(StoryEvent::Unsupported { what });
    cx.out.push(Output::Child(ChildEvent::Started { child, connection }));
    let reason = DownReason::Unacceptable(format!("{what} is not implemented yet"));
    cx.out.push(Output::Child(ChildEvent::Down { child, connection, reason, replaced_by: None }));
}

/// Ends an IKE SA with a last request.
fn end_with(
    cx: &mut Cx<'_, '_>,
    mut protection: Protection,
    payloads: Vec<Payload>,
    finish: Finish,
) -> State {
    cx.sa.timers = Timers::default();
    cx.sa.tasks.clear();
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
    pub(crate) fn begin(cx: &mut Cx<'_, '_>, why: String) -> State {
        cx.all_children_down(&DownReason::IkeEnded);
        let end: Instant = cx.now().after(LINGER);
        cx.sa.timers = Timers { discard: Some(end), ..Timers::default() };
        State::Lingering(Self { why })
    }

    pub(crate) fn end(self, cx: &mut Cx<'_, '_>) -> State {
        cx.failed(self.why);
        State::Finished
    }
}
