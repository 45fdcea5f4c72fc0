//! IKE SAs: how they start, what they tell, how they end.

use super::contained::Takes;
use super::{IkeEntry, Supervisor};
use crate::ike_sa::IkeSaActor;
use crate::watch;
use actix::{Context, Handler};
use pluto_connections::{ConfigRole, ConnectionSerial, Encapsulation, IkePolicy, SerialNo};
use pluto_kernel::KernelEvent;
use pluto_messages::{
    Exit, Fault, IkeDecided, IkeNews, IkeSaEstablished, IkeSaFinished, IkeSaSucceeded, KernelTells,
    LeaveIke, LeaveOthers, LifetimeOver, MappingChanged, NewResponder, Order, OrderSa,
    SaNotRekeyed, StartIke, StartRefused, StartedIke, TrafficWaits, Who,
};
use pluto_states::{ChildUp, DownReason, Finish, IkeSa, Input, Level, Request, ResponderStart};
use pluto_whack::codes;
use pluto_wire::numbers::NotifyType;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Changes of addresses come in a row: how long the rest is waited for.
const ADDRESSES_SETTLE: Duration = Duration::from_millis(50);
/// The same of routes, of which some hosts have many changes.
const ROUTES_SETTLE: Duration = Duration::from_millis(500);

/// Of connections that name no port of their own.
pub(super) const IKE_PORT: u16 = 500;

impl Supervisor {
    /// Starts the actor of an IKE SA.
    pub(super) fn start_ike(
        &mut self,
        sa: IkeSa,
        first: Option<Input>,
        first_request: Option<crate::demux::FirstRequest>,
        connection: ConnectionSerial,
        ctx: &mut Context<Self>,
    ) -> SerialNo {
        let serial = sa.serial();
        let spis = sa.spis();
        let (initiator, mobike) = (sa.is_initiator(), sa.policy().mobike);
        let ours = if initiator { spis.initiator } else { spis.responder };
        let shell = Rc::clone(&self.shell);
        let actor = watch::spawn(
            Who::IkeSa(serial),
            move |_| IkeSaActor::new(sa, first, shell),
            Self::watcher(ctx),
        );
        self.shell.demux.borrow_mut().register(ours, first_request, actor.addr.clone().recipient());
        let entry = IkeEntry {
            actor,
            ours,
            connection,
            established: false,
            initiator,
            awaited_by: Vec::new(),
            asked_by: Vec::new(),
            successor: None,
            left_by: Vec::new(),
            remote_id: None,
            children: Vec::new(),
            since: self.shell.clock.now(),
            ending: false,
            uprooted: None,
            finish: None,
        };
        self.ikes.insert(serial, entry);
        self.shell.tally.borrow_mut().ike_started();
        self.actor_line(Who::IkeSa(serial), format_args!("actor of an IKE SA started"));
        if mobike {
            self.tell_addresses(serial);
        }
        self.tell_connection(connection, IkeNews::Began { ike: serial, initiator });
        serial
    }

    /// Tells an IKE SA this host's addresses.
    pub(super) fn tell_addresses(&self, ike: SerialNo) {
        if let Some(entry) = self.ikes.get(&ike) {
            let ours = Request::LocalAddresses(Arc::clone(&self.local));
            entry.actor.addr.do_send(Order(ours));
        }
    }

    pub(super) fn tell_connection<M>(&self, connection: ConnectionSerial, message: M)
    where
        M: actix::Message<Result: Send> + Send + 'static,
        crate::connection::ConnectionActor: Handler<M>,
    {
        if let Some(entry) = self.connections.get(&connection) {
            entry.actor.addr.do_send(message);
        }
    }

    /// The IKE SA now belongs to this connection.
    pub(super) fn move_ike(&mut self, ike: SerialNo, to: ConnectionSerial) {
        let Some(entry) = self.ikes.get_mut(&ike) else { return };
        let from = std::mem::replace(&mut entry.connection, to);
        if from != to {
            self.tell_connection(from, IkeNews::Ended(ike, Finish::Replaced(ike)));
            self.tell_connection(to, IkeNews::Began { ike, initiator: false });
        }
    }

    /// Its actor is gone, in order or not: what it had goes with it.
    pub(super) fn ike_exited(&mut self, serial: SerialNo, exit: &Exit) {
        if self.ikes.get(&serial).is_some_and(|entry| entry.actor.addr.connected()) {
            return; // Another one was started in its place.
        }
        let Some(entry) = self.ikes.remove(&serial) else { return };
        self.shell.demux.borrow_mut().forget(entry.ours);
        let finish = entry.finish.clone().unwrap_or_else(|| Finish::Failed(describe(exit)));
        self.shell.tally.borrow_mut().ike_finished(entry.established, &finish);
        for child in entry.children {
            self.child_down(child, DownReason::IkeEnded, None);
        }
        self.release_lease(serial);
        self.watched_sa_ended(serial, None);
        self.tell_connection(entry.connection, IkeNews::Ended(serial, finish));
        for connection in entry.awaited_by {
            self.tell_connection(connection, IkeDecided { established: false });
        }
        for connection in entry.asked_by {
            self.tell_connection(connection, IkeNews::NotCreated);
        }
        self.replace_crashed(serial);
        self.stopped_if_empty();
    }

    /// Sends an order to a state by its serial number; false: there is none.
    pub(super) fn order(&mut self, serial: SerialNo, request: Request) -> bool {
        let carrier = self.children.get(&serial).map_or(serial, |child| child.ike);
        let ends_child = matches!(request, Request::DeleteChild(child) if child == serial);
        let ike = self.ikes.get_mut(&carrier);
        let ike = ike.map(|ike| {
            ike.ending |= matches!(
                request,
                Request::DeleteIke
                    | Request::Shutdown
                    | Request::Abandon
                    | Request::ReplacedBy { .. }
            );
            &*ike
        });
        if let Some(ike) = ike {
            ike.actor.addr.do_send(Order(request));
        }
        let is_there = ike.is_some();
        if let Some(child) = self.children.get_mut(&serial).filter(|_| ends_child) {
            child.ending = true;
        }
        is_there
    }

    fn kernel_tells(&mut self, event: KernelEvent, ctx: &mut Context<Self>) {
        match event {
            KernelEvent::Acquire {
                reqid,
                source,
                destination,
                protocol,
                source_port,
                destination_port,
            } => {
                let packet = crate::facts::packet(
                    source,
                    source_port,
                    protocol,
                    destination,
                    destination_port,
                );
                match self.connection_by_reqid(reqid) {
                    Some(connection) => {
                        self.tell_connection(connection, TrafficWaits { packet, destination })
                    }
                    None => self
                        .shell
                        .log
                        .debug(&format!("acquire for {packet}: no connection has reqid {reqid}")),
                }
            }
            KernelEvent::Expire { child: Some(child), hard, .. } => {
                let actor =
                    self.children.get(&SerialNo(child)).and_then(|entry| entry.actor.as_ref());
                if let Some(actor) = actor {
                    actor.addr.do_send(LifetimeOver { hard });
                }
            }
            KernelEvent::Mapping { child: Some(child), remote } => {
                let child = SerialNo(child);
                let ike = self.children.get(&child).and_then(|entry| self.ikes.get(&entry.ike));
                if let Some(ike) = ike {
                    ike.actor.addr.do_send(MappingChanged { child, remote });
                }
            }
            KernelEvent::Expire { .. } | KernelEvent::Mapping { .. } => {}
            KernelEvent::RoutesChanged => self.rescan_after(ROUTES_SETTLE, ctx),
            KernelEvent::AddressesChanged | KernelEvent::Lost => {
                self.rescan_after(ADDRESSES_SETTLE, ctx);
            }
        }
    }
}

fn describe(exit: &Exit) -> String {
    match exit {
        Exit::Panicked(text) => format!("internal error: {text}"),
        Exit::Killed => "killed".to_string(),
        Exit::Normal => "ended".to_string(),
    }
}

impl Supervisor {
    /// A data plane that may not open raw sockets carries ESP in UDP only; one that may
    /// still carries it many times faster in UDP, unless the connection says no.
    pub(super) fn as_this_host_does(&self, policy: Arc<IkePolicy>) -> Arc<IkePolicy> {
        let wanted = match policy.encapsulation {
            Encapsulation::Yes => false,
            Encapsulation::No => self.settings.force_encapsulation,
            Encapsulation::Auto => {
                self.settings.force_encapsulation || self.settings.prefer_encapsulation
            }
        };
        let encapsulation = if wanted { Encapsulation::Yes } else { policy.encapsulation };
        let nat_port = self.settings.nat_port;
        if encapsulation == policy.encapsulation && nat_port == policy.nat_port {
            return policy;
        }
        Arc::new(IkePolicy { encapsulation, nat_port, ..IkePolicy::clone(&policy) })
    }
}

impl Takes<NewResponder> for Supervisor {
    fn take(&mut self, msg: NewResponder, ctx: &mut Context<Self>) {
        let request = msg.0;
        let Ok(header) = pluto_wire::Header::peek(&request.bytes) else { return };
        let remote = request.remote;
        if self.stopping {
            return;
        }
        // The same request may have come twice before the first was registered.
        if let crate::demux::Route::To(ike) = self.shell.demux.borrow().route(&header, remote) {
            let _ = ike.try_send(pluto_messages::DatagramArrived(request));
            return;
        }
        let found = self.table.for_ike_sa_init(request.local.ip(), remote.ip());
        let Some((connection, policy)) =
            found.and_then(|c| c.ike_policy().map(|policy| (c.serial(), policy)))
        else {
            let text = format!(
                "IKE_SA_INIT request refused: no connection is loaded for {} with {}",
                request.local.ip(),
                remote.ip()
            );
            self.shell.log.stranger(remote, &text);
            if let Some(refusal) = pluto_states::refuse_ike_sa_init(&request) {
                self.shell.refuse(NotifyType::NO_PROPOSAL_CHOSEN, &refusal);
            }
            return;
        };
        let policy = self.as_this_host_does(policy);
        let serial = self.shell.serials.borrow_mut().next_serial();
        let start = ResponderStart { serial, policy, request: request.clone() };
        let sa = loop {
            let sa = IkeSa::responder(&start, &mut **self.shell.entropy.borrow_mut());
            if !self.shell.demux.borrow().knows(sa.spis().responder) {
                break sa;
            }
        };
        let first_request = Some((header.spis.initiator, remote));
        self.start_ike(sa, Some(Input::Datagram(request)), first_request, connection, ctx);
    }
}

impl Handler<StartIke> for Supervisor {
    type Result = Result<Option<StartedIke>, StartRefused>;

    fn handle(&mut self, msg: StartIke, ctx: &mut Self::Context) -> Self::Result {
        let begun =
            self.contained("the start of an IKE SA", ctx, |this, ctx| this.initiate_ike(&msg, ctx));
        let failed = |fault: Fault| {
            Err(StartRefused { code: codes::INTERNAL_ERROR, why: fault.to_string() })
        };
        begun.unwrap_or_else(failed)
    }
}

impl Supervisor {
    fn initiate_ike(
        &mut self,
        msg: &StartIke,
        ctx: &mut Context<Self>,
    ) -> Result<Option<StartedIke>, StartRefused> {
        let wanted = msg.connection;
        let refuse = |code, why: &str| Err(StartRefused { code, why: why.to_string() });
        if self.stopping {
            return refuse(codes::FATAL, "the daemon is stopping");
        }
        if !self.listening {
            return refuse(codes::DEAF, "need --listen before --initiate");
        }
        let Some(connection) = self.table.by_serial(wanted) else {
            return refuse(codes::UNKNOWN_NAME, "the connection is gone");
        };
        let Some(policy) = connection.ike_policy() else {
            return refuse(
                codes::ORIENT,
                "we cannot identify ourselves with either end of this connection",
            );
        };
        let Some((mut local, remote)) = connection.endpoints() else {
            return refuse(codes::NOPEERIP, "cannot initiate: the peer's address is not known");
        };
        if local.port() == IKE_PORT {
            local.set_port(self.settings.ike_port);
        }
        // What the peer has made meanwhile, as where both ends revive it, is not made twice.
        let made = |wanted: &Arc<pluto_connections::ChildPolicy>| {
            let up = self.children.values().filter(|child| child.connection == wanted.connection);
            up.filter_map(|child| child.up.as_ref()).any(|up| up.policy.local_ts == wanted.local_ts)
        };
        let children = connection.child_policies();
        let policy = self.as_this_host_does(policy);
        let mut useless = None;
        // On an IKE SA that stands already, a Child SA costs one exchange.
        let (mut standing, mut awaited) = self.shareable(connection, &policy);
        // An address, and what goes with it, is asked for by IKE_AUTH alone.
        if connection.config_role() == Some(ConfigRole::Client) {
            awaited = None;
            let has_it = |ike: &SerialNo| self.carries(*ike, wanted);
            if let Some(without) = standing.take_if(|ike| !has_it(ike)) {
                let own = self.ikes.get(&without).filter(|ike| ike.connection == wanted);
                if own.is_some_and(|ike| ike.children.is_empty()) {
                    useless = Some(without);
                }
            }
        }
        if let Some(ike) = standing {
            if let Some(entry) = self.ikes.get_mut(&ike) {
                entry.left_by.retain(|other| *other != wanted);
            }
            let missing: Vec<_> = children.into_iter().filter(|wanted| !made(wanted)).collect();
            if let Some(entry) = self.ikes.get_mut(&ike).filter(|_| !missing.is_empty()) {
                entry.asked_by.push(wanted);
            }
            for child in missing {
                self.order(ike, Request::CreateChild(child));
            }
            return Ok(Some(StartedIke { ike, shared: true }));
        }
        if let Some(ike) = awaited.filter(|_| !msg.alone) {
            if let Some(entry) = self.ikes.get_mut(&ike) {
                entry.awaited_by.push(wanted);
            }
            return Ok(None);
        }
        let serial = self.shell.serials.borrow_mut().next_serial();
        let sa = IkeSa::initiator(
            serial,
            policy,
            children,
            local,
            remote,
            &mut **self.shell.entropy.borrow_mut(),
        );
        if let Some(useless) = useless {
            self.order(useless, Request::DeleteIke);
        }
        let ike = self.start_ike(sa, Some(Input::Start), None, wanted, ctx);
        Ok(Some(StartedIke { ike, shared: false }))
    }
}

impl Supervisor {
    /// Whether a Child SA of this connection stands on this IKE SA.
    fn carries(&self, ike: SerialNo, connection: ConnectionSerial) -> bool {
        let children = self.ikes.get(&ike).map(|ike| &ike.children);
        let children = children.into_iter().flatten().filter_map(|child| self.children.get(child));
        children.into_iter().any(|child| child.connection == connection && child.up.is_some())
    }

    /// The established IKE SA that may carry this connection's Child SAs, and the one that we
    /// have begun and that may when it is established: its own, or that of a connection between
    /// the same hosts, with the same identities, proofs and proposals.
    fn shareable(
        &self,
        connection: &pluto_connections::Connection,
        policy: &IkePolicy,
    ) -> (Option<SerialNo>, Option<SerialNo>) {
        let same = |other: &pluto_connections::Connection| {
            let Some(theirs) = other.ike_policy() else { return false };
            // What differs as a rule is looked at first: there may be thousands.
            if theirs.remote_id != policy.remote_id
                || theirs.local_id != policy.local_id
                || other.endpoints() != connection.endpoints()
            {
                return false;
            }
            let renamed = IkePolicy {
                connection: policy.connection,
                log_name: Arc::clone(&policy.log_name),
                ..IkePolicy::clone(&self.as_this_host_does(theirs))
            };
            renamed == *policy
        };
        let (mut standing, mut awaited) = (None, None);
        for (serial, ike) in &self.ikes {
            let usable = !ike.ending && ike.uprooted.is_none() && ike.finish.is_none();
            let own = ike.connection == connection.serial();
            let may = |other| self.table.by_serial(other).is_some_and(|other| same(other));
            let place = match (ike.established, ike.initiator) {
                (true, _) => &mut standing,
                (false, true) if !own => &mut awaited,
                (false, _) => continue,
            };
            if usable && (own || may(ike.connection)) {
                *place = (*place).max(Some(*serial));
            }
        }
        (standing, awaited)
    }
}

impl Takes<IkeSaEstablished> for Supervisor {
    /// What its connection does not know of must not stand.
    fn not_taken(&mut self, msg: IkeSaEstablished) {
        self.order(msg.0.ike, Request::DeleteIke);
    }

    fn take(&mut self, msg: IkeSaEstablished, _: &mut Context<Self>) {
        let established = msg.0;
        let (ike, connection) = (established.ike, established.policy.connection);
        self.move_ike(ike, connection);
        let mut awaited_by = Vec::new();
        if let Some(entry) = self.ikes.get_mut(&ike) {
            self.shell.tally.borrow_mut().ike_established(Some(&established.suite));
            entry.established = true;
            awaited_by = std::mem::take(&mut entry.awaited_by);
            entry.remote_id = Some(established.remote_id.clone());
            self.shell.demux.borrow_mut().no_longer_half_open(entry.ours);
        }
        if established.policy.mobike {
            self.tell_addresses(ike);
        }
        if established.initial_contact && self.settings.uniqueids {
            self.abandon_others(ike, &established.remote_id, &established.policy.local_id);
        }
        self.tell_connection(connection, IkeNews::Established(ike));
        for connection in awaited_by {
            self.tell_connection(connection, IkeDecided { established: true });
        }
    }
}

impl Supervisor {
    /// The peer says that this is its only SA (RFC 7296, 2.4): older ones are dead.
    fn abandon_others(
        &self,
        ike: SerialNo,
        remote_id: &pluto_connections::Id,
        local_id: &pluto_connections::Id,
    ) {
        let local_of = |connection| {
            let connection = self.table.by_serial(connection)?;
            Some(connection.ike_policy()?.local_id.clone())
        };
        for (serial, entry) in &self.ikes {
            if *serial < ike
                && entry.established
                && entry.remote_id.as_ref() == Some(remote_id)
                && local_of(entry.connection).as_ref() == Some(local_id)
            {
                entry.actor.addr.do_send(Order(Request::Abandon));
            }
        }
    }
}

impl Takes<IkeSaSucceeded> for Supervisor {
    fn take(&mut self, msg: IkeSaSucceeded, ctx: &mut Context<Self>) {
        let summary = msg.successor.summary();
        // It may have been begun, and no more, the first time.
        if let Some(begun) = self.ikes.remove(&msg.successor.serial()) {
            begun.actor.kill();
        }
        let Some(old) = self.ikes.get_mut(&msg.old) else { return };
        old.ending = true;
        let (connection, remote_id) = (old.connection, old.remote_id.clone());
        // Where both ends have made a successor, one of the two inherits nothing.
        let children: Vec<SerialNo> = summary.children.iter().map(|child| child.serial).collect();
        old.children.retain(|child| !children.contains(child));
        // Who inherits what was made inherits what is to be made.
        let asked_by = match summary.replaced_by {
            None => std::mem::take(&mut old.asked_by),
            Some(_) => Vec::new(),
        };
        let new = self.start_ike(*msg.successor, None, None, connection, ctx);
        if summary.replaced_by.is_none() {
            self.inherit_lease(msg.old, new);
            if let Some(old) = self.ikes.get_mut(&msg.old) {
                old.successor = Some(new);
            }
        }
        for child in &summary.children {
            let (Some(entry), Some(parent)) =
                (self.children.get_mut(&child.serial), self.ikes.get(&new))
            else {
                continue;
            };
            entry.ike = new;
            let Some(up) = child.up.as_ref().map(|up| Arc::new(ChildUp::clone(up))) else {
                continue;
            };
            if let Some(actor) = &entry.actor {
                let parent = parent.actor.addr.clone();
                actor.addr.do_send(crate::child_sa::NewParent(parent, Arc::clone(&up)));
                entry.up = Some(up);
            }
        }
        self.shell.tally.borrow_mut().ike_established(summary.suite.as_ref());
        let redundant = summary.replaced_by.is_some();
        if let Some(entry) = self.ikes.get_mut(&new) {
            entry.children = children;
            entry.asked_by = asked_by;
            entry.established = true;
            entry.ending = redundant;
            entry.remote_id = remote_id;
            self.shell.demux.borrow_mut().no_longer_half_open(entry.ours);
        }
        self.tell_connection(connection, IkeNews::Established(new));
        if !redundant {
            self.watched_sa_rekeyed(msg.old);
        }
    }
}

impl Takes<IkeSaFinished> for Supervisor {
    fn take(&mut self, msg: IkeSaFinished, _: &mut Context<Self>) {
        // Its actor's end follows; until then the demux still knows the SA, so that late
        // datagrams are not strangers.
        if let Some(entry) = self.ikes.get_mut(&msg.ike) {
            entry.finish = Some(msg.finish);
        }
    }
}

impl Takes<SaNotRekeyed> for Supervisor {
    fn take(&mut self, msg: SaNotRekeyed, _: &mut Context<Self>) {
        self.watched_sa_not_rekeyed(msg.serial, &msg.why);
    }
}

impl Takes<LeaveIke> for Supervisor {
    fn take(&mut self, msg: LeaveIke, _: &mut Context<Self>) {
        self.leave_ike(msg.ike, msg.connection, Request::DeleteIke);
    }
}

impl Takes<LeaveOthers> for Supervisor {
    fn take(&mut self, msg: LeaveOthers, _: &mut Context<Self>) {
        self.leave_others(msg.0);
    }
}

impl Supervisor {
    /// Deletes what a connection has on IKE SAs of others.
    pub(super) fn leave_others(&mut self, leaves: ConnectionSerial) {
        let others =
            |ike: &SerialNo| self.ikes.get(ike).is_some_and(|ike| ike.connection != leaves);
        let children = self.children.iter();
        let on_others: Vec<SerialNo> = children
            .filter(|(_, child)| child.connection == leaves && !child.ending && others(&child.ike))
            .filter(|(_, child)| child.up.is_some())
            .map(|(serial, _)| *serial)
            .collect();
        for child in on_others {
            self.order(child, Request::DeleteChild(child));
        }
    }

    /// A connection is done with an IKE SA. Where Child SAs of others are on it, it passes to
    /// one of them, and only the connection's own end; otherwise `end` is ordered.
    pub(super) fn leave_ike(&mut self, ike: SerialNo, leaves: ConnectionSerial, end: Request) {
        let own = |entry: &&mut IkeEntry| entry.connection == leaves;
        let successor = self.ikes.get(&ike).and_then(|entry| entry.successor);
        // What is said to an IKE SA that was rekeyed, its successor is told.
        if let Some(successor) = successor.filter(|ike| self.ikes.contains_key(ike)) {
            return self.leave_ike(successor, leaves, end);
        }
        if let Some(entry) = self.ikes.get_mut(&ike).filter(own) {
            entry.left_by.push(leaves);
        }
        let Some(entry) = self.ikes.get(&ike).filter(|entry| entry.connection == leaves) else {
            return;
        };
        let of = |child: &SerialNo| Some((*child, self.children.get(child)?.connection));
        let children: Vec<_> = entry.children.iter().filter_map(of).collect();
        let heir = children.iter().rev().map(|(_, connection)| *connection);
        let heir = heir.filter(|heir| !entry.left_by.contains(heir)).find_map(|connection| {
            let heir = self.table.by_serial(connection)?;
            Some((connection, self.as_this_host_does(heir.ike_policy()?)))
        });
        let Some((heir, policy)) = heir.filter(|_| entry.established && !entry.ending) else {
            self.order(ike, end);
            return;
        };
        if let (Some(left), Some(taken)) =
            (self.table.by_serial(leaves), self.table.by_serial(heir))
        {
            let (name, by) = (left.log_name(), taken.log_name());
            let text = format!("note: IKE SA {name} {ike} will remain up: in-use by {by}");
            self.shell.log.connection(Level::Info, leaves, &name, &text);
        }
        self.order(ike, Request::BelongTo(policy));
        self.move_ike(ike, heir);
        self.tell_connection(heir, IkeNews::Inherited(ike));
        for (child, _) in children.into_iter().filter(|(_, connection)| *connection == leaves) {
            self.order(child, Request::DeleteChild(child));
        }
    }
}

impl Takes<OrderSa> for Supervisor {
    fn take(&mut self, msg: OrderSa, _: &mut Context<Self>) {
        self.order(msg.serial, msg.request);
    }
}

impl Takes<KernelTells> for Supervisor {
    fn take(&mut self, msg: KernelTells, ctx: &mut Context<Self>) {
        self.kernel_tells(msg.0, ctx);
    }
}
