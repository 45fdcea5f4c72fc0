//! What a listing is made of, from everybody who knows it.

use super::{ChildView, ConnectionView, Gathered, IkeView, Relations};
use crate::supervisor::Supervisor;
use pluto_connections::{Connection, ConnectionSerial, SerialNo};
use pluto_kernel::Counters;
use pluto_messages::{
    Asking, ConnectionDescription, DescribeConnection, DescribeIkeSa, DescribeKernel,
    DescribeListener, IkeSaDescription, ListSecrets, ReadManyCounters,
};
use pluto_whack::{DebugSet, Listing};
use std::sync::Arc;

/// Child SAs whose counters are read at a time: each takes the kernel 20 microseconds, and
/// others have their turn in between.
const COUNTERS_AT_ONCE: usize = 64;

/// What the supervisor knows of a connection: also its debug classes, restarts and age.
type Asked = (Arc<Connection>, DebugSet, u32, u64);

/// What a listing needs.
struct Needs {
    connections: bool,
    sas: bool,
    counters: bool,
    daemon: bool,
    secrets: bool,
}

impl Needs {
    fn of(what: Listing) -> Self {
        use Listing::{
            BriefConnectionStatus, BriefStatus, ConnectionStatus, GlobalStatus, ListAll,
            ListEvents, ListPsks, ShowStates, Status, TrafficStatus,
        };
        let among = |list: &[Listing]| list.contains(&what);
        Self {
            connections: among(&[Status, ConnectionStatus, BriefConnectionStatus]),
            sas: among(&[
                Status,
                BriefStatus,
                GlobalStatus,
                TrafficStatus,
                ShowStates,
                ListEvents,
                ConnectionStatus,
                BriefConnectionStatus,
            ]),
            counters: among(&[Status, TrafficStatus, ShowStates, BriefConnectionStatus]),
            daemon: among(&[Status, BriefStatus, GlobalStatus]),
            secrets: among(&[ListPsks, ListAll]),
        }
    }
}

impl Supervisor {
    /// Asks everybody concerned at once; the future gives all answers.
    pub(super) fn gather(
        &self,
        what: Listing,
        only: Option<&[ConnectionSerial]>,
    ) -> impl Future<Output = Gathered> + 'static + use<> {
        let needs = Needs::of(what);
        let connections = self.ask_connections(only, needs.connections);
        let ikes = self.ask_ikes(only, needs.sas);
        let children = self.known_children(only, needs.sas);
        let counters = self.ask_counters(&children, needs.counters);
        let kernel = needs.daemon.then(|| self.shell.kernel.send(DescribeKernel));
        let listener = self.listener.as_ref().map(|listener| listener.addr.send(DescribeListener));
        let secrets = needs.secrets.then(|| self.shell.secrets.send(ListSecrets));
        let mut gathered = Gathered {
            listener_restarts: self.listener_restarts,
            panics: self.panics,
            totals: self.totals.clone(),
            uptime_s: self.shell.clock.now().0.as_secs(),
            ..Gathered::default()
        };
        async move {
            gathered.connections = connections.await;
            gathered.ikes = ikes.await;
            gathered.children = children;
            for (child, read) in gathered.children.iter_mut().zip(counters.await) {
                child.counters = read;
            }
            gathered.relations = Relations::of(&gathered.ikes, &gathered.children);
            if let Some(kernel) = kernel {
                gathered.kernel = kernel.await.ok().and_then(Result::ok);
            }
            if let Some(listener) = listener {
                gathered.listener = listener.await.unwrap_or_default();
            }
            if let Some(secrets) = secrets {
                gathered.secrets = secrets.await.unwrap_or_default();
            }
            gathered
        }
    }

    /// In the table's order; who is gone is left out.
    fn ask_connections(
        &self,
        only: Option<&[ConnectionSerial]>,
        wanted: bool,
    ) -> impl Future<Output = Vec<ConnectionView>> + 'static + use<> {
        let now = self.shell.clock.now();
        let all = self.table.iter().filter(|connection| {
            wanted && only.is_none_or(|only| only.contains(&connection.serial()))
        });
        let mut asked: Vec<Option<Asked>> = Vec::new();
        let (asking, answers) = Asking::<ConnectionDescription>::new(self.connections.len());
        for connection in all {
            let Some(entry) = self.connections.get(&connection.serial()) else { continue };
            entry.actor.addr.do_send(DescribeConnection(asking.at(asked.len())));
            let age_s = now.since(entry.since).as_secs();
            let debug = self.shell.log.classes_of(connection.serial());
            asked.push(Some((Arc::clone(connection), debug, entry.restarts, age_s)));
        }
        drop(asking);
        async move {
            let mut answers = answers.await.unwrap_or_default();
            answers.sort_unstable_by_key(|(place, _)| *place);
            let view = |(place, live): (usize, _)| {
                let (connection, debug, restarts, age_s) = asked.get_mut(place)?.take()?;
                Some(ConnectionView { connection, live, debug, restarts, age_s })
            };
            answers.into_iter().filter_map(view).collect()
        }
    }

    /// In the order of their serial numbers; who is gone is left out.
    pub(in crate::supervisor) fn ask_ikes(
        &self,
        only: Option<&[ConnectionSerial]>,
        wanted: bool,
    ) -> impl Future<Output = Vec<IkeView>> + 'static + use<> {
        let now = self.shell.clock.now();
        let all = self.ikes.iter().filter(|(_, entry)| {
            wanted && only.is_none_or(|only| only.contains(&entry.connection))
        });
        let mut asked: Vec<(SerialNo, u64)> = Vec::new();
        let (asking, answers) = Asking::<IkeSaDescription>::new(self.ikes.len());
        for (&serial, entry) in all {
            entry.actor.addr.do_send(DescribeIkeSa(asking.at(asked.len())));
            asked.push((serial, now.since(entry.since).as_secs()));
        }
        drop(asking);
        async move {
            let answers = answers.await.unwrap_or_default();
            let view = |(place, live): (usize, _)| {
                let &(serial, age_s) = asked.get(place)?;
                Some(IkeView { serial, live, age_s })
            };
            let mut views: Vec<IkeView> = answers.into_iter().filter_map(view).collect();
            views.sort_unstable_by_key(|ike| ike.serial);
            views
        }
    }

    /// What the table knows of established ones, in the order of their serial numbers: their
    /// facts do not change while they live.
    fn known_children(&self, only: Option<&[ConnectionSerial]>, wanted: bool) -> Vec<ChildView> {
        let now = self.shell.clock.now();
        let all = self.children.iter().filter(|(_, entry)| {
            wanted && only.is_none_or(|only| only.contains(&entry.connection))
        });
        let known = all.filter_map(|(&serial, entry)| {
            entry.actor.as_ref()?;
            let up = Arc::clone(entry.up.as_ref()?);
            Some(ChildView { serial, up, counters: None, age_s: now.since(entry.since).as_secs() })
        });
        let mut known: Vec<ChildView> = known.collect();
        known.sort_unstable_by_key(|child| child.serial);
        known
    }

    /// The kernel's counters of these, in their order.
    fn ask_counters(
        &self,
        children: &[ChildView],
        wanted: bool,
    ) -> impl Future<Output = Vec<Option<Counters>>> + 'static + use<> {
        let children: Vec<u64> =
            children.iter().map(|child| child.serial.0).filter(|_| wanted).collect();
        let kernel = self.shell.kernel.clone();
        async move {
            let mut all = Vec::with_capacity(children.len());
            for some in children.chunks(COUNTERS_AT_ONCE) {
                let read = kernel.send(ReadManyCounters(some.to_vec())).await;
                let mut read = read.ok().and_then(Result::ok).unwrap_or_default();
                read.resize(some.len(), None);
                all.append(&mut read);
            }
            all
        }
    }
}
