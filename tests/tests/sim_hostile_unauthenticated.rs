//! Whoever has proved nothing gets nothing, costs little, and changes nothing: sections A
//! and B of the list of adversarial messages, and unprotected messages to an established SA.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::{Datagram, Finish};
use pluto_tests::peer::{Report, ike_proposals};
use pluto_tests::puppet::fqdn;
use pluto_tests::sim::{EAST, Sim, WEST};
use pluto_tests::stage::{Stage, notifies, notify, unprotected};
use pluto_wire::numbers::{ExchangeType, KeId, NotifyType, PayloadType};
use pluto_wire::v2::{
    KePayload, Message, Payload, SaPayload, UnknownPayload, encode_fragment_prefix,
};
use pluto_wire::{Flags, Header, IkeSpi, IkeSpis};
use std::sync::Arc;
use std::time::Duration;

/// An honest IKE_SA_INIT request, and what becomes of it after `change`.
#[track_caller]
fn first_message(change: impl FnOnce(&mut Vec<u8>)) -> (Stage, Vec<Datagram>) {
    let mut stage = Stage::new(1);
    let payloads = stage.init_payloads();
    let mut request = stage.puppet.init_request(payloads);
    change(&mut request.bytes);
    let said = stage.say(request);
    (stage, said)
}

/// East keeps nothing, and still serves an honest peer.
#[track_caller]
fn unharmed(mut stage: Stage) {
    assert!(stage.sim.peers[1].sas.is_empty(), "{:#?}", stage.sim.peers[1].log);
    stage.sim.peers[1].reports.clear();
    stage.sim.initiate();
    stage.sim.settle();
    assert!(stage.sim.is_up());
}

#[test]
fn a1_datagrams_that_are_no_message_get_no_answer() {
    for len in 0..28 {
        let (stage, said) = first_message(|bytes| bytes.truncate(len));
        assert!(said.is_empty(), "{len} octets");
        unharmed(stage);
    }
    for length in [0_u32, 27, 28, 100, u32::MAX] {
        let (stage, said) =
            first_message(|bytes| bytes[24..28].copy_from_slice(&length.to_be_bytes()));
        assert!(said.is_empty(), "length field {length}");
        unharmed(stage);
    }
}

#[test]
fn a2_headers_that_no_first_message_has_get_no_answer() {
    let cases: [(usize, u8); 9] = [
        (8, 1),     // a responder SPI
        (17, 0x00), // version 0
        (17, 0x10), // version 1
        (18, 0),    // exchange types
        (18, 33),
        (18, 255),
        (19, 0x00), // not from an initiator
        (19, 0x28), // a response
        (23, 1),    // a message id
    ];
    for (offset, octet) in cases {
        let (stage, said) = first_message(|bytes| bytes[offset] = octet);
        assert!(said.is_empty(), "octet {offset} = {octet}");
        unharmed(stage);
    }
    let (stage, said) = first_message(|bytes| bytes[..8].fill(0));
    assert!(said.is_empty(), "no initiator SPI");
    unharmed(stage);
}

#[test]
fn a2_a_higher_major_version_is_told_and_a_higher_minor_one_ignored() {
    let (stage, said) = first_message(|bytes| bytes[17] = 0x30);
    assert_eq!(unprotected(&said[0].bytes), [NotifyType::INVALID_MAJOR_VERSION]);
    unharmed(stage);
    let (_, said) = first_message(|bytes| bytes[17] = 0x2f);
    assert!(matches!(Message::decode(&said[0].bytes).unwrap().payloads[0], Payload::Sa(_)));
}

#[test]
fn a3_every_truncation_and_every_length_is_survived() {
    let whole = Stage::new(1).init_payloads();
    let len = Stage::new(1).puppet.init_request(whole).bytes.len();
    for cut in 28..len {
        let (stage, said) = first_message(|bytes| {
            bytes.truncate(cut);
            bytes[24..28].copy_from_slice(&(cut as u32).to_be_bytes());
        });
        assert!(said.len() <= 1, "cut at {cut}");
        assert!(stage.sim.peers[1].sas.is_empty(), "cut at {cut}");
    }
    for offset in 28..len {
        for octet in [0, 1, 2, 3, 0x7f, 0x80, 0xff] {
            let (stage, said) = first_message(|bytes| bytes[offset] = octet);
            assert!(said.len() <= 1 && stage.sim.peers[1].sas.len() <= 1);
        }
    }
}

fn unknown(critical: bool) -> Payload {
    let payload_type = PayloadType(200);
    Payload::Unknown(UnknownPayload { payload_type, critical, data: vec![1, 2, 3] })
}

#[track_caller]
fn init_with(payloads: impl FnOnce(&mut Vec<Payload>)) -> (Stage, Vec<Datagram>) {
    let mut stage = Stage::new(1);
    let mut said = stage.init_payloads();
    payloads(&mut said);
    let request = stage.puppet.init_request(said);
    let said = stage.say(request);
    (stage, said)
}

#[test]
fn a4_unknown_payloads_matter_only_when_critical() {
    let (_, said) = init_with(|payloads| payloads.push(unknown(false)));
    assert!(Message::decode(&said[0].bytes).unwrap().payloads.len() > 3);
    let (stage, said) = init_with(|payloads| payloads.push(unknown(true)));
    assert_eq!(unprotected(&said[0].bytes), [NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD]);
    unharmed(stage);
}

#[test]
fn a5_a_missing_or_repeated_payload_is_a_syntax_error() {
    for at in 0..3 {
        for repeat in [false, true] {
            let (stage, said) = init_with(|payloads| {
                if repeat {
                    payloads.push(payloads[at].clone());
                } else {
                    payloads.remove(at);
                }
            });
            assert_eq!(unprotected(&said[0].bytes), [NotifyType::INVALID_SYNTAX], "{at} {repeat}");
            // No SA, no SPI of the responder's.
            assert_eq!(said[0].bytes[8..16], [0; 8]);
            unharmed(stage);
        }
    }
}

fn with_ke(method: KeId, data: Vec<u8>) -> (Stage, Vec<Datagram>) {
    init_with(|payloads| payloads[1] = Payload::Ke(KePayload { method, data }))
}

#[test]
fn a6_key_exchange_values_that_cannot_be_are_refused() {
    let (stage, said) = with_ke(KeId::MODP2048, vec![2; 256]);
    assert_eq!(unprotected(&said[0].bytes), [NotifyType::INVALID_KE_PAYLOAD]);
    unharmed(stage);
    for len in [0, 1, 31, 33, 1000] {
        let (stage, said) = with_ke(KeId::X25519, vec![9; len]);
        assert_eq!(unprotected(&said[0].bytes), [NotifyType::INVALID_SYNTAX], "{len}");
        unharmed(stage);
    }
    // All zero has the right length; that it is worthless shows when it is used.
    let mut stage = Stage::keyed(1);
    let payloads = stage.init_payloads();
    let mut weak = Stage::new(2);
    let mut said = payloads;
    said[1] = Payload::Ke(KePayload { method: KeId::X25519, data: vec![0; 32] });
    let request = weak.puppet.init_request(said);
    assert_eq!(weak.say(request).len(), 1);
    weak.puppet.spis.responder = weak.sim.peers[1].sas.values().next().unwrap().spis().responder;
    let spis = weak.puppet.spis;
    // Any protected message makes the responder compute the shared secret.
    stage.puppet.spis = spis;
    let forged = stage.honest_auth();
    assert!(weak.say(forged).is_empty());
    unharmed(weak);
}

#[test]
fn a6_points_off_the_curve_are_refused() {
    let mut stage = Stage::new(1);
    stage.sim.east().ike.proposals = Arc::new(ike_proposals("aes_gcm256-sha2_256-dh19"));
    let offer = ike_proposals("aes_gcm256-sha2_256-dh19").to_wire(&[]);
    let mut payloads = stage.init_payloads();
    payloads[0] = Payload::Sa(offer);
    payloads[1] = Payload::Ke(KePayload { method: KeId::ECP_256, data: vec![1; 64] });
    let request = stage.puppet.init_request(payloads);
    assert_eq!(stage.say(request).len(), 1);
    let mut other = Stage::keyed(3);
    other.puppet.spis = stage.sim.peers[1].sas.values().next().unwrap().spis();
    let forged = other.honest_auth();
    assert!(stage.say(forged).is_empty());
    assert!(stage.sim.peers[1].sas.is_empty());
}

#[test]
fn a7_odd_proposals_are_refused_or_taken_but_never_misunderstood() {
    use pluto_wire::numbers::TransformType as T;
    for drop_type in [T::ENCR, T::PRF, T::KE] {
        let (stage, said) = init_with(|payloads| {
            if let Payload::Sa(sa) = &mut payloads[0] {
                sa.proposals[0].transforms.retain(|t| t.transform_type != drop_type);
            }
        });
        assert_eq!(unprotected(&said[0].bytes), [NotifyType::NO_PROPOSAL_CHOSEN], "{drop_type}");
        unharmed(stage);
    }
    for key_length in [None, Some(0), Some(1), Some(255), Some(u16::MAX)] {
        let (stage, said) = init_with(|payloads| {
            if let Payload::Sa(sa) = &mut payloads[0] {
                let encr = |t: &&mut pluto_wire::v2::Transform| t.transform_type == T::ENCR;
                for transform in sa.proposals[0].transforms.iter_mut().filter(encr) {
                    transform.key_length = key_length;
                }
            }
        });
        assert_eq!(unprotected(&said[0].bytes), [NotifyType::NO_PROPOSAL_CHOSEN], "{key_length:?}");
        unharmed(stage);
    }
}

#[test]
fn a8_nonces_of_a_wrong_length_get_no_answer() {
    // The codec refuses to write them: the length field of the last payload is changed.
    for len in [0_usize, 15] {
        let (stage, said) = first_message(|bytes| {
            let nonce = bytes.len() - 36;
            bytes.truncate(nonce + 4 + len);
            bytes[nonce + 2..nonce + 4].copy_from_slice(&(len as u16 + 4).to_be_bytes());
            let whole = bytes.len() as u32;
            bytes[24..28].copy_from_slice(&whole.to_be_bytes());
        });
        assert!(said.is_empty(), "{len}");
        unharmed(stage);
    }
}

/// West has sent its IKE_SA_INIT request, which is lost; what it says then to `answer`.
fn initiator_hears(answer: &[Payload]) -> (Sim, Vec<Datagram>) {
    let mut sim = Sim::calm(1);
    sim.east().answers = false;
    sim.initiate();
    sim.settle();
    let said = hears(&mut sim, answer);
    (sim, said)
}

fn hears(sim: &mut Sim, answer: &[Payload]) -> Vec<Datagram> {
    let before = sim.net.log.len();
    inject(sim, answer, [0; 8]);
    sim.settle();
    sim.net.log[before..].to_vec()
}

/// A response to what west has said first arrives, from this responder SPI.
fn inject(sim: &mut Sim, answer: &[Payload], responder: [u8; 8]) {
    let request = Header::peek(&sim.net.log[0].bytes).unwrap();
    let spis = IkeSpis { responder: IkeSpi(responder), ..request.spis };
    let header = Header { flags: Flags::RESPONSE, spis, ..request };
    let bytes = Message { header, payloads: answer.to_vec() }.encode().unwrap();
    let (local, remote) = ((EAST, 500).into(), (WEST, 500).into());
    sim.inject(Datagram { local, remote, non_esp_marker: false, bytes });
}

#[test]
fn a9_cookies_of_a_wrong_length_are_ignored() {
    for len in [0, 65, 1000] {
        let (_, said) = initiator_hears(&[notify(NotifyType::COOKIE, &vec![1; len])]);
        assert!(said.is_empty(), "{len}");
    }
}

#[test]
fn a9_cookies_are_sent_back_three_times_at_most() {
    let (mut sim, said) = initiator_hears(&[notify(NotifyType::COOKIE, &[0])]);
    assert_eq!(said.len(), 1);
    let answered = (1..10).map(|i| hears(&mut sim, &[notify(NotifyType::COOKIE, &[i])]).len());
    assert_eq!(answered.sum::<usize>(), 2);
    assert_eq!(sim.peers[0].sas.len(), 1, "it is still waiting");
}

#[test]
fn a9_a10_only_another_method_of_ours_is_taken_up() {
    let suggest = |ke: KeId| notify(NotifyType::INVALID_KE_PAYLOAD, &ke.0.to_be_bytes());
    for ke in [KeId::X25519, KeId::MODP1024, KeId::MODP768, KeId::NONE, KeId(65535)] {
        let (mut sim, said) = initiator_hears(&[suggest(ke)]);
        assert!(said.is_empty(), "{ke}");
        sim.east().answers = true;
        sim.run_for(Duration::from_secs(2));
        assert!(sim.is_up(), "the retransmission was answered");
    }
    let (_, said) = initiator_hears(&[notify(NotifyType::INVALID_KE_PAYLOAD, &[0])]);
    assert!(said.is_empty(), "no method at all");
}

#[test]
fn a9_methods_do_not_alternate_for_ever() {
    let mut sim = Sim::calm(1);
    sim.west().ike.proposals = Arc::new(ike_proposals("aes_gcm256-sha2_256-dh31+dh19"));
    sim.east().answers = false;
    sim.initiate();
    sim.settle();
    let mut answered = 0;
    for i in 0..10_u16 {
        let ke = if i % 2 == 0 { KeId::ECP_256 } else { KeId::X25519 };
        let suggest = notify(NotifyType::INVALID_KE_PAYLOAD, &ke.0.to_be_bytes());
        answered += hears(&mut sim, &[suggest]).len();
    }
    assert_eq!(answered, 3);
    assert_eq!(sim.peers[0].sas.len(), 1);
}

#[test]
fn a10_a_spoofed_refusal_does_not_stop_the_attempt() {
    for refusal in [
        NotifyType::NO_PROPOSAL_CHOSEN,
        NotifyType::INVALID_SYNTAX,
        NotifyType::AUTHENTICATION_FAILED,
        NotifyType::INVALID_MAJOR_VERSION,
        NotifyType(999),
    ] {
        let (mut sim, said) = initiator_hears(&[notify(refusal, &[])]);
        assert!(said.is_empty());
        sim.east().answers = true;
        sim.run_for(Duration::from_secs(2));
        assert!(sim.is_up(), "{refusal}: {:#?}", sim.peers[0].log);
    }
}

#[test]
fn a10_spoofed_choices_that_we_did_not_offer_are_ignored() {
    let weak = ike_proposals("aes128-sha1-dh14").to_wire(&[]);
    let ke = Payload::Ke(KePayload { method: KeId::MODP2048, data: vec![2; 256] });
    let (mut sim, said) = initiator_hears(&[Payload::Sa(weak), ke, Payload::Nonce(vec![1; 32])]);
    assert!(said.is_empty());
    sim.east().answers = true;
    sim.run_for(Duration::from_secs(2));
    assert!(sim.is_up());
}

/// West hears a response that it could take, but for its KE; then east answers.
#[track_caller]
fn spoofed_ke(method: KeId, proposals: &str, values: &[Vec<u8>], thinking: Duration) {
    for data in values {
        let case = format!("{method}: {} octets", data.len());
        let mut sim = Sim::calm(1);
        for peer in &mut sim.peers {
            peer.ike.proposals = Arc::new(ike_proposals(proposals));
        }
        sim.thinking = thinking;
        sim.east().answers = false;
        sim.initiate();
        sim.run_for(thinking);
        let offer = ike_proposals(proposals);
        let chosen = offer.choose(&offer.to_wire(&[])).unwrap().reply;
        let answer = [
            Payload::Sa(SaPayload { proposals: vec![chosen] }),
            Payload::Ke(KePayload { method, data: data.clone() }),
            Payload::Nonce(vec![1; 32]),
        ];
        let said = sim.net.log.len();
        inject(&mut sim, &answer, [7; 8]);
        sim.run_for(Duration::from_millis(100));
        assert_eq!(sim.net.log.len(), said, "{case}: nothing is said to it");
        assert!(sim.peers[0].finishes().is_empty(), "{case}{}", sim.story());
        assert!(sim.peers[0].logged("ignoring IKE_SA_INIT response: "), "{case}{}", sim.story());
        sim.east().answers = true;
        sim.run_for(Duration::from_secs(3));
        assert!(sim.is_up(), "{case}{}", sim.story());
        assert!(sim.peers[0].logged("retransmi"), "{case}{}", sim.story());
    }
}

#[test]
fn a6_a10_spoofed_key_exchange_values_do_not_stop_the_attempt() {
    let lengths = |octet: u8| [0, 31, 33].map(|len: usize| vec![octet; len]);
    let values = [&lengths(9)[..], &[vec![0; 32]]].concat();
    spoofed_ke(KeId::X25519, "aes_gcm256-sha2_256-dh31", &values, Duration::ZERO);
    // Off the curve.
    let values = [vec![1; 64], vec![0; 64], vec![1; 65], Vec::new()];
    spoofed_ke(KeId::ECP_256, "aes_gcm256-sha2_256-dh19", &values, Duration::ZERO);
}

#[test]
fn a6_a10_spoofed_key_exchange_values_of_a_slow_group_do_not_stop_the_attempt() {
    let mut one = vec![0; 256];
    one[255] = 1;
    let values = [vec![2; 255], vec![2; 257], Vec::new(), vec![0; 256], one, vec![0xff; 256]];
    for thinking in [Duration::ZERO, Duration::from_millis(40)] {
        spoofed_ke(KeId::MODP2048, "aes_gcm256-sha2_256-dh14", &values, thinking);
    }
}

/// The honest response comes while the shared secret with the spoofed one is computed: it is
/// kept, and no retransmission is needed.
#[test]
fn a10_the_real_response_is_kept_while_a_spoofed_one_is_looked_into() {
    let mut sim = Sim::calm(1);
    let proposals = "aes_gcm256-sha2_256-dh14";
    for peer in &mut sim.peers {
        peer.ike.proposals = Arc::new(ike_proposals(proposals));
    }
    sim.initiate();
    assert!(sim.run_until(Duration::from_secs(1), |sim| sim.net.log.len() == 2));
    let offer = ike_proposals(proposals);
    let chosen = offer.choose(&offer.to_wire(&[])).unwrap().reply;
    let answer = [
        Payload::Sa(SaPayload { proposals: vec![chosen] }),
        Payload::Ke(KePayload { method: KeId::MODP2048, data: vec![0; 256] }),
        Payload::Nonce(vec![1; 32]),
    ];
    sim.thinking = Duration::from_millis(300);
    inject(&mut sim, &answer, [7; 8]);
    sim.run_for(Duration::from_secs(3));
    assert!(sim.is_up(), "{}", sim.story());
    assert!(sim.peers[0].logged("ignoring IKE_SA_INIT response: "), "{}", sim.story());
    assert!(!sim.peers[0].logged("retransmitting IKE_SA_INIT"), "{}", sim.story());
}

/// An error was noted before, and is still believed in the end, when all that comes after it
/// is of no use either.
#[test]
fn a10_a_refusal_is_believed_in_the_end_though_spoofed_values_follow() {
    let mut sim = Sim::calm(1);
    let proposals = "aes_gcm256-sha2_256-dh14";
    sim.west().ike.proposals = Arc::new(ike_proposals(proposals));
    sim.east().answers = false;
    sim.initiate();
    sim.settle();
    hears(&mut sim, &[notify(NotifyType::NO_PROPOSAL_CHOSEN, &[])]);
    let offer = ike_proposals(proposals);
    let chosen = offer.choose(&offer.to_wire(&[])).unwrap().reply;
    let answer = [
        Payload::Sa(SaPayload { proposals: vec![chosen] }),
        Payload::Ke(KePayload { method: KeId::MODP2048, data: vec![0; 256] }),
        Payload::Nonce(vec![1; 32]),
    ];
    inject(&mut sim, &answer, [7; 8]);
    sim.run_for(Duration::from_secs(5));
    assert!(matches!(sim.peers[0].finishes()[..], [Finish::Failed(_)]), "{}", sim.story());
    sim.assert_nothing_left();
}

/// Nothing is said to any of these, and the honest IKE_AUTH after it succeeds.
#[track_caller]
fn before_auth(hostile: impl FnOnce(&mut Stage) -> Vec<Datagram>) {
    let mut stage = Stage::keyed(1);
    for datagram in hostile(&mut stage) {
        let said = stage.say(datagram);
        assert!(said.is_empty(), "{said:?}");
    }
    let honest = stage.honest_auth();
    assert_eq!(stage.say(honest).len(), 1, "{:#?}", stage.sim.peers[1].log);
    assert!(stage.believes());
}

#[test]
fn b1_exchanges_before_auth_are_dropped() {
    for exchange in [
        ExchangeType::INFORMATIONAL,
        ExchangeType::CREATE_CHILD_SA,
        ExchangeType::IKE_INTERMEDIATE,
        ExchangeType::IKE_SESSION_RESUME,
        ExchangeType::IKE_FOLLOWUP_KE,
        ExchangeType(0),
    ] {
        let delete = Payload::Delete(pluto_wire::v2::Delete {
            protocol: pluto_wire::numbers::ProtocolId::IKE,
            spis: Vec::new(),
        });
        for payloads in [vec![], vec![delete.clone()], vec![unknown(true)]] {
            before_auth(|stage| vec![stage.puppet.seal(exchange, false, 1, &payloads)]);
        }
        before_auth(|stage| {
            vec![stage.puppet.seal_raw(exchange, false, 1, PayloadType::DELETE, &[0xff; 40])]
        });
    }
}

#[test]
fn b2_message_ids_other_than_one_are_dropped() {
    for id in [0, 2, 5, u32::MAX] {
        before_auth(|stage| {
            let payloads = stage.auth_payloads(&fqdn("west"));
            vec![stage.puppet.seal(ExchangeType::IKE_AUTH, false, id, &payloads)]
        });
    }
}

#[test]
fn b2_messages_that_come_while_the_first_is_processed_change_nothing() {
    let mut stage = Stage::keyed(1);
    stage.sim.thinking = Duration::from_millis(400);
    let first = stage.honest_auth();
    // Another request with the same id, and the same octets again.
    let payloads = stage.auth_payloads(&fqdn("mallory"));
    let second = stage.puppet.seal(ExchangeType::IKE_AUTH, false, 1, &payloads);
    for datagram in [&first, &second, &first] {
        stage.sim.inject(datagram.clone());
    }
    let said = stage.say(second);
    assert!(stage.believes());
    assert_eq!(said.len(), 1, "one answer");
    let ups = stage.sim.peers[1].reports.iter().filter(|r| matches!(r, Report::Up(_)));
    assert_eq!(ups.count(), 1);
}

#[test]
fn b3_fragments_that_were_not_negotiated_are_dropped() {
    before_auth(|stage| {
        let header = stage.puppet.header(ExchangeType::IKE_AUTH, false, 1);
        let fragment = |number, total| {
            let mut bytes =
                encode_fragment_prefix(&header, PayloadType::IDI, number, total, 64).unwrap();
            bytes.extend([7; 64]);
            bytes
        };
        let parts = [(1, 1), (1, 2), (2, 2), (1, 65535)];
        parts.into_iter().map(|(n, t)| stage.puppet.datagram(fragment(n, t))).collect()
    });
}

#[test]
fn b4_messages_that_are_not_the_peers_are_dropped() {
    before_auth(|stage| {
        let honest = stage.honest_auth();
        let mut forged = Vec::new();
        for offset in 28..honest.bytes.len() {
            let mut bad = honest.clone();
            bad.bytes[offset] ^= 0x40;
            forged.push(bad);
        }
        // An SK payload with nothing in it, and with less than an ICV.
        for body in [0, 1, 8, 15, 23, 24] {
            let header = stage.puppet.header(ExchangeType::IKE_AUTH, false, 1);
            let first = PayloadType::IDI;
            let mut bytes =
                pluto_wire::v2::encode_protected_prefix(&header, &[], first, body).unwrap();
            bytes.resize(bytes.len() + body, 0);
            forged.push(stage.puppet.datagram(bytes));
        }
        forged
    });
}

#[test]
fn b4_unprotected_messages_in_the_place_of_protected_ones_are_dropped() {
    for exchange in [ExchangeType::IKE_AUTH, ExchangeType::INFORMATIONAL] {
        before_auth(|stage| {
            let payloads = vec![notify(NotifyType::AUTHENTICATION_FAILED, &[])];
            let header = stage.puppet.header(exchange, false, 1);
            let bytes = Message { header, payloads }.encode().unwrap();
            vec![stage.puppet.datagram(bytes)]
        });
    }
}

#[test]
fn b6_a_flood_of_first_messages_leaves_half_open_sas_for_30_seconds_only() {
    let mut sim = Sim::calm(1);
    for seed in 0..200 {
        let mut stage = Stage::new(seed);
        let payloads = stage.init_payloads();
        sim.inject(stage.puppet.init_request(payloads));
    }
    sim.settle();
    assert_eq!(sim.peers[1].sas.len(), 200);
    sim.run_for(Duration::from_secs(31));
    assert!(sim.peers[1].sas.is_empty());
    assert!(sim.peers[1].finishes().iter().all(|finish| *finish == Finish::TimedOut));
}

/// D11: error notifications without protection, as a spoofer sends them.
#[test]
fn d11_unprotected_errors_do_not_touch_an_established_sa() {
    for notify_type in [
        NotifyType::INVALID_IKE_SPI,
        NotifyType::NO_PROPOSAL_CHOSEN,
        NotifyType::INVALID_SYNTAX,
        NotifyType::AUTHENTICATION_FAILED,
    ] {
        let mut stage = Stage::established(1);
        let mut first = true;
        for exchange in [
            ExchangeType::IKE_SA_INIT,
            ExchangeType::IKE_AUTH,
            ExchangeType::INFORMATIONAL,
            ExchangeType::CREATE_CHILD_SA,
        ] {
            for response in [false, true] {
                for id in [0, 1, 2] {
                    let payloads = vec![notify(notify_type, &[])];
                    let header = stage.puppet.header(exchange, response, id);
                    let bytes = Message { header, payloads }.encode().unwrap();
                    let datagram = stage.puppet.datagram(bytes);
                    let said = stage.say(datagram);
                    // Once the peer is asked whether it lives. Not even what was answered
                    // before is answered again.
                    let asked = !std::mem::replace(&mut first, false);
                    assert!(!asked || said.is_empty(), "{said:?}");
                }
            }
        }
        assert!(stage.believes());
        let alive = stage.ask(ExchangeType::INFORMATIONAL, 2, &[]);
        assert_eq!(alive, [vec![]]);
        assert!(notifies(&alive[0]).is_empty());
    }
}
