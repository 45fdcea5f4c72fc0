//! Who has keys, or has even proved who it is, can still harm nobody but itself: sections
//! B5, B7, C and D of the list of adversarial messages.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_connections::Pfs;
use pluto_states::{DownReason, Finish};
use pluto_tests::net::Dice;
use pluto_tests::peer::Report;
use pluto_tests::puppet::{Puppet, fqdn};
use pluto_tests::sim::{EAST, Sim, WEST};
use pluto_tests::stage::{Stage, notifies, notify};
use pluto_wire::numbers::{AuthMethod, ExchangeType, IdType, NotifyType, PayloadType, ProtocolId};
use pluto_wire::v2::{
    AuthPayload, Delete, Identification, Notify, Payload, UnknownPayload, encode_chain,
};
use std::time::Duration;

const AUTH: ExchangeType = ExchangeType::IKE_AUTH;
const INFO: ExchangeType = ExchangeType::INFORMATIONAL;

/// What IKE_AUTH with these payloads is refused with; nothing is left of it.
#[track_caller]
fn refused(stage: &mut Stage, payloads: &[Payload], expected: NotifyType) {
    let said = stage.ask(AUTH, 1, payloads);
    assert_eq!(said.len(), 1, "{:#?}", stage.sim.peers[1].log);
    assert_eq!(notifies(&said[0]), [expected], "{:#?}", stage.sim.peers[1].log);
    assert!(!stage.believes());
    stage.sim.run_for(Duration::from_secs(31));
    stage.sim.assert_nothing_left();
    assert!(!stage.sim.peers[1].reports.iter().any(|r| matches!(r, Report::Established(_))));
}

/// An honest IKE_AUTH request changed by `change`.
#[track_caller]
fn auth_with(expected: NotifyType, change: impl FnOnce(&mut Vec<Payload>)) {
    let mut stage = Stage::keyed(1);
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    change(&mut payloads);
    refused(&mut stage, &payloads, expected);
}

#[test]
fn the_puppet_is_honest_when_nothing_is_changed() {
    let stage = Stage::established(1);
    assert!(stage.believes());
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1);
}

#[test]
fn a4_an_unknown_critical_payload_in_ike_auth_is_refused_by_its_type() {
    let unknown = |critical| {
        let payload_type = PayloadType(200);
        Payload::Unknown(UnknownPayload { payload_type, critical, data: Vec::new() })
    };
    auth_with(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, |payloads| payloads.push(unknown(true)));
    let mut stage = Stage::keyed(1);
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    payloads.push(unknown(false));
    stage.ask(AUTH, 1, &payloads);
    assert!(stage.believes());
}

#[test]
fn b5_octets_inside_that_are_no_payloads_are_a_syntax_error() {
    let good = Stage::keyed(1).auth_payloads(&fqdn("west"));
    let (first, plain) = encode_chain(&good).unwrap();
    for cut in 0..plain.len() {
        let mut stage = Stage::keyed(1);
        let request = stage.puppet.seal_raw(AUTH, false, 1, first, &plain[..cut]);
        let said = stage.say(request);
        let (_, payloads) = stage.puppet.open(&said[0].bytes).unwrap();
        assert_eq!(notifies(&payloads), [NotifyType::INVALID_SYNTAX], "cut at {cut}");
        assert!(!stage.believes());
    }
}

/// Any change of what is inside, once it is encrypted: east answers once or not at all,
/// believes only what is still proved, and leaves nothing behind.
#[test]
fn b5_mutations_after_encryption_are_survived() {
    for seed in 0..600 {
        let mut dice = Dice::new(seed);
        let mut stage = Stage::keyed(seed);
        let good = stage.auth_payloads(&fqdn("west"));
        let (first, mut plain) = encode_chain(&good).unwrap();
        for _ in 0..=dice.below(4) {
            let at = dice.below(plain.len() as u64) as usize;
            match dice.below(4) {
                0 => plain[at] ^= 1 << dice.below(8),
                1 => plain[at] = dice.roll() as u8,
                2 => plain.truncate(at.max(1)),
                _ => plain.extend([0xff; 7]),
            }
        }
        let first = if dice.chance(10) { PayloadType(dice.roll() as u8) } else { first };
        let request = stage.puppet.seal_raw(AUTH, false, 1, first, &plain);
        let said = stage.say(request);
        assert!(said.len() <= 1, "seed {seed}");
        // Then an established SA gets the same, as requests of all exchanges.
        let mut stage = Stage::established(seed);
        for (id, exchange) in [(2, INFO), (3, ExchangeType::CREATE_CHILD_SA), (4, INFO)] {
            let request = stage.puppet.seal_raw(exchange, false, id, first, &plain);
            assert!(stage.say(request).len() <= 1, "seed {seed}");
        }
        let east = &mut stage.sim.peers[1];
        assert!(east.kernel.installed.len() <= 1, "seed {seed}");
        assert!(east.sas.len() <= 1, "seed {seed}");
        if east.sas.is_empty() {
            stage.sim.assert_nothing_left();
        }
    }
}

#[test]
fn b7_ike_auth_without_a_payload_that_it_needs_is_refused() {
    let without = |payload_type: PayloadType, expected: NotifyType| {
        auth_with(expected, |payloads| payloads.retain(|p| p.payload_type() != payload_type));
    };
    without(PayloadType::IDI, NotifyType::INVALID_SYNTAX);
    for part in [PayloadType::SA, PayloadType::TSI, PayloadType::TSR] {
        without(part, NotifyType::INVALID_SYNTAX);
    }
    // Without AUTH it would be EAP, which no connection offers.
    without(PayloadType::AUTH, NotifyType::AUTHENTICATION_FAILED);
}

#[test]
fn b7_ike_auth_without_any_child_is_a_childless_ike_sa() {
    let mut stage = Stage::keyed(1);
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    payloads.truncate(3);
    let said = stage.ask(AUTH, 1, &payloads);
    assert!(stage.believes());
    assert_eq!(said[0].len(), 2, "IDr and AUTH");
    assert!(stage.sim.peers[1].kernel.is_empty());
}

#[test]
fn b7_identities_that_cannot_be_are_refused() {
    let ids = [
        (IdType(0), &b"west"[..]),
        (IdType(12), b"west"),
        (IdType(255), b"west"),
        (IdType::FQDN, b""),
        (IdType::FQDN, b"we\0st"),
        (IdType::IPV4_ADDR, &[192, 0, 2]),
        (IdType::IPV4_ADDR, &[]),
        (IdType::IPV6_ADDR, &[0; 15]),
        (IdType::DER_ASN1_DN, &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
        (IdType::KEY_ID, b"\n\x1b[31mforged line"),
    ];
    for (id_type, data) in ids {
        let id = Identification { id_type, data: data.to_vec() };
        let mut stage = Stage::keyed(1);
        let payloads = stage.auth_payloads(&id);
        refused(&mut stage, &payloads, NotifyType::AUTHENTICATION_FAILED);
        // E4: nothing of it makes a line of log of its own.
        let lines = stage.sim.peers[1].log.iter();
        assert!(lines.into_iter().all(|l| !l.contains('\n') && !l.contains('\x1b')));
    }
}

#[test]
fn c1_methods_that_are_not_the_connections_are_refused() {
    for method in [0, 1, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 255] {
        auth_with(NotifyType::AUTHENTICATION_FAILED, |payloads| {
            if let Payload::Auth(auth) = &mut payloads[2] {
                auth.method = AuthMethod(method);
            }
        });
    }
}

#[test]
fn c1_auth_data_that_is_not_exactly_right_is_refused() {
    for change in 0..5 {
        auth_with(NotifyType::AUTHENTICATION_FAILED, |payloads| {
            let Payload::Auth(AuthPayload { data, .. }) = &mut payloads[2] else { panic!() };
            match change {
                0 => data.clear(),
                1 => data.truncate(data.len() - 1),
                2 => data.push(0),
                3 => data[0] ^= 1,
                _ => data.fill(0),
            }
        });
    }
}

#[test]
fn c4_an_identity_that_was_changed_after_signing_is_refused() {
    // East would accept `@west`, but AUTH was made for another.
    let mut stage = Stage::keyed(1);
    let mut payloads = stage.auth_payloads(&fqdn("other"));
    payloads[0] = Payload::IdI(fqdn("west"));
    refused(&mut stage, &payloads, NotifyType::AUTHENTICATION_FAILED);
}

#[test]
fn c15_an_identity_of_ours_that_we_do_not_have_is_refused_and_none_is_fine() {
    auth_with(NotifyType::AUTHENTICATION_FAILED, |payloads| {
        payloads[1] = Payload::IdR(fqdn("south"));
    });
    let mut stage = Stage::keyed(1);
    let mut payloads = stage.auth_payloads(&fqdn("west"));
    payloads.remove(1);
    stage.ask(AUTH, 1, &payloads);
    assert!(stage.believes());
}

#[test]
fn d1_old_requests_get_the_cached_response_and_others_nothing() {
    let mut stage = Stage::established(1);
    let request = stage.puppet.seal(INFO, false, 2, &[]);
    let first = stage.say(request.clone());
    assert_eq!(stage.say(request), first);
    // A different message with the same id gets the same octets, and is not looked at.
    let delete = Payload::Delete(Delete { protocol: ProtocolId::IKE, spis: Vec::new() });
    let other = stage.puppet.seal(INFO, false, 2, std::slice::from_ref(&delete));
    assert_eq!(stage.say(other), first);
    for id in [0, 1, 4, 5, u32::MAX] {
        let outside = stage.puppet.seal(INFO, false, id, std::slice::from_ref(&delete));
        assert!(stage.say(outside).is_empty(), "{id}");
    }
    assert!(stage.believes());
}

fn esp(spi: u32) -> Delete {
    Delete { protocol: ProtocolId::ESP, spis: vec![spi.to_be_bytes()] }
}

/// The puppet's inbound SPI, by which it names the Child SA.
const ITS_SPI: u32 = 0x2001;

#[test]
fn d5_deletes_that_name_nothing_are_answered_and_delete_nothing() {
    let mut stage = Stage::established(1);
    let ours = stage.sim.peers[1].kernel.installed.values().next().unwrap().spi_in.0;
    let ah = Delete { protocol: ProtocolId::AH, spis: vec![ITS_SPI.to_be_bytes()] };
    let other = Delete { protocol: ProtocolId(4), spis: vec![ITS_SPI.to_be_bytes()] };
    let none = Delete { protocol: ProtocolId::ESP, spis: Vec::new() };
    let deletes = [esp(0), esp(ours), esp(0xffff_ffff), ah, other, none];
    for (id, delete) in (2..).zip(deletes) {
        assert_eq!(stage.ask(INFO, id, &[Payload::Delete(delete)]), [vec![]]);
    }
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1);
}

#[test]
fn d5_deletes_that_lie_about_their_length_are_a_syntax_error() {
    let bodies: [&[u8]; 7] = [
        &[0, 0, 0, 0],             // protocol 0
        &[1, 4, 0, 1, 0, 0, 0, 1], // an IKE SA with an SPI
        &[3, 0, 0, 1],             // ESP without SPIs' size
        &[3, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        &[3, 4, 0, 2, 0, 0, 0x20, 1], // fewer SPIs than said
        &[3, 4, 0xff, 0xff, 0, 0, 0x20, 1],
        &[3, 4, 0, 0, 0, 0, 0x20, 1], // more
    ];
    for body in bodies {
        let mut stage = Stage::established(1);
        let length = body.len() as u16 + 4;
        let plain = [&[0, 0], &length.to_be_bytes()[..], body].concat();
        let request = stage.puppet.seal_raw(INFO, false, 2, PayloadType::DELETE, &plain);
        let said = stage.say(request);
        let (_, payloads) = stage.puppet.open(&said[0].bytes).unwrap();
        assert_eq!(notifies(&payloads), [NotifyType::INVALID_SYNTAX], "{body:?}");
        // RFC 7296, 2.21.3: both ends forget the IKE SA.
        stage.sim.assert_nothing_left();
        assert!(matches!(stage.sim.peers[1].finishes()[..], [Finish::Failed(_)]));
    }
}

#[test]
fn d5_delete_and_delete_and_notify_in_one_message_are_survived() {
    let ike = || Payload::Delete(Delete { protocol: ProtocolId::IKE, spis: Vec::new() });
    let child = || Payload::Delete(esp(ITS_SPI));
    let say = || notify(NotifyType::INITIAL_CONTACT, &[1, 2, 3]);
    let mut stage = Stage::established(1);
    let said = stage.ask(INFO, 2, &[child(), child(), say(), child()]);
    let ours = match &said[0][..] {
        [Payload::Delete(delete)] => delete.spis.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ours, 1);
    assert_eq!(stage.sim.peers[1].downs(), [DownReason::PeerDeleted]);
    for payloads in [vec![ike(), say()], vec![ike(), ike(), child()], vec![child(), ike(), say()]] {
        let mut stage = Stage::established(1);
        assert_eq!(stage.ask(INFO, 2, &payloads), [vec![]]);
        assert_eq!(stage.sim.peers[1].finishes(), [Finish::PeerDeleted]);
        stage.sim.assert_nothing_left();
    }
}

#[test]
fn d6_notifications_without_a_meaning_are_answered_and_ignored() {
    let odd = |notify_type, protocol, spi: &[u8], data: &[u8]| {
        let (spi, data) = (spi.to_vec(), data.to_vec());
        Payload::Notify(Notify { protocol, spi, notify_type, data })
    };
    let cases = [
        odd(NotifyType(40000), ProtocolId(9), &[1; 255], &[]),
        odd(NotifyType(9999), ProtocolId::NONE, &[], &[0; 1000]),
        odd(NotifyType::NO_PROPOSAL_CHOSEN, ProtocolId::ESP, &[1], &[]),
        odd(NotifyType::INVALID_SPI, ProtocolId::ESP, &[0; 3], &[1]),
        odd(NotifyType::REKEY_SA, ProtocolId::IKE, &[0; 8], &[]),
        odd(NotifyType::TS_UNACCEPTABLE, ProtocolId::NONE, &[], &[]),
        odd(NotifyType::COOKIE2, ProtocolId::NONE, &[], &[]),
        odd(NotifyType::UPDATE_SA_ADDRESSES, ProtocolId::NONE, &[], &[]),
    ];
    let mut stage = Stage::established(1);
    for (id, payload) in (2..).zip(cases) {
        assert_eq!(stage.ask(INFO, id, &[payload]), [vec![]]);
    }
    assert!(stage.believes());
    assert_eq!(stage.sim.peers[1].kernel.installed.len(), 1);
}

#[test]
fn d6_a_peer_that_does_not_accept_us_afterwards_ends_the_ike_sa() {
    let mut stage = Stage::established(1);
    let rejection = notify(NotifyType::AUTHENTICATION_FAILED, &[]);
    assert_eq!(stage.ask(INFO, 2, &[rejection]), [vec![]]);
    assert!(matches!(stage.sim.peers[1].finishes()[..], [Finish::Failed(_)]));
    stage.sim.assert_nothing_left();
}

#[test]
fn a_child_sa_without_pfs_is_refused_where_pfs_is_configured_and_the_ike_sa_stays() {
    let mut stage = Stage::established(1);
    stage.sim.peers[1].child.pfs = Pfs::Required;
    let mut payloads = stage.auth_payloads(&fqdn("west")).split_off(3);
    payloads.push(Payload::Nonce(vec![1; 32]));
    let said = stage.ask(ExchangeType::CREATE_CHILD_SA, 2, &payloads);
    assert_eq!(notifies(&said[0]), [NotifyType::NO_PROPOSAL_CHOSEN]);
    assert!(stage.believes());
}

/// West initiates, and a puppet in the place of east answers IKE_AUTH with what `reply` makes.
fn initiator_hears(reply: impl FnOnce(&mut Puppet) -> Vec<Payload>) -> (Sim, Puppet) {
    let mut sim = Sim::calm(1);
    sim.east().answers = false;
    sim.initiate();
    sim.settle();
    let proposals = sim.peers[0].ike.proposals.clone();
    let (local, remote) = ((EAST, 500).into(), (WEST, 500).into());
    let mut puppet = Puppet::new(77, false, local, remote);
    let request = sim.net.log[0].bytes.clone();
    let answer = puppet.answer(&request, &proposals);
    sim.inject(answer);
    sim.settle();
    assert_eq!(sim.net.log.len(), 2);
    let payloads = reply(&mut puppet);
    let response = puppet.seal(AUTH, true, 1, &payloads);
    sim.inject(response);
    sim.settle();
    (sim, puppet)
}

const KEY: &[u8] = b"a pre-shared key of many letters";

/// What an honest responder answers, with these selectors and this SPI.
fn honest(puppet: &mut Puppet, spi: [u8; 4]) -> Vec<Payload> {
    let id = fqdn("east");
    let policy = pluto_tests::peer::child_policy("x", "10.1.0.0/24", "10.2.0.0/24");
    let mut sa = policy.proposals.to_wire(spi, None);
    sa.proposals.truncate(1);
    // One transform of each type: an answer chooses.
    let mut seen = Vec::new();
    sa.proposals[0].transforms.retain(|t| {
        let new = !seen.contains(&t.transform_type);
        seen.push(t.transform_type);
        new
    });
    vec![
        Payload::IdR(id.clone()),
        puppet.auth(&id, KEY),
        Payload::Sa(sa),
        Payload::TsI(policy.local_ts.iter().map(|ts| ts.to_wire()).collect()),
        Payload::TsR(policy.remote_ts.iter().map(|ts| ts.to_wire()).collect()),
    ]
}

#[test]
fn an_honest_puppet_is_believed_by_the_initiator() {
    let (sim, _) = initiator_hears(|puppet| honest(puppet, [0, 0, 0x30, 1]));
    assert_eq!(sim.peers[0].established().len(), 1, "{:#?}", sim.peers[0].log);
    assert_eq!(sim.peers[0].kernel.installed.len(), 1);
}

/// The last thing that west has said, opened.
fn last_words(sim: &Sim, puppet: &Puppet) -> Vec<Payload> {
    puppet.open(&sim.net.log.last().unwrap().bytes).unwrap().1
}

#[test]
fn c4_a_responder_that_reflects_or_forges_auth_is_told_and_not_believed() {
    let changes: [fn(&mut Vec<Payload>); 4] = [
        |payloads| payloads[0] = Payload::IdR(fqdn("south")),
        |payloads| {
            let Payload::Auth(auth) = &mut payloads[1] else { panic!() };
            auth.data[0] ^= 1;
        },
        |payloads| {
            let Payload::Auth(auth) = &mut payloads[1] else { panic!() };
            auth.method = AuthMethod::NULL_AUTH;
        },
        |payloads| payloads.push(payloads[0].clone()),
    ];
    for change in changes {
        let (mut sim, puppet) = initiator_hears(|puppet| {
            let mut payloads = honest(puppet, [0, 0, 0x30, 1]);
            change(&mut payloads);
            payloads
        });
        let said = last_words(&sim, &puppet);
        assert!(matches!(said.last(), Some(Payload::Delete(_))), "{said:?}");
        assert_eq!(notifies(&said).len(), 1);
        assert!(sim.peers[0].kernel.is_empty());
        sim.run_for(Duration::from_secs(31));
        assert!(matches!(sim.peers[0].finishes()[..], [Finish::Failed(_)]));
        sim.assert_nothing_left();
    }
}

#[test]
fn a_child_that_we_did_not_ask_for_is_deleted_and_the_ike_sa_stays() {
    let wire = |text: &str| {
        let selectors = pluto_tests::peer::selectors(text);
        selectors.iter().map(|ts| ts.to_wire()).collect::<Vec<_>>()
    };
    for case in 0..5 {
        let (sim, puppet) = initiator_hears(|puppet| {
            let spi = if case == 0 { [0, 0, 0, 255] } else { [0, 0, 0x30, 1] };
            let mut payloads = honest(puppet, spi);
            match case {
                1 => payloads[3] = Payload::TsI(wire("0.0.0.0/0")),
                2 => payloads[4] = Payload::TsR(wire("10.2.0.0/24 10.3.0.0/24")),
                3 => payloads.push(notify(NotifyType::USE_TRANSPORT_MODE, &[])),
                4 => {
                    let Payload::Sa(sa) = &mut payloads[2] else { panic!() };
                    sa.proposals[0].transforms[0].id = 11;
                }
                _ => {}
            }
            payloads
        });
        let said = last_words(&sim, &puppet);
        assert!(matches!(&said[..], [Payload::Delete(d)] if d.protocol == ProtocolId::ESP));
        assert!(matches!(sim.peers[0].downs()[..], [DownReason::Unacceptable(_)]), "{case}");
        assert!(sim.peers[0].kernel.is_empty());
        assert_eq!(sim.peers[0].established().len(), 1);
    }
}

/// Mutations of the response, after encryption, at the initiator.
#[test]
fn b5_mutated_responses_are_survived_by_the_initiator() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut sim = Sim::calm(1);
        sim.east().answers = false;
        sim.initiate();
        sim.settle();
        let proposals = sim.peers[0].ike.proposals.clone();
        let mut puppet = Puppet::new(seed, false, (EAST, 500).into(), (WEST, 500).into());
        let request = sim.net.log[0].bytes.clone();
        let answer = puppet.answer(&request, &proposals);
        sim.inject(answer);
        sim.settle();
        let good = honest(&mut puppet, [0, 0, 0x30, 1]);
        let (first, mut plain) = encode_chain(&good).unwrap();
        for _ in 0..=dice.below(3) {
            let at = dice.below(plain.len() as u64) as usize;
            plain[at] = dice.roll() as u8;
        }
        let response = puppet.seal_raw(AUTH, true, 1, first, &plain);
        sim.inject(response);
        sim.run_for(Duration::from_secs(40));
        let west = &sim.peers[0];
        assert!(west.kernel.installed.len() <= west.established().len(), "seed {seed}");
        if west.sas.is_empty() {
            sim.assert_nothing_left();
        }
    }
}
