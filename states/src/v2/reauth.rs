//! Reauthentication of an IKE SA, make before break (`reauth=yes`): when its time comes, its
//! initiator makes another one from the beginning, with the same Child SAs, and deletes the
//! old one when the new ones stand (RFC 7296, 2.8.3). Nobody says INITIAL_CONTACT, so that
//! nothing goes in between.

use super::create_child_sa::try_again;
use super::outbound;
use super::state::State;
use crate::child_sa::{Child, ChildState};
use crate::common::{Common, Cx, Task};
use crate::nat::Path;
use crate::{ChildUp, DownReason, Finish, IkeSa, Output, StoryEvent};
use pluto_connections::{ChildPolicy, IkePolicy, Selector, SerialNo};
use pluto_crypto::Entropy;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// An IKE SA that is to be replaced by another one from the beginning.
#[derive(Debug, Clone)]
pub struct Reauthentication {
    /// The old one.
    pub ike: SerialNo,
    /// Its Child SAs that carry traffic.
    pub children: Vec<Arc<ChildUp>>,
    policy: Arc<IkePolicy>,
    path: Path,
}

/// What a new IKE SA knows of the one in whose place it is made.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Predecessor {
    ike: SerialNo,
    /// Child SAs that nothing has replaced yet.
    children: Vec<Arc<ChildUp>>,
    /// Old ones with what is made in their places.
    replaced: Vec<(SerialNo, SerialNo)>,
}

/// The time for another IKE SA has come; false: it is for the peer to begin one from the
/// beginning, so this one is only rekeyed.
pub(crate) fn begin(cx: &mut Cx<'_, '_>) -> bool {
    if !cx.sa.policy.reauth || !cx.sa.initiator || cx.sa.replaced_by.is_some() {
        return false;
    }
    // Should it come to nothing, it is tried again; so it is where there is no way now.
    cx.sa.timers.life.rekey = try_again(cx.now(), cx.sa.timers.life.end);
    if cx.sa.uprooted {
        return true;
    }
    cx.story(StoryEvent::Reauthenticating);
    let wanted = replaceable(cx.sa);
    cx.out.push(Output::Reauthenticate(Box::new(wanted)));
    true
}

/// The facts of an IKE SA in whose place another one may be made.
pub(crate) fn replaceable(sa: &Common) -> Reauthentication {
    let current = sa.children.iter().filter(|child| child.is_current());
    let children = current.filter_map(|child| child.up.clone()).collect();
    let policy = IkePolicy { initial_contact: false, ..IkePolicy::clone(&sa.policy) };
    Reauthentication { ike: sa.serial, children, policy: Arc::new(policy), path: sa.path }
}

impl Reauthentication {
    /// Our address that the old one has.
    #[must_use]
    pub fn local(&self) -> IpAddr {
        self.path.local.ip()
    }

    /// The same between these addresses, as the connection wants it by now.
    #[must_use]
    pub fn between(&self, policy: Arc<IkePolicy>, local: SocketAddr, remote: SocketAddr) -> Self {
        let path = Path::between(local, remote, policy.nat_port);
        Self { policy, path, ..self.clone() }
    }
}

impl IkeSa {
    /// An initiator that takes the place of another IKE SA; `children` are those of its Child
    /// SAs as the connections want them. Give it `Input::Start`.
    #[must_use]
    pub fn reauthenticating(
        serial: SerialNo,
        children: Vec<Arc<ChildPolicy>>,
        old: &Reauthentication,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let mut common = Common::new(serial, Arc::clone(&old.policy), true, old.path);
        common.spis.initiator = crate::ike_sa::fresh_spi(entropy);
        common.wanted = children;
        let children = old.children.clone();
        let before = Predecessor { ike: old.ike, children, replaced: Vec::new() };
        common.reauthenticates = Some(Box::new(before));
        Self::succeeding(common, State::Idle)
    }
}

/// Which of the old IKE SA's Child SAs this one is made in place of.
pub(crate) fn predecessor(
    sa: &mut Common,
    serial: SerialNo,
    remote_ts: &[Selector],
) -> Option<SerialNo> {
    let connection = sa.child(serial)?.policy.connection;
    let before = sa.reauthenticates.as_mut()?;
    let of_connection = |up: &Arc<ChildUp>| up.policy.connection == connection;
    let same = |up: &Arc<ChildUp>| of_connection(up) && up.remote_ts == remote_ts;
    let place = before.children.iter().position(same);
    let place = place.or_else(|| before.children.iter().position(of_connection))?;
    let old = before.children.swap_remove(place).child;
    before.replaced.push((old, serial));
    Some(old)
}

/// Whether something that was wanted will be asked for again, because the peer has put it off.
pub(crate) fn is_unfinished(sa: &Common) -> bool {
    let again = |task: &Task| matches!(task, Task::AskAgain(_) | Task::CreateChild(_));
    sa.reauthenticates.is_some() && sa.postponed.iter().any(|(_, task)| again(task))
}

/// Everything that was wanted has been made, or has failed: the old one goes. Where nothing
/// was made it stays, and this one goes.
pub(crate) fn complete(cx: &mut Cx<'_, '_>) {
    let Some(before) = cx.sa.reauthenticates.take() else { return };
    let Predecessor { ike: old, children: left, replaced } = *before;
    let wanted = !(left.is_empty() && replaced.is_empty());
    let stands = |serial: SerialNo| {
        let is = |child: &Child| child.serial == serial && child.state == ChildState::Established;
        cx.sa.children.iter().any(is)
    };
    let children: Vec<_> = replaced.into_iter().filter(|(_, new)| stands(*new)).collect();
    if wanted && children.is_empty() {
        cx.story(StoryEvent::NotReauthenticated { old });
        cx.enqueue(Task::DeleteIke);
        return;
    }
    cx.story(StoryEvent::Reauthenticated { old });
    cx.out.push(Output::Reauthenticated { old, children });
}

/// Another IKE SA stands in the place of this one, with these Child SAs.
pub(crate) fn replaced_by(
    cx: &mut Cx<'_, '_>,
    state: State,
    ike: SerialNo,
    children: &[(SerialNo, SerialNo)],
) -> State {
    let State::Established(established) = state else { return state };
    cx.sa.replaced_by = Some(ike);
    for (old, new) in children {
        if let Some(child) = cx.sa.child_mut(*old) {
            child.replaced_by = Some(*new);
        }
    }
    if cx.sa.uprooted {
        // Nothing can be said from where it was.
        let words = "established IKE SA";
        cx.story(StoryEvent::DeletingIke { state_words: words });
        cx.finished(Finish::Deleted, &DownReason::Replaced);
        return State::Finished;
    }
    outbound::changed_over(cx);
    if established.is_free(cx) {
        return established.delete(cx, Finish::Deleted);
    }
    cx.enqueue(Task::DeleteIke);
    State::Established(established)
}
