//! Which secret fits a pair of identities, without looking at all of them: a gateway may
//! have one for each of ten thousand peers.

use crate::Id;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Numbers of records, ascending: the order of the files.
type Numbers = Vec<usize>;

/// A wildcard of one address family.
#[derive(Debug, Clone, Default)]
struct Wildcard {
    /// All records that have it.
    all: Numbers,
    /// Those that have an identity besides, by that.
    by_id: FxHashMap<Id, Numbers>,
}

/// The records of one kind of secret by what they are for. Identities are canonical.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    by_id: FxHashMap<Id, Numbers>,
    any4: Wildcard,
    any6: Wildcard,
    /// The first record that consists of this one identity.
    sole: FxHashMap<Id, usize>,
    /// The first record without any.
    default: Option<usize>,
}

/// What stands before the colon.
#[derive(Debug, Clone, Default)]
pub(super) struct Selectors {
    pub(super) ids: Vec<Id>,
    pub(super) any4: bool,
    pub(super) any6: bool,
    /// How many were written, those that could not be read included.
    pub(super) written: usize,
}

const NONE: &[usize] = &[];

fn numbers<'a>(map: &'a FxHashMap<Id, Numbers>, id: &Id) -> &'a [usize] {
    map.get(id).map_or(NONE, Vec::as_slice)
}

fn has(numbers: &[usize], number: usize) -> bool {
    numbers.binary_search(&number).is_ok()
}

/// Adds the greatest number so far, once.
fn push(numbers: &mut Numbers, number: usize) {
    if numbers.last() != Some(&number) {
        numbers.push(number);
    }
}

impl Index {
    /// Adds a record; `number` is greater than all before.
    pub(super) fn add(&mut self, number: usize, selectors: &Selectors) {
        let ids: Vec<Id> = selectors.ids.iter().map(Id::canonical).collect();
        if selectors.written == 0 {
            self.default.get_or_insert(number);
        }
        if let ([id], 1) = (ids.as_slice(), selectors.written) {
            self.sole.entry(id.clone()).or_insert(number);
        }
        let wildcards = [(selectors.any4, &mut self.any4), (selectors.any6, &mut self.any6)];
        for (_, wildcard) in wildcards.into_iter().filter(|(present, _)| *present) {
            push(&mut wildcard.all, number);
            for id in &ids {
                push(wildcard.by_id.entry(id.clone()).or_default(), number);
            }
        }
        for id in ids {
            push(self.by_id.entry(id).or_default(), number);
        }
    }

    /// The first record that names exactly this identity (and perhaps others).
    pub(super) fn exact(&self, id: &Id) -> Option<usize> {
        numbers(&self.by_id, &id.canonical()).first().copied()
    }

    /// The best record for a pair (reference: ipsec-secrets, 5). The combinations of what
    /// matches are tried from the best one down:
    ///
    /// | score | matches |
    /// |---|---|
    /// | 12 | both identities |
    /// | 10 | ours and a wildcard |
    /// | 9 | ours, which is the only one |
    /// | 8 | ours among several: only when the peer proves itself in another way |
    /// | 6 | the peer's and a wildcard |
    /// | 2 | a wildcard |
    /// | 1 | there is no index |
    ///
    /// All others do not count: the peer's alone, or both and a wildcard.
    pub(super) fn best(&self, local: &Id, remote: &Id, asymmetric: bool) -> Option<usize> {
        let (local, remote) = (&local.canonical(), &remote.canonical());
        let ours = numbers(&self.by_id, local);
        let theirs = numbers(&self.by_id, remote);
        // A wildcard of another family than the peer's address does not match.
        let wildcards = match remote {
            Id::Address(IpAddr::V4(_)) => [Some(&self.any4), None],
            Id::Address(IpAddr::V6(_)) => [None, Some(&self.any6)],
            _ => [Some(&self.any4), Some(&self.any6)],
        };
        let wild = |number: usize| wildcards.iter().flatten().any(|any| has(&any.all, number));
        let (few, many) = if ours.len() < theirs.len() { (ours, theirs) } else { (theirs, ours) };
        let both = few.iter().copied().find(|number| has(many, *number) && !wild(*number));
        let beside = |id: &Id, other: &[usize]| {
            let lists = wildcards.iter().flatten().map(|any| numbers(&any.by_id, id));
            let firsts =
                lists.filter_map(|list| list.iter().copied().find(|number| !has(other, *number)));
            firsts.min()
        };
        let wildcard_only = || {
            let lists = wildcards.iter().flatten().map(|any| any.all.as_slice());
            let other = |number: &usize| !has(ours, *number) && !has(theirs, *number);
            lists.filter_map(|list| list.iter().copied().find(other)).min()
        };
        let ours_alone = || {
            let alone = |number: &usize| !has(theirs, *number) && !wild(*number);
            ours.iter().copied().find(alone)
        };
        // Where both identities are the same, a record of it matches both.
        both.or_else(|| beside(local, theirs))
            .or_else(|| self.sole.get(local).copied())
            .or_else(|| asymmetric.then(ours_alone).flatten())
            .or_else(|| beside(remote, ours))
            .or_else(wildcard_only)
            .or(self.default)
    }
}
