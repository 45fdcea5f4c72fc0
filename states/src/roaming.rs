//! A peer whose address changes, because it or its NAT has moved (RFC 7296, 2.23).

use crate::common::{Cue, Cx, Task};
use crate::nat::Path;
use crate::{ChildMove, ChildUp, KernelFault, KernelRequest, StoryEvent};
use pluto_connections::SerialNo;
use std::net::SocketAddr;
use std::sync::Arc;

/// A request of the peer's, or traffic of its, came on this path. A responder goes where the
/// peer comes from until IKE_AUTH is over; later only a peer behind a NAT may move, and only
/// where we are not behind one too (RFC 7296, 2.23).
pub(crate) fn came_from(cx: &mut Cx<'_, '_>, path: &Path) {
    if cx.sa.path == *path {
        return;
    }
    let established = cx.sa.remote_id.is_some();
    if established && (!cx.sa.nat.remote || cx.sa.nat.local) {
        return;
    }
    cx.sa.path = *path;
    if established {
        cx.story(StoryEvent::AddressChanged { remote: path.remote });
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

/// Child SAs go where the IKE SA goes.
fn children_follow(cx: &mut Cx<'_, '_>) {
    let Path { local, remote, .. } = cx.sa.path;
    let mut moves = Vec::new();
    for child in &mut cx.sa.children {
        let Some(up) = &mut child.up else { continue };
        if !up.encapsulated || (up.local, up.remote) == (local, remote) {
            continue;
        }
        *up = Arc::new(ChildUp { local, remote, ..ChildUp::clone(up) });
        moves.push(ChildMove {
            child: child.serial,
            connection: child.policy.connection,
            local,
            remote,
            encapsulated: true,
        });
    }
    moves.into_iter().for_each(|to| cx.kernel(KernelRequest::Move(to)));
}

/// The kernel's answer. An SA that cannot follow carries nothing any more.
pub(crate) fn moved(cx: &mut Cx<'_, '_>, serial: SerialNo, result: Result<(), KernelFault>) {
    let Err(fault) = result else { return };
    let Some(child) = cx.sa.child(serial).map(|child| child.clone()) else { return };
    cx.child_story(&child, StoryEvent::ChildNotMoved { fault });
    cx.enqueue(Task::DeleteChild(serial, Cue::Requested));
}
