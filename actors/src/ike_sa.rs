//! An IKE SA: gives inputs to its state machine, and carries the outputs out in order.
//!
//! The machine handles an input on a copy, and the copy is kept when it returns. A panic
//! inside leaves the SA as it was before that input; three within a minute end the SA,
//! and only it.

use crate::jobs::Priority;
use crate::log::Subject;
use crate::shell::Shell;
use crate::watch;
use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture,
};
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::{
    ChildExpired, ChildSaNews, ComputePskAuth, DatagramArrived, DescribeIkeSa, FindChildConnection,
    FindConnection, FindLease, IkeSaDescription, IkeSaEstablished, IkeSaFinished, IkeSaSucceeded,
    IkeSaUprooted, MappingChanged, Order, OrderSa, ReauthenticateIke, SaNotRekeyed,
};
use pluto_states::{
    Ask, AskId, AskResult, Finish, IkeSa, Input, Instant, Job, JobResult, KernelRequest,
    KernelResult, Level, Output, Request,
};
use pluto_whack::DebugClass;
use std::collections::VecDeque;
use std::fmt::Arguments;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// Panics within [`PANIC_WINDOW`] that end an SA.
pub const MOST_PANICS: usize = 3;
/// See [`MOST_PANICS`].
pub const PANIC_WINDOW: Duration = Duration::from_secs(60);

/// Datagrams and orders that wait for it: a message in as many fragments as one may have
/// (RFC 7383) arrives at once, and its retransmission likewise.
const MAILBOX: usize = 128;

/// The actor of an IKE SA.
pub struct IkeSaActor {
    sa: IkeSa,
    serial: SerialNo,
    first: Option<Input>,
    shell: Rc<Shell>,
    timer: Option<(Instant, SpawnHandle)>,
    panics: u32,
    recent_panics: VecDeque<Instant>,
    finished: bool,
    /// What has replaced it: orders that come late are for that.
    successor: Option<SerialNo>,
}

impl std::fmt::Debug for IkeSaActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IkeSaActor").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl IkeSaActor {
    /// Around a machine; `first` is handled as soon as the actor runs.
    #[must_use]
    pub fn new(sa: IkeSa, first: Option<Input>, shell: Rc<Shell>) -> Self {
        let serial = sa.serial();
        Self {
            sa,
            serial,
            first,
            shell,
            timer: None,
            panics: 0,
            recent_panics: VecDeque::new(),
            finished: false,
            successor: None,
        }
    }

    fn subject(&self) -> Subject<'_> {
        let policy = self.sa.policy();
        Subject {
            name: Some(&policy.log_name),
            connection: Some(policy.connection),
            serial: Some(self.serial),
        }
    }

    fn shows(&self, class: DebugClass) -> bool {
        self.shell.log.shows(class, &self.subject())
    }

    fn debug(&self, class: DebugClass, text: Arguments<'_>) {
        self.shell.log.debug_line(class, &self.subject(), text);
    }

    fn connection(&self) -> ConnectionSerial {
        self.sa.policy().connection
    }

    /// One input: on a copy, which is kept when the machine returns. After a panic a datagram
    /// is dropped, for its sender sends it again, and a deadline comes again by itself;
    /// nobody would repeat anything else, so it is handled again.
    fn step(&mut self, input: Input, ctx: &mut Context<Self>) {
        let repeated_by_others = matches!(input, Input::Datagram(_) | Input::Timer);
        let again = (!repeated_by_others).then(|| input.clone());
        if !self.attempt(input, ctx)
            && let Some(again) = again
        {
            while !self.attempt(again.clone(), ctx) {}
        }
        self.arm(ctx);
    }

    /// Whether that is settled: not if it panicked and the SA lives on.
    fn attempt(&mut self, input: Input, ctx: &mut Context<Self>) -> bool {
        if self.finished {
            return true;
        }
        let mut copy = self.sa.clone();
        let mut out = self.shell.outbox.take();
        let timed =
            self.shows(DebugClass::CpuUsage).then(|| (name(&input), self.shell.clock.now()));
        match watch::contain(|| self.shell.handle(&mut copy, input, &mut out)) {
            Ok(()) => {
                self.sa = copy;
                if let Some((what, begun)) = timed {
                    let spent = self.shell.clock.now().since(begun).as_secs_f64() * 1_000.0;
                    let text = format_args!("spent {spent:.3} milliseconds on {what}");
                    self.debug(DebugClass::CpuUsage, text);
                }
                for output in out.drain(..) {
                    self.perform(output, ctx);
                }
                self.shell.outbox.set(out);
                true
            }
            Err(text) => {
                self.survive(&text, ctx);
                false
            }
        }
    }

    fn survive(&mut self, text: &str, ctx: &mut Context<Self>) {
        self.panics = self.panics.saturating_add(1);
        let now = self.shell.clock.now();
        self.recent_panics.retain(|at| now.since(*at) < PANIC_WINDOW);
        self.recent_panics.push_back(now);
        let summary = self.sa.summary();
        let subject = Subject {
            name: Some(&summary.policy.log_name),
            connection: Some(summary.policy.connection),
            serial: Some(self.serial),
        };
        let log = &self.shell.log;
        log.line(
            Level::Error,
            &subject,
            format_args!("internal error; the state is as before this input: {text}"),
        );
        if self.recent_panics.len() >= MOST_PANICS {
            let why = format!("{MOST_PANICS} internal errors within {} s", PANIC_WINDOW.as_secs());
            log.line(Level::Error, &subject, format_args!("{why}: this IKE SA ends"));
            self.finish(Finish::Failed(why), ctx);
        }
    }

    fn finish(&mut self, finish: Finish, ctx: &mut Context<Self>) {
        if !self.finished {
            self.finished = true;
            self.tell(IkeSaFinished { ike: self.serial, finish });
            ctx.stop();
        }
    }

    /// Tells the supervisor; nobody waits for it.
    fn tell<M>(&self, message: M)
    where
        M: actix::Message<Result: Send> + Send + 'static,
        crate::supervisor::Supervisor: Handler<M>,
    {
        if let Some(supervisor) = self.shell.supervisor.upgrade() {
            supervisor.do_send(message);
        }
    }

    fn perform(&mut self, output: Output, ctx: &mut Context<Self>) {
        match output {
            Output::Transmit(datagram) => {
                let (octets, to) = (datagram.bytes.len(), datagram.remote);
                self.debug(DebugClass::Tmi, format_args!("sending {octets} octets to {to}"));
                self.shell.transmit(&datagram);
            }
            Output::TransmitLater(after, datagram) => {
                let shell = Rc::clone(&self.shell);
                actix_rt::spawn(async move {
                    tokio::time::sleep(after).await;
                    shell.transmit(&datagram);
                });
            }
            Output::Keepalive { local, remote } => self.shell.transport.keepalive(local, remote),
            Output::Story(story) => self.shell.log.story(self.connection(), &story),
            Output::Count(count) => self.shell.tally.borrow_mut().count(count),
            Output::Job(id, job) => {
                let priority = if self.sa.is_initiator() || self.sa.is_established() {
                    Priority::High
                } else {
                    Priority::Low
                };
                self.debug(DebugClass::Crypt, format_args!("{id:?}: {}", job_name(&job)));
                let result = self.shell.jobs.run(priority, move || job.run());
                let done = result.into_actor(self).map(move |result, actor, ctx| {
                    match &result {
                        Ok(_) => actor.debug(DebugClass::Crypt, format_args!("{id:?}: done")),
                        Err(lost) => actor.shell.log.line(
                            Level::Error,
                            &actor.subject(),
                            format_args!("a computation failed: {lost}"),
                        ),
                    }
                    actor.step(Input::JobDone(id, result.unwrap_or(JobResult::Lost)), ctx);
                });
                ctx.spawn(done);
            }
            Output::Ask(id, ask) => self.ask(id, ask, ctx),
            Output::Kernel(request) => self.kernel(request, ctx),
            Output::Child(event) => self.tell(ChildSaNews { ike: self.serial, event }),
            Output::Established(established) => self.tell(IkeSaEstablished(established)),
            Output::Successor(successor) => {
                // Where both ends have made one, the one that stays comes last.
                self.successor = Some(successor.serial());
                self.tell(IkeSaSucceeded { old: self.serial, successor })
            }
            Output::NotRekeyed(serial, why) => self.tell(SaNotRekeyed { serial, why }),
            Output::Reauthenticate(old) => self.tell(ReauthenticateIke(old)),
            Output::Uprooted(old) => self.tell(IkeSaUprooted { ike: self.serial, old }),
            Output::Reauthenticated { old, children } => {
                // Whoever carries them by now: the old one may have been rekeyed meanwhile.
                let serial = children.first().map_or(old, |(child, _)| *child);
                let request = Request::ReplacedBy { ike: self.serial, children };
                self.tell(OrderSa { serial, request });
            }
            Output::OrderSuccessor(serial, request) => self.tell(OrderSa { serial, request }),
            Output::Farewell(farewell) => {
                let now = self.shell.clock.now();
                self.shell.demux.borrow_mut().farewells.keep(now, farewell);
            }
            Output::Finished(finish) => self.finish(finish, ctx),
        }
    }

    fn ask(&mut self, id: AskId, ask: Ask, ctx: &mut Context<Self>) {
        match ask {
            Ask::Psk(question) => {
                self.debug(
                    DebugClass::Crypt,
                    format_args!(
                        "computing AUTH with the pre-shared key of {}",
                        question.remote_id
                    ),
                );
                let answer = self.shell.secrets.send(ComputePskAuth(question));
                ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
                    let answer = match answer {
                        Ok(Ok(macs)) => AskResult::Psk(macs),
                        _ => AskResult::Lost,
                    };
                    actor.step(Input::AskDone(id, answer), ctx);
                }));
            }
            Ask::Connection(lookup) => {
                self.ask_supervisor(id, FindConnection { ike: self.serial, lookup }, ctx)
            }
            Ask::Lease(question) => {
                self.ask_supervisor(id, FindLease { ike: self.serial, question }, ctx)
            }
            Ask::Child(lookup) => {
                self.ask_supervisor(id, FindChildConnection { ike: self.serial, lookup }, ctx)
            }
        }
    }

    fn ask_supervisor<M>(&mut self, id: AskId, question: M, ctx: &mut Context<Self>)
    where
        M: actix::Message<Result = Result<AskResult, pluto_messages::Fault>> + Send + 'static,
        crate::supervisor::Supervisor: Handler<M>,
    {
        let supervisor = self.shell.supervisor.upgrade();
        let answer = async move {
            match supervisor {
                Some(supervisor) => supervisor.send(question).await.ok().and_then(Result::ok),
                None => None,
            }
        };
        ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
            actor.step(Input::AskDone(id, answer.unwrap_or(AskResult::Lost)), ctx);
        }));
    }

    fn kernel(&mut self, request: KernelRequest, ctx: &mut Context<Self>) {
        match request {
            KernelRequest::AllocateSpi { child, protocol, local, remote, reqid } => {
                let request =
                    pluto_kernel::SpiRequest { child: child.0, protocol, remote, local, reqid };
                let answer = self.shell.kernel.send(pluto_messages::AllocateSpi(request));
                ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
                    let spi = crate::kernel::judge(answer).map(pluto_states::ChildSpi);
                    actor.step(Input::KernelDone(KernelResult::Spi(child, spi)), ctx);
                }));
            }
            KernelRequest::Install(install) => {
                let child = install.child;
                let spec = Box::new(crate::kernel::sa_pair_spec(&install));
                let answer = self.shell.kernel.send(pluto_messages::InstallSaPair(spec));
                ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
                    let done = crate::kernel::judge(answer);
                    actor.step(Input::KernelDone(KernelResult::Installed(child, done)), ctx);
                }));
            }
            KernelRequest::InstallInbound(install) => {
                let child = install.child;
                let spec = Box::new(crate::kernel::sa_pair_spec(&install));
                let answer = self.shell.kernel.send(pluto_messages::InstallInboundSa(spec));
                ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
                    let done = crate::kernel::judge(answer);
                    actor.step(Input::KernelDone(KernelResult::Installed(child, done)), ctx);
                }));
            }
            KernelRequest::InstallOutbound(install) => {
                let child = install.child;
                let spec = Box::new(crate::kernel::sa_pair_spec(&install));
                let answer = self.shell.kernel.send(pluto_messages::InstallOutboundSa(spec));
                ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
                    let done = KernelResult::OutboundInstalled(child, crate::kernel::judge(answer));
                    actor.step(Input::KernelDone(done), ctx);
                }));
            }
            // The supervisor does it when it is told that the Child SA is down: it knows what
            // stands beside it.
            KernelRequest::Remove(_) | KernelRequest::RemoveReplaced(_) => {}
            KernelRequest::Move(to) => {
                let child = to.child;
                let to = pluto_kernel::SaMove {
                    child: child.0,
                    connection: to.connection.0,
                    local: to.local,
                    remote: to.remote,
                    encapsulated: to.encapsulated,
                };
                let answer = self.shell.kernel.send(pluto_messages::MoveSaPair(to));
                ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
                    let done = crate::kernel::judge(answer);
                    actor.step(Input::KernelDone(KernelResult::Moved(child, done)), ctx);
                }));
            }
            KernelRequest::LastHeard(children) => {
                let answer = last_heard(self.shell.kernel.clone(), children);
                ctx.spawn(answer.into_actor(self).map(|ago, actor, ctx| {
                    actor.step(Input::KernelDone(KernelResult::LastHeard(ago)), ctx);
                }));
            }
            KernelRequest::SourcesFor(remotes) => {
                let answer = sources(self.shell.kernel.clone(), remotes);
                ctx.spawn(answer.into_actor(self).map(|sources, actor, ctx| {
                    actor.step(Input::KernelDone(KernelResult::Sources(sources)), ctx);
                }));
            }
        }
    }

    /// Keeps one timer, for the machine's next deadline.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let deadline = if self.finished { None } else { self.sa.deadline() };
        match (&self.timer, deadline) {
            (Some((armed, _)), Some(wanted)) if *armed == wanted => return,
            (None, None) => return,
            _ => {}
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = deadline {
            let handle = ctx.run_later(self.shell.clock.until(at), |actor, ctx| {
                actor.timer = None;
                actor.step(Input::Timer, ctx);
            });
            self.timer = Some((at, handle));
        }
    }
}

/// From which address of ours each of the peer's is reached.
async fn sources(
    kernel: actix::Addr<crate::kernel::KernelActor>,
    remotes: Vec<IpAddr>,
) -> Vec<(IpAddr, Option<IpAddr>)> {
    let mut sources = Vec::with_capacity(remotes.len());
    for remote in remotes {
        let answer = crate::kernel::judge(kernel.send(pluto_messages::RouteTo(remote)).await);
        sources.push((remote, answer.ok().and_then(|answer| answer.source)));
    }
    sources
}

/// How long ago something last came in through any of these Child SAs.
async fn last_heard(
    kernel: actix::Addr<crate::kernel::KernelActor>,
    children: Vec<SerialNo>,
) -> Option<Duration> {
    let mut last = 0;
    for child in children {
        let counters = kernel.send(pluto_messages::ReadCounters(child.0)).await;
        last = crate::kernel::judge(counters).map_or(last, |counters| last.max(counters.last_in));
    }
    crate::clock::ago(crate::clock::wall_clock(), last)
}

/// An input, for debug lines.
fn name(input: &Input) -> &'static str {
    match input {
        Input::Start => "the start",
        Input::Datagram(_) => "a datagram",
        Input::Timer => "a deadline",
        Input::JobDone(..) => "a job's result",
        Input::AskDone(..) => "an answer",
        Input::KernelDone(_) => "the kernel's answer",
        Input::Request(_) => "an order",
    }
}

/// A job, for debug lines.
fn job_name(job: &Job) -> String {
    match job {
        Job::GenerateKey { method, .. } => format!("making a key pair for {method}"),
        Job::Agree { .. } => "computing a shared secret".to_string(),
        Job::GenerateAndAgree { method, .. } => {
            format!("making a key pair for {method} and computing a shared secret")
        }
    }
}

impl Actor for IkeSaActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(first) = self.first.take() {
            self.step(first, ctx);
        } else {
            self.arm(ctx);
        }
    }
}

impl Handler<DatagramArrived> for IkeSaActor {
    type Result = ();
    fn handle(&mut self, msg: DatagramArrived, ctx: &mut Self::Context) {
        let (octets, from) = (msg.0.bytes.len(), msg.0.remote);
        self.debug(DebugClass::Tmi, format_args!("received {octets} octets from {from}"));
        self.step(Input::Datagram(msg.0), ctx);
    }
}

impl Handler<Order> for IkeSaActor {
    type Result = ();
    fn handle(&mut self, msg: Order, ctx: &mut Self::Context) {
        let request = msg.0;
        if let Some(successor) = self.successor {
            let serial = match &request {
                Request::Shutdown | Request::Abandon | Request::LocalAddresses(_) => {
                    return self.step(Input::Request(request), ctx);
                }
                Request::DeleteChild(child) | Request::RekeyChild(child) => *child,
                _ => successor,
            };
            return self.tell(OrderSa { serial, request });
        }
        self.step(Input::Request(request), ctx);
    }
}

impl Handler<ChildExpired> for IkeSaActor {
    type Result = ();
    fn handle(&mut self, msg: ChildExpired, ctx: &mut Self::Context) {
        if self.successor.is_some() {
            return self.tell(msg);
        }
        let expired = KernelResult::Expired { child: msg.child, hard: msg.hard };
        self.step(Input::KernelDone(expired), ctx);
    }
}

impl Handler<MappingChanged> for IkeSaActor {
    type Result = ();
    fn handle(&mut self, msg: MappingChanged, ctx: &mut Self::Context) {
        let mapping = KernelResult::Mapping { child: msg.child, remote: msg.remote };
        self.step(Input::KernelDone(mapping), ctx);
    }
}

impl Handler<DescribeIkeSa> for IkeSaActor {
    type Result = ();
    fn handle(&mut self, msg: DescribeIkeSa, _: &mut Self::Context) {
        msg.0.give(IkeSaDescription {
            summary: self.sa.summary(),
            panics: self.panics,
            now: self.shell.clock.now(),
        });
    }
}
