//! SK and SKF by hand: opaque bodies that end a message.

use crate::bytes::{datagram, hex, payload};
use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{self, Encrypted, EncryptedFragment, Message, Payload};
use pluto_wire::{DecodeError, EncodeError, Why};

fn encrypted() -> Payload {
    Payload::Encrypted(Encrypted {
        first_inner: PayloadType::IDI,
        body_offset: 32,
        body: vec![0xee; 24],
    })
}

fn error(payload: &'static str, field: &'static str, why: Why) -> DecodeError {
    DecodeError { payload, field, why }
}

#[test]
fn an_encrypted_payload_ends_the_message_whatever_it_announces() {
    for first_inner in [0, 35, 46, 53, 200].map(PayloadType) {
        let bytes = datagram(PayloadType::SK, &payload(first_inner, false, &[0xee; 24]));
        let message = Message::decode(&bytes).unwrap();
        let body = vec![0xee; 24];
        let expected = Encrypted { first_inner, body_offset: 32, body };
        assert_eq!(message.payloads, [Payload::Encrypted(expected)]);
        assert_eq!(message.encode().unwrap(), bytes);
    }
}

#[test]
fn the_body_offset_counts_the_payloads_in_front() {
    let mut behind = payload(PayloadType::SK, false, b"vendor");
    behind.extend(payload(PayloadType::IDI, false, &[0xee; 24]));
    let bytes = datagram(PayloadType::VENDOR_ID, &behind);
    let message = Message::decode(&bytes).unwrap();
    let Some(Payload::Encrypted(sk)) = message.payloads.last() else { panic!("{message:?}") };
    assert_eq!(sk.body_offset, 28 + 10 + 4);
    assert_eq!(bytes[sk.body_offset..], sk.body);
}

#[test]
fn nothing_follows_an_encrypted_payload() {
    let mut behind = payload(PayloadType::VENDOR_ID, false, &[0xee; 24]);
    behind.extend(payload(PayloadType::NONE, false, b"vendor"));
    let refused = Message::decode(&datagram(PayloadType::SK, &behind));
    assert_eq!(refused, Err(error("SK", "payload length", Why::Trailing(10))));

    let mut message = Message::decode(&datagram(PayloadType::NONE, &[])).unwrap();
    message.payloads = vec![encrypted(), Payload::VendorId(vec![])];
    let refused = Err(EncodeError { payload: "SK", field: "place" });
    assert_eq!(message.encode(), refused);
    let header = message.header;
    let prefix = v2::encode_protected_prefix(&header, &[encrypted()], PayloadType::IDI, 9);
    assert_eq!(prefix, refused, "an SK in front of an SK");
}

#[test]
fn an_encrypted_payload_within_another_is_refused() {
    for (inner, name) in [(PayloadType::SK, "SK"), (PayloadType::SKF, "SKF")] {
        let why = Why::Invalid(inner.0.into());
        let chain = payload(PayloadType::NONE, false, &[1; 20]);
        let refused = error(name, "payload type", why.clone());
        assert_eq!(v2::decode_chain(inner, &chain), Err(refused.clone()));
        let mut behind = payload(inner, false, b"vendor");
        behind.extend(chain);
        assert_eq!(v2::decode_chain(PayloadType::VENDOR_ID, &behind), Err(refused));
    }
    let refused = v2::encode_chain(&[encrypted()]);
    assert_eq!(refused, Err(EncodeError { payload: "SK", field: "place" }));
}

#[test]
fn a_fragment_reads_and_writes() {
    //              | number | total | body
    let body = hex("0002 | 0003 | eeeeee");
    let bytes = datagram(PayloadType::SKF, &payload(PayloadType::NONE, false, &body));
    let message = Message::decode(&bytes).unwrap();
    let expected = EncryptedFragment {
        first_inner: PayloadType::NONE,
        number: 2,
        total: 3,
        body_offset: 36,
        body: vec![0xee; 3],
    };
    assert_eq!(message.payloads, [Payload::EncryptedFragment(expected)]);
    assert_eq!(message.encode().unwrap(), bytes);
    assert_eq!(v2::describe(&message.payloads), "SKF(2/3)");
    for cut in 0..4 {
        let short = payload(PayloadType::NONE, false, &body[..cut]);
        let refused = Message::decode(&datagram(PayloadType::SKF, &short)).unwrap_err();
        let field = if cut < 2 { "fragment number" } else { "total fragments" };
        assert_eq!((refused.payload, refused.field), ("SKF", field), "cut at {cut}");
    }
}

/// RFC 7383, 2.5.
#[test]
fn a_fragment_number_lies_within_its_total() {
    let decode = |number: u16, total: u16| {
        let body = [number.to_be_bytes(), total.to_be_bytes()].concat();
        let bytes = datagram(PayloadType::SKF, &payload(PayloadType::NONE, false, &body));
        Message::decode(&bytes).map(|message| assert_eq!(message.encode().unwrap(), bytes))
    };
    for (number, total) in [(1, 1), (1, 0xffff), (0xffff, 0xffff)] {
        assert_eq!(decode(number, total), Ok(()));
    }
    let refused = |field, value| Err(error("SKF", field, Why::Invalid(value)));
    assert_eq!(decode(0, 0), refused("total fragments", 0));
    assert_eq!(decode(1, 0), refused("total fragments", 0));
    assert_eq!(decode(0, 1), refused("fragment number", 0));
    assert_eq!(decode(3, 2), refused("fragment number", 3));
}
