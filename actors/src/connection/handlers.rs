//! What a connection is told, and what it does about it.

use super::{ConnectionActor, Leaving, shunt_refusal, steps::Step};
use actix::{Context, Handler};
use pluto_connections::routing::{Routing, RoutingAction, RoutingEvent};
use pluto_connections::{Kind, SerialNo};
use pluto_messages::{
    ChildCameUp, ChildMoved, ChildSuspended, ChildWentDown, ConnectionChanged,
    ConnectionDescription, DescribeConnection, IkeDecided, IkeNews, Initiate, KnowsChildren,
    LeaveIke, LeaveOthers, NeedNotBeUp, OrderSa, Retire, SetRouted, TakeChildDown, TakeDown,
    TrafficWaits,
};
use pluto_states::{DownReason, Finish, Level, Request};
use pluto_whack::codes;
use std::sync::Arc;

impl ConnectionActor {
    pub(super) fn tell_supervisor<M>(&self, message: M)
    where
        M: actix::Message<Result: Send> + Send + 'static,
        crate::supervisor::Supervisor: Handler<M>,
    {
        if let Some(supervisor) = self.shell.supervisor.upgrade() {
            supervisor.do_send(message);
        }
    }

    pub(super) fn order(&self, serial: SerialNo, request: Request) {
        self.tell_supervisor(OrderSa { serial, request });
    }

    /// It is done with an IKE SA, on which there may be Child SAs of others.
    fn leave_ike(&self, ike: SerialNo) {
        self.tell_supervisor(LeaveIke { ike, connection: self.serial });
    }

    /// Deletes the SAs that it has or is making.
    fn delete_sas(&mut self, ctx: &mut Context<Self>) {
        self.cancel_next_attempt(ctx);
        for ike in &self.ikes {
            self.leave_ike(*ike);
        }
        self.tell_supervisor(LeaveOthers(self.serial));
    }

    /// It need not be up any more: nor does a trap wait for traffic to bring it up.
    fn need_not_be_up(&mut self, ctx: &mut Context<Self>) {
        (self.wishes.up, self.wishes.keep) = (false, false);
        self.cancel_next_attempt(ctx);
        let routed = self.wishes.route && self.connection.kind() != Kind::Instance;
        if !routed && self.routing == Routing::RoutedOndemand {
            self.route(RoutingEvent::Unroute, ctx);
        }
        self.work(ctx);
    }

    /// An attempt came to nothing: tells whoever waits, and lets the routing table decide
    /// what comes next.
    fn attempt_failed(&mut self, code: u16, why: &str, ctx: &mut Context<Self>) {
        if !self.attached.is_empty() || code != 0 {
            self.fail(code, why);
        }
        if !self.route(RoutingEvent::TeardownIke, ctx) {
            self.work(ctx);
        }
    }

    /// The IKE SA on which a Child SA was to be made has ended before.
    fn not_created(&mut self, ctx: &mut Context<Self>) {
        self.called_off = false;
        if std::mem::take(&mut self.creating) {
            // Its beginning may still have to be told.
            if self.asking {
                self.route(RoutingEvent::Initiated, ctx);
            }
            let code = if self.attached.is_empty() { 0 } else { codes::FATAL };
            self.attempt_failed(code, "the IKE SA ended before the Child SA was made", ctx);
        }
    }

    fn ike_ended(&mut self, ike: SerialNo, finish: &Finish, ctx: &mut Context<Self>) {
        self.ikes.retain(|other| *other != ike);
        if self.established == Some(ike) {
            self.established = None;
        }
        if self.attempt == Some(ike) {
            self.attempt = None;
            match finish {
                Finish::Replaced(by) if *by != ike => self.attempt = Some(*by),
                _ if !self.asking => self.not_created(ctx),
                _ => {}
            }
        }
        if self.negotiating != Some(ike) {
            return self.work(ctx);
        }
        self.negotiating = None;
        self.called_off = false;
        match finish {
            // It became another connection's.
            Finish::Replaced(_) => self.work(ctx),
            Finish::TimedOut => {
                self.attempt_failed(
                    codes::NORETRANSMISSION,
                    "no answer from the peer; given up",
                    ctx,
                );
            }
            Finish::Failed(why) => self.attempt_failed(codes::FATAL, &why.clone(), ctx),
            Finish::Deleted | Finish::PeerDeleted | Finish::Expired => {
                let why =
                    if *finish == Finish::PeerDeleted { "deleted by the peer" } else { "deleted" };
                let waited = !self.attached.is_empty();
                self.attempt_failed(if waited { codes::FATAL } else { 0 }, why, ctx);
            }
        }
    }
}

impl Handler<Initiate> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: Initiate, ctx: &mut Self::Context) {
        if self.retiring {
            let text = format!("{}: is being deleted", self.connection.log_name());
            return msg.reporter.say(codes::FATAL, text);
        }
        if self.wishes.never_negotiate {
            let (code, why) = shunt_refusal();
            return msg.reporter.say(code, format!("{}: {why}", self.connection.log_name()));
        }
        if msg.on_demand.is_none() {
            self.wishes.up = true;
        }
        if !msg.asynchronous {
            let attached = self.attach(msg.reporter);
            self.attached.push(attached);
        }
        self.cancel_next_attempt(ctx);
        self.called_off = false;
        if let Some(child) = self.up_child() {
            let text = format!("already up: Child SA {} is established", child.child);
            self.log(Level::Info, &text);
            return self.release();
        }
        self.steps.push_back(Step::Initiate);
        self.work(ctx);
    }
}

impl Handler<SetRouted> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: SetRouted, ctx: &mut Self::Context) {
        let attached = self.attach(msg.reporter);
        self.attached.push(attached);
        self.wishes.route = msg.on;
        if msg.on && self.connection.kind() == Kind::Template {
            self.wishes.route = false;
            return self.fail(
                codes::ROUTE,
                "cannot route: the peer's address is %any; route needs one peer",
            );
        }
        let event = if msg.on { RoutingEvent::Route } else { RoutingEvent::Unroute };
        if msg.on && self.connection.local_address().is_none() {
            self.wishes.route = false;
            return self
                .fail(codes::ORIENT, "cannot route: neither end is an address of this host");
        }
        self.route(event, ctx);
        self.steps.push_back(Step::Release);
        self.work(ctx);
    }
}

impl Handler<TakeDown> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: TakeDown, ctx: &mut Self::Context) {
        let called_off = self.call_off();
        self.need_not_be_up(ctx);
        if self.child.is_none() && self.ikes.is_empty() {
            let text = match called_off {
                true => "connection is not up yet: what was under way is called off",
                false => "connection is already down",
            };
            self.log(Level::Info, text);
            return msg.reporter.say(0, format!("{}: {text}", self.connection.log_name()));
        }
        let attached = self.attach(msg.reporter);
        self.leaving.push(Leaving { newest: self.sas().max(), attached });
        self.delete_sas(ctx);
    }
}

impl Handler<TakeChildDown> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: TakeChildDown, ctx: &mut Self::Context) {
        let called_off = self.call_off();
        self.need_not_be_up(ctx);
        let Some(child) = self.up_child().map(|child| child.child) else {
            let text = match called_off {
                true => "connection has no Child SA yet: what was under way is called off",
                false => "connection has no Child SA",
            };
            return msg.reporter.say(0, format!("{}: {text}", self.connection.log_name()));
        };
        let attached = self.attach(msg.reporter);
        self.leaving_child.push((child, attached));
        self.order(child, Request::DeleteChild(child));
    }
}

impl Handler<IkeDecided> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: IkeDecided, ctx: &mut Self::Context) {
        self.ike_decided(msg.established, ctx);
    }
}

impl Handler<NeedNotBeUp> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: NeedNotBeUp, ctx: &mut Self::Context) {
        self.need_not_be_up(ctx);
    }
}

impl Handler<Retire> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: Retire, ctx: &mut Self::Context) {
        self.retiring = true;
        self.wishes.up = false;
        self.wishes.keep = false;
        self.wishes.route = false;
        if self.child.is_some() || !self.ikes.is_empty() {
            self.log(Level::Info, "terminating SAs using this connection");
        }
        if !self.attached.is_empty() {
            self.fail(
                codes::FATAL,
                "the connection was deleted before the command was carried out",
            );
        }
        let attached = self.attach(msg.reporter);
        self.leaving.push(Leaving { newest: None, attached });
        self.delete_sas(ctx);
        if matches!(
            self.routing,
            Routing::RoutedOndemand | Routing::RoutedNeverNegotiate | Routing::RoutedFailure
        ) {
            self.route(RoutingEvent::Unroute, ctx);
        }
        self.work(ctx);
    }
}

impl Handler<IkeNews> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: IkeNews, ctx: &mut Self::Context) {
        match msg {
            IkeNews::Began { ike, initiator } => {
                self.ikes.push(ike);
                if initiator && self.negotiating.is_none() {
                    self.negotiating = Some(ike);
                }
                if self.retiring {
                    self.order(ike, Request::DeleteIke);
                }
            }
            IkeNews::Established(ike) => {
                if self.negotiating == Some(ike) {
                    self.negotiating = None;
                    // Its Child SA is to come; not so where it was rekeyed without one.
                    let ours = self.attempt == Some(ike) || self.asking;
                    self.creating |= ours && self.up_child().is_none();
                }
                self.established = Some(ike);
                self.route(RoutingEvent::EstablishIke, ctx);
            }
            IkeNews::Inherited(ike) => {
                self.established = Some(ike);
                // We are being taken down, too.
                if !self.leaving.is_empty() {
                    self.leave_ike(ike);
                }
                self.route(RoutingEvent::EstablishIke, ctx);
            }
            IkeNews::Ended(ike, finish) => self.ike_ended(ike, &finish, ctx),
            IkeNews::NotCreated => {
                if self.up_child().is_none() {
                    self.not_created(ctx);
                }
                self.work(ctx);
            }
        }
    }
}

impl Handler<ChildCameUp> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: ChildCameUp, ctx: &mut Self::Context) {
        let up = msg.0;
        if self.child.as_ref().is_some_and(|child| child.child == up.child) {
            return; // It was told before.
        }
        self.others.retain(|other| *other != up.child);
        let now = self.shell.clock.now();
        let since = std::mem::replace(&mut self.child_since, now);
        // One that is down stays known until updown is done with it.
        let old = self.child.replace(Arc::clone(&up));
        // Our address was gone, and it is from another one that this goes.
        let replanted = self.routing == Routing::UnroutedTunnel
            && old.as_ref().is_some_and(|old| old.ike != up.ike);
        if let Some(old) = old.filter(|old| self.forgetting != Some(old.child)) {
            self.meets(&old, &up, now.since(since), ctx);
            self.others.push(old.child);
            self.standing.push(old);
        }
        self.creating = false;
        self.attempt = self.attempt.filter(|ike| *ike != up.ike);
        self.up_though_called_off(&up);
        self.failure = None;
        self.cancel_next_attempt(ctx);
        self.forgo_what_follows_a_teardown();
        self.shell.kernel.do_send(KnowsChildren(self.serial.0));
        self.route(RoutingEvent::EstablishInbound, ctx);
        self.route(RoutingEvent::EstablishOutbound, ctx);
        if replanted {
            self.route(RoutingEvent::Resume, ctx);
        }
        self.steps.push_back(Step::CameUp);
        self.work(ctx);
        if self.retiring {
            self.delete_sas(ctx);
        }
    }
}

impl Handler<ChildWentDown> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: ChildWentDown, ctx: &mut Self::Context) {
        self.standing.retain(|standing| standing.child != msg.child);
        let gone = self.leaving_child.extract_if(.., |(child, _)| *child == msg.child);
        gone.for_each(|(_, attached)| attached.settle());
        if self.child.as_ref().is_some_and(|child| child.child == msg.child)
            && let Some(next) = self.standing.pop()
        {
            // Another one for the same traffic stands: that both ends have begun to rekey, or
            // that this one was not wanted, changes nothing for the connection.
            self.others.retain(|other| *other != next.child);
            self.child = Some(next);
            return self.work(ctx);
        }
        if self.child.as_ref().is_some_and(|child| child.child == msg.child) {
            // The facts of the tunnel are still needed by what updown has to do.
            self.route(RoutingEvent::TeardownChild(msg.child), ctx);
            self.forgetting = Some(msg.child);
            self.steps.push_back(Step::Forget(msg.child));
            return self.work(ctx);
        }
        if let Some(place) = self.others.iter().position(|other| *other == msg.child) {
            self.others.swap_remove(place);
            return self.work(ctx);
        }
        // A Child SA that never came up; its IKE SA may live on without it. Where another one
        // stands, it was to be rekeyed, and will be tried again.
        if self.up_child().is_some() {
            return self.work(ctx);
        }
        let why = match &msg.reason {
            DownReason::Refused(notify) => Some(format!("the peer refused the Child SA: {notify}")),
            DownReason::Unacceptable(why) => {
                Some(format!("the peer's answer is not acceptable: {why}"))
            }
            DownReason::Kernel(fault) => {
                Some(format!("the kernel could not install the Child SA: {fault}"))
            }
            _ => None,
        };
        if let Some(why) = why {
            (self.creating, self.called_off) = (false, false);
            self.fail(codes::FATAL, &why);
            if let Some(ike) = self.established.or(self.negotiating) {
                self.leave_ike(ike);
            }
            self.route(RoutingEvent::TeardownChild(msg.child), ctx);
        } else {
            self.not_created(ctx);
        }
        // It may have been installed: what it has claimed is nobody's.
        match self.routing {
            Routing::Unrouted | Routing::UnroutedBareNegotiation => {
                self.steps.push_back(Step::Routing(RoutingAction::RemovePolicies));
            }
            Routing::RoutedOndemand if self.connection.local_address().is_some() => {
                self.steps.push_back(Step::Routing(RoutingAction::InstallTrap));
            }
            _ => {}
        }
        self.work(ctx);
    }
}

impl Handler<ChildSuspended> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: ChildSuspended, ctx: &mut Self::Context) {
        let current = self.child.as_ref().is_some_and(|child| child.child == msg.0);
        if current && self.routing == Routing::RoutedTunnel {
            self.steps.push_back(Step::Moving(true));
            self.route(RoutingEvent::Suspend, ctx);
            self.steps.push_back(Step::Moving(false));
            self.work(ctx);
        }
    }
}

impl Handler<ChildMoved> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: ChildMoved, ctx: &mut Self::Context) {
        let child = msg.0.child;
        self.steps.push_back(Step::Moved(msg.0));
        let current = self.child.as_ref().is_some_and(|current| current.child == child);
        if current && self.routing == Routing::UnroutedTunnel {
            self.route(RoutingEvent::Resume, ctx);
        }
        self.work(ctx);
    }
}

impl Handler<ConnectionChanged> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: ConnectionChanged, ctx: &mut Self::Context) {
        let was = self.connection.local_address();
        let was_oriented = was.is_some();
        let old = std::mem::replace(&mut self.connection, msg.0);
        let now = self.connection.local_address();
        let oriented = now.is_some();
        if oriented {
            self.last_oriented = None;
        } else if was_oriented {
            self.last_oriented = Some(old);
        }
        if oriented == was_oriented {
            if was != now && self.routing == Routing::RoutedOndemand {
                // The trap says from where an IKE SA would be.
                self.steps.push_back(Step::Routing(RoutingAction::InstallTrap));
                self.work(ctx);
            }
            return;
        }
        self.log(
            Level::Info,
            if oriented { "oriented" } else { "no longer oriented: its address is gone" },
        );
        if oriented {
            if self.wishes.route && self.routing == Routing::Unrouted {
                self.route(RoutingEvent::Route, ctx);
            }
            if self.wishes.up && self.up_child().is_none() && self.negotiating.is_none() {
                self.cancel_next_attempt(ctx);
                self.steps.push_back(Step::Initiate);
            }
        }
        self.work(ctx);
    }
}

impl Handler<TrafficWaits> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: TrafficWaits, ctx: &mut Self::Context) {
        let begun = self.creating || self.waits_for_ike || self.negotiating.is_some();
        if self.retiring || self.up_child().is_some() || begun {
            return;
        }
        self.log(Level::Info, &format!("initiate on-demand for packet {}", msg.packet));
        self.steps.push_back(Step::Initiate);
        self.work(ctx);
    }
}

impl Handler<DescribeConnection> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, msg: DescribeConnection, _: &mut Self::Context) {
        msg.0.give(ConnectionDescription {
            routing: self.routing,
            wishes: self.wishes,
            negotiating_ike: self.negotiating,
            established_ike: self.established,
            established_child: self.up_child().map(|child| child.child),
            revival: self
                .next_attempt
                .as_ref()
                .map(|next| (next.number, self.shell.clock.until(next.due))),
            failure: self.failure.clone(),
        });
    }
}
