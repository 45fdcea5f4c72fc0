//! Traffic selectors by hand.

use crate::bytes::{assert_both_ways, assert_cuts, assert_refused, decode_body, hex};
use pluto_wire::numbers::{PayloadType, TsType};
use pluto_wire::v2::{self, Payload, TrafficSelector};
use pluto_wire::{EncodeError, Why};

fn range(protocol: u8, ports: (u16, u16), start: &str, end: &str) -> TrafficSelector {
    TrafficSelector::AddressRange {
        protocol,
        start_port: ports.0,
        end_port: ports.1,
        start: start.parse().unwrap(),
        end: end.parse().unwrap(),
    }
}

fn label() -> TrafficSelector {
    TrafficSelector::Unknown { ts_type: TsType::SECLABEL, protocol: 0, data: b"label".to_vec() }
}

#[test]
fn selectors_of_both_families_and_others_read_and_write() {
    //         | number | reserved
    let body = hex("03 | 000000 |
        07 | 06 | 0010 | 0050 | 01bb | 0a010000 | 0a0100ff |
        08 | 00 | 0028 | 0000 | ffff |
            20010db8000000000000000000000000 | 20010db80000000000000000000000ff |
        0a | 00 | 0009 | 6c6162656c");
    let selectors = vec![
        range(6, (80, 443), "10.1.0.0", "10.1.0.255"),
        range(0, (0, 0xffff), "2001:db8::", "2001:db8::ff"),
        label(),
    ];
    let fields = [
        (0, 1, "number of TSs"),
        (1, 4, "reserved"),
        (4, 5, "TS type"),
        (5, 6, "IP protocol"),
        (6, 20, "selector length"),
        (20, 21, "TS type"),
        (21, 22, "IP protocol"),
        (22, 60, "selector length"),
        (60, 61, "TS type"),
        (61, 62, "IP protocol"),
        (62, 69, "selector length"),
    ];
    for payload in [Payload::TsI(selectors.clone()), Payload::TsR(selectors)] {
        assert_both_ways(&payload, &body);
        assert_cuts(payload.payload_type(), &body, &fields);
    }
}

#[test]
fn the_number_of_selectors_must_be_true() {
    let one = hex("07 00 0010 0000 ffff 0a010000 0a0100ff");
    let with = |count: u8, selectors: usize| {
        let mut body = vec![count, 0, 0, 0];
        body.extend(one.repeat(selectors));
        body
    };
    assert_refused(PayloadType::TSI, &with(0, 0), "number of TSs", Why::Invalid(0));
    assert_refused(PayloadType::TSI, &with(0, 1), "number of TSs", Why::Invalid(0));
    assert_refused(PayloadType::TSI, &with(1, 2), "number of TSs", Why::Trailing(16));
    let why = Why::Truncated { needed: 1, left: 0 };
    assert_refused(PayloadType::TSI, &with(255, 254), "TS type", why);
    assert!(decode_body(PayloadType::TSI, &with(255, 255)).is_ok());
}

#[test]
fn the_length_of_a_selector_must_fit_its_type() {
    let refused = |body: &str, said, expected| {
        let why = Why::Length { said, expected };
        assert_refused(PayloadType::TSR, &hex(body), "selector length", why);
    };
    refused("01 000000 07 00 0000", 0, 4);
    refused("01 000000 07 00 0003", 3, 4);
    refused("01 000000 07 00 0004", 4, 16);
    refused("01 000000 07 00 000f 0000ffff 0a0100000a0100", 15, 16);
    refused("01 000000 07 00 0011 0000ffff 0a0100000a0100ff00", 17, 16);
    // The type of IPv6 with addresses of IPv4.
    refused("01 000000 08 00 0010 0000ffff 0a0100000a0100ff", 16, 40);
    // A type that is not known may be as short as its own header.
    let unknown = TrafficSelector::Unknown { ts_type: TsType(0), protocol: 9, data: vec![] };
    assert_both_ways(&Payload::TsR(vec![unknown]), &hex("01 000000 00 09 0004"));
}

#[test]
fn ranges_that_end_before_they_start_are_kept_for_others_to_judge() {
    let selectors = vec![
        range(17, (0xffff, 0), "10.2.0.0", "10.1.0.0"),
        range(1, (0x0803, 0x0000), "::2", "::1"),
    ];
    let (first, bytes) = v2::encode_chain(&[Payload::TsI(selectors.clone())]).unwrap();
    assert_eq!(v2::decode_chain(first, &bytes).unwrap(), [Payload::TsI(selectors)]);
}

#[test]
fn what_has_no_octets_is_not_written() {
    let refused = |selectors, field| {
        let error = v2::encode_chain(&[Payload::TsI(selectors)]);
        assert_eq!(error, Err(EncodeError { payload: "TSi", field }));
    };
    refused(vec![], "number of TSs");
    refused(vec![label(); 256], "number of TSs");
    refused(vec![range(0, (0, 0), "10.1.0.0", "::1")], "ending address");
    let data = vec![0; 0xffff - 3];
    let ts_type = TsType::SECLABEL;
    refused(vec![TrafficSelector::Unknown { ts_type, protocol: 0, data }], "selector length");
}
