//! Hosts that move (RFC 4555): both roles, with and without a NAT, and with other things
//! under way.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::{Encapsulation, IpsecMode, SerialNo};
use pluto_states::{DownReason, Finish, Request};
use pluto_tests::net::{Faults, Nat};
use pluto_tests::peer::Report;
use pluto_tests::sim::{EAST, Sim, WEST};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const CAFE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const TRAIN: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 44));
const EAST_TOO: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 22));
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 200));

/// Both support MOBIKE, and nothing stands yet.
fn prepared(seed: u64) -> Sim {
    let mut sim = Sim::calm(seed);
    for peer in &mut sim.peers {
        peer.ike.mobike = true;
    }
    sim
}

fn up(mut sim: Sim) -> Sim {
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    sim
}

fn mobile(seed: u64) -> Sim {
    up(prepared(seed))
}

/// The ends of a host's only tunnel.
fn ends(sim: &Sim, host: usize) -> (SocketAddr, SocketAddr) {
    let installed = &sim.peers[host].kernel.installed;
    assert_eq!(installed.len(), 1, "{}", sim.story());
    let tunnel = installed.values().next().unwrap();
    (tunnel.local, tunnel.remote)
}

fn ike(sim: &Sim, host: usize) -> SerialNo {
    sim.peers[host].established()[0]
}

/// IKE and both kernels are between these addresses.
#[track_caller]
fn assert_between(sim: &mut Sim, west: IpAddr, east: IpAddr) {
    assert!(sim.is_up(), "{}", sim.story());
    let (w, e) = (ends(sim, 0), ends(sim, 1));
    assert_eq!((w.0.ip(), w.1.ip()), (west, east), "west: {}", sim.story());
    assert_eq!((e.0.ip(), e.1.ip()), (east, west), "east: {}", sim.story());
    // IKE goes through in both directions, without a retransmission.
    for host in [0, 1] {
        let serial = ike(sim, host);
        let before = sim.net.log.len();
        sim.order(host, serial, Request::Liveness);
        sim.settle();
        let said = &sim.net.log[before..];
        assert_eq!(said.len(), 2, "{}", sim.story());
        let from = if host == 0 { west } else { east };
        assert_eq!(said[0].local.ip(), from);
    }
    for peer in &sim.peers {
        assert!(peer.lost().is_empty(), "{:?}", peer.lost());
    }
}

fn reports(sim: &Sim, host: usize, wanted: fn(&Report) -> bool) -> usize {
    sim.peers[host].reports.iter().filter(|report| wanted(report)).count()
}

#[test]
fn with_mobike_ike_goes_to_port_4500_and_without_it_stays() {
    for (west, east) in [(true, true), (true, false), (false, true)] {
        let mut sim = Sim::calm(1);
        (sim.peers[0].ike.mobike, sim.peers[1].ike.mobike) = (west, east);
        let sim = up(sim);
        let summary = sim.peers[0].sas[&ike(&sim, 0)].summary();
        // RFC 4555, 3.3: who supports it cannot know in IKE_AUTH whether the peer does.
        assert_eq!(summary.remote.port(), if west { 4500 } else { 500 });
        assert_eq!(summary.mobike, west && east);
        let summary = sim.peers[1].sas[&ike(&sim, 1)].summary();
        assert_eq!(summary.mobike, west && east);
        assert!(!sim.peers[0].kernel.installed.values().next().unwrap().encapsulated);
    }
}

#[test]
fn a_host_that_moves_takes_its_ike_sa_and_its_tunnels_along() {
    let mut sim = mobile(2);
    for place in [CAFE, TRAIN, WEST] {
        sim.roam(0, &[place]);
        // Its own packets go the new way before the peer has answered.
        assert_eq!(sim.peers[0].kernel.installed.len(), 1);
        sim.settle();
        assert_between(&mut sim, place, EAST);
    }
    assert_eq!(reports(&sim, 0, |r| matches!(r, Report::Suspended(_))), 3);
    assert_eq!(reports(&sim, 0, |r| matches!(r, Report::Moved(_))), 3);
    assert_eq!(reports(&sim, 1, |r| matches!(r, Report::Suspended(_))), 0);
    let line = format!("our address changed from {WEST}:UDP/4500 to {CAFE}:UDP/4500");
    assert!(sim.peers[0].logged(&line), "{}", sim.story());
    let line = format!("peer's address changed from {WEST}:UDP/4500 to {CAFE}:UDP/4500");
    assert!(sim.peers[1].logged(&line), "{}", sim.story());
}

#[test]
fn the_peer_sends_traffic_to_a_new_address_only_when_it_has_answered_from_there() {
    let mut sim = mobile(3);
    sim.roam(0, &[CAFE]);
    // The update arrives; what is sent to the new address is lost.
    let moved = |sim: &Sim| sim.peers[1].logged("address changed");
    assert!(sim.run_until(Duration::from_secs(1), moved));
    sim.net.dead.push(CAFE);
    sim.run_for(Duration::from_millis(400));
    assert_eq!(ends(&sim, 1).1.ip(), WEST, "{}", sim.story());
    sim.net.dead.clear();
    sim.run_for(Duration::from_secs(3));
    assert_between(&mut sim, CAFE, EAST);
}

#[test]
fn a_host_without_an_address_waits_for_one() {
    let mut sim = mobile(4);
    sim.roam(0, &[]);
    let serial = ike(&sim, 0);
    sim.order(0, serial, Request::Liveness);
    sim.run_for(Duration::from_secs(120));
    assert!(sim.peers[0].logged("is lost and no other one leads to the peer"), "{}", sim.story());
    sim.roam(0, &[TRAIN]);
    sim.run_for(Duration::from_secs(3));
    assert_between(&mut sim, TRAIN, EAST);
}

#[test]
fn a_host_without_an_address_gives_a_request_up_after_five_minutes() {
    let mut sim = mobile(5);
    let serial = ike(&sim, 0);
    sim.roam(0, &[]);
    sim.order(0, serial, Request::RekeyIke);
    sim.run_for(Duration::from_secs(301));
    assert_eq!(sim.peers[0].finishes(), [Finish::TimedOut], "{}", sim.story());
    assert!(sim.peers[0].kernel.is_empty());
}

#[test]
fn a_deletion_without_an_address_comes_to_an_end() {
    let mut sim = mobile(6);
    let serial = ike(&sim, 0);
    sim.roam(0, &[]);
    sim.order(0, serial, Request::DeleteIke);
    sim.run_for(Duration::from_secs(301));
    assert_eq!(sim.peers[0].finishes(), [Finish::Deleted], "{}", sim.story());
}

#[test]
fn encapsulation_comes_with_a_nat_and_goes_with_it() {
    let mut sim = mobile(7);
    let encapsulated = |sim: &Sim| {
        sim.peers.each_ref().map(|p| p.kernel.installed.values().next().unwrap().encapsulated)
    };
    assert_eq!(encapsulated(&sim), [false, false]);
    sim.net.nats.push(Nat { inside: CAFE, outside: OUTSIDE, shift: 10_000 });
    sim.roam(0, &[CAFE]);
    sim.settle();
    assert_eq!(encapsulated(&sim), [true, true], "{}", sim.story());
    assert_eq!(ends(&sim, 0).0, (CAFE, 4500).into());
    assert_eq!(ends(&sim, 1).1, (OUTSIDE, 14_500).into());
    sim.run_for(Duration::from_secs(25));
    assert!(reports(&sim, 0, |r| matches!(r, Report::Keepalive(..))) > 0);
    sim.roam(0, &[TRAIN]);
    sim.settle();
    assert_eq!(encapsulated(&sim), [false, false], "{}", sim.story());
    assert_between(&mut sim, TRAIN, EAST);
    let keepalives = reports(&sim, 0, |r| matches!(r, Report::Keepalive(..)));
    sim.run_for(Duration::from_secs(60));
    assert_eq!(reports(&sim, 0, |r| matches!(r, Report::Keepalive(..))), keepalives);
}

#[test]
fn a_new_mapping_is_found_by_asking_whether_the_peer_is_alive() {
    let mut sim = prepared(8);
    sim.net.nats.push(Nat { inside: WEST, outside: OUTSIDE, shift: 10_000 });
    let mut sim = up(sim);
    let serial = ike(&sim, 0);
    for _ in 0..2 {
        sim.order(0, serial, Request::Liveness);
        sim.settle();
    }
    assert_eq!(ends(&sim, 1).1, (OUTSIDE, 14_500).into());
    sim.net.nats[0].shift = 20_000;
    sim.order(0, serial, Request::Liveness);
    sim.settle();
    assert!(sim.peers[0].logged("the peer sees us at another address"), "{}", sim.story());
    assert_eq!(ends(&sim, 1).1, (OUTSIDE, 24_500).into());
}

#[test]
fn another_route_is_followed_by_who_followed_the_one_before() {
    let mut sim = mobile(9);
    sim.roam(0, &[WEST, CAFE]);
    sim.settle();
    assert_between(&mut sim, WEST, EAST);
    // The cable is out: the route is another one, the address is still there.
    sim.roam(0, &[CAFE, WEST]);
    sim.settle();
    assert_between(&mut sim, CAFE, EAST);
}

#[test]
fn who_sits_beside_the_route_stays_there() {
    let mut sim = prepared(10);
    sim.peers[0].others = vec![CAFE];
    sim.peers[0].kernel.source = Some(CAFE);
    let mut sim = up(sim);
    sim.peers[0].kernel.sources.insert(EAST, Some(TRAIN));
    sim.roam(0, &[WEST, CAFE, TRAIN]);
    sim.settle();
    assert_between(&mut sim, WEST, EAST);
}

#[test]
fn when_the_path_is_dead_another_one_is_found() {
    let mut sim = prepared(11);
    sim.peers[0].others = vec![CAFE];
    sim.peers[1].others = vec![EAST_TOO];
    let mut sim = up(sim);
    let serial = ike(&sim, 0);
    for (dead, west, east) in [(EAST, WEST, EAST_TOO), (WEST, CAFE, EAST_TOO)] {
        sim.net.dead.push(dead);
        sim.order(0, serial, Request::Liveness);
        sim.run_for(Duration::from_secs(29));
        assert_between(&mut sim, west, east);
    }
}

#[test]
fn a_dead_peer_is_dead_on_every_path() {
    let mut sim = prepared(12);
    sim.peers[0].others = vec![CAFE];
    sim.peers[1].others = vec![EAST_TOO];
    let mut sim = up(sim);
    let serial = ike(&sim, 0);
    sim.net.dead = vec![EAST, EAST_TOO];
    sim.order(0, serial, Request::Liveness);
    sim.run_for(Duration::from_secs(31));
    assert_eq!(sim.peers[0].finishes(), [Finish::TimedOut], "{}", sim.story());
}

#[test]
fn the_responder_whose_address_is_lost_says_so_from_another_one() {
    let mut sim = prepared(13);
    sim.peers[1].others = vec![EAST_TOO];
    let mut sim = up(sim);
    sim.roam(1, &[EAST_TOO]);
    sim.run_for(Duration::from_secs(2));
    assert_between(&mut sim, WEST, EAST_TOO);
    assert!(sim.peers[0].logged("address changed from"), "{}", sim.story());
}

#[test]
fn both_may_lose_their_addresses_at_once() {
    let mut sim = prepared(14);
    sim.peers[0].others = vec![CAFE];
    sim.peers[1].others = vec![EAST_TOO];
    let mut sim = up(sim);
    sim.roam(1, &[EAST_TOO]);
    sim.roam(0, &[CAFE]);
    sim.run_for(Duration::from_secs(30));
    assert_between(&mut sim, CAFE, EAST_TOO);
}

#[test]
fn a_tunnel_may_go_from_ipv4_to_ipv6() {
    let six = |last| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    let (six_w, six_e) = (six(1), six(2));
    let mut sim = prepared(15);
    sim.peers[1].others = vec![six_e];
    let mut sim = up(sim);
    sim.peers[0].kernel.sources.insert(EAST, None);
    sim.roam(0, &[six_w]);
    sim.settle();
    assert_between(&mut sim, six_w, six_e);
}

#[test]
fn without_mobike_nobody_moves() {
    let mut sim = up(Sim::calm(16));
    sim.roam(0, &[CAFE]);
    sim.settle();
    assert_eq!(ends(&sim, 0).0.ip(), WEST);
    assert_eq!(ends(&sim, 1).1.ip(), WEST);
}

#[test]
fn transport_mode_does_not_go_with_mobike() {
    let mut sim = prepared(17);
    for peer in &mut sim.peers {
        peer.child.mode = IpsecMode::Transport;
    }
    let sim = up(sim);
    assert!(!sim.peers[0].sas[&ike(&sim, 0)].summary().mobike);
}

#[test]
fn where_no_nat_is_allowed_ike_auth_through_one_is_refused() {
    let mut sim = prepared(18);
    for peer in &mut sim.peers {
        peer.ike.encapsulation = Encapsulation::No;
    }
    sim.net.nats.push(Nat { inside: WEST, outside: OUTSIDE, shift: 10_000 });
    sim.initiate();
    sim.settle();
    assert!(sim.peers[0].logged("UNEXPECTED_NAT_DETECTED"), "{}", sim.story());
    assert!(sim.peers[0].established().is_empty());
}

#[test]
fn where_no_nat_is_allowed_a_move_behind_one_is_tried_four_times() {
    let mut sim = prepared(19);
    for peer in &mut sim.peers {
        peer.ike.encapsulation = Encapsulation::No;
    }
    let mut sim = up(sim);
    sim.net.nats.push(Nat { inside: CAFE, outside: OUTSIDE, shift: 10_000 });
    let before = sim.net.log.len();
    sim.roam(0, &[CAFE]);
    sim.run_for(Duration::from_secs(10));
    assert!(sim.peers[0].logged("there is a NAT on the way, and encapsulation=no"));
    assert_eq!(sim.peers[0].finishes().len(), 1, "{}", sim.story());
    let said = sim.net.log[before..].iter().filter(|d| d.local.ip() == CAFE).count();
    assert_eq!(said, 5, "four updates and a Delete: {}", sim.story());
    assert_eq!(sim.peers[1].finishes(), [Finish::PeerDeleted]);
}

#[test]
fn a_kernel_that_cannot_move_a_tunnel_loses_it_and_only_it() {
    let mut sim = mobile(20);
    sim.peers[1].kernel.refuse_installs = 1;
    sim.roam(0, &[CAFE]);
    sim.run_for(Duration::from_secs(5));
    assert!(sim.peers[1].logged("cannot follow"), "{}", sim.story());
    assert!(sim.peers.iter().all(|peer| peer.kernel.is_empty()));
    assert_eq!(sim.peers[0].lost(), [DownReason::PeerDeleted]);
    assert_eq!(sim.peers[0].established().len(), 1);
}

/// West or east begins to rekey, and west moves `after` that, or that much before.
fn rekeying_and_moving(seed: u64, who: usize, order: fn(SerialNo, SerialNo) -> Request) {
    for micros in (0..80_000).step_by(2_500) {
        for move_first in [false, true] {
            let mut sim = mobile(seed);
            sim.thinking = Duration::from_millis(3);
            let child = *sim.peers[who].kernel.installed.keys().next().unwrap();
            let serial = ike(&sim, who);
            let wait = Duration::from_micros(micros);
            if move_first {
                sim.roam(0, &[CAFE]);
                sim.run_for(wait);
                sim.order(who, serial, order(serial, child));
            } else {
                sim.order(who, serial, order(serial, child));
                sim.run_for(wait);
                sim.roam(0, &[CAFE]);
            }
            // The Delete for an old IKE SA goes to where west was: it ends by itself.
            sim.run_for(Duration::from_secs(150));
            sim.thinking = Duration::ZERO;
            assert_between(&mut sim, CAFE, EAST);
        }
    }
}

#[test]
fn collision_of_moving_and_rekeying_a_child_sa() {
    rekeying_and_moving(21, 0, |_, child| Request::RekeyChild(child));
    rekeying_and_moving(22, 1, |_, child| Request::RekeyChild(child));
}

#[test]
fn collision_of_moving_and_rekeying_the_ike_sa() {
    rekeying_and_moving(23, 0, |_, _| Request::RekeyIke);
    rekeying_and_moving(24, 1, |_, _| Request::RekeyIke);
}

#[test]
fn a_rekeyed_ike_sa_moves_too_and_who_decides_is_who_began() {
    let mut sim = mobile(25);
    // East has made the new one: west decides all the same.
    let serial = ike(&sim, 1);
    sim.order(1, serial, Request::RekeyIke);
    sim.run_for(Duration::from_secs(1));
    sim.roam(0, &[CAFE]);
    sim.settle();
    assert_between(&mut sim, CAFE, EAST);
}

#[test]
fn hosts_that_move_in_a_bad_network_find_each_other_again() {
    for seed in 0..60 {
        let faults =
            Faults { loss: 15, duplicated: 5, corrupted: 2, jitter: Duration::from_millis(30) };
        let mut sim = prepared(seed);
        sim.peers[1].others = vec![EAST_TOO];
        let mut sim = up(sim);
        sim.net.faults = faults;
        for (n, place) in [CAFE, TRAIN, WEST, CAFE].into_iter().enumerate() {
            sim.roam(0, &[]);
            sim.run_for(Duration::from_millis(seed * 37 % 900));
            sim.roam(0, &[place]);
            sim.run_for(Duration::from_millis(seed * 101 % 4_000));
            if n == 2 {
                let serial = ike(&sim, 1);
                sim.order(1, serial, Request::RekeyIke);
            }
        }
        sim.net.faults = Faults::default();
        sim.run_for(Duration::from_secs(60));
        // Where much is lost, the other of east's addresses may have seemed the better one.
        let east = ends(&sim, 1).0.ip();
        assert!(sim.peers[1].has(east));
        assert_between(&mut sim, CAFE, east);
    }
}

/// East follows, and asks after ten seconds of silence; from now on nobody answers it.
/// How long it takes until it has given the phone up.
fn given_up(mut sim: Sim, meanwhile: impl FnOnce(&mut Sim)) -> Duration {
    sim.run_for(Duration::from_secs(3));
    let lost = sim.clock.now();
    sim.net.faults = Faults { loss: 100, ..Faults::default() };
    meanwhile(&mut sim);
    let gone = sim.run_until(Duration::from_secs(3600), |sim| sim.peers[1].sas.is_empty());
    assert!(gone, "{}", sim.story());
    assert_eq!(sim.peers[1].finishes(), [Finish::TimedOut], "{}", sim.story());
    assert!(sim.peers[1].kernel.is_empty(), "{}", sim.story());
    sim.clock.now().since(lost)
}

const DPD: Duration = Duration::from_secs(10);

/// West is a phone, and east has `dpddelay=10` and perhaps `retransmit-timeout=`.
fn watched_phone(seed: u64, timeout: Option<Duration>) -> Sim {
    let mut sim = prepared(seed);
    sim.peers[1].ike.dpd_delay = Some(DPD);
    if let Some(timeout) = timeout {
        sim.peers[1].ike.retransmit.timeout = timeout;
        sim.peers[1].ike.retransmit.configured = true;
    }
    sim
}

#[test]
fn a_dead_phone_of_one_address_is_given_up_as_any_other_peer() {
    let took = given_up(up(watched_phone(31, None)), |_| ());
    assert!(took <= DPD + Duration::from_secs(30), "{took:?}");
    let took = given_up(up(watched_phone(32, Some(Duration::from_secs(20)))), |_| ());
    assert!(took <= DPD + Duration::from_secs(20), "{took:?}");
}

/// RFC 4555, 3.11.
#[test]
fn a_phone_of_several_addresses_is_given_five_minutes_unless_something_else_is_said() {
    let several = |timeout| {
        let mut sim = watched_phone(33, timeout);
        sim.peers[0].others = vec![CAFE];
        up(sim)
    };
    let took = given_up(several(None), |_| ());
    assert!(took >= Duration::from_secs(300), "{took:?}");
    let took = given_up(several(Some(Duration::from_secs(20))), |_| ());
    assert!(took <= DPD + Duration::from_secs(20), "{took:?}");
}

/// Without `dpddelay=` a question has another reason, which may be a stranger's.
#[test]
fn a_phone_that_nobody_watches_is_given_five_minutes() {
    let took = given_up(mobile(34), |sim| {
        let east = ike(sim, 1);
        sim.order(1, east, Request::Liveness);
    });
    assert!(took >= Duration::from_secs(300), "{took:?}");
}

/// The phone is asked, and gets nothing; but a request of its own arrives.
#[test]
fn a_phone_that_is_heard_while_it_is_asked_is_given_five_minutes() {
    for (elsewhere, seed) in [(false, 35), (true, 36)] {
        let took = given_up(up(watched_phone(seed, None)), |sim| {
            sim.run_for(DPD + Duration::from_secs(5));
            assert_eq!(sim.peers[1].sas.len(), 1, "{}", sim.story());
            // Only what is sent now arrives.
            sim.net.faults = Faults::default();
            let before = sim.net.log.len();
            if elsewhere {
                sim.roam(0, &[TRAIN]);
            } else {
                let west = ike(sim, 0);
                sim.order(0, west, Request::Liveness);
            }
            let soon = Duration::from_secs(1);
            assert!(sim.run_until(soon, |sim| sim.net.log.len() > before), "{}", sim.story());
            assert!(sim.net.log[before].local.ip() != EAST, "{}", sim.story());
            sim.net.faults = Faults { loss: 100, ..Faults::default() };
        });
        assert!(took >= Duration::from_secs(300), "{took:?}");
    }
}
