//! Orders for an SA that something else is happening to at the same time: whoever gives one
//! means the tunnel, not the SA that happens to carry it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{DownReason, Finish, Input, KernelResult, Request};
use pluto_tests::crossing::Crossing;
use pluto_tests::peer::ike_proposals;
use pluto_tests::sim::Sim;
use std::time::Duration;

/// `rekeyer` rekeys the Child SA; after so many datagrams host 0 is told to delete the old one.
/// None: it was gone by then.
fn deleted_after(rekeyer: usize, datagrams: usize) -> Option<Crossing> {
    let mut crossing = Crossing::established(Sim::calm(11));
    let (old, theirs) = (crossing.child(0), crossing.child(rekeyer));
    crossing.slow = true;
    crossing.order(rekeyer, Request::RekeyChild(theirs));
    for number in 0..datagrams {
        // Either end's kernel, then its mail.
        for host in [number % 2, 1 - number % 2] {
            while crossing.answer(host) {}
            if crossing.deliver(host) {
                break;
            }
        }
    }
    let known = crossing.peers[0].children().contains(&old);
    crossing.order(0, Request::DeleteChild(old));
    crossing.slow = false;
    crossing.wait(Duration::from_secs(100));
    known.then_some(crossing)
}

#[test]
fn a_child_sa_deleted_while_it_is_rekeyed_goes_with_its_replacement() {
    for rekeyer in [0, 1] {
        let moments = (0..5).map_while(|datagrams| deleted_after(rekeyer, datagrams));
        let judged = moments.inspect(|crossing| crossing.assert_agree(1, 0)).count();
        assert!(judged >= 3, "{judged} moments");
    }
}

/// The time of a Child SA is over while the peer's request to rekey it is being answered.
#[test]
fn a_child_sa_that_expires_while_it_is_rekeyed_leaves_its_replacement_alone() {
    for answered in 0..3 {
        let mut crossing = Crossing::established(Sim::calm(12));
        let (old, theirs) = (crossing.child(1), crossing.child(0));
        crossing.order(0, Request::RekeyChild(theirs));
        crossing.slow = true;
        crossing.deliver(1);
        (0..answered).for_each(|_| _ = crossing.answer(1));
        let expired = Input::KernelDone(KernelResult::Expired { child: old, hard: true });
        let ike = crossing.ike(1);
        crossing.input(1, ike, expired);
        crossing.slow = false;
        crossing.wait(Duration::from_secs(100));
        crossing.assert_agree(1, 1);
        for peer in &crossing.peers {
            assert!(!peer.downs().contains(&DownReason::Expired), "{}", crossing.story());
        }
    }
}

/// Both were told to rekey the IKE SA, and one was faster.
#[test]
fn an_ike_sa_that_the_peer_has_rekeyed_is_not_rekeyed_again() {
    for answers in 0..4 {
        let mut sim = Sim::calm(13);
        for peer in &mut sim.peers {
            peer.ike.proposals = ike_proposals("aes_gcm256-sha2_256-dh14").into();
        }
        let mut crossing = Crossing::established(sim);
        crossing.slow = true;
        crossing.order(1, Request::RekeyIke);
        while crossing.answer(1) {}
        crossing.order(0, Request::RekeyIke);
        (0..answers).for_each(|_| _ = crossing.answer(0));
        crossing.deliver(0);
        crossing.slow = false;
        crossing.wait(Duration::from_secs(60));
        crossing.assert_agree(1, 1);
        for peer in &crossing.peers {
            let replaced = |finish: &&Finish| matches!(finish, Finish::Replaced(_));
            let rekeyed = peer.finishes().iter().filter(replaced).count();
            // Where both had begun, the loser's is a second one that ends at once.
            assert!(rekeyed <= 2, "{answers}: {rekeyed}{}", crossing.story());
            if answers == 0 {
                assert_eq!(rekeyed, 1, "{}", crossing.story());
            }
        }
    }
}

/// The kernel does not answer for the first; the second has not even been asked for.
#[test]
fn one_order_that_stalls_leaves_the_next_its_own_time() {
    let mut crossing = Crossing::established(Sim::calm(61));
    let (child, ike) = (crossing.child(0), crossing.ike(0));
    let policy = std::sync::Arc::new(crossing.peers[0].child.clone());
    crossing.slow = true;
    crossing.order(0, Request::RekeyChild(child));
    crossing.order(0, Request::CreateChild(policy));
    crossing.answers[0].clear();
    let stalls = |crossing: &Crossing| {
        let log = &crossing.peers[0].log;
        log.iter().filter(|line| line.contains("not installed: kernel: no answer")).count()
    };
    crossing.now = crossing.now.after(Duration::from_secs(31));
    for _ in 0..3 {
        crossing.wake(0, ike);
    }
    assert_eq!(stalls(&crossing), 1, "{}", crossing.story());
    crossing.slow = false;
    crossing.wait(Duration::from_secs(20));
    assert_eq!(crossing.peers[0].children().len(), 2, "{}", crossing.story());
    assert_eq!(stalls(&crossing), 1, "{}", crossing.story());
}
