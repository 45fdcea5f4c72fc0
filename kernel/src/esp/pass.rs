//! Traffic that policies let pass in the clear. Out of the device it cannot leave any more, so
//! it must not come into it, though a tunnel's route may cover it: a rule before that of the
//! tunnels' routes leads it to the main table.
//!
//! Rules know no priorities of policies. So there is none where a better policy of another
//! kind covers some of the same traffic, lest that leave in the clear; what of such a pass
//! policy's traffic is routed into the device is dropped and counted.

use super::rule;
use crate::interfaces::Host;
use crate::{Ledger, PolicyChange, PolicyKey, PolicyShape, PolicyUse, Traffic};
use rustc_hash::FxHashSet;
use std::net::IpAddr;

/// Pass policies, and the rules that there are for them.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    policies: FxHashSet<PolicyKey>,
    rules: FxHashSet<PolicyKey>,
}

impl Passes {
    /// Takes notice of a policy's change.
    pub(crate) fn note(&mut self, change: &PolicyChange) {
        if change.after.is_some_and(passes) {
            self.policies.insert(change.key);
        } else {
            self.policies.remove(&change.key);
        }
    }

    /// Begins anew with these policies.
    pub(crate) fn adopt(&mut self, ledger: &Ledger) {
        let all = ledger.policies().filter(|(_, shape)| passes(*shape));
        self.policies = all.map(|(key, _)| key).collect();
    }

    /// Brings the rules up to date. What the system refuses is left out: its traffic is
    /// dropped and counted.
    pub(crate) fn keep(&mut self, host: &mut Host, ledger: &Ledger) {
        if self.policies.is_empty() && self.rules.is_empty() || host.table == 0 {
            return;
        }
        let wanted = wanted(ledger);
        let gone: Vec<PolicyKey> = self.rules.difference(&wanted).copied().collect();
        for key in gone {
            let _ = rule::remove_pass(host, &key);
            self.rules.remove(&key);
        }
        let new: Vec<PolicyKey> = wanted.difference(&self.rules).copied().collect();
        for key in new {
            if rule::add_pass(host, &key).is_ok() {
                self.rules.insert(key);
            }
        }
    }
}

fn passes(shape: PolicyShape) -> bool {
    shape.does == PolicyUse::Pass
}

/// Pass policies that no better policy of another kind overlaps.
fn wanted(ledger: &Ledger) -> FxHashSet<PolicyKey> {
    let (pass, other): (Vec<_>, Vec<_>) = ledger.policies().partition(|(_, s)| passes(*s));
    let better = |key: &PolicyKey, shape: &PolicyShape| {
        other.iter().any(|(than, by)| by.priority <= shape.priority && overlaps(key, than))
    };
    let best = pass.iter().filter(|(key, shape)| rule::can_say(key) && !better(key, shape));
    best.map(|(key, _)| *key).collect()
}

/// By addresses alone: it is better to see too many than too few.
fn overlaps(a: &PolicyKey, b: &PolicyKey) -> bool {
    meet(&a.local, &b.local) && meet(&a.remote, &b.remote)
}

fn meet(a: &Traffic, b: &Traffic) -> bool {
    let (bits, difference) = match (a.network, b.network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (32_u32, u128::from(a.to_bits() ^ b.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(b)) => (128, a.to_bits() ^ b.to_bits()),
        _ => return false,
    };
    let free = bits.saturating_sub(u32::from(a.prefix.min(b.prefix)));
    difference.checked_shr(free).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PolicyAction, PolicySpec, TrafficPair};

    fn side(text: &str, prefix: u8) -> Traffic {
        Traffic { network: text.parse().unwrap(), prefix, protocol: 0, port: (0, 0) }
    }

    fn claim(ledger: &mut Ledger, owner: u64, action: PolicyAction, to: (&str, u8), priority: u32) {
        let (local, remote) = (side("10.1.0.0", 16), side(to.0, to.1));
        let spec = PolicySpec {
            action,
            traffic: vec![TrafficPair { local, remote, priority }],
            transport: false,
            protocol: pluto_wire::numbers::ProtocolId::ESP,
            local: "192.0.2.1".parse().unwrap(),
            remote: "192.0.2.2".parse().unwrap(),
            reqid: 1,
            mark_in: None,
            mark_out: None,
            if_id: 0,
        };
        ledger.replace_claims(owner, &crate::policy::bare_policies(&spec));
    }

    #[test]
    fn a_pass_policy_gets_a_rule_where_nothing_better_overlaps_it() {
        use PolicyAction::{Block, Pass, Trap};
        let mut ledger = Ledger::default();
        claim(&mut ledger, 1, Trap, ("10.0.0.0", 8), 200);
        claim(&mut ledger, 2, Pass, ("10.2.3.0", 24), 100);
        claim(&mut ledger, 3, Pass, ("10.3.0.0", 16), 150);
        claim(&mut ledger, 4, Pass, ("2001:db8::", 32), 150);
        let remotes = |ledger: &Ledger| {
            let mut all: Vec<_> = wanted(ledger).iter().map(|key| key.remote.network).collect();
            all.sort();
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        // Sides of two families are no rule.
        assert_eq!(remotes(&ledger), ["10.2.3.0", "10.3.0.0"]);
        claim(&mut ledger, 5, Block, ("10.3.4.0", 24), 150);
        assert_eq!(remotes(&ledger), ["10.2.3.0"]);
        claim(&mut ledger, 5, Pass, ("10.3.4.0", 24), 150);
        assert_eq!(remotes(&ledger), ["10.2.3.0", "10.3.0.0", "10.3.4.0"]);
    }

    #[test]
    fn prefixes_meet_where_one_is_within_the_other() {
        assert!(meet(&side("0.0.0.0", 0), &side("10.0.0.0", 8)));
        assert!(meet(&side("10.1.0.0", 16), &side("10.0.0.0", 8)));
        assert!(!meet(&side("10.1.0.0", 16), &side("10.2.0.0", 16)));
        assert!(meet(&side("::", 0), &side("2001:db8::", 32)));
        assert!(!meet(&side("::", 0), &side("10.0.0.0", 8)));
    }
}
