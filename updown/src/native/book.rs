//! What route has added for whom, so that unroute removes exactly that.

use super::{Route, Work};
use std::collections::{BTreeMap, HashMap};

/// Routes and source addresses by connection. What several connections have added is
/// removed with the last of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    of: BTreeMap<u64, Vec<Work>>,
    owners: HashMap<Work, usize>,
}

/// A change of the book, which is in it already: what it takes to make it true, and what
/// was written before, in case it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is to be done, in this order; empty when there is nothing to do.
    pub work: Vec<Work>,
    connection: u64,
    before: Vec<Work>,
}

impl Book {
    /// A connection wants this added, and nothing that it had before besides.
    pub fn want(&mut self, connection: u64, wanted: Vec<Work>) -> Change {
        let before = self.take(connection);
        let there = |work: &&Work| before.contains(work) || self.has(work);
        let mut work: Vec<Work> = wanted.iter().filter(|new| !there(new)).cloned().collect();
        self.put(connection, wanted.clone());
        let gone = before.iter().rev().filter(|old| !self.is_wanted(old, &wanted));
        work.extend(gone.map(Work::undone));
        Change { work, connection, before }
    }

    /// A connection wants nothing any more.
    pub fn drop_all(&mut self, connection: u64) -> Change {
        self.want(connection, Vec::new())
    }

    /// A connection wants its source addresses still, but no routes for the moment.
    pub fn drop_routes(&mut self, connection: u64) -> Change {
        let is_route = |work: &&Work| matches!(work, Work::AddRoute(_) | Work::RemoveRoute(_));
        let kept = self.of(connection).iter().filter(|work| !is_route(work)).cloned();
        let kept = kept.collect();
        self.want(connection, kept)
    }

    /// The change has failed and everything is as before.
    pub fn restore(&mut self, change: Change) {
        self.take(change.connection);
        self.put(change.connection, change.before);
    }

    /// What a connection has.
    #[must_use]
    pub fn of(&self, connection: u64) -> &[Work] {
        self.of.get(&connection).map_or(&[], Vec::as_slice)
    }

    /// Whether some connection has added it.
    #[must_use]
    pub fn has(&self, work: &Work) -> bool {
        self.owners.contains_key(work)
    }

    /// Whether no connection has anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty() && self.owners.is_empty()
    }

    /// Whether somebody has it still, or a route has taken its place.
    fn is_wanted(&self, old: &Work, wanted: &[Work]) -> bool {
        self.has(old) || wanted.iter().any(|new| replaces(new, old))
    }

    fn take(&mut self, connection: u64) -> Vec<Work> {
        let had = self.of.remove(&connection).unwrap_or_default();
        for work in &had {
            if let Some(owners) = self.owners.get_mut(work) {
                *owners = owners.saturating_sub(1);
                if *owners == 0 {
                    self.owners.remove(work);
                }
            }
        }
        had
    }

    fn put(&mut self, connection: u64, all: Vec<Work>) {
        if all.is_empty() {
            return;
        }
        for work in &all {
            let owners = self.owners.entry(work.clone()).or_default();
            *owners = owners.saturating_add(1);
        }
        self.of.insert(connection, all);
    }
}

/// The kernel knows a route by destination and metric: adding another replaces it.
fn replaces(new: &Work, old: &Work) -> bool {
    let key = |route: &Route| (route.destination, route.metric);
    matches!((new, old), (Work::AddRoute(new), Work::AddRoute(old)) if key(new) == key(old))
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
        let again = book.want(7, vec![address(1), route(2, Some(1))]);
        assert_eq!(again.work, [route(2, Some(1))]);
        assert_eq!(book.drop_all(7).work.len(), 2);
    }

    #[test]
    fn what_is_there_is_not_added_again() {
        let mut book = Book::default();
        let wanted = vec![address(1), route(2, Some(1))];
        book.want(7, wanted.clone());
        assert_eq!(book.want(7, wanted).work, []);
    }

    #[test]
    fn a_shared_address_goes_with_its_last_owner() {
        let mut book = Book::default();
        book.want(1, vec![address(1), route(2, Some(1))]);
        let second = book.want(2, vec![address(1), route(3, Some(1))]);
        assert_eq!(second.work, [route(3, Some(1))], "the address is there");
        assert_eq!(book.drop_all(1).work, [route(2, Some(1)).undone()]);
        assert_eq!(book.drop_all(2).work, [route(3, Some(1)).undone(), address(1).undone()]);
        assert!(book.is_empty());
    }

    #[test]
    fn a_route_that_changes_is_replaced_and_not_removed() {
        let mut book = Book::default();
        book.want(1, vec![address(1), route(2, Some(1))]);
        let change = book.want(1, vec![address(9), route(2, Some(9))]);
        assert_eq!(change.work, [address(9), route(2, Some(9)), address(1).undone()]);
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
    }
}
