//! A listing's parts in its order, each made of facts on its own.

use super::{Gathered, brief, connection, daemon, sa, tree};
use crate::supervisor::Settings;
use pluto_whack::Listing;
use pluto_whack::report::{Item, PskFacts};
use std::iter;
use std::ops::Range;

/// A part; a range is of places in what was [`Gathered`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Daemon,
    Fips,
    Connections(Range<usize>),
    Totals,
    Brief,
    /// IKE SAs, each with its Child SAs; of one that the listing is not about, these alone.
    Sas(Range<usize>),
    /// Child SAs alone.
    Children(Range<usize>),
    Pools,
    Counters,
    Psks,
    Events,
    /// The actors that are always there.
    Actors,
    ConnectionActors(Range<usize>),
    IkeActors(Range<usize>),
    ChildActors(Range<usize>),
}

/// The parts of a listing.
pub(super) fn of(what: Listing, g: &Gathered) -> Vec<Part> {
    let connections = || Part::Connections(0..g.connections.len());
    let sas = || Part::Sas(0..g.ikes.len());
    let children = || Part::Children(0..g.children.len());
    match what {
        Listing::Status => vec![
            Part::Daemon,
            connections(),
            Part::Totals,
            Part::Brief,
            sas(),
            Part::Actors,
            Part::ConnectionActors(0..g.connections.len()),
            Part::IkeActors(0..g.ikes.len()),
            Part::ChildActors(0..g.children.len()),
        ],
        Listing::BriefStatus => vec![Part::Brief],
        Listing::GlobalStatus => vec![Part::Counters],
        Listing::TrafficStatus => vec![children()],
        Listing::ConnectionStatus => vec![connections(), Part::Totals],
        Listing::BriefConnectionStatus => vec![connections(), children(), Part::Totals],
        Listing::AddressPoolStatus => vec![Part::Pools],
        Listing::FipsStatus => vec![Part::Fips],
        Listing::ShowStates => vec![sas()],
        Listing::ListPsks | Listing::ListAll => vec![Part::Psks],
        Listing::ListEvents => vec![Part::Events],
        _ => Vec::new(),
    }
}

impl Part {
    /// The same in slices of at most so many connections; of what has less to say, of more.
    pub(super) fn slices(self, most: usize) -> Vec<Self> {
        let cut = |range: Range<usize>, part: fn(Range<usize>) -> Self, most: usize| {
            let end = range.end;
            let starts = range.step_by(most.max(1));
            starts.map(|start| part(start..end.min(start.saturating_add(most)))).collect()
        };
        let slices = |range, part| cut(range, part, most);
        let short = |range, part| cut(range, part, most.saturating_mul(4));
        let lines = |range, part| cut(range, part, most.saturating_mul(16));
        match self {
            Self::Connections(range) => slices(range, Self::Connections),
            Self::Sas(range) => short(range, Self::Sas),
            Self::Children(range) => short(range, Self::Children),
            Self::ConnectionActors(range) => lines(range, Self::ConnectionActors),
            Self::IkeActors(range) => lines(range, Self::IkeActors),
            Self::ChildActors(range) => lines(range, Self::ChildActors),
            other => vec![other],
        }
    }

    /// Its facts.
    pub(super) fn items<'a>(
        self,
        g: &'a Gathered,
        settings: &'a Settings,
    ) -> Box<dyn Iterator<Item = Item> + 'a> {
        match self {
            Self::Daemon => one(move || daemon::facts(g, settings)),
            Self::Fips => one(daemon::fips),
            Self::Connections(range) => {
                each(&g.connections, range, move |view| connection::facts(view, g))
            }
            Self::Totals => one(move || g.totals),
            Self::Brief => one(move || brief(g)),
            Self::Sas(range) => {
                let ikes = g.ikes.get(range).unwrap_or_default();
                Box::new(ikes.iter().flat_map(move |view| {
                    let own = g.lists(view).then(|| Item::from(sa::ike(view, g)));
                    let larval = sa::larval(view, g).into_iter().map(Item::from);
                    let pending = sa::pending(view, g).map(Item::from);
                    let children = g.children_of(view.serial);
                    let children = children.map(move |child| Item::from(sa::child(child, g)));
                    own.into_iter().chain(larval).chain(children).chain(pending)
                }))
            }
            Self::Children(range) => each(&g.children, range, move |view| sa::child(view, g)),
            Self::Pools => Box::new(g.pools.iter().cloned().map(Item::from)),
            Self::Counters => Box::new(sa::counters(g, settings).into_iter().map(Item::from)),
            Self::Psks => Box::new(psks(g, settings).map(Item::from)),
            Self::Events => Box::new(sa::events(g).into_iter().map(Item::from)),
            Self::Actors => Box::new(tree::fixed(g).into_iter().map(Item::from)),
            Self::ConnectionActors(range) => each(&g.connections, range, tree::connection),
            Self::IkeActors(range) => {
                let ikes = g.ikes.get(range).unwrap_or_default().iter();
                let listed = ikes.filter(move |view| g.lists(view));
                Box::new(listed.map(|view| Item::from(tree::ike(view))))
            }
            Self::ChildActors(range) => each(&g.children, range, tree::child),
        }
    }
}

fn one<'a, F: Into<Item>>(facts: impl FnOnce() -> F + 'a) -> Box<dyn Iterator<Item = Item> + 'a> {
    Box::new(iter::once_with(|| facts().into()))
}

fn each<'a, V, F: Into<Item>>(
    views: &'a [V],
    range: Range<usize>,
    facts: impl Fn(&'a V) -> F + 'a,
) -> Box<dyn Iterator<Item = Item> + 'a> {
    Box::new(views.get(range).unwrap_or_default().iter().map(move |view| facts(view).into()))
}

fn psks<'a>(g: &'a Gathered, settings: &'a Settings) -> impl Iterator<Item = PskFacts> + 'a {
    g.secrets.iter().map(|(line, kind, ids)| PskFacts {
        file: settings.setup.secretsfile.clone(),
        line: u64::try_from(*line).unwrap_or(u64::MAX),
        secret: kind.clone(),
        ids: ids.split_whitespace().map(ToString::to_string).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn slices_cover_a_part_once_and_in_order() {
        let slices = Part::Connections(0..300).slices(128);
        let ranges = [0..128, 128..256, 256..300].map(Part::Connections);
        assert_eq!(slices, ranges);
        assert_eq!(Part::Sas(0..0).slices(128), []);
        assert_eq!(Part::Brief.slices(128), [Part::Brief]);
    }
}
