//! A connection: its wishes, its routing state, its attempts, and whoever waits for it.
//!
//! What to do is decided by the routing table of `connections`; the work (policies,
//! updown, the next attempt) is a queue that is worked off in order, one piece at a time,
//! without holding up anybody.

mod crossing;
mod handlers;
mod steps;

use crate::faults::Place;
use crate::log::{Subject, Tap, TapFilter};
use crate::shell::Shell;
use actix::{Actor, AsyncContext, Context, SpawnHandle};
use pluto_connections::revival::Revival;
use pluto_connections::routing::{self, Routing, RoutingEvent, Wishes};
use pluto_connections::{Connection, ConnectionSerial, Kind, SerialNo};
use pluto_messages::{ConnectionRetired, Reporter};
use pluto_states::{ChildUp, Instant, Level};
use pluto_whack::{DebugClass, codes};
use std::collections::VecDeque;
use std::fmt::Arguments;
use std::rc::Rc;
use std::sync::Arc;
use steps::Step;

/// What the supervisor keeps of a connection across a panic of its actor.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// Its wishes, when they were changed by commands.
    pub wishes: Option<Wishes>,
    /// Its newest established Child SA.
    pub child: Option<Arc<ChildUp>>,
    /// All its Child SAs.
    pub others: Vec<SerialNo>,
    /// Its IKE SAs, and which are established.
    pub ikes: Vec<(SerialNo, bool)>,
}

/// Somebody who waits: dropped, the command has ended.
#[derive(Debug)]
struct Attached {
    reporter: Reporter,
    tap: Option<Tap>,
    settled: bool,
}

impl Attached {
    /// What he waited for has come true.
    fn settle(mut self) {
        self.settled = true;
    }

    /// It has not, and will not.
    fn disappoint(mut self, code: u16, line: &str) {
        self.settled = true;
        // The tap goes first: whoever waits sees the sentence once, with its code.
        self.tap = None;
        self.reporter.say(code, line);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // The actor has died over it, or was removed with it.
        if !self.settled {
            let text = "the connection was ended before the command was carried out";
            self.reporter.say(codes::INTERNAL_ERROR, text);
        }
    }
}

/// Somebody who waits for the end of all SAs up to this one, or, where there is none, of
/// everything. What begins later (a peer that comes back at once) is not his.
#[derive(Debug)]
struct Leaving {
    newest: Option<SerialNo>,
    attached: Attached,
}

/// The actor.
#[derive(Debug)]
pub struct ConnectionActor {
    connection: Arc<Connection>,
    /// The same as it was when one of its ends was still ours, where none is now: what was
    /// done then has to be undone.
    last_oriented: Option<Arc<Connection>>,
    serial: ConnectionSerial,
    shell: Rc<Shell>,
    routing: Routing,
    wishes: Wishes,
    revival: Revival,
    next_attempt: Option<NextAttempt>,
    negotiating: Option<SerialNo>,
    established: Option<SerialNo>,
    /// All IKE SAs of this connection that live.
    ikes: Vec<SerialNo>,
    child: Option<Arc<ChildUp>>,
    /// When that came up.
    child_since: Instant,
    /// An attempt has begun: an IKE SA is asked for, or a Child SA is being made on one that
    /// was there before.
    creating: bool,
    /// A Child SA that is down, and whose facts updown still needs.
    forgetting: Option<SerialNo>,
    /// Established Child SAs beside the newest one.
    standing: Vec<Arc<ChildUp>>,
    /// Child SAs that are being negotiated, or are established beside the newest one.
    others: Vec<SerialNo>,
    steps: VecDeque<Step>,
    working: bool,
    attached: Vec<Attached>,
    /// Those who wait for one Child SA to be down.
    leaving_child: Vec<(SerialNo, Attached)>,
    /// Those who wait for it to be down.
    leaving: Vec<Leaving>,
    /// MOBIKE: what updown is asked for is for the time of a move.
    moving: bool,
    retiring: bool,
    /// It waits for an IKE SA of another connection, which it is to share.
    waits_for_ike: bool,
    /// It has waited for one in vain, and makes its own.
    alone: bool,
    failure: Option<String>,
    /// updown could not route when it was to.
    route_failed: bool,
    /// The supervisor is asked for an IKE SA (names are being resolved before), and has not
    /// answered.
    asking: bool,
    /// The IKE SA that it has begun to come up, until that ends.
    attempt: Option<SerialNo>,
    /// It was taken down while something was under way that cannot be stopped: what comes of
    /// that is deleted.
    called_off: bool,
}

/// A revival that is scheduled.
#[derive(Debug)]
struct NextAttempt {
    number: u32,
    due: Instant,
    timer: SpawnHandle,
}

impl ConnectionActor {
    /// For a connection of the table.
    #[must_use]
    pub fn new(connection: Arc<Connection>, adoption: Adoption, shell: Rc<Shell>) -> Self {
        let wishes = adoption.wishes.unwrap_or_else(|| connection.wishes());
        let routing =
            if adoption.child.is_some() { Routing::RoutedTunnel } else { Routing::Unrouted };
        let newest = |established: bool| {
            let all = adoption.ikes.iter().filter(|(_, is)| *is == established);
            all.map(|(ike, _)| *ike).max()
        };
        let (negotiating, established) = (newest(false), newest(true));
        let newest = adoption.child.as_ref().map(|child| child.child);
        let others = adoption.others.into_iter().filter(|child| Some(*child) != newest).collect();
        let now = shell.clock.now();
        Self {
            serial: connection.serial(),
            connection,
            last_oriented: None,
            shell,
            routing,
            wishes,
            revival: Revival::default(),
            next_attempt: None,
            negotiating,
            established,
            ikes: adoption.ikes.iter().map(|(ike, _)| *ike).collect(),
            child: adoption.child,
            child_since: now,
            creating: false,
            forgetting: None,
            standing: Vec::new(),
            others,
            steps: VecDeque::new(),
            working: false,
            attached: Vec::new(),
            leaving: Vec::new(),
            leaving_child: Vec::new(),
            moving: false,
            retiring: false,
            waits_for_ike: false,
            alone: false,
            failure: None,
            route_failed: false,
            asking: false,
            attempt: None,
            called_off: false,
        }
    }

    /// With an end that is ours, or was.
    fn oriented(&self) -> &Connection {
        self.last_oriented.as_ref().unwrap_or(&self.connection)
    }

    fn debug_routing(&self, text: Arguments<'_>) {
        let name = self.connection.log_name();
        let connection = Some(self.serial);
        let subject = Subject { name: Some(&name), connection, serial: None };
        self.shell.log.debug_line(DebugClass::Routing, &subject, format_args!("routing: {text}"));
    }

    fn log(&self, level: Level, text: &str) {
        self.shell.log.connection(level, self.serial, &self.connection.log_name(), text);
    }

    /// A line for the log and for everybody who waits, with a code that ends up as whack's
    /// exit status.
    fn fail(&mut self, code: u16, text: &str) {
        self.failure = Some(text.to_string());
        let line = format!("{}: {text}", self.connection.log_name());
        self.attached.drain(..).for_each(|attached| attached.disappoint(code, &line));
        self.log(Level::Warn, text);
    }

    /// Somebody who gets to see every line about this connection while he waits.
    fn attach(&self, reporter: Reporter) -> Attached {
        let tap = self.shell.log.tap(TapFilter::Connection(self.serial), reporter.clone());
        Attached { reporter, tap: Some(tap), settled: false }
    }

    /// Lets everybody go who waited for what has now come true.
    fn release(&mut self) {
        self.attached.drain(..).for_each(Attached::settle);
    }

    /// An event for the routing table; the work that follows from it is queued.
    fn route(&mut self, event: RoutingEvent, ctx: &mut Context<Self>) -> bool {
        self.shell.faults.at(Place::Connection(self.serial));
        let before = self.routing;
        let wishes = Wishes { keep: self.is_kept(), ..self.wishes };
        let Some((next, actions)) =
            routing::transition(before, event, self.connection.kind(), wishes)
        else {
            self.debug_routing(format_args!("{event:?} is not expected in {before:?}"));
            return false;
        };
        self.debug_routing(format_args!("{before:?} + {event:?} -> {next:?} {actions:?}"));
        self.routing = next;
        self.steps.extend(actions.into_iter().map(Step::Routing));
        self.work(ctx);
        true
    }

    /// Whether it is to be kept up, and its one revival is not spent: it has not been tried in
    /// vain since it was up.
    fn is_kept(&self) -> bool {
        let came_up = self.steps.iter().any(|step| matches!(step, Step::CameUp));
        self.wishes.keep && (came_up || self.revival.is_wanted(self.wishes))
    }

    fn cancel_next_attempt(&mut self, ctx: &mut Context<Self>) {
        if let Some(next) = self.next_attempt.take() {
            ctx.cancel_future(next.timer);
        }
    }

    /// The newest Child SA, while it is up.
    fn up_child(&self) -> Option<&Arc<ChildUp>> {
        self.child.as_ref().filter(|child| self.forgetting != Some(child.child))
    }

    /// All SAs that it has or is making.
    fn sas(&self) -> impl Iterator<Item = SerialNo> {
        let child = self.child.iter().map(|child| child.child);
        self.ikes.iter().chain(&self.others).copied().chain(child)
    }

    /// The last thing of a connection that is deleted, or of an instance without work.
    fn retire_if_idle(&mut self) {
        let oldest = self.sas().min();
        let is_over = |leaving: &mut Leaving| {
            leaving.newest.is_some_and(|newest| oldest.is_none_or(|oldest| oldest > newest))
        };
        self.leaving.extract_if(.., is_over).for_each(|leaving| leaving.attached.settle());
        let idle = oldest.is_none() && self.steps.is_empty() && !self.working;
        if !idle {
            return;
        }
        self.leaving.drain(..).for_each(|leaving| leaving.attached.settle());
        let unwanted_instance = self.connection.kind() == Kind::Instance
            && self.next_attempt.is_none()
            && !self.waits_for_ike
            && self.routing == Routing::Unrouted;
        if self.retiring || unwanted_instance {
            if !self.shell.leave_state.get() {
                self.shell
                    .kernel
                    .do_send(pluto_messages::SetPolicies { connection: self.serial.0, spec: None });
            }
            if let Some(supervisor) = self.shell.supervisor.upgrade() {
                supervisor.do_send(ConnectionRetired(self.serial));
            }
        }
    }
}

impl Actor for ConnectionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(0);
        if self.child.is_some() {
            self.shell.kernel.do_send(pluto_messages::KnowsChildren(self.serial.0));
        }
        if self.wishes.never_negotiate && self.connection.kind() == Kind::Permanent {
            self.wishes.route = true;
        }
        if self.child.is_none() && self.wishes.route {
            self.route(RoutingEvent::Route, ctx);
        }
        // An IKE SA that was adopted brings its Child SA.
        if self.child.is_none() && self.ikes.is_empty() && self.wishes.up {
            self.steps.push_back(Step::Initiate);
            self.work(ctx);
        }
    }
}

/// What whack is told when a connection is never negotiated.
fn shunt_refusal() -> (u16, &'static str) {
    (codes::INITSHUNT, "cannot initiate: this connection is a shunt that never negotiates")
}
