//! Child SAs and IKE SAs are made and rekeyed over CREATE_CHILD_SA, one side at a time.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::{Pfs, SerialNo};
use pluto_states::{DownReason, Finish, Request};
use pluto_tests::peer::Report;
use pluto_tests::sim::Sim;
use std::sync::Arc;
use std::time::Duration;

fn up() -> (Sim, SerialNo, SerialNo) {
    let mut sim = Sim::calm(7);
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    let (west, east) = (sim.peers[0].established()[0], sim.peers[1].established()[0]);
    (sim, west, east)
}

/// ```text
/// CREATE_CHILD_SA {N(REKEY_SA), SA, Ni, KEi, TSi, TSr}  -->
///                                                     <--  {SA, Nr, KEr, TSi, TSr}
/// INFORMATIONAL {D(old)}  -->
///                                                     <--  {D(old)}
/// ```
#[test]
fn a_child_sa_is_rekeyed_by_either_side_with_pfs_and_without() {
    for host in 0..2 {
        for pfs in [true, false] {
            let mut sim = Sim::calm(7);
            for peer in &mut sim.peers {
                peer.child.pfs = if pfs { Pfs::Preferred } else { Pfs::No };
            }
            sim.initiate();
            sim.settle();
            let old: Vec<SerialNo> = sim.peers.iter().map(|p| p.children()[0]).collect();
            let ike = sim.peers[host].established()[0];
            sim.order(host, ike, Request::RekeyChild(old[host]));
            sim.settle();
            assert!(sim.is_up(), "{}", sim.story());
            assert_eq!(sim.net.log.len(), 8);
            for (peer, old) in sim.peers.iter().zip(old) {
                assert_eq!(peer.kernel.installed.len(), 1, "{}", sim.story());
                assert_eq!(peer.downs(), [DownReason::Replaced]);
                let new = peer.kernel.installed.values().next().unwrap();
                assert_eq!(new.replaces, Some(old));
                assert_eq!(peer.replaced(old), Some(new.child));
                let dh = peer.logged("256-DH31 DPD");
                assert_eq!(dh, pfs, "{:#?}", peer.log);
            }
            assert!(sim.peers[host].logged("initiator rekeyed Child SA"), "{}", sim.story());
            assert!(sim.peers[1 - host].logged("responder rekeyed Child SA"));
        }
    }
}

#[test]
fn an_ike_sa_is_rekeyed_by_either_side_and_keeps_its_child_sa() {
    for host in 0..2 {
        let (mut sim, west, east) = up();
        let before = sim.peers[0].kernel.installed.clone();
        let ike = [west, east][host];
        sim.order(host, ike, Request::RekeyIke);
        sim.settle();
        assert!(sim.is_up(), "{}", sim.story());
        let spis: Vec<_> = sim.peers[0].kernel.installed.values().map(|i| i.spi_in).collect();
        assert_eq!(spis, before.values().map(|i| i.spi_in).collect::<Vec<_>>());
        for (peer, old) in sim.peers.iter().zip([west, east]) {
            let new = peer.established()[0];
            assert!(new > old);
            assert_eq!(peer.finishes(), [Finish::Replaced(new)]);
            assert_eq!(peer.children().len(), 1);
            assert!(peer.downs().is_empty());
        }
        // The successor works: it rekeys the Child SA, itself, and ends.
        for _ in 0..3 {
            let ike = sim.peers[1 - host].established()[0];
            let child = sim.peers[1 - host].children()[0];
            sim.order(1 - host, ike, Request::RekeyChild(child));
            sim.settle();
            assert!(sim.is_up(), "{}", sim.story());
            let ike = sim.peers[1 - host].established()[0];
            sim.order(1 - host, ike, Request::RekeyIke);
            sim.settle();
            assert!(sim.is_up(), "{}", sim.story());
        }
        let ike = sim.peers[0].established()[0];
        sim.order(0, ike, Request::DeleteIke);
        sim.settle();
        sim.assert_nothing_left();
    }
}

#[test]
fn more_child_sas_are_made_on_one_ike_sa_by_both_sides() {
    let (mut sim, west, east) = up();
    for _ in 0..3 {
        let policy = Arc::new(sim.peers[0].child.clone());
        sim.order(0, west, Request::CreateChild(policy));
        sim.settle();
        let policy = Arc::new(sim.peers[1].child.clone());
        sim.order(1, east, Request::CreateChild(policy));
        sim.settle();
    }
    for peer in &sim.peers {
        assert_eq!(peer.kernel.installed.len(), 7, "{}", sim.story());
        assert_eq!(peer.established().len(), 1);
    }
    let child = sim.peers[0].children()[3];
    sim.order(0, west, Request::DeleteChild(child));
    sim.settle();
    for peer in &sim.peers {
        assert_eq!(peer.kernel.installed.len(), 6, "{}", sim.story());
    }
    sim.order(0, west, Request::DeleteIke);
    sim.settle();
    sim.assert_nothing_left();
}

#[test]
fn an_initiator_brings_up_its_further_children_after_ike_auth() {
    let mut sim = Sim::calm(9);
    let wanted = Arc::new(sim.peers[0].child.clone());
    let ike = sim.initiate();
    sim.order(0, ike, Request::CreateChild(Arc::clone(&wanted)));
    sim.order(0, ike, Request::CreateChild(wanted));
    sim.settle();
    for peer in &sim.peers {
        let ups = peer.reports.iter().filter(|r| matches!(r, Report::Up(_))).count();
        assert!(ups >= 2, "{}", sim.story());
    }
}

#[test]
fn lifetimes_rekey_both_kinds_before_they_end_and_never_leave_a_gap() {
    let (mut sim, ..) = up();
    let end = sim.clock.now().after(Duration::from_secs(7 * 24 * 3600));
    while sim.clock.now() < end {
        sim.run_for(Duration::from_secs(600));
        assert!(sim.is_up(), "{}", sim.story());
        for peer in &sim.peers {
            assert_eq!(peer.kernel.installed.len(), 1, "{}", sim.story());
        }
    }
    for peer in &sim.peers {
        let rekeyed = peer.finishes().len();
        assert!((20..26).contains(&rekeyed), "{rekeyed} in a week");
        assert!(peer.finishes().iter().all(|f| matches!(f, Finish::Replaced(_))));
        assert!(peer.downs().iter().all(|d| *d == DownReason::Replaced), "{:?}", peer.downs());
    }
}

/// Both ends count the same packets: at the same number they would both begin.
#[test]
fn the_two_ends_soft_limits_are_apart_and_the_initiators_come_first() {
    let mut sim = Sim::calm(5);
    for peer in &mut sim.peers {
        peer.child.lifetimes.max_packets = 1_000_000;
    }
    let ike = sim.initiate();
    sim.settle();
    let limits = |sim: &Sim| {
        [0, 1].map(|host: usize| {
            let installed = sim.peers[host].kernel.installed.values().next().unwrap();
            assert_eq!((installed.bytes.soft, installed.bytes.hard), (u64::MAX, u64::MAX));
            assert_eq!(installed.packets.hard, 1_000_000);
            installed.packets.soft
        })
    };
    let first = limits(&sim);
    assert!((250_000..=375_000).contains(&first[0]), "{first:?}");
    assert_eq!(first[1], 500_000);
    let child = sim.peers[0].children()[0];
    sim.order(0, ike, Request::RekeyChild(child));
    sim.settle();
    let second = limits(&sim);
    assert!((250_000..=375_000).contains(&second[0]), "{second:?}");
    assert_ne!(first[0], second[0], "they are drawn anew");
    // Whoever rekeys is the initiator of what is made.
    let (east, child) = (sim.peers[1].established()[0], sim.peers[1].children()[0]);
    sim.order(1, east, Request::RekeyChild(child));
    sim.settle();
    let third = limits(&sim);
    assert!(third[0] == 500_000 && third[1] < 500_000, "{third:?}");
}

#[test]
fn a_soft_expiry_rekeys_unless_the_connection_does_not() {
    for rekey in [true, false] {
        let mut sim = Sim::calm(3);
        sim.peers[0].child.lifetimes.rekey = rekey;
        sim.initiate();
        sim.settle();
        let child = sim.peers[0].children()[0];
        sim.expire(0, child, false);
        sim.settle();
        assert!(sim.is_up());
        assert_eq!(sim.peers[0].children()[0] != child, rekey, "{}", sim.story());
        let child = sim.peers[0].children()[0];
        sim.expire(0, child, true);
        sim.settle();
        assert!(sim.peers.iter().all(|p| p.kernel.is_empty()), "{}", sim.story());
    }
}
