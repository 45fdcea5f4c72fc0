//! Rekeying of the IKE SA itself (RFC 7296, 1.3.2, 2.8 and 2.18): a successor with keys of
//! its own and message ids from 0, which inherits the Child SAs; who has begun deletes the
//! old one.

pub(crate) mod initiator;
pub(crate) mod responder;

use super::create_child_sa::Nonces;
use super::established::Established;
use super::state::State;
use crate::child_sa::{Life, REPLACED_LINGERS};
use crate::common::{Common, Cx, Task, Timers};
use crate::protection::Protection;
use crate::v2::{child, mobike};
use crate::{IkeSa, Output, StoryEvent};
use pluto_connections::SerialNo;
use pluto_crypto::{Error, IkeKeys, IkeSuite, Secret};
use pluto_wire::IkeSpis;
use pluto_wire::numbers::ProtocolId;
use pluto_wire::v2::Payload;
use std::sync::Arc;
use std::time::Duration;

/// How long a replaced IKE SA waits for who repeats its request: longer than anybody does.
const LINGERS_AT_MOST: Duration = Duration::from_secs(600);

/// The peer has not got our response, and does not know yet that this IKE SA was replaced: would
/// it be deleted now, the peer would take it for the end of all. Its pauses grow.
pub(crate) fn peer_asks_again(cx: &mut Cx<'_, '_>) {
    let timers = &mut cx.sa.timers;
    timers.life.end = timers.lingers.or(timers.life.end);
}

/// How long the peer of an IKE SA that it has never used has for using it, at most: on a bad
/// network the time of seven requests.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);

/// The response that would have told the peer of this IKE SA may have been lost for good, and the
/// old one's end is then the end of all to the peer. What waits for an answer is asked anew, so
/// that neither a long pause nor a long `retransmit-timeout=` keeps up tunnels that lead nowhere.
pub(crate) fn predecessor_ends(cx: &mut Cx<'_, '_>, state: State) -> State {
    let State::Established(established) = state else { return state };
    if is_known(cx) {
        return State::Established(established);
    }
    let (now, retransmit) = (cx.now(), cx.sa.policy.retransmit);
    cx.sa.timers.unknown = Some(now.after(retransmit.timeout.min(KNOWN_WITHIN)));
    if cx.sa.window.is_waiting() {
        cx.sa.window.begin_again(now, retransmit);
    } else {
        cx.enqueue(Task::Liveness);
    }
    established.go_on(cx)
}

/// Whether the peer has used this IKE SA; without a way to it that cannot be said.
pub(crate) fn is_known(cx: &Cx<'_, '_>) -> bool {
    !cx.sa.window.is_one_sided() || cx.sa.mobike.is_stranded()
}

/// An IKE SA that may take the place of the one that made it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Candidate {
    serial: SerialNo,
    spis: IkeSpis,
    initiator: bool,
    suite: IkeSuite,
    keys: Arc<IkeKeys>,
    protection: Protection,
    nonces: Nonces,
}

impl Candidate {
    /// Derives its keys (RFC 7296, 2.18).
    ///
    /// # Errors
    /// An algorithm is not implemented.
    fn derive(
        established: &Established,
        serial: SerialNo,
        spis: IkeSpis,
        initiator: bool,
        suite: IkeSuite,
        shared: &Secret,
        nonces: Nonces,
    ) -> Result<Self, Error> {
        let kept = &established.kept;
        let keys = IkeKeys::derive_rekeyed(
            kept.prf, &kept.d, &suite, shared, &nonces.ni, &nonces.nr, spis,
        )?;
        let protection = Protection::new(&suite, &keys, initiator)?;
        Ok(Self { serial, spis, initiator, suite, keys: Arc::new(keys), protection, nonces })
    }

    /// A new IKE SA with the same peer, without anything of the old one's.
    fn begin(&self, cx: &mut Cx<'_, '_>, established: &Established) -> (Common, Established) {
        let policy = Arc::clone(&cx.sa.policy);
        let (now, fuzz) = (cx.now(), child::fuzz(cx));
        let path = mobike::settled_path(cx.sa);
        let mut common = Common::new(self.serial, Arc::clone(&policy), self.initiator, path);
        common.spis = self.spis;
        common.nat = cx.sa.nat;
        common.mobike = cx.sa.mobike.inherited(established.unfinished().as_ref());
        common.fragments.agreed = cx.sa.fragments.agreed;
        common.fragments.shrunk = cx.sa.fragments.shrunk;
        common.suite = Some(self.suite);
        common.remote_id = cx.sa.remote_id.clone();
        common.timers = Timers {
            life: Life::begin(now, &policy.lifetimes, self.initiator, fuzz),
            keepalive: cx.sa.timers.keepalive,
            liveness: policy.dpd_delay.map(|delay| now.after(delay)),
            ..Timers::default()
        };
        let proof = established.kept.proof.clone();
        let protection = self.protection.clone();
        let next = Established::successor(&self.keys, self.suite.prf, protection, proof);
        (common, next)
    }

    /// It takes the place: the Child SAs and what is still to be done are its own now.
    fn succeed(self, cx: &mut Cx<'_, '_>, established: &Established) {
        let (mut common, next) = self.begin(cx, established);
        common.children = std::mem::take(&mut cx.sa.children);
        common.children.for_each_mut(|child| {
            if let Some(up) = &mut child.up {
                Arc::make_mut(up).ike = self.serial;
            }
        });
        common.receiving = std::mem::take(&mut cx.sa.receiving);
        // The kernel's answer will come to the successor, and what waits for it goes along.
        common.changing_over = std::mem::take(&mut cx.sa.changing_over);
        let now = cx.now();
        let moved = std::mem::take(&mut cx.sa.tasks).into_iter().map(|task| (now, task));
        let moved = std::mem::take(&mut cx.sa.postponed).into_iter().chain(moved);
        // What was to be rekeyed has been.
        common.postponed = moved.filter(|(_, task)| *task != Task::RekeyIke).collect();
        if common.mobike.is_stranded() {
            common.postponed.push((now, Task::UpdateAddresses));
        }
        common.reauthenticates = cx.sa.reauthenticates.take();
        common.postponed.extend(established.unfinished().map(|task| (now, task)));
        common.wanted = std::mem::take(&mut cx.sa.wanted);
        let event = StoryEvent::RekeyedIke {
            initiator: self.initiator,
            old: cx.sa.serial,
            suite: self.suite,
        };
        cx.story_of(self.serial, event);
        cx.sa.replaced_by = Some(self.serial);
        // Who has begun deletes this one; if that never comes, we do.
        let end = cx.now().after(REPLACED_LINGERS);
        cx.sa.timers = Timers {
            life: Life { rekey: None, end: Some(end) },
            lingers: Some(cx.now().after(LINGERS_AT_MOST)),
            stalled: cx.sa.timers.stalled,
            ..Timers::default()
        };
        let state = State::Established(next);
        cx.out.push(Output::Successor(Box::new(IkeSa::succeeding(common, state))));
    }

    /// Another one takes the place. Who has made this one closes it (RFC 7296, 2.8.2).
    fn give_up(self, cx: &mut Cx<'_, '_>, established: &Established, winner: SerialNo) {
        let event = StoryEvent::RedundantIke { rival: winner, ours: self.initiator };
        cx.story_of(self.serial, event);
        let (mut common, next) = self.begin(cx, established);
        let now = cx.now();
        common.replaced_by = Some(winner);
        common.timers = Timers::default();
        common.timers.life.end = Some(now.after(REPLACED_LINGERS));
        if self.initiator {
            common.postponed.push((now, Task::DeleteIke));
        }
        let state = State::Established(next);
        cx.out.push(Output::Successor(Box::new(IkeSa::succeeding(common, state))));
    }
}

/// Whether the SA payload of a request is for an IKE SA.
fn is_for_ike(payloads: &[Payload]) -> bool {
    payloads.iter().any(|payload| match payload {
        Payload::Sa(sa) => sa.proposals.iter().any(|p| p.protocol == ProtocolId::IKE),
        _ => false,
    })
}
