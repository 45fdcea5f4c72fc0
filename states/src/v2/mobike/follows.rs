//! Requests of the peer's that concern addresses.

use super::{PathStory, children_follow, decides, judge_nat, messages, nat_detection};
use crate::StoryEvent;
use crate::common::{Cx, Task};
use crate::nat::{self, Path};
use messages::NatSurprise;
use pluto_wire::numbers::NotifyType;
use pluto_wire::v2::Payload;
use std::net::IpAddr;

/// An INFORMATIONAL request that came on `path`: what its answer has to say of addresses.
pub(crate) fn process_request(
    cx: &mut Cx<'_, '_>,
    path: &Path,
    payloads: &[Payload],
) -> Vec<Payload> {
    let update = messages::has(payloads, NotifyType::UPDATE_SA_ADDRESSES);
    if !cx.sa.mobike.is_agreed() {
        if update {
            cx.debug("ignoring UPDATE_SA_ADDRESSES: MOBIKE was not agreed on");
        }
        return Vec::new();
    }
    let mut answer: Vec<Payload> = messages::returned(payloads).into_iter().collect();
    if NatSurprise::find(path, payloads).is_some() {
        let why = "it allows no NAT, and there is one on the way".to_owned();
        refuse(cx, path, NotifyType::UNEXPECTED_NAT_DETECTED, why);
        answer.push(messages::notify(NotifyType::UNEXPECTED_NAT_DETECTED));
        return answer;
    }
    if update && cx.sa.mobike.decides() {
        cx.debug("ignoring UPDATE_SA_ADDRESSES: it is for us to decide");
    } else if update && let Some(why) = unacceptable(path) {
        refuse(cx, path, NotifyType::UNACCEPTABLE_ADDRESSES, why.to_owned());
        answer.push(messages::notify(NotifyType::UNACCEPTABLE_ADDRESSES));
        return answer;
    }
    if let Some(theirs) = messages::additional(payloads) {
        further_addresses(cx, path, theirs);
    }
    if update && !cx.sa.mobike.decides() {
        follow(cx, path, payloads);
    }
    // RFC 4555, 3.8: in whatever request they are.
    if nat::is_announced(payloads) {
        answer.extend(nat_detection(cx, path));
    }
    answer
}

fn refuse(cx: &mut Cx<'_, '_>, path: &Path, notify: NotifyType, why: String) {
    let exchange = pluto_wire::numbers::ExchangeType::INFORMATIONAL;
    cx.story(StoryEvent::SentProtected { exchange, notify, to: path.remote, why });
}

/// Whether we cannot send to where it came from.
fn unacceptable(path: &Path) -> Option<&'static str> {
    let (from, to) = (path.remote.ip(), path.local.ip());
    if super::is_unusual(from) || path.remote.port() == 0 {
        return Some("no host can have that address");
    }
    if from.is_loopback() != to.is_loopback() {
        return Some("it is an address of ours");
    }
    (from == to).then_some("it is our own address")
}

/// The new list takes the place of the old one.
fn further_addresses(cx: &mut Cx<'_, '_>, path: &Path, theirs: Vec<IpAddr>) {
    let remote = cx.sa.path.remote.ip();
    let left = path.remote.ip() != remote && !theirs.contains(&remote);
    cx.sa.mobike.theirs = theirs;
    if left && cx.sa.mobike.decides() && unacceptable(path).is_none() {
        decides::peer_left(cx, path);
    }
}

/// The peer has moved. Where its address is another one, our traffic goes there only when it
/// has shown that it gets it (RFC 4555, 3.5 and 3.7).
fn follow(cx: &mut Cx<'_, '_>, path: &Path, payloads: &[Payload]) {
    let old = std::mem::replace(&mut cx.sa.path, *path);
    // Wherever we were looking for the peer, it is here.
    cx.sa.mobike.left = false;
    let looked = !std::mem::take(&mut cx.sa.mobike.tried).is_empty();
    judge_nat(cx, path, payloads);
    if old != *path || looked {
        let (now, policy) = (cx.now(), super::patience(cx.sa, cx.sa.policy.retransmit));
        cx.sa.window.begin_again(now, policy);
    }
    if old != *path {
        cx.story(PathStory::moved(&old, path));
    }
    if cx.sa.mobike.verified == Some(path.remote.ip()) {
        children_follow(cx);
    } else {
        cx.enqueue(Task::CheckReturn);
    }
}
