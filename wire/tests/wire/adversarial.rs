//! Messages of people who mean harm. A name begins with what it answers in the list of
//! attacks that the project keeps; "kept" means that the codec tells, and others judge.

use crate::bytes::{assert_refused, check_datagram, datagram, hex, payload};
use pluto_wire::numbers::*;
use pluto_wire::v2::{self, MAX_PAYLOADS, Message, Notify, Payload, TrafficSelector};
use pluto_wire::{DecodeError, Flags, Header, Version, Why};

fn refused(bytes: &[u8], payload: &'static str, field: &'static str, why: Why) {
    assert_eq!(Message::decode(bytes), Err(DecodeError { payload, field, why }));
}

/// The body of an SA payload with one proposal that holds these transforms.
fn sa_body(number: u8, protocol: ProtocolId, transforms: &[&str]) -> Vec<u8> {
    let mut inside = Vec::new();
    for (i, text) in transforms.iter().enumerate() {
        let transform = hex(text);
        let last = i + 1 == transforms.len();
        inside.extend([if last { 0 } else { 3 }, 0]);
        inside.extend(u16::try_from(transform.len() + 4).unwrap().to_be_bytes());
        inside.extend(transform);
    }
    let mut body = vec![0, 0];
    body.extend(u16::try_from(inside.len() + 8).unwrap().to_be_bytes());
    body.extend([number, protocol.0, 0, u8::try_from(transforms.len()).unwrap()]);
    body.extend(inside);
    body
}

#[test]
fn a1_a_datagram_shorter_than_a_header_is_refused() {
    let whole = datagram(PayloadType::NONE, &[]);
    for left in 0..28 {
        let why = Why::Truncated { needed: 28, left };
        refused(&whole[..left], "header", "header", why.clone());
        let peeked = DecodeError { payload: "header", field: "header", why };
        assert_eq!(Header::peek(&whole[..left]), Err(peeked));
    }
    assert!(check_datagram(&whole).is_some(), "28 octets and no payload are a message");
}

#[test]
fn a1_a_length_other_than_the_datagrams_is_refused() {
    let mut bytes = datagram(PayloadType::NONCE, &payload(PayloadType::NONE, false, &[1; 16]));
    let expected = bytes.len();
    for said in [0, 1, 27, 28, 47, 49, 0xffff, 0x7fff_ffff, 0xffff_ffff_u32] {
        bytes[24..28].copy_from_slice(&said.to_be_bytes());
        let said = usize::try_from(said).unwrap();
        refused(&bytes, "header", "length", Why::Length { said, expected });
    }
    assert_eq!(
        Message::decode(&bytes).unwrap_err().to_string(),
        "header: length: length 4294967295 where 48 was expected"
    );
}

#[test]
fn a2_spis_flags_versions_and_exchanges_are_kept_as_they_are() {
    let whole = datagram(PayloadType::NONE, &[]);
    let with = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        check_datagram(&bytes).unwrap().0.header
    };
    let mut no_spi = whole.clone();
    no_spi[..8].fill(0);
    assert!(check_datagram(&no_spi).unwrap().0.header.spis.initiator.is_zero());
    for (octet, major, minor) in [(0x00, 0, 0), (0x10, 1, 0), (0x2f, 2, 15), (0x30, 3, 0)] {
        assert_eq!(with(17, octet).version, Version { major, minor });
    }
    for exchange in [0, 33, 255] {
        assert_eq!(with(18, exchange).exchange, ExchangeType(exchange));
    }
    for flags in [0, 0x08, 0x20, 0x28, 0xff] {
        assert_eq!(with(19, flags).flags, Flags(flags));
        assert_eq!(with(19, flags).flags.is_response(), flags & 0x20 != 0);
        assert_eq!(with(19, flags).flags.from_initiator(), flags & 0x08 != 0);
    }
}

#[test]
fn a3_a_payload_shorter_than_its_own_header_is_refused() {
    for said in 0..4 {
        let why = Why::Length { said: said.into(), expected: 4 };
        // The payload announces its own type, so that a reader that stands still loops.
        let behind = [PayloadType::VENDOR_ID.0, 0, 0, said];
        refused(&datagram(PayloadType::VENDOR_ID, &behind), "V", "payload length", why.clone());
        let behind = [200, 0, 0, said];
        refused(&datagram(PayloadType(200), &behind), "unknown", "payload length", why);
    }
}

#[test]
fn a3_a_chain_beyond_its_end_is_refused() {
    let truncated = |needed, left| Why::Truncated { needed, left };
    let vid = PayloadType::VENDOR_ID;
    refused(&datagram(vid, &[]), "V", "next payload", truncated(1, 0));
    refused(&datagram(vid, &[0]), "V", "critical bit", truncated(1, 0));
    refused(&datagram(vid, &[0, 0]), "V", "payload length", truncated(2, 0));
    refused(&datagram(vid, &[0, 0, 0]), "V", "payload length", truncated(2, 1));
    refused(&datagram(vid, &[0, 0, 0, 5]), "V", "payload length", truncated(1, 0));
    refused(&datagram(vid, &[0, 0, 0xff, 0xff]), "V", "payload length", truncated(0xfffb, 0));
    // The second payload is announced but missing.
    let behind = payload(PayloadType::NONCE, false, b"vendor");
    refused(&datagram(vid, &behind), "Ni", "next payload", truncated(1, 0));
}

#[test]
fn a3_octets_behind_the_chain_are_refused() {
    let mut behind = payload(PayloadType::NONE, false, b"vendor");
    behind.extend([0; 4]);
    let bytes = datagram(PayloadType::VENDOR_ID, &behind);
    refused(&bytes, "V", "payload length", Why::Trailing(4));
    refused(&datagram(PayloadType::NONE, &[0]), "header", "payload length", Why::Trailing(1));
    assert!(v2::decode_chain(PayloadType::NONE, &[0]).is_err());
}

#[test]
fn a3_ten_thousand_tiny_payloads_are_too_many() {
    let many = |count: usize| {
        let mut behind = payload(PayloadType::VENDOR_ID, false, &[]).repeat(count);
        behind[(count - 1) * 4] = 0;
        behind
    };
    for count in [MAX_PAYLOADS + 1, 10_000] {
        let bytes = datagram(PayloadType::VENDOR_ID, &many(count));
        refused(&bytes, "V", "payloads", Why::TooMany(MAX_PAYLOADS));
        assert!(v2::decode_chain(PayloadType::VENDOR_ID, &many(count)).is_err());
    }
    let bytes = datagram(PayloadType::VENDOR_ID, &many(MAX_PAYLOADS));
    let (message, _) = check_datagram(&bytes).unwrap();
    assert_eq!(message.payloads.len(), MAX_PAYLOADS);
    let mut message = message;
    message.payloads.push(Payload::VendorId(Vec::new()));
    assert_eq!(message.encode().unwrap_err().field, "payloads");
}

#[test]
fn a4_an_unknown_payload_keeps_its_critical_bit_outside_and_inside() {
    for critical in [false, true] {
        let behind = payload(PayloadType::NONE, critical, b"what");
        let (message, again) = check_datagram(&datagram(PayloadType(200), &behind)).unwrap();
        assert_eq!(message.payloads, v2::decode_chain(PayloadType(200), &behind).unwrap());
        let [Payload::Unknown(unknown)] = &message.payloads[..] else { panic!("{message:?}") };
        assert_eq!((unknown.payload_type, unknown.critical), (PayloadType(200), critical));
        assert_eq!(again[28..], behind);
    }
}

/// A table of 30 slots was overrun this way in another daemon.
#[test]
fn a4_any_number_of_unknown_payloads_may_stand_in_front_of_a_fragment() {
    for count in [0, 27, 28, 29, 30, 31, MAX_PAYLOADS - 1, MAX_PAYLOADS] {
        let mut behind = payload(PayloadType(200), false, &[]).repeat(count);
        if let Some(at) = count.checked_sub(1) {
            behind[at * 4] = PayloadType::SKF.0;
        }
        behind.extend(payload(PayloadType::IDI, false, &hex("0001 0002 eeee")));
        let first = if count == 0 { PayloadType::SKF } else { PayloadType(200) };
        let bytes = datagram(first, &behind);
        match check_datagram(&bytes) {
            Some((message, _)) => assert_eq!(message.payloads.len(), count + 1),
            None => assert_eq!(count, MAX_PAYLOADS, "the limit counts SKF too"),
        }
    }
}

#[test]
fn a5_missing_and_repeated_payloads_are_kept_in_order() {
    let nonce = |next| payload(next, false, &[1; 16]);
    let vid = payload(PayloadType::NONE, false, b"v");
    let behind = [nonce(PayloadType::NONCE), nonce(PayloadType::VENDOR_ID), vid].concat();
    let (message, _) = check_datagram(&datagram(PayloadType::NONCE, &behind)).unwrap();
    assert_eq!(v2::describe(&message.payloads), "Ni,Ni,V");
}

#[test]
fn a7_proposals_that_make_no_sense_are_kept() {
    let (encr, gcm) = ("01 00 000c 800e 0100", "01 00 0014 800e 0100");
    let (prf, integ, ke, esn) = ("02 00 0005", "03 00 000c", "04 00 001f", "05 00 0001");
    for transforms in [
        &[encr, prf, integ][..],          // no key exchange
        &[encr, integ, ke],               // no PRF
        &[gcm, prf, integ, ke],           // AEAD and integrity
        &["01 00 000c", prf, integ, ke],  // no key length
        &["01 00 000c 800e 0000", prf],   // key length 0
        &["01 00 000c 800e 0101", prf],   // 257 bits
        &[encr, prf, integ, ke, esn],     // ESN for IKE
        &[encr, "02 00 0004", integ, ke], // PRF AES_XCBC
        &["ff 00 ffff", "00 00 0000"],    // no known type
        &[],                              // nothing at all
    ] {
        for number in [0, 1, 3] {
            let body = sa_body(number, ProtocolId::IKE, transforms);
            let bytes = datagram(PayloadType::SA, &payload(PayloadType::NONE, false, &body));
            let (message, again) = check_datagram(&bytes).unwrap();
            assert_eq!(again, bytes);
            let [Payload::Sa(sa)] = &message.payloads[..] else { panic!("{message:?}") };
            assert_eq!(sa.proposals[0].number, number);
            assert_eq!(sa.proposals[0].transforms.len(), transforms.len());
        }
    }
}

#[test]
fn a7_the_most_transforms_and_proposals_are_survived() {
    let body = sa_body(1, ProtocolId::IKE, &["04 00 001f"; 255]);
    let chain = payload(PayloadType::NONE, false, &body);
    assert!(v2::decode_chain(PayloadType::SA, &chain).is_ok());
    // 255 proposals of the same number, each with one transform; 256 are too many.
    let mut one = sa_body(1, ProtocolId::IKE, &["04 00 001f"]);
    let last = one.clone();
    one[0] = 2;
    let body = |count: usize| [one.repeat(count - 1), last.clone()].concat();
    let chain = payload(PayloadType::NONE, false, &body(255));
    assert!(v2::decode_chain(PayloadType::SA, &chain).is_ok());
    assert_refused(PayloadType::SA, &body(256), "proposals", Why::TooMany(255));
}

#[test]
fn a8_nonces_of_0_15_and_257_octets_are_refused() {
    for (said, expected) in [(0, 16), (15, 16), (257, 256)] {
        let why = Why::Length { said, expected };
        assert_refused(PayloadType::NONCE, &vec![1; said], "nonce", why);
    }
}

#[test]
fn d3_lies_about_selectors_are_refused() {
    let one = "07 00 0010 0000 ffff 0a010000 0a0100ff";
    let ts = |count: &str, selectors: &str| hex(&format!("{count} 000000 {selectors}"));
    let tsi = PayloadType::TSI;
    assert_refused(tsi, &ts("00", ""), "number of TSs", Why::Invalid(0));
    let none_left = Why::Truncated { needed: 1, left: 0 };
    assert_refused(tsi, &ts("ff", one), "TS type", none_left.clone());
    assert_refused(tsi, &ts("02", one), "TS type", none_left);
    assert_refused(tsi, &ts("01", &one.repeat(2)), "number of TSs", Why::Trailing(16));
    let field = "selector length";
    let beyond = ts("01", "07 00 ffff 0000 ffff 0a010000 0a0100ff");
    assert_refused(tsi, &beyond, field, Why::Truncated { needed: 0xfffb, left: 12 });
    let short = ts("01", "07 00 000c 0000 ffff 0a010000");
    assert_refused(tsi, &short, field, Why::Length { said: 12, expected: 16 });
    let wrong_family = ts("01", "08 00 0010 0000 ffff 0a010000 0a0100ff");
    assert_refused(tsi, &wrong_family, field, Why::Length { said: 16, expected: 40 });
}

#[test]
fn d3_backward_ranges_labels_and_mixed_families_are_kept() {
    let body = hex("04 000000
        07 06 0010 ffff 0000 0a0100ff 0a010000
        08 00 0028 0001 0000
            ffffffffffffffffffffffffffffffff 00000000000000000000000000000000
        0a 00 0004
        09 00 0005 ff");
    let chain = payload(PayloadType::NONE, false, &body);
    let payloads = v2::decode_chain(PayloadType::TSR, &chain).unwrap();
    let [Payload::TsR(selectors)] = &payloads[..] else { panic!("{payloads:?}") };
    assert_eq!(selectors.len(), 4);
    assert!(
        matches!(selectors[0], TrafficSelector::AddressRange { start, end, .. } if start > end)
    );
    assert!(matches!(&selectors[2], TrafficSelector::Unknown { data, .. } if data.is_empty()));
    assert_eq!(v2::encode_chain(&payloads).unwrap().1, chain);
}

#[test]
fn d5_lies_about_deleted_spis_are_refused() {
    let delete = PayloadType::DELETE;
    let size = |said, expected| Why::Length { said, expected };
    assert_refused(delete, &hex("00 04 0001 01020304"), "protocol", Why::Invalid(0));
    assert_refused(delete, &hex("01 04 0001 01020304"), "SPI size", size(4, 0));
    assert_refused(delete, &hex("01 08 0001 0102030405060708"), "SPI size", size(8, 0));
    assert_refused(delete, &hex("01 00 0001"), "number of SPIs", Why::Invalid(1));
    assert_refused(delete, &hex("01 00 0000 00"), "number of SPIs", Why::Trailing(1));
    for protocol in ["02", "03", "04"] {
        let body = |rest: &str| hex(&format!("{protocol} {rest}"));
        assert_refused(delete, &body("00 0000"), "SPI size", size(0, 4));
        assert_refused(delete, &body("00 ffff"), "SPI size", size(0, 4));
        assert_refused(delete, &body("08 0001 0102030405060708"), "SPI size", size(8, 4));
        let why = Why::Truncated { needed: 4, left: 0 };
        assert_refused(delete, &body("04 0002 01020304"), "SPI", why.clone());
        assert_refused(delete, &body("04 ffff 01020304"), "SPI", why);
        let why = Why::Trailing(4);
        assert_refused(delete, &body("04 0001 0102030405060708"), "number of SPIs", why);
    }
}

#[test]
fn d5_several_deletes_and_a_notification_are_kept_in_order() {
    let of_ike = hex("01 00 0000");
    let behind = [
        payload(PayloadType::DELETE, false, &of_ike),
        payload(PayloadType::NOTIFY, false, &hex("03 04 0001 01020304")),
        payload(PayloadType::NONE, false, &hex("00 00 4000")),
    ]
    .concat();
    let payloads = v2::decode_chain(PayloadType::DELETE, &behind).unwrap();
    assert_eq!(v2::describe(&payloads), "D,D,N(INITIAL_CONTACT)");
}

#[test]
fn d6_notifications_that_lie_are_refused_and_strange_ones_kept() {
    let notify = PayloadType::NOTIFY;
    let why = Why::Truncated { needed: 4, left: 3 };
    assert_refused(notify, &hex("03 04 4009 010203"), "SPI", why);
    assert_refused(notify, &hex("03 ff 4009"), "SPI", Why::Truncated { needed: 255, left: 0 });
    // Protocol and SPI size that do not belong together, and types that nobody knows.
    for body in ["01 03 4009 010203", "00 08 000b 0102030405060708", "ff 00 ffff", "03 00 1fff"] {
        let chain = payload(PayloadType::NONE, false, &hex(body));
        let payloads = v2::decode_chain(notify, &chain).unwrap();
        assert_eq!(v2::encode_chain(&payloads).unwrap().1, chain);
    }
    let unknown = |of| Payload::Notify(Notify::new(NotifyType(of), Vec::new()));
    assert_eq!(v2::describe(&[unknown(0x1fff), unknown(0xffff)]), "N(8191),N(65535)");
    assert!(NotifyType(0x1fff).is_error() && !NotifyType(0xffff).is_error());
}

/// What is said of a hostile message is short and made of known words and digits only.
#[test]
fn e4_a_description_holds_nothing_that_the_sender_wrote() {
    let mut behind = payload(PayloadType::VENDOR_ID, true, b"\n\x1b[2J%n").repeat(MAX_PAYLOADS);
    let last = behind.len() - 11;
    behind[last] = 0;
    let (message, _) = check_datagram(&datagram(PayloadType::VENDOR_ID, &behind)).unwrap();
    assert_eq!(v2::describe(&message.payloads), format!("{}+224", "V,".repeat(32)));
    let chain = payload(PayloadType::NONE, true, b"\n");
    let payloads = v2::decode_chain(PayloadType(200), &chain).unwrap();
    assert_eq!(v2::describe(&payloads), "unknown(200,critical)");
}

/// Octets of heap that the values of a message hold.
fn footprint(message: &Message) -> usize {
    use std::mem::size_of;
    let inside = |payload: &Payload| match payload {
        Payload::Sa(sa) => {
            let transforms = sa.proposals.iter().flat_map(|proposal| &proposal.transforms);
            let attributes = transforms.clone().flat_map(|t| &t.unknown_attributes);
            let lists =
                transforms.map(|t| t.unknown_attributes.capacity() * size_of::<(u16, Vec<u8>)>());
            let proposals = sa.proposals.iter().map(|proposal| {
                proposal.spi.capacity()
                    + proposal.transforms.capacity() * size_of::<v2::Transform>()
            });
            sa.proposals.capacity() * size_of::<v2::Proposal>()
                + proposals.sum::<usize>()
                + lists.sum::<usize>()
                + attributes.map(|(_, value)| value.capacity()).sum::<usize>()
        }
        Payload::TsI(selectors) => selectors.capacity() * size_of::<TrafficSelector>(),
        Payload::Delete(delete) => delete.spis.capacity() * 4,
        Payload::Cp(config) => {
            config.attributes.capacity() * size_of::<(CfgAttributeType, Vec<u8>)>()
                + config.attributes.iter().map(|(_, value)| value.capacity()).sum::<usize>()
        }
        Payload::VendorId(octets) => octets.capacity(),
        other => panic!("not measured: {other:?}"),
    };
    message.payloads.capacity() * size_of::<Payload>()
        + message.payloads.iter().map(inside).sum::<usize>()
}

#[test]
fn memory_is_bounded_by_the_datagram() {
    let one = hex("00 00 0004").repeat(MAX_PAYLOADS);
    let attributes = format!("01 00 000c {}", "8001 0001 ".repeat(16));
    let transforms = vec![attributes.as_str(); 255];
    let selectors = [hex("ff 000000"), hex("00 00 0004").repeat(255)].concat();
    let config = [hex("01 000000"), hex("0001 0000").repeat(1024)].concat();
    let spis = [hex("03 04 3000"), vec![7; 0x3000 * 4]].concat();
    let bodies = [
        (PayloadType::SA, sa_body(1, ProtocolId::ESP, &transforms)),
        (PayloadType::SA, sa_body(1, ProtocolId::ESP, &["04 00 001f"; 255])),
        (
            PayloadType::SA,
            [hex("02 00 0008 01 01 00 00").repeat(254), sa_body(1, ProtocolId::ESP, &[])].concat(),
        ),
        (PayloadType::TSI, selectors),
        (PayloadType::CP, config),
        (PayloadType::DELETE, spis),
        (PayloadType::VENDOR_ID, vec![0; 60_000]),
    ];
    let single = bodies
        .iter()
        .map(|(first, body)| datagram(*first, &payload(PayloadType::NONE, false, body)));
    let mut tiny = one;
    tiny.chunks_mut(4).take(MAX_PAYLOADS - 1).for_each(|c| c[0] = PayloadType::VENDOR_ID.0);
    for bytes in single.chain([datagram(PayloadType::VENDOR_ID, &tiny)]) {
        let (message, _) = check_datagram(&bytes).unwrap();
        let held = footprint(&message);
        let most = bytes.len() * 24 + 1024;
        assert!(held <= most, "{held} octets for a datagram of {}", bytes.len());
    }
}
