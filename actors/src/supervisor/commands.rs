//! What whack can order.

use super::Supervisor;
use super::contained::Takes;
use actix::{Context, Handler};
use pluto_connections::{Connection, ConnectionSerial, SerialNo};
use pluto_messages::{
    Command, Initiate, Reporter, RereadSecrets, Retire, SetRouted, Shutdown, StopSessions, TakeDown,
};
use pluto_states::Request as Order;
use pluto_whack::{Request, codes};
use std::sync::Arc;

/// The state that a `--name` is about: `#5`.
pub(super) fn named_state(name: &str) -> Option<SerialNo> {
    name.strip_prefix('#').and_then(|serial| serial.parse().ok()).map(SerialNo)
}

/// What is said around an order for several connections that share an alias.
pub(super) struct Several<'a> {
    verb: &'a str,
    count: usize,
}

impl<'a> Several<'a> {
    /// Before the order; nothing where there is only one.
    pub(super) fn announce(
        found: &[Arc<Connection>],
        name: &str,
        verb: &'a str,
        reporter: &Reporter,
    ) -> Self {
        if found.len() > 1 {
            reporter.say(codes::LOG, format!("{verb} all connections with alias \"{name}\""));
        }
        Self { verb, count: found.len() }
    }

    /// Behind it.
    pub(super) fn done(self, reporter: &Reporter) {
        if self.count > 1 {
            reporter.say(codes::LOG, format!("{} {} connections", self.verb, self.count));
        }
    }
}

impl Supervisor {
    fn command(&mut self, request: Request, reporter: Reporter, ctx: &mut Context<Self>) {
        match request {
            Request::Add { connection, replace } => self.add(&connection, replace, &reporter, ctx),
            Request::Listen => {
                self.shell.secrets.do_send(RereadSecrets(reporter.clone()));
                self.listen(reporter, ctx);
            }
            Request::Unlisten => {
                self.listening = false;
                if let Some(listener) = &self.listener {
                    listener.addr.do_send(pluto_messages::Unlisten);
                }
                reporter.say(codes::LOG, "no longer listening for new IKE SAs");
            }
            Request::Route { name } => {
                self.each(&name, "routing", &reporter, |this, connection| {
                    this.wish(connection, |wishes| wishes.route = true);
                    this.tell_connection(
                        connection.serial(),
                        SetRouted { reporter: reporter.clone(), on: true },
                    );
                })
            }
            Request::Unroute { name } => {
                self.each(&name, "unrouting", &reporter, |this, connection| {
                    this.wish(connection, |wishes| wishes.route = false);
                    this.tell_connection(
                        connection.serial(),
                        SetRouted { reporter: reporter.clone(), on: false },
                    );
                })
            }
            Request::Initiate { name, remote_host, asynchronous, .. } => {
                self.initiate(&name, remote_host.as_deref(), asynchronous, &reporter, ctx);
            }
            Request::Down { name } => {
                self.each(&name, "terminating", &reporter, |this, connection| {
                    for serial in this.table.with_instances(connection.serial()) {
                        let Some(one) = this.table.by_serial(serial).cloned() else { continue };
                        this.wish(&one, |wishes| (wishes.up, wishes.keep) = (false, false));
                        this.tell_connection(serial, TakeDown { reporter: reporter.clone() });
                    }
                })
            }
            Request::RekeyIke { .. }
            | Request::RekeyChild { .. }
            | Request::DeleteIke { .. }
            | Request::DeleteChild { .. }
            | Request::DownIke { .. }
            | Request::DownChild { .. } => self.order_sa(&request, &reporter, ctx),
            Request::Delete { name } => self.delete(&name, &reporter),
            Request::DeleteState { serial } => self.delete_state(serial, &reporter),
            Request::Listing { what, name, text } => {
                self.list(what, name.as_deref(), text, reporter)
            }
            Request::Shutdown { leave_state } => {
                self.root.do_send(Shutdown { leave_state, reporter: Some(reporter) });
            }
            Request::Debug { add, remove, name } => {
                self.debug(add, remove, name.as_deref(), &reporter)
            }
            Request::DdosMode { mode } => self.ddos_mode(&mode, &reporter),
            Request::Impair { add, remove, clear } => {
                self.impair(&add, &remove, clear, &reporter);
            }
            Request::ClearStats => self.clear_totals(&reporter),
            Request::Crash { address } => self.crash(address, reporter, ctx),
            Request::Trace { name } => self.trace(&name, reporter),
            Request::RereadSecrets | Request::RereadAll => {
                self.shell.secrets.do_send(RereadSecrets(reporter));
            }
            other => {
                let what = command_name(&other);
                reporter.say(codes::FATAL, format!("--{what} is not supported yet"));
            }
        }
    }

    /// What `--name` means, or a complaint.
    pub(super) fn named(&self, name: &str, reporter: &Reporter) -> Vec<Arc<Connection>> {
        let state = named_state(name);
        let found = match state {
            Some(serial) => self.connection_of_state(serial).into_iter().collect(),
            None => self.table.by_name(name),
        };
        if found.is_empty() {
            let text = match state {
                Some(serial) => {
                    format!("no connection or alias named \"{serial}\": there is no such state")
                }
                None => format!("no connection or alias named \"{name}\""),
            };
            self.shell.log.warn(&text);
            reporter.say(codes::UNKNOWN_NAME, text);
        }
        found
    }

    /// Each template's instances in its stead, where it has any: it has no SAs itself.
    pub(super) fn with_sas(&self, all: Vec<Arc<Connection>>) -> Vec<Arc<Connection>> {
        let mut found = Vec::new();
        for connection in all {
            let template = connection.serial();
            let instances = self.table.with_instances(template).into_iter();
            let before = found.len();
            found.extend(
                instances
                    .filter(|serial| *serial != template)
                    .filter_map(|serial| self.table.by_serial(serial).cloned()),
            );
            if found.len() == before {
                found.push(connection);
            }
        }
        found
    }

    fn connection_of_state(&self, serial: SerialNo) -> Option<Arc<Connection>> {
        let ike = self.ikes.get(&serial).map(|ike| ike.connection);
        let child = self.children.get(&serial).map(|child| child.connection);
        self.table.by_serial(ike.or(child)?).cloned()
    }

    fn each(
        &mut self,
        name: &str,
        verb: &str,
        reporter: &Reporter,
        order: impl Fn(&mut Self, &Connection),
    ) {
        let found = self.named(name, reporter);
        let several = Several::announce(&found, name, verb, reporter);
        for connection in &found {
            order(self, connection);
        }
        several.done(reporter);
    }

    fn add(
        &mut self,
        spec: &pluto_connections::ConnectionSpec,
        replace: bool,
        reporter: &Reporter,
        ctx: &mut Context<Self>,
    ) {
        let refuse = |this: &Self, why: &dyn std::fmt::Display| {
            let text = format!("\"{}\": failed to add connection: {why}", spec.name);
            this.shell.log.warn(&text);
            reporter.say(codes::FATAL, text);
        };
        // All of them are good, or none is added.
        let parsed = spec.expand().and_then(|all| all.iter().map(Connection::parse).collect());
        let parsed: Vec<Connection> = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return refuse(self, &error),
        };
        let old = self.of_spec(&spec.name, &parsed);
        if !old.is_empty() && !replace {
            let text = format!("attempt to redefine connection \"{}\"", spec.name);
            return reporter.say(codes::DUPNAME, text);
        }
        for old in old {
            self.shell
                .log
                .info(&format!("{}: terminating SAs using this connection", old.log_name()));
            for serial in self.table.with_instances(old.serial()) {
                self.drop_connection(serial);
            }
        }
        let mut all = Vec::new();
        for connection in parsed {
            match self.add_one(connection, reporter, ctx) {
                Ok(added) => all.push(added),
                Err(why) => {
                    all.into_iter().for_each(|added| self.drop_connection(added));
                    return refuse(self, &why);
                }
            }
        }
    }

    /// What a connection of this name takes the place of: one of its name or of one of those
    /// that it consists of, and those that one of its name consisted of (`subnets=`).
    fn of_spec(&self, name: &str, parsed: &[Connection]) -> Vec<Arc<Connection>> {
        let part = |one: &Connection| {
            one.name().strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
        };
        let names = std::iter::once(name).chain(parsed.iter().map(Connection::name));
        let mut old: Vec<_> = names.filter_map(|name| self.table.by_exact_name(name)).collect();
        old.extend(self.table.by_alias(name).into_iter().filter(|one| part(one)));
        old.sort_by_key(|one| one.serial());
        old.dedup_by_key(|one| one.serial());
        old
    }

    fn add_one(
        &mut self,
        parsed: Connection,
        reporter: &Reporter,
        ctx: &mut Context<Self>,
    ) -> Result<ConnectionSerial, String> {
        let warnings = parsed.warnings().to_vec();
        let added = self.table.add(parsed.oriented(&self.addresses)).map_err(|e| e.to_string())?;
        if let Err(other) = self.claim_pools(&added) {
            self.table.remove(added.serial());
            return Err(format!("addresspool= overlaps another connection's {other}"));
        }
        for warning in warnings {
            reporter.say(codes::LOG, format!("{}: warning: {warning}", added.log_name()));
        }
        let text = format!("{}: {}", added.log_name(), added.added_text());
        self.shell.log.info(&text);
        reporter.say(codes::LOG, text);
        self.resolve_default_route(&added);
        let serial = added.serial();
        self.start_connection(added, crate::connection::Adoption::default(), ctx);
        Ok(serial)
    }

    fn initiate(
        &mut self,
        name: &str,
        remote_host: Option<&str>,
        asynchronous: bool,
        reporter: &Reporter,
        ctx: &mut Context<Self>,
    ) {
        let mut found = self.named(name, reporter);
        if let (Some(host), [template]) = (remote_host, found.as_slice()) {
            let Ok(address) = host.parse() else {
                return reporter
                    .say(codes::NOPEERIP, format!("--remote-host {host}: not an address"));
            };
            let instance = self.table.instantiate(template.serial(), address, None);
            let Some(instance) = instance else {
                return reporter.say(
                    codes::NOPEERIP,
                    format!("\"{name}\" cannot have an instance for {host}"),
                );
            };
            self.start_connection(
                Arc::clone(&instance),
                crate::connection::Adoption::default(),
                ctx,
            );
            found = vec![instance];
        }
        let several = Several::announce(&found, name, "initiating", reporter);
        for connection in &found {
            self.wish(connection, |wishes| wishes.up = true);
            let order = Initiate { reporter: reporter.clone(), asynchronous, on_demand: None };
            self.tell_connection(connection.serial(), order);
        }
        several.done(reporter);
    }

    fn delete(&mut self, name: &str, reporter: &Reporter) {
        let found = self.named(name, reporter);
        let several = Several::announce(&found, name, "deleting", reporter);
        for connection in &found {
            for serial in self.table.with_instances(connection.serial()) {
                if let Some(entry) = self.connections.get_mut(&serial) {
                    entry.retiring = true;
                }
                let retire = Retire { reporter: reporter.clone() };
                self.tell_connection(serial, retire);
            }
        }
        several.done(reporter);
    }

    fn delete_state(&mut self, serial: SerialNo, reporter: &Reporter) {
        let order = match (self.ikes.get(&serial), self.children.contains_key(&serial)) {
            (Some(ike), _) if ike.established => Order::DeleteIke,
            (Some(_), _) => Order::Abandon,
            (None, true) => Order::DeleteChild(serial),
            (None, false) => {
                return reporter.say(codes::UNKNOWN_NAME, format!("no state {serial} to delete"));
            }
        };
        reporter.say(codes::LOG, format!("deleting state {serial}"));
        self.order(serial, order);
    }

    /// Every session is told to end.
    fn stop_all(&mut self, leave_state: bool) {
        let order = if leave_state { Order::Abandon } else { Order::Shutdown };
        for ike in self.ikes.values() {
            ike.actor.addr.do_send(pluto_messages::Order(order.clone()));
        }
        for entry in self.connections.values() {
            let retire = Retire { reporter: Reporter::nobody() };
            entry.actor.addr.do_send(retire);
        }
        self.stopped_if_empty();
    }

    /// Answers those who wait for the end once nothing is left.
    pub(super) fn stopped_if_empty(&mut self) {
        if self.stopping
            && self.ikes.is_empty()
            && self.connections.is_empty()
            && let Some(waiting) = self.stopped.take()
        {
            let _ = waiting.send(());
        }
    }
}

fn command_name(request: &Request) -> String {
    let name = serde_json::to_value(request)
        .ok()
        .and_then(|value| Some(value.get("command")?.as_str()?.to_string()));
    name.unwrap_or_else(|| "command".to_string())
}

impl Takes<Command> for Supervisor {
    fn take(&mut self, msg: Command, ctx: &mut Context<Self>) {
        self.command(msg.request, msg.reporter, ctx);
    }
}

impl Handler<StopSessions> for Supervisor {
    type Result = actix::ResponseFuture<()>;

    fn handle(&mut self, msg: StopSessions, ctx: &mut Self::Context) -> Self::Result {
        self.shell.leave_state.set(msg.leave_state);
        let (done, wait) = tokio::sync::oneshot::channel();
        self.stopping = true;
        self.stopped = Some(done);
        for _ in 0..2 {
            if self.contained("the stop", ctx, |this, _| this.stop_all(msg.leave_state)).is_ok() {
                break;
            }
        }
        let written = self.write_leases();
        Box::pin(async move {
            // A session that hangs must not keep the daemon from stopping.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), wait).await;
            if let Some(written) = written {
                written.await;
            }
        })
    }
}
