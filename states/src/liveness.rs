//! Whether the peer is alive (RFC 7296, 2.4): an empty INFORMATIONAL request when nothing,
//! neither IKE nor ESP, has come from it for `dpddelay`. No answer to that is an end like
//! any other request's without an answer.

use crate::common::{Cx, Task};
use crate::v2::state::State;
use crate::{Instant, KernelRequest, StoryEvent};
use pluto_wire::numbers::{NotifyType, PayloadType};
use pluto_wire::v2::{Message, Payload};
use pluto_wire::{Header, IkeSpi};
use std::time::Duration;

/// Between two checks for which an error that nobody has signed is the reason
/// (RFC 7296, 2.21.4 and 2.4: they must be limited).
const BETWEEN_SUSPICIONS: Duration = Duration::from_secs(60);

/// The peer has proved that it lives: nothing is to be asked for a while.
pub(crate) fn heard(cx: &mut Cx<'_, '_>) {
    if cx.sa.timers.liveness.is_some() {
        arm(cx, Duration::ZERO);
    }
}

/// The next check is due `dpddelay` after the peer was heard, `ago`.
fn arm(cx: &mut Cx<'_, '_>, ago: Duration) {
    let now = cx.now();
    cx.sa.timers.liveness =
        cx.sa.policy.dpd_delay.map(|delay| now.after(delay.saturating_sub(ago)));
}

/// Nothing has come through IKE for `dpddelay`: has anything through the tunnels?
pub(crate) fn due(cx: &mut Cx<'_, '_>) {
    arm(cx, Duration::ZERO);
    let up = cx.sa.children.iter().filter(|child| child.up.is_some());
    let children: Vec<_> = up.map(|child| child.serial).collect();
    if children.is_empty() {
        return check(cx);
    }
    cx.kernel(KernelRequest::LastHeard(children));
}

/// The kernel's answer; none: nothing ever came, or it does not know.
pub(crate) fn kernel_said(cx: &mut Cx<'_, '_>, ago: Option<Duration>) {
    let delay = cx.sa.policy.dpd_delay.unwrap_or_default();
    match ago {
        Some(ago) if ago < delay => arm(cx, ago),
        _ => check(cx),
    }
}

/// Asks the peer, unless it is being asked something already.
fn check(cx: &mut Cx<'_, '_>) {
    if !cx.sa.window.is_waiting() && !cx.sa.mobike.is_stranded() {
        cx.enqueue(Task::Liveness);
    }
}

/// An unprotected message that names an established SA. Whoever sent it, an error in it is
/// at most a reason to ask the peer; true when that was noted.
pub(crate) fn suspect(cx: &mut Cx<'_, '_>, state: &State, header: &Header, bytes: &[u8]) -> bool {
    let possible = header.next_payload == PayloadType::NOTIFY
        && matches!(state, State::Established(_))
        && header.spis.responder != IkeSpi::ZERO;
    let limited =
        cx.sa.suspected.is_some_and(|at: Instant| cx.now().since(at) < BETWEEN_SUSPICIONS);
    if !possible || limited || cx.sa.window.is_waiting() {
        return false;
    }
    let Some(notify) = error_in(bytes) else { return false };
    cx.sa.suspected = Some(cx.now());
    cx.story(StoryEvent::Suspected { notify });
    check(cx);
    true
}

fn error_in(bytes: &[u8]) -> Option<NotifyType> {
    let message = Message::decode(bytes).ok()?;
    message.payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.notify_type.is_error() => Some(notify.notify_type),
        _ => None,
    })
}
