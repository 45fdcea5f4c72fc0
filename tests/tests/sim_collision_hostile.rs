//! Collisions with a peer that breaks the rules, and requests that name what is another's.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::Pfs;
use pluto_states::{DownReason, Request};
use pluto_tests::stage::{FIRST, Stage, deletes, notifies, notify, rekeys, wire};
use pluto_wire::MessageId;
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType};
use pluto_wire::v2::{Payload, SaPayload};
use std::time::Duration;

/// The puppet's inbound SPIs: of the first Child SA, of the one that it makes in its place, and
/// of the one that east makes.
const OLD: [u8; 4] = FIRST;
const PUPPETS: [u8; 4] = [0, 0, 0x30, 1];
const EASTS: [u8; 4] = [0, 0, 0x30, 2];

const HOUR: Duration = Duration::from_secs(3600);

/// What the puppet has been asked by east and not answered yet.
struct Open {
    id: MessageId,
    exchange: ExchangeType,
    payloads: Vec<Payload>,
}

fn open(stage: &Stage, from: usize) -> Vec<Open> {
    let log = &stage.sim.net.log[from..];
    let opened = log.iter().filter_map(|datagram| stage.puppet.open(&datagram.bytes));
    let requests = opened.filter(|(header, _)| !header.flags.is_response());
    let open = |(header, payloads): (pluto_wire::Header, _)| Open {
        id: header.message_id,
        exchange: header.exchange,
        payloads,
    };
    requests.map(open).collect()
}

/// The puppet answers nothing wrong to whatever east asks, for longer than anything lingers.
fn go_on(stage: &mut Stage, mut seen: usize) {
    for _ in 0..400 {
        for request in open(stage, seen) {
            seen = stage.sim.net.log.len();
            let answer = stage.puppet.seal(request.exchange, true, request.id.0, &[]);
            stage.say(answer);
        }
        stage.sim.run_for(Duration::from_millis(500));
    }
}

/// Both have rekeyed at the same time, and east knows both new ones. Whose nonce is the lowest
/// gives way: that of the puppet's exchange when `puppet_loses`.
fn collided(seed: u64, puppet_loses: bool) -> Stage {
    let (ni, nr) = if puppet_loses { (0, 0xff) } else { (0xff, 0) };
    collided_with(seed, |_| (vec![ni; 32], vec![nr; 32])).0
}

/// The same with what `nonces` makes of east's Ni: the puppet's Ni and Nr. East's Ni and Nr.
fn collided_with(
    seed: u64,
    nonces: impl FnOnce(&[u8]) -> (Vec<u8>, Vec<u8>),
) -> (Stage, Vec<u8>, Vec<u8>) {
    let mut stage = Stage::without_pfs(seed, |_| {});
    let (ike, child) = (stage.sim.peers[1].established()[0], stage.sim.peers[1].children()[0]);
    let before = stage.sim.net.log.len();
    stage.sim.order(1, ike, Request::RekeyChild(child));
    stage.sim.settle();
    let asked = open(&stage, before).remove(0);
    let easts_ni = nonce_of(&asked.payloads);
    let (ni, nr) = nonces(&easts_ni);
    let mut payloads = stage.rekey_of(OLD, PUPPETS);
    payloads[2] = Payload::Nonce(ni);
    let said = stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &payloads);
    assert!(said[0].iter().any(|payload| matches!(payload, Payload::Sa(_))), "{said:?}");

    let offered = asked.payloads.iter().find_map(|payload| match payload {
        Payload::Sa(sa) => Some(sa.clone()),
        _ => None,
    });
    let child = stage.sim.peers[1].child.clone();
    let chosen = child.proposals.choose(&offered.unwrap(), Some(&[KeId::NONE])).unwrap();
    let mut reply = chosen.reply.clone();
    reply.spi = EASTS.to_vec();
    let answer = [
        Payload::Sa(SaPayload { proposals: vec![reply] }),
        Payload::Nonce(nr),
        Payload::TsI(wire(&child.local_ts)),
        Payload::TsR(wire(&child.remote_ts)),
    ];
    let answer = stage.puppet.seal(ExchangeType::CREATE_CHILD_SA, true, asked.id.0, &answer);
    stage.sim.inject(answer);
    stage.sim.settle();
    let held = stage.held();
    assert!(held.contains(&PUPPETS) && held.contains(&EASTS), "{held:?}{}", stage.sim.story());
    (stage, easts_ni, nonce_of(&said[0]))
}

/// What the peer has made in the place of the old one is gone again when our own rekeying fails,
/// whoever it is that does not want it: the old one is what it was, and is rekeyed later.
#[test]
fn a_rekeying_that_fails_after_the_peers_own_has_gone_again_leaves_the_old_child_sa() {
    for refused in [true, false] {
        let mut stage = Stage::without_pfs(27, |east| east.child.lifetimes.life = HOUR);
        let (ike, child) = (stage.sim.peers[1].established()[0], stage.sim.peers[1].children()[0]);
        let before = stage.sim.net.log.len();
        // As its responder east begins at half the margin.
        let begins = HOUR - stage.sim.peers[1].child.lifetimes.margin / 2;
        stage.sim.run_for(begins + Duration::from_millis(100));
        let asked = open(&stage, before).remove(0);
        let rival = stage.rekey_of(OLD, PUPPETS);
        stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &rival);
        assert!(stage.held().contains(&PUPPETS), "{}", stage.sim.story());
        stage.ask(ExchangeType::INFORMATIONAL, 3, &[deletes(PUPPETS)]);
        let seen = stage.sim.net.log.len();
        let mut answer = stage.child_of(EASTS, 1);
        let said = if refused {
            answer = vec![notify(NotifyType::NO_PROPOSAL_CHOSEN, &[])];
            "#3: CREATE_CHILD_SA response rejected Child SA with NO_PROPOSAL_CHOSEN"
        } else {
            answer.retain(|payload| !matches!(payload, Payload::Nonce(_)));
            "the response has no nonce"
        };
        let failed = stage.puppet.seal(ExchangeType::CREATE_CHILD_SA, true, asked.id.0, &answer);
        stage.say(failed);
        go_on(&mut stage, seen.saturating_sub(1));
        let (east, story) = (&stage.sim.peers[1], stage.sim.story());
        assert_eq!(stage.held(), [OLD], "{story}");
        assert!(east.lost().is_empty() && east.kernel.reserved.is_empty(), "{story}");
        assert!(east.logged(said), "{story}");
        let left = east.sas[&ike].summary().children.remove(0);
        assert_eq!(left.serial, child, "{story}");
        assert!(left.deadlines.iter().any(|(name, _)| *name == "REKEY"), "{story}");
    }
}

fn nonce_of(payloads: &[Payload]) -> Vec<u8> {
    let nonce = payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.clone()),
        _ => None,
    });
    nonce.expect("a nonce")
}

/// `collision_responder_incorrect_delete`: after a collision the peer deletes what it should
/// not: the old SA that is ours to delete, or one of the two new ones whatever the nonces say.
#[test]
fn collision_of_rekeyings_after_which_the_peer_deletes_the_wrong_one_leaves_no_orphan() {
    for puppet_loses in [true, false] {
        let winner = if puppet_loses { EASTS } else { PUPPETS };
        for wrong in [OLD, PUPPETS, EASTS] {
            let mut stage = collided(21, puppet_loses);
            let seen = stage.sim.net.log.len();
            let case = format!("puppet loses: {puppet_loses}, deletes {wrong:?}");
            let said = stage.ask(ExchangeType::INFORMATIONAL, 3, &[deletes(wrong)]);
            assert!(!said.is_empty(), "{case}: it is answered");
            go_on(&mut stage, seen.saturating_sub(1));
            let story = stage.sim.story();
            let east = &stage.sim.peers[1];
            assert_eq!(east.established().len(), 1, "{case}{story}");
            if wrong == winner && !puppet_loses {
                // What it has made itself it can do without: it has not deleted the old one.
                assert_eq!(stage.held(), [OLD], "{case}{story}");
            } else if wrong == winner {
                // That is what it has asked for: the connection hears that nothing is left.
                assert_eq!(stage.held(), Vec::<[u8; 4]>::new(), "{case}{story}");
                assert_eq!(east.lost(), [DownReason::PeerDeleted], "{case}{story}");
            } else {
                assert_eq!(stage.held(), [winner], "{case}{story}");
                assert!(east.lost().is_empty(), "{case}{story}");
            }
            assert_eq!(east.children().len(), stage.held().len(), "{case}{story}");
            assert!(east.kernel.reserved.is_empty() && east.kernel.receiving.is_empty());
        }
    }
}

/// Another IKE SA's Child SA is none of this one's, though its SPI is known.
#[test]
fn a_rekey_sa_or_delete_that_names_another_ike_sas_child_has_no_effect() {
    let mut stage = Stage::established(22);
    stage.sim.peers[1].child.pfs = Pfs::No;
    stage.sim.initiate();
    stage.sim.settle();
    assert_eq!(stage.sim.peers[1].established().len(), 2, "{}", stage.sim.story());
    let others = stage.sim.peers[0].kernel.installed.values().next().unwrap().spi_in;
    let others = others.0.to_be_bytes();
    assert!(stage.held().contains(&others) && others != OLD);
    let before = (stage.held(), stage.sim.peers[1].reports.len());

    let mut payloads = vec![rekeys(others)];
    payloads.extend(stage.child_of(PUPPETS, 7));
    let said = stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &payloads);
    assert_eq!(notifies(&said[0]), [NotifyType::CHILD_SA_NOT_FOUND], "{}", stage.sim.story());
    let named = |payload: &Payload| matches!(payload, Payload::Notify(n) if n.spi == others);
    assert!(said[0].iter().all(named), "RFC 7296, 2.25: with the SPI: {said:?}");
    let said = stage.ask(ExchangeType::INFORMATIONAL, 3, &[deletes(others)]);
    assert_eq!(said, [vec![]], "nothing was deleted");

    let east = &stage.sim.peers[1];
    assert_eq!((stage.held(), east.reports.len()), before, "{}", stage.sim.story());
    assert!(east.kernel.reserved.is_empty());
    let west = &stage.sim.peers[0];
    assert_eq!((west.established().len(), west.kernel.installed.len()), (1, 1));
}

/// Nonces that a peer has taken from us, or makes equal, decide as others do: one replacement
/// stands. Where both exchanges have the same lowest one, it is that of the IKE SA's initiator.
#[test]
fn nonces_that_a_peer_makes_equal_to_ours_leave_one_replacement() {
    type Choice = fn(&[u8]) -> (Vec<u8>, Vec<u8>);
    let choices: [Choice; 4] = [
        |_| (vec![0; 32], vec![0; 32]),
        |easts| (easts.to_vec(), vec![0xff; 32]),
        |easts| (easts.to_vec(), easts.to_vec()),
        |easts| (easts[..16].to_vec(), easts[..16].to_vec()),
    ];
    for (case, choice) in choices.into_iter().enumerate() {
        let (mut stage, easts_ni, easts_nr) = collided_with(23, choice);
        let (ni, nr) = choice(&easts_ni);
        let (puppets, easts) = (ni.min(easts_nr), easts_ni.min(nr));
        let (winner, loser) = if puppets < easts { (EASTS, PUPPETS) } else { (PUPPETS, EASTS) };
        // Each side deletes what it has made in vain, and the winner's the old one.
        let mine = if loser == PUPPETS { PUPPETS } else { OLD };
        let seen = stage.sim.net.log.len() - 1;
        stage.ask(ExchangeType::INFORMATIONAL, 3, &[deletes(mine)]);
        go_on(&mut stage, seen);
        let (east, story) = (&stage.sim.peers[1], stage.sim.story());
        assert_eq!(stage.held(), [winner], "case {case}{story}");
        assert_eq!((east.established().len(), east.children().len()), (1, 1), "{case}{story}");
        assert!(east.lost().is_empty() && east.kernel.receiving.is_empty(), "{case}{story}");
    }
}

/// ```text
/// {REKEY_SA(old), a}  -->   <--  {SA}
/// {REKEY_SA(old), b}  -->   <--  {TEMPORARY_FAILURE}
/// {REKEY_SA(a), c}    -->   <--  {SA}
/// {D(old)}, {D(a)}    -->
/// ```
#[test]
fn a_child_sa_that_is_rekeyed_twice_before_its_delete_is_replaced_once() {
    let [a, b, c] = [1, 2, 3].map(|n| [0, 0, 0x40, n]);
    let mut stage = Stage::without_pfs(24, |_| {});
    let create = ExchangeType::CREATE_CHILD_SA;
    let is_made = |said: &[Vec<Payload>]| matches!(said[0].first(), Some(Payload::Sa(_)));
    let request = stage.rekey_of(OLD, a);
    let said = stage.ask(create, 2, &request);
    assert!(is_made(&said), "{said:?}");
    let request = stage.rekey_of(OLD, b);
    let said = stage.ask(create, 3, &request);
    assert_eq!(notifies(&said[0]), [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(stage.held(), [OLD, a], "{}", stage.sim.story());
    let request = stage.rekey_of(a, c);
    let said = stage.ask(create, 4, &request);
    assert!(is_made(&said), "{said:?}");
    for (id, old) in [(5, OLD), (6, a)] {
        let said = stage.ask(ExchangeType::INFORMATIONAL, id, &[deletes(old)]);
        assert!(matches!(said[0][..], [Payload::Delete(_)]), "{said:?}");
    }
    stage.sim.run_for(Duration::from_secs(120));
    let east = &stage.sim.peers[1];
    assert_eq!(stage.held(), [c], "{}", stage.sim.story());
    assert_eq!((east.established().len(), east.children().len()), (1, 1));
    assert!(east.lost().is_empty() && east.kernel.reserved.is_empty());
}
