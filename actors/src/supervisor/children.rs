//! Child SAs: what they tell, what stands beside one that goes, how they end.

use super::contained::Takes;
use super::{ChildEntry, Supervisor};
use crate::child_sa::ChildSaActor;
use crate::watch;
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use pluto_connections::{ConnectionSerial, SerialNo};
use pluto_messages::{
    ChildCameUp, ChildExpired, ChildMoved, ChildSaNews, ChildSaSuperseded, ChildSuspended,
    ChildWentDown, Exit, Order, RemoveReplacedSaPair, RemoveSaPair, SetPolicies, StopSending, Who,
};
use pluto_states::{ChildEvent, DownReason, Request};
use std::rc::Rc;
use std::sync::Arc;

impl Supervisor {
    /// Child SAs of a connection that are up.
    pub(super) fn stands(&self, connection: ConnectionSerial) -> &[SerialNo] {
        self.connections.get(&connection).map_or(&[], |entry| entry.up.as_slice())
    }

    /// Whether another Child SA is for the same traffic as one that was up.
    fn is_for_the_same(&self, one: &ChildEntry, other: SerialNo) -> bool {
        let other = self.children.get(&other).and_then(|other| other.up.as_ref());
        let both = one.up.as_ref().zip(other);
        both.is_some_and(|(a, b)| a.local_ts == b.local_ts && a.remote_ts == b.remote_ts)
    }

    /// A Child SA has ended: its actor, its kernel SAs, its place in the table.
    pub(super) fn child_down(
        &mut self,
        child: SerialNo,
        reason: DownReason,
        replaced_by: Option<SerialNo>,
    ) {
        let Some(entry) = self.children.remove(&child) else { return };
        self.shell.tally.borrow_mut().child_finished(entry.up.is_some(), &reason);
        if let Some(up) = &entry.up {
            self.settle_accounts(Arc::clone(up));
        }
        if let Some(actor) = &entry.actor {
            actor.kill();
        }
        // What stands for the same, on whatever IKE SA, sends from now on, if it does not yet.
        let mut others = Vec::new();
        if let Some(connection) = self.connections.get_mut(&entry.connection) {
            connection.up.retain(|other| *other != child);
            others.clone_from(&connection.up);
        }
        others.retain(|other| self.is_for_the_same(&entry, *other));
        let replaced = replaced_by.is_some() || !others.is_empty();
        for other in &others {
            self.order(*other, Request::Send(*other));
        }
        if !self.shell.leave_state.get() {
            if !others.is_empty() && replaced_by.is_none() {
                self.shell.kernel.do_send(StopSending(child.0));
            }
            match replaced {
                true => self.shell.kernel.do_send(RemoveReplacedSaPair(child.0)),
                false => self.shell.kernel.do_send(RemoveSaPair(child.0)),
            }
        }
        if let Some(ike) = self.ikes.get_mut(&entry.ike) {
            ike.children.retain(|other| *other != child);
        }
        self.watched_sa_ended(child, replaced_by);
        // Nobody else speaks for a connection that was deleted before its Child SA was made.
        if !self.connections.contains_key(&entry.connection) && !self.shell.leave_state.get() {
            let (connection, spec) = (entry.connection.0, None);
            self.shell.kernel.do_send(SetPolicies { connection, spec });
        }
        self.tell_connection(entry.connection, ChildWentDown { child, reason, replaced_by });
    }

    pub(super) fn child_exited(&mut self, serial: SerialNo, exit: &Exit) {
        // A Child SA's actor that ended without being told to: the SA is not to be trusted.
        let Some(entry) = self.children.get_mut(&serial) else { return };
        if matches!(exit, Exit::Panicked(_)) {
            entry.actor = None;
            let ike = entry.ike;
            if let Some(ike) = self.ikes.get(&ike) {
                ike.actor.addr.do_send(Order(Request::DeleteChild(serial)));
            }
        }
    }

    fn child_news(&mut self, ike: SerialNo, event: ChildEvent, ctx: &mut Context<Self>) {
        match event {
            ChildEvent::Started { child, connection } => {
                self.shell.tally.borrow_mut().child_started();
                let since = self.shell.clock.now();
                let entry =
                    ChildEntry { actor: None, ike, connection, up: None, since, ending: false };
                self.children.insert(child, entry);
                if let Some(entry) = self.ikes.get_mut(&ike) {
                    // From here on its end is told.
                    entry.asked_by.retain(|asks| *asks != connection);
                    if !entry.children.contains(&child) {
                        entry.children.push(child);
                    }
                }
            }
            ChildEvent::Up(up) => {
                let up = Arc::new(*up);
                let child = up.child;
                self.shell.tally.borrow_mut().child_established(&up);
                let Some(parent) = self.ikes.get(&ike) else { return };
                let parent = parent.actor.addr.clone();
                let (shell, facts) = (Rc::clone(&self.shell), Arc::clone(&up));
                let actor = watch::spawn(
                    Who::ChildSa(child),
                    move |_| ChildSaActor::new(facts, parent, shell),
                    Self::watcher(ctx),
                );
                let connection = up.policy.connection;
                if let Some(entry) = self.children.get_mut(&child) {
                    entry.actor = Some(actor);
                    entry.connection = connection;
                    entry.up = Some(Arc::clone(&up));
                } else {
                    let since = self.shell.clock.now();
                    let entry = ChildEntry {
                        actor: Some(actor),
                        ike,
                        connection,
                        up: Some(Arc::clone(&up)),
                        since,
                        ending: false,
                    };
                    self.children.insert(child, entry);
                    if let Some(entry) = self.ikes.get_mut(&ike) {
                        entry.children.push(child);
                    }
                }
                match self.connections.get_mut(&connection) {
                    Some(entry) if !entry.up.contains(&child) => entry.up.push(child),
                    Some(_) => {}
                    // It was deleted meanwhile.
                    None => {
                        self.order(child, Request::DeleteChild(child));
                    }
                }
                if let Some(old) = up.replaces {
                    self.watched_sa_rekeyed(old);
                }
                self.tell_connection(connection, ChildCameUp(up));
            }
            ChildEvent::Suspended { child, connection } => {
                self.tell_connection(connection, ChildSuspended(child));
            }
            ChildEvent::Moved(up) => {
                let up = Arc::new(*up);
                let Some(entry) = self.children.get_mut(&up.child) else { return };
                entry.up = Some(Arc::clone(&up));
                if let Some(actor) = &entry.actor {
                    actor.addr.do_send(crate::child_sa::Moved(Arc::clone(&up)));
                }
                let connection = entry.connection;
                self.tell_connection(connection, ChildMoved(up));
            }
            ChildEvent::Down { child, reason, replaced_by, .. } => {
                self.child_down(child, reason, replaced_by)
            }
        }
    }
}

impl Supervisor {
    fn delete_superseded(&mut self, child: SerialNo) {
        let Some(old) = self.children.get(&child) else { return };
        // With its last Child SA the IKE SA has nothing to live for either.
        let alone = self.ikes.get(&old.ike).is_some_and(|ike| ike.children.len() == 1);
        let request = if alone { Request::DeleteIke } else { Request::DeleteChild(child) };
        self.order(child, request);
    }
}

impl Takes<ChildSaNews> for Supervisor {
    /// What its connection does not know of must not stand.
    fn not_taken(&mut self, msg: ChildSaNews) {
        match msg.event {
            ChildEvent::Up(up) => {
                self.order(msg.ike, Request::DeleteChild(up.child));
            }
            ChildEvent::Down { child, reason, replaced_by, .. } => {
                self.child_down(child, reason, replaced_by);
            }
            _ => {}
        }
    }

    fn take(&mut self, msg: ChildSaNews, ctx: &mut Context<Self>) {
        self.child_news(msg.ike, msg.event, ctx);
    }
}

impl Takes<ChildSaSuperseded> for Supervisor {
    fn take(&mut self, msg: ChildSaSuperseded, ctx: &mut Context<Self>) {
        let child = msg.0;
        if !self.settings.uniqueids || !self.children.contains_key(&child) {
            return;
        }
        // The peer forgets its end with our Delete: what goes out has to go elsewhere before.
        let left = self.shell.kernel.send(StopSending(child.0)).into_actor(self);
        ctx.spawn(left.map(move |_, supervisor, ctx| {
            let _ = supervisor.contained("a superseded Child SA", ctx, |this, _| {
                this.delete_superseded(child);
            });
        }));
    }
}

impl Takes<ChildExpired> for Supervisor {
    fn take(&mut self, msg: ChildExpired, _: &mut Context<Self>) {
        let ike = self.children.get(&msg.child).and_then(|child| self.ikes.get(&child.ike));
        if let Some(ike) = ike {
            ike.actor.addr.do_send(msg);
        }
    }
}
