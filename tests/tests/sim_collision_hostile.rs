//! Collisions with a peer that breaks the rules, and requests that name what is another's.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::Selector;
use pluto_states::{DownReason, Request};
use pluto_tests::stage::{Stage, notifies};
use pluto_wire::MessageId;
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType, ProtocolId};
use pluto_wire::v2::{Delete, Notify, Payload, SaPayload};
use std::time::Duration;

/// The puppet's inbound SPIs: of the first Child SA, of the one that it makes in its place, and
/// of the one that east makes.
const OLD: [u8; 4] = [0, 0, 0x20, 1];
const PUPPETS: [u8; 4] = [0, 0, 0x30, 1];
const EASTS: [u8; 4] = [0, 0, 0x30, 2];

/// A Child SA without PFS, so that the puppet needs no further keys.
fn without_pfs(seed: u64) -> Stage {
    let mut stage = Stage::keyed(seed);
    stage.sim.peers[1].child.pfs = false;
    let request = stage.honest_auth();
    stage.say(request);
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1, "{}", stage.sim.story());
    stage
}

fn rekeys(spi: [u8; 4]) -> Payload {
    let (notify_type, data) = (NotifyType::REKEY_SA, Vec::new());
    Payload::Notify(Notify { protocol: ProtocolId::ESP, spi: spi.to_vec(), notify_type, data })
}

fn wire(selectors: &[Selector]) -> Vec<pluto_wire::v2::TrafficSelector> {
    selectors.iter().map(Selector::to_wire).collect()
}

/// SA, nonce and selectors of a request of the puppet's.
fn child_of(stage: &Stage, spi: [u8; 4], nonce: u8) -> Vec<Payload> {
    let child = &stage.sim.peers[1].child;
    vec![
        Payload::Sa(child.proposals.to_wire(spi, None)),
        Payload::Nonce(vec![nonce; 32]),
        Payload::TsI(wire(&child.remote_ts)),
        Payload::TsR(wire(&child.local_ts)),
    ]
}

fn deletes(spi: [u8; 4]) -> Payload {
    Payload::Delete(Delete { protocol: ProtocolId::ESP, spis: vec![spi] })
}

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
    let mut stage = without_pfs(seed);
    let (ike, child) = (stage.sim.peers[1].established()[0], stage.sim.peers[1].children()[0]);
    let before = stage.sim.net.log.len();
    stage.sim.order(1, ike, Request::RekeyChild(child));
    stage.sim.settle();
    let asked = open(&stage, before).remove(0);
    let (ni, nr) = if puppet_loses { (0, 0xff) } else { (0xff, 0) };
    let mut payloads = vec![rekeys(OLD)];
    payloads.extend(child_of(&stage, PUPPETS, ni));
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
        Payload::Nonce(vec![nr; 32]),
        Payload::TsI(wire(&child.local_ts)),
        Payload::TsR(wire(&child.remote_ts)),
    ];
    let answer = stage.puppet.seal(ExchangeType::CREATE_CHILD_SA, true, asked.id.0, &answer);
    stage.sim.inject(answer);
    stage.sim.settle();
    let held = held(&stage);
    assert!(held.contains(&PUPPETS) && held.contains(&EASTS), "{held:?}{}", stage.sim.story());
    stage
}

/// The outbound SPIs of what east's kernel holds.
fn held(stage: &Stage) -> Vec<[u8; 4]> {
    let installed = stage.sim.peers[1].kernel.installed.values();
    installed.map(|sa| sa.spi_out.0.to_be_bytes()).collect()
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
            if wrong == winner {
                // That is what it has asked for: the connection hears that nothing is left.
                assert_eq!(held(&stage), Vec::<[u8; 4]>::new(), "{case}{story}");
                assert_eq!(east.lost(), [DownReason::PeerDeleted], "{case}{story}");
            } else {
                assert_eq!(held(&stage), [winner], "{case}{story}");
                assert!(east.lost().is_empty(), "{case}{story}");
            }
            assert_eq!(east.children().len(), held(&stage).len(), "{case}{story}");
            assert!(east.kernel.reserved.is_empty() && east.kernel.receiving.is_empty());
        }
    }
}

/// Another IKE SA's Child SA is none of this one's, though its SPI is known.
#[test]
fn a_rekey_sa_or_delete_that_names_another_ike_sas_child_has_no_effect() {
    let mut stage = Stage::established(22);
    stage.sim.peers[1].child.pfs = false;
    stage.sim.initiate();
    stage.sim.settle();
    assert_eq!(stage.sim.peers[1].established().len(), 2, "{}", stage.sim.story());
    let others = stage.sim.peers[0].kernel.installed.values().next().unwrap().spi_in;
    let others = others.0.to_be_bytes();
    assert!(held(&stage).contains(&others) && others != OLD);
    let before = (held(&stage), stage.sim.peers[1].reports.len());

    let mut payloads = vec![rekeys(others)];
    payloads.extend(child_of(&stage, PUPPETS, 7));
    let said = stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &payloads);
    assert_eq!(notifies(&said[0]), [NotifyType::CHILD_SA_NOT_FOUND], "{}", stage.sim.story());
    let named = |payload: &Payload| matches!(payload, Payload::Notify(n) if n.spi == others);
    assert!(said[0].iter().all(named), "RFC 7296, 2.25: with the SPI: {said:?}");
    let said = stage.ask(ExchangeType::INFORMATIONAL, 3, &[deletes(others)]);
    assert_eq!(said, [vec![]], "nothing was deleted");

    let east = &stage.sim.peers[1];
    assert_eq!((held(&stage), east.reports.len()), before, "{}", stage.sim.story());
    assert!(east.kernel.reserved.is_empty());
    let west = &stage.sim.peers[0];
    assert_eq!((west.established().len(), west.kernel.installed.len()), (1, 1));
}
