//! Addresses that change without MOBIKE: the peer's, because its NAT has changed its mind
//! (RFC 7296, 2.23), and ours, which is the end of an IKE SA.

use crate::common::{Cue, Cx, Task};
use crate::nat::Path;
use crate::v2::mobike::{PathStory, children_follow, suspend_children};
use crate::v2::reauth;
use crate::v2::state::State;
use crate::{ChildEvent, ChildUp, KernelFault, Output, StoryEvent};
use pluto_connections::SerialNo;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A request of the peer's came on this path. A responder goes where the peer comes from until
/// IKE_AUTH is over; with MOBIKE the peer says when that changes later (RFC 4555, 3.8).
pub(crate) fn requested_from(cx: &mut Cx<'_, '_>, path: &Path) {
    if !cx.sa.mobike.is_agreed() {
        came_from(cx, path);
    }
}

/// A request of the peer's, or traffic of its, came on this path. Once IKE_AUTH is over only a
/// peer behind a NAT may move, and only where we are not behind one too (RFC 7296, 2.23).
fn came_from(cx: &mut Cx<'_, '_>, path: &Path) {
    if cx.sa.path == *path {
        return;
    }
    let established = cx.sa.remote_id.is_some();
    if established && (!cx.sa.nat.remote || cx.sa.nat.local) {
        return;
    }
    let old = std::mem::replace(&mut cx.sa.path, *path);
    // What waits for an answer went to where the peer is no more.
    let (now, retransmit) = (cx.now(), cx.sa.policy.retransmit);
    cx.sa.window.begin_again(now, retransmit);
    if established {
        cx.story(PathStory::moved(&old, path));
        children_follow(cx);
    }
}

/// The kernel says where packets of a Child SA come from.
pub(crate) fn mapping(cx: &mut Cx<'_, '_>, child: SerialNo, remote: SocketAddr) {
    let path = Path { remote, ..cx.sa.path };
    let encapsulated = |up: &Arc<ChildUp>| up.encapsulated;
    let up = cx.sa.child(child).and_then(|child| child.up.clone());
    if up.is_some_and(|up| encapsulated(&up)) {
        came_from(cx, &path);
    }
}

/// The kernel's answer. An SA that cannot follow carries nothing any more.
pub(crate) fn moved(cx: &mut Cx<'_, '_>, serial: SerialNo, result: Result<(), KernelFault>) {
    let Some(child) = cx.sa.child(serial).cloned() else { return };
    let Err(fault) = result else {
        if let Some(up) = &child.up {
            cx.out.push(Output::Child(ChildEvent::Moved(Box::new(ChildUp::clone(up)))));
        }
        return;
    };
    cx.child_story(&child, StoryEvent::ChildNotMoved { fault });
    cx.enqueue(Task::DeleteChild(serial, Cue::Requested));
}

/// Whether what this end has begun, and has not finished, comes from an address that is no more
/// this host's, which has another one.
pub(crate) fn is_to_begin_elsewhere(cx: &Cx<'_, '_>, state: &State, ours: &[IpAddr]) -> bool {
    let local = cx.sa.path.local.ip();
    let other = |ip: &IpAddr| ip.is_ipv4() == local.is_ipv4() && !ip.is_loopback();
    let over = state.is_established() || matches!(state, State::Lingering(_) | State::Finished);
    cx.sa.initiator && !over && !ours.contains(&local) && ours.iter().any(other)
}

/// Nobody answers to an address that is gone: the connection begins anew from where it leads now.
pub(crate) fn begin_elsewhere(cx: &mut Cx<'_, '_>) -> State {
    let local = cx.sa.path.local;
    cx.story(StoryEvent::Path(PathStory::Lost { local }));
    cx.failed(format!("address {} is lost", local.ip()));
    State::Finished
}

/// This host has these addresses now. An IKE SA that is established and may not move waits, when
/// its own is gone, until that is back, or until another IKE SA, made from the beginning from
/// where the connection leads by then, stands in its place.
pub(crate) fn addresses(cx: &mut Cx<'_, '_>, ours: &[IpAddr]) {
    let local = cx.sa.path.local;
    let gone = !ours.contains(&local.ip());
    if cx.sa.mobike.is_agreed() || cx.sa.replaced_by.is_some() || gone == cx.sa.uprooted {
        return;
    }
    cx.sa.uprooted = gone;
    if gone {
        cx.story(StoryEvent::Path(PathStory::Uprooted { local }));
        suspend_children(cx);
        let old = Box::new(reauth::replaceable(cx.sa));
        return cx.out.push(Output::Uprooted(Some(old)));
    }
    cx.story(StoryEvent::Path(PathStory::Back { local }));
    // What waits for an answer could not be sent.
    let (now, retransmit) = (cx.now(), cx.sa.policy.retransmit);
    cx.sa.window.begin_again(now, retransmit);
    children_follow(cx);
    cx.out.push(Output::Uprooted(None));
}
