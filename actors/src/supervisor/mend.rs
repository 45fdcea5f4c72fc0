//! Mending the table after a panic over a message, which may have changed a part of it and left
//! out the rest: what the entries say of each other is made to agree, and what has ended is
//! taken for ended. The demux, the actors' addresses and the Child SAs' entries are believed.

use super::Supervisor;
use crate::connection::Adoption;
use actix::Context;
use pluto_connections::{ConnectionSerial, Kind, SerialNo};
use pluto_messages::Exit;
use pluto_states::DownReason;

impl Supervisor {
    pub(super) fn mend(&mut self, ctx: &mut Context<Self>) {
        self.mend_ikes(ctx);
        self.mend_children();
        self.mend_connections(ctx);
        if self.listener.as_ref().is_some_and(|listener| !listener.addr.connected()) {
            self.listener_exited(&unnoticed(), ctx);
        }
        // Timers whose work panicked are not armed any more.
        self.leases.resume();
        self.watch_again(ctx);
        self.stopped_if_empty();
    }

    /// IKE SAs whose actor is gone, SPIs that are nobody's, successors that never came to be.
    fn mend_ikes(&mut self, ctx: &mut Context<Self>) {
        let gone = self.ikes.iter().filter(|(_, ike)| !ike.actor.addr.connected());
        let gone: Vec<SerialNo> = gone.map(|(serial, _)| *serial).collect();
        for serial in gone {
            self.ike_exited(serial, &unnoticed());
            self.successor_ended(serial, ctx);
        }
        let known: std::collections::BTreeSet<_> =
            self.ikes.values().map(|ike| ike.ours.0).collect();
        self.shell.demux.borrow_mut().forget_all_but(|spi| known.contains(&spi.0));
        for serial in self.awaited_successors() {
            if !self.ikes.contains_key(&serial) {
                self.successor_ended(serial, ctx);
            }
        }
    }

    /// Child SAs without an IKE SA, and what IKE SAs and connections have of them.
    fn mend_children(&mut self) {
        let lost = self.children.iter().filter(|(_, child)| !self.ikes.contains_key(&child.ike));
        let lost: Vec<SerialNo> = lost.map(|(serial, _)| *serial).collect();
        for child in lost {
            self.child_down(child, DownReason::IkeEnded, None);
        }
        let dead = self
            .children
            .iter()
            .filter(|(_, child)| child.actor.as_ref().is_some_and(|actor| !actor.addr.connected()));
        let dead: Vec<SerialNo> = dead.map(|(serial, _)| *serial).collect();
        for child in dead {
            self.child_exited(child, &unnoticed());
        }
        self.ikes.values_mut().for_each(|ike| ike.children.clear());
        self.connections.values_mut().for_each(|connection| connection.up.clear());
        let mut children: Vec<_> = self.children.iter().collect();
        children.sort_unstable_by_key(|(serial, _)| **serial);
        for (serial, child) in children {
            if let Some(ike) = self.ikes.get_mut(&child.ike) {
                ike.children.push(*serial);
            }
            let connection = self.connections.get_mut(&child.connection);
            if let (Some(connection), Some(_)) = (connection, &child.up) {
                connection.up.push(*serial);
            }
        }
    }

    /// Connections whose actor is gone, or was never started.
    fn mend_connections(&mut self, ctx: &mut Context<Self>) {
        let gone = self.connections.iter().filter(|(_, entry)| !entry.actor.addr.connected());
        let gone: Vec<ConnectionSerial> = gone.map(|(serial, _)| *serial).collect();
        for serial in gone {
            self.connection_exited(serial, &unnoticed(), ctx);
        }
        let known = self.table.iter().filter(|one| !self.connections.contains_key(&one.serial()));
        let without: Vec<_> = known.cloned().collect();
        for connection in without {
            match connection.kind() {
                // Nothing has come of it.
                Kind::Instance => {
                    self.disclaim_pools(connection.serial());
                    self.table.remove(connection.serial());
                }
                _ => self.start_connection(connection, Adoption::default(), ctx),
            }
        }
    }
}

fn unnoticed() -> Exit {
    Exit::Panicked("its end was not noticed".to_string())
}
