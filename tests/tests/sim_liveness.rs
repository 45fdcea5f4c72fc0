//! Whether the peer is alive (RFC 7296, 2.4).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{Finish, Instant, Request};
use pluto_tests::net::Faults;
use pluto_tests::sim::Sim;
use pluto_tests::stage::{Stage, notify};
use pluto_wire::numbers::{ExchangeType, NotifyType};
use pluto_wire::v2::Message;
use std::time::Duration;

const DELAY: Duration = Duration::from_secs(10);

/// A tunnel between two hosts, of which the first looks after the second.
fn watched(seed: u64) -> Sim {
    let mut sim = Sim::calm(seed);
    sim.peers[0].ike.dpd_delay = Some(DELAY);
    sim.initiate();
    sim.settle();
    assert!(sim.is_up());
    sim
}

/// From now on nothing arrives.
fn freeze(sim: &mut Sim) -> Instant {
    sim.net.faults = Faults { loss: 100, ..Faults::default() };
    sim.clock.now()
}

/// ```text
/// INFORMATIONAL {}  -->
///                   <--  INFORMATIONAL {}
/// ```
#[test]
fn a_silent_peer_is_asked_and_its_answer_is_enough() {
    let mut sim = watched(1);
    let before = sim.net.log.len();
    sim.run_for(Duration::from_secs(35));
    assert_eq!(sim.net.log.len() - before, 3 * 2, "three checks, each with an answer");
    assert!(sim.is_up());
}

#[test]
fn a_frozen_peer_is_given_up_after_the_delay_and_the_retransmissions() {
    let mut sim = watched(2);
    sim.run_for(Duration::from_secs(3));
    let frozen = freeze(&mut sim);
    let gone = sim.run_until(Duration::from_secs(600), |sim| sim.peers[0].sas.is_empty());
    assert!(gone);
    let took = sim.clock.now().since(frozen);
    println!("from frozen to given up: {took:?} of virtual time");
    assert!(took <= DELAY + Duration::from_secs(30), "{took:?}");
    assert!(took >= Duration::from_secs(30), "{took:?}");
    assert_eq!(sim.peers[0].finishes(), [Finish::TimedOut]);
    assert!(sim.peers[0].kernel.is_empty());
}

#[test]
fn traffic_through_the_tunnel_is_life() {
    let mut sim = watched(3);
    let before = sim.net.log.len();
    for _ in 0..20 {
        sim.run_for(Duration::from_secs(3));
        let now = sim.clock.now();
        sim.peers[0].kernel.last_in = Some(now);
    }
    assert_eq!(sim.net.log.len(), before, "nobody had to be asked");
    // Traffic ends: the check comes a delay after it, not two.
    let ended = sim.clock.now();
    assert!(sim.run_until(Duration::from_secs(60), |sim| sim.net.log.len() > before));
    assert_eq!(sim.clock.now().since(ended), DELAY);
}

#[test]
fn without_dpddelay_nobody_is_asked() {
    let mut sim = Sim::calm(4);
    sim.initiate();
    sim.settle();
    let before = sim.net.log.len();
    sim.run_for(Duration::from_secs(3600));
    assert_eq!(sim.net.log.len(), before);
}

#[test]
fn an_order_to_check_is_one_request() {
    let mut sim = Sim::calm(5);
    let serial = sim.initiate();
    sim.settle();
    let before = sim.net.log.len();
    sim.order(0, serial, Request::Liveness);
    sim.order(0, serial, Request::Liveness);
    sim.settle();
    assert_eq!(sim.net.log.len() - before, 2);
}

#[test]
fn a_peer_that_deletes_while_it_is_asked_is_gone_once() {
    let mut sim = watched(6);
    let east = sim.peers[1].established()[0];
    let west = sim.peers[0].established()[0];
    sim.order(0, west, Request::Liveness);
    sim.order(1, east, Request::DeleteIke);
    sim.settle();
    sim.assert_nothing_left();
    assert_eq!(sim.peers[0].finishes(), [Finish::PeerDeleted]);
    assert_eq!(sim.peers[1].finishes(), [Finish::Deleted]);
}

fn lie(stage: &mut Stage, notify_type: NotifyType, response: bool) -> usize {
    let header = stage.puppet.header(ExchangeType::INFORMATIONAL, response, 7);
    let bytes = Message { header, payloads: vec![notify(notify_type, &[])] }.encode().unwrap();
    let datagram = stage.puppet.datagram(bytes);
    stage.say(datagram).len()
}

#[test]
fn d11_unauthenticated_errors_cause_one_liveness_check_a_minute_at_most() {
    let mut stage = Stage::established(7);
    assert_eq!(lie(&mut stage, NotifyType::INVALID_IKE_SPI, true), 1, "the check");
    for response in [true, false] {
        for error in [NotifyType::INVALID_IKE_SPI, NotifyType::NO_PROPOSAL_CHOSEN] {
            assert_eq!(lie(&mut stage, error, response), 0);
        }
    }
    let answer = stage.puppet.seal(ExchangeType::INFORMATIONAL, true, 0, &[]);
    assert!(stage.say(answer).is_empty());
    stage.sim.run_for(Duration::from_secs(50));
    assert_eq!(lie(&mut stage, NotifyType::INVALID_IKE_SPI, true), 0, "too early");
    stage.sim.run_for(Duration::from_secs(11));
    assert_eq!(lie(&mut stage, NotifyType::INVALID_IKE_SPI, true), 1);
    assert_eq!(stage.sim.peers[1].established().len(), 1);
}

#[test]
fn d11_a_status_that_nobody_has_signed_causes_nothing() {
    let mut stage = Stage::established(8);
    assert_eq!(lie(&mut stage, NotifyType::INITIAL_CONTACT, false), 0);
}
