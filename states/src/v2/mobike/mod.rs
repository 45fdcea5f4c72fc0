//! MOBIKE (RFC 4555): an IKE SA and its tunnels go from one pair of addresses to another.
//!
//! The initiator of the first IKE SA decides where they go, the other follows, and tells
//! its further addresses, in case that the one in use is lost.
//!
//! ```text
//! HDR, SK {N(UPDATE_SA_ADDRESSES), [N(NATD_S), N(NATD_D),] [N(NO_NATS_ALLOWED),]
//!          [N(ADDITIONAL_*_ADDRESS)+,] [N(COOKIE2)]}  -->
//!                         <--  HDR, SK {[N(NATD_S), N(NATD_D),] [N(COOKIE2)]}
//!                         <--  HDR, SK {N(COOKIE2)}          is the new address the peer's?
//! HDR, SK {N(COOKIE2)}  -->
//! ```

mod decides;
mod follows;
mod messages;
mod story;

pub(crate) use decides::{addresses, answered_on, peer_found, probe, sources, try_another};
pub(crate) use follows::process_request;
pub use story::PathStory;

pub(crate) use messages::{NatSurprise, announcement, refuse_nat};

use super::create_child_sa::Ours;
use super::established::Established;
use super::ike_sa_init::notifications;
use super::state::State;
use crate::common::{Common, Cue, Cx, Task};
use crate::nat::{self, NatDetection, Path};
use crate::{ChildEvent, ChildMove, ChildUp, Finish, Instant, KernelRequest, Output, StoryEvent};
use pluto_connections::{IpsecMode, Retransmit, Selector};
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::{Notify, Payload};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Addresses that are told and remembered at most, beside the one in use.
const MOST_ADDRESSES: usize = 8;

/// Octets of our COOKIE2 (RFC 4555, 4.2.5: 8 to 64).
const COOKIE_LEN: usize = 16;

/// How long who follows repeats a request where nothing else is configured, for it is the
/// other who looks for a way ("at least five minutes", RFC 4555, 3.11).
const PATIENCE: Duration = Duration::from_secs(300);

/// How long an answer is not given up while we have no address.
const STRANDED: Duration = Duration::from_secs(300);

/// Who sends what no NAT may change, and meets one, tries so often (RFC 4555, 3.9).
const NAT_RETRIES: u8 = 3;

/// Which part we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Part {
    /// We were the initiator of the first of these IKE SAs.
    Decides,
    Follows,
}

/// What an IKE SA knows of addresses beside the path that it uses.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Mobike {
    /// The peer has shown in IKE_SA_INIT that it supports NAT traversal, and so do we.
    pub(crate) nat_traversal: bool,
    /// None: one of the two does not support MOBIKE.
    part: Option<Part>,
    /// This host's addresses; none: nobody has told them.
    ours: Option<Arc<[IpAddr]>>,
    /// Of these, what the peer was told.
    told: Vec<IpAddr>,
    /// The peer's further addresses.
    theirs: Vec<IpAddr>,
    /// Whether this host's route to the peer has been looked up, and its source then.
    #[serde(with = "crate::snapshot::nested")]
    route: Option<Option<IpAddr>>,
    /// The peer's address that is known to be the peer's.
    verified: Option<IpAddr>,
    /// Paths on which the request that waits has gone out, since the present one seems dead;
    /// the first is that one.
    tried: Vec<(IpAddr, IpAddr)>,
    /// Nobody has answered on the present path yet.
    unproven: bool,
    /// We follow, have lost our address, and the peer has not been heard since.
    left: bool,
    /// The peer must be told where we are (RFC 4555, 3.5: pending_update).
    pending: bool,
    /// What is routed through the Child SAs was told to be undone.
    suspended: bool,
    /// We have no address from which the peer can be reached.
    stranded: bool,
    /// The IKE SA is being deleted: nobody looks for a way for the sake of that.
    pub(crate) closing: bool,
    /// NO_NATS_ALLOWED was refused so often.
    surprises: u8,
    /// The hash of our address as the peer saw it last.
    seen: Option<Vec<u8>>,
}

/// A request of ours.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum Sent {
    /// UPDATE_SA_ADDRESSES.
    Update { cookie: Option<[u8; COOKIE_LEN]> },
    /// Our further addresses.
    Addresses,
    /// Whether the peer is where it says (RFC 4555, 3.7).
    Check { cookie: [u8; COOKIE_LEN], path: Path },
}

/// What the other end has announced in IKE_AUTH.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Announced {
    addresses: Vec<IpAddr>,
}

impl Announced {
    /// None: it does not support MOBIKE.
    pub(crate) fn find(payloads: &[Payload]) -> Option<Self> {
        let supported = notifications(payloads)
            .any(|notify| notify.notify_type == NotifyType::MOBIKE_SUPPORTED);
        let addresses = messages::additional(payloads).unwrap_or_default();
        supported.then_some(Self { addresses })
    }
}

impl Mobike {
    /// Whether both support it.
    pub(crate) fn is_agreed(&self) -> bool {
        self.part.is_some()
    }

    /// Whether there is no way to the peer for the moment.
    pub(crate) fn is_stranded(&self) -> bool {
        self.stranded
    }

    /// The peer's further addresses.
    pub(crate) fn theirs(&self) -> &[IpAddr] {
        &self.theirs
    }

    fn decides(&self) -> bool {
        self.part == Some(Part::Decides)
    }

    /// For an IKE SA that takes the place of this one, and begins `unfinished` anew. Its SPIs
    /// are in the hash of what the peer sees.
    pub(crate) fn inherited(&self, unfinished: Option<&Task>) -> Self {
        let pending = self.pending || unfinished == Some(&Task::UpdateAddresses);
        Self { seen: None, pending, tried: Vec::new(), ..self.clone() }
    }
}

/// Both have announced it.
pub(crate) fn agree(cx: &mut Cx<'_, '_>, announced: Announced) {
    let decides = cx.sa.initiator;
    let remote = cx.sa.path.remote.ip();
    let mobike = &mut cx.sa.mobike;
    mobike.part = Some(if decides { Part::Decides } else { Part::Follows });
    mobike.theirs = announced.addresses;
    mobike.verified = Some(remote);
    if decides {
        cx.kernel(KernelRequest::SourcesFor(vec![remote]));
    }
}

/// The path that is in use, whichever is being tried for a request that waits.
pub(crate) fn settled_path(sa: &Common) -> Path {
    let mut path = sa.path;
    if let Some((local, remote)) = sa.mobike.tried.first() {
        path.local.set_ip(*local);
        path.remote.set_ip(*remote);
    }
    path
}

/// Times of a request's retransmission. An administrator who has said when a request is given
/// up knows the peers: that counts for who follows, too.
pub(crate) fn patience(sa: &Common, policy: Retransmit) -> Retransmit {
    if sa.mobike.part == Some(Part::Follows) && !sa.mobike.closing && !policy.configured {
        return Retransmit { timeout: policy.timeout.max(PATIENCE), ..policy };
    }
    policy
}

/// The peer was asked whether it lives, after a silence of `dpddelay`. If it has told no further
/// address there is no other way by which it could be reached, and as long as nothing at all is
/// heard of it, it is given up when any other peer would be.
///
/// A peer that has moved tells at once where it is (RFC 4555, 3.5), and one behind a NAT that has
/// forgotten it asks for itself (3.8): either is heard, and then has the five minutes that 3.11
/// gives it, see [`heard`]. One that sleeps is woken by the question, whose repetitions reach it
/// for half a minute. What is silent all that time is gone, and its address, tunnels and place
/// are wanted by others; if it comes back after all, it makes a new IKE SA. That is what
/// `dpddelay=` is set for: without it, who sleeps for hours stays, and a question that a stranger
/// has caused makes nobody go sooner. Who wants more patience says `retransmit-timeout=`.
pub(crate) fn asked(cx: &mut Cx<'_, '_>) {
    if cx.sa.policy.dpd_delay.is_some() && cx.sa.mobike.theirs.is_empty() {
        let timeout = cx.sa.policy.retransmit.timeout;
        cx.sa.window.shorten(timeout);
    }
}

/// A request of the peer's has come: it lives, and looks for a way to us.
pub(crate) fn heard(cx: &mut Cx<'_, '_>) {
    let patience = patience(cx.sa, cx.sa.policy.retransmit);
    cx.sa.window.lengthen(patience.timeout);
}

/// When a request that goes out while there is no way to the peer is given up.
pub(crate) fn stranded_until(sa: &Common, now: Instant) -> Option<Instant> {
    sa.mobike.stranded.then(|| now.after(STRANDED))
}

/// Whether a Child SA protects the addresses themselves, so that they cannot change
/// (RFC 4555, 1.1).
fn has_transport(sa: &Common) -> bool {
    sa.children.iter().any(|child| child.policy.mode == IpsecMode::Transport)
}

/// Whether it is no host's address.
fn is_unusual(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    broadcast || address.is_unspecified() || address.is_multicast()
}

/// Our addresses that IKE can use, but for those that are inside a tunnel, which are of no
/// use outside.
fn usable(sa: &Common) -> Vec<IpAddr> {
    let local = sa.path.local.ip();
    let holds = |selector: &Selector, ip: IpAddr| {
        selector.addresses.start() <= ip && ip <= selector.addresses.end()
    };
    let inside = |ip: IpAddr| {
        let selectors = sa.children.iter().flat_map(|child| &child.policy.local_ts);
        selectors.filter(|one| !holds(one, local)).any(|one| holds(one, ip))
    };
    let all = sa.mobike.ours.iter().flat_map(|ours| ours.iter().copied());
    let loopback = local.is_loopback();
    all.filter(|ip| *ip == local || !(is_unusual(*ip) || inside(*ip)))
        .filter(|ip| ip.is_loopback() == loopback)
        .collect()
}

/// Our addresses beside the one in use, as the peer is told them.
fn further(sa: &Common) -> Vec<IpAddr> {
    let local = sa.path.local.ip();
    let mut further: Vec<IpAddr> = usable(sa).into_iter().filter(|ip| *ip != local).collect();
    further.sort_unstable();
    further.dedup();
    further.truncate(MOST_ADDRESSES);
    further
}

/// What is told of NATs on the way.
fn nat_detection(cx: &Cx<'_, '_>, path: &Path) -> Vec<Payload> {
    if !cx.sa.mobike.nat_traversal {
        return Vec::new();
    }
    nat::notifications(cx.sa.policy.encapsulation, cx.sa.spis, path)
}

/// What the other has told of NATs on the way, if it has.
fn judge_nat(cx: &mut Cx<'_, '_>, path: &Path, payloads: &[Payload]) {
    if !cx.sa.mobike.nat_traversal || !nat::is_announced(payloads) {
        return;
    }
    let before = cx.sa.nat;
    let found = NatDetection::judge(cx.sa.policy.encapsulation, payloads, cx.sa.spis, path);
    cx.sa.nat = found;
    if found == before {
        return;
    }
    let now = cx.now();
    let interval = cx.sa.policy.nat_keepalive.filter(|_| found.local);
    cx.sa.timers.keepalive = interval.map(|interval| now.after(interval));
    let NatDetection { local, remote, .. } = found;
    if found.encapsulates() {
        cx.story(StoryEvent::NatDetected { local, remote });
    } else {
        cx.story(StoryEvent::Path(PathStory::NatGone));
    }
}

/// Child SAs go where the IKE SA is.
pub(crate) fn children_follow(cx: &mut Cx<'_, '_>) {
    let Path { local, remote, .. } = cx.sa.path;
    let encapsulated = cx.sa.nat.encapsulates();
    let suspended = std::mem::take(&mut cx.sa.mobike.suspended);
    let (mut moves, mut stay, mut back) = (Vec::new(), Vec::new(), Vec::new());
    cx.sa.children.for_each_mut(|child| {
        let Some(up) = &mut child.up else { return };
        if (up.local, up.remote, up.encapsulated) == (local, remote, encapsulated) {
            back.extend(suspended.then(|| Box::new(ChildUp::clone(up))));
            return;
        }
        // In transport mode the addresses are what is protected (RFC 4555, 1.1); ports are not.
        let ends = |local: SocketAddr, remote: SocketAddr| (local.ip(), remote.ip());
        let moves_on = ends(up.local, up.remote) != ends(local, remote);
        if up.mode == IpsecMode::Transport && (moves_on || up.encapsulated != encapsulated) {
            stay.push(child.serial);
            return;
        }
        *up = Arc::new(ChildUp { local, remote, encapsulated, ..ChildUp::clone(up) });
        let connection = child.policy.connection;
        moves.push(ChildMove { child: child.serial, connection, local, remote, encapsulated });
    });
    moves.into_iter().for_each(|to| cx.kernel(KernelRequest::Move(to)));
    back.into_iter().for_each(|up| cx.out.push(Output::Child(ChildEvent::Moved(up))));
    for child in stay {
        cx.debug(format!("{child} is in transport mode and cannot move"));
        cx.enqueue(Task::DeleteChild(child, Cue::Requested));
    }
}

/// What was routed by way of the address that is lost is so no more.
pub(crate) fn suspend_children(cx: &mut Cx<'_, '_>) {
    if std::mem::replace(&mut cx.sa.mobike.suspended, true) {
        return;
    }
    let up = cx.sa.children.iter().filter(|child| child.up.is_some());
    let suspended: Vec<_> = up.map(|child| (child.serial, child.policy.connection)).collect();
    for (child, connection) in suspended {
        cx.out.push(Output::Child(ChildEvent::Suspended { child, connection }));
    }
}

impl Established {
    /// One of the three tasks about addresses.
    ///
    /// # Errors
    /// A local fault: no request can be made.
    pub(crate) fn mobike_task(&mut self, cx: &mut Cx<'_, '_>, task: &Task) -> Result<(), String> {
        match task {
            Task::UpdateAddresses => self.update_addresses(cx),
            Task::TellAddresses => self.tell_addresses(cx),
            Task::CheckReturn => self.check_return(cx),
            _ => Ok(()),
        }
    }

    /// What of addresses is under way, and has to be begun anew by an IKE SA that takes the
    /// place of this one.
    pub(crate) fn unfinished(&self) -> Option<Task> {
        match &self.ours {
            Some(Ours::Mobike(Sent::Update { .. })) => Some(Task::UpdateAddresses),
            Some(Ours::Mobike(Sent::Addresses)) => Some(Task::TellAddresses),
            Some(Ours::Mobike(Sent::Check { .. })) => Some(Task::CheckReturn),
            _ => None,
        }
    }

    /// Whether the request that waits is to reach the peer on whatever path.
    pub(crate) fn looks_for_peer(&self) -> bool {
        matches!(self.ours, Some(Ours::Mobike(Sent::Addresses)))
    }

    /// Tells the peer where we are (RFC 4555, 3.5).
    fn update_addresses(&mut self, cx: &mut Cx<'_, '_>) -> Result<(), String> {
        if cx.sa.mobike.stranded {
            // What has replaced a stranded IKE SA is not told what the kernel answers to that.
            if let Some(ours) = cx.sa.mobike.ours.clone() {
                decides::addresses(cx, ours);
            }
            return Ok(());
        }
        if !cx.sa.mobike.pending {
            return Ok(());
        }
        cx.sa.mobike.pending = false;
        let path = cx.sa.path;
        let mut payloads = vec![messages::notify(NotifyType::UPDATE_SA_ADDRESSES)];
        payloads.extend(nat_detection(cx, &path));
        payloads.extend(messages::no_nats_allowed(cx));
        let further = further(cx.sa);
        if further != cx.sa.mobike.told {
            payloads.extend(messages::told(&further));
            cx.sa.mobike.told = further;
        }
        let known = cx.sa.mobike.verified == Some(path.remote.ip());
        let cookie = (!known).then(|| cx.random::<COOKIE_LEN>());
        payloads.extend(cookie.map(|cookie| messages::cookie(&cookie)));
        self.mobike(cx, Sent::Update { cookie }, &payloads)
    }

    /// Tells the peer our further addresses (RFC 4555, 3.6).
    fn tell_addresses(&mut self, cx: &mut Cx<'_, '_>) -> Result<(), String> {
        let further = further(cx.sa);
        let payloads = messages::told(&further);
        cx.sa.mobike.told = further;
        self.mobike(cx, Sent::Addresses, &payloads)
    }

    /// Asks whether the peer is where it says it is (RFC 4555, 3.7).
    fn check_return(&mut self, cx: &mut Cx<'_, '_>) -> Result<(), String> {
        let path = cx.sa.path;
        if cx.sa.mobike.verified == Some(path.remote.ip()) {
            return Ok(());
        }
        let cookie = cx.random::<COOKIE_LEN>();
        self.mobike(cx, Sent::Check { cookie, path }, &[messages::cookie(&cookie)])
    }

    fn mobike(
        &mut self,
        cx: &mut Cx<'_, '_>,
        sent: Sent,
        payloads: &[Payload],
    ) -> Result<(), String> {
        self.ours = Some(Ours::Mobike(sent));
        let exchange = ExchangeType::INFORMATIONAL;
        cx.request(&mut self.protection, exchange, payloads).map_err(|error| error.to_string())
    }

    /// The response to one of these requests has come on `path`.
    pub(crate) fn mobike_answered(
        self,
        cx: &mut Cx<'_, '_>,
        sent: Sent,
        path: &Path,
        payloads: &[Payload],
    ) -> State {
        match sent {
            Sent::Addresses => self.go_on(cx),
            Sent::Check { cookie, path: asked } => {
                if !is_back(cx, asked.remote, path, payloads, &cookie) {
                    return self.wrong_cookie(cx);
                }
                if cx.sa.path == asked {
                    cx.sa.mobike.verified = Some(asked.remote.ip());
                    children_follow(cx);
                } else {
                    cx.enqueue(Task::CheckReturn);
                }
                self.go_on(cx)
            }
            Sent::Update { cookie } => self.update_answered(cx, cookie, path, payloads),
        }
    }

    /// Who does not return what it was sent has not got it (RFC 4555, 3.7).
    fn wrong_cookie(self, cx: &mut Cx<'_, '_>) -> State {
        let why = "the peer did not return our COOKIE2";
        cx.story(StoryEvent::OutOfStep { why });
        self.delete(cx, Finish::Failed(why.into()))
    }
}

/// Whether the peer has got our cookie. libreswan (5.2) ignores cookies: its answer, which is
/// authentic, at least comes from the address in question.
fn is_back(
    cx: &mut Cx<'_, '_>,
    asked: SocketAddr,
    path: &Path,
    payloads: &[Payload],
    cookie: &[u8; COOKIE_LEN],
) -> bool {
    match messages::returns(payloads, cookie) {
        Some(same) => same,
        None => {
            cx.debug(format!(
                "the peer, asked at {asked}, answers from {} without COOKIE2",
                path.remote
            ));
            path.remote == asked
        }
    }
}

/// A notification of ours with data.
fn with_data(notify_type: NotifyType, data: Vec<u8>) -> Payload {
    Payload::Notify(Notify::new(notify_type, data))
}
