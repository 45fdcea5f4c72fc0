//! The 28 octets that every message starts with, and the words of errors.

use crate::bytes::hex;
use pluto_wire::numbers::{ExchangeType, NotifyType, PayloadType};
use pluto_wire::v2::{Message, Payload};
use pluto_wire::{EncodeError, Flags, Header, IkeSpi, IkeSpis, MessageId, Version};

#[test]
fn a_header_reads_and_writes() {
    let octets = hex("
        0102030405060708 |                 initiator's SPI
        1112131415161718 |                 responder's SPI
        2e | 20 | 23 | 28 |                SK, version 2.0, IKE_AUTH, flags I and R
        00000001 |                         message id
        0000ffff                           length
    "
    .lines()
    .map(|line| line.trim().split("  ").next().unwrap_or_default())
    .collect::<String>()
    .as_str());
    let header = Header {
        spis: IkeSpis {
            initiator: IkeSpi([1, 2, 3, 4, 5, 6, 7, 8]),
            responder: IkeSpi([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]),
        },
        next_payload: PayloadType::SK,
        version: Version::V2,
        exchange: ExchangeType::IKE_AUTH,
        flags: Flags::INITIATOR.with(Flags::RESPONSE),
        message_id: MessageId(1),
        length: 0xffff,
    };
    assert_eq!(Header::peek(&octets), Ok(header));
    assert_eq!(header.encode(), octets[..]);
    // What follows does not matter, nor does a length that is not true.
    assert_eq!(Header::peek(&[&octets[..], &[0xff; 9]].concat()), Ok(header));
    assert_eq!(header.spis.to_string(), "0102030405060708_i 1112131415161718_r");
}

#[test]
fn errors_name_payload_and_field() {
    let said = |bytes: &[u8]| Message::decode(bytes).unwrap_err().to_string();
    assert_eq!(said(&[0; 9]), "header: header: needs 28 octets, 9 left");
    let nonce = crate::bytes::payload(PayloadType::NONE, false, &[0; 15]);
    let bytes = crate::bytes::datagram(PayloadType::NONCE, &nonce);
    assert_eq!(said(&bytes), "Ni payload: nonce: length 15 where 16 was expected");
    let bytes = crate::bytes::datagram(PayloadType(200), &[0, 0, 0, 9]);
    assert_eq!(said(&bytes), "unknown payload: payload length: needs 5 octets, 0 left");

    let mut message = Message::decode(&crate::bytes::datagram(PayloadType::NONE, &[])).unwrap();
    message.payloads = vec![Payload::Nonce(vec![0; 15])];
    let error: EncodeError = message.encode().unwrap_err();
    assert_eq!(error.to_string(), "Ni payload: nonce does not fit");
}

#[test]
fn numbers_print_with_their_names_or_as_they_are() {
    assert_eq!(ExchangeType::IKE_AUTH.to_string(), "IKE_AUTH");
    assert_eq!(format!("{:?}", PayloadType(200)), "PayloadType(200)");
    assert_eq!(format!("{:>8}", PayloadType::SK), "      SK");
    assert!(NotifyType::INVALID_SYNTAX.is_error() && !NotifyType::INITIAL_CONTACT.is_error());
}
