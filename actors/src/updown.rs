//! The service that runs the verbs of updown: natively, by the kernel actor, or as scripts,
//! beside everything else. A connection waits for its verb before it asks for the next, so
//! verbs of one connection never overlap; scripts of different connections do.
//!
//! After a native verb the stock script may have to tell the resolver of DNS servers. What
//! comes of that never fails the verb.

use crate::kernel::{KernelActor, judge};
use crate::log::{Log, Subject};
use crate::service::{Service, contained};
use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient, ResponseActFuture,
    WrapFuture,
};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use pluto_kernel::{RouteAnswer, RouteChange};
use pluto_messages::{ChangeRoutes, Escalated, Fault, RouteTo, RunUpdown, UpdownDone};
use pluto_updown::dns::{SCRIPT, Told};
use pluto_updown::native::{Book, Reach, Route, RouteFacts, Work, concerns, plan, probes};
use pluto_updown::{
    DnsSetup, Facts, Means, Outcome, Ran, Runner, Script, Shell, Surroundings, Verb, environment,
};
use pluto_whack::DebugClass;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Scripts that run at once; the others wait their turn, first come, first served.
const AT_ONCE: usize = 64;
/// For scripts when the daemon itself was started without one.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What native verbs have added, by connection. It outlives a panic: the routes do, too.
type Routes = Rc<RefCell<Book>>;

/// The actor.
#[derive(Debug)]
pub struct UpdownActor {
    service: Service<Routes>,
    kernel: Addr<KernelActor>,
    runner: Rc<dyn Runner>,
    places: Rc<Semaphore>,
    path: String,
    limit: Duration,
    log: Log,
    /// Of the embedded data plane.
    device: Option<String>,
    dns: DnsSetup,
    /// It outlives a panic, as [`Routes`] do.
    told: Told,
    /// Resolvers are told of one tunnel after the other.
    turn: Rc<Semaphore>,
}

impl UpdownActor {
    /// With scripts that may take `limit` each.
    #[must_use]
    pub fn new(kernel: Addr<KernelActor>, log: Log, limit: Duration) -> Self {
        Self {
            service: service(log.clone(), None),
            kernel,
            runner: Rc::new(Shell),
            places: Rc::new(Semaphore::new(AT_ONCE)),
            path: std::env::var("PATH").unwrap_or_else(|_| USUAL_PATH.into()),
            limit,
            log,
            device: None,
            dns: DnsSetup::default(),
            told: Told::default(),
            turn: Rc::new(Semaphore::new(1)),
        }
    }

    /// Scripts are told this of the host's DNS.
    #[must_use]
    pub fn with_dns(mut self, dns: DnsSetup) -> Self {
        self.dns = dns;
        self
    }

    /// Routes lead into this device: the embedded data plane's.
    #[must_use]
    pub fn into_device(mut self, device: Option<String>) -> Self {
        self.device = device;
        self
    }

    /// Tells `escalate` when there are too many internal errors.
    #[must_use]
    pub fn escalating(mut self, escalate: Recipient<Escalated>) -> Self {
        self.service = service(self.log.clone(), Some(escalate));
        self
    }

    /// Runs scripts by something else: for tests.
    #[must_use]
    pub fn with_runner(mut self, runner: Rc<dyn Runner>) -> Self {
        self.runner = runner;
        self
    }

    fn script(
        &self,
        command: String,
        verb: Verb,
        facts: &Facts,
        only_dns: bool,
    ) -> LocalBoxFuture<'static, UpdownDone> {
        let connection = Some(pluto_connections::ConnectionSerial(facts.connection));
        let subject = Subject { connection, ..Subject::default() };
        let debug = self.log.shows(DebugClass::Updown, &subject);
        match environment(facts, verb, self.around(debug, only_dns)) {
            Ok(environment) => self.run(command, environment),
            Err(why) => std::future::ready(done(Outcome::NotRun(why))).boxed_local(),
        }
    }

    fn around(&self, debug: bool, only_dns: bool) -> Surroundings<'_> {
        Surroundings { path: &self.path, debug, dns: &self.dns, only_dns }
    }

    fn run(
        &self,
        command: String,
        environment: Vec<(String, String)>,
    ) -> LocalBoxFuture<'static, UpdownDone> {
        let script = Script { command, environment, limit: self.limit };
        let (runner, places) = (Rc::clone(&self.runner), Rc::clone(&self.places));
        async move {
            // The semaphore is never closed; were it, the only loss would be the limit.
            let _place = places.acquire().await;
            let Ran { outcome, output } = runner.run(script).await;
            UpdownDone { outcome, output }
        }
        .boxed_local()
    }

    /// What is to be told to the resolver after a native verb, if anything.
    fn tell_resolver(
        &mut self,
        verb: Verb,
        facts: &Facts,
    ) -> Option<LocalBoxFuture<'static, UpdownDone>> {
        let (verb, facts) = self.told.after(verb, facts)?;
        let told = self.script(SCRIPT.into(), verb, &facts, true);
        let turn = Rc::clone(&self.turn);
        let telling = async move {
            let _turn = turn.acquire().await;
            let UpdownDone { outcome, mut output } = told.await;
            if outcome != Outcome::Success {
                output.push(format!("the resolver was not told of DNS servers: {outcome}"));
            }
            UpdownDone { outcome: Outcome::Success, output }
        };
        Some(telling.boxed_local())
    }
}

fn service(log: Log, escalate: Option<Recipient<Escalated>>) -> Service<Routes> {
    let factory = Box::new(|old: Option<Routes>| old.unwrap_or_default());
    Service::new("updown", factory, log, escalate)
}

impl Actor for UpdownActor {
    type Context = Context<Self>;

    /// DNS servers of a daemon that was killed go first: no verb is taken before that.
    fn started(&mut self, ctx: &mut Self::Context) {
        if !self.dns.left_behind {
            return;
        }
        let debug = self.log.shows(DebugClass::Updown, &Subject::default());
        let environment = self.around(debug, true).for_restoring();
        let restored = contained(self.run(SCRIPT.into(), environment)).into_actor(self);
        ctx.wait(restored.map(|done, actor, _| match done {
            Ok(UpdownDone { outcome, output }) => {
                output.iter().for_each(|line| actor.log.info(&format!("updown: {line}")));
                if outcome != Outcome::Success {
                    let what = "DNS servers of an earlier daemon may be in use still";
                    actor.log.warn(&format!("updown: {what}: {outcome}"));
                }
            }
            Err(panic) => {
                actor.service.panicked(panic);
            }
        }));
    }
}

impl Handler<RunUpdown> for UpdownActor {
    type Result = ResponseActFuture<Self, Result<UpdownDone, Fault>>;

    fn handle(&mut self, msg: RunUpdown, _: &mut Self::Context) -> Self::Result {
        let RunUpdown { verb, means, mut facts } = msg;
        if let Some(device) = &self.device {
            through(&mut facts, device);
        }
        let work = match means {
            Means::Disabled => std::future::ready(done(Outcome::Success)).boxed_local(),
            Means::Script(command) => self.script(command, verb, &facts, false),
            Means::Native => match self.service.call(|routes| Rc::clone(routes)) {
                Ok(routes) => {
                    let resolver = self.tell_resolver(verb, &facts);
                    let kernel = self.kernel.clone();
                    async move {
                        let done = native(kernel, routes, verb, facts).await;
                        match resolver {
                            // Where nothing leads to them, servers are of no use.
                            Some(told) if verb != Verb::Up || done.outcome == Outcome::Success => {
                                UpdownDone { output: told.await.output, ..done }
                            }
                            _ => done,
                        }
                    }
                    .boxed_local()
                }
                Err(fault) => {
                    return Box::pin(actix::fut::ready(Err(fault)));
                }
            },
        };
        Box::pin(
            contained(work)
                .into_actor(self)
                .map(|done, actor, _| done.map_err(|panic| actor.service.panicked(panic))),
        )
    }
}

async fn native(
    kernel: Addr<KernelActor>,
    routes: Routes,
    verb: Verb,
    facts: Box<Facts>,
) -> UpdownDone {
    // Nothing goes out in clear meanwhile: the device takes it, and the data plane has no way for
    // it. Where there is no device, the kernel's policies see to that.
    if verb == Verb::Unroute && facts.moving && facts.device.is_some() {
        return done(Outcome::Success);
    }
    let change = if verb == Verb::Unroute {
        let mut book = routes.borrow_mut();
        if facts.moving {
            book.drop_routes(facts.connection)
        } else {
            book.drop_all(facts.connection)
        }
    } else if concerns(verb, &facts) {
        let now = match routing(&kernel, &facts).await {
            Ok(now) => now,
            Err(why) => return done(Outcome::NotRun(why)),
        };
        let mut book = routes.borrow_mut();
        match plan(verb, &facts, &now, &book) {
            Ok(wanted) => book.want(facts.connection, wanted),
            Err(no_interface) => return done(Outcome::NotRun(no_interface.to_string())),
        }
    } else {
        if verb == Verb::Up {
            again(&kernel, &routes, facts.connection).await;
        }
        return done(Outcome::Success);
    };
    if change.work.is_empty() {
        return done(Outcome::Success);
    }
    let changes = change.work.iter().map(route_change).collect();
    match judge(kernel.send(ChangeRoutes(changes)).await) {
        Ok(()) => done(Outcome::Success),
        Err(fault) => {
            // What cannot be removed is in the kernel's ledger and goes at the end.
            if verb != Verb::Unroute {
                routes.borrow_mut().restore(change);
            }
            done(Outcome::NotRun(fault.0))
        }
    }
}

/// Adds what route has added once more, where the system may have dropped it since, with an
/// interface. A tunnel that stands is not given up for it.
async fn again(kernel: &Addr<KernelActor>, routes: &Routes, connection: u64) {
    let work = routes.borrow().again(connection);
    // One by one, lest one that is refused takes the others with it, and all before anybody else
    // changes the book.
    let sent = work.iter().map(|work| kernel.send(ChangeRoutes(vec![route_change(work)])));
    join_all(sent).await;
}

/// How the peer and its traffic are reached now. That something is unreachable is part of
/// the answer.
async fn routing(kernel: &Addr<KernelActor>, facts: &Facts) -> Result<RouteFacts, String> {
    let to = |address: IpAddr| kernel.send(RouteTo(address));
    let peer = match facts.peer {
        Some(peer) => to(peer).await.map(Some),
        None => Ok(None),
    };
    let peer = match peer {
        Ok(Some(Ok(Ok(answer)))) => Some(reach(answer)),
        Ok(Some(Ok(Err(_))) | None) => None,
        Ok(Some(Err(fault))) => return Err(fault.to_string()),
        Err(_) => return Err(Fault::Gone.to_string()),
    };
    let clients = join_all(probes(facts).into_iter().map(to)).await;
    let clients = clients.into_iter().map(|answer| match answer {
        Ok(Ok(Ok(answer))) => Some(reach(answer)),
        _ => None,
    });
    Ok(RouteFacts { peer, clients: clients.collect() })
}

fn reach(answer: RouteAnswer) -> Reach {
    Reach { source: answer.source, gateway: answer.gateway, interface: answer.interface }
}

fn route_change(work: &Work) -> RouteChange {
    let route = |route: Route| pluto_kernel::Route {
        destination: route.destination,
        interface: route.interface,
        gateway: route.gateway,
        source: route.source,
        metric: route.metric,
        mtu: route.mtu,
    };
    match work.clone() {
        Work::AddRoute(added) => RouteChange::Add(route(added)),
        Work::RemoveRoute(removed) => RouteChange::Remove(route(removed)),
        Work::ReplaceRoute { was, by } => RouteChange::Replace { was: route(was), by: route(by) },
        Work::HandOver { from, to } => RouteChange::HandOver { from: route(from), to: route(to) },
        Work::KeepAddress { address, interface } => RouteChange::KeepAddress { address, interface },
        Work::AddAddress { address, interface } => RouteChange::AddAddress { address, interface },
        Work::RemoveAddress { address, interface } => {
            RouteChange::RemoveAddress { address, interface }
        }
    }
}

/// Leads what goes through the tunnel into `device`, natively or by a script.
fn through(facts: &mut Facts, device: &str) {
    for (name, value) in &mut facts.environment {
        match name.as_str() {
            "PLUTO_STACK" => *value = "embedded".into(),
            "PLUTO_INTERFACE" | "PLUTO_VIRT_INTERFACE" => *value = device.into(),
            _ => {}
        }
    }
    facts.environment.retain(|(name, _)| name != "PLUTO_NEXT_HOP");
    facts.device = Some(device.into());
}

fn done(outcome: Outcome) -> UpdownDone {
    UpdownDone { outcome, output: Vec::new() }
}

#[cfg(test)]
#[path = "updown_tests.rs"]
mod tests;
