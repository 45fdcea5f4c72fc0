//! KE, IDi, IDr, CERT, CERTREQ, AUTH, nonce, vendor id, EAP: a few fields and a tail.

use crate::bytes::{assert_both_ways, assert_cuts, assert_refused, decode_body, hex};
use pluto_wire::numbers::{AuthMethod, CertEncoding, IdType, KeId, PayloadType};
use pluto_wire::v2::{self, AuthPayload, CertPayload, CertReqPayload, Identification, KePayload};
use pluto_wire::v2::{Payload, UnknownPayload};
use pluto_wire::{EncodeError, Why};

#[test]
fn a_key_exchange_reads_and_writes() {
    //         | method | reserved | public value
    let body = hex("001f | 0000 | 0102030405");
    let ke = KePayload { method: KeId::X25519, data: vec![1, 2, 3, 4, 5] };
    assert_both_ways(&Payload::Ke(ke), &body);
    assert_cuts(PayloadType::KE, &body, &[(0, 2, "method"), (2, 4, "reserved")]);
}

#[test]
fn identifications_read_and_write() {
    //         | type | reserved | data
    let body = hex("02 | 000000 | 77657374");
    let id = Identification { id_type: IdType::FQDN, data: b"west".to_vec() };
    for payload in [Payload::IdI(id.clone()), Payload::IdR(id)] {
        assert_both_ways(&payload, &body);
        let fields = [(0, 1, "ID type"), (1, 4, "reserved")];
        assert_cuts(payload.payload_type(), &body, &fields);
    }
}

#[test]
fn identifications_of_any_type_and_length_are_kept() {
    for id_type in 0..=255 {
        for length in [0, 3, 4, 16, 300] {
            let mut body = vec![id_type, 0, 0, 0];
            body.extend(vec![0; length]);
            let id = Identification { id_type: IdType(id_type), data: vec![0; length] };
            assert_both_ways(&Payload::IdI(id), &body);
        }
    }
}

#[test]
fn a_certificate_and_a_request_for_one_read_and_write() {
    //         | encoding | data
    let body = hex("04 | 3003020100");
    let encoding = CertEncoding::X509_SIGNATURE;
    let cert = CertPayload { encoding, data: hex("3003020100") };
    assert_both_ways(&Payload::Cert(cert), &body);
    assert_cuts(PayloadType::CERT, &body, &[(0, 1, "encoding")]);
    // A request whose hashes are not a multiple of 20 octets is kept too.
    let request = CertReqPayload { encoding, authorities: hex("3003020100") };
    assert_both_ways(&Payload::CertReq(request), &body);
    assert_cuts(PayloadType::CERTREQ, &body, &[(0, 1, "encoding")]);
}

#[test]
fn an_auth_payload_reads_and_writes() {
    //         | method | reserved | data
    let body = hex("0e | 000000 | 0f1e2d3c4b");
    let auth = AuthPayload { method: AuthMethod::DIGITAL_SIGNATURE, data: hex("0f1e2d3c4b") };
    assert_both_ways(&Payload::Auth(auth), &body);
    assert_cuts(PayloadType::AUTH, &body, &[(0, 1, "auth method"), (1, 4, "reserved")]);
}

#[test]
fn reserved_octets_are_ignored() {
    let ke = KePayload { method: KeId::X25519, data: vec![1] };
    assert_eq!(decode_body(PayloadType::KE, &hex("001f ffff 01")), Ok(Payload::Ke(ke)));
    let id = Identification { id_type: IdType::FQDN, data: vec![1] };
    assert_eq!(decode_body(PayloadType::IDR, &hex("02 ffffff 01")), Ok(Payload::IdR(id)));
    let auth = AuthPayload { method: AuthMethod::SHARED_KEY_MIC, data: vec![1] };
    assert_eq!(decode_body(PayloadType::AUTH, &hex("02 ffffff 01")), Ok(Payload::Auth(auth)));
}

#[test]
fn vendor_ids_and_eap_packets_are_taken_as_they_are() {
    for octets in [vec![], hex("02070006 0361"), vec![0xff; 0xffff - 4]] {
        assert_both_ways(&Payload::VendorId(octets.clone()), &octets);
        assert_both_ways(&Payload::Eap(octets.clone()), &octets);
    }
    let refused = |payload| Err(EncodeError { payload, field: "payload length" });
    let octets = vec![0; 0xffff - 3];
    assert_eq!(v2::encode_chain(&[Payload::VendorId(octets.clone())]), refused("V"));
    assert_eq!(v2::encode_chain(&[Payload::Eap(octets)]), refused("EAP"));
}

/// RFC 7296, 3.9: 16 to 256 octets.
#[test]
fn a_nonce_is_neither_too_short_nor_too_long() {
    for length in [16, 17, 32, 255, 256] {
        assert_both_ways(&Payload::Nonce(vec![3; length]), &vec![3; length]);
    }
    for (length, expected) in [(0, 16), (1, 16), (15, 16), (257, 256), (60_000, 256)] {
        let why = Why::Length { said: length, expected };
        assert_refused(PayloadType::NONCE, &vec![3; length], "nonce", why);
        let error = v2::encode_chain(&[Payload::Nonce(vec![3; length])]);
        assert_eq!(error, Err(EncodeError { payload: "Ni", field: "nonce" }));
    }
}

#[test]
fn every_type_without_a_decoder_is_kept_with_its_critical_bit() {
    for payload_type in (1..33).chain(49..53).chain(54..=255).map(PayloadType) {
        for critical in [false, true] {
            let data = vec![1, 2, 3];
            let unknown =
                Payload::Unknown(UnknownPayload { payload_type, critical, data: data.clone() });
            let bytes = crate::bytes::payload(PayloadType::NONE, critical, &data);
            let chain = v2::decode_chain(payload_type, &bytes).unwrap();
            assert_eq!(chain, std::slice::from_ref(&unknown));
            assert_eq!(v2::encode_chain(&[unknown]).unwrap(), (payload_type, bytes));
        }
    }
}

#[test]
fn an_unknown_payload_cannot_end_the_chain_or_pass_for_sk() {
    for payload_type in [PayloadType::NONE, PayloadType::SK, PayloadType::SKF] {
        let unknown =
            Payload::Unknown(UnknownPayload { payload_type, critical: true, data: vec![] });
        let error = v2::encode_chain(&[unknown]).unwrap_err();
        assert_eq!(error.field, "payload type");
    }
}

#[test]
fn the_critical_bit_of_a_known_payload_is_ignored() {
    let bytes = crate::bytes::payload(PayloadType::NONE, true, b"vendor");
    let chain = v2::decode_chain(PayloadType::VENDOR_ID, &bytes).unwrap();
    assert_eq!(chain, [Payload::VendorId(b"vendor".to_vec())]);
    let (_, again) = v2::encode_chain(&chain).unwrap();
    assert_eq!(again[1], 0, "and never set");
}
