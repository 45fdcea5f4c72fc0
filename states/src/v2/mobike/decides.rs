//! Who decides on which path to go.

use super::{
    NAT_RETRIES, Part, PathStory, STRANDED, children_follow, further, is_back, judge_nat, messages,
    nat_detection, suspend_children, usable,
};
use crate::common::{Common, Cx, Task};
use crate::nat::{self, Path};
use crate::v2::established::Established;
use crate::v2::state::State;
use crate::{Finish, KernelRequest, Output, Request, StoryEvent};
use pluto_wire::numbers::NotifyType;
use pluto_wire::v2::Payload;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Retransmissions on one path before another one is tried.
const ON_ONE_PATH: u8 = 2;

/// Before NO_NATS_ALLOWED is said again to who has seen a NAT.
const BEFORE_RETRY: Duration = Duration::from_secs(1);

/// This host has these addresses now, and perhaps other routes.
pub(crate) fn addresses(cx: &mut Cx<'_, '_>, ours: Arc<[IpAddr]>) {
    cx.sa.mobike.ours = Some(ours);
    let Some(part) = cx.sa.mobike.part else { return };
    let here = usable(cx.sa).contains(&cx.sa.path.local.ip());
    match part {
        Part::Decides => {
            if !here && !cx.sa.mobike.stranded {
                // What is routed by way of it hides how the peer can be reached now.
                suspend_children(cx);
            }
            let remotes = remotes(cx.sa);
            cx.kernel(KernelRequest::SourcesFor(remotes));
        }
        Part::Follows if !here => leave(cx),
        Part::Follows => tell(cx),
    }
}

/// The peer's addresses: the one that is known to be its own, the one in use, the others.
fn remotes(sa: &Common) -> Vec<IpAddr> {
    let mut remotes: Vec<IpAddr> = sa.mobike.verified.into_iter().collect();
    for ip in std::iter::once(sa.path.remote.ip()).chain(sa.mobike.theirs.iter().copied()) {
        if !remotes.contains(&ip) {
            remotes.push(ip);
        }
    }
    remotes
}

/// The peer is told our further addresses where they are others than before.
fn tell(cx: &mut Cx<'_, '_>) {
    if cx.sa.replaced_by.is_none() && further(cx.sa) != cx.sa.mobike.told {
        cx.enqueue(Task::TellAddresses);
    }
}

/// Our address is lost, and it is not for us to decide where to go: the peer is told from
/// another one what we have (RFC 4555, 3.6).
fn leave(cx: &mut Cx<'_, '_>) {
    let remote = cx.sa.path.remote.ip();
    let alike = |ip: &IpAddr| ip.is_ipv4() == remote.is_ipv4();
    let Some(local) = usable(cx.sa).into_iter().find(alike) else { return };
    step_over(cx, local, remote);
    cx.sa.mobike.left = true;
    cx.enqueue(Task::TellAddresses);
}

/// The kernel has told from which address of ours each of the peer's is reached.
pub(crate) fn sources(cx: &mut Cx<'_, '_>, answers: &[(IpAddr, Option<IpAddr>)]) {
    if !cx.sa.mobike.decides() {
        return;
    }
    let Path { local, remote, .. } = cx.sa.path;
    let (local, remote) = (local.ip(), remote.ip());
    let to = |wanted: IpAddr| answers.iter().find(|(to, _)| *to == wanted).and_then(|(_, s)| *s);
    let now = to(remote);
    let before = cx.sa.mobike.route.replace(now);
    let ours = usable(cx.sa);
    if ours.is_empty() && cx.sa.mobike.ours.is_none() {
        return; // Nobody has told what we have.
    }
    let lost = cx.sa.mobike.stranded || cx.sa.mobike.unproven || !ours.contains(&local);
    let wanted = if !lost {
        // Who sat where the route led goes where it leads.
        let followed = before.flatten() == Some(local);
        now.filter(|source| followed && ours.contains(source)).map(|source| (source, remote))
    } else {
        // A source inside a tunnel is that of a route of ours, and hides the one behind it.
        let first = |to: IpAddr| ours.iter().copied().find(|ip| ip.is_ipv4() == to.is_ipv4());
        let reached = |(to, source): &(IpAddr, Option<IpAddr>)| {
            let source = (*source)?;
            let known = ours.contains(&source).then_some(source).or_else(|| first(*to))?;
            Some((known, *to))
        };
        match answers.iter().find_map(reached) {
            Some(way) => Some(way),
            None => return strand(cx),
        }
    };
    match wanted {
        Some((source, to)) if cx.sa.mobike.stranded || (source, to) != (local, remote) => {
            go(cx, source, to);
        }
        _ => tell(cx),
    }
}

/// There is no way to the peer: nothing is given up for a while.
fn strand(cx: &mut Cx<'_, '_>) {
    if std::mem::replace(&mut cx.sa.mobike.stranded, true) {
        return;
    }
    let until = cx.now().after(STRANDED);
    cx.sa.window.hold(until);
    cx.story(StoryEvent::Path(PathStory::Stranded { local: cx.sa.path.local }));
}

/// The IKE SA is between these addresses from now on; what waits for an answer is sent again
/// from there (RFC 4555, 3.5).
fn step_over(cx: &mut Cx<'_, '_>, local: IpAddr, remote: IpAddr) {
    let old = cx.sa.path;
    cx.sa.path.local.set_ip(local);
    cx.sa.path.remote.set_ip(remote);
    cx.sa.mobike.stranded = false;
    cx.sa.mobike.unproven = true;
    cx.sa.mobike.tried.clear();
    let (now, policy) = (cx.now(), cx.sa.policy.retransmit);
    let policy = super::patience(cx.sa, policy);
    cx.sa.window.begin_again(now, policy);
    cx.story(PathStory::moved(&old, &cx.sa.path));
}

/// We go there, and tell the peer.
fn go(cx: &mut Cx<'_, '_>, local: IpAddr, remote: IpAddr) {
    if cx.sa.path.local.ip() != local {
        suspend_children(cx);
    }
    step_over(cx, local, remote);
    announce(cx);
}

/// The peer must be told where we are. To an address that is known to be the peer's traffic
/// may go at once. An IKE SA that was replaced tells it too: as long as our response has not
/// reached the peer it knows no other, and looks for that response where we were.
fn announce(cx: &mut Cx<'_, '_>) {
    cx.sa.mobike.pending = true;
    cx.sa.mobike.surprises = 0;
    cx.enqueue(Task::UpdateAddresses);
    if cx.sa.mobike.verified == Some(cx.sa.path.remote.ip()) {
        children_follow(cx);
    }
}

/// The request that waits was sent `resends` times again: if the path is dead, another one
/// may not be (RFC 4555, 3.10).
pub(crate) fn try_another(cx: &mut Cx<'_, '_>, resends: u8, looks_for_peer: bool) {
    let decides = cx.sa.mobike.decides();
    // Who follows is found where it was, unless it is there no more.
    let may = decides || (cx.sa.mobike.left && looks_for_peer);
    if !may || cx.sa.mobike.stranded || resends < ON_ONE_PATH {
        return;
    }
    let Path { local, remote, .. } = cx.sa.path;
    if cx.sa.mobike.tried.is_empty() {
        cx.sa.mobike.tried.push((local.ip(), remote.ip()));
    }
    let ours = usable(cx.sa);
    let mobike = &cx.sa.mobike;
    let mut pairs = remotes(cx.sa).into_iter().flat_map(|to| {
        let alike = ours.iter().filter(move |from| from.is_ipv4() == to.is_ipv4());
        alike.map(move |from| (*from, to))
    });
    let fresh = pairs.find(|pair| !mobike.tried.contains(pair));
    // When all have been tried, they take turns.
    let turn = usize::from(resends).checked_rem(mobike.tried.len()).unwrap_or(0);
    let Some((from, to)) = fresh.or_else(|| mobike.tried.get(turn).copied()) else { return };
    if fresh.is_some() {
        cx.sa.mobike.tried.push((from, to));
    }
    cx.sa.path.local.set_ip(from);
    cx.sa.path.remote.set_ip(to);
}

/// A response has come on this path. Where several were tried, this is the one that works.
pub(crate) fn answered_on(cx: &mut Cx<'_, '_>, path: &Path) {
    let tried = std::mem::take(&mut cx.sa.mobike.tried);
    cx.sa.mobike.left = false;
    let pair = (path.local.ip(), path.remote.ip());
    if pair == (cx.sa.path.local.ip(), cx.sa.path.remote.ip()) {
        cx.sa.mobike.unproven = false;
    }
    let Some(first) = tried.first().copied().filter(|_| tried.contains(&pair)) else {
        if let Some((local, remote)) = tried.first() {
            cx.sa.path.local.set_ip(*local);
            cx.sa.path.remote.set_ip(*remote);
        }
        return;
    };
    let mut old = cx.sa.path;
    old.local.set_ip(first.0);
    old.remote.set_ip(first.1);
    // Who follows has found a way for what it had to say, and no more. What came by it may
    // have been a repetition, which moves nobody at the other end.
    let stays = !cx.sa.mobike.decides() && usable(cx.sa).contains(&first.0);
    let (local, remote) = if stays { first } else { pair };
    cx.sa.path.local.set_ip(local);
    cx.sa.path.remote.set_ip(remote);
    cx.sa.mobike.unproven = false;
    if pair == first || stays {
        // It may be by another one that the peer got it first, and where it believes us to be.
        if cx.sa.mobike.decides() && tried.len() > 1 {
            announce(cx);
        }
        return;
    }
    cx.story(PathStory::moved(&old, &cx.sa.path));
    if cx.sa.mobike.decides() {
        if pair.0 != first.0 {
            suspend_children(cx);
        }
        announce(cx);
        tell_successor(cx, first.1);
    }
}

/// What has replaced this IKE SA, and has its Child SAs, does not hear what this one finds out.
/// The peer, to which our response may not have come, takes the new address along.
fn tell_successor(cx: &mut Cx<'_, '_>, from: IpAddr) {
    let to = cx.sa.path.remote.ip();
    if let Some(successor) = cx.sa.replaced_by.filter(|_| from != to) {
        cx.out.push(Output::OrderSuccessor(successor, Request::PeerFound(from, to)));
    }
}

/// The IKE SA that this one has replaced has found the peer elsewhere.
pub(crate) fn peer_found(cx: &mut Cx<'_, '_>, from: IpAddr, to: IpAddr) {
    let Path { local, remote, .. } = cx.sa.path;
    if !cx.sa.mobike.decides() || remote.ip() != from || local.is_ipv4() != to.is_ipv4() {
        return;
    }
    go(cx, local.ip(), to);
    tell_successor(cx, from);
}

/// What a question whether the peer is alive has in it: behind a NAT, how the peer sees us
/// (RFC 4555, 3.8).
pub(crate) fn probe(cx: &Cx<'_, '_>) -> Vec<Payload> {
    if cx.sa.mobike.decides() && cx.sa.nat.local {
        return nat_detection(cx, &cx.sa.path);
    }
    Vec::new()
}

impl Established {
    /// The answer to such a question.
    pub(crate) fn probed(&self, cx: &mut Cx<'_, '_>, payloads: &[Payload]) {
        let Some(seen) = nat::seen(payloads).map(<[u8]>::to_vec) else { return };
        if !cx.sa.mobike.decides() || !cx.sa.nat.local {
            return;
        }
        let before = cx.sa.mobike.seen.replace(seen);
        if before.is_some() && before != cx.sa.mobike.seen {
            cx.story(StoryEvent::Path(PathStory::MappingLost));
            announce(cx);
        }
    }

    /// The answer to UPDATE_SA_ADDRESSES.
    pub(super) fn update_answered(
        self,
        cx: &mut Cx<'_, '_>,
        cookie: Option<[u8; super::COOKIE_LEN]>,
        path: &Path,
        payloads: &[Payload],
    ) -> State {
        let asked = cx.sa.path.remote;
        if cookie.is_some_and(|ours| !is_back(cx, asked, path, payloads, &ours)) {
            return self.wrong_cookie(cx);
        }
        // We have moved since: another update follows.
        if cx.sa.mobike.pending {
            return self.go_on(cx);
        }
        if messages::has(payloads, NotifyType::UNEXPECTED_NAT_DETECTED) {
            return self.surprised(cx);
        }
        if messages::has(payloads, NotifyType::UNACCEPTABLE_ADDRESSES) {
            let why = "the peer does not accept our new address";
            cx.story(StoryEvent::OutOfStep { why });
            return self.delete(cx, Finish::Failed(why.into()));
        }
        judge_nat(cx, path, payloads);
        if let Some(seen) = nat::seen(payloads) {
            cx.sa.mobike.seen = Some(seen.to_vec());
        }
        cx.sa.mobike.surprises = 0;
        cx.sa.mobike.verified = Some(cx.sa.path.remote.ip());
        children_follow(cx);
        cx.story(StoryEvent::Path(PathStory::Updated));
        self.go_on(cx)
    }

    /// There is a NAT where none may be. A single packet may have been forged
    /// (RFC 4555, 3.9).
    fn surprised(self, cx: &mut Cx<'_, '_>) -> State {
        cx.sa.mobike.surprises = cx.sa.mobike.surprises.saturating_add(1);
        if cx.sa.mobike.surprises > NAT_RETRIES {
            let why = "there is a NAT on the way, and encapsulation=no";
            cx.story(StoryEvent::OutOfStep { why });
            return self.delete(cx, Finish::Failed(why.into()));
        }
        cx.sa.mobike.pending = true;
        cx.postpone(BEFORE_RETRY, Task::UpdateAddresses);
        self.go_on(cx)
    }
}

/// The peer, who does not decide, is where this message came from, and no longer where it was.
pub(super) fn peer_left(cx: &mut Cx<'_, '_>, path: &Path) {
    let from = cx.sa.path.remote.ip();
    go(cx, cx.sa.path.local.ip(), path.remote.ip());
    tell_successor(cx, from);
}
