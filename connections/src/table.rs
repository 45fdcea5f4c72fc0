//! The table of all connections and instances.

use crate::config::{ChildKey, Config};
use crate::connection::{Connection, KEEP_ALIVE, Kind};
use crate::end::Host;
use crate::index::Index;
use crate::instantiate::Instances;
use crate::orient::LocalAddresses;
use crate::proposal::{ChildProposals, IkeProposals};
use crate::serials::SerialSet;
use crate::settings::Settings;
use crate::spec::SpecErrorKind;
use crate::{ConnectionSerial, Instance, LocalAddress, Side, SpecError};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The first reqid that is given out; smaller ones are the administrator's.
const FIRST_REQID: u32 = 16_384;

/// A connection's reqid and those behind it: ESP, AH, IPCOMP and one to spare.
const REQIDS: u32 = 4;

/// All connections and instances, with indexes for every question that a packet or a
/// command asks, so that no answer's cost grows with their number.
#[derive(Debug, Default)]
pub struct Connections {
    pub(crate) all: FxHashMap<ConnectionSerial, Arc<Connection>>,
    ordered: BTreeMap<(Arc<str>, Instance, ConnectionSerial), ()>,
    names: FxHashMap<Arc<str>, ConnectionSerial>,
    aliases: FxHashMap<Arc<str>, SerialSet>,
    pub(crate) index: Index,
    pub(crate) instances: Instances,
    local: LocalAddresses,
    shared: Shared,
    last_serial: u64,
    last_reqid: u32,
    reqids: FxHashSet<u32>,
    keep_alive: Option<Duration>,
}

/// What equal connections share.
#[derive(Debug, Default)]
struct Shared {
    settings: FxHashSet<Arc<Settings>>,
    ike: FxHashMap<Option<Arc<str>>, Arc<IkeProposals>>,
    child: FxHashMap<ChildKey, Arc<ChildProposals>>,
}

impl Shared {
    /// Lets `config` use what an equal one already uses.
    fn join(&mut self, config: &mut Config) {
        match self.settings.get(&config.settings) {
            Some(equal) => config.settings = Arc::clone(equal),
            None => {
                self.settings.insert(Arc::clone(&config.settings));
            }
        }
        match self.ike.get_key_value(&config.ike_text) {
            Some((text, equal)) => {
                (config.ike_text, config.ike) = (text.clone(), Arc::clone(equal));
            }
            None => {
                self.ike.insert(config.ike_text.clone(), Arc::clone(&config.ike));
            }
        }
        match self.child.get_key_value(&config.child_key) {
            Some((key, equal)) => {
                (config.child_key, config.child) = (key.clone(), Arc::clone(equal));
            }
            None => {
                self.child.insert(config.child_key.clone(), Arc::clone(&config.child));
            }
        }
    }

    /// Forgets what nobody uses any more, now and then.
    fn sweep(&mut self, connections: usize) {
        let entries = self.settings.len().max(self.ike.len()).max(self.child.len());
        if entries > connections.saturating_mul(2).saturating_add(64) {
            self.settings.retain(|s| Arc::strong_count(s) > 1);
            self.ike.retain(|_, p| Arc::strong_count(p) > 1);
            self.child.retain(|_, p| Arc::strong_count(p) > 1);
        }
    }
}

impl Connections {
    /// Adds a connection, gives it a serial number and a reqid, and orients it by the
    /// addresses that were told last.
    ///
    /// # Errors
    /// The name is taken (whack's 20).
    pub fn add(&mut self, mut connection: Connection) -> Result<Arc<Connection>, SpecError> {
        if self.names.contains_key(connection.name()) {
            return Err(SpecError {
                kind: SpecErrorKind::NameTaken,
                keyword: String::new(),
                value: connection.name().to_owned(),
                why: format!("attempt to redefine connection \"{}\"", connection.name()),
            });
        }
        let config = Arc::make_mut(&mut connection.config);
        self.shared.join(config);
        if let Some(interval) = self.keep_alive {
            connection.keep_alive = interval;
        }
        Ok(self.insert(connection))
    }

    /// Gives a new connection or instance its numbers and its places in the indexes.
    pub(crate) fn insert(&mut self, mut connection: Connection) -> Arc<Connection> {
        self.last_serial = self.last_serial.saturating_add(1);
        connection.serial = ConnectionSerial(self.last_serial);
        if connection.reqid == 0 {
            connection.reqid = self.next_reqid();
        }
        let found = connection.orient_among(&self.local);
        connection.set_orientation(found);
        let connection = Arc::new(connection);
        let (serial, name) = (connection.serial, connection.shared_name());
        if connection.kind != Kind::Instance {
            self.names.insert(Arc::clone(&name), serial);
            for alias in connection.aliases() {
                self.aliases.entry(Arc::clone(alias)).or_default().insert(serial);
            }
        }
        self.ordered.insert((name, connection.instance, serial), ());
        self.index.insert(&connection);
        self.instances.insert(&connection);
        self.all.insert(serial, Arc::clone(&connection));
        connection
    }

    fn next_reqid(&mut self) -> u32 {
        // Wrapping around takes a billion connections; after that, those in use are skipped.
        let mut next = self.last_reqid.checked_add(REQIDS).unwrap_or(0).max(FIRST_REQID);
        while self.reqids.contains(&next) {
            next = next.checked_add(REQIDS).unwrap_or(FIRST_REQID);
        }
        self.last_reqid = next;
        self.reqids.insert(next);
        next
    }

    /// Removes a connection or instance. Instances of a template outlive it until they are
    /// removed themselves (see [`Connections::instances_of`]).
    pub fn remove(&mut self, serial: ConnectionSerial) -> Option<Arc<Connection>> {
        let connection = self.all.remove(&serial)?;
        let name = connection.shared_name();
        if connection.kind != Kind::Instance {
            self.names.remove(&name);
            for alias in connection.aliases() {
                if let Some(set) = self.aliases.get_mut(alias) {
                    set.remove(serial);
                    if set.is_empty() {
                        self.aliases.remove(alias);
                    }
                }
            }
        }
        self.ordered.remove(&(name, connection.instance, serial));
        self.index.remove(&connection);
        self.instances.remove(&connection);
        self.instances.forget_template(serial);
        if connection.reqid >= FIRST_REQID {
            self.reqids.remove(&connection.reqid);
        }
        self.shared.sweep(self.all.len());
        Some(connection)
    }

    /// Replaces a connection by a changed value of itself.
    fn update(
        &mut self,
        serial: ConnectionSerial,
        change: impl FnOnce(&mut Connection),
    ) -> Option<Arc<Connection>> {
        let old = Arc::clone(self.all.get(&serial)?);
        self.index.remove(&old);
        self.instances.remove(&old);
        let mut new = Connection::clone(&old);
        change(&mut new);
        let found = new.orient_among(&self.local);
        new.set_orientation(found);
        let new = Arc::new(new);
        self.index.insert(&new);
        self.instances.insert(&new);
        self.all.insert(serial, Arc::clone(&new));
        Some(new)
    }

    /// The peer has these addresses from us, or none any more. The new value; none when there
    /// is no such connection.
    pub fn set_leases(
        &mut self,
        serial: ConnectionSerial,
        addresses: &[IpAddr],
    ) -> Option<Arc<Connection>> {
        self.update(serial, |connection| connection.leased = addresses.into())
    }

    /// One by its serial number.
    #[must_use]
    pub fn by_serial(&self, serial: ConnectionSerial) -> Option<&Arc<Connection>> {
        self.all.get(&serial)
    }

    /// What `--name` means: a name, `"name"[1]`, an alias, `$N` (see whack-options, 5);
    /// `#N` is the caller's. Oldest first; empty when there is none.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Vec<Arc<Connection>> {
        let one = |serial: ConnectionSerial| self.all.get(&serial).cloned();
        if let Some(serial) = self.names.get(name) {
            return one(*serial).into_iter().collect();
        }
        if let Some(quoted) = name.strip_prefix('"') {
            return self.by_full_name(quoted).into_iter().collect();
        }
        if let Some(set) = self.aliases.get(name) {
            return set.iter().filter_map(one).collect();
        }
        let serial = name.strip_prefix('$').and_then(|n| n.parse().ok());
        serial.and_then(|n| one(ConnectionSerial(n))).into_iter().collect()
    }

    /// `name"`, `name"[1]`, `name"[1] 192.0.2.1`.
    fn by_full_name(&self, quoted: &str) -> Option<Arc<Connection>> {
        let (name, rest) = quoted.split_once('"')?;
        let Some(bracket) = rest.strip_prefix('[') else {
            let serial = self.names.get(name).filter(|_| rest.is_empty())?;
            return self.all.get(serial).cloned();
        };
        let instance: Instance = bracket.split_once(']')?.0.parse().ok()?;
        let first = (Arc::from(name), instance, ConnectionSerial(0));
        let last = (Arc::from(name), instance, ConnectionSerial(u64::MAX));
        let ((.., serial), ()) = self.ordered.range(first..=last).next()?;
        self.all.get(serial).cloned()
    }

    /// Orients all again after our addresses changed; returns those whose orientation
    /// changed. Connections that are added later are oriented by the same addresses.
    pub fn orient(&mut self, addresses: &[LocalAddress]) -> Vec<Arc<Connection>> {
        self.local = LocalAddresses::new(addresses);
        let changed = |c: &Connection| {
            let found = c.orient_among(&self.local).ok();
            (found != c.oriented).then_some(c.serial)
        };
        let mut changed: Vec<_> = self.all.values().filter_map(|c| changed(c)).collect();
        changed.sort_unstable();
        changed.into_iter().filter_map(|serial| self.update(serial, |_| ())).collect()
    }

    /// The peer's address became known or changed (a name was resolved). The new value;
    /// none when there is no such connection, or its peer's address is a configured one.
    pub fn set_remote_address(
        &mut self,
        serial: ConnectionSerial,
        address: IpAddr,
    ) -> Option<Arc<Connection>> {
        let connection = self.all.get(&serial)?;
        let named = |side: &Side| matches!(connection.config.end(*side).host, Host::Name(_));
        let side = match connection.local_side() {
            Some(local) => {
                Some(local.other()).filter(|side| named(side) || connection.kind == Kind::Instance)
            }
            None => crate::config::SIDES.into_iter().find(named),
        }?;
        self.set_address(serial, side, address)
    }

    /// A name among [`Connection::names_to_resolve`] was resolved; it may be that of our own
    /// end, too. None when there is no such connection or name.
    pub fn set_name_address(
        &mut self,
        serial: ConnectionSerial,
        name: &str,
        address: IpAddr,
    ) -> Option<Arc<Connection>> {
        let side = self.all.get(&serial)?.side_named(name)?;
        self.set_address(serial, side, address)
    }

    fn set_address(
        &mut self,
        serial: ConnectionSerial,
        side: Side,
        address: IpAddr,
    ) -> Option<Arc<Connection>> {
        let old = self.all.get(&serial)?;
        if old.address(side) == Some(address) {
            return Some(Arc::clone(old));
        }
        self.update(serial, |c| {
            if let Some(known) = c.addresses.get_mut(side.index()) {
                *known = Some(address);
            }
            if c.kind == Kind::Instance {
                c.log_name = crate::instantiate::log_name(c.name(), c.instance, address);
            }
        })
    }

    /// The default route was found out: our address on it and its router. For those of
    /// which [`Connection::needs_default_route`] is true; none when there is no such
    /// connection.
    pub fn set_default_route(
        &mut self,
        serial: ConnectionSerial,
        source: IpAddr,
        gateway: Option<IpAddr>,
    ) -> Option<Arc<Connection>> {
        self.all.get(&serial).filter(|c| c.needs_default_route())?;
        self.update(serial, |c| {
            let config = Arc::clone(&c.config);
            for (end, address) in config.ends.iter().zip(&mut c.addresses) {
                if end.host == Host::DefaultRoute {
                    *address = Some(source);
                }
            }
            c.gateway = gateway;
        })
    }

    /// One by its own name: no alias, instance or serial number.
    #[must_use]
    pub fn by_exact_name(&self, name: &str) -> Option<Arc<Connection>> {
        let named = |c: &&Arc<Connection>| c.name() == name && c.kind() != Kind::Instance;
        self.by_name(name).iter().find(named).cloned()
    }

    /// Those with this alias (`connalias=`, `subnets=`), oldest first.
    #[must_use]
    pub fn by_alias(&self, alias: &str) -> Vec<Arc<Connection>> {
        let with = self.aliases.get(alias).into_iter().flat_map(|set| set.iter());
        with.filter_map(|serial| self.all.get(&serial).cloned()).collect()
    }

    /// The serial numbers of a connection and of its instances, instances first: the order
    /// in which they can be removed.
    #[must_use]
    pub fn with_instances(&self, serial: ConnectionSerial) -> Vec<ConnectionSerial> {
        let instances = self.instances_of(serial);
        instances.iter().map(|instance| instance.serial()).chain([serial]).collect()
    }

    /// The interval of keepalives behind a NAT (`keep-alive=`), for connections that are
    /// added from now on. Default: 20 s.
    pub fn set_keep_alive(&mut self, interval: Duration) {
        self.keep_alive = Some(if interval.is_zero() { KEEP_ALIVE } else { interval });
    }

    /// How many connections and instances there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, by name and instance.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.ordered.keys().filter_map(|(.., serial)| self.all.get(serial))
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
