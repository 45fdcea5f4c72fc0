//! Deletes by hand.

use crate::bytes::{assert_both_ways, assert_cuts, assert_refused, hex};
use pluto_wire::numbers::{PayloadType, ProtocolId};
use pluto_wire::v2::{self, Delete, Payload};
use pluto_wire::{EncodeError, Why};

fn delete(protocol: ProtocolId, spis: Vec<[u8; 4]>) -> Payload {
    Payload::Delete(Delete { protocol, spis })
}

#[test]
fn a_delete_of_the_ike_sa_has_no_spi() {
    //         | protocol | SPI size | number of SPIs
    let body = hex("01 | 00 | 0000");
    assert_both_ways(&delete(ProtocolId::IKE, vec![]), &body);
    let fields = [(0, 1, "protocol"), (1, 2, "SPI size"), (2, 4, "number of SPIs")];
    assert_cuts(PayloadType::DELETE, &body, &fields);
    let why = Why::Length { said: 8, expected: 0 };
    assert_refused(PayloadType::DELETE, &hex("01 08 0001 0102030405060708"), "SPI size", why);
    let why = Why::Invalid(1);
    assert_refused(PayloadType::DELETE, &hex("01 00 0001"), "number of SPIs", why);
    let why = Why::Trailing(4);
    assert_refused(PayloadType::DELETE, &hex("01 00 0000 01020304"), "number of SPIs", why);
    let error = v2::encode_chain(&[delete(ProtocolId::IKE, vec![[0; 4]])]);
    assert_eq!(error, Err(EncodeError { payload: "D", field: "number of SPIs" }));
}

#[test]
fn a_delete_of_child_sas_lists_their_spis() {
    //         | protocol | SPI size | number of SPIs | SPIs
    let body = hex("03 | 04 | 0002 | c0010203 | c0040506");
    let spis = vec![[0xc0, 1, 2, 3], [0xc0, 4, 5, 6]];
    assert_both_ways(&delete(ProtocolId::ESP, spis.clone()), &body);
    let fields = [(0, 1, "protocol"), (1, 2, "SPI size"), (2, 4, "number of SPIs"), (4, 12, "SPI")];
    assert_cuts(PayloadType::DELETE, &body, &fields);
    assert_both_ways(&delete(ProtocolId::ESP, vec![]), &hex("03 04 0000"));
    // AH, and a protocol that is not known.
    for protocol in [2, 4, 255] {
        let mut body = body.clone();
        body[0] = protocol;
        assert_both_ways(&delete(ProtocolId(protocol), spis.clone()), &body);
    }
}

#[test]
fn a_delete_of_nothing_is_refused() {
    assert_refused(PayloadType::DELETE, &hex("00 00 0000"), "protocol", Why::Invalid(0));
    let error = v2::encode_chain(&[delete(ProtocolId::NONE, vec![])]);
    assert_eq!(error, Err(EncodeError { payload: "D", field: "protocol" }));
}

#[test]
fn more_spis_than_can_be_counted_are_not_written() {
    let error = v2::encode_chain(&[delete(ProtocolId::ESP, vec![[0; 4]; 0x1_0000])]);
    assert_eq!(error, Err(EncodeError { payload: "D", field: "number of SPIs" }));
    // They can be counted, but not measured.
    let error = v2::encode_chain(&[delete(ProtocolId::ESP, vec![[0; 4]; 0xffff])]);
    assert_eq!(error, Err(EncodeError { payload: "D", field: "payload length" }));
}
