use super::*;
use crate::numbers::{ExchangeType, NotifyType};
use crate::v2::{Encrypted, Notify, UnknownPayload, decode_chain, encode_chain};
use crate::{Flags, IkeSpi, IkeSpis, MessageId, Version};

fn header() -> Header {
    Header {
        spis: IkeSpis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) },
        next_payload: PayloadType::NONE,
        version: Version::V2,
        exchange: ExchangeType::IKE_AUTH,
        flags: Flags::INITIATOR,
        message_id: MessageId(1),
        length: 0,
    }
}

fn cookie() -> Payload {
    Payload::Notify(Notify::new(NotifyType::COOKIE, vec![7]))
}

#[test]
fn a_protected_prefix_and_its_body_are_a_message() {
    let body = [9; 20];
    let mut bytes =
        encode_protected_prefix(&header(), &[cookie()], PayloadType::IDI, body.len()).unwrap();
    let body_offset = bytes.len();
    assert_eq!(body_offset, 28 + 9 + 4);
    bytes.extend_from_slice(&body);
    let message = Message::decode(&bytes).unwrap();
    let encrypted = Encrypted { first_inner: PayloadType::IDI, body_offset, body: body.to_vec() };
    assert_eq!(message.payloads, [cookie(), Payload::Encrypted(encrypted)]);
    assert_eq!(message.encode().unwrap(), bytes);
}

#[test]
fn only_the_first_fragment_announces_the_inside() {
    for (number, first_inner) in [(1, PayloadType::IDI), (2, PayloadType::NONE)] {
        let mut bytes = encode_fragment_prefix(&header(), PayloadType::IDI, number, 2, 3).unwrap();
        assert_eq!(bytes.len(), 36);
        bytes.extend_from_slice(&[5; 3]);
        let message = Message::decode(&bytes).unwrap();
        let Some(Payload::EncryptedFragment(part)) = message.payloads.first() else {
            panic!("no fragment in {message:?}")
        };
        assert_eq!((part.number, part.total), (number, 2));
        assert_eq!((part.first_inner, part.body_offset), (first_inner, 36));
        assert_eq!(part.body, [5; 3]);
        assert_eq!(message.encode().unwrap(), bytes);
    }
}

#[test]
fn a_fragment_number_outside_its_total_is_not_written() {
    for (number, total) in [(0, 0), (0, 1), (2, 1)] {
        let error = encode_fragment_prefix(&header(), PayloadType::IDI, number, total, 3);
        assert_eq!(error, Err(EncodeError { payload: "SKF", field: "fragment number" }));
    }
}

#[test]
fn a_body_that_no_length_field_can_hold_is_refused() {
    let largest = 0xffff - 4;
    assert!(encode_protected_prefix(&header(), &[], PayloadType::IDI, largest).is_ok());
    for body_len in [largest + 1, usize::MAX - 4, usize::MAX] {
        let error = encode_protected_prefix(&header(), &[], PayloadType::IDI, body_len);
        assert_eq!(error, Err(EncodeError { payload: "SK", field: "payload length" }));
        let error = encode_fragment_prefix(&header(), PayloadType::IDI, 1, 1, body_len);
        assert_eq!(error, Err(EncodeError { payload: "SKF", field: "payload length" }));
    }
}

#[test]
fn a_chain_keeps_order_and_unknown_payloads() {
    let unknown = |critical| {
        let payload_type = PayloadType(200);
        Payload::Unknown(UnknownPayload { payload_type, critical, data: vec![1, 2] })
    };
    let chain = [unknown(true), cookie(), unknown(false)];
    let (first, bytes) = encode_chain(&chain).unwrap();
    assert_eq!(first, PayloadType(200));
    assert_eq!(decode_chain(first, &bytes).unwrap(), chain);
}

#[test]
fn an_empty_chain_announces_nothing() {
    assert_eq!(encode_chain(&[]).unwrap(), (PayloadType::NONE, Vec::new()));
    assert_eq!(decode_chain(PayloadType::NONE, &[]).unwrap(), []);
}
