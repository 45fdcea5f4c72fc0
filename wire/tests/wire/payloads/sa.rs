//! Security association: bodies by hand.

use crate::bytes::{assert_both_ways, assert_cuts, assert_refused, decode_body, hex};
use pluto_wire::numbers::{EncrId, IntegId, KeId, PayloadType, PrfId, ProtocolId, TransformType};
use pluto_wire::v2::{self, MAX_ATTRIBUTES, MAX_PROPOSALS};
use pluto_wire::v2::{Payload, Proposal, SaPayload, Transform};
use pluto_wire::{EncodeError, Why};

fn transform(transform_type: TransformType, id: u16, key_length: Option<u16>) -> Transform {
    Transform { transform_type, id, key_length, unknown_attributes: Vec::new() }
}

fn ike_proposal() -> Proposal {
    Proposal {
        number: 1,
        protocol: ProtocolId::IKE,
        spi: Vec::new(),
        transforms: vec![
            transform(TransformType::ENCR, EncrId::AES_CBC.0, Some(256)),
            transform(TransformType::PRF, PrfId::HMAC_SHA2_256.0, None),
            transform(TransformType::INTEG, IntegId::HMAC_SHA2_256_128.0, None),
            transform(TransformType::KE, KeId::X25519.0, None),
        ],
    }
}

fn esp_proposal() -> Proposal {
    Proposal {
        number: 2,
        protocol: ProtocolId::ESP,
        spi: vec![0xc0, 1, 2, 3],
        transforms: vec![transform(TransformType::ENCR, EncrId::CHACHA20_POLY1305.0, None)],
    }
}

fn sa(proposals: Vec<Proposal>) -> Payload {
    Payload::Sa(SaPayload { proposals })
}

/// One proposal for IKE, two octets for the transform's last-or-more and reserved.
const IKE_BODY: &str = "
    00 00 002c | 01 01 00 04             last proposal, 44 octets, #1 IKE, 4 transforms
    03 00 000c | 01 00 000c | 800e 0100  ENCR AES_CBC, key length 256
    03 00 0008 | 02 00 0005              PRF HMAC_SHA2_256
    03 00 0008 | 03 00 000c              INTEG HMAC_SHA2_256_128
    00 00 0008 | 04 00 001f              KE X25519";

/// The digits of a picture: what stands behind two spaces is for the reader.
fn picture(text: &str) -> Vec<u8> {
    let digits = |line: &str| line.trim().split("  ").next().unwrap_or_default().to_owned();
    hex(&text.lines().map(digits).collect::<String>())
}

#[test]
fn a_proposal_for_ike_reads_and_writes() {
    assert_both_ways(&sa(vec![ike_proposal()]), &picture(IKE_BODY));
}

#[test]
fn two_proposals_say_which_one_is_last() {
    let mut body = picture(IKE_BODY);
    body[0] = 2;
    body.extend(picture(
        "
        00 00 0014 | 02 03 04 01  last proposal, 20 octets, #2 ESP, SPI of 4, 1 transform
        c0010203
        00 00 0008 | 01 00 001c   ENCR CHACHA20_POLY1305",
    ));
    assert_both_ways(&sa(vec![ike_proposal(), esp_proposal()]), &body);
}

#[test]
fn a_cut_within_the_list_of_proposals_names_the_field() {
    let body = picture(IKE_BODY);
    let field = [(0, 1, "proposal: last substructure"), (1, 2, "reserved")];
    assert_cuts(PayloadType::SA, &body, &[&field[..], &[(2, 44, "proposal length")]].concat());
}

#[test]
fn a_cut_within_a_proposal_names_the_field() {
    // The proposal's length follows the cut, so that the cut is felt within.
    let fields = [
        (4, "proposal number"),
        (5, "proposal protocol"),
        (6, "SPI size"),
        (7, "number of transforms"),
        (8, "SPI"),
        (11, "SPI"),
        (12, "transform: last substructure"),
        (13, "reserved"),
        (14, "transform length"),
        (15, "transform length"),
        (16, "transform length"),
        (19, "transform length"),
    ];
    let Payload::Sa(whole) = sa(vec![esp_proposal()]) else { unreachable!() };
    let (_, bytes) = v2::encode_chain(&[Payload::Sa(whole)]).unwrap();
    for (cut, field) in fields {
        let mut body = bytes[4..4 + cut].to_vec();
        body[3] = u8::try_from(cut).unwrap();
        let error = decode_body(PayloadType::SA, &body).unwrap_err();
        assert_eq!((error.payload, error.field), ("SA", field), "cut at {cut}");
    }
}

#[test]
fn a_cut_within_a_transform_names_the_field() {
    let whole = hex("00 00 000c | 01 00 000c | 800e 0100");
    let tlv = hex("00 00 000f | 01 00 000c | 0011 0003 aabbcc");
    let cut_at = |transform: &[u8], cut: usize| {
        let mut inside = transform[..cut].to_vec();
        inside[3] = u8::try_from(cut).unwrap();
        let mut body = vec![0, 0, 0, u8::try_from(8 + cut).unwrap(), 1, 1, 0, 1];
        body.extend(inside);
        decode_body(PayloadType::SA, &body)
    };
    for (cut, field) in [
        (4, "transform type"),
        (5, "reserved"),
        (6, "transform id"),
        (7, "transform id"),
        (9, "attribute type"),
        (10, "key length"),
        (11, "key length"),
    ] {
        assert_eq!(cut_at(&whole, cut).unwrap_err().field, field, "cut at {cut}");
    }
    for (cut, field) in [
        (9, "attribute type"),
        (10, "attribute length"),
        (11, "attribute length"),
        (12, "attribute length"),
        (14, "attribute length"),
    ] {
        assert_eq!(cut_at(&tlv, cut).unwrap_err().field, field, "cut at {cut}");
    }
    assert!(cut_at(&whole, 8).is_ok(), "without the attribute it is a transform too");
    assert!(cut_at(&whole, 12).is_ok());
    assert!(cut_at(&tlv, 15).is_ok());
}

#[test]
fn the_last_substructure_must_be_where_it_says() {
    let body = picture(IKE_BODY);
    let with = |at: usize, value: u8| {
        let mut body = body.clone();
        body[at] = value;
        body
    };
    let field = "proposal: last substructure";
    assert_refused(PayloadType::SA, &with(0, 1), field, Why::Invalid(1));
    // Another proposal is promised but does not come.
    let why = Why::Truncated { needed: 1, left: 0 };
    assert_refused(PayloadType::SA, &with(0, 2), field, why);
    // The first of four transforms says that it is the last, the last that it is not.
    let field = "transform: last substructure";
    assert_refused(PayloadType::SA, &with(8, 0), field, Why::Invalid(0));
    assert_refused(PayloadType::SA, &with(36, 3), field, Why::Invalid(3));
    // One transform fewer, or more, than there are.
    assert_refused(PayloadType::SA, &with(7, 3), field, Why::Invalid(3));
    assert_refused(PayloadType::SA, &with(7, 5), field, Why::Invalid(0));
    // No transform is announced, but there are 36 octets of them.
    assert_refused(PayloadType::SA, &with(7, 0), "number of transforms", Why::Trailing(36));
    // Octets behind the last proposal.
    let longer = [&body[..], &[0]].concat();
    assert_refused(PayloadType::SA, &longer, "proposals", Why::Trailing(1));
}

#[test]
fn lengths_below_their_own_header_are_refused() {
    let body = picture(IKE_BODY);
    for said in 0..4 {
        let mut short = body.clone();
        short[3] = said;
        let why = Why::Length { said: said.into(), expected: 4 };
        assert_refused(PayloadType::SA, &short, "proposal length", why.clone());
        let mut short = body.clone();
        short[11] = said;
        assert_refused(PayloadType::SA, &short, "transform length", why);
    }
}

#[test]
fn attributes_that_are_not_the_key_length_are_kept() {
    let attributes = |text: &str| {
        let mut body = hex(text);
        let length = u8::try_from(body.len()).unwrap();
        let head = [0, 0, 0, 16 + length, 1, 1, 0, 1, 0, 0, 0, 8 + length, 1, 0, 0, 12];
        body.splice(0..0, head);
        let value = decode_body(PayloadType::SA, &body).unwrap();
        assert_both_ways(&value, &body);
        let Payload::Sa(mut sa) = value else { unreachable!() };
        let transform = sa.proposals.remove(0).transforms.remove(0);
        (transform.key_length, transform.unknown_attributes)
    };
    let long = (14, vec![1, 0]);
    assert_eq!(attributes(""), (None, vec![]));
    assert_eq!(attributes("800e 0000"), (Some(0), vec![]));
    assert_eq!(attributes("800e 0007"), (Some(7), vec![]), "odd, but well-formed");
    // RFC 7296, 3.3.5: the key length must not be in the long format.
    assert_eq!(attributes("000e 0002 0100"), (None, vec![long]));
    assert_eq!(attributes("800e 0080 800e 0100"), (Some(128), vec![(0x800e, vec![1, 0])]));
    let before = vec![(0x8001, vec![0, 1]), (0x800e, vec![1, 0])];
    assert_eq!(attributes("8001 0001 800e 0100"), (None, before), "in their order");
    assert_eq!(attributes("0005 0000"), (None, vec![(5, vec![])]), "an empty value");
}

#[test]
fn reserved_octets_are_ignored() {
    let mut body = picture(IKE_BODY);
    for at in [1, 9, 13] {
        body[at] = 0xff;
    }
    assert_eq!(decode_body(PayloadType::SA, &body), Ok(sa(vec![ike_proposal()])));
}

#[test]
fn an_spi_of_any_size_is_kept_for_others_to_judge() {
    for size in [0, 1, 3, 4, 8, 255] {
        let proposal = Proposal { spi: vec![7; size], ..esp_proposal() };
        let (first, bytes) = v2::encode_chain(&[sa(vec![proposal.clone()])]).unwrap();
        assert_eq!(v2::decode_chain(first, &bytes).unwrap(), [sa(vec![proposal])]);
    }
}

#[test]
fn as_many_as_their_counts_can_say_and_no_more() {
    let refused = |field| Err(EncodeError { payload: "SA", field });
    let chain = |proposal: Proposal, count| v2::encode_chain(&[sa(vec![proposal; count])]);

    let (first, bytes) = chain(esp_proposal(), MAX_PROPOSALS).unwrap();
    assert!(v2::decode_chain(first, &bytes).is_ok());
    assert_eq!(chain(esp_proposal(), MAX_PROPOSALS + 1), refused("proposals"));
    assert_eq!(chain(esp_proposal(), 0), refused("proposals"));

    let many = vec![transform(TransformType::KE, 31, None); 256];
    let fits = Proposal { transforms: many[..255].to_vec(), ..ike_proposal() };
    let (first, bytes) = chain(fits, 1).unwrap();
    assert!(v2::decode_chain(first, &bytes).is_ok());
    let proposal = Proposal { transforms: many, ..ike_proposal() };
    assert_eq!(chain(proposal, 1), refused("number of transforms"));
    assert_eq!(chain(Proposal { spi: vec![0; 256], ..ike_proposal() }, 1), refused("SPI size"));

    let with = |unknown_attributes| {
        let one = Transform { unknown_attributes, ..transform(TransformType::ENCR, 12, None) };
        chain(Proposal { transforms: vec![one], ..ike_proposal() }, 1)
    };
    assert!(with(vec![(0x8001, vec![0, 1]); MAX_ATTRIBUTES]).is_ok());
    assert_eq!(with(vec![(0x8001, vec![0, 1]); MAX_ATTRIBUTES + 1]), refused("attributes"));
    assert_eq!(with(vec![(0x8001, vec![0, 1, 2])]), refused("attribute value"));
    assert_eq!(with(vec![(1, vec![0; 0x1_0000])]), refused("attribute length"));
}

#[test]
fn more_proposals_or_attributes_than_allowed_are_refused() {
    let one = hex("02 00 0008 | 01 01 00 00");
    let mut body = one.repeat(256);
    body[255 * 8] = 0;
    assert_refused(PayloadType::SA, &body, "proposals", Why::TooMany(255));

    let attributes = [0x80, 1, 0, 1].repeat(17);
    let mut body = hex("00 00 0054 | 01 01 00 01 | 00 00 004c | 01 00 000c");
    body.extend(attributes);
    assert_refused(PayloadType::SA, &body, "attributes", Why::TooMany(16));
}
