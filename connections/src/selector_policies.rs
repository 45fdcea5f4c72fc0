//! Selectors as the policies of a kernel have them: prefixes, and ports with masks.
//!
//! A Child SA needs policies between each part of our selectors and each of the peer's that
//! goes with it. A few selectors can be written so that these are millions, so they are counted
//! before they are made, and both are done here from the same blocks.

use crate::Selector;
use crate::selector::{blocks, low_mask};
use std::net::IpAddr;

/// A part of a selector: as much as one side of a policy can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SelectorPart {
    /// The network.
    pub network: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// Port and mask; (0, 0) is any.
    pub port: (u16, u16),
}

/// Ports as (port, mask): the fewest that make up the range. OPAQUE is any, for a policy
/// cannot say it.
fn port_masks(selector: &Selector) -> impl Iterator<Item = (u16, u16)> + use<> {
    let (start, end) = match (selector.start_port, selector.end_port) {
        (start, end) if start > end => (0, u16::MAX),
        ports => ports,
    };
    blocks(start.into(), end.into(), u16::BITS).map(|(first, size)| {
        let low = |number: u128| u16::try_from(number).unwrap_or(u16::MAX);
        (low(first), !low(low_mask(size)))
    })
}

impl Selector {
    /// All its parts, in order: each prefix with each mask of ports.
    #[must_use]
    pub fn parts(&self) -> Vec<SelectorPart> {
        let ports: Vec<(u16, u16)> = port_masks(self).collect();
        let of = |(network, prefix)| {
            let protocol = self.protocol;
            ports.iter().map(move |&port| SelectorPart { network, prefix, protocol, port })
        };
        self.addresses.prefixes().into_iter().flat_map(of).collect()
    }

    /// How many parts it has. At most 1,860 for IPv4 and 7,620 for IPv6.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.addresses.blocks().count().saturating_mul(port_masks(self).count())
    }
}

/// What the policies of a Child SA are for: each part of ours with each part of the peer's,
/// where there can be traffic between the two ([`Selector::pairs_with`]).
#[must_use]
pub fn policy_pairs(local: &[Selector], remote: &[Selector]) -> Vec<(SelectorPart, SelectorPart)> {
    let parts = |selectors: &[Selector]| -> Vec<(Selector, Vec<SelectorPart>)> {
        selectors.iter().map(|selector| (*selector, selector.parts())).collect()
    };
    let remotes = parts(remote);
    let mut pairs = Vec::new();
    for (local, ours) in parts(local) {
        for part in ours {
            let fitting = remotes.iter().filter(|(remote, _)| local.pairs_with(remote));
            pairs.extend(fitting.flat_map(|(_, theirs)| theirs).map(|their| (part, *their)));
        }
    }
    pairs
}

/// How many pairs [`policy_pairs`] makes, without making them.
#[must_use]
pub fn count_policy_pairs(local: &[Selector], remote: &[Selector]) -> usize {
    let remotes: Vec<(&Selector, usize)> = remote.iter().map(|r| (r, r.part_count())).collect();
    let of = |local: &Selector| {
        let fitting = remotes.iter().filter(|(remote, _)| local.pairs_with(remote));
        let theirs = fitting.map(|(_, count)| *count).fold(0_usize, usize::saturating_add);
        local.part_count().saturating_mul(theirs)
    };
    local.iter().map(of).fold(0_usize, usize::saturating_add)
}

#[cfg(test)]
#[path = "selector_policies_tests.rs"]
mod tests;
