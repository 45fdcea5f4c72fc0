//! What an IKE SA has in every state, and what handlers do with it.

use crate::child_sa::{Child, ChildState, Life};
use crate::children::Children;
use crate::fragments::{Fragments, Outgoing, Parcel, Sizes};
use crate::nat::{NatDetection, Path};
use crate::protection::{Protection, SealError};
use crate::v2::create_child_sa;
use crate::v2::mobike::{self, Mobike};
use crate::v2::outbound::{self, About, ChangingOver, Receiving};
use crate::v2::reauth::Predecessor;
use crate::window::Window;
use crate::{
    Ask, AskId, ChildEvent, Datagram, DownReason, Env, Farewell, Finish, Instant, Job, JobId,
    KernelRequest, Outbox, Output, PskQuestion, Story, StoryEvent,
};
use pluto_connections::{ChildPolicy, Id, IkePolicy, SerialNo};
use pluto_crypto::{IkeSuite, Secret};
use pluto_wire::numbers::{ExchangeType, PayloadType};
use pluto_wire::v2::{Message, Payload};
use pluto_wire::{Flags, Header, IkeSpi, IkeSpis, MessageId, Version};
use std::sync::Arc;

/// Orders that wait until the window is free.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Task {
    DeleteIke,
    DeleteChild(SerialNo, Cue),
    Liveness,
    /// Another Child SA.
    CreateChild(Arc<ChildPolicy>),
    /// Ask again for a larval Child SA that the peer has put off.
    AskAgain(SerialNo),
    /// A new Child SA in place of one that the peer does not know.
    Recreate(SerialNo),
    RekeyChild(SerialNo),
    RekeyIke,
    /// Tell the peer where we are (RFC 4555).
    UpdateAddresses,
    /// Tell it our further addresses.
    TellAddresses,
    /// Ask whether it is where it says.
    CheckReturn,
}

/// Why something is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Cue {
    /// Somebody wants it.
    Requested,
    /// Its time is over.
    Expired,
    /// Another one has replaced it.
    Replaced,
}

impl Cue {
    pub(crate) fn reason(self) -> DownReason {
        match self {
            Self::Requested => DownReason::Requested,
            Self::Expired => DownReason::Expired,
            Self::Replaced => DownReason::Replaced,
        }
    }
}

/// Orders that may wait at the same time; more are dropped (nothing remote can queue one).
/// As many as there may be Child SAs, each of which can be due at the same time, twice.
const MAX_TASKS: usize = 2 * MAX_CHILDREN;

/// Child SAs of one IKE SA that a peer may have at the same time.
pub(crate) const MAX_CHILDREN: usize = 2048;

/// When things are due, beside retransmission and the lives of Child SAs.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Timers {
    /// A half-open responder, or one that only repeats its refusal, ends.
    pub(crate) discard: Option<Instant>,
    /// An initiator that has seen an unauthenticated refusal gives up.
    pub(crate) refused: Option<Instant>,
    /// Who was given a job, asked a question or asked to install something does not answer.
    pub(crate) stalled: Option<Instant>,
    /// Of the IKE SA itself.
    pub(crate) life: Life,
    /// When an IKE SA that was replaced ends at the latest, whoever asks for its response.
    pub(crate) lingers: Option<Instant>,
    pub(crate) keepalive: Option<Instant>,
    pub(crate) liveness: Option<Instant>,
    /// An IKE SA of which the peer has shown by then that it knows.
    pub(crate) unknown: Option<Instant>,
}

/// Everything that outlives a state. Cheap to clone.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Common {
    pub(crate) serial: SerialNo,
    pub(crate) policy: Arc<IkePolicy>,
    pub(crate) initiator: bool,
    pub(crate) spis: IkeSpis,
    pub(crate) path: Path,
    pub(crate) nat: NatDetection,
    pub(crate) mobike: Mobike,
    pub(crate) fragments: Fragments,
    pub(crate) window: Window,
    pub(crate) timers: Timers,
    pub(crate) suite: Option<IkeSuite>,
    pub(crate) remote_id: Option<Arc<Id>>,
    pub(crate) children: Children,
    /// Those of them that do not send yet.
    pub(crate) receiving: Vec<Receiving>,
    /// Those that are about to send, and what waits for that.
    pub(crate) changing_over: ChangingOver,
    /// What an initiator is to bring up, and has not begun.
    pub(crate) wanted: Vec<Arc<ChildPolicy>>,
    pub(crate) tasks: Vec<Task>,
    /// Orders for later: what the peer has put off, and what a successor begins with.
    pub(crate) postponed: Vec<(Instant, Task)>,
    /// Since when the peer has answered with nothing but TEMPORARY_FAILURE, and its last one.
    pub(crate) put_off: Option<(Instant, Instant)>,
    /// A Child SA for the same stands on another IKE SA, and sends for the moment.
    pub(crate) stands_elsewhere: bool,
    /// The IKE SA in whose place this one is made.
    pub(crate) reauthenticates: Option<Box<Predecessor>>,
    /// The IKE SA that has replaced this one.
    pub(crate) replaced_by: Option<SerialNo>,
    /// Our address is gone, and it may not go to another one.
    pub(crate) uprooted: bool,
    /// One request that came while a response was being processed.
    pub(crate) held: Option<Box<Datagram>>,
    pub(crate) tickets: u64,
    /// When an unauthenticated error last made us ask whether the peer lives.
    pub(crate) suspected: Option<Instant>,
}

impl Common {
    pub(crate) fn new(
        serial: SerialNo,
        policy: Arc<IkePolicy>,
        initiator: bool,
        path: Path,
    ) -> Self {
        Self {
            serial,
            policy,
            initiator,
            spis: IkeSpis::default(),
            path,
            nat: NatDetection::default(),
            mobike: Mobike::default(),
            fragments: Fragments::default(),
            window: Window::new(),
            timers: Timers::default(),
            suite: None,
            remote_id: None,
            children: Children::default(),
            receiving: Vec::new(),
            changing_over: ChangingOver::default(),
            wanted: Vec::new(),
            tasks: Vec::new(),
            postponed: Vec::new(),
            put_off: None,
            stands_elsewhere: false,
            reauthenticates: None,
            replaced_by: None,
            uprooted: false,
            held: None,
            tickets: 0,
            suspected: None,
        }
    }

    /// The peer's SPI.
    pub(crate) fn remote_spi(&self) -> IkeSpi {
        if self.initiator { self.spis.responder } else { self.spis.initiator }
    }

    /// The earliest thing that time will ask for.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timers = &self.timers;
        [
            self.window.deadline(),
            timers.discard,
            timers.refused,
            timers.stalled,
            timers.life.deadline(),
            timers.keepalive,
            timers.liveness,
            timers.unknown,
            self.fragments.deadline(),
            self.changing_over.deadline(),
        ]
        .into_iter()
        .chain([self.children.deadline()])
        .chain(self.receiving.iter().map(Receiving::deadline))
        .chain(self.postponed.iter().map(|(at, _)| Some(*at)))
        .flatten()
        .min()
    }

    /// Child SAs that are to be brought up and have not begun.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Arc<ChildPolicy>> {
        let postponed = self.postponed.iter().map(|(_, task)| task);
        let ordered = self.tasks.iter().chain(postponed).filter_map(|task| match task {
            Task::CreateChild(policy) => Some(policy),
            _ => None,
        });
        self.wanted.iter().chain(ordered)
    }

    /// The Child SA with this serial number.
    pub(crate) fn child(&self, serial: SerialNo) -> Option<&Child> {
        self.children.by_serial(serial)
    }

    /// The same, to be changed.
    pub(crate) fn child_mut(&mut self, serial: SerialNo) -> Option<&mut Child> {
        self.children.by_serial_mut(serial)
    }
}

/// An SA with its surroundings, for the time of one input.
pub(crate) struct Cx<'a, 'e> {
    pub(crate) sa: &'a mut Common,
    pub(crate) env: &'a mut Env<'e>,
    pub(crate) out: &'a mut Outbox,
}

impl Cx<'_, '_> {
    pub(crate) fn now(&self) -> Instant {
        self.env.now
    }

    /// A line about the IKE SA.
    pub(crate) fn story(&mut self, event: StoryEvent) {
        let log_name = Arc::clone(&self.sa.policy.log_name);
        self.out.push(Output::Story(Story { about: self.sa.serial, log_name, event }));
    }

    /// A line about an IKE SA that this one makes.
    pub(crate) fn story_of(&mut self, about: SerialNo, event: StoryEvent) {
        let log_name = Arc::clone(&self.sa.policy.log_name);
        self.out.push(Output::Story(Story { about, log_name, event }));
    }

    /// A line for developers.
    pub(crate) fn debug(&mut self, text: impl Into<String>) {
        self.story(StoryEvent::Debug(text.into()));
    }

    /// A line about a Child SA.
    pub(crate) fn child_story(&mut self, child: &Child, event: StoryEvent) {
        let log_name = Arc::clone(&child.policy.log_name);
        self.out.push(Output::Story(Story { about: child.serial, log_name, event }));
    }

    /// `N` random octets.
    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.env.entropy.fill(&mut octets);
        octets
    }

    fn ticket(&mut self) -> u64 {
        self.sa.tickets = self.sa.tickets.saturating_add(1);
        self.sa.tickets
    }

    /// Gives a job away.
    pub(crate) fn job(&mut self, job: Job) -> JobId {
        let id = JobId(self.ticket());
        self.out.push(Output::Job(id, job));
        id
    }

    /// A seed for a job.
    pub(crate) fn seed(&mut self) -> Secret {
        Secret::from_slice(&self.random::<32>())
    }

    /// Asks a question.
    pub(crate) fn ask(&mut self, ask: Ask) -> AskId {
        let id = AskId(self.ticket());
        self.out.push(Output::Ask(id, ask));
        id
    }

    /// Asks for MACs with the pre-shared key of us and `remote_id`.
    pub(crate) fn ask_psk(
        &mut self,
        suite: &IkeSuite,
        remote_id: &Id,
        octets: Vec<Vec<u8>>,
    ) -> AskId {
        let policy = Arc::clone(&self.sa.policy);
        self.ask(Ask::Psk(PskQuestion {
            local_id: policy.local_id.clone(),
            remote_id: remote_id.clone(),
            asymmetric: policy.local_auth != policy.remote_auth,
            prf: suite.prf,
            octets,
        }))
    }

    pub(crate) fn kernel(&mut self, request: KernelRequest) {
        self.out.push(Output::Kernel(request));
    }

    /// The header of a message of ours.
    pub(crate) fn header(&self, exchange: ExchangeType, response: bool, id: MessageId) -> Header {
        let initiator = if self.sa.initiator { Flags::INITIATOR } else { Flags::default() };
        let flags = if response { initiator.with(Flags::RESPONSE) } else { initiator };
        Header {
            spis: self.sa.spis,
            next_payload: PayloadType::NONE,
            version: Version::V2,
            exchange,
            flags,
            message_id: id,
            length: 0,
        }
    }

    /// Sends octets on a path.
    pub(crate) fn transmit(&mut self, path: Path, bytes: Vec<u8>) {
        self.transmit_or_hold(path, bytes, About::Else);
    }

    fn transmit_or_hold(&mut self, path: Path, bytes: Vec<u8>, about: About) {
        let now = self.sa.changing_over.hold(path.datagram(bytes), about);
        self.out.extend(now.map(Output::Transmit));
        if let (Some(_), Some(interval)) = (self.sa.timers.keepalive, self.sa.policy.nat_keepalive)
        {
            self.sa.timers.keepalive = Some(self.env.now.after(interval));
        }
    }

    /// Sends a message, whole or in fragments.
    pub(crate) fn post(&mut self, path: Path, parcel: &Parcel) {
        parcel.datagrams().for_each(|bytes| self.transmit(path, bytes.to_vec()));
    }

    /// The same with a message that was not sent before: see [`ChangingOver::hold`].
    fn post_first(&mut self, path: Path, parcel: &Parcel, about: About) {
        parcel.datagrams().for_each(|bytes| self.transmit_or_hold(path, bytes.to_vec(), about));
    }

    /// Sends a request and has it sent again until its response comes.
    pub(crate) fn transmit_request(
        &mut self,
        exchange: ExchangeType,
        message: Outgoing,
        payloads: &[Payload],
    ) {
        let policy = mobike::patience(self.sa, self.sa.policy.retransmit);
        let first = message.first.clone();
        self.sa.window.request_sent(self.env.now, exchange, message, policy);
        if let Some(until) = mobike::stranded_until(self.sa, self.env.now) {
            self.sa.window.hold(until);
        }
        self.post_first(self.sa.path, &first, About::of(exchange, payloads));
    }

    /// How large a message on this path may be.
    fn sizes(&self, path: Path) -> Sizes {
        self.sa.fragments.sizes(self.sa.policy.fragmentation, path.remote)
    }

    /// Seals and sends a request.
    ///
    /// # Errors
    /// A local fault: it cannot be made.
    pub(crate) fn request(
        &mut self,
        protection: &mut Protection,
        exchange: ExchangeType,
        payloads: &[Payload],
    ) -> Result<(), SealError> {
        let header = self.header(exchange, false, self.sa.window.next_id());
        let sizes = self.sizes(self.sa.path);
        let message = protection.seal(&header, payloads, sizes, self.env.entropy)?;
        self.count_sent(payloads);
        self.transmit_request(exchange, message, payloads);
        Ok(())
    }

    /// Seals and sends the response to the peer's expected request, and keeps it.
    ///
    /// # Errors
    /// A local fault: it cannot be made.
    pub(crate) fn respond(
        &mut self,
        protection: &mut Protection,
        exchange: ExchangeType,
        path: Path,
        payloads: &[Payload],
    ) -> Result<(), SealError> {
        let header = self.header(exchange, true, self.sa.window.expected_id());
        let message = protection.seal(&header, payloads, self.sizes(path), self.env.entropy)?;
        self.count_sent(payloads);
        let first = message.first.clone();
        self.sa.window.response_sent(exchange, message);
        self.post_first(path, &first, About::of(exchange, payloads));
        Ok(())
    }

    /// An unprotected message about IKE_SA_INIT.
    pub(crate) fn unprotected(
        &mut self,
        header: &Header,
        payloads: Vec<Payload>,
    ) -> Option<Vec<u8>> {
        self.count_sent(&payloads);
        Message { header: *header, payloads }.encode().ok()
    }

    /// Takes a Child SA out of the list and reports it as down.
    pub(crate) fn child_down(&mut self, serial: SerialNo, reason: DownReason) {
        if self.sa.child(serial).is_none() {
            return;
        }
        outbound::old_goes(self, serial);
        outbound::never(self, serial);
        let Some(child) = self.sa.children.remove(serial) else { return };
        if let Some(by) = child.replaced_by {
            self.not_wanted_either(serial, by);
        } else if reason == DownReason::PeerDeleted {
            self.predecessor_stays(&child);
        }
        self.kernel(match child.replaced_by {
            Some(_) => KernelRequest::RemoveReplaced(serial),
            None => KernelRequest::Remove(serial),
        });
        self.out.push(Output::Child(ChildEvent::Down {
            child: serial,
            connection: child.policy.connection,
            reason,
            replaced_by: child.replaced_by,
        }));
    }

    /// The peer has deleted what one of the two had made in place of another, and not that one: it
    /// could not install it, say.
    fn predecessor_stays(&mut self, gone: &Child) {
        let now = self.now();
        let Some(old) = gone.up.as_ref().and_then(|up| up.replaces) else { return };
        let Some(old) = self.sa.child_mut(old) else { return };
        if old.replaced_by == Some(gone.serial) && old.state == ChildState::Established {
            let end = old.had.and_then(|life| life.end);
            old.stays(create_child_sa::try_again(now, end));
        }
    }

    /// Who waits for a Child SA to be deleted means what has replaced it meanwhile, too.
    fn not_wanted_either(&mut self, old: SerialNo, by: SerialNo) {
        let order = Task::DeleteChild(old, Cue::Requested);
        let postponed = self.sa.postponed.iter().map(|(_, task)| task);
        if self.sa.tasks.iter().chain(postponed).any(|task| *task == order) {
            self.enqueue(Task::DeleteChild(by, Cue::Requested));
        }
    }

    /// The peer has made what we were about to make, for the same connection.
    pub(crate) fn no_longer_wanted(&mut self, child: SerialNo) {
        let Some(made) = self.sa.child(child) else { return };
        let (connection, ts) = (made.policy.connection, made.policy.local_ts.clone());
        let same = |wanted: &ChildPolicy| wanted.connection == connection && wanted.local_ts == ts;
        self.sa.wanted.retain(|wanted| !same(wanted));
        self.sa.tasks.retain(|task| !matches!(task, Task::CreateChild(wanted) if same(wanted)));
        // One that the peer has put off is not asked for again.
        let put_off = |task: &Task| match task {
            Task::AskAgain(serial) => Some(*serial),
            _ => None,
        };
        let postponed = self.sa.postponed.iter().map(|(_, task)| task);
        let put_off: Vec<_> = postponed.chain(&self.sa.tasks).filter_map(put_off).collect();
        for larval in put_off.into_iter().filter(|larval| *larval != child) {
            if self.sa.child(larval).is_some_and(|other| same(&other.policy)) {
                self.child_down(larval, DownReason::Replaced);
            }
        }
    }

    /// Reports all Child SAs as down.
    pub(crate) fn all_children_down(&mut self, reason: &DownReason) {
        self.sa.receiving.clear();
        while let Some(serial) = self.sa.children.last().map(|child| child.serial) {
            self.child_down(serial, reason.clone());
        }
    }

    /// The last response outlives the IKE SA, which is about to end.
    pub(crate) fn say_farewell(&mut self) {
        let Common { spis, initiator, .. } = *self.sa;
        if let Some((id, exchange, response)) = self.sa.window.last_response() {
            let farewell = Farewell { spis, initiator, id, exchange, response };
            self.out.push(Output::Farewell(farewell));
        }
    }

    /// The end: nothing is due any more.
    pub(crate) fn finished(&mut self, finish: Finish, children: &DownReason) {
        self.all_children_down(children);
        self.sa.timers = Timers::default();
        self.sa.window.response_accepted();
        self.sa.tasks.clear();
        self.sa.postponed.clear();
        self.sa.held = None;
        self.sa.fragments.forget();
        // However it ends, its successor lives on.
        let finish = self.sa.replaced_by.map_or(finish, Finish::Replaced);
        outbound::release_later(self);
        self.out.push(Output::Finished(finish));
    }

    /// The end, because something failed.
    pub(crate) fn failed(&mut self, why: String) {
        self.finished(Finish::Failed(why), &DownReason::IkeEnded);
    }

    /// Puts an order into the queue, once; the end of the IKE SA before all others, and then
    /// where both are. False: there are too many.
    pub(crate) fn enqueue(&mut self, task: Task) -> bool {
        if self.sa.tasks.contains(&task) {
            return true;
        }
        if self.sa.tasks.len() >= MAX_TASKS {
            return false;
        }
        match task {
            Task::DeleteIke => self.sa.tasks.insert(0, task),
            Task::UpdateAddresses | Task::CheckReturn => {
                let first = self.sa.tasks.first() == Some(&Task::DeleteIke);
                self.sa.tasks.insert(usize::from(first), task);
            }
            task => self.sa.tasks.push(task),
        }
        true
    }

    /// Puts an order into the queue `wait` from now, once.
    pub(crate) fn postpone(&mut self, wait: std::time::Duration, task: Task) {
        let at = self.now().after(wait);
        let postponed = &mut self.sa.postponed;
        if postponed.len() < MAX_TASKS && !postponed.iter().any(|(_, other)| *other == task) {
            postponed.push((at, task));
        }
    }

    /// Queues what was postponed until now.
    pub(crate) fn resume_postponed(&mut self) {
        let now = self.now();
        let (due, later) = std::mem::take(&mut self.sa.postponed)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.sa.postponed = later;
        for (_, task) in due {
            self.enqueue(task);
        }
    }
}
