//! What route has added for whom, so that unroute removes exactly that.

use super::{Route, Work};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// What the kernel knows a route by, destination and metric: adding another replaces it.
type Place = ((IpAddr, u8), u32);

/// Routes and source addresses by connection. What several connections have added is
/// removed with the last of them; of routes for the same place the newest one stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    of: BTreeMap<u64, Vec<Work>>,
    /// Whose routes, in the order in which they came.
    routes: HashMap<Place, Vec<(u64, Route)>>,
    addresses: HashMap<(IpAddr, String), BTreeSet<u64>>,
}

/// A change of the book, which is in it already: what it takes to make it true, and what
/// was written before, in case it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is to be done, in this order; empty when there is nothing to do.
    pub work: Vec<Work>,
    connection: u64,
    before: Vec<Had>,
}

/// What a connection had.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Had {
    work: Work,
    /// Which of the routes for its place it was.
    at: usize,
    /// It was the last of them.
    stood: bool,
}

impl Book {
    /// A connection wants this added, and nothing that it had before besides. What it has is
    /// added again: the system may have dropped it, with an interface for example.
    pub fn want(&mut self, connection: u64, wanted: Vec<Work>) -> Change {
        let work = wanted.iter().map(|new| self.adding(new)).collect();
        self.change(connection, wanted, work)
    }

    /// A connection wants nothing any more.
    pub fn drop_all(&mut self, connection: u64) -> Change {
        self.change(connection, Vec::new(), Vec::new())
    }

    /// A connection wants its source addresses still, but no routes for the moment.
    pub fn drop_routes(&mut self, connection: u64) -> Change {
        let is_address = |work: &&Work| matches!(work, Work::AddAddress { .. });
        let kept = self.of(connection).iter().filter(is_address).cloned().collect();
        self.change(connection, kept, Vec::new())
    }

    /// What adds once more all that a connection has, but for routes in whose place another
    /// one's stands.
    #[must_use]
    pub fn again(&self, connection: u64) -> Vec<Work> {
        let stands = |work: &&Work| match work {
            Work::AddRoute(route) => self.standing(route) == Some(route),
            _ => true,
        };
        self.of(connection).iter().filter(stands).map(|work| self.adding(work)).collect()
    }

    /// The change has failed and everything is as before.
    pub fn restore(&mut self, change: Change) {
        self.take(change.connection);
        self.put(change.connection, change.before.into_iter().map(|had| (had.work, had.at)));
    }

    /// What a connection has.
    #[must_use]
    pub fn of(&self, connection: u64) -> &[Work] {
        self.of.get(&connection).map_or(&[], Vec::as_slice)
    }

    /// Whether some connection has added it.
    #[must_use]
    pub fn has(&self, work: &Work) -> bool {
        match work {
            Work::AddRoute(route) => {
                let all = self.routes.get(&place(route));
                all.is_some_and(|all| all.iter().any(|(_, had)| had == route))
            }
            Work::AddAddress { address, interface } => self.has_address(*address, interface),
            _ => false,
        }
    }

    /// Whether no connection has anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty() && self.routes.is_empty() && self.addresses.is_empty()
    }

    fn has_address(&self, address: IpAddr, interface: &str) -> bool {
        self.addresses.contains_key(&(address, interface.to_owned()))
    }

    /// The route that stands in the place of this one.
    fn standing(&self, route: &Route) -> Option<&Route> {
        self.routes.get(&place(route))?.last().map(|(_, standing)| standing)
    }

    /// What adds it, whatever is there.
    fn adding(&self, new: &Work) -> Work {
        match new {
            Work::AddRoute(by) => match self.standing(by) {
                Some(was) => Work::ReplaceRoute { was: was.clone(), by: by.clone() },
                None => new.clone(),
            },
            Work::AddAddress { address, interface } if self.has_address(*address, interface) => {
                Work::KeepAddress { address: *address, interface: interface.clone() }
            }
            other => other.clone(),
        }
    }

    /// Writes down that a connection has `wanted`, which `work` adds, and nothing else.
    fn change(&mut self, connection: u64, wanted: Vec<Work>, mut work: Vec<Work>) -> Change {
        let before = self.take(connection);
        self.put(connection, wanted.into_iter().map(|new| (new, usize::MAX)));
        // What was added last goes first: routes before the addresses that they name.
        work.extend(before.iter().rev().filter_map(|had| self.removing(connection, had)));
        Change { work, connection, before }
    }

    /// What removes something that a connection had, if it is to be removed.
    fn removing(&self, connection: u64, had: &Had) -> Option<Work> {
        match &had.work {
            Work::AddRoute(from) => {
                let all = self.routes.get(&place(from));
                let replaced = all.is_some_and(|all| all.iter().any(|(of, _)| *of == connection));
                if !had.stood || replaced {
                    return None;
                }
                match self.standing(from) {
                    None => Some(Work::RemoveRoute(from.clone())),
                    Some(to) if to == from => None,
                    Some(to) => Some(Work::HandOver { from: from.clone(), to: to.clone() }),
                }
            }
            Work::AddAddress { address, interface } if !self.has_address(*address, interface) => {
                Some(had.work.undone())
            }
            _ => None,
        }
    }

    fn take(&mut self, connection: u64) -> Vec<Had> {
        let mut all = Vec::new();
        for work in self.of.remove(&connection).unwrap_or_default() {
            let (mut at, mut stood) = (0, true);
            match &work {
                Work::AddRoute(route) => {
                    let place = place(route);
                    if let Some(routes) = self.routes.get_mut(&place) {
                        at = routes.iter().position(|(of, _)| *of == connection).unwrap_or(0);
                        stood = routes.last().is_some_and(|(of, _)| *of == connection);
                        routes.retain(|(of, _)| *of != connection);
                        if routes.is_empty() {
                            self.routes.remove(&place);
                        }
                    }
                }
                Work::AddAddress { address, interface } => {
                    let name = (*address, interface.clone());
                    if let Some(owners) = self.addresses.get_mut(&name) {
                        owners.remove(&connection);
                        if owners.is_empty() {
                            self.addresses.remove(&name);
                        }
                    }
                }
                _ => {}
            }
            all.push(Had { work, at, stood });
        }
        all
    }

    /// Writes down what a connection has: of routes, which they are of those for their place.
    fn put(&mut self, connection: u64, all: impl Iterator<Item = (Work, usize)>) {
        let mut has = Vec::new();
        for (work, at) in all {
            match &work {
                Work::AddRoute(route) => {
                    let routes = self.routes.entry(place(route)).or_default();
                    routes.insert(at.min(routes.len()), (connection, route.clone()));
                }
                Work::AddAddress { address, interface } => {
                    let name = (*address, interface.clone());
                    self.addresses.entry(name).or_default().insert(connection);
                }
                _ => {}
            }
            has.push(work);
        }
        if !has.is_empty() {
            self.of.insert(connection, has);
        }
    }
}

fn place(route: &Route) -> Place {
    (route.destination, route.metric)
}

#[cfg(test)]
mod tests {
    use super::Book;
    use crate::native::{Route, Work};
    use std::net::IpAddr;

    fn route(n: u8, source: Option<u8>) -> Work {
        let source = source.map(|last| IpAddr::from([10, 1, 0, last]));
        Work::AddRoute(Route {
            destination: (IpAddr::from([10, n, 0, 0]), 24),
            interface: "eth0".into(),
            gateway: None,
            source,
            metric: 0,
            mtu: 0,
        })
    }

    fn address(last: u8) -> Work {
        Work::AddAddress { address: IpAddr::from([10, 1, 0, last]), interface: "eth0".into() }
    }

    fn kept(last: u8) -> Work {
        Work::KeepAddress { address: IpAddr::from([10, 1, 0, last]), interface: "eth0".into() }
    }

    fn of(work: &Work) -> Route {
        match work {
            Work::AddRoute(route) => route.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn replaced(was: &Work, by: &Work) -> Work {
        Work::ReplaceRoute { was: of(was), by: of(by) }
    }

    fn handed_over(from: &Work, to: &Work) -> Work {
        Work::HandOver { from: of(from), to: of(to) }
    }

    #[test]
    fn what_was_added_is_removed_in_reverse() {
        let mut book = Book::default();
        let wanted = vec![address(1), route(2, Some(1)), route(3, Some(1))];
        assert_eq!(book.want(7, wanted.clone()).work, wanted);
        let removed = vec![wanted[2].undone(), wanted[1].undone(), wanted[0].undone()];
        assert_eq!(book.drop_all(7).work, removed);
        assert!(book.is_empty());
        assert_eq!(book.drop_all(7).work, []);
    }

    #[test]
    fn the_source_address_stays_while_a_tunnel_moves() {
        let mut book = Book::default();
        book.want(7, vec![address(1), route(2, Some(1))]);
        assert_eq!(book.drop_routes(7).work, [route(2, Some(1)).undone()]);
        // Meanwhile it may have gone, with its interface.
        let again = book.want(7, vec![address(1), route(2, Some(1))]);
        assert_eq!(again.work, [kept(1), route(2, Some(1))]);
        assert_eq!(book.drop_all(7).work.len(), 2);
        assert!(book.is_empty());
    }

    #[test]
    fn what_should_be_there_is_added_again_and_removed_once() {
        let mut book = Book::default();
        let wanted = vec![address(1), route(2, Some(1))];
        book.want(7, wanted.clone());
        let again = [kept(1), replaced(&wanted[1], &wanted[1])];
        assert_eq!(book.again(7), again);
        assert_eq!(book.want(7, wanted.clone()).work, again);
        assert_eq!(book.drop_all(7).work, [wanted[1].undone(), wanted[0].undone()]);
        assert!(book.is_empty() && book.again(7).is_empty());
    }

    #[test]
    fn of_routes_to_one_place_the_newest_stands_and_the_one_before_it_comes_back() {
        let mut book = Book::default();
        let [first, second, third] = [1, 2, 3].map(|last| route(2, Some(last)));
        book.want(1, vec![first.clone()]);
        assert_eq!(book.want(2, vec![second.clone()]).work, [replaced(&first, &second)]);
        assert_eq!(book.want(3, vec![third.clone()]).work, [replaced(&second, &third)]);
        assert!([&first, &second, &third].iter().all(|all| book.has(all)));
        assert_eq!(book.again(1), [], "another one's stands");
        assert_eq!(book.drop_all(2).work, [], "it does not stand");
        assert_eq!(book.drop_all(3).work, [handed_over(&third, &first)]);
        assert_eq!(book.drop_all(1).work, [first.undone()]);
        assert!(book.is_empty());
    }

    #[test]
    fn who_asks_again_has_the_newest_route() {
        let mut book = Book::default();
        let [first, second] = [1, 2].map(|last| route(2, Some(last)));
        book.want(1, vec![first.clone()]);
        book.want(2, vec![second.clone()]);
        assert_eq!(book.want(1, vec![first.clone()]).work, [replaced(&second, &first)]);
        assert_eq!(book.drop_all(1).work, [handed_over(&first, &second)]);
        assert_eq!(book.drop_all(2).work, [second.undone()]);
    }

    #[test]
    fn routes_of_another_metric_are_others() {
        let mut book = Book::default();
        let with_metric = |metric| match route(2, None) {
            Work::AddRoute(route) => Work::AddRoute(Route { metric, ..route }),
            other => other,
        };
        book.want(1, vec![with_metric(5)]);
        assert_eq!(book.want(2, vec![with_metric(6)]).work, [with_metric(6)]);
        assert_eq!(book.drop_all(1).work, [with_metric(5).undone()]);
        assert_eq!(book.drop_all(2).work, [with_metric(6).undone()]);
    }

    #[test]
    fn a_shared_address_goes_with_its_last_owner() {
        let mut book = Book::default();
        book.want(1, vec![address(1), route(2, Some(1))]);
        let second = book.want(2, vec![address(1), route(3, Some(1))]);
        assert_eq!(second.work, [kept(1), route(3, Some(1))], "it has no more users in the kernel");
        assert_eq!(book.drop_all(1).work, [route(2, Some(1)).undone()]);
        assert_eq!(book.drop_all(2).work, [route(3, Some(1)).undone(), address(1).undone()]);
        assert!(book.is_empty());
    }

    #[test]
    fn a_route_that_changes_is_replaced_and_not_removed() {
        let mut book = Book::default();
        book.want(1, vec![address(1), route(2, Some(1))]);
        let change = book.want(1, vec![address(9), route(2, Some(9))]);
        let replaced = replaced(&route(2, Some(1)), &route(2, Some(9)));
        assert_eq!(change.work, [address(9), replaced, address(1).undone()]);
        assert_eq!(book.of(1), [address(9), route(2, Some(9))]);
    }

    #[test]
    fn a_change_that_failed_leaves_the_book_as_it_was() {
        let mut book = Book::default();
        book.want(1, vec![address(1), route(2, Some(1))]);
        let before = book.clone();
        let change = book.want(1, vec![route(3, None)]);
        book.restore(change);
        assert_eq!(book, before);
        let change = book.want(2, vec![address(1)]);
        book.restore(change);
        assert_eq!(book, before);
        book.want(2, vec![route(2, Some(2))]);
        let before = book.clone();
        let change = book.want(1, vec![address(1), route(2, Some(1))]);
        assert_ne!(book, before);
        book.restore(change);
        assert_eq!(book, before, "the other one's stands again");
    }
}
