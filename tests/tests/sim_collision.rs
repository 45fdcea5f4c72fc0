//! Two exchanges begin at the same time, one at each end (RFC 7296, 2.8 and 2.25). Every
//! order in which their messages can arrive is tried, and then random orders in which the
//! hosts' own jobs and kernels are slow, too.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::Pfs;
use pluto_states::{Finish, Request};
use pluto_tests::crossing::{Chooser, Crossing};
use pluto_tests::net::Dice;
use pluto_tests::peer::ike_proposals;
use pluto_tests::sim::Sim;
use pluto_wire::numbers::KeId;
use std::sync::Arc;
use std::time::Duration;

/// What a host begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Create,
    RekeyChild,
    DeleteChild,
    RekeyIke,
    DeleteIke,
}

/// How key exchanges are computed.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// At once.
    Quick,
    /// Without one for Child SAs.
    NoPfs,
    /// As jobs.
    Jobs,
    /// West begins with one that east does not want.
    Invalid,
}

fn begun(seed: u64, kind: Kind, [west, east]: [Begin; 2]) -> Crossing {
    let mut sim = Sim::calm(seed);
    for (host, peer) in sim.peers.iter_mut().enumerate() {
        match kind {
            Kind::Quick => {}
            Kind::NoPfs => peer.child.pfs = Pfs::No,
            Kind::Invalid => {
                peer.ike.proposals = ike_proposals("aes_gcm256-sha2_256-dh31+dh19").into();
                let methods: &[KeId] = &[KeId::ECP_256, KeId::X25519];
                let proposals = &mut Arc::make_mut(&mut peer.child.proposals).proposals;
                proposals[0].ke = methods[host..].to_vec();
            }
            Kind::Jobs => peer.ike.proposals = ike_proposals("aes_gcm256-sha2_256-dh14").into(),
        }
    }
    let mut crossing = Crossing::established(sim);
    if let Kind::Invalid = kind {
        let mut policy = crossing.peers[1].ike.clone();
        policy.proposals = ike_proposals("aes_gcm256-sha2_256-dh19").into();
        crossing.order(1, Request::BelongTo(Arc::new(policy)));
    }
    for (host, begin) in [(0, west), (1, east)] {
        let child = crossing.child(host);
        let policy = Arc::new(crossing.peers[host].child.clone());
        let request = match begin {
            Begin::Create => Request::CreateChild(policy),
            Begin::RekeyChild => Request::RekeyChild(child),
            Begin::DeleteChild => Request::DeleteChild(child),
            Begin::RekeyIke => Request::RekeyIke,
            Begin::DeleteIke => Request::DeleteIke,
        };
        crossing.order(host, request);
    }
    crossing
}

fn judge(mut crossing: Crossing, begin: [Begin; 2]) {
    crossing.wait(Duration::from_secs(200));
    let has = |wanted| begin.iter().filter(|b| **b == wanted).count();
    if has(Begin::DeleteIke) > 0 {
        crossing.assert_agree(0, 0);
        return;
    }
    let gone = has(Begin::DeleteChild).min(1);
    if gone == 0 && has(Begin::Create) == 0 {
        // Make before break: no packet is lost on the way either. (What replaces nothing
        // sends at once, though here the traffic is another one's.)
        assert!(crossing.lost.is_empty(), "{:?}{}", crossing.lost, crossing.story());
    }
    crossing.assert_agree(1, 1 + has(Begin::Create) - gone);
    for peer in &crossing.peers {
        // Nobody lost what nobody wanted to lose.
        assert_eq!(peer.lost().len(), gone, "{:?}{}", peer.downs(), crossing.story());
        let replaced = |finish: &Finish| matches!(finish, Finish::Replaced(_));
        assert!(peer.finishes().iter().all(replaced), "{}", crossing.story());
        if has(Begin::RekeyIke) > 0 {
            assert!(!peer.finishes().is_empty(), "not rekeyed{}", crossing.story());
        }
    }
}

/// All orders of delivery, then random ones with slow answers.
fn collide(begin: [Begin; 2]) {
    for kind in [Kind::Quick, Kind::NoPfs] {
        for seed in 0..3 {
            let mut chooser = Chooser::default();
            loop {
                let mut crossing = begun(seed, kind, begin);
                crossing.deliver_all(|count| chooser.choose(count));
                judge(crossing, begin);
                if !chooser.next_path() {
                    break;
                }
            }
        }
    }
    for seed in 0..30 {
        let kind = if seed < 2 { Kind::Jobs } else { Kind::Quick };
        let mut crossing = begun(seed, kind, begin);
        crossing.slow = true;
        let mut dice = Dice::new(seed);
        crossing.deliver_all(|count| dice.below(count as u64) as usize);
        judge(crossing, begin);
    }
    // Any one of the first datagrams is lost, and comes again.
    for lost in 0..6 {
        for host in 0..2 {
            for seed in 0..2 {
                let mut crossing = begun(seed, Kind::Quick, begin);
                let mut dice = Dice::new(seed);
                for step in 0..100 {
                    if step == lost {
                        crossing.lose(host);
                    }
                    let first = dice.below(2) as usize;
                    if !crossing.deliver(first) && !crossing.deliver(1 - first) {
                        break;
                    }
                }
                judge(crossing, begin);
            }
        }
    }
}

fn collide_both_ways(one: Begin, other: Begin) {
    collide([one, other]);
    if one != other {
        collide([other, one]);
    }
}

use Begin::{Create, DeleteChild, DeleteIke, RekeyChild, RekeyIke};

#[test]
fn collision_of_rekey_child_and_rekey_child_leaves_one() {
    collide_both_ways(RekeyChild, RekeyChild);
}

#[test]
fn collision_of_rekey_child_and_delete_child_leaves_none() {
    collide_both_ways(RekeyChild, DeleteChild);
}

#[test]
fn collision_of_rekey_child_and_create_child_leaves_two() {
    collide_both_ways(RekeyChild, Create);
}

#[test]
fn collision_of_rekey_child_and_rekey_ike_does_both_one_after_the_other() {
    collide_both_ways(RekeyChild, RekeyIke);
}

#[test]
fn collision_of_rekey_child_and_delete_ike_leaves_nothing() {
    collide_both_ways(RekeyChild, DeleteIke);
}

#[test]
fn collision_of_create_child_and_create_child_makes_both() {
    collide_both_ways(Create, Create);
}

#[test]
fn collision_of_create_child_and_delete_child_leaves_the_new_one() {
    collide_both_ways(Create, DeleteChild);
}

#[test]
fn collision_of_create_child_and_rekey_ike_does_both_one_after_the_other() {
    collide_both_ways(Create, RekeyIke);
}

#[test]
fn collision_of_create_child_and_delete_ike_leaves_nothing() {
    collide_both_ways(Create, DeleteIke);
}

#[test]
fn collision_of_delete_child_and_delete_child_deletes_it_once() {
    collide_both_ways(DeleteChild, DeleteChild);
}

#[test]
fn collision_of_delete_child_and_rekey_ike_does_both() {
    collide_both_ways(DeleteChild, RekeyIke);
}

#[test]
fn collision_of_delete_child_and_delete_ike_leaves_nothing() {
    collide_both_ways(DeleteChild, DeleteIke);
}

#[test]
fn collision_of_rekey_ike_and_rekey_ike_leaves_one_with_the_child_sa() {
    collide_both_ways(RekeyIke, RekeyIke);
}

#[test]
fn collision_of_rekey_ike_and_rekey_ike_leaves_the_old_one_time_to_carry_the_response() {
    for seed in 0..8 {
        let mut crossing = begun(seed, Kind::Quick, [RekeyIke, RekeyIke]);
        for _ in 0..2 {
            assert!(crossing.deliver(0) && crossing.deliver(1));
        }
        // The redundant one is deleted by who has made it, and the old one not yet.
        crossing.wait(Duration::from_millis(500));
        assert!(crossing.peers.iter().all(|peer| peer.sas.len() == 2), "{}", crossing.story());
        crossing.wait(Duration::from_secs(2));
        crossing.assert_agree(1, 1);
    }
}

#[test]
fn collision_of_rekey_ike_and_delete_ike_leaves_nothing() {
    collide_both_ways(RekeyIke, DeleteIke);
}

#[test]
fn collision_of_delete_ike_and_delete_ike_leaves_nothing() {
    collide_both_ways(DeleteIke, DeleteIke);
}

/// INVALID_KE_PAYLOAD to one of them, whose second request may come at any time.
#[test]
fn collision_of_rekeyings_with_an_invalid_ke_leaves_one() {
    let mut corrected = 0;
    // esp= takes one group for Child SAs, but a peer may have another one.
    let child = [[RekeyChild; 2], [RekeyChild, DeleteChild], [RekeyChild, RekeyIke]];
    for begin in child.into_iter().chain([[RekeyIke; 2], [RekeyIke, RekeyChild]]) {
        for seed in 0..60 {
            let mut crossing = begun(seed, Kind::Invalid, begin);
            crossing.slow = seed % 2 == 0;
            let mut dice = Dice::new(seed);
            crossing.deliver_all(|count| dice.below(count as u64) as usize);
            let says = ["INVALID_KE_PAYLOAD", "there is no KE for it"];
            corrected += usize::from(says.iter().any(|text| crossing.peers[1].logged(text)));
            judge(crossing, begin);
        }
    }
    // Both rekeyings of the same kind meet it always.
    assert!(corrected >= 120, "{corrected} met it");
}
