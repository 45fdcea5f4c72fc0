//! Inner addresses: which IKE SA has which, and what of it outlives the daemon.
//!
//! A lease belongs to a connection (mostly an instance) as long as one of the IKE SAs that
//! asked for it lives; a rekeyed IKE SA inherits it. Peers keep their addresses over a
//! restart: who had which is written to a file within a second, off the thread.

use super::Supervisor;
use super::contained::Takes;
use crate::jobs::Priority;
use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use pluto_connections::{
    AddressPools, Connection, ConnectionSerial, Family, LeaseRequest, LeaseSnapshot, PoolRange,
    SerialNo,
};
use pluto_messages::{ConnectionChanged, Fault, FindLease};
use pluto_states::{AskResult, LeaseQuestion, Request};
use pluto_whack::report::{AddressPoolFacts, LeaseFacts};
use rustc_hash::FxHashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long changes are collected before they are written.
const COLLECT: Duration = Duration::from_secs(1);
/// Octets that the file may have.
const MOST: u64 = 64 << 20;

/// All leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pools: AddressPools,
    /// The connection whose lease an IKE SA keeps alive.
    kept_by: FxHashMap<SerialNo, ConnectionSerial>,
    keepers: FxHashMap<ConnectionSerial, Vec<SerialNo>>,
    /// How many changes there were.
    changes: u64,
    saved: Arc<Saved>,
    /// A write is scheduled or going on.
    writing: bool,
}

/// Up to which change the file has them. Who writes holds the lock: when the daemon ends, a
/// write may still be going on, and one that fails then is tried once more.
#[derive(Debug, Default)]
struct Saved(Mutex<u64>);

impl Saved {
    /// Writes what there was at that change, unless the file has that or more.
    fn write(&self, path: &Path, snapshot: &LeaseSnapshot, change: u64) -> std::io::Result<()> {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved < change {
            write(path, snapshot)?;
            *saved = change;
        }
        Ok(())
    }

    /// Whether the file has everything up to that change; false also while it is written.
    fn has(&self, change: u64) -> bool {
        self.0.try_lock().is_ok_and(|saved| *saved >= change)
    }
}

impl Leases {
    /// After a panic, a write may have been forgotten: the next change schedules one.
    pub(super) fn resume(&mut self) {
        self.writing = false;
    }

    fn keep(&mut self, ike: SerialNo, connection: ConnectionSerial) {
        if self.kept_by.insert(ike, connection) != Some(connection) {
            self.keepers.entry(connection).or_default().push(ike);
        }
    }

    /// The connection that has lost its lease with this IKE SA.
    fn let_go(&mut self, ike: SerialNo) -> Option<ConnectionSerial> {
        let connection = self.kept_by.remove(&ike)?;
        let keepers = self.keepers.get_mut(&connection)?;
        keepers.retain(|keeper| *keeper != ike);
        if !keepers.is_empty() {
            return None;
        }
        self.keepers.remove(&connection);
        self.pools.release(connection).then_some(connection)
    }
}

/// Reads the file; one that is not there is empty.
fn read(path: &Path) -> Result<LeaseSnapshot, String> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(LeaseSnapshot::default());
        }
        Err(error) => return Err(error.to_string()),
    };
    if length > MOST {
        return Err(format!("larger than {MOST} octets"));
    }
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

/// Writes the file: the old one or the new one, never half of one, also where the machine loses
/// its power meanwhile.
fn write(path: &Path, snapshot: &LeaseSnapshot) -> std::io::Result<()> {
    let text = serde_json::to_vec(snapshot)?;
    let beside = path.with_extension("json.new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&beside, path)
}

impl Supervisor {
    /// Takes up what an earlier daemon has written.
    pub(super) fn recall_leases(&self, ctx: &mut Context<Self>) {
        let Some(path) = self.settings.leases.clone() else { return };
        let from = path.clone();
        let read = self.shell.jobs.run(Priority::High, move || read(&from));
        ctx.spawn(read.into_actor(self).map(move |read, actor, _| match read {
            Ok(Ok(snapshot)) => actor.leases.pools.restore(snapshot),
            Ok(Err(why)) => {
                let log = &actor.shell.log;
                log.warn(&format!("\"{}\": leases are not taken up: {why}", path.display()));
            }
            Err(lost) => {
                let log = &actor.shell.log;
                log.error(&format!("\"{}\": leases are not taken up: {lost}", path.display()));
            }
        }));
    }

    fn leases_changed(&mut self) {
        self.leases.changes = self.leases.changes.saturating_add(1);
        self.schedule_write();
    }

    fn schedule_write(&mut self) {
        if self.leases.writing || self.settings.leases.is_none() {
            return;
        }
        if let Some(supervisor) = self.shell.supervisor.upgrade() {
            self.leases.writing = true;
            supervisor.do_send(pluto_messages::WriteLeases);
        }
    }

    /// Has the leases written; none when there is nothing to write. What fails is written the
    /// next time.
    pub(super) fn write_leases(&self) -> Option<impl Future<Output = ()> + 'static + use<>> {
        let (change, saved) = (self.leases.changes, Arc::clone(&self.leases.saved));
        let path: PathBuf = self.settings.leases.clone().filter(|_| !saved.has(change))?;
        let (snapshot, log) = (self.leases.pools.snapshot(), self.shell.log.clone());
        let shown = path.display().to_string();
        let jobs = self.shell.jobs.clone();
        Some(async move {
            let written = jobs.run(Priority::High, move || saved.write(&path, &snapshot, change));
            match written.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    log.warn(&format!("\"{shown}\": leases are not written: {error}"));
                }
                Err(lost) => log.error(&format!("\"{shown}\": leases are not written: {lost}")),
            }
        })
    }

    /// A connection names these ranges.
    pub(super) fn claim_pools(&mut self, connection: &Connection) -> Result<(), PoolRange> {
        self.leases.pools.claim(connection.serial(), connection.configured_pool())
    }

    pub(super) fn disclaim_pools(&mut self, connection: ConnectionSerial) {
        self.leases.pools.disclaim(connection);
    }

    /// An IKE SA has ended: what it kept alive is given back.
    pub(super) fn release_lease(&mut self, ike: SerialNo) {
        if let Some(connection) = self.leases.let_go(ike) {
            self.tell_leases(connection);
        }
    }

    /// An IKE SA was rekeyed.
    pub(super) fn inherit_lease(&mut self, old: SerialNo, new: SerialNo) {
        if let Some(connection) = self.leases.kept_by.get(&old).copied() {
            self.leases.keep(new, connection);
        }
    }

    /// The table and the connection's actor get to know what it has.
    fn tell_leases(&mut self, connection: ConnectionSerial) -> Option<Arc<Connection>> {
        let addresses = self.leases.pools.held_by(connection);
        let changed = self.table.set_leases(connection, &addresses)?;
        self.tell_connection(connection, ConnectionChanged(Arc::clone(&changed)));
        Some(changed)
    }

    fn lease(&mut self, ike: SerialNo, question: &LeaseQuestion) -> AskResult {
        let refused = |why: &str| AskResult::Lease(Err(why.to_owned()));
        if !self.ikes.contains_key(&ike) {
            return refused("the IKE SA is gone");
        }
        let Some(connection) = self.table.by_serial(question.connection).cloned() else {
            return refused("the connection is gone");
        };
        let wanted = [(question.ipv4, Family::Ipv4), (question.ipv6, Family::Ipv6)];
        let mut error = None;
        let mut losers = Vec::new();
        for (_, family) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            let request = LeaseRequest {
                ranges: connection.address_pool(),
                family,
                identity: connection.lessee(&question.remote_id),
                holder: question.connection,
                takeover: self.settings.uniqueids,
            };
            match self.leases.pools.lease(&request) {
                Ok(lease) => losers.extend(lease.taken_from),
                Err(none) => error = Some(none),
            }
        }
        // One family is better than none (RFC 7296, 3.15.1).
        if self.leases.pools.held_by(question.connection).is_empty() {
            return AskResult::Lease(Err(
                error.map_or_else(|| "nothing was asked for".to_owned(), |e| e.to_string())
            ));
        }
        self.leases.keep(ike, question.connection);
        // The peer has come back: what it had before is dead.
        for loser in losers.into_iter().filter(|loser| *loser != question.connection) {
            for old in self.leases.keepers.get(&loser).cloned().unwrap_or_default() {
                self.order(old, Request::Abandon);
            }
            self.tell_leases(loser);
        }
        self.leases_changed();
        let policy = self.tell_leases(question.connection);
        match policy.and_then(|connection| connection.child_policies().first().cloned()) {
            Some(policy) => AskResult::Lease(Ok(policy)),
            None => refused("the connection is not oriented"),
        }
    }

    /// `--addresspoolstatus`.
    pub(super) fn pool_facts(&self) -> Vec<AddressPoolFacts> {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let pools = self.leases.pools.status().into_iter().map(|pool| {
            let lease = pool.leases.iter().map(|lease| self.lease_facts(lease)).collect();
            AddressPoolFacts {
                range: pool.range.to_string(),
                size: u64::try_from(pool.size).unwrap_or(u64::MAX),
                leases: count(pool.leases.len()),
                in_use: count(pool.in_use),
                free: count(pool.leases.len().saturating_sub(pool.in_use)),
                reusable: count(pool.lingering),
                lease,
            }
        });
        pools.collect()
    }

    fn lease_facts(&self, lease: &pluto_connections::LeaseStatus) -> LeaseFacts {
        let connection = lease.holder.and_then(|holder| self.table.by_serial(holder));
        let length = if lease.address.is_ipv4() { 32 } else { 128 };
        LeaseFacts {
            address: format!("{}/{length}", lease.address),
            connection_serial: lease.holder.map_or(0, |holder| holder.0),
            remote_id: lease.identity.clone(),
            connection: connection.map(|connection| connection.log_name().to_string()),
        }
    }
}

impl Handler<FindLease> for Supervisor {
    type Result = Result<AskResult, Fault>;

    fn handle(&mut self, msg: FindLease, ctx: &mut Self::Context) -> Self::Result {
        self.contained("a lease", ctx, |this, _| this.lease(msg.ike, &msg.question))
    }
}

impl Takes<pluto_messages::WriteLeases> for Supervisor {
    fn take(&mut self, _: pluto_messages::WriteLeases, ctx: &mut Context<Self>) {
        ctx.run_later(COLLECT, |actor, ctx| {
            let change = actor.leases.changes;
            let written = actor.write_leases();
            let written = async move {
                if let Some(written) = written {
                    written.await;
                }
            };
            ctx.spawn(written.into_actor(actor).map(move |(), actor, _| {
                actor.leases.writing = false;
                // A write that failed waits for the next change: nothing has become better.
                if actor.leases.changes != change && !actor.stopping {
                    actor.schedule_write();
                }
            }));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_it_was_written_and_a_broken_one_is_told() {
        let folder = std::env::temp_dir().join(format!("leases-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("leases.json");
        assert_eq!(read(&path), Ok(LeaseSnapshot::default()));
        let lease = pluto_connections::RememberedLease {
            identity: "FQDN @a".into(),
            address: "192.0.2.1".parse().unwrap(),
        };
        let snapshot = LeaseSnapshot { leases: vec![lease] };
        write(&path, &snapshot).unwrap();
        assert_eq!(read(&path), Ok(snapshot));
        std::fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_could_not_be_written_is_written_later_and_never_takes_the_place_of_what_is_newer() {
        let folder = std::env::temp_dir().join(format!("leases-late-{}", std::process::id()));
        let path = folder.join("leases.json");
        let lease = |name: &str| pluto_connections::RememberedLease {
            identity: format!("FQDN @{name}"),
            address: "192.0.2.1".parse().unwrap(),
        };
        let [old, new] = ["a", "b"].map(|name| LeaseSnapshot { leases: vec![lease(name)] });
        let saved = Saved::default();
        assert!(saved.has(0) && !saved.has(1));
        assert!(saved.write(&path, &old, 1).is_err(), "there is no folder");
        assert!(!saved.has(1));
        std::fs::create_dir_all(&folder).unwrap();
        saved.write(&path, &old, 1).unwrap();
        assert!(saved.has(1) && !saved.has(3));
        assert_eq!(read(&path), Ok(old.clone()));
        saved.write(&path, &new, 3).unwrap();
        // One that was begun earlier had to wait.
        saved.write(&path, &old, 2).unwrap();
        assert!(saved.has(3));
        assert_eq!(read(&path), Ok(new));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_lease_lives_as_long_as_one_of_the_ike_sas_that_keep_it() {
        let mut leases = Leases::default();
        let (one, two, connection) = (SerialNo(1), SerialNo(2), ConnectionSerial(7));
        let range = PoolRange::parse("192.0.2.1").unwrap();
        let request = LeaseRequest {
            ranges: &[range],
            family: Family::Ipv4,
            identity: &pluto_connections::Id::Null,
            holder: connection,
            takeover: false,
        };
        leases.pools.lease(&request).unwrap();
        leases.keep(one, connection);
        leases.keep(two, connection);
        assert_eq!(leases.let_go(one), None);
        assert_eq!(leases.pools.held_by(connection).len(), 1);
        assert_eq!(leases.let_go(two), Some(connection));
        assert!(leases.pools.held_by(connection).is_empty());
        assert_eq!(leases.let_go(two), None);
    }
}
