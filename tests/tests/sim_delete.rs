//! Deletes, their answers, and peers that do either wrongly.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{DownReason, Finish, Request};
use pluto_tests::crossing::Crossing;
use pluto_tests::peer::ike_proposals;
use pluto_tests::sim::Sim;
use pluto_tests::stage::{Stage, notifies, notify};
use pluto_wire::Header;
use pluto_wire::numbers::{ExchangeType, NotifyType, ProtocolId};
use pluto_wire::v2::{Delete, Notify, Payload};
use std::sync::Arc;
use std::time::Duration;

/// A last answer that is lost is given again, by whichever side, as often as it is asked for.
#[test]
fn a_lost_answer_to_delete_of_the_ike_sa_is_repeated_when_the_sa_is_gone() {
    for host in 0..2 {
        let mut crossing = Crossing::established(Sim::calm(11));
        crossing.order(host, Request::DeleteIke);
        assert!(crossing.deliver(1 - host));
        assert!(crossing.peers[1 - host].sas.is_empty(), "{}", crossing.story());
        let began = crossing.now;
        for _ in 0..3 {
            crossing.lose(host);
            let (due, ike) = crossing.peers[host].deadline().unwrap();
            crossing.now = due;
            crossing.wake(host, ike);
            assert!(crossing.deliver(1 - host), "asked again");
        }
        assert!(crossing.deliver(host), "answered again{}", crossing.story());
        crossing.assert_agree(0, 0);
        assert_eq!(crossing.peers[host].finishes(), [Finish::Deleted]);
        assert!(crossing.now.since(began) < Duration::from_secs(5));
        assert!(crossing.peers[1 - host].deadline().is_none(), "nothing waits");
    }
}

#[test]
fn rekeying_an_ike_sa_follows_an_invalid_ke_payload() {
    let mut sim = Sim::calm(12);
    for peer in &mut sim.peers {
        peer.ike.proposals = ike_proposals("aes_gcm256-sha2_256-dh31+dh19").into();
    }
    let mut crossing = Crossing::established(sim);
    let mut policy = crossing.peers[1].ike.clone();
    policy.proposals = ike_proposals("aes_gcm256-sha2_256-dh19").into();
    crossing.order(1, Request::BelongTo(Arc::new(policy)));
    crossing.order(0, Request::RekeyIke);
    crossing.wait(Duration::from_secs(1));
    assert!(crossing.peers[1].logged("INVALID_KE_PAYLOAD"), "{}", crossing.story());
    assert!(crossing.peers[0].logged("initiator rekeyed"), "{}", crossing.story());
    crossing.assert_agree(1, 1);
}

/// East's inbound and outbound SPIs of its only Child SA.
fn spis(stage: &Stage) -> ([u8; 4], [u8; 4]) {
    let installed = stage.sim.peers[1].kernel.installed.values().next().unwrap();
    (installed.spi_in.0.to_be_bytes(), installed.spi_out.0.to_be_bytes())
}

fn rekeys(protocol: ProtocolId, spi: &[u8]) -> Payload {
    let (notify_type, data) = (NotifyType::REKEY_SA, Vec::new());
    Payload::Notify(Notify { protocol, spi: spi.to_vec(), notify_type, data })
}

/// What the peer names need not be its own, nor be anything.
#[test]
fn a_rekey_sa_that_names_nothing_of_the_peers_replaces_nothing() {
    let mut stage = Stage::established(13);
    let (ours, theirs) = spis(&stage);
    let hostile = [
        (ProtocolId::ESP, ours.to_vec()),
        (ProtocolId::ESP, vec![0; 4]),
        (ProtocolId::ESP, vec![0xff; 4]),
        (ProtocolId::AH, theirs.to_vec()),
        (ProtocolId::IKE, vec![1; 8]),
        (ProtocolId::ESP, theirs[..2].to_vec()),
        (ProtocolId::ESP, [theirs, theirs].concat()),
        (ProtocolId::ESP, Vec::new()),
        (ProtocolId(77), theirs.to_vec()),
    ];
    let east = &stage.sim.peers[1];
    let sa = Payload::Sa(east.child.proposals.to_wire([0, 0, 0x30, 1], None));
    let wire = |all: &[pluto_connections::Selector]| all.iter().map(|s| s.to_wire()).collect();
    let (ts_i, ts_r) = (wire(&east.child.remote_ts), wire(&east.child.local_ts));
    let child = [sa, Payload::Nonce(vec![7; 32]), Payload::TsI(ts_i), Payload::TsR(ts_r)];
    let before = stage.sim.peers[1].kernel.installed.len();
    for (id, (protocol, spi)) in (2..).zip(hostile) {
        let mut payloads = vec![rekeys(protocol, &spi)];
        payloads.extend(child.clone());
        let said = stage.ask(ExchangeType::CREATE_CHILD_SA, id, &payloads);
        let refused: Vec<NotifyType> = said.iter().flat_map(|said| notifies(said)).collect();
        let known = [NotifyType::CHILD_SA_NOT_FOUND, NotifyType::INVALID_SYNTAX];
        assert!(refused.iter().all(|refused| known.contains(refused)), "{protocol}: {refused:?}");
        if stage.sim.peers[1].established().is_empty() {
            panic!("{protocol} {spi:?}: the IKE SA ended\n{}", stage.sim.story());
        }
        assert_eq!(stage.sim.peers[1].kernel.installed.len(), before, "{protocol} {spi:?}");
        assert!(stage.sim.peers[1].kernel.reserved.is_empty());
    }
}

/// `lost_sa`: the peer has lost what is to be rekeyed; a new one is made from scratch, and the
/// old one goes.
#[test]
fn a_child_sa_that_the_peer_has_lost_is_made_anew() {
    let mut stage = Stage::established(14);
    let first = begun_to_rekey(&mut stage);
    assert_eq!(notifies(&first.1), [NotifyType::REKEY_SA]);
    let second = refused(&mut stage, first.0, NotifyType::CHILD_SA_NOT_FOUND).unwrap();
    assert_eq!(second.0.exchange, ExchangeType::CREATE_CHILD_SA);
    assert!(notifies(&second.1).is_empty(), "a new one, that replaces nothing: {:?}", second.1);
}

/// It leads nowhere, and no new one comes to be: it goes, so that its connection can begin anew.
#[test]
fn a_child_sa_that_the_peer_has_lost_and_does_not_make_anew_goes() {
    let mut stage = Stage::established(17);
    let first = begun_to_rekey(&mut stage);
    let second = refused(&mut stage, first.0, NotifyType::CHILD_SA_NOT_FOUND).unwrap();
    let third = refused(&mut stage, second.0, NotifyType::NO_PROPOSAL_CHOSEN).unwrap();
    assert_eq!(third.0.exchange, ExchangeType::INFORMATIONAL, "{}", stage.sim.story());
    assert!(matches!(third.1.as_slice(), [Payload::Delete(_)]), "{:?}", third.1);
    let id = third.0.message_id.0;
    let answer = stage.puppet.seal(ExchangeType::INFORMATIONAL, true, id, &[]);
    stage.say(answer);
    assert!(stage.sim.peers[1].kernel.is_empty(), "{}", stage.sim.story());
    assert_eq!(stage.sim.peers[1].downs().last(), Some(&DownReason::Expired));
    assert_eq!(stage.sim.peers[1].established().len(), 1);
}

/// A limit of traffic asks for it, and the peer refuses: what is left will not last for half of
/// the lifetime.
#[test]
fn a_rekeying_by_traffic_that_the_peer_refuses_is_tried_again_soon() {
    for by_traffic in [true, false] {
        let mut stage = Stage::established(18);
        stage.sim.run_for(Duration::from_secs(100));
        let (header, _) = match by_traffic {
            false => begun_to_rekey(&mut stage),
            true => {
                let child = stage.sim.peers[1].children()[0];
                stage.sim.expire(1, child, false);
                newest(&mut stage)
            }
        };
        assert!(refused(&mut stage, header, NotifyType::NO_PROPOSAL_CHOSEN).is_none());
        let before = stage.sim.net.log.len();
        stage.sim.run_for(Duration::from_secs(24));
        assert_eq!(stage.sim.net.log.len(), before, "{}", stage.sim.story());
        stage.sim.run_for(Duration::from_secs(2));
        let asked = stage.sim.net.log.len() > before;
        assert_eq!(asked, by_traffic, "{}", stage.sim.story());
    }
}

/// East begins to rekey its only Child SA: its request.
fn begun_to_rekey(stage: &mut Stage) -> (Header, Vec<Payload>) {
    let (ike, child) = (stage.sim.peers[1].established()[0], stage.sim.peers[1].children()[0]);
    stage.sim.order(1, ike, Request::RekeyChild(child));
    newest(stage)
}

/// What was sent last.
fn newest(stage: &mut Stage) -> (Header, Vec<Payload>) {
    stage.sim.settle();
    let bytes = stage.sim.net.log.last().unwrap().bytes.clone();
    stage.puppet.open(&bytes).unwrap()
}

/// The puppet refuses that; what is sent then.
fn refused(stage: &mut Stage, what: Header, why: NotifyType) -> Option<(Header, Vec<Payload>)> {
    let id = what.message_id.0;
    let answer = stage.puppet.seal(what.exchange, true, id, &[notify(why, &[])]);
    let said = stage.say(answer);
    said.last().map(|said| stage.puppet.open(&said.bytes).unwrap())
}

/// `delete_timeout`: who has rekeyed never deletes the old one; and a Delete of what was deleted
/// already (`incorrect_delete`) harms nothing.
#[test]
fn a_replaced_child_sa_that_nobody_deletes_goes_by_itself_and_deletes_of_it_harm_nothing() {
    let mut sim = Sim::calm(15);
    sim.peers[0].ike.retransmit.timeout = Duration::from_secs(3600);
    let mut crossing = Crossing::established(sim);
    let (old, child) = (crossing.child(1), crossing.child(0));
    crossing.order(0, Request::RekeyChild(child));
    crossing.deliver(1);
    crossing.deliver(0);
    // West is gone before it says Delete; somebody else answers nothing.
    crossing.lose(1);
    let west = std::mem::take(&mut crossing.peers[0].sas);
    crossing.wait(Duration::from_secs(89));
    assert!(crossing.peers[1].kernel.installed.contains_key(&old), "{}", crossing.story());
    crossing.peers[0].sas = west;
    crossing.wait(Duration::from_secs(30));
    assert!(!crossing.peers[1].kernel.installed.contains_key(&old), "{}", crossing.story());
    assert!(crossing.peers[1].downs().iter().all(|why| *why == DownReason::Replaced));
    crossing.assert_agree(1, 1);

    let mut stage = Stage::established(16);
    let gone = Payload::Delete(Delete { protocol: ProtocolId::ESP, spis: vec![[9; 4]; 3] });
    for id in 2..5 {
        let said = stage.ask(ExchangeType::INFORMATIONAL, id, std::slice::from_ref(&gone));
        assert_eq!(said, [vec![]], "an empty answer");
    }
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1);
}
