//! A peer whose NAT gives it another address or port (RFC 7296, 2.23).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::IpsecMode;
use pluto_states::{Input, KernelResult, Request};
use pluto_tests::net::Nat;
use pluto_tests::peer::Report;
use pluto_tests::sim::{EAST, Sim, WEST};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 99));

/// West is behind a NAT, and the tunnel stands.
fn behind_nat(seed: u64) -> Sim {
    let mut sim = Sim::calm(seed);
    sim.net.nats.push(Nat { inside: WEST, outside: OUTSIDE, shift: 10_000 });
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{:#?}", sim.peers[1].log);
    sim
}

/// The translator has forgotten, and learns anew.
fn remap(sim: &mut Sim, outside: IpAddr, shift: u16) {
    sim.net.nats = vec![Nat { inside: WEST, outside, shift }];
}

/// Where the host's kernel sends the tunnel's packets.
fn tunnel_to(sim: &Sim, host: usize) -> SocketAddr {
    sim.peers[host].kernel.installed.values().next().unwrap().remote
}

fn check(sim: &mut Sim, host: usize) {
    let serial = sim.peers[host].established()[0];
    sim.order(host, serial, Request::Liveness);
    sim.settle();
}

#[test]
fn a_new_mapping_is_followed_by_the_ike_sa_and_its_tunnels() {
    let mut sim = behind_nat(1);
    assert_eq!(tunnel_to(&sim, 1), (OUTSIDE, 14_500).into());
    for (outside, shift) in [(OUTSIDE, 20_000), (ELSEWHERE, 20_000), (OUTSIDE, 1)] {
        remap(&mut sim, outside, shift);
        check(&mut sim, 0);
        let expected = SocketAddr::from((outside, 4500 + shift));
        assert_eq!(tunnel_to(&sim, 1), expected);
        let serial = sim.peers[1].established()[0];
        let summary = sim.peers[1].sas[&serial].summary();
        assert_eq!(summary.remote, expected);
        assert_eq!(summary.children[0].up.as_ref().unwrap().remote, expected);
        assert!(sim.peers[1].logged(&format!(" to {outside}:UDP/{}", 4500 + shift)));
        // Our own requests go there too.
        let before = sim.net.log.len();
        check(&mut sim, 1);
        assert_eq!(sim.net.log.len() - before, 2, "and are answered");
    }
    assert_eq!(tunnel_to(&sim, 0), (EAST, 4500).into());
}

/// The address stays, and the translator's port is another one: by IKE and by traffic.
#[test]
fn a_new_mapping_by_port_only_is_followed_in_both_families() {
    let ips = ["192.0.2.1 192.0.2.2 198.51.100.7", "2001:db8::1 2001:db8::2 2001:db8:7::7"];
    for (seed, ips) in (11..).zip(ips) {
        let ips: Vec<IpAddr> = ips.split(' ').map(|ip| ip.parse().unwrap()).collect();
        let (inside, server, outside) = (ips[0], ips[1], ips[2]);
        let mut sim = Sim::calm(seed);
        for (peer, address) in sim.peers.iter_mut().zip([inside, server]) {
            (peer.address, peer.kernel.source) = (address, Some(address));
        }
        let mapping = |shift| vec![Nat { inside, outside, shift }];
        sim.net.nats = mapping(10_000);
        sim.initiate();
        sim.settle();
        assert!(sim.is_up(), "{}", sim.story());
        assert_eq!(tunnel_to(&sim, 1), (outside, 14_500).into());
        let moves = |sim: &Sim| {
            let moved = |report: &&Report| matches!(report, Report::Moved(_));
            sim.peers[1].reports.iter().filter(moved).count()
        };

        sim.net.nats = mapping(20_000);
        check(&mut sim, 0);
        assert_eq!(tunnel_to(&sim, 1), (outside, 24_500).into(), "{}", sim.story());
        assert_eq!(moves(&sim), 1);

        sim.net.nats = mapping(30_000);
        let (ike, child) = (sim.peers[1].established()[0], sim.peers[1].children()[0]);
        let remote = SocketAddr::from((outside, 34_500));
        let told = Input::KernelDone(KernelResult::Mapping { child, remote });
        let effects = sim.peers[1].input(sim.clock.now(), ike, told);
        sim.carry_out(1, effects);
        sim.settle();
        assert_eq!(tunnel_to(&sim, 1), remote, "{}", sim.story());
        assert_eq!(moves(&sim), 2);

        // What follows goes there, is answered, and moves nothing.
        let before = sim.net.log.len();
        check(&mut sim, 1);
        assert_eq!(sim.net.log.len() - before, 2, "{}", sim.story());
        assert_eq!(moves(&sim), 2);
        assert!(sim.is_up() && sim.peers[0].lost().is_empty(), "{}", sim.story());
    }
}

/// A translator's new port changes nothing of what transport mode protects.
#[test]
fn transport_mode_follows_a_new_port_and_no_new_address() {
    let mut sim = Sim::calm(21);
    for peer in &mut sim.peers {
        peer.child.mode = IpsecMode::Transport;
    }
    sim.net.nats.push(Nat { inside: WEST, outside: OUTSIDE, shift: 10_000 });
    sim.initiate();
    sim.settle();
    let child = sim.peers[1].children();
    assert_eq!(child.len(), 1, "{}", sim.story());
    remap(&mut sim, OUTSIDE, 20_000);
    check(&mut sim, 0);
    assert_eq!(tunnel_to(&sim, 1), (OUTSIDE, 24_500).into(), "{}", sim.story());
    assert_eq!(sim.peers[1].children(), child, "{}", sim.story());
    remap(&mut sim, ELSEWHERE, 20_000);
    check(&mut sim, 0);
    sim.run_for(Duration::from_secs(1));
    assert!(sim.peers[1].children().is_empty(), "{}", sim.story());
}

#[test]
fn traffic_alone_shows_a_new_mapping() {
    let mut sim = behind_nat(2);
    remap(&mut sim, ELSEWHERE, 7);
    let (ike, child) = (sim.peers[1].established()[0], sim.peers[1].kernel.installed.keys());
    let child = *child.clone().next().unwrap();
    let remote = SocketAddr::from((ELSEWHERE, 4507));
    let told = Input::KernelDone(KernelResult::Mapping { child, remote });
    let now = sim.clock.now();
    let effects = sim.peers[1].input(now, ike, told);
    sim.carry_out(1, effects);
    sim.settle();
    assert_eq!(tunnel_to(&sim, 1), remote);
    let before = sim.net.log.len();
    check(&mut sim, 1);
    assert_eq!(sim.net.log.len() - before, 2);
}

#[test]
fn who_is_behind_a_nat_follows_nobody() {
    let mut sim = behind_nat(3);
    let ike = sim.peers[0].established()[0];
    let child = *sim.peers[0].kernel.installed.keys().next().unwrap();
    let remote = SocketAddr::from((ELSEWHERE, 4500));
    let told = Input::KernelDone(KernelResult::Mapping { child, remote });
    let now = sim.clock.now();
    let effects = sim.peers[0].input(now, ike, told);
    sim.carry_out(0, effects);
    assert_eq!(tunnel_to(&sim, 0), (EAST, 4500).into());
}

#[test]
fn without_a_nat_a_peer_does_not_move() {
    let mut sim = Sim::calm(4);
    sim.initiate();
    sim.settle();
    remap(&mut sim, ELSEWHERE, 0);
    check(&mut sim, 0);
    assert_eq!(tunnel_to(&sim, 1).ip(), WEST);
}

/// Without MOBIKE nobody can follow: it waits, and goes on when the address is back.
#[test]
fn an_ike_sa_whose_address_is_gone_says_so_once_and_goes_on_when_it_is_back() {
    let mut sim = Sim::calm(7);
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    let ike = sim.peers[0].established()[0];
    let uprooted = |sim: &Sim| -> Vec<bool> {
        let of = |report: &Report| match report {
            Report::Uprooted(gone) => Some(*gone),
            _ => None,
        };
        sim.peers[0].reports.iter().filter_map(of).collect()
    };
    for _ in 0..3 {
        sim.roam(0, &[ELSEWHERE]);
        sim.roam(0, &[]);
        sim.run_for(Duration::from_secs(10));
    }
    assert_eq!(uprooted(&sim), [true], "{}", sim.story());
    let suspended = |report: &&Report| matches!(report, Report::Suspended(_));
    assert_eq!(sim.peers[0].reports.iter().filter(suspended).count(), 1);
    sim.roam(0, &[ELSEWHERE, WEST]);
    sim.settle();
    assert_eq!(uprooted(&sim), [true, false], "{}", sim.story());
    let moved = |report: &&Report| matches!(report, Report::Moved(_));
    assert_eq!(sim.peers[0].reports.iter().filter(moved).count(), 1);
    assert_eq!(sim.peers[0].established(), [ike]);
    assert!(sim.is_up(), "{}", sim.story());
    assert!(sim.peers[0].lost().is_empty());
}

#[test]
fn a_replayed_request_from_elsewhere_moves_nothing() {
    let mut sim = behind_nat(5);
    check(&mut sim, 0);
    let mut replayed = sim.net.log.iter().rev().nth(1).unwrap().clone();
    replayed.local = SocketAddr::from(([203, 0, 113, 66], 4500));
    sim.inject(replayed);
    sim.settle();
    assert_eq!(tunnel_to(&sim, 1), (OUTSIDE, 14_500).into());
}

#[test]
fn a_tunnel_that_cannot_follow_is_deleted_on_both_sides() {
    let mut sim = behind_nat(6);
    sim.peers[1].kernel.refuse_installs = 1;
    remap(&mut sim, ELSEWHERE, 9);
    check(&mut sim, 0);
    sim.run_for(Duration::from_secs(1));
    assert!(sim.peers[1].logged("cannot follow the peer's address"));
    assert!(sim.peers.iter().all(|peer| peer.kernel.is_empty()));
    assert_eq!(sim.peers[1].established().len(), 1);
}
