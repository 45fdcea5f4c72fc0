//! The responder of a rekeying receives by the new Child SA at once, and sends by it when the
//! initiator has it too (RFC 7296, 2.8). Packets go both ways all the while.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::SerialNo;
use pluto_states::{DownReason, Input, Instant, KernelResult, Request};
use pluto_tests::crossing::Crossing;
use pluto_tests::sim::{HELD_BACK, Sim, WEST};
use pluto_tests::stage::{FIRST, Stage, deletes};
use pluto_wire::Header;
use pluto_wire::numbers::ExchangeType;
use std::time::Duration;

/// West has sent its request; east has answered, and the answer is on its way.
fn answered() -> (Crossing, SerialNo) {
    let mut crossing = Crossing::established(Sim::calm(7));
    let old = crossing.child(1);
    let child = crossing.child(0);
    crossing.order(0, Request::RekeyChild(child));
    assert!(crossing.deliver(1));
    (crossing, old)
}

fn sender(crossing: &Crossing) -> SerialNo {
    crossing.peers[1].kernel.sender().unwrap().child
}

#[test]
fn a_rekeyed_child_sa_sends_when_the_old_one_is_deleted() {
    let (mut crossing, old) = answered();
    let east = &crossing.peers[1].kernel;
    assert_eq!((east.installed.len(), east.receiving.len()), (2, 1), "{}", crossing.story());
    assert_eq!(sender(&crossing), old);
    // West installs both and deletes the old one.
    crossing.deliver(0);
    assert_eq!(sender(&crossing), old);
    crossing.deliver(1);
    assert_ne!(sender(&crossing), old, "{}", crossing.story());
    crossing.wait(Duration::from_secs(1));
    crossing.assert_agree(1, 1);
    assert!(crossing.lost.is_empty(), "{:?}", crossing.lost);
}

#[test]
fn a_delete_of_a_rekeyed_child_sa_is_answered_when_its_replacement_sends() {
    let (mut crossing, old) = answered();
    crossing.deliver(0);
    crossing.slow = true;
    crossing.deliver(1);
    // East's kernel has been asked to change over, and has not said that it did.
    assert!(crossing.mail[0].is_empty(), "{}", crossing.story());
    assert!(crossing.answer(1));
    assert_eq!(crossing.mail[0].len(), 1, "{}", crossing.story());
    assert_ne!(sender(&crossing), old);
    crossing.slow = false;
    crossing.wait(Duration::from_secs(1));
    crossing.assert_agree(1, 1);
}

/// A packet for which the kernel has chosen the old SA may leave a moment later, and who is told
/// of the Delete, or has its answer, may have forgotten that SA.
#[test]
fn deletes_and_their_answers_wait_for_packets_that_are_under_way() {
    let mut sim = Sim::calm(7);
    sim.initiate();
    sim.settle();
    let (ike, child) = (sim.peers[0].established()[0], sim.peers[0].children()[0]);
    sim.order(0, ike, Request::RekeyChild(child));
    let mut changed = [None; 2];
    let mut said = [None; 2];
    while said.contains(&None) {
        let sent = sim.net.log.len();
        assert!(sim.step(), "{}", sim.story());
        let now = sim.clock.now();
        for (peer, changed) in sim.peers.iter().zip(&mut changed) {
            if peer.kernel.sender().unwrap().child != child {
                changed.get_or_insert(now);
            }
        }
        // Beyond both IKE_SA_INITs, both IKE_AUTHs and both CREATE_CHILD_SAs.
        for number in sent.max(6)..sim.net.log.len() {
            said[number - 6] = Some(now);
        }
    }
    for host in 0..2 {
        let (changed, said): (Instant, Instant) = (changed[host].unwrap(), said[host].unwrap());
        assert_eq!(said.since(changed), HELD_BACK, "host {host}");
    }
}

/// West sends by a new Child SA, and its Delete of the old one waits.
fn delete_waits() -> Sim {
    let mut sim = Sim::calm(7);
    sim.initiate();
    sim.settle();
    let (ike, child) = (sim.peers[0].established()[0], sim.peers[0].children()[0]);
    sim.order(0, ike, Request::RekeyChild(child));
    let changed =
        sim.run_until(HELD_BACK, |sim| sim.peers[0].kernel.sender().unwrap().child != child);
    assert!(changed, "{}", sim.story());
    sim
}

/// Nothing but what the Delete would make the peer forget is at stake.
#[test]
fn a_request_is_answered_at_once_while_a_delete_waits() {
    let mut sim = delete_waits();
    let (sent, begun) = (sim.net.log.len(), sim.clock.now());
    let theirs = sim.peers[1].established()[0];
    sim.order(1, theirs, Request::Liveness);
    let answered = sim.run_until(HELD_BACK, |sim| sim.net.log.len() >= sent + 2);
    assert!(answered && sim.clock.now().since(begun) < HELD_BACK, "{}", sim.story());
    assert_eq!(sim.peers[0].children().len(), 2, "the Delete was not what was sent");
    sim.settle();
    assert_eq!(sim.peers[0].children().len(), 1, "{}", sim.story());
}

/// strongSwan forgets the SA by which we send otherwise.
#[test]
fn what_a_peer_makes_of_the_new_child_sa_is_answered_behind_the_delete_of_the_old_one() {
    let mut sim = delete_waits();
    let sent = sim.net.log.len();
    let (theirs, new) = (sim.peers[1].established()[0], *sim.peers[1].children().last().unwrap());
    sim.order(1, theirs, Request::RekeyChild(new));
    sim.settle();
    let said = sim.net.log[sent..].iter().filter(|one| one.local.ip() == WEST);
    let said: Vec<ExchangeType> =
        said.map(|one| Header::peek(&one.bytes).unwrap().exchange).collect();
    let (delete, made) = (ExchangeType::INFORMATIONAL, ExchangeType::CREATE_CHILD_SA);
    assert_eq!(said[..2], [delete, made], "{}", sim.story());
    assert!(sim.is_up(), "{}", sim.story());
}

#[test]
fn a_rekeyed_child_sa_sends_after_a_while_when_the_peer_says_nothing() {
    let (mut crossing, old) = answered();
    crossing.deliver(0);
    // The Delete is lost, again and again.
    crossing.lose(1);
    crossing.peers[0].sas.clear();
    crossing.wait(Duration::from_secs(9));
    assert_eq!(sender(&crossing), old);
    crossing.wait(Duration::from_secs(2));
    assert_ne!(sender(&crossing), old, "{}", crossing.story());
    assert!(crossing.peers[1].kernel.receiving.is_empty());
}

#[test]
fn a_rekeyed_child_sa_does_not_send_while_the_response_is_lost() {
    let (mut crossing, old) = answered();
    let mut lost = 0;
    // Retransmissions come after 0.5, 1.5, 3.5, 7.5 and 15.5 seconds.
    for _ in 0..5 {
        crossing.lose(0);
        lost += 1;
        let due = crossing.peers[0].deadline().unwrap();
        crossing.now = due.0;
        crossing.wake(0, due.1);
        let due = crossing.peers[1].deadline().filter(|(at, _)| *at <= crossing.now);
        assert_eq!(due, None, "it would send by what the peer does not have");
        crossing.deliver(1);
        assert_eq!(sender(&crossing), old, "after {lost} losses");
    }
    crossing.wait(Duration::from_secs(20));
    crossing.assert_agree(1, 1);
}

#[test]
fn a_rekeyed_child_sa_sends_at_once_when_the_old_one_expires() {
    let (mut crossing, old) = answered();
    let ike = crossing.ike(1);
    let expired = Input::KernelDone(KernelResult::Expired { child: old, hard: true });
    let now = crossing.now;
    crossing.peers[1].input(now, ike, expired);
    assert_ne!(sender(&crossing), old, "{}", crossing.story());
    assert!(!crossing.peers[1].downs().contains(&DownReason::Expired), "{}", crossing.story());
}

#[test]
fn a_hard_expiry_of_a_replaced_child_sa_leaves_its_replacement_alone() {
    let mut crossing = Crossing::established(Sim::calm(8));
    let (old, child) = (crossing.child(1), crossing.child(0));
    crossing.order(0, Request::RekeyChild(child));
    crossing.deliver(1);
    crossing.deliver(0);
    // The Delete is still on its way.
    let ike = crossing.ike(1);
    let now = crossing.now;
    let expired = Input::KernelDone(KernelResult::Expired { child: old, hard: true });
    let effects = crossing.peers[1].input(now, ike, expired);
    crossing.answers[1].extend(effects.answers);
    crossing.mail[0].extend(effects.datagrams.into_iter().map(|sent| {
        let (local, remote) = (sent.remote, sent.local);
        pluto_states::Datagram { local, remote, ..sent }
    }));
    crossing.wait(Duration::from_secs(100));
    crossing.assert_agree(1, 1);
}

#[test]
fn a_child_sa_whose_outbound_half_is_refused_is_deleted() {
    let (mut crossing, _) = answered();
    crossing.deliver(0);
    crossing.peers[1].kernel.refuse_installs = 1;
    crossing.wait(Duration::from_secs(100));
    assert!(crossing.peers[1].logged("no buffer space"), "{}", crossing.story());
    crossing.assert_agree(1, 0);
}

/// The peer rekeys the IKE SA before it deletes what it has rekeyed of a Child SA: the kernel's
/// answer is about a Child SA that is another IKE SA's by then.
#[test]
fn an_ike_sa_that_is_rekeyed_while_the_kernel_changes_over_answers_the_delete() {
    const NEW: [u8; 4] = [0, 0, 0x30, 1];
    let mut stage = Stage::without_pfs(41, |_| {});
    let rekey = stage.rekey_of(FIRST, NEW);
    assert_eq!(stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &rekey).len(), 1);
    let proposals = stage.sim.peers[1].ike.proposals.clone();
    let (spi, payloads) = stage.puppet.rekey_payloads(&proposals);
    let said = stage.ask(ExchangeType::CREATE_CHILD_SA, 3, &payloads);
    stage.puppet.take_rekey(spi, &said[0], &proposals);
    let sends = |stage: &Stage| stage.sim.peers[1].kernel.sender().unwrap().spi_out.0;
    assert_eq!(sends(&stage), u32::from_be_bytes(NEW), "{}", stage.sim.story());
    let said = stage.ask(ExchangeType::INFORMATIONAL, 0, &[deletes(FIRST)]);
    assert!(matches!(&said[..], [payloads] if payloads.len() == 1), "{said:?}");
    assert_eq!(stage.held(), [NEW], "{}", stage.sim.story());
}

/// West cannot install what east has answered, deletes that, and keeps what it has.
#[test]
fn a_child_sa_whose_replacement_the_peer_deletes_lives_on_and_is_rekeyed_later() {
    let mut crossing = Crossing::established(Sim::calm(43));
    let old = [crossing.child(0), crossing.child(1)];
    let deadlines = |crossing: &Crossing| {
        let ike = crossing.peers[1].established()[0];
        crossing.peers[1].sas[&ike].summary().children[0].deadlines.clone()
    };
    let before = deadlines(&crossing);
    crossing.order(0, Request::RekeyChild(old[0]));
    crossing.peers[0].kernel.refuse_installs = 1;
    crossing.wait(Duration::from_secs(200));
    let kept = [crossing.peers[0].children(), crossing.peers[1].children()];
    assert_eq!(kept, [[old[0]], [old[1]]], "{}", crossing.story());
    assert_eq!(deadlines(&crossing), before, "{}", crossing.story());
    crossing.assert_agree(1, 1);
    let child = crossing.child(0);
    crossing.order(0, Request::RekeyChild(child));
    crossing.wait(Duration::from_secs(20));
    assert_ne!(crossing.peers[1].children(), [old[1]], "{}", crossing.story());
    crossing.assert_agree(1, 1);
    assert!(crossing.lost.is_empty(), "{:?}", crossing.lost);
}
