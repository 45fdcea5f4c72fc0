//! `reauth=yes`: an IKE SA is replaced by another one from the beginning, make before break.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::SerialNo;
use pluto_states::{DownReason, Finish, Request};
use pluto_tests::net::{Faults, Nat};
use pluto_tests::peer::Report;
use pluto_tests::sim::{Sim, WEST};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// IKE SAs live for an hour at west, which replaces them ten minutes before; Child SAs for a day.
fn prepared(seed: u64) -> Sim {
    let mut sim = Sim::calm(seed);
    for peer in &mut sim.peers {
        peer.child.lifetimes.life = MINUTE * 60 * 24;
    }
    let west = &mut sim.peers[0].ike;
    west.reauth = true;
    west.lifetimes.life = MINUTE * 60;
    (west.lifetimes.margin, west.lifetimes.fuzz_percent) = (MINUTE * 10, 0);
    sim
}

fn up(mut sim: Sim) -> Sim {
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    sim
}

fn ups(sim: &Sim, host: usize) -> usize {
    sim.peers[host].reports.iter().filter(|r| matches!(r, Report::Up(_))).count()
}

#[test]
fn another_ike_sa_is_made_before_the_old_one_goes() {
    let mut sim = up(prepared(1));
    let old: Vec<SerialNo> = (0..2).map(|host| sim.peers[host].established()[0]).collect();
    sim.run_for(MINUTE * 49);
    assert_eq!(sim.peers[0].established(), [old[0]]);
    // There is a moment with both, and none with neither.
    let both = |sim: &Sim| sim.peers.iter().any(|peer| peer.kernel.installed.len() == 2);
    assert!(sim.run_until(MINUTE * 2, both), "{}", sim.story());
    while sim.peers[0].sas.len() > 1 || sim.peers[1].sas.len() > 1 {
        assert!(sim.peers.iter().all(|peer| !peer.kernel.installed.is_empty()));
        assert!(sim.step());
    }
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    assert!(sim.peers[0].logged("takes the place of IKE SA #1"), "{}", sim.story());
    for host in [0, 1] {
        assert_ne!(sim.peers[host].established()[0], old[host]);
        assert_eq!(ups(&sim, host), 2);
    }
    assert!(matches!(sim.peers[0].finishes()[..], [Finish::Replaced(_)]));
    assert_eq!(sim.peers[1].finishes(), [Finish::PeerDeleted]);
    let child = SerialNo(2);
    assert!(sim.peers[0].replaced(child).is_some(), "its Child SA has a successor");
    assert!(sim.peers[0].lost().is_empty());
}

#[test]
fn a_week_of_reauthentication_leaves_one_tunnel() {
    let mut sim = up(prepared(2));
    for _ in 0..7 * 24 {
        sim.run_for(MINUTE * 60);
        assert!(sim.is_up(), "{}", sim.story());
    }
    assert!(ups(&sim, 0) > 7 * 24);
    assert!(sim.peers[0].lost().is_empty());
    for host in [0, 1] {
        assert_eq!(sim.peers[host].kernel.installed.len(), 1);
        assert_eq!(sim.peers[host].sas.len(), 1);
    }
}

#[test]
fn nobody_says_initial_contact_when_authenticating_anew() {
    let mut sim = prepared(3);
    sim.peers[0].ike.initial_contact = true;
    let mut sim = up(sim);
    sim.run_for(MINUTE * 51);
    let told = |report: &Report| match report {
        Report::Established(established) => Some(established.initial_contact),
        _ => None,
    };
    let told: Vec<bool> = sim.peers[1].reports.iter().filter_map(told).collect();
    assert_eq!(told, [true, false], "{}", sim.story());
}

#[test]
fn a_peer_that_does_not_answer_is_tried_again_while_the_old_one_lives() {
    let mut sim = up(prepared(4));
    sim.run_for(MINUTE * 49);
    sim.peers[1].answers = false;
    sim.run_for(MINUTE * 4);
    assert!(sim.peers[0].logged("timeout exceeded"), "{}", sim.story());
    assert_eq!(sim.peers[0].established(), [SerialNo(1)]);
    assert!(sim.tunnel_works());
    sim.peers[1].answers = true;
    sim.run_for(MINUTE * 5);
    assert!(sim.is_up(), "{}", sim.story());
    assert_ne!(sim.peers[0].established(), [SerialNo(1)]);
}

#[test]
fn who_is_no_longer_accepted_is_out_when_the_lifetime_is_over() {
    let mut sim = up(prepared(5));
    sim.peers[1].psk = Some(b"another one".to_vec());
    sim.run_for(MINUTE * 59);
    assert_eq!(sim.peers[0].established(), [SerialNo(1)], "{}", sim.story());
    sim.run_for(MINUTE * 2);
    assert!(sim.peers.iter().all(|peer| peer.established().is_empty()), "{}", sim.story());
    assert!(sim.peers[0].downs().contains(&DownReason::Expired));
    assert!(sim.peers.iter().all(|peer| peer.kernel.is_empty()));
}

#[test]
fn a_new_ike_sa_without_its_child_sa_goes_and_the_old_one_stays() {
    let mut sim = up(prepared(6));
    sim.run_for(MINUTE * 49);
    sim.peers[1].kernel.refuse_installs = 1;
    sim.run_for(MINUTE * 2);
    assert!(sim.peers[0].logged("no Child SA was made; IKE SA #1 stays"), "{}", sim.story());
    assert_eq!(sim.peers[0].established(), [SerialNo(1)]);
    sim.run_for(MINUTE * 8);
    assert!(sim.is_up(), "{}", sim.story());
    assert_ne!(sim.peers[0].established(), [SerialNo(1)]);
}

#[test]
fn the_responder_rekeys_instead() {
    let mut sim = prepared(7);
    sim.peers[0].ike.reauth = false;
    sim.peers[0].ike.lifetimes = pluto_tests::peer::lifetimes();
    let east = &mut sim.peers[1].ike;
    east.reauth = true;
    east.lifetimes.life = MINUTE * 60;
    (east.lifetimes.margin, east.lifetimes.fuzz_percent) = (MINUTE * 10, 0);
    let mut sim = up(sim);
    sim.run_for(MINUTE * 59);
    assert!(sim.is_up(), "{}", sim.story());
    assert!(sim.peers[1].logged("rekeyed IKE SA #1"), "{}", sim.story());
    assert_eq!(ups(&sim, 0), 1, "its Child SA lives on");
}

#[test]
fn behind_a_nat_the_new_ike_sa_goes_the_same_way() {
    let outside = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    let mut sim = prepared(8);
    sim.net.nats.push(Nat { inside: WEST, outside, shift: 10_000 });
    let mut sim = up(sim);
    let before = sim.net.log.len();
    sim.run_for(MINUTE * 51);
    assert!(sim.is_up(), "{}", sim.story());
    assert_ne!(sim.peers[0].established(), [SerialNo(1)]);
    let said = &sim.net.log[before..];
    assert!(said.iter().all(|d| d.non_esp_marker), "all of it by port 4500");
    assert!(sim.peers.iter().all(|p| p.kernel.installed.values().all(|i| i.encapsulated)));
}

#[test]
fn collision_of_reauthentication_and_what_the_peer_does_meanwhile() {
    let orders: [fn(SerialNo, SerialNo) -> Request; 4] = [
        |_, _| Request::RekeyIke,
        |_, child| Request::RekeyChild(child),
        |_, child| Request::DeleteChild(child),
        |_, _| Request::DeleteIke,
    ];
    for (n, order) in orders.into_iter().enumerate() {
        for who in [0, 1] {
            for millis in (0..120).step_by(5) {
                let mut sim = up(prepared(10 + n as u64));
                sim.thinking = Duration::from_millis(2);
                let (serial, child) = (
                    sim.peers[who].established()[0],
                    *sim.peers[who].kernel.installed.keys().next().unwrap(),
                );
                sim.run_for(
                    MINUTE * 50 - Duration::from_millis(40) + Duration::from_millis(millis),
                );
                sim.order(who, serial, order(serial, child));
                sim.run_for(MINUTE * 5);
                for (host, peer) in sim.peers.iter().enumerate() {
                    let story = || format!("{n} {who} {millis} {host}{}", sim.story());
                    assert!(peer.kernel.installed.len() <= 1, "{}", story());
                    assert!(peer.established().len() <= 1, "{}", story());
                }
                let [west, east] = &sim.peers;
                assert_eq!(
                    west.kernel.installed.len(),
                    east.kernel.installed.len(),
                    "{n} {who} {millis}{}",
                    sim.story()
                );
                if n < 2 {
                    assert!(sim.is_up(), "{n} {who} {millis}{}", sim.story());
                }
            }
        }
    }
}

#[test]
fn a_bad_network_is_no_obstacle() {
    for seed in 0..20 {
        let faults =
            Faults { loss: 10, duplicated: 5, corrupted: 2, jitter: Duration::from_millis(20) };
        let mut sim = up(prepared(seed));
        sim.net.faults = faults;
        sim.run_for(MINUTE * 60 * 6);
        sim.net.faults = Faults::default();
        sim.run_for(MINUTE * 3);
        let stand = sim.peers.iter().all(|peer| !peer.established().is_empty());
        assert!(stand && sim.peers[0].lost().is_empty(), "{}", sim.story());
    }
}

/// The peer puts one of two Child SAs off for a moment: until the new IKE SA has it, too, the old
/// one carries its traffic.
#[test]
fn the_old_ike_sa_stays_until_what_was_put_off_has_been_made() {
    for rekeyed in [false, true] {
        let mut sim = up(prepared(9));
        let old = sim.peers[0].established()[0];
        let second = Arc::new(sim.peers[0].child.clone());
        sim.order(0, old, Request::CreateChild(second));
        sim.settle();
        assert_eq!(sim.peers[0].children().len(), 2, "{}", sim.story());
        assert!(sim.run_until(MINUTE * 51, |sim| sim.peers[0].established().len() == 2));
        sim.peers[1].kernel.refuse_spis = 1;
        let put_off = |sim: &Sim| sim.peers[0].logged("TEMPORARY_FAILURE");
        assert!(sim.run_until(MINUTE, put_off), "{}", sim.story());
        if rekeyed {
            let new = *sim.peers[0].established().iter().max().unwrap();
            sim.order(0, new, Request::RekeyIke);
        }
        let end = sim.clock.now().after(MINUTE);
        while sim.clock.now() < end && sim.step() {
            let carried = sim.peers.each_ref().map(|peer| peer.kernel.installed.len());
            assert!(carried.iter().all(|count| *count >= 2), "{carried:?}{}", sim.story());
        }
        for peer in &sim.peers {
            assert_eq!((peer.established().len(), peer.children().len()), (1, 2), "{rekeyed}");
        }
        assert!(sim.peers[0].logged("takes the place of IKE SA #1"), "{}", sim.story());
    }
}
