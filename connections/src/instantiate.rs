//! Instances: what a template becomes for one peer.

use crate::connection::{Connection, Kind};
use crate::index::normal_id;
use crate::serials::SerialSet;
use crate::{ConnectionSerial, Connections, Id, Instance, Routing};
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Instances by template and peer.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// A peer is its address and identity: clients behind one NAT differ in the latter.
    by_peer: FxHashMap<(ConnectionSerial, IpAddr, Id), ConnectionSerial>,
    by_template: FxHashMap<ConnectionSerial, SerialSet>,
    /// The number of the last instance; goes with the template.
    last: FxHashMap<ConnectionSerial, Instance>,
}

impl Instances {
    fn key(connection: &Connection) -> Option<(ConnectionSerial, IpAddr, Id)> {
        let remote = connection.remote_address()?;
        Some((connection.template()?, remote, peer_key(connection, connection.peer_id.as_ref())))
    }

    pub(crate) fn insert(&mut self, connection: &Connection) {
        if let Some(key) = Self::key(connection) {
            self.by_peer.insert(key, connection.serial());
        }
        if let Some(template) = connection.template() {
            self.by_template.entry(template).or_default().insert(connection.serial());
        }
    }

    pub(crate) fn remove(&mut self, connection: &Connection) {
        let serial = connection.serial();
        if let Some(key) = Self::key(connection)
            && self.by_peer.get(&key) == Some(&serial)
        {
            self.by_peer.remove(&key);
        }
        if let Some(template) = connection.template()
            && let Some(set) = self.by_template.get_mut(&template)
        {
            set.remove(serial);
            if set.is_empty() {
                self.by_template.remove(&template);
            }
        }
    }

    fn next_number(&mut self, template: ConnectionSerial) -> Instance {
        let last = self.last.entry(template).or_default();
        *last = last.saturating_add(1);
        *last
    }

    pub(crate) fn forget_template(&mut self, template: ConnectionSerial) {
        self.last.remove(&template);
    }
}

/// Under which identity an instance is found: the peer's, else the one that the template
/// demands, else any.
fn peer_key(connection: &Connection, peer: Option<&Id>) -> Id {
    let own = || connection.remote_id().as_ref().and_then(normal_id);
    peer.and_then(normal_id).or_else(own).unwrap_or(Id::Any)
}

/// `"road"[3] 192.0.2.1`.
pub(crate) fn log_name(name: &str, instance: Instance, remote: IpAddr) -> Arc<str> {
    format!("\"{name}\"[{instance}] {remote}").into()
}

/// What still needs a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InUse {
    /// IKE and Child SAs that belong to it, larval ones too.
    pub sas: usize,
    /// Whether another attempt is scheduled.
    pub revival: bool,
    /// Its routing state.
    pub routing: Routing,
}

impl InUse {
    /// Whether nothing does.
    #[must_use]
    pub fn is_idle(self) -> bool {
        self.sas == 0 && !self.revival && self.routing == Routing::Unrouted
    }
}

impl Connections {
    /// Makes an instance of a template for a peer, or finds the one that the same peer
    /// (address and identity) already has. Without `id` the peer must be whom the template
    /// demands. None when there is no such template, it is not oriented, or the address is
    /// of the other family.
    pub fn instantiate(
        &mut self,
        template: ConnectionSerial,
        remote: IpAddr,
        id: Option<&Id>,
    ) -> Option<Arc<Connection>> {
        let parent = Arc::clone(self.all.get(&template)?);
        let remote_side = parent.local_side()?.other();
        let same_family = parent.local_address()?.is_ipv4() == remote.is_ipv4();
        if parent.kind() != Kind::Template || !same_family {
            return None;
        }
        let key = (template, remote, peer_key(&parent, id));
        if let Some(serial) = self.instances.by_peer.get(&key) {
            return self.all.get(serial).cloned();
        }
        let number = self.instances.next_number(template);
        let mut instance = Connection::clone(&parent);
        instance.kind = Kind::Instance;
        instance.instance = number;
        instance.template = Some(template);
        instance.log_name = log_name(parent.name(), number, remote);
        instance.reqid = parent.config.settings.reqid;
        instance.peer_id = id.cloned();
        if let Some(address) = instance.addresses.get_mut(remote_side.index()) {
            *address = Some(remote);
        }
        Some(self.insert(instance))
    }

    /// All instances of a template, oldest first.
    #[must_use]
    pub fn instances_of(&self, template: ConnectionSerial) -> Vec<Arc<Connection>> {
        let set = self.instances.by_template.get(&template);
        let serials = set.into_iter().flat_map(SerialSet::iter);
        serials.filter_map(|serial| self.all.get(&serial).cloned()).collect()
    }

    /// Removes an instance that nothing needs any more: no SA, no attempt to come, no
    /// policy. Other connections stay. The removed instance, if it was.
    pub fn remove_if_idle(
        &mut self,
        serial: ConnectionSerial,
        in_use: InUse,
    ) -> Option<Arc<Connection>> {
        let instance = self.all.get(&serial).is_some_and(|c| c.kind() == Kind::Instance);
        if instance && in_use.is_idle() { self.remove(serial) } else { None }
    }
}
