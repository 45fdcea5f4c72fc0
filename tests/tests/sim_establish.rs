//! Two hosts establish a tunnel and delete it, over calm and over bad networks.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{Finish, Request};
use pluto_tests::net::Faults;
use pluto_tests::sim::Sim;
use std::time::Duration;

/// ```text
/// IKE_SA_INIT {SA, KE, Ni, N(NATD)..}  -->
///                                      <--  IKE_SA_INIT {SA, KE, Nr, N(NATD)..}
/// IKE_AUTH {IDi, IDr, AUTH, SA, TSi, TSr}  -->
///                                      <--  IKE_AUTH {IDr, AUTH, SA, TSi, TSr}
/// INFORMATIONAL {D}  -->
///                                      <--  INFORMATIONAL {}
/// ```
#[test]
fn a_tunnel_comes_up_and_is_deleted() {
    let mut sim = Sim::calm(1);
    let serial = sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    assert_eq!(sim.net.log.len(), 4);
    sim.order(0, serial, Request::DeleteIke);
    sim.settle();
    assert_eq!(sim.net.log.len(), 6);
    assert_eq!(sim.peers[0].finishes(), [Finish::Deleted]);
    assert_eq!(sim.peers[1].finishes(), [Finish::PeerDeleted]);
    sim.assert_nothing_left();
}

fn bad_network(seed: u64) {
    let faults =
        Faults { loss: 20, duplicated: 20, corrupted: 0, jitter: Duration::from_millis(700) };
    let mut sim = Sim::new(seed, faults);
    sim.thinking = Duration::from_millis(seed % 50);
    // A policy with more patience than the default: 20 % loss both ways may take seven
    // transmissions.
    for peer in &mut sim.peers {
        peer.ike.retransmit.timeout = Duration::from_secs(3600);
    }
    let serial = sim.initiate();
    let up = sim.run_until(Duration::from_secs(600), |sim| sim.is_up());
    assert!(up, "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    // Who gives up may be either of the two.
    let (host, serial) = match seed % 2 {
        0 => (0, serial),
        _ => (1, sim.peers[1].established()[0]),
    };
    sim.order(host, serial, Request::DeleteIke);
    let gone = sim.run_until(Duration::from_secs(7200), |sim| {
        sim.peers.iter().all(|peer| peer.sas.is_empty())
    });
    assert!(gone, "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    sim.assert_nothing_left();
}

#[test]
fn a_thousand_bad_networks_establish_and_leak_nothing() {
    let seeds: Vec<u64> = match std::env::var("PLUTO_SEED") {
        Ok(seed) => vec![seed.parse().expect("PLUTO_SEED is a number")],
        Err(_) => (0..1000).collect(),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| bad_network(seed)) {
            println!("seed {seed} failed; replay it with PLUTO_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
