//! Root: starts the tree in order, and stops it in reverse.
//!
//! Start: log, secrets, kernel, DNS and updown, listener, connections, whack. Stop:
//! Delete notifies first, the kernel last.

use crate::clock::Clock;
use crate::demux::Demux;
use crate::dns::Dns;
use crate::faults::Faults;
use crate::impair::{Impair, Impaired};
use crate::jobs::Jobs;
use crate::kernel::{Backend, KernelActor};
use crate::log::Log;
use crate::secrets::SecretsActor;
use crate::service::Factory;
use crate::shell::{Shell, Transport};
use crate::sockets::Sockets;
use crate::supervisor::{Settings, Supervisor};
use crate::tally::Tally;
use crate::updown::UpdownActor;
use crate::watch;
use actix::{Actor, Addr, AsyncContext, Context, Handler, ResponseFuture};
use pluto_connections::Secrets;
use pluto_crypto::Entropy;
use pluto_messages::{Escalated, FlushKernel, Hangup, Reporter, Shutdown, StopSessions, Who};
use pluto_states::Serials;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// All that a tree is made of.
pub struct Parts {
    /// The log.
    pub log: Log,
    /// Slow computations.
    pub jobs: Jobs,
    /// The kernel's factory.
    pub kernel: Factory<Backend>,
    /// What the kernel tells on its own.
    pub events: Option<crate::kernel::Sources>,
    /// ipsec.secrets.
    pub secrets_file: PathBuf,
    /// Secrets instead of a file, for tests.
    pub secrets: Option<Secrets>,
    /// Names.
    pub resolver: Box<dyn pluto_dns::Resolver>,
    /// What runs scripts.
    pub runner: Rc<dyn pluto_updown::Runner>,
    /// How long a script may run.
    pub updown_limit: Duration,
    /// What scripts are told of this host's DNS.
    pub dns_setup: pluto_updown::DnsSetup,
    /// The sockets, for listening; none where the network is a simulation.
    pub sockets: Option<Rc<Sockets>>,
    /// The network; the sockets, or a simulation.
    pub transport: Rc<dyn Transport>,
    /// Random octets.
    pub entropy: Box<dyn Entropy>,
    /// Settings of the supervisor.
    pub settings: Settings,
    /// See [`Shell::faults`].
    pub faults: Faults,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// A running tree.
#[derive(Debug)]
pub struct Tree {
    /// Root.
    pub root: Addr<Root>,
    /// The supervisor.
    pub supervisor: Addr<Supervisor>,
    /// The kernel.
    pub kernel: Addr<KernelActor>,
    /// Resolves with the exit status when the tree has stopped.
    pub stopped: oneshot::Receiver<i32>,
}

/// The actor.
#[derive(Debug)]
pub struct Root {
    log: Log,
    jobs: Jobs,
    supervisor: Addr<Supervisor>,
    kernel: Addr<KernelActor>,
    status: i32,
    stopping: bool,
    waiting: Vec<Reporter>,
    stopped: Option<oneshot::Sender<i32>>,
}

/// Starts a tree on this thread's arbiter.
#[must_use]
pub fn start(parts: Parts) -> Tree {
    let (done, stopped) = oneshot::channel();
    let root_context = Context::<Root>::new();
    let root = root_context.address();
    let escalate = root.clone().recipient::<Escalated>();
    let log = parts.log.clone();
    let supervisor_context = Context::<Supervisor>::new();
    let supervisor = supervisor_context.address();

    let secrets = SecretsActor::new(
        parts.secrets_file,
        parts.secrets,
        parts.jobs.clone(),
        log.clone(),
        Some(escalate.clone()),
    );
    let secrets = service(secrets.failing(parts.faults.clone()));
    let kernel = service(KernelActor::new(
        parts.kernel,
        parts.events,
        supervisor.clone().recipient(),
        log.clone(),
        Some(escalate.clone()),
    ));
    let dns = service(Dns::new(parts.resolver, log.clone(), Some(escalate.clone())));
    let esp = parts.sockets.as_ref().and_then(|sockets| sockets.esp());
    let device = esp.map(|esp| esp.device().to_owned());
    let updown = service(
        UpdownActor::new(kernel.clone(), log.clone(), parts.updown_limit)
            .with_runner(parts.runner)
            .into_device(device)
            .with_dns(parts.dns_setup)
            .escalating(escalate.clone()),
    );

    let impair = Rc::new(Impair::default());
    let transport = Impaired { inner: parts.transport, impair: Rc::clone(&impair) };
    let shell = Rc::new(Shell {
        impair,
        clock: Clock::default(),
        log: log.clone(),
        jobs: parts.jobs.clone(),
        transport: Rc::new(transport),
        sockets: parts.sockets,
        demux: RefCell::new(Demux::default()),
        entropy: RefCell::new(parts.entropy),
        serials: RefCell::new(Serials::default()),
        kernel: kernel.clone(),
        secrets,
        dns,
        updown,
        supervisor: supervisor.downgrade(),
        leave_state: Cell::new(false),
        tally: RefCell::new(Tally::default()),
        outbox: Cell::default(),
        faults: parts.faults,
    });
    let to_root = root.clone().recipient::<Shutdown>();
    let actor = Supervisor::new(shell, parts.settings, to_root, escalate.clone());
    watch::run(Who::Supervisor, supervisor_context, actor, move |exited| {
        let why = format!("{:?}", exited.how);
        escalate.do_send(Escalated { service: "supervisor", why });
    });
    let actor = Root {
        log,
        jobs: parts.jobs,
        supervisor: supervisor.clone(),
        kernel: kernel.clone(),
        status: 0,
        stopping: false,
        waiting: Vec::new(),
        stopped: Some(done),
    };
    watch::run(Who::Root, root_context, actor, |_| {});
    Tree { root, supervisor, kernel, stopped }
}

/// Services have their own way to survive; what ends them all the same is a bug that root
/// hears of by the mailboxes being closed.
fn service<A: Actor<Context = Context<A>>>(actor: A) -> Addr<A> {
    watch::spawn(Who::Service, |_| actor, |_| {}).addr
}

impl Root {
    fn stop(&mut self, leave_state: bool) -> ResponseFuture<()> {
        if self.stopping {
            return Box::pin(async {});
        }
        self.stopping = true;
        self.log.info("Pluto is shutting down");
        for waiting in &self.waiting {
            waiting.say(pluto_whack::codes::LOG, "Pluto is shutting down");
        }
        let (supervisor, kernel) = (self.supervisor.clone(), self.kernel.clone());
        let (status, stopped, jobs) = (self.status, self.stopped.take(), self.jobs.clone());
        let waiting = std::mem::take(&mut self.waiting);
        actix_rt::spawn(async move {
            let _ = supervisor.send(StopSessions { leave_state }).await;
            if !leave_state {
                let _ = kernel.send(FlushKernel).await;
            }
            jobs.close();
            drop(waiting);
            if let Some(stopped) = stopped {
                let _ = stopped.send(status);
            }
        });
        Box::pin(async {})
    }
}

impl Actor for Root {
    type Context = Context<Self>;
}

impl Handler<Shutdown> for Root {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, msg: Shutdown, _: &mut Self::Context) -> Self::Result {
        self.waiting.extend(msg.reporter);
        self.stop(msg.leave_state)
    }
}

impl Handler<Hangup> for Root {
    type Result = ();

    fn handle(&mut self, _: Hangup, _: &mut Self::Context) {
        self.log.info("SIGHUP received; to read interfaces and secrets again, use: whack --listen");
    }
}

impl Handler<Escalated> for Root {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, msg: Escalated, _: &mut Self::Context) -> Self::Result {
        if self.stopping {
            return Box::pin(async {});
        }
        self.log.error(&format!("{}: {}; the daemon stops", msg.service, msg.why));
        self.status = 1;
        self.stop(false)
    }
}
