//! Who has proved who it is may still answer our rekeying with nonsense, or ask for one:
//! sections B5, D2, D4 and D6 of the list of adversarial messages. What we have stays, or the
//! IKE SA ends; nothing is half there.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::proposal::IkeProposals;
use pluto_states::Request;
use pluto_tests::peer::selectors;
use pluto_tests::stage::{Stage, deletes, notifies, notify, wire};
use pluto_wire::Header;
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType, PayloadType, ProtocolId, TransformType};
use pluto_wire::v2::{KePayload, Notify, Payload, SaPayload, UnknownPayload};
use std::time::Duration;

const CHILD: ExchangeType = ExchangeType::CREATE_CHILD_SA;

/// The puppet's inbound SPIs: of the first Child SA, and of what it makes in its place.
const OLD: [u8; 4] = [0, 0, 0x20, 1];
const NEW: [u8; 4] = [0, 0, 0x30, 1];

/// What east has asked the puppet since the network's log was so long.
fn asked(stage: &Stage, from: usize) -> Vec<(Header, Vec<Payload>)> {
    let log = &stage.sim.net.log[from..];
    let opened = log.iter().filter_map(|datagram| stage.puppet.open(&datagram.bytes));
    opened.filter(|(header, _)| !header.flags.is_response()).collect()
}

/// What east begins when it is ordered to.
fn ordered(stage: &mut Stage, request: Request) -> (Header, Vec<Payload>) {
    let ike = stage.sim.peers[1].established()[0];
    let before = stage.sim.net.log.len();
    stage.sim.order(1, ike, request);
    stage.sim.settle();
    asked(stage, before).remove(0)
}

/// The puppet answers; what east asks next.
fn answered(stage: &mut Stage, id: u32, payloads: &[Payload]) -> Vec<(Header, Vec<Payload>)> {
    let before = stage.sim.net.log.len();
    let answer = stage.puppet.seal(CHILD, true, id, payloads);
    stage.sim.inject(answer);
    stage.sim.settle();
    asked(stage, before)
}

fn offered(payloads: &[Payload]) -> &SaPayload {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Sa(sa) => Some(sa),
        _ => None,
    });
    found.unwrap()
}

fn unknown(critical: bool) -> Payload {
    let payload_type = PayloadType(200);
    Payload::Unknown(UnknownPayload { payload_type, critical, data: Vec::new() })
}

fn ke_of(payloads: &mut [Payload]) -> &mut KePayload {
    let found = payloads.iter_mut().find_map(|payload| match payload {
        Payload::Ke(ke) => Some(ke),
        _ => None,
    });
    found.unwrap()
}

fn sa_of(payloads: &mut [Payload]) -> &mut SaPayload {
    let found = payloads.iter_mut().find_map(|payload| match payload {
        Payload::Sa(sa) => Some(sa),
        _ => None,
    });
    found.unwrap()
}

/// A cipher that nobody has proposed.
fn not_offered(sa: &mut SaPayload) {
    let transforms = &mut sa.proposals[0].transforms;
    let encr = transforms.iter_mut().find(|t| t.transform_type == TransformType::ENCR);
    encr.unwrap().id = 11;
}

type Change = fn(&mut Vec<Payload>);

/// What is wrong with an answer to any rekeying.
const WRONG: [(&str, Change); 13] = [
    ("no nonce", |p| p.retain(|p| !matches!(p, Payload::Nonce(_)))),
    ("a choice that was not offered", |p| not_offered(sa_of(p))),
    ("two proposals", |p| {
        let sa = sa_of(p);
        sa.proposals.push(sa.proposals[0].clone());
    }),
    ("KE of another group", |p| {
        (ke_of(p).method, ke_of(p).data) = (KeId::MODP2048, vec![2; 256]);
    }),
    ("KE that is empty", |p| ke_of(p).data.clear()),
    ("KE that is too short", |p| ke_of(p).data.truncate(31)),
    ("KE that is too long", |p| ke_of(p).data.push(1)),
    ("KE of zeroes", |p| ke_of(p).data.fill(0)),
    ("no KE", |p| p.retain(|p| !matches!(p, Payload::Ke(_)))),
    ("an error beside the SA", |p| p.push(notify(NotifyType::NO_PROPOSAL_CHOSEN, &[]))),
    ("an unknown error beside the SA", |p| p.insert(0, notify(NotifyType(999), &[]))),
    ("an unknown critical payload", |p| p.push(unknown(true))),
    ("two SA payloads", |p| p.push(p[0].clone())),
];

/// What is wrong with that for a Child SA.
const WRONG_CHILD: [(&str, Change); 6] = [
    ("TSi outside", |p| *ts(p, true) = wire(&selectors("10.9.0.0/24"))),
    ("TSr outside", |p| *ts(p, false) = wire(&selectors("0.0.0.0/0"))),
    ("SPI 0", |p| sa_of(p).proposals[0].spi = vec![0; 4]),
    ("SPI 255", |p| sa_of(p).proposals[0].spi = vec![0, 0, 0, 255]),
    ("an SPI of an IKE SA", |p| sa_of(p).proposals[0].spi = vec![7; 8]),
    ("AH", |p| sa_of(p).proposals[0].protocol = ProtocolId::AH),
];

/// And for an IKE SA.
const WRONG_IKE: [(&str, Change); 4] = [
    ("SPI 0", |p| sa_of(p).proposals[0].spi = vec![0; 8]),
    ("an SPI of a Child SA", |p| sa_of(p).proposals[0].spi = vec![7; 4]),
    ("no SPI", |p| sa_of(p).proposals[0].spi.clear()),
    ("ESP", |p| sa_of(p).proposals[0].protocol = ProtocolId::ESP),
];

/// Refusals, known and not.
fn refusals() -> Vec<Vec<Payload>> {
    let mut refusals: Vec<Vec<Payload>> = [
        NotifyType(999),
        NotifyType(0),
        NotifyType::NO_PROPOSAL_CHOSEN,
        NotifyType::TS_UNACCEPTABLE,
        NotifyType::NO_ADDITIONAL_SAS,
        NotifyType::TEMPORARY_FAILURE,
        NotifyType::INVALID_KE_PAYLOAD,
    ]
    .map(|error| vec![notify(error, &[])])
    .into();
    refusals.push(Vec::new());
    refusals.push(vec![notify(NotifyType::INVALID_KE_PAYLOAD, &[0, 31])]);
    refusals.push(vec![notify(NotifyType::INVALID_KE_PAYLOAD, &[0, 1])]);
    refusals.push(vec![unknown(false)]);
    refusals.push(vec![unknown(true)]);
    refusals
}

fn ts(payloads: &mut [Payload], initiator: bool) -> &mut Vec<pluto_wire::v2::TrafficSelector> {
    let found = payloads.iter_mut().find_map(|payload| match payload {
        Payload::TsI(selectors) if initiator => Some(selectors),
        Payload::TsR(selectors) if !initiator => Some(selectors),
        _ => None,
    });
    found.unwrap()
}

/// East has asked for a Child SA in place of the first one; an honest answer to that.
fn child_rekeying() -> (Stage, u32, [u8; 4], Vec<Payload>) {
    let mut stage = Stage::established(31);
    let child = stage.sim.peers[1].children()[0];
    let (header, request) = ordered(&mut stage, Request::RekeyChild(child));
    let offer = offered(&request).clone();
    let spi = <[u8; 4]>::try_from(offer.proposals[0].spi.as_slice()).unwrap();
    let policy = stage.sim.peers[1].child.clone();
    let mut reply = policy.proposals.choose(&offer, Some(&[KeId::X25519])).unwrap().reply;
    reply.spi = NEW.to_vec();
    let mut answer = vec![Payload::Sa(SaPayload { proposals: vec![reply] })];
    answer.extend(stage.puppet.ke_and_nonce());
    answer.push(Payload::TsI(wire(&policy.local_ts)));
    answer.push(Payload::TsR(wire(&policy.remote_ts)));
    (stage, header.message_id.0, spi, answer)
}

/// East has the old Child SA, and nothing else.
#[track_caller]
fn only_the_old_one_stands(stage: &Stage, case: &str) {
    let east = &stage.sim.peers[1];
    assert_eq!(east.established().len(), 1, "{case}{}", stage.sim.story());
    let held: Vec<_> = east.kernel.installed.values().map(|i| i.spi_out.0.to_be_bytes()).collect();
    assert_eq!(held, [OLD], "{case}{}", stage.sim.story());
    assert!(east.kernel.reserved.is_empty(), "{case}{}", stage.sim.story());
    assert!(east.kernel.receiving.is_empty(), "{case}");
    assert_eq!(east.children().len(), 1, "{case}");
}

#[test]
fn an_honest_answer_to_a_rekeying_is_taken() {
    let (mut stage, id, _, answer) = child_rekeying();
    let next = answered(&mut stage, id, &answer);
    assert!(matches!(next[0].1[..], [Payload::Delete(_)]), "{}", stage.sim.story());
    let installed = &stage.sim.peers[1].kernel.installed;
    assert!(installed.values().any(|i| i.spi_out.0.to_be_bytes() == NEW));
    let (mut stage, id, answer) = ike_rekeying();
    let next = answered(&mut stage, id, &answer);
    assert!(matches!(next[0].1[..], [Payload::Delete(_)]), "{}", stage.sim.story());
    assert_eq!(stage.sim.peers[1].established().len(), 2, "{}", stage.sim.story());
}

#[test]
fn b5_d2_an_answer_to_a_childs_rekeying_that_cannot_be_leaves_the_old_one() {
    for (case, change) in WRONG.into_iter().chain(WRONG_CHILD) {
        let (mut stage, id, spi, mut answer) = child_rekeying();
        change(&mut answer);
        let next = answered(&mut stage, id, &answer);
        // The peer may believe in what it has made.
        let told = next.iter().any(|(_, payloads)| match &payloads[..] {
            [Payload::Delete(delete)] => delete.protocol == ProtocolId::ESP && delete.spis == [spi],
            _ => false,
        });
        assert!(told, "{case}: {next:?}{}", stage.sim.story());
        let deleted = stage.puppet.seal(ExchangeType::INFORMATIONAL, true, id + 1, &[]);
        stage.say(deleted);
        only_the_old_one_stands(&stage, case);
        assert_eq!(stage.ask(ExchangeType::INFORMATIONAL, 2, &[]), [vec![]], "{case}");
    }
}

#[test]
fn d6_a_refused_rekeying_of_a_child_leaves_the_old_one() {
    for refusal in refusals() {
        let case = format!("{refusal:?}");
        let (mut stage, id, ..) = child_rekeying();
        let next = answered(&mut stage, id, &refusal);
        // A critical payload is no answer that could be read: the peer is told all the same.
        if let Some((header, payloads)) = next.first() {
            assert!(matches!(payloads[..], [Payload::Delete(_)]), "{case}: {next:?}");
            let id = header.message_id.0;
            let deleted = stage.puppet.seal(ExchangeType::INFORMATIONAL, true, id, &[]);
            stage.say(deleted);
        }
        only_the_old_one_stands(&stage, &case);
        assert_eq!(stage.ask(ExchangeType::INFORMATIONAL, 2, &[]), [vec![]], "{case}");
    }
}

/// East has asked for an IKE SA in place of the first one; an honest answer to that.
fn ike_rekeying() -> (Stage, u32, Vec<Payload>) {
    let mut stage = Stage::established(32);
    let (header, request) = ordered(&mut stage, Request::RekeyIke);
    let proposals = stage.sim.peers[1].ike.proposals.clone();
    let mut reply = proposals.choose(offered(&request)).unwrap().reply;
    reply.spi = vec![9; 8];
    let mut answer = vec![Payload::Sa(SaPayload { proposals: vec![reply] })];
    answer.extend(stage.puppet.ke_and_nonce());
    (stage, header.message_id.0, answer)
}

/// Both must begin anew: the peer believes in an IKE SA that we cannot use.
#[test]
fn b5_d2_an_answer_to_an_ike_sas_rekeying_that_cannot_be_makes_no_successor() {
    for (case, change) in WRONG.into_iter().chain(WRONG_IKE) {
        let (mut stage, id, mut answer) = ike_rekeying();
        change(&mut answer);
        let next = answered(&mut stage, id, &answer);
        let made = stage.sim.peers[1].log.iter().any(|line| line.contains("rekeyed IKE SA"));
        assert!(!made, "{case}{}", stage.sim.story());
        let deletes = |(_, payloads): &(Header, Vec<Payload>)| match &payloads[..] {
            [Payload::Delete(delete)] => delete.protocol == ProtocolId::IKE,
            _ => false,
        };
        if next.iter().any(deletes) {
            let deleted = stage.puppet.seal(ExchangeType::INFORMATIONAL, true, id + 1, &[]);
            stage.say(deleted);
            stage.sim.assert_nothing_left();
        } else {
            only_the_old_one_stands(&stage, case);
            assert_eq!(stage.ask(ExchangeType::INFORMATIONAL, 2, &[]), [vec![]], "{case}");
        }
    }
}

#[test]
fn d6_a_refused_rekeying_of_an_ike_sa_leaves_the_old_one() {
    for refusal in refusals() {
        let case = format!("{refusal:?}");
        let (mut stage, id, _) = ike_rekeying();
        let critical = refusal.iter().any(|p| matches!(p, Payload::Unknown(u) if u.critical));
        answered(&mut stage, id, &refusal);
        if critical {
            let deleted = stage.puppet.seal(ExchangeType::INFORMATIONAL, true, id + 1, &[]);
            stage.say(deleted);
            stage.sim.assert_nothing_left();
            continue;
        }
        only_the_old_one_stands(&stage, &case);
        assert_eq!(stage.ask(ExchangeType::INFORMATIONAL, 2, &[]), [vec![]], "{case}");
    }
}

/// The puppet's request to rekey the IKE SA, with this SPI.
fn ike_request(stage: &Stage, proposals: &IkeProposals, spi: &[u8]) -> Vec<Payload> {
    let mut payloads = vec![Payload::Sa(proposals.to_wire(spi))];
    payloads.extend(stage.puppet.ke_and_nonce());
    payloads
}

#[test]
fn d2_a_request_to_rekey_the_ike_sa_that_cannot_be_is_refused_and_it_stands() {
    let no_choice = NotifyType::NO_PROPOSAL_CHOSEN;
    let cases: [(&str, NotifyType, Change); 10] = [
        ("SPI 0", no_choice, |p| sa_of(p).proposals[0].spi = vec![0; 8]),
        ("an SPI of a Child SA", no_choice, |p| sa_of(p).proposals[0].spi = vec![7; 4]),
        ("no SPI", no_choice, |p| sa_of(p).proposals[0].spi.clear()),
        ("a long SPI", no_choice, |p| sa_of(p).proposals[0].spi = vec![7; 9]),
        ("another group's KE", NotifyType::INVALID_KE_PAYLOAD, |p| {
            (ke_of(p).method, ke_of(p).data) = (KeId::MODP2048, vec![2; 256]);
        }),
        ("a short KE", NotifyType::INVALID_SYNTAX, |p| ke_of(p).data.truncate(31)),
        ("a long KE", NotifyType::INVALID_SYNTAX, |p| ke_of(p).data.push(0)),
        ("an empty KE", NotifyType::INVALID_SYNTAX, |p| ke_of(p).data.clear()),
        ("KE of zeroes", NotifyType::TEMPORARY_FAILURE, |p| ke_of(p).data.fill(0)),
        ("ESP without TS", NotifyType::INVALID_SYNTAX, |p| {
            let proposal = &mut sa_of(p).proposals[0];
            (proposal.protocol, proposal.spi) = (ProtocolId::ESP, NEW.to_vec());
        }),
    ];
    for (case, expected, change) in cases {
        let mut stage = Stage::established(33);
        let proposals = stage.sim.peers[1].ike.proposals.clone();
        let mut payloads = ike_request(&stage, &proposals, &[9; 8]);
        for payload in &mut payloads {
            // One proposal, so that no other can be chosen.
            if let Payload::Sa(sa) = payload {
                sa.proposals.truncate(1);
            }
        }
        change(&mut payloads);
        let said = stage.ask(CHILD, 2, &payloads);
        assert_eq!(notifies(&said[0]), [expected], "{case}{}", stage.sim.story());
        only_the_old_one_stands(&stage, case);
        assert_eq!(stage.ask(ExchangeType::INFORMATIONAL, 3, &[]), [vec![]], "{case}");
        stage.sim.run_for(Duration::from_secs(1));
    }
}

/// A Child SA that the peer would replace is named wrongly (CVE-2023-38710), or cannot be.
#[test]
fn d2_a_request_for_a_child_that_cannot_be_is_refused_and_the_old_one_stands() {
    let rekeys = |protocol: ProtocolId, spi: &[u8]| {
        let (notify_type, data) = (NotifyType::REKEY_SA, Vec::new());
        Payload::Notify(Notify { protocol, spi: spi.to_vec(), notify_type, data })
    };
    let named = [
        (ProtocolId::NONE, &OLD[..]),
        (ProtocolId::IKE, &OLD),
        (ProtocolId(4), &OLD),
        (ProtocolId::AH, &OLD),
        (ProtocolId::ESP, &[]),
        (ProtocolId::ESP, &OLD[..3]),
        (ProtocolId::ESP, &[0, 0, 0x20, 1, 0, 0, 0, 0]),
        (ProtocolId::ESP, &[9, 9, 9, 9]),
    ];
    for (protocol, spi) in named {
        let case = format!("{protocol} {spi:?}");
        let mut stage = Stage::established(34);
        let policy = stage.sim.peers[1].child.clone();
        let mut payloads = vec![
            rekeys(protocol, spi),
            Payload::Sa(policy.proposals.to_wire(NEW, Some(&[KeId::X25519]))),
        ];
        payloads.extend(stage.puppet.ke_and_nonce());
        payloads.push(Payload::TsI(wire(&policy.remote_ts)));
        payloads.push(Payload::TsR(wire(&policy.local_ts)));
        let said = stage.ask(CHILD, 2, &payloads);
        assert_eq!(
            notifies(&said[0]),
            [NotifyType::CHILD_SA_NOT_FOUND],
            "{case}{}",
            stage.sim.story()
        );
        only_the_old_one_stands(&stage, &case);
    }
}

/// RFC 7296, 2.21.3: who answers like this may have ended the IKE SA without a Delete.
#[test]
fn a_peer_that_answers_as_if_the_ike_sa_were_over_is_asked_whether_it_lives() {
    for (fatal, asks) in [
        (NotifyType::INVALID_SYNTAX, 1),
        (NotifyType::AUTHENTICATION_FAILED, 1),
        (NotifyType::NO_PROPOSAL_CHOSEN, 0),
    ] {
        let (mut stage, id, ..) = child_rekeying();
        let next = answered(&mut stage, id, &[notify(fatal, &[])]);
        let empty = next.iter().filter(|(_, payloads)| payloads.is_empty()).count();
        assert_eq!(empty, asks, "{fatal} {}", stage.sim.story());
        let (mut stage, id, _) = ike_rekeying();
        let next = answered(&mut stage, id, &[notify(fatal, &[])]);
        let empty = next.iter().filter(|(_, payloads)| payloads.is_empty()).count();
        assert_eq!(empty, asks, "{fatal} {}", stage.sim.story());
    }
}

/// East is put off, and the peer makes the same meanwhile.
#[test]
fn what_the_peer_has_put_off_and_then_made_is_not_asked_for_again() {
    let mut stage = Stage::without_pfs(35, |_| {});
    let delete = stage.puppet.seal(ExchangeType::INFORMATIONAL, false, 2, &[deletes(OLD)]);
    stage.say(delete);
    let policy = std::sync::Arc::new(stage.sim.peers[1].child.clone());
    let (header, _) = ordered(&mut stage, Request::CreateChild(policy));
    let put_off = [notify(NotifyType::TEMPORARY_FAILURE, &[])];
    assert!(answered(&mut stage, header.message_id.0, &put_off).is_empty());
    let made = stage.child_of(NEW, 7);
    assert_eq!(stage.ask(CHILD, 3, &made).len(), 1, "{}", stage.sim.story());
    let before = stage.sim.net.log.len();
    stage.sim.run_for(Duration::from_secs(60));
    let asked: Vec<_> = asked(&stage, before).into_iter().map(|(header, _)| header).collect();
    assert!(asked.is_empty(), "{asked:?} {}", stage.sim.story());
    assert_eq!(stage.held(), [NEW], "{}", stage.sim.story());
}
