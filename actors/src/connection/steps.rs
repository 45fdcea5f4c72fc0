//! The queue of work of a connection.

use super::{ConnectionActor, NextAttempt};
use crate::facts;
use crate::faults::Place;
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use pluto_connections::routing::{RoutingAction, RoutingEvent, Verb};
use pluto_connections::{SerialNo, Shunt, Updown};
use pluto_kernel::{PolicyAction, PolicySpec};
use pluto_messages::{
    PeerResolved, Resolve, RunUpdown, SetPolicies, StartIke, StartRefused, StartedIke,
};
use pluto_states::{ChildUp, Level, Request};
use pluto_updown::{Means, Outcome};
use pluto_whack::codes;
use std::sync::Arc;
use std::time::Duration;

/// A piece of work.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// What the routing table wants.
    Routing(RoutingAction),
    /// Resolve names if there are any, then start an IKE SA.
    Initiate,
    /// What was waited for has come true.
    Release,
    /// The same of a Child SA, with all that updown had to do for it: the next attempt, should
    /// it go, is a first one again.
    CameUp,
    /// What had to be done for a Child SA that is gone is done.
    Forget(SerialNo),
    /// MOBIKE: what follows is for the time of a move, or no longer.
    Moving(bool),
    /// A Child SA has these facts now.
    Moved(Arc<ChildUp>),
}

/// How a piece of work has ended.
enum Done {
    Well,
    /// whack's code and a sentence.
    Badly(u16, String),
    /// updown's verb for this Child SA, with what it printed.
    Verb(Verb, Option<SerialNo>, Outcome, Vec<String>),
    Started(StartedIke),
    /// The IKE SA that it may share is being negotiated.
    Shares,
}

impl ConnectionActor {
    /// Works off the queue until a piece of work has to wait for somebody.
    pub(super) fn work(&mut self, ctx: &mut Context<Self>) {
        self.shell.faults.at(Place::Connection(self.serial));
        while !self.working {
            let Some(step) = self.steps.pop_front() else { break };
            match step {
                Step::Routing(action) => self.act(action, ctx),
                Step::Initiate => self.initiate(ctx),
                Step::Release => self.release(),
                Step::CameUp => {
                    self.revival.reset();
                    self.release();
                }
                Step::Moving(moving) => self.moving = moving,
                Step::Moved(up) => self.child_is_at(up),
                Step::Forget(child) => {
                    if self.child.as_ref().is_some_and(|now| now.child == child) {
                        self.child = None;
                    }
                }
            }
        }
        self.retire_if_idle();
    }

    fn wait_for(&mut self, work: impl Future<Output = Done> + 'static, ctx: &mut Context<Self>) {
        self.working = true;
        ctx.spawn(work.into_actor(self).map(|done, actor, ctx| {
            actor.working = false;
            actor.settle(done, ctx);
            actor.work(ctx);
        }));
    }

    fn act(&mut self, action: RoutingAction, ctx: &mut Context<Self>) {
        match action {
            RoutingAction::InstallTrap => self.policies(Some(PolicyAction::Trap), ctx),
            RoutingAction::InstallNegotiationShunt => {
                let pass = self.connection.negotiation_shunt() == Shunt::Pass;
                self.policies(
                    Some(if pass { PolicyAction::Pass } else { PolicyAction::Block }),
                    ctx,
                );
            }
            RoutingAction::InstallFailureShunt => {
                let pass = self.connection.failure_shunt() == Shunt::Pass;
                self.policies(
                    Some(if pass { PolicyAction::Pass } else { PolicyAction::Block }),
                    ctx,
                );
            }
            RoutingAction::InstallNeverNegotiate => {
                let pass = self.connection.connection_type()
                    == pluto_connections::ConnectionType::Passthrough;
                self.policies(
                    Some(if pass { PolicyAction::Pass } else { PolicyAction::Block }),
                    ctx,
                );
            }
            RoutingAction::RemovePolicies => {
                if !self.shell.leave_state.get() {
                    self.policies(None, ctx);
                }
            }
            // The routing table believes in a route that could not be had.
            RoutingAction::Updown(Verb::Up) if self.route_failed && self.up_child().is_some() => {
                self.steps.push_front(Step::Routing(action));
                self.route_failed = false;
                self.updown(Verb::Route, ctx);
            }
            RoutingAction::Updown(verb) => self.updown(verb, ctx),
            RoutingAction::Revive => self.revive(ctx),
            RoutingAction::RefuseRouteBusy => {
                self.fail(codes::RTBUSY, "cannot unroute: route busy")
            }
        }
    }

    /// The facts of a Child SA that has moved.
    fn child_is_at(&mut self, up: Arc<ChildUp>) {
        let known = self.child.iter_mut().chain(&mut self.standing);
        if let Some(known) = known.into_iter().find(|known| known.child == up.child) {
            *known = up;
        }
    }

    fn policies(&mut self, action: Option<PolicyAction>, ctx: &mut Context<Self>) {
        let spec = match action {
            None => None,
            Some(action) => match self.policy_spec(action) {
                Some(spec) => Some(spec),
                None => {
                    return self.fail(
                        codes::ROUTE,
                        "cannot route: an address of the connection is not known",
                    );
                }
            },
        };
        let answer = self.shell.kernel.send(SetPolicies { connection: self.serial.0, spec });
        self.wait_for(
            async move {
                match crate::kernel::judge(answer.await) {
                    Ok(()) => Done::Well,
                    Err(fault) => Done::Badly(codes::ROUTE, format!("cannot route: {fault}")),
                }
            },
            ctx,
        );
    }

    fn policy_spec(&self, action: PolicyAction) -> Option<PolicySpec> {
        let connection = &self.connection;
        let priority = connection.child_policies().first().map_or(0, |policy| policy.priority);
        let transport = connection
            .child_policies()
            .first()
            .is_some_and(|policy| policy.mode == pluto_connections::IpsecMode::Transport);
        Some(PolicySpec {
            action,
            traffic: crate::kernel::traffic_pairs(
                &connection.local_selectors(),
                &connection.remote_selectors(),
                priority,
            ),
            transport,
            protocol: pluto_wire::numbers::ProtocolId::ESP,
            local: connection.local_address()?,
            remote: connection.remote_address()?,
            reqid: connection.reqid(),
            mark_in: connection.mark_in(),
            mark_out: connection.mark_out(),
            if_id: 0,
        })
    }

    fn updown(&mut self, verb: Verb, ctx: &mut Context<Self>) {
        let connection = self.oriented();
        let means = match connection.updown() {
            Updown::Native => Means::Native,
            Updown::Disabled => Means::Disabled,
            Updown::Command(command) => Means::Script(command),
        };
        if means == Means::Disabled || self.shell.leave_state.get() {
            return;
        }
        let mut facts = facts::tunnel(connection, self.child.as_deref(), self.wishes);
        if self.moving {
            facts.moving();
        }
        let facts = Box::new(facts);
        let run = RunUpdown { verb: facts::verb(verb), means, facts };
        let answer = self.shell.updown.send(run);
        let child = self.child.as_ref().map(|child| child.child);
        self.wait_for(
            async move {
                match answer.await {
                    Ok(Ok(done)) => Done::Verb(verb, child, done.outcome, done.output),
                    Ok(Err(fault)) => {
                        Done::Verb(verb, child, Outcome::NotRun(fault.to_string()), Vec::new())
                    }
                    Err(_) => Done::Well,
                }
            },
            ctx,
        );
    }

    fn revive(&mut self, ctx: &mut Context<Self>) {
        if self.retiring || self.next_attempt.is_some() || self.up_child().is_some() {
            return;
        }
        if !self.revival.is_wanted(self.wishes) {
            return self.log(Level::Info, "not revived again: it is kept up, not brought up");
        }
        let (attempt, wait) = self.revival.next_attempt();
        let seconds = wait.as_secs();
        self.log(
            Level::Info,
            &format!("connection is supposed to remain up; revival attempt {attempt} scheduled in {seconds} seconds"),
        );
        self.schedule(attempt, wait, ctx);
    }

    fn schedule(&mut self, attempt: u32, wait: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(wait, |actor, ctx| {
            actor.next_attempt = None;
            actor.log(
                Level::Info,
                &format!(
                    "reviving connection which must remain up per local policy (serial {})",
                    actor.serial
                ),
            );
            actor.steps.push_back(Step::Initiate);
            actor.work(ctx);
        });
        let due = self.shell.clock.now().after(wait);
        self.next_attempt = Some(NextAttempt { number: attempt, due, timer });
    }

    /// What it was to share is there, or is not going to be: then it makes its own.
    pub(super) fn ike_decided(&mut self, established: bool, ctx: &mut Context<Self>) {
        if std::mem::take(&mut self.waits_for_ike) && !self.retiring {
            if self.up_child().is_some() {
                return self.release();
            }
            self.alone = !established;
            self.steps.push_back(Step::Initiate);
            self.work(ctx);
        }
    }

    fn initiate(&mut self, ctx: &mut Context<Self>) {
        if self.retiring || self.creating || self.negotiating.is_some() {
            return;
        }
        if self.up_child().is_some() {
            return self.release();
        }
        let Some(supervisor) = self.shell.supervisor.upgrade() else { return };
        (self.asking, self.creating, self.called_off) = (true, true, false);
        let names = self.connection.names_to_resolve();
        let (dns, connection) = (self.shell.dns.clone(), self.serial);
        let alone = std::mem::take(&mut self.alone);
        let refused = |refused: StartRefused| Done::Badly(refused.code, refused.why);
        self.wait_for(
            async move {
                for name in names {
                    let answer = dns.send(Resolve(name.clone())).await;
                    match answer {
                        Ok(Ok(Ok(addresses))) => {
                            let Some(&address) = addresses.first() else { continue };
                            let resolved = PeerResolved { connection, name, address };
                            let _ = supervisor.send(resolved).await;
                        }
                        Ok(Ok(Err(error))) => {
                            return Done::Badly(
                                codes::NOPEERIP,
                                format!("cannot resolve {name}: {error}"),
                            );
                        }
                        Ok(Err(fault)) => {
                            return Done::Badly(
                                codes::NOPEERIP,
                                format!("cannot resolve {name}: {fault}"),
                            );
                        }
                        Err(_) => return Done::Well,
                    }
                }
                match supervisor.send(StartIke { connection, alone }).await {
                    Ok(Ok(Some(ike))) => Done::Started(ike),
                    Ok(Ok(None)) => Done::Shares,
                    Ok(Err(why)) => refused(why),
                    Err(_) => Done::Well,
                }
            },
            ctx,
        );
    }

    /// What is under way to bring it up is not wanted any more, and ends before it gets there;
    /// false: there is nothing.
    pub(super) fn call_off(&mut self) -> bool {
        let queued = self.steps.len();
        self.steps.retain(|step| !matches!(step, Step::Initiate));
        let queued = self.steps.len() < queued;
        if queued {
            self.fail(codes::FATAL, "taken down before it began");
        }
        let waited = std::mem::take(&mut self.waits_for_ike);
        if waited {
            self.fail(codes::FATAL, "taken down while it waited for an IKE SA to share");
        }
        self.called_off = self.asking || self.creating || self.negotiating.is_some();
        queued || waited || self.called_off
    }

    /// A Child SA of ours has come up that nobody wants any more.
    pub(super) fn up_though_called_off(&mut self, up: &ChildUp) {
        let goes = |old: SerialNo| {
            !self.stands(old) || self.leaving_child.iter().any(|(child, _)| *child == old)
        };
        let ours = up.initiator && up.replaces.is_none_or(goes);
        if ours && std::mem::take(&mut self.called_off) {
            self.fail(codes::FATAL, "taken down before it was up");
            self.order(up.child, Request::DeleteChild(up.child));
        }
    }

    fn settle(&mut self, done: Done, ctx: &mut Context<Self>) {
        match done {
            Done::Well => {}
            Done::Started(StartedIke { shared: true, .. }) => {
                self.asking = false;
                self.attempt = None;
                // What came of it may have been told first.
                if self.creating {
                    self.route(RoutingEvent::Initiated, ctx);
                }
            }
            Done::Started(StartedIke { ike, .. }) => {
                (self.asking, self.creating) = (false, false);
                self.attempt = Some(ike);
                if std::mem::take(&mut self.called_off) {
                    self.order(ike, Request::DeleteIke);
                }
                // It may have ended meanwhile, which was told first.
                if self.ikes.contains(&ike) {
                    self.negotiating = Some(ike);
                    self.route(RoutingEvent::Initiated, ctx);
                }
            }
            Done::Shares => {
                (self.asking, self.creating) = (false, false);
                self.waits_for_ike = true;
                if std::mem::take(&mut self.called_off) {
                    self.call_off();
                }
            }
            Done::Badly(code, why) => {
                if std::mem::take(&mut self.asking) {
                    (self.creating, self.called_off) = (false, false);
                }
                self.fail(code, &why);
                let never_came_up =
                    self.wishes.up && self.up_child().is_none() && self.negotiating.is_none();
                let passes = [codes::NOPEERIP, codes::DEAF, codes::INTERNAL_ERROR];
                if never_came_up && passes.contains(&code) {
                    self.revive(ctx);
                }
            }
            Done::Verb(verb, child, outcome, output) => {
                self.verb_done(verb, child, &outcome, output);
            }
        }
    }

    fn verb_done(
        &mut self,
        verb: Verb,
        serial: Option<SerialNo>,
        outcome: &Outcome,
        output: Vec<String>,
    ) {
        let name = facts::verb_name(verb);
        if matches!(verb, Verb::Route | Verb::Unroute) {
            self.route_failed = verb == Verb::Route && *outcome != Outcome::Success;
        }
        let log_name = self.connection.log_name();
        let subject =
            crate::log::Subject { name: Some(&log_name), connection: Some(self.serial), serial };
        for line in output {
            self.shell.log.line(
                Level::Info,
                &subject,
                format_args!("command \"{name}\" output: {line}"),
            );
        }
        let trouble = match outcome {
            Outcome::Success => return,
            Outcome::Exited(status) => format!("command \"{name}\": exited with status {status}"),
            Outcome::Signalled(signal) => format!("command \"{name}\": killed by signal {signal}"),
            Outcome::TimedOut(limit) => {
                format!(
                    "command \"{name}\": killed, it had not ended after {} seconds",
                    limit.as_secs()
                )
            }
            Outcome::NotRun(why) => format!("command \"{name}\": {why}"),
        };
        self.shell.log.line(Level::Warn, &subject, format_args!("{trouble}"));
        // Only what carries traffic there is worth giving the tunnel up for (reference:
        // updown-env, 2).
        if matches!(verb, Verb::Route | Verb::Up) {
            let Some(child) = self.up_child().map(|child| child.child) else {
                return self.fail(codes::ROUTE, &trouble);
            };
            let carries = |step: &Step| {
                let carries = |verb: &Verb| matches!(verb, Verb::Route | Verb::Up);
                matches!(step, Step::Routing(RoutingAction::Updown(verb)) if carries(verb))
            };
            // What has come up meanwhile may have verbs of its own.
            if serial != Some(child) && self.steps.iter().any(carries) {
                return;
            }
            // What is left to do for others, or for what has gone, is done.
            self.steps.retain(|step| !carries(step) && !matches!(step, Step::CameUp));
            // Nor may another one take its place without what has failed.
            for other in &self.standing {
                self.order(other.child, Request::DeleteChild(other.child));
            }
            self.order(child, Request::DeleteChild(child));
            self.fail(codes::ROUTE, &format!("{trouble}; the Child SA is deleted"));
        }
    }

    /// A tunnel stands while what follows the end of its predecessor is still being done: its own
    /// policies are not to be replaced by a trap, nor is it to be made once more.
    pub(super) fn forgo_what_follows_a_teardown(&mut self) {
        self.steps.retain(|step| {
            !matches!(
                step,
                Step::Initiate
                    | Step::Routing(
                        RoutingAction::InstallTrap
                            | RoutingAction::InstallNegotiationShunt
                            | RoutingAction::InstallFailureShunt
                            | RoutingAction::RemovePolicies
                            | RoutingAction::Revive
                    )
            )
        });
    }
}
