//! INFORMATIONAL (RFC 7296, 1.4): Delete, notifications, and nothing at all, which is a
//! question whether we are alive.

use super::ike_sa_init::notifications;
use super::mobike;
use super::outbound::UNDER_WAY;
use super::state::State;
use crate::child_sa::ChildState;
use crate::common::Cx;
use crate::nat::Path;
use crate::protection::Protection;
use crate::{ChildSpi, Count, DownReason, Finish, Output, StoryEvent};
use pluto_connections::SerialNo;
use pluto_wire::numbers::{ExchangeType, NotifyType, ProtocolId};
use pluto_wire::v2::{Delete, Payload};

/// A request, in a state that has `protection`. The state itself only changes when the IKE
/// SA ends.
pub(crate) fn process_request(
    cx: &mut Cx<'_, '_>,
    mut state: State,
    path: Path,
    payloads: &[Payload],
) -> State {
    let deletes = |wanted: fn(&Delete) -> bool| {
        payloads.iter().any(|p| matches!(p, Payload::Delete(delete) if wanted(delete)))
    };
    let deletes_ike = deletes(|delete| delete.protocol == ProtocolId::IKE);
    // An initiator that does not accept our AUTH says so here (RFC 7296, 2.21.2).
    let rejected = notifications(payloads)
        .map(|notify| notify.notify_type)
        .find(|notify| *notify == NotifyType::AUTHENTICATION_FAILED);
    let ends = deletes_ike || rejected.is_some();
    // RFC 7296, 1.4.1: Deletes for Child SAs are not answered when the IKE SA goes.
    let mut unknown = Vec::new();
    let heir = match &state {
        State::Established(established) => established.rival_and_ours(),
        _ => None,
    };
    let mut answer =
        if ends { Vec::new() } else { delete_children(cx, payloads, heir, &mut unknown) };
    // Where the peer is now counts for our own Delete, too.
    if !ends && matches!(state, State::Established(_) | State::Deleting(_)) {
        answer.extend(mobike::process_request(cx, &path, payloads));
    }
    if let State::Established(established) = &mut state {
        established.unknown_deleted(&unknown);
    }
    if payloads.is_empty() {
        cx.count(Count::LivenessReceived);
    }
    let carries = matches!(state, State::Established(_)) && cx.sa.children.len() > 0;
    let said = cx.out.len();
    let Some(protection) = protection_mut(&mut state) else { return state };
    if let Err(error) = cx.respond(protection, ExchangeType::INFORMATIONAL, path, &answer) {
        cx.debug(error.to_string());
    } else if ends {
        if carries {
            answer_later(cx, said);
        }
        cx.say_farewell();
    } else if payloads.is_empty() {
        cx.count(Count::LivenessReplied);
    }
    match (rejected, state) {
        (Some(notify), _) => {
            cx.story(StoryEvent::IkeAuthRejected { notify });
            cx.failed(format!("peer does not accept our authentication: {notify}"));
            State::Finished
        }
        // RFC 7296, 2.25.2: both close at once; ours has become needless.
        (None, State::Deleting(deleting)) if ends => deleting.end(cx),
        (None, state) if ends => {
            cx.story(StoryEvent::PeerDeletedIke);
            if let State::Established(established) = state {
                established.peer_deleted(cx);
            }
            cx.finished(Finish::PeerDeleted, &DownReason::PeerDeleted);
            State::Finished
        }
        (None, State::Established(established)) => established.go_on(cx),
        (None, state) => state,
    }
}

/// The answer to the Delete of an IKE SA waits. With it the peer forgets its end of the Child
/// SAs, and what stands for the same on another IKE SA, as after reauthentication (RFC 7296,
/// 2.8.3), is only now told to send.
fn answer_later(cx: &mut Cx<'_, '_>, since: usize) {
    for output in cx.out.iter_mut().skip(since) {
        if let Output::Transmit(datagram) = output {
            *output = Output::TransmitLater(UNDER_WAY, datagram.clone());
        }
    }
}

pub(crate) fn protection_mut(state: &mut State) -> Option<&mut Protection> {
    match state {
        State::Established(established) => Some(&mut established.protection),
        State::Deleting(deleting) => Some(&mut deleting.protection),
        _ => None,
    }
}

/// Child SAs that the peer deletes, and the Deletes for the other directions. `heir`: what
/// the peer has made while we were making the same, and ours, which it leaves the place to.
fn delete_children(
    cx: &mut Cx<'_, '_>,
    payloads: &[Payload],
    heir: Option<(SerialNo, SerialNo)>,
    unknown: &mut Vec<(ProtocolId, ChildSpi)>,
) -> Vec<Payload> {
    let mut answer: Vec<Delete> = Vec::new();
    for payload in payloads {
        let Payload::Delete(delete) = payload else { continue };
        for spi in &delete.spis {
            let spi_out = ChildSpi(u32::from_be_bytes(*spi));
            let named = cx.sa.children.by_outbound(delete.protocol, spi_out);
            let Some(child) = named.cloned() else {
                cx.debug(format!("peer deletes {} {spi_out}, which is not here", delete.protocol));
                unknown.push((delete.protocol, spi_out));
                continue;
            };
            cx.child_story(&child, StoryEvent::PeerDeletedChild { spi: spi_out });
            // RFC 7296, 1.4.1: when both Deletes cross, neither is answered with one.
            let crossing = child.state == ChildState::Deleting;
            if let (Some((rival, ours)), Some(child)) = (heir, cx.sa.child_mut(child.serial))
                && rival == child.serial
            {
                child.replaced_by = Some(ours);
            }
            let replaced = cx.sa.child(child.serial).and_then(|child| child.replaced_by);
            let reason = match (replaced, crossing) {
                (Some(_), _) => DownReason::Replaced,
                (None, true) => DownReason::Requested,
                (None, false) => DownReason::PeerDeleted,
            };
            cx.child_down(child.serial, reason);
            if let (false, Some(spi_in)) = (crossing, child.spi_in) {
                note(&mut answer, child.protocol, spi_in);
            }
        }
    }
    answer.into_iter().map(Payload::Delete).collect()
}

fn note(answer: &mut Vec<Delete>, protocol: ProtocolId, spi: ChildSpi) {
    let spi = spi.0.to_be_bytes();
    match answer.iter_mut().find(|delete| delete.protocol == protocol) {
        Some(delete) => delete.spis.push(spi),
        None => answer.push(Delete { protocol, spis: vec![spi] }),
    }
}

/// A response: whatever it holds, the peer lives and has done what it was asked for.
pub(crate) fn process_response(
    cx: &mut Cx<'_, '_>,
    state: State,
    path: &Path,
    payloads: &[Payload],
) -> State {
    match state {
        State::Established(established) => established.answered(cx, path, payloads),
        State::Deleting(deleting) => {
            cx.sa.window.response_accepted();
            deleting.end(cx)
        }
        other => other,
    }
}
