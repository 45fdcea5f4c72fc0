//! Listings: facts gathered from the actors, sent to whack one by one.

mod connection;
mod daemon;
mod sa;
mod tree;

use super::Supervisor;
use actix::Context;
use futures::future::join_all;
use pluto_connections::{Connection, ConnectionSerial, SerialNo};
use pluto_messages::{
    ChildDescription, ConnectionDescription, DescribeChildSa, DescribeConnection, DescribeIkeSa,
    DescribeKernel, DescribeListener, IkeSaDescription, KernelDescription, ListSecrets,
    ListenerDescription, Reporter,
};
use pluto_whack::report::{AddressPoolFacts, BriefFacts, Item, PskFacts, TotalsFacts};
use pluto_whack::{Listing, Reply, codes};
use rustc_hash::FxHashMap;
use std::iter;
use std::sync::Arc;

/// A connection with what its actor says.
pub(super) struct ConnectionView {
    connection: Arc<Connection>,
    live: ConnectionDescription,
    restarts: u32,
    age_s: u64,
}

/// An IKE SA with what its actor says.
pub(super) struct IkeView {
    serial: SerialNo,
    live: IkeSaDescription,
    age_s: u64,
}

/// An established Child SA with what its actor says.
pub(super) struct ChildView {
    serial: SerialNo,
    live: ChildDescription,
    age_s: u64,
}

/// What was gathered for one listing.
#[derive(Default)]
pub(super) struct Gathered {
    connections: Vec<ConnectionView>,
    ikes: Vec<IkeView>,
    children: Vec<ChildView>,
    kernel: Option<KernelDescription>,
    listener: ListenerDescription,
    listener_restarts: u32,
    panics: u64,
    secrets: Vec<(usize, String, String)>,
    uptime_s: u64,
    relations: Relations,
    pools: Vec<AddressPoolFacts>,
}

/// Who belongs to whom, so that a listing's cost grows with its length and no faster.
#[derive(Default)]
struct Relations {
    /// By Child SA: the place of its IKE SA.
    parent: FxHashMap<SerialNo, usize>,
    /// By IKE SA, as its Child SAs know it: their places.
    children: FxHashMap<SerialNo, Vec<usize>>,
    /// By connection: its newest established IKE SA, its newest Child SA.
    newest_ike: FxHashMap<ConnectionSerial, SerialNo>,
    newest_child: FxHashMap<ConnectionSerial, SerialNo>,
}

impl Relations {
    /// Both in the order of their serial numbers.
    fn of(ikes: &[IkeView], children: &[ChildView]) -> Self {
        let mut all = Self::default();
        for (place, ike) in ikes.iter().enumerate() {
            let summary = &ike.live.summary;
            if summary.established {
                all.newest_ike.insert(summary.policy.connection, ike.serial);
            }
            all.parent.extend(summary.children.iter().map(|child| (child.serial, place)));
        }
        for (place, child) in children.iter().enumerate() {
            all.newest_child.insert(child.live.up.policy.connection, child.serial);
            all.children.entry(child.live.up.ike).or_default().push(place);
        }
        all
    }
}

impl Gathered {
    fn ike(&self, serial: SerialNo) -> Option<&IkeView> {
        let place = self.ikes.binary_search_by_key(&serial, |ike| ike.serial).ok()?;
        self.ikes.get(place)
    }

    fn child(&self, serial: SerialNo) -> Option<&ChildView> {
        let place = self.children.binary_search_by_key(&serial, |child| child.serial).ok()?;
        self.children.get(place)
    }

    /// The IKE SA that carries a Child SA.
    fn parent(&self, child: SerialNo) -> Option<&IkeView> {
        self.ikes.get(*self.relations.parent.get(&child)?)
    }

    /// The Child SAs of an IKE SA.
    fn children_of(&self, ike: SerialNo) -> impl Iterator<Item = &ChildView> {
        let places = self.relations.children.get(&ike);
        places.into_iter().flatten().filter_map(|place| self.children.get(*place))
    }
}

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
            connections: among(&[Status, ConnectionStatus, BriefConnectionStatus, ShowStates]),
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
            daemon: among(&[Status, BriefStatus]),
            secrets: among(&[ListPsks, ListAll]),
        }
    }
}

impl Supervisor {
    pub(super) fn list(
        &mut self,
        what: Listing,
        name: Option<String>,
        reporter: Reporter,
        _: &mut Context<Self>,
    ) {
        let only = match &name {
            None => None,
            Some(name) => {
                let found: Vec<ConnectionSerial> = self
                    .named(name, &reporter)
                    .iter()
                    .map(|connection| connection.serial())
                    .collect();
                if found.is_empty() {
                    return;
                }
                Some(found)
            }
        };
        let gathering = self.gather(&Needs::of(what), only.as_deref());
        let pools = if what == Listing::AddressPoolStatus { self.pool_facts() } else { Vec::new() };
        let setup = self.settings.clone();
        actix_rt::spawn(async move {
            let gathered = Gathered { pools, ..gathering.await };
            for item in items(what, &gathered, &setup) {
                if !reporter.reply_in_turn(Reply::item(item)).await {
                    return;
                }
            }
            if let Some(missing) = not_yet(what) {
                reporter.say(codes::LOG, missing);
            }
        });
    }

    /// Asks everybody concerned at once; the future gives all answers.
    fn gather(
        &self,
        needs: &Needs,
        only: Option<&[ConnectionSerial]>,
    ) -> impl Future<Output = Gathered> + 'static + use<> {
        let now = self.shell.clock.now();
        let wanted = |serial: ConnectionSerial| only.is_none_or(|only| only.contains(&serial));
        let mut connections = Vec::new();
        if needs.connections {
            for connection in self.table.iter().filter(|connection| wanted(connection.serial())) {
                let Some(entry) = self.connections.get(&connection.serial()) else { continue };
                let answer = entry.actor.addr.send(DescribeConnection);
                let (restarts, age_s) = (entry.restarts, now.since(entry.since).as_secs());
                let connection = Arc::clone(connection);
                connections.push(async move {
                    let live = answer.await.ok()?;
                    Some(ConnectionView { connection, live, restarts, age_s })
                });
            }
        }
        let (mut ikes, mut children) = (Vec::new(), Vec::new());
        if needs.sas {
            for (&serial, entry) in self.ikes.iter().filter(|(_, entry)| wanted(entry.connection)) {
                let answer = entry.actor.addr.send(DescribeIkeSa);
                let age_s = now.since(entry.since).as_secs();
                ikes.push(async move { Some(IkeView { serial, live: answer.await.ok()?, age_s }) });
            }
            for (&serial, entry) in
                self.children.iter().filter(|(_, entry)| wanted(entry.connection))
            {
                let Some(actor) = &entry.actor else { continue };
                let answer = actor.addr.send(DescribeChildSa { counters: needs.counters });
                let age_s = now.since(entry.since).as_secs();
                children.push(async move {
                    Some(ChildView { serial, live: answer.await.ok()??, age_s })
                });
            }
        }
        let kernel = self.shell.kernel.send(DescribeKernel);
        let listener = self.listener.as_ref().map(|listener| listener.addr.send(DescribeListener));
        let secrets = needs.secrets.then(|| self.shell.secrets.send(ListSecrets));
        let (listener_restarts, panics) = (self.listener_restarts, self.panics);
        let (daemon, uptime_s) = (needs.daemon, now.0.as_secs());
        async move {
            let mut gathered = Gathered {
                connections: join_all(connections).await.into_iter().flatten().collect(),
                ikes: join_all(ikes).await.into_iter().flatten().collect(),
                children: join_all(children).await.into_iter().flatten().collect(),
                listener_restarts,
                panics,
                uptime_s,
                ..Gathered::default()
            };
            gathered.ikes.sort_by_key(|ike| ike.serial);
            gathered.children.sort_by_key(|child| child.serial);
            gathered.relations = Relations::of(&gathered.ikes, &gathered.children);
            if daemon {
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
}

/// The facts of a listing, in its order; made one by one, so that others get their turn
/// while a long one is sent, and whack reads the first while the last are made.
fn items<'a>(
    what: Listing,
    g: &'a Gathered,
    settings: &'a super::Settings,
) -> Box<dyn Iterator<Item = Item> + 'a> {
    let connections = || g.connections.iter().map(|view| Item::from(connection::facts(view, g)));
    let children = || g.children.iter().map(|view| Item::from(sa::child(view, g)));
    let sum = || iter::once_with(|| Item::from(totals(g)));
    match what {
        Listing::Status => {
            let daemon = iter::once_with(|| Item::from(daemon::facts(g, settings)));
            let brief = iter::once_with(|| Item::from(brief(g)));
            Box::new(
                daemon
                    .chain(connections())
                    .chain(sum())
                    .chain(brief)
                    .chain(sas(g))
                    .chain(tree::facts(g)),
            )
        }
        Listing::BriefStatus => Box::new(iter::once_with(|| brief(g).into())),
        Listing::GlobalStatus => Box::new(sa::counters(g).into_iter().map(Item::from)),
        Listing::TrafficStatus => Box::new(children()),
        Listing::ConnectionStatus => Box::new(connections().chain(sum())),
        Listing::BriefConnectionStatus => Box::new(connections().chain(children()).chain(sum())),
        Listing::AddressPoolStatus => Box::new(g.pools.iter().cloned().map(Item::from)),
        Listing::FipsStatus => Box::new(iter::once_with(|| daemon::fips().into())),
        Listing::ShowStates => Box::new(sas(g)),
        Listing::ListPsks | Listing::ListAll => {
            Box::new(g.secrets.iter().map(|(line, kind, ids)| {
                PskFacts {
                    file: settings.setup.secretsfile.clone(),
                    line: u64::try_from(*line).unwrap_or(u64::MAX),
                    secret: kind.clone(),
                    ids: ids.split_whitespace().map(ToString::to_string).collect(),
                }
                .into()
            }))
        }
        Listing::ListEvents => Box::new(sa::events(g).into_iter().map(Item::from)),
        _ => Box::new(iter::empty()),
    }
}

/// Listings of features that are not there yet say so, rather than look empty.
fn not_yet(what: Listing) -> Option<&'static str> {
    match what {
        Listing::ListPubkeys | Listing::CheckPubkeys => {
            Some("raw public keys are not supported yet")
        }
        Listing::ListCerts | Listing::ListCaCerts | Listing::ListCrls => {
            Some("certificates are not supported yet")
        }
        _ => None,
    }
}

fn sas(g: &Gathered) -> impl Iterator<Item = Item> {
    g.ikes.iter().flat_map(move |view| {
        let larval = sa::larval(view, g).into_iter().map(Item::from);
        let children = g.children_of(view.serial).map(move |child| sa::child(child, g).into());
        iter::once(Item::from(sa::ike(view, g))).chain(larval).chain(children)
    })
}

fn totals(g: &Gathered) -> TotalsFacts {
    let count = |test: &dyn Fn(&ConnectionView) -> bool| {
        u64::try_from(g.connections.iter().filter(|view| test(view)).count()).unwrap_or(u64::MAX)
    };
    TotalsFacts {
        loaded: count(&|_| true),
        routed: count(&|view| view.live.routing != pluto_connections::Routing::Unrouted),
        active: count(&|view| view.live.established_child.is_some()),
    }
}

fn brief(g: &Gathered) -> BriefFacts {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let established = g.ikes.iter().filter(|ike| ike.live.summary.established).count();
    let anonymous = g
        .ikes
        .iter()
        .filter(|ike| ike.live.summary.remote_id == Some(pluto_connections::Id::Null))
        .count();
    let open = g.ikes.len().saturating_sub(established).saturating_sub(g.listener.half_open);
    let nobody =
        g.children.iter().filter(|c| c.live.up.remote_id == pluto_connections::Id::Null).count();
    BriefFacts {
        cookies_required: g.listener.cookies,
        accepting: g.listener.listening,
        ike_total: count(g.ikes.len()),
        ike_half_open: count(g.listener.half_open),
        ike_open: count(open),
        ike_authenticated: count(established.saturating_sub(anonymous)),
        ike_anonymous: count(anonymous),
        child_total: count(g.children.len()),
        child_authenticated: count(g.children.len().saturating_sub(nobody)),
        child_anonymous: count(nobody),
    }
}
