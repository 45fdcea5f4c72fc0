//! IKE SAs whose address is no more this host's, and that may not leave it: there is no MOBIKE.
//!
//! Such an IKE SA is of no use until its address is back. As soon as its connection leads from
//! another address, one that is to be up gets another IKE SA from there, which takes the place
//! of the old one when it stands; should that come to nothing, it is tried again later and
//! later. Of a connection that need not be up nothing is kept then: what traffic or the peer
//! wants is made anew.

use super::Supervisor;
use super::contained::Takes;
use super::sessions::IKE_PORT;
use actix::{AsyncContext, Context};
use pluto_connections::revival::Revival;
use pluto_connections::{ConnectionSerial, IkePolicy, SerialNo};
use pluto_messages::IkeSaUprooted;
use pluto_states::{IkeSa, Input, Reauthentication, Request};
use std::sync::Arc;
use std::time::Duration;

/// Before another attempt, at least.
const AT_LEAST: Duration = Duration::from_secs(5);

/// What is known of one.
#[derive(Debug)]
pub(super) struct Uprooted {
    old: Box<Reauthentication>,
    /// What is being made in its place.
    successor: Option<SerialNo>,
    /// The next attempt is a matter of time.
    waits: bool,
    attempts: Revival,
}

impl Supervisor {
    /// Connections, or the host's addresses, are others than before.
    pub(super) fn replant_all(&mut self, ctx: &mut Context<Self>) {
        let uprooted = self.ikes.iter().filter(|(_, ike)| ike.uprooted.is_some());
        let uprooted: Vec<SerialNo> = uprooted.map(|(serial, _)| *serial).collect();
        for ike in uprooted {
            self.replant(ike, ctx);
        }
    }

    /// Whether a connection is to be up.
    fn wants_up(&self, connection: ConnectionSerial) -> bool {
        let Some(known) = self.table.by_serial(connection) else { return false };
        let changed = self.connections.get(&connection).and_then(|entry| entry.wishes);
        let wishes = changed.unwrap_or_else(|| known.wishes());
        wishes.up || wishes.keep
    }

    /// Whether no other IKE SA with the same peer stands: then the peer may be told that all that
    /// it has with us is dead (RFC 7296, 2.4), for of this one it will not hear.
    fn is_only_one(&self, ike: SerialNo) -> bool {
        let peer = self.ikes.get(&ike).and_then(|entry| entry.remote_id.as_ref());
        let mut others = self.ikes.iter().filter(|(other, _)| **other != ike);
        peer.is_some() && !others.any(|(_, other)| other.remote_id.as_ref() == peer)
    }

    /// Makes another IKE SA in the place of this one, if there is somewhere to begin from.
    fn replant(&mut self, ike: SerialNo, ctx: &mut Context<Self>) {
        let Some(entry) = self.ikes.get(&ike).filter(|entry| !entry.ending) else { return };
        let Some(uprooted) = &entry.uprooted else { return };
        if self.stopping || uprooted.successor.is_some() || uprooted.waits {
            return;
        }
        let Some(connection) = self.table.by_serial(entry.connection) else { return };
        let Some((mut local, remote)) = connection.endpoints() else { return };
        if local.ip() == uprooted.old.local() || !self.local.contains(&local.ip()) {
            return;
        }
        let children = entry.children.iter().filter_map(|child| self.children.get(child));
        let mut connections = children.map(|child| child.connection).chain([entry.connection]);
        if !connections.any(|connection| self.wants_up(connection)) {
            self.order(ike, Request::Abandon);
            return;
        }
        let Some(policy) = connection.ike_policy() else { return };
        if local.port() == IKE_PORT {
            local.set_port(self.settings.ike_port);
        }
        let connection = entry.connection;
        let mut policy = IkePolicy::clone(&self.as_this_host_does(policy));
        policy.initial_contact = self.is_only_one(ike);
        let old = uprooted.old.between(Arc::new(policy), local, remote);
        let children = old.children.iter().map(|up| self.wanted(up)).collect();
        let serial = self.shell.serials.borrow_mut().next_serial();
        let sa = {
            let entropy = &mut **self.shell.entropy.borrow_mut();
            IkeSa::reauthenticating(serial, children, &old, entropy)
        };
        if let Some(uprooted) = self.ikes.get_mut(&ike).and_then(|ike| ike.uprooted.as_mut()) {
            uprooted.successor = Some(serial);
        }
        self.start_ike(sa, Some(Input::Start), None, connection, ctx);
    }

    /// IKE SAs that are to take the place of uprooted ones.
    pub(super) fn awaited_successors(&self) -> Vec<SerialNo> {
        let uprooted = self.ikes.values().filter_map(|ike| ike.uprooted.as_ref());
        uprooted.filter_map(|uprooted| uprooted.successor).collect()
    }

    /// An IKE SA has ended. Where it was to take the place of one that still has none, another
    /// attempt follows.
    pub(super) fn successor_ended(&mut self, serial: SerialNo, ctx: &mut Context<Self>) {
        let of = |uprooted: &Uprooted| uprooted.successor == Some(serial);
        let mut all = self.ikes.iter_mut();
        let Some((ike, uprooted)) = all.find_map(|(ike, entry)| {
            Some((*ike, entry.uprooted.as_mut().filter(|uprooted| of(uprooted))?))
        }) else {
            return;
        };
        uprooted.successor = None;
        uprooted.waits = true;
        let (_, wait) = uprooted.attempts.next_attempt();
        ctx.run_later(wait.max(AT_LEAST), move |actor, ctx| {
            let entry = actor.ikes.get_mut(&ike);
            if let Some(uprooted) = entry.and_then(|entry| entry.uprooted.as_mut()) {
                uprooted.waits = false;
                let _ =
                    actor.contained("a lost address", ctx, |actor, ctx| actor.replant(ike, ctx));
            }
        });
    }
}

impl Takes<IkeSaUprooted> for Supervisor {
    fn take(&mut self, msg: IkeSaUprooted, ctx: &mut Context<Self>) {
        let Some(entry) = self.ikes.get_mut(&msg.ike) else { return };
        entry.uprooted = msg.old.map(|old| Uprooted {
            old,
            successor: None,
            waits: false,
            attempts: Revival::default(),
        });
        self.replant(msg.ike, ctx);
    }
}
