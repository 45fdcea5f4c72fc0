//! Against a plain map, whatever is done in whatever order.

use super::*;
use pluto_connections::proposal::ChildProposals;
use pluto_connections::{ChildPolicy, ConnectionSerial, IpsecMode, Lifetimes, Pfs, RekeyPfs};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn policy() -> Arc<ChildPolicy> {
    let lifetimes = Lifetimes {
        life: Duration::from_secs(28800),
        margin: Duration::from_secs(540),
        fuzz_percent: 100,
        max_bytes: u64::MAX,
        max_packets: u64::MAX,
        rekey: true,
    };
    Arc::new(ChildPolicy {
        connection: ConnectionSerial(1),
        log_name: "\"many\"".into(),
        proposals: Arc::new(ChildProposals::parse(ProtocolId::ESP, "aes_gcm256", false).unwrap()),
        local_ts: Vec::new(),
        remote_ts: Vec::new(),
        mode: IpsecMode::Tunnel,
        narrowing: false,
        pfs: Pfs::Preferred,
        rekey_pfs: RekeyPfs::Same,
        lifetimes,
        replay_window: 128,
        reqid: 1,
        priority: 0,
        mark_in: None,
        mark_out: None,
        if_id: 0,
        tfc: 0,
        send_no_tfc: false,
        decap_dscp: false,
        encap_dscp: false,
        nopmtudisc: false,
        configuration: None,
    })
}

fn at(seconds: u64) -> Instant {
    Instant::default().after(Duration::from_secs(seconds))
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Remove(u64),
    Due(u64, u64),
    Lives(u64),
    Copy,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..300_u64).prop_map(Step::Insert),
        3 => (1..300_u64).prop_map(Step::Remove),
        2 => (1..300_u64, 0..50_u64).prop_map(|(serial, due)| Step::Due(serial, due)),
        1 => (0..50_u64).prop_map(Step::Lives),
        1 => Just(Step::Copy),
    ];
    proptest::collection::vec(step, 1..600)
}

/// The same Child SAs with the same deadlines.
fn assert_same(children: &Children, map: &BTreeMap<u64, Option<Instant>>) {
    let listed: Vec<_> = children.iter().map(|child| (child.serial.0, child.life.end)).collect();
    let expected: Vec<_> = map.iter().map(|(serial, end)| (*serial, *end)).collect();
    assert_eq!(listed, expected);
    assert_eq!(children.len(), map.len());
    assert_eq!(children.last().map(|child| child.serial.0), map.keys().last().copied());
    assert_eq!(children.deadline(), map.values().flatten().min().copied());
    for serial in 1..300 {
        let found = children.by_serial(SerialNo(serial)).map(|child| child.serial.0);
        assert_eq!(found, map.contains_key(&serial).then_some(serial));
    }
    let parts = &children.parts;
    assert!(parts.iter().all(|part| (1..=MOST).contains(&part.children.len())), "{parts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn children_are_what_a_map_of_them_is_and_copies_keep_what_they_had(steps in steps()) {
        let policy = policy();
        let (mut children, mut map) = (Children::default(), BTreeMap::new());
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Insert(serial) if !map.contains_key(&serial) => {
                    let policy = Arc::clone(&policy);
                    children.insert(Child::larval(SerialNo(serial), policy, ProtocolId::ESP));
                    map.insert(serial, None);
                }
                Step::Insert(_) => {}
                Step::Remove(serial) => {
                    let removed = children.remove(SerialNo(serial)).map(|child| child.serial.0);
                    assert_eq!(removed, map.remove(&serial).map(|_| serial));
                }
                Step::Due(serial, due) => {
                    let child = children.by_serial_mut(SerialNo(serial));
                    assert_eq!(child.is_some(), map.contains_key(&serial));
                    if let (Some(child), Some(end)) = (child, map.get_mut(&serial)) {
                        child.life.end = Some(at(due));
                        *end = Some(at(due));
                    }
                }
                Step::Lives(now) => {
                    let is_due = |end: &Option<Instant>| end.is_some_and(|end| end <= at(now));
                    let mut due = Vec::new();
                    children.for_each_due(at(now), |child| {
                        if is_due(&child.life.end) {
                            child.life.end = None;
                            due.push(child.serial.0);
                        }
                    });
                    let expected = map.iter_mut().filter(|(_, end)| is_due(end));
                    let expected: Vec<u64> = expected.map(|(serial, end)| {
                        *end = None;
                        *serial
                    }).collect();
                    assert_eq!(due, expected);
                }
                Step::Copy => copies.push((children.clone(), map.clone())),
            }
            assert_same(&children, &map);
        }
        for (children, map) in &copies {
            assert_same(children, map);
        }
    }
}

#[test]
fn a_change_of_one_of_many_leaves_the_others_shared() {
    let policy = policy();
    let mut children = Children::default();
    for serial in 1..=1000 {
        children.insert(Child::larval(SerialNo(serial), Arc::clone(&policy), ProtocolId::ESP));
    }
    let before = children.clone();
    children.by_serial_mut(SerialNo(500)).unwrap().life.end = Some(at(1));
    let shared = before.parts.iter().zip(children.parts.iter());
    let own = shared.filter(|(old, new)| !Arc::ptr_eq(old, new)).count();
    assert_eq!(own, 1, "one part was copied");
    assert!(before.parts.len() <= 1000 / MOST + 1, "they are full: {}", before.parts.len());
}
