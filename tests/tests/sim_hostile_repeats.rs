//! What only looks like a request that was answered gets nothing and changes nothing, whatever
//! stands in front of what is protected: sections A4, B3 and D1 of the list of adversarial
//! messages.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that misses what it looks for fails"
)]

use pluto_states::Datagram;
use pluto_tests::puppet::fqdn;
use pluto_tests::stage::{Stage, notifies, notify};
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{
    Delete, Payload, UnknownPayload, encode_chain, encode_fragment_prefix, encode_protected_prefix,
};
use pluto_wire::{Header, numbers::ProtocolId};
use std::time::Duration;

const AUTH: ExchangeType = ExchangeType::IKE_AUTH;
const INFO: ExchangeType = ExchangeType::INFORMATIONAL;
const CHILD: ExchangeType = ExchangeType::CREATE_CHILD_SA;

/// What anybody can make who has seen a header: of this one's exchange and message id.
fn spoofed(stage: &Stage, request: &Datagram) -> Vec<Datagram> {
    let seen = Header::peek(&request.bytes).unwrap();
    let mut made = Vec::new();
    for next_payload in [PayloadType::NONE, PayloadType::SK, PayloadType::SKF] {
        made.push(Header { next_payload, length: 28, ..seen }.encode().to_vec());
    }
    let mut garbage = Header { length: 100, ..seen }.encode().to_vec();
    garbage.resize(100, 0x5a);
    made.push(garbage);
    for body in [0, 1, 23, 24, 200] {
        let first = PayloadType::NONE;
        let mut bytes = encode_protected_prefix(&seen, &[], first, body).unwrap();
        bytes.resize(bytes.len() + body, 0x5a);
        made.push(bytes);
        let mut bytes = encode_fragment_prefix(&seen, first, 1, 2, body).unwrap();
        bytes.resize(bytes.len() + body, 0x5a);
        made.push(bytes);
    }
    // Wrong in its header, its cipher text and its checksum.
    for offset in [20, 40, request.bytes.len() - 1] {
        let mut forged = request.bytes.clone();
        if offset == 20 {
            forged[28] ^= 0x21;
        } else {
            forged[offset] ^= 1;
        }
        made.push(forged);
    }
    made.into_iter().map(|bytes| stage.puppet.datagram(bytes)).collect()
}

#[track_caller]
fn unanswered(stage: &mut Stage, request: &Datagram) {
    for (at, datagram) in spoofed(stage, request).into_iter().enumerate() {
        let said = stage.say(datagram);
        assert!(said.is_empty(), "{at}: {said:?}{}", stage.sim.story());
    }
}

#[test]
fn d1_an_answer_is_repeated_to_the_peer_alone() {
    let mut stage = Stage::keyed(1);
    let auth = stage.honest_auth();
    let answer = stage.say(auth.clone());
    unanswered(&mut stage, &auth);
    assert_eq!(stage.say(auth), answer);
    let probe = stage.puppet.seal(INFO, false, 2, &[]);
    let answer = stage.say(probe.clone());
    assert_eq!(answer.len(), 1);
    unanswered(&mut stage, &probe);
    assert_eq!(stage.say(probe), answer);
    // Nor does it harm what comes next.
    assert_eq!(stage.ask(INFO, 3, &[]), [vec![]]);
}

#[test]
fn d1_a_refusal_of_ike_auth_is_repeated_to_the_peer_alone() {
    let mut stage = Stage::keyed(2);
    let payloads = stage.auth_payloads(&fqdn("mallory"));
    let auth = stage.puppet.seal(AUTH, false, 1, &payloads);
    let answer = stage.say(auth.clone());
    assert_eq!(answer.len(), 1);
    unanswered(&mut stage, &auth);
    assert_eq!(stage.say(auth), answer, "{}", stage.sim.story());
    stage.sim.run_for(Duration::from_secs(31));
    stage.sim.assert_nothing_left();
}

#[test]
fn d1_while_our_delete_is_on_the_way_an_answer_is_repeated_to_the_peer_alone() {
    let mut stage = Stage::established(3);
    let probe = stage.puppet.seal(INFO, false, 2, &[]);
    let answer = stage.say(probe.clone());
    let ike = stage.sim.peers[1].established()[0];
    stage.sim.order(1, ike, pluto_states::Request::DeleteIke);
    stage.sim.settle();
    unanswered(&mut stage, &probe);
    assert_eq!(stage.say(probe), answer, "{}", stage.sim.story());
}

/// The response to an IKE SA's rekeying, and what it was asked with.
fn rekeyed(seed: u64) -> (Stage, Datagram) {
    let mut stage = Stage::established(seed);
    let mut payloads = vec![Payload::Sa(stage.sim.peers[1].ike.proposals.to_wire(&[6; 8]))];
    payloads.extend(stage.puppet.ke_and_nonce());
    let request = stage.puppet.seal(CHILD, false, 2, &payloads);
    assert_eq!(stage.say(request.clone()).len(), 1);
    assert_eq!(stage.sim.peers[1].established().len(), 2, "{}", stage.sim.story());
    (stage, request)
}

/// The old IKE SA waits for who repeats its request, and for nobody else.
#[test]
fn d1_spoofed_repetitions_do_not_keep_an_ike_sa_that_was_rekeyed() {
    for honest in [false, true] {
        let (mut stage, request) = rekeyed(4);
        let mut header = Header::peek(&request.bytes).unwrap();
        (header.length, header.next_payload) = (28, PayloadType::NONE);
        let repeated = match honest {
            true => request,
            false => stage.puppet.datagram(header.encode().to_vec()),
        };
        let mut deleted = 0;
        for _ in 0..40 {
            let seen = stage.sim.net.log.len();
            stage.sim.inject(repeated.clone());
            stage.sim.run_for(Duration::from_secs(5));
            let said = stage.sim.net.log[seen..].iter();
            let deletes = |d: &&Datagram| {
                let opened = stage.puppet.open(&d.bytes);
                opened.is_some_and(|(_, p)| matches!(p[..], [Payload::Delete(_)]))
            };
            deleted += said.filter(deletes).count();
        }
        assert_eq!(deleted > 0, !honest, "{}", stage.sim.story());
    }
}

/// An IKE_AUTH request in `total` fragments.
fn fragments(stage: &mut Stage, total: u16) -> Vec<Datagram> {
    let payloads = stage.auth_payloads(&fqdn("west"));
    stage.puppet.seal_fragments(AUTH, false, 1, &payloads, total)
}

fn say_each(stage: &mut Stage, datagrams: &[Datagram]) -> Vec<Vec<Datagram>> {
    datagrams.iter().map(|datagram| stage.say(datagram.clone())).collect()
}

/// RFC 7383, 2.5.2 and 2.6.1.
#[test]
fn d1_a_request_that_comes_again_in_smaller_fragments_is_answered_once() {
    let mut stage = Stage::keyed_for_fragments(5);
    let first = fragments(&mut stage, 2);
    let answer = say_each(&mut stage, &first).concat();
    assert_eq!(answer.len(), 1);
    for total in [2, 3, 7] {
        let again = fragments(&mut stage, total);
        unanswered(&mut stage, &again[0]);
        let said = say_each(&mut stage, &again);
        assert_eq!(said[0], answer, "{total}");
        assert!(said[1..].iter().all(Vec::is_empty), "{total}");
        for (number, mut forged) in again.into_iter().enumerate() {
            *forged.bytes.last_mut().unwrap() ^= 1;
            assert!(stage.say(forged).is_empty(), "{number} of {total}");
        }
    }
    // And once where it comes whole.
    let whole = stage.honest_auth();
    assert_eq!(stage.say(whole), answer);
    assert_eq!(stage.ask(INFO, 2, &[]), [vec![]]);
}

#[test]
fn d1_fragments_that_were_not_agreed_upon_are_not_answered_again() {
    let mut stage = Stage::established(6);
    for fragment in fragments(&mut stage, 3) {
        assert!(stage.say(fragment).is_empty());
    }
    let one = fragments(&mut stage, 1);
    assert!(stage.say(one[0].clone()).is_empty());
}

fn unknown(critical: bool) -> Payload {
    let payload_type = PayloadType(200);
    Payload::Unknown(UnknownPayload { payload_type, critical, data: vec![1, 2, 3] })
}

/// `count` payloads that are not known, the last of them critical or not.
fn outer(count: usize, critical: bool) -> Vec<Payload> {
    let mut outer = vec![unknown(false); count];
    if critical {
        *outer.last_mut().unwrap() = unknown(true);
    }
    outer
}

/// CVE-2026-12413 is about these numbers.
const IN_FRONT: [usize; 5] = [1, 29, 30, 31, 255];

#[test]
fn a4_payloads_in_front_of_sk_are_ignored_unless_critical_and_unknown() {
    for count in IN_FRONT {
        let mut stage = Stage::keyed(7);
        let payloads = stage.auth_payloads(&fqdn("west"));
        let header = stage.puppet.header(AUTH, false, 1);
        let auth = stage.puppet.seal_behind(&outer(count, false), header, &payloads);
        assert_eq!(stage.say(auth).len(), 1, "{count}{}", stage.sim.story());
        assert!(stage.believes(), "{count}");

        let header = stage.puppet.header(INFO, false, 2);
        let probe = stage.puppet.seal_behind(&outer(count, true), header, &[]);
        let mut forged = probe.clone();
        *forged.bytes.last_mut().unwrap() ^= 1;
        assert!(stage.say(forged).is_empty(), "{count}: not before it is the peer's");
        let said = stage.say(probe.clone());
        let (_, payloads) = stage.puppet.open(&said[0].bytes).unwrap();
        let critical = NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD;
        assert_eq!(payloads, [notify(critical, &[200])], "{count}{}", stage.sim.story());
        assert_eq!(stage.say(probe), said, "{count}: and again");
        assert!(stage.believes(), "{count}: the IKE SA stays");
        assert_eq!(stage.ask(INFO, 3, &[]), [vec![]], "{count}");
    }
}

#[test]
fn a4_a_critical_payload_in_front_of_ike_auth_refuses_it() {
    for count in IN_FRONT {
        let mut stage = Stage::keyed(8);
        let payloads = stage.auth_payloads(&fqdn("west"));
        let header = stage.puppet.header(AUTH, false, 1);
        let auth = stage.puppet.seal_behind(&outer(count, true), header, &payloads);
        let said = stage.say(auth);
        let (_, payloads) = stage.puppet.open(&said[0].bytes).unwrap();
        assert_eq!(notifies(&payloads), [NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD], "{count}");
        assert!(!stage.believes(), "{count}");
        stage.sim.run_for(Duration::from_secs(31));
        stage.sim.assert_nothing_left();
    }
}

/// Only what is within SK is the peer's word: AUTH in front of it proves nothing, and a Delete
/// there deletes nothing.
#[test]
fn a4_known_payloads_in_front_of_sk_mean_nothing() {
    let mut stage = Stage::keyed(9);
    let mut inside = stage.auth_payloads(&fqdn("west"));
    let auth = inside.remove(2);
    let header = stage.puppet.header(AUTH, false, 1);
    let request = stage.puppet.seal_behind(&[auth], header, &inside);
    let said = stage.say(request);
    let (_, payloads) = stage.puppet.open(&said[0].bytes).unwrap();
    assert_eq!(notifies(&payloads), [NotifyType::AUTHENTICATION_FAILED]);
    assert!(!stage.believes());

    let mut stage = Stage::established(10);
    let delete = Payload::Delete(Delete { protocol: ProtocolId::IKE, spis: Vec::new() });
    let header = stage.puppet.header(INFO, false, 2);
    let request = stage.puppet.seal_behind(&[delete], header, &[]);
    assert_eq!(stage.say(request).len(), 1);
    assert!(stage.believes());
}

#[test]
fn a4_more_payloads_than_a_message_may_have_are_dropped() {
    let mut stage = Stage::established(11);
    let header = stage.puppet.header(INFO, false, 2);
    let mut request = stage.puppet.seal_behind(&outer(255, false), header, &[]);
    // One more in front: type 200, and as long as its generic header.
    request.bytes.splice(28..28, [200, 0, 0, 4]);
    let length = (request.bytes.len() as u32).to_be_bytes();
    request.bytes[24..28].copy_from_slice(&length);
    assert!(stage.say(request).is_empty());
    assert_eq!(stage.ask(INFO, 2, &[]), [vec![]]);
}

/// An IKE_AUTH request in three fragments with `outer` in front of that with the number `at`.
fn fragments_behind(stage: &mut Stage, outer: &[Payload], at: u16) -> Vec<Datagram> {
    let (first, plain) = encode_chain(&stage.auth_payloads(&fqdn("west"))).unwrap();
    let size = plain.len().div_ceil(3);
    let header = stage.puppet.header(AUTH, false, 1);
    let mut made = Vec::new();
    for (number, part) in (1..).zip(plain.chunks(size)) {
        let first = if number == 1 { first } else { PayloadType::NONE };
        let outer = if number == at { outer } else { &[] };
        made.push(stage.puppet.seal_fragment_behind(outer, header, first, (number, 3), part));
    }
    made
}

#[test]
fn b3_payloads_in_front_of_the_first_fragment_are_ignored_and_it_alone_is_answered_again() {
    for count in IN_FRONT {
        let mut stage = Stage::keyed_for_fragments(12);
        let all = fragments_behind(&mut stage, &outer(count, false), 1);
        let answer = say_each(&mut stage, &all).concat();
        assert_eq!(answer.len(), 1, "{count}{}", stage.sim.story());
        assert!(stage.believes(), "{count}");
        assert_eq!(say_each(&mut stage, &all), [answer, vec![], vec![]], "{count}");
        // Whatever stands in front of another one.
        let all = fragments_behind(&mut stage, &outer(count, false), 2);
        assert!(stage.say(all[1].clone()).is_empty(), "{count}");
    }
}

#[test]
fn b3_a_critical_payload_in_front_of_the_first_fragment_refuses_the_message() {
    for count in IN_FRONT {
        let mut stage = Stage::keyed_for_fragments(13);
        let mut all = fragments_behind(&mut stage, &outer(count, true), 1);
        all.rotate_left(1);
        let said = say_each(&mut stage, &all).concat();
        let (_, payloads) = stage.puppet.open(&said[0].bytes).unwrap();
        assert_eq!(notifies(&payloads), [NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD], "{count}");
        assert!(!stage.believes(), "{count}");
    }
}

/// RFC 7383, 2.5.3: what is not protected goes with the first fragment.
#[test]
fn b3_a_later_fragment_with_payloads_in_front_is_dropped() {
    for count in IN_FRONT {
        let mut stage = Stage::keyed_for_fragments(14);
        let all = fragments_behind(&mut stage, &outer(count, false), 2);
        assert_eq!(say_each(&mut stage, &all).concat(), [], "{count}");
        let second = fragments_behind(&mut stage, &[], 2).remove(1);
        assert_eq!(stage.say(second).len(), 1, "{count}{}", stage.sim.story());
        assert!(stage.believes(), "{count}");
    }
}

/// A notification of so many octets, and what else is said, in fragments of 1,100 octets.
fn large(stage: &mut Stage, exchange: ExchangeType, id: u32, octets: u16) -> Vec<Datagram> {
    let mut payloads = match exchange {
        AUTH => stage.auth_payloads(&fqdn("west")),
        _ => Vec::new(),
    };
    payloads.push(notify(NotifyType(40_000), &vec![7; octets.into()]));
    let total = octets.div_ceil(1_000);
    stage.puppet.seal_fragments(exchange, false, id, &payloads, total)
}

#[test]
fn b6_before_the_peer_has_proved_who_it_is_less_is_kept_of_its_fragments() {
    let mut stage = Stage::keyed_for_fragments(15);
    let too_large = large(&mut stage, AUTH, 1, 33_000);
    assert_eq!(say_each(&mut stage, &too_large).concat(), []);
    assert!(stage.sim.peers[1].logged("too large"), "{}", stage.sim.story());
    stage.sim.run_for(Duration::from_secs(1));
    let mut stage = Stage::keyed_for_fragments(15);
    let fits = large(&mut stage, AUTH, 1, 31_000);
    assert_eq!(say_each(&mut stage, &fits).concat().len(), 1, "{}", stage.sim.story());
    assert!(stage.believes());
    let later = large(&mut stage, INFO, 2, 60_000);
    assert_eq!(say_each(&mut stage, &later).concat().len(), 1, "{}", stage.sim.story());
}
