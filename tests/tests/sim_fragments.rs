//! IKE fragmentation (RFC 7383): large messages pass small paths, and nothing that a peer
//! does with fragments costs more than its message.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::{Fragmentation, Id};
use pluto_states::Datagram;
use pluto_tests::net::Faults;
use pluto_tests::puppet::fqdn;
use pluto_tests::sim::Sim;
use pluto_tests::stage::{Stage, notify};
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{Payload, encode_chain};
use std::time::Duration;

/// Two hosts with identities so long that IKE_AUTH is large both ways.
fn long_names(sim: &mut Sim, octets: usize) {
    let name = |letter: &str| Id::Fqdn(letter.repeat(octets));
    let [west, east] = &mut sim.peers;
    (west.ike.local_id, west.ike.remote_id) = (name("w"), name("e"));
    (east.ike.local_id, east.ike.remote_id) = (name("e"), name("w"));
}

fn set(sim: &mut Sim, west: Fragmentation, east: Fragmentation) {
    sim.peers[0].ike.fragmentation = west;
    sim.peers[1].ike.fragmentation = east;
}

/// Sizes of all datagrams after IKE_SA_INIT.
fn sizes(sim: &Sim) -> Vec<usize> {
    sim.net.log.iter().skip(2).map(|datagram| datagram.bytes.len()).collect()
}

#[test]
fn a_large_ike_auth_goes_through_in_fragments_both_ways() {
    let mut sim = Sim::calm(1);
    long_names(&mut sim, 1500);
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    // IDi and IDr, 3000 octets, in three; IDr alone in two.
    assert_eq!(sizes(&sim).len(), 3 + 2, "{:?}", sizes(&sim));
    assert!(sizes(&sim).iter().all(|size| *size <= 1192), "{:?}", sizes(&sim));
    assert!(sim.peers[1].logged("IDr,AUTH,SA,TSi,TSr} reassembled from 3 fragments"));
    assert!(sim.peers[0].logged("containing SK{IDr,AUTH,SA,TSi,TSr} reassembled from 2 fragments"));
}

#[test]
fn forced_fragments_fit_the_smallest_path() {
    let mut sim = Sim::calm(2);
    long_names(&mut sim, 400);
    set(&mut sim, Fragmentation::Force, Fragmentation::Force);
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    let sizes = sizes(&sim);
    assert!(sizes.iter().all(|size| *size <= 532) && sizes.iter().any(|size| *size >= 500));
}

#[test]
fn nothing_is_fragmented_unless_both_want_it() {
    for (west, east) in [
        (Fragmentation::No, Fragmentation::Force),
        (Fragmentation::Force, Fragmentation::No),
        (Fragmentation::No, Fragmentation::No),
    ] {
        let mut sim = Sim::calm(3);
        long_names(&mut sim, 1500);
        set(&mut sim, west, east);
        sim.initiate();
        sim.settle();
        assert!(sim.is_up());
        assert_eq!(sizes(&sim).len(), 2);
    }
}

/// Drops what is larger than a path of 576 octets takes.
fn narrow(sim: &mut Sim) {
    sim.net.largest = 548;
}

#[test]
fn messages_that_get_no_answer_shrink_both_ways() {
    let mut sim = Sim::calm(4);
    long_names(&mut sim, 700);
    narrow(&mut sim);
    sim.initiate();
    let up = sim.run_until(Duration::from_secs(10), |sim| sim.is_up());
    assert!(up, "{:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    assert!(sim.peers[0].logged("retransmitting IKE_AUTH request"));
}

#[test]
fn without_fragments_a_narrow_path_lets_nothing_through() {
    let mut sim = Sim::calm(5);
    long_names(&mut sim, 700);
    set(&mut sim, Fragmentation::No, Fragmentation::No);
    narrow(&mut sim);
    sim.initiate();
    assert!(!sim.run_until(Duration::from_secs(40), |sim| sim.is_up()));
}

#[test]
fn fragments_that_are_lost_or_come_in_disorder_come_again() {
    for seed in 0..200 {
        let faults =
            Faults { loss: 20, duplicated: 20, corrupted: 0, jitter: Duration::from_millis(300) };
        let mut sim = Sim::new(seed, faults);
        long_names(&mut sim, 1000);
        set(&mut sim, Fragmentation::Force, Fragmentation::Force);
        for peer in &mut sim.peers {
            peer.ike.retransmit.timeout = Duration::from_secs(3600);
        }
        // Keys are computed while fragments come.
        for peer in &mut sim.peers {
            peer.ike.proposals =
                pluto_tests::peer::ike_proposals("aes_gcm256-sha2_256-dh14").into();
        }
        sim.thinking = Duration::from_millis(seed % 200);
        sim.initiate();
        let up = sim.run_until(Duration::from_secs(3600), |sim| sim.is_up());
        assert!(up, "seed {seed}: {:#?} {:#?}", sim.peers[0].log, sim.peers[1].log);
    }
}

#[test]
fn fragments_that_come_while_the_keys_are_computed_are_kept() {
    let mut sim = Sim::calm(6);
    long_names(&mut sim, 1500);
    for peer in &mut sim.peers {
        peer.ike.proposals = pluto_tests::peer::ike_proposals("aes_gcm256-sha2_256-dh14").into();
    }
    sim.thinking = Duration::from_millis(100);
    sim.initiate();
    let up = sim.run_until(Duration::from_secs(10), |sim| sim.is_up());
    assert!(up && !sim.peers[0].logged("retransmitting IKE_AUTH"), "{:#?}", sim.peers[1].log);
}

/// The puppet's IKE_AUTH request in `total` fragments.
fn fragments(stage: &mut Stage, total: u16) -> Vec<Datagram> {
    let payloads = stage.auth_payloads(&fqdn("west"));
    stage.puppet.seal_fragments(ExchangeType::IKE_AUTH, false, 1, &payloads, total)
}

fn say_all(stage: &mut Stage, datagrams: Vec<Datagram>) -> usize {
    datagrams.into_iter().map(|datagram| stage.say(datagram).len()).sum()
}

fn is_up(stage: &Stage) -> bool {
    stage.sim.peers[1].established().len() == 1
}

#[test]
fn sixty_four_fragments_are_taken() {
    let mut stage = Stage::keyed_for_fragments(10);
    let all = fragments(&mut stage, 64);
    let total = all.len();
    assert!(total > 50);
    assert_eq!(say_all(&mut stage, all), 1);
    assert!(is_up(&stage));
    assert!(stage.sim.peers[1].logged(&format!("reassembled from {total} fragments")));
}

#[test]
fn b3_fragments_that_were_not_agreed_upon_are_dropped() {
    let mut stage = Stage::keyed(11);
    let all = fragments(&mut stage, 3);
    assert_eq!(say_all(&mut stage, all), 0);
    assert!(!is_up(&stage));
    let whole = stage.honest_auth();
    assert_eq!(stage.say(whole).len(), 1, "and it harms nothing");
}

/// One bad fragment before an honest message: nothing is said, and the message still works.
fn survives(seed: u64, first: PayloadType, numbers: (u16, u16), plain: &[u8]) {
    let mut stage = Stage::keyed_for_fragments(seed);
    let header = stage.puppet.header(ExchangeType::IKE_AUTH, false, 1);
    let bad = stage.puppet.seal_fragment(header, first, numbers, plain);
    assert!(stage.say(bad).is_empty(), "{numbers:?}");
    let all = fragments(&mut stage, 3);
    assert_eq!(say_all(&mut stage, all), 1, "{numbers:?}: {:#?}", stage.sim.peers[1].log);
    assert!(is_up(&stage), "{numbers:?}");
}

#[test]
fn b3_numbers_that_cannot_be_are_dropped() {
    for (number, total) in [(0, 0), (1, 0), (0, 3), (4, 3), (65535, 3), (65535, 65535), (1, 65535)]
    {
        survives(12, PayloadType::NONE, (number, total), b"x");
    }
}

#[test]
fn b3_a_later_fragment_with_a_next_payload_is_dropped() {
    survives(13, PayloadType::IDI, (2, 3), b"x");
}

#[test]
fn b3_a_total_that_shrinks_is_refused_and_one_that_grows_begins_anew() {
    let mut stage = Stage::keyed_for_fragments(14);
    let mut three = fragments(&mut stage, 3);
    let mut five = fragments(&mut stage, 5);
    let late = three.split_off(1);
    assert_eq!(say_all(&mut stage, three), 0);
    let rest = five.split_off(4);
    assert_eq!(say_all(&mut stage, five), 0);
    assert_eq!(say_all(&mut stage, late), 0, "of three, when five have begun");
    assert_eq!(say_all(&mut stage, rest), 1);
    assert!(is_up(&stage));
}

#[test]
fn b3_the_first_of_two_different_fragments_with_one_number_counts() {
    let mut stage = Stage::keyed_for_fragments(15);
    let mut all = fragments(&mut stage, 3);
    let rest = all.split_off(2);
    assert_eq!(say_all(&mut stage, all), 0);
    let header = stage.puppet.header(ExchangeType::IKE_AUTH, false, 1);
    let other = stage.puppet.seal_fragment(header, PayloadType::NONE, (2, 3), b"something else");
    assert!(stage.say(other).is_empty());
    assert_eq!(say_all(&mut stage, rest), 1);
    assert!(is_up(&stage));
}

#[test]
fn b3_whole_and_fragments_of_one_message_do_not_mix() {
    let mut stage = Stage::keyed_for_fragments(16);
    let mut all = fragments(&mut stage, 3);
    let rest = all.split_off(1);
    assert_eq!(say_all(&mut stage, all), 0);
    let whole = stage.honest_auth();
    assert!(stage.say(whole).is_empty());
    assert!(!is_up(&stage));
    assert_eq!(say_all(&mut stage, rest), 1);
    assert!(is_up(&stage));
}

#[test]
fn b3_fragments_of_other_messages_are_dropped() {
    let mut stage = Stage::keyed_for_fragments(17);
    let payloads = stage.auth_payloads(&fqdn("west"));
    for id in [0, 2, 3, u32::MAX] {
        let all = stage.puppet.seal_fragments(ExchangeType::IKE_AUTH, false, id, &payloads, 3);
        assert_eq!(say_all(&mut stage, all), 0, "{id}");
    }
    let all = fragments(&mut stage, 3);
    assert_eq!(say_all(&mut stage, all), 1);
}

#[test]
fn b3_a_message_over_the_limit_is_forgotten() {
    let mut stage = Stage::keyed_for_fragments(18);
    let filling =
        [notify(NotifyType(40_000), &[7; 60_000]), notify(NotifyType(40_001), &[7; 9_000])];
    let (first, plain) = encode_chain(&filling).unwrap();
    let header = stage.puppet.header(ExchangeType::IKE_AUTH, false, 1);
    let parts: Vec<&[u8]> = plain.chunks(1100).collect();
    let total = parts.len() as u16;
    for (number, part) in (1..).zip(parts) {
        let first = if number == 1 { first } else { PayloadType::NONE };
        let one = stage.puppet.seal_fragment(header, first, (number, total), part);
        assert!(stage.say(one).is_empty());
        if stage.sim.peers[1].logged("too large") {
            break;
        }
    }
    assert!(stage.sim.peers[1].logged("too large"));
    let whole = stage.honest_auth();
    assert_eq!(stage.say(whole).len(), 1);
    assert!(is_up(&stage));
}

#[test]
fn an_incomplete_message_is_forgotten_in_time() {
    let mut stage = Stage::keyed_for_fragments(19);
    let whole = stage.honest_auth();
    stage.say(whole);
    assert!(is_up(&stage));
    let probe = [notify(NotifyType(40_000), &[7; 3_000])];
    let mut all = stage.puppet.seal_fragments(ExchangeType::INFORMATIONAL, false, 2, &probe, 3);
    all.truncate(2);
    assert_eq!(say_all(&mut stage, all), 0);
    stage.sim.run_for(Duration::from_secs(61));
    let empty = stage.ask(ExchangeType::INFORMATIONAL, 2, &[]);
    assert_eq!(empty, [Vec::<Payload>::new()], "not mixed any more");
}

#[test]
fn d1_only_the_first_fragment_of_an_old_request_is_answered_again() {
    let mut stage = Stage::keyed_for_fragments(20);
    let all = fragments(&mut stage, 3);
    let mut answers = Vec::new();
    for datagram in all.clone() {
        answers.extend(stage.say(datagram));
    }
    assert_eq!(answers.len(), 1);
    let again: Vec<Vec<Datagram>> = all.into_iter().map(|one| stage.say(one)).collect();
    assert_eq!(again, [answers, Vec::new(), Vec::new()]);
}

#[test]
fn a_fragment_of_somebody_else_spoils_nothing() {
    let mut stage = Stage::keyed_for_fragments(21);
    let mut all = fragments(&mut stage, 3);
    let mut forged = all[0].clone();
    *forged.bytes.last_mut().unwrap() ^= 1;
    all.insert(0, forged);
    assert_eq!(say_all(&mut stage, all), 1);
    assert!(is_up(&stage));
}
