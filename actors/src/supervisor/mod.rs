//! The supervisor: the table of all sessions by serial number, and the rules of what
//! happens when one of them ends.
//!
//! Connections, IKE SAs and Child SAs are siblings: an IKE SA may carry Child SAs of
//! several connections. Their relations are serial numbers in this table. Cleaning up is
//! the survivor's: it depends on the table and the kernel's ledger, never on the corpse.

mod children;
mod commands;
mod connections;
mod contained;
mod crash;
mod debugging;
mod leases;
mod listing;
mod mend;
mod reauth;
mod sessions;
mod totals;
mod under_load;
mod uprooted;
mod watches;

use crate::child_sa::ChildSaActor;
use crate::connection::ConnectionActor;
use crate::ike_sa::IkeSaActor;
use crate::listener::{Listener, Thresholds};
use crate::shell::Shell;
use crate::watch::{self, Watched};
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use contained::Takes;
use pluto_connections::routing::Wishes;
use pluto_connections::{ConnectionSerial, Connections, LocalAddress, SerialNo};
use pluto_messages::{Census, Escalated, Exit, Exited, ListenOn, Shutdown, TakeCensus, Who};
use pluto_states::{ChildUp, Instant};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A connection in the table.
struct ConnectionEntry {
    actor: Watched<ConnectionActor>,
    restarts: u32,
    recent: VecDeque<Instant>,
    /// Its wishes where commands have changed them.
    wishes: Option<Wishes>,
    /// It was told to retire.
    retiring: bool,
    /// Its Child SAs that are up.
    up: Vec<SerialNo>,
    since: Instant,
}

/// An IKE SA in the table.
struct IkeEntry {
    actor: Watched<IkeSaActor>,
    ours: pluto_wire::IkeSpi,
    connection: ConnectionSerial,
    established: bool,
    /// We have begun it.
    initiator: bool,
    /// Connections that are to share it when it is established.
    awaited_by: Vec<ConnectionSerial>,
    /// Connections for which a Child SA was asked for, of us or by the peer, and that have not
    /// heard of it.
    asked_by: Vec<ConnectionSerial>,
    /// Connections that are done with it, though their Child SAs may not be gone yet.
    left_by: Vec<ConnectionSerial>,
    remote_id: Option<pluto_connections::Id>,
    children: Vec<SerialNo>,
    since: Instant,
    /// It was told to end, or was replaced: nothing new is begun on it.
    ending: bool,
    /// What has inherited its Child SAs.
    successor: Option<SerialNo>,
    /// Its address is gone, and it may not leave it.
    uprooted: Option<uprooted::Uprooted>,
    /// What it told when it ended; none when it panicked.
    finish: Option<pluto_states::Finish>,
}

/// A Child SA in the table.
struct ChildEntry {
    actor: Option<Watched<ChildSaActor>>,
    ike: SerialNo,
    connection: ConnectionSerial,
    up: Option<Arc<ChildUp>>,
    since: Instant,
    /// It was told to end.
    ending: bool,
}

/// What the supervisor is told at its birth.
#[derive(Debug, Clone)]
pub struct Settings {
    /// See [`Thresholds`].
    pub thresholds: Thresholds,
    /// `uniqueids=`: a new SA of an identity replaces its old one.
    pub uniqueids: bool,
    /// ESP can be carried in UDP only: every IKE SA claims to be behind a NAT.
    pub force_encapsulation: bool,
    /// ESP in UDP is the faster one: the embedded data plane sends many packets at once.
    pub prefer_encapsulation: bool,
    /// What listings show of the daemon's options.
    pub setup: pluto_whack::report::SetupFacts,
    /// `--ikeport`: where connections that name no port of their own start.
    pub ike_port: u16,
    /// `--natikeport`.
    pub nat_port: u16,
    /// `--keep-alive`.
    pub keep_alive: Duration,
    /// Where leases of inner addresses outlive the daemon; none: they do not.
    pub leases: Option<std::path::PathBuf>,
}

/// The actor.
pub struct Supervisor {
    shell: Rc<Shell>,
    settings: Settings,
    table: Connections,
    leases: leases::Leases,
    connections: FxHashMap<ConnectionSerial, ConnectionEntry>,
    ikes: FxHashMap<SerialNo, IkeEntry>,
    children: FxHashMap<SerialNo, ChildEntry>,
    listener: Option<Watched<Listener>>,
    listener_restarts: u32,
    addresses: Vec<LocalAddress>,
    /// The same as IKE SAs are told.
    local: Arc<[std::net::IpAddr]>,
    /// When they are looked up again.
    rescan: Option<(Instant, actix::SpawnHandle)>,
    listening: bool,
    panics: u64,
    /// When this actor itself has panicked last.
    recent_panics: VecDeque<Instant>,
    /// IKE SAs whose peer has crashed, and the connections that replace them.
    crashed: FxHashMap<SerialNo, Vec<ConnectionSerial>>,
    root: Recipient<Shutdown>,
    escalate: Recipient<Escalated>,
    /// Those who wait for SAs to be rekeyed or gone.
    watches: Vec<watches::SaWatch>,
    /// Whether a timer runs for them.
    watch_timer: bool,
    stopping: bool,
    stopped: Option<tokio::sync::oneshot::Sender<()>>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("connections", &self.connections.len())
            .field("ikes", &self.ikes.len())
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}

/// A connection that panics more often than this within [`RESTART_WINDOW`] is marked down.
const MOST_RESTARTS: usize = 3;
/// A listener that panics more often than this ends the daemon.
const MOST_LISTENER_RESTARTS: u32 = 20;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Orders from above and news from below are never refused; only newcomers are, and the
/// queue that they wait in is this long.
const MAILBOX: usize = 4_096;

impl Supervisor {
    /// With an empty table.
    #[must_use]
    pub fn new(
        shell: Rc<Shell>,
        settings: Settings,
        root: Recipient<Shutdown>,
        escalate: Recipient<Escalated>,
    ) -> Self {
        let mut table = Connections::default();
        table.set_keep_alive(settings.keep_alive);
        Self {
            shell,
            settings,
            table,
            leases: leases::Leases::default(),
            connections: FxHashMap::default(),
            ikes: FxHashMap::default(),
            children: FxHashMap::default(),
            listener: None,
            listener_restarts: 0,
            addresses: Vec::new(),
            local: Arc::new([]),
            rescan: None,
            listening: false,
            panics: 0,
            recent_panics: VecDeque::new(),
            crashed: FxHashMap::default(),
            root,
            escalate,
            watches: Vec::new(),
            watch_timer: false,
            stopping: false,
            stopped: None,
        }
    }

    /// How a watched actor's end gets here.
    fn watcher(ctx: &Context<Self>) -> impl FnOnce(Exited) + 'static {
        let supervisor = ctx.address().downgrade();
        move |exited| {
            if let Some(supervisor) = supervisor.upgrade() {
                supervisor.do_send(exited);
            }
        }
    }

    fn start_listener(&mut self, ctx: &mut Context<Self>) {
        let (shell, supervisor) = (Rc::clone(&self.shell), ctx.address());
        let thresholds = self.settings.thresholds;
        let watcher = Self::watcher(ctx);
        self.listener = Some(watch::spawn(
            Who::Listener,
            move |_| Listener::new(shell, supervisor, thresholds),
            watcher,
        ));
    }

    fn listener_exited(&mut self, exit: &Exit, ctx: &mut Context<Self>) {
        // It may have been noticed before.
        if self.stopping || self.listener.as_ref().is_some_and(|one| one.addr.connected()) {
            return;
        }
        self.listener_restarts = self.listener_restarts.saturating_add(1);
        self.shell.log.error(&format!("listener: {exit:?}; starting it again"));
        if self.listener_restarts > MOST_LISTENER_RESTARTS {
            let why = format!("ended {} times", self.listener_restarts);
            self.escalate.do_send(Escalated { service: "listener", why });
        } else {
            self.start_listener(ctx);
            if let (true, Some(listener)) = (self.listening, &self.listener) {
                listener.addr.do_send(ListenOn(self.addresses.clone()));
            }
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.start_listener(ctx);
        self.recall_leases(ctx);
    }
}

impl Takes<Exited> for Supervisor {
    fn take(&mut self, msg: Exited, ctx: &mut Context<Self>) {
        if let Exit::Panicked(text) = &msg.how {
            self.panics = self.panics.saturating_add(1);
            self.shell.log.error(&format!("{:?}: internal error: {text}", msg.who));
        }
        self.actor_line(msg.who, format_args!("actor ended: {:?}", msg.how));
        match msg.who {
            Who::IkeSa(serial) => {
                self.ike_exited(serial, &msg.how);
                self.successor_ended(serial, ctx);
            }
            Who::ChildSa(serial) => self.child_exited(serial, &msg.how),
            Who::Connection(serial) => self.connection_exited(serial, &msg.how, ctx),
            Who::Listener => self.listener_exited(&msg.how, ctx),
            Who::Supervisor | Who::Root | Who::Service => {}
        }
    }
}

impl Handler<TakeCensus> for Supervisor {
    type Result = Census;

    fn handle(&mut self, _: TakeCensus, _: &mut Self::Context) -> Census {
        let demux = self.shell.demux.borrow();
        Census {
            connections: self.connections.len(),
            ike_sas: self.ikes.len(),
            established: self.ikes.values().filter(|ike| ike.established).count(),
            child_sas: self.children.len(),
            spis: demux.len(),
            half_open: demux.half_open(),
            panics: self.panics,
        }
    }
}
