//! Configuration by hand.

use crate::bytes::{assert_both_ways, assert_cuts, assert_refused, decode_body, hex};
use pluto_wire::numbers::{CfgAttributeType, CfgType, PayloadType};
use pluto_wire::v2::{self, ConfigPayload, MAX_CFG_ATTRIBUTES, Payload};
use pluto_wire::{EncodeError, Why};

fn config(attributes: Vec<(CfgAttributeType, Vec<u8>)>) -> Payload {
    Payload::Cp(ConfigPayload { cfg_type: CfgType::REPLY, attributes })
}

#[test]
fn a_reply_with_an_address_and_an_empty_attribute_reads_and_writes() {
    //         | type | reserved | attribute | length | value | attribute | length
    let body = hex("02 | 000000 | 0001 | 0004 | 0a000001 | 0003 | 0000");
    let attributes = vec![
        (CfgAttributeType::INTERNAL_IP4_ADDRESS, vec![10, 0, 0, 1]),
        (CfgAttributeType::INTERNAL_IP4_DNS, vec![]),
    ];
    assert_both_ways(&config(attributes), &body);
    let fields = [
        (0, 1, "CFG type"),
        (1, 4, "reserved"),
        (5, 6, "attribute type"),
        (6, 12, "attribute length"),
        (13, 14, "attribute type"),
        (14, 16, "attribute length"),
    ];
    assert_cuts(PayloadType::CP, &body, &fields);
}

#[test]
fn the_reserved_bit_of_an_attribute_is_ignored() {
    let value = decode_body(PayloadType::CP, &hex("02 ffffff 8003 0000"));
    assert_eq!(value, Ok(config(vec![(CfgAttributeType::INTERNAL_IP4_DNS, vec![])])));
}

#[test]
fn attributes_are_limited() {
    let attribute = (CfgAttributeType::INTERNAL_IP4_DNS, vec![]);
    let mut body = hex("02 000000");
    body.extend(hex("0003 0000").repeat(MAX_CFG_ATTRIBUTES));
    assert_both_ways(&config(vec![attribute.clone(); MAX_CFG_ATTRIBUTES]), &body);
    body.extend(hex("0003 0000"));
    let why = Why::TooMany(MAX_CFG_ATTRIBUTES);
    assert_refused(PayloadType::CP, &body, "attributes", why);

    let refused = |attributes, field| {
        let error = v2::encode_chain(&[config(attributes)]);
        assert_eq!(error, Err(EncodeError { payload: "CP", field }));
    };
    refused(vec![attribute; MAX_CFG_ATTRIBUTES + 1], "attributes");
    refused(vec![(CfgAttributeType(0x8003), vec![])], "attribute type");
    refused(vec![(CfgAttributeType(3), vec![0; 0x1_0000])], "attribute length");
}
