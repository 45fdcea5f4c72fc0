//! Building blocks of hand-made messages, and what holds for every message.

use pluto_wire::numbers::PayloadType;
use pluto_wire::v2::{self, Message, Outline, Payload};
use pluto_wire::{DecodeError, Why};

/// Octets from hexadecimal digits; white space and `|` are for the reader's eye.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && *c != '|').collect();
    assert!(digits.len().is_multiple_of(2), "half an octet in {text}");
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

/// A payload: generic header and body.
pub(crate) fn payload(next: PayloadType, critical: bool, body: &[u8]) -> Vec<u8> {
    let mut out = vec![next.0, if critical { 0x80 } else { 0 }];
    out.extend(u16::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend(body);
    out
}

/// A datagram of IKE_SA_INIT with these octets behind the header, and a true length.
pub(crate) fn datagram(first: PayloadType, behind: &[u8]) -> Vec<u8> {
    let mut out = hex("1111111111111111 2222222222222222");
    out.extend([first.0, 0x20, 34, 0x08, 0, 0, 0, 0]);
    out.extend(u32::try_from(behind.len() + 28).unwrap().to_be_bytes());
    out.extend(behind);
    out
}

/// Decodes the body of one payload.
pub(crate) fn decode_body(first: PayloadType, body: &[u8]) -> Result<Payload, DecodeError> {
    let mut payloads = v2::decode_chain(first, &payload(PayloadType::NONE, false, body))?;
    assert_eq!(payloads.len(), 1);
    Ok(payloads.remove(0))
}

/// The body of a payload is this value, and the value has this body.
pub(crate) fn assert_both_ways(value: &Payload, body: &[u8]) {
    let payload_type = value.payload_type();
    assert_eq!(decode_body(payload_type, body).as_ref(), Ok(value));
    let (first, bytes) = v2::encode_chain(std::slice::from_ref(value)).unwrap();
    assert_eq!(first, payload_type);
    assert_eq!(bytes, payload(PayloadType::NONE, false, body));
}

/// Cutting the body anywhere within one of `fields` (start, end, name) is an error that
/// names that field; cutting it elsewhere leaves a payload that is accepted.
pub(crate) fn assert_cuts(first: PayloadType, body: &[u8], fields: &[(usize, usize, &str)]) {
    for cut in 0..body.len() {
        let expected = fields.iter().find(|(start, end, _)| (*start..*end).contains(&cut));
        match (decode_body(first, &body[..cut]), expected) {
            (Ok(value), None) => assert_both_ways(&value, &body[..cut]),
            (Err(error), Some((_, _, field))) => {
                assert_eq!((error.payload, error.field), (first.name().unwrap(), *field));
            }
            (got, wanted) => panic!("{first} cut at {cut}: {got:?}, wanted {wanted:?}"),
        }
    }
}

/// The body is refused for this field of this payload.
pub(crate) fn assert_refused(first: PayloadType, body: &[u8], field: &'static str, why: Why) {
    let payload = first.name().unwrap();
    assert_eq!(decode_body(first, body), Err(DecodeError { payload, field, why }));
}

/// What holds for any bytes: they are refused, or the message encodes to as many octets,
/// which mean the same. Returns the message and its octets with reserved bits cleared.
pub(crate) fn check_datagram(bytes: &[u8]) -> Option<(Message, Vec<u8>)> {
    let outline = outline(bytes);
    let message = Message::decode(bytes).ok()?;
    check_outline(&message, &outline);
    let again = message.encode().expect("what parses encodes");
    assert_eq!(again.len(), bytes.len(), "as long as before: {message:?}");
    assert_eq!(again[..28], bytes[..28], "the header has no reserved bits that are cleared");
    assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
    assert!(v2::describe(&message.payloads).len() < 2048, "the log is not flooded");
    Some((message, again))
}

/// Types and insides, up to what cannot be read, if that is so.
fn outline(bytes: &[u8]) -> Vec<Option<(PayloadType, &[u8])>> {
    let Ok((_, outline)) = Outline::of(bytes) else { return Vec::new() };
    let payloads: Vec<_> = outline.map(Result::ok).collect();
    let refused = payloads.iter().filter(|payload| payload.is_none()).count();
    assert!(refused == 0 || (refused == 1 && payloads.last() == Some(&None)), "{payloads:?}");
    payloads
}

fn check_outline(message: &Message, outline: &[Option<(PayloadType, &[u8])>]) {
    assert_eq!(outline.len(), message.payloads.len(), "{message:?}");
    for (payload, outline) in message.payloads.iter().zip(outline) {
        let (payload_type, inside) = outline.expect("what decodes has an outline");
        assert_eq!(payload_type, payload.payload_type());
        if let Payload::Nonce(octets) | Payload::VendorId(octets) | Payload::Eap(octets) = payload {
            assert_eq!(octets, inside);
        }
    }
}

/// The same for the inside of an SK payload.
pub(crate) fn check_chain(first: PayloadType, bytes: &[u8]) -> Option<Vec<Payload>> {
    let payloads = v2::decode_chain(first, bytes).ok()?;
    let (again_first, again) = v2::encode_chain(&payloads).expect("what parses encodes");
    assert_eq!((again_first, again.len()), (first, bytes.len()));
    assert_eq!(v2::decode_chain(first, &again).as_ref(), Ok(&payloads));
    Some(payloads)
}
