//! Connections in the table: added, found, instantiated, oriented, retired, rebuilt.

use super::contained::Takes;
use super::{ConnectionEntry, MOST_RESTARTS, RESTART_WINDOW, Supervisor};
use crate::connection::{Adoption, ConnectionActor};
use crate::watch;
use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use pluto_connections::routing::{Verb, Wishes};
use pluto_connections::{Connection, ConnectionSerial, Kind, LocalAddress, SerialNo, Updown};
use pluto_messages::{
    AddressesFound, ConnectionChanged, ConnectionRetired, DefaultRouteFound, DescribeKernel, Exit,
    Fault, FindChildConnection, FindConnection, ListAddresses, ListenOn, PeerResolved, Reporter,
    Retire, RouteTo, RunUpdown, Who,
};
use pluto_states::{AskResult, AuthAnswer, ChildUp, Level};
use pluto_updown::Means;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

impl Supervisor {
    /// Starts the actor of a connection of the table.
    pub(super) fn start_connection(
        &mut self,
        connection: Arc<Connection>,
        adoption: Adoption,
        ctx: &mut Context<Self>,
    ) {
        let serial = connection.serial();
        if !self.connections.contains_key(&serial) {
            self.begin_debugging(&connection);
        }
        let shell = Rc::clone(&self.shell);
        let actor = watch::spawn(
            Who::Connection(serial),
            move |_| ConnectionActor::new(connection, adoption, shell),
            Self::watcher(ctx),
        );
        let since = self.shell.clock.now();
        let entry = match self.connections.remove(&serial) {
            Some(old) => ConnectionEntry { actor, since, ..old },
            None => ConnectionEntry {
                actor,
                restarts: 0,
                recent: VecDeque::new(),
                wishes: None,
                retiring: false,
                up: Vec::new(),
                since,
            },
        };
        self.connections.insert(serial, entry);
        self.actor_line(Who::Connection(serial), format_args!("actor of a connection started"));
    }

    /// Takes note of a command, for the case that the connection's actor is rebuilt.
    pub(super) fn wish(&mut self, connection: &Connection, change: impl FnOnce(&mut Wishes)) {
        if let Some(entry) = self.connections.get_mut(&connection.serial()) {
            change(entry.wishes.get_or_insert_with(|| connection.wishes()));
        }
    }

    /// Its actor has panicked: it is built anew from the table and adopts what lives. Three
    /// times within a minute, and the connection stays down until it is added again.
    pub(super) fn connection_exited(
        &mut self,
        serial: ConnectionSerial,
        exit: &Exit,
        ctx: &mut Context<Self>,
    ) {
        if !matches!(exit, Exit::Panicked(_)) || self.stopping {
            return;
        }
        let Some(connection) = self.table.by_serial(serial).cloned() else { return };
        let now = self.shell.clock.now();
        let Some(entry) = self.connections.get_mut(&serial) else { return };
        if entry.actor.addr.connected() {
            return; // It was noticed before, and built anew.
        }
        entry.restarts = entry.restarts.saturating_add(1);
        entry.recent.retain(|at| now.since(*at) < RESTART_WINDOW);
        entry.recent.push_back(now);
        if entry.recent.len() >= MOST_RESTARTS {
            let text =
                "too many internal errors: the connection stays down until it is added again";
            self.shell.log.connection(Level::Error, serial, &connection.log_name(), text);
            self.drop_connection(serial);
            return;
        }
        let (wishes, retiring) = (entry.wishes, entry.retiring);
        let mine = self.children.iter().filter(|(_, child)| child.connection == serial);
        let others = mine.map(|(child, _)| *child).collect();
        let mine = self.ikes.iter().filter(|(_, ike)| ike.connection == serial);
        let ikes = mine.map(|(serial, ike)| (*serial, ike.established)).collect();
        let child = self.newest_child(serial);
        let adoption = Adoption { wishes, child, others, ikes };
        self.start_connection(connection, adoption, ctx);
        if retiring {
            self.tell_connection(serial, Retire { reporter: Reporter::nobody() });
        }
    }

    fn newest_child(&self, connection: ConnectionSerial) -> Option<Arc<ChildUp>> {
        let mine = self.children.values().filter(|child| child.connection == connection);
        mine.filter_map(|child| child.up.clone()).max_by_key(|up| up.child)
    }

    /// Has updown undo what it has done for a connection whose actor cannot ask for it.
    fn undo_updown(&self, connection: &Connection) {
        let child = self.newest_child(connection.serial());
        let wishes = connection.wishes();
        let routed = self.connections.get(&connection.serial()).and_then(|entry| entry.wishes);
        let routed = routed.unwrap_or(wishes).route;
        let means = match connection.updown() {
            Updown::Native => Means::Native,
            Updown::Command(command) if child.is_some() || routed => Means::Script(command),
            Updown::Command(_) | Updown::Disabled => return,
        };
        let verbs = child.is_some().then_some(Verb::Down).into_iter().chain([Verb::Unroute]);
        let (updown, child) = (self.shell.updown.clone(), child);
        let runs: Vec<RunUpdown> = verbs
            .map(|verb| RunUpdown {
                verb: crate::facts::verb(verb),
                means: means.clone(),
                facts: Box::new(crate::facts::tunnel(connection, child.as_deref(), wishes)),
            })
            .collect();
        actix_rt::spawn(async move {
            for run in runs {
                let _ = updown.send(run).await;
            }
        });
    }

    /// Removes a connection with all that belongs to it, whatever state its actor is in.
    pub(super) fn drop_connection(&mut self, serial: ConnectionSerial) {
        if let Some(connection) = self.table.by_serial(serial).cloned() {
            self.undo_updown(&connection);
        }
        if let Some(entry) = self.connections.remove(&serial) {
            entry.actor.kill();
        }
        let ikes: Vec<_> = self
            .ikes
            .iter()
            .filter(|(_, ike)| ike.connection == serial)
            .map(|(serial, _)| *serial)
            .collect();
        for ike in ikes {
            self.leave_ike(ike, serial, pluto_states::Request::Shutdown);
        }
        self.leave_others(serial);
        self.shell.kernel.do_send(pluto_messages::SetPolicies { connection: serial.0, spec: None });
        self.disclaim_pools(serial);
        self.shell.log.set_classes_of(serial, pluto_whack::DebugSet::NONE);
        self.table.remove(serial);
    }

    pub(super) fn connection_by_reqid(&self, reqid: u32) -> Option<ConnectionSerial> {
        self.table.iter().find(|connection| connection.reqid() == reqid).map(|found| found.serial())
    }

    /// Looks addresses and routes up again when there have been no changes for so long, or
    /// earlier.
    pub(super) fn rescan_after(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let at = self.shell.clock.now().after(wait);
        match self.rescan.take() {
            Some((armed, handle)) if armed <= at => {
                self.rescan = Some((armed, handle));
                return;
            }
            Some((_, handle)) => {
                ctx.cancel_future(handle);
            }
            None => {}
        }
        let handle = ctx.run_later(wait, |supervisor, ctx| {
            supervisor.rescan = None;
            let _ = supervisor.contained("addresses", ctx, |actor, _| actor.rescan_addresses());
        });
        self.rescan = Some((at, handle));
    }

    /// Asks the kernel for this host's addresses, and takes note of them.
    fn rescan_addresses(&mut self) {
        if !self.listening {
            return;
        }
        let (kernel, supervisor, log) =
            (self.shell.kernel.clone(), self.shell.supervisor.clone(), self.shell.log.clone());
        actix_rt::spawn(async move {
            match crate::kernel::judge(kernel.send(ListAddresses).await) {
                Ok(found) => {
                    let addresses = found
                        .into_iter()
                        .map(|found| LocalAddress {
                            interface: found.interface,
                            address: found.address,
                        })
                        .collect();
                    if let Some(supervisor) = supervisor.upgrade() {
                        supervisor.do_send(AddressesFound(addresses));
                    }
                }
                Err(fault) => log.error(&format!("cannot list this host's addresses: {fault}")),
            }
        });
    }

    /// `whack --listen`: addresses, sockets, orientation; then whoever waits is let go.
    pub(super) fn listen(&mut self, reporter: pluto_messages::Reporter, ctx: &mut Context<Self>) {
        self.listening = true;
        let kernel = self.shell.kernel.clone();
        let found = async move {
            let addresses = crate::kernel::judge(kernel.send(ListAddresses).await);
            let description = kernel.send(DescribeKernel).await;
            (addresses, description)
        };
        ctx.spawn(found.into_actor(self).map(move |(addresses, description), actor, ctx| {
            match addresses {
                Ok(found) => {
                    let addresses = found
                        .into_iter()
                        .map(|found| LocalAddress {
                            interface: found.interface,
                            address: found.address,
                        })
                        .collect();
                    let found = actor.contained("addresses", ctx, |actor, ctx| {
                        actor.addresses_found(addresses, ctx);
                    });
                    match found {
                        Ok(()) => reporter.say(0, "listening for IKE messages"),
                        Err(fault) => {
                            reporter.say(pluto_whack::codes::INTERNAL_ERROR, fault.to_string());
                        }
                    }
                }
                Err(fault) => {
                    let text = format!("cannot list this host's addresses: {fault}");
                    actor.shell.log.error(&text);
                    reporter.say(pluto_whack::codes::INTERNAL_ERROR, text);
                }
            }
            if let Ok(Ok(description)) = description
                && let Some(missing) = description.capabilities.esp_missing
            {
                reporter.say(0, missing);
            }
        }));
    }

    pub(super) fn addresses_found(
        &mut self,
        addresses: Vec<LocalAddress>,
        ctx: &mut Context<Self>,
    ) {
        let addresses: Vec<LocalAddress> =
            addresses.into_iter().filter(|found| self.shell.listens_on(found)).collect();
        if let Some(listener) = &self.listener {
            listener.addr.do_send(ListenOn(addresses.clone()));
        }
        for changed in self.table.orient(&addresses) {
            let serial = changed.serial();
            self.tell_connection(serial, ConnectionChanged(changed));
        }
        self.local = addresses.iter().map(|found| found.address).collect();
        self.addresses = addresses;
        // Where the default route leads may have changed, whatever the addresses.
        for connection in self.table.iter() {
            self.resolve_default_route(connection);
        }
        // Whether an IKE SA supports MOBIKE, it knows itself.
        for ike in self.ikes.keys() {
            self.tell_addresses(*ike);
        }
        self.replant_all(ctx);
    }

    /// An end is `%defaultroute`: asks the kernel which address that is today.
    pub(super) fn resolve_default_route(&self, connection: &Connection) {
        if !connection.needs_default_route() {
            return;
        }
        let towards = connection.remote_address().unwrap_or(match connection.family() {
            pluto_connections::Family::Ipv4 => std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
            pluto_connections::Family::Ipv6 => {
                std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
            }
        });
        let (serial, answer) = (connection.serial(), self.shell.kernel.send(RouteTo(towards)));
        let (supervisor, log) = (self.shell.supervisor.clone(), self.shell.log.clone());
        let name = connection.log_name();
        actix_rt::spawn(async move {
            match crate::kernel::judge(answer.await) {
                Ok(pluto_kernel::RouteAnswer { source: Some(source), gateway, .. }) => {
                    if let Some(supervisor) = supervisor.upgrade() {
                        supervisor.do_send(DefaultRouteFound {
                            connection: serial,
                            source,
                            gateway,
                        });
                    }
                }
                Ok(_) => {
                    log.warn(&format!("{name}: %defaultroute: the route has no source address"))
                }
                Err(fault) => log.warn(&format!("{name}: %defaultroute: {fault}")),
            }
        });
    }

    fn auth_answer(
        &mut self,
        lookup: &pluto_connections::AuthLookup,
    ) -> Option<(Arc<Connection>, AskResult)> {
        let connection = match self.table.for_ike_auth(lookup) {
            Ok(connection) => connection,
            Err(mismatches) => {
                return Some((
                    self.table.by_serial(lookup.initial)?.clone(),
                    AskResult::Connection(Err(mismatches)),
                ));
            }
        };
        let ike = connection.ike_policy()?;
        let child = lookup.selectors.as_ref().map(|(local_ts, remote_ts)| {
            let child = pluto_connections::ChildLookup {
                ike: connection.serial(),
                local_ts: local_ts.clone(),
                remote_ts: remote_ts.clone(),
                mode: lookup.mode,
            };
            self.table.for_child(&child).map(|(_, policy)| policy)
        });
        let of = child.as_ref().and_then(|child| child.as_ref().ok());
        let stands = of.is_some_and(|policy| !self.stands(policy.connection).is_empty());
        let answer = AskResult::Connection(Ok(AuthAnswer { ike, child, stands }));
        Some((connection, answer))
    }

    /// Connections that the table has made (instances) get their actors.
    fn ensure_actor(&mut self, connection: &Arc<Connection>, ctx: &mut Context<Self>) {
        if !self.connections.contains_key(&connection.serial()) {
            self.start_connection(Arc::clone(connection), Adoption::default(), ctx);
        }
    }

    /// A connection, which may have been made for it, is to have a Child SA that the peer asks
    /// for. Should nothing come of that, it hears so when the IKE SA ends.
    fn lend(&mut self, ike: SerialNo, taker: ConnectionSerial, ctx: &mut Context<Self>) {
        let Some(connection) = self.table.by_serial(taker).cloned() else { return };
        self.ensure_actor(&connection, ctx);
        if let Some(entry) = self.ikes.get_mut(&ike)
            && entry.connection != taker
            && connection.kind() == Kind::Instance
            && !entry.asked_by.contains(&taker)
        {
            entry.asked_by.push(taker);
        }
    }
}

impl Handler<FindConnection> for Supervisor {
    type Result = Result<AskResult, Fault>;

    fn handle(&mut self, msg: FindConnection, ctx: &mut Self::Context) -> Self::Result {
        self.contained("a look-up", ctx, |this, ctx| {
            let Some((connection, answer)) = this.auth_answer(&msg.lookup) else {
                return Err(Fault::Gone);
            };
            if let AskResult::Connection(Ok(found)) = &answer {
                this.ensure_actor(&connection, ctx);
                this.move_ike(msg.ike, connection.serial());
                if let Some(Ok(policy)) = &found.child {
                    this.lend(msg.ike, policy.connection, ctx);
                }
            }
            Ok(answer)
        })?
    }
}

impl Handler<FindChildConnection> for Supervisor {
    type Result = Result<AskResult, Fault>;

    fn handle(&mut self, msg: FindChildConnection, ctx: &mut Self::Context) -> Self::Result {
        self.contained("a look-up", ctx, |this, ctx| {
            let found = this.table.for_child(&msg.lookup).map(|(_, policy)| policy);
            if let Ok(policy) = &found {
                this.lend(msg.ike, policy.connection, ctx);
            }
            AskResult::Child(found)
        })
    }
}

impl Takes<AddressesFound> for Supervisor {
    fn take(&mut self, msg: AddressesFound, ctx: &mut Context<Self>) {
        self.addresses_found(msg.0, ctx);
    }
}

impl Takes<PeerResolved> for Supervisor {
    fn take(&mut self, msg: PeerResolved, ctx: &mut Context<Self>) {
        if let Some(changed) = self.table.set_name_address(msg.connection, &msg.name, msg.address) {
            self.orient_again(changed, ctx);
        }
    }
}

impl Takes<DefaultRouteFound> for Supervisor {
    fn take(&mut self, msg: DefaultRouteFound, ctx: &mut Context<Self>) {
        // The source of a route through a tunnel is no address for the tunnel itself.
        if !self.local.is_empty() && !self.local.contains(&msg.source) {
            return;
        }
        if let Some(changed) = self.table.set_default_route(msg.connection, msg.source, msg.gateway)
        {
            self.orient_again(changed, ctx);
        }
    }
}

impl Supervisor {
    /// An address of a connection has become known: tells it, and those (it may be among
    /// them) whose orientation is another one now.
    fn orient_again(&mut self, changed: Arc<Connection>, ctx: &mut Context<Self>) {
        let addresses = self.addresses.clone();
        let serial = changed.serial();
        self.tell_connection(serial, ConnectionChanged(changed));
        for changed in self.table.orient(&addresses) {
            let serial = changed.serial();
            self.tell_connection(serial, ConnectionChanged(changed));
        }
        self.replant_all(ctx);
    }
}

impl Takes<ConnectionRetired> for Supervisor {
    fn take(&mut self, msg: ConnectionRetired, _: &mut Context<Self>) {
        // Something may have begun on it since it said so; it says so again at the end of that.
        let retiring = self.connections.get(&msg.0).is_some_and(|entry| entry.retiring);
        if retiring {
            self.ikes.values_mut().for_each(|ike| ike.asked_by.retain(|asks| *asks != msg.0));
        }
        let ike_busy =
            |ike: &super::IkeEntry| ike.connection == msg.0 || ike.asked_by.contains(&msg.0);
        let child_busy = self.children.values().any(|child| child.connection == msg.0);
        if child_busy || self.ikes.values().any(ike_busy) {
            return;
        }
        if let Some(entry) = self.connections.remove(&msg.0) {
            entry.actor.kill();
        }
        self.disclaim_pools(msg.0);
        self.shell.log.set_classes_of(msg.0, pluto_whack::DebugSet::NONE);
        self.table.remove(msg.0);
        self.stopped_if_empty();
    }
}
