//! IKE SAs that are made from the beginning in the place of others (`reauth=yes`).

use super::Supervisor;
use super::contained::Takes;
use actix::Context;
use pluto_connections::ChildPolicy;
use pluto_messages::ReauthenticateIke;
use pluto_states::{ChildUp, IkeSa, Input};
use std::sync::Arc;

impl Supervisor {
    /// What the connection of a Child SA wants, and not what was made of that the last time.
    pub(super) fn wanted(&self, up: &ChildUp) -> Arc<ChildPolicy> {
        let known = self.table.by_serial(up.policy.connection);
        let policies = known.map(|known| known.child_policies()).unwrap_or_default();
        let only = policies.first().filter(|_| policies.len() == 1);
        let same = |one: &&Arc<ChildPolicy>| one.remote_ts == up.policy.remote_ts;
        let found = only.or_else(|| policies.iter().find(same));
        found.map_or_else(|| Arc::clone(&up.policy), Arc::clone)
    }
}

impl Takes<ReauthenticateIke> for Supervisor {
    fn take(&mut self, msg: ReauthenticateIke, ctx: &mut Context<Self>) {
        let old = msg.0;
        let Some(entry) = self.ikes.get(&old.ike).filter(|ike| !ike.ending) else { return };
        if self.stopping {
            return;
        }
        let connection = entry.connection;
        let children = old.children.iter().map(|up| self.wanted(up)).collect();
        let serial = self.shell.serials.borrow_mut().next_serial();
        let sa = {
            let entropy = &mut **self.shell.entropy.borrow_mut();
            IkeSa::reauthenticating(serial, children, &old, entropy)
        };
        self.start_ike(sa, Some(Input::Start), None, connection, ctx);
    }
}
