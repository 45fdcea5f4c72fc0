//! What must hold for any octets, whichever decoder they meet: they are refused, or they
//! give a value that encodes to as many octets, which give the same value again. Panics
//! and overflows are found by the fuzzer itself.

use pluto_crypto::{ChildSuite, EspCipher, Secret, SeededEntropy};
use pluto_kernel::esp::codec::{Ivs, Opener, Sealer};
use pluto_kernel::esp::inner::Inner;
pub use pluto_wire::numbers::PayloadType;
use pluto_wire::numbers::{EncrId, IntegId, KeId};
use pluto_wire::v2::{self, Message};
use pluto_wire::{HEADER_LEN, Header};

/// A header on its own.
pub fn header(bytes: &[u8]) {
    let Ok(header) = Header::peek(bytes) else {
        assert!(bytes.len() < HEADER_LEN, "28 octets are always a header");
        return;
    };
    assert_eq!(Some(header.encode().as_slice()), bytes.get(..HEADER_LEN), "{header:?}");
}

/// A datagram: first as it is, then with the length that it has.
pub fn message(bytes: &[u8]) {
    whole_message(bytes);
    let mut bytes = bytes.to_vec();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if let Some(field) = bytes.get_mut(24..28) {
        field.copy_from_slice(&length.to_be_bytes());
        whole_message(&bytes);
    }
}

fn whole_message(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    let again = message.encode().expect("what was decoded can be encoded");
    assert_eq!(again.len(), bytes.len(), "{message:?}");
    assert_eq!(again.get(..HEADER_LEN), bytes.get(..HEADER_LEN), "{message:?}");
    assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
    describe(&message.payloads);
}

/// The inside of an SK payload, behind an octet with the type of its first payload.
pub fn chain(bytes: &[u8]) {
    if let Some((first, bytes)) = bytes.split_first() {
        whole_chain(PayloadType(*first), bytes);
    }
}

/// The body of one payload, with a generic header in front that is true.
pub fn payload(payload_type: PayloadType, body: &[u8]) {
    if let Some(bytes) = with_generic_header(body) {
        whole_chain(payload_type, &bytes);
    }
}

fn whole_chain(first: PayloadType, bytes: &[u8]) {
    let Ok(payloads) = v2::decode_chain(first, bytes) else { return };
    let (again_first, again) =
        v2::encode_chain(&payloads).expect("what was decoded can be encoded");
    assert_eq!((again_first, again.len()), (first, bytes.len()), "{payloads:?}");
    assert_eq!(v2::decode_chain(first, &again).as_ref(), Ok(&payloads));
    describe(&payloads);
}

/// The body of a payload that stands in a datagram only: SK or SKF.
pub fn outer_payload(payload_type: PayloadType, body: &[u8]) {
    let Some(payload) = with_generic_header(body) else { return };
    let mut bytes = vec![0; HEADER_LEN];
    if let Some(next) = bytes.get_mut(16) {
        *next = payload_type.0;
    }
    bytes.extend(payload);
    message(&bytes);
}

fn with_generic_header(body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(body.len().checked_add(4)?).ok()?;
    let mut bytes = vec![0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    Some(bytes)
}

fn describe(payloads: &[v2::Payload]) {
    let line = v2::describe(payloads);
    assert!(line.len() < 2048 && line.is_ascii() && !line.contains(char::is_control), "{line}");
}

/// An IP packet inside a tunnel: lengths that are told are there.
pub fn inner(bytes: &[u8]) {
    let Ok(inner) = Inner::parse(bytes) else { return };
    assert!(inner.header >= if inner.is_v6() { 40 } else { 20 }, "{inner:?}");
    assert!(inner.header <= inner.len && inner.len <= bytes.len(), "{inner:?}");
    assert_eq!(inner.source.is_ipv6(), inner.destination.is_ipv6());
    // What is behind the packet is padding and changes nothing.
    assert_eq!(Inner::parse(&bytes[..inner.len]), Ok(inner));
}

/// Decapsulation: nobody forges a packet, and what is sealed with these octets, as payload
/// and as what is changed of it, opens only unchanged.
pub fn esp(bytes: &[u8]) {
    let none = IntegId::NONE;
    let suite = ChildSuite {
        encr: EncrId::AES_GCM_16,
        encr_bits: 128,
        integ: none,
        esn: true,
        ke: KeId::NONE,
    };
    let (key, integ) = (Secret::new(vec![7; 20]), Secret::default());
    let opening = EspCipher::opening(&suite, &key, &integ).expect("keys");
    let mut opener = Opener::new(9, true, 64, opening);
    assert!(opener.open(&mut bytes.to_vec()).is_err(), "a forgery");
    let Some((&[at, change], payload)) = bytes.split_first_chunk::<2>() else { return };
    let sealing = EspCipher::sealing(&suite, &key, &integ).expect("keys");
    let mut sealer = Sealer::new(9, true, sealing);
    let mut packet = vec![0; sealer.sealed_len(payload.len())];
    let begin = sealer.payload_at();
    packet[begin..begin + payload.len()].copy_from_slice(payload);
    let mut ivs = Ivs::new(Box::new(SeededEntropy::new(1)));
    let len = sealer.seal(&mut packet, payload.len(), 4, &mut ivs).expect("it fits");
    assert_eq!(len, packet.len());
    // The SPI is the SA's own; all else is covered.
    let place = 4 + usize::from(at) % (len - 4);
    let mut changed = packet.clone();
    changed[place] ^= change | 1;
    assert!(opener.open(&mut changed).is_err(), "octet {place}");
    let opened = opener.open(&mut packet).expect("nothing was changed");
    assert_eq!(&packet[opened.payload], payload);
}
