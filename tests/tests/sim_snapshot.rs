//! IKE SAs that are written and read back after every input: nobody notices.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::Pfs;
use pluto_crypto::Secret;
use pluto_crypto::snapshot::with_secrets;
use pluto_states::{IkeSa, Request};
use pluto_tests::net::{Faults, Nat};
use pluto_tests::peer::ike_proposals;
use pluto_tests::sim::{Sim, WEST};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const CAFE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const HOUR: Duration = Duration::from_secs(3600);

/// All that can be seen of a simulation.
fn seen(sim: &Sim) -> Vec<String> {
    let peers = sim.peers.iter().flat_map(|peer| {
        let kernel = peer.kernel.installed.values().map(|sa| format!("{sa:?}"));
        let keys = peer.kernel.installed.values().map(|sa| format!("{:?}", sa.key_in.expose()));
        let reports = peer.reports.iter().map(|report| format!("{report:?}"));
        peer.log.iter().cloned().chain(reports).chain(kernel).chain(keys).collect::<Vec<_>>()
    });
    let net = sim.net.log.iter().map(|datagram| format!("{datagram:?}"));
    peers.chain(net).collect()
}

/// What can be seen is the same with snapshots and without.
fn nobody_notices(what: &str, prepared: impl Fn() -> Sim, play: impl Fn(&mut Sim)) {
    let [without, with] = [false, true].map(|snapshots| {
        let mut sim = prepared();
        sim.peers.iter_mut().for_each(|peer| peer.snapshots = snapshots);
        play(&mut sim);
        seen(&sim)
    });
    assert!(without.len() > 10, "{what}: something has happened");
    for (without, with) in without.iter().zip(&with) {
        assert_eq!(without, with, "{what}");
    }
    assert_eq!(without.len(), with.len(), "{what}");
}

fn up(sim: &mut Sim) {
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
}

fn order(sim: &mut Sim, host: usize, request: impl Fn(&Sim) -> Request) {
    let ike = sim.peers[host].established().into_iter().max().unwrap();
    let request = request(sim);
    sim.order(host, ike, request);
    sim.settle();
}

#[test]
fn establish_rekey_both_and_delete_go_on_from_snapshots() {
    for (ike, pfs) in [
        ("aes_gcm256-sha2_256-dh31", true),
        ("aes256-sha2_512-dh19", false),
        ("chacha20_poly1305-sha2_256-dh14", true),
    ] {
        let prepared = || {
            let mut sim = Sim::calm(41);
            for peer in &mut sim.peers {
                peer.ike.proposals = ike_proposals(ike).into();
                peer.child.pfs = if pfs { Pfs::Preferred } else { Pfs::No };
            }
            sim
        };
        nobody_notices(ike, prepared, |sim| {
            up(sim);
            for host in [0, 1, 0] {
                order(sim, host, |sim| Request::RekeyChild(sim.peers[host].children()[0]));
                order(sim, host, |_| Request::RekeyIke);
                order(sim, host, |_| Request::Liveness);
                assert!(sim.is_up(), "{}", sim.story());
            }
            order(sim, 0, |sim| Request::CreateChild(sim.peers[0].child.clone().into()));
            order(sim, 1, |sim| Request::DeleteChild(sim.peers[1].children()[0]));
            order(sim, 1, |_| Request::DeleteIke);
            assert!(sim.peers.iter().all(|peer| peer.sas.is_empty()), "{}", sim.story());
        });
    }
}

#[test]
fn rekeyings_that_cross_on_a_bad_network_go_on_from_snapshots() {
    for seed in 0..6 {
        let faults =
            Faults { loss: 15, duplicated: 10, corrupted: 5, jitter: Duration::from_millis(80) };
        let prepared = || {
            let mut sim = Sim::new(seed, faults);
            sim.thinking = Duration::from_millis(50);
            sim
        };
        nobody_notices(&format!("seed {seed}"), prepared, |sim| {
            sim.initiate();
            sim.run_for(Duration::from_secs(60));
            for _ in 0..3 {
                for host in [0, 1] {
                    let ike = sim.peers[host].established().into_iter().max();
                    let child = sim.peers[host].children().into_iter().max();
                    if let (Some(ike), Some(child)) = (ike, child) {
                        sim.order(host, ike, Request::RekeyChild(child));
                        sim.order(host, ike, Request::RekeyIke);
                    }
                }
                sim.run_for(Duration::from_secs(120));
            }
        });
    }
}

#[test]
fn mobike_nats_and_lost_addresses_go_on_from_snapshots() {
    for mobike in [true, false] {
        let prepared = || {
            let mut sim = Sim::calm(42);
            for peer in &mut sim.peers {
                peer.ike.mobike = mobike;
            }
            sim
        };
        nobody_notices(&format!("mobike {mobike}"), prepared, |sim| {
            up(sim);
            sim.roam(0, &[]);
            sim.run_for(Duration::from_secs(20));
            sim.roam(0, if mobike { &[CAFE] } else { &[WEST] });
            sim.run_for(Duration::from_secs(20));
            assert!(sim.is_up(), "{}", sim.story());
            sim.roam(1, &[sim.peers[1].address, OUTSIDE]);
            sim.run_for(Duration::from_secs(20));
            order(sim, 0, |_| Request::RekeyIke);
            assert!(sim.is_up(), "{}", sim.story());
        });
    }
    let behind_nat = || {
        let mut sim = Sim::calm(43);
        sim.net.nats.push(Nat { inside: WEST, outside: OUTSIDE, shift: 10_000 });
        sim
    };
    nobody_notices("NAT", behind_nat, |sim| {
        up(sim);
        sim.net.nats = vec![Nat { inside: WEST, outside: OUTSIDE, shift: 20_000 }];
        order(sim, 0, |_| Request::Liveness);
        sim.run_for(Duration::from_secs(90));
        assert!(sim.is_up(), "{}", sim.story());
    });
}

#[test]
fn fragments_reauthentication_and_hours_of_life_go_on_from_snapshots() {
    let prepared = || {
        let mut sim = Sim::new(44, Faults { loss: 5, ..Faults::default() });
        for peer in &mut sim.peers {
            peer.ike.fragmentation = pluto_connections::Fragmentation::Force;
            peer.ike.dpd_delay = Some(Duration::from_secs(180));
        }
        sim.peers[0].ike.reauth = true;
        sim.peers[0].ike.lifetimes.life = HOUR;
        sim
    };
    nobody_notices("hours", prepared, |sim| {
        sim.initiate();
        sim.run_for(HOUR * 4);
        assert!(sim.tunnel_works(), "{}", sim.story());
    });
}

#[test]
fn a_snapshot_is_a_secret_and_nothing_else_is_taken_for_one() {
    let mut sim = Sim::calm(45);
    up(&mut sim);
    let sa = sim.peers[0].sas.values().next().unwrap();
    let snapshot = sa.snapshot().unwrap();
    assert_eq!(format!("{snapshot:?}"), format!("Secret({} octets)", snapshot.len()));
    let key = sim.peers[0].kernel.installed.values().next().unwrap().key_in.clone();
    assert!(!format!("{sa:?}").contains(&format!("{:?}", key.expose())));

    let refused = serde_json::to_string(sa).unwrap_err().to_string();
    assert_eq!(refused, "a secret is serialised in snapshots only");
    assert!(with_secrets(|| serde_json::to_string(sa)).is_ok());

    let octets = snapshot.expose();
    let text = std::str::from_utf8(octets).unwrap();
    let wrong = [
        String::new(),
        "{}".into(),
        text.replacen("\"version\":1", "\"version\":7", 1),
        text.replacen("\"sealed\"", "\"unsealed\"", 1),
        text[..text.len() / 2].into(),
    ];
    for (which, wrong) in wrong.iter().enumerate() {
        let read = IkeSa::from_snapshot(&Secret::from_slice(wrong.as_bytes()));
        let error = read.expect_err("it is none").to_string();
        assert!(error.starts_with("snapshot of an IKE SA: "), "{which}: {error}");
        assert!(error.len() < 120, "no part of it is told: {error}");
    }
}
