use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};

fn range(text: &str) -> PoolRange {
    PoolRange::parse(text).unwrap()
}

fn id(name: &str) -> Id {
    Id::parse(&format!("@{name}")).unwrap()
}

struct Bench {
    pools: AddressPools,
    ranges: Vec<PoolRange>,
}

impl Bench {
    fn new(ranges: &[&str]) -> Self {
        let ranges: Vec<_> = ranges.iter().map(|text| range(text)).collect();
        let mut pools = AddressPools::default();
        pools.claim(ConnectionSerial(1_000), &ranges).unwrap();
        Self { pools, ranges }
    }

    fn ask(&mut self, who: &Id, holder: u64, takeover: bool) -> Result<Lease, LeaseError> {
        let (ranges, family) = (&self.ranges, Family::Ipv4);
        let holder = ConnectionSerial(holder);
        let request = LeaseRequest { ranges, family, identity: who, holder, takeover };
        self.pools.lease(&request)
    }

    fn lease(&mut self, name: &str, holder: u64) -> Result<String, LeaseError> {
        self.ask(&id(name), holder, false).map(|lease| lease.address.to_string())
    }
}

#[test]
fn ranges_are_from_to_or_networks_without_what_no_host_has() {
    for (text, expected, size) in [
        ("192.0.2.100-192.0.2.110", "192.0.2.100-192.0.2.110", 11),
        ("192.0.2.0/24", "192.0.2.1-192.0.2.254", 254),
        ("192.0.2.4/31", "192.0.2.4-192.0.2.5", 2),
        ("192.0.2.7/32", "192.0.2.7-192.0.2.7", 1),
        ("192.0.2.7", "192.0.2.7-192.0.2.7", 1),
        ("2001:db8::/112", "2001:db8::1-2001:db8::ffff", 65_535),
        ("2001:db8::5/128", "2001:db8::5-2001:db8::5", 1),
    ] {
        let range = range(text);
        assert_eq!((range.to_string().as_str(), range.size()), (expected, size), "{text}");
    }
    assert_eq!(PoolRange::parse("2001:db8::/56/64"), Err(None));
    for bad in ["", "x", "192.0.2.9-192.0.2.1", "0.0.0.0/0", "::/0", "224.0.0.0/8", "10.0.0.0/33"] {
        assert!(matches!(PoolRange::parse(bad), Err(Some(_))), "{bad}");
    }
}

#[test]
fn who_returns_gets_the_same_address_and_who_stays_keeps_it() {
    let mut bench = Bench::new(&["192.0.2.100-192.0.2.110"]);
    assert_eq!(bench.lease("a", 1).unwrap(), "192.0.2.100");
    assert_eq!(bench.lease("b", 2).unwrap(), "192.0.2.101");
    assert_eq!(bench.lease("a", 1).unwrap(), "192.0.2.100");
    assert!(bench.pools.release(ConnectionSerial(1)));
    assert!(!bench.pools.release(ConnectionSerial(1)));
    assert_eq!(bench.lease("c", 3).unwrap(), "192.0.2.102");
    assert_eq!(bench.lease("a", 4).unwrap(), "192.0.2.100");
}

#[test]
fn the_address_of_who_is_away_longest_goes_first_when_nothing_else_is_left() {
    let mut bench = Bench::new(&["192.0.2.1-192.0.2.2"]);
    bench.lease("a", 1).unwrap();
    bench.lease("b", 2).unwrap();
    assert_eq!(bench.lease("c", 3), Err(LeaseError::Exhausted(Family::Ipv4)));
    bench.pools.release(ConnectionSerial(2));
    bench.pools.release(ConnectionSerial(1));
    assert_eq!(bench.lease("c", 3).unwrap(), "192.0.2.2");
    assert_eq!(bench.lease("a", 4).unwrap(), "192.0.2.1");
    assert_eq!(bench.lease("b", 5), Err(LeaseError::Exhausted(Family::Ipv4)));
}

#[test]
fn nobody_who_is_away_loses_an_address_while_another_range_has_a_free_one() {
    let mut bench = Bench::new(&["192.0.2.1-192.0.2.2", "198.51.100.1-198.51.100.2"]);
    bench.lease("a", 1).unwrap();
    bench.lease("b", 2).unwrap();
    bench.pools.release(ConnectionSerial(1));
    bench.pools.release(ConnectionSerial(2));
    assert_eq!(bench.lease("c", 3).unwrap(), "198.51.100.1");
    assert_eq!(bench.lease("d", 4).unwrap(), "198.51.100.2");
    assert_eq!(bench.lease("a", 5).unwrap(), "192.0.2.1");
    assert_eq!(bench.lease("e", 6).unwrap(), "192.0.2.2", "b's: nothing else is left");
    assert_eq!(bench.lease("b", 7), Err(LeaseError::Exhausted(Family::Ipv4)));
}

#[test]
fn one_identity_twice_gets_two_addresses_or_takes_over() {
    let mut bench = Bench::new(&["192.0.2.1-192.0.2.9"]);
    assert_eq!(bench.lease("a", 1).unwrap(), "192.0.2.1");
    assert_eq!(bench.lease("a", 2).unwrap(), "192.0.2.2");
    let taken = bench.ask(&id("a"), 3, true).unwrap();
    assert_eq!(taken.address.to_string(), "192.0.2.1");
    assert_eq!(taken.taken_from, Some(ConnectionSerial(1)));
    // The loser gives nothing back when it ends.
    bench.pools.release(ConnectionSerial(1));
    assert_eq!(bench.pools.held_by(ConnectionSerial(3)), [taken.address]);
    assert_eq!(bench.lease("b", 4).unwrap(), "192.0.2.3");
    // Nobody in particular is nobody that returns.
    let first = bench.ask(&Id::Null, 5, true).unwrap();
    let second = bench.ask(&Id::Null, 6, true).unwrap();
    assert_ne!(first.address, second.address);
    assert_eq!(second.taken_from, None);
}

#[test]
fn several_ranges_are_used_one_after_the_other() {
    let mut bench = Bench::new(&["192.0.2.1", "2001:db8::/112", "198.51.100.1"]);
    assert_eq!(bench.lease("a", 1).unwrap(), "192.0.2.1");
    assert_eq!(bench.lease("b", 2).unwrap(), "198.51.100.1");
    assert_eq!(bench.lease("c", 3), Err(LeaseError::Exhausted(Family::Ipv4)));
    let request = LeaseRequest {
        ranges: &bench.ranges,
        family: Family::Ipv6,
        identity: &id("a"),
        holder: ConnectionSerial(1),
        takeover: false,
    };
    assert_eq!(bench.pools.lease(&request).unwrap().address.to_string(), "2001:db8::1");
    let none = LeaseRequest { ranges: &bench.ranges[..1], ..request };
    let none = LeaseRequest { holder: ConnectionSerial(9), ..none };
    assert_eq!(bench.pools.lease(&none), Err(LeaseError::NoPool(Family::Ipv6)));
    assert_eq!(bench.pools.held_by(ConnectionSerial(1)).len(), 2);
}

#[test]
fn equal_ranges_are_shared_and_overlapping_ones_refused_while_they_are_used() {
    let mut bench = Bench::new(&["192.0.2.1-192.0.2.9"]);
    bench.pools.claim(ConnectionSerial(2), &[range("192.0.2.1-192.0.2.9")]).unwrap();
    let partly = [range("192.0.2.5-192.0.2.20")];
    let refused = bench.pools.claim(ConnectionSerial(3), &partly);
    assert_eq!(refused, Err(range("192.0.2.1-192.0.2.9")));
    let around = [range("192.0.2.0-192.0.2.200")];
    assert!(bench.pools.claim(ConnectionSerial(3), &around).is_err());
    bench.pools.disclaim(ConnectionSerial(2));
    bench.pools.disclaim(ConnectionSerial(1_000));
    bench.pools.claim(ConnectionSerial(3), &partly).unwrap();
}

#[test]
fn a_pool_goes_when_no_connection_names_it_and_nobody_has_an_address_of_it() {
    let mut bench = Bench::new(&["192.0.2.1-192.0.2.9", "198.51.100.1"]);
    bench.pools.claim(ConnectionSerial(1_001), &bench.ranges).unwrap();
    bench.lease("a", 1).unwrap();
    bench.pools.disclaim(ConnectionSerial(1_000));
    assert_eq!(bench.pools.status().len(), 2, "another connection names them");
    bench.pools.disclaim(ConnectionSerial(1_001));
    assert_eq!(bench.pools.status().len(), 1, "one has a lease");
    bench.pools.release(ConnectionSerial(1));
    assert!(bench.pools.status().is_empty());
    // What is left over of a connection that is gone leaves nothing behind either.
    assert_eq!(bench.lease("b", 2).unwrap(), "192.0.2.2");
    assert_eq!(bench.pools.status().len(), 1);
    bench.pools.disclaim(ConnectionSerial(2));
    assert!(bench.pools.status().is_empty());
}

#[test]
fn a_pool_that_takes_anothers_place_knows_who_had_its_addresses() {
    let mut bench = Bench::new(&["192.0.2.10-192.0.2.20"]);
    assert_eq!(bench.lease("a", 1).unwrap(), "192.0.2.10");
    assert_eq!(bench.lease("b", 2).unwrap(), "192.0.2.11");
    bench.pools.release(ConnectionSerial(1));
    bench.pools.disclaim(ConnectionSerial(1_000));
    bench.pools.release(ConnectionSerial(2));
    assert_eq!(bench.pools.snapshot().leases.len(), 2, "they are still written");
    let replace = |bench: &mut Bench, text: &str, old: u64, new: u64| {
        bench.pools.disclaim(ConnectionSerial(old));
        bench.ranges = vec![range(text)];
        bench.pools.claim(ConnectionSerial(new), &bench.ranges).unwrap();
    };
    // The others wait for a pool that has their addresses.
    replace(&mut bench, "192.0.2.11-192.0.2.30", 1_000, 1_001);
    assert_eq!(bench.pools.status()[0].lingering, 1);
    assert_eq!(bench.pools.snapshot().leases.len(), 2);
    replace(&mut bench, "192.0.2.1-192.0.2.100", 1_001, 1_002);
    assert_eq!(bench.pools.status()[0].lingering, 2);
    assert_eq!(bench.lease("c", 3).unwrap(), "192.0.2.1");
    assert_eq!(bench.lease("b", 4).unwrap(), "192.0.2.11");
    assert_eq!(bench.lease("a", 5).unwrap(), "192.0.2.10");
}

#[test]
fn what_is_remembered_without_a_pool_has_a_bound() {
    let mut bench = Bench::new(&["192.0.2.1"]);
    let many = (1..).map(|n: u32| RememberedLease {
        identity: format!("FQDN @n{n}"),
        address: std::net::Ipv4Addr::from(0x0a00_0000 + n).into(),
    });
    bench.pools.restore(LeaseSnapshot { leases: many.take(MAX_LINGERING + 1).collect() });
    bench.lease("a", 1).unwrap();
    bench.pools.release(ConnectionSerial(1));
    bench.pools.disclaim(ConnectionSerial(1_000));
    assert_eq!(bench.pools.snapshot().leases.len(), MAX_LINGERING);
}

#[test]
fn a_snapshot_outlives_the_daemon_and_may_lie() {
    let mut bench = Bench::new(&["192.0.2.1-192.0.2.9"]);
    bench.lease("a", 1).unwrap();
    bench.lease("b", 2).unwrap();
    bench.pools.release(ConnectionSerial(1));
    let snapshot = bench.pools.snapshot();
    let text = serde_json::to_string(&snapshot).unwrap();
    let mut read: LeaseSnapshot = serde_json::from_str(&text).unwrap();
    assert_eq!(read, snapshot);
    let add = |leases: &mut Vec<RememberedLease>, identity: &str, address: &str| {
        let (identity, address) = (identity.to_owned(), address.parse().unwrap());
        leases.push(RememberedLease { identity, address });
    };
    add(&mut read.leases, "FQDN @liar", "192.0.2.1");
    add(&mut read.leases, "FQDN @liar", "203.0.113.1");
    add(&mut read.leases, "FQDN @liar", "::1");
    add(&mut read.leases, &"x".repeat(MAX_IDENTITY + 1), "192.0.2.5");
    let mut later = Bench::new(&["192.0.2.1-192.0.2.9"]);
    later.pools.restore(read.clone());
    assert_eq!(later.pools.status()[0].lingering, 2);
    assert_eq!(later.lease("c", 3).unwrap(), "192.0.2.3");
    assert_eq!(later.lease("b", 4).unwrap(), "192.0.2.2");
    assert_eq!(later.lease("a", 5).unwrap(), "192.0.2.1");
    // The file may be read before the connections are added.
    let mut early = AddressPools::default();
    early.restore(read);
    assert_eq!(
        early.snapshot().leases.len(),
        4,
        "one identity was too long, one address told twice"
    );
    let mut early = Bench { pools: early, ranges: later.ranges };
    assert_eq!(early.lease("b", 1).unwrap(), "192.0.2.2");
}

#[test]
fn status_counts_and_lists_in_order() {
    let mut bench = Bench::new(&["192.0.2.100-192.0.2.110"]);
    bench.lease("north", 3).unwrap();
    bench.lease("south", 4).unwrap();
    bench.pools.release(ConnectionSerial(4));
    let status = bench.pools.status().remove(0);
    assert_eq!((status.size, status.in_use, status.lingering), (11, 1, 1));
    let north = &status.leases[0];
    assert_eq!(north.holder, Some(ConnectionSerial(3)));
    assert_eq!(north.identity.as_deref(), Some("@north"));
    assert_eq!(status.leases[1].holder, None);
}

#[test]
fn a_huge_pool_costs_what_is_leased_of_it() {
    let mut bench = Bench::new(&["2001:db8::/32"]);
    for holder in 0..1_000 {
        let identity = id(&format!("n{holder}"));
        let request = LeaseRequest {
            ranges: &bench.ranges,
            family: Family::Ipv6,
            identity: &identity,
            holder: ConnectionSerial(holder),
            takeover: false,
        };
        bench.pools.lease(&request).unwrap();
    }
    assert_eq!(bench.pools.status()[0].leases.len(), 1_000);
}

#[derive(Debug, Clone)]
enum Step {
    Lease { who: u8, holder: u8, takeover: bool },
    Release { holder: u8 },
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..8, 0_u8..8, any::<bool>())
            .prop_map(|(who, holder, takeover)| Step::Lease { who, holder, takeover }),
        4 => (0_u8..8).prop_map(|holder| Step::Release { holder }),
        1 => Just(Step::Restore),
    ]
}

proptest! {
    /// Against a model that knows nothing but who holds what.
    #[test]
    fn no_address_is_held_twice_and_none_is_refused_while_one_is_free(
        steps in prop::collection::vec(step(), 1..200),
        size in 1_u8..8,
    ) {
        let mut bench = Bench::new(&[&format!("192.0.2.1-192.0.2.{size}")]);
        let mut model: HashMap<u8, IpAddr> = HashMap::new();
        for step in steps {
            match step {
                Step::Lease { who, holder, takeover } => {
                    let had = model.get(&holder).copied();
                    match bench.ask(&id(&format!("n{who}")), holder.into(), takeover) {
                        Ok(lease) => {
                            if let Some(had) = had {
                                prop_assert_eq!(lease.address, had);
                            }
                            if let Some(loser) = lease.taken_from {
                                prop_assert!(takeover);
                                let loser = u8::try_from(loser.0).unwrap();
                                prop_assert_eq!(model.remove(&loser), Some(lease.address));
                            }
                            let others = model.iter().filter(|(h, _)| **h != holder);
                            prop_assert!(!others.map(|(_, a)| *a).any(|a| a == lease.address));
                            model.insert(holder, lease.address);
                        }
                        Err(_) => {
                            let held: BTreeSet<_> = model.values().collect();
                            prop_assert_eq!(held.len(), usize::from(size));
                        }
                    }
                }
                Step::Release { holder } => {
                    bench.pools.release(ConnectionSerial(holder.into()));
                    model.remove(&holder);
                }
                Step::Restore => {
                    let snapshot = bench.pools.snapshot();
                    bench.pools.restore(snapshot);
                }
            }
            for entry in bench.pools.pools.values() {
                entry.pool.check();
            }
            prop_assert_eq!(bench.pools.status()[0].in_use, model.len());
        }
    }
}
