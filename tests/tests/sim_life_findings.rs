//! What days of simulated life have found (`sim_rekey_life`): each in a few steps.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::SerialNo;
use pluto_states::Request;
use pluto_tests::crossing::Crossing;
use pluto_tests::net::{Faults, Nat};
use pluto_tests::sim::{EAST, Sim, WEST};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const CAFE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const EAST_TOO: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 22));

/// A tunnel between hosts that may move; east has two addresses.
fn mobile(seed: u64) -> Sim {
    let mut sim = Sim::calm(seed);
    for peer in &mut sim.peers {
        peer.ike.mobike = true;
    }
    sim.peers[1].others = vec![EAST_TOO];
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    sim
}

fn ike(sim: &Sim, host: usize) -> SerialNo {
    sim.peers[host].established()[0]
}

/// Both kernels and both IKE SAs believe in the same two addresses.
#[track_caller]
fn assert_agree(sim: &Sim, what: &str) {
    assert!(sim.is_up(), "{what}{}", sim.story());
    let ends = |host: usize| {
        let peer = &sim.peers[host];
        let sa = peer.kernel.sender().unwrap();
        let summary = peer.sas[&ike(sim, host)].summary();
        let kernel = (sa.local.ip(), sa.remote.ip());
        assert_eq!(kernel, (summary.local.ip(), summary.remote.ip()), "{what}{}", sim.story());
        kernel
    };
    let (west, east) = (ends(0), ends(1));
    assert_eq!(west, (east.1, east.0), "{what}{}", sim.story());
}

/// Nothing passes from `after` on, for `long`.
fn outage(sim: &mut Sim, after: u64, long: u64) {
    sim.run_for(Duration::from_millis(after));
    sim.net.largest = 0;
    sim.run_for(Duration::from_millis(long));
    sim.net.largest = usize::MAX;
}

/// A request that has gone out by several paths, and come by another one than its answer,
/// leaves the two ends with different beliefs.
#[test]
fn addresses_agree_in_the_end_whichever_paths_were_tried() {
    let steps: [fn(&mut Sim); 3] = [
        |sim| sim.roam(0, &[CAFE]),
        |sim| sim.roam(1, &[EAST_TOO, EAST]),
        |sim| {
            sim.roam(0, &[CAFE]);
            sim.roam(1, &[EAST_TOO, EAST]);
        },
    ];
    for (n, step) in steps.into_iter().enumerate() {
        for after in (0..1000).step_by(97) {
            for long in (100..6000).step_by(371) {
                let mut sim = mobile(1);
                step(&mut sim);
                outage(&mut sim, after, long);
                sim.run_for(Duration::from_secs(100));
                assert_agree(&sim, &format!("{n}, {after} ms, {long} ms"));
            }
        }
        for seed in 0..60 {
            let mut sim = mobile(seed);
            sim.net.faults = Faults {
                loss: 35,
                duplicated: 20,
                corrupted: 0,
                jitter: Duration::from_millis(300),
            };
            step(&mut sim);
            sim.run_for(Duration::from_secs(30));
            sim.net.faults = Faults::default();
            sim.run_for(Duration::from_secs(100));
            assert_agree(&sim, &format!("{n}, seed {seed}"));
        }
    }
}

/// East has sent one that is lost; what is tried for it is nothing that traffic or a new IKE SA
/// may go by.
#[test]
fn what_is_made_while_another_path_is_tried_is_between_the_addresses_in_use() {
    for rekey_ike in [true, false] {
        let mut sim = mobile(2);
        let serial = ike(&sim, 0);
        sim.order(0, serial, Request::Liveness);
        outage(&mut sim, 0, 4_000);
        let (serial, child) = (ike(&sim, 1), sim.peers[1].children()[0]);
        let order = if rekey_ike { Request::RekeyIke } else { Request::RekeyChild(child) };
        sim.order(1, serial, order);
        sim.run_for(Duration::from_millis(100));
        let made = sim.peers[0].kernel.installed.values().map(|sa| sa.remote.ip());
        assert!(made.into_iter().all(|ip| ip == EAST), "{}", sim.story());
        sim.run_for(Duration::from_secs(100));
        assert_agree(&sim, &format!("rekey IKE: {rekey_ike}"));
    }
}

#[test]
fn who_is_told_of_a_move_while_it_deletes_the_ike_sa_says_so_there() {
    let mut sim = mobile(3);
    let serial = ike(&sim, 1);
    sim.roam(0, &[CAFE]);
    sim.order(1, serial, Request::DeleteIke);
    sim.run_for(Duration::from_secs(5));
    sim.assert_nothing_left();
}

#[test]
fn what_waits_for_an_answer_is_sent_to_a_new_mapping_at_once() {
    let mut sim = Sim::calm(4);
    let nat = |shift| vec![Nat { inside: WEST, outside: CAFE, shift }];
    sim.net.nats = nat(1000);
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    sim.net.nats = nat(2000);
    let (west, east) = (ike(&sim, 0), ike(&sim, 1));
    sim.order(1, east, Request::DeleteIke);
    // Sent again after 0.5, 1.5, 3.5 and 7.5 seconds, and then not for eight.
    sim.run_for(Duration::from_secs(8));
    assert_eq!(sim.peers[0].established(), [west], "it does not know yet");
    sim.order(0, west, Request::Liveness);
    sim.run_for(Duration::from_secs(1));
    sim.assert_nothing_left();
}

/// Who follows, and is still where it was, is found there: it looks for nobody elsewhere.
#[test]
fn who_only_tells_of_a_further_address_stays_where_it_is() {
    let mut sim = mobile(5);
    let before = sim.net.log.len();
    sim.roam(1, &[EAST, EAST_TOO, IpAddr::from([192, 0, 2, 23])]);
    outage(&mut sim, 0, 9_000);
    sim.run_for(Duration::from_secs(100));
    let from_elsewhere = |sent: &&pluto_states::Datagram| sent.local.ip() == EAST_TOO;
    assert_eq!(sim.net.log[before..].iter().filter(from_elsewhere).count(), 0, "{}", sim.story());
    assert_agree(&sim, "told");
}

/// The response to west's rekeying is overtaken by east's rekeying of what that has made.
#[test]
fn rekeying_what_the_peer_does_not_know_yet_leaves_one_child_sa() {
    let mut crossing = Crossing::established(Sim::calm(6));
    let child = crossing.child(0);
    crossing.order(0, Request::RekeyChild(child));
    crossing.deliver(1);
    let response = crossing.mail[0].pop_front().unwrap();
    let new = crossing.peers[1].children().into_iter().max().unwrap();
    crossing.order(1, Request::RekeyChild(new));
    crossing.deliver(0);
    crossing.mail[0].push_front(response);
    crossing.wait(Duration::from_secs(200));
    crossing.assert_agree(1, 1);
    assert!(crossing.peers[0].logged("TEMPORARY_FAILURE"), "{}", crossing.story());
}

/// Twelve times running west's request was lost, and the next pause is longer than what is left
/// for rekeying the IKE SA. East is heard all the while, so it can be asked.
#[test]
fn a_lost_request_does_not_outlast_the_ike_sa_while_the_peer_is_heard() {
    let mut sim = Sim::calm(10);
    sim.peers[0].ike.retransmit.timeout = Duration::from_secs(3600);
    sim.peers[0].ike.lifetimes.life = Duration::from_secs(2000);
    let mut crossing = Crossing::established(sim);
    let west = crossing.ike(0);
    crossing.wait(Duration::from_secs(400));
    crossing.order(0, Request::Liveness);
    for n in 1..=12 {
        assert_eq!(crossing.mail[1].len(), 1, "{n}{}", crossing.story());
        crossing.lose(1);
        while n < 12 && crossing.mail[1].is_empty() {
            let (at, serial) = crossing.peers[0].deadline().unwrap();
            assert_eq!(serial, west);
            crossing.now = at;
            crossing.wake(0, west);
        }
    }
    let asks = |crossing: &Crossing| {
        let sas = crossing.peers[0].sas.values();
        let deadlines = sas.flat_map(|sa| sa.summary().deadlines);
        deadlines.filter(|(name, _)| *name == "RETRANSMIT").map(|(_, at)| at).max()
    };
    assert!(asks(&crossing) > Some(crossing.now.after(Duration::from_secs(1000))));
    crossing.wait(Duration::from_secs(10));
    assert!(!crossing.peers[0].logged("initiator rekeyed IKE SA"), "{}", crossing.story());
    crossing.order(1, Request::Liveness);
    crossing.wait(Duration::from_secs(1));
    assert_eq!(asks(&crossing), None, "{}", crossing.story());
    crossing.assert_agree(1, 1);
    assert!(crossing.peers[0].logged("initiator rekeyed IKE SA"), "{}", crossing.story());
}

/// Both ask at the same moment whether the other lives: windows can be compared when nobody
/// waits for an answer (RFC 7296, 2.3), and then they are equal.
#[test]
fn windows_differ_only_while_requests_are_on_their_way() {
    let mut crossing = Crossing::established(Sim::calm(11));
    (0..2).for_each(|host| crossing.order(host, Request::Liveness));
    let ids = |crossing: &Crossing, host: usize| {
        let ike = crossing.ike(host);
        crossing.peers[host].sas[&ike].summary().message_ids
    };
    let turned = |(next, expected)| (expected, next);
    for _ in 0..2 {
        assert_ne!(ids(&crossing, 0), turned(ids(&crossing, 1)), "{}", crossing.story());
        let waiting = crossing.mail.iter().position(|mail| !mail.is_empty()).unwrap();
        crossing.deliver(waiting);
    }
    crossing.deliver_all(|_| 0);
    crossing.assert_agree(1, 1);
}

/// A host without an address rekeys its IKE SA: what replaces that has one when it has.
#[test]
fn an_ike_sa_that_was_made_while_its_host_was_stranded_is_not() {
    for micros in (0..12_000).step_by(500) {
        let mut sim = mobile(7);
        sim.thinking = Duration::from_millis(3);
        let serial = ike(&sim, 1);
        sim.order(1, serial, Request::RekeyIke);
        sim.run_for(Duration::from_millis(8));
        sim.roam(0, &[]);
        sim.run_for(Duration::from_micros(micros));
        sim.roam(0, &[CAFE]);
        sim.thinking = Duration::ZERO;
        sim.run_for(Duration::from_secs(200));
        assert_agree(&sim, &format!("{micros} microseconds"));
    }
}

/// The response to a rekeying of the IKE SA is lost for longer than a replaced one lingers, and
/// its request comes again and again.
#[test]
fn a_replaced_ike_sa_lingers_while_its_peer_asks_for_the_response() {
    let mut sim = mobile(8);
    let serial = ike(&sim, 1);
    sim.order(1, serial, Request::RekeyIke);
    sim.net.mute = vec![WEST];
    sim.run_for(Duration::from_secs(150));
    sim.net.mute.clear();
    sim.run_for(Duration::from_secs(300));
    assert_agree(&sim, "after 150 seconds without a response");
    assert!(sim.peers[1].logged("initiator rekeyed IKE SA"), "{}", sim.story());
}

/// The response to a rekeying of the IKE SA is lost, and then the old one is to be deleted: the
/// peer would take that for the end of all, and its half of the new one would never come to be.
#[test]
fn an_ike_sa_that_was_rekeyed_is_left_to_who_has_rekeyed_it_whoever_wants_it_gone() {
    let mut sim = mobile(13);
    let (old, serial) = (ike(&sim, 0), ike(&sim, 1));
    sim.net.mute = vec![WEST];
    sim.order(1, serial, Request::RekeyIke);
    sim.run_for(Duration::from_secs(5));
    assert!(sim.peers[0].logged("responder rekeyed IKE SA"), "{}", sim.story());
    sim.order(0, old, Request::DeleteIke);
    sim.net.mute.clear();
    sim.run_for(Duration::from_secs(30));
    assert_agree(&sim, "deleted and rekeyed");
    assert!(sim.peers.iter().all(|peer| peer.sas.len() == 1), "{}", sim.story());
    assert!(sim.peers[1].logged("initiator rekeyed IKE SA"), "{}", sim.story());
    assert!(sim.peers.iter().all(|peer| peer.lost().is_empty()), "{}", sim.story());
}

/// The response to a rekeying of the IKE SA is lost, and then west is elsewhere: on the new IKE SA
/// it can tell nobody.
#[test]
fn who_moves_before_its_response_to_an_ike_rekey_arrives_says_so_on_the_old_ike_sa() {
    for rekeys_child in [false, true] {
        let mut sim = mobile(12);
        let serial = ike(&sim, 1);
        sim.net.mute = vec![WEST];
        sim.order(1, serial, Request::RekeyIke);
        sim.run_for(Duration::from_secs(5));
        assert!(sim.peers[0].logged("responder rekeyed IKE SA"), "{}", sim.story());
        if rekeys_child {
            let (new, child) =
                (*sim.peers[0].sas.keys().max().unwrap(), sim.peers[0].children()[0]);
            sim.order(0, new, Request::RekeyChild(child));
            sim.run_for(Duration::from_secs(5));
        }
        sim.roam(0, &[CAFE]);
        sim.run_for(Duration::from_secs(20));
        assert_agree(&sim, &format!("rekeys its child: {rekeys_child}"));
        assert!(sim.peers[1].logged("initiator rekeyed IKE SA"), "{}", sim.story());
        assert_eq!(sim.peers[1].lost(), []);
    }
}

/// But not for ever: such a request proves nothing, anybody can send it again.
#[test]
fn a_replaced_ike_sa_ends_whoever_repeats_what_it_has_answered() {
    let mut sim = mobile(9);
    let (old, serial) = (ike(&sim, 0), ike(&sim, 1));
    let before = sim.net.log.len();
    sim.order(1, serial, Request::RekeyIke);
    assert!(sim.run_until(Duration::from_secs(1), |sim| sim.net.log.len() > before));
    let request = sim.net.log[before].clone();
    sim.net.mute = vec![EAST];
    for _ in 0..80 {
        sim.inject(request.clone());
        sim.run_for(Duration::from_secs(10));
    }
    assert!(sim.peers[0].logged("responder rekeyed IKE SA"), "{}", sim.story());
    assert!(!sim.peers[0].sas.contains_key(&old), "{}", sim.story());
}

/// East has rekeyed the IKE SA, and has never heard of it: nothing passes for so long that west
/// deletes the old one. Without a question of west's its tunnel would lead nowhere from then on.
#[test]
fn a_rekeyed_ike_sa_that_the_peer_does_not_know_is_found_out() {
    let mut sim = mobile(5);
    let east = ike(&sim, 1);
    sim.net.mute = vec![WEST];
    sim.order(1, east, Request::RekeyIke);
    sim.run_for(Duration::from_millis(100));
    assert!(sim.peers[0].logged("responder rekeyed IKE SA"), "{}", sim.story());
    // Nothing of west's comes, then nothing of east's, which has not given up yet.
    sim.net.dead = vec![EAST, EAST_TOO];
    sim.run_for(Duration::from_secs(85));
    sim.net.dead.clear();
    sim.net.mute = vec![EAST, EAST_TOO];
    sim.run_for(Duration::from_secs(10));
    sim.net.mute.clear();
    sim.run_for(Duration::from_secs(400));
    let left = sim.peers.iter().map(|peer| peer.kernel.installed.len()).collect::<Vec<_>>();
    assert_eq!(left, [0, 0], "one end's tunnel leads nowhere{}", sim.story());
}

/// A tunnel between hosts that wait an hour for an answer.
fn patient() -> Sim {
    let mut sim = Sim::calm(5);
    for peer in &mut sim.peers {
        peer.ike.retransmit.timeout = Duration::from_secs(3600);
    }
    sim.initiate();
    sim.settle();
    assert!(sim.is_up(), "{}", sim.story());
    sim
}

/// As before, and west has asked something on the new IKE SA, which waits for its next turn: it
/// is asked anew when the old one goes, and the tunnel is gone within a minute, not when a request
/// is given up.
#[test]
fn a_rekeyed_ike_sa_that_the_peer_does_not_know_is_found_out_while_a_request_waits() {
    let mut sim = patient();
    let (west, east) = (ike(&sim, 0), ike(&sim, 1));
    sim.net.mute = vec![WEST];
    sim.order(1, east, Request::RekeyIke);
    sim.run_for(Duration::from_millis(100));
    let (new, child) = (*sim.peers[0].sas.keys().max().unwrap(), sim.peers[0].children()[0]);
    assert_ne!(new, west, "{}", sim.story());
    sim.order(0, new, Request::RekeyChild(child));
    sim.net.mute = vec![EAST];
    sim.run_for(Duration::from_secs(80));
    sim.net.mute.clear();
    // West's Delete of the old one, 90 seconds after the rekeying, is the end of all to east.
    let gone = |sim: &Sim| sim.peers[1].sas.is_empty();
    assert!(sim.run_until(Duration::from_secs(20), gone), "{}", sim.story());
    assert!(sim.peers[0].established().contains(&new), "{}", sim.story());
    sim.run_for(Duration::from_secs(61));
    assert!(sim.peers[0].logged("has never used this IKE SA"), "{}", sim.story());
    sim.assert_nothing_left();
}

/// The same where the peer does know of the new IKE SA, and only its Delete of the old one was
/// lost: nothing is given up.
#[test]
fn a_rekeyed_ike_sa_that_the_peer_knows_stays_though_its_delete_of_the_old_one_is_lost() {
    let mut sim = patient();
    let east = ike(&sim, 1);
    sim.order(1, east, Request::RekeyIke);
    let answered = |sim: &Sim| sim.peers[0].logged("responder rekeyed IKE SA");
    assert!(sim.run_until(Duration::from_secs(1), answered), "{}", sim.story());
    sim.net.mute = vec![EAST];
    sim.run_for(Duration::from_secs(55));
    let (new, child) = (*sim.peers[0].sas.keys().max().unwrap(), sim.peers[0].children()[0]);
    sim.order(0, new, Request::RekeyChild(child));
    sim.run_for(Duration::from_secs(34));
    sim.net.mute.clear();
    sim.run_for(Duration::from_secs(100));
    assert!(sim.is_up(), "{}", sim.story());
    assert_eq!(sim.peers[0].established(), [new], "{}", sim.story());
    assert!(sim.peers[0].logged("the peer has not"), "{}", sim.story());
}

/// East's responses were lost for half a minute, and then west's IKE_AUTH.
#[test]
fn a_responder_does_not_give_up_who_has_just_asked_again() {
    let mut sim = Sim::calm(4);
    let retransmit = &mut sim.peers[0].ike.retransmit;
    (retransmit.interval, retransmit.timeout) =
        (Duration::from_millis(430), Duration::from_secs(3600));
    let seconds = Duration::from_secs;
    // The request goes out after 0, 0.43, 1.29, 3.01, 6.45, 13.33 and 27.09 seconds, or up to an
    // eighth later.
    sim.net.mute = vec![WEST];
    sim.initiate();
    sim.run_for(seconds(2));
    sim.net.mute = vec![EAST];
    assert!(sim.run_until(seconds(2), |sim| !sim.peers[1].sas.is_empty()), "{}", sim.story());
    let given_up = sim.clock.now().after(seconds(30));
    sim.run_for(seconds(22));
    sim.net.mute.clear();
    let repeated = |sim: &Sim| sim.peers[1].log.last().is_some_and(|l| l.contains("sent again"));
    sim.peers[1].log.clear();
    assert!(sim.run_until(seconds(6), repeated), "{}", sim.story());
    sim.net.mute = vec![WEST];
    let left = given_up.since(sim.clock.now());
    assert!(left > Duration::ZERO);
    sim.run_for(left + Duration::from_millis(100));
    sim.net.mute.clear();
    sim.run_for(seconds(5));
    assert!(sim.is_up(), "{}", sim.story());
}

/// West has rekeyed the IKE SA, and east does not know it yet: on the old one west finds that
/// east is reached by another address, and east goes there. The new one, which has the Child
/// SAs, has to go there, too.
#[test]
fn what_a_rekeyed_ike_sa_finds_out_counts_for_its_successor() {
    for gap in (2000..8000).step_by(250) {
        let mut sim = mobile(3);
        let (west, east) = (ike(&sim, 0), ike(&sim, 1));
        sim.net.mute = vec![WEST];
        sim.order(0, west, Request::Liveness);
        sim.order(1, east, Request::RekeyIke);
        sim.run_for(Duration::from_millis(100));
        assert!(sim.peers[0].logged("responder rekeyed IKE SA"), "{}", sim.story());
        sim.net.mute.clear();
        sim.net.dead = vec![EAST];
        sim.run_for(Duration::from_millis(gap));
        sim.net.dead.clear();
        sim.run_for(Duration::from_secs(100));
        assert_agree(&sim, &format!("{gap} ms"));
    }
}
