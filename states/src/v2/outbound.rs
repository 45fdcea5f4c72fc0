//! When a Child SA that the peer has made in place of another begins to send (RFC 7296, 2.8).
//!
//! Its inbound SA stands before the peer hears of it. Its outbound SA would be of no use
//! before the peer has the other end of it, and until then the old one carries what goes
//! out. So it follows when the peer shows that it has: by its next request (its window is
//! one, so the response has come), which as a rule is its Delete of the old SA, or by saying
//! nothing more for a while.
//!
//! Upon a Delete of ours, and upon our answer to its Delete, the peer may forget its end of the
//! old one at once. So messages that hold a Delete wait until the kernel has changed over, and a
//! moment more, for packets that the kernel had taken up before and has not sent. What is said
//! of further Child SAs stays behind them: strongSwan (6.0) takes its own rekeying of a new SA,
//! done before the Delete of the old one has come, for a collision, and forgets what we send by.
//! Whatever else is said meanwhile waits for nothing.

use super::ike_sa_init::notifications;
use crate::child_sa::ChildState;
use crate::common::{Cue, Cx, Task};
use crate::{
    ChildInstall, ChildSpi, Datagram, Instant, KernelFault, KernelRequest, Output, StoryEvent,
};
use pluto_connections::SerialNo;
use pluto_wire::numbers::{ExchangeType, NotifyType, ProtocolId};
use pluto_wire::v2::Payload;
use std::sync::Arc;
use std::time::Duration;

/// How long the peer is waited for after our response went out: longer than its next
/// retransmission takes, should the response be lost.
const SILENCE: Duration = Duration::from_secs(10);

/// The same where the peer may have forgotten the SA that sends meanwhile, which is on another
/// IKE SA: no longer than it takes the response to arrive.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// How long a packet may be on its way through the kernel by an SA that was chosen for it.
/// Uninterrupted it takes microseconds; where every core has other work besides, 19 ms were seen.
pub(crate) const UNDER_WAY: Duration = Duration::from_millis(50);

/// How long a kernel that does not say whether it has changed over is waited for at most.
const KERNEL_AT_MOST: Duration = Duration::from_secs(5);

/// Datagrams that wait at most: a request and a response in all their fragments.
const MOST_HELD: usize = 128;

/// A Child SA that only receives.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Receiving {
    child: SerialNo,
    install: Arc<ChildInstall>,
    /// When it is sent by in any case; none while it is not up.
    due: Option<Instant>,
}

impl Receiving {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether what sends in its place is on another IKE SA.
    fn is_elsewhere(&self) -> bool {
        self.install.replaces.is_none()
    }

    fn wait(&mut self, now: Instant) {
        let wait = if self.is_elsewhere() { ON_THE_WAY } else { SILENCE };
        self.due = Some(now.after(wait));
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// It has a Delete.
    Delete,
    /// CREATE_CHILD_SA.
    Create,
    /// It is sent again, or about something else.
    Else,
}

impl About {
    pub(crate) fn of(exchange: ExchangeType, payloads: &[Payload]) -> Self {
        if payloads.iter().any(|payload| matches!(payload, Payload::Delete(_))) {
            return Self::Delete;
        }
        if exchange == ExchangeType::CREATE_CHILD_SA { Self::Create } else { Self::Else }
    }
}

/// Outbound SAs that the kernel is about to install, and what is said when it has, and when
/// what was under way by their predecessors has left.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChangingOver {
    children: Vec<SerialNo>,
    /// For how long the kernel is waited for.
    patience: Option<Instant>,
    until: Option<Instant>,
    held: Vec<Datagram>,
}

impl ChangingOver {
    /// Whether a Delete would come too early now.
    fn is_under_way(&self) -> bool {
        !self.children.is_empty() || self.until.is_some()
    }

    /// Takes a datagram that has to wait; gives back one that has not.
    pub(crate) fn hold(&mut self, datagram: Datagram, about: About) -> Option<Datagram> {
        // Its retransmission, or the answer to one, is not to come before it.
        if self.held.iter().any(|held| held.bytes == datagram.bytes) {
            return None;
        }
        let waits = match about {
            About::Delete => self.is_under_way(),
            About::Create => !self.held.is_empty(),
            About::Else => false,
        };
        if !waits {
            return Some(datagram);
        }
        // What is too much is lost, as on any network: it is asked for, or sent, again.
        if self.held.len() < MOST_HELD {
            self.held.push(datagram);
        }
        None
    }

    /// What has waited, and for how long it has to wait on where nobody is left to wait for it.
    pub(crate) fn release(&mut self, now: Instant) -> (Duration, Vec<Datagram>) {
        let left = self.until.map_or(UNDER_WAY, |until| until.since(now));
        self.children.clear();
        (self.patience, self.until) = (None, None);
        (left, std::mem::take(&mut self.held))
    }

    /// When nothing is under way any more, or the kernel is not waited for any longer.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.children.is_empty() { self.until } else { self.patience }
    }
}

/// Whether something on another IKE SA sends in place of this one.
pub(super) fn stands_elsewhere(cx: &Cx<'_, '_>, child: SerialNo) -> bool {
    cx.sa.receiving.iter().any(|receiving| receiving.child == child && receiving.is_elsewhere())
}

/// That goes: this one sends from now on.
pub(crate) fn elsewhere_goes(cx: &mut Cx<'_, '_>, child: SerialNo) {
    begin_all(cx, |receiving| receiving.child == child && receiving.is_elsewhere());
}

/// The kernel is to install the inbound SA, and the outbound one later.
pub(super) fn install_inbound(cx: &mut Cx<'_, '_>, install: Box<ChildInstall>) {
    let (child, kept) = (install.child, Arc::new(ChildInstall::clone(&install)));
    cx.sa.receiving.push(Receiving { child, install: kept, due: None });
    cx.kernel(KernelRequest::InstallInbound(install));
}

/// It is up, and the peer gets to know.
pub(super) fn up(cx: &mut Cx<'_, '_>, child: SerialNo) {
    let now = cx.now();
    if let Some(receiving) = cx.sa.receiving.iter_mut().find(|r| r.child == child) {
        receiving.wait(now);
    }
}

/// It never sends: another one is preferred to it, or it is down.
pub(crate) fn never(cx: &mut Cx<'_, '_>, child: SerialNo) {
    cx.sa.receiving.retain(|receiving| receiving.child != child);
}

/// It sends from now on.
pub(super) fn begin(cx: &mut Cx<'_, '_>, child: SerialNo) {
    let Some(at) = cx.sa.receiving.iter().position(|r| r.child == child) else { return };
    let install = cx.sa.receiving.remove(at).install;
    let Some(up) = cx.sa.child(child).and_then(|child| child.up.clone()) else { return };
    // The peer may have moved meanwhile.
    let (local, remote, encapsulated) = (up.local, up.remote, up.encapsulated);
    let install = ChildInstall { local, remote, encapsulated, ..ChildInstall::clone(&install) };
    cx.sa.changing_over.children.push(child);
    cx.sa.changing_over.patience = Some(cx.now().after(KERNEL_AT_MOST));
    cx.kernel(KernelRequest::InstallOutbound(Box::new(install)));
}

fn begin_all(cx: &mut Cx<'_, '_>, which: impl Fn(&Receiving) -> bool) {
    let ready = cx.sa.receiving.iter().filter(|r| r.due.is_some() && which(r));
    let ready: Vec<SerialNo> = ready.map(|receiving| receiving.child).collect();
    for child in ready {
        begin(cx, child);
    }
}

/// The kernel sends by another SA from now on.
pub(super) fn changed_over(cx: &mut Cx<'_, '_>) {
    cx.sa.changing_over.until = Some(cx.now().after(UNDER_WAY));
}

/// The peer has said nothing more for a while, or what was under way has left.
pub(crate) fn due(cx: &mut Cx<'_, '_>) {
    let now = cx.now();
    if cx.sa.changing_over.deadline().is_some_and(|until| until <= now) {
        let (_, held) = cx.sa.changing_over.release(now);
        cx.out.extend(held.into_iter().map(Output::Transmit));
    }
    begin_all(cx, |receiving| receiving.due.is_some_and(|due| due <= now));
}

/// What it replaces sends no more.
pub(crate) fn old_goes(cx: &mut Cx<'_, '_>, old: SerialNo) {
    begin_all(cx, |receiving| receiving.install.replaces == Some(old));
}

/// A further request of the peer's: it has our response, and by it whatever it does not
/// delete now.
pub(super) fn peer_goes_on(cx: &mut Cx<'_, '_>, payloads: &[Payload]) {
    let deletes = |install: &ChildInstall| {
        payloads.iter().any(|payload| match payload {
            Payload::Delete(delete) if delete.protocol == ProtocolId::IKE => true,
            Payload::Delete(delete) if delete.protocol == install.protocol => {
                delete.spis.iter().any(|spi| ChildSpi(u32::from_be_bytes(*spi)) == install.spi_out)
            }
            _ => false,
        })
    };
    // It does not accept our AUTH: nothing is to be sent.
    let rejects =
        notifications(payloads).any(|n| n.notify_type == NotifyType::AUTHENTICATION_FAILED);
    if !rejects {
        begin_all(cx, |receiving| !deletes(&receiving.install));
    }
}

/// The peer's request has come again: our response was lost.
pub(super) fn peer_asks_again(cx: &mut Cx<'_, '_>) {
    let now = cx.now();
    for receiving in cx.sa.receiving.iter_mut().filter(|receiving| receiving.due.is_some()) {
        receiving.wait(now);
    }
}

/// The kernel's answer. What cannot send is of no use.
pub(crate) fn installed(cx: &mut Cx<'_, '_>, child: SerialNo, result: Result<(), KernelFault>) {
    cx.sa.changing_over.children.retain(|other| *other != child);
    changed_over(cx);
    let Err(fault) = result else { return };
    let known = cx.sa.child(child).filter(|child| child.state == ChildState::Established);
    let Some(known) = known.cloned() else { return };
    cx.child_story(&known, StoryEvent::ChildNotInstalled { fault });
    cx.enqueue(Task::DeleteChild(child, Cue::Requested));
}

/// The IKE SA ends: what waits is sent all the same, and not before its time.
pub(crate) fn release_later(cx: &mut Cx<'_, '_>) {
    let (left, held) = cx.sa.changing_over.release(cx.env.now);
    cx.out.extend(held.into_iter().map(|datagram| Output::TransmitLater(left, datagram)));
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
