//! What a listing is made of, from everybody who knows it.

use super::{ChildView, ConnectionView, Gathered, IkeView, Named, Relations, totals};
use crate::connection::ConnectionActor;
use crate::ike_sa::IkeSaActor;
use crate::supervisor::{IkeEntry, Supervisor};
use actix::{Actor, Addr};
use pluto_connections::{Connection, SerialNo};
use pluto_kernel::Counters;
use pluto_messages::{
    Answer, Asking, ConnectionDescription, DescribeConnection, DescribeIkeSa, DescribeKernel,
    DescribeListener, IkeSaDescription, ListSecrets, ReadManyCounters,
};
use pluto_whack::{DebugSet, Listing};
use std::sync::Arc;

/// Child SAs whose counters are read at a time: each takes the kernel 20 microseconds, and
/// others have their turn in between.
const COUNTERS_AT_ONCE: usize = 64;

/// What the supervisor knows of a connection: also its debug classes, restarts and age.
type Asked = (Arc<Connection>, DebugSet, u32, u64);

/// Actors that are asked at a time: each takes a microsecond or two to answer, and others,
/// who may have packets to handle, have their turn in between.
const ASKED_AT_ONCE: usize = 256;

/// Asks all of these, and makes views of the answers, in their order.
async fn ask_all<A: Actor, K, T, V>(
    mut to_ask: Vec<(Addr<A>, K)>,
    ask: impl Fn(&Addr<A>, Answer<T>),
    view: impl Fn(K, T) -> V,
) -> Vec<V> {
    let mut views = Vec::with_capacity(to_ask.len());
    let mut rest = to_ask.drain(..);
    loop {
        let some: Vec<(Addr<A>, K)> = rest.by_ref().take(ASKED_AT_ONCE).collect();
        if some.is_empty() {
            return views;
        }
        let (asking, answers) = Asking::new(some.len());
        for (place, (actor, _)) in some.iter().enumerate() {
            ask(actor, asking.at(place));
        }
        drop(asking);
        let mut answers = answers.await.unwrap_or_default();
        answers.sort_unstable_by_key(|(place, _)| *place);
        let mut asked = some.into_iter().map(|(_, asked)| asked).enumerate();
        for (place, answer) in answers {
            // Those before it have not answered.
            if let Some((_, asked)) = asked.find(|(at, _)| *at == place) {
                views.push(view(asked, answer));
            }
        }
    }
}

/// What a listing needs.
struct Needs {
    connections: bool,
    /// Of all connections, whomever the listing is about.
    totals: bool,
    sas: bool,
    /// What waits for an IKE SA: of all IKE SAs, for only they know all that waits for them.
    pending: bool,
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
        let totals = among(&[Status, ConnectionStatus, BriefConnectionStatus]);
        Self {
            connections: totals || what == ListEvents,
            totals,
            pending: among(&[Status, ShowStates]),
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
        only: Option<Named>,
    ) -> impl Future<Output = Gathered> + 'static + use<> {
        let needs = Needs::of(what);
        let named = only.as_ref();
        let connections = self.ask_connections(named.filter(|_| !needs.totals), needs.connections);
        let ikes = self.ask_ikes(named.filter(|_| !needs.pending), needs.sas);
        let children = self.known_children(named, needs.sas);
        let counters = self.ask_counters(&children, needs.counters);
        let kernel = needs.daemon.then(|| self.shell.kernel.send(DescribeKernel));
        let listener = self.listener.as_ref().map(|listener| listener.addr.send(DescribeListener));
        let secrets = needs.secrets.then(|| self.shell.secrets.send(ListSecrets));
        let mut gathered = Gathered {
            listener_restarts: self.listener_restarts,
            panics: self.panics,
            tally: self.shell.tally.borrow().clone(),
            uptime_s: self.shell.clock.now().0.as_secs(),
            only,
            ..Gathered::default()
        };
        async move {
            gathered.connections = connections.await;
            gathered.totals = totals(&gathered.connections);
            if let Some(only) = &gathered.only {
                gathered.connections.retain(|view| only.contains(&view.connection.serial()));
            }
            gathered.ikes = ikes.await;
            gathered.children = children;
            for (child, read) in gathered.children.iter_mut().zip(counters.await) {
                child.counters = read;
            }
            gathered.relations = Relations::of(&gathered.ikes, &gathered.children);
            if let Some(kernel) = kernel {
                gathered.kernel = kernel.await.ok().and_then(Result::ok);
            }
            if let Some(kernel) = &mut gathered.kernel {
                kernel.dropped = gathered.tally.dropped(std::mem::take(&mut kernel.dropped));
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
        only: Option<&Named>,
        wanted: bool,
    ) -> impl Future<Output = Vec<ConnectionView>> + 'static + use<> {
        let now = self.shell.clock.now();
        let all = self.table.iter().filter(|connection| {
            wanted && only.is_none_or(|only| only.contains(&connection.serial()))
        });
        let to_ask: Vec<(Addr<ConnectionActor>, Asked)> = all
            .filter_map(|connection| {
                let entry = self.connections.get(&connection.serial())?;
                let debug = self.shell.log.classes_of(connection.serial());
                let age_s = now.since(entry.since).as_secs();
                let asked = (Arc::clone(connection), debug, entry.restarts, age_s);
                Some((entry.actor.addr.clone(), asked))
            })
            .collect();
        async move {
            let ask = |actor: &Addr<ConnectionActor>, answer| {
                actor.do_send(DescribeConnection(answer));
            };
            let view = |(connection, debug, restarts, age_s), live: ConnectionDescription| {
                ConnectionView { connection, live, debug, restarts, age_s }
            };
            ask_all(to_ask, ask, view).await
        }
    }

    /// In the order of their serial numbers; who is gone is left out. Of `only` some, those
    /// are asked that are theirs, and those of others that carry their Child SAs.
    pub(in crate::supervisor) fn ask_ikes(
        &self,
        only: Option<&Named>,
        wanted: bool,
    ) -> impl Future<Output = Vec<IkeView>> + 'static + use<> {
        let now = self.shell.clock.now();
        let all = self.ikes.iter().filter(|(_, entry)| {
            wanted && only.is_none_or(|only| self.has_to_do_with(entry, only))
        });
        let asked = |(&serial, entry): (&SerialNo, &IkeEntry)| {
            let age_s = now.since(entry.since).as_secs();
            let awaited_by = entry.awaited_by.iter().filter_map(|serial| {
                Some((*serial, self.table.by_serial(*serial)?.log_name().to_string()))
            });
            (entry.actor.addr.clone(), (serial, awaited_by.collect::<Vec<_>>(), age_s))
        };
        let mut to_ask: Vec<_> = all.map(asked).collect();
        to_ask.sort_unstable_by_key(|(_, (serial, ..))| *serial);
        async move {
            let ask = |actor: &Addr<IkeSaActor>, answer| actor.do_send(DescribeIkeSa(answer));
            let view = |(serial, awaited_by, age_s), live: IkeSaDescription| IkeView {
                serial,
                live,
                awaited_by,
                age_s,
            };
            ask_all(to_ask, ask, view).await
        }
    }

    /// Whether an IKE SA is one of theirs, carries a Child SA of theirs, or is to.
    fn has_to_do_with(&self, ike: &IkeEntry, only: &Named) -> bool {
        let carried = ike.children.iter().filter_map(|child| self.children.get(child));
        let carried = carried.map(|child| &child.connection);
        let mut all = [&ike.connection].into_iter().chain(&ike.awaited_by).chain(carried);
        all.any(|connection| only.contains(connection))
    }

    /// What the table knows of established ones, in the order of their serial numbers: their
    /// facts do not change while they live.
    fn known_children(&self, only: Option<&Named>, wanted: bool) -> Vec<ChildView> {
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
