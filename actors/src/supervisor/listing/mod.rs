//! Listings: facts gathered from the actors, sent to whack one by one.

mod connection;
mod daemon;
mod gather;
mod parts;
mod sa;
mod text;
mod tree;

use super::Supervisor;
use crate::tally::Tally;
use pluto_connections::{Connection, ConnectionSerial, SerialNo};
use pluto_kernel::Counters;
use pluto_messages::{
    ConnectionDescription, IkeSaDescription, KernelDescription, ListenerDescription, Reporter,
};
use pluto_states::ChildUp;
use pluto_whack::report::{AddressPoolFacts, BriefFacts, TotalsFacts};
use pluto_whack::{DebugSet, Listing, Reply, codes};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A connection with what its actor says.
pub(super) struct ConnectionView {
    connection: Arc<Connection>,
    live: ConnectionDescription,
    /// The debug classes that it has on its own.
    debug: DebugSet,
    restarts: u32,
    age_s: u64,
}

/// An IKE SA with what its actor says.
pub(super) struct IkeView {
    pub(super) serial: SerialNo,
    pub(super) live: IkeSaDescription,
    /// Connections that are to share it when it is established.
    pub(super) awaited_by: Vec<String>,
    age_s: u64,
}

/// An established Child SA with what the kernel says.
pub(super) struct ChildView {
    serial: SerialNo,
    up: Arc<ChildUp>,
    /// Where they were asked for and are known.
    counters: Option<Counters>,
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
    tally: Tally,
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
            all.newest_child.insert(child.up.policy.connection, child.serial);
            all.children.entry(child.up.ike).or_default().push(place);
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

impl Supervisor {
    pub(super) fn list(
        &mut self,
        what: Listing,
        name: Option<&str>,
        text: bool,
        reporter: Reporter,
    ) {
        let only = match name {
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
        let gathering = self.gather(what, only.as_deref());
        let pools = if what == Listing::AddressPoolStatus { self.pool_facts() } else { Vec::new() };
        let (mut settings, jobs) = (self.settings.clone(), self.shell.jobs.clone());
        // As it is now, not as it was at start.
        settings.setup.debug = self.shell.log.classes().to_string();
        let (settings, log) = (Arc::new(settings), self.shell.log.clone());
        let named = only.is_some();
        actix_rt::spawn(async move {
            let gathered = Gathered { pools, ..gathering.await };
            let heard = if text {
                text::send(what, named, gathered, settings, (&jobs, &log), &reporter).await
            } else {
                send_items(what, &gathered, &settings, &reporter).await
            };
            if let Some(missing) = not_yet(what).filter(|_| heard) {
                reporter.say(codes::LOG, missing);
            }
        });
    }
}

/// The facts, made one by one, so that others get their turn while a long listing is sent;
/// false: nobody reads any longer.
async fn send_items(
    what: Listing,
    gathered: &Gathered,
    settings: &super::Settings,
    reporter: &Reporter,
) -> bool {
    for part in parts::of(what, gathered) {
        for item in part.items(gathered, settings) {
            if !reporter.reply_in_turn(Reply::item(item)).await {
                return false;
            }
        }
    }
    true
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
        g.children.iter().filter(|c| c.up.remote_id == pluto_connections::Id::Null).count();
    BriefFacts {
        cookies_required: g.listener.cookies,
        accepting: g.listener.listening && g.listener.half_open < g.listener.most_half_open,
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
