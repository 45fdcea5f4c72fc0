//! An IKE SA: one input in, ordered outputs out.

use crate::child_sa::ChildState;
use crate::common::{Common, Cue, Cx, MAX_CHILDREN, Task};
use crate::liveness;
use crate::nat::Path;
use crate::roaming;
use crate::v2::established::delete_once;
use crate::v2::ike_sa_init::initiator as init_i;
use crate::v2::ike_sa_init::responder::HALF_OPEN;
use crate::v2::mobike;
use crate::v2::outbound;
use crate::v2::reauth;
use crate::v2::receive;
use crate::v2::rekey_ike;
use crate::v2::state::State;
use crate::window::Overdue;
use crate::{
    AskId, AskResult, ChildEvent, ChildSa, Datagram, DownReason, Env, Finish, Input, Instant,
    JobId, JobResult, KernelResult, Outbox, Output, Request, StoryEvent,
};
use pluto_connections::{ChildPolicy, Id, IkePolicy, SerialNo};
use pluto_crypto::{Entropy, IkeSuite};
use pluto_wire::{Header, IkeSpi, IkeSpis};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An IKE SA. Plain data.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct IkeSa {
    common: Common,
    state: State,
}

/// What a responder starts with: the first datagram's addresses, the connection whose
/// proposals answer it, and whether it was challenged with a cookie.
#[derive(Debug, Clone)]
pub struct ResponderStart {
    /// The serial number of the new SA.
    pub serial: SerialNo,
    /// Whose proposals are used until the peer has said who it is.
    pub policy: Arc<IkePolicy>,
    /// The request; it is the SA's first input, and given again as such.
    pub request: Datagram,
}

/// What listings show of an IKE SA.
#[derive(Debug, Clone)]
pub struct IkeSaSummary {
    /// Its serial number.
    pub serial: SerialNo,
    /// Its connection.
    pub policy: Arc<IkePolicy>,
    /// Name of its state: `ESTABLISHED_IKE_SA` …
    pub state: &'static str,
    /// The same in words: `established IKE SA`, `sent IKE_SA_INIT request`.
    pub state_words: &'static str,
    /// Whether it is established.
    pub established: bool,
    /// Whether we initiated it.
    pub initiator: bool,
    /// Both SPIs.
    pub spis: IkeSpis,
    /// Our address and port now.
    pub local: SocketAddr,
    /// The peer's now.
    pub remote: SocketAddr,
    /// The algorithms, once chosen.
    pub suite: Option<IkeSuite>,
    /// Who the peer has proved to be.
    pub remote_id: Option<Id>,
    /// Deadlines by name: `RETRANSMIT`, `REKEY`, `REPLACE`, `LIVENESS`, `NAT_KEEPALIVE`,
    /// `DISCARD`, `EXPIRE`.
    pub deadlines: Vec<(&'static str, Instant)>,
    /// Its Child SAs.
    pub children: Vec<ChildSa>,
    /// Whether it waits for a job, a question or the kernel.
    pub busy: bool,
    /// What has replaced it, or stays in its place.
    pub replaced_by: Option<SerialNo>,
    /// Whether both ends support MOBIKE.
    pub mobike: bool,
    /// The peer's further addresses.
    pub remote_addresses: Vec<std::net::IpAddr>,
    /// The message ids of our next request and of the peer's.
    pub message_ids: (u32, u32),
    /// What is to be brought up on it, and has not begun.
    pub pending: Vec<Arc<ChildPolicy>>,
}

/// How long a job, an answer or the kernel is waited for. Each is answered long before,
/// unless the answer was lost with who should have given it.
const STALLED: Duration = Duration::from_secs(30);

/// An SPI that is not zero.
pub(crate) fn fresh_spi(entropy: &mut dyn Entropy) -> IkeSpi {
    let mut octets = [0; 8];
    entropy.fill(&mut octets);
    let spi = IkeSpi(octets);
    // One in 2^64; zero would mean "none yet".
    if spi.is_zero() { IkeSpi([1; 8]) } else { spi }
}

impl IkeSa {
    /// An initiator; `children` are brought up in IKE_AUTH (the first) and CREATE_CHILD_SA.
    /// Give it `Input::Start`.
    #[must_use]
    pub fn initiator(
        serial: SerialNo,
        policy: Arc<IkePolicy>,
        children: Vec<Arc<ChildPolicy>>,
        local: SocketAddr,
        remote: SocketAddr,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let path = Path::between(local, remote, policy.nat_port);
        let mut common = Common::new(serial, policy, true, path);
        common.spis.initiator = fresh_spi(entropy);
        common.wanted = children;
        Self { common, state: State::Idle }
    }

    /// A responder; handle its first input, the request, with `handle(Input::Datagram)`.
    #[must_use]
    pub fn responder(start: &ResponderStart, entropy: &mut dyn Entropy) -> Self {
        let path = Path::of(&start.request);
        let mut common = Common::new(start.serial, Arc::clone(&start.policy), false, path);
        let header = Header::peek(&start.request.bytes);
        common.spis.initiator = header.map_or(IkeSpi::ZERO, |header| header.spis.initiator);
        common.spis.responder = fresh_spi(entropy);
        Self { common, state: State::FirstRequest }
    }

    /// What takes the place of an IKE SA that was rekeyed.
    pub(crate) fn succeeding(common: Common, state: State) -> Self {
        Self { common, state }
    }

    /// Takes one input. Whatever the input, it returns; network input can reach no panic.
    pub fn handle(&mut self, env: &mut Env<'_>, input: Input, out: &mut Outbox) {
        let state = std::mem::replace(&mut self.state, State::Finished);
        let progress = matches!(
            input,
            Input::JobDone(..)
                | Input::AskDone(..)
                | Input::KernelDone(KernelResult::Spi(..) | KernelResult::Installed(..))
        );
        let mut cx = Cx { sa: &mut self.common, env, out };
        let mut state = step(&mut cx, state, input);
        // A request that came while a response was being processed, and fragments that
        // came while anything was.
        while !state.is_busy()
            && let Some(held) = held(cx.sa)
        {
            state = receive::datagram(&mut cx, state, held);
        }
        let stalled = cx.sa.timers.stalled.take().filter(|_| !progress);
        if state.awaits_us() {
            cx.sa.timers.stalled = stalled.or(Some(cx.now().after(STALLED)));
        }
        self.state = state;
    }

    /// When `Input::Timer` is due; none: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.common.deadline()
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(&self) -> SerialNo {
        self.common.serial
    }

    /// Both SPIs; the one of ours is the demux key.
    #[must_use]
    pub fn spis(&self) -> IkeSpis {
        self.common.spis
    }

    /// Whether ours is the initiator's SPI.
    #[must_use]
    pub fn is_initiator(&self) -> bool {
        self.common.initiator
    }

    /// What it belongs to.
    #[must_use]
    pub fn policy(&self) -> &Arc<IkePolicy> {
        &self.common.policy
    }

    /// Whether it is established.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state.is_established()
    }

    /// Facts for listings.
    #[must_use]
    pub fn summary(&self) -> IkeSaSummary {
        let Common { serial, policy, initiator, spis, path, timers, window, suite, .. } =
            &self.common;
        let deadlines = [
            ("RETRANSMIT", window.deadline()),
            ("DISCARD", timers.discard.or(timers.refused).or(timers.stalled).or(timers.unknown)),
            ("LIVENESS", timers.liveness),
            ("NAT_KEEPALIVE", timers.keepalive),
        ];
        let deadlines = deadlines.into_iter().filter_map(|(name, at)| at.map(|at| (name, at)));
        IkeSaSummary {
            serial: *serial,
            policy: Arc::clone(policy),
            state: self.state.name(),
            state_words: self.state.words(),
            established: self.state.is_established(),
            initiator: *initiator,
            spis: *spis,
            local: path.local,
            remote: path.remote,
            suite: *suite,
            remote_id: self.common.remote_id.as_deref().cloned(),
            deadlines: deadlines.chain(timers.life.listed()).collect(),
            children: self.common.children.iter().map(|child| child.summary()).collect(),
            pending: self.common.pending().cloned().collect(),
            busy: self.state.awaits_us(),
            replaced_by: self.common.replaced_by,
            mobike: self.common.mobike.is_agreed(),
            remote_addresses: self.common.mobike.theirs().to_vec(),
            message_ids: (window.next_id().0, window.expected_id().0),
        }
    }
}

/// The next datagram that was kept while we were busy.
fn held(sa: &mut Common) -> Option<Datagram> {
    sa.held.take().map(|held| *held).or_else(|| sa.fragments.next_held())
}

fn step(cx: &mut Cx<'_, '_>, state: State, input: Input) -> State {
    match (input, state) {
        (_, State::Finished) => State::Finished,
        (Input::Start, State::Idle) => init_i::start(cx),
        (Input::Start, state) => state,
        (Input::Datagram(datagram), state) => receive::datagram(cx, state, datagram),
        (Input::Timer, state) => timer(cx, state),
        (Input::JobDone(id, result), state) => job_done(cx, state, id, result),
        (Input::AskDone(id, result), state) => ask_done(cx, state, id, result),
        (Input::KernelDone(result), state) => kernel_done(cx, state, result),
        (Input::Request(request), state) => order(cx, state, request),
    }
}

/// A stale answer, whose question nobody waits for, changes nothing.
fn job_done(cx: &mut Cx<'_, '_>, state: State, id: JobId, result: JobResult) -> State {
    match state {
        State::AwaitKeyPair(waiting) => waiting.job_done(cx, id, result),
        State::AwaitAgreement(waiting) => waiting.job_done(cx, id, result),
        State::AwaitResponderKey(waiting) => waiting.job_done(cx, id, result),
        State::AwaitResponderAgreement(waiting) => waiting.job_done(cx, id, result),
        State::Established(established) => established.job_done(cx, id, result),
        state => state,
    }
}

fn ask_done(cx: &mut Cx<'_, '_>, state: State, id: AskId, result: AskResult) -> State {
    match state {
        State::AwaitOwnAuth(waiting) => waiting.ask_done(cx, id, result),
        State::AwaitExpectedAuth(waiting) => waiting.ask_done(cx, id, result),
        State::AwaitConnection(waiting) => waiting.ask_done(cx, id, result),
        State::AwaitBothAuths(waiting) => waiting.ask_done(cx, id, result),
        State::Established(established) => established.ask_done(cx, id, result),
        State::AwaitLease(waiting) => waiting.ask_done(cx, id, result),
        state => state,
    }
}

fn kernel_done(cx: &mut Cx<'_, '_>, state: State, result: KernelResult) -> State {
    if let KernelResult::Expired { child, hard } = result {
        return expired(cx, state, child, hard);
    }
    if let KernelResult::Moved(child, _) | KernelResult::OutboundInstalled(child, _) = &result
        && let Some(successor) = cx.sa.replaced_by
        && cx.sa.child(*child).is_none()
    {
        cx.out.push(Output::OrderSuccessor(successor, Request::Kernel(result)));
        return state;
    }
    match result {
        KernelResult::LastHeard(ago) => {
            liveness::kernel_said(cx, ago);
            return go_on(cx, state);
        }
        KernelResult::Mapping { child, remote } => {
            roaming::mapping(cx, child, remote);
            return state;
        }
        KernelResult::Sources(answers) => {
            mobike::sources(cx, &answers);
            return go_on(cx, state);
        }
        KernelResult::Moved(child, result) => {
            roaming::moved(cx, child, result);
            return go_on(cx, state);
        }
        KernelResult::OutboundInstalled(child, result) => {
            outbound::installed(cx, child, result);
            return go_on(cx, state);
        }
        _ => {}
    }
    match state {
        State::AwaitSpi(waiting) => waiting.kernel_done(cx, result),
        State::AwaitInstall(waiting) => waiting.kernel_done(cx, result),
        State::AwaitResponderSpi(waiting) => waiting.kernel_done(cx, result),
        State::AwaitResponderInstall(waiting) => waiting.kernel_done(cx, result),
        State::Established(established) => established.kernel_done(cx, result),
        state => state,
    }
}

/// The kernel says that a lifetime is over.
fn expired(cx: &mut Cx<'_, '_>, state: State, child: SerialNo, hard: bool) -> State {
    let known = cx.sa.child(child).is_some_and(|c| c.state == ChildState::Established);
    if !known {
        return state;
    }
    if hard {
        cx.story(StoryEvent::HardExpire { child });
        outbound::old_goes(cx, child);
        let replaced = cx.sa.child(child).is_some_and(|c| c.replaced_by.is_some());
        let cue = if replaced { Cue::Replaced } else { Cue::Expired };
        cx.enqueue(Task::DeleteChild(child, cue));
        return go_on(cx, state);
    }
    let rekeys = cx.sa.child_mut(child).is_some_and(|c| {
        c.worn = true;
        c.is_current() && c.policy.lifetimes.rekey
    });
    cx.story(StoryEvent::SoftExpire { child, rekeys });
    if rekeys {
        cx.enqueue(Task::RekeyChild(child));
    }
    go_on(cx, state)
}

fn go_on(cx: &mut Cx<'_, '_>, state: State) -> State {
    match state {
        State::Established(established) => established.go_on(cx),
        state => state,
    }
}

fn is_due(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// Something is due.
fn timer(cx: &mut Cx<'_, '_>, state: State) -> State {
    let now = cx.now();
    match cx.sa.window.overdue(now) {
        Some(Overdue::Resend { exchange, message, shrunk, resends, in_turn, wait }) => {
            cx.sa.fragments.shrunk |= shrunk;
            if in_turn {
                mobike::try_another(cx, resends, state.looks_for_peer());
            }
            cx.post(cx.sa.path, &message);
            cx.story(StoryEvent::Retransmitting { exchange, wait });
        }
        Some(Overdue::GiveUp { exchange, waited, resends }) => {
            if let State::Deleting(deleting) = state {
                return deleting.end(cx);
            }
            let state = state.name();
            cx.story(StoryEvent::TimedOut { state, waited, resends, first: exchange });
            cx.finished(Finish::TimedOut, &DownReason::IkeEnded);
            return State::Finished;
        }
        None => {}
    }
    cx.sa.fragments.forget_late(now);
    if is_due(cx.sa.timers.discard, now) {
        if let State::Lingering(lingering) = state {
            return lingering.end(cx);
        }
        cx.story(StoryEvent::HalfOpenDiscarded { after: HALF_OPEN });
        cx.finished(Finish::TimedOut, &DownReason::IkeEnded);
        return State::Finished;
    }
    if is_due(cx.sa.timers.stalled, now) {
        return stalled(cx, state);
    }
    let state = match state {
        State::AwaitInitResponse(waiting) if is_due(cx.sa.timers.refused, now) => {
            return waiting.give_up(cx);
        }
        state => state,
    };
    if is_due(cx.sa.timers.keepalive, now) {
        cx.sa.timers.keepalive = cx.sa.policy.nat_keepalive.map(|interval| now.after(interval));
        let Path { local, remote, .. } = cx.sa.path;
        cx.out.push(Output::Keepalive { local, remote });
    }
    if is_due(cx.sa.timers.liveness, now) {
        liveness::due(cx);
    }
    if is_due(cx.sa.timers.unknown, now) {
        cx.sa.timers.unknown = None;
        if matches!(state, State::Established(_)) && !rekey_ike::is_known(cx) {
            cx.story(StoryEvent::NeverKnown);
            cx.finished(Finish::TimedOut, &DownReason::IkeEnded);
            return State::Finished;
        }
    }
    lives(cx, state)
}

/// No answer has come from our own side.
fn stalled(cx: &mut Cx<'_, '_>, state: State) -> State {
    // What is begun next has its own time.
    cx.sa.timers.stalled = None;
    let why = format!("no answer within {} seconds", STALLED.as_secs());
    let (words, name) = (state.words(), state.name());
    cx.story(StoryEvent::FatalInState { state: name, why: why.clone() });
    match state {
        State::Established(established) => established.stalled(cx, &why),
        // The peer believes in it already.
        State::AwaitInstall(waiting) => {
            delete_once(cx, waiting.established.protection, words, Finish::Failed(why))
        }
        _ => {
            cx.failed(why);
            State::Finished
        }
    }
}

/// Lifetimes of the IKE SA and its Child SAs.
fn lives(cx: &mut Cx<'_, '_>, state: State) -> State {
    let now = cx.now();
    if is_due(cx.sa.timers.life.end, now) {
        cx.sa.timers.life.end = None;
        if let State::Established(established) = state {
            if let Some(successor) = cx.sa.replaced_by {
                cx.out.push(Output::OrderSuccessor(successor, Request::PredecessorEnds));
            }
            cx.story(if cx.sa.replaced_by.is_some() {
                StoryEvent::Debug("deleting the IKE SA that was rekeyed: the peer has not".into())
            } else {
                StoryEvent::LifetimeOver
            });
            if cx.sa.window.is_waiting() {
                return delete_once(
                    cx,
                    established.protection,
                    "established IKE SA",
                    Finish::Expired,
                );
            }
            return established.delete(cx, Finish::Expired);
        }
    }
    if is_due(cx.sa.timers.life.rekey, now) {
        cx.sa.timers.life.rekey = None;
        if !reauth::begin(cx) {
            cx.enqueue(Task::RekeyIke);
        }
    }
    let mut due = Vec::new();
    cx.sa.children.for_each_due(now, |child| {
        if is_due(child.life.rekey, now) {
            child.life.rekey = None;
            due.push(Task::RekeyChild(child.serial));
        }
        if is_due(child.life.end, now) {
            child.life.end = None;
            let cue = if child.replaced_by.is_some() { Cue::Replaced } else { Cue::Expired };
            due.push(Task::DeleteChild(child.serial, cue));
        }
    });
    for task in due {
        cx.enqueue(task);
    }
    outbound::due(cx);
    cx.resume_postponed();
    go_on(cx, state)
}

/// An order from whack, the connection or the supervisor.
fn order(cx: &mut Cx<'_, '_>, state: State, request: Request) -> State {
    let words = state.words();
    match request {
        Request::LocalAddresses(ours) => {
            if roaming::is_to_begin_elsewhere(cx, &state, &ours) {
                return roaming::begin_elsewhere(cx);
            }
            if matches!(state, State::Established(_)) {
                roaming::addresses(cx, &ours);
            }
            mobike::addresses(cx, ours);
            go_on(cx, state)
        }
        Request::DeleteIke | Request::Shutdown | Request::Abandon => end(cx, state, &request),
        Request::DeleteChild(serial) => {
            cx.enqueue(Task::DeleteChild(serial, Cue::Requested));
            go_on(cx, state)
        }
        Request::Liveness => {
            if state.is_established() && !cx.sa.window.is_waiting() {
                cx.enqueue(Task::Liveness);
            }
            go_on(cx, state)
        }
        Request::PredecessorEnds => rekey_ike::predecessor_ends(cx, state),
        Request::CreateChild(policy) => match state {
            State::Deleting(_) | State::Lingering(_) | State::Finished => {
                not_created(cx, &policy);
                state
            }
            State::Established(_) => {
                let task = Task::CreateChild(Arc::clone(&policy));
                if !cx.enqueue(task) {
                    not_created(cx, &policy);
                }
                go_on(cx, state)
            }
            _ => {
                match cx.sa.wanted.len() < MAX_CHILDREN {
                    true => cx.sa.wanted.push(policy),
                    false => not_created(cx, &policy),
                }
                state
            }
        },
        Request::Send(child) => {
            outbound::elsewhere_goes(cx, child);
            state
        }
        Request::PeerFound(from, to) => {
            if state.is_established() {
                mobike::peer_found(cx, from, to);
            }
            go_on(cx, state)
        }
        Request::Kernel(result) => kernel_done(cx, state, result),
        Request::ReplacedBy { ike, children } => reauth::replaced_by(cx, state, ike, &children),
        Request::BelongTo(policy) => {
            cx.sa.policy = policy;
            state
        }
        Request::RekeyChild(serial) => {
            cx.enqueue(Task::RekeyChild(serial));
            go_on(cx, state)
        }
        Request::RekeyIke => {
            if state.is_established() {
                cx.enqueue(Task::RekeyIke);
            } else {
                cx.debug(format!("not rekeyed: {words}"));
            }
            go_on(cx, state)
        }
    }
}

/// Who wants another Child SA gets to know that there will be none: the IKE SA is about to end,
/// or has too much to do.
fn not_created(cx: &mut Cx<'_, '_>, policy: &ChildPolicy) {
    let (child, connection) = (cx.env.serials.next_serial(), policy.connection);
    cx.out.push(Output::Child(ChildEvent::Started { child, connection }));
    let (reason, replaced_by) = (DownReason::IkeEnded, None);
    cx.out.push(Output::Child(ChildEvent::Down { child, connection, reason, replaced_by }));
}

/// The orders that end an IKE SA.
fn end(cx: &mut Cx<'_, '_>, state: State, request: &Request) -> State {
    let words = state.words();
    if matches!(request, Request::DeleteIke) {
        match state {
            // Who has rekeyed it deletes it (RFC 7296, 2.8). Where our response to that is still
            // on its way, the peer would take our Delete for the end of all, and the successor,
            // of which it does not know, would stay.
            State::Established(_) if cx.sa.timers.lingers.is_some() => {
                cx.debug("not deleted: it was rekeyed, and waits for the Delete of the peer");
                return state;
            }
            State::Established(established) if established.is_free(cx) => {
                return established.delete(cx, Finish::Deleted);
            }
            State::Established(_) | State::AwaitInstall(_) => {
                cx.enqueue(Task::DeleteIke);
                return state;
            }
            State::Deleting(_) => return state,
            _ => {}
        }
    }
    let protection = match state {
        _ if matches!(request, Request::Abandon) => None,
        State::Established(established) => Some(established.protection),
        State::AwaitInstall(waiting) => Some(waiting.established.protection),
        State::Deleting(deleting) => Some(deleting.protection),
        // The peer may believe that the IKE SA stands already.
        State::AwaitAuthResponse(waiting) => Some(waiting.keyed.protection),
        _ => None,
    };
    match protection {
        Some(protection) => delete_once(cx, protection, words, Finish::Deleted),
        None => {
            cx.story(StoryEvent::DeletingIke { state_words: words });
            cx.finished(Finish::Deleted, &DownReason::Requested);
            State::Finished
        }
    }
}
