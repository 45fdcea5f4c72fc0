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
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Whom a listing by name is about.
pub(super) type Named = FxHashSet<ConnectionSerial>;

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
    /// Connections that are to share it when it is established, with their names.
    pub(super) awaited_by: Vec<(ConnectionSerial, String)>,
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
    /// Whom it is about; none: everybody.
    only: Option<Named>,
    connections: Vec<ConnectionView>,
    /// Of all connections, whomever it is about.
    totals: TotalsFacts,
    /// Also others' that have to do with whom it is about: see [`Gathered::lists`].
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
    /// Whether it is about this connection.
    fn is_about(&self, connection: ConnectionSerial) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&connection))
    }

    /// Whether it is about an IKE SA, and not only about what another one's carries.
    fn lists(&self, ike: &IkeView) -> bool {
        self.is_about(ike.live.summary.policy.connection)
    }

    /// The IKE SAs that it is about.
    fn listed_ikes(&self) -> impl Iterator<Item = &IkeView> {
        self.ikes.iter().filter(move |ike| self.lists(ike))
    }

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
                // A template has no SAs itself: what is asked about it is its instances'.
                let named = self.named(name, &reporter);
                let each = named.iter().map(|connection| connection.serial());
                let found: Named = each.flat_map(|one| self.table.with_instances(one)).collect();
                if found.is_empty() {
                    return;
                }
                Some(found)
            }
        };
        let named = only.is_some();
        let gathering = self.gather(what, only);
        let pools = if what == Listing::AddressPoolStatus { self.pool_facts() } else { Vec::new() };
        let (mut settings, jobs) = (self.settings.clone(), self.shell.jobs.clone());
        // As it is now, not as it was at start.
        settings.setup.debug = self.shell.log.classes().to_string();
        let (settings, log) = (Arc::new(settings), self.shell.log.clone());
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

fn totals(connections: &[ConnectionView]) -> TotalsFacts {
    let count = |test: &dyn Fn(&ConnectionView) -> bool| {
        u64::try_from(connections.iter().filter(|view| test(view)).count()).unwrap_or(u64::MAX)
    };
    TotalsFacts {
        loaded: count(&|_| true),
        routed: count(&|view| view.live.routing != pluto_connections::Routing::Unrouted),
        active: count(&|view| view.live.established_child.is_some()),
    }
}

/// libreswan's kinds of IKE SAs that are not established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unestablished {
    /// Who has asked has not proved who he is, or whom we have asked has not answered.
    HalfOpen,
    /// Whom we have asked has answered.
    Open,
    /// Nobody has been asked yet.
    Neither,
}

impl Unestablished {
    /// By the name of its state, and whether we have begun it.
    fn of(state: &str, initiator: bool) -> Self {
        match (initiator, state) {
            // A responder is half-open until it is established, also while it repeats its
            // refusal: the limits for half-open ones (`--max-halfopen-ike`) count it until then.
            (false, _) | (true, "IKE_SA_INIT_I") => Self::HalfOpen,
            (true, "IKE_SA_INIT_IR" | "IKE_AUTH_I") => Self::Open,
            (true, _) => Self::Neither,
        }
    }
}

fn brief(g: &Gathered) -> BriefFacts {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let ikes = || g.listed_ikes().map(|ike| &ike.live.summary);
    let established = ikes().filter(|ike| ike.established).count();
    let of = |kind: Unestablished| {
        let unestablished = ikes().filter(|ike| !ike.established);
        unestablished.filter(|ike| Unestablished::of(ike.state, ike.initiator) == kind).count()
    };
    let anonymous = ikes().filter(|ike| ike.remote_id == Some(pluto_connections::Id::Null)).count();
    let nobody =
        g.children.iter().filter(|c| c.up.remote_id == pluto_connections::Id::Null).count();
    BriefFacts {
        cookies_required: g.listener.cookies,
        accepting: g.listener.listening && g.listener.half_open < g.listener.most_half_open,
        ike_total: count(ikes().count()),
        ike_half_open: count(of(Unestablished::HalfOpen)),
        ike_open: count(of(Unestablished::Open)),
        ike_authenticated: count(established.saturating_sub(anonymous)),
        ike_anonymous: count(anonymous),
        child_total: count(g.children.len()),
        child_authenticated: count(g.children.len().saturating_sub(nobody)),
        child_anonymous: count(nobody),
    }
}

#[cfg(test)]
mod tests {
    use super::Unestablished;

    /// libreswan's classes of states; a responder's AUTH is checked in `IKE_SA_INIT_R`.
    #[test]
    fn who_has_not_been_answered_or_has_not_proved_who_he_is_is_half_open() {
        use Unestablished::{HalfOpen, Neither, Open};
        for (state, initiator, kind) in [
            ("UNSECURED_R", false, HalfOpen),
            ("IKE_SA_INIT_R", false, HalfOpen),
            ("ZOMBIE", false, HalfOpen),
            ("IKE_SA_INIT_I0", true, Neither),
            ("IKE_SA_INIT_I", true, HalfOpen),
            ("IKE_SA_INIT_IR", true, Open),
            ("IKE_AUTH_I", true, Open),
            ("ZOMBIE", true, Neither),
        ] {
            assert_eq!(Unestablished::of(state, initiator), kind, "{state}");
        }
    }
}
