//! Generated messages: value to octets to value.

use crate::bytes::{check_chain, check_datagram};
use crate::generate;
use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{self, Message, Payload};
use pluto_wire::{HEADER_LEN, Header};
use proptest::prelude::*;

/// A message as it must come back: with what the octets say about the whole.
fn with_true_fields(mut message: Message, bytes: &[u8]) -> Message {
    message.header.length = u32::try_from(bytes.len()).unwrap();
    message.header.next_payload =
        message.payloads.first().map_or(PayloadType::NONE, Payload::payload_type);
    match message.payloads.last_mut() {
        Some(Payload::Encrypted(sk)) => sk.body_offset = bytes.len() - sk.body.len(),
        Some(Payload::EncryptedFragment(part)) => {
            part.body_offset = bytes.len() - part.body.len();
        }
        _ => {}
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_comes_back_as_it_was(message in generate::message()) {
        let bytes = message.encode().unwrap();
        prop_assert_eq!(Message::decode(&bytes), Ok(with_true_fields(message, &bytes)));
        // The octets have no reserved bits set, so they come back as they were too.
        let (_, again) = check_datagram(&bytes).unwrap();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn a_chain_comes_back_as_it_was(chain in generate::chain()) {
        let (first, bytes) = v2::encode_chain(&chain).unwrap();
        prop_assert_eq!(check_chain(first, &bytes), Some(chain));
    }

    #[test]
    fn a_header_comes_back_as_it_was(header in generate::header(), length: u32, next: u8) {
        let header = Header { length, next_payload: PayloadType(next), ..header };
        prop_assert_eq!(Header::peek(&header.encode()), Ok(header));
    }

    #[test]
    fn a_message_cut_anywhere_is_refused(message in generate::message(), at: prop::sample::Index) {
        let bytes = message.encode().unwrap();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(Message::decode(cut).is_err(), "its length is that of the whole");
        // With the length of what is left there is a payload that lacks octets.
        let Some(mut cut) = (cut.len() >= HEADER_LEN).then(|| cut.to_vec()) else { return Ok(()) };
        let length = u32::try_from(cut.len()).unwrap();
        cut[24..28].copy_from_slice(&length.to_be_bytes());
        prop_assert!(Message::decode(&cut).is_err());
    }

    #[test]
    fn random_octets_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), first: u8) {
        check_datagram(&bytes);
        check_chain(PayloadType(first), &bytes);
    }
}
